#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 1800
#
# A machine that was taken over boots its old system again when its controller is
# gone, and how long it takes to be a target, against a plain reboot.
export HOSTS=new
# shellcheck source-path=SCRIPTDIR/..
. "$(dirname "$0")/../takeover_lib.sh"

put_kernel new

say "a plain reboot"
before=$(boot_of new)
start=${EPOCHREALTIME/./}
on new systemctl reboot || :
wait_for 300 is_booted new "$before"
plain=$(((${EPOCHREALTIME/./} - start) / 1000))

say "a takeover whose controller goes away"
before=$(boot_of new)
rehost_start takeover --watchdog 90s --format json root@new
wait_for 300 grep -q 'waiting for' "$dir/log/rehost.$rehost_n.log"
kill -KILL "$rehost_pid"
wait "$rehost_pid" || :
wait_for 300 is_named new rescue
expect_same rescue "$(on new hostname)" "the machine"
first=$(boot_of new)
# Logging in does not hold it off.
wait_for 300 is_booted new "$first"
wait_for 300 is_named new new
grep -q 'not heard from for too long' "$dir/new/console.log" ||
	fail "it was rebooted for another reason"
expect_same /dev/vda "$(on new findmnt -rn -o SOURCE /)" "its root"

# take: a takeover with a short watchdog; sets $first to its boot, and $taken.
take() {
	wait_for 60 on new test -e /run/systemd/system
	rehost_start takeover --watchdog 60s root@new
	wait_for 300 grep -q 'telling it to go down' \
		"$dir/log/rehost.$rehost_n.log"
	start=${EPOCHREALTIME/./}
	wait_for 300 is_named new rescue
	taken=$(((${EPOCHREALTIME/./} - start) / 1000))
	rehost_wait 120 0
	expect_out 'its disks are free'
	first=$(boot_of new)
}

say "an agent that nobody speaks to does not hold it off"
take
rehost_start inspect --sample 60s root@new
wait_for 60 on new pidof rehost-agent
kill -STOP "$rehost_pid"
wait_for 300 is_booted new "$first"
wait_for 300 is_named new new
kill -KILL "$rehost_pid"

say "once its disk is written it stays, whoever is heard from"
take
head -c 2M /dev/urandom >"$dir/noise"
expect_exit 0 rehost_run copy --name noise --overwrite serial:new-vdb \
	"$dir/noise" root@new:/dev/vdb
sleep 90
expect_same "$first" "$(boot_of new)" "boot id"
say "from the order to ssh: takeover $taken ms, plain reboot $plain ms"
((taken <= plain)) || fail "a takeover took longer than a reboot"
