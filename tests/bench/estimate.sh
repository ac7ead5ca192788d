#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What rehost estimate said, without and with --write, and what a copy then took,
# on two lab hosts with filled volumes of several sizes, idle and with a writer; the
# first one also over a link of 100 Mbit/s. Prints a table in Markdown. BENCH_SIZES
# (1G 2G 4G) and BENCH_RUNS (3) make it smaller.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/functional/lib.sh
. "$top/tests/functional/lib.sh"
# shellcheck source=tests/bench/fill.bash
. "$top/tests/bench/fill.bash"
runs=${BENCH_RUNS:-3}

rh() { XDG_STATE_HOME=$dir/state "$REHOST" "$1" -F "$dir/ssh_config" "${@:2}"; }

# estimated NAME FILE [FLAG...]
estimated() {
	cold
	rh estimate "root@old:/dev/$1" "root@new:/dev/$1" --format json \
		"${@:3}" >"$dir/$2.json"
}

# one NAME WRITER: a line of the table.
one() {
	local -a overwrite=()
	local id

	id=$(on new blkid -o value -s UUID "/dev/$1" || :)
	[[ -z $id ]] || overwrite=(--overwrite "uuid:$id")
	estimated "$1" plain
	estimated "$1" write --write "${overwrite[@]}" --sample 0
	cold
	rm -rf "$dir/state"
	rh copy "root@old:/dev/$1" "root@new:/dev/$1" --format json \
		"${overwrite[@]}" >"$dir/copy.json"
	tail -n 1 "$dir/copy.json" >"$dir/report.json"
	jq -rn --slurpfile e "$dir/plain.json" --slurpfile w "$dir/write.json" \
		--slurpfile r "$dir/report.json" --arg writer "$2" '
		def s: . / 10 | floor / 100;
		def mib: . / 1048576 | floor;
		def said: "\(.seed.ms | s) (\(.seed.low_ms | s) to \(.seed.high_ms | s))";
		$e[0] as $e | $w[0] as $w | $r[0] as $r | $r.rounds[0].ms as $ms |
		"| \($e.size | mib), \($e.used | mib), \($r.bytes.used | mib) | " +
		"\($writer) | \($e | said) | \($w | said) | \($ms | s) | " +
		"\($e.seed.ms * 100 / $ms | floor / 100) | " +
		"\($w.seed.ms * 100 / $ms | floor / 100) | " +
		"\($w.seed.fixed_ms), \($w.link.compress) | " +
		"\($e.writes.bytes_s | mib), \($e.writes.distinct_s | mib) | " +
		"\($e.follow.rounds), \($r.rounds | length - 1) |"'
}

echo "| MiB: size; used, as both have it | writer | estimated, s | with --write, s | seed, s | ratio | with --write | fixed, ms; packs | written, different, MiB/s | rounds, both |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
letter=b
for size in ${BENCH_SIZES:-1G 2G 4G}; do
	name=vd$letter
	letter=$(tr b-y c-z <<<"$letter")
	disk old "$name" "$size" >/dev/null
	disk new "$name" "$size" >/dev/null
	mkfs_on old "$name" ext4 -m 0
	mount_on old "$name" "/$name"
	fill old "/$name" "$(numfmt --from=iec "$size")" >&2
	for ((i = 0; i < runs; i++)); do
		one "$name" none
	done
	if [[ $name == vdb ]]; then
		"$lab" wan "$dir" old new 2 100
		one "$name" "none, 100 Mbit/s"
		"$lab" wan "$dir" old new off
	fi
	writers_start old "/$name" direct buffered
	for ((i = 0; i < runs; i++)); do
		one "$name" yes
	done
	writers_stop
	on old umount "/$name"
done
