/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"

#define FDS 1024 /* that the caller may have open */

extern char **environ;

static void keep_output(struct hook_run *h, const char *text, size_t n)
{
	/* The last part is what explains a failure. */
	if (n > sizeof(h->output) - 1) {
		text += n - (sizeof(h->output) - 1);
		n = sizeof(h->output) - 1;
	}
	if (h->output_n + n > sizeof(h->output) - 1) {
		size_t drop = h->output_n + n - (sizeof(h->output) - 1);

		memmove(h->output, h->output + drop, h->output_n - drop);
		h->output_n -= (uint32_t)drop;
	}
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == 0x7f || (c < ' ' && c != '\n' && c != '\t'))
			c = '?';
		h->output[h->output_n++] = (char)c;
	}
	h->output[h->output_n] = '\0';
}

static void fail(struct hook_run *h, const char *why)
{
	if (h->failed)
		return;
	h->failed = h->at + 1;
	(void)snprintf(h->why, sizeof(h->why), "%s", why);
}

void hook_begin(struct hook_run *h, const char *const *commands, uint32_t n,
	const struct hook_env *env, uint64_t timeout_ms, bool stop_on_failure)
{
	memset(h, 0, sizeof(*h));
	h->commands = commands;
	h->n = n;
	h->env = *env;
	h->timeout_ms = timeout_ms;
	h->stop_on_failure = stop_on_failure;
	h->out = h->leash = -1;
	h->started = clock_ms();
	h->done = n == 0;
}

/* The environment of a hook; *ret_own are the strings to free. */
static char **make_env(const struct hook_run *h, char *own[4])
{
	const char *path = getenv("PATH");
	size_t n = 0, k = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 5, sizeof(*env));
	if (!env)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], "REHOST_", 7) != 0 &&
			strncmp(environ[i], "PATH=", 5) != 0)
			env[k++] = environ[i];
	if (asprintf(&own[0], "REHOST_NAME=%s", h->env.name) < 0)
		own[0] = NULL;
	if (asprintf(&own[1], "REHOST_PHASE=%s", h->env.phase) < 0)
		own[1] = NULL;
	if (asprintf(&own[2], "REHOST_DEVICE=%s", h->env.device) < 0)
		own[2] = NULL;
	/* What ssh gives often lacks the folders of the system's tools. */
	if (asprintf(&own[3], "PATH=%s:/usr/local/sbin:/usr/sbin:/sbin",
		    path && *path ? path : "/usr/local/bin:/usr/bin:/bin") < 0)
		own[3] = NULL;
	for (int i = 0; i < 4; i++)
		if (own[i])
			env[k++] = own[i];
	return env;
}

/* ---- the hook's group ---- */

/* What follows runs in processes that were forked off one with threads: nothing
 * but what signal-safety(7) allows. */

/* All but 0 to 2. Not close_range(2): Linux 5.9 is newer than some sources. */
static void close_others(void)
{
	for (int i = 3; i < FDS; i++)
		(void)close(i);
}

/* Becomes the hook's shell, the first of its process group. */
static _Noreturn void run_shell(const char *command, char **env, int out)
{
	const char *argv[] = {"sh", "-c", command, NULL};
	int null = open("/dev/null", O_RDONLY), oom;
	sigset_t none;

	(void)setpgid(0, 0);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 ||
		dup2(out, 2) < 0 || chdir("/") < 0)
		_exit(127);
	close_others();
	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* What the keeper has is not for what hooks start; if it cannot be
	 * taken away, others have that disadvantage. */
	oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (oom >= 0 && write(oom, "0", 1) < 0)
		errno = 0;
	(void)execve("/bin/sh", (char *const *)(const void *)argv, env);
	_exit(127);
}

/* A process of the group that ends all of it when the leash is let go: when
 * whoever began the hook is no more. Nothing that the hook sends to its group
 * concerns it, but for SIGKILL, which ends them all. */
static _Noreturn void run_guard(pid_t group, int leash)
{
	ssize_t n;
	char byte;

	(void)setpgid(0, group);
	(void)prctl(PR_SET_NAME, "rehost-hook");
	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_IGN);
	(void)dup2(leash, 0);
	(void)close(1);
	(void)close(2);
	close_others();
	while ((n = read(0, &byte, 1)) < 0 && errno == EINTR)
		;
	(void)kill(-group, SIGKILL);
	_exit(0);
}

static void let_go(struct hook_run *h)
{
	/* First, or it ends what the hook leaves behind. */
	if (h->guard > 0 && kill(h->guard, SIGKILL) == 0)
		while (waitpid(h->guard, NULL, 0) < 0 && errno == EINTR)
			;
	h->guard = 0;
	if (h->leash >= 0)
		(void)close(STEAL_FD(h->leash));
}

