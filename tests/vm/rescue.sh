#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 900
#
# Blank machines with 256 MiB boot the rescue system from kernel and archive:
# ssh with the host key of the build, drivers, DHCP, static addresses, an agent
# that writes a disk, and the way out.
. "$(dirname "$0")/rescue_lib.sh"

tap=rescue$$
undo_tap() {
	ip link del "$tap" 2>/dev/null || :
}
code=0
trap 'code=$?; undo_tap; finish $code' EXIT

say "build"
rescue_build "$dir/any" --no-media
without=$("$REHOST" rescue build --format json --no-media -o "$dir/json" \
	--kernel "$debian"/boot/vmlinuz-* --modules "$debian"/lib/modules/* \
	--authorized-keys "$dir/key.pub" | jq .other_bytes)
say "without kernel and modules it has $((without / 1024)) KiB"
((without < 16 << 20)) || fail "it has $without bytes"

say "a machine with one of each: drivers by modalias, DHCP on both cards"
for d in virtio ahci nvme scsi; do
	truncate -s 32M "$dir/$d.raw"
done
mke2fs -q -t ext4 "$dir/scsi.raw"
cmdline=$(sed -n 's/^kernel kernel initrd=initramfs //p' "$dir/any/rescue.ipxe")
machine dhcp 256 -machine q35 -kernel "$dir/any/kernel" \
	-initrd "$dir/any/initramfs" -append "$cmdline rehost.foo=1" \
	-drive "if=none,id=d1,format=raw,file=$dir/virtio.raw,cache=unsafe" \
	-device virtio-blk-pci,drive=d1 \
	-drive "if=none,id=d2,format=raw,file=$dir/ahci.raw,cache=unsafe" \
	-device ide-hd,drive=d2,bus=ide.0 \
	-drive "if=none,id=d3,format=raw,file=$dir/nvme.raw,cache=unsafe" \
	-device nvme,drive=d3,serial=n1 \
	-drive "if=none,id=d4,format=raw,file=$dir/scsi.raw,cache=unsafe" \
	-device virtio-scsi-pci -device scsi-hd,drive=d4 \
	-netdev 'user,id=n0,hostfwd=tcp:127.0.0.1:0-:22' \
	-device virtio-net-pci,netdev=n0,romfile= \
	-netdev 'user,id=n1,net=10.9.0.0/24,ipv6=off' \
	-device e1000e,netdev=n1,romfile=
dhcp_pid=$machine_pid
host dhcp "$dir/any" 127.0.0.1
up dhcp
# Where each comes from is seen in /sys.
drivers='for d in /sys/block/[sv]d* /sys/block/nvme*n*; do
	echo "$(readlink -f $d)"
done | sed -n "s/.*virtio[0-9]*\/block.*/virtio/p
	s/.*\/ata[0-9].*/ata/p; s/.*\/nvme.*/nvme/p
	s/.*virtio[0-9]*\/host.*/virtio-scsi/p" | sort | paste -sd" "'
disks_are_there() {
	[[ $(on dhcp "$drivers") == "ata nvme virtio virtio-scsi" ]]
}
wait_for 60 disks_are_there
cards='for c in /sys/class/net/eth*; do
	basename $(readlink -f $c/device/driver)
done | sort | paste -sd" "'
expect_same "e1000e virtio_net" "$(on dhcp "$cards")" "network cards"
have_addresses() {
	[[ $(on dhcp "ip -4 -o addr | grep -c ' 10\.[09]\.[02]\.15/24 '") == 2 ]]
}
wait_for 60 have_addresses
on dhcp 'ip route | grep -q "^default via 10.0.2.2 .*onlink" &&
	grep -q "^nameserver 10" /etc/resolv.conf' || fail "no way out by DHCP"
on dhcp 'ip -6 -o addr show scope site | grep -q fec0' ||
	on dhcp 'ip -6 -o addr' | grep -q 'fec0:' ||
	fail "no address by router advertisement"

say "what the kernel asks modprobe for is there: a filesystem, its checksums"
on dhcp 'for d in /dev/sd?; do
	mount -t ext4 $d /mnt 2>/dev/null && break
done
mount | grep -q " /mnt type ext4" && umount /mnt' || fail "no ext4"

say "the console has its name, its key, its address, and what it did not like"
console=$(tr -d '\r' <"$dir/log/dhcp.console")
key=$(ssh-keygen -lf <(cut -d' ' -f2- "$dir/any/known_hosts") | cut -d' ' -f2)
for line in ", host key $key" ": ssh root@10.0.2.15" "'rehost.foo=1' "; do
	grep -F -e "$line" <<<"$console" | grep -q '^rehost: ' ||
		fail "no \"$line\" on the console: $console"
done

say "who may log in, and who not"
no_login() { # PATTERN OPTION...
	local pattern=$1

	shift
	expect_exit 255 on "$@" dhcp true
	expect_out "$pattern"
}
no_login "Permission denied" \
	-o PreferredAuthentications=password,keyboard-interactive
ssh-keygen -q -t ed25519 -N '' -f "$dir/stranger"
sed "s|$dir/key|$dir/stranger|" "$dir/ssh_config" >"$dir/stranger_config"
no_login "Permission denied" -F "$dir/stranger_config"
no_login "Host key verification failed" \
	-o UserKnownHostsFile="$dir/json/known_hosts"

say "what ends is started again"
# Those that serve the connections have another parent.
on dhcp 'killall -9 udhcpc
	kill -9 $(cat /proc/[0-9]*/stat 2>/dev/null |
		sed -n "s/^\([0-9]*\) (dropbear) . 1 .*/\1/p")' ||
	fail "no servers to be killed"
wait_for 60 answers dhcp
wait_for 60 on dhcp '[ $(pidof udhcpc | wc -w) = 2 ]'
expect_same "" "$(on dhcp 'cat /proc/*/stat 2>/dev/null |
	sed -n "s/^[0-9]* (\([^)]*\)) Z .*/\1/p"')" "zombies"

say "an agent runs there: an image goes to its disk"
head -c 9M /dev/urandom >"$dir/image"
truncate -s 24M "$dir/image"
head -c 1M /dev/urandom >>"$dir/image"
expect_exit 0 rehost_run copy --name image "$dir/image" dhcp:/dev/vda
expect_same "$(sha256sum <"$dir/image")" \
	"$(on dhcp 'head -c 26214400 /dev/vda | sha256sum')" "what is on the disk"
expect_same "" "$(on dhcp 'find /dev/shm /tmp -mindepth 1')" "what the agent left"
say "memory left of 256 MiB: $(on dhcp "free -m | sed -n '2s/.* //p'") MiB"

say "poweroff"
on dhcp poweroff || :
ends "$dhcp_pid" 60

say "static addresses, IPv4 and IPv6, an MTU, and another port"
ip tuntap add "$tap" mode tap
ip addr add 10.213.77.1/24 dev "$tap"
ip addr add fd5e:77::1/64 dev "$tap" nodad
ip link set "$tap" up
mac=52:54:00:77:00:07
rescue_build "$dir/static" --no-media \
	--address "10.213.77.7/24,gw=10.213.77.1,mtu=1400,mac=$mac" \
	--append rehost.port=2222 \
	--address "fd5e:77::7/64,gw=fd5e:77::1,dev=eth1" --dns 192.0.2.53
cmdline=$(sed -n 's/^kernel kernel initrd=initramfs //p' "$dir/static/rescue.ipxe")
# The second card has the addresses; the first would be the nearer one.
machine static 256 -machine pc -kernel "$dir/static/kernel" \
	-initrd "$dir/static/initramfs" -append "$cmdline rehost.watchdog=900 rehost.route=10.5.0.0/16,gw=10.213.77.2,mac=$mac" \
	-device i6300esb \
	-drive "if=none,id=d1,format=raw,file=$dir/virtio.raw,cache=unsafe" \
	-device virtio-blk-pci,drive=d1 \
	-netdev user,id=n0,restrict=on -device virtio-net-pci,netdev=n0,romfile= \
	-netdev "tap,id=n1,ifname=$tap,script=no,downscript=no" \
	-device "virtio-net-pci,netdev=n1,mac=$mac,romfile="
static_pid=$machine_pid
host static "$dir/static" 10.213.77.7 2222
host static6 "$dir/static" fd5e:77::7 2222
up static
wait_for 30 answers static6
expect_same "default via 10.213.77.1" \
	"$(on static ip route | grep -o '^default via [0-9.]*')" "IPv4 gateway"
expect_same "10.5.0.0/16 via 10.213.77.2" \
	"$(on static ip route | grep -o '^10.5[0-9./]* via [0-9.]*')" "a route"
expect_same "default via fd5e:77::1" \
	"$(on static6 ip -6 route | grep -o '^default via fd[0-9a-f:]*')" \
	"IPv6 gateway"
expect_same 1400 "$(on static cat /sys/class/net/eth1/mtu)" MTU
expect_same "nameserver 192.0.2.53" "$(on static cat /etc/resolv.conf)" dns
expect_same "" "$(on static 'pidof udhcpc || :')" "DHCP where none was wanted"
expect_exit 255 on -o HostKeyAlias=10.213.77.8 static true
expect_out "Host key verification failed"

say "the hardware's watchdog is used"
# How it bites is in long/rescue_watchdog.sh.
watched() {
	grep -q '^rehost: the hardware watches' "$dir/log/static.console"
}
wait_for 60 watched
on static poweroff || :
ends "$static_pid" 60
