#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise 3: two copies are never live at once. Catches builds that thaw after
# commit.
# timeout: 600
# shellcheck source=tests/functional/lib.sh
. "$(dirname "$0")/lib.sh"

disk old vdb 64M >/dev/null
disk new vdb 64M >/dev/null
mkfs_on old vdb ext4
mount_on old vdb /data
on_sh old 'echo before >/data/f; sync -f /data'

say "after commit the source stays frozen, though nobody is connected (IPv6)"
expect_exit 0 rehost_run move --name fence root@old6:/dev/vdb \
	root@new6:/dev/vdb --freeze \
	--activate 'mkdir -p /data; mount /dev/vdb /data'
sleep 1
if is_writable old /data; then
	fail "the source can be written"
fi
is_writable new /data || fail "the target cannot be written"

say "until confirm"
NO_F=1 expect_exit 0 rehost_run confirm fence
wait_for 20 is_writable old /data
expect_clean old fence
expect_clean new
