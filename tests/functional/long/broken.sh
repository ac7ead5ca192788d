#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Tests that can fail: builds with one thing broken on purpose are each caught
# by the test that is there for it.
# timeout: 900
export NOLAB=1
# shellcheck source=tests/functional/lib.sh
. "$(dirname "$0")/../lib.sh"

# caught WHAT TEST WHY: the line of its log that says why it failed.
caught() {
	local build=$dir/build log=$dir/log/$1.log

	say "$1 is caught by $2"
	rm -rf "$build"
	meson setup "$build" "$top" -Dbreak="$1" >"$log.build" 2>&1 ||
		fail "no build of $1"
	ninja -C "$build" >>"$log.build" 2>&1 || fail "no build of $1"
	if [[ $2 == unit:* ]]; then
		! "$build/tests/unit/test_${2#unit:}" >"$log" 2>&1
	else
		! env -u NOLAB REHOST="$build/rehost" timeout -k 10 240 \
			"$top/tests/functional/$2.sh" >"$log" 2>&1
	fi || fail "$2 passes though $1"
	grep -q "$3" "$log" || fail "$2 failed for another reason: $log"
	rm -rf "$build"
}

mkdir -p "$dir/log"
caught issue-only unit:inflight 'test_inflight.c:[0-9]*: error'
caught buffered-reads stale '^FAIL: manifest'
caught no-final-drain drain '^FAIL: manifest'
caught skip-proof proof '^FAIL: manifest'
caught thaw-after-commit fence '^FAIL: the source can be written'
