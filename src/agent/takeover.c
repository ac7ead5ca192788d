/* SPDX-License-Identifier: Apache-2.0 */
/* This machine becomes a target in memory: a kernel is loaded by
 * kexec_file_load(2), and once the controller says so the system is brought
 * down and that kernel started. Nothing changes before. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include "agent/agent.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/parse.h"
#include "rescue/program.h"
#include "rescue/taken.h"

/* How long the system's own way down may take, until it is cut short. */
#define DOWN_MS 180000
#define TERM_MS 15000
#define KILL_MS 2000
#define SYNC_MS 20000
#define READONLY_MS 2000
#define ANSWER_MS 500 /* for the answer to get away */
#define SOCKETS_MAX (16U << 20)

/* ---- loading ---- */

static long load_file(int kernel, int archive, const char *cmdline, long flags)
{
	return syscall(SYS_kexec_file_load, kernel, archive,
		cmdline ? strlen(cmdline) + 1 : 0, cmdline, flags);
}

static int explain(int code, struct error *err)
{
	error_set(err, code, "load a kernel by kexec");
	switch (code) {
	case -ENOSYS:
		(void)error_why(err, "its kernel has no kexec_file_load(2)");
		break;
	case -EPERM:
		(void)error_why(err,
			"its kernel does not allow it: it is locked down, "
			"kexec is off until its next boot, or this is a "
			"container");
		break;
	case -EKEYREJECTED:
	case -ENOKEY:
	case -ENODATA:
	case -EBADMSG:
		(void)error_why(err,
			"it takes kernels signed for it alone, and the one "
			"that is installed is not");
		break;
	case -ENOMEM:
	case -EADDRNOTAVAIL:
		(void)error_why(err, "it has too little free memory");
		return error_todo(err, "stop what uses much of it there");
	default:
		break;
	}
	return error_todo(err, "boot the rescue system there in another way: "
			       "rehost-rescue(7)");
}

/* Is it the source of a move? Its keeper's socket says so (track/keeper.h), and
 * its fence would end with this system. */
static bool has_keeper(void)
{
	CLEANUP_FREE char *sockets = NULL;

	return io_slurp("/proc/net/unix", SOCKETS_MAX, &sockets, NULL) == 0 &&
	       strstr(sockets, " @rehost/");
}

/* So that it is refused before anything is made for it. Where it is allowed, a
 * descriptor that is none is what is wrong. */
static int check(const struct agent *a, struct error *err)
{
	char loaded[4];

	if (has_keeper()) {
		error_set(err, -EBUSY, "load a kernel by kexec");
		error_why(err, "it is the source of a move that is not "
			       "finished");
		return error_todo(err, "confirm, roll back or abort that move "
				       "first");
	}
	/* Loading would replace it, and unloading leave none. */
	if (!a->loaded &&
		io_read_file(AT_FDCWD, "/sys/kernel/kexec_loaded", loaded,
			sizeof(loaded)) > 0 &&
		loaded[0] == '1') {
		error_set(err, -EBUSY, "load a kernel by kexec");
		error_why(err, "somebody has loaded one already");
		return error_todo(err, "start it, or unload it there: "
				       "kexec -u");
	}
	if (load_file(-1, -1, NULL, KEXEC_FILE_NO_INITRAMFS) == 0 ||
		errno == EBADF)
		return 0;
	return explain(-errno, err);
}

int takeover_archive(struct agent *a, const struct frame *f, struct error *err)
{
	static struct msg_archive m;

	if (frame_decode(f, &m) < 0)
		return error_set(err, -EPROTO, "understand a request");
	if (m.offset == 0) {
		free(a->archive);
		a->archive_n = 0;
		a->archive_total = MIN(m.total, (uint64_t)ARCHIVE_MAX);
		a->archive = malloc(a->archive_total + 1);
		if (!a->archive)
			return error_set(err, -ENOMEM, "take the archive");
	}
	if (!a->archive || m.offset != a->archive_n ||
		m.total != a->archive_total ||
		m.n > a->archive_total - a->archive_n)
		return error_set(err, -EPROTO, "take the archive");
	memcpy(a->archive + a->archive_n, m.data, m.n);
	a->archive_n += m.n;
	agent_answer(a, MSG_OK, f->id, NULL);
	return 0;
}

