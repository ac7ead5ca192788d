/* SPDX-License-Identifier: Apache-2.0 */
/* The fence of a machine's network, between network namespaces. It is held by a
 * child process, in a cgroup namespace whose root is the test's own cgroup, so
 * that this host's network is left alone. */
#include "netfence_lab.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "track/bpf.h"

/* To which a peer may be held. */
#define PORT 3022

static pid_t holding; /* the child that holds a fence; 0: none */

/* ---- who holds the fence ---- */

/* After a test that failed. */
static void end_holding(void)
{
	if (holding > 0) {
		(void)kill(holding, SIGKILL);
		(void)waitpid(holding, NULL, 0);
	}
	holding = 0;
	netfence_forget("test");
}

struct holder {
	pid_t pid;
	int fd;
};

struct answer {
	int r;
	uint64_t us;
	struct error err;
	char text[512];
};

/* The peer, on both families. */
static int add_peer(struct netfence_allow *allow, uint16_t port)
{
	static const char *const texts[] = {PEER, PEER6};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(texts); i++) {
		struct netfence_address a;

		r = netfence_address(texts[i], &a);
		a.port = port;
		if (r == 0)
			r = netfence_add_peer(allow, &a);
	}
	return r;
}

static int obey(struct netfence *f, struct netfence_allow *allow, char command,
	struct answer *a)
{
	uint64_t t = clock_us();
	int r = 0;

	switch (command) {
	case 'b':
		r = netfence_begin(f, allow, &a->err);
		break;
	case 'r':
		r = netfence_refresh(f, &a->err);
		break;
	case 'l':
		netfence_lift(f);
		break;
	case 'c':
		r = netfence_add_connection(allow, OTHER " 1 " OWN " 22");
		if (r == 0)
			r = netfence_change(f, allow, &a->err);
		break;
	case 'p':
		memset(allow, 0, sizeof(*allow));
		r = add_peer(allow, PORT);
		if (r == 0)
			r = netfence_find_near(allow, &a->err);
		if (r == 0)
			r = netfence_change(f, allow, &a->err);
		break;
	case 'u':
		r = add_peer(allow, 0);
		if (r == 0)
			r = netfence_change(f, allow, &a->err);
		break;
	case 'k':
		r = netfence_keep(f, "test", &a->err);
		break;
	case 't':
		r = netfence_check(&a->err);
		break;
	default:
		r = -EINVAL;
	}
	a->us = clock_us() - t;
	return r;
}

static void hold(int fd)
{
	struct netfence_allow allow = {0};
	struct netfence *f = NULL;
	struct answer a = {0};
	char command;

	join(cgroup);
	enter(MACHINE);
	if (unshare(CLONE_NEWCGROUP) < 0)
		_exit(98);
	must_be_ours();
	a.us = clock_us();
	a.r = netfence_prepare(&f, &a.err);
	a.us = clock_us() - a.us;
	if (a.r == 0 &&
		(netfence_add_connection(&allow, PEER " 50000 " OWN " 22") ||
			netfence_add_connection(
				&allow, PEER6 " 50000 " OWN6 " 22")))
		a.r = -EINVAL;
	if (a.r == 0)
		a.r = netfence_find_near(&allow, &a.err);
	(void)!write(fd, &a, sizeof(a));
	while (read(fd, &command, 1) == 1) {
		memset(&a, 0, sizeof(a));
		a.r = obey(f, &allow, command, &a);
		(void)netfence_text(f, a.text, sizeof(a.text));
		(void)!write(fd, &a, sizeof(a));
	}
	netfence_end(f);
	_exit(0);
}

static void take_answer(struct holder *h, struct answer *a)
{
	assert_true(is_ready(h->fd, POLLIN, COMES_MS));
	assert_int_equal(read(h->fd, a, sizeof(*a)), sizeof(*a));
}

static int order(struct holder *h, char command, struct answer *a)
{
	say(h->fd, command);
	take_answer(h, a);
	if (a->r < 0)
		print_message("cannot %s: %s\n", a->err.what, a->err.why);
	return a->r;
}

static struct holder new_holder(void)
{
	struct answer a;
	struct holder h;
	int ends[2];

