/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that are kept running. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "rescue/init.h"

#define QUICK_MS 10000 /* what ends sooner counts as a failure */
#define WAIT_MS 1000
#define LONGEST_WAIT_MS 30000

/* In the child. What it says goes to the kernel's log, which has an end. */
static void become(const struct service *s)
{
	char *argv[SERVICE_ARGS + 2];
	int in = open("/dev/null", O_RDWR | O_CLOEXEC);
	int out = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	sigset_t none;
	int n = 0;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setsid();
	if (out < 0)
		out = in;
	if (in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	argv[n++] = (char *)s->name;
	for (int i = 0; i < SERVICE_ARGS && s->args[i]; i++)
		argv[n++] = s->args[i];
	argv[n] = NULL;
	(void)execv(s->path, argv);
	_exit(127);
}

void service_step(struct service *s)
{
	uint64_t now = clock_ms();

	if (s->pid > 0 || now < s->next)
		return;
	s->pid = fork();
	if (s->pid == 0)
		become(s);
	s->started = now;
	s->next = now + WAIT_MS;
	if (s->pid < 0) {
		init_say("cannot start %s: %s", s->name, strerror(errno));
		s->pid = 0;
	}
}

bool service_ended(struct service *s, pid_t pid, int status)
{
	uint64_t now = clock_ms(), wait = WAIT_MS;

	if (s->pid <= 0 || s->pid != pid)
		return false;
	s->pid = 0;
	s->failures = now - s->started < QUICK_MS ? s->failures + 1 : 0;
	for (uint32_t i = 1; i < s->failures && wait < LONGEST_WAIT_MS; i++)
		wait *= 2;
	s->next = now + wait;
	/* Once is enough, while it does not change. */
	if (s->failures > 1 && status == s->status)
		return true;
	s->status = status;
	if (WIFEXITED(status))
		init_say("%s ended with status %d%s", s->name,
			WEXITSTATUS(status),
			WEXITSTATUS(status) == 127 ? " (it cannot be run)"
						   : "");
	else
		init_say(
			"%s was ended by signal %d", s->name, WTERMSIG(status));
	return true;
}
