#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# rehost and what one would use instead, in turn, on the same two lab hosts and
# disks (loop devices with direct I/O), caches dropped before each run. Prints a
# table in Markdown: medians, and ratios to rehost's.
#
# BENCH_SIZE (8G) and BENCH_RUNS (3) make it smaller.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/functional/lib.sh
. "$top/tests/functional/lib.sh"
# shellcheck source=tests/bench/fill.bash
. "$top/tests/bench/fill.bash"
size=${BENCH_SIZE:-8G} runs=${BENCH_RUNS:-3}
cfg=$dir/ssh_config
bytes=$(numfmt --from=iec "$size")

in_old() { "$lab" run "$dir" old "$@"; }
in_new() { "$lab" run "$dir" new "$@"; }
rh() { XDG_STATE_HOME=$dir/state "$REHOST" "$1" -F "$cfg" "${@:2}"; }

old_loop=$("$lab" disk "$dir" old vdb "$size")
new_loop=$("$lab" disk "$dir" new vdb "$size")
in_old mkfs.ext4 -q -m 0 /dev/vdb
in_old sh -c 'mkdir -p /data && mount /dev/vdb /data'
fill old /data "$bytes"
used=$(in_old df -B1 --output=used /data | tail -1)

# The old host may log in to the new one, as users of pipes have it.
in_old sh -c 'mkdir -p /root/.ssh; cat >/root/.ssh/bench' <"$dir/key"
in_old chmod 600 /root/.ssh/bench
# shellcheck disable=SC2154 # from lib.sh
to_new="ssh -i /root/.ssh/bench -o StrictHostKeyChecking=no -o LogLevel=ERROR root@$LAB_ADDR4_new"

# Prints the seconds that a command took.
seconds() {
	local t=$EPOCHREALTIME

	"$@" >&2
	awk -v a="$t" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f\n", b - a }'
}

median() {
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# The whole command: ssh, agents, map, seed, freeze, proof. What the seed alone
# took goes into a file of its own.
rehost_copy() {
	rm -rf "$dir/state"
	rh copy root@old:/dev/vdb root@new:/dev/vdb --overwrite "$id" \
		--format json >"$dir/out.json"
	tail -n 1 "$dir/out.json" | jq '.rounds[0].ms / 1000' \
		>>"$dir/rehost_seed.s"
}
dd_ssh() {
	in_old sh -c "dd if=/dev/vdb bs=1M status=none |
		$to_new 'dd of=/dev/vdb bs=1M conv=fsync status=none'"
}
dd_zstd_ssh() {
	in_old sh -c "dd if=/dev/vdb bs=1M status=none | zstd -q -1 -T0 |
		$to_new 'zstd -q -d | dd of=/dev/vdb bs=1M conv=fsync status=none'"
}
partclone_ssh() {
	in_old sh -c "umount /data; partclone.ext4 -q -c -s /dev/vdb -L /dev/null |
		$to_new 'partclone.ext4 -q -r -s - -o /dev/vdb -L /dev/null; sync'
		mount /dev/vdb /data"
}
nbdcopy_local() {
	nbdkit -U - file "$old_loop" --run \
		"nbdcopy --flush \"\$uri\" $new_loop"
}

# The same to both, so that --overwrite fits.
dd_ssh
id=uuid:$(in_old blkid -o value -s UUID /dev/vdb)
tools="rehost_copy dd_ssh dd_zstd_ssh partclone_ssh nbdcopy_local"
for ((i = 0; i < runs; i++)); do
	for t in $tools; do
		cold
		seconds "$t" >>"$dir/$t.s"
	done
done

base=$(median <"$dir/rehost_seed.s")
echo "Seed of $size ext4, $((used >> 20)) MiB used, median of $runs:"
echo
echo "| tool | s | rehost's seed to it | the whole copy to it |"
echo "| --- | --- | --- | --- |"
whole=$(median <"$dir/rehost_copy.s")
for t in rehost_seed $tools; do
	m=$(median <"$dir/$t.s")
	awk -v t="$t" -v m="$m" -v b="$base" -v w="$whole" 'BEGIN {
		printf "| %s | %.2f | %.2f | %.2f |\n", t, m, b / m, w / m }'
done
echo

# field REPORT JQ-FILTER
field() {
	tail -n 1 "$1" | jq -rc "$2"
}

# fio NAME OPTION...: on the mounted volume, as JSON.
fio_old() {
	in_old fio --name="$1" --filename=/data/scatter --ioengine=libaio \
		--direct=1 --bs=4k --rw=randwrite --size=$((bytes / 16)) \
		--output-format=json "${@:2}" 2>/dev/null | sed -n '/^{/,$p'
}

