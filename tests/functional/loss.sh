#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A tracker that loses events is never believed: overflow, and one event in a
# thousand dropped in silence, lead to a comparison, and to equal contents.
# timeout: 600
# shellcheck source=tests/functional/lib.sh
. "$(dirname "$0")/lib.sh"

disk old vdb 256M >/dev/null
disk new vdb 256M >/dev/null

# lossy NAME SETTING=VALUE
lossy() {
	mkfs_on old vdb ext4
	mount_on old vdb /data
	on_sh old 'dd if=/dev/urandom of=/data/f bs=1M count=64 conv=fsync status=none'
	writers_start old /data direct files
	export "${2?}"
	rehost_start move --name "$1" root@old:/dev/vdb root@new:/dev/vdb \
		--overwrite size:268435456 --overwrite "$id" \
		--cutover wait --freeze --downtime 20s \
		--activate 'mkdir -p /data; mount -o ro /dev/vdb /data'
	wait_for 60 rounds_are "$1" 3
	unset "${2%%=*}"
	# A keeper that gets no processor for a while.
	[[ $1 != overflow ]] || on old pkill -STOP -x rehost-keeper
	on_sh old 'dd if=/dev/urandom of=/data/f bs=4k count=4096 conv=notrunc oflag=direct status=none' ||
		fail "no writes"
	[[ $1 != overflow ]] || on old pkill -CONT -x rehost-keeper
	# One that goes on losing as much never comes to the end of a cut.
	# shellcheck disable=SC2016 # for the host's shell
	[[ $1 != dropped ]] ||
		on_sh old 'kill -s KILL -- -"$(cat /run/writers/direct.pid)"'
	NO_F=1 expect_exit 0 rehost_run cutover "$1"
	rehost_wait 120 0
	(($(report_of "$1" .tracker.losses) > 0)) || fail "no loss was noticed"
	(($(report_of "$1" .tracker.compares) > 0)) || fail "nothing compared"
	expect_same "$(manifest_on old /data)" "$(manifest_on new /data)" \
		manifest
	on new umount /data
	NO_F=1 expect_exit 0 rehost_run confirm "$1"
	writers_stop
	id=uuid:$(on old blkid -o value -s UUID /dev/vdb)
	on old umount /data
}

id=size:268435456
say "one event in a thousand is dropped"
lossy dropped REHOST_TEST_DROP_EVERY=1000
say "the ring buffer is far too small"
lossy overflow REHOST_TEST_TRACE_KB=4
