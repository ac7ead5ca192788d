#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The lab itself: what the other tests take for granted.
. "$(dirname "$0")/lib.sh"

# ---- two hosts

for h in old new; do
	for via in "$h" "${h}6"; do
		say "ssh to $via"
		expect_exit 0 timeout 20 ssh -F "$dir/ssh_config" "$via" \
			'hostname; echo "${SSH_CONNECTION%% *}"; tty || :'
		expect_out "^$h\$"
		[[ $via != *6 ]] || expect_out "^$LAB_NET6::1\$"
	done
done

say "an unknown host key is refused"
cp "$dir/ssh_config" "$dir/no_keys"
sed -i 's,^UserKnownHostsFile .*,UserKnownHostsFile /dev/null,' "$dir/no_keys"
expect_exit 255 timeout 20 ssh -F "$dir/no_keys" old true
expect_out 'verification failed'

say "hosts look like different machines"
id_file=/proc/sys/kernel/random/boot_id
ids=$({
	cat $id_file
	on old cat $id_file
	on new cat $id_file
} | sort -u)
[[ $(wc -l <<<"$ids") == 3 ]] || fail "boot ids: $ids"
[[ $(on old cat /etc/machine-id) != $(on new cat /etc/machine-id) ]] ||
	fail "the same machine-id"

say "hosts share neither processes nor files"
on_sh old 'echo here >/etc/only-old; echo here >/tmp/only-old
	echo here >/var/tmp/only-old; echo here >/root/only-old'
for f in /etc /tmp /var/tmp /root; do
	[[ ! -e $f/only-old ]] || fail "$f of the machine was written"
	expect_exit 1 on new test -e "$f/only-old"
done
expect_exit 0 on old ps -e -o pid=
(($(wc -l <<<"$out") < 12)) || fail "processes of others: $out"
expect_exit 1 on old test -e "$dir/ssh_config"
expect_exit 3 on old sh -c 'exit 3'

# ---- disks

say "disks are where they should be"
loop=$(disk old vdb 200M)
on old test -b /dev/vdb
expect_exit 1 on new test -e /dev/vdb
[[ ! -e /dev/vdb ]] || fail "/dev/vdb on the machine itself"
[[ $(on old blockdev --getsize64 /dev/vdb) == $((200 << 20)) ]] ||
	fail "size of the disk"
[[ $(on old stat -c %Hr:%Lr /dev/vdb) == $(<"/sys/block/${loop#/dev/}/dev") ]] ||
	fail "the node is another device"
expect_exit 1 disk old vdb 10M

say "a disk with sectors of 4096 bytes"
LAB_SECTOR_SIZE=4096 disk new vdz 50M >/dev/null
[[ $(on new blockdev --getss /dev/vdz) == 4096 ]] || fail "sector size"

say "a disk on a given file, with partitions"
truncate -s 100M "$dir/given"
disk new vdc 100M "$dir/given" >/dev/null
[[ $("$lab" part "$dir" new vdc 1 2048 100000) == /dev/vdc1 ]] ||
	fail "name of the partition"
[[ $("$lab" part "$dir" new vdc 2 104448 20480) == /dev/vdc2 ]] ||
	fail "name of the partition"
[[ $(on new blockdev --getsize64 /dev/vdc2) == $((20480 * 512)) ]] ||
	fail "size of the partition"
on_sh new 'echo mark | dd of=/dev/vdc2 conv=sync status=none'
sync "$dir/given"
[[ $(dd if="$dir/given" bs=512 skip=104448 count=1 status=none |
	head -c 4) == mark ]] || fail "the partition is elsewhere"

