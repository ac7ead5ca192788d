/* SPDX-License-Identifier: Apache-2.0 */
/* What a probe asks by HTTP, and what it takes for an answer. */
#include "unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "move/probe.h"

#define WAIT_MS 20000

/* Answers one request on the loopback: 200 when it has the text, else 400.
 * Returns its port. */
static unsigned serve(bool six, const char *text, pid_t *ret_pid)
{
	struct sockaddr_in6 six_at = {
		.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in four_at = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *at = six ? (void *)&six_at : (void *)&four_at;
	socklen_t n = six ? sizeof(six_at) : sizeof(four_at);
	int fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, at, n), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, at, &n), 0);
	*ret_pid = fork();
	assert_true(*ret_pid >= 0);
	if (*ret_pid == 0) {
		int c = accept(fd, NULL, NULL);
		char got[2048];
		ssize_t k = read(c, got, sizeof(got) - 1);
		const char *say;

		got[k > 0 ? k : 0] = '\0';
		say = strstr(got, text) ? "HTTP/1.0 200 OK\r\n\r\n"
					: "HTTP/1.0 400 Bad Request\r\n\r\n";
		_exit(write(c, say, strlen(say)) < 0);
	}
	(void)close(fd);
	return ntohs(six ? six_at.sin6_port : four_at.sin_port);
}

static int ask(const char *host, const char *name, const char *wants)
{
	char probe[128];
	pid_t pid;
	int r, status;

	(void)snprintf(probe, sizeof(probe), "http://%s:%u/x", name,
		serve(strchr(host, ':'), wants, &pid));
	r = probe_once(probe, host, WAIT_MS);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return r;
}

static void test_host(void **state)
{
	assert_int_equal(ask("127.0.0.1", "", "\r\nHost: 127.0.0.1\r\n"), 0);
	assert_int_equal(ask("::1", "", "\r\nHost: [::1]\r\n"), 0);
	assert_int_equal(
		ask("::1", "web.example", "\r\nHost: web.example\r\n"), 0);
	assert_int_equal(ask("127.0.0.1", "", "nobody says this"), -EREMOTEIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