	end_holding();
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	h.pid = fork();
	assert_true(h.pid >= 0);
	if (h.pid == 0) {
		(void)close(ends[0]);
		hold(ends[1]);
	}
	(void)close(ends[1]);
	h.fd = ends[0];
	holding = h.pid;
	take_answer(&h, &a);
	if (a.r < 0)
		fail_msg("cannot %s: %s", a.err.what, a.err.why);
	print_message("prepared in %llu us\n", (unsigned long long)a.us);
	return h;
}

static void begin(struct holder *h)
{
	struct answer a;

	assert_int_equal(order(h, 'b', &a), 0);
	print_message(
		"begun in %llu us: %s\n", (unsigned long long)a.us, a.text);
	assert_non_null(strstr(a.text, "but for 2 addresses"));
	assert_null(strstr(a.text, "not held back"));
}

/* By signal, or by closing its pipe when that is 0. */
static void end_holder(struct holder *h, int signal_number)
{
	int status;

	if (signal_number)
		assert_int_equal(kill(h->pid, signal_number), 0);
	(void)close(h->fd);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	holding = 0;
	if (signal_number)
		assert_int_equal(WTERMSIG(status), signal_number);
	else
		assert_int_equal(status, 0);
}

/* Programs of ours that the kernel has. */
static int count_programs(void)
{
	union bpf_attr a = {0};
	int n = 0;

	while (syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, &a, sizeof(a)) == 0) {
		struct bpf_prog_info info = {0};
		union bpf_attr b = {0};
		CLEANUP_CLOSE int fd = -1;

		b.prog_id = a.next_id;
		fd = (int)syscall(
			SYS_bpf, BPF_PROG_GET_FD_BY_ID, &b, sizeof(b));
		memset(&b, 0, sizeof(b));
		b.info.bpf_fd = (uint32_t)fd;
		b.info.info = (uint64_t)(uintptr_t)&info;
		b.info.info_len = sizeof(info);
		if (fd >= 0 && syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &b,
				       sizeof(b)) == 0)
			n += strncmp(info.name, "rehost_", 7) == 0;
		a.start_id = a.next_id;
	}
	return n;
}

static int count_links(void)
{
	union bpf_attr a = {0};
	int n = 0;

	while (syscall(SYS_bpf, BPF_LINK_GET_NEXT_ID, &a, sizeof(a)) == 0) {
		n++;
		a.start_id = a.next_id;
	}
	return n;
}

/* The kernel frees some of it a little later. */
static void nothing_is_left(int links)
{
	uint64_t until = clock_ms() + COMES_MS;

	while ((count_programs() > 0 || count_links() != links) &&
		clock_ms() < until)
		clock_sleep_ms(20);
	assert_int_equal(count_programs(), 0);
	assert_int_equal(count_links(), links);
	run_in(MACHINE, "! ip -d link show | grep xdp");
}

/* ---- what is so while it is up, and while it is not ---- */

static void is_open(void)
{
	assert_true(pings(STRANGER, OWN, COMES_MS));
	assert_true(pings(STRANGER, OWN6, COMES_MS));
	assert_true(arp_answers(STRANGER, "o0", OTHER, COMES_MS));
	assert_true(datagram_comes(STRANGER, MACHINE, OWN, 9, COMES_MS));
	assert_true(datagram_comes(STRANGER, MACHINE, "10.8.0.1", 9, COMES_MS));
	assert_true(datagram_comes(MACHINE, STRANGER, OTHER, 9, COMES_MS));
	assert_true(datagram_comes(MACHINE, STRANGER, OTHER6, 9, COMES_MS));
	assert_true(tagged_comes(STRANGER, "o0", OTHER, 1, COMES_MS));
}

