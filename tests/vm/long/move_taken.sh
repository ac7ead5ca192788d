#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 2400
#
# The target is a machine that runs a Debian of its own: taken over by kexec, it
# gives its disk to the machine that moves, and nothing of it is left.
MACHINES='bios btrfs'
. "$(dirname "$0")/../move_lib.sh"

rig_addresses=dhcp
rig_witness_start
rig_up bios
boot=$(boot_of old)
mac=$(mac_of old)

say "another machine runs already"
other=$("$machines" image btrfs)
cp "$other/disk0" "$dir/new.disk0"
# Its own keys; those of the rescue system, which it never boots, come after.
cat >>"$dir/ssh_config" <<END
Host new
  HostKeyAlias rehost-lab
  UserKnownHostsFile "$other/known_hosts"
  IdentityFile "$other/key"
END
rig_target new bios 2G
up new
expect_same btrfs "$(on new hostname)" "its name"
expect_same btrfs "$(on new 'findmnt -no FSTYPE /')" "its root"
was=$(boot_of new)

say "as it is, it is no target"
expect_exit 1 rehost_run move root@old root@new --name web
expect_same "$was" "$(boot_of new)" "its boot"

say "it is taken over"
expect_exit 0 rehost_run takeover root@new
[[ $(boot_of new) != "$was" ]] || fail "it still runs"
expect_same rescue "$(on new hostname)" "the machine"

say "its disk is not empty"
expect_exit 1 rehost_run move root@old root@new --name web
expect_out '--overwrite'
id=$(grep -o -- '--overwrite [^ ,;]*' <<<"$out" | head -n 1 | cut -d' ' -f2)

say "the move"
rig_client_start
expect_exit 0 rehost_run move root@old root@new --name web --downtime 60s \
	--overwrite "$id" --probe http://:80/boot
report_is web .live target
report_is web .proof.ok true
report_is web '[.fixups.warnings[]]' '[]'
say "offline: $(report_of web .downtime_ms.clients) ms, started by $(report_of web .machine.boots_by)"
rig_client_goes_on 50
another=$(boot_of old)
[[ $another != "$boot" ]] || fail "the source still answers"
expect_same "$(rig_mac 16)" "$(mac_of old)" "the card of who answers"
expect_same bios "$(on old hostname)" "its name"
expect_same ext4 "$(on old 'findmnt -no FSTYPE /')" "its root"
rig_client_stop
rig_client_check "$boot" "$another"
expect_same ext4,swap "$(on old 'lsblk -rno FSTYPE /dev/vda | sort -u | sed /^$/d |
	paste -sd,')" "what is on its disk"

say "confirmed"
pid=$(<"$dir/m/bios/pid")
NO_F=1 expect_exit 0 rehost_run confirm web
ends "$pid" 120
rig_witness_check "$mac" "$(rig_mac 16)"
