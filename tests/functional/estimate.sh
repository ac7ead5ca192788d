#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# rehost estimate: what it says of real hosts and disks, that it follows the
# link, and that nothing is written and nothing stays, however it ends; with
# --write that samples are, but only where a move might, and not where a disk is
# known by.
. "$(dirname "$0")/lib.sh"

# estimate FILTER PLACE... [FLAG...]: as JSON, and what jq makes of it.
estimate() {
	XDG_STATE_HOME=$dir/state "$REHOST" estimate -F "$dir/ssh_config" \
		--format json "${@:2}" >"$dir/out.json" 2>"$dir/err" ||
		fail "estimate: $(cat "$dir/out.json" "$dir/err")"
	jq -r "$1" "$dir/out.json"
}

# holds FILTER: true for what was estimated last.
holds() {
	expect_same true "$(jq -r "$1" "$dir/out.json")" \
		"$1: $(cat "$dir/out.json")"
}

loop=$(disk old vdb 256M)
disk new vdb 256M >/dev/null
mkfs_on old vdb ext4
mount_on old vdb /data
populate old /data 60
was=$(digest_on new vdb)
used=$(on old df -B1 --output=used /data | tail -1)

# Instances are seen by all hosts of the kernel; ours are told by the disk.
filter="dev == $((0x$(stat -c %t "$loop") << 20 | 0x$(stat -c %T "$loop")))"
is_traced() {
	# shellcheck disable=SC2016 # for the host's shell
	on_sh old 'grep -qsxF "$1" \
		/sys/kernel/tracing/instances/rehost-*/events/block/*/filter' "$filter"
}
not_traced() {
	! is_traced
}

untouched() {
	expect_clean old
	expect_clean new
	wait_for 10 not_traced
	expect_same "$was" "$(digest_on new vdb)" "the target's disk"
	[[ ! -e $dir/state/rehost/rehost.db ]] || fail "an estimate is no move"
}

say "to a target"
estimate .event root@old:/dev/vdb root@new:/dev/vdb --sample 1s >/dev/null
holds '.event == "estimate" and .schema == 1'
holds ".used > $used * 0.9 and .used < $used * 1.3 + 30000000"
holds '.size == 268435456 and (.volumes | length) == 1'
holds '.volumes[0] | .mapped and .filesystem == "ext4" and .mount == "/data"'
holds '.volumes[0].writes.by == "events"'
holds '.link.measured and .link.path == "direct" and .link.bytes_s > 0'
holds '.link | .plain.bytes > 0 and .compressed.bytes > 0 and
	.plain.sent > 0 and .compressed.sent < .plain.sent * 2'
# Random bytes: zstd makes nothing of them.
holds '.link.compressed | .sent > (.bytes - .zero) * 0.8'
holds '.seed | .low_ms <= .ms and .ms <= .high_ms and .ms > 0'
# Trials of compression take up to 600 ms, and each pass something of its own.
holds '.seed.fixed_ms >= 0 and .seed.fixed_ms < 5000'
holds '(.seed.ms - .seed.fixed_ms) * .link.bytes_s / 1000 / .used |
	. > 0.9 and . < 1.1'
holds '.link.written | not'
holds '.follow.fits and .follow.downtime_ms > 0'
holds '[.table[].seed_ms] | . == (sort | reverse)'
untouched

say "for people"
expect_exit 0 rehost_run estimate root@old:/dev/vdb root@new --sample 1s
for words in '^used  *[0-9.]+ MiB of 256 MiB: /dev/vdb, ext4 on /data' \
	'^written ' 'by block events' '^sample .*% zeros' \
	'^link .* 4 direct lanes to root@new' '^seed .* on the wire' \
	'^rounds ' '^downtime ' '^table  *20 Mbit/s  *[0-9]' \
	'nothing was written there'; do
	expect_out "$words"
done
untouched

