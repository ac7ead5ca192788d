#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 2400
#
# A whole machine is rehearsed, moves under load, keeps its address, and goes back:
# BIOS, a partition table of DOS, ext4 and swap, GRUB, ifupdown; nginx and PostgreSQL.
# The rehearsal leaves the replica alone, and nobody hears of it. Nothing is lost, there are never two, and
# the source writes nothing meanwhile.
. "$(dirname "$0")/move_lib.sh"

rig_witness_start
rig_up bios
boot=$(boot_of old)
mac=$(mac_of old)
rig_target new bios 2G
rig_client_start
up new
# Whenever it boots it calls, before it serves.
on old 'printf "%s\n" "#!/bin/bash" "read -r boot </proc/sys/kernel/random/boot_id" \
		"echo \$boot >/dev/tcp/192.0.2.2/4444" >/usr/local/bin/call
	chmod +x /usr/local/bin/call
	printf "%s\n" "[Unit]" "Wants=network-online.target" \
		"After=network-online.target" "Before=nginx.service ssh.service" \
		"[Service]" "Type=oneshot" "ExecStart=-/usr/bin/timeout 5 /usr/local/bin/call" \
		"[Install]" "WantedBy=multi-user.target" >/etc/systemd/system/call.service
	systemctl enable call.service 2>/dev/null'
socat -u TCP-LISTEN:4444,reuseaddr,fork "OPEN:$dir/calls,creat,append" &
background+=("$!")
traces on old >"$dir/before"

say "what would happen"
expect_exit 0 rehost_run move root@old root@new --name web -n
expect_out 'nothing stands in its way; nothing was written'
expect_out '^fence +signature'

say "the move"
rehost_start move root@old root@new --name web --downtime 60s --cutover wait \
	--probe http://:80/boot --boot firmware
move_pid=$rehost_pid
wait_for 900 status_is web .phase follow

say "its rehearsal"
NO_F=1 rehost_start rehearse web --probe http://:80/boot --probe tcp:22 \
	"${rehearsed[@]}"
wait_for 900 rehearsal_is 'makes the copy ready'
rounds=$(report_of web '.rounds | length')
sum=$(sha256sum <"$dir/new.disk0")
wait_for 900 rehearsal_is 'waits for answers'
expect_same "$sum" "$(sha256sum <"$dir/new.disk0")" "the target's disk"
rehost_wait 900 0
expect_out '^web: rehearsal passed'
report_is web '.rehearsals[0].passed' true
report_is web '.rehearsals[0].boots_by' firmware
report_is web '[.rehearsals[0].probes[] | select(.ms > 0)] | length' 2
wait_for 300 rounds_are web $((rounds + 1))
no_rehearsal || fail "something is left of it"
[[ ! -s $dir/calls ]] || fail "the rehearsal was heard: $(<"$dir/calls")"

say "its cutover"
NO_F=1 expect_exit 0 rehost_run cutover web
rehost_pid=$move_pid
rehost_wait 900 0
report_is web .live target
report_is web .proof.ok true
report_is web .lanes.path direct
report_is web .tracker.losses 0
report_is web .machine.boots_by firmware
report_is web '.fence.network | contains("it withstands the end of rehost")' \
	true
report_is web '[.fixups.warnings[]]' '[]'
# Swap stays behind, and free space does.
expect_same true "$(report_of web '.bytes.used < 1300 * 1048576')" "used"

say "the target has the page, and the database its clients"
rig_client_goes_on
another=$(boot_of old)
[[ $another != "$boot" ]] || fail "the source still answers"
expect_same "$another" "$(<"$dir/calls")" "who called"
expect_same "$(rig_mac 16)" "$(mac_of old)" "the card of who answers"
expect_same bios "$(on old hostname)" "its name"
expect_same swap "$(on old 'tail -n 1 /proc/swaps >/dev/null && echo swap')" "swap"
on old 'test ! -e /etc/rehost-migrating' || fail "it still says that it moves"

say "the source writes no more"
writes=$(rig_writes)
rig_client_goes_on 50
expect_same "$writes" "$(rig_writes)" "writes of the source"
rig_client_stop
rig_client_check "$boot" "$another"
say "offline by rehost's own measure: $(report_of web ".downtime_ms.clients") ms"
# What clients saw, and what rehost says that they saw.
expect_same true "$(report_of web \
	"(.downtime_ms.clients - $rig_outage) | fabs < 3000")" \
	"outage of $rig_outage ms, and $(report_of web .downtime_ms.clients)"

say "back: the target goes off, the source lives as it was"
NO_F=1 expect_exit 0 rehost_run rollback web
expect_out 'web: rolled-back'
ends "${rig_pid[new]}" 120
wait_for 60 answers old
expect_same "$boot" "$(boot_of old)" "the boot of who answers"
expect_same "$mac" "$(mac_of old)" "its card"
on old 'touch /root/alive && sync' || fail "the source cannot write"
on old 'psql -U postgres -Atc "select 1" postgres 2>/dev/null ||
	runuser -u postgres -- psql -Atc "select 1"' >/dev/null ||
	fail "its database is not there"
on old 'rm /root/alive'
traces on old >"$dir/after"
diff "$dir/before" "$dir/after" >"$dir/traces" ||
	fail "the source is not as before: $(<"$dir/traces")"
rig_witness_check "$mac" "$(rig_mac 16)" "$mac"
