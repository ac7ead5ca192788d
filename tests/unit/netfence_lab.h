/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four network namespaces: a machine, its peer, a stranger, and a switch that
 * joins them. The stranger has a second wire to the machine, and a third that
 * is down. What stands for a program of the machine makes its sockets in a
 * cgroup of the test's own. All ends with the test but that, empty, should it
 * be killed. For one program, which uses all of it.
 */
#ifndef REHOST_TESTS_NETFENCE_LAB_H
#define REHOST_TESTS_NETFENCE_LAB_H

#include "own_cgroup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "track/netfence.h"

/* How long is waited for what must come, and for what must not. */
#define COMES_MS 15000
#define NEVER_MS 400

#define PEER "10.9.0.2"
#define PEER6 "fd09::2"
#define OTHER "10.9.0.3"
#define OTHER6 "fd09::3"
#define OWN "10.9.0.1"
#define OWN6 "fd09::1"

enum { HOME, MACHINE, PEERS, STRANGER, SWITCH, SPACES };

static int space[SPACES];
static int self;

static void enter(int which)
{
	assert_int_equal(setns(space[which], CLONE_NEWNET), 0);
}

__attribute__((format(printf, 2, 3))) static void run_in(
	int which, const char *format, ...)
{
	char command[512];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	enter(which);
	if (system(command) != 0)
		fail_msg("%s", command);
	enter(HOME);
}

/* ---- the place ---- */

/* One wire from the switch, or from the stranger, to somebody. */
static void wire(int from, const char *name, int to, const char *far)
{
	run_in(from,
		"ip link add %s type veth peer name %s netns /proc/%d/fd/%d",
		name, far, self, space[to]);
}

static void address(int which, const char *device, int n, const char *net4)
{
	run_in(which,
		"ip addr add %s.%d/24 dev %s && "
		"ip addr add fd09:0:0:%s::%d/64 dev %s nodad && "
		"ip link set %s up",
		net4, n, device, strcmp(net4, "10.9.0") == 0 ? "0" : "8", n,
		device, device);
}

/* False: not root. */
static bool lab_up(void)
{
	self = getpid();
	if (geteuid() != 0)
		return false;
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL), 0);
	make_cgroup();
	for (int i = HOME; i < SPACES; i++) {
		if (i != HOME)
			assert_int_equal(unshare(CLONE_NEWNET), 0);
		space[i] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		assert_true(space[i] >= 0);
	}
	enter(HOME);
	wire(SWITCH, "s1", MACHINE, "m0");
	wire(SWITCH, "s2", PEERS, "p0");
	wire(SWITCH, "s3", STRANGER, "o0");
	wire(STRANGER, "o1", MACHINE, "m1");
	wire(STRANGER, "o2", MACHINE, "m2");
	run_in(SWITCH, "ip link add br0 type bridge && ip link set br0 up");
	for (int i = 1; i <= 3; i++)
		run_in(SWITCH,
			"ip link set s%d master br0 && ip link set s%d up", i,
			i);
	run_in(PEERS, "ip link set p0 address 02:00:00:00:00:02");
	run_in(STRANGER, "ip link set o0 address 02:00:00:00:00:03");
	address(MACHINE, "m0", 1, "10.9.0");
	address(PEERS, "p0", 2, "10.9.0");
	address(STRANGER, "o0", 3, "10.9.0");
	address(MACHINE, "m1", 1, "10.8.0");
	address(STRANGER, "o1", 3, "10.8.0");
	address(STRANGER, "o2", 3, "10.7.0");
	for (int i = MACHINE; i < SPACES; i++)
		run_in(i, "ip link set lo up");
	return true;
}

/* ---- sockets ---- */

static int socket_in(int which, int family, int type, int protocol)
{
	int fd;

	if (which == MACHINE)
		join(cgroup);
	enter(which);
	fd = socket(family, type | SOCK_CLOEXEC, protocol);
	enter(HOME);
	if (which == MACHINE)
		join(home_cgroup);
	assert_true(fd >= 0);
	return fd;
}

static socklen_t fill(struct sockaddr_storage *a, const char *text, int port)
{
	struct sockaddr_in *v4 = (void *)a;
	struct sockaddr_in6 *v6 = (void *)a;

	memset(a, 0, sizeof(*a));
	if (!strchr(text, ':')) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		assert_int_equal(inet_pton(AF_INET, text, &v4->sin_addr), 1);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
	return sizeof(*v6);
}

