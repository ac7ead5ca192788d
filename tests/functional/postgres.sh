#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 600
#
# A real PostgreSQL moves under load. Whatever it acknowledged to a client is on
# the target, and nothing else is: after a plain move, and after one whose
# controller is killed again and again. SEED=N repeats the random moments.
. "$(dirname "$0")/lib.sh"

seed=${SEED:-$((${EPOCHREALTIME/./} % 32768))}
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
[[ -x $bin/postgres && -x $bin/pgbench ]] || fail "no PostgreSQL; run script/setup"
client=$top/tests/lab/pgclient
both=("$LAB_ADDR4_old" "$LAB_ADDR4_new")
record=$dir/clients

clients_start() {
	local pid

	"$client" run "$record" 4 "${both[@]}" &
	pid=$!
	background+=("$pid")
	clients=("$pid")
	"$client" bench "$record" 100 "${both[@]}" &
	pid=$!
	background+=("$pid")
	clients+=("$pid")
}

clients_stop() {
	"$client" stop "$record"
	wait "${clients[@]}" || fail "a client failed"
}

acked_by() {
	local v=LAB_ADDR4_$1

	"$client" count "$record" "${!v}"
}

has_more() { # HOST COUNT
	(($(acked_by "$1") > $2))
}

# The database serves: new commits are acknowledged, on this host.
serves() {
	local n

	n=$(acked_by "$1")
	wait_for 60 has_more "$1" $((n + 20))
}

sql() { # HOST SQL
	local v=LAB_ADDR4_$1

	"$bin/psql" -XqAt -v ON_ERROR_STOP=1 -h "${!v}" -U postgres postgres \
		-c "$2"
}

# check_data HOST: with all clients stopped.
check_data() {
	local v=LAB_ADDR4_$1

	expect_exit 0 "$client" compare "$record" "${!v}"
	echo "  $out"
	# Every transaction of pgbench adds one number in four places.
	out=$(sql "$1" "select
		(select count(*) > 0 from pgbench_history),
		(select sum(abalance) from pgbench_accounts) = h,
		(select sum(tbalance) from pgbench_tellers) = h,
		(select sum(bbalance) from pgbench_branches) = h
		from (select sum(delta) h from pgbench_history) x")
	[[ $out == "t|t|t|t" ]] || fail "pgbench's sums differ: $out"
	expect_exit 0 "$bin/pg_amcheck" -h "${!v}" -U postgres \
		--install-missing --heapallindexed postgres
}

# now_is FIELD: what the store says of the move back.
now_is() {
	NO_F=1 rehost_run status --format json back | jq -r ".$1"
}

# Hooks may run again after a kill, so they look before they act.
hooks() { # DEVICE-ON-SOURCE DEVICE-ON-TARGET
	local up='mountpoint -q /data || mount'

	# However slow this machine is just now.
	args=(--downtime 20s --quiesce 'db stop && umount /data'
		--rollback "$up $1 /data; db start"
		--activate "mkdir -p /data; $up $2 /data; db start"
		--deactivate 'db stop; ! mountpoint -q /data || umount /data')
}

is_down() {
	on_sh "$1" '! pgrep -x postgres && ! mountpoint -q /data' >/dev/null
}

disk old vdb 1G >/dev/null
disk new vdb 1G >/dev/null
disk old vdc 1G >/dev/null
for host in old new; do
	on_sh $host 'cat >/usr/local/sbin/db; chmod 755 /usr/local/sbin/db' \
		<"$top/tests/lab/pghost"
done
mkfs_on old vdb ext4
mount_on old vdb /data
on old db init
"$bin/pgbench" -i -q -s 8 -h "$LAB_ADDR4_old" -U postgres postgres \
	>"$dir/log/pgbench.log" 2>&1
"$client" init "$LAB_ADDR4_old"
clients_start
serves old

say "a move under load"
hooks /dev/vdb /dev/vdb
started=${EPOCHREALTIME/./}
expect_exit 0 rehost_run move --name there "${args[@]}" root@old:/dev/vdb \
	root@new:/dev/vdb
took=$(((${EPOCHREALTIME/./} - started) / 1000))
serves new
is_down old || fail "the source is still up"
expect_exit 32 on old mount /dev/vdb /data
clients_stop
echo "  longest pause of a client in ms: $("$client" pauses "$record")"
NO_F=1 expect_exit 0 rehost_run report
grep -E '^ *(offline|proof)' <<<"$out"
expect_out '^live +target'
expect_out '^proof +equal'
expect_out '^fence +unmounted'

say "all that was acknowledged is on the target, and nothing else"
check_data new
NO_F=1 expect_exit 0 rehost_run confirm there

# ---- back to the old machine, to another disk ------------------------------

go_on() { # COMMAND...: in the background, with its number in $run
	XDG_STATE_HOME=$dir/state "$REHOST" "$@" >>"$dir/log/back.log" 2>&1 \
		</dev/null &
	run=$!
	background+=("$run")
}

say "the controller dies between proof and commit: the source goes on"
clients_start
serves new
hooks /dev/vdb /dev/vdc
REHOST_TEST_KILL=verify.after:controller go_on move -F "$dir/ssh_config" \
	--name back "${args[@]}" root@new:/dev/vdb root@old:/dev/vdc
code=0
wait "$run" 2>/dev/null || code=$?
((code == 137)) || fail "exit $code, not 137"
serves new
[[ $(now_is live) == source ]] || fail "live is not the source"

say "it is killed at random moments (SEED=$seed)"
RANDOM=$seed
finished=
for try in 1 2 3; do
	go_on resume back
	moment=$((RANDOM % (took + 1000)))
	sleep "$((moment / 1000)).$(printf %03d $((moment % 1000)))"
	if ! kill -KILL "$run" 2>/dev/null; then
		echo "  kill $try after $moment ms: it had ended"
		finished=1
	fi
	code=0
	wait "$run" 2>/dev/null || code=$?
	phase=$(now_is phase)
	echo "  kill $try after $moment ms: exit $code, phase $phase"
	case $code:$phase in
	0:*)
		finished=1
		break
		;;
	137:commit | 137:activate | 137:settle) ;;
	137:*) serves new ;;
	*) fail "exit $code" ;;
	esac
done

say "resume ends the move"
if [[ -z $finished ]]; then
	code=0
	out=$(NO_F=1 rehost_run resume back 2>&1 </dev/null) || code=$?
	# A kill after the end left nothing to resume.
	((code == 0)) || expect_out 'it is done'
fi
serves old
is_down new || fail "the source is still up"
clients_stop
NO_F=1 expect_exit 0 rehost_run report back
expect_out '^live +target'
expect_out '^proof +equal'

say "all that was ever acknowledged is on the target, and nothing else"
check_data old
on old db stop
on old db check
on old umount /data
fsck_on old vdc ext4
NO_F=1 expect_exit 0 rehost_run confirm back
