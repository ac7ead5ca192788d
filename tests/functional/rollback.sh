#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 600
#
# The ways back, before and after commit, when all goes well and when hooks
# fail or hang; and that confirm and rollback leave nothing behind.
. "$(dirname "$0")/lib.sh"

fresh() {
	on_sh new '! mountpoint -q /data || umount /data
		blkdiscard -f /dev/vdb 2>/dev/null
		rm -f /root/ok /root/log'
	on_sh old '! mountpoint -q /data || umount /data
		rm -f /root/ok /root/log'
	mkfs_on old vdb ext4
	mount_on old vdb /data
	populate old /data 4
}

# Everything that a host has to show; not what its kernel does by itself.
inventory() {
	# shellcheck disable=SC2016 # for the host's shell
	on_sh "$1" '
		ps -e -o args= | grep -v "^\(ps\|/bin/sh -euc\|sort\|grep\)\( \|$\)" | sort
		grep -v " /data " /proc/mounts
		cat /proc/net/unix | sed "s/^[^ ]* //; s/ [0-9]* / /g" |
			awk "{print \$NF}" | sort
		find /dev /run /tmp /var/tmp /var/lib /root /etc -xdev \
			! -path "/run/probe.*" ! -path /root/log | sort'
}

instances() {
	# Those of this lab's moves are named by expect_clean.
	on_sh old 'ls /sys/kernel/tracing/instances' | grep -cv ^rehost- || :
}

# A move that ends in commit: its name, and flags.
committed() {
	expect_exit 0 rehost_run move --name "$1" --downtime 30s "${@:2}" \
		--activate 'mkdir -p /data; mount /dev/vdb /data' \
		--deactivate '[ ! -e /root/stay ] && umount /data' \
		--rollback 'echo back >>/root/log' \
		old:/dev/vdb new:/dev/vdb
	status_is "$1" '.live + .state' targetdone || fail "not done"
}

back_again() { # NAME MANIFEST
	status_is "$1" '.live + .state' sourcerolled-back || fail "status"
	[[ $(on old cat /root/log) == back ]] || fail "the rollback hook"
	on_sh old 'mountpoint -q /data || mount /dev/vdb /data'
	expect_same "$2" "$(manifest_on old /data)" "the source"
	is_writable old /data/lost+found || fail "the source is not writable"
	expect_clean old "$1"
	expect_clean new
}

disk old vdb 64M >/dev/null
disk new vdb 64M >/dev/null

say "fence freeze: rollback stops the target and thaws"
fresh
want=$(manifest_on old /data)
committed freeze --freeze --fence freeze
expect_exit 1 is_writable old /data/lost+found
on_sh new 'echo lost >/data/lost; sync -f /data'
NO_F=1 expect_exit 0 rehost_run rollback freeze
expect_out 'target wrote [1-9][0-9]* bytes'
expect_exit 0 on_sh new '! mountpoint -q /data'
wait_for 10 on_sh old '! [ -e /data/lost+found/.probe ]'
back_again freeze "$want"
NO_F=1 expect_exit 1 rehost_run rollback freeze
NO_F=1 expect_exit 1 rehost_run confirm freeze

say "fence unmounted"
fresh
want=$(manifest_on old /data)
committed unmounted --quiesce 'umount /data' --fence unmounted
report_is unmounted .fence.kind unmounted
expect_exit 32 on old mount /dev/vdb /data
NO_F=1 expect_exit 0 rehost_run rollback unmounted
back_again unmounted "$want"

say "fence signature: survives a reboot of the source"
fresh
want=$(manifest_on old /data)
committed signature --quiesce 'umount /data' --fence signature
report_is signature .fence.survives_reboot true
expect_exit 2 on old blkid -p /dev/vdb
on new test -s /var/lib/rehost/signature.signatures
"$lab" reboot "$dir" old
expect_exit 2 on old blkid -p /dev/vdb
expect_exit 32 on old mount /dev/vdb /data
NO_F=1 expect_exit 0 rehost_run rollback signature
fsck_on old vdb ext4
back_again signature "$want"

say "fence signature on a frozen volume, confirmed"
fresh
committed frozen --freeze --fence signature
NO_F=1 expect_exit 0 rehost_run confirm frozen
expect_clean old frozen
expect_clean new
expect_exit 2 on old blkid -p /dev/vdb

