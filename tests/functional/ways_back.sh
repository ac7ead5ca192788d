#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 600
#
# A way back that breaks off itself: whoever gives the source back is killed, or is
# not heard. The source comes back all the same or it is said that it may not have,
# and no target is started once the source may live.
. "$(dirname "$0")/lib.sh"

mount_it='mkdir -p /data; mountpoint -q /data || mount /dev/vdb /data'
unmount_it='! mountpoint -q /data || umount /data'
# shellcheck disable=SC2016 # for the host's shell
gate='echo $$ >/run/hook; until [ -e /run/gate ]; do sleep 0.05; done'

fresh() {
	on_sh new "$unmount_it
		rm -f /run/hook /run/gate /run/mended
		blkdiscard -f /dev/vdb 2>/dev/null"
	on_sh old "$unmount_it
		rm -f /run/hook /run/hook0 /run/gate /run/hooks"
	mkfs_on old vdb ext4
	mount_on old vdb /data
	populate old /data 4
}

# start NAME ACTIVATE ROLLBACK [FLAG...]
start() {
	rehost_start move --name "$1" --downtime 30s --quiesce 'umount /data' \
		--activate "$2" --deactivate "$unmount_it" --rollback "$3" \
		"${@:4}" old:/dev/vdb new:/dev/vdb
}

# lives HOST: it has the volume, and may write to it.
lives() {
	on_sh "$1" 'mountpoint -q /data && touch /data/x'
}

dead() {
	! lives "$1" || fail "$1 lives"
}

hooks_are() {
	[[ $(on old cat /run/hooks | tr '\n' ' ') == "$1 " ]] ||
		fail "the hooks were: $(on old cat /run/hooks)"
}

# The target does not start, the source is given back, and its hook waits.
start_back() {
	start "$1" "[ -e /run/mended ] || exit 3; $mount_it" \
		"$mount_it; echo back >>/run/hooks; $gate"
	wait_for 30 on old test -s /run/hook
}

# Keeper, agent and controller, at once: the controller sees nothing of it.
all_die() {
	kill -s STOP "$rehost_pid"
	on_sh old 'pkill -KILL -x "rehost-keeper|rehost-agent"'
	kill -s KILL "$rehost_pid"
	rehost_wait 10 137
}

# only_rollback NAME: the target could start now, and must not.
only_rollback() {
	on_sh new 'touch /run/mended'
	NO_F=1 expect_exit 5 rehost_run resume "$1"
	expect_out "was to be given back"
	expect_out "rehost rollback $1"
	dead new
	on old touch /run/gate
	NO_F=1 expect_exit 0 rehost_run rollback "$1"
	lives old || fail "the source does not live"
	dead new
	status_is "$1" '.live + .state' sourcerolled-back || fail "status"
	expect_clean old "$1"
	expect_clean new
}

disk old vdb 64M >/dev/null
disk new vdb 64M >/dev/null

say "the controller is killed while it takes the fence away"
fresh
start_back controller
kill -s KILL "$rehost_pid"
rehost_wait 10 137
lives old || fail "the source does not live"
only_rollback controller

say "the connection is lost then"
fresh
start_back connection
"$lab" cut-ssh "$dir" old
rehost_wait 30 5
expect_out 'the source may live'
expect_no_out 'stays fenced'
expect_no_out 'rehost resume'
only_rollback connection

say "the keeper is killed then: the agent ends it"
fresh
start_back keeper
on_sh old 'pkill -KILL -x rehost-keeper; touch /run/gate'
rehost_wait 30 1
status_is keeper '.live + .state' sourcerolled-back || fail "status"
lives old || fail "the source does not live"
hooks_are 'back back'
expect_clean old keeper

say "the keeper is killed before: another one takes the fence away"
fresh
start before "echo on >/run/hook; $gate; exit 3" "$mount_it; echo back >>/run/hooks"
wait_for 30 on new test -s /run/hook
on_sh old 'pkill -KILL -x rehost-keeper'
on new touch /run/gate
rehost_wait 30 1
status_is before '.live + .state' sourcerolled-back || fail "status"
lives old || fail "the source does not live"
hooks_are back
expect_clean old before

say "the source's disk is gone for a while: the target may start again"
fresh
start absent "$mount_it" "$mount_it"
rehost_wait 60 0
on old mv /dev/vdb /dev/vdx
NO_F=1 expect_exit 5 rehost_run rollback absent
on old mv /dev/vdx /dev/vdb
NO_F=1 expect_exit 0 rehost_run resume absent
lives new || fail "the target does not live"
NO_F=1 expect_exit 0 rehost_run rollback absent
lives old || fail "the source does not live"

