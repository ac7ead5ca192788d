#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# rehost rescue build: what it refuses, and what it makes, with a kernel that is
# none. Machines boot it in tests/vm/rescue.sh.
NOLAB=1
. "$(dirname "$0")/lib.sh"

version=9.9.9-test
modules=$dir/lib/modules/$version
mkdir -p "$modules/kernel/drivers/net/phy" "$modules/kernel/lib" \
	"$modules/kernel/sound"
python3 - "$dir/kernel" $version <<'PY'
import sys
b = bytearray(0x1000)
b[0x202:0x206] = b"HdrS"
b[0x20e] = 0x10
text = sys.argv[2].encode() + b" (nobody)"
b[0x210:0x210 + len(text)] = text
open(sys.argv[1], "wb").write(b)
PY
echo one >"$modules/kernel/drivers/net/phy/one.ko"
echo two | xz >"$modules/kernel/lib/two-x.ko.xz"
echo three | zstd -q >"$modules/kernel/drivers/net/phy/three.ko.zst"
echo four | gzip >"$modules/kernel/drivers/net/phy/four.ko.gz"
cat >"$modules/modules.dep" <<-END
	kernel/drivers/net/phy/one.ko: kernel/lib/two-x.ko.xz
	kernel/drivers/net/phy/three.ko.zst:
	kernel/drivers/net/phy/four.ko.gz:
	kernel/lib/two-x.ko.xz:
	kernel/sound/noise.ko:
END
cat >"$modules/modules.alias" <<-END
	alias mdio:one* one
	alias mdio:noise* noise
END
ssh-keygen -q -t ed25519 -N '' -C me -f "$dir/me"
for type in ed25519 ecdsa rsa; do
	ssh-keygen -q -t $type -N '' -C host -f "$dir/host_$type"
done

build() {
	"$REHOST" rescue build -o "$dir/out" --no-media --kernel "$dir/kernel" \
		--modules "$modules" --authorized-keys "$dir/me.pub" "$@"
}

# refused PATTERN [FLAG...]
refused() {
	local pattern=$1

	shift
	expect_exit 1 build "$@"
	expect_out "$pattern"
	[[ ! -e $dir/out ]] || expect_same "" "$(ls -A "$dir/out")" "leftovers"
}

say "what stands in the way is named"
refused 'cannot read the kernel .*/none: No such file' --kernel "$dir/none"
refused 'use the kernel .*: it is no Linux kernel' --kernel /bin/sh
refused 'use the modules in /lib: the kernel .* is 9\.9\.9-test' --modules /lib
mkdir -p "$dir/empty/$version"
refused 'modules\.dep: No such file.*--modules DIR' --modules "$dir/empty/$version"
refused 'there is no public key in .*authorized-keys FILE' \
	--authorized-keys /etc/hostname
HOME=$dir expect_exit 1 "$REHOST" rescue build -o "$dir/out" --no-media \
	--kernel "$dir/kernel" --modules "$modules"
expect_out 'no public key in ~/\.ssh/id_\*\.pub'
refused 'run dropbearconvert' --host-key <(echo "-----BEGIN NOTHING")
refused 'dropbearkey' --host-key /etc/hostname
refused 'read the host key .*/none' --host-key "$dir/none"
refused "command line: ';' cannot be in it" --append 'a; reboot'
refused 'rehost.watchdog=5m means nothing' --append rehost.watchdog=5m
refused 'command line' --append "$(printf 'a\nb')"
refused 'command line' --append "$(printf '%2100s' x | tr ' ' x)"
mkdir "$dir/bin"
for p in busybox dropbear dropbearkey dropbearconvert; do
	ln -s "$(type -P $p)" "$dir/bin/"
done
expect_exit 1 env PATH="$dir/bin" "$REHOST" rescue build -o "$dir/out"
expect_out 'no grub-mkrescue.*; apt install grub-common .*or .*: --no-media$'
mkdir "$dir/nothing"
expect_exit 1 env PATH="$dir/nothing" "$REHOST" rescue build -o "$dir/out"
expect_out 'this machine has no busybox, .*; apt install busybox-static'

say "wrong usage"
for bad in "" "make" "build twice -o $dir/out" "build" \
	"build -o $dir/out --address 10.0.0.1" "build -o $dir/out --dns x"; do
	# shellcheck disable=SC2086 # words
	expect_exit 2 "$REHOST" rescue $bad
done

say "the files, and who may read them"
expect_exit 0 build --host-key "$dir/host_ed25519" --host-key "$dir/host_rsa" \
	--host-key "$dir/host_ecdsa" --append panic=30
expect_out '^host key +SHA256:'
expect_same "initramfs kernel known_hosts rescue.ipxe" \
	"$(find "$dir/out" -type f -printf '%f\n' | sort | paste -sd' ')" "files"
expect_same "600 644 644 644" \
	"$(cd "$dir/out" && stat -c %a -- * | paste -sd' ')" "modes"
cmp "$dir/kernel" "$dir/out/kernel"
grep -q '^kernel kernel initrd=initramfs .* panic=30$' "$dir/out/rescue.ipxe"
expect_same "$(for t in ed25519 rsa ecdsa; do
	sed 's/^/* /; s/ host$//' "$dir/host_$t.pub"
