/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slow link between two network namespaces, for kernels without netem.
 *
 *   wan NETNS-A NETNS-B IF-A IF-B DELAY_MS MBIT [LOSS_PERMILLE]
 *
 * makes a tun interface (Documentation/networking/tuntap.rst) in each
 * namespace and carries packets between them: each waits for its turn at the
 * given rate (0: no limit), then for the delay. What would wait longer than
 * QUEUE_NS for its turn is dropped, as in a router's queue. Prints "ready"
 * once the interfaces are there; ends when one of them goes away.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 16384
#define SLOT_SIZE 1536
#define QUEUE_NS (100 * INT64_C(1000000))

struct packet {
	int64_t due;
	size_t len;
	char data[SLOT_SIZE];
};

/* One direction: a ring, in the order of the due times. */
struct pipe {
	int in, out;
	int64_t free_at; /* when the line is free for the next packet */
	uint32_t first, n;
	struct packet *ring;
};

static int64_t delay_ns;
static int64_t mbit;
static long loss_permille;

__attribute__((noreturn, format(printf, 1, 2))) static void die(
	const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	fputs("wan: ", stderr);
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, ": %s\n", strerror(saved));
	va_end(ap);
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int64_t number(const char *s, int64_t max)
{
	char *end;
	intmax_t v;

	errno = 0;
	v = strtoimax(s, &end, 10);
	if (errno || *end || end == s || v < 0 || v > max) {
		errno = EINVAL;
		die("number %s", s);
	}
	return v;
}

static int open_tun(const char *ns, const char *name)
{
	struct ifreq req = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd;

	fd = open(ns, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die("%s", ns);
	close(fd);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		die("/dev/net/tun");
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &req) < 0)
		die("interface %s", name);
	return fd;
}

/* Takes in what has come; a full queue drops, as the sender must learn. */
static void take(struct pipe *p)
{
	struct packet *slot, spare;
	int64_t now, start;
	ssize_t len;
	int budget;

	for (budget = 256; budget; budget--) {
		slot = p->n < SLOTS ? &p->ring[(p->first + p->n) % SLOTS]
				    : &spare;
		len = read(p->in, slot->data, sizeof(slot->data));
		if (len < 0 && errno == EAGAIN)
			return;
		if (len < 0)
			exit(0);
		now = now_ns();
		start = now > p->free_at ? now : p->free_at;
		if (slot == &spare || start - now > QUEUE_NS)
			continue;
		if (loss_permille && random() % 1000 < loss_permille)
			continue;
		p->free_at = start + (mbit ? len * 8000 / mbit : 0);
		slot->len = (size_t)len;
		slot->due = p->free_at + delay_ns;
		p->n++;
	}
}

/* Delivers what is due; returns when the next one is, or INT64_MAX. */
static int64_t give(struct pipe *p)
{
	struct packet *slot;

	while (p->n) {
		slot = &p->ring[p->first];
		if (slot->due > now_ns())
			return slot->due;
		/* An interface that is down refuses: the packet is lost. */
		if (write(p->out, slot->data, slot->len) < 0 && errno == EBADFD)
			exit(0);
		p->first = (p->first + 1) % SLOTS;
		p->n--;
	}
	return INT64_MAX;
}

static void carry(struct pipe pipes[2])
{
	struct pollfd polls[2] = {
		{.fd = pipes[0].in, .events = POLLIN},
		{.fd = pipes[1].in, .events = POLLIN},
	};
	struct timespec t;
	int64_t due, other, wait;

	for (;;) {
		due = give(&pipes[0]);
		other = give(&pipes[1]);
		due = due < other ? due : other;
		if (due != INT64_MAX) {
			wait = due - now_ns();
			wait = wait > 0 ? wait : 0;
			t.tv_sec = wait / 1000000000;
			t.tv_nsec = wait % 1000000000;
		}
		if (ppoll(polls, 2, due == INT64_MAX ? NULL : &t, NULL) < 0)
			die("poll");
		for (int i = 0; i < 2; i++) {
			if (polls[i].revents & (POLLERR | POLLHUP | POLLNVAL))
				exit(0);
			if (polls[i].revents)
				take(&pipes[i]);
		}
	}
}

int main(int argc, char **argv)
{
	struct pipe pipes[2] = {0};

	if (argc != 7 && argc != 8) {
		fputs("usage: wan NETNS-A NETNS-B IF-A IF-B DELAY_MS MBIT"
		      " [LOSS_PERMILLE]\n",
			stderr);
		return 2;
	}
	delay_ns = number(argv[5], 60000) * 1000000;
	mbit = number(argv[6], 100000);
	loss_permille = argc == 8 ? (long)number(argv[7], 1000) : 0;

	for (int i = 0; i < 2; i++) {
		pipes[i].ring = calloc(SLOTS, sizeof(struct packet));
		if (!pipes[i].ring)
			die("memory");
		pipes[i].in = open_tun(argv[1 + i], argv[3 + i]);
	}
	pipes[0].out = pipes[1].in;
	pipes[1].out = pipes[0].in;
	puts("ready");
	fflush(stdout);
	carry(pipes);
}
