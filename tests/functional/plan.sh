#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# rehost plan: what stands in the way, and a plan that rehost reads again. The
# hosts of the lab are containers, which cannot be moved as a whole: that is one
# of the findings.
. "$(dirname "$0")/lib.sh"

disk old vdb 32M >/dev/null
disk new vdb 64M >/dev/null
mkfs_on old vdb ext4
mount_on old vdb /data
was=$(digest_on new vdb)

say "it says what is in the way, and writes the plan all the same"
expect_exit 1 rehost_run plan root@old root@new -o "$dir/a.yaml" --sample 0
expect_out 'blocks  source: container: '
expect_out 'blocks  target: container: '
expect_out 'do: move the machine that it runs on'
expect_out 'must be out of the way'
expect_same 600 "$(stat -c %a "$dir/a.yaml")"
for words in '^plan: 1$' '^  place: ' '^  fingerprint: ' '^disks:$' \
	'^network:' '^identity: keep$' '^ *# '; do
	grep -qE "$words" "$dir/a.yaml" || fail "no $words in the plan"
done

say "a plan that is there is not written over"
cp "$dir/a.yaml" "$dir/b.yaml"
expect_exit 1 rehost_run plan root@old root@new -o "$dir/a.yaml" --sample 0
expect_out 'a.yaml.*exists'
cmp "$dir/a.yaml" "$dir/b.yaml"

say "what is asked for is in it"
expect_exit 1 rehost_run plan root@old root@new -o "$dir/c.yaml" --sample 0 \
	--clone --name web --downtime 5s --cutover wait --bwlimit 50M \
	--quiesce 'systemctl stop "a b"' --hook-timeout 90s
for words in '^name: web$' '^identity: new$' '^cutover: wait$' \
	'downtime: 5' 'bwlimit: (50M|52428800)' 'systemctl stop .*a b'; do
	grep -qE "$words" "$dir/c.yaml" || fail "no $words in the plan"
done

say "without -o it goes to standard output, the findings elsewhere"
XDG_STATE_HOME=$dir/state "$REHOST" plan -F "$dir/ssh_config" root@old \
	root@new --sample 0 >"$dir/out.yaml" 2>"$dir/findings" || :
grep -q '^plan: 1$' "$dir/out.yaml"
grep -q '^blocks  source: container' "$dir/findings"
[[ ! -e $dir/state/rehost/rehost.db ]] || fail "a plan is no move"

say "as JSON"
XDG_STATE_HOME=$dir/state "$REHOST" plan -F "$dir/ssh_config" root@old \
	root@new --sample 0 --format json >"$dir/out.json" || :
expect_same 'plan true' "$(jq -r '[.event, (.findings | map(.name) |
	any(. == "container"))] | join(" ")' "$dir/out.json")"
expect_same '[]' "$(jq -c '[.findings[] | select(.severity | IN("blocks",
	"warns", "notes") | not)]' "$dir/out.json")"

say "what is no machine, and who is not root"
expect_exit 1 rehost_run plan root@old:/dev/vdb root@new
expect_out 'it is no machine'
expect_exit 1 rehost_run plan root@old nowhere.invalid --sample 0
expect_out 'nowhere'
expect_exit 2 "$REHOST" plan old

expect_same "$was" "$(digest_on new vdb)"
expect_clean old
expect_clean new