static int family_of(const char *text)
{
	return strchr(text, ':') ? AF_INET6 : AF_INET;
}

static bool is_ready(int fd, short events, int ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, ms) > 0;
}

/* A socket that is bound, and listens when it is TCP's. */
static int bound(int which, const char *text, int type, int port)
{
	struct sockaddr_storage a;
	socklen_t n = fill(&a, text, port);
	int fd = socket_in(which, family_of(text), type, 0), on = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (void *)&a, n), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	return fd;
}

/* Begins to connect. */
static int connecting(int which, const char *to, int port)
{
	struct sockaddr_storage a;
	socklen_t n = fill(&a, to, port);
	int fd =
		socket_in(which, family_of(to), SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (connect(fd, (void *)&a, n) < 0)
		assert_int_equal(errno, EINPROGRESS);
	return fd;
}

static bool is_connected(int fd, int ms)
{
	int e = 0;
	socklen_t n = sizeof(e);

	return is_ready(fd, POLLOUT, ms) &&
	       getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n) == 0 && e == 0;
}

/* A connection: end 0 is the machine's. */
struct pair {
	int fd[2];
};

static struct pair pair(int from, int to, const char *text, int port)
{
	CLEANUP_CLOSE int l = bound(to, text, SOCK_STREAM, port);
	int c = connecting(from, text, port), s;

	assert_true(is_connected(c, COMES_MS));
	assert_true(is_ready(l, POLLIN, COMES_MS));
	s = accept4(l, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(s >= 0);
	return to == MACHINE ? (struct pair){{s, c}} : (struct pair){{c, s}};
}

static void unpair(struct pair *p)
{
	(void)close(p->fd[0]);
	(void)close(p->fd[1]);
}

static void say(int fd, char c)
{
	assert_int_equal(send(fd, &c, 1, 0), 1);
}

static bool hears(int fd, char c, int ms)
{
	char got = 0;

	return is_ready(fd, POLLIN, ms) && recv(fd, &got, 1, 0) == 1 &&
	       got == c;
}

static void talk(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		say(p->fd[i], 'x');
		assert_true(hears(p->fd[!i], 'x', COMES_MS));
	}
}

/* Sends n bytes by UDP; they are sent in pieces when they are many. That it was
 * not let out is no error. */
static void datagram(int which, const char *to, int port, size_t n)
{
	char *bytes = calloc(1, n);
	struct sockaddr_storage a;
	socklen_t a_n = fill(&a, to, port);
	CLEANUP_CLOSE int fd = socket_in(which, family_of(to), SOCK_DGRAM, 0);

	assert_non_null(bytes);
	assert_int_equal(sendto(fd, bytes, n, 0, (void *)&a, a_n), (ssize_t)n);
	free(bytes);
}

static bool datagram_comes(int from, int to, const char *text, size_t n, int ms)
{
	static int port = 20000;
	CLEANUP_CLOSE int fd = bound(to, text, SOCK_DGRAM, ++port);
	char bytes[8192];

	/* Some may be lost, as while an Ethernet address is asked for. */
	for (int left = ms; left > 0; left -= 200) {
		datagram(from, text, port, n);
		if (is_ready(fd, POLLIN, MIN(left, 200)))
			return recv(fd, bytes, sizeof(bytes), 0) == (ssize_t)n;
	}
	return false;
}

/* ---- ping, frames ---- */

static uint16_t checksum(const uint8_t *bytes, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static bool pings(int which, const char *to, int ms)
{
	bool v6 = family_of(to) == AF_INET6;
	uint8_t request[8] = {v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO, [4] = 0x52,
		[5] = 0x48, [7] = 1};
	CLEANUP_CLOSE int fd = socket_in(which, family_of(to), SOCK_RAW,
		v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	uint64_t until = clock_ms() + (uint64_t)ms, next = 0;
	struct sockaddr_storage a;
	socklen_t n = fill(&a, to, 0);
	uint16_t sum = checksum(request, sizeof(request));

	if (!v6) /* the kernel's work otherwise */
		memcpy(request + 2, &sum, sizeof(sum));
	while (clock_ms() < until) {
		uint8_t got[256], *at = got;
		ssize_t k;

		/* Some may be lost. */
		if (clock_ms() >= next) {
			assert_int_equal(sendto(fd, request, sizeof(request), 0,
						 (void *)&a, n),
				sizeof(request));
			next = clock_ms() + 200;
		}
		if (!is_ready(fd, POLLIN, 50))
			continue;
		k = recv(fd, got, sizeof(got), 0);
		if (!v6 && k >= 20) {
			at += 20;
			k -= 20;
		}
		if (k >= 8 && at[4] == 0x52 && at[5] == 0x48 &&
			at[0] == (v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY))
			return true;
	}
	return false;
}

static int packet_socket(int which, const char *device, int protocol)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET,
		.sll_protocol = htons((uint16_t)protocol)};
	int fd;

	enter(which);
	a.sll_ifindex = (int)if_nametoindex(device);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (void *)&a, sizeof(a)), 0);
	enter(HOME);
	return fd;
}