say "without a target the source sends to itself"
estimate .event root@old:/dev/vdb --sample 0 >/dev/null
holds '.target == null and (.link.measured | not) and .link.bytes_s > 0'
holds '.writes.sample_ms == 0 and .writes.bytes_s == 0'
expect_exit 0 rehost_run estimate root@old:/dev/vdb --sample 0
expect_out '^itself .* the source itself'
expect_out 'at the source.s own pace'
untouched

say "the other ways of the lanes"
for via in reverse relay; do
	estimate .event root@old:/dev/vdb root@new --sample 0 --via $via \
		>/dev/null
	holds ".link.path == \"$via\""
done
untouched

say "a slow link is what bounds it"
"$lab" wan "$dir" old new 5 40
estimate .event root@old:/dev/vdb root@new --sample 0 >/dev/null
# 40 Mbit/s are five million bytes a second.
holds '.link.plain | .sent * 1000 / .ms | . > 1500000 and . < 7500000'
holds '.seed.ms > .seed.sent / 7500000 * 1000'
say "and --bwlimit as well"
"$lab" wan "$dir" old new off
estimate .event root@old:/dev/vdb root@new --sample 0 --bwlimit 8M >/dev/null
holds '.link.plain | .sent * 1000 / .ms | . > 2000000 and . < 16000000'
untouched

say "what is written, and how much of it is different"
written() {
	local stat

	read -ra stat <"/sys/block/${loop#/dev/}/stat"
	echo $((stat[6] * 512))
}
writers_start old /data direct
# Rates go up and down on a busy machine: the disk's own count over the whole
# of it is what it has to come near to.
began=$(written)
start=$EPOCHREALTIME
estimate .event root@old:/dev/vdb root@new --sample 6s >/dev/null
ended=$(written)
rate=$(((ended - began) * 1000000 / (${EPOCHREALTIME/./} - ${start/./})))
holds ".writes.bytes_s | . > $rate / 4 and . < $rate * 4"
# The writer's file has 16 MiB; with what the filesystem keeps, not much more.
holds '.volumes[0].writes | .by == "events" and .distinct <= .bytes + 65536 and
	.distinct > 0 and .distinct < 40000000'
say "by the disk's own count where no events are to be had"
(
	export REHOST_TEST_NO_TRACKER=1
	estimate .event root@old:/dev/vdb root@new --sample 1s >/dev/null
)
holds '.volumes[0].writes | .by == "count" and .distinct == .bytes'

say "more than the link takes: that is said, with numbers and choices"
expect_exit 0 rehost_run estimate root@old:/dev/vdb root@new --sample 3s \
	--bwlimit 256K --downtime 100ms
expect_out 'do not converge: the source writes .*/s.*the link takes .*/s'
expect_out 'more than the budget of 0.10 s'
expect_out 'move when less is written'
writers_stop
untouched

say "who is not root"
for host in old new; do
	on_sh $host 'useradd -m plain && mkdir -p /home/plain/.ssh &&
		cp /root/.ssh/authorized_keys /home/plain/.ssh/ &&
		chown -R plain /home/plain/.ssh && usermod -p "*" plain'
done
expect_exit 1 rehost_run estimate plain@old:/dev/vdb root@new
expect_out 'plain@old.*root'
estimate .event root@old:/dev/vdb plain@new --sample 0 >/dev/null
holds '.link.measured'
untouched

say "what is no volume"
expect_exit 1 rehost_run estimate root@old:/dev/nothing root@new
expect_out 'root@old.*/dev/nothing'
expect_exit 1 rehost_run estimate root@old:/dev/vdb nowhere.invalid
expect_out 'nowhere'
expect_exit 2 "$REHOST" estimate
expect_exit 2 "$REHOST" estimate a b c
expect_exit 2 "$REHOST" estimate --sample 2h a
untouched