static int unpack(struct agent *a, uint64_t size, char **ret, struct error *err)
{
	CLEANUP_FREE char *out = NULL;
	size_t n;

	if (!a->archive || a->archive_n != a->archive_total || size == 0 ||
		size > ARCHIVE_MAX)
		return error_set(err, -EPROTO, "unpack the archive");
	out = malloc(size);
	if (!out)
		return error_set(err, -ENOMEM, "unpack the archive");
	n = ZSTD_decompress(out, size, a->archive, a->archive_n);
	free(a->archive);
	a->archive = NULL;
	if (ZSTD_isError(n) || n != size)
		return error_set(err, -EBADMSG, "unpack the archive");
	*ret = STEAL_PTR(out);
	return 0;
}

/* Both archives in a file in memory, which the kernel takes only when nobody
 * can write to it. */
static int make_file(const char *first, size_t first_n, const struct taken *t,
	int *ret_fd, struct error *err)
{
	CLEANUP_CLOSE int fd = memfd_create("rescue", MFD_CLOEXEC);
	char path[64];
	int r = fd < 0 ? -errno : io_write_all(fd, first, first_n);

	if (r == 0)
		r = io_write_all(fd, t->archive, t->archive_n);
	if (r < 0)
		return error_set(err, r, "keep the archive in memory");
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0
		       ? error_set(err, -errno, "keep the archive in memory")
		       : 0;
}

/* With sudo it is the user who called it. */
static const char *login_user(void)
{
	const char *user = getenv("SUDO_USER");

	return user && user[0] && strlen(user) < 256 ? user : "root";
}

static int load(struct agent *a, const struct msg_load *m, struct taken *t,
	uint64_t *ret_bytes, struct error *err)
{
	CLEANUP_FREE char *first = NULL;
	CLEANUP_FREE char *keys = NULL;
	CLEANUP_FREE char *offered = NULL;
	CLEANUP_CLOSE int archive = -1;
	struct taken_options o = {.root = "", .user = login_user()};
	struct utsname u;
	int r = check(a, err);

	if (r == 0)
		r = unpack(a, m->unpacked, &first, err);
	if (r < 0)
		return r;
	keys = strndup((const char *)m->keys, m->n_keys);
	offered = strndup((const char *)m->offered, m->n_offered);
	if (!keys || !offered || uname(&u) < 0)
		return error_set(err, -ENOMEM, "load a kernel by kexec");
	o.running = u.release;
	o.keys = keys;
	o.offered = offered;
	r = taken_make(&o, t, err);
	if (r < 0)
		return r;
	*ret_bytes = m->unpacked + t->archive_n;
	r = make_file(first, m->unpacked, t, &archive, err);
	explicit_bzero(t->archive, t->archive_n);
	free(t->archive);
	t->archive = NULL;
	if (r == 0 && load_file(t->kernel_fd, archive, m->cmdline, 0) < 0)
		r = explain(-errno, err);
	(void)close(t->kernel_fd);
	return r;
}

int takeover_load(struct agent *a, const struct frame *f, struct error *err)
{
	static struct msg_load m;
	static struct msg_loaded answer;
	struct taken t;
	int r;

	if (frame_decode(f, &m) < 0)
		return error_set(err, -EPROTO, "understand a request");
	r = load(a, &m, &t, &answer.bytes, err);
	if (r < 0)
		return r;
	a->loaded = true;
	(void)snprintf(answer.version, sizeof(answer.version), "%s", t.version);
	(void)snprintf(answer.kernel, sizeof(answer.kernel), "%s", t.kernel);
	(void)snprintf(answer.user, sizeof(answer.user), "%s", login_user());
	answer.modules = t.modules;
	answer.host_keys = t.host_keys;
	answer.logins = t.logins;
	answer.logins_left = t.logins_left;
	answer.known = t.known;
	agent_answer(a, MSG_LOADED, f->id, &answer);
	return 0;
}

void takeover_end(struct agent *a)
{
	if (a->loaded)
		(void)load_file(-1, -1, NULL, KEXEC_FILE_UNLOAD);
	a->loaded = false;
}

int takeover_unload(struct agent *a, const struct frame *f, struct error *err)
{
	if (a->loaded && load_file(-1, -1, NULL, KEXEC_FILE_UNLOAD) < 0)
		return error_set(err, -errno, "unload the kernel");
	a->loaded = false;
	agent_answer(a, MSG_OK, f->id, NULL);
	return 0;
}

/* ---- going down ---- */

