# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the tests of whole machines: all of rescue_lib.sh, with the machines
# of tests/vm/machine that $MACHINES names as sources, and blank ones that run the
# rescue system as targets.
# shellcheck source-path=SCRIPTDIR source=rescue_lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/rescue_lib.sh"

machines=$top/tests/vm/machine
code=0
trap 'code=$?; "$machines" down "$dir/m"; finish $code' EXIT

# targets: two blank machines begin to boot. "blank" has BIOS and a virtio disk,
# "bare" has UEFI, an AHCI disk and another network card.
targets() {
	rescue_build "$dir/r" --no-media
	truncate -s 4G "$dir/blank.raw" "$dir/bare.raw"
	machine blank 256 -machine pc "${boot[@]}" \
		-drive "if=none,id=d1,format=raw,file=$dir/blank.raw,cache=unsafe" \
		-device virtio-blk-pci,drive=d1,serial=blank-0 \
		-device virtio-net-pci,netdev=n0,romfile=
	machine bare 512 -machine q35 "${boot[@]}" -drive \
		"if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd" \
		-drive "if=none,id=d1,format=raw,file=$dir/bare.raw,cache=unsafe" \
		-device ide-hd,drive=d1,bus=ide.0,serial=bare-0 \
		-device e1000e,netdev=n0,romfile=
	host blank "$dir/r" 127.0.0.1
	host bare "$dir/r" 127.0.0.1
}
boot=(-kernel "$dir/r/kernel" -initrd "$dir/r/initramfs"
	-netdev 'user,id=n0,hostfwd=tcp:127.0.0.1:0-:22')

# sources NAME...
sources() {
	"$machines" up "$dir/m" "$@" || fail "no machines"
	cat "$dir/m/ssh_config" >>"$dir/ssh_config"
}

# ---- facts -----------------------------------------------------------------

# Milliseconds of processor time that a machine has spent so far.
spent() {
	on "$1" cat /proc/stat | awk '/^cpu /{
		print ($2 + $3 + $4 + $7 + $8) * 10 }'
}

# ask NAME: what rehost says of it to $dir/NAME.facts, what its own programs say to
# $dir/NAME.own/.
ask() {
	local name=$1 before after

	before=$(spent "$name")
	rehost_run inspect --format json --sample 500ms "$name" \
		>"$dir/$name.facts"
	after=$(spent "$name")
	say "$name: inspect took $((after - before - ($(spent "$name") - after))) ms of its processor time"
	mkdir "$dir/$name.own"
	on "$name" "$(declare -f tell); tell" | tar -xC "$dir/$name.own"
	facts=$dir/$name.facts own=$dir/$name.own
}

# Runs in the machine.
tell() {
	mkdir /run/own
	cd /run/own || exit
	lsblk -Jb -o NAME,KNAME,PATH,TYPE,SIZE,PTTYPE,MAJ:MIN >disks
	blkid >content
	findmnt -Jb --real -o TARGET,SOURCE,FSTYPE,SIZE,UUID,FSROOT >mounts
	swapon --show=NAME,TYPE,SIZE --bytes --noheadings --raw >swap
	ip -j addr >addresses
	ip -j route >routes
	ss -Hltnp >tcp
	systemctl list-units --type=service --state=running --plain \
		--no-legend | cut -d' ' -f1 | grep -v fsckd | sort >running
	cat /proc/cmdline >cmdline
	uname -r >release
	[ ! -d /boot/efi ] || find /boot/efi -type f -printf '%P\n' >esp
	[ ! -b /dev/md0 ] || mdadm --detail --export /dev/md0 >md
	[ ! -b /dev/mapper/cryptroot ] || cryptsetup status cryptroot >crypt
	tar -c .
}

# is FILTER VALUE, of what was asked last
is() {
	expect_same "$2" "$(jq -r "$1" "$facts")" "$1"
}

# same NAME FILTER FILTER: what rehost says, and what the machine says in NAME
same() {
	expect_same "$(jq -r "$3" "$own/$1" | sort -u)" \
		"$(jq -r "$2" "$facts" | sort -u)" "$1"
}

