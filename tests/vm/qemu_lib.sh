# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What tests/vm/guest and tests/vm/machine share: a cache of what takes long to
# build, a Debian tree, and virtual machines, each in a folder of its own. Sourced
# by them after they have set "self", and "wait" if 300 is not enough.
#
# REHOST_CACHE      where all that is built goes (cache/ in the source tree)
# REHOST_MIRROR     Debian mirror, if not the default one
# REHOST_VM_WAIT    longest wait for a guest to answer, in seconds (300; machine: 600)
# REHOST_VM_LIFE    a guest ends after this many seconds whatever happens (3600)

cache=${REHOST_CACHE:-${self%/tests/vm/*}/cache}/vm
limit=${REHOST_VM_WAIT:-${wait:-300}}
# Where ssh to guests goes, to a port that QEMU passes on.
address=127.0.0.1

die() {
	echo "${self##*/}: $*" >&2
	exit 1
}

usage() {
	sed -n '3,/^$/s/^# \?//p' "$self" >&2
	exit 2
}

# ---- the cache, and what goes in ----

# built KEY FUNCTION ARGUMENT...: sets "ret" to the folder KEY of the cache; if
# it is not there, FUNCTION makes it. It has that name only when complete.
# shellcheck disable=SC2034 # for who sources this
built() {
	local key=$1 part
	shift
	mkdir -p "$cache"
	exec 9>"$cache/$key.lock"
	flock -w 1200 9 || die "somebody else builds $key for too long"
	if [ ! -d "$cache/$key" ]; then
		[ "$(id -u)" = 0 ] || die "building $key needs root"
		[ -z "${MACHINE_NET-}" ] ||
			die "building $key needs a way to the mirror; see tests/vm/net"
		part=$cache/part.$key
		undo+=("$part")
		# What a killed build left, and what was not used for long.
		clean_up
		find "$cache" -mindepth 1 -maxdepth 1 -mtime +14 \
			-exec rm -rf --one-file-system {} +
		mkdir "$part"
		"$@" "$part" >&2
		mv -T "$part" "$cache/$key"
		undo=()
	fi
	touch "$cache/$key"
	exec 9>&-
	ret=$cache/$key
}

digest() {
	sha256sum | cut -c1-12
}

# make_tree OUT PACKAGE,...: Debian in OUT/tree, reached with OUT/key and known by
# OUT/known_hosts. It has neither a host name nor an initrd.
make_tree() {
	local out=$1 packages=$2 tree=$1/tree

	# In its own mount namespace: nothing stays mounted if it is killed.
	# INITRD=No: the initrd is made later, once, with the right modules.
	INITRD=No unshare --mount --propagation private mmdebstrap --quiet \
		--mode=root --variant=minbase --include="$packages" \
		--dpkgopt=force-unsafe-io \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		bookworm "$tree" ${REHOST_MIRROR:+"$REHOST_MIRROR"}

	ssh-keygen -q -t ed25519 -N '' -C rehost-lab -f "$out/key"
	install -d -m 700 "$tree/root/.ssh"
	cp "$out/key.pub" "$tree/root/.ssh/authorized_keys"
	rm -f "$tree"/etc/ssh/ssh_host_*
	ssh-keygen -q -t ed25519 -N '' -C '' \
		-f "$tree/etc/ssh/ssh_host_ed25519_key"
	echo "rehost-lab $(<"$tree/etc/ssh/ssh_host_ed25519_key.pub")" \
		>"$out/known_hosts"
	cat >"$tree/etc/ssh/sshd_config.d/lab.conf" <<-END
		UseDNS no
		UsePAM no
		PermitRootLogin prohibit-password
		MaxStartups 100
	END
	rm -f "$tree/etc/hostname"
	: >"$tree/etc/machine-id"
	mkdir -p "$tree/etc/systemd/journald.conf.d"
	printf '[Journal]\nStorage=volatile\n' \
		>"$tree/etc/systemd/journald.conf.d/lab.conf"
	systemctl --quiet --root="$tree" set-default multi-user.target
	# What would write to a disk on its own, or only costs time.
	systemctl --quiet --root="$tree" mask fstrim.timer apt-daily.timer \
		apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
		e2scrub_reap.service systemd-networkd-wait-online.service \
		getty@tty1.service serial-getty@ttyS0.service
}

