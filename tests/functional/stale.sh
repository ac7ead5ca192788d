#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise 1: what the disk holds is read, not an old cache of the device.
# Catches builds that read buffered.
# timeout: 600
# shellcheck source=tests/functional/lib.sh
. "$(dirname "$0")/lib.sh"

disk old vdb 128M >/dev/null
disk new vdb 128M >/dev/null
mkfs_on old vdb ext4
mount_on old vdb /data
populate old /data 20

say "the device's page cache is full of old contents, and stays"
on_sh old 'sync; (exec sleep 1000 </dev/vdb) & echo $! >/run/holder
	dd if=/dev/vdb of=/dev/null bs=1M status=none'
on_sh old 'dd if=/dev/urandom of=/data/p/noise bs=1M count=20 conv=notrunc,fsync status=none
	cp -a /data/p /data/q; sync -f /data'

say "a copy holds the new ones"
# Connections that ssh shares are the user's business.
expect_exit 0 rehost_run copy -o ControlMaster=auto \
	-o ControlPath="$dir/cm-%C" -o ControlPersist=2 root@old:/dev/vdb root@new:/dev/vdb
want=$(manifest_on old /data)
on_sh new 'mkdir -p /data; mount -o ro /dev/vdb /data'
expect_same "$want" "$(manifest_on new /data)" manifest
on_sh old 'kill "$(cat /run/holder)"'
