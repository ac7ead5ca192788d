/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sees who has an address on a network.
 *
 *   witness INTERFACE ADDRESS
 *
 * reads all frames of INTERFACE, a bridge for example, until SIGTERM or SIGINT.
 * A frame claims ADDRESS, which is IPv4 or IPv6, for the MAC that it comes from
 * if that is its source; an ARP packet (RFC 826) does so for its sender, a
 * neighbour advertisement (RFC 4861, 4.4) for its target. Prints "ready", then
 * a line for each time in which one MAC alone claimed it:
 *
 *   reign MAC FIRST LAST frames=N arp=N nd=N
 *
 * with the times in microseconds since 1970; at the end "missed N", which
 * counts frames that came too fast, and "one life" if each MAC had one reign
 * alone, or "two lives": then they overlap, or one came back. Exit status: 0, 1
 * for two lives, 2 for anything that went wrong.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#define SNAP 128
#define BUFFER (64 << 20)
#define MACS 64

enum kind { FRAME, ARP, ND };

struct reign {
	uint8_t mac[ETH_ALEN];
	int64_t first, last;
	uint64_t frames[3];
};

static struct reign reign;
static bool has_reign;
/* Those whose reign is over. */
static uint8_t gone[MACS][ETH_ALEN];
static unsigned int n_gone;
static bool two_lives;
static uint64_t missed;

/* The address, and its length: 4 or 16. */
static uint8_t watched[16];
static size_t watched_len;

__attribute__((noreturn, format(printf, 1, 2))) static void die(
	const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	fputs("witness: ", stderr);
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, ": %s\n", strerror(saved));
	va_end(ap);
	exit(2);
}

static bool is_gone(const uint8_t *mac)
{
	unsigned int i;

	for (i = 0; i < n_gone; i++)
		if (!memcmp(gone[i], mac, ETH_ALEN))
			return true;
	return false;
}

static void end_reign(void)
{
	const uint8_t *m = reign.mac;

	if (!has_reign)
		return;
	printf("reign %02x:%02x:%02x:%02x:%02x:%02x %" PRId64 " %" PRId64
	       " frames=%" PRIu64 " arp=%" PRIu64 " nd=%" PRIu64 "\n",
		m[0], m[1], m[2], m[3], m[4], m[5], reign.first, reign.last,
		reign.frames[FRAME], reign.frames[ARP], reign.frames[ND]);
	fflush(stdout);
	has_reign = false;
	if (n_gone == MACS) {
		errno = E2BIG;
		die("more than %d changes", MACS);
	}
	memcpy(gone[n_gone++], m, ETH_ALEN);
}

static void claim(const uint8_t *mac, int64_t at, enum kind kind)
{
	if (!has_reign || memcmp(reign.mac, mac, ETH_ALEN) != 0) {
		end_reign();
		two_lives |= is_gone(mac);
		reign = (struct reign){.first = at};
		memcpy(reign.mac, mac, ETH_ALEN);
		has_reign = true;
	}
	reign.last = at;
	reign.frames[kind]++;
}

static bool is_watched(const uint8_t *p, size_t len)
{
	return len == watched_len && !memcmp(p, watched, len);
}

static void look_at(const uint8_t *p, size_t len, int64_t at)
{
	const uint8_t *from = p + ETH_ALEN;
	uint16_t type;

	if (len < ETH_HLEN)
		return;
	type = (uint16_t)(p[12] << 8 | p[13]);
	p += ETH_HLEN;
	len -= ETH_HLEN;
	if (type == ETHERTYPE_ARP && len >= 28) {
		if (!is_watched(p + 14, 4))
			return;
		claim(p + 8, at, ARP);
		if (memcmp(p + 8, from, ETH_ALEN) != 0)
			claim(from, at, ARP);
	} else if (type == ETHERTYPE_IP && len >= 20) {
		if (is_watched(p + 12, 4))
			claim(from, at, FRAME);
	} else if (type == ETHERTYPE_IPV6 && len >= 40) {
		if (is_watched(p + 8, 16))
			claim(from, at, FRAME);
		else if (len >= 64 && p[6] == IPPROTO_ICMPV6 && p[40] == 136 &&
			 is_watched(p + 48, 16))
			claim(from, at, ND);
	}
}

