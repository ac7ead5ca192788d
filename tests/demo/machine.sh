#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A live move of a whole machine from beginning to end: Debian 12 with a web server
# and a database, both in use, moves to a blank machine beside it, which takes over
# its address. Then the page is served by the new one, and all that the database
# acknowledged to its clients is counted there. Takes some minutes, and some more
# the first time, and leaves nothing behind but what it built. Ends with 0 only if
# all is right.
#
# Both machines are emulated by QEMU, in a network of their own that leads nowhere
# (tests/vm/net). REHOST=FILE demonstrates that program and builds none;
# REHOST_CACHE is where the image of the machine is built and kept (cache/), and
# REHOST_MIRROR the Debian mirror for it; TMPDIR is where the machines' disks are
# (/var/tmp).
# shellcheck source=lib.bash
. "$(dirname "$0")/lib.bash"

export REHOST_CACHE=${REHOST_CACHE:-$top/cache}
REHOST_CACHE=$(readlink -m "$REHOST_CACHE")
vm=$top/tests/vm
memory=2560

# What is needed where, in MiB, by where the filesystem is mounted.
declare -A needed=()
need() { # MIB FOLDER
	local at=$2 fs

	while [[ ! -d $at ]]; do
		at=$(dirname "$at")
	done
	fs=$(df --output=target "$at" | tail -n 1)
	needed[$fs]=$((${needed[$fs]-0} + $1))
}

check_room() {
	local fs free gib

	for fs in "${!needed[@]}"; do
		free=$(($(df --output=avail -k "$fs" | tail -n 1) >> 10))
		gib=$(((${needed[$fs]} + 1023) >> 10))
		say "free on $fs: $((free >> 10)) GiB, of which up to $gib are used"
		((free > ${needed[$fs]})) ||
			die "needs $gib GiB free on $fs (TMPDIR and REHOST_CACHE choose where)"
	done
	free=$(($(sed -n 's/^MemAvailable: *\([0-9]*\) kB$/\1/p' /proc/meminfo) >> 10))
	say "free memory: $free MiB, of which up to $memory are used"
	((free > memory)) ||
		die "needs $memory MiB of free memory, for two machines"
	# Its module is loaded when it is opened.
	if [[ ! -c /dev/net/tun ]] || ! (: <>/dev/net/tun) 2>/dev/null; then
		die "needs /dev/net/tun, for the machines' network"
	fi
}

printf '%srehost demo: a running machine moves to a blank one while it is in use%s\n' \
	"$bold" "$plain"
demo_begin "it makes a network and loop devices"

# ---- 1 ---------------------------------------------------------------------

step "1. Room, tools and build"
built=$(find "$REHOST_CACHE/vm" -maxdepth 1 -name 'bios-*' -type d 2>/dev/null) || :
need 3072 "$dir"
[[ $built ]] || need 5120 "$REHOST_CACHE"
if [[ -z ${REHOST-} ]]; then
	need 512 "$BUILD_DIR"
	command -v qemu-system-x86_64 mmdebstrap >/dev/null || need 2560 /
fi
check_room
build

# ---- 2 ---------------------------------------------------------------------

step "2. The image of the machine that is to move"
if [[ $built ]]; then
	say "it is there, from an earlier time, and built anew if it is not up to date"
else
	say "built once, from Debian's packages, and booted once: takes three to ten" \
		"minutes, as the mirror is fast; kept in $REHOST_CACHE"
fi
kept="What was built stays, for the next time: $REHOST_CACHE"
t=$SECONDS
quietly kernel "$vm/guest" kernel
quietly image "$vm/machine" state bios
((SECONDS < t + 20)) || say "done after $((SECONDS - t)) s"

# ---- the rest --------------------------------------------------------------

began=$SECONDS
# Its folder is within, and goes with this one.
begin env TMPDIR="$dir" DEMO_DIR="$dir" REHOST="$rehost" \
	"$vm/net" with /bin/bash "$top/tests/demo/machine_net.sh"
finished || exit
