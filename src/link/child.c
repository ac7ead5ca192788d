/* SPDX-License-Identifier: Apache-2.0 */
#include "link/child.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif

/* In the child, between fork and exec, of perhaps several threads: only
 * async-signal-safe calls. */
static void become(int fd, char *const argv[], int socket, int errors)
{
	sigset_t mask;

	/* Out of the way of 0 to 2, which rehost may have been started
	 * without. */
	fd = fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	socket = fcntl(socket, F_DUPFD_CLOEXEC, 3);
	errors = fcntl(errors, F_DUPFD_CLOEXEC, 3);
	if (dup2(socket, 0) < 0 || dup2(socket, 1) < 0 || dup2(errors, 2) < 0)
		return;
	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	/* Blocked besides, because ssh that speaks through a ControlMaster
	 * sets handlers without looking. */
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGINT);
	(void)sigaddset(&mask, SIGHUP);
	(void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
	if (fd >= 0)
		(void)fexecve(fd, argv, environ);
	else
		(void)execvp(argv[0], argv);
}

int child_start(int fd, char *const argv[], struct child *ret)
{
	CLEANUP_CLOSE int ours = -1;
	CLEANUP_CLOSE int theirs = -1;
	CLEANUP_CLOSE int errors = -1;
	CLEANUP_CLOSE int errors_end = -1;
	CLEANUP_CLOSE int status = -1;
	CLEANUP_CLOSE int status_end = -1;
	int p[2], code = 0, r;
	sigset_t all, before;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p) < 0)
		return -errno;
	ours = p[0];
	theirs = p[1];
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	errors = p[0];
	errors_end = p[1];
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	status = fcntl(p[0], F_DUPFD_CLOEXEC, 3);
	status_end = fcntl(p[1], F_DUPFD_CLOEXEC, 3);
	(void)close(p[0]);
	(void)close(p[1]);
	r = status < 0 || status_end < 0 ? -errno : io_set_nonblock(errors, 1);
	if (r < 0)
		return r;
	/* So that no handler of ours runs in the child. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0) {
		become(fd, argv, theirs, errors_end);
		code = errno;
		(void)!write(status_end, &code, sizeof(code));
		_exit(127);
	}
	r = -errno;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (pid < 0)
		return r;
	(void)close(STEAL_FD(status_end));
	/* Ends without a word when exec succeeded. */
	if (io_read_all(status, &code, sizeof(code)) == 0) {
		(void)child_wait(pid, 1000, &r);
		return code > 0 ? -code : -EIO;
	}
	ret->pid = pid;
	ret->socket = STEAL_FD(ours);
	ret->errors = STEAL_FD(errors);
	return 0;
}

bool child_wait(pid_t pid, unsigned ms, int *ret_status)
{
	uint64_t deadline = clock_ms() + ms;

	for (;;) {
		int status = 0;
		pid_t r = waitpid(pid, &status, WNOHANG);

		if (r == pid || (r < 0 && errno != EINTR)) {
			*ret_status = status;
			return true;
		}
		if (clock_ms() >= deadline)
			return false;
		clock_sleep_ms(5);
	}
}

void child_kill(pid_t pid)
{
	int status;

	(void)kill(pid, SIGTERM);
	if (child_wait(pid, 500, &status))
		return;
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

int child_memory_program(const char *name, const void *bytes, size_t n)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	CLEANUP_CLOSE int fd = memfd_create(name, flags | MFD_EXEC);
	int r;

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create(name, flags);
	if (fd < 0)
		return -errno;
	r = io_write_all(fd, bytes, n);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS,
		    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) <
		0)
		return -errno;
	return STEAL_FD(fd);
}