say "agent and keeper are killed in a rollback: it is done again"
fresh
start both "$mount_it" "$mount_it; echo back >>/run/hooks; $gate"
rehost_wait 60 0
NO_F=1 rehost_start rollback both
wait_for 20 on old test -s /run/hook
on_sh old 'pkill -KILL -x "rehost-keeper|rehost-agent"'
rehost_wait 30 5
expect_out 'rehost rollback both again'
only_rollback both
hooks_are 'back back'

say "a hook of the target ends with its connection"
fresh
start orphan "echo on >/run/hook; sleep 8; $mount_it" \
	"$mount_it; echo back >>/run/hooks"
wait_for 30 on new test -s /run/hook
"$lab" cut-ssh "$dir" new
rehost_wait 30 5
NO_F=1 expect_exit 0 rehost_run rollback orphan
lives old || fail "the source does not live"
sleep 9
dead new

say "and one of the source with its keeper"
fresh
start quiesce "$mount_it" 'echo started >>/run/hooks' --quiesce \
	'echo on >/run/hook; sleep 3; echo stopped >>/run/hooks'
wait_for 30 on old test -s /run/hook
on_sh old 'pkill -KILL -x rehost-keeper'
rehost_wait 30 4
sleep 4
hooks_are started
NO_F=1 expect_exit 0 rehost_run abort quiesce

say "an agent that runs the hooks ends with its connection"
fresh
start late "$mount_it" "echo started >>/run/hooks; $gate; echo late >>/run/hooks" \
	--quiesce 'echo on >/run/hook0; sleep 20'
wait_for 30 on old test -s /run/hook0
on_sh old 'pkill -KILL -x rehost-keeper'
wait_for 30 on old test -s /run/hook
"$lab" cut-ssh "$dir" old
# Another agent does it again, and only that one.
wait_for 30 on_sh old '[ "$(grep -c started /run/hooks)" = 2 ]'
on old touch /run/gate
rehost_wait 30 4
sleep 1
hooks_are 'started started late'
NO_F=1 expect_exit 0 rehost_run abort late

say "or as another one takes over, when its connection is silent"
fresh
start unheard "$mount_it" "echo started >>/run/hooks; $gate; echo late >>/run/hooks" \
	--quiesce 'echo on >/run/hook0; sleep 20'
wait_for 30 on old test -s /run/hook0
on_sh old 'pkill -KILL -x rehost-keeper'
wait_for 30 on old test -s /run/hook
on_sh old 'pkill -STOP -f "^sshd: root"'
kill -s KILL "$rehost_pid"
rehost_wait 10 137
# What only looks does not disturb it.
NO_F=1 expect_exit 1 rehost_run verify unheard
expect_out 'rehost resume or abort unheard first'
NO_F=1 rehost_start abort unheard
wait_for 30 on_sh old '[ "$(grep -c started /run/hooks)" = 2 ]'
[[ $(on old pgrep -c -r D,R,S -x rehost-agent) == 1 ]] || fail "two agents on old"
on old touch /run/gate
rehost_wait 30 0
sleep 1
hooks_are 'started started late'
on_sh old 'pkill -CONT -f "^sshd: root"'

say "keeper, agent and controller die in the cut, and so does the first resume"
fresh
start twice "$mount_it" "$mount_it; echo started >>/run/hooks" --quiesce \
	'echo stopped >>/run/hooks; echo on >/run/hook; sleep 5'
wait_for 30 on old test -s /run/hook
all_die
NO_F=1 rehost_start resume --cutover wait twice
on_sh old 'until grep -q "@rehost/" /proc/net/unix; do :; done'
kill -s KILL "$rehost_pid"
rehost_wait 10 137
NO_F=1 expect_exit 0 rehost_run abort twice
[[ $(on old tail -n 1 /run/hooks) == started ]] || fail "the services are stopped"

say "all die in the cut: what the target has already is found by comparison"
fresh
start compared "$mount_it" "$mount_it" --quiesce 'echo on >/run/hook; sleep 3'
wait_for 30 on old test -s /run/hook
all_die
sent=$(report_of compared .bytes.sent)
NO_F=1 expect_exit 0 rehost_run resume compared
report_is compared .tracker.compares 1
(($(report_of compared .bytes.sent) < sent + (2 << 20))) || fail "all was sent again"
lives new || fail "the target does not live"
on_sh new "$unmount_it"

say "all die in the cut, and the volume is another size since"
on_sh old 'mkdir -p /srv; truncate -s 16M /srv/x.img; mkfs.ext4 -q -F /srv/x.img
	rm -f /run/hook /run/hooks'
