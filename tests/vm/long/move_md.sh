#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 3600
#
# A machine whose root lies on a mirror of its two disks moves, keeps its address,
# and goes on with both of them: the mirror is put together on the target before
# it boots, and what is changed there is on both. It boots from the second alone.
MACHINES=md
. "$(dirname "$0")/../move_lib.sh"

# A line every tenth of a second, each on stable storage before the next.
write_on() {
	cat >/root/write <<-'END'
		n=0
		while n=$((n + 1)); do
			echo "$n" | dd of=/root/lines conv=notrunc,fsync \
				oflag=append status=none
			echo "$n" >/run/lines
			sleep 0.1
		done
	END
	setsid -f bash /root/write >/dev/null 2>&1 </dev/null
}

has_lines() {
	[[ $(on old 'cat /run/lines 2>/dev/null || echo 0') -ge $1 ]]
}

rig_witness_start
rig_up md
boot=$(boot_of old)
mac=$(mac_of old)
rig_target new bios 2G 2G
up new
on old "$(declare -f write_on); write_on"
wait_for 120 has_lines 5

say "what would happen"
expect_exit 0 rehost_run move root@old root@new --name md -n
expect_out 'nothing stands in its way; nothing was written'

say "the move"
expect_exit 0 rehost_run move root@old root@new --name md --downtime 1200s \
	--probe tcp:22 --boot firmware
report_is md .live target
report_is md .proof.ok true
report_is md .tracker.losses 0
report_is md '[.fixups.warnings[]]' '[]'
report_is md '[.notes[]? | select(.name == "not-mounted")]' '[]'
say "offline: $(report_of md .downtime_ms.clients) ms"

say "the new machine has the mirror, whole"
wait_for 300 answers old
another=$(boot_of old)
[[ $another != "$boot" ]] || fail "the source still answers"
expect_same "$(rig_mac 16)" "$(mac_of old)" "the card of who answers"
expect_same /dev/md0 "$(on old 'findmnt -no SOURCE /')" "its root"
expect_same '[UU]' "$(on old 'grep -o "\[U*_*U*\]" /proc/mdstat')" "/proc/mdstat"
expect_same idle "$(on old cat /sys/block/md0/md/sync_action)" "what it does"
expect_same 'new-0 new-1' "$(on old 'for s in /sys/block/md0/slaves/*/../serial; do cat "$s"; echo; done | sort | xargs')" \
	"the disks of the mirror"
on old 'test ! -e /etc/rehost-migrating' || fail "it still says that it moves"

say "what was written until the cut is there, without a gap"
on old 'n=0; while read -r l; do n=$((n + 1)); [ "$l" = $n ] || exit 1; done </root/lines; [ $n -ge 5 ]' ||
	fail "lines are missing"
on old 'echo after >/root/after; sync'

say "it boots from its second disk alone"
rig_off new
rm "$dir/new.disk0"
rig_on new disk
wait_for 600 is_another_boot old "$another"
expect_same after "$(on old cat /root/after)" "what was written"
expect_same '[_U]' "$(on old 'grep -o "\[U*_*U*\]" /proc/mdstat')" "/proc/mdstat"
another=$(boot_of old)

say "back: the source has its mirror, and boots from it"
NO_F=1 expect_exit 0 rehost_run rollback md
wait_for 60 answers old
expect_same "$boot" "$(boot_of old)" "the boot of who answers"
expect_same '[UU]' "$(on old 'grep -o "\[U*_*U*\]" /proc/mdstat')" "/proc/mdstat"
on old 'echo back >/root/back && sync' || fail "the source cannot write"
rig_ask '{"execute":"system_reset"}' >/dev/null
wait_for 600 is_another_boot old "$boot"
expect_same back "$(on old cat /root/back)" "what was written"
expect_same '[UU]' "$(on old 'grep -o "\[U*_*U*\]" /proc/mdstat')" "/proc/mdstat"
rig_witness_check "$mac" "$(rig_mac 16)" "$mac"
