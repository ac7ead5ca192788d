#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# rehost inspect of a machine that has sshd, a shell, the eight programs that the
# agent is started with, their libraries, and nothing else.
NOLAB=1
. "$(dirname "$0")/lib.sh"

root=$dir/root
mkdir -p "$root"/{bin,dev,etc,proc,sys,tmp,root/.ssh,run/sshd}
programs=(chmod dd head id mkdir rm uname wc)

# put FILE [AS]: a program, and the libraries that it wants.
put() {
	local library

	install -D "$1" "$root${2-$1}"
	while read -r library; do
		[[ -e $root$library ]] ||
			install -D "$(readlink -f "$library")" "$root$library"
	done < <(ldd "$1" | grep -o '/[^ ]*')
}

put "$(command -v dash)" /bin/sh
put "$(command -v sshd)" /usr/sbin/sshd
for p in "${programs[@]}"; do
	put "$(command -v "$p")" "/bin/$p"
done
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
printf '%s\n' root:x:0:0::/root:/bin/sh sshd:x:101:65534::/run/sshd:/bin/sh \
	>"$root/etc/passwd"
ssh-keygen -q -t ed25519 -N '' -C test -f "$dir/key"
ssh-keygen -q -t ed25519 -N '' -C '' -f "$root/etc/host_key"
cp "$dir/key.pub" "$root/root/.ssh/authorized_keys"
chmod -R go-w "$root"
printf '%s\n' 'HostKey /etc/host_key' 'UsePAM no' >"$root/etc/sshd_config"
echo "minimal $(<"$root/etc/host_key.pub")" >"$dir/known_hosts"
# Each connection has processes of its own, and leaves none.
cat >"$dir/enter" <<END
#!/bin/sh
exec unshare --mount --pid --fork --kill-child /bin/sh -ec '
	mount -t proc proc "$root/proc"
	mount -t sysfs -o ro sys "$root/sys"
	mount -t tmpfs tmp "$root/tmp"
	exec chroot "$root" /usr/sbin/sshd -i -e -f /etc/sshd_config' 2>>"$dir/sshd.log"
END
chmod +x "$dir/enter"
cat >"$dir/ssh_config" <<-END
	Host minimal
	  ProxyCommand $dir/enter
	  User root
	  IdentityFile $dir/key
	  IdentitiesOnly yes
	  BatchMode yes
	  UserKnownHostsFile $dir/known_hosts
	  GlobalKnownHostsFile /dev/null
	  StrictHostKeyChecking yes
END

is() {
	expect_same "$2" "$(jq -r "$1" "$dir/facts")"
}

say "it has next to nothing"
expect_same "$(printf '%s\n' "${programs[@]}" sh sshd | sort)" \
	"$(find "$root" -type f -perm /111 ! -name '*.so*' -printf '%f\n' | sort)"
expect_exit 127 ssh -F "$dir/ssh_config" minimal ls
expect_exit 127 ssh -F "$dir/ssh_config" minimal gzip

say "what it is"
rehost_run inspect --format json --sample 100ms minimal >"$dir/facts"
is .root true
is .system.kernel.release "$(uname -r)"
is .system.architecture "$(uname -m)"
is '.system.distribution.id // "none"' none
is .system.cpus "$(getconf _NPROCESSORS_CONF)"
is .memory.total "$(awk '/^MemTotal/{ printf "%.0f", $2 * 1024 }' /proc/meminfo)"
for d in /sys/block/*; do
	# Loop devices come and go; the others stay.
	[[ $d != */loop* && $(<"$d/size") != 0 && $d != */ram* ]] || continue
	is '.disks[] | select(.name == "'"${d##*/}"'") | .size' \
		$(($(<"$d/size") * 512))
done
is '[.network.interfaces[] | select(.kind == "loopback") | .addresses[]] |
	any(. == "127.0.0.1/8")' true
is '.fstab' '[]'
is '.boot.loader' none
is '.load.disks | length > 0' true
is '[.missing[] | select(.why | test("program"))] | length' 0
expect_exit 0 rehost_run inspect --sample 0 minimal
expect_out '^machine .*x86_64'
expect_out '^network '

say "nothing stays behind"
expect_same "" "$(find "$root/tmp" "$root/run" "$root/dev" -name '.rehost*')"