# ---- virtual machines ----

# launch ARGUMENT...: QEMU for the guest in the current folder, in the background.
launch() {
	mkfifo mon.in mon.out
	: >qemu.log
	setsid timeout -k 5 "${REHOST_VM_LIFE:-3600}" qemu-system-x86_64 \
		-nodefaults -display none -smp 2 \
		-accel "tcg,thread=multi,tb-size=256" \
		-serial file:console.log -pidfile pid \
		-chardev "pipe,id=mon,path=mon" -mon "chardev=mon,mode=control" \
		"$@" -device virtio-rng-pci </dev/null >qemu.log 2>&1 9>&- &
}

# monitor FOLDER JSON: sends a command to QEMU, prints the answer. Opened for
# reading and writing, a pipe blocks nobody.
monitor() {
	local in out line id=$RANDOM$RANDOM
	[ -p "$1/mon.in" ] || die "no guest in $1"
	exec {in}<>"$1/mon.in" {out}<>"$1/mon.out"
	printf '%s\n' '{"execute":"qmp_capabilities"}' \
		"${2%\}},\"id\":\"$id\"}" >&"$in"
	while read -r -t 60 -u "$out" line; do
		case $line in
		*'"error"'*"\"id\": \"$id\""* | *"\"id\": \"$id\""*'"error"'*)
			die "QEMU: $line" ;;
		*"\"id\": \"$id\""*)
			printf '%s\n' "$line"
			break ;;
		esac
	done
	exec {in}>&- {out}>&-
	[[ ${line-} == *"\"id\": \"$id\""* ]] || die "QEMU in $1 does not answer"
}

# The process of the guest in folder $1, if it is ours and runs.
process_of() {
	local pid
	[ -s "$1/pid" ] && read -r pid <"$1/pid" &&
		[ "$(readlink "/proc/$pid/cwd")" = "$(readlink -f "$1")" ] &&
		echo "$pid"
}

stop() {
	local pid i
	pid=$(process_of "$1") || return 0
	kill "$pid" 2>/dev/null || return 0
	for ((i = 0; i < 100; i++)); do
		[ -e "/proc/$pid" ] || return 0
		sleep 0.1
	done
	kill -9 "$pid" 2>/dev/null || true
}

# Repeats a command until it succeeds.
await() {
	local what=$1 end=$((SECONDS + limit))
	shift
	until "$@"; do
		((SECONDS < end)) || die "$what: nothing within $limit seconds"
		sleep 0.1
	done
}

# QEMU writes its pid file when all else is set up.
started() {
	local errors
	[ ! -s "$1/pid" ] || return 0
	errors=$(grep -v warning: "$1/qemu.log") || return 1
	die "QEMU: $errors"
}

running() {
	process_of "$1" >/dev/null || die "$1: QEMU ended: $(<"$1/qemu.log")"
}

# The port that ssh to the guest in folder $1 goes to.
port_of() {
	local answer
	if [ "$address" != 127.0.0.1 ]; then
		echo 22
		return
	fi
	answer=$(monitor "$1" '{"execute":"human-monitor-command","arguments":{"command-line":"info usernet"}}')
	[[ $answer =~ HOST_FORWARD\]\ +[0-9]+\ +127\.0\.0\.1\ +([0-9]+) ]] ||
		die "no forwarded port in: $answer"
	echo "${BASH_REMATCH[1]}"
}

# QEMU accepts connections before the guest does, so wait for the banner.
banner() {
	local fd line=
	running "$1"
	{ exec {fd}<>"/dev/tcp/$address/$2"; } 2>/dev/null || return 1
	read -r -t 3 -u "$fd" line || true
	exec {fd}>&-
	[[ $line == SSH-* ]]
}