for fs in ext4 xfs btrfs; do
	say "writers on $fs, through a freeze; the same content elsewhere"
	disk old "$fs" 400M >/dev/null
	mkfs_on old "$fs" "$fs"
	mount_on old "$fs" /mnt
	writers_start old /mnt
	sleep 1
	on old fsfreeze -f /mnt
	sleep 0.3
	on old fsfreeze -u /mnt
	sleep 0.3
	writers_check
	writers_stop
	on old mkdir /mnt2
	on old cp -a /mnt/. /mnt2
	expect_same "$(manifest_on old /mnt)" "$(manifest_on old /mnt2)"
	on_sh old 'touch -d @1 /mnt2/w-files'
	[[ $(manifest_on old /mnt) != "$(manifest_on old /mnt2)" ]] ||
		fail "the manifest does not see a changed time"
	on old rm -rf /mnt2
	on old umount /mnt
	fsck_on old "$fs" "$fs"
done

# ---- links

reaches() {
	on "$1" ping -n -q -c 1 -W 1 "$2" >/dev/null 2>&1
}

banner() {
	timeout 2 bash -c "read -r l </dev/tcp/$1/22 && [[ \$l == SSH-* ]]" \
		2>/dev/null
}

say "cut between hosts leaves the controller's way"
reaches old new
reaches new "$LAB_ADDR6_old"
"$lab" cut "$dir" old new
expect_exit 1 reaches old "$LAB_ADDR4_new"
expect_exit 1 reaches new "$LAB_ADDR4_old"
expect_exit 1 reaches old "$LAB_ADDR6_new"
expect_exit 1 reaches new "$LAB_ADDR6_old"
banner "$LAB_ADDR4_old"
banner "$LAB_ADDR4_new"
"$lab" heal "$dir"
reaches old new

say "cut from the controller leaves the hosts' way"
"$lab" cut "$dir" controller old
expect_exit 124 banner "$LAB_ADDR4_old"
banner "$LAB_ADDR4_new"
reaches new old
"$lab" heal "$dir"
banner "$LAB_ADDR4_old"

not_running() {
	! kill -0 "$1"
}

say "cut-ssh ends connections at once, new ones work"
ssh -F "$dir/ssh_config" old6 'echo up; sleep 60' >"$dir/ssh.out" 2>&1 &
background+=($!)
wait_for 10 grep -q up "$dir/ssh.out"
"$lab" cut-ssh "$dir" old
wait_for 5 not_running "${background[0]}"
expect_exit 0 ssh -F "$dir/ssh_config" old6 true

rtt() {
	on "$1" ping -n -q -i 0.1 -c 5 "$2" | sed -n 's,.*= \([0-9]*\).*,\1,p'
}

say "a slow link: 30 ms each way"
"$lab" wan "$dir" old new 30 100
for way in "old $LAB_ADDR4_new" "new $LAB_ADDR4_old" "old $LAB_ADDR6_new" \
	"new $LAB_ADDR6_old"; do
	# shellcheck disable=SC2086 # host, address
	ms=$(rtt $way)
	((ms >= 60 && ms < 1000)) || fail "round trip of $ms ms: $way"
done

say "a slow link: 20 Mbit/s"
on new rm -f /tmp/got
on new socat -u TCP-LISTEN:7000,reuseaddr CREATE:/tmp/got &
background+=($!)
wait_for 5 on_sh new 'ss -Hltn "sport = 7000" | grep -q .'
start=${EPOCHREALTIME/./}
on_sh old "head -c 2500000 /dev/zero | socat -u - TCP:new:7000"
wait "${background[1]}"
took=$(((${EPOCHREALTIME/./} - start) / 1000))
[[ $(on new stat -c %s /tmp/got) == 2500000 ]] || fail "bytes were lost"
# 200 ms at 100 Mbit/s is the floor; the link can only be slower.
((took >= 200)) || fail "20 Mbit took $took ms"

say "cut also cuts the slow link; a link that loses all; the fast one again"
"$lab" cut "$dir" old new
expect_exit 1 reaches old "$LAB_ADDR4_new"
"$lab" heal "$dir"
reaches old "$LAB_ADDR4_new"
"$lab" wan "$dir" old new 1 100 1000
expect_exit 1 reaches old "$LAB_ADDR4_new"
"$lab" wan "$dir" old new off
wait_for 5 reaches old "$LAB_ADDR4_new"

