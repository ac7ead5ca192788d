#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 900
#
# Promise 3, two copies are never live at once, when the source is reset after
# the commit: the signature fence withstands it, and rollback removes it. The
# freeze does not, and says so.
. "$(dirname "$0")/lib.sh"

populate old /srv/part 8
populate old /srv/linear 8
part=$(manifest_on old /srv/part)
linear=$(manifest_on old /srv/linear)

say "one move with each fence"
expect_exit 0 rehost_run move --downtime 60s --name signature --freeze \
	--fence signature --activate 'mkdir -p /srv/part && mount $REHOST_DEVICE /srv/part' \
	--deactivate 'umount $REHOST_DEVICE' old:/dev/vdd1 new:/dev/vdb
report_is signature .fence.kind signature
report_is signature .fence.survives_reboot true
expect_exit 0 rehost_run move --downtime 60s --name freeze --freeze \
	--activate 'mkdir -p /srv/linear && mount $REHOST_DEVICE /srv/linear' \
	--deactivate 'umount $REHOST_DEVICE' old:/dev/vg/linear new:/dev/vdc
report_is freeze .fence.kind freeze
report_is freeze .fence.survives_reboot false
expect_out 'not a reboot'

say "the source is reset"
"$guest" reboot "$dir" old

say "the signature fence holds: nothing is found, nothing can be mounted"
[[ -z $(signature_of old vdd1) ]] || fail "$(signature_of old vdd1)"
expect_exit 1 on old findmnt -n /srv/part
on old mkdir -p /mnt/part
expect_exit 32 on old mount /dev/vdd1 /mnt/part
expect_exit 32 on old mount -t ext4 /dev/vdd1 /mnt/part
expect_same "$part" "$(manifest_on new /srv/part)" "the target"

say "the freeze does not: it is mounted by fstab again"
on old findmnt -n /srv/linear >/dev/null || fail "not mounted"
expect_same "$linear" "$(manifest_on old /srv/linear)" "the source"

say "rollback puts the signature back, and its data is there"
on_sh new 'echo lost >/srv/part/on-the-target; sync'
NO_F=1 expect_exit 0 rehost_run rollback signature
expect_out 'the target wrote'
report_is signature .live source
expect_exit 1 on new findmnt -n /srv/part
fsck_on old vdd1 ext4
on old mount /dev/vdd1 /mnt/part
expect_same "$part" "$(manifest_on old /mnt/part)" "the source"
wait_for 60 is_writable old /mnt/part

say "nothing stays behind"
NO_F=1 expect_exit 0 rehost_run rollback freeze
wait_for 60 is_clean old
wait_for 60 is_clean new
