# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the tests of moves of whole machines: all of rescue_lib.sh. The test
# itself runs in a network of its own, with all of rehost, ssh and the clients; see
# tests/vm/net. $MACHINES names those of tests/vm/machine that it may start; there is
# one at a time, by ssh "old", which also reaches what has taken its address and keys.
vm=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [[ -z ${MACHINE_NET-} ]]; then
	# shellcheck disable=SC2086 # a list of names
	"$vm/machine" state ${MACHINES:-bios} >/dev/null || exit
	"$vm/guest" kernel >/dev/null || exit
	exec "$vm/net" with /bin/bash "$0" "$@"
fi
# shellcheck source-path=SCRIPTDIR source=rescue_lib.sh
. "$vm/rescue_lib.sh"

machines=$vm/machine
machine_life=3600
moved=192.0.2.15
pgclient=$top/tests/lab/pgclient

# keep_evidence: what the source's QEMU and console have to say, before it goes; the
# rest of the test's logs are kept anyhow.
keep_evidence() {
	local at name ask

	for at in "$dir"/m/*/; do
		name=$(basename "$at")
		for ask in console qemu; do
			cp "$at$ask.log" "$dir/log/$name.$ask" 2>/dev/null || :
		done
		for ask in status 'registers -a' network; do
			timeout 20 "$machines" ask "$dir/m" "$name" \
				'{"execute":"human-monitor-command","arguments":{"command-line":"info '"$ask"'"}}' ||
				break
		done >"$dir/log/$name.monitor" 2>&1
		ip -s link show "$name" >"$dir/log/$name.link" 2>&1
	done
}

code=0
trap 'code=$?; ((code == 0 || code == 77)) || (keep_evidence) || :
	"$machines" down "$dir/m"; finish $code' EXIT

# ---- the source ------------------------------------------------------------

rig_source=

# rig_up MACHINE: it runs, from its saved state.
rig_up() {
	"$machines" up "$dir/m" "$1" || fail "no machine"
	rig_source=$1
	cp "$dir/m/key" "$dir/old.key"
	cp "$dir/m/known_hosts" "$dir/old.known_hosts"
	{
		sed -E "s/^( *Host) .*/\1 old/; s|$dir/m/(key\|known_hosts)|$dir/old.\1|" \
			"$dir/m/ssh_config"
		printf '  %s\n' "BatchMode yes" "ConnectTimeout 60" \
			"LogLevel ERROR"
	} >>"$dir/ssh_config"
}

rig_ask() {
	"$machines" ask "$dir/m" "$rig_source" "$1"
}

# rig_cut_power: the source is off, at once. Its disks remain.
rig_cut_power() {
	local pid

	pid=$(<"$dir/m/$rig_source/pid")
	kill "$pid"
	tail --pid="$pid" -f /dev/null
}

# rig_disk N FILE: what is on disk N of the source, which is off, as it is.
rig_disk() {
	qemu-img convert -f qcow2 -O raw "$dir/m/$rig_source/disk$1" "$2"
}

# rig_writes: how many writes the source's disks have had, seen from outside.
rig_writes() {
	rig_ask '{"execute":"query-blockstats"}' |
		jq '[.return[].stats.wr_operations] | add'
}

# boot_of HOST
boot_of() {
	on "$1" cat /proc/sys/kernel/random/boot_id
}

# is_another_boot HOST BOOT: it answers, and this boot is over; for wait_for.
is_another_boot() {
	local now

	now=$(timeout -k 1 20 ssh -F "$dir/ssh_config" -o ConnectTimeout=15 \
		"$1" cat /proc/sys/kernel/random/boot_id </dev/null) &&
		[[ $now != "$2" ]]
}

# mac_of HOST: of its first card.
mac_of() {
	on "$1" 'set -- /sys/class/net/e*/address; cat $1'
}