# What fio said: writes a second, and the 99th percentile in microseconds.
figures() {
	jq -r '.jobs[0].write | "\(.iops | floor) \(.clat_ns.percentile["99.000000"] / 1000 | floor)"'
}

say "what the source writes without rehost" >&2
for _ in 1 2 3; do
	echo "untracked, 10,000/s: $(fio_old t --iodepth=4 --rate_iops=10000 \
		--time_based --runtime=8 | figures)"
	echo "untracked, uncapped: $(fio_old t --iodepth=16 --time_based \
		--runtime=8 | figures)"
	sleep 3
done

say "a round of 16,384 scattered 4 KiB writes" >&2
export XDG_STATE_HOME=$dir/state
"$REHOST" move -F "$cfg" root@old:/dev/vdb root@new:/dev/vdb --overwrite "$id" \
	--name scatter --cutover wait --freeze --format json \
	>"$dir/scatter.json" 2>&1 &
pid=$!
background+=("$pid")
wait_for 600 grep -q '"phase":"follow".*"unproved":0' "$dir/scatter.json"
before=$("$REHOST" report scatter --format json | jq .bytes.sent)
n=$("$REHOST" report scatter --format json | jq '.rounds | length')
# A stopped controller sends no round; the keeper goes on marking.
kill -STOP "$pid"
fio_old scatter --iodepth=16 --number_ios=16384 --randseed=7 >/dev/null
kill -CONT "$pid"
sleep 10
"$REHOST" report scatter --format json >"$dir/scatter.report"
jq -r --argjson n "$n" '"rounds: \(.rounds[$n:] | map(select(.bytes > 1048576)))"' \
	"$dir/scatter.report"
echo "sent in it: $((($(jq .bytes.sent "$dir/scatter.report") - before) >> 20)) MiB"
# The same blocks read and written locally, depth 16.
in_old fio --name=l --filename=/data/scatter --ioengine=libaio --direct=1 \
	--bs=4k --rw=randread --size=$((bytes / 16)) --iodepth=16 \
	--number_ios=16384 --randseed=7 --output-format=json 2>/dev/null |
	sed -n '/^{/,$p' | jq -r '"local read: \(.jobs[0].read.runtime) ms"'
in_new fio --name=l --filename="$new_loop" --ioengine=libaio --direct=1 \
	--bs=4k --rw=randread --size=$((bytes / 16)) --iodepth=16 \
	--number_ios=16384 --output-format=json >/dev/null 2>&1 || true
fio_old local --iodepth=16 --number_ios=16384 --randseed=7 |
	jq -r '"local write: \(.jobs[0].write.runtime) ms"'

# Processor time so far of what rehost runs on the old host, in ms.
spent() {
	in_old sh -c 'cat /proc/[0-9]*/stat 2>/dev/null' |
		awk -v hz="$(getconf CLK_TCK)" '$2 ~ /^\(rehost/ {
			n += $14 + $15 } END { print int(n * 1000 / hz) }'
}

say "cost to the source while following, proof on" >&2
for _ in 1 2 3; do
	cpu=$(spent)
	echo "tracked, 10,000/s: $(fio_old t --iodepth=4 --rate_iops=10000 \
		--time_based --runtime=8 | figures) (writes/s, p99 us)," \
		"$((($(spent) - cpu) / 8)) ms of processor time a second"
	echo "tracked, uncapped: $(fio_old t --iodepth=16 --time_based \
		--runtime=8 | figures)"
	sleep 3
done

say "the cut, with a writer at 20 MB/s" >&2
fio_old w --iodepth=4 --rate=20m --time_based --runtime=600 >/dev/null &
background+=("$!")
sleep 15
"$REHOST" cutover scatter >/dev/null
wait "$pid" || true
echo "downtime: $(field "$dir/scatter.json" .downtime_ms)"
echo "memory: $(field "$dir/scatter.json" .memory_kb)"
"$REHOST" confirm scatter >/dev/null

say "a 1 TiB volume" >&2
"$lab" disk "$dir" old vdc 1T >/dev/null
"$lab" disk "$dir" new vdc 1T >/dev/null
in_old mkfs.ext4 -q /dev/vdc
in_old sh -c 'mkdir -p /big && mount /dev/vdc /big'
"$REHOST" copy -F "$cfg" root@old:/dev/vdc root@new:/dev/vdc --name big \
	--format json >"$dir/big.json"
echo "memory for 1 TiB: $(field "$dir/big.json" .memory_kb) KiB"
echo "agent on the wire: $(stat -c %s "$(dirname "$REHOST")/rehost-agent.gz") bytes"
