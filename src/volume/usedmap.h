/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which parts of a volume a mounted filesystem uses.
 *
 * ext4 and xfs: FS_IOC_GETFSMAP (ioctl_getfsmap(2)); everything that is not
 * reported as free counts as used. Refused are logs and data on other devices
 * and xfs realtime sections. btrfs on one device, profiles single and
 * DUP: chunk and extent trees by BTRFS_IOC_TREE_SEARCH_V2
 * (linux/btrfs_tree.h), plus the first MiB and the superblock copies.
 *
 * Order matters to the caller: tracker first, then syncfs, then the map. Then
 * what was free is either still unused or was written since, and so tracked.
 */
#ifndef REHOST_VOLUME_USEDMAP_H
#define REHOST_VOLUME_USEDMAP_H

#include <stdint.h>

#include "base/error.h"

/* Called with used ranges in bytes, in no particular order, perhaps
 * overlapping, never beyond size. */
typedef void usedmap_fn(void *arg, uint64_t offset, uint64_t bytes);

/* Reports the used ranges of the filesystem mounted at mountpoint (a folder),
 * whose device is major:minor with size bytes, and what lies behind its end.
 * syncfs is called first; no descriptor stays open, so that the mount can be
 * unmounted. Needs root. Returns 0; -EOPNOTSUPP (with the reason) when the
 * filesystem has no map or is not laid out simply enough; -ENODEV when another
 * device is mounted there; other negative errno. After any error nothing may be
 * concluded from what was reported: use all. */
int usedmap_read(const char *mountpoint, uint32_t major, uint32_t minor,
	uint64_t size, usedmap_fn *fn, void *arg, struct error *err);

#endif
