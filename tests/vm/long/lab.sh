#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# timeout: 900
#
# The virtual machines that other tests stand on: see tests/vm/guest.

set -euo pipefail
shopt -s inherit_errexit

guest=$(dirname "$(readlink -f "$0")")/../guest
tmp=$(mktemp -d)
lab=$tmp/lab

say() {
	echo "vm/lab: $*"
}

fail() {
	say "FAILED: $*" >&2
	exit 1
}

clean_up() {
	"$guest" down "$lab"
	"$guest" down "$tmp/twin"
	rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

# Runs a command in a guest of this lab.
on() {
	timeout 120 "$guest" run "$lab" "$@"
}

# equal WHAT EXPECTED FOUND
equal() {
	[ "$2" = "$3" ] || fail "$1: expected '$2', found '$3'"
}

boot_id() {
	on "$1" cat /proc/sys/kernel/random/boot_id
}

check_network() {
	local port
	equal "old to new" SSH- "$(on old 'head -c 4 </dev/tcp/new/22')"
	equal "new to old" SSH- "$(on new 'head -c 4 </dev/tcp/old/22')"
	# Where the ssh port of new would be, if old could leave.
	port=$(ssh -G -F "$lab/ssh_config" new true | sed -n 's/^port //p')
	if on old "timeout 5 bash -c ': </dev/tcp/10.0.2.2/$port'" 2>/dev/null
	then
		fail "old reaches the world outside"
	fi
}

check_volumes() {
	local vdb vdc
	equal "mounts" "/dev/mapper/vg-linear /dev/mapper/vg-striped /dev/vdd1" \
		"$(on old 'findmnt -rn -o SOURCE /srv/linear
			findmnt -rn -o SOURCE /srv/striped
			findmnt -rn -o SOURCE /srv/part' | paste -sd' ')"
	vdb=$(on old cat /sys/block/vdb/dev)
	vdc=$(on old cat /sys/block/vdc/dev)
	equal "segments of vg/linear" \
		"linear $vdb linear $vdc linear $vdb" \
		"$(on old dmsetup table vg-linear | cut -d' ' -f3,4 | paste -sd' ')"
	equal "table of vg/striped" "striped 2 128 $vdb $vdc" \
		"$(on old dmsetup table vg-striped | cut -d' ' -f3,4,5,6,8)"
}

say "a build that fails leaves nothing behind"
if REHOST_CACHE=$tmp/cache REHOST_MIRROR=http://127.0.0.1:9/ \
	"$guest" image 2>"$tmp/log"; then
	fail "an image from a mirror that does not exist"
fi
equal "rest of the build" "" "$(find "$tmp/cache" -mindepth 2 ! -name '*.lock')"

say "image and saved states"
"$guest" state old new

say "both guests start from them, and ssh reaches them"
start=$SECONDS
"$guest" up "$lab" old new
say "(after $((SECONDS - start)) s)"
equal "name of old" old "$(on old hostname)"
equal "name of new" new "$(on new hostname)"
[ "$(on old cat /etc/machine-id)" != "$(on new cat /etc/machine-id)" ] ||
	fail "both guests have the same machine id"
if ssh -F "$lab/ssh_config" -o UserKnownHostsFile=/dev/null -o BatchMode=yes \
	old true 2>/dev/null; then
	fail "ssh takes a host key that it does not know"
fi

say "their clocks are right, although they were saved in the past"
for name in old new; do
	skew=$(($(date +%s) - $(on "$name" date +%s)))
	((skew > -60 && skew < 60)) || fail "$name is off by $skew s"
done

say "they reach each other, and nothing else"
check_network

say "old has its volumes, new has empty disks"
check_volumes
equal "what is on the disks of new" "" \
	"$(on new wipefs /dev/vdb /dev/vdc /dev/vdd)"

say "what the agent needs is there: tracefs, AES, a place to run from"
on old 'set -e
	mkdir /sys/kernel/tracing/instances/lab
	test -e /sys/kernel/tracing/instances/lab/events/block/block_rq_complete
	rmdir /sys/kernel/tracing/instances/lab
	grep -qw aes /proc/cpuinfo
	cp /bin/true /dev/shm/true
	/dev/shm/true' || fail "something is missing in the guest"

say "a second lab starts from the saved state, not from this one"
on old 'echo kept >/srv/linear/file; sync'
"$guest" up "$tmp/twin" old
"$guest" run "$tmp/twin" old test ! -e /srv/linear/file ||
	fail "a file of one lab is in the other"
"$guest" down "$tmp/twin"

say "reboot: another boot, the same disks, and the other guest runs on"
old_boot=$(boot_id old)
new_boot=$(boot_id new)
"$guest" reboot "$lab" old
[ "$(boot_id old)" != "$old_boot" ] || fail "old did not boot again"
equal "boot of new" "$new_boot" "$(boot_id new)"
equal "file" kept "$(on old cat /srv/linear/file)"
check_volumes
check_network

say "down leaves nothing"
"$guest" down "$lab"
[ ! -e "$lab" ] || fail "left: $(find "$lab")"
left=$(find /proc/[0-9]*/cwd -prune -lname "$tmp/*" 2>/dev/null || true)
equal "processes" "" "$left"

say "passed"