static void peer_goes_on(void)
{
	/* Their caches are to ask for each other's Ethernet address. */
	run_in(PEERS, "ip neigh flush dev p0");
	assert_true(arp_answers(PEERS, "p0", PEER, COMES_MS));
	assert_true(pings(PEERS, OWN, COMES_MS));
	assert_true(pings(PEERS, OWN6, COMES_MS));
	run_in(MACHINE, "ip neigh flush dev m0");
	assert_true(datagram_comes(MACHINE, PEERS, PEER, 9, COMES_MS));
	assert_true(datagram_comes(MACHINE, PEERS, PEER6, 9, COMES_MS));
	/* In fragments. */
	assert_true(datagram_comes(PEERS, MACHINE, OWN, 5000, COMES_MS));
	assert_true(datagram_comes(PEERS, MACHINE, OWN6, 5000, COMES_MS));
	assert_true(datagram_comes(MACHINE, PEERS, PEER, 5000, COMES_MS));
	for (int tags = 0; tags <= 2; tags++)
		assert_true(tagged_comes(PEERS, "p0", PEER, tags, COMES_MS));
}

static void stranger_is_out(void)
{
	assert_false(arp_answers(STRANGER, "o0", OTHER, NEVER_MS));
	assert_false(pings(STRANGER, OWN, NEVER_MS));
	assert_false(pings(STRANGER, OWN6, NEVER_MS));
	assert_false(datagram_comes(STRANGER, MACHINE, OWN, 9, NEVER_MS));
	assert_false(datagram_comes(STRANGER, MACHINE, OWN, 5000, NEVER_MS));
	assert_false(datagram_comes(STRANGER, MACHINE, OWN6, 5000, NEVER_MS));
	assert_false(datagram_comes(MACHINE, STRANGER, OTHER, 9, NEVER_MS));
	assert_false(datagram_comes(MACHINE, STRANGER, OTHER6, 9, NEVER_MS));
	/* The other wire. */
	assert_false(
		datagram_comes(STRANGER, MACHINE, "10.8.0.1", 9, NEVER_MS));
	for (int tags = 0; tags <= 2; tags++)
		assert_false(
			tagged_comes(STRANGER, "o0", OTHER, tags, NEVER_MS));
	/* Within the machine. */
	assert_true(datagram_comes(MACHINE, MACHINE, "127.0.0.1", 9, COMES_MS));
	assert_true(datagram_comes(MACHINE, MACHINE, "::1", 9, COMES_MS));
	assert_true(datagram_comes(MACHINE, MACHINE, OWN, 9, COMES_MS));
}

static void no_new_connection(void)
{
	CLEANUP_CLOSE int l4 = bound(MACHINE, OWN, SOCK_STREAM, 4001);
	CLEANUP_CLOSE int l6 = bound(MACHINE, OWN6, SOCK_STREAM, 4001);
	CLEANUP_CLOSE int lo = bound(STRANGER, OTHER, SOCK_STREAM, 4001);
	CLEANUP_CLOSE int a = connecting(STRANGER, OWN, 4001);
	CLEANUP_CLOSE int b = connecting(STRANGER, OWN6, 4001);
	CLEANUP_CLOSE int c = connecting(MACHINE, OTHER, 4001);
	struct pair p;

	assert_false(is_connected(a, NEVER_MS));
	assert_false(is_connected(b, 0));
	assert_false(is_connected(c, 0));
	assert_false(is_ready(l4, POLLIN, 0) || is_ready(l6, POLLIN, 0) ||
		     is_ready(lo, POLLIN, 0));
	p = pair(PEERS, MACHINE, OWN, 4002);
	talk(&p);
	unpair(&p);
	p = pair(MACHINE, PEERS, PEER6, 4003);
	talk(&p);
	unpair(&p);
}

/* ---- tests ---- */

/* Connections of the peer, then of the stranger, made by either side. */
#define PAIRS 6

static void make_pairs(struct pair v[PAIRS])
{
	v[0] = pair(PEERS, MACHINE, OWN, 3000);
	v[1] = pair(PEERS, MACHINE, OWN6, 3001);
	v[2] = pair(MACHINE, PEERS, PEER, 3002);
	v[3] = pair(STRANGER, MACHINE, OWN, 3003);
	v[4] = pair(STRANGER, MACHINE, OWN6, 3004);
	v[5] = pair(MACHINE, STRANGER, OTHER, 3005);
	for (int i = 0; i < PAIRS; i++)
		talk(&v[i]);
}

