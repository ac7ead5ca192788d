#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 2400
#
# The new machine is found at another address than the source, and has the source's
# as well: the source falls silent all the same, and comes back. Before that the
# source is reset after the commit, behind a fence that ends so: it lives, and no
# other is booted beside it. Its /var is a folder elsewhere.
. "$(dirname "$0")/../move_lib.sh"

rig_witness_start
rig_up bios
boot=$(boot_of old)
mac=$(mac_of old)
rig_target new bios 2G
up new
rescue=$(boot_of new)
# A folder of the root's own filesystem: what is fitted is looked for there.
on old 'systemctl stop postgresql nginx && mkdir /srv/var &&
	cp -a /var/. /srv/var && echo /srv/var /var none bind 0 0 >>/etc/fstab &&
	mount /var && systemctl start postgresql nginx'
expect_exit 0 rehost_run plan root@old root@new -o "$dir/plan"
sed -i 's|overwrite: ~|overwrite: "serial:new-0"|; s|^\( *\)mode: keep$|\1mode: map\n\1addresses: [192.0.2.40/24, 192.0.2.15/24]\n\1gateways: [192.0.2.2]|' \
	"$dir/plan"

say "the source is reset after the commit: the new machine is not booted"
REHOST_TEST_KILL=activate.before:controller rehost_start move --plan "$dir/plan" \
	--name reset --downtime 60s --probe tcp:22 --boot firmware --fence freeze
rehost_wait 1200 137
report_is reset .live none
rig_ask '{"execute":"system_reset"}' >/dev/null
wait_for 600 is_another_boot old "$boot"
boot=$(boot_of old)
on old 'echo since >/root/since; sync'
NO_F=1 expect_exit 5 rehost_run resume reset
expect_out 'the source booted since the commit'
expect_out 'rehost rollback reset'
expect_same "$rescue" "$(boot_of new)" "the boot of the target"

say "it is taken back"
NO_F=1 expect_exit 0 rehost_run rollback reset
report_is reset .live source
expect_same "$boot" "$(boot_of old)" "the boot of who answers"

say "the move: an address of the source is the new machine's, but not its first"
expect_exit 0 rehost_run move --plan "$dir/plan" --name web --downtime 60s \
	--probe tcp:22 --boot firmware --quiesce 'systemctl stop nginx && date >/root/stopped' \
	--rollback 'systemctl start nginx'
report_is web .live target
report_is web .machine.address 192.0.2.40
report_is web '.machine.shared | join(" ")' 192.0.2.15
report_is web '.machine.heard | join(" ")' 192.0.2.15
report_is web .machine.hushed 2
another=$(boot_of old)
[[ $another != "$boot" ]] || fail "the source answers"
expect_same "$(rig_mac 16)" "$(mac_of old)" "the card of who answers"
expect_same since "$(on old cat /root/since)" "what it has"
expect_same /srv/var "$(on old findmnt -nro FSROOT /var)" "what is at /var"
on old 'test -d /var/lib/rehost/old' || fail "what was replaced is not kept"
on old 'test -s /root/stopped' || fail "no service was stopped"
on old 'echo lost >/root/since; sync'

say "back: the target goes off by its own address, the source lives as it was"
NO_F=1 expect_exit 0 rehost_run rollback web
wait_for 300 is_another_boot old "$another"
expect_same "$boot" "$(boot_of old)" "the boot of who answers"
expect_same since "$(on old cat /root/since)" "what it has"
expect_same active "$(on old systemctl is-active nginx)" "the service that was stopped"
rig_witness_check "$mac" "$(rig_mac 16)" "$mac"
