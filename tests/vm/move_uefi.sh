#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 1800
#
# A machine with UEFI moves and gets another address there, from a server: an EFI
# system partition, which cannot freeze; GPT with both of its tables; a swap file;
# systemd-networkd. The target's disk is larger, and the root gets the room. It is
# started by kexec, and later by its firmware. Then the source is switched off by
# confirm.
MACHINES=uefi
. "$(dirname "$0")/move_lib.sh"

moved_answers() {
	timeout -k 1 20 ssh -F "$dir/ssh_config" -o ConnectTimeout=15 \
		-o HostName=192.0.2.16 old true </dev/null
}

rig_addresses=dhcp
rig_up uefi
boot=$(boot_of old)
rig_target new uefi 3G
up new
traces on old >"$dir/before"

say "a writer, of which it is known what it was told of"
timeout 60 ssh -F "$dir/ssh_config" old 'cat >/root/writer' <<'END'
#!/bin/sh
i=0
while :; do
	i=$((i + 1))
	echo $i >>/root/log
	sync /root/log
	echo $i >/dev/shm/told
	sleep 0.1
done
END
on old 'chmod +x /root/writer; setsid /root/writer >/dev/null 2>&1 </dev/null &'
# Who is told hears it by a login of before the cut, and no more from then on.
timeout 1500 ssh -F "$dir/ssh_config" old \
	'while sleep 0.3; do read -r n </dev/shm/told && echo "$n"; done' \
	>"$dir/told" 2>"$dir/log/told" </dev/null &
background+=("$!")
wait_for 60 test -s "$dir/told"

say "the plan, by which the root grows"
expect_exit 0 rehost_run plan root@old root@new -o "$dir/plan"
expect_exit 0 grep -F 'It is larger: grow: / gives that to the filesystem there.' \
	"$dir/plan"
sed -i 's|grow: ~|grow: /|' "$dir/plan"

say "the move"
expect_exit 0 rehost_run move --plan "$dir/plan" --name boot --downtime 60s \
	--probe tcp:22 --boot kexec
report_is boot .live target
report_is boot .machine.boots_by kexec
report_is boot .machine.address 192.0.2.16
say "offline: $(report_of boot .downtime_ms)"

say "it runs, and has all that was written"
wait_for 300 moved_answers
another=$(on_moved cat /proc/sys/kernel/random/boot_id)
[[ $another != "$boot" ]] || fail "the source answers there"
expect_same uefi "$(on_moved hostname)" "its name"
last=$(tail -n 1 "$dir/told")
((last > 20)) || fail "only $last were told of"
lines=$(on_moved 'wc -l </root/log')
((lines >= last)) || fail "$lines lines, and $last were told of"
expect_same "$lines" "$(on_moved 'tail -n 1 /root/log')" "the last line"
on_moved 'test -e /boot/efi/EFI/BOOT/BOOTX64.EFI' ||
	fail "no loader where a new machine's firmware looks"
on_moved 'ls /sys/firmware/efi >/dev/null' || fail "no UEFI"
expect_same /swapfile "$(on_moved 'tail -n 1 /proc/swaps | cut -d" " -f1')" swap
# Both tables, the second one at the end of the disk.
on_moved 'sfdisk --verify /dev/vda' >"$dir/verify" 2>&1 || fail "$(<"$dir/verify")"
if grep -i 'corrupt\|mismatch\|end of the' "$dir/verify"; then
	fail "the partition table is not right"
fi
report_is boot '.grown[] | "\(.disk) \(.partition) \(.copy_moved) \(.mount)"' \
	'/dev/vda 2 true /'

say "its root has grown"
end_of_first_boot() {
	timeout -k 1 20 ssh -F "$dir/ssh_config" -o ConnectTimeout=15 \
		-o HostName=192.0.2.16 old test ! -e /etc/rehost-migrating </dev/null
}
wait_for 300 end_of_first_boot
expect_same "rehost: / has grown" "$(on_moved tail -n 1 /var/lib/rehost/grown)" "it says"
size=$(on_moved blockdev --getsize64 /dev/vda2)
((size > 3000 << 20)) || fail "its partition has $size bytes"
expect_same $((size / 4096)) "$(on_moved dumpe2fs -h /dev/vda2 2>/dev/null |
	awk '/^Block count:/ { print $3 }')" "blocks of its filesystem"
on_moved 'test ! -e /etc/rehost-grow' || fail "the script is there still"

say "nothing of the move is left in it"
# The writer is of the source, the loader's place is another firmware's, the disk has
# grown, and sizes and numbers of mounts are the kernel's own.
alike() {
	sed -E '/^= boots/,$d; /^writer$/d; /^\/dev\/shm\/told$/d
		s/,mb_optimize_scan=0//
		s/^([^ ]+ (devtmpfs|tmpfs|autofs)) .*/\1/' "$1"
}
is_alike() {
	traces on_moved >"$dir/after"
	diff <(alike "$dir/before") <(alike "$dir/after") >"$dir/traces" ||
		fail "it is not as the source was: $(<"$dir/traces")"
}
is_alike

say "it boots by its firmware, too"
on_moved 'systemctl reboot' || :
booted_again() {
	local now

	now=$(timeout -k 1 20 ssh -F "$dir/ssh_config" -o ConnectTimeout=15 \
		-o HostName=192.0.2.16 old \
		cat /proc/sys/kernel/random/boot_id </dev/null) &&
		[[ $now != "$another" ]]
}
wait_for 600 booted_again

say "confirm switches the source off"
pid=$(<"$dir/m/uefi/pid")
NO_F=1 expect_exit 0 rehost_run confirm boot
expect_out 'boot: confirmed'
wait_for 60 not_running "$pid"
on_moved 'systemctl is-system-running --wait >/dev/null' || :
is_alike
