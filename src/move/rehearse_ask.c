/* SPDX-License-Identifier: Apache-2.0 */
#include "move/rehearse_ask.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "move/probe.h"

#define PATIENCE_MS 5000
#define SILENCE_MS 1000

void asked_stop(struct asked *a)
{
	if (a->pid > 0) {
		(void)kill(a->pid, SIGKILL);
		(void)waitpid(a->pid, NULL, 0);
	}
	if (a->fd >= 0)
		(void)close(a->fd);
	a->pid = 0;
	a->fd = -1;
}

static void ask_http(struct asked *a, unsigned port)
{
	char probe[2048];
	pid_t pid;

	if (probe_at_port(a->probe, port, probe, sizeof(probe)) < 0)
		return;
	pid = io_fork();
	if (pid == 0) {
		(void)close_range(3, ~0U, 0);
		_exit(probe_once(probe, "127.0.0.1", PATIENCE_MS) == 0 ? 0 : 1);
	}
	a->pid = MAX(pid, 0);
}

static void ask_tcp(struct asked *a, unsigned port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	a->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->fd >= 0 &&
		connect(a->fd, (const struct sockaddr *)&to, sizeof(to)) < 0 &&
		errno != EINPROGRESS)
		asked_stop(a);
}

/* QEMU takes a connection before the machine does, and ends it when that does
 * not. 1: answered. */
static int look_tcp(struct asked *a, struct throwaway *t, struct error *err)
{
	char c;
	ssize_t n = recv(a->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n > 0)
		return 1;
	if (n == 0 || errno != EAGAIN) {
		asked_stop(a);
		return 0;
	}
	return throwaway_took(t, a->port, err);
}

static int look_http(struct asked *a)
{
	int status;

	if (waitpid(a->pid, &status, WNOHANG) != a->pid)
		return 0;
	a->pid = 0;
	return status == 0;
}

int asked_ask(struct asked *a, struct throwaway *t, struct error *err)
{
	unsigned port = throwaway_port(t, a->port);
	bool http = strncmp(a->probe, "http", 4) == 0;
	int e;

	if (a->pid == 0 && a->fd < 0) {
		a->until = clock_ms() + PATIENCE_MS;
		if (http)
			ask_http(a, port);
		else
			ask_tcp(a, port);
		return 0;
	}
	e = http ? look_http(a) : look_tcp(a, t, err);
	if (e != 0 || clock_ms() > a->until)
		asked_stop(a);
	return e;
}

int asked_is_silent(unsigned port, struct throwaway *t, struct session *s,
	struct error *err)
{
	struct asked a = {.port = port, .fd = -1};
	char why[512];
	int e;

	ask_tcp(&a, throwaway_port(t, port));
	e = session_idle(s, SILENCE_MS, err);
	if (e == 0 && throwaway_is_on(t, why, sizeof(why)) && a.fd >= 0)
		e = look_tcp(&a, t, err);
	asked_stop(&a);
	if (!throwaway_is_on(t, why, sizeof(why)))
		return 1;
	return e < 0 ? e : !e;
}
