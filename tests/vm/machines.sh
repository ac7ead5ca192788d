#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 900
#
# rehost inspect and rehost plan of whole machines, booted by their own firmware
# and boot loader: BIOS with a plain disk, UEFI, and LVM as Engine Yard had it.
. "$(dirname "$0")/machines_lib.sh"

targets
sources bios uefi ey

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
drivers=("blocks target no-storage-driver" "blocks target no-network-driver"
	"blocks source cloud-kernel")
plan bios blank "${network[@]}"
plan bios bare "${network[@]}" "blocks target boot-mode-mismatch"
dhcp=("warns source interface-name" "notes source dynamic-address"
	"notes source unsupported-part")
plan uefi blank "${dhcp[@]}" "blocks target boot-mode-mismatch"
plan uefi bare "${dhcp[@]}" "${drivers[@]}"
redis="notes source databases-running"
plan ey blank "${network[@]}" "$redis"
plan ey bare "${network[@]}" "$redis" "${drivers[@]}" \
	"blocks target boot-mode-mismatch"
say "a disk that is too small"
echo 'block_resize d1 1G' | socat -T5 - "unix:$dir/blank.mon" >/dev/null
plan ey blank "${network[@]}" "$redis" "blocks target target-disk-too-small"
