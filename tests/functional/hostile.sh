#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Promise 7: a machine that lies, as source or as target. Whatever it sends,
# rehost ends with an error that names it, in little memory, and the machine on
# the other side is as it was.
# timeout: 600
NOLAB=1
. "$(dirname "$0")/lib.sh"

: "${BUILD_DIR:=$top/build}"
export REHOST_SSH=$BUILD_DIR/tests/unit/hostile_agent
[[ -x $REHOST_SSH ]] || fail "no $REHOST_SSH"
mb_max=${HOSTILE_MB:-300}

# Runs a command, and prints the most memory in MiB that one of its processes
# took as the last line.
cat >"$dir/measure" <<'PY'
import resource, subprocess, sys
r = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL)
print("MiB", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
sys.exit(r.returncode)
PY

mkdir "$dir/here"
cd "$dir/here"
head -c 8M /dev/urandom >source
sum=$(sha256sum source)
echo "not for you" >neighbour

# hostile SIDE WHEN DOES [PATTERN]: one move with a hostile machine as SIDE ends
# in an error which names it, or one that PATTERN is about; with PATTERN "any" it
# may also go well: what a source says about itself may be anything.
hostile() {
	local side=$1 mb got=0 src=./source dst=./target

	[[ $side == target ]] || src=evil:/root/volume
	[[ $side == source ]] || dst=evil:/root/volume
	rm -f target
	out=$(HOSTILE_WHEN=$2 HOSTILE_DOES=$3 XDG_STATE_HOME=$dir/state \
		timeout -k 5 45 python3 "$dir/measure" "$REHOST" copy \
		--name "$side-${2,,}-$3" --via relay --linger 1s "$src" "$dst" 2>&1) ||
		got=$?
	((got != 124 && got != 137)) || fail "$*: no end"
	if [[ ${4-} != any ]]; then
		# A failure, or one from which it could be resumed.
		((got == 1 || got == 4)) || fail "$*: exit $got"
		expect_out "cannot .*"
		expect_out "${4:-evil: cannot}"
	fi
	expect_no_out $'\033'
	expect_no_out 'AddressSanitizer|runtime error|Assertion|core dumped'
	mb=$(sed -n 's/^MiB //p' <<<"$out")
	((mb < mb_max)) || fail "$*: $mb MiB"
	[[ $(sha256sum source) == "$sum" ]] || fail "$*: the source was written"
	[[ $(<neighbour) == "not for you" ]] || fail "$*: another file was written"
	[[ ! -e target || $(stat -c %s target) == 8388608 ]] ||
		fail "$*: the target has another size"
	expect_same "neighbour source" \
		"$(find . -type f ! -name target -printf '%f\n' | sort | xargs)"
}

frames=(length longer type side request payload other id noise close)

for side in source target; do
	say "a hostile $side: before and at its greeting"
	for does in "${frames[@]}"; do
		# It has no name of its own yet that could be wrong.
		[[ $does == @(side|id|other) ]] || hostile $side HELLO "$does"
	done
	say "a hostile $side: in place of an answer"
	for does in "${frames[@]}" log; do
		hostile $side MSG_PROBE "$does"
	done
	for does in length payload other id log noise close; do
		hostile $side MSG_RELAY "$does"
	done
done

say "a hostile source: impossible facts"
hostile source MSG_PROBE huge 'cannot'
for does in signatures names numbers; do
	hostile source MSG_NONE $does any
done

say "a hostile source: while it should send"
for does in "${frames[@]}" log durable mismatch; do
	hostile source MSG_PASS "$does"
done

say "a hostile source: records that are none, of no lane, outside, too many"
for does in records outside no-credit no-lane credit; do
	hostile source MSG_PASS "$does"
done

say "a hostile target: while it should receive"
for when in MSG_OPEN_TARGET MSG_RELAY_DATA; do
	for does in length type side noise close log; do
		hostile target $when "$does"
	done
done
for does in durable mismatch mismatches credit; do
	hostile target MSG_RELAY_DATA "$does"
done

say "nothing is left running"
is_alone() {
	local p

	for p in /proc/[0-9]*/environ; do
		! grep -qsa "XDG_STATE_HOME=$dir/" "$p" || return 1
	done
}
wait_for 20 is_alone