/* Up, as above, with data of the stranger's connections on its way; then it
 * ends, and that data arrives. */
static void up_and_gone(int signal_number)
{
	int links = count_links();
	struct pair v[PAIRS];
	struct holder h;

	is_open();
	make_pairs(v);
	h = new_holder();
	is_open();
	begin(&h);
	for (int i = 0; i < 3; i++)
		talk(&v[i]);
	for (int i = 3; i < PAIRS; i++)
		for (int end = 0; end < 2; end++)
			say(v[i].fd[end], 'o');
	stranger_is_out();
	no_new_connection();
	peer_goes_on();
	for (int i = 3; i < PAIRS; i++)
		for (int end = 0; end < 2; end++)
			assert_false(is_ready(v[i].fd[end], POLLIN, 0));
	for (int i = 0; i < 3; i++)
		talk(&v[i]);
	end_holder(&h, signal_number);
	for (int i = 3; i < PAIRS; i++)
		for (int end = 0; end < 2; end++)
			assert_true(hears(v[i].fd[end], 'o', COMES_MS));
	is_open();
	for (int i = 0; i < PAIRS; i++)
		unpair(&v[i]);
	nothing_is_left(links);
}

static void test_end(void **state)
{
	up_and_gone(0);
}

static void test_killed(void **state)
{
	up_and_gone(SIGKILL);
}

static void test_check(void **state)
{
	int links = count_links();
	struct holder h = new_holder();
	struct answer a;

	assert_int_equal(order(&h, 't', &a), 0);
	is_open();
	end_holder(&h, 0);
	nothing_is_left(links);
}

/* Lifted, begun again, changed. */
static void test_again(void **state)
{
	int links = count_links();
	struct holder h = new_holder();
	struct answer a;

	begin(&h);
	assert_int_equal(order(&h, 'b', &a), -EALREADY);
	assert_false(pings(STRANGER, OWN, NEVER_MS));
	assert_int_equal(order(&h, 'l', &a), 0);
	is_open();
	begin(&h);
	assert_false(pings(STRANGER, OWN, NEVER_MS));
	assert_int_equal(order(&h, 'c', &a), 0);
	assert_true(pings(STRANGER, OWN, COMES_MS));
	assert_false(pings(STRANGER, OWN6, NEVER_MS));
	assert_true(pings(PEERS, OWN, COMES_MS));
	end_holder(&h, 0);
	nothing_is_left(links);
}

/* An interface that was down comes up; another one appears, and goes. */
static void test_interfaces(void **state)
{
	int links = count_links();
	struct holder h = new_holder();
	struct answer a;

	begin(&h);
	address(MACHINE, "m2", 1, "10.7.0");
	assert_false(
		datagram_comes(STRANGER, MACHINE, "10.7.0.1", 9, NEVER_MS));
	assert_int_equal(order(&h, 'r', &a), 0);
	wire(STRANGER, "o3", MACHINE, "m3");
	address(STRANGER, "o3", 3, "10.6.0");
	address(MACHINE, "m3", 1, "10.6.0");
	assert_true(datagram_comes(STRANGER, MACHINE, "10.6.0.1", 9, COMES_MS));
	assert_int_equal(order(&h, 'r', &a), 1);
	assert_int_equal(order(&h, 'r', &a), 0);
	assert_false(
		datagram_comes(STRANGER, MACHINE, "10.6.0.1", 9, NEVER_MS));
	run_in(MACHINE, "ip link del m3");
	assert_int_equal(order(&h, 'r', &a), 0);
	end_holder(&h, 0);
	assert_true(datagram_comes(STRANGER, MACHINE, "10.7.0.1", 9, COMES_MS));
	run_in(MACHINE, "ip addr flush dev m2 && ip link set m2 down");
	nothing_is_left(links);
}

/* A bridge and its port: the port alone has a program. A foreign program makes
 * it all or nothing. */
