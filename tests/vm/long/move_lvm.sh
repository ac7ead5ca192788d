#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 2400
#
# The layout of Engine Yard moves, and keeps its address: ext3 on /boot, an xfs root
# and swap on logical volumes, GRUB. The target's disk is larger. A reset of the
# source does not bring it back.
MACHINES=ey
. "$(dirname "$0")/../move_lib.sh"

rig_witness_start
rig_up ey
boot=$(boot_of old)
mac=$(mac_of old)
rig_target new bios 3G
up new
on old 'echo before >/root/log; sync'

say "the move"
expect_exit 0 rehost_run move root@old root@new --name ey --downtime 60s \
	--probe tcp:22
report_is ey .live target
report_is ey .proof.ok true
report_is ey '[.fixups.warnings[]]' '[]'
say "offline: $(report_of ey .downtime_ms.clients) ms, started by $(report_of ey .machine.boots_by)"
wait_for 300 answers old
another=$(boot_of old)
[[ $another != "$boot" ]] || fail "the source still answers"
expect_same "$(rig_mac 16)" "$(mac_of old)" "the card of who answers"
expect_same before "$(on old cat /root/log)" "what was written"
expect_same /dev/mapper/sysvg-root "$(on old 'findmnt -no SOURCE /')" "its root"
expect_same xfs "$(on old 'findmnt -no FSTYPE /')" "its root's filesystem"
on old 'tail -n 1 /proc/swaps | grep -q "^/dev/dm-"' || fail "no swap"

say "the source does not come back when it is reset"
rig_ask '{"execute":"system_reset"}' >/dev/null
# Longer than it takes to boot; there is nothing to be seen of it.
sleep 90
expect_same "$another" "$(boot_of old)" "who answers"
rig_witness_check "$mac" "$(rig_mac 16)"
