# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the demonstrations: how they look, and how they end. Whatever happens,
# nothing of one stays behind: demo_begin makes its folder ($dir) and sees to it that
# demo_end is called. One that has more to take down than its folder and what
# "begin" began defines take_down before, which uses nothing but $dir and $top: when
# the demonstration is killed outright, another shell runs it.
set -eEuo pipefail
PATH=$PATH:/usr/sbin:/sbin

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export BUILD_DIR=${BUILD_DIR:-$top/build}
BUILD_DIR=$(readlink -m "$BUILD_DIR")
rehost=${REHOST:-$BUILD_DIR/rehost}
# Set when a check went wrong.
wrong=0
bold='' plain='' good='' bad=''
if [[ -t 1 ]]; then
	bold=$'\e[1m' plain=$'\e[0m' good=$'\e[32m' bad=$'\e[31m'
fi

# ---- what is shown ---------------------------------------------------------

step() {
	printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

say() {
	printf '  %s\n' "$@"
}

die() {
	printf '%sdemo: %s%s\n' "$bad" "$*" "$plain" >&2
	exit 1
}

# row TEXT VALUE
row() {
	printf '  %-52s %14s\n' "$1" "$2"
}

# check TEXT VALUE WANTED
# shellcheck disable=SC2034 # wrong is for the demonstrations
check() {
	local mark="${good}ok$plain"

	[[ $2 == "$3" ]] || mark="${bad}WRONG$plain, not $3"
	printf '  %-52s %14s  %s\n' "$1" "$2" "$mark"
	[[ $2 == "$3" ]] || wrong=1
}

# check_rows WHAT: what "pgclient compare" said, in n, and how many of them new has
# acknowledged, by_new.
# shellcheck disable=SC2154 # both are the demonstration's
check_rows() {
	row "$1 that were acknowledged to the clients" "${n[acknowledged]}"
	row "of these by old, before the move" "$((n[acknowledged] - by_new))"
	row "and by new, after it" "$by_new"
	check "acknowledged rows on new" "$((n[acknowledged] - n[missing]))" \
		"${n[acknowledged]}"
	check "acknowledged rows that are missing" "${n[missing]}" 0
	check "rows that no client sent" "${n[unsent]}" 0
	check "rows with wrong contents" "${n[wrong]}" 0
	((n[unheard] == 0)) ||
		row "rows that were sent, and whose answer was cut off" "${n[unheard]}"
}

# Of milliseconds.
seconds() {
	printf '%d.%02d s' $(($1 / 1000)) $(($1 % 1000 / 10))
}

# patiently SECONDS CMD...: until it succeeds; says now and then that it waits.
patiently() {
	local began=$SECONDS said=$SECONDS limit=$1

	shift
	until (trap - ERR && "$@") >/dev/null 2>&1; do
		((SECONDS < began + limit)) || die "waited $limit s for: $*"
		((SECONDS < said + 20)) || {
			say "... $((SECONDS - began)) s"
			said=$SECONDS
		}
		sleep 0.2
	done
}

# ---- what runs -------------------------------------------------------------

# begin CMD...: in the background, as a group of processes of its own, $job. What
# is pressed on the terminal goes to the demonstration alone, which ends it.
job=
begin() {
	setsid "$@" </dev/null &
	job=$!
	echo $job >"$dir/job"
}

# end_job: ends what was begun; of one that wrote its network (as /proc names it) to
# $dir/net also what has gone its own ways there.
end_job() {
	local job net i

	if [[ -s $dir/job ]]; then
		job=$(<"$dir/job")
		kill -s TERM -- "-$job" || kill -s TERM "$job"
		for ((i = 0; i < 150; i++)); do
			kill -s 0 -- "-$job" || break
			sleep 0.2
		done
		kill -s KILL -- "-$job"
		rm -f "$dir/job"
	fi 2>/dev/null
	if [[ -s $dir/net ]]; then
		# In a pattern the brackets would be one of "net:[123]".
		net=$(<"$dir/net")
		net=${net//[[\]]/?}
		for ((i = 0; i < 150; i++)); do
			find /proc/[0-9]*/ns/net -maxdepth 0 -lname "$net" \
				2>/dev/null | grep -q . || break
			sleep 0.2
		done
	fi
}

take_down() {
	:
}

clear_up() {
	end_job
	take_down
	rm -rf "$dir"
}

# finished: waits for it; its status.
finished() {
	local status=0

	wait "$job" || status=$?
	rm -f "$dir/job"
	return $status
}

# quietly LOG CMD...: says now and then that it is still at work.
quietly() {
	local log=$dir/$1.log n=0

	shift
	begin "$@" >"$log" 2>&1
	while kill -0 "$job" 2>/dev/null; do
		sleep 0.2
		((++n % 100 != 0)) || say "... $((n / 5)) s"
	done
	finished || die "failed: $*"
	rm -f "$log"
}

# Tools, and the program that is shown.
build() {
	if [[ -n ${REHOST-} ]]; then
		say "using $rehost"
	else
		say "script/setup: Debian's packages for building and testing"
		quietly setup "$top/script/setup"
		say "script/build: build/rehost (the first time takes a minute)"
		quietly build "$top/script/build"
	fi
	say "$("$rehost" --version)"
}

# ---- beginning and end -----------------------------------------------------

began=$SECONDS
kept=

demo_begin() {
	[[ $(id -u) == 0 ]] || die "needs root: $1"
	dir=$(mktemp -d "${TMPDIR:-/var/tmp}/rehost-demo.XXXXXX")
	trap 'demo_end $?' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	# It outlives a demonstration that could not end by itself.
	setsid /bin/bash -c "$(declare -f end_job take_down clear_up)"'
		trap "" INT TERM HUP
		dir=$2 top=$3
		tail --pid="$1" -f /dev/null
		[[ ! -d $dir ]] || clear_up' janitor $$ "$dir" "$top" \
		</dev/null >/dev/null 2>&1 &
	disown $!
}

# Called at the end; $1 is the status of the demonstration. $kept says what it has
# made that stays, if anything.
demo_end() {
	local f

	trap '' INT TERM HUP PIPE
	trap - EXIT ERR
	set +e
	if (($1 == 0 || $1 >= 128)); then
		((!$1)) || printf '\nStopping; this takes some seconds.\n' >&2
	else
		for f in "$dir"/*.log "$dir"/log/*; do
			[[ ! -s $f ]] || {
				printf -- '---- %s\n' "${f##*/}"
				tail -n 20 "$f"
			}
		done >&2
		# Consoles of machines have more than text.
		[[ ! -s $dir/failure ]] ||
			tr -cd '[:print:]\n\t' <"$dir/failure" |
			sed '/^left for reading: /d' >&2
	fi
	clear_up
	if (($1 == 0)); then
		printf '\n%sAll is right.%s Took %d s; everything of the demo is removed.\n' \
			"$good" "$plain" "$((SECONDS - began))"
	else
		printf '\n%sThe demo failed (%d).%s Everything of it is removed.\n' \
			"$bad" "$1" "$plain" >&2
	fi
	[[ -z $kept ]] || say "$kept"
	exit "$1"
}