# traces COMMAND...: by COMMAND, all of a machine in which a move could leave
# something: what runs, is mounted, listens, lies in /run and /tmp, may log in,
# traces, fences, boots, and where its disks begin.
traces() {
	"$@" 'export LC_ALL=C
		# Before there are others to look through it.
		all=$(ps -eo ppid=,comm=)
		echo "= processes"; echo "$all" | awk "\$1 != 2 { print \$2 }" |
			grep -v -e "^(.*)\$" -e "^systemd-fsckd\$" | sort -u
		echo "= mounts"; findmnt -rno TARGET,FSTYPE,FS-OPTIONS | sort
		echo "= swap"; cut -d" " -f1 /proc/swaps
		echo "= files"; find /run /tmp /var/tmp /dev/shm -xdev \
			! -path "/run/systemd*" ! -path "/run/user*" \
			! -path "/run/udev*" ! -path "*/systemd-private-*" \
			! -path "/run/log/journal/*" | sort
		echo "= ports"; awk "\$4 == \"0A\" { print \$2 }" \
			/proc/net/tcp /proc/net/tcp6 | sort
		grep -o "@.*rehost.*" /proc/net/unix
		echo "= keys"; find /root /home -name "authorized_keys*" \
			-exec sha256sum {} +
		echo "= traced"; ls /sys/kernel/tracing/instances
		cat /sys/kernel/tracing/events/block/enable
		echo "= fences"; find /sys/fs/bpf
		ip -o link | grep -o "xdp.*" || :
		echo "= boots"; [ ! -e /sys/firmware/efi/efivars ] ||
			(cd /sys/firmware/efi/efivars && sha256sum Boot*)
		echo "= disks"; for d in /dev/[vs]d[a-z]; do
			head -c 1M $d | sha256sum; blockdev --getro $d; done'
}

# ---- targets ---------------------------------------------------------------

# Each gets a number from 16 on, which ends its address and its MAC.
declare -A rig_number rig_firmware rig_parts rig_pid
rig_numbers=15

# How targets get addresses while they are targets: "static" ones come with the
# rescue system, "dhcp" ones from a server. Whoever gets none by it is 192.0.2.15.
rig_addresses=static

rig_mac() {
	printf '52:54:00:c0:02:%02x' "$1"
}

# All targets of a test boot the same rescue system.
rig_rescue() {
	local n flags=() leases=()

	[[ ! -e $dir/r ]] || return 0
	for n in 16 17 18 19; do
		flags+=(--address "192.0.2.$n/24,gw=192.0.2.2,mac=$(rig_mac $n)")
		leases+=("$(rig_mac $n)=192.0.2.$n")
	done
	if [[ $rig_addresses == dhcp ]]; then
		flags=()
		"$vm/net" dhcp "$dir" "${leases[@]}"
	fi
	rescue_build "$dir/r" "${flags[@]}"
}

# What the next targets are made of. The drive may be nvme or, by AHCI where the
# firmware is uefi, ide-hd; in another slot the card has another name.
rig_drive=virtio-blk-pci
rig_card=virtio-net-pci
rig_slot=3

# rig_target [-k] NAME FIRMWARE SIZE...: a blank machine with such disks begins to
# boot; FIRMWARE is bios or uefi. By ssh it is NAME. It boots from its first disk if
# there is a boot loader, else the rescue system from a disc: so it comes up with
# what was moved to it when it is reset. With -k QEMU loads the rescue system, which
# is faster, and ends when the machine wants to boot again: see rig_from_disk.
rig_target() {
	local from=cd name size n=0

	[[ $1 != -k ]] || {
		from=kernel
		shift
	}
	name=$1
	rig_rescue
	rig_numbers=$((rig_numbers + 1))
	rig_number[$name]=$rig_numbers
	rig_firmware[$name]=$2
	rig_parts[$name]="$rig_drive $rig_card $rig_slot"
	shift 2
	for size; do
		truncate -s "$size" "$dir/$name.disk$n"
		n=$((n + 1))
	done
	[[ ${rig_firmware[$name]} != uefi ]] ||
		cp /usr/share/OVMF/OVMF_VARS_4M.fd "$dir/$name.vars"
	"$vm/net" tap "$name"
	rig_on "$name" $from
	host "$name" "$dir/r" "192.0.2.${rig_number[$name]}" 22
}

