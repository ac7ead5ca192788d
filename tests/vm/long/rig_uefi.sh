#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 1800
#
# As rig.sh, by UEFI and with addresses from a server.
MACHINES=uefi
. "$(dirname "$0")/../move_lib.sh"

rig_addresses=dhcp
say "a source and a blank machine on one network"
rig_witness_start
rig_up uefi
boot=$(boot_of old)
mac=$(mac_of old)
rig_target new uefi 2G
up new
say "a clone by hand"
rig_cut_power
rig_disk 0 "$dir/new.disk0.part"
dd if="$dir/new.disk0.part" of="$dir/new.disk0" bs=1M conv=notrunc,sparse status=none
rm "$dir/new.disk0.part"
# It gets the source's address from now on.
"$vm/net" dhcp "$dir"
rig_reboot new
wait_for 900 is_another_boot old "$boot"
rig_witness_check "$mac" "$(rig_mac 16)"
