#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ci
# timeout: 900
#
# Promise 1, nothing is lost, on Debian's kernel and its device-mapper: volumes
# on LVM and a partition, written all the time, also across the borders of their
# pieces. Every replica is compared with the source while that stands still.
. "$(dirname "$0")/../lib.sh"

activate() {
	echo "mkdir -p /srv/$1 && mount /dev/$2 /srv/$1"
}

# equal FOLDER DISK TYPE [MANIFEST]: the copy on DISK of new is what old has, and
# is a sound filesystem.
equal() {
	local want=${4-}

	[[ -n $want ]] || want=$(manifest_on old "/srv/$1")
	[[ $(wc -l <<<"$want") -gt 300 ]] || fail "a manifest is too short"
	expect_same "$want" "$(manifest_on new "/srv/$1")" "/srv/$1"
	on new umount "/srv/$1"
	fsck_on new "$2" "$3"
}

say "a writer on each: across 96 and 160 MiB of the linear one, where its pieces"
say "meet, and across the chunks of the striped one"
for v in linear striped part; do
	populate old /srv/$v 16
done
writer_start /srv/linear 145 $((96 << 20)) $((160 << 20))
writer_start /srv/striped 24 %65536
writer_start /srv/part 24 %1048576
writers_check

say "linear: frozen while its writers write"
move_start --name linear --freeze --cutover wait \
	--activate "$(activate linear vdb)" old:/dev/vg/linear new:/dev/vdb
wait_for 240 rounds_are linear 3
writers_check
NO_F=1 expect_exit 0 rehost_run cutover linear
rehost_wait 240 0
tracked linear
report_is linear .fence.kind freeze
equal linear vdb ext4

say "striped: its writers stopped, unmounted"
on_sh old 'printf "%s" "$1" >/run/manifest.sh
	cat >/run/quiesce.sh' "$manifest_script" <<'END'
set -eu
kill -s KILL -- -$(cat /run/writers/striped.pid)
rm /run/writers/striped.pid
while ! umount /srv/striped; do sleep 0.1; done
mount -o ro /dev/vg/striped /mnt
sh -eu /run/manifest.sh /mnt >/run/manifest
umount /mnt
END
move_start --name striped --cutover wait --quiesce 'sh /run/quiesce.sh' \
	--activate "$(activate striped vdc)" old:/dev/vg/striped new:/dev/vdc
wait_for 240 rounds_are striped 3
writers_check
NO_F=1 expect_exit 0 rehost_run cutover striped
rehost_wait 240 0
tracked striped
report_is striped .fence.kind unmounted
equal striped vdc xfs "$(on old cat /run/manifest)"
expect_exit 32 on old mount /dev/vg/striped /srv/striped
expect_out 'already mounted or mount point busy'

say "a partition: by itself, its neighbour as busy as can be"
on_sh old 'setsid /bin/sh -c "echo \$\$ >/run/writers/neighbour.pid
	exec fio --name=n --filename=/dev/vdd2 --size=16m --rw=randwrite \
		--bsrange=4k-64k --direct=1 --ioengine=libaio --iodepth=8 \
		--time_based --runtime=3600 --eta=never --thread" \
	</dev/null >/run/writers/neighbour.log 2>&1 &'
wait_for 60 on old test -s /run/writers/neighbour.pid
expect_exit 0 rehost_run move --downtime 60s --name part --freeze \
	--activate "$(activate part vdd)" old:/dev/vdd1 new:/dev/vdd
tracked part
writers_check
on_sh old 'cd /run/writers; kill -s KILL -- -$(cat neighbour.pid); rm neighbour.*'
equal part vdd ext4

say "rollback of linear: its writers go on where they hung"
NO_F=1 expect_exit 0 rehost_run rollback linear
writers_check
wait_for 60 is_writable old /srv/linear

say "a volume that moves to other extents is compared, and tracked again"
move_start --name elsewhere --freeze --cutover wait \
	--overwrite serial:new-vdb --activate "$(activate linear vdb)" \
	old:/dev/vg/linear new:/dev/vdb
wait_for 240 rounds_are elsewhere 2
on_sh old 'pvmove -q -i 1 --alloc anywhere /dev/vdb:64-71 /dev/vdb:24-31' \
	>"$dir/log/pvmove.log" 2>&1
[[ $(on old dmsetup table vg-linear | tail -n 1) == *" $((2048 + 24 * 8192))" ]] ||
	fail "pvmove did not move it"
wait_for 240 compares_are elsewhere 1
writers_check
NO_F=1 expect_exit 0 rehost_run cutover elsewhere
rehost_wait 240 0
report_is elsewhere '.tracker.losses > 0' true
report_is elsewhere .proof.ok true
equal linear vdb ext4
NO_F=1 expect_exit 0 rehost_run rollback elsewhere
writers_check

say "a volume that grows is refused, and lives"
move_start --name grown --freeze --overwrite serial:new-vdb \
	--cutover wait old:/dev/vg/linear new:/dev/vdb
wait_for 240 rounds_are grown 2
on_sh old 'lvextend -q -l +4 vg/linear && resize2fs /dev/vg/linear' \
	>"$dir/log/lvextend.log" 2>&1
rehost_wait 240 1
expect_out 'its size changed'
report_is grown .live source
report_is grown .state failed
[[ -z $(signature_of new vdb) ]] || fail "half a replica looks real"
NO_F=1 expect_exit 0 rehost_run abort grown
expect_no_out 'what is left there'
writers_check
wait_for 60 is_writable old /srv/linear

say "nothing stays behind"
NO_F=1 expect_exit 0 rehost_run confirm part
NO_F=1 expect_exit 0 rehost_run confirm striped
# The one of the partition hung on the fence until now.
writers_stop
wait_for 60 is_clean old
wait_for 60 is_clean new
[[ -z $(on old ls /sys/kernel/tracing/instances) ]] || fail "a tracefs instance"
