#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 900
#
# Promise 6 where marks were lost: the source is reset in the middle of the
# sync. What was written before and after is found by comparison, and what the
# target has already is not sent again.
. "$(dirname "$0")/lib.sh"

on_sh old 'head -c 64M /dev/urandom >/srv/part/noise; sync'

say "the source is reset while the move follows a writer"
writer_start /srv/part 24 %1048576
move_start --name reset --freeze --cutover wait \
	--activate 'mkdir -p /srv/part && mount /dev/vdb /srv/part' \
	old:/dev/vdd1 new:/dev/vdb
wait_for 240 rounds_are reset 2
before=$(on old cat /proc/sys/kernel/random/boot_id)
"$guest" reboot "$dir" old
[[ $(on old cat /proc/sys/kernel/random/boot_id) != "$before" ]] ||
	fail "it did not boot again"

say "rehost stops, and can be resumed"
rehost_wait 240 4
expect_out 'rehost resume'
report_is reset .live source
report_is reset .state paused
[[ -z $(signature_of new vdb) ]] || fail "half a replica looks real"

say "resumed: what differs is found, and only that is sent"
sent=$(report_of reset .bytes.sent)
((sent > 64 << 20)) || fail "only $sent bytes were sent before the reset"
on old findmnt -n /srv/part >/dev/null
on_sh old 'head -c 3M /dev/urandom >/srv/part/later
	dd if=/dev/urandom of=/srv/part/noise bs=4k count=256 seek=4096 \
		conv=notrunc,fsync status=none'
# How the rest is cut over is for the user to say again.
NO_F=1 rehost_start resume reset
wait_for 240 compares_are reset 1
NO_F=1 expect_exit 0 rehost_run cutover reset
rehost_wait 240 0
again=$(($(report_of reset .bytes.sent) - sent))
say "sent before the reset: $sent bytes; after it: $again"
((again >= 4 << 20 && again < 32 << 20)) || fail "sent again: $again bytes"
report_is reset .tracker.kind tracefs
report_is reset .proof.ok true
report_is reset .live target

say "all of it is there"
expect_same "$(manifest_on old /srv/part)" "$(manifest_on new /srv/part)" content
on new umount /srv/part
fsck_on new vdb ext4
