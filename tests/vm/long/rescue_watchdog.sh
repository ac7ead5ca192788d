#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 900
#
# The rescue system's ways out of a machine that does nothing any more: the
# hardware's watchdog when the kernel stands still, and the kernel's own reboot
# after it failed.
. "$(dirname "$0")/../rescue_lib.sh"

rescue_build "$dir/r" --no-media
cmdline=$(sed -n 's/^kernel kernel initrd=initramfs //p' "$dir/r/rescue.ipxe")

# boot NAME ARGUMENT...
boot() {
	local name=$1

	shift
	machine "$name" 256 -machine pc -kernel "$dir/r/kernel" \
		-initrd "$dir/r/initramfs" \
		-append "$cmdline rehost.watchdog=3000" \
		-netdev 'user,id=n0,hostfwd=tcp:127.0.0.1:0-:22' \
		-device virtio-net-pci,netdev=n0,romfile= "$@"
	host "$name" "$dir/r" 127.0.0.1
	up "$name"
}

say "a kernel that stands still is ended by the hardware"
boot hardware -device i6300esb
watched() {
	grep -q '^rehost: the hardware watches' "$dir/log/hardware.console"
}
wait_for 60 watched
on hardware 'echo 0 >/proc/sys/kernel/panic
	(sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &' || :
ends "$machine_pid" 300

say "a kernel that failed reboots"
boot panic
on panic '(sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &' || :
ends "$machine_pid" 120
