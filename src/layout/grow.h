/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The partition table of a disk that was copied to a larger one: its second
 * copy (GPT) is put where the disk ends now, and its last partition may get the
 * room behind it. GPT as UEFI Specification 2.10, chapter 5, has it; MBR with
 * primary partitions.
 *
 * Everything on the disk may be hostile: nothing but the table is written, and
 * only when it makes sense.
 */
#ifndef REHOST_LAYOUT_GROW_H
#define REHOST_LAYOUT_GROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define LAYOUT_ALIGN (1024U * 1024) /* where a partition that grew ends */

struct layout_disk {
	int fd; /* open for writing */
	uint32_t sector;
	uint64_t size;
	uint64_t source; /* bytes of the disk that it is a copy of */
};

struct layout_grown {
	bool moved;	    /* the second copy of a GPT is at the end now */
	bool written;	    /* something was; the kernel must read it again */
	uint32_t number;    /* of the partition; 0: none was asked for */
	uint64_t from, now; /* its size, bytes; the same when it has no room */
};

/* Does it on a disk with logical blocks of sector bytes. start is where the
 * partition begins that is to grow, in bytes; 0: none. When none is to grow, a
 * disk without a table is left alone, and so is one as large as its source, and
 * one whose second copy was elsewhere than at the source's end: that may be the
 * table of something on the disk, as of an array whose superblock is behind it.
 *
 * It may be repeated, also after a crash in the middle: the copy at the end is
 * durable before the first one is touched, and serves when that is damaged.
 * -EBUSY when a partition lies behind, -ENOENT when there is none that begins
 * there, -EOPNOTSUPP for a logical one, -EBADMSG for a table that is damaged,
 * was made for blocks of another size, or did not end where the source did,
 * -ENOSPC when the disk is as large as the source; then nothing was written. */
int layout_grow(const struct layout_disk *disk, uint64_t start,
	struct layout_grown *ret, struct error *err) MUST_CHECK;

#endif