say "the target dies while the source is watched"
rehost_start estimate root@old:/dev/vdb root@new --sample 60s
wait_for 20 is_traced
on new pkill -KILL -x rehost-agent
rehost_wait 30 1
expect_out 'root@new'
untouched

say "the target dies while samples travel"
"$lab" wan "$dir" old new 5 8
rehost_start estimate root@old:/dev/vdb root@new --sample 500ms
wait_for 20 is_traced
wait_for 20 not_traced
sleep 2
on new pkill -KILL -x rehost-agent
rehost_wait 60 1
expect_out 'root@new'
"$lab" wan "$dir" old new off
untouched

say "the controller is interrupted, or killed"
for signal in INT KILL; do
	XDG_STATE_HOME=$dir/state env --default-signal=INT "$REHOST" estimate \
		-F "$dir/ssh_config" root@old:/dev/vdb root@new --sample 60s \
		>"$dir/log/$signal.log" 2>&1 </dev/null &
	pid=$!
	background+=("$pid")
	wait_for 20 is_traced
	kill -s $signal "$pid"
	wait_for 10 not_running "$pid"
	wait "$pid" || :
	untouched
done

# ---- with --write: the samples go to the disk --------------------------------

# bytes_on HOST NAME FIRST COUNT: the digest of so many MiB.
bytes_on() {
	on_sh "$1" "dd if=/dev/$2 bs=1M skip=$3 count=$4 iflag=direct \
		status=none | sha256sum"
}

# ends: what the first 8 and the last 4 MiB of the target's disk are.
ends() {
	bytes_on new vdb 0 8
	bytes_on new vdb 252 4
}

# refused PATTERN FLAG...: for the target vdb, which stays as it is.
refused() {
	was=$(digest_on new vdb)
	expect_exit 1 rehost_run estimate root@old:/dev/vdb root@new:/dev/vdb \
		--sample 0 --write "${@:2}"
	expect_out "$1"
	untouched
}

say "--write: an empty disk gets samples, and is as empty as before"
ends=$(ends)
estimate .event root@old:/dev/vdb root@new:/dev/vdb --sample 0 --write \
	>/dev/null
holds '.link.written and .link.measured and .seed.ms > 0'
expect_clean old
expect_clean new
now=$(digest_on new vdb)
[[ $now != "$was" ]] || fail "nothing was written"
expect_same "$ends" "$(ends)" "both ends of the target's disk"
# They lie where they lie on the source. Not all arrives, and of a MiB only parts.
mib_digests() {
	on_sh "$1" 'for i in $(seq 8 251); do
		dd if=/dev/vdb bs=1M skip=$i count=1 iflag=direct status=none |
			sha256sum
	done'
}
same=$(paste <(mib_digests old) <(mib_digests new) |
	awk '$1 == $3 && !zero[$3]++ { n++ } END { print n }')
((same > 10)) || fail "only $same MiB of the source arrived"
expect_exit 0 rehost_run copy --dry-run root@old:/dev/vdb root@new:/dev/vdb
expect_out 'empty'
rm -rf "$dir/state"
expect_exit 0 rehost_run estimate root@old:/dev/vdb root@new:/dev/vdb \
	--sample 0 --write
expect_out '^target .*written to root@new:/dev/vdb'
expect_no_out 'unmeasured'

say "killed in the middle it is so too"
"$lab" wan "$dir" old new 5 40
rehost_start estimate root@old:/dev/vdb root@new:/dev/vdb --sample 0 --write
is_held() {
	on_sh new 'for p in $(pgrep -x rehost-agent); do
		ls -l /proc/$p/fd
	done | grep -q /dev/vdb'
}
wait_for 20 is_held
sleep 1
on new pkill -KILL -x rehost-agent
rehost_wait 60 1
"$lab" wan "$dir" old new off
expect_same "$ends" "$(ends)" "both ends of the target's disk"
expect_exit 0 rehost_run copy --dry-run root@old:/dev/vdb root@new:/dev/vdb
expect_out 'empty'
rm -rf "$dir/state"

