#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 900
#
# rehost inspect of a Debian machine with its own kernel: volume groups,
# partitions, systemd, drivers; and rehost estimate of all of it.
HOSTS=old
. "$(dirname "$0")/lib.sh"

facts=$dir/facts

# is FILTER VALUE
is() {
	expect_same "$2" "$(jq -r "$1" "$facts")"
}

# Milliseconds of processor time that the guest has spent so far.
spent() {
	on_sh old 'awk "/^cpu /{ print (\$2 + \$3 + \$4 + \$7 + \$8) * 10 }" \
		/proc/stat'
}

before=$(spent)
XDG_STATE_HOME=$dir/state "$REHOST" inspect -F "$dir/ssh_config" \
	--format json --sample 500ms root@old >"$facts"
say "it took $(($(spent) - before)) ms of the guest's processor time, ssh included"

say "what it is"
is .root true
is .system.distribution.id debian
is .system.distribution.version 12
is .system.architecture x86_64
is .system.init systemd
is '.system.kernel.release' "$(on old uname -r)"
is .system.firmware.mode bios
is '.system.virtualization.machine' qemu
is '.memory.total' "$(on_sh old 'awk "/MemTotal/{ print \$2 * 1024 }" /proc/meminfo')"

say "its disks"
is '[.disks[] | select(.kind == "disk") | .name] | join(" ")' 'vda vdb vdc vdd'
is '.disks[] | select(.name == "vdb") | .serial' old-vdb
is '.disks[] | select(.name == "vdb") | .content.type' LVM2_member
is '.disks[] | select(.name == "vdd") | .table.kind' gpt
is '.disks[] | select(.name == "vdd") | .table.partitions | length' 2
is '.disks[] | select(.name == "vdd1") | .part.number' 1
is '.disks[] | select(.name == "vdd1") | .content.uuid' \
	"$(on old blkid -p -o value -s UUID /dev/vdd1)"
is '.disks[] | select(.lvm.lv == "striped") | [.lvm.vg, .content.type,
	(.parents | sort | join("+"))] | join(" ")' 'vg xfs vdb+vdc'
for m in linear:ext4 striped:xfs part:ext4; do
	is '.filesystems[] | select(.mount == "/srv/'"${m%:*}"'") | .type' \
		"${m#*:}"
	is '.filesystems[] | select(.mount == "/srv/'"${m%:*}"'") | .size' \
		"$(on_sh old 'df -B1 --output=size "$1" | tail -n 1' "/srv/${m%:*}")"
done
is '.fstab[] | select(.mount == "/srv/striped") | .names' lvm
is '.fstab[] | select(.mount == "/") | .names' unstable
is '.devices | map(select(.kind == "storage" and .bus == "virtio")) | length' 4
is '.devices | map(select(.kind == "storage" and .bus == "virtio"))[0].driver' virtio_blk
is '.devices | map(select(.kind == "network" and .bus == "pci")) | length' 2

say "its network, and what runs"
is '.network.interfaces[] | select(.name == "eth1") | .mac' 52:54:00:77:00:01
is '.network.interfaces[] | select(.name == "eth1") | .addresses[0]' 10.77.0.1/24
is '.network.configured_by[] | select(.active) | .kind' systemd-networkd
is '.network.configured_by[] | select(.active) | .interfaces.eth0' static
is '.services[] | select(.name == "ssh.service") | [.enabled, .running] |
	join(" ")' 'true true'
is '[.ports[] | select(.port == 22)][0] | [.program, .service] | join(" ")' \
	'sshd ssh.service'
is '.load.disks | length > 0' true
is '.missing | map(.what) | map(select(test("disk|network|services"))) | length' 0
"$REHOST" inspect -F "$dir/ssh_config" --sample 0 root@old
expect_clean old

say "what a move of all of it would carry"
XDG_STATE_HOME=$dir/state "$REHOST" estimate -F "$dir/ssh_config" \
	--format json --sample 2s root@old >"$facts"
is '[.volumes[] | select(.mount | test("^/srv/")) | .mount] | sort | join(" ")' \
	'/srv/linear /srv/part /srv/striped'
is '.volumes | map(.mount) | any(. == "/")' true
# Neither the disks below volume groups, nor what partitions lie on.
is '.volumes | map(.path) | map(select(test("vd[bcd]$"))) | length' 0
is '.volumes[] | select(.mount == "/srv/striped") | [.mapped, .writes.by,
	.used < .size / 2] | map(tostring) | join(" ")' 'true events true'
is '.used == ([.volumes[].used] | add) and .used > 0' true
is '.link.bytes_s > 0 and (.link.measured | not)' true
expect_clean old
expect_same "" "$(on_sh old 'ls /sys/kernel/tracing/instances')" "traces"

say "a link that is too slow for what is written, in a plan"
# shellcheck disable=SC2016 # for the guest's shell
on_sh old '
	setsid sh -c "echo \$\$ >/run/writer.pid
		while :; do
			dd if=/dev/zero of=/srv/part/w bs=256k count=4 \
				conv=fsync,notrunc status=none
		done" </dev/null >/dev/null 2>&1 &'
XDG_STATE_HOME=$dir/state "$REHOST" plan -F "$dir/ssh_config" root@old \
	root@old --measure --bwlimit 256K --sample 2s --format json >"$facts" || :
# shellcheck disable=SC2016
on_sh old 'kill -9 -$(cat /run/writer.pid)'
is '[.findings[] | select(.name == "link-too-slow") | .severity] | join(" ")' \
	blocks
expect_clean old
