# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the tests of the rescue system: all of tests/functional/lib.sh, and
# blank machines that boot what "rehost rescue build" made.
NOLAB=1
# shellcheck source-path=SCRIPTDIR source=../functional/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../functional/lib.sh"

# The library's end takes down what this names.
lab=$top/tests/vm/guest
mkdir -p "$dir/log"
debian=$("$lab" kernel) || fail "no kernel"
ssh-keygen -q -t ed25519 -N '' -C test -f "$dir/key"

# rescue_build FOLDER [FLAG...]: with Debian's kernel, for the key of the test.
rescue_build() {
	local folder=$1

	shift
	"$REHOST" rescue build -q -o "$folder" --kernel "$debian"/boot/vmlinuz-* \
		--modules "$debian"/lib/modules/* \
		--authorized-keys "$dir/key.pub" "$@"
}

# machine NAME MIB ARGUMENT...: starts QEMU, which ends when the machine does or
# wants to boot again, and after machine_life seconds. Its pid is in machine_pid, its
# disks are where the test puts them.
machine_pid=
machine_life=900
machine() {
	local name=$1 mib=$2

	shift 2
	# Some machines need a smaller or greater set of instructions; this is
	# the least.
	timeout -k 5 "$machine_life" qemu-system-x86_64 -nodefaults -display none -smp 2 \
		-m "$mib" -accel tcg,thread=multi,tb-size=256 -cpu qemu64 \
		-no-reboot -serial "file:$dir/log/$name.console" \
		-monitor "unix:$dir/$name.mon,server=on,wait=off" "$@" \
		</dev/null >"$dir/log/$name.qemu" 2>&1 &
	machine_pid=$!
	background+=("$machine_pid")
	wait_for 30 test -S "$dir/$name.mon"
}

# host NAME FOLDER ADDRESS [PORT]: ssh to NAME goes there, and takes the host key
# of that build alone. Without a port it is the one that QEMU passes on.
host() {
	local port=${4-}

	[[ -n $port ]] || port=$(port_of "$1")
	cat >>"$dir/ssh_config" <<-END
		Host $1
		  HostName $3
		  Port $port
		  User root
		  IdentityFile "$dir/key"
		  IdentitiesOnly yes
		  BatchMode yes
		  ConnectTimeout 60
		  UserKnownHostsFile "$2/known_hosts"
		  GlobalKnownHostsFile /dev/null
		  StrictHostKeyChecking yes
		  LogLevel ERROR
	END
}

port_of() {
	echo info usernet | socat -T5 - "unix:$dir/$1.mon" |
		sed -n 's/.*HOST_FORWARD\] *[0-9]* *127\.0\.0\.1 *\([0-9]*\) .*/\1/p'
}

on() {
	timeout -k 5 120 ssh -F "$dir/ssh_config" "$@" </dev/null
}

# QEMU takes connections before the machine does, so this may fail for long.
answers() {
	timeout -k 1 20 ssh -F "$dir/ssh_config" -o ConnectTimeout=15 "$1" true \
		</dev/null
}

# up NAME: waits until ssh answers, and says after how many seconds of the
# machine's own.
up() {
	wait_for 300 answers "$1"
	say "$1: ssh answers $(on "$1" cut -d. -f1 /proc/uptime) s after the kernel's start"
}

# ends PID SECONDS: QEMU ends by itself.
ends() {
	wait_for "$2" not_running "$1"
}