# rig_on NAME cd|kernel|disk: the target is switched on, with its disks as they are,
# and boots in that way.
rig_on() {
	local name=$1 d n=0 drive card slot place args=()

	read -r drive card slot <<<"${rig_parts[$name]}"
	case ${rig_firmware[$name]} in
	uefi)
		args+=(-machine q35
			-drive "if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"
			-drive "if=pflash,unit=1,format=raw,file=$dir/$name.vars")
		;;
	*) args+=(-machine pc) ;;
	esac
	for d in "$dir/$name".disk?; do
		place=addr=$((16 + n))
		[[ $drive != ide-hd ]] || place=bus=ide.$n
		args+=(-drive "if=none,id=d$n,file=$d,format=raw,cache=unsafe,discard=unmap"
			-device "$drive,drive=d$n,serial=$name-$n,bootindex=$((n + 1)),$place")
		n=$((n + 1))
	done
	case $2 in
	cd)
		args+=(-drive "if=none,id=cd,media=cdrom,format=raw,readonly=on,file=$dir/r/rescue.iso"
			-device "virtio-scsi-pci,addr=8"
			-device "scsi-cd,drive=cd,bootindex=9")
		;;
	kernel)
		args+=(-kernel "$dir/r/kernel" -initrd "$dir/r/initramfs"
			-append "$(sed -n 's/^kernel kernel initrd=initramfs //p' \
				"$dir/r/rescue.ipxe")")
		;;
	esac
	[[ $2 == kernel ]] || args+=(-action reboot=reset)
	rm -f "$dir/$name.mon"
	machine "$name" 768 "${args[@]}" -device virtio-rng-pci \
		-netdev "tap,id=n0,ifname=$name,script=no,downscript=no,vnet_hdr=off" \
		-device "$card,netdev=n0,romfile=,addr=$slot,mac=$(
			rig_mac "${rig_number[$name]}")"
	rig_pid[$name]=$machine_pid
}

# rig_reboot NAME: by the rescue system.
rig_reboot() {
	on "$1" reboot 2>/dev/null || :
}

# rig_from_disk NAME: QEMU, which had loaded the rescue system, ends by itself; then
# the machine starts from its disks.
rig_from_disk() {
	ends "${rig_pid[$1]}" 300
	rig_on "$1" disk
}

# rig_off NAME: the target is off, at once.
rig_off() {
	kill "${rig_pid[$1]}" 2>/dev/null || :
	ends "${rig_pid[$1]}" 60
}

# on_moved CMD: on the machine that has moved to the address that the first target
# got by DHCP, with the keys of the source.
on_moved() {
	timeout -k 5 120 ssh -F "$dir/ssh_config" -o HostName=192.0.2.16 old \
		"$@" </dev/null
}

# ---- rehearsals ------------------------------------------------------------

