#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 2400
#
# What goes wrong with a whole machine between commit and first answer: the network to
# the target is lost while it is made ready, and a probe is never answered. Both say
# what to do. Then the target is powered off, and the source lives as it was, also when
# that broke off.
# shellcheck source-path=SCRIPTDIR/..
. "$(dirname "$0")/../move_lib.sh"

# For wait_for: it is decided, or about to be.
is_committing() {
	[[ $(sqlite3 -readonly "$dir/state/rehost/rehost.db" \
		"select phase from moves where name = 'web'") == @(commit|activate) ]]
}

# The fence has a hole for the ssh of this machine, and for nothing else.
serves() {
	timeout 5 bash -c "exec 3<>/dev/tcp/$moved/80"
}

rig_witness_start
rig_up bios
boot=$(boot_of old)
mac=$(mac_of old)
rig_target new bios 2G
up new
on old 'echo before >/root/log; sync'
serves || fail "the source has no page"

say "the network to the target is lost between commit and boot: exit 5"
rehost_start move root@old root@new --name web --downtime 60s --probe tcp:9 \
	--boot-timeout 2m --boot firmware --rollback \
	'echo back >>/run/hooks; until [ -e /run/gate ]; do sleep 0.1; done'
wait_for 1200 is_committing
rig_cut new
rehost_wait 300 5
expect_out 'rehost resume web to try again, or rehost rollback web'
report_is web .live none
report_is web .phase activate
if serves; then
	fail "the source serves its page"
fi

say "the network is back, the target boots, and a probe is not answered: exit 5"
rig_heal new
NO_F=1 expect_exit 5 rehost_run resume web
expect_out 'not all probes of 192\.0\.2\.15 were answered within 120 s; look at'
expect_out 'mend it and rehost resume web, or stop it and rehost rollback web'
report_is web .live none
report_is web .state failed
report_is web .machine.boots_by firmware
wait_for 300 is_another_boot old "$boot"
expect_same "$(rig_mac 16)" "$(mac_of old)" "the card of who answers"
expect_same before "$(on old cat /root/log)" "what was written"
wait_for 120 serves

say "a command that has nothing to switch on is no way back for a lost source"
rig_cut old
NO_F=1 expect_exit 5 rehost_run rollback web --power-on true
expect_out 'power-on is for what --power-off fenced; nothing was changed'
rig_heal old
serves || fail "the target was stopped"

say "somebody starts the target with the rescue system"
rig_off new
rig_on new kernel
up new

say "rollback powers it off, gives the source back, and is killed"
NO_F=1 rehost_start rollback web
ends "${rig_pid[new]}" 120
wait_for 120 on old test -s /run/hooks
expect_same "$boot" "$(boot_of old)" "the boot of who answers"
kill -s KILL "$rehost_pid"
rehost_wait 10 137
NO_F=1 expect_exit 5 rehost_run resume web
expect_out 'was to be given back'

say "done again, it knows who answers there, and the source lives as it was"
on old touch /run/gate
NO_F=1 expect_exit 0 rehost_run rollback web
expect_out 'web: rolled-back'
expect_same "$boot" "$(boot_of old)" "the boot of who answers"
expect_same "$mac" "$(mac_of old)" "its card"
on old 'echo after >>/root/log && sync' || fail "the source cannot write"
wait_for 60 serves
expect_same gone "$(on old 'ls -d /sys/kernel/tracing/instances/rehost* 2>/dev/null || echo gone')" \
	"trace instances"
expect_same gone "$(on old 'pgrep rehost || echo gone')" "processes"
rig_witness_check "$mac" "$(rig_mac 16)" "$mac"
