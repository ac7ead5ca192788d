#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# rehost copy of what nobody writes: devices and files of all sizes, near and
# far, over whatever lay on the target before.
. "$(dirname "$0")/lib.sh"

# head_on HOST PATH BYTES: digest of its first bytes.
head_on() {
	on_sh "$1" 'head -c "$2" "$1" | sha256sum' "$2" "$3"
}

# garbage_on HOST PATH MIB
garbage_on() {
	on_sh "$1" 'head -c "$2" /dev/urandom >"$1"; sync' "$2" "$3M"
}

disk old vdb 96M >/dev/null
disk new vdb 96M >/dev/null
disk new vdc 128M >/dev/null
mkfs_on old vdb ext4
mount_on old vdb /mnt
populate old /mnt 20
want=$(manifest_on old /mnt)
on old umount /mnt
digest=$(digest_on old vdb)

say "a target that is not empty is refused, and left as it was"
garbage_on new /dev/vdb 96
before=$(digest_on new vdb)
expect_exit 1 rehost_run copy old:/dev/vdb new:/dev/vdb
expect_out -- '--overwrite size:100663296$'
[[ $(digest_on new vdb) == "$before" ]] || fail "the target was written"

say "an unmounted volume, directly, over garbage"
expect_exit 0 rehost_run copy --name direct --via direct \
	--overwrite size:100663296 old:/dev/vdb new:/dev/vdb
[[ $(digest_on old vdb) == "$digest" ]] || fail "the source was written"
[[ $(digest_on new vdb) == "$digest" ]] || fail "the copy differs"
report_is direct .lanes.path direct
report_is direct .state "done"
report_is direct .live source
report_is direct .proof.ok true
report_is direct .bytes.total $((96 << 20))
(($(report_of direct .bytes.sent) >= 20 << 20)) || fail "fewer bytes than noise"
mount_on new vdb /mnt -o ro
expect_same "$want" "$(manifest_on new /mnt)" "files"
on new umount /mnt
fsck_on new vdb ext4
expect_clean old direct
expect_clean new

say "through the controller, and the other way around"
for via in relay reverse; do
	garbage_on new /dev/vdb 96
	expect_exit 0 rehost_run copy --name $via --via $via \
		--overwrite size:100663296 old:/dev/vdb new:/dev/vdb
	[[ $(digest_on new vdb) == "$digest" ]] || fail "the copy differs"
	report_is $via .lanes.path $via
done

say "where the hosts do not see each other, rehost finds its way and says so"
garbage_on new /dev/vdb 96
"$lab" cut "$dir" old new
expect_exit 0 rehost_run copy --name found old:/dev/vdb \
	--overwrite size:100663296 new:/dev/vdb
expect_out 'data goes through this machine'
"$lab" heal "$dir"
report_is found .lanes.path relay
[[ $(digest_on new vdb) == "$digest" ]] || fail "the copy differs"

say "the controller dies with a whole copy: abort wipes it; without one resume ends it"
for point in verify.after activate.after; do
	garbage_on new /dev/vdb 96
	expect_exit 137 env REHOST_TEST_KILL=$point:controller \
		XDG_STATE_HOME="$dir/state" "$REHOST" copy -F "$dir/ssh_config" \
		--name $point --overwrite size:100663296 old:/dev/vdb new:/dev/vdb
	wait_for 60 on_sh new '! pgrep -x rehost-agent'
	if [[ $point == activate.after ]]; then
		[[ $(digest_on new vdb) == "$digest" ]] || fail "the copy differs"
		NO_F=1 expect_exit 0 rehost_run abort $point
	else
		expect_exit 2 on new blkid -p /dev/vdb
		NO_F=1 expect_exit 0 rehost_run resume $point
		[[ $(digest_on new vdb) == "$digest" ]] || fail "the copy differs"
		on new blkdiscard -f /dev/vdb
	fi
	expect_exit 2 on new blkid -p /dev/vdb
	expect_clean old $point
	expect_clean new
done

say "a larger target: old signatures behind the copy go"
garbage_on new /dev/vdc 128
on new mkfs.btrfs -q -f /dev/vdc >/dev/null
expect_exit 1 rehost_run copy --name larger old:/dev/vdb new:/dev/vdc
expect_out -- '--overwrite uuid:'
expect_exit 0 rehost_run copy --name larger --overwrite "${out##* }" \
	old:/dev/vdb new:/dev/vdc
[[ "$(head_on new /dev/vdc 100663296)" == "$digest" ]] || fail "differs"
on new blkid -p -o value -s TYPE /dev/vdc >"$dir/type"
[[ $(<"$dir/type") == ext4 ]] || fail "it looks like $(<"$dir/type")"