# agrees: what is the same for all machines.
agrees() {
	local release

	release=$(<"$own/release")
	is .root true
	is '.missing | map(select(.what | test("DMI|rtc") | not))' '[]'
	is .system.hostname "$1"
	is .system.distribution.id,.system.distribution.version $'debian\n12'
	is .system.kernel.release "$release"
	is .system.virtualization.machine qemu
	is .system.init systemd
	same disks '.disks[] | select(.kind != "loop") |
		"\(.path) \(.number) \(.size)"' \
		'.. | objects | select(.path) |
			"\(.path) \(."maj:min") \(.size)"'
	same disks '.disks[] as $d | $d.parents[]? |
			"\(.) \($d.number)"' \
		'.. | objects | select(.children) as $p | .children[] |
			"\($p.kname) \(."maj:min")"'
	expect_same "$(sed -nE 's/^([^:]*):.* UUID="([^"]*)".* TYPE="([^"]*)".*/\1 \2 \3/p' \
		"$own/content" | sort)" \
		"$(jq -r '.disks[] | select(.content.uuid) |
			"\(.path) \(.content.uuid) \(.content.type)"' \
			"$facts" | sort)" content
	same mounts '.filesystems[] |
		"\(.mount) \(.type) \(.size) \(.uuid)"' \
		'.. | objects | select(.target) |
			"\(.target) \(.fstype) \(.size) \(.uuid)"'
	expect_same "$(sort "$own/swap")" "$(jq -r '.swap[] |
		"\(.path) \(.kind) \(.size)"' "$facts" | sort)" swap
	same addresses '.network.interfaces[] | select(.kind != "loopback") |
			"\(.name) \(.mac) \(.mtu) \(.addresses[])"' \
		'.[] | select(.link_type == "ether") | . as $i |
			.addr_info[] |
			"\($i.ifname) \($i.address) \($i.mtu) \(.local)/\(.prefixlen)"'
	same routes '.network.routes[] | select(.family == 4) |
			"\(.to) \(.via // "-") \(.interface)"' \
		'.[] | "\(.dst) \(.gateway // "-") \(.dev)"'
	expect_same "$(sed -E 's/^LISTEN +[0-9]+ +[0-9]+ +([^ ]+):([0-9]+) .*users:\(\("([^"]*)".*/\1 \2 \3/; s/^\*|\[|\]|%[a-z0-9]+//g' \
		"$own/tcp" | sort -u)" \
		"$(jq -r '.ports[] | select(.protocol == "tcp") |
			"\(.address) \(.port) \(.program)"' "$facts" |
			sort -u)" ports
	# Who checks filesystems comes and goes.
	expect_same "$(<"$own/running")" "$(jq -r '.services[] |
		select(.running and .kind == "systemd") | .name' "$facts" |
		grep '\.service$' | grep -v fsckd | sort)" "services that run"
	is .boot.default.kernel "/boot/vmlinuz-$release"
	is .boot.default.initramfs "/boot/initrd.img-$release"
	is '.kernels[] | select(.default and .running) |
		"\(.release) \(.initramfs_kind) \(.initramfs_compression)"' \
		"$release initramfs-tools zstd"
	is .boot.default.root "$(sed -E 's/.*root=([^ ]*).*/\1/' "$own/cmdline")"
	is .boot.default.command_line \
		"$(sed -E 's/BOOT_IMAGE=[^ ]* //' "$own/cmdline")"
	is '.boot.default.disk == (.filesystems[] | select(.mount == "/") |
		.disk)' true
}

# in_initramfs MODULE...: and what is not.
in_initramfs() {
	local names="$*"

	is "(\"$names\" / \" \") - (.kernels[] | select(.default) |
		.initramfs_modules)" '[]'
}

# ---- plans -----------------------------------------------------------------

# plan SOURCE TARGET LINE...: it has just these findings. How late a guest of a
# busy machine learns the time is no matter here.
plan() {
	local found="$dir/$1-$2.findings"

	XDG_STATE_HOME=$dir/state "$REHOST" plan -F "$dir/ssh_config" "$1" \
		"$2" --sample 0 --format json -o "$dir/$1-$2.yaml" \
		>"$found" || :
	expect_same "$(printf '%s\n' "${@:3}" | sort)" \
		"$(jq -r '.findings[] | select(.name != "clock-off") |
			"\(.severity) \(.host) \(.name)"' \
			"$found" | sort)" "plan of $1 to $2: $(jq -c .findings "$found")"
	rm "$dir/$1-$2.yaml"
}