say "confirm leaves nothing behind"
fresh
was_old=$(inventory old)
was_new=$(inventory new)
was=$(instances)
committed confirmed --freeze
on new umount /data
NO_F=1 expect_exit 0 rehost_run confirm confirmed
status_is confirmed '.live + .state' targetconfirmed || fail "status"
expect_clean old confirmed
expect_clean new
wait_for 10 is_writable old /data/lost+found
expect_same "$was_old" "$(inventory old)" "old"
expect_same "$was_new" "$(inventory new)" "new"
[[ $(instances) == "$was" ]] || fail "a trace instance remains"
NO_F=1 expect_exit 1 rehost_run rollback confirmed

say "deactivate fails: exit 5, the source stays fenced; later it works"
fresh
want=$(manifest_on old /data)
committed stays --freeze
on new touch /root/stay
NO_F=1 expect_exit 5 rehost_run rollback stays
expect_out 'deactivate hook 1'
status_is stays .live none || fail "status"
expect_exit 1 is_writable old /data/lost+found
expect_exit 1 on old test -e /root/log
on new rm /root/stay
NO_F=1 expect_exit 0 rehost_run rollback stays
wait_for 10 on_sh old '! [ -e /data/lost+found/.probe ]'
back_again stays "$want"

say "activate fails half-way: the target is stopped, the source lives"
fresh
want=$(manifest_on old /data)
expect_exit 1 rehost_run move --name half --freeze --downtime 30s \
	--activate 'mkdir -p /data; mount /dev/vdb /data; echo oh no; exit 3' \
	--deactivate 'umount /data; echo down >>/root/log' \
	--rollback 'echo back >>/root/log' old:/dev/vdb new:/dev/vdb
expect_out 'oh no'
[[ $(on new cat /root/log) == down ]] || fail "the deactivate hook"
expect_exit 0 on_sh new '! mountpoint -q /data'
back_again half "$want"

say "and cannot be stopped: exit 5, nothing lives; then by hand"
fresh
want=$(manifest_on old /data)
expect_exit 5 rehost_run move --name stuck --freeze --downtime 30s \
	--activate 'mkdir -p /data; mount /dev/vdb /data; exit 3' \
	--rollback 'echo back >>/root/log' old:/dev/vdb new:/dev/vdb
expect_out 'the source stays fenced'
status_is stuck .live none || fail "status"
expect_exit 1 is_writable old /data/lost+found
on new umount /data
NO_F=1 expect_exit 0 rehost_run rollback stuck
wait_for 10 on_sh old '! [ -e /data/lost+found/.probe ]'
back_again stuck "$want"

say "the quiesce hook fails: its output is told, the source runs on"
fresh
want=$(manifest_on old /data)
expect_exit 1 rehost_run move --name refused --downtime 30s \
	--quiesce 'echo I will not; exit 9' --rollback 'echo back >>/root/log' \
	old:/dev/vdb new:/dev/vdb
expect_out 'old: cannot run quiesce hook 1: .*: I will not'
status_is refused .live source || fail "status"
[[ $(on old cat /root/log) == back ]] || fail "the rollback hook"
is_writable old /data/lost+found || fail "the source is not writable"
expect_exit 2 on new blkid -p /dev/vdb
NO_F=1 rehost_run abort refused >/dev/null 2>&1 || :
expect_clean old refused

say "hooks that hang are ended, with all that they started"
fresh
expect_exit 1 rehost_run move --name hangs --downtime 30s --hook-timeout 1s \
	--quiesce 'sleep 4711 & sleep 4711' \
	--rollback 'echo back >>/root/log; sleep 4712 & sleep 4712' \
	old:/dev/vdb new:/dev/vdb
expect_out 'quiesce hook 1'
status_is hangs .live source || fail "status"
[[ $(on old cat /root/log) == back ]] || fail "the rollback hook"
is_writable old /data/lost+found || fail "the source is not writable"
expect_exit 1 on old pgrep -f 'sleep 471[12]'
NO_F=1 rehost_run abort hangs >/dev/null 2>&1 || :
expect_clean old hangs

