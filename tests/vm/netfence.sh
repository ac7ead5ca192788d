#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 900
#
# The network of a whole machine is fenced, on Debian's kernel and below
# systemd's cgroups: "old" can be talked to by the controller and by nobody
# else, and says nothing to anybody else, until the process that holds the fence
# ends, however it ends. It begins while the root filesystem is frozen.
. "$(dirname "$0")/lib.sh"

# Answers to every byte on port 9000.
server='
import socket, threading
def serve(c):
    while True:
        b = c.recv(64)
        if not b:
            return
        c.sendall(b)
s = socket.create_server(("", 9000))
while True:
    threading.Thread(target=serve, args=s.accept()[:1], daemon=True).start()
'

# One connection to it, for ever: counts in /run/echoes what came back.
client='
import socket, sys, time
c = socket.create_connection((sys.argv[1], 9000))
n = 0
while True:
    c.sendall(b"x")
    n += len(c.recv(64))
    open("/run/echoes", "w").write(str(n))
    time.sleep(0.1)
'

# Counts in /run/datagrams what comes to port 9001.
listener='
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 9001))
n = 0
while True:
    s.recv(64)
    n += 1
    open("/run/datagrams", "w").write(str(n))
'

# start_on HOST NAME PROGRAM ARGUMENT
start_on() {
	on_sh "$1" 'printf "%s" "$2" >"/run/$1.py"
		setsid python3 "/run/$1.py" $3 </dev/null >"/run/$1.log" 2>&1 &' \
		"$2" "$3" "${4-}"
}

# reaches HOST ADDRESS: a new connection to its sshd.
reaches() {
	on "$1" "timeout 3 bash -c 'exec 3<>/dev/tcp/$2/22; head -c 4 <&3'" \
		2>/dev/null | grep -q SSH-
}

count() {
	on new cat "/run/$1" 2>/dev/null || echo 0
}

# grows FILE: for wait_for.
grows() {
	local before

	before=$(count "$1")
	[[ $1 != datagrams ]] || tell
	sleep 1
	(($(count "$1") > before))
}

# A datagram from old to new; that it cannot go out is no error.
tell() {
	on old python3 -c "'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(3):
    s.sendto(b\"x\", (\"10.77.0.2\", 9001))'"
}

# fence [FLAG]
fence() {
	on_sh old 'rm -f /run/netfence.*
		setsid /root/netfence $1 </dev/null >/run/netfence.log \
			2>/run/netfence.errors &
		echo $! >/run/netfence.pid' "${1-}"
	wait_for 60 on old grep -q fenced /run/netfence.log
	on old cat /run/netfence.log
}

# unfence SIGNAL
unfence() {
	on_sh old 'kill -s "$1" "$(cat /run/netfence.pid)"' "$1"
}

links() {
	on old /root/netfence --links
}

is_cut() {
	local before

	! reaches new 10.77.0.1 || fail "new reaches old"
	! reaches new 10.78.0.1 || fail "new reaches old by a VLAN"
	before=$(count echoes)
	tell
	sleep 2
	(($(count echoes) <= before + 1)) || fail "the connection goes on"
	tell
	(($(count datagrams) == told)) || fail "old told new something"
	on old true || fail "the controller is cut off"
	on old 'timeout 3 bash -c "exec 3<>/dev/tcp/127.0.0.1/22; head -c 4 <&3"' |
		grep -q SSH- || fail "the loopback is cut"
}

is_open() {
	wait_for 60 reaches new 10.77.0.1
	wait_for 60 reaches new 10.78.0.1
	wait_for 60 grows echoes
	wait_for 60 grows datagrams
	told=$(count datagrams)
	wait_for 30 on old '! ip -d link show | grep -q xdp'
	[[ $(links) == "$links" ]] || fail "$(links) BPF links, not $links"
}

on_sh old 'cat >/root/netfence; chmod 700 /root/netfence' \
	<"${REHOST%/*}/tests/vm/netfence"
for n in 1 2; do
	host=old
	((n == 1)) || host=new
	# With eth1's Ethernet address it would get eth1's configuration.
	on_sh "$host" 'ip link add link eth1 name v5 \
			address "02:00:00:00:05:0$1" type vlan id 5
		ip addr add "10.78.0.$1/24" dev v5
		ip link set v5 up' "$n"
done
links=$(links)
start_on old server "$server"
wait_for 60 on old 'ss -ltn | grep -q :9000'
start_on new listener "$listener"
start_on new client "$client" 10.77.0.1

say "$(on old uname -r): it could be fenced, and is open"
on old /root/netfence --check
is_open

say "fenced while the root is frozen, until its process is killed"
fence --frozen
[[ $(on old cat /run/netfence.log) != *"not held back"* ]] ||
	fail "it is the weaker fence"
is_cut
unfence KILL
is_open

say "kept, it withstands the end of its process"
fence --keep
unfence KILL
is_cut
on old /root/netfence --forget
is_open

say "an interface that appears while it is up"
fence
on_sh old 'ip link add t0 type veth peer name t1
	ip link set t0 up
	ip link set t1 up'
wait_for 30 on old 'ip -d link show t0 | grep -q xdp'
wait_for 30 on old 'ip -d link show t1 | grep -q xdp'
on old ip link del t0
is_cut
unfence TERM
is_open
