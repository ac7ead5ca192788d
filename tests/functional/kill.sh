#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 600
#
# Kills each process of a move at each of its phases (some of both here, all in
# long/kill.sh). Before commit the source comes back by itself; whatever was
# acknowledged is on the target in the end; two copies are never live at once.
. "$(dirname "$0")/lib.sh"

some="inspect.before:source inspect.after:controller prepare.before:target
	prepare.after:keeper seed.before:ssh seed.after:target
	follow.before:keeper follow.after:controller quiesce.before:source
	quiesce.after:keeper quiesce.after:controller quiesce.after:hook finish.after:target
	verify.before:ssh verify.after:source commit.before:keeper
	commit.before:controller commit.after:controller commit.after:keeper
	activate.before:target activate.published:controller activate.published:target
	activate.after:ssh activate.after:hook settle.before:source
	settle.after:controller"

# The writer appends numbers. What is in /run/acked was fsynced before.
writer='#!/bin/sh
n=$(tail -n 1 /data/log 2>/dev/null)
n=${n:-0}
while :; do
	n=$((n + 1))
	echo $n >>/data/log && sync /data/log && echo $n >/run/acked.new &&
		mv /run/acked.new /run/acked
done'
# Runs before the source is given back, ends when it stands; and so on: what is
# between is when a side may be live.
start_writer='pgrep -g "$(cat /run/writer 2>/dev/null || echo none)" >/dev/null 2>&1 || {
	echo $(date +%s%N) source on >>/root/witness
	setsid /root/writer </dev/null >/dev/null 2>&1 & echo $! >/run/writer; }'
stop_writer='w=$(cat /run/writer)
	kill -s KILL -- -$w 2>/dev/null
	while pgrep -g $w >/dev/null; do sleep 0.01; done
	echo $(date +%s%N) source off >>/root/witness'
# What was killed half-way is done again.
activate='echo $(date +%s%N) target on >>/root/witness
	mkdir -p /data && { mountpoint -q /data || mount /dev/vdb /data; }'
deactivate='! mountpoint -q /data || umount /data &&
	echo $(date +%s%N) target off >>/root/witness'

# committed POINT:WHO: is there no way back by itself?
committed() {
	case $1 in
	activate.*:hook) false ;;
	commit.acked:* | commit.after:* | activate.* | settle.*) true ;;
	*) false ;;
	esac
}

prepare_hosts() {
	on_sh old "
		rm -f /root/witness /run/acked
		mkfs.ext4 -q -F /dev/vdb
		mkdir -p /data
		mount /dev/vdb /data
		head -c 8M /dev/urandom >/data/noise
		$start_writer"
	on_sh new 'rm -f /root/witness; blkdiscard -f /dev/vdb 2>/dev/null'
	wait_for 10 on old test -s /run/acked
}

acked() {
	on old cat /run/acked
}

acks_go_on() {
	local n

	n=$(acked)
	sleep 0.3
	(($(acked) > n))
}

# Nothing was ever on while the other was, or might have been.
check_witness() {
	local at who what source=on target=off

	while read -r at who what; do
		if [[ $who == source ]]; then
			source=$what
		else
			target=$what
		fi
		[[ $source$target != onon ]] || fail "two copies live at $at"
	done <"$dir/log/witness"
}

# Numbers from 1 on without a gap, up to what was acknowledged.
check_target() {
	local n

	n=$(acked)
	on_sh new 'seq "$1" >/root/want
		head -n "$1" /data/log | diff /root/want -' "$n" \
		>"$dir/log/missing" ||
		fail "of $n acknowledged there are $(on new wc -l /data/log)"
}

one() { # POINT WHO
	local point=$1 who=$2 name=k$((++number)) got=0 state

	say "$point $who"
	prepare_hosts
	out=$(REHOST_TEST_KILL=$point:$who timeout 100 "${move[@]}" --name "$name" \
		2>&1 </dev/null) || got=$?
	case $who:$got in
	controller:137 | [!c]*:[0145]) ;;
	*) fail "exit $got" ;;
	esac
	state=$(NO_F=1 rehost_run status --format json "$name" 2>/dev/null |
		jq -r '.live + " " + .state') || state=none
	if ((got == 0)); then
		# It got over it by itself.
		[[ $state == "target done" ]] || fail "exit 0, and $state"
	elif ! committed "$point:$who"; then
		# Only the keeper can tell how it went once the question is out.
		[[ $state == none || $state == source\ * ||
			$point == commit.before ]] ||
			fail "before commit, and $state"
		wait_for 20 acks_go_on
		[[ $point:$who == activate.*:hook ]] ||
			on_sh new '! [ -f /root/witness ]' || fail "activated"
		# A proved replica is made whole after the commit.
		[[ $point == activate.* ]] ||
			expect_exit 2 on new blkid -p /dev/vdb
	else
		[[ $state != source\ * ]] || fail "committed, and $state"
		expect_exit 1 acks_go_on
	fi
	if [[ $point:$who == activate.*:hook ]]; then
		# Done and undone: what comes now is another move.
		[[ $state == "source rolled-back" ]] || fail "hook, and $state"
		on_sh new 'blkdiscard -f /dev/vdb; rm -f /root/witness'
		on_sh old 'sed -i 1q /root/witness'
		name+=again
		expect_exit 0 timeout 100 "${move[@]}" --name "$name"
	elif [[ $state == none ]]; then
		expect_exit 0 timeout 100 "${move[@]}" --name "$name"
	elif [[ $state != *done ]]; then
		NO_F=1 expect_exit 0 rehost_run resume "$name"
	fi
	report_is "$name" .state "done"
	report_is "$name" .live target
	expect_exit 1 acks_go_on
	{
		on old sed 1d /root/witness
		on_sh new '! [ -f /root/witness ] || cat /root/witness'
	} | sort -n >"$dir/log/witness"
	check_target
	check_witness
	NO_F=1 expect_exit 0 rehost_run confirm "$name"
	expect_clean old "$name"
	expect_clean new
	wait_for 5 is_writable old /data
	on old umount /data
	on new umount /data
	fsck_on new vdb ext4
}

export XDG_STATE_HOME=$dir/state
move=("$REHOST" move -F "$dir/ssh_config" --downtime 60s --quiesce
	"$stop_writer" --rollback "$start_writer" --activate "$activate"
	--deactivate "$deactivate" old:/dev/vdb new:/dev/vdb)
number=0
disk old vdb 64M >/dev/null
disk new vdb 64M >/dev/null
on_sh old 'cat >/root/writer; chmod 755 /root/writer' <<<"$writer"

say "every phase has its points"
points=$("$REHOST" --kill-points)
while read -r phase; do
	for point in "$phase.before" "$phase.after"; do
		grep -q "^$point controller source target keeper ssh" \
			<<<"$points" || fail "there is no $point"
		[[ $some == *"$phase."* ]] || fail "$phase is not tried"
	done
	! grep -q "^$phase.after .*hook" <<<"$points" ||
		[[ $some == *"$phase.after:hook"* ]] ||
		fail "the hook of $phase is not tried"
done < <(sed -n 's/.*\[PHASE_.*\] = "\(.*\)",/\1/p' \
	"$top/src/move/phase.c")

if [[ -n ${KILL_ALL-} ]]; then
	some=
	while read -r point victims; do
		# Of machines alone.
		[[ $point != activate.ordered ]] || continue
		for who in $victims; do
			some+=" $point:$who"
		done
	done <<<"$points"
fi
for x in ${KILL_ONLY:-$some}; do
	one "${x%:*}" "${x#*:}"
done
