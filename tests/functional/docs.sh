#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Help, manual and completion say the same, and wrong usage is answered as it
# should be.
NOLAB=1
. "$(dirname "$0")/lib.sh"

manual=$top/man/rehost.1
report=$top/man/rehost-report.5
protocol=$top/man/rehost-protocol.7
# Everything that is shown must be there without a home.
export XDG_STATE_HOME=$dir/state

mapfile -t commands < <("$REHOST" --help |
	sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
((${#commands[@]} >= 12)) || fail "commands in --help: ${commands[*]}"

# stdout only, status 0, no line over 80 columns.
check_help() {
	local code=0

	"$REHOST" "$@" >"$dir/out" 2>"$dir/err" || code=$?
	((code == 0)) || fail "$* ended with $code"
	[[ -s $dir/out && ! -s $dir/err ]] || fail "$* is not on stdout alone"
	! grep -nE '^.{81}' "$dir/out" || fail "$* is wider than 80 columns"
	! grep -nE '[[:space:]]$' "$dir/out" || fail "$*: blanks at line ends"
}

# Wrong usage: stderr only, status 2, and a hint where to read on.
check_refused() {
	local code=0

	"$REHOST" "$@" >"$dir/out" 2>"$dir/err" </dev/null || code=$?
	((code == 2)) || fail "$* ended with $code, not 2"
	[[ ! -s $dir/out ]] || fail "$* wrote to stdout"
	grep -q -e --help "$dir/err" || fail "$* names no help"
}

flags_of_help() {
	"$REHOST" "$1" --help | grep -oE '^  (-[a-zA-Z], )?-[-a-zA-Z]+' |
		grep -oE -e '--?[a-zA-Z][-a-z]*' | LC_ALL=C sort -u
}

flags_of_completion() {
	bash -c '. "$1"; _rehost_flags "$2"' sh \
		"$top/completion/rehost.bash" "$1" |
		grep -oE -e '--?[a-zA-Z][-a-z]*' | LC_ALL=C sort -u
}

# Flags that have an entry of their own, on lines ".It Fl a , \-long".
flags_of_manual() {
	sed -n '/^\.Sh FLAGS/,/^\.Sh HOOKS/s/^\.It //p' "$manual" |
		awk '{
			fl = 0
			for (i = 1; i <= NF; i++)
				if ($i == "Fl")
					fl = 1
				else if ($i == "Ar" || $i == "Cm")
					fl = 0
				else if (fl && $i != ",")
					print "-" $i
		}' | sed 's/\\-/-/' | LC_ALL=C sort -u
}

say "help and version"
for a in --help -h help --version -V; do
	check_help "$a"
done
"$REHOST" --version | grep -qE '^rehost [0-9]+\.[0-9]+\.[0-9]+ \([0-9a-f]{12}\)$' ||
	fail "the version's form"

all=
for c in "${commands[@]}"; do
	say "$c: help, manual and completion"
	check_help "$c" --help
	check_help "$c" -h
	flags=$(flags_of_help "$c")
	grep -qx -e --help <<<"$flags" || fail "no flags in the help of $c"
	expect_same "$flags" "$(flags_of_completion "$c")" \
		"flags of $c in help and completion"
	grep -qE "^\.It Cm $c( |$)" "$manual" || fail "$c is not in the manual"
	all+=$flags$'\n'
	check_refused "$c" --no-such-flag
	check_refused "$c" -Z
	check_refused "$c" one two three four
done
expect_same "$(LC_ALL=C sort -u <<<"$all" | grep .)" "$(flags_of_manual)" \
	"flags of all helps and of the manual"
expect_same "$(printf '%s\n' "${commands[@]}" | LC_ALL=C sort)" "$(bash -c \
	'. "$1"; printf "%s\n" $_rehost_commands' sh \
	"$top/completion/rehost.bash" | LC_ALL=C sort)" \
	"commands of help and completion"

say "wrong usage"
check_refused
check_refused no-such-command
check_refused move ./only-one
check_refused move somewhere elsewhere:/dev/vdb # whole machines
check_refused move --freeze --fence unmounted ./a ./b
for bad in "--bwlimit 1.5G" "--bwlimit 1X" "--downtime soon" "--cutover never" \
	"--lanes 0" "--lanes 17" "--lane-port 9-8" "--lane-port 70000" \
	"--via air" "--fence auto2" "--verify some" "--format xml" \
	"--name Not-A-Name" "--hook-timeout 0" "--linger x" \
	"--boot-timeout 0" "--boot-timeout 25h"; do
	# shellcheck disable=SC2086 # flag and value
	check_refused move $bad ./a ./b
done
check_refused move --downtime

say "what cannot be done is refused with status 1"
expect_exit 1 "$REHOST" status no-such-move
expect_out '^rehost: cannot find the move no-such-move: .+; see: rehost list$'
expect_exit 1 "$REHOST" confirm
expect_exit 0 "$REHOST" list
expect_same "" "$out" "an empty list"
expect_exit 1 "$REHOST" verify --format json no-such-move
expect_out '^\{"event":"error","error":\{"host":"","what":"[^"]+","why":"[^"]+'

say "output that cannot be written is an error"
code=0
"$REHOST" --help >/dev/full 2>"$dir/err" || code=$?
((code == 1)) || fail "a full standard output ended with $code"

say "every event is in the manual"
perl -0777 -ne 'print "$1\n" while /move_note\(\s*[^,"]+,\s*"([a-z-]+)"/g;
	print "$1\n" while /"event",\s*"([a-z-]+)"/g' \
	"$top"/src/{move,parts,cli}/*.c | sort -u >"$dir/events"
(($(wc -l <"$dir/events") >= 15)) || fail "events: $(cat "$dir/events")"
while read -r event; do
	grep -qE "^\.It Li (.* )?$event( |\$)" "$report" ||
		fail "event $event is not in rehost-report(5)"
done <"$dir/events"

say "every message is in the manual, with its number"
sed -n '/^enum message_type/,/^};/p' "$top/src/wire/message.h" |
	sed 's,/\*.*\*/,,; s,/\*.*,,' |
	awk -F'[ \t,=]+' '/MSG_/ {
		n = ($3 ~ /^[0-9]+$/) ? $3 : n + 1
		if ($2 != "MSG_TYPE_MAX") print substr($2, 5), n
	}' >"$dir/messages"
(($(wc -l <"$dir/messages") >= 40)) || fail "messages: $(wc -l <"$dir/messages")"
while read -r name number; do
	grep -qxF ".It Li $name Pq $number" "$protocol" ||
		fail "$name ($number) is not in rehost-protocol(7)"
done <"$dir/messages"

say "every field of a message is in the manual"
perl -ne 'while (/F_(\w+)\(\w+, ([\w.]+)(?:, (\w+))?/g) {
		my $f = $1 =~ /BLOB|LIST/ ? $3 : $2;
		print "$f\n" if defined $f and $f !~ /\./;
	}' "$top/src/wire/message.c" | sort -u >"$dir/fields"
(($(wc -l <"$dir/fields") >= 80)) || fail "fields: $(wc -l <"$dir/fields")"
while read -r field; do
	grep -qw -e "$field" "$protocol" ||
		fail "field $field is not in rehost-protocol(7)"
done <"$dir/fields"

say "files that the texts name exist"
while read -r f; do
	[[ -e $top/$f ]] || fail "DESIGN.md or docs/parity.md names $f"
done < <(grep -ohE \
	'`(src|tests|man|script|fuzz|completion|docs)/[A-Za-z0-9_./-]+`' \
	"$top/DESIGN.md" "$top/docs/parity.md" | tr -d '`' | sort -u)

say "manual pages are clean"
mandoc -Tlint -W warning "$top"/man/*.[1-8]