say "signatures in the middle do not arrive either"
disk old vdc 256M >/dev/null
disk new vdc 256M >/dev/null
mkfs_on old vdc btrfs
mount_on old vdc /btrfs
populate old /btrfs 60
copies() {
	on_sh "$1" 'dd if=/dev/vdc bs=4096 skip=16384 count=1 iflag=direct \
		status=none | grep -c _BHRfS_M || :'
}
expect_same 1 "$(copies old)" "the source's second superblock"
estimate .event root@old:/dev/vdc root@new:/dev/vdc --sample 0 --write \
	>/dev/null
expect_same 0 "$(copies new)" "the target's second superblock"
expect_same '' "$(on new blkid -p -o value -s TYPE /dev/vdc || :)" "its type"
on old umount /btrfs

say "a disk that is not empty is refused, unless it is named"
mkfs_on new vdb ext4 -U 11111111-2222-3333-4444-555555555555
refused 'not empty .*--overwrite uuid:11111111'
refused 'it is not uuid:2' --overwrite uuid:2
ends=$(ends)
estimate .event root@old:/dev/vdb root@new:/dev/vdb --sample 0 --write \
	--overwrite uuid:11111111-2222-3333-4444-555555555555 >/dev/null
holds '.link.written'
[[ $was != "$(digest_on new vdb)" ]] || fail "nothing was written"
expect_same "$ends" "$(ends)" "both ends of the target's disk"
expect_same 11111111-2222-3333-4444-555555555555 \
	"$(on new blkid -p -o value -s UUID /dev/vdb)" "its UUID"

say "one that is divided into parts is refused, also when it is named"
on_sh new 'printf "label: gpt\nstart=16MiB\n" |
	sfdisk -q --no-reread --no-tell-kernel /dev/vdc && sync /dev/vdc'
table=$(digest_on new vdc)
expect_exit 1 rehost_run estimate root@old:/dev/vdb root@new:/dev/vdc \
	--sample 0 --write
expect_out 'divided into parts \((gpt|PMBR)\)'
expect_exit 1 rehost_run estimate root@old:/dev/vdb root@new:/dev/vdc \
	--sample 0 --write \
	--overwrite "uuid:$(on new blkid -p -o value -s PTUUID /dev/vdc)"
expect_out 'divided into parts'
expect_same "$table" "$(digest_on new vdc)" "the disk with a table"

say "one that is in use is refused"
mkfs_on new vdb ext4 -U 11111111-2222-3333-4444-555555555555
mount_on new vdb /used
on new sync -f /used
refused 'mounted on /used' \
	--overwrite uuid:11111111-2222-3333-4444-555555555555
on new umount /used

say "what else --write does not take"
was=$(digest_on new vdb)
expect_exit 1 rehost_run estimate root@old:/dev/vdb root@old:/dev/vdb \
	--sample 0 --write
expect_out 'same device'
on new truncate -s 256M /root/x.img
expect_exit 1 rehost_run estimate root@old:/dev/vdb root@new:/root/x.img \
	--sample 0 --write
expect_out 'it is a file'
expect_exit 1 rehost_run estimate root@old:/dev/vdb plain@new:/dev/vdb \
	--sample 0 --write
expect_out 'plain@new.*root'
disk new vdd 128M >/dev/null
expect_exit 1 rehost_run estimate root@old:/dev/vdb root@new:/dev/vdd \
	--sample 0 --write
expect_out 'it has 134217728 bytes, the source 268435456'
expect_exit 2 rehost_run estimate root@old:/dev/vdb --write
expect_exit 2 rehost_run estimate root@old root@new --write
expect_exit 2 rehost_run estimate root@old:/dev/vdb root@new --write
expect_exit 2 rehost_run estimate root@old:/dev/vdb root@new:/dev/vdb \
	--overwrite uuid:1
untouched
