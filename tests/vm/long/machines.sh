#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 1800
#
# rehost inspect and rehost plan of whole machines whose root is more than a
# filesystem on a disk: a mirror, LUKS.
. "$(dirname "$0")/../machines_lib.sh"

targets
sources md luks

say "md"
ask md
agrees md
is .boot.loader grub
is '.boot.mbr | map("\(.disk) \(.boot_code)") | sort | join(", ")' \
	'md0 none, vda grub, vdb grub'
is '.disks[] | select(.md) | "\(.path) \(.md.level) \(.md.devices) \(.md.degraded) \(.parents | join(" "))"' \
	'/dev/md0 raid1 2 0 vda2 vdb2'
is '.disks[] | select(.md) | .md.uuid' "$(sed -nE 's/^MD_UUID=(.{8}):(.{4})(.{4}):(.{4})(.{4}):(.{8})$/\1-\2-\3-\4-\5\6/p' "$own/md")"
is '[.disks[] | select(.content.type == "linux_raid_member") | .name] | join(" ")' \
	'vda2 vdb2'
is '.boot.default.disk' md0
is '.kernels[] | select(.default) | .initramfs_programs | index("mdadm") != null' true
in_initramfs raid1
is '.network.configured_by[] | select(.active) | "\(.kind) \(.interfaces | tostring)"' \
	'systemd-networkd {"ens3":"static"}'

say "luks"
ask luks
agrees luks
is '.disks[] | select(.crypt) | "\(.path) \(.crypt.type) \(.parents | join(" "))"' \
	'/dev/mapper/cryptroot luks2 vda3'
is '.disks[] | select(.name == "vda3") | .content.type' crypto_LUKS
is '.crypttab[] | "\(.name) \(.names) \(.key) \(.disk)"' \
	'cryptroot uuid /etc/keys/cryptroot.key vda3'
is '.disks[] | select(.crypt) | .crypt.uuid' \
	"$(jq -r '.disks[] | select(.name == "vda3") | .content.uuid' "$facts")"
expect_same luks2 "$(sed -n 's/^ *type: *//p' "$own/crypt" | tr '[:upper:]' '[:lower:]')"
is '.filesystems[] | "\(.mount) \(.type)"' $'/ ext4\n/boot ext4'
is '.kernels[] | select(.default) | .initramfs_programs | index("cryptsetup") != null' true
in_initramfs dm_crypt

say "plans"
up blank
up bare
network=("warns source interface-name" "warns target network-address")
plan md blank "${network[@]}" "blocks source unsupported-part" \
	"blocks target no-target-disk"
plan luks blank "${network[@]}" "warns source unsupported-part"
plan luks bare "${network[@]}" "warns source unsupported-part" \
	"blocks target boot-mode-mismatch" "blocks target no-storage-driver" \
	"blocks target no-network-driver" "blocks source cloud-kernel"
