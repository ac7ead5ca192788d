#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 2400
#
# The layout of Engine Yard moves, and keeps its address: ext3 on /boot, an xfs root
# and swap on logical volumes, GRUB. The target's disk is larger, and the root gets
# the room: partition, physical and logical volume, filesystem. A reset of the source
# does not bring it back.
MACHINES=ey
. "$(dirname "$0")/../move_lib.sh"

rig_witness_start
rig_up ey
boot=$(boot_of old)
mac=$(mac_of old)
rig_target new bios 3G
up new
on old 'echo before >/root/log; sync'

had=$(on old blockdev --getsize64 /dev/mapper/sysvg-root)

say "the move"
expect_exit 0 rehost_run plan root@old root@new -o "$dir/plan"
sed -i 's|grow: ~|grow: /|' "$dir/plan"
expect_exit 0 rehost_run move --plan "$dir/plan" --name ey --downtime 60s \
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

say "its root has the room of the larger disk"
end_of_first_boot() {
	timeout -k 1 20 ssh -F "$dir/ssh_config" -o ConnectTimeout=15 old \
		test ! -e /etc/rehost-migrating </dev/null
}
report_is ey '.grown[] | "\(.disk) \(.partition) \(.mount)"' '/dev/vda 2 /'
wait_for 300 end_of_first_boot
expect_same "rehost: / has grown" "$(on old tail -n 1 /var/lib/rehost/grown)" "it says"
size=$(on old blockdev --getsize64 /dev/mapper/sysvg-root)
((size - had > 1000 << 20)) || fail "it has $size bytes, and had $had"
expect_same $((size / 4096)) "$(on old xfs_info / |
	sed -n 's/^data .*blocks=\([0-9]*\),.*/\1/p')" "blocks of its filesystem"
on old 'sfdisk --verify /dev/vda' >"$dir/verify" 2>&1 || fail "$(<"$dir/verify")"

say "the source does not come back when it is reset"
rig_ask '{"execute":"system_reset"}' >/dev/null
# Longer than it takes to boot; there is nothing to be seen of it.
sleep 90
expect_same "$another" "$(boot_of old)" "who answers"
rig_witness_check "$mac" "$(rig_mac 16)"
