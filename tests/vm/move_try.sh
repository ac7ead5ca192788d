#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 1800
#
# A whole machine under load moves to a blank one on the same network and boots
# there, with its address: nothing that its clients were told of is missing, and
# never do two machines answer for the address.
. "$(dirname "$0")/move_lib.sh"

say "a source under load, and a blank machine beside it"
rig_witness_start
rig_up bios
boot=$(boot_of old)
mac=$(mac_of old)
rig_target new bios 2G
rig_client_start
up new

say "the move"
rehost_run move root@old root@new --name web --downtime 60s \
	--probe http://:80/boot --boot firmware -v >/tmp/mm.out 2>&1
echo "rc $?"
now=$(boot_of old)
on old 'systemd-analyze; systemd-analyze blame | head -12; systemd-analyze critical-chain; cat /proc/cmdline; dmesg | tail -60; cat /proc/loadavg; journalctl -b | head -400' >/tmp/mm.boot 2>&1 || :
[[ $now != "$boot" ]] || fail "the source still answers"
expect_same "$(rig_mac 16)" "$(mac_of old)" "the machine that answers"
rig_client_goes_on
rig_client_stop
rig_client_check "$boot" "$now"
rig_witness_check "$mac" "$(rig_mac 16)"
XDG_STATE_HOME=$dir/state "$REHOST" report web --format json | jq -c '.downtime_ms, .fixups, .machine'
