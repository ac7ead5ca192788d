/* SPDX-License-Identifier: Apache-2.0 */
#include "link/lane.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "link/lane_tls.h"

#define SEND_MS 60000
#define DEAD_MS 30000
#define HANDSHAKE_MS 10000
#define REKEY_BYTES (64ULL << 30)
#define MAX_PENDING 64
#define MAX_PARTS 16

_Static_assert(LANE_KEY_SIZE == LANE_TLS_KEY_SIZE, "one key");

struct lane {
	int fd;
	int wake; /* readable for ever after lane_shutdown */
	bool socket;
	bool failed;
	bool sends;	      /* has sent before */
	struct lane_tls *tls; /* NULL: plain */
	unsigned send_ms;
	uint64_t rekey_bytes;
	uint64_t sealed; /* bytes sent since the key was renewed */
	atomic_bool stopped;
	_Atomic uint64_t bytes;
	size_t staged;
	uint8_t stage[LANE_TLS_RECORD];
};

/* A connection that is shaking hands. */
struct pending {
	struct lane *lane;
	uint64_t since;
	short events; /* what it waits for */
	bool secure;  /* the key was right; its number is awaited */
	uint32_t number;
	size_t n; /* bytes of the number */
};

struct lane_listener {
	int fd;
	unsigned port;
	uint8_t key[LANE_KEY_SIZE];
	atomic_bool stopped;
	unsigned dropped; /* connections that did not become lanes */
	unsigned n;
	struct pending pending[MAX_PENDING];
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Takes fd over also when it fails. */
static int lane_new(int fd, struct lane **ret)
{
	struct lane *l = calloc(1, sizeof(*l));
	int type, r;
	socklen_t n = sizeof(type);

	if (!l) {
		(void)close(fd);
		return -ENOMEM;
	}
	l->fd = fd;
	l->send_ms = SEND_MS;
	l->rekey_bytes = REKEY_BYTES;
	l->socket = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0;
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = l->wake < 0 ? -errno : io_set_nonblock(fd, 1);
	if (r < 0) {
		lane_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

static void set_option(int fd, int level, int option, int value)
{
	/* A kernel without one of them still carries the lane. */
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

/* Buffers are left to the kernel: set by hand they would no longer grow with
 * the delay of the path. */
static void prepare_tcp(int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, DEAD_MS);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

/* Takes fd over also when it fails. */
static int lane_new_tls(int fd, bool server, const uint8_t key[LANE_KEY_SIZE],
	struct lane **ret)
{
	struct lane *l;
	int r = lane_new(fd, &l);

	if (r < 0)
		return r;
	prepare_tcp(fd);
	r = lane_tls_new(fd, server, key, &l->tls);
	if (r < 0) {
		lane_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

static bool is_stopped(const struct lane *l)
{
	return atomic_load_explicit(&l->stopped, memory_order_relaxed);
}

/* Waits until the descriptor is ready. 0, -ETIMEDOUT (ms < 0: never),
 * -ECANCELED. */
static int lane_wait(struct lane *l, short events, int ms)
{
	struct pollfd p[2] = {{.fd = l->fd, .events = events},
		{.fd = l->wake, .events = POLLIN}};
	int r;

	do
		r = poll(p, 2, ms);
	while (r < 0 && errno == EINTR && !is_stopped(l));
	if (is_stopped(l))
		return -ECANCELED;
	if (r < 0)
		return -errno;
	return r == 0 ? -ETIMEDOUT : 0;
}

/* Waits until the peer took something, at most send_ms. POLLOUT alone comes
 * only when a third of the buffer is free, which may take minutes when a fast
 * path has become a slow one. */
static int wait_writable(struct lane *l)
{
	uint64_t since = clock_ms();
	int queued = -1, before = -1;

	for (;;) {
		int r = lane_wait(
			l, POLLOUT, (int)MIN(l->send_ms / 4 + 1, 5000U));

		if (r != -ETIMEDOUT)
			return r;
		if (l->socket && ioctl(l->fd, SIOCOUTQ, &queued) == 0 &&
			queued != before) {
			if (before >= 0)
				since = clock_ms();
			before = queued;
		}
		if (clock_ms() - since >= l->send_ms)
			return -ETIMEDOUT;
	}
}

static int seal(struct lane *l, const uint8_t *buf, size_t n, bool more)
{
	for (;;) {
		size_t part = MIN(n, (size_t)LANE_TLS_RECORD), done = 0;
		int r;

		if (n > 0)
			r = lane_tls_write(
				l->tls, buf, part, more || part < n, &done);
		else
			r = more ? 0 : lane_tls_flush(l->tls);
		if (r == 0 && n == 0)
			return 0;
		if (r == LANE_TLS_WANT_WRITE)
			r = wait_writable(l);
		else if (r == LANE_TLS_WANT_READ)
			r = lane_wait(l, POLLIN, (int)l->send_ms);
		if (r < 0)
			return r;
		buf += done;
		n -= done;
		l->sealed += done;
		atomic_fetch_add_explicit(
			&l->bytes, done, memory_order_relaxed);
	}
}

static int flush_stage(struct lane *l, bool more)
{
	size_t n = l->staged;

	l->staged = 0;
	return seal(l, l->stage, n, more);
}

static int send_tls(struct lane *l, const struct iovec *parts, int n)
{
	if (l->sealed >= l->rekey_bytes) {
		int r = lane_tls_rekey(l->tls);

		if (r < 0)
			return r;
		l->sealed = 0;
	}
	/* Full records straight from where they lie, the pieces between them
	 * through the stage. */
	for (int i = 0; i < n; i++) {
		const uint8_t *p = parts[i].iov_base;
		size_t left = parts[i].iov_len;

		while (left > 0) {
			size_t whole = left - left % LANE_TLS_RECORD;
			size_t take = MIN(left, LANE_TLS_RECORD - l->staged);
			int r = 0;

			if (l->staged == 0 && whole > 0) {
				take = whole;
				r = seal(l, p, take, take < left || i + 1 < n);
			} else {
				memcpy(l->stage + l->staged, p, take);
				l->staged += take;
				if (l->staged == LANE_TLS_RECORD)
					r = flush_stage(
						l, take < left || i + 1 < n);
			}
			if (r < 0)
				return r;
			p += take;
			left -= take;
		}
	}
	return flush_stage(l, false);
}

/* One system call; returns how much it took. */
static ssize_t write_some(struct lane *l, struct iovec *vec, size_t n)
{
	struct msghdr m = {.msg_iov = vec, .msg_iovlen = n};

	return l->socket ? sendmsg(l->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT)
			 : writev(l->fd, vec, (int)n);
}

static int send_plain(struct lane *l, const struct iovec *parts, int n)
{
	int i = 0;
	size_t done = 0; /* of part i */

	for (;;) {
		struct iovec vec[MAX_PARTS];
		size_t count = 0;
		ssize_t w;

		while (i < n && done == parts[i].iov_len) {
			i++;
			done = 0;
		}
		if (i == n)
			return 0;
		for (int k = i; k < n && count < MAX_PARTS; k++)
			vec[count++] = parts[k];
		vec[0].iov_base = (char *)vec[0].iov_base + done;
		vec[0].iov_len -= done;
		w = write_some(l, vec, count);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0 && errno == EAGAIN) {
			int r = wait_writable(l);

			if (r < 0)
				return r;
			continue;
		}
		if (w < 0)
			return -errno;
		atomic_fetch_add_explicit(
			&l->bytes, (uint64_t)w, memory_order_relaxed);
		while (w > 0) {
			size_t took = MIN((size_t)w, parts[i].iov_len - done);

			w -= (ssize_t)took;
			done += took;
			if (done == parts[i].iov_len) {
				i++;
				done = 0;
			}
		}
	}
}

/* The result that the caller sees; remembers that the lane is done for. */
static int conclude(struct lane *l, int r)
{
	if (r == 0)
		return 0;
	l->failed = true;
	return is_stopped(l) ? -ECANCELED : r;
}

int lane_send(struct lane *l, const struct iovec *parts, int n)
{
	if (is_stopped(l))
		return -ECANCELED;
	if (l->failed)
		return -EPIPE;
	if (l->tls && !l->sends)
		/* A receiver that is there but takes nothing (its disk hangs)
		 * counts as dead for this option too: it gets the longer
		 * time. */
		set_option(
			l->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)l->send_ms);
	l->sends = true;
	return conclude(
		l, l->tls ? send_tls(l, parts, n) : send_plain(l, parts, n));
}

/* 0 with *ret_n > 0, LANE_TLS_WANT_*, or negative errno. */
static int read_some(struct lane *l, void *buf, size_t n, size_t *ret_n)
{
	ssize_t r;

	if (l->tls)
		return lane_tls_read(l->tls, buf, n, ret_n);
	do
		r = read(l->fd, buf, n);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == EAGAIN ? LANE_TLS_WANT_READ : -errno;
	*ret_n = (size_t)r;
	return r == 0 ? -EPIPE : 0;
}

int lane_receive(struct lane *l, void *buf, size_t n)
{
	uint8_t *p = buf;
	size_t left = n;

	if (is_stopped(l))
		return -ECANCELED;
	if (l->failed)
		return -EPIPE;
	while (left > 0) {
		size_t done = 0;
		int r = read_some(l, p, left, &done);

		if (r == LANE_TLS_WANT_READ)
			r = lane_wait(l, POLLIN, -1);
		else if (r == LANE_TLS_WANT_WRITE)
			r = wait_writable(l);
		else if (r == -EPIPE && left < n)
			r = -ECONNRESET;
		if (r < 0)
			return conclude(l, r);
		p += done;
		left -= done;
		atomic_fetch_add_explicit(
			&l->bytes, done, memory_order_relaxed);
	}
	return 0;
}

void lane_shutdown(struct lane *l)
{
	atomic_store(&l->stopped, true);
	(void)eventfd_write(l->wake, 1);
	if (l->socket)
		(void)shutdown(l->fd, SHUT_RDWR);
}

uint64_t lane_bytes(const struct lane *l)
{
	return atomic_load_explicit(&l->bytes, memory_order_relaxed);
}

uint64_t lane_queued(const struct lane *l)
{
	int n = 0;

	return l->socket && ioctl(l->fd, SIOCOUTQ, &n) == 0 && n > 0
		       ? (uint64_t)n
		       : 0;
}

void lane_set_limits(struct lane *l, unsigned send_ms, uint64_t rekey_bytes)
{
	if (send_ms)
		l->send_ms = send_ms;
	if (rekey_bytes)
		l->rekey_bytes = rekey_bytes;
}

void lane_free(struct lane *l)
{
	if (!l)
		return;
	if (l->tls && !l->failed && !is_stopped(l)) {
		uint64_t deadline = clock_ms() + 5000, now;

		while (lane_tls_end(l->tls) == LANE_TLS_WANT_WRITE) {
			now = clock_ms();
			if (now >= deadline ||
				lane_wait(l, POLLOUT, (int)(deadline - now)))
				break;
		}
	}
	lane_tls_free(l->tls);
	(void)close(l->fd);
	if (l->wake >= 0)
		(void)close(l->wake);
	free(l);
}

int lane_plain(int fd, struct lane **ret)
{
	/* So that the caller keeps it when this fails. */
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int r;

	if (own < 0)
		return -errno;
	r = lane_new(own, ret);
	if (r == 0)
		(void)close(fd);
	return r;
}

/* Connecting. */

static int parse_address(
	const char *text, unsigned port, union address *ret, socklen_t *ret_n)
{
	union address a = {.any.sa_family = AF_UNSPEC};

	if (port == 0 || port > 65535)
		return -EINVAL;
	if (inet_pton(AF_INET6, text, &a.v6.sin6_addr) == 1) {
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons((uint16_t)port);
		*ret_n = sizeof(a.v6);
	} else if (inet_pton(AF_INET, text, &a.v4.sin_addr) == 1) {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons((uint16_t)port);
		*ret_n = sizeof(a.v4);
	} else {
		return -EINVAL;
	}
	*ret = a;
	return 0;
}

static int wait_until(struct lane *l, short events, uint64_t deadline)
{
	uint64_t now = clock_ms();

	return now >= deadline ? -ETIMEDOUT
			       : lane_wait(l, events, (int)(deadline - now));
}

static int connect_tcp(
	struct lane *l, const union address *a, socklen_t n, uint64_t deadline)
{
	int code = 0, r;
	socklen_t size = sizeof(code);

	if (connect(l->fd, &a->any, n) == 0)
		return 0;
	if (errno != EINPROGRESS && errno != EINTR)
		return -errno;
	r = wait_until(l, POLLOUT, deadline);
	if (r < 0)
		return r;
	if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
		return -errno;
	return -code;
}

static int shake_hands(struct lane *l, uint64_t deadline)
{
	for (;;) {
		int r = lane_tls_handshake(l->tls);

		if (r <= 0)
			return r;
		r = wait_until(l, r == LANE_TLS_WANT_READ ? POLLIN : POLLOUT,
			deadline);
		if (r < 0)
			return r;
	}
}

static int explain_connect(struct error *err, int r)
{
	if (r == -EKEYREJECTED)
		return error_why(
			err, "what listens there does not know the move's key");
	if (r == -ECONNRESET)
		return error_why(
			err, "the other side hung up during the handshake");
	return r;
}

int lane_connect(const char *address, unsigned port,
	const uint8_t key[LANE_KEY_SIZE], uint32_t number, unsigned timeout_ms,
	struct lane **ret, struct error *err)
{
	uint64_t deadline = clock_ms() + MIN(timeout_ms, (unsigned)INT_MAX);
	uint32_t wire = htobe32(number);
	union address a;
	socklen_t n;
	struct lane *l;
	int fd, r;

	if (parse_address(address, port, &a, &n) < 0) {
		error_set(err, -EINVAL, "connect to %s port %u", address, port);
		(void)error_why(err, "it is not a numeric address and port");
		return -EINVAL;
	}
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, -errno, "make a socket");
	r = lane_new_tls(fd, false, key, &l);
	if (r < 0)
		return error_set(err, r, "make a lane");
	r = connect_tcp(l, &a, n, deadline);
	if (r == 0)
		r = shake_hands(l, deadline);
	if (r == 0)
		r = seal(l, (uint8_t *)&wire, sizeof(wire), false);
	if (r < 0) {
		l->failed = true;
		lane_free(l);
		error_set(err, r, "connect to %s port %u", address, port);
		(void)explain_connect(err, r);
		return r;
	}
	atomic_store(&l->bytes, 0);
	*ret = l;
	return 0;
}

/* Accepting. */

/* A listening socket on a port (0: any), or negative errno. */
static int listen_on(int family, unsigned port)
{
	union address a = {.any.sa_family = (sa_family_t)family};
	CLEANUP_CLOSE int fd = -1;

	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (family == AF_INET6) {
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
		a.v6.sin6_port = htons((uint16_t)port);
	} else {
		a.v4.sin_port = htons((uint16_t)port);
	}
	if (bind(fd, &a.any, family == AF_INET6 ? sizeof(a.v6) : sizeof(a.v4)) <
			0 ||
		listen(fd, MAX_PENDING) < 0)
		return -errno;
	return STEAL_FD(fd);
}

static int listen_in_range(unsigned low, unsigned high)
{
	int fd = -EADDRINUSE;

	for (unsigned port = low; port <= high; port++) {
		fd = listen_on(AF_INET6, port);
		/* A kernel may have IPv6 switched off. */
		if (fd < 0 && fd != -EADDRINUSE && fd != -EACCES)
			fd = listen_on(AF_INET, port);
		if (fd != -EADDRINUSE && fd != -EACCES)
			break;
	}
	return fd;
}

int lane_listen(unsigned low, unsigned high, const uint8_t key[LANE_KEY_SIZE],
	struct lane_listener **ret, struct error *err)
{
	struct lane_listener *ll;
	union address a = {.any.sa_family = AF_UNSPEC};
	socklen_t n = sizeof(a);

	if (low > high || high > 65535 || (low == 0 && high != 0)) {
		error_set(err, -EINVAL, "listen on ports %u to %u", low, high);
		(void)error_why(err, "that is no range of ports");
		return -EINVAL;
	}
	ll = calloc(1, sizeof(*ll));
	if (!ll)
		return error_set(err, -ENOMEM, "listen for lanes");
	memcpy(ll->key, key, sizeof(ll->key));
	ll->fd = listen_in_range(low, high);
	if (ll->fd < 0) {
		int r = ll->fd;

		lane_listener_free(ll);
		error_set(err, r, "listen on ports %u to %u", low, high);
		if (r == -EADDRINUSE || r == -EACCES)
			(void)error_todo(err, "name other ports: --lane-port");
		return r;
	}
	if (getsockname(ll->fd, &a.any, &n) < 0) {
		int r = -errno;

		lane_listener_free(ll);
		return error_set(err, r, "listen for lanes");
	}
	ll->port = ntohs(
		a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
	*ret = ll;
	return 0;
}

unsigned lane_listener_port(const struct lane_listener *ll)
{
	return ll->port;
}

void lane_listener_shutdown(struct lane_listener *ll)
{
	atomic_store(&ll->stopped, true);
	(void)shutdown(ll->fd, SHUT_RDWR);
}

static void drop_pending(struct lane_listener *ll, unsigned i)
{
	struct lane *l = ll->pending[i].lane;

	l->failed = true; /* nothing to say to it */
	lane_free(l);
	ll->n--;
	memmove(&ll->pending[i], &ll->pending[i + 1],
		(ll->n - i) * sizeof(ll->pending[0]));
}

void lane_listener_free(struct lane_listener *ll)
{
	if (!ll)
		return;
	while (ll->n > 0)
		drop_pending(ll, ll->n - 1);
	if (ll->fd >= 0)
		(void)close(ll->fd);
	explicit_bzero(ll->key, sizeof(ll->key));
	free(ll);
}

/* Takes the connections that wait. 0 or negative errno. */
static int take_connections(struct lane_listener *ll)
{
	for (unsigned i = 0; i < MAX_PENDING; i++) {
		int fd = accept4(ll->fd, NULL, NULL, SOCK_CLOEXEC);
		struct lane *l;
		int r;

		if (fd < 0 && errno == EAGAIN)
			return 0;
		if (fd < 0 && (errno == EBADF || errno == EINVAL ||
				      errno == EMFILE || errno == ENFILE))
			return -errno;
		if (fd < 0)
			continue; /* that connection's own error */
		r = lane_new_tls(fd, true, ll->key, &l);
		if (r < 0)
			return r;
		if (ll->n == MAX_PENDING) {
			drop_pending(ll, 0);
			ll->dropped++;
		}
		ll->pending[ll->n++] = (struct pending){
			.lane = l, .since = clock_ms(), .events = POLLIN};
	}
	return 0;
}

/* Takes a handshake as far as it goes. 0 done, LANE_TLS_WANT_*, or negative
 * errno. */
static int step_pending(struct pending *p)
{
	uint8_t *to = (uint8_t *)&p->number;
	int r;

	if (!p->secure) {
		r = lane_tls_handshake(p->lane->tls);
		if (r != 0)
			return r;
		p->secure = true;
	}
	while (p->n < sizeof(p->number)) {
		size_t done;

		r = lane_tls_read(p->lane->tls, to + p->n,
			sizeof(p->number) - p->n, &done);
		if (r != 0)
			return r;
		p->n += done;
	}
	return 0;
}

/* Returns the index of a handshake that is done, or -1. */
static int step_all(struct lane_listener *ll)
{
	for (unsigned i = 0; i < ll->n;) {
		struct pending *p = &ll->pending[i];
		int r = step_pending(p);

		if (r == 0)
			return (int)i;
		p->events = r == LANE_TLS_WANT_WRITE ? POLLOUT : POLLIN;
		if (r < 0 || clock_ms() - p->since >= HANDSHAKE_MS) {
			drop_pending(ll, i);
			ll->dropped++;
		} else {
			i++;
		}
	}
	return -1;
}

/* Waits for any event or the end of the oldest handshake's time. */
static int wait_pending(struct lane_listener *ll, uint64_t deadline)
{
	struct pollfd p[MAX_PENDING + 1];
	uint64_t now = clock_ms();

	if (now >= deadline)
		return -ETIMEDOUT;
	p[ll->n] = (struct pollfd){.fd = ll->fd, .events = POLLIN};
	for (unsigned i = 0; i < ll->n; i++)
		p[i] = (struct pollfd){.fd = ll->pending[i].lane->fd,
			.events = ll->pending[i].events};
	if (ll->n > 0)
		deadline = MIN(deadline,
			MAX(ll->pending[0].since + HANDSHAKE_MS, now));
	if (poll(p, ll->n + 1, (int)(deadline - now)) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

int lane_accept(struct lane_listener *ll, unsigned timeout_ms,
	struct lane **ret, uint32_t *ret_number, struct error *err)
{
	uint64_t deadline = clock_ms() + MIN(timeout_ms, (unsigned)INT_MAX);
	int i, r;

	for (;;) {
		r = atomic_load(&ll->stopped) ? -ECANCELED
					      : take_connections(ll);
		if (r < 0)
			break;
		i = step_all(ll);
		if (i >= 0) {
			struct pending p = ll->pending[i];

			ll->n--;
			memmove(&ll->pending[i], &ll->pending[i + 1],
				(ll->n - (unsigned)i) * sizeof(p));
			*ret = p.lane;
			*ret_number = be32toh(p.number);
			return 0;
		}
		r = wait_pending(ll, deadline);
		if (r < 0)
			break;
	}
	if (atomic_load(&ll->stopped))
		r = -ECANCELED;
	error_set(err, r, "accept a lane on port %u", ll->port);
	if (r == -ETIMEDOUT && ll->dropped + ll->n > 0)
		(void)error_why(err,
			"%u connections came and none knew the move's key",
			ll->dropped + ll->n);
	else if (r == -ETIMEDOUT)
		(void)error_why(err, "no connection came");
	return r;
}