static int64_t time_of(struct msghdr *m)
{
	struct cmsghdr *c;
	struct timespec t = {0};

	for (c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_SOCKET &&
			c->cmsg_type == SCM_TIMESTAMPNS)
			memcpy(&t, CMSG_DATA(c), sizeof(t));
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* The frames that are there; true if there are more. */
static bool look(int fd)
{
	static uint8_t frame[SNAP];
	char control[128];
	struct iovec iov = {frame, sizeof(frame)};
	struct msghdr m;
	ssize_t n;
	int budget;

	for (budget = 4096; budget; budget--) {
		m = (struct msghdr){.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control)};
		n = recvmsg(fd, &m, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		/* A bridge that is not up yet is waited for. */
		if (n < 0 && errno == ENETDOWN)
			continue;
		if (n < 0)
			die("read frames");
		look_at(frame, (size_t)n, time_of(&m));
	}
	return true;
}

static int open_socket(const char *interface)
{
	/* No frame is of interest beyond its headers. */
	struct sock_filter part = BPF_STMT(BPF_RET | BPF_K, SNAP);
	struct sock_fprog filter = {1, &part};
	struct sockaddr_ll at = {.sll_family = AF_PACKET};
	struct packet_mreq all = {.mr_type = PACKET_MR_PROMISC};
	int fd, one = 1, size = BUFFER;

	at.sll_ifindex = (int)if_nametoindex(interface);
	if (!at.sll_ifindex)
		die("interface %s", interface);
	all.mr_ifindex = at.sll_ifindex;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("packet socket");
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter,
		    sizeof(filter)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size,
			sizeof(size)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) <
			0 ||
		setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all,
			sizeof(all)) < 0)
		die("set up the packet socket");
	at.sll_protocol = htons(ETH_P_ALL);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		die("listen to %s", interface);
	return fd;
}

static void count_missed(int fd)
{
	struct tpacket_stats stats;
	socklen_t len = sizeof(stats);

	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) < 0)
		die("count frames");
	missed += stats.tp_drops;
}

int main(int argc, char **argv)
{
	struct pollfd wait[2];
	sigset_t ends;
	int fd, n;

	if (argc != 3) {
		fputs("witness INTERFACE ADDRESS\n", stderr);
		return 2;
	}
	watched_len = strchr(argv[2], ':') ? 16 : 4;
	errno = EINVAL;
	if (inet_pton(watched_len == 16 ? AF_INET6 : AF_INET, argv[2],
		    watched) != 1)
		die("address %s", argv[2]);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	wait[1].fd = signalfd(-1, &ends, SFD_CLOEXEC);
	if (wait[1].fd < 0)
		die("signals");
	/* What it misses nobody saw, so it is not to wait for others. */
	(void)setpriority(PRIO_PROCESS, 0, -10);
	fd = open_socket(argv[1]);
	wait[0].fd = fd;
	wait[0].events = wait[1].events = POLLIN;
	puts("ready");
	fflush(stdout);
	do {
		wait[0].revents = wait[1].revents = 0;
		if (poll(wait, 2, -1) < 0 && errno != EINTR)
			die("wait");
		(void)look(fd);
	} while (!wait[1].revents);
	/* What came before the end, and not for ever. */
	for (n = 0; n < 100 && look(fd); n++)
		;
	count_missed(fd);
	end_reign();
	printf("missed %" PRIu64 "\n%s\n", missed,
		two_lives ? "two lives" : "one life");
	return two_lives ? 1 : 0;
}
