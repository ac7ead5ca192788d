#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A live move of a volume from beginning to end: a PostgreSQL database under load
# moves from one host to another; then all that it acknowledged to its clients is
# counted on the target. Takes a minute or two after the build, and leaves nothing
# behind. Ends with 0 only if all is right.
#
# The hosts are namespaces of this machine with an sshd of their own each
# (tests/lab/lab). REHOST=FILE demonstrates that program and builds nothing;
# DEMO_SCALE=N is the size of pgbench's tables in units of 15 MiB (20).
# shellcheck source=lib.bash
. "$(dirname "$0")/lib.bash"

lab=$top/tests/lab/lab
client=$top/tests/lab/pgclient
scale=${DEMO_SCALE:-20}

take_down() {
	if [[ -d $dir/clients ]]; then
		"$top/tests/lab/pgclient" stop "$dir/clients"
	fi
	timeout -k 5 90 "$top/tests/lab/lab" down "$dir"
	wait
}

on() {
	"$lab" run "$dir" "$@"
}

wait_for_commits() { # ADDR NUMBER SECONDS
	local end=$((SECONDS + $3))

	until (($("$client" count "$dir/clients" "$1") >= $2)); do
		((SECONDS < end)) || die "no commits from $1 within $3 s"
		sleep 0.2
	done
}

demo_begin "it makes namespaces and loop devices"
(($(df --output=avail -k "$dir" | tail -n 1) > 3 << 20)) ||
	die "needs 3 GiB free in ${dir%/*} (TMPDIR says where)"
export XDG_STATE_HOME=$dir/state

printf '%srehost demo: a database moves to another machine while clients write%s\n' \
	"$bold" "$plain"

# ---- 1 ---------------------------------------------------------------------

step "1. Tools and build"
build
began=$SECONDS
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
[[ -x $bin/postgres ]] || die "there is no PostgreSQL; run script/setup"

# ---- 2 ---------------------------------------------------------------------

step "2. Two hosts, reached by ssh"
LAB_OWNER=$$ "$lab" up "$dir" old new
# shellcheck source=/dev/null
. "$dir/env"
# shellcheck disable=SC2154 # from the lab's env
old=$LAB_ADDR4_old new=$LAB_ADDR4_new
"$lab" disk "$dir" old vdb 1G >/dev/null
"$lab" disk "$dir" new vdb 1G >/dev/null
for host in old new; do
	on $host /bin/sh -c 'mkdir -p /data; cat >/usr/local/sbin/db
		chmod 755 /usr/local/sbin/db' <"$top/tests/lab/pghost"
done
say "old ($old) has the database on /dev/vdb, mounted on /data" \
	"new ($new) has an empty /dev/vdb, and nothing of rehost"

# ---- 3 ---------------------------------------------------------------------

step "3. A database under load"
on old mkfs.ext4 -q -F /dev/vdb
on old mount /dev/vdb /data
on old db init
quietly pgbench "$bin/pgbench" -i -q -s "$scale" -h "$old" -U postgres postgres
"$client" init "$old"
"$client" run "$dir/clients" 4 "$old" "$new" &
"$client" bench "$dir/clients" 100 "$old" "$new" &
wait_for_commits "$old" 500 60
say "PostgreSQL $("$bin/postgres" --version | grep -oE '[0-9.]+' | head -n 1) on old, $(
	on old df -h --output=used /data | tail -n 1 | tr -d ' ')iB used in /data" \
	"4 clients insert numbered rows, each row a commit, and keep a record of" \
	"every commit that was acknowledged; pgbench adds 100 transactions a second." \
	"When the server goes away they look for it on old and on new."

# ---- 4 ---------------------------------------------------------------------

step "4. The move ('db' starts and stops the server, like systemctl)"
cat <<'END'
  $ rehost move --name shop --downtime 5s root@old:/dev/vdb root@new:/dev/vdb \
      --quiesce    'db stop && umount /data' \
      --rollback   'mountpoint -q /data || mount /dev/vdb /data; db start' \
      --activate   'mount /dev/vdb /data && db start' \
      --deactivate 'db stop; umount /data'

END
begin "$rehost" move -F "$dir/ssh_config" --name shop --downtime 5s \
	--quiesce 'db stop && umount /data' \
	--rollback 'mountpoint -q /data || mount /dev/vdb /data; db start' \
	--activate 'mount /dev/vdb /data && db start' \
	--deactivate 'db stop; umount /data' \
	root@old:/dev/vdb root@new:/dev/vdb
finished || die "the move failed"

# ---- 5 ---------------------------------------------------------------------

step "5. Proof"
wait_for_commits "$new" 500 60
pauses=$("$client" pauses "$dir/clients")
"$client" stop "$dir/clients"
wait
by_new=$("$client" count "$dir/clients" "$new")
declare -A n=()
# It says by its status what is checked below one by one.
for pair in $("$client" compare "$dir/clients" "$new" || true) $pauses; do
	n[${pair%=*}]=${pair#*=}
done
[[ -n ${n[rows]-} ]] || die "new does not answer"
sums=$("$bin/psql" -XqAt -h "$new" -U postgres postgres -c "
	select (select sum(abalance) from pgbench_accounts) = h and
		(select sum(tbalance) from pgbench_tellers) = h and
		(select sum(bbalance) from pgbench_branches) = h
	from (select sum(delta) h from pgbench_history) x") || sums=failed
stopped=no
on old /bin/sh -c '! pgrep -x postgres && ! mount /dev/vdb /data' \
	>/dev/null 2>&1 && stopped=yes

check_rows rows
check "pgbench's sums agree in all its tables (t: true)" "$sums" t
check "old is stopped, and its disk cannot be mounted" "$stopped" yes
row "longest wait of a client for a commit: at the move" "$(seconds "${n[change]}")"
row "and at any other time" "$(seconds "${n[other]}")"
((wrong == 0)) || die "not all is right"

printf '\n  $ rehost confirm shop\n'
"$rehost" confirm shop | sed 's/^/  /'
