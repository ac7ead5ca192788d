/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bytes of a volume say: which filesystem or table, where its
 * signatures are, whether it was left clean. By libblkid's low-level probing,
 * and for what libblkid does not tell by the superblocks of ext4
 * (Documentation/filesystems/ext4), xfs (XFS Algorithms and Data Structures),
 * btrfs (btrfs(5), struct btrfs_super_block) and others.
 *
 * libblkid does not see the volume but a memory file of its size, into which
 * the areas that it looks at were read with O_DIRECT. So neither a stale page
 * cache of the device counts (each partition has one beside the disk's, and
 * filesystems write past it), nor is any cache dropped under those who use it,
 * nor do the bytes change between two looks. And what was found can be removed
 * from the memory file, to see what else would then be found.
 */
#ifndef REHOST_VOLUME_SIGNATURES_H
#define REHOST_VOLUME_SIGNATURES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "wire/facts.h"

/* libblkid looks no further from either end, but for what is read apart. */
#define SIGNATURES_HEAD (8ULL << 20)
#define SIGNATURES_TAIL (4ULL << 20)

/* Fills uuid, fstype, multi_device, external_journal, clean, empty and the
 * signatures of f. fd is the volume, opened with O_DIRECT if it is a device;
 * size and logical of f are set. Nothing is written. 0, -EOVERFLOW when there
 * are more signatures than f can hold, or negative errno. */
int signatures_read(int fd, struct volume_facts *f) MUST_CHECK;

/* Whether found, n bytes of a disk, is all that is left of saved where that was
 * removed, or partly written again: each sector is zero or as it was. What was
 * written there since is neither. */
bool signature_is_removed(const void *found, const void *saved, uint32_t n);

#endif