rehost_start move --name grown --downtime 30s --rollback 'echo started >>/run/hooks' \
	--quiesce 'echo stopped >>/run/hooks; echo on >/run/hook; sleep 20' \
	old:/srv/x.img new:/srv/x.img
wait_for 30 on old test -s /run/hook
all_die
on old truncate -s 24M /srv/x.img
on old mv /srv/x.img /srv/y.img
NO_F=1 expect_exit 5 rehost_run resume grown
expect_out 'rehost resume grown: the move died in the cutover'
on old mv /srv/y.img /srv/x.img
NO_F=1 expect_exit 0 rehost_run resume grown
hooks_are 'stopped started stopped'
[[ $(on new stat -c %s /srv/x.img) == $((24 << 20)) ]] || fail "the size"

say "the controller dies in the cut, and the disk is another one since"
fresh
start other "$mount_it" 'echo started >>/run/hooks' --quiesce \
	'echo on >/run/hook; sleep 20'
wait_for 30 on old test -s /run/hook
kill -s KILL "$rehost_pid"
rehost_wait 10 137
wait_for 20 on old test -s /run/hooks
on_sh old "$unmount_it; mkfs.ext4 -q -F /dev/vdb"
NO_F=1 expect_exit 0 rehost_run abort other
expect_out 'it is not the one that the move began with'
hooks_are started

say "abort while the target can neither start nor stop"
fresh
rehost_start move --name both_fail --downtime 30s --quiesce 'umount /data' \
	--activate "echo on >/run/hook; sleep 3; $mount_it; exit 3" \
	--deactivate 'exit 4' --rollback "$mount_it" old:/dev/vdb new:/dev/vdb
wait_for 30 on new test -s /run/hook
NO_F=1 expect_exit 5 rehost_run abort both_fail
expect_out 'nothing lives: rehost resume both_fail, or rehost rollback both_fail'
rehost_wait 30 5
on_sh new "$unmount_it"
NO_F=1 expect_exit 5 rehost_run rollback both_fail
NO_F=1 expect_exit 0 rehost_run rollback --discard-target-writes both_fail
lives old || fail "the source does not live"

say "abort in the cut, and the source is lost meanwhile"
fresh
start aborted "$mount_it" "echo on >/run/hook2; sleep 20" --quiesce \
	'echo on >/run/hook; sleep 20'
wait_for 30 on old test -s /run/hook
NO_F=1 rehost_run abort aborted >"$dir/log/abort" 2>&1 &
abort_pid=$!
background+=("$abort_pid")
wait_for 30 on old test -s /run/hook2
on_sh old 'pkill -KILL -x "sshd|rehost-keeper|rehost-agent"'
rehost_wait 60 5
expect_out 'may have to be given back'
wait_for 30 not_running "$abort_pid"
abort_code=0
wait "$abort_pid" || abort_code=$?
((abort_code == 5)) || fail "who aborted is told $abort_code"
status_is aborted '.live + .state' sourcepaused || fail "status"
"$lab" reboot "$dir" old
NO_F=1 expect_exit 0 rehost_run abort aborted

# edit_report NAME FILTER
edit_report() {
	local db=$dir/state/rehost/rehost.db report

	report=$(sqlite3 "$db" "select report from moves where name = '$1'" |
		jq -c "$2")
	sqlite3 "$db" "update moves set report = '${report//\'/\'\'}'
		where name = '$1'"
}

say "what the fence took away cannot be read: the source is not given back without"
fresh
start table "$mount_it" "$mount_it" --fence signature
rehost_wait 60 0
db=$dir/state/rehost/rehost.db
sqlite3 "$db" "create table kept as select * from blobs;
	update blobs set data = x'00' where key = 'signatures'"
NO_F=1 expect_exit 5 rehost_run rollback table
expect_out 'another build of rehost stored them'
dead old
sqlite3 "$db" "delete from blobs; insert into blobs select * from kept;
	drop table kept"
NO_F=1 expect_exit 0 rehost_run rollback table
lives old || fail "the source does not live"

# The store is told that it was a machine, which got another address.
say "that the target is off is not believed while it answers"
fresh
start off "$mount_it" "$mount_it"
rehost_wait 60 0
boot=$(on old cat /proc/sys/kernel/random/boot_id)
edit_report off ".machine = {address: \"$LAB_ADDR4_new\", booted: 1,
	source_address: \"$LAB_ADDR4_old\", source_boot: \"$boot\"}"
NO_F=1 expect_exit 5 rehost_run rollback --discard-target-writes off
expect_out "somebody answers at $LAB_ADDR4_new; switch it off"
lives new || fail "the target does not live"
dead old
edit_report off 'del(.machine)'
NO_F=1 expect_exit 0 rehost_run rollback off
lives old || fail "the source does not live"
expect_clean new