static void test_all_or_nothing(void **state)
{
	struct bpf_insn v[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT}};
	int links = count_links();
	struct holder h = new_holder();
	struct answer a;
	int program, link;

	run_in(MACHINE, "ip link add mb type bridge && ip link set mb up && "
			"ip link set m2 master mb && ip link set m2 up");
	begin(&h);
	run_in(MACHINE, "ip -d link show m2 | grep -q xdp && "
			"! ip -d link show mb | grep xdp && "
			"! ip -d link show lo | grep xdp");
	assert_int_equal(order(&h, 'l', &a), 0);
	program = bpf_load("test", BPF_PROG_TYPE_XDP, BPF_XDP, v, 2);
	assert_true(program >= 0);
	enter(MACHINE);
	link = bpf_attach_xdp(program, if_nametoindex("m2"));
	enter(HOME);
	assert_true(link >= 0);
	assert_int_equal(order(&h, 'b', &a), -EBUSY);
	assert_non_null(strstr(a.err.what, "m2"));
	is_open();
	(void)close(link);
	(void)close(program);
	begin(&h);
	end_holder(&h, 0);
	run_in(MACHINE, "ip link del mb && ip link set m2 down");
	nothing_is_left(links);
}

/* The machine's other connections with a peer that is held to a port. */
static void peer_is_held(void)
{
	CLEANUP_CLOSE int l = bound(MACHINE, OWN, SOCK_STREAM, 4001);
	CLEANUP_CLOSE int a = connecting(PEERS, OWN, 4001);
	CLEANUP_CLOSE int b = connecting(PEERS, OWN6, 4001);
	struct pair p;

	/* Their caches are to ask for each other's Ethernet address. */
	run_in(PEERS, "ip neigh flush dev p0");
	run_in(MACHINE, "ip neigh flush dev m0");
	assert_true(arp_answers(PEERS, "p0", PEER, COMES_MS));
	p = pair(PEERS, MACHINE, OWN, PORT);
	talk(&p);
	unpair(&p);
	p = pair(PEERS, MACHINE, OWN6, PORT);
	talk(&p);
	unpair(&p);
	assert_false(is_ready(l, POLLIN, NEVER_MS));
	/* Not even refused. */
	assert_false(is_ready(a, POLLOUT, 0) || is_ready(b, POLLOUT, 0));
	assert_false(pings(PEERS, OWN, NEVER_MS));
	assert_false(pings(PEERS, OWN6, NEVER_MS));
	assert_false(pings(MACHINE, PEER, NEVER_MS));
	assert_false(datagram_comes(PEERS, MACHINE, OWN, 9, NEVER_MS));
	assert_false(datagram_comes(PEERS, MACHINE, OWN6, 9, NEVER_MS));
	assert_false(datagram_comes(PEERS, MACHINE, OWN, 5000, NEVER_MS));
	assert_false(datagram_comes(PEERS, MACHINE, OWN6, 5000, NEVER_MS));
	assert_false(datagram_comes(MACHINE, PEERS, PEER, 9, NEVER_MS));
	assert_false(datagram_comes(MACHINE, PEERS, PEER6, 9, NEVER_MS));
	for (int tags = 0; tags <= 2; tags++)
		assert_false(tagged_comes(PEERS, "p0", PEER, tags, NEVER_MS));
}

#define HELD_PAIRS 6

/* A peer that is held to a port goes on there and nowhere else, also when that
 * port is its own or the connection is the machine's; then it is let go. */
