/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is changed in the files of a moved Linux system so that it boots on its
 * new machine. It runs on the target, after the replica was proved, in a system
 * that need not have udev or any tool: programs are run only in the moved
 * system itself (chroot.h).
 *
 * Who calls has mounted the moved system at a folder, for writing, with /boot
 * and the EFI system partition where the moved system has them. Everything in
 * it may be hostile: nothing outside of it is read or written.
 *
 * Every fix-up may be repeated. A second run, or one that finds everything
 * right, changes nothing and says so by an empty list.
 *
 * The wish is an object. A key that is absent, or null, is not known or not
 * wished for.
 *
 *   name            the move's name
 *   id              what tells this move from all others, random; needed for
 *                   "identity": "new", for which new IDs are made from it
 *   identity        "keep" (also when absent) or "new"
 *   hostname        what the machine is called from now on
 *   old_hostname    what it is called on the source: replaced in /etc/hosts
 *   firmware        "bios" or "uefi": how the target boots
 *   fixups          object of bool by name as in rehost-plan(5); what is absent
 *                   is true
 *   root            what the boot loader must name as root, "UUID=…",
 *                   "PARTUUID=…" or "/dev/mapper/VG-LV"
 *   boot_disk       the disk of the target that its BIOS boots, as the system
 *                   that we run in calls it: its boot code is installed anew.
 *                   Absent: it came with the disk
 *   console         list of devices ("tty0", "ttyS0"), the last one is
 *                   /dev/console; absent: consoles are left as they are
 *   drivers         list of modules that the initramfs must have
 *   kernel          object, of the kernel that boots next:
 *     release         as uname -r has it
 *     initramfs       its path; null: it has none. When the key is absent
 *                     nothing is known
 *     modules_missing which of "drivers" are neither in the kernel nor in the
 *                     initramfs; absent: it is looked at, which takes longer
 *   filesystems     list of objects, of everything that moves (swap, encrypted
 *                   volumes and what is on them too):
 *     device          what it was called on the source, "/dev/vda1"
 *     aliases         list of its other names ("/dev/disk/by-path/…")
 *     uuid, label, partuuid, partlabel
 *     type            as blkid has it
 *     mount           where it was mounted
 *     logical         "/dev/mapper/VG-LV" of a logical volume, or
 *                     "/dev/mapper/NAME" of an opened encrypted one
 *     swap, crypt     bool; crypt: it is an encrypted volume, not what is in it
 *   nics            list of objects:
 *     name            of the interface on the source; it keeps it
 *     holder          the bridge or bond that has its addresses; absent: it has
 *                     them itself
 *     mac, target_mac on the source, on the target; lower case
 *     mode            "keep", "map" or "dhcp", as in rehost-plan(5)
 *     addresses, gateways, nameservers
 *                     lists, of "map": "192.0.2.5/24", "192.0.2.1"
 *   grow            list of objects: filesystems whose partitions have room
 *                   that they do not use yet
 *     type, mount     as it is mounted
 *     uuid            of what is in the partition itself
 *     physical, group, logical
 *                     or, of what lies in LVM: the UUID of the physical volume,
 *                     the group's name, "/dev/mapper/VG-LV"
 *     disk, partition, start
 *                     for who grows the partition: which of the move's disks,
 *                     its number, where it begins in bytes; 0: the whole disk
 *
 * The report is an object:
 *
 *   changes   list of {"fixup", "path", "what"}, in the order in which it was
 *             done
 *   warnings  list of {"fixup", "what"}: what could not be done, or should be
 *             looked at; the system boots nevertheless
 *   host_keys list of {"type", "fingerprint"}: the SSH host keys of a new
 *             identity, as ssh-keygen -l has them ("SHA256:…"); empty when it
 *             is kept
 *
 * A fix-up without which the system would not boot, and a tree that cannot be
 * written, are errors; what was done before stays done.
 */
#ifndef REHOST_FIXUP_FIXUP_H
#define REHOST_FIXUP_FIXUP_H

#include <jansson.h>

#include "base/cleanup.h"
#include "base/error.h"

/* Runs all fix-ups. The caller owns *ret_report. May run programs of the moved
 * system for minutes, when its initramfs has to be built anew. Needs root. */
int fixup_run(const char *root, const json_t *wish, json_t **ret_report,
	struct error *err) MUST_CHECK;

#endif
