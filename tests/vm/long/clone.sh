#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 2400
#
# A second machine is made of one that goes on working: another address, name,
# machine-id and host keys; its disk is larger. What would take something from the
# source is refused by name before anything is written. The controller dies before
# the clone's first boot, which is done later, without another copy.
. "$(dirname "$0")/../move_lib.sh"

target=192.0.2.16
# As those who have checked the fingerprints that the report tells.
on_clone() {
	timeout -k 5 120 ssh -F "$dir/ssh_config" -o HostName=$target \
		-o HostKeyAlias=clone \
		-o UserKnownHostsFile="$dir/clone.known_hosts" old "$@" </dev/null
}
sql() {
	"$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)/psql" \
		-XqAt -v ON_ERROR_STOP=1 \
		"host=$1 user=postgres dbname=postgres connect_timeout=20" -c "$2"
}
is_blank() {
	cmp -s -n "$(stat -c %s "$1")" "$1" /dev/zero
}

rig_witness_start
rig_up bios
boot=$(boot_of old)
mac=$(mac_of old)
rig_target new bios 3G
traces on old >"$dir/before"
rig_client_start
up new

say "the address of the source is refused by name, and nothing is written"
expect_exit 0 rehost_run plan root@old root@new --clone -o "$dir/plan"
expect_exit 0 grep -E "mode: map|192.0.2.16/24|identity: new" "$dir/plan"
expect_exit 0 grep -F "partition 2 (swap) lies behind partition 1" "$dir/plan"
sed '/^ *addresses:/,/^ *nameservers:/d; s/mode: map/mode: keep/' "$dir/plan" \
	>"$dir/keep"
expect_exit 1 rehost_run copy --clone --plan "$dir/keep"
expect_out 'it would have 192\.0\.2\.15/24 \(ens3\) as well, which the source keeps'
sed 's|192\.0\.2\.16/24|192.0.2.15/24|' "$dir/plan" >"$dir/mapped"
expect_exit 1 rehost_run copy --clone --plan "$dir/mapped"
expect_out 'it would have 192\.0\.2\.15/24 \(ens3\) as well'
say "so is what cannot grow, and a move that would be a clone"
sed 's|grow: ~|grow: /|' "$dir/plan" >"$dir/grow"
expect_exit 1 rehost_run copy --clone --plan "$dir/grow"
expect_out 'disk vda cannot grow for /: partition 2 \(swap\) lies behind'
expect_exit 1 rehost_run move --plan "$dir/plan"
expect_out 'make a clone of it: rehost copy --clone --plan'
is_blank "$dir/new.disk0" || fail "the target was written"

say "the copy; its controller dies before the clone is started"
before=$("$pgclient" count "$dir/pg")
REHOST_TEST_KILL=activate.before:controller rehost_start copy --clone --as twin \
	--name twin --probe http://:80/boot --plan "$dir/plan"
rehost_wait 1200 137
report_is twin .live source
report_is twin .proof.ok true
sent=$(report_of twin .bytes.sent)
say "the source stood still for $(report_of twin .downtime_ms.total) ms"
rig_client_goes_on

say "the clone's first boot"
NO_F=1 expect_exit 0 rehost_run resume twin
expect_out '^host key +ed25519 SHA256:'
expect_out '^started +by (kexec|firmware), at 192\.0\.2\.16'
report_is twin .state "done"
report_is twin .live source
report_is twin .bytes.sent "$sent"
report_is twin .machine.address $target
report_is twin '[.fixups.warnings[]]' '[]'
# The table of DOS has no second copy, and nothing was to grow.
report_is twin '[.grown[]?]' '[]'

say "both answer, each at its address"
rig_client_goes_on
expect_same "$boot" "$(boot_of old)" "the source's boot"
expect_same bios "$(on old hostname)" "the source's name"
ssh-keyscan -t ed25519,ecdsa,rsa $target 2>/dev/null |
	sed 's/^[^ ]*/clone/' >"$dir/clone.known_hosts"
expect_same "$(report_of twin '[.fixups.host_keys[].fingerprint] | sort | join(" ")')" \
	"$(ssh-keygen -lf "$dir/clone.known_hosts" | awk '{ print $2 }' | sort |
		paste -sd' ')" "the clone's host keys"
expect_same twin "$(on_clone hostname)" "the clone's name"
expect_same "127.0.1.1 twin" "$(on_clone 'grep 127.0.1.1 /etc/hosts')" "its hosts"
[[ $(on_clone cat /proc/sys/kernel/random/boot_id) != "$boot" ]] ||
	fail "the source answers at the clone's address"
for file in /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub; do
	[[ $(on old cat $file) != "$(on_clone cat $file)" ]] ||
		fail "both have the same $file"
done
expect_same "$(on old findmnt -no UUID /)" "$(on_clone findmnt -no UUID /)" \
	"the filesystem's UUID"
on_clone 'test ! -e /etc/rehost-migrating' || fail "it still says that it moves"

say "the database of the clone is that of one instant"
wait_for 300 sql $target 'select 1'
sql $target "select client, count(*), max(n) from acked group by 1 order by 1" \
	>"$dir/rows"
say "rows of the clone: $(paste -sd' ' "$dir/rows"); $before were acknowledged before the copy began"
expect_same "" "$(awk -F'|' '$2 != $3' "$dir/rows")" "clients with gaps"
rows=$(awk -F'|' '{ n += $2 } END { print n + 0 }' "$dir/rows")
((rows >= before)) || fail "$rows rows, and $before were acknowledged before"
expect_same 0 "$(sql $target "select count(*) from acked where
	body is distinct from repeat(md5(client || '.' || n), 20)")" "broken rows"
sql $target 'create table only_here (i int)'
expect_same f "$(sql $moved "select to_regclass('only_here') is not null")" \
	"what the clone wrote, on the source"

say "nothing of rehost is left on the source, and its clients saw it alone"
rig_client_stop
rig_client_check "$boot"
traces on old >"$dir/after"
# Logs are rotated, and what checks filesystems ends, by themselves.
sed -i '/^\/run\/log\/journal\//d; /^systemd-fsckd$/d' "$dir/before" "$dir/after"
diff "$dir/before" "$dir/after" >"$dir/traces" ||
	fail "the source is not as before: $(<"$dir/traces")"
rig_witness_check "$mac"
NO_F=1 expect_exit 1 rehost_run abort twin
expect_out 'it is done'