static int start_guard(struct hook_run *h)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	h->leash = p[1];
	h->guard = _Fork();
	if (h->guard == 0)
		run_guard(h->pid, p[0]);
	(void)close(p[0]);
	return h->guard < 0 ? -errno : 0;
}

/* Both processes, or neither. */
static int start_group(struct hook_run *h, char **env, int out)
{
	int r;

	h->pid = _Fork();
	if (h->pid == 0)
		run_shell(h->commands[h->at], env, out);
	if (h->pid < 0)
		return -errno;
	/* It does it as well: whoever is first. */
	(void)setpgid(h->pid, h->pid);
	r = start_guard(h);
	if (r == 0)
		return 0;
	(void)kill(-h->pid, SIGKILL);
	(void)waitpid(h->pid, NULL, 0);
	let_go(h);
	return r;
}

static int spawn(struct hook_run *h)
{
	char *own[4] = {NULL};
	char **env = make_env(h, own);
	int p[2], r = env ? 0 : -ENOMEM;

	if (r == 0 && pipe2(p, O_CLOEXEC) < 0)
		r = -errno;
	if (r == 0) {
		/* Its reader must not be able to hold the event loop up. */
		r = io_set_nonblock(p[0], 1);
		if (r == 0)
			r = start_group(h, env, p[1]);
		(void)close(p[1]);
		if (r < 0)
			(void)close(p[0]);
	}
	free(env);
	for (int i = 0; i < 4; i++)
		free(own[i]);
	if (r < 0) {
		h->pid = 0;
		return r;
	}
	h->out = p[0];
	h->deadline = clock_ms() + h->timeout_ms;
	return 0;
}

/* ---- a run ---- */

static void read_output(struct hook_run *h)
{
	char buf[4096];

	/* A pipe holds no more; who never stops talking must not keep us from
	 * looking at the time. */
	for (int i = 0; i < 32 && h->out >= 0; i++) {
		ssize_t n = read(h->out, buf, sizeof(buf));

		if (n > 0)
			keep_output(h, buf, (size_t)n);
		else if (n == 0 || (errno != EINTR && errno != EAGAIN))
			(void)close(STEAL_FD(h->out));
		else if (errno == EAGAIN)
			return;
	}
}

static void next(struct hook_run *h)
{
	h->pid = 0;
	let_go(h);
	if (h->out >= 0)
		(void)close(STEAL_FD(h->out));
	h->at++;
	if (h->at == h->n || (h->failed && h->stop_on_failure)) {
		h->done = true;
		h->ms = clock_ms() - h->started;
	}
}

bool hook_step(struct hook_run *h)
{
	char why[128];
	int status;
	pid_t r;

	while (!h->done) {
		if (!h->pid) {
			int e = spawn(h);

			if (e < 0) {
				(void)snprintf(why, sizeof(why),
					"it could not be started: %s",
					strerror(-e));
				fail(h, why);
				next(h);
				continue;
			}
		}
		read_output(h);
		r = waitpid(h->pid, &status, WNOHANG);
		if (r == 0 && clock_ms() < h->deadline)
			return false;
		if (r == 0) {
			(void)kill(-h->pid, SIGKILL);
			(void)snprintf(why, sizeof(why),
				"it did not end within %llu s",
				(unsigned long long)h->timeout_ms / 1000);
			fail(h, why);
			/* A process in uninterruptible sleep is not awaited. */
			for (int i = 0; i < 100 &&
					waitpid(h->pid, &status, WNOHANG) == 0;
				i++)
				clock_sleep_ms(5);
		} else if (r < 0) {
			fail(h, "its status was lost");
		} else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			(void)snprintf(why, sizeof(why),
				WIFEXITED(status) ? "it exited with status %d"
						  : "it died from signal %d",
				WIFEXITED(status) ? WEXITSTATUS(status)
						  : WTERMSIG(status));
			fail(h, why);
		}
		read_output(h);
		next(h);
	}
	return true;
}

void hook_finish(struct hook_run *h)
{
	while (!hook_step(h)) {
		struct pollfd p = {.fd = h->out, .events = POLLIN};

		/* Its end is no event on the pipe when others hold it. */
		(void)poll(&p, h->out >= 0, 5);
	}
}

void hook_kill(struct hook_run *h, const char *why)
{
	int status;

	if (h->done)
		return;
	fail(h, why);
	if (h->pid) {
		(void)kill(-h->pid, SIGKILL);
		for (int i = 0;
			i < 100 && waitpid(h->pid, &status, WNOHANG) == 0; i++)
			clock_sleep_ms(5);
		h->pid = 0;
	}
	let_go(h);
	read_output(h);
	if (h->out >= 0)
		(void)close(STEAL_FD(h->out));
	h->done = true;
	h->ms = clock_ms() - h->started;
}
