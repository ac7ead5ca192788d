#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise 1: what is written in the last moment before the freeze arrives.
# Catches builds that do not ask the tracker a last time.
# timeout: 600
# shellcheck source=tests/functional/lib.sh
. "$(dirname "$0")/lib.sh"

disk old vdb 128M >/dev/null
disk new vdb 128M >/dev/null
mkfs_on old vdb ext4
mount_on old vdb /data
on_sh old 'dd if=/dev/urandom of=/data/f bs=1M count=32 conv=fsync status=none'

on_sh old 'd=/dev/shm/.rehost-dead; mkdir -m 700 $d; : >$d/rehost-agent
	touch -d "2 hours ago" $d'

say "the quiesce hook itself overwrites blocks that were sent and proved"
expect_exit 0 rehost_run move --name drain root@old:/dev/vdb \
	root@new:/dev/vdb --activate 'mkdir -p /data; mount -o ro /dev/vdb /data' \
	--format json --bwlimit 20M \
	--quiesce 'dd if=/dev/urandom of=/data/f bs=64k seek=100 count=64 conv=notrunc oflag=direct status=none'
[[ $(grep '^{' <<<"$out" | jq -s 'map(select(.event == "progress").done) |
	length > 0 and . == sort') == true ]] || fail "bytes done fell"
report_is drain .tracker.kind tracefs
report_is drain .live target
expect_same "$(manifest_on old /data)" "$(manifest_on new /data)" manifest
NO_F=1 expect_exit 0 rehost_run confirm drain

say "and what an agent left that died on its way is swept"
expect_exit 0 on_sh old '! [ -e /dev/shm/.rehost-dead ]'