done)" "$(<"$dir/out/known_hosts")" known_hosts

say "the archive"
mkdir "$dir/tree"
(cd "$dir/tree" && zstd -dcq "$dir/out/initramfs" >../archive &&
	busybox cpio -id <../archive 2>/dev/null)
tree=$dir/tree
expect_same "$(<"$dir/me.pub")" "$(<"$tree/root/.ssh/authorized_keys")" \
	"authorized_keys"
expect_same "700 600 600" "$(stat -c %a "$tree/root/.ssh" \
	"$tree/root/.ssh/authorized_keys" "$tree/etc/rehost/host_key0" |
	paste -sd' ')" "modes inside"
for link in sbin/init sbin/modprobe sbin/rehost-dhcp; do
	expect_same /init "$(readlink "$tree/$link")" "$link"
done
chroot "$tree" /bin/sh -c 'test -x /usr/sbin/dropbear && ls / | wc -l' \
	>/dev/null || fail "no shell runs in it"
chroot "$tree" /usr/sbin/dropbear -V 2>&1 | grep -q '^Dropbear' ||
	fail "no dropbear runs in it"
expect_same "kernel/drivers/net/phy/four.ko.zst:
kernel/drivers/net/phy/one.ko.zst: kernel/lib/two-x.ko.zst
kernel/drivers/net/phy/three.ko.zst:
kernel/lib/two-x.ko.zst:" "$(<"$tree/lib/modules/$version/modules.dep")" \
	"modules.dep"
expect_same "alias mdio:one* one" \
	"$(<"$tree/lib/modules/$version/modules.alias")" "modules.alias"
expect_same "four one three two" "$(cd "$tree/lib/modules/$version/kernel" &&
	zstd -dcq drivers/net/phy/four.ko.zst drivers/net/phy/one.ko.zst \
		drivers/net/phy/three.ko.zst lib/two-x.ko.zst | paste -sd' ')" \
	"modules"

say "the same again gives the same archive"
sum=$(sha256sum <"$dir/out/initramfs")
expect_exit 0 build -q --host-key "$dir/host_ed25519" \
	--host-key "$dir/host_rsa" --host-key "$dir/host_ecdsa"
expect_same "" "$out" "quiet output"
expect_same "$sum" "$(sha256sum <"$dir/out/initramfs")" archive

say "known_hosts names the addresses; another key each time; JSON"
expect_exit 0 build --format json --address 10.0.0.7/24,gw=10.0.0.1 \
	--address fd00::7/64
expect_same "10.0.0.7,fd00::7 ssh-ed25519" \
	"$(cut -d' ' -f1,2 "$dir/out/known_hosts")" "names"
expect_same "rescue $version 4 false" \
	"$(jq -r '"\(.event) \(.version) \(.modules) \(.media)"' <<<"$out")" JSON
key=$(<"$dir/out/known_hosts")
expect_exit 0 build -q --address dhcp --address fd00::7/64
[[ $(<"$dir/out/known_hosts") == "* "* ]] || fail "DHCP, and only some names"
[[ $(cut -d' ' -f3 <<<"$key") != $(cut -d' ' -f3 "$dir/out/known_hosts") ]] ||
	fail "the same host key twice"

say "a kernel without zstd gets a plain archive"
echo '# CONFIG_RD_ZSTD is not set' >"$dir/config-$version"
expect_exit 0 build -q
expect_same 070701 "$(head -c 6 "$dir/out/initramfs")" "the archive's beginning"

say "whoever is ended leaves what was there, and nothing else"
mkfifo "$dir/fifo"
sums=$(cd "$dir/out" && sha256sum -- *)
for signal in TERM HUP KILL; do
	"$REHOST" rescue build -o "$dir/out" --no-media --kernel "$dir/kernel" \
		--modules "$modules" --authorized-keys "$dir/fifo" \
		>"$dir/log" 2>&1 &
	pid=$!
	wait_for 10 compgen -G "$dir/out/.part-*"
	expect_exit 1 build
	expect_out 'another rehost makes a rescue system there'
	kill "-$signal" $pid
	{ wait $pid; } 2>/dev/null && fail "it ended well in spite of SIG$signal"
	wait_for 10 eval '! compgen -G "$dir/out/.*-*"'
	expect_same "$sums" "$(cd "$dir/out" && sha256sum -- *)"
done

say "all of the new files, or all of the old ones"
rm "$dir/out/rescue.ipxe"
mkdir "$dir/out/rescue.ipxe"
sums=$(cd "$dir/out" && sha256sum kernel initramfs known_hosts)
expect_exit 1 build
expect_out 'cannot make .*/rescue.ipxe: Is a directory'
expect_same "$sums" "$(cd "$dir/out" && sha256sum kernel initramfs known_hosts)"
expect_same "initramfs kernel known_hosts rescue.ipxe" \
	"$(find "$dir/out" -mindepth 1 -printf '%f\n' | sort | paste -sd' ')"
rm -r "$dir/out"
mkdir -p "$dir/out/rescue.ipxe"
expect_exit 1 build
expect_same rescue.ipxe "$(ls -A "$dir/out")"
