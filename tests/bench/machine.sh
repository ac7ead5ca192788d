#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# How long a whole machine is away for clients of its web server: when it is
# rebooted, and when it moves, in turn; and how long a rehearsal before it holds
# replication. A machine that moved is taken back for the next run. Prints a table
# in Markdown. BENCH_RUNS (3) makes it smaller; BENCH_BOOT is how the new machine is
# started (kexec).
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/vm/move_lib.sh
. "$top/tests/vm/move_lib.sh"
runs=${BENCH_RUNS:-3}
dirty=10 # MiB that lie in memory when the cutover begins

# clients_begin, clients_end: "gap" is the longest time without an answer between.
clients_begin() {
	rm -f "$dir/web"
	: >"$dir/web"
	"$vm/webclient" run "$dir/web" http://$moved/boot 2>>"$dir/log/client" &
	client=$!
	background+=("$client")
}

boots_answered() {
	"$vm/webclient" answers "$dir/web" | wc -l
}

two_answered() {
	(($(boots_answered) == 2))
}

clients_end() {
	wait_for 900 two_answered
	kill "$client"
	wait "$client"
	read -r gap _ < <("$vm/webclient" outage "$dir/web")
}

# Milliseconds of the same work: how much slower an emulated processor is.
work='t=$(date +%s%N); i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; \
	echo $((($(date +%s%N) - t) / 1000000))'

slowdown() {
	local here there

	here=$(dash -c "$work")
	there=$(on old "dash -c '$work'")
	awk -v a="$there" -v b="$here" 'BEGIN { printf "%.1f\n", a / b }'
}

rig_up bios
by=${BENCH_BOOT:-kexec}
echo "Away for clients, in ms; the new machine started by $by:"
echo
echo "| run | plain reboot | move | to the order to boot | of it freezing, fitting | slower than the host | rehearsal: held | of it fitting, boot and probe |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- |"
for ((i = 0; i < runs; i++)); do
	boot=$(boot_of old)
	clients_begin
	sleep 3
	on old systemctl reboot 2>/dev/null || :
	clients_end
	rebooted=$gap
	wait_for 300 is_another_boot old "$boot"
	# What a boot still does when it answers is no part of the next figure.
	sleep 20
	slow=$(slowdown)

	name=m$i
	rig_target "t$i" bios 2G
	up "t$i"
	rehost_start move root@old "root@t$i" --name $name --downtime 60s \
		--cutover wait --probe http://:80/boot --boot "$by"
	wait_for 900 status_is $name .phase follow
	NO_F=1 expect_exit 0 rehost_run rehearse $name --probe http://:80/boot \
		"${rehearsed[@]}"
	sleep 20
	clients_begin
	sleep 3
	on old "dd if=/dev/urandom of=/root/dirty bs=1M count=$dirty status=none"
	NO_F=1 expect_exit 0 rehost_run cutover $name
	rehost_wait 900 0
	clients_end
	report_of $name . | jq -r --arg i "$((i + 1))" --arg r "$rebooted" --arg g "$gap" \
		--arg s "$slow" '"| \($i) | \($r) | \($g) | " +
		"\(.downtime_ms.to_boot) | \(.downtime_ms.freeze), \(.machine.fit_ms) | \($s) | " +
		(.rehearsals[0] | "\(.held_ms) | \(.fit_ms), \(.probes[0].ms) |")'
	NO_F=1 expect_exit 0 rehost_run rollback $name
	ends "${rig_pid[t$i]}" 120
	wait_for 60 answers old
done
