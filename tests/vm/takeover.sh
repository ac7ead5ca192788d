#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 1200
#
# A running Debian becomes a target in memory by kexec: what is refused, with
# nothing changed; then ssh with the host key as before, disks that are free, and
# a copy to one of them. The way back is in long/takeover.sh.
. "$(dirname "$0")/takeover_lib.sh"

say "refused: no kernel for it, and where the kernel forbids kexec"
refused 'root@new: cannot find a kernel .*; install' new
put_kernel new
on_sh old 'echo integrity >/sys/kernel/security/lockdown'
refused 'kernel is locked down .*\(kexec-forbidden\)' old

say "refused: nobody could log in afterwards"
# The keys are good for sshd, and for nothing that dropbear knows.
ssh-keygen -y -f "$dir/key" >"$dir/key.pub"
on new sed -i "'s/^ssh-/from=\"10.0.2.2\" ssh-/'" /root/.ssh/authorized_keys
refused 'cannot let anybody log in .*--authorized-keys' new

say "refused: somebody could, but not with the caller's keys"
ssh-keygen -q -t ed25519 -N '' -f "$dir/stranger"
on_sh new 'cat >>/root/.ssh/authorized_keys' <"$dir/stranger.pub"
refused 'none of the keys .*\(takeover-login\); .*--authorized-keys' new
on new sed -i "'\$d'" /root/.ssh/authorized_keys

say "a dry run changes nothing; further keys may be named"
before=$(boot_of new)
expect_exit 0 rehost_run takeover -n --authorized-keys "$dir/key.pub" root@new
expect_out 'nothing was changed'
expect_same 0 "$(on new cat /sys/kernel/kexec_loaded)" "loaded"
expect_same "$before" "$(boot_of new)" "boot id"

say "the machine is taken over"
on new sed -i "'s/^from=[^ ]* //'" /root/.ssh/authorized_keys
expect_exit 0 rehost_run takeover root@new
expect_out 'address 10.0.2.15; 1 key may log in'
expect_out '^  /dev/vdb .* serial:new-vdb'
expect_out 'not heard'
say "$(grep -o 'answered after [0-9.]* s' <<<"$out")"
expect_same rescue "$(on new hostname)" "the machine"
expect_same listed \
	"$(on new 'grep ^/dev /proc/mounts; tail -n +2 /proc/swaps; echo listed')" \
	"what is in use"
expect_same 'inet 10.77.0.2/24' \
	"$(on new 'ip -o addr | grep -o "inet 10.77[^ ]*"')" "the other address"
expect_same listed \
	"$(on new 'ls /etc/rehost | grep openssh; test -d /etc/rehost && echo listed')" \
	"private keys that were converted"

say "its disk can be written, and then there is no way back to wait for"
expect_exit 1 on new test -e /run/rehost.written
head -c 5M /dev/urandom >"$dir/image"
expect_exit 0 rehost_run copy --name image "$dir/image" root@new:/dev/vda \
	--overwrite serial:new-vda
expect_same "$(sha256sum <"$dir/image")" \
	"$(on new 'head -c 5242880 /dev/vda | sha256sum')" "what is on the disk"
on new test -e /run/rehost.written