/* Out of the session and of its group, which end when the system goes down. */
static void hide(void)
{
	static const char *const groups[] = {"/sys/fs/cgroup/cgroup.procs",
		"/sys/fs/cgroup/systemd/cgroup.procs",
		"/sys/fs/cgroup/unified/cgroup.procs"};
	int fd;

	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		(void)!io_write_file(AT_FDCWD, groups[i], "0");
	/* systemd's last kill spares those whose argv[0] begins so (its
	 * "ROOT_STORAGE_DAEMONS"). The stack has it where the kernel put it. */
	if (program_invocation_name && program_invocation_name[0])
		program_invocation_name[0] = '@';
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3; i++)
		(void)dup2(fd, i);
	(void)close_range(3, ~0U, 0);
	(void)chdir("/");
}

static bool by_systemd(uint64_t end)
{
	char path[PROGRAM_PATH];
	int status = 0;
	pid_t pid, r = 0;

	if (access("/run/systemd/system", F_OK) < 0 ||
		program_find("systemctl", path) < 0)
		return false;
	pid = fork();
	if (pid == 0) {
		(void)signal(SIGPIPE, SIG_DFL);
		/* It starts what is loaded already. */
		(void)execl(path, "systemctl", "--ignore-inhibitors", "kexec",
			(char *)NULL);
		_exit(127);
	}
	/* It may hang with what it asks. */
	while (pid > 0 && (r = waitpid(pid, &status, WNOHANG)) == 0 &&
		clock_ms() < end)
		clock_sleep_ms(100);
	if (pid > 0 && r == 0)
		(void)kill(pid, SIGKILL);
	return pid > 0 && r == pid && status == 0;
}

/* A child does it, because it may hang. */
static void sync_for(unsigned ms)
{
	uint64_t end = clock_ms() + ms;
	pid_t pid = fork();

	if (pid == 0) {
		sync();
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, WNOHANG) == 0 && clock_ms() < end)
		clock_sleep_ms(20);
}

/* Whether there is a process but for 1 and this: one with a program, which
 * threads of the kernel do not have. */
static bool others(void)
{
	DIR *d = opendir("/proc");
	bool found = false;
	struct dirent *e;

	while (d && !found && (e = readdir(d))) {
		char path[300], name[2];
		uint64_t pid;

		(void)snprintf(path, sizeof(path), "/proc/%s/exe", e->d_name);
		found = parse_u64(e->d_name, &pid) == 0 && pid > 1 &&
			pid != (uint64_t)getpid() &&
			readlink(path, name, sizeof(name)) > 0;
	}
	if (d)
		(void)closedir(d);
	return found;
}

static void by_force(void)
{
	uint64_t end = clock_ms() + TERM_MS;

	(void)kill(-1, SIGTERM);
	while (others() && clock_ms() < end)
		clock_sleep_ms(100);
	(void)kill(-1, SIGKILL);
	clock_sleep_ms(KILL_MS);
	sync_for(SYNC_MS);
	/* Mounts everything read-only, without asking. */
	(void)!io_write_file(AT_FDCWD, "/proc/sysrq-trigger", "s");
	(void)!io_write_file(AT_FDCWD, "/proc/sysrq-trigger", "u");
	clock_sleep_ms(READONLY_MS);
	(void)syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
		LINUX_REBOOT_CMD_KEXEC, NULL);
	/* The old system comes back. */
	(void)syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
		LINUX_REBOOT_CMD_RESTART, NULL);
}

static void __attribute__((noreturn)) go_down(void)
{
	uint64_t end = clock_ms() + DOWN_MS;
	pid_t pid;

	(void)setsid();
	pid = fork();
	if (pid != 0)
		_exit(pid < 0);
	(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	(void)signal(SIGTERM, SIG_IGN);
	hide();
	clock_sleep_ms(ANSWER_MS);
	if (by_systemd(end))
		while (clock_ms() < end)
			clock_sleep_ms(200);
	by_force();
	_exit(1);
}

int takeover_kexec(struct agent *a, const struct frame *f, struct error *err)
{
	int status = 0;
	pid_t pid;

	if (!a->loaded)
		return error_set(
			err, -EPROTO, "start a kernel: none is loaded");
	pid = fork();
	if (pid < 0)
		return error_set(err, -errno, "start a process");
	if (pid == 0)
		go_down();
	if (waitpid(pid, &status, 0) != pid || status != 0)
		return error_set(err, -EAGAIN, "start a process");
	/* From now on it stays. */
	a->loaded = false;
	agent_answer(a, MSG_OK, f->id, NULL);
	return 0;
}
