#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 2400
#
# A move of a whole machine that follows is rehearsed: a copy of it boots and is
# probed in a throwaway machine. Meanwhile the source serves its clients, and the
# target's disk is not written; afterwards rounds go on. Then the move is given up.
# shellcheck source-path=SCRIPTDIR/..
. "$(dirname "$0")/../move_lib.sh"

# target_writes: how many writes the target's disk has had, seen from outside.
target_writes() {
	echo info blockstats | socat -T5 - "unix:$dir/new.mon" |
		sed -n 's/^d0.* wr_operations=\([0-9]*\) .*/\1/p'
}

rig_up bios
boot=$(boot_of old)
rig_target new bios 2G
rig_client_start
up new

say "a move that waits"
rehost_start move root@old root@new --name web --downtime 60s --cutover wait \
	--probe http://:80/boot
move_pid=$rehost_pid
wait_for 900 status_is web .phase follow
NO_F=1 expect_exit 1 rehost_run rehearse web --probe tcp:22 --kernel /nonexistent
expect_out '/nonexistent'
report_is web '.rehearsals[0].passed' false

say "the rehearsal"
NO_F=1 rehost_start rehearse web --probe http://:80/boot --probe tcp:22 \
	"${rehearsed[@]}"
pid=$rehost_pid
wait_for 900 rehearsal_is 'makes the copy ready'
rounds=$(report_of web '.rounds | length')
writes=$(target_writes)
sum=$(sha256sum <"$dir/new.disk0")
((writes > 0)) || fail "no writes of the target are seen"
say "the source serves its clients"
rig_client_goes_on 20
wait_for 900 rehearsal_is 'waits for answers'
expect_same "$sum" "$(sha256sum <"$dir/new.disk0")" "the target's disk"
while ! not_running "$pid"; do
	now=$(target_writes)
	held=$(report_of web '.rehearsing.step // "over"')
	[[ $held == over ]] || last=$now
	sleep 1
done
expect_same "$writes" "$last" "writes to the target"
rehost_wait 10 0
say "$out"
expect_out '^web: rehearsal passed'
result() {
	report_of web ".rehearsals[1] | $1"
}
expect_same true "$(result .passed)" "passed"
expect_same '[]' "$(result '.reasons | tostring')" "reasons"
expect_same kexec "$(result .boots_by)" "boots by"
expect_same 2 "$(result '[.probes[] | select(.ms > 0)] | length')" "probes answered"
expect_same '[]' "$(result '.not_rehearsed | tostring')" "not rehearsed"
[[ -s $(result .console) && -s $(result .screenshot) ]] ||
	fail "no console, or no picture of the screen"
grep -q 'Linux version' "$(result .console)" ||
	fail "the console does not tell of the kernel"

say "nothing is left of it"
no_rehearsal || fail "something is left of it"

say "rounds go on, and the source is as it was"
wait_for 300 rounds_are web $((rounds + 2))
expect_same "$boot" "$(boot_of old)" "the boot of who answers"
rig_client_goes_on

say "the move is given up"
NO_F=1 expect_exit 0 rehost_run abort web
rehost_pid=$move_pid
wait_for 120 not_running "$move_pid"
rig_client_stop
rig_client_check "$boot"
