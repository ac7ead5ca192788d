#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 900
#
# What Debian's kernel loses of the events that the tracker lives on, while fio
# writes as fast as it can to a striped volume that is moved at the same time:
# the sectors of the events against the disks' own count, and the content after
# the cut. $RUNS (1) runs, in which fio takes $RUN_SECONDS (10). The table at
# the end is for BENCH.md.
. "$(dirname "$0")/lib.sh"

: "${RUNS:=1}" "${RUN_SECONDS:=10}"

# Writes 4 to 16 KiB past the page cache, 16 at a time, and through it.
fio_script='
cd /srv/striped
fio --time_based --runtime=$1 --rw=randwrite --size=16m --randrepeat=0 \
	--norandommap --eta=never --bsrange=4k-16k \
	--name=direct --direct=1 --ioengine=libaio --iodepth=16 \
	--name=buffered --ioengine=psync --fsync=64 >/run/fio.log 2>&1
sync -f .'

# run N: a row of the table.
run() {
	local name=loss$1 pid figures

	on_sh old 'rm -f /run/track.*
		setsid /root/track /dev/vg/striped </dev/null >/run/track.log \
			2>/run/track.errors &
		echo $! >/run/track.pid'
	wait_for 60 on old grep -q tracking /run/track.log
	on_sh old "$fio_script" "$RUN_SECONDS" &
	pid=$!
	background+=("$pid")
	move_start --name "$name" --freeze --cutover wait \
		--overwrite serial:new-vdb \
		--activate 'mkdir -p /srv/striped && mount $REHOST_DEVICE /srv/striped' \
		--deactivate 'umount $REHOST_DEVICE' \
		old:/dev/vg/striped new:/dev/vdb
	wait "$pid" || fail "fio: $(on old tail -n 5 /run/fio.log)"
	wait_for 240 rounds_are "$name" 2
	NO_F=1 expect_exit 0 rehost_run cutover "$name"
	rehost_wait 240 0
	on_sh old 'kill -s TERM "$(cat /run/track.pid)"'
	wait_for 60 on old '[ $(wc -l </run/track.log) = 2 ]'
	figures=$(on old tail -n 1 /run/track.log)
	expect_same "$(manifest_on old /srv/striped)" \
		"$(manifest_on new /srv/striped)" "content of run $1"
	printf '| %d | %s | %s | %s | %s | %s |\n' "$1" \
		"$(cut -d' ' -f1 <<<"$figures")" \
		"$(cut -d' ' -f2 <<<"$figures")" \
		"$(cut -d' ' -f3 <<<"$figures")" \
		"$(cut -d' ' -f4 <<<"$figures")" \
		"$(report_of "$name" .tracker.losses)" >>"$dir/table"
	[[ $figures == *" whole "* ]] ||
		fail "lost: $(on old cat /run/track.errors)"
	read -r events seen counted _ <<<"$figures"
	((events > 2000)) || fail "only $events events"
	((seen == counted)) || fail "$seen sectors were seen, not $counted"
	tracked "$name"
	NO_F=1 expect_exit 0 rehost_run rollback "$name"
}

on_sh old 'cat >/root/track; chmod 700 /root/track' <"${REHOST%/*}/tests/vm/track"
populate old /srv/striped 8
for ((i = 1; i <= RUNS; i++)); do
	say "run $i of $RUNS"
	run $i
done

say "$(on old uname -r), two disks, $(on old nproc) CPUs:"
echo '| run | events | sectors by events | by the count | tracker | losses of the move |'
echo '| --- | --- | --- | --- | --- | --- |'
cat "$dir/table"
