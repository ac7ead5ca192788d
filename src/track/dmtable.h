/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device-mapper tables of linear and striped targets (DM_TABLE_STATUS,
 * linux/dm-ioctl.h; Documentation/admin-guide/device-mapper/linear.rst and
 * striped.rst), and how they put a piece of a device on the devices below.
 */
#ifndef REHOST_TRACK_DMTABLE_H
#define REHOST_TRACK_DMTABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "track/tracker.h"

#define DMTABLE_STRIPES_MAX 64

struct dmtable_target {
	uint64_t start, sectors; /* on the device */
	char type[17];
	uint32_t stripes;	/* 1 = linear */
	uint32_t chunk_sectors; /* 0 when linear */
	struct {
		uint32_t major, minor;
		uint64_t start;
	} below[DMTABLE_STRIPES_MAX];
};

/* Reads the table of a device into fresh memory, which the caller frees:
 * targets many struct dm_target_spec, each with its text, in n bytes. */
int dmtable_read(uint32_t major, uint32_t minor, void **ret, size_t *ret_n,
	uint32_t *ret_targets) MUST_CHECK;

/* Takes apart the target that begins at *at of such a table, and moves *at to
 * the next one. 0; -EOPNOTSUPP for other targets than linear and striped, with
 * the type filled in; -EBADMSG when it makes no sense. */
int dmtable_next(const void *table, size_t n, size_t *at,
	struct dmtable_target *ret) MUST_CHECK;

/* The same from a target's parameters alone, as text; start, sectors and type
 * must be filled in. */
int dmtable_parse(const char *params, struct dmtable_target *t) MUST_CHECK;

/* Appends to s what piece, which lies on the device that t is of, is on the
 * devices below t. *ret_sectors is how many sectors of it t holds. 0, -E2BIG
 * when s is full, -EOPNOTSUPP for stripes in stripes, -EBADMSG. */
int dmtable_lower(const struct dmtable_target *t, const struct segment *piece,
	struct segments *s, uint64_t *ret_sectors) MUST_CHECK;

#endif
