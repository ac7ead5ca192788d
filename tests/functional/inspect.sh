#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# rehost inspect: what it tells of a machine, to root and to others, also of one
# that means no good; and that nothing stays behind.
. "$(dirname "$0")/lib.sh"

# facts FILTER [PLACE]: of root@old.
facts() {
	XDG_STATE_HOME=$dir/state "$REHOST" inspect -F "$dir/ssh_config" \
		--format json --sample 100ms "${2:-root@old}" >"$dir/facts"
	jq -r "$1" "$dir/facts"
}

# is FILTER VALUE, of the facts that were gathered last.
is() {
	expect_same "$2" "$(jq -r "$1" "$dir/facts")"
}

# No other test has a disk of this size: the facts show all loop devices.
size=$((37 << 20))
disk old vdb 37M >/dev/null
mkfs_on old vdb ext4
mount_on old vdb /data
on_sh old 'head -c 8M /dev/urandom >/data/x; sync -f /data
	setsid socat TCP-LISTEN:4711,fork EXEC:cat </dev/null >/dev/null 2>&1 &'
wait_for 10 on_sh old 'grep -q :1267 /proc/net/tcp'

say "as root"
expect_same 1 "$(facts .schema)"
is .root true
is .system.hostname old
is .system.architecture x86_64
is .system.distribution.id debian
is '.system.kernel.release' "$(uname -r)"
is '.filesystems[] | select(.mount == "/data") | .type' ext4
is '.filesystems[] | select(.mount == "/data") | .used > 8000000' true
is '[.disks[] | select(.size == '$size' and .content.type == "ext4")] |
	length > 0' true
is '[.disks[] | select(.size == '$size')][0].content.uuid' \
	"$(on old blkid -o value -s UUID /dev/vdb)"
is '.ports[] | select(.port == 4711) | .program' socat
is '[.ports[] | select(.port == 22)][0].program' sshd
is '[.network.interfaces[] | select(.kind != "loopback") | .addresses[]] |
	any(startswith("'"$LAB_ADDR4_old"'/"))' true
is '[.network.interfaces[] | select(.kind != "loopback") | .mac][0]' \
	"$(on_sh old 'cat "$(ls -d /sys/class/net/* | grep -v /lo | head -n 1)/address"')"
expect_exit 0 rehost_run inspect root@old
for words in 'machine  *old, Debian' '37.0 MiB  ext4 on /data' 'port 4711: socat'; do
	expect_out "$words"
done
expect_clean old

say "here, and what is no machine"
expect_exit 0 env XDG_STATE_HOME="$dir/state" "$REHOST" inspect --sample 0
expect_out 'machine'
for wrong in old:/dev/vdb 'old new' --sample=2h; do
	# shellcheck disable=SC2086 # words
	expect_exit 2 "$REHOST" inspect $wrong
done
expect_exit 1 rehost_run inspect nowhere.invalid
expect_out 'nowhere'

say "as somebody else it tells what it may, and names what it may not"
on_sh old 'useradd -m plain && mkdir -p /home/plain/.ssh &&
	cp /root/.ssh/authorized_keys /home/plain/.ssh/ &&
	chown -R plain /home/plain/.ssh && usermod -p "*" plain'
expect_same false "$(facts .root plain@old)"
is .system.hostname old
is '.missing | length > 0' true
is '.ports[] | select(.port == 4711) | .port' 4711
is '.ports[] | select(.port == 4711) | has("program")' false
expect_exit 0 rehost_run inspect plain@old
expect_out 'not known'
expect_clean old
# The agent for a move still wants root.
expect_exit 1 rehost_run copy plain@old:/dev/vdb new:/root/x

say "a filesystem that never answers is named, and the rest arrives"
on_sh old 'mknod /dev/fuse c 10 229 2>/dev/null || :
	mkdir -p /var/lib/mysql
	setsid python3 -c "
import ctypes, os, time
fd = os.open(\"/dev/fuse\", os.O_RDWR)
options = b\"fd=%d,rootmode=40000,user_id=0,group_id=0\" % fd
libc = ctypes.CDLL(None)
assert libc.mount(b\"dead\", b\"/var/lib/mysql\", b\"fuse\", 0, options) == 0
time.sleep(100000)" </dev/null >/dev/null 2>&1 & echo $! >/run/dead'
wait_for 10 on_sh old 'grep -q " /var/lib/mysql fuse " /proc/mounts'
facts .schema >/dev/null
is '[.missing[] | select(.why == "it does not answer") | .what |
	startswith("var/lib/mysql/")] | tostring' '[true]'
is '.filesystems[] | select(.mount == "/data") | .type' ext4
is '.databases | type' array
is '.load | type' object
on_sh old 'umount -l /var/lib/mysql; kill "$(cat /run/dead)"'
expect_clean old

say "a machine that means no good"
on_sh old '
	{ printf "UUID=1 / ext4 "; head -c 1M /dev/zero | tr "\0" a; echo; } \
		>/etc/fstab
	printf "NAME=\"\033[31mred\"\nPRETTY_NAME=\"a\033]0;x\007b\nID=\377\376\n" \
		>/etc/os-release
	umount /data
	mkdir -p "/data
	two"
	mount /dev/vdb "/data
	two"
	cp /bin/sleep "/run/$(printf "a\033[2Jb")"
	"/run/$(printf "a\033[2Jb")" 600 </dev/null >/dev/null 2>&1 &
	ln -sfn loop /etc/loop; ln -sfn . /etc/systemd/system/x.wants
	mkfifo /etc/network/interfaces 2>/dev/null || :
	mkfifo /etc/crypttab 2>/dev/null || :'
facts .schema >/dev/null
is '[.. | strings | select(test("[\u0000-\u001f\u007f]"))] | length' 0
is '[.missing[] | select(.what | test("fstab"))] | length > 0' true
is '[.filesystems[].mount | select(test("two"))] | length' 1
expect_exit 0 rehost_run inspect root@old
LC_ALL=C grep -q $'[\001-\010\013-\037\177]' <<<"$out" &&
	fail "control characters reach the terminal"
expect_clean old
