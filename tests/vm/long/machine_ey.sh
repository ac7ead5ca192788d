#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 1800
#
# rehost inspect and rehost plan of a whole machine, booted by its own firmware and
# boot loader, with LVM as Engine Yard had it. Others are in machines.sh.
. "$(dirname "$0")/../machines_lib.sh"

targets
sources ey

say "ey"
ask ey
agrees ey
is .boot.loader grub
is '.boot.default | "\(.root) \(.disk)"' '/dev/mapper/sysvg-root dm-0'
is '[.disks[] | select(.lvm) | "\(.lvm.vg)/\(.lvm.lv) on \(.parents | join(" "))"] |
	sort | join(", ")' 'sysvg/root on vda2, sysvg/swap on vda2'
is '.disks[] | select(.name == "vda2") | "\(.part.type) \(.content.type)"' \
	'0x8e LVM2_member'
is '.filesystems[] | "\(.mount) \(.type)"' $'/ xfs\n/boot ext3'
is '.fstab[] | "\(.mount) \(.names)"' $'/ lvm\n/boot uuid\nnone lvm'
is '.databases[] | "\(.kind) \(.running) \(.service) \(.port)"' \
	'redis true redis-server.service 6379'
is '.kernels[] | select(.default) | .initramfs_programs | index("lvm") != null' true

say "plans"
up blank
up bare
# The rescue system has no predictable names, so that one is always warned of.
network=("warns source interface-name" "warns target network-address")
redis="notes source databases-running"
plan ey blank "${network[@]}" "$redis"
plan ey bare "${network[@]}" "$redis" "blocks target no-storage-driver" \
	"blocks target no-network-driver" "blocks source cloud-kernel" \
	"blocks target boot-mode-mismatch"
say "a disk that is too small"
echo 'block_resize d1 1G' | socat -T5 - "unix:$dir/blank.mon" >/dev/null
plan ey blank "${network[@]}" "$redis" "blocks target no-target-disk"
