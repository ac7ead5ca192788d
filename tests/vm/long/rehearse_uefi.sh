#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 3600
#
# A machine with UEFI is rehearsed for a target of other parts: an NVMe disk that is
# larger, started by its firmware. What the rehearsal saw is then what the move does.
# Taken back the source is as it was, and boots.
MACHINES=uefi
. "$(dirname "$0")/../move_lib.sh"

names='[.fixups.changes[].fixup] | unique | sort | join(" ")'

rig_addresses=dhcp
rig_up uefi
boot=$(boot_of old)
rig_drive=nvme
rig_target new uefi 3G
up new

traces on old >"$dir/before"

expect_exit 0 rehost_run plan root@old root@new -o "$dir/plan"
sed -i 's|grow: ~|grow: /|' "$dir/plan"
grep -q 'grow: /$' "$dir/plan" || fail "nothing grows by the plan"
rehost_start move --plan "$dir/plan" --name web --downtime 60s --cutover wait \
	--boot firmware
move_pid=$rehost_pid
wait_for 900 status_is web .phase follow

say "the rehearsal"
NO_F=1 expect_exit 0 rehost_run rehearse web --probe tcp:22 "${rehearsed[@]}"
say "$out"
expect_out '^web: rehearsal passed'
result() {
	report_of web ".rehearsals[0] | $1"
}
expect_same true "$(result .passed)" "passed"
expect_same firmware "$(result .boots_by)" "boots by"
expect_same '' "$(result '.not_rehearsed | join("; ")')" "not rehearsed"
say "held $(result .held_ms) ms; fitted in $(result .fit_ms) ms; answered after $(result '.probes[0].ms') ms"
expected=$(result "$names")
[[ $expected == *grow* ]] || fail "fix-ups: $expected"
expect_same "$boot" "$(boot_of old)" "the boot of who answers"
# The EFI system partition was made read-only for the checkpoint.
on old 'touch /boot/efi/x && sync && rm /boot/efi/x' || fail "the ESP is read-only"

say "the move"
NO_F=1 expect_exit 0 rehost_run cutover web
rehost_pid=$move_pid
rehost_wait 900 0
report_is web .live target
report_is web .proof.ok true
report_is web .machine.boots_by firmware
expect_same "$expected" "$(report_of web "$names")" "fix-ups"
report_is web .machine.address 192.0.2.16
[[ $(on_moved cat /proc/sys/kernel/random/boot_id) != "$boot" ]] ||
	fail "the source answers there"
expect_same uefi "$(on_moved hostname)" "its name"
on_moved 'test -b /dev/nvme0n1p2 && ls /sys/firmware/efi >/dev/null' ||
	fail "another machine than planned"

say "back: the source is as it was, with its ESP and its boot entries"
NO_F=1 expect_exit 0 rehost_run rollback web
ends "${rig_pid[new]}" 120
expect_same "$boot" "$(boot_of old)" "the boot of who answers"
traces on old >"$dir/after"
diff "$dir/before" "$dir/after" >"$dir/traces" ||
	fail "the source is not as before: $(<"$dir/traces")"
on old 'touch /boot/efi/x && sync && rm /boot/efi/x' || fail "the ESP is read-only"

say "and it boots, by both of its tables"
rig_ask '{"execute":"system_reset"}' >/dev/null
wait_for 600 is_another_boot old "$boot"
on old 'sfdisk --verify /dev/vda' >"$dir/verify" 2>&1 || fail "$(<"$dir/verify")"
if grep -i 'corrupt\|mismatch' "$dir/verify"; then
	fail "the partition table is not right"
fi