say "logical sectors: larger on the source, not larger on the target"
LAB_SECTOR_SIZE=4096 disk old big 32M >/dev/null
LAB_SECTOR_SIZE=4096 disk new big 32M >/dev/null
disk new small 32M >/dev/null
disk old small 32M >/dev/null
garbage_on old /dev/big 32
garbage_on old /dev/small 32
expect_exit 0 rehost_run copy --name sectors1 old:/dev/big new:/dev/small
[[ $(digest_on old big) == "$(digest_on new small)" ]] || fail "differs"
before=$(digest_on new big)
expect_exit 1 rehost_run copy --name sectors2 old:/dev/small new:/dev/big
expect_out 'logical blocks have 4096 bytes, the source.s 512'
[[ $(digest_on new big) == "$before" ]] || fail "the target was written"
expect_exit 0 rehost_run copy --name sectors3 old:/dev/big new:/dev/big
[[ $(digest_on old big) == "$(digest_on new big)" ]] || fail "differs"

say "image files of any size"
for n in 1 511 513 4097 1048575 10486537; do
	on_sh old 'head -c "$1" /dev/urandom >/root/odd' $n
	expect_exit 0 rehost_run copy --name odd$n old:/root/odd \
		new:/root/odd$n
	[[ $(on new stat -c %s /root/odd$n) == "$n" ]] || fail "size of $n"
	expect_same "$(on old sha256sum </dev/null /root/odd | cut -c 1-64)" \
		"$(on new sha256sum /root/odd$n | cut -c 1-64)" "odd$n"
done
expect_exit 1 rehost_run copy --name again old:/root/odd new:/root/odd1
on old truncate -s 0 /root/empty
expect_exit 1 rehost_run copy --name empty old:/root/empty new:/root/empty
expect_out 'it has no bytes'
expect_exit 1 on new test -e /root/empty

say "holes stay holes"
on_sh old 'truncate -s 2G /root/sparse
	head -c 300000 /dev/urandom |
		dd of=/root/sparse bs=4096 seek=100000 conv=notrunc status=none'
expect_exit 0 rehost_run copy --name sparse old:/root/sparse new:/root/sparse
report_is sparse .bytes.total $((2 << 30))
expect_same "$(on old sha256sum /root/sparse)" "$(on new sha256sum /root/sparse)"
(($(on new du -k /root/sparse | cut -f 1) < 2048)) || fail "the holes were filled"

say "from a device to a file, and back"
expect_exit 0 rehost_run copy --name tofile old:/dev/small new:/root/small.img
[[ "$(head_on new /root/small.img 33554432)" == "$(digest_on old small)" ]] ||
	fail "differs"
expect_exit 0 rehost_run copy --name todisk --overwrite size:33554432 \
	new:/root/small.img new:/dev/small
[[ $(digest_on old small) == "$(digest_on new small)" ]] || fail "differs"

say "a bandwidth limit"
expect_exit 0 rehost_run copy --name slow --bwlimit 16M old:/dev/small \
	new:/root/slow.img
# The limit lets 100 ms go ahead. Rounds leave out the way there and back.
ms=$(report_of slow '[.rounds[].ms] | add')
sent=$(report_of slow .bytes.sent)
((sent >= 32 << 20)) || fail "random bytes do not get smaller"
((ms >= (sent - (2 << 20)) * 1000 / (16 << 20))) ||
	fail "$sent bytes in $ms ms"

say "what a slow link would take long for is compressed"
on_sh old 'seq 1 11000000 | head -c 67108864 >/root/text'
"$lab" wan "$dir" old new 2 100
expect_exit 0 rehost_run copy --name packed old:/root/text new:/root/text
"$lab" wan "$dir" old new off
# Two trials of 8 MiB as they are; the rest to a quarter at most.
sent=$(report_of packed .bytes.sent)
((sent < 32 << 20)) || fail "$sent bytes of 64 MiB that pack well"
expect_same "$(on old sha256sum /root/text)" "$(on new sha256sum /root/text)"

say "files of this machine, without ssh"
mkdir "$dir/here"
head -c 5000001 /dev/urandom >"$dir/here/a"
(cd "$dir/here" && PATH=$dir/none:$PATH expect_exit 0 rehost_run copy ./a ./b)
cmp "$dir/here/a" "$dir/here/b"
expect_exit 0 rehost_run copy "$dir/here/a" new:/root/a
cmp "$dir/here/a" <(on new cat /root/a)
expect_exit 0 rehost_run copy old:/root/sparse "$dir/here/c"
expect_same "$(on old sha256sum /root/sparse | cut -c 1-64)" \
	"$(sha256sum <"$dir/here/c" | cut -c 1-64)"

expect_clean old
expect_clean new
