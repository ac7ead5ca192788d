/* SPDX-License-Identifier: Apache-2.0 */
#include "move/probe.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/parse.h"

#define PAUSE_MS 50
#define PATIENCE_MS 1000
#define TARGET_PATIENCE_MS 3000
#define HOST 256

/* In memory that both share. */
struct shared {
	_Atomic bool turned;
	char host[HOST];
	_Atomic uint64_t last, first;
};

struct prober {
	pid_t pid;
	struct shared *shared;
};

/* ---- one question ---- */

struct question {
	bool http;
	char name[HOST], port[8], path[1024];
};

/* plan_is_probe has let it pass, or nobody has. */
static int parse(const char *probe, struct question *q)
{
	const char *at = probe, *end, *colon;
	size_t n;

	memset(q, 0, sizeof(*q));
	if (strncmp(probe, "tcp:", 4) == 0) {
		n = strlen(probe + 4);
		if (n == 0 || n >= sizeof(q->port))
			return -EINVAL;
		memcpy(q->port, probe + 4, n);
		return 0;
	}
	if (strncmp(probe, "http://", 7) != 0)
		return -EINVAL;
	q->http = true;
	at = probe + 7;
	end = at + strcspn(at, "/");
	colon = memchr(at, ':', (size_t)(end - at));
	n = (size_t)((colon ? colon : end) - at);
	if (n >= sizeof(q->name))
		return -EINVAL;
	memcpy(q->name, at, n);
	(void)snprintf(q->path, sizeof(q->path), "%s", *end ? end : "/");
	(void)snprintf(q->port, sizeof(q->port), "80");
	if (colon)
		(void)snprintf(q->port, sizeof(q->port), "%.*s",
			(int)(end - colon - 1), colon + 1);
	return 0;
}

uint16_t probe_port(const char *probe)
{
	struct question q;
	uint64_t v;

	return parse(probe, &q) == 0 && parse_u64(q.port, &v) == 0 &&
			       v <= UINT16_MAX
		       ? (uint16_t)v
		       : 0;
}

int probe_at_port(const char *probe, unsigned port, char *buf, size_t size)
{
	struct question q;
	int n = parse(probe, &q);

	if (n < 0)
		return n;
	if (q.http)
		n = snprintf(buf, size, "http://%s:%u%s", q.name, port, q.path);
	else
		n = snprintf(buf, size, "tcp:%u", port);
	return n < 0 || (size_t)n >= size ? -E2BIG : 0;
}

static int wait_for(int fd, short events, uint64_t until)
{
	struct pollfd p = {.fd = fd, .events = events};
	uint64_t now = clock_ms();
	int error = 0;
	socklen_t n = sizeof(error);

	if (now >= until || poll(&p, 1, (int)(until - now)) <= 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
		return -errno;
	return -error;
}

static int connect_to(const struct addrinfo *a, uint64_t until)
{
	int fd = socket(
		a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = connect(fd, a->ai_addr, a->ai_addrlen) < 0 ? -errno : 0;
	if (r == -EINPROGRESS)
		r = wait_for(fd, POLLOUT, until);
	if (r == 0)
		return fd;
	(void)close(fd);
	return r;
}

/* Success is what HTTP calls so, or a redirection. */
static int ask_http(
	int fd, const struct question *q, const char *host, uint64_t until)
{
	char text[2048], answer[16];
	size_t have = 0;
	const char *name = q->name[0] ? q->name : host;
	bool six = strchr(name, ':');
	int r, n;

	/* RFC 3986, 3.2.2; a zone is only of use here. */
	n = snprintf(text, sizeof(text),
		"GET %s HTTP/1.0\r\nHost: %s%.*s%s\r\nUser-Agent: rehost\r\n"
		"Connection: close\r\n\r\n",
		q->path, six ? "[" : "", (int)strcspn(name, "%"), name,
		six ? "]" : "");
	if (n < 0 || (size_t)n >= sizeof(text))
		return -EINVAL;
	/* So little always fits into an empty socket. */
	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		return -EIO;
	while (have < 12) {
		ssize_t got;

		r = wait_for(fd, POLLIN, until);
		if (r < 0)
			return r;
		got = recv(fd, answer + have, 12 - have, 0);
		if (got <= 0)
			return got < 0 ? -errno : -ECONNRESET;
		have += (size_t)got;
	}
	if (memcmp(answer, "HTTP/1.", 7) != 0)
		return -EPROTO;
	return answer[9] == '2' || answer[9] == '3' ? 0 : -EREMOTEIO;
}

int probe_once(const char *probe, const char *host, unsigned timeout_ms)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	uint64_t until = clock_ms() + timeout_ms;
	struct question q;
	int r = parse(probe, &q);

	if (r < 0)
		return r;
	if (getaddrinfo(host, q.port, &hints, &list) != 0)
		return -EHOSTUNREACH;
	r = -EHOSTUNREACH;
	for (struct addrinfo *a = list; a && r < 0; a = a->ai_next) {
		int fd = connect_to(a, until);

		r = fd < 0 ? fd : q.http ? ask_http(fd, &q, host, until) : 0;
		if (fd >= 0)
			(void)close(fd);
	}
	freeaddrinfo(list);
	return r;
}

/* ---- again and again ---- */

static void child(
	struct shared *p, const struct hook_list *probes, const char *source)
{
	char target[HOST];

	while (!p->turned) {
		uint64_t asked = clock_ms();

		/* What it had answered by then counts. */
		if (probe_once(probes->v[0], source, PATIENCE_MS) == 0)
			p->last = MAX(asked, (uint64_t)1);
		clock_sleep_ms(PAUSE_MS);
	}
	memcpy(target, p->host, sizeof(target));
	while (p->first == 0) {
		uint32_t i = 0;

		while (i < probes->n && probe_once(probes->v[i], target,
						TARGET_PATIENCE_MS) == 0)
			i++;
		if (i == probes->n)
			p->first = clock_ms();
		clock_sleep_ms(PAUSE_MS);
	}
}

int prober_start(
	const struct hook_list *probes, const char *source, struct prober **ret)
{
	CLEANUP_FREE struct prober *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	if (probes->n == 0)
		return -EINVAL;
	p->shared = mmap(NULL, sizeof(*p->shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p->shared == MAP_FAILED)
		return -errno;
	p->pid = io_fork();
	if (p->pid < 0) {
		int e = -errno;

		(void)munmap(p->shared, sizeof(*p->shared));
		return e;
	}
	if (p->pid == 0) {
		(void)close_range(3, ~0U, 0);
		(void)signal(SIGINT, SIG_IGN);
		(void)signal(SIGTERM, SIG_DFL);
		child(p->shared, probes, source);
		_exit(0);
	}
	*ret = STEAL_PTR(p);
	return 0;
}

void prober_turn(struct prober *p, const char *target)
{
	(void)snprintf(p->shared->host, sizeof(p->shared->host), "%s", target);
	p->shared->turned = true;
}

uint64_t prober_last(const struct prober *p)
{
	return p->shared->last;
}

uint64_t prober_first(const struct prober *p)
{
	return p->shared->first;
}

void prober_end(struct prober *p)
{
	if (!p)
		return;
	(void)kill(p->pid, SIGKILL);
	(void)waitpid(p->pid, NULL, 0);
	(void)munmap(p->shared, sizeof(*p->shared));
	free(p);
}
