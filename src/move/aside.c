/* SPDX-License-Identifier: Apache-2.0 */
#include "move/aside.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"

#define STEP_MS 5

/* What both processes see. */
struct shared {
	int code;
	struct error err;
	_Alignas(max_align_t) char out[];
};

int aside_pause(struct session *s, unsigned ms, struct error *err)
{
	int r = s ? session_idle(s, ms, err) : 0;

	if (!s || r < 0)
		clock_sleep_ms(ms);
	return r;
}

int aside_wait(pid_t pid, struct session *s, int *ret_status, struct error *err)
{
	for (;;) {
		pid_t done = waitpid(pid, ret_status, WNOHANG);
		int r;

		if (done == pid)
			return 0;
		if (done < 0 && errno != EINTR)
			return error_set(err, -errno, "wait for a process");
		r = aside_pause(s, STEP_MS, err);
		if (r < 0) {
			/* It may have a session of its own. */
			(void)kill(-pid, SIGKILL);
			(void)kill(pid, SIGKILL);
			while (waitpid(pid, ret_status, 0) < 0 &&
				errno == EINTR)
				;
			return r;
		}
	}
}

static int wait_for_work(
	pid_t pid, struct session *s, struct shared *m, struct error *err)
{
	int status = 0, r = aside_wait(pid, s, &status, err);

	if (r < 0)
		return r;
	if (status != 0) {
		error_set(err, -ECHILD, "wait for a process of ours");
		return error_why(err, "it ended with signal %d",
			WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	}
	if (m->code < 0)
		*err = m->err;
	return m->code;
}

int aside_run(const struct aside *a, struct session *s, struct error *err)
{
	size_t size = sizeof(struct shared) + a->n;
	struct shared *m = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;
	int r;

	if (m == MAP_FAILED)
		return error_set(err, -errno, "start a process");
	pid = io_fork();
	if (pid == 0) {
		m->code = a->work(a->arg, m->out, &m->err);
		_exit(0);
	}
	r = pid < 0 ? error_set(err, -errno, "start a process")
		    : wait_for_work(pid, s, m, err);
	if (r >= 0)
		memcpy(a->out, m->out, a->n);
	(void)munmap(m, size);
	return r;
}
