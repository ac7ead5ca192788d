#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 3600
#
# A rehearsal that fails, because the initramfs of the source lacks the driver of the
# target's disk and the plan leaves it as it is: it says so. It runs on another host;
# nothing is left there, also when the controller is killed in the middle. Then
# nobody controls the move, and another rehearsal does. When the plan lets the initramfs
# be made anew, it passes.
# shellcheck source-path=SCRIPTDIR/..
. "$(dirname "$0")/../move_lib.sh"

rehearsed+=(--boot-timeout 5m)

say "another host"
mkdir -p /run/sshd
ssh-keygen -q -t ed25519 -N '' -f "$dir/host_key"
cat >"$dir/sshd_config" <<END
Port 2222
ListenAddress 127.0.0.1
HostKey $dir/host_key
AuthorizedKeysFile $dir/key.pub
StrictModes no
UsePAM no
PidFile none
END
/usr/sbin/sshd -f "$dir/sshd_config" -D -e 2>"$dir/log/sshd" &
background+=("$!")
echo "[127.0.0.1]:2222 $(<"$dir/host_key.pub")" >"$dir/known"

rig_up bios
cat >>"$dir/ssh_config" <<END
Host elsewhere
  HostName 127.0.0.1
  Port 2222
  User root
  IdentityFile "$dir/key"
  IdentitiesOnly yes
  BatchMode yes
  UserKnownHostsFile "$dir/known"
END
ssh -F "$dir/ssh_config" elsewhere true || fail "no other host"

say "an initramfs with the drivers of the source alone"
timeout 1200 ssh -F "$dir/ssh_config" old \
	'echo MODULES=dep >/etc/initramfs-tools/conf.d/zz-test && update-initramfs -u' \
	</dev/null >"$dir/log/initramfs" 2>&1 || fail "$(<"$dir/log/initramfs")"
boot=$(boot_of old)
rig_drive=nvme
rig_target -k new bios 2G
up new

expect_exit 0 rehost_run plan root@old root@new -o "$dir/web.yaml"
sed -i 's/^\( *initramfs:\) true/\1 false/' "$dir/web.yaml"
grep -q '^ *initramfs: false' "$dir/web.yaml" || fail "no such fix-up in the plan"
rehost_start move --plan "$dir/web.yaml" --name web --downtime 60s --cutover wait
move_pid=$rehost_pid
wait_for 1200 status_is web .phase follow

say "the rehearsal fails, and says why"
NO_F=1 expect_exit 1 rehost_run rehearse web --on elsewhere --probe tcp:22 \
	"${rehearsed[@]}"
say "$out"
expect_out '^web: rehearsal failed'
expect_out 'the driver of the disk.s controller is missing'
expect_out 'tcp:22 was not answered'
report_is web '.rehearsals[0].on' elsewhere
report_is web '.rehearsals[0].boots_by' kexec
report_is web '.rehearsals[0].not_rehearsed | length' 0
[[ -s $(report_of web '.rehearsals[0].screenshot') ]] || fail "no picture"
no_rehearsal || fail "something is left of it"
expect_same "$boot" "$(boot_of old)" "the boot of who answers"

say "the controller is killed in the middle of one"
NO_F=1 rehost_start rehearse web --on elsewhere --probe tcp:22 "${rehearsed[@]}"
wait_for 900 rehearsal_is 'waits for answers'
! no_rehearsal || fail "no machine runs"
kill -KILL "$move_pid"
wait_for 60 no_rehearsal
rehost_wait 60 1
expect_out 'who controlled the move has ended'

say "nobody controls it: it goes on for a rehearsal, and pauses"
expect_same paused "$(NO_F=1 rehost_run status --format json web | jq -r .state)" state
wait_for 240 eval "on new '! pidof rehost-agent >/dev/null'"
NO_F=1 expect_exit 1 rehost_run rehearse web --probe tcp:22 "${rehearsed[@]}"
expect_out 'web: rehearsal failed'
expect_out 'the driver of the disk.s controller is missing'
report_is web '.rehearsals | length' 2
report_is web .state paused
report_is web .live source
no_rehearsal || fail "something is left of it"
NO_F=1 expect_exit 0 rehost_run abort web
expect_same "$boot" "$(boot_of old)" "the boot of who answers"

say "with an initramfs that is made anew it passes"
on new 'dd if=/dev/zero of=/dev/nvme0n1 bs=1M 2>/dev/null; sync'
sed -i 's/^\( *initramfs:\) false/\1 true/' "$dir/web.yaml"
rehost_start move --plan "$dir/web.yaml" --name again --downtime 60s --cutover wait
wait_for 1200 status_is again .phase follow
NO_F=1 expect_exit 0 rehost_run rehearse again --on elsewhere --probe tcp:22 \
	"${rehearsed[@]}"
expect_out '^again: rehearsal passed'
report_is again '[.rehearsals[0].fixups.changes[] | select(.fixup == "initramfs")] |
	length > 0' true
no_rehearsal || fail "something is left of it"
NO_F=1 expect_exit 0 rehost_run abort again
rehost_wait 120 1
