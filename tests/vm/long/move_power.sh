#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 3600
#
# A machine moves whose hypervisor rehost may command: it is switched off before
# the new one boots. The new one is lost; it is switched off, and the source on
# again, which boots as it was. Then it moves without a way back.
. "$(dirname "$0")/../move_lib.sh"

# command NAME LINE...: a script that notes its name, then does this. What begins
# with REHOST_ does not reach it.
command_for() {
	{
		printf '%s\n' '#!/bin/bash' 'set -eu' "echo $1 >>'$dir/power'"
		declare -p REHOST_CACHE REHOST_VM_LIFE MACHINE_NET 2>/dev/null || :
		printf '%s\n' "${@:2}"
	} >"$dir/$1"
	chmod +x "$dir/$1"
}

ended() {
	[[ ! -e /proc/$1 ]]
}

rig_witness_start
rig_up bios
boot=$(boot_of old)
mac=$(mac_of old)
source_pid=$(<"$dir/m/bios/pid")
rig_target new bios 2G
up new
on old 'echo before >/root/log; sync'
command_for off "pid=\$(<'$dir/m/bios/pid')" "kill \"\$pid\"" \
	"tail --pid=\"\$pid\" -f /dev/null"
command_for on "exec '$machines' on '$dir/m' bios"
command_for target-off "kill ${rig_pid[new]}" \
	"tail --pid=${rig_pid[new]} -f /dev/null"

say "what makes no sense is refused"
expect_exit 1 rehost_run move root@old root@new --name web -n \
	--power-off "$dir/off"
expect_out '\-\-power-on for the way back, or --no-rollback'

say "it cannot be switched off: nothing boots, and the source is given back"
command_for off-fails "echo no answer from the board >&2" "exit 3"
expect_exit 1 rehost_run move root@old root@new --name never --downtime 60s \
	--probe tcp:22 --boot firmware --power-off "$dir/off-fails" \
	--power-on "$dir/on" --target-power-off "$dir/target-off"
expect_out 'no answer from the board'
report_is never .live source
report_is never .state rolled-back
expect_same $'off-fails\non' "$(<"$dir/power")" "commands that ran"
expect_same "$boot" "$(boot_of old)" "the boot of who answers"
on old 'touch /root/alive && sync' || fail "the source cannot write"
on new true || fail "the target boots"
: >"$dir/power"

say "the move switches the source off"
expect_exit 0 rehost_run move root@old root@new --name web --downtime 60s \
	--probe tcp:22 --boot firmware --boot-timeout 3m --power-off "$dir/off" \
	--power-on "$dir/on" --target-power-off "$dir/target-off" \
	--overwrite serial:new-0
report_is web .live target
report_is web .machine.power off
report_is web .fence.kind freeze
report_is web .fence.survives_reboot true
ended "$source_pid" || fail "the source is on"
expect_same off "$(<"$dir/power")" "commands that ran"
another=$(boot_of old)
[[ $another != "$boot" ]] || fail "the source still answers"
on old 'echo lost >/root/log; sync'

say "the new machine is lost, and the source cannot be switched on"
rig_cut new
command_for on "exit 3"
NO_F=1 expect_exit 5 rehost_run rollback web
ended "${rig_pid[new]}" || fail "the target is on"
expect_same $'off\ntarget-off\non' "$(<"$dir/power")" "commands that ran"
report_is web .live none

say "again: the target is known to be off, and the source comes back"
command_for on "exec '$machines' on '$dir/m' bios"
NO_F=1 expect_exit 0 rehost_run rollback web
expect_out 'web: rolled-back'
expect_same $'off\ntarget-off\non\non' "$(<"$dir/power")" "commands that ran"
wait_for 300 is_another_boot old "$another"
expect_same "$mac" "$(mac_of old)" "the card of who answers"
expect_same before "$(on old cat /root/log)" "what it has"
on old 'touch /root/alive && sync' || fail "the source cannot write"
expect_same gone "$(on old 'ls -d /sys/kernel/tracing/instances/rehost* 2>/dev/null || echo gone')" \
	"trace instances"
expect_same gone "$(on old 'pgrep rehost || echo gone')" "processes"

say "without a way back it is confirmed by itself"
boot=$(boot_of old)
source_pid=$(<"$dir/m/bios/pid")
rig_target other bios 2G
up other
: >"$dir/power"
expect_exit 0 rehost_run move root@old root@other --name once --downtime 60s \
	--probe tcp:22 --boot firmware --power-off "$dir/off" --no-rollback
report_is once .state confirmed
report_is once .live target
wait_for 60 ended "$source_pid"
is_another_boot old "$boot" || fail "the source still answers"
expect_same "$(rig_mac 17)" "$(mac_of old)" "the card of who answers"
rig_witness_check "$mac" "$(rig_mac 16)" "$mac" "$(rig_mac 17)"