static void test_port(void **state)
{
	int links = count_links();
	struct pair v[HELD_PAIRS];
	struct holder h = new_holder();
	struct answer a;

	v[0] = pair(PEERS, MACHINE, OWN, PORT);
	v[1] = pair(PEERS, MACHINE, OWN6, PORT);
	v[2] = pair(PEERS, MACHINE, OWN, 3100);
	v[3] = pair(PEERS, MACHINE, OWN6, 3101);
	v[4] = pair(MACHINE, PEERS, PEER, PORT);
	v[5] = pair(MACHINE, PEERS, PEER6, PORT);
	for (int i = 0; i < HELD_PAIRS; i++)
		talk(&v[i]);
	assert_int_equal(order(&h, 'p', &a), 0);
	begin(&h);
	assert_int_equal(order(&h, 'r', &a), 0);
	assert_non_null(strstr(a.text, "(2 of them with one port alone)"));
	for (int i = 0; i < 2; i++)
		talk(&v[i]);
	stranger_is_out();
	peer_is_held();
	/* Last: TCP gives up what it cannot send at all after 15 times half a
	 * second (net/ipv4/tcp_timer.c: tcp_probe_timer). */
	for (int i = 2; i < HELD_PAIRS; i++)
		for (int end = 0; end < 2; end++)
			say(v[i].fd[end], 'o');
	for (int i = 0; i < 2; i++)
		talk(&v[i]);
	clock_sleep_ms(NEVER_MS);
	for (int i = 2; i < HELD_PAIRS; i++)
		for (int end = 0; end < 2; end++)
			assert_false(is_ready(v[i].fd[end], POLLIN, 0));
	for (int i = 0; i < 2; i++)
		talk(&v[i]);
	assert_int_equal(order(&h, 'u', &a), 0);
	assert_null(strstr(a.text, "one port alone"));
	for (int i = 2; i < HELD_PAIRS; i++)
		for (int end = 0; end < 2; end++)
			assert_true(hears(v[i].fd[end], 'o', COMES_MS));
	peer_goes_on();
	stranger_is_out();
	end_holder(&h, 0);
	for (int i = 0; i < HELD_PAIRS; i++)
		unpair(&v[i]);
	is_open();
	nothing_is_left(links);
}

/* Kept, it withstands kill -9, until it is forgotten. */
static void test_kept(void **state)
{
	int links = count_links();
	struct holder h = new_holder();
	struct answer a;

	begin(&h);
	assert_int_equal(order(&h, 'k', &a), 0);
	assert_non_null(strstr(a.text, "withstands the end of rehost"));
	end_holder(&h, SIGKILL);
	stranger_is_out();
	peer_goes_on();
	netfence_forget("test");
	netfence_forget("test");
	is_open();
	assert_int_equal(access("/sys/fs/bpf/rehost-test", F_OK), -1);
	nothing_is_left(links);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *text;
		int family; /* 0: none */
	} rows[] = {
		{"192.0.2.1", AF_INET},
		{"::ffff:192.0.2.1", AF_INET},
		{"2001:db8::1", AF_INET6},
		{"fe80::1%lo", AF_INET6},
		{"fe80::1%no-such", 0},
		{"192.0.2.1%lo", 0},
		{"192.0.2", 0},
		{"", 0},
		{"host", 0},
		{"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111", 0},
	};
	struct netfence_allow allow = {0};
	struct netfence_address a;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int r = netfence_address(rows[i].text, &a);

		assert_int_equal(r, rows[i].family ? 0 : -EINVAL);
		if (r == 0)
			assert_int_equal(a.family, rows[i].family);
	}
	assert_int_equal(netfence_add_connection(&allow, "192.0.2.1"), -EINVAL);
	assert_int_equal(netfence_add_connection(&allow, ""), -EINVAL);
	assert_int_equal(netfence_add_connection(&allow, "a 1 b 2"), -EINVAL);
	for (int i = 0; i < 2; i++)
		assert_int_equal(netfence_add_connection(
					 &allow, "192.0.2.1 1 192.0.2.2 22"),
			0);
	assert_int_equal(allow.n_peers, 1);
	assert_int_equal(netfence_address("192.0.2.1", &a), 0);
	assert_int_equal(a.port, 0);
	/* It has all: a port takes nothing from it. */
	a.port = PORT;
	assert_int_equal(netfence_add_peer(&allow, &a), 0);
	assert_int_equal(allow.peers[0].port, 0);
	allow.n_peers = 0;
	for (int i = 0; i < 2; i++)
		assert_int_equal(netfence_add_peer(&allow, &a), 0);
	assert_int_equal(allow.n_peers, 1);
	assert_int_equal(allow.peers[0].port, PORT);
	a.port++;
	assert_int_equal(netfence_add_peer(&allow, &a), -EEXIST);
	assert_int_equal(allow.peers[0].port, PORT);
	a.port = 0;
	assert_int_equal(netfence_add_peer(&allow, &a), 0);
	assert_int_equal(allow.n_peers, 1);
	assert_int_equal(allow.peers[0].port, 0);
	a.family = AF_INET;
	for (uint32_t i = 1; i < NETFENCE_PEERS; i++) {
		a.bytes[3] = (uint8_t)(100 + i);
		assert_int_equal(netfence_add_peer(&allow, &a), 0);
	}
	a.bytes[3] = 99;
	assert_int_equal(netfence_add_peer(&allow, &a), -E2BIG);
}

