# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the tests in virtual machines: all of tests/functional/lib.sh, with
# the guests of tests/vm/guest as hosts (old and new, unless HOSTS says
# otherwise). The first use builds the guests' image and saved states.
NOLAB=1
# shellcheck source-path=SCRIPTDIR source=../functional/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../functional/lib.sh"

guest=$top/tests/vm/guest
# The library's helpers run and take down what this names.
lab=$guest
mkdir -p "$dir/log"

# The arguments pass a shell in the guest.
on() {
	timeout -k 5 "${ON_LIMIT:-120}" "$guest" run "$dir" "$1" "${*:2}"
}

on_sh() {
	local host=$1 script=$2

	shift 2
	on "$host" "/bin/sh -euc ${script@Q} sh ${*@Q}"
}

manifest_on() {
	on_sh "$1" "$manifest_script" "$2"
}

# shellcheck disable=SC2086 # a list of names
"$guest" up "$dir" ${HOSTS:-old new} || fail "no guests"

# ---- content: one process makes all, as it is slow to start one here --------

# populate HOST FOLDER MIB: random bytes, and some 300 small things.
populate() {
	on_sh "$1" 'python3 -c "$1" "$2" "$3"' '
import os, sys
os.chdir(sys.argv[1])
os.makedirs("p/deep/er")
with open("p/noise", "wb") as f:
    for i in range(int(sys.argv[2])):
        f.write(os.urandom(1 << 20))
for i in range(1, 101):
    with open(f"p/deep/{i}", "w") as f:
        f.write("".join(f"{n}\n" for n in range(i * 40)))
    os.symlink(f"../{i}", f"p/deep/er/{i}")
    os.link(f"p/deep/{i}", f"p/deep/er/hard{i}")
with open("p/hole", "wb") as f:
    f.truncate(5 << 20)
os.setxattr("p/noise", "user.x", b"y")
os.chmod("p/deep/7", 0o6751)
os.chown("p/deep/8", 12, 34)
os.sync()' "$2" "$3"
}

# ---- writers ---------------------------------------------------------------

# In the current folder, until it is killed, some hundred times a second:
# - past the page cache, 512 bytes to 128 KiB across one of the given places of
#   the device, or beginning or ending there; "%N" is every multiple of N. It
#   ends when one of them is not in the file that it makes, MIB large at first.
# - through the page cache, with fsync now and then; through a mapping
# - small files that come, are renamed, and go
#
# Not by fio, which waits for its next write by turning around: that leaves
# nothing for others in a machine of this kind.
writer_script='
import fcntl, mmap, os, random, struct, subprocess, sys, time
mib, places = int(sys.argv[1]), sys.argv[2:]
around = 1 << 20
fd = os.open("w-edge", os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
os.posix_fallocate(fd, 0, mib << 20)
# FS_IOC_FIEMAP, after a sync, with room for 500 extents
map = bytearray(struct.pack("=QQIIII", 0, mib << 20, 1, 0, 500, 0) + bytes(56 * 500))
fcntl.ioctl(fd, 0xC020660B, map)
extents = [struct.unpack_from("=QQQ", map, 32 + 56 * i)
           for i in range(struct.unpack_from("=I", map, 20)[0])]
edges = []
for place in places:
    before = len(edges)
    n = int(place.lstrip("%"))
    for logical, physical, length in extents:
        for at in range(-(-physical // n) * n, physical + length, n) \
                if place[0] == "%" else [n]:
            if physical < at < physical + length:
                edges.append(logical + at - physical)
    if len(edges) == before:
        sys.exit(f"{place} is not in the file: {extents}")
kept = 0
for e in sorted(edges) + [(mib << 20) + around]:
    if e - around > kept:
        subprocess.check_call(["fallocate", "-p", "-o", str(kept), "-l",
                               str(e - around - kept), "w-edge"])
    kept = max(kept, e + around)

def edge():
    e = random.choice(edges)
    sectors = random.choice((1, 2, 8, 9, 64, 127, 128, 129, 256))
    back = random.choice((0, 1, sectors // 2, sectors - 1, sectors))
    at = min(max(e - back * 512, 0), (mib << 20) - sectors * 512)
    buf[:sectors * 512] = random.randbytes(sectors * 512)
    with memoryview(buf) as all, all[:sectors * 512] as part:
        if os.pwritev(fd, [part], at) != len(part):
            sys.exit("a short write")

def small(n):
    with open("w-files/new", "wb") as f:
        f.write(random.randbytes(n * 300))
    os.rename("w-files/new", f"w-files/{n}")
    if os.path.exists(f"w-files/{(n + 50) % 100}"):
        os.remove(f"w-files/{(n + 50) % 100}")

def mapped_file(name):
    f = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
    os.posix_fallocate(f, 0, size)
    return f

buf = mmap.mmap(-1, 128 << 10)
size = 6 << 20
buffered = mapped_file("w-buffered")
mapped = mmap.mmap(mapped_file("w-mapped"), size)
os.makedirs("w-files", exist_ok=True)
n = 0
while True:
    n += 1
    edge()
    os.pwrite(buffered, random.randbytes(3000), random.randrange(size - 3000))
    at = random.randrange(size - 100)
    mapped[at:at + 100] = random.randbytes(100)
    if n % 4 == 0:
        small(n // 4 % 100)
    if n % 32 == 0:
        os.fsync(buffered)
    time.sleep(0.01)
'

# writer_start MOUNT MIB PLACE...: on old, see above. It goes on until
# writers_stop or the end.
writer_start() {
	writers_host=old
	on_sh old '
		mkdir -p /run/writers
		printf "%s" "$1" >/run/writer.py
		name=${2##*/}
		cd "$2"
		shift 2
		setsid /bin/sh -c "echo \$\$ >/run/writers/$name.pid
			exec python3 /run/writer.py $*" \
			</dev/null >/run/writers/$name.log 2>&1 &' \
		"$writer_script" "$@"
	wait_for 90 on old test -e "$1/w-files/20"
}

# How long it is offline is no matter here.
move_start() {
	rehost_start move --downtime 60s "$@"
}

# ---- checks ----------------------------------------------------------------

# compares_are MOVE N: for wait_for.
compares_are() {
	(($(report_of "$1" .tracker.compares) >= $2))
}

# signature_of HOST DISK: what it is taken for; nothing for nothing.
signature_of() {
	on "$1" "blkid -p -s TYPE -o value /dev/$2 || [ \$? = 2 ]"
}

# tracked MOVE: it was a move without any loss.
tracked() {
	report_is "$1" .tracker.kind tracefs
	report_is "$1" .tracker.losses 0
	report_is "$1" .tracker.compares 0
	report_is "$1" .proof.ok true
	report_is "$1" .live target
}
