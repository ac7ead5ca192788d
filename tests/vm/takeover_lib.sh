# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the tests of takeovers: tests/vm/lib.sh, and what they share.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

image=$("$guest" image)

# put_kernel HOST: where packages put it; the guests are started from outside.
put_kernel() {
	on_sh "$1" 'cat >"/boot/vmlinuz-$(uname -r)"' <"$image/kernel"
}

boot_of() {
	on "$1" cat /proc/sys/kernel/random/boot_id
}

# is_booted HOST BOOT: it answers, and that boot is over; for wait_for.
is_booted() {
	local now

	now=$(ON_LIMIT=15 boot_of "$1") && [[ $now != "$2" ]]
}

# is_named HOST NAME: it answers, and this is its hostname; for wait_for.
is_named() {
	[[ $(ON_LIMIT=15 on "$1" hostname) == "$2" ]]
}

# refused PATTERN HOST [FLAG...]: exit status 1, and nothing was changed.
refused() {
	local pattern=$1 host=$2 before

	shift 2
	before=$(boot_of "$host")
	expect_exit 1 rehost_run takeover "$@" "root@$host"
	expect_out "$pattern"
	expect_same 0 "$(on "$host" cat /sys/kernel/kexec_loaded)" "loaded"
	expect_same "$before" "$(boot_of "$host")" "boot id"
	expect_clean "$host"
}
