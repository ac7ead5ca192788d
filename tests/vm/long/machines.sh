#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 1800
#
# rehost inspect and rehost plan of whole machines, booted by their own firmware and
# boot loader: a plain disk by BIOS and by UEFI, a mirror, LUKS.
. "$(dirname "$0")/../machines_lib.sh"

targets
sources bios uefi md luks

say "bios"
ask bios
agrees bios
is .system.firmware.mode bios
is .boot.loader grub
is .boot.config /boot/grub/grub.cfg
is '.boot.mbr[] | "\(.disk) \(.boot_code)"' 'vda grub'
is '.disks[] | select(.name == "vda") | "\(.table.kind) \(.serial)"' 'dos bios-0'
is '.disks[] | select(.name == "vda1") | .part | "\(.type) \(.flags)"' '0x83 0x80'
is '.fstab[] | "\(.mount) \(.names) \(.disk)"' $'/ uuid vda1\nnone uuid vda2'
is '.network.configured_by[] | select(.active) | "\(.kind) \(.interfaces.ens3)"' \
	'ifupdown static'
is '.network.names' predictable
is '.network.interfaces[] | select(.name == "ens3") | .dynamic // false' false
is '.services[] | select(.name == "nginx.service") | "\(.enabled) \(.running)"' \
	'true true'
in_initramfs ahci nvme virtio_blk ext4 sd_mod megaraid_sas

say "uefi"
ask uefi
agrees uefi
is '.system.firmware | "\(.mode) \(.secure_boot)"' 'uefi false'
is .boot.loader grub-efi
is '.boot.esp | "\(.mount) \(.disk)"' '/boot/efi vda1'
expect_same "$(grep -i '\.efi$' "$own/esp" | sort)" \
	"$(jq -r '.boot.esp.files[]' "$facts" | grep -i '\.efi$' | sort)" ESP
is '.boot.esp.files | map(ascii_upcase) | any(. == "EFI/BOOT/BOOTX64.EFI")' true
is '.disks[] | select(.name == "vda") | .table.kind' gpt
is '.disks[] | select(.name == "vda1") | .part.type' \
	c12a7328-f81f-11d2-ba4b-00a0c93ec93b
is '.network.configured_by[] | select(.active) | "\(.kind) \(.interfaces | tostring)"' \
	'systemd-networkd {"enp0s3":"dhcp"}'
is '.network.interfaces[] | select(.kind == "ethernet") | .dynamic' true
is '.kernels[0].builtin | index("ext4", "nvme") != null' $'true\ntrue'
is '.kernels[0] | (.builtin + .initramfs_modules) | index("ahci")' null

say "md"
ask md
agrees md
is .boot.loader grub
is '.boot.mbr | map("\(.disk) \(.boot_code)") | sort | join(", ")' \
	'md0 none, vda grub, vdb grub'
is '.disks[] | select(.md) | "\(.path) \(.md.level) \(.md.devices) \(.md.degraded) \(.md.metadata) \(.md.action) \(.parents | join(" "))"' \
	'/dev/md0 raid1 2 0 1.2 idle vda2 vdb2'
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
drivers=("blocks target no-storage-driver" "blocks target no-network-driver"
	"blocks source cloud-kernel")
database="notes source databases-running"
plan bios blank "${network[@]}" "$database"
plan bios bare "${network[@]}" "$database" "blocks target boot-mode-mismatch"
dhcp=("warns source interface-name" "notes source dynamic-address"
	"notes source unsupported-part")
plan uefi blank "${dhcp[@]}" "blocks target boot-mode-mismatch"
plan uefi bare "${dhcp[@]}" "${drivers[@]}"
plan md blank "${network[@]}" "blocks target no-target-disk"
plan luks blank "${network[@]}" "warns source unsupported-part"
plan luks bare "${network[@]}" "warns source unsupported-part" "${drivers[@]}" \
	"blocks target boot-mode-mismatch"
