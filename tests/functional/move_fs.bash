# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by move_ext4.sh, move_xfs.sh and move_btrfs.sh: what a move has to do
# for every filesystem. All hosts of the lab have one kernel, so a copy is never
# mounted beside its source where the filesystem forbids that.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

round=$((64 << 20))

# mount_copy HOST NAME FOLDER
mount_copy() {
	case $type in
	xfs) mount_on "$1" "$2" "$3" -o nouuid ;;
	*) mount_on "$1" "$2" "$3" ;;
	esac
}

# expect_copy MANIFEST: what is on the target's disk.
expect_copy() {
	# A frozen xfs leaves its log to be looked at by the next mount.
	[[ $type == xfs ]] || fsck_on new vdb "$type"
	mount_copy new vdb /data
	expect_same "$1" "$(manifest_on new /data)" "the copy"
	if on new test -f /data/w-sqlite.db; then
		on new sqlite3 /data/w-sqlite.db 'pragma integrity_check' \
			>"$dir/log/sqlite.log" 2>&1
		[[ $(<"$dir/log/sqlite.log") == ok ]] || fail "the database"
		on new sqlite3 /data/w-sqlite.db 'select max(n) from t' \
			>"$dir/rows"
	fi
	on new umount /data
	fsck_on new vdb "$type"
}

# Rewrites a file of 96 MiB with ever other bytes. Rounds that take their time
# (--bwlimit) find most of it changed.
burst_start() {
	on_sh old '
		head -c 97M /dev/urandom >/dev/shm/bytes
		setsid /bin/sh -c "echo \$\$ >/run/burst.pid; n=0; while :; do
			n=\$(((n + 1) % 200))
			dd if=/dev/shm/bytes of=/data/burst bs=4096 \
				skip=\$n count=24576 conv=notrunc,fsync
			sleep 0.3
		done" </dev/null >/dev/null 2>&1 &'
}

burst_stop() {
	# shellcheck disable=SC2016 # for the host's shell
	on_sh old 'kill -s KILL -- -$(cat /run/burst.pid)
		rm -f /dev/shm/bytes /run/burst.pid'
}

large_rounds() {
	(($(report_of "$1" "[.rounds[] | select(.n > 0 and
		.bytes >= $round)] | length") >= 4))
}

move_under_writers() {
	local want rows

	say "$type: under writers, frozen when the user says so"
	mkfs_on old vdb "$type"
	mount_on old vdb /data
	populate old /data 24
	writers_start old /data
	burst_start
	on_sh new 'head -c 200M /dev/urandom >/dev/vdb; sync /dev/vdb'
	rehost_start move --overwrite "$(identity_of new vdb)" \
		--name busy --freeze --cutover wait --downtime 30s \
		--bwlimit 40M --activate 'date >/run/active' \
		old:/dev/vdb new:/dev/vdb
	wait_for 90 large_rounds busy
	status_is busy .live source || fail "not the source lives"
	on new test ! -e /run/active
	expect_exit 2 on new blkid -p /dev/vdb
	burst_stop
	writers_check
	NO_F=1 expect_exit 0 rehost_run cutover busy
	rehost_wait 60 0
	report_is busy .state "done"
	report_is busy .live target
	report_is busy .fence.kind freeze
	report_is busy .proof.ok true
	report_is busy .tracker.kind tracefs
	report_is busy .tracker.losses 0
	on new test -e /run/active
	expect_exit 1 is_writable old /data
	want=$(manifest_on old /data)
	rows=$(on old cat /run/writers/sqlite.committed)
	part_ways
	expect_copy "$want"
	(($(<"$dir/rows") >= rows)) ||
		fail "row $rows was committed, $(<"$dir/rows") is there"
	[[ $type == btrfs ]] || confirm_and_stop
	expect_clean old busy
	expect_clean new
}

confirm_and_stop() {
	NO_F=1 expect_exit 0 rehost_run confirm busy
	wait_for 10 is_writable old /data
	writers_stop
	on old umount /data
}

# The source's filesystem has to go before its copy may come.
part_ways() {
	[[ $type == btrfs ]] || return 0
	confirm_and_stop
	btrfs device scan --forget >/dev/null 2>&1 || :
}

# The quiesce hook lists what is there when the last writer has stopped.
move_unmounted() {
	say "$type: the hooks stop the writers and unmount"
	on new wipefs -aq /dev/vdb
	mkfs_on old vdb "$type"
	mount_on old vdb /data
	populate old /data 8
	writers_start old /data buffered mmap sqlite files
	printf '%s' "$manifest_script" >"$dir/manifest"
	on_sh old 'cat >/root/manifest' <"$dir/manifest"
	# shellcheck disable=SC2016 # for the host's shell
	expect_exit 0 rehost_run move --name stopped --overwrite \
		"$(identity_of new vdb)" --downtime 30s --quiesce '
		for f in /run/writers/*.pid; do
			kill -s KILL -- -$(cat $f)
			# What it was in the middle of is done first.
			while pgrep -g $(cat $f) >/dev/null; do
				sleep 0.01
			done
		done
		sh -eu /root/manifest /data >/root/list
		for i in $(seq 50); do
			umount /data && break || sleep 0.1
		done' \
		--activate '[ "$REHOST_DEVICE" = /dev/vdb ] &&
			[ "$REHOST_NAME" = stopped ] &&
			[ "$REHOST_PHASE" = activate ]' \
		old:/dev/vdb new:/dev/vdb
	report_is stopped .fence.kind unmounted
	report_is stopped .live target
	expect_exit 32 on old mount /dev/vdb /data
	expect_copy "$(on old cat /root/list)"
	NO_F=1 expect_exit 0 rehost_run confirm stopped
	writers_stop
	expect_clean old stopped
	expect_clean new
	on old mount /dev/vdb /data
	on old umount /data
}

# identity_of HOST NAME: what --overwrite wants to hear.
identity_of() {
	local out

	out=$(rehost_run copy --dry-run "old:/dev/vdb" "$1:/dev/$2" 2>&1) || :
	sed -n 's/.*--overwrite //p' <<<"$out"
}

move_fs() {
	type=$1
	disk old vdb 640M >/dev/null
	disk new vdb 640M >/dev/null
	move_under_writers
	move_unmounted
}
