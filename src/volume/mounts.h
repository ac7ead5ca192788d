/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is mounted, and on which block devices: /proc/self/mountinfo (proc(5)),
 * and /sys/fs/btrfs (btrfs(5)), because a btrfs has a device number of its own
 * in mountinfo and may lie on several block devices.
 *
 * Mounts of other mount namespaces cannot be seen; only an O_EXCL open notices
 * them.
 */
#ifndef REHOST_VOLUME_MOUNTS_H
#define REHOST_VOLUME_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "wire/facts.h"

/* Called for each mount, in the kernel's order (later ones may lie on top of
 * earlier ones); id is the mount's number, as in /proc/self/fdinfo;
 * m->dev_major and dev_minor are 0 when it has no block device. Not 0 ends the
 * walk and is returned. m is valid during the call. */
typedef int mounts_fn(void *arg, uint64_t id, const struct mount_info *m);

/* Walks over all mounts that this process sees. Lines that cannot be understood
 * are errors (-EBADMSG), because a mount must not be overlooked. */
int mounts_each(mounts_fn *fn, void *arg) MUST_CHECK;

/* Reads one line of mountinfo, without the device of a btrfs: that is looked up
 * by mounts_each. source is the mount's source, unescaped, at least 4096 bytes.
 * 0, -EBADMSG or -ENOMEM. */
int mounts_parse(const char *line, uint64_t *ret_id, struct mount_info *ret,
	char *source) MUST_CHECK;

/* Whether a system that moves needs what is mounted there to be made ready: it
 * boots from it, or its settings are there. Others are not looked into when
 * they cannot be. */
bool mounts_is_needed(const char *point);

/* Undoes the kernel's \ooo in names. 0 or -EBADMSG (also when to, of size
 * bytes, is too small). */
int mounts_unescape(const char *from, char *to, size_t size) MUST_CHECK;

/* Reads "8:1". 0 or -EBADMSG. */
int mounts_parse_dev(const char *text, dev_t *ret) MUST_CHECK;

/* Finds the devices of a mounted btrfs: sets the first max of ret and returns
 * how many there are; negative errno. */
int mounts_btrfs_devices(
	const uint8_t fsid[16], dev_t *ret, int max) MUST_CHECK;

/* Whether both devices belong to one mounted btrfs: 1 or 0; negative errno. */
int mounts_btrfs_same(dev_t a, dev_t b) MUST_CHECK;

#endif