# What the throwaway machine runs first.
# shellcheck disable=SC2034 # for the tests
rehearsed=(--kernel "$debian"/boot/vmlinuz-* --modules "$debian"/lib/modules/*)

# rehearsal_is STEP: of the last one started in the background; for wait_for.
rehearsal_is() {
	grep -q "^rehearsal: $1" "$dir/log/rehost.$rehost_n.log"
}

# no_rehearsal: no process and no folder of one is left by this test, which has a
# network of its own; other tests may be at work. For wait_for.
no_rehearsal() {
	local at

	! pgrep --ns $$ --nslist net -f '[/]rehost-rehearsal\.' >/dev/null ||
		return
	for at in /var/tmp/rehost-rehearsal.*; do
		[[ ! -e $at ]] || pgrep -f "$at" >/dev/null || return
	done
}

# ---- the network -----------------------------------------------------------

# rig_port NAME: the port of the bridge where "old" or a target is.
rig_port() {
	if [[ $1 == old ]]; then
		echo "$rig_source"
	else
		echo "$1"
	fi
}

# rig_cut NAME: nothing reaches it, nothing comes from it. It sees no difference.
rig_cut() {
	ip link set "$(rig_port "$1")" nomaster
}

rig_heal() {
	ip link set "$(rig_port "$1")" master "$MACHINE_NET"
}

# rig_apart on|off NAME...: these do not reach each other; this machine, with clients
# and witness, reaches all of them.
rig_apart() {
	local name

	for name in "${@:2}"; do
		ip link set "$(rig_port "$name")" type bridge_slave isolated "$1"
	done
}

# ---- clients ---------------------------------------------------------------

# What they have seen is in $dir/web and $dir/pg. Both go on through any change of
# the machine that has the address.
rig_clients=()

rig_client_start() {
	local pid

	"$pgclient" init $moved
	: >"$dir/web"
	"$vm/webclient" run "$dir/web" http://$moved/boot \
		2>"$dir/log/webclient.log" &
	pid=$!
	background+=("$pid")
	rig_clients=("$pid")
	PGCLIENT_PAUSE=0.1 "$pgclient" run "$dir/pg" 2 $moved &
	pid=$!
	background+=("$pid")
	rig_clients+=("$pid")
	rig_client_goes_on 10
}

rig_has_more() {
	(($("$pgclient" count "$dir/pg") >= $1 &&
		$("$vm/webclient" answers "$dir/web" |
			awk '{ n += $4 } END { print n + 0 }') >= $2))
}

# rig_client_goes_on [N]: both get N more answers.
rig_client_goes_on() {
	local pg web

	pg=$("$pgclient" count "$dir/pg")
	web=$("$vm/webclient" answers "$dir/web" |
		awk '{ n += $4 } END { print n + 0 }')
	wait_for 300 rig_has_more $((pg + ${1-10})) $((web + ${1-10}))
}

rig_client_stop() {
	local pid

	"$pgclient" stop "$dir/pg"
	kill "${rig_clients[0]}"
	for pid in "${rig_clients[@]}"; do
		wait "$pid" || fail "a client failed"
	done
}

# rig_client_check BOOT...: just these boots have answered, one after the other; all
# that the database acknowledged is in it, and nothing that was not sent. Prints how
# long no answer came. For stopped clients.
rig_client_check() {
	local gap begin end

	expect_same "$(printf '%s\n' "$@")" \
		"$("$vm/webclient" answers "$dir/web" | cut -d' ' -f1)" \
		"boots that answered"
	expect_exit 0 "$pgclient" compare "$dir/pg" $moved
	say "the database: $out"
	read -r gap begin end < <("$vm/webclient" outage "$dir/web")
	rig_outage=$gap
	say "longest time without an answer: nginx $gap ms (from $begin to $end); PostgreSQL: $("$pgclient" pauses "$dir/pg" | sed 's/.*=//') ms"
}
# shellcheck disable=SC2034 # for the tests
rig_outage=

# ---- the witness -----------------------------------------------------------

rig_witness_pid=

rig_witness_start() {
	[[ -x $dir/witness ]] || "${CC:-cc}" -std=gnu17 -D_GNU_SOURCE -O2 -Wall \
		-Wextra -o "$dir/witness" "$vm/witness.c" || fail "no witness"
	: >"$dir/log/witness"
	"$dir/witness" "$MACHINE_NET" $moved >"$dir/log/witness" \
		2>"$dir/log/witness.err" &
	rig_witness_pid=$!
	background+=("$rig_witness_pid")
	wait_for 30 grep -qx ready "$dir/log/witness"
}

# rig_witness_stop: its exit status is in rig_verdict; see witness.c.
rig_verdict=
rig_witness_stop() {
	rig_verdict=0
	kill "$rig_witness_pid"
	wait "$rig_witness_pid" || rig_verdict=$?
}

# rig_witness_check MAC...: ends it; these had the address, one after the other, and
# nobody else had it. After a way back the source is named again.
rig_witness_check() {
	local lives="one life"

	[[ -z $(printf '%s\n' "$@" | sort | uniq -d) ]] || lives="two lives"
	rig_witness_stop
	((rig_verdict < 2)) || fail "witness: $(<"$dir/log/witness.err")"
	sed -n 's/^reign /  /p' "$dir/log/witness"
	expect_same "$(printf '%s\n' "$@" "missed 0" "$lives")" \
		"$(sed -n '/^ready$/d; s/^reign \([^ ]*\) .*/\1/; p' \
			"$dir/log/witness")" "who had $moved"
}