say "the controller dies with a proved replica: nobody takes it for one"
fresh
expect_exit 137 env REHOST_TEST_KILL=verify.after:controller \
	XDG_STATE_HOME="$dir/state" "$REHOST" move -F "$dir/ssh_config" \
	--name whole --freeze --downtime 30s old:/dev/vdb new:/dev/vdb
wait_for 20 is_writable old /data/lost+found
expect_exit 2 on new blkid -p /dev/vdb
NO_F=1 expect_exit 0 rehost_run abort whole
expect_exit 2 on new blkid -p /dev/vdb
expect_clean old whole
expect_clean new
NO_F=1 expect_exit 1 rehost_run abort whole
expect_out 'it is rolled-back'

say "a move that waits does not freeze what nobody said it may"
fresh
rehost_start move --name unsaid --cutover wait --downtime 30s \
	old:/dev/vdb new:/dev/vdb
wait_for 30 status_is unsaid .progress.phase follow
NO_F=1 expect_exit 0 rehost_run cutover --format json unsaid
rehost_wait 60 1
expect_out 'nothing says how its writers stop'
wait_for 20 is_writable old /data/lost+found
NO_F=1 expect_exit 0 rehost_run resume --freeze --cutover auto unsaid
report_is unsaid .fence.kind freeze
NO_F=1 expect_exit 0 rehost_run confirm unsaid
expect_clean old unsaid

say "a cutover that would take longer than the budget waits, and says so"
fresh
rehost_start move --name tight --freeze --cutover wait --downtime 1ms \
	--activate 'touch /run/active' old:/dev/vdb new:/dev/vdb
wait_for 30 status_is tight .progress.phase follow
NO_F=1 expect_exit 0 rehost_run cutover tight
wait_for 30 grep -q 'more than the budget of 1 ms: the cutover waits' \
	"$dir/log/rehost.$rehost_n.log"
status_is tight .live source || fail "it was cut"
NO_F=1 expect_exit 0 rehost_run pause tight
rehost_wait 30 4
NO_F=1 expect_exit 0 rehost_run resume --downtime 30s --cutover auto \
	tight
NO_F=1 expect_exit 0 rehost_run confirm tight
on new rm /run/active
expect_clean old tight

say "the budget is missed: the source runs on"
fresh
# What the last writers leave behind takes some seconds on this link.
"$lab" wan "$dir" old new 1 80
expect_exit 4 rehost_run move --name budget --via direct --downtime 1s \
	--quiesce 'head -c 32M /dev/urandom >/data/late; sync -f /data' \
	--rollback 'rm /data/late; echo back >>/root/log' \
	--activate 'touch /run/active' old:/dev/vdb new:/dev/vdb
expect_out 'more than the budget of 1000 ms'
status_is budget '.live + .state' sourcepaused || fail "status"
is_writable old /data/lost+found || fail "the source is not writable"
on_sh old '[ $(sort -u /root/log) = back ] && [ ! -e /data/late ]'
expect_exit 2 on new blkid -p /dev/vdb
expect_exit 1 on new test -e /run/active
"$lab" wan "$dir" old new off
NO_F=1 expect_exit 0 rehost_run resume --downtime 30s budget
report_is budget .live target
on new test -e /run/active
on new rm /run/active
NO_F=1 expect_exit 0 rehost_run confirm budget
expect_clean old budget

say "a controller that neither dies nor answers: the lease ends"
fresh
rehost_start move --name asleep --downtime 100s --quiesce \
	'touch /run/stopped; sleep 1' --rollback 'rm /run/stopped; touch /run/back' \
	--activate 'touch /run/active' old:/dev/vdb new:/dev/vdb
wait_for 30 on old test -e /run/stopped
kill -s STOP "$rehost_pid"
wait_for 60 on old test -e /run/back
is_writable old /data/lost+found || fail "the source is not writable"
expect_exit 1 on new test -e /run/active
kill -s CONT "$rehost_pid"
# It finds out, and stops or tries again; either way one side lives.
wait_for 60 not_running "$rehost_pid"
case $(NO_F=1 rehost_run status --format json asleep | jq -r .live) in
source) expect_exit 1 on new test -e /run/active ;;
target) expect_exit 0 on old test -e /run/stopped ;;
*) fail "nothing lives" ;;
esac
