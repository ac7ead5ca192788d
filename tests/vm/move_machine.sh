#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 2400
#
# A whole machine moves under load, and keeps its address: BIOS, a partition table
# of DOS, ext4 and swap, GRUB, ifupdown; nginx and PostgreSQL. Nothing is lost,
# there are never two, and the source is as if it were off.
. "$(dirname "$0")/move_lib.sh"

rig_witness_start
rig_up bios
boot=$(boot_of old)
mac=$(mac_of old)
rig_target new bios 2G
rig_client_start
up new

say "the move"
rehost_start move root@old root@new --name web --probe http://:80/ --format json
rehost_wait 2000 0
jq -se 'map(select(.event == "report"))[0]' <<<"$out" >/dev/null ||
	fail "no report"
report_is web .live target
report_is web .proof.ok true
report_is web .lanes.path direct

say "the target has the page, and the database its clients"
rig_client_goes_on
another=$(boot_of old)
[[ $another != "$boot" ]] || fail "the source still answers"
expect_same "$(rig_mac 16)" "$(mac_of old)" "the card of who answers"
expect_same bios "$(on old hostname)" "its name"
expect_same running "$(on old 'systemctl is-system-running || :')" \
	"what systemd says"

say "the source writes no more"
writes=$(rig_writes)
rig_client_goes_on 50
expect_same "$writes" "$(rig_writes)" "writes of the source"

say "nor does it come back when it is reset"
# In the time in which it would have booted; there is nothing to be seen of it.
rig_ask '{"execute":"system_reset"}' >/dev/null
rig_client_goes_on 600
rig_client_stop
rig_client_check "$boot" "$another"
say "offline by rehost's own measure: $(report_of web .offline)"
rig_witness_check "$mac" "$(rig_mac 16)"

say "confirm"
expect_exit 0 rehost_run confirm web
