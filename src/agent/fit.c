/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The moved system on the target, before it boots: its filesystems are mounted
 * in a mount namespace of a child's own, what it needs for this machine is
 * changed in them, and its kernel is loaded by kexec_file_load(2). The child
 * ends with everything unmounted.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/kexec.h>
#include <linux/openat2.h>
#include <linux/reboot.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/clock.h"
#include "base/io.h"
#include "fixup/fixup.h"
#include "fixup/tree.h"
#include "volume/assemble.h"
#include "volume/mounts.h"

#define TREE "/run/rehost.tree"
#define ANSWER_MS 100 /* for the answer to get away */
#define READONLY_MS 2000

/* What the child tells its parent, in memory that both share. */
struct outcome {
	int code;
	struct error err;
	struct msg_fitted fitted;
};

/* ---- mounting ---- */

static unsigned mounted[FIT_MOUNTS_MAX]; /* how many times, at its point */

static const char *below(const char *point)
{
	return strcmp(point, "/") == 0 ? "" : point + 1;
}

/* The folder of the tree, by a path that has no link in it: a link of the moved
 * system could lead anywhere. */
static int open_folder(const char *point)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	CLEANUP_CLOSE int tree =
		open(TREE, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	const char *path = below(point);
	int fd;

	if (tree < 0)
		return -errno;
	fd = (int)syscall(
		SYS_openat2, tree, path[0] ? path : ".", &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

/* A folder of what is mounted at a point takes its place. */
static int bind_folder(const struct msg_fit_mount *f)
{
	CLEANUP_CLOSE int at = open_folder(f->point), from = -1;
	char path[2048], source[64], target[64];

	if (snprintf(path, sizeof(path), "/%s%s", below(f->point), f->folder) >=
		(int)sizeof(path))
		return -ENAMETOOLONG;
	from = open_folder(path);
	if (at < 0 || from < 0)
		return at < 0 ? at : from;
	(void)snprintf(source, sizeof(source), "/proc/self/fd/%d", from);
	(void)snprintf(target, sizeof(target), "/proc/self/fd/%d", at);
	return mount(source, target, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

/* The device of a mount. A filesystem that is mounted at several points must be
 * on one device each time, or it would be written through two. */
static int find_device(const struct msg_fit *m, uint32_t i, const char **ret,
	struct error *err)
{
	static char devices[FIT_MOUNTS_MAX][64];
	int r;

	*ret = devices[i];
	for (uint32_t k = 0; k < i; k++)
		if (devices[k][0] && memcmp(&m->mounts[k].on, &m->mounts[i].on,
					     sizeof(m->mounts[k].on)) == 0) {
			*ret = devices[k];
			return 0;
		}
	r = assemble(
		m->disks, m->n_disks, &m->mounts[i].on, i, devices[i], err);
	if (r < 0)
		devices[i][0] = '\0';
	return r;
}

static int mount_one(const struct msg_fit *m, uint32_t i, struct error *err)
{
	const struct msg_fit_mount *f = &m->mounts[i];
	unsigned long flags = MS_NOATIME | MS_NOSUID | MS_NODEV;
	CLEANUP_CLOSE int at = -1;
	const char *device;
	char path[64];
	int r;

	if (f->point[0] != '/' || (f->folder[0] && f->folder[0] != '/'))
		return error_set(err, -EPROTO, "mount %s", f->point);
	r = find_device(m, i, &device, err);
	if (r < 0)
		return r;
	at = open_folder(f->point);
	if (at < 0)
		return error_set(err, at, "find %s in the copy", f->point);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", at);
	if (mount(device, path, f->type, flags,
		    f->options[0] ? f->options : NULL) == 0) {
		mounted[i] = 1;
		r = f->folder[0] ? bind_folder(f) : 0;
		mounted[i] += f->folder[0] && r == 0;
		return r < 0 ? error_set(err, r, "find %s of the copy of %s",
				       f->folder, f->point)
			     : 0;
	}
	error_set(err, -errno, "mount the copy of %s", f->point);
	if (err->code == -ENODEV)
		error_why(err, "this kernel does not know %s", f->type);
	return err->code;
}

/* What was read of the disks before they had their contents is not what is
 * there now, and their partitions want to be seen. Files have neither. */
static void see_disks(const struct msg_fit *m)
{
	for (uint32_t i = 0; i < m->n_disks; i++) {
		CLEANUP_CLOSE int fd =
			open(m->disks[i].path, O_RDONLY | O_CLOEXEC);

		(void)ioctl(fd, BLKFLSBUF, 0);
		(void)ioctl(fd, BLKRRPART, 0);
	}
}

static int mount_all(
	const struct msg_fit *m, struct msg_fitted *ret, struct error *err)
{
	size_t n;
	int r = 0;

	if (unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_set(err, -errno, "have mounts of one's own");
	if (mkdir(TREE, 0700) < 0 && errno != EEXIST)
		return error_set(err, -errno, "make " TREE);
	for (uint32_t i = 0; i < m->n_mounts && r == 0; i++) {
		r = mount_one(m, i, err);
		if (r == 0 || mounts_is_needed(m->mounts[i].point))
			continue;
		n = strlen(ret->skipped);
		(void)snprintf(ret->skipped + n, sizeof(ret->skipped) - n,
			"%s%.100s", n ? ", " : "", m->mounts[i].point);
		r = 0;
	}
	return r;
}

/* All that was changed is on the disks when this is 0. */
static int unmount_all(const struct msg_fit *m, struct error *err)
{
	char at[2048];
	int r = 0;

	for (uint32_t i = m->n_mounts; i-- > 0;) {
		(void)snprintf(
			at, sizeof(at), TREE "/%s", below(m->mounts[i].point));
		for (; mounted[i] > 0; mounted[i]--)
			if (umount2(at, UMOUNT_NOFOLLOW) < 0 && r == 0)
				r = error_set(err, -errno, "unmount %s", at);
	}
	return r;
}

/* ---- the kernel ---- */

/* Links of the tree lead inside it. */
static int open_in_tree(const char *path)
{
	struct tree t;
	int r = tree_open(TREE, &t);

	if (r < 0)
		return r;
	r = tree_open_file(&t, path);
	tree_close(&t);
	return r;
}

/* What it says of itself goes with the answer: a reboot does as well. */
static void load_kernel(const struct msg_fit *m, struct msg_fitted *ret)
{
	CLEANUP_CLOSE int kernel = -1;
	CLEANUP_CLOSE int initramfs = -1;
	long flags = m->initramfs[0] ? 0 : KEXEC_FILE_NO_INITRAMFS;

	if (!m->kernel[0]) {
		(void)snprintf(ret->why, sizeof(ret->why),
			"it is not known what the boot loader starts");
		return;
	}
	if (m->secret) {
		(void)snprintf(ret->why, sizeof(ret->why),
			"what its boot loader tells it has a secret, which "
			"rehost does not read");
		return;
	}
	kernel = open_in_tree(m->kernel);
	initramfs = m->initramfs[0] ? open_in_tree(m->initramfs) : -1;
	if (kernel < 0 || (m->initramfs[0] && initramfs < 0)) {
		(void)snprintf(ret->why, sizeof(ret->why), "cannot open %.200s",
			kernel < 0 ? m->kernel : m->initramfs);
		return;
	}
	if (syscall(SYS_kexec_file_load, kernel, initramfs,
		    strlen(m->cmdline) + 1, m->cmdline, flags) < 0)
		(void)snprintf(ret->why, sizeof(ret->why),
			"the kernel does not load it: %s", strerror(errno));
	else
		ret->loaded = 1;
}

/* ---- all of it ---- */

static int fix_up(
	const struct msg_fit *m, struct msg_fitted *ret, struct error *err)
{
	json_t *wish, *report = NULL;
	char *text;
	int r;

	wish = json_loadb(
		(const char *)m->wish, m->n_wish, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(wish)) {
		json_decref(wish);
		return error_set(err, -EPROTO, "understand a request");
	}
	r = fixup_run(TREE, wish, &report, err);
	json_decref(wish);
	if (r < 0)
		return r;
	text = json_dumps(report, JSON_COMPACT);
	json_decref(report);
	if (!text || strlen(text) > sizeof(ret->report)) {
		free(text);
		return error_set(err, -E2BIG, "tell what was changed");
	}
	ret->n_report = (uint32_t)strlen(text);
	memcpy(ret->report, text, ret->n_report);
	free(text);
	return 0;
}

static int fit(
	const struct msg_fit *m, struct msg_fitted *ret, struct error *err)
{
	struct error ignored;
	int r;

	see_disks(m);
	r = mount_all(m, ret, err);

	if (r == 0)
		r = fix_up(m, ret, err);
	if (r == 0)
		load_kernel(m, ret);
	if (r < 0) {
		(void)unmount_all(m, &ignored);
		return r;
	}
	return unmount_all(m, err);
}

int fit_machine(struct agent *a, const struct frame *f, struct error *err)
{
	static struct msg_fit m;
	uint64_t begin = clock_ms();
	struct outcome *o;
	int status = 0, r, undone;
	struct error why;
	pid_t pid;

	if (frame_decode(f, &m) < 0 || m.n_mounts == 0)
		return error_set(err, -EPROTO, "understand a request");
	o = mmap(NULL, sizeof(*o), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (o == MAP_FAILED)
		return error_set(err, -ENOMEM, "fit the moved system");
	/* What a process that was killed left of them. */
	r = assemble_undo(m.n_mounts, err);
	if (r < 0) {
		(void)munmap(o, sizeof(*o));
		return r;
	}
	/* unshare(2) is for a process with one thread. */
	pid = io_fork();
	if (pid == 0) {
		o->code = fit(&m, &o->fitted, &o->err);
		_exit(0);
	}
	if (pid < 0)
		r = error_set(err, -errno, "start a process");
	else if (waitpid(pid, &status, 0) != pid || status != 0)
		r = error_set(err, -ECHILD, "fit the moved system");
	else
		r = o->code;
	if (r < 0 && o->err.code)
		*err = o->err;
	undone = assemble_undo(m.n_mounts, &why);
	if (r == 0 && undone < 0) {
		*err = why;
		r = undone;
	}
	a->loaded = r == 0 && o->fitted.loaded;
	o->fitted.ms = clock_ms() - begin;
	if (r == 0)
		agent_answer(a, MSG_FITTED, f->id, &o->fitted);
	(void)munmap(o, sizeof(*o));
	return r;
}

static const unsigned commands[] = {
	[BOOT_KEXEC] = LINUX_REBOOT_CMD_KEXEC,
	[BOOT_FIRMWARE] = LINUX_REBOOT_CMD_RESTART,
	[BOOT_POWEROFF] = LINUX_REBOOT_CMD_POWER_OFF,
};

/* A rescue system is memory alone and not worth a way down; and a moved system
 * that is stopped for its source to live must not have the time to hang. */
int fit_boot(struct agent *a, const struct frame *f, struct error *err)
{
	struct msg_boot m;
	pid_t pid;

	if (frame_decode(f, &m) < 0 || m.how == 0 ||
		m.how >= ARRAY_LEN(commands))
		return error_set(err, -EPROTO, "understand a request");
	if (m.how == BOOT_KEXEC && !a->loaded)
		return error_set(
			err, -EPROTO, "start a kernel: none is loaded");
	pid = fork();
	if (pid < 0)
		return error_set(err, -errno, "start a process");
	if (pid == 0) {
		clock_sleep_ms(ANSWER_MS);
		/* All synced and mounted read-only, without waiting for what
		 * hangs. */
		if (m.how == BOOT_POWEROFF) {
			(void)!io_write_file(
				AT_FDCWD, "/proc/sysrq-trigger", "s");
			(void)!io_write_file(
				AT_FDCWD, "/proc/sysrq-trigger", "u");
			clock_sleep_ms(READONLY_MS);
		}
		(void)syscall(SYS_reboot, LINUX_REBOOT_MAGIC1,
			LINUX_REBOOT_MAGIC2, commands[m.how], NULL);
		if (m.how == BOOT_KEXEC)
			(void)syscall(SYS_reboot, LINUX_REBOOT_MAGIC1,
				LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART,
				NULL);
		_exit(1);
	}
	a->loaded = false;
	agent_answer(a, MSG_OK, f->id, NULL);
	return 0;
}
