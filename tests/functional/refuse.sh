#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 600
#
# What rehost refuses, says why and on which host, and leaves as it was.
. "$(dirname "$0")/lib.sh"

sums() {
	digest_on old vdb
	digest_on new vdb
	digest_on new vdc
}

# Nothing on any disk has changed, nothing is left on any host, and no move is
# remembered.
untouched() {
	[[ $(sums) == "$was" ]] || fail "a disk was written: $*"
	[[ -z $(NO_F=1 rehost_run list) ]] || fail "a move is remembered"
	expect_clean old
	expect_clean new
}

# refused PATTERN COMMAND [FLAG or ARG...]: exit 1, says so.
refused() {
	local pattern=$1

	shift
	expect_exit 1 rehost_run "$@"
	expect_out "$pattern"
	untouched "$@"
}

# usage COMMAND...: exit 2 and a hint.
usage() {
	expect_exit 2 env XDG_STATE_HOME="$dir/state" "$REHOST" "$@"
	expect_out 'help'
}

loop=$(disk old vdb 32M)
disk old vdc 16M >/dev/null
disk new vdb 32M >/dev/null
disk new vdc 16M >/dev/null
mkfs_on old vdb ext4
on_sh new 'head -c 16M /dev/urandom >/dev/vdc'
was=$(sums)

say "usage"
usage
usage frobnicate
usage move
usage move old:/dev/vdb
usage move old:/dev/vdb new:/dev/vdb more
usage move --no-such-flag old:/dev/vdb new:/dev/vdb
usage move --bwlimit fast old:/dev/vdb new:/dev/vdb
usage move --bwlimit -5 old:/dev/vdb new:/dev/vdb
usage move --downtime soon old:/dev/vdb new:/dev/vdb
usage move --lanes 0 old:/dev/vdb new:/dev/vdb
usage move --lanes 1000 old:/dev/vdb new:/dev/vdb
usage move --lane-port 9-1 old:/dev/vdb new:/dev/vdb
usage move --lane-port 70000 old:/dev/vdb new:/dev/vdb
usage move --name ../x old:/dev/vdb new:/dev/vdb
usage move --name UPPER old:/dev/vdb new:/dev/vdb
usage move --name
usage move --via pigeon old:/dev/vdb new:/dev/vdb
usage move --freeze --fence unmounted old:/dev/vdb new:/dev/vdb
usage copy --freeze old:/dev/vdb new:/dev/vdb
usage copy --activate true old:/dev/vdb new:/dev/vdb
usage move old new:/dev/vdb
usage move old ./image
usage cutover a b
usage list a
usage status --bwlimit 1M
untouched usage
for f in --help --version; do
	expect_exit 0 "$REHOST" $f
done
expect_exit 0 "$REHOST" move --help
NO_F=1 refused 'no.* move' status
NO_F=1 refused 'nosuch' resume nosuch

say "hosts that cannot be trusted, reached or used"
sed 's,^UserKnownHostsFile .*,UserKnownHostsFile /dev/null,' \
	"$dir/ssh_config" >"$dir/no_keys"
NO_F=1 refused 'old: .*(host key|Host key)' copy -F "$dir/no_keys" \
	old:/dev/vdb new:/dev/vdb
refused 'nowhere' copy old:/dev/vdb nowhere.invalid:/dev/vdb
on_sh old 'useradd -m plain && mkdir -p /home/plain/.ssh &&
	cp /root/.ssh/authorized_keys /home/plain/.ssh/ &&
	chown -R plain /home/plain/.ssh && usermod -p "*" plain'
refused 'plain@old: .*root' copy plain@old:/dev/vdb new:/dev/vdb
on_sh new 'printf "#!/bin/sh\necho Linux aarch64\n" >/root/uname
	chmod 755 /root/uname; mount --bind /root/uname /usr/bin/uname'
refused 'new: .*(aarch64|x86)' copy old:/dev/vdb new:/dev/vdb
on new umount /usr/bin/uname
on_sh new 'for f in /dev/shm /run /tmp; do mount -o remount,noexec $f; done
	for f in /var/tmp /root; do mount -o remount,bind,noexec $f; done'
refused 'new: .*noexec' copy old:/dev/vdb new:/dev/vdb
on_sh new 'for f in /dev/shm /run /tmp; do mount -o remount,exec $f; done
	for f in /var/tmp /root; do mount -o remount,bind,exec $f; done'

say "places that are not there, or no volume"
refused 'old: .*/dev/nosuch.*No such file' copy old:/dev/nosuch new:/dev/vdb
refused 'new: .*/dev/nosuch.*No such file' copy old:/dev/vdb new:/dev/nosuch
refused 'new: .*/nosuch' copy old:/dev/vdb new:/root/nosuch/img
refused 'old: ' copy old:/dev/null new:/dev/vdb
refused 'new: ' copy old:/dev/vdb new:/dev/null
refused 'new: ' copy old:/dev/vdb new:/root/
expect_exit 1 on new test -e /root/nosuch

