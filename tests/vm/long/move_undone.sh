#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 2400
#
# Two ways back by the user's word that the target is off. The first target dies when
# its copy is whole and not yet told to boot; what answers at the address then is the
# source. The second one lives, and the source is lost with its fence: started with a
# rescue system it takes back what the fence took, and boots.
. "$(dirname "$0")/../move_lib.sh"

published_is() {
	[[ $(report_of "$1" .replica.published) == "$2" ]]
}

# bootable DISK: does a firmware find anything there?
bootable() {
	[[ $(xxd -s 510 -l 2 -p "$1") == 55aa ]]
}

# Whoever gets no other address by DHCP has the source's.
rig_addresses=dhcp
rig_witness_start
rig_up bios
boot=$(boot_of old)
mac=$(mac_of old)
rig_target new bios 2G
up new
on old 'echo before >/root/log; sync'

say "the target dies while its copy is fitted: exit 5"
on old 'mv /usr/bin/lsinitramfs /usr/bin/lsinitramfs.real &&
	printf "%s\n" "#!/bin/sh" "[ \$(uname -n) = $(uname -n) ] || sleep 100" \
		"exec /usr/bin/lsinitramfs.real \"\$@\"" >/usr/bin/lsinitramfs &&
	chmod +x /usr/bin/lsinitramfs'
rehost_start move root@old root@new --name web --downtime 60s --probe tcp:22 \
	--boot firmware
wait_for 1200 published_is web 2
rig_off new
rehost_wait 300 5
expect_out 'rehost resume web to try again, or rehost rollback web'
report_is web .live none
report_is web '.machine.booted // 0' 0
bootable "$dir/new.disk0" || fail "the copy is not whole"

say "nobody can say that it is off but the user: the source lives as it was"
NO_F=1 expect_exit 5 rehost_run rollback web
expect_out 'rehost rollback --discard-target-writes'
report_is web .live none
NO_F=1 expect_exit 0 rehost_run rollback --discard-target-writes web
expect_out 'web: rolled-back'
report_is web .live source
expect_same "$boot" "$(boot_of old)" "the boot of who answers"
on old 'mv /usr/bin/lsinitramfs.real /usr/bin/lsinitramfs && sync' ||
	fail "the source cannot write"
NO_F=1 expect_exit 1 rehost_run resume web

say "another move; then the source is lost with its fence"
rig_target other bios 2G
up other
expect_exit 0 rehost_run move root@old root@other --name again --downtime 60s \
	--probe tcp:22 --boot firmware
report_is again .live target
on old 'echo lost >/root/log; sync'
another=$(boot_of old)
rig_cut_power
NO_F=1 expect_exit 1 rehost_run rollback again
expect_out 'the source cannot be reached'
expect_out 'start the source with the rescue system at the address that it had'
report_is again .live target
expect_same "$another" "$(boot_of old)" "the boot of who answers"

say "its own disk would not boot"
rig_disk 0 "$dir/was"
if bootable "$dir/was"; then
	fail "the source could boot"
fi

say "the new machine is switched off, and the source started with a rescue system"
rig_off other
printf '%s\n' 'Host old' "  IdentityFile \"$dir/key\"" >>"$dir/ssh_config"
sed "s/^[^ ]*/$moved/" "$dir/r/known_hosts" >>"$dir/old.known_hosts"
"$machines" on "$dir/m" bios -kernel "$dir/r/kernel" -initrd "$dir/r/initramfs" \
	-append "$(sed -n 's/^kernel kernel initrd=initramfs //p' "$dir/r/rescue.ipxe")"
wait_for 600 is_another_boot old "$another"
expect_same "$mac" "$(mac_of old)" "the card of who answers"
NO_F=1 expect_exit 0 rehost_run rollback --discard-target-writes again
expect_out 'it runs a rescue system: reset it'
report_is again .live source
report_is again .state rolled-back

say "it boots as it was"
another=$(boot_of old)
rig_cut_power
"$machines" on "$dir/m" bios
wait_for 600 is_another_boot old "$another"
expect_same before "$(on old cat /root/log)" "what it has"
expect_same "$mac" "$(mac_of old)" "its card"
expect_same gone "$(on old 'pgrep rehost || echo gone')" "processes"
rig_witness_check "$mac" "$(rig_mac 17)" "$mac"