/* Whether a frame with this mark in it comes within the time. */
static bool frame_comes(int fd, const char *mark, size_t n, int ms)
{
	uint64_t until = clock_ms() + (uint64_t)ms;
	uint8_t got[2048];

	while (clock_ms() < until) {
		ssize_t k;

		if (!is_ready(fd, POLLIN, 20))
			continue;
		k = recv(fd, got, sizeof(got), 0);
		if (k > 0 && memmem(got, (size_t)k, mark, n))
			return true;
	}
	return false;
}

static void put(uint8_t *frame, size_t *n, const void *bytes, size_t k)
{
	memcpy(frame + *n, bytes, k);
	*n += k;
}

/* "Who has OWN?" from a host, whose Ethernet address ends like its IPv4 one;
 * whether it is answered. */
static bool arp_answers(int which, const char *device, const char *from, int ms)
{
	CLEANUP_CLOSE int fd = packet_socket(which, device, ETH_P_ARP);
	uint8_t frame[64], sender[4], target[4], mac[6] = {2};
	char answer[10];
	size_t n = 0;

	(void)inet_pton(AF_INET, from, sender);
	(void)inet_pton(AF_INET, OWN, target);
	mac[5] = sender[3];
	put(frame, &n, "\xff\xff\xff\xff\xff\xff", 6);
	put(frame, &n, mac, 6);
	put(frame, &n, "\x08\x06\0\x01\x08\0\x06\x04\0\x01", 10);
	put(frame, &n, mac, 6);
	put(frame, &n, sender, 4);
	put(frame, &n, "\0\0\0\0\0\0", 6);
	put(frame, &n, target, 4);
	assert_int_equal(send(fd, frame, n, 0), (ssize_t)n);
	/* Whom an answer is for, in its body. */
	memcpy(answer, mac, 6);
	memcpy(answer + 6, sender, 4);
	return frame_comes(fd, answer, 10, ms);
}

/* Sends an IPv4 packet with tags from a host, and looks whether the machine
 * sees it. */
static bool tagged_comes(
	int which, const char *device, const char *from, int tags, int ms)
{
	static char mark[] = "rehost-mark-0";
	CLEANUP_CLOSE int in = packet_socket(MACHINE, "m0", ETH_P_ALL);
	CLEANUP_CLOSE int out = packet_socket(which, device, ETH_P_IP);
	uint8_t frame[128], sender[4], target[4];
	size_t n = 0, head;
	uint16_t sum;

	mark[sizeof(mark) - 2]++;
	(void)inet_pton(AF_INET, from, sender);
	(void)inet_pton(AF_INET, OWN, target);
	put(frame, &n, "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x78", 12);
	if (tags == 2)
		put(frame, &n, "\x88\xa8\0\x07", 4);
	if (tags >= 1)
		put(frame, &n, "\x81\0\0\x05", 4);
	put(frame, &n, "\x08\0", 2);
	head = n;
	put(frame, &n, "\x45\0\0\x2a\0\x01\0\0\x40\x11\0\0", 12);
	put(frame, &n, sender, 4);
	put(frame, &n, target, 4);
	/* The switch looks at it. */
	sum = checksum(frame + head, 20);
	memcpy(frame + head + 10, &sum, sizeof(sum));
	put(frame, &n, "\x10\0\x10\0\0\x16\0\0", 8);
	put(frame, &n, mark, sizeof(mark));
	memset(frame + n, 0, 60 - MIN(n, 60U));
	n = MAX(n, 60U);
	assert_int_equal(send(out, frame, n, 0), (ssize_t)n);
	return frame_comes(in, mark, sizeof(mark) - 1, ms);
}

#endif
