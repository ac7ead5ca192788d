# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by benchmarks.

# fill HOST FOLDER BYTES: real files, until 72% of a filesystem of so many bytes
# are used, with a file "scatter" of random bytes, a sixteenth of it.
fill() {
	on "$1" dd if=/dev/urandom of="$2/scatter" bs=1M count=$(($3 >> 24)) \
		status=none
	on "$1" sh -c '
		left=$(($2 / 100 * 72 - $2 / 16)) i=0
		while [ "$left" -gt 4000000 ]; do
			mkdir -p "$1/$i"
			left=$(find /usr -xdev -type f -printf "%s %p\n" |
				awk -v left="$left" "
					{ n = \$1 + 4096; sub(/^[0-9]+ /, \"\") }
					n < left { left -= n; print >\"/root/list\" }
					END { print left }")
			tar -C / -cf - -T /root/list 2>/dev/null |
				tar -C "$1/$i" -xf -
			i=$((i + 1))
			[ "$i" -lt 50 ] || break
		done' sh "$2" "$3"
	sync
}

cold() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}