# write_ssh_config DIR IMAGE: for the guests of DIR that run, with the keys of
# the image.
write_ssh_config() {
	local dir=$1 image=$2 port names=
	install -m 600 "$image/key" "$dir/key"
	cp "$image/known_hosts" "$dir/known_hosts"
	{
		for port in "$dir"/*/port; do
			names+=" $(basename "${port%/port}")"
			printf 'Host %s\n  Port %s\n' "${names##* }" \
				"$(<"$port")"
		done
		cat <<-END
			Host$names
			  HostName $address
			  User root
			  IdentityFile "$dir/key"
			  IdentitiesOnly yes
			  HostKeyAlias rehost-lab
			  UserKnownHostsFile "$dir/known_hosts"
			  GlobalKnownHostsFile /dev/null
			  StrictHostKeyChecking yes
		END
	} >"$dir/ssh_config.part"
	mv "$dir/ssh_config.part" "$dir/ssh_config"
}

in_guest() {
	local dir=$1 name=$2
	shift 2
	ssh -F "$dir/ssh_config" -o BatchMode=yes -o ConnectTimeout=60 \
		-o ServerAliveInterval=15 -o LogLevel=ERROR "$name" "$@"
}

# booted NAME: waits for ssh to the guest in the current folder.
booted() {
	await "start of $1" started .
	port_of . >port
	await "ssh to $1" banner . "$(<port)"
}

# save DIR NAME: when the boot of DIR/NAME, the current folder, is over, and what
# every test runs is in memory, writes its state to DIR/ram and ends it.
save() {
	in_guest "$1" "$2" \
		'systemctl is-system-running --wait >/dev/null ||
			systemctl --failed --no-legend
		sync; echo 3 >/proc/sys/vm/drop_caches'
	in_guest "$1" "$2" 'cat /proc/mounts >/dev/null; ls / >/dev/null'
	monitor . '{"execute":"stop"}' >/dev/null
	monitor . '{"execute":"migrate-set-parameters","arguments":{"max-bandwidth":4000000000}}' >/dev/null
	monitor . '{"execute":"migrate","arguments":{"uri":"exec:cat >../ram"}}' >/dev/null
	await "saving $2" saved
	stop .
}

saved() {
	local answer
	running .
	answer=$(monitor . '{"execute":"query-migrate"}') || return 1
	[[ $answer != *'"status": "failed"'* ]] || die "saving failed: $answer"
	[[ $answer == *'"status": "completed"'* ]]
}

# go_on DIR IMAGE NAME...: lets guests run that were started with a saved state.
go_on() {
	local dir=$1 image=$2 name
	shift 2
	for name; do
		await "start of $name" started "$dir/$name"
		await "state of $name" loaded "$dir/$name"
		monitor "$dir/$name" '{"execute":"cont"}' >/dev/null
		port_of "$dir/$name" >"$dir/$name/port"
	done
	write_ssh_config "$dir" "$image"
	for name; do
		await "ssh to $name" banner "$dir/$name" "$(<"$dir/$name/port")"
		# The saved clock stands at the time of saving.
		in_guest "$dir" "$name" "date -s @$(date +%s.%N) >/dev/null"
	done
}

loaded() {
	local answer
	running "$1"
	answer=$(monitor "$1" '{"execute":"query-status"}') || return 1
	[[ $answer != *inmigrate* ]]
}

boot_id() {
	in_guest "$1" "$2" cat /proc/sys/kernel/random/boot_id
}

booted_again() {
	local id
	banner "$1/$2" "$(<"$1/$2/port")" && id=$(boot_id "$1" "$2") &&
		[ "$id" != "$3" ]
}

reboot() {
	local dir=$1 name=$2 before
	before=$(boot_id "$dir" "$name") || before=unknown
	monitor "$dir/$name" '{"execute":"system_reset"}' >/dev/null
	await "reboot of $name" booted_again "$dir" "$name" "$before"
	in_guest "$dir" "$name" "date -s @$(date +%s.%N) >/dev/null
		systemctl is-system-running --wait >/dev/null || true"
}

down() {
	local dir at
	[ -d "$1" ] || return 0
	dir=$(readlink -f "$1")
	for at in "$dir"/*/mon.in; do
		[ -e "$at" ] || continue
		stop "${at%/*}"
		rm -rf "${at%/*}"
	done
	rm -f "$dir"/{key,known_hosts,ssh_config}
	rmdir --ignore-fail-on-non-empty "$dir"
}

# Whatever is half done on exit goes away, with its processes.
undo=()
clean_up() {
	local d at
	for d in "${undo[@]}"; do
		for at in "$d"/mon.in "$d"/*/mon.in; do
			[ -e "$at" ] || continue
			tail -n 5 "${at%/*}/console.log" >&2 || true
			stop "${at%/*}"
		done
	done
	rm -rf --one-file-system "${undo[@]}"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP
