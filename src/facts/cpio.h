/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names in cpio archives of the newc kinds, as an initramfs has them
 * (Documentation/driver-api/early-userspace/buffer-format.rst): several may
 * stand one behind the other, with zeros between.
 *
 * Bytes are fed as they come; what is in the files is skipped.
 */
#ifndef REHOST_FACTS_CPIO_H
#define REHOST_FACTS_CPIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define CPIO_NAME_MAX 4096
#define CPIO_HEAD 110

/* Called for each name, without "/" or "./" before it; n is its length. It is
 * terminated, but may have a NUL within. */
typedef void cpio_fn(void *arg, const char *name, size_t n);

struct cpio {
	cpio_fn *fn;
	void *arg;
	enum { CPIO_BETWEEN, CPIO_IN_HEAD, CPIO_IN_NAME, CPIO_IN_DATA } state;
	uint64_t skip;	  /* bytes of a file, and padding, that are to come */
	uint64_t data;	  /* of the file whose name is being read */
	size_t name_size; /* with its NUL */
	size_t have, want;
	char buf[CPIO_NAME_MAX + 1 + CPIO_HEAD];
	uint64_t entries;
};

void cpio_begin(struct cpio *c, cpio_fn *fn, void *arg);

/* Takes n bytes. 0 when all were taken; 1 when something that is no archive
 * begins behind the *ret_used first ones (only between archives); -EBADMSG when
 * an archive is broken. */
int cpio_feed(struct cpio *c, const uint8_t *p, size_t n,
	size_t *ret_used) MUST_CHECK;

/* How many of the next bytes need not be fed, as nothing in them is looked at;
 * tell how many were left out. */
uint64_t cpio_skippable(const struct cpio *c);
void cpio_skipped(struct cpio *c, uint64_t n);

#endif