static bool has_near(const struct netfence_allow *allow, const char *text)
{
	struct netfence_address a;

	assert_int_equal(netfence_address(text, &a), 0);
	for (uint32_t i = 0; i < allow->n_near; i++)
		if (allow->near[i].family == a.family &&
			memcmp(allow->near[i].bytes, a.bytes, 16) == 0)
			return true;
	return false;
}

static uint32_t count_macs(const struct netfence_allow *allow)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < allow->n_near; i++)
		n += allow->near[i].family == AF_PACKET;
	return n;
}

/* Next hops: one, two at once, link-local, none; a tunnel is refused. */
static void test_near(void **state)
{
	struct netfence_allow allow = {0};
	struct error err = {0};

	run_in(MACHINE,
		"ip route add 192.0.2.0/25 via 10.9.0.7 && "
		"ip route add 192.0.2.128/25 nexthop via 10.9.0.8 "
		"nexthop via 10.8.0.9 && "
		"ip -6 route add 2001:db8::/64 via fe80::7 dev m0 && "
		"ip neigh replace 10.9.0.7 lladdr 02:00:00:00:00:99 dev m0");
	assert_true(pings(MACHINE, PEER, COMES_MS));
	enter(MACHINE);
	assert_int_equal(
		netfence_add_connection(&allow, "192.0.2.1 1 10.9.0.1 22"), 0);
	assert_int_equal(netfence_find_near(&allow, &err), 0);
	assert_int_equal(allow.n_near, 2);
	assert_true(has_near(&allow, "10.9.0.7"));
	assert_int_equal(count_macs(&allow), 1);
	assert_int_equal(
		netfence_add_connection(&allow, "192.0.2.200 1 10.9.0.1 22"),
		0);
	assert_int_equal(
		netfence_add_connection(&allow, "2001:db8::1 1 fd09::1 22"), 0);
	/* On the link, a neighbour by now; and the machine itself. */
	assert_int_equal(
		netfence_add_connection(&allow, PEER " 1 " OWN " 22"), 0);
	assert_int_equal(
		netfence_add_connection(&allow, OWN " 1 " OWN " 22"), 0);
	assert_int_equal(netfence_find_near(&allow, &err), 0);
	assert_true(has_near(&allow, "10.9.0.8"));
	assert_true(has_near(&allow, "10.8.0.9"));
	assert_true(has_near(&allow, "fe80::7"));
	assert_false(has_near(&allow, PEER));
	assert_int_equal(count_macs(&allow), 2);

	memset(&allow, 0, sizeof(allow));
	assert_int_equal(
		netfence_add_connection(&allow, "203.0.113.1 1 10.9.0.1 22"),
		0);
	assert_int_equal(netfence_find_near(&allow, &err), -ENETUNREACH);
	enter(HOME);
	/* Not every kernel has one of these. */
	enter(MACHINE);
	if (system("ip tuntap add dev tun7 mode tun && ip link set tun7 up && "
		   "ip addr add 203.0.113.2/24 dev tun7") == 0)
		assert_int_equal(netfence_find_near(&allow, &err), -EOPNOTSUPP);
	else
		print_message("no tunnels here\n");
	enter(HOME);
	run_in(MACHINE,
		"ip link del tun7 2>/dev/null; ip route del 192.0.2.0/25; "
		"ip route del 192.0.2.128/25; ip -6 route del 2001:db8::/64");
}

static int setup(void **state)
{
	(void)signal(SIGPIPE, SIG_IGN);
	if (lab_up())
		return 0;
	print_message("wants root\n");
	return -1;
}

static int teardown(void **state)
{
	end_holding();
	return remove_cgroup() ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_near),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_interfaces),
		cmocka_unit_test(test_all_or_nothing),
		cmocka_unit_test(test_kept),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
