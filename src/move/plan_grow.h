/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to grow on a disk so that the filesystem at a mount point gets the
 * room of a larger one: the partition at its end, a physical volume in it, a
 * logical volume of that.
 */
#ifndef REHOST_MOVE_PLAN_GROW_H
#define REHOST_MOVE_PLAN_GROW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/cleanup.h"

struct plan_grow {
	uint32_t partition;	/* 0: the disk is not partitioned */
	uint64_t start;		/* of it, in bytes */
	const json_t *fs;	/* of "filesystems" */
	const json_t *device;	/* of "disks": what it lies on */
	const json_t *physical; /* the LVM volume on that disk, or NULL */
};

/* What a plan may have behind "grow": a path that can stand in a script. */
bool plan_grow_is_mount(const char *text);

/* Looks for it in the facts of the source. -EOPNOTSUPP when it cannot grow;
 * then why, which goes behind "disk X cannot grow for MOUNT: ", is written to
 * f.
 */
int plan_grow_find(const json_t *facts, const json_t *disk, const char *mount,
	struct plan_grow *ret, FILE *f) MUST_CHECK;

/* What fixup/fixup.h calls "grow", of one disk; a new reference, or NULL when
 * out of memory. */
json_t *plan_grow_wish(const struct plan_grow *g, uint32_t index);

#endif