# ---- reboot

say "reboot of a host with a frozen filesystem and a slow link"
mkfs_on old vdb ext4
mount_on old vdb /mnt
on_sh old 'echo kept >/mnt/kept; sync -f /mnt'
"$lab" wan "$dir" old new 20 0
writers_start old /mnt direct files
on old fsfreeze -f /mnt
before=$(on old cat $id_file)
timeout 60 "$lab" reboot "$dir" old
[[ $(on old cat $id_file) != "$before" ]] || fail "the same boot id"
expect_exit 1 on old pgrep fio
expect_exit 1 on old test -e /tmp/only-old
on old test -e /etc/only-old
expect_exit 1 on old findmnt /mnt
mount_on old vdb /mnt
[[ $(on old cat /mnt/kept) == kept ]] || fail "content of the disk"
(($(rtt old "$LAB_ADDR4_new") >= 40)) || fail "the slow link is gone"
expect_exit 0 timeout 20 ssh -F "$dir/ssh_config" old true

# ---- the end

snapshot() {
	losetup -n -O NAME,BACK-FILE
	ip netns
	findmnt -rn -o TARGET
	ip -o link | cut -d : -f 2
	nft list tables
	grep -lsz "^REHOST_LAB=" /proc/[0-9]*/environ
	ls /run/rehost-lab
	unshare -m /bin/sh -c 'mount -t tracefs t /mnt && ls /mnt/instances'
} 2>/dev/null

# What others do at the same time is none of this test's business.
mine() {
	snapshot | grep -E "$1" || true
}

make_worst() {
	on old fsfreeze -f /mnt
	on old umount -l /mnt
	on_sh old 'i=/sys/kernel/tracing/instances/rehost-$1
		mkdir $i
		set -- $(stat -c "%Hr %Lr" /dev/vdb)
		echo "dev == $(($1 << 20 | $2))" \
			>$i/events/block/block_rq_complete/filter
		echo $i' "$LAB_ID"
}

say "down leaves nothing, even of an unmounted frozen filesystem"
instance=$(make_worst)
"$lab" wan "$dir" old new 5 0
"$lab" cut "$dir" controller new
others="${dir##*/}|$LAB_ID|${instance##*/}"
[[ $(mine "$others" | wc -l) -ge 10 ]] || fail "the lab is not seen at all"
timeout 90 "$lab" down "$dir"
left=$(mine "$others")
[[ -z $left ]] || fail "left behind: $left"
for f in /proc/[0-9]*/environ; do
	! grep -qsz "^REHOST_LAB=$LAB_ID\$" "$f" || fail "left behind: $f"
done
[[ $(ls "$dir/log") ]] || fail "no logs"
[[ ! -e $dir/env && ! -e $dir/hosts && ! -e $dir/rw ]] || fail "files remain"
timeout 20 "$lab" down "$dir"

half=$dir/half
half_id="$half|rh$(sha256sum <<<"$half" | cut -c 1-8)"
say "down after a killed up"
for seconds in 0.05 0.15 0.25 0.35; do
	timeout -s KILL $seconds "$lab" up "$half" &>/dev/null || :
	timeout 60 "$lab" down "$half"
	[[ -z $(mine "$half_id") ]] || fail "left: $(mine "$half_id")"
done

say "sweep takes only labs whose creator is gone"
bash -c '"$1" up "$2" one && "$1" disk "$2" one vdb 10M' sh "$lab" "$half" \
	>/dev/null
LAB_OWNER=$$ "$lab" up "$dir/other" one
timeout 60 "$lab" sweep
[[ -e $dir/other/env && ! -e $half/env ]] || fail "swept the wrong one"
[[ -z $(mine "$half_id") ]] || fail "left: $(mine "$half_id")"
"$lab" down "$dir/other"
