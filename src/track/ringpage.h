/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages of trace_pipe_raw: a page header, then ring buffer events, of
 * which those of block_rq_complete are taken apart. Where the fields lie is
 * read from events/header_page and from the event's format file
 * (Documentation/trace/ring-buffer-design.rst, include/linux/ring_buffer.h,
 * kernel/trace/ring_buffer.c and include/trace/events/block.h of the Linux
 * source). Nothing of a page or a text is believed; none is read beyond its
 * end.
 */
#ifndef REHOST_TRACK_RINGPAGE_H
#define REHOST_TRACK_RINGPAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define RINGPAGE_MAX (1U << 20) /* largest page that is accepted */

struct ringpage_field {
	uint32_t at, size; /* bytes */
};

struct ringpage_format {
	struct ringpage_field commit, data;	 /* of the page */
	uint32_t page_size;			 /* bytes, with its header */
	uint32_t id;				 /* of block_rq_complete */
	struct ringpage_field type, dev, sector; /* of the event */
	struct ringpage_field sectors, rwbs;
	uint32_t event_size; /* bytes that all these fields need */
};

enum ringpage_kind { RINGPAGE_IGNORE, RINGPAGE_WRITE, RINGPAGE_DISCARD };

struct ringpage_event {
	enum ringpage_kind kind;
	uint32_t major, minor; /* the whole disk */
	uint64_t sector;       /* of 512 bytes */
	uint32_t sectors;
};

typedef void ringpage_fn(void *arg, const struct ringpage_event *e);

/* Takes the text of events/header_page, and of the event's format file, into
 * f. 0, or -EBADMSG when a field is missing or cannot be used. */
int ringpage_header(const char *text, struct ringpage_format *f) MUST_CHECK;
int ringpage_format(const char *text, struct ringpage_format *f) MUST_CHECK;

/* What a request was, from rwbs, which is n bytes and may lack a NUL: writes,
 * also of zeroes and secure erases; discards; and what changes nothing. */
enum ringpage_kind ringpage_kind(
	const char *rwbs, size_t n, uint64_t sector, uint32_t sectors);

/* Calls fn for each block_rq_complete of a page of n bytes. 0; -ENODATA when
 * the kernel says that it lost events before this page; -EBADMSG when the page
 * makes no sense. fn was then called for some of the events. */
int ringpage_parse(const struct ringpage_format *f, const void *page, size_t n,
	ringpage_fn *fn, void *arg) MUST_CHECK;

#endif
