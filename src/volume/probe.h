/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a volume is, before anything is done to it: size, identity, content,
 * who uses it. Reads sysfs (Documentation/ABI/stable/sysfs-block),
 * /proc/self/mountinfo, /proc/swaps, and the device itself with O_DIRECT
 * (volume/signatures.h).
 */
#ifndef REHOST_VOLUME_PROBE_H
#define REHOST_VOLUME_PROBE_H

#include "base/error.h"
#include "wire/facts.h"

/* Fills ret for a block device or regular file (symbolic links followed).
 * Nothing is written. Large: allocate it. -ENOENT, -EACCES, -ENOTBLK (neither
 * device nor regular file), -ENOMEDIUM (a device without a size), -EOVERFLOW
 * (more signatures than fit), others, with advice.
 *
 * - Up to some 12 MiB are read, from both ends; a bad sector there is -EIO.
 * - A device is opened with O_EXCL for a moment, so that another's mount in
 * that moment fails. Mounts in other mount namespaces show only as busy.
 * - mounts has the first PROBE_MOUNTS_MAX. The first one is a folder that leads
 *   into the filesystem, if there is one. A btrfs is mounted on each of its
 *   devices. A mount's readonly says that nothing can be written through it.
 * - n_partitions_mounted counts partitions that are mounted, swap or held.
 * - Loop devices over a file count as its holders; what is mounted from them is
 *   in mounts.
 * - serial and wwn of a partition are the disk's with "-partN" behind; blanks
 *   and what cannot be typed are '_'. wwn is dm's or md's uuid on those.
 * - fstype is the first that libblkid finds; signatures has all, filesystems
 *   and tables, with the copies that are taken by themselves when the first is
 *   missing. An entry of 0 bytes does not occur.
 * - clean only for ext2 to ext4 and btrfs that nothing uses; an xfs log is not
 *   searched.
 * - multi_device: btrfs with other devices, members of md, zfs, bcache and
 *   other arrays; not LVM. external_journal: also for the journal itself. */
int probe_volume(const char *path, struct volume_facts *ret, struct error *err);

/* The same without reading the contents: no signatures, fstype, uuid, clean or
 * empty. Quick enough for a cutover. */
int probe_use(const char *path, struct volume_facts *ret, struct error *err);

/* The names alone of a block device whose folder in sysfs is open as sys: fills
 * serial and wwn. Opens no device. */
void probe_names(int sys, struct volume_facts *ret);

/* What the kernel counts as written to a block device, in bytes; 0 for a file.
 * Asks no filesystem, so it also works under a freeze. */
uint64_t probe_written(uint32_t kind, uint32_t major, uint32_t minor);

/* Finds on which filesystem a path lies: fills ret with its mount. The path
 * must exist; a last symbolic link is followed. */
int probe_mount_of(const char *path, struct mount_info *ret, struct error *err);

/* The name by which a user confirms a volume: "serial:…", "wwn:…", "uuid:…" or
 * "size:BYTES", the first that is known; returns buf. */
const char *probe_identity(
	const struct volume_facts *f, char *buf, unsigned long size);

#endif