say "targets that are no good"
refused 'new: .*it has 16777216 bytes, the source 33554432' copy \
	old:/dev/vdb new:/dev/vdc
on_sh new 'mkfs.ext4 -q /dev/vdb; mkdir -p /data; mount -o ro /dev/vdb /data'
was=$(sums)
refused 'new: .*mounted on /data' copy old:/dev/vdb new:/dev/vdb
on new umount /data
was=$(sums)
refused 'new: .*not empty \(ext4\).*--overwrite uuid:' copy old:/dev/vdb \
	new:/dev/vdb
refused 'new: .*it is not size:1' copy --overwrite size:1 old:/dev/vdb \
	new:/dev/vdb
id=${out##* }
# shellcheck disable=SC2016 # Perl's
on_sh new 'perl -MFcntl -e '\''sysopen F, "/dev/vdb", O_RDWR | O_EXCL or die;
	open G, ">", "/run/held"; sleep 600'\'' </dev/null >/dev/null 2>&1 &
	echo $! >/run/holder'
wait_for 10 on new test -e /run/held
refused 'new: .*(perl .* has it open|exclusively|uses it)' copy --overwrite "$id" old:/dev/vdb \
	new:/dev/vdb
# shellcheck disable=SC2016 # for the host's shell
on_sh new 'kill $(cat /run/holder)'
on_sh new 'mkdir -p /small; mount -t tmpfs -o size=8M small /small'
refused 'new: .*33554432 bytes are needed' copy old:/dev/vdb new:/small/img
expect_exit 1 on new test -e /small/img
on_sh old 'ln -s vdb /dev/alias'
refused 'both are the same device' copy old:/dev/vdb old:/dev/vdb
refused 'both are the same device' copy old:/dev/vdb old:/dev/alias
refused 'both are the same device' copy old:/dev/vdb \
	"old:$(on_sh old 'for d in /dev/loop*; do
		[ "$(stat -c %t:%T $d)" != "$(stat -c %t:%T /dev/vdb)" ] ||
			echo $d
	done')"
on_sh old 'printf "Filename Type Size Used Priority\n%s\n" \
		"/dev/vdc partition 16380 0 -2" >/root/swaps
	mount --bind /root/swaps /proc/swaps'
refused 'old: .*swap' copy old:/dev/vdc new:/dev/vdb
refused 'old: .*swap' copy --overwrite size:16777216 new:/dev/vdc old:/dev/vdc
on old umount /proc/swaps

LAB_SECTOR_SIZE=4096 disk new vde 32M >/dev/null
refused 'new: .*logical blocks have 4096 bytes' copy old:/dev/vdb new:/dev/vde
# No zoned disk can be made here; the kernel's word for one can.
zoned() { # HOST LOOP
	on_sh "$1" 'echo host-managed >/root/zoned
		mount --bind /root/zoned "/sys/block/$1/queue/zoned"' "${2#/dev/}"
}
new_loop=$(disk new vdf 32M)
zoned new "$new_loop"
refused 'new: .*zoned' copy old:/dev/vdb new:/dev/vdf
on new umount "/sys/block/${new_loop#/dev/}/queue/zoned"

say "sources that cannot be moved"
zoned old "$loop"
refused 'old: .*zoned' copy old:/dev/vdb new:/dev/vdf
on old umount "/sys/block/${loop#/dev/}/queue/zoned"
disk old vde 320M >/dev/null
disk old vdf 128M >/dev/null
disk new vdg 320M >/dev/null
for with in '-l logdev=/dev/vdf' '-m reflink=0 -r rtdev=/dev/vdf'; do
	# shellcheck disable=SC2086 # several options
	mkfs_on old vde xfs $with
	refused 'old: .*journal, log or realtime' copy old:/dev/vde new:/dev/vdg
done
on_sh old 'mkfs.btrfs -q -f -d raid0 -m raid1 /dev/vde /dev/vdf >/dev/null'
refused 'old: .*one of several devices' copy old:/dev/vde new:/dev/vdg
mount_on old vde /x
refused 'old: .*one of several devices' copy old:/dev/vde new:/dev/vdg
refused 'old: .*one of several devices' move --freeze old:/dev/vdf new:/dev/vdg
on old umount /x
on_sh old 'mke2fs -q -F -O journal_dev /dev/vdc >/dev/null
	mkfs.ext4 -q -F -J device=/dev/vdc /dev/vdb >/dev/null'
was=$(sums)
refused 'old: .*journal' copy old:/dev/vdb new:/dev/vdb
# Nothing that the kernel writes later by itself.
mkfs_on old vdb ext4 -E lazy_itable_init=0,lazy_journal_init=0
mount_on old vdb /data
on_sh old 'echo x >/data/x; sync -f /data; fsfreeze -f /data
	fsfreeze -u /data; sleep 1; sync -f /data'
was=$(sums)
refused 'old: .*mounted on /data.*--quiesce' move old:/dev/vdb new:/dev/vdb
disk old vdd 48M >/dev/null
on_sh old 'printf "2048 40960 L\n43008 40960 L\n" |
	sed "s/\([0-9]*\) \([0-9]*\) L/start=\1, size=\2/" >/root/table
	sfdisk -q --no-reread /dev/vdd </root/table >/dev/null 2>&1 || :'
"$lab" part "$dir" old vdd 1 2048 40960 >/dev/null
"$lab" part "$dir" old vdd 2 43008 40960 >/dev/null
on_sh old 'mkfs.ext4 -q -F /dev/vdd1; mkfs.ext4 -q -F /dev/vdd2
	mkdir -p /one /two; mount /dev/vdd1 /one; mount /dev/vdd2 /two'
refused 'old: .*several of its partitions are mounted' move --freeze \
	old:/dev/vdd new:/dev/vdb
on old umount /one /two

say "nothing of rehost's own on what will be frozen"
on_sh old 'cat >/root/rehost; chmod 755 /root/rehost' <"$REHOST"
for where in 'XDG_STATE_HOME=/data /root/rehost move --freeze /dev/vdb /root/i' \
	'XDG_STATE_HOME=/root/s /root/rehost move --freeze /dev/vdb /root/i \
		>/data/log' \
	'XDG_STATE_HOME=/root/s /root/rehost move --freeze /dev/vdb /data/i'; do
	expect_exit 1 on_sh old "$where 2>&1"
	grep -q 'would be frozen' <<<"$out" ||
		on old grep -q 'would be frozen' /data/log || fail "$where"
	expect_exit 0 on_sh old '[ ! -e /root/i ] && [ ! -e /data/i ]'
	on_sh old 'rm -rf /data/rehost /data/log'
done
on_sh old 'sync -f /data'
was=$(sums)
untouched own

say "a second controller"
on_sh new 'blkdiscard -f /dev/vdb 2>/dev/null'
rehost_start move --name one --freeze --cutover wait old:/dev/vdb new:/dev/vdb
wait_for 30 rounds_are one 1
was=$(sums)
expect_exit 1 rehost_run move --name one --freeze old:/dev/vdb new:/dev/vdc
expect_exit 1 rehost_run move --name two --freeze --overwrite size:33554432 \
	old:/dev/vdb new:/dev/vdb
expect_out 'new: '
NO_F=1 expect_exit 1 rehost_run resume one
NO_F=1 expect_exit 1 rehost_run confirm one
NO_F=1 expect_exit 1 rehost_run rollback one
kill -0 "$rehost_pid"
NO_F=1 expect_exit 0 rehost_run abort one
rehost_wait 30 1
expect_clean old one

say "where writes cannot be counted it compares, and says so"
on_sh old 'echo 0 >"/sys/block/$1/queue/iostats"' "${loop#/dev/}"
expect_exit 1 rehost_run copy --name slow old:/dev/vdb new:/dev/vdb
id=${out##* }
[[ $id == *:* ]] || id=none
expect_exit 0 rehost_run move --name untracked --freeze --downtime 30s \
	--overwrite "$id" old:/dev/vdb new:/dev/vdb
expect_out 'changes are found by comparing all used blocks: '
report_is untracked .tracker.kind none
report_is untracked .proof.ok true
want=$(manifest_on old /data)
fsck_on new vdb ext4
mount_on new vdb /data -o ro
expect_same "$want" "$(manifest_on new /data)"
on new umount /data
NO_F=1 expect_exit 0 rehost_run confirm untracked
on_sh old 'echo 1 >"/sys/block/$1/queue/iostats"' "${loop#/dev/}"
expect_clean old

say "without tracefs it compares, also when the hook unmounts"
on new blkdiscard -f /dev/vdb 2>/dev/null
want=$(manifest_on old /data)
expect_exit 0 env REHOST_TEST_NO_TRACKER=1 XDG_STATE_HOME="$dir/state" \
	"$REHOST" move -F "$dir/ssh_config" --name blind --downtime 30s \
	--quiesce 'umount /data' old:/dev/vdb new:/dev/vdb
report_is blind .tracker.kind none
report_is blind .fence.kind unmounted
report_is blind .proof.ok true
fsck_on new vdb ext4
mount_on new vdb /data -o ro
expect_same "$want" "$(manifest_on new /data)"
on new umount /data
NO_F=1 expect_exit 0 rehost_run confirm blind
expect_clean old
