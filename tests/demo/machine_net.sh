#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What of machine.sh runs in the machines' network, when all is built. DEMO_DIR is
# the folder of the demonstration; in case of a failure "failure" in it gets the
# logs. The machines, the clients and the witness are those of the tests of moves.
: "${DEMO_DIR:?is set by machine.sh}"
readlink /proc/self/ns/net >"$DEMO_DIR/net"
# shellcheck source=../vm/move_lib.sh
. "$(dirname "$0")/../vm/move_lib.sh"
# shellcheck source=lib.bash
. "$(dirname "$0")/lib.bash"
trap 'code=$?
	{
		"$machines" down "$dir/m"
		finish $code
	} 2>"$DEMO_DIR/failure"' EXIT

# They stay in this group of processes, so they end with it.
rehost_to_end() {
	XDG_STATE_HOME=$dir/state "$rehost" "$@" </dev/null &
	background+=($!)
	wait $! || die "rehost $1 failed"
}

page() {
	python3 -c 'import sys, urllib.request as r
sys.stdout.buffer.write(r.urlopen(sys.argv[1], timeout=60).read())' "http://$moved/"
}

# The card of who has the address now.
card() {
	ip neigh show $moved dev "$MACHINE_NET" | sed -n 's/.* lladdr \([^ ]*\) .*/\1/p'
}

yes_if() {
	if "$@" >/dev/null 2>&1; then
		echo yes
	else
		echo no
	fi
}

web_count() {
	"$vm/webclient" answers "$dir/web" | awk '{ n += $4 } END { print n + 0 }'
}

# go_on N: both kinds of clients get N more answers.
go_on() {
	patiently 300 rig_has_more $(($("$pgclient" count "$dir/pg") + $1)) \
		$(($(web_count) + $1))
}

# ---- 3 ---------------------------------------------------------------------

step "3. Two machines on one network"
cat <<'END'
  $ rehost rescue build -o rescue --authorized-keys demo.pub \
      --address 192.0.2.16/24,gw=192.0.2.2 …

END
rig_witness_start
rig_up bios
rig_target new bios 2G
boot=$(boot_of old)
mac=$(mac_of old)
say "old, $moved: $(on old '. /etc/os-release; echo "$PRETTY_NAME"'), Linux $(on old uname -r)," \
	"  BIOS, GRUB, ext4 and swap on a disk of 2 GiB, $(
		on old 'df -BM --output=used / | tail -n 1 | tr -d " M"') MiB in use," \
	"  nginx, PostgreSQL $(on old "ls /usr/lib/postgresql")" \
	"new, 192.0.2.16: an empty disk of 2 GiB, and the rescue system in memory" \
	"QEMU emulates both in software, wherever this runs, and both at once on the same" \
	"processors. That makes everything many times slower, the boot above all. What a" \
	"move takes on real hardware is not measured here."

# ---- 4 ---------------------------------------------------------------------

step "4. Clients"
on old "echo '<h1>The shop is open.</h1>' >/var/www/html/index.html"
page_before=$(page)
rig_client_start
say "A web client asks old for a page ten times a second, each time anew. Two" \
	"clients of the database insert numbered rows, each row a commit, and keep a" \
	"record of every commit that was acknowledged. None of them knows of a move:" \
	"they know the address $moved, and try again when nothing answers."
patiently 300 answers new
say "new: ssh answers $(on new cut -d. -f1 /proc/uptime) s after its kernel's start"

# ---- 5 ---------------------------------------------------------------------

step "5. The move"
cat <<END
  \$ rehost move root@old root@new --name shop --downtime 60s \\
      --probe http://:80/ --probe tcp:5432

END
rehost_to_end move -F "$dir/ssh_config" root@old root@new --name shop \
	--downtime 60s --probe http://:80/ --probe tcp:5432

# ---- 6 ---------------------------------------------------------------------

step "6. What answers now"
go_on 20
another=$(boot_of old)
page_now=$(page)
say "GET http://$moved/ gives: $page_now"
check "that is the page that old had" \
	"$(yes_if test "$page_now" = "$page_before")" yes
check "the network card at $moved is new's" \
	"$(yes_if test "$(card)" = "$(rig_mac "${rig_number[new]}")")" yes
check "it is another boot than before" \
	"$(yes_if test "$another" != "$boot")" yes
check "its name is still the same" "$(on old hostname)" bios
((wrong == 0)) || die "not all is right"

# ---- 7 ---------------------------------------------------------------------

step "7. For good"
say "old still runs, cut off from the network, its disk frozen. 'rehost rollback" \
	"shop' would now switch new off and let old go on as it was at the cutover;" \
	"what clients have written since would be lost. Confirming ends that: old is" \
	"switched off." ""
printf '  $ rehost confirm shop\n'
old_pid=$(<"$dir/m/$rig_source/pid")
rehost_to_end confirm shop | sed 's/^/  /'
patiently 60 not_running "$old_pid"
go_on 20

# ---- 8 ---------------------------------------------------------------------

step "8. Proof"
"$pgclient" stop "$dir/pg"
kill "${rig_clients[0]}"
for pid in "${rig_clients[@]}"; do
	wait "$pid" || die "a client failed"
done
read -r gap from to < <("$vm/webclient" outage "$dir/web")
# The two servers do not stop and start at the same moment.
by_new=$(awk -v t=$(((from + to) / 2)) '$2 > t' "$dir"/pg/*.acked | wc -l)
declare -A n=()
# It says by its status what is checked below one by one.
for pair in $("$pgclient" compare "$dir/pg" $moved || true); do
	n[${pair%=*}]=${pair#*=}
done
[[ -n ${n[rows]-} ]] || die "the database does not answer"
who=$("$vm/webclient" answers "$dir/web" | cut -d' ' -f1 | paste -sd' ')
rig_witness_stop
cards=$(sed -n 's/^reign \([^ ]*\) .*/\1/p' "$dir/log/witness" | paste -sd' ')

check_rows commits
row "pages that were answered" "$(web_count)"
check "first all by old, then all by new" \
	"$(yes_if test "$who" = "$boot $another")" yes
check "on the network: $moved is old's card, then new's" \
	"$(yes_if test "$cards" = "$mac $(rig_mac "${rig_number[new]}")")" yes
check "and never both" "$(yes_if test "$rig_verdict" = 0)" yes
check "old is switched off" "$(yes_if not_running "$old_pid")" yes
row "longest time without an answer: the page" "$(seconds "$gap")"
row "a commit" "$(seconds "$("$pgclient" pauses "$dir/pg" | sed 's/.*=//')")"
row "and the page by rehost's own measure" \
	"$(seconds "$(report_of shop .downtime_ms.clients)")"
((wrong == 0)) || die "not all is right"
