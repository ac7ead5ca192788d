/* SPDX-License-Identifier: Apache-2.0 */
#include "fixup/chroot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/text.h"

/* What could not be done before the program began. */
enum step { STEP_NAMESPACE, STEP_ROOT, STEP_MOUNT, STEP_FORK, STEP_EXEC };

static const char *const steps[] = {"make a mount namespace for it",
	"change the root folder", "mount what it needs", "start a process",
	"start it"};

struct failure {
	int step, code;
};

/* Shared by the processes between us and the program. Only system calls are
 * made there: other threads of ours may have held locks. */
struct child {
	const struct chroot_job *job;
	int null, out, failed;
};

struct run {
	pid_t pid;
	int out, failed;
	char *text;
	size_t n, size, max;
	int status;
	bool late, oom;
};

/* ---- between us and the program ---- */

static _Noreturn void fail(const struct child *c, enum step step, int code)
{
	struct failure f = {.step = (int)step, .code = code};

	/* Less than what a pipe takes at once. */
	(void)!write(c->failed, &f, sizeof(f));
	_exit(127);
}

static void make_nodes(void)
{
	static const struct {
		const char *path;
		unsigned minor, major;
	} nodes[] = {{"/dev/null", 3, 1}, {"/dev/zero", 5, 1},
		{"/dev/full", 7, 1}, {"/dev/random", 8, 1},
		{"/dev/urandom", 9, 1}, {"/dev/tty", 0, 5}};

	for (size_t i = 0; i < ARRAY_LEN(nodes); i++)
		(void)mknod(nodes[i].path, S_IFCHR | 0666,
			makedev(nodes[i].major, nodes[i].minor));
	(void)mkdir("/dev/shm", 01777);
}

/* What udev or the first program makes in a /dev of the kernel's; scripts of
 * dracut and mkinitcpio need them. */
static void make_links(void)
{
	(void)symlink("/proc/self/fd", "/dev/fd");
	(void)symlink("/proc/self/fd/0", "/dev/stdin");
	(void)symlink("/proc/self/fd/1", "/dev/stdout");
	(void)symlink("/proc/self/fd/2", "/dev/stderr");
}

static int mount_at(const char *type, const char *path, unsigned long flags)
{
	(void)mkdir(path, 0755);
	return mount(type, path, type, flags, NULL) < 0 ? -errno : 0;
}

/* Within the new root. A kernel without sysfs, or a machine that does not let
 * it be mounted, is no reason to give up. */
static int mount_all(const struct chroot_job *job)
{
	int r = mount_at("proc", "/proc", MS_NOSUID | MS_NOEXEC | MS_NODEV);

	if (r < 0)
		return r;
	(void)mount_at(
		"sysfs", "/sys", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY);
	r = mount_at(job->devices ? "devtmpfs" : "tmpfs", "/dev", MS_NOSUID);
	if (r == 0 && !job->devices)
		make_nodes();
	if (r == 0)
		make_links();
	if (r == 0)
		r = mount_at("tmpfs", "/run", MS_NOSUID | MS_NODEV);
	if (r == 0)
		(void)mkdir("/run/lock", 01777);
	return r;
}

static _Noreturn void run_program(const struct child *c)
{
	static char *const env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
		"/sbin:/bin",
		"HOME=/root", "LC_ALL=C", "TERM=dumb", "SHELL=/bin/sh",
		"DEBIAN_FRONTEND=noninteractive", NULL};
	struct sigaction normal = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)sigaction(i, &normal, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)umask(022);
	(void)execve(c->job->argv[0], (char *const *)(const void *)c->job->argv,
		env);
	fail(c, STEP_EXEC, -errno);
}

