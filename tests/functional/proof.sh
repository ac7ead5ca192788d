#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise 4: no replica is activated that was not proved. A byte flipped on the
# target behind rehost's back is found. Catches builds that skip the proof.
# timeout: 600
# shellcheck source=tests/functional/lib.sh
. "$(dirname "$0")/lib.sh"

disk old vdb 128M >/dev/null
disk new vdb 128M >/dev/null
mkfs_on old vdb ext4 -b 4096
mount_on old vdb /data
on_sh old 'dd if=/dev/urandom of=/data/f bs=1M count=32 conv=fsync status=none'

# flip N: a byte in the file's Nth block on the target, around any cache.
flip() {
	local at

	at=$(on old filefrag -v /data/f |
		awk '$1 == "0:" { sub(/\.\..*/, "", $4); print $4 }')
	on_sh new 'dd if=/dev/vdb of=/run/block bs=4096 skip="$1" count=1 iflag=direct status=none
		printf "\\$(printf %03o $((0x$(head -c1 /run/block | od -An -tx1 | tr -d " ") ^ 255)))" |
			dd of=/run/block conv=notrunc status=none
		dd if=/run/block of=/dev/vdb bs=4096 seek="$1" count=1 oflag=direct conv=notrunc status=none' \
		"$((at + $1))"
}

say "verify finds it, says so by its exit status, and says equal otherwise"
rehost_start move --name proof root@old:/dev/vdb root@new:/dev/vdb \
	--cutover wait --verify full --freeze \
	--activate 'mkdir -p /data; mount -o ro /dev/vdb /data'
wait_for 60 status_is proof .progress.phase follow
wait_for 60 status_is proof .progress.unproved 0
expect_exit 0 env NO_F=1 bash -c "XDG_STATE_HOME=$dir/state $REHOST pause proof"
rehost_wait 30 4
NO_F=1 expect_exit 0 rehost_run verify proof
flip 7
NO_F=1 expect_exit 3 rehost_run verify proof
expect_out 'differ'

say "resume mends it; one that is flipped while following is mended as well"
flip 9
NO_F=1 rehost_start resume proof
wait_for 60 status_is proof .progress.phase follow
wait_for 60 status_is proof .progress.unproved 0
flip 11
NO_F=1 expect_exit 0 rehost_run cutover proof
rehost_wait 90 0
report_is proof .proof.ok true
expect_same "$(manifest_on old /data)" "$(manifest_on new /data)" manifest
NO_F=1 expect_exit 0 rehost_run confirm proof
