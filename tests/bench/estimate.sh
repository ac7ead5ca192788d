#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What rehost estimate said, and what a copy then took, on two lab hosts with
# filled volumes of several sizes, idle and with a writer; the first one also over
# a link of 100 Mbit/s. Prints a table in Markdown. BENCH_SIZES (1G 2G 4G) and BENCH_RUNS (3) make it smaller.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/functional/lib.sh
. "$top/tests/functional/lib.sh"
# shellcheck source=tests/bench/fill.bash
. "$top/tests/bench/fill.bash"
runs=${BENCH_RUNS:-3}

rh() { XDG_STATE_HOME=$dir/state "$REHOST" "$1" -F "$dir/ssh_config" "${@:2}"; }

# one NAME WRITER: a line of the table.
one() {
	local id

	cold
	rh estimate "root@old:/dev/$1" "root@new:/dev/$1" --format json \
		>"$dir/estimate.json"
	cold
	rm -rf "$dir/state"
	id=$(on new blkid -o value -s UUID "/dev/$1" || :)
	rh copy "root@old:/dev/$1" "root@new:/dev/$1" --format json \
		${id:+--overwrite "uuid:$id"} >"$dir/copy.json"
	tail -n 1 "$dir/copy.json" >"$dir/report.json"
	jq -rn --slurpfile e "$dir/estimate.json" \
		--slurpfile r "$dir/report.json" --arg w "$2" '
		def s: . / 10 | floor / 100;
		def mib: . / 1048576 | floor;
		$e[0] as $e | $r[0] as $r | "| \($e.size | mib) | \($w) | " +
		"\($e.seed.ms | s) (\($e.seed.low_ms | s) to \($e.seed.high_ms | s)) | " +
		"\($r.rounds[0].ms | s) | " +
		"\($e.seed.ms * 100 / $r.rounds[0].ms | floor / 100) | " +
		"\($e.used | mib), \($r.bytes.used | mib) | " +
		"\($e.link.compress) | " +
		"\($e.writes.bytes_s | mib), \($e.writes.distinct_s | mib) | " +
		"\($e.follow.rounds), \($r.rounds | length - 1) |"'
}

echo "| MiB | writer | estimated, s | seed, s | ratio | used, both | packed | written, different, MiB/s | rounds, both |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
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
