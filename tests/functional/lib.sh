# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the functional tests. Gives a folder of its own ($dir), a lab with
# the hosts old and new (unless NOLAB=1 or HOSTS says otherwise), and helpers.
# Whatever happens, the lab is taken down at the end; the folder stays only
# after a failure.
set -eEuo pipefail
PATH=$PATH:/usr/sbin:/sbin

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
lab=$top/tests/lab/lab
: "${REHOST:=$top/build/rehost}"
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/rehost-test.XXXXXX")
out=
# Processes of the test that are to end with it.
background=()

say() {
	printf -- '- %s\n' "$*"
}

fail() {
	echo "FAIL: $*" >>"$dir/why"
	exit 1
}

# Exit status 77 means skipped, as meson has it.
skip() {
	printf 'skipped: %s\n' "$*"
	exit 77
}

# Called at the end; $1 is the status of the test.
finish() {
	local f

	trap '' INT TERM HUP
	trap - EXIT
	set +e
	if (($1 != 0 && $1 != 77)); then
		{
			[[ -z $out ]] || printf 'last output:\n%s\n' "$out"
			for f in "$dir"/log/* "$dir"/state/rehost/*.log; do
				[[ ! -s $f ]] || {
					printf -- '---- %s\n' "$f"
					tail -n 30 "$f"
				}
			done
			cat "$dir/why" 2>/dev/null
		} >&2
	fi
	# One that has ended may have left its number to somebody else's process.
	for f in "${background[@]}"; do
		[[ $(ps -o ppid= -p "$f") -ne $$ ]] || kill "$f" 2>/dev/null
	done
	timeout -k 5 90 "$lab" down "$dir" || set -- 1
	if (($1 == 0 || $1 == 77)); then
		rm -rf "$dir"
	else
		echo "left for reading: $dir" >&2
	fi
	exit "$1"
}
trap 'finish $?' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap 'echo "FAIL: line $LINENO: $BASH_COMMAND" >>"$dir/why"' ERR

# shellcheck disable=SC2034 # for the tests
LAB_ID='' LAB_ADDR4_old='' LAB_ADDR6_old='' LAB_ADDR4_new='' LAB_ADDR6_new=''
if [[ -z ${NOLAB-} ]]; then
	# shellcheck disable=SC2086 # a list of names
	LAB_OWNER=$$ timeout -k 5 60 "$lab" up "$dir" ${HOSTS:-old new} ||
		fail "no lab"
	# shellcheck source=/dev/null
	. "$dir/env"
fi

# ---- running and checking --------------------------------------------------

# on HOST CMD...: in the lab's host.
on() {
	"$lab" run "$dir" "$@"
}

# on_sh HOST SCRIPT [ARG...]
on_sh() {
	"$lab" run "$dir" "$1" /bin/sh -euc "$2" sh "${@:3}"
}

# rehost_run COMMAND [FLAG or ARG...]: with the lab's ssh and an own store.
# With NO_F=1 no -F is passed, for commands that reach no host.
rehost_run() {
	local command=$1
	local -a config=(-F "$dir/ssh_config")

	shift
	[[ -z ${NO_F-} ]] || config=()
	XDG_STATE_HOME=$dir/state "$REHOST" "$command" "${config[@]}" "$@"
}

# expect_exit CODE CMD...: its stdout and stderr are in $out.
expect_exit() {
	local want=$1 got=0

	shift
	out=$("$@" 2>&1 </dev/null) || got=$?
	((got == want)) || fail "exit $got, not $want: $*"
}

# expect_out PATTERN: $out has a line that matches the extended expression.
expect_out() {
	grep -qE -e "$1" <<<"$out" || fail "no \"$1\" in the output"
}

expect_no_out() {
	if grep -qE -e "$1" <<<"$out"; then
		fail "\"$1\" in the output"
	fi
}

expect_same() {
	[[ $1 == "$2" ]] || fail "${3:-differs}: $(diff <(echo "$1") \
		<(echo "$2") | head -n 20)"
}

# wait_for SECONDS CMD...: between two tries it rests for a tenth of the time waited
# so far (0.05 to 1 s), as asking takes time from the machine that is waited for.
wait_for() {
	local began=${EPOCHREALTIME/./} limit=$1 waited pause

	shift
	until (trap - ERR && "$@") >/dev/null 2>&1; do
		waited=$((${EPOCHREALTIME/./} - began))
		((waited < limit * 1000000)) || fail "waited for: $*"
		pause=$((waited < 500000 ? 50 : waited > 10000000 ? 1000 : waited / 10000))
		printf -v pause '%d.%03d' $((pause / 1000)) $((pause % 1000))
		sleep "$pause"
	done
}

# ---- disks and filesystems -------------------------------------------------

disk() {
	timeout 30 "$lab" disk "$dir" "$@"
}

# mkfs_on HOST NAME ext4|xfs|btrfs [OPTION...]
mkfs_on() {
	local host=$1 node=/dev/$2 type=$3

	shift 3
	case $type in
	ext4) on "$host" mkfs.ext4 -q -F "$@" "$node" ;;
	xfs) on "$host" mkfs.xfs -q -f "$@" "$node" ;;
	btrfs) on "$host" mkfs.btrfs -q -f "$@" "$node" >/dev/null ;;
	*) fail "no filesystem $type" ;;
	esac
}

mount_on() {
	on "$1" mkdir -p "$3"
	on "$1" mount "${@:4}" "/dev/$2" "$3"
}

# fsck_on HOST NAME TYPE: the unmounted filesystem is consistent.
fsck_on() {
	case $3 in
	ext4) on "$1" e2fsck -fn "/dev/$2" ;;
	xfs) on "$1" xfs_repair -n "/dev/$2" ;;
	btrfs) on "$1" btrfs check --readonly "/dev/$2" ;;
	esac >"$dir/log/fsck.$1.$2.log" 2>&1 ||
		fail "fsck of $2 on $1: $(tail -n 5 "$dir/log/fsck.$1.$2.log")"
}

digest_on() {
	on_sh "$1" "dd if=/dev/$2 bs=1M iflag=direct status=none | sha256sum"
}

# What `manifest` runs, also inside hosts. The size and the links of a folder
# are its filesystem's own business.
manifest_script='
cd "$1"
find . -xdev ! -path ./lost+found -printf "%P\t%y\t%m\t%U:%G\t%T@\t%l\n" |
	LC_ALL=C sort
find . -xdev ! -type d -printf "%P\t%n\t%s\n" | LC_ALL=C sort
find . -xdev -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum
if command -v getfattr >/dev/null; then
	find . -xdev -print0 | LC_ALL=C sort -z |
		xargs -0r getfattr -hdm - --absolute-names 2>/dev/null
fi
'

# manifest DIR; manifest_on HOST DIR
manifest() {
	/bin/sh -euc "$manifest_script" sh "$1"
}

manifest_on() {
	on "$1" /bin/sh -euc "$manifest_script" sh "$2"
}

# populate HOST FOLDER MIB: random bytes, and some 300 small things.
populate() {
	on_sh "$1" '
		cd "$1"
		mkdir -p p/deep/er
		head -c "$2" /dev/urandom >p/noise
		for i in $(seq 100); do
			seq $((i * 40)) >p/deep/$i
			ln -s ../$i p/deep/er/$i
			ln p/deep/$i p/deep/er/hard$i
		done
		truncate -s 5M p/hole
		setfattr -n user.x -v y p/noise 2>/dev/null || :
		chmod 6751 p/deep/7
		chown 12:34 p/deep/8
		sync -f .' "$2" "$3M"
}

# ---- writers ---------------------------------------------------------------

# Runs in the host, as one process group for each writer. All of them stay
# within about 100 MiB and 300 files together and go on until they are killed.
writers_script='
mount=$1
mkdir -p /run/writers
cd "$mount"
start() {
	name=$1
	shift
	setsid /bin/sh -c "echo \$\$ >/run/writers/$name.pid; $1" \
		</dev/null >>/run/writers/$name.log 2>&1 &
}
fio="fio --directory=. --time_based --runtime=3600 --rw=randwrite --bs=4k \
	--size=16m --rate_iops=2000 --randrepeat=0 --thread --eta=never"
for w in $2; do
	case $w in
	buffered) start $w "exec $fio --name=w-buffered --ioengine=psync \
		--fsync=64" ;;
	direct) start $w "exec $fio --name=w-direct --ioengine=psync \
		--direct=1" ;;
	mmap) start $w "exec $fio --name=w-mmap --ioengine=mmap --fsync=128" ;;
	sqlite) start $w "n=0
		sqlite3 w-sqlite.db \"pragma journal_mode=wal;
			create table if not exists t(n integer primary key, b);\"
		while :; do
			n=\$((n + 1))
			sqlite3 w-sqlite.db \"pragma synchronous=full;
				pragma busy_timeout=10000; begin;
				insert into t(b) values(randomblob(2000));
				delete from t where n < \
				(select max(n) from t) - 2000; commit;\" &&
				echo \$n >/run/writers/sqlite.committed
		done" ;;
	files) start $w "mkdir -p w-files; n=0
		while :; do
			n=\$(((n + 1) % 200))
			head -c \$((n * 300)) /dev/urandom >w-files/new
			chmod 6\$((n % 8))4 w-files/new
			mv w-files/new w-files/\$n
			cp w-files/\$n w-files/copy
			ln -sf \$n w-files/link
			rm -f w-files/\$(((n + 100) % 200))
		done" ;;
	punch) start $w "while :; do
			fallocate -l 8M w-punch
			dd if=/dev/urandom of=w-punch bs=1M count=6 \
				conv=notrunc status=none
			fallocate -p -o 1M -l 3M w-punch
			fallocate -z -o 5M -l 1M w-punch
			sync -f .
			truncate -s 0 w-punch
		done" ;;
	trim) start $w "while :; do fstrim . || :; sleep 0.3; done" ;;
	esac
done
'

all_writers="buffered direct mmap sqlite files punch trim"

# writers_start HOST MOUNT [WRITER...]
writers_start() {
	local host=$1 mount=$2 w

	shift 2
	(($#)) || eval "set -- $all_writers"
	writers_host=$host
	on "$host" /bin/sh -uc "$writers_script" sh "$mount" "$*"
	for w; do
		wait_for 10 on "$host" test -s "/run/writers/$w.pid"
	done
}

# A frozen filesystem holds writers in state D: they die only after the thaw.
writers_stop() {
	on_sh "$writers_host" '
		cd /run/writers 2>/dev/null || exit 0
		for f in *.pid; do
			[ ! -f $f ] || kill -s KILL -- -$(cat $f) 2>/dev/null || :
		done'
	wait_for 30 writers_are_gone
	on "$writers_host" rm -rf /run/writers
}

writers_are_gone() {
	on_sh "$writers_host" '
		for f in /run/writers/*.pid; do
			[ -f $f ] || continue
			! pgrep -g $(cat $f) >/dev/null || exit 1
		done'
}

# Every writer still lives and has written no error.
writers_check() {
	on_sh "$writers_host" '
		for f in /run/writers/*.pid; do
			pgrep -g $(cat $f) >/dev/null || {
				echo "$f has ended"
				tail -n 5 ${f%.pid}.log
				exit 1
			}
		done' || fail "a writer has ended"
}

# ---- moves -----------------------------------------------------------------

# The last one started in the background, and the number of the next.
rehost_pid=
rehost_n=0

# rehost_start COMMAND [FLAG or ARG...]: in the background.
rehost_start() {
	rehost_n=$((rehost_n + 1))
	# The number is to be that of rehost itself: it gets signals.
	local -a config=(-F "$dir/ssh_config")

	[[ -z ${NO_F-} ]] || config=()
	XDG_STATE_HOME=$dir/state "$REHOST" "$1" "${config[@]}" "${@:2}" \
		>"$dir/log/rehost.$rehost_n.log" 2>&1 </dev/null &
	rehost_pid=$!
	background+=("$rehost_pid")
}

# rehost_wait SECONDS CODE: the one in the background ends like this; what it
# said is in $out.
rehost_wait() {
	local got=0

	wait_for "$1" not_running "$rehost_pid"
	wait "$rehost_pid" || got=$?
	out=$(<"$dir/log/rehost.$rehost_n.log")
	((got == $2)) || fail "exit $got, not $2"
}

not_running() {
	! kill -0 "$1" 2>/dev/null || [[ $(ps -o stat= -p "$1") == Z* ]]
}

# report_of NAME FILTER: from its report, by jq.
report_of() {
	NO_F=1 rehost_run report --format json "$1" | jq -r "$2"
}

# report_is NAME FILTER VALUE
report_is() {
	local v

	v=$(report_of "$1" "$2")
	[[ $v == "$3" ]] || fail "report of $1: $2 is '$v', not '$3'"
}

# status_is NAME FILTER VALUE: for wait_for.
status_is() {
	[[ $(NO_F=1 rehost_run status --format json "$1" | jq -r "$2") == \
		"$3" ]]
}

# rounds_are NAME N: at least so many rounds are over, for wait_for.
rounds_are() {
	(($(NO_F=1 rehost_run report --format json "$1" |
		jq '.rounds | length') >= $2))
}

# Numbers that rehost made from its own, for what it may leave behind: the
# name of a keeper's trace instance comes from the key of its move.
trace_instance() {
	sqlite3 -readonly "$dir/state/rehost/rehost.db" \
		"select hex(key) from moves where name='$1'" |
		xxd -r -p | sha256sum | sed 's/^\(.\{16\}\).*/rehost-\1/'
}

is_clean() {
	# shellcheck disable=SC2016 # for the host's shell
	on_sh "$1" '
		! pgrep -x "rehost-agent|rehost-keeper" >/dev/null || exit 1
		! grep -q "@rehost/" /proc/net/unix || exit 1
		for f in /dev/shm /run /tmp /var/tmp /root; do
			set -- $f/.rehost*
			[ ! -e $1 ] || exit 1
		done
		[ ! -e /var/lib/rehost ]'
}

# expect_clean HOST [MOVE...]: soon nothing of rehost is on it.
expect_clean() {
	local host=$1 m

	shift
	wait_for 15 is_clean "$host"
	for m; do
		wait_for 5 on "$host" test ! -e \
			"/sys/kernel/tracing/instances/$(trace_instance "$m")"
	done
}

# is_writable HOST FOLDER: a write reaches the disk. What tries to write to a
# frozen filesystem cannot be ended, and must not be waited for.
is_writable() {
	# shellcheck disable=SC2016 # for the host's shell
	on_sh "$1" '
		p=/run/probe.$$
		(echo x >$1/.probe && sync -f $1 && rm $1/.probe && : >$p) \
			</dev/null >/dev/null 2>&1 &
		for i in $(seq 40); do
			[ ! -e $p ] || exit 0
			sleep 0.05
		done
		exit 1' "$2"
}
