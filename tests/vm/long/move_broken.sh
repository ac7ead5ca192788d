#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 3600
#
# The move of a whole machine under load is broken off again and again, and goes on
# each time: the target dies and the source reboots in the middle of the sync, keeper,
# source's agent and controller are killed at the points of the cut, the network is
# lost after the commit. Before the commit the source lives again by itself; after it
# nothing lives until the target does. In the end the target is switched off without
# its own word, and the source taken back.
. "$(dirname "$0")/../move_lib.sh"

mib=$((1 << 20))

# sent_is BYTES: so much is done, and the process at work has its agents, for
# wait_for.
sent_is() {
	NO_F=1 rehost_run status --format json web |
		jq -e ".state == \"running\" and .progress.done >= $1"
}

# expect_status LIVE STATE
expect_status() {
	expect_same "$1 $2" "$(NO_F=1 rehost_run status --format json web |
		jq -r '.live + " " + .state')" "what lives, and the state"
}

# source_lives BOOT: it serves all of its clients, and nobody has told it to.
source_lives() {
	rig_client_goes_on
	expect_same "$1" "$(boot_of old)" "the boot of who answers"
}

answered() {
	"$pgclient" count "$dir/pg"
	"$vm/webclient" answers "$dir/web" | awk '{ n += $4 } END { print n + 0 }'
}

nothing_lives() {
	local before

	before=$(answered)
	sleep 10
	expect_same "$before" "$(answered)" "answers to database and web clients"
}

# The target's disk does not look like one that could boot.
looks_empty() {
	expect_same 0000 "$(xxd -s 510 -l 2 -p "$dir/new.disk0")" \
		"the mark of the target's partition table"
}

# The agent of the process that was killed is gone: its disk can be opened.
no_agent() {
	on new '! pidof rehost-agent >/dev/null'
}

# broken_at CODE POINT:VICTIM: goes on to there.
broken_at() {
	REHOST_TEST_KILL=$2 NO_F=1 expect_exit "$1" rehost_run resume web
	wait_for 120 no_agent
}

rig_witness_start
rig_up bios
boot=$(boot_of old)
mac=$(mac_of old)
rig_target new bios 2G
rig_client_start
up new

say "the target dies in the middle of the seed: the source is as it was"
rehost_start move root@old root@new --name web --downtime 60s \
	--probe http://:80/boot --boot firmware --bwlimit 24M
wait_for 600 sent_is $((100 * mib))
rig_off new
rehost_wait 300 4
expect_out 'rehost resume web'
expect_status source paused
source_lives "$boot"
looks_empty

say "the source reboots in the middle of the sync"
rig_on new cd
up new
NO_F=1 rehost_start resume web
wait_for 600 sent_is $((100 * mib))
rig_ask '{"execute":"system_reset"}' >/dev/null
rehost_wait 300 4
expect_out 'rehost resume web'
expect_status source paused
wait_for 900 is_another_boot old "$boot"
again=$(boot_of old)
source_lives "$again"

say "both are compared; the keeper is killed in the hold: the source is free"
REHOST_TEST_KILL=quiesce.after:keeper NO_F=1 expect_exit 4 rehost_run resume \
	--bwlimit 1G web
wait_for 120 no_agent
(($(report_of web .tracker.compares) > 0)) || fail "nothing was compared"
expect_status source paused
source_lives "$again"
looks_empty

say "the source's agent is killed in the hold, after the proof"
broken_at 4 verify.after:source
expect_status source paused
source_lives "$again"
looks_empty

for point in quiesce.before quiesce.after finish.before finish.after \
	verify.before verify.after; do
	say "the controller is killed: $point"
	broken_at 137 $point:controller
	expect_status source paused
	source_lives "$again"
	looks_empty
done

say "the controller is killed when it is about to commit"
broken_at 137 commit.before:controller
expect_status none paused
source_lives "$again"
looks_empty

say "the controller is killed with the keeper's word: nothing lives"
broken_at 137 commit.acked:controller
expect_status none paused
nothing_lives
broken_at 137 commit.after:controller
expect_status none paused
looks_empty

say "the target is reset then: it has nothing to boot but its rescue system"
rig_off new
rig_on new cd
up new
nothing_lives

say "the network to the target is lost: exit 5, and what to do"
rig_cut new
NO_F=1 expect_exit 5 rehost_run resume web
expect_out 'rehost resume web to try again, or rehost rollback web'
expect_status none failed
nothing_lives

rig_heal new
for point in before published ordered; do
	say "it is back; the controller is killed: activate.$point"
	broken_at 137 activate.$point:controller
	expect_status none paused
	nothing_lives
done
report_is web .machine.booted 1

say "the target lives"
NO_F=1 expect_exit 0 rehost_run resume web
report_is web .live target
report_is web .state "done"
report_is web .proof.ok true
report_is web .machine.boots_by firmware
report_is web '[.fixups.warnings[]]' '[]'
rig_client_goes_on
another=$(boot_of old)
expect_same "$(rig_mac 16)" "$(mac_of old)" "the card of who answers"
rig_client_stop
rig_client_check "$boot" "$again" "$another"
rig_witness_check "$mac" "$(rig_mac 16)"

say "one that serves, but lets nobody in, is left alone"
on old 'cd /root/.ssh && mv authorized_keys away
	setsid sh -c "sleep 200; mv away authorized_keys" >/dev/null 2>&1 </dev/null &'
NO_F=1 expect_exit 1 rehost_run rollback web
expect_out 'see that root can log in there'
expect_status target "done"
wait_for 400 answers old

say "a target that is off cannot say so: exit 5, the source stays fenced"
rig_off new
rig_witness_start
NO_F=1 expect_exit 5 rehost_run rollback web
expect_out 'rehost rollback --discard-target-writes'
expect_status none failed
if answers old; then
	fail "somebody answers"
fi

say "with the user's word the source lives as it was"
NO_F=1 expect_exit 0 rehost_run rollback --discard-target-writes web
expect_out 'web: rolled-back'
expect_status source rolled-back
wait_for 60 answers old
expect_same "$again" "$(boot_of old)" "the boot of who answers"
on old 'touch /root/alive && sync' || fail "the source cannot write"
on old 'runuser -u postgres -- psql -Atc "insert into acked values (99, 1, 0)"' \
	>/dev/null || fail "its database does not take a row"
expect_same gone "$(on old 'ls -d /sys/kernel/tracing/instances/rehost* 2>/dev/null || echo gone')" \
	"trace instances"
expect_same gone "$(on old 'pgrep rehost || echo gone')" "processes"
rig_witness_check "$mac"
