#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 2400
#
# The rescue system boots a blank machine in every way that there is a file for:
# by the network with iPXE, from the ISO and from the disk image by BIOS and by
# UEFI.
. "$(dirname "$0")/../rescue_lib.sh"

rescue_build "$dir/r"
firmware=/usr/share/OVMF/OVMF_CODE_4M.fd
net=user,id=n0,hostfwd=tcp:127.0.0.1:0-:22
truncate -s 64M "$dir/blank.raw"

# try NAME ARGUMENT...: the machine comes up, and is this system.
try() {
	local name=$1

	shift
	say "$name"
	machine "$name" 512 -device virtio-net-pci,netdev=n0,"${card:-romfile=}" \
		-drive "if=none,id=blank,format=raw,file=$dir/blank.raw" \
		-device virtio-blk-pci,drive=blank "$@"
	host "$name" "$dir/r" 127.0.0.1
	up "$name"
	expect_same rescue "$(on "$name" hostname)" "the machine"
	wait_for 60 on "$name" test -b /dev/vda
	on "$name" reboot || :
	ends "$machine_pid" 60
}

uefi=(-machine q35 -drive
	"if=pflash,unit=0,format=raw,readonly=on,file=$firmware")
card=bootindex=1 try pxe -machine pc \
	-netdev "$net,tftp=$dir/r,bootfile=rescue.ipxe"
try iso-bios -machine pc -netdev "$net" \
	-drive "if=none,id=cd,media=cdrom,format=raw,readonly=on,file=$dir/r/rescue.iso" \
	-device ide-cd,drive=cd,bootindex=1
try iso-uefi "${uefi[@]}" -netdev "$net" \
	-drive "if=none,id=cd,media=cdrom,format=raw,readonly=on,file=$dir/r/rescue.iso" \
	-device ide-cd,drive=cd,bootindex=1
try image-bios -machine pc -netdev "$net" -snapshot \
	-drive "if=none,id=disk,format=raw,file=$dir/r/rescue.img" \
	-device ide-hd,drive=disk,bootindex=1
try image-uefi "${uefi[@]}" -netdev "$net" -snapshot \
	-drive "if=none,id=disk,format=raw,file=$dir/r/rescue.img" \
	-device virtio-blk-pci,drive=disk,bootindex=1