static int wait_for(pid_t pid)
{
	int status;
	pid_t r;

	/* Orphans of the program are ours as well. */
	while ((r = waitpid(-1, &status, 0)) != pid)
		if (r < 0 && errno != EINTR)
			return 127;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The first process of the process namespace: when it ends, all in it do. */
static _Noreturn void run_first(const struct child *c)
{
	pid_t pid;
	int r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (chroot(c->job->root) < 0 || chdir("/") < 0)
		fail(c, STEP_ROOT, -errno);
	r = mount_all(c->job);
	if (r < 0)
		fail(c, STEP_MOUNT, r);
	pid = fork();
	if (pid < 0)
		fail(c, STEP_FORK, -errno);
	if (pid == 0)
		run_program(c);
	/* Else an early end of the first would not be seen by who reads. */
	(void)close(c->failed);
	_exit(wait_for(pid));
}

static _Noreturn void run_child(const struct child *c)
{
	pid_t pid;

	(void)setsid();
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(c->null, 0) < 0 || dup2(c->out, 1) < 0 || dup2(c->out, 2) < 0)
		fail(c, STEP_FORK, -errno);
	if (unshare(CLONE_NEWNS | CLONE_NEWPID) < 0 && unshare(CLONE_NEWNS) < 0)
		fail(c, STEP_NAMESPACE, -errno);
	/* What is mounted here must not be seen outside. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		fail(c, STEP_NAMESPACE, -errno);
	pid = fork();
	if (pid < 0)
		fail(c, STEP_FORK, -errno);
	if (pid == 0)
		run_first(c);
	(void)close(c->failed);
	_exit(wait_for(pid));
}

/* ---- here ---- */

static int start(const struct chroot_job *job, struct run *run)
{
	struct child c = {.job = job, .null = -1};
	int out[2], failed[2];
	int r = 0;

	c.null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (c.null < 0)
		return -errno;
	if (pipe2(out, O_CLOEXEC) < 0) {
		r = -errno;
		goto close_null;
	}
	if (pipe2(failed, O_CLOEXEC) < 0) {
		r = -errno;
		(void)close(out[0]);
		(void)close(out[1]);
		goto close_null;
	}
	c.out = out[1];
	c.failed = failed[1];
	run->pid = fork();
	if (run->pid == 0)
		run_child(&c);
	if (run->pid < 0)
		r = -errno;
	(void)close(out[1]);
	(void)close(failed[1]);
	run->out = out[0];
	run->failed = failed[0];
	if (r == 0)
		r = io_set_nonblock(run->out, 1);
close_null:
	(void)close(c.null);
	return r;
}

static void keep(struct run *run, const char *text, size_t n)
{
	/* The last part is what explains a failure. */
	if (n > run->max) {
		text += n - run->max;
		n = run->max;
	}
	if (run->n + n > run->max) {
		size_t drop = run->n + n - run->max;

		memmove(run->text, run->text + drop, run->n - drop);
		run->n -= drop;
	}
	if (run->n + n + 1 > run->size) {
		size_t size = MIN(2 * (run->n + n) + 1, run->max + 1);
		char *grown = realloc(run->text, size);

		if (!grown) {
			run->oom = true;
			return;
		}
		run->text = grown;
		run->size = size;
	}
	memcpy(run->text + run->n, text, n);
	run->n += n;
	run->text[run->n] = '\0';
}

static void read_output(struct run *run)
{
	char buf[16384];

	for (int i = 0; i < 32 && run->out >= 0; i++) {
		ssize_t n = read(run->out, buf, sizeof(buf));

		if (n > 0)
			keep(run, buf, (size_t)n);
		else if (n == 0 || (errno != EINTR && errno != EAGAIN))
			(void)close(STEAL_FD(run->out));
		else if (errno == EAGAIN)
			return;
	}
}

static void finish(struct run *run, uint64_t deadline)
{
	pid_t r;

	for (;;) {
		struct pollfd p = {.fd = run->out, .events = POLLIN};

		(void)poll(&p, run->out >= 0, 5);
		read_output(run);
		r = waitpid(run->pid, &run->status, WNOHANG);
		if (r != 0 && !(r < 0 && errno == EINTR))
			break;
		if (clock_ms() < deadline)
			continue;
		/* With the first process of its namespace all others go. */
		run->late = true;
		(void)kill(-run->pid, SIGKILL);
		(void)kill(run->pid, SIGKILL);
		/* One in uninterruptible sleep is not awaited. */
		for (int i = 0; i < 200 && r == 0; i++) {
			clock_sleep_ms(5);
			r = waitpid(run->pid, &run->status, WNOHANG);
		}
		break;
	}
	if (r < 0)
		run->status = 127 << 8;
	read_output(run);
}

/* The last line that says something, for people. */
static void last_line(const struct run *run, char *buf, size_t size)
{
	size_t end = run->n, from;

	buf[0] = '\0';
	while (end > 0 && strchr(" \t\r\n", run->text[end - 1]))
		end--;
	for (from = end; from > 0 && run->text[from - 1] != '\n';)
		from--;
	if (end == from)
		return;
	(void)snprintf(buf, size, ": %.*s", (int)MIN(end - from, size),
		run->text + from);
	text_clean(buf);
}

static int judge(
	const struct run *run, const struct chroot_job *job, struct error *err)
{
	char line[512];
	struct failure f;
	int code = WIFEXITED(run->status) ? WEXITSTATUS(run->status) : -1;

	if (run->late) {
		(void)error_set(err, -ETIMEDOUT, "run %s of the moved system",
			job->argv[0]);
		last_line(run, line, sizeof(line));
		return error_why(err, "it did not end within %llu s%s",
			(unsigned long long)job->timeout_ms / 1000, line);
	}
	if (io_read_all(run->failed, &f, sizeof(f)) == 0 && f.step >= 0 &&
		(size_t)f.step < ARRAY_LEN(steps)) {
		(void)error_set(err, f.code, "run %s of the moved system",
			job->argv[0]);
		return error_why(err, "could not %s: %s", steps[f.step],
			strerror(-f.code));
	}
	if (run->oom)
		return error_set(
			err, -ENOMEM, "read what %s says", job->argv[0]);
	if (code == 0)
		return 0;
	(void)error_set(err, -EIO, "run %s of the moved system", job->argv[0]);
	last_line(run, line, sizeof(line));
	if (code < 0 || code > 128)
		return error_why(err, "it died from signal %d%s",
			code < 0 ? WTERMSIG(run->status) : code - 128, line);
	return error_why(err, "it exited with status %d%s", code, line);
}

int chroot_run(const struct chroot_job *job, char **ret, size_t *ret_n,
	struct error *err)
{
	uint64_t deadline = clock_ms() + job->timeout_ms;
	struct run run = {.out = -1, .failed = -1, .max = job->max};
	int r;

	run.text = calloc(1, 1);
	run.size = 1;
	if (!run.text)
		return error_set(err, -ENOMEM, "run %s", job->argv[0]);
	r = start(job, &run);
	if (r < 0)
		(void)error_set(
			err, r, "run %s of the moved system", job->argv[0]);
	if (run.pid > 0) {
		finish(&run, r < 0 ? 0 : deadline);
		if (r == 0)
			r = judge(&run, job, err);
	}
	if (run.out >= 0)
		(void)close(run.out);
	if (run.failed >= 0)
		(void)close(run.failed);
	if (r == 0 && ret) {
		*ret = STEAL_PTR(run.text);
		if (ret_n)
			*ret_n = run.n;
	}
	free(run.text);
	return r;
}
