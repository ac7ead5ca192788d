#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 1200
#
# What tests of moves of whole machines stand on: a source under load and a blank
# target on one network, clients with a record, and a witness. The source's disk is
# cloned by hand, the clone boots from the target's disk with the source's address,
# and clients and witness say what was to be seen. UEFI is in long/rig_uefi.sh.
. "$(dirname "$0")/../move_lib.sh"

say "a source goes on from its saved state"
rig_witness_start
rig_up bios
boot=$(boot_of old)
mac=$(mac_of old)
say "a blank machine beside it"
rig_target new bios 2G
rig_client_start
up new

say "they reach each other, unless they are kept apart, or one is cut off"
old_reaches_new() {
	on old 'if timeout 5 bash -c "exec 3<>/dev/tcp/192.0.2.16/22" 2>/dev/null
		then echo yes
		else echo no
		fi'
}
rig_apart on old new
expect_same no "$(old_reaches_new)" "whether they do when apart"
rig_apart off old new
expect_same yes "$(old_reaches_new)" "whether they do"
rig_cut new
expect_same no "$(old_reaches_new)" "whether they do without a cable"
rig_heal new
on old 'head -c 8M /dev/urandom >/root/image'
expect_exit 0 rehost_run copy --name image root@old:/root/image root@new:/dev/vda
report_is image .lanes.path direct
expect_same "$(on old 'sha256sum </root/image')" \
	"$(on new 'head -c 8388608 /dev/vda | sha256sum')" "what is on the disk"

say "a clone by hand, of what the source has when its power fails"
writes=$(rig_writes)
rig_client_goes_on
(($(rig_writes) > writes)) || fail "the clients had nothing written"
rig_cut_power
rig_disk 0 "$dir/clone"
fallocate -p -o 0 -l 2G "$dir/new.disk0"
dd if="$dir/clone" of="$dir/new.disk0" bs=1M conv=notrunc,sparse status=none
rm "$dir/clone"
rig_reboot new
wait_for 600 is_another_boot old "$boot"
rig_client_goes_on
rig_client_stop
rig_client_check "$boot" "$(boot_of old)"
rig_witness_check "$mac" "$(rig_mac 16)"

say "the witness finds a second answer"
rig_witness_start
ip link add fake type veth peer name port
ip link set port master "$MACHINE_NET" up
ip link set fake up
# An ARP answer for 192.0.2.15, to all.
fake() {
	python3 -c '
import socket
mac, address = bytes.fromhex("525400bad0ad"), bytes([192, 0, 2, 15])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("fake", 0))
s.send(b"\xff" * 6 + mac + bytes.fromhex("0806 0001 0800 0604 0002")
       + mac + address + b"\xff" * 6 + address)'
}
asks() {
	ip neigh flush dev "$MACHINE_NET"
	boot_of old >/dev/null
}
asks
fake
asks
rig_witness_stop
expect_same 1 "$rig_verdict" "what the witness says"
grep -qx "two lives" "$dir/log/witness" || fail "no two lives"
expect_same 52:54:00:ba:d0:ad \
	"$(sed -n 's/^reign \([^ ]*\) .*/\1/p' "$dir/log/witness" | sed -n 2p)" \
	"whom it saw"

say "a machine for which QEMU loads the rescue system starts from its disk later"
rig_off new
rig_target -k again bios 64M
up again
mv "$dir/new.disk0" "$dir/again.disk0"
rig_reboot again
rig_from_disk again
wait_for 300 grep -aq 'Loading Linux' "$dir/log/again.console"
