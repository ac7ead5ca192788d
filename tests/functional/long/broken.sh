#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Tests that can fail: builds with one thing broken on purpose are each caught
# by the test that is there for it.
# timeout: 900
export NOLAB=1
# shellcheck source=tests/functional/lib.sh
. "$(dirname "$0")/../lib.sh"

# caught WHAT TEST
caught() {
	local build=$dir/build

	say "$1 is caught by $2"
	rm -rf "$build"
	meson setup "$build" "$top" -Dbreak="$1" >"$dir/log/$1.log" 2>&1 ||
		fail "no build of $1"
	ninja -C "$build" >>"$dir/log/$1.log" 2>&1 || fail "no build of $1"
	if [[ $2 == unit:* ]]; then
		! meson test -C "$build" "${2#unit:}" >>"$dir/log/$1.log" 2>&1
	else
		! env -u NOLAB REHOST="$build/rehost" timeout -k 10 240 \
			"$top/tests/functional/$2.sh" >>"$dir/log/$1.log" 2>&1
	fi || fail "$2 passes though $1"
	rm -rf "$build"
}

mkdir -p "$dir/log"
caught issue-only unit:inflight
caught buffered-reads stale
caught no-final-drain drain
caught skip-proof proof
caught thaw-after-commit fence
