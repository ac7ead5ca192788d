#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 600
#
# What breaks off goes on where it was: pauses, kills, cut connections, full
# disks, reboots. All contents are random, so what is sent again shows.
. "$(dirname "$0")/lib.sh"

mib=$((1 << 20))

# fresh [FLAG...]: a mounted source with 100 MiB of noise; an empty target.
fresh() {
	on_sh old '! mountpoint -q /data || umount /data'
	on_sh new 'blkdiscard -f /dev/vdb 2>/dev/null'
	on_sh old 'dd if=/dev/urandom of=/dev/vdb bs=1M count=4 status=none'
	mkfs_on old vdb ext4
	mount_on old vdb /data
	populate old /data 100
}

sent_is() { # NAME LEAST: for wait_for, while it runs
	(($(NO_F=1 rehost_run status --format json "$1" |
		jq .progress.done) >= $2))
}

# expect_sent NAME LOW HIGH, in MiB
expect_sent() {
	local n

	# What an agent sent after its last word, five times a second, died
	# with it: at 16 MiB/s these are some 4.
	n=$(report_of "$1" .bytes.sent)
	((n >= $2 * mib && n <= $3 * mib)) ||
		fail "$1 sent $((n / mib)) MiB, not $2 to $3"
}

# finish_move NAME: cuts over, compares, and leaves both hosts as before.
finish_move() {
	local want

	report_is "$1" .state "done"
	report_is "$1" .live target
	report_is "$1" .proof.ok true
	want=$(manifest_on old /data)
	fsck_on new vdb ext4
	mount_on new vdb /data -o ro
	expect_same "$want" "$(manifest_on new /data)" "the copy"
	on new umount /data
	NO_F=1 expect_exit 0 rehost_run confirm "$1"
	expect_clean old "$1"
	expect_clean new
}

# start NAME [FLAG...]: slow enough to be in the seed for some seconds.
start() {
	rehost_start move --name "$1" --freeze --downtime 30s --bwlimit 16M \
		--cutover wait \
		"${@:2}" old:/dev/vdb new:/dev/vdb
	wait_for 60 sent_is "$1" $((72 * mib))
}

resume() {
	NO_F=1 expect_exit 0 rehost_run resume --cutover auto "$@"
}

disk old vdb 200M >/dev/null
disk new vdb 200M >/dev/null

say "pause and resume"
fresh
start pause
NO_F=1 expect_exit 1 rehost_run resume pause
expect_out 'another process|controls'
NO_F=1 expect_exit 0 rehost_run pause pause
rehost_wait 30 4
status_is pause '.live + .state' sourcepaused || fail "status"
is_writable old /data || fail "the source does not live"
expect_exit 2 on new blkid -p /dev/vdb
on_sh old 'echo written meanwhile >/data/more; sync -f /data'
resume pause --bwlimit 1G
expect_sent pause 95 140
report_is pause .tracker.compares 0
finish_move pause

say "^C pauses, too; a hang-up does not"
fresh
start signals
kill -s HUP "$rehost_pid"
wait_for 30 sent_is signals $((80 * mib))
kill -s INT "$rehost_pid"
rehost_wait 30 4
resume signals --bwlimit 1G
expect_sent signals 95 140
finish_move signals

say "kill -9 of the controller during the seed"
fresh
start killed
kill -s KILL "$rehost_pid"
rehost_wait 10 137
status_is killed '.live + .state' sourcepaused || fail "status"
resume killed --bwlimit 1G
# Only what this process sent is known.
expect_sent killed 10 90
report_is killed .tracker.compares 0
finish_move killed

say "ssh connections that are reset"
fresh
start reset
"$lab" cut-ssh "$dir" old
rehost_wait 60 4
expect_out 'rehost resume reset'
"$lab" cut-ssh "$dir" new
resume reset --bwlimit 1G
expect_sent reset 95 150
finish_move reset

say "a network that is gone for a while"
fresh
start cut --cutover auto
"$lab" cut "$dir" old new
# The lanes break; through the controller it goes on.
rehost_wait 150 0
expect_out 'lanes broke'
report_is cut .lanes.path relay
expect_sent cut 95 160
"$lab" heal "$dir"
finish_move cut

say "a target that is full, and has room again"
on_sh old 'umount /data; truncate -s 0 /root/img; truncate -s 80M /root/img
	head -c 60M /dev/urandom | dd of=/root/img conv=notrunc status=none'
on_sh new 'mkdir -p /small; mount -t tmpfs -o size=100M small /small'
rehost_start copy --name full --bwlimit 6M old:/root/img new:/small/img
wait_for 30 sent_is full $((20 * mib))
on_sh new 'head -c 80M /dev/zero >/small/other 2>/dev/null || :'
rehost_wait 60 4
expect_out 'new: cannot .*: No space left on device'
on new rm /small/other
resume full --bwlimit 1G
expect_same "$(on old sha256sum </dev/null /root/img | cut -c 1-64)" \
	"$(on new sha256sum /small/img | cut -c 1-64)"
expect_sent full 60 130
expect_clean old full
expect_clean new
on_sh new 'rm /small/img; umount /small'

say "the source's host reboots: what the target has is found by comparison"
fresh
start rebooted
"$lab" reboot "$dir" old
rehost_wait 60 4
mount_on old vdb /data
on_sh old 'echo after the boot >/data/more; sync -f /data'
resume rebooted --bwlimit 1G
# What the old agent sent after its last report died with it: the target has it.
expect_sent rebooted 90 140
(($(report_of rebooted .tracker.compares) > 0)) || fail "nothing was compared"
finish_move rebooted

say "the target's host reboots"
fresh
start target
"$lab" reboot "$dir" new
rehost_wait 60 4
expect_exit 2 on new blkid -p /dev/vdb
resume target --bwlimit 1G
expect_sent target 95 140
finish_move target

say "abort gives everything up and leaves nothing"
fresh
start aborted
NO_F=1 expect_exit 0 rehost_run abort aborted
rehost_wait 30 1
status_is aborted '.live + .state' sourcerolled-back || fail "status"
expect_clean old aborted
expect_clean new
expect_exit 2 on new blkid -p /dev/vdb
is_writable old /data || fail "the source does not live"
NO_F=1 expect_exit 1 rehost_run resume aborted

# An agent that saw nothing of the cut has to end it.
say "controller killed in the cut, then the keeper while it gives back"
fresh
hook='echo on >/run/hook; until [ -e /run/gate ]; do sleep 0.05; done
	echo back >>/run/hooks'
REHOST_TEST_KILL=quiesce.after:controller expect_exit 137 rehost_run move \
	--name giving --freeze --quiesce 'echo stop >>/run/hooks' \
	--rollback "$hook" old:/dev/vdb new:/dev/vdb
wait_for 10 on old test -s /run/hook
NO_F=1 rehost_start resume giving
wait_for 20 on_sh old 'grep -q " 03 .*@rehost/" /proc/net/unix'
on_sh old 'pkill -KILL -x rehost-keeper; touch /run/gate'
rehost_wait 60 0
expect_out 'the keeper was killed'
[[ $(on old cat /run/hooks) == $'stop\nback\nstop' ]] ||
	fail "the hooks ran otherwise: $(on old cat /run/hooks)"
finish_move giving
