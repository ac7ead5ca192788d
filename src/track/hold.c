/* SPDX-License-Identifier: Apache-2.0 */
#include "track/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "volume/probe.h"
#include "volume/stack.h"

void hold_init(struct hold *h)
{
	for (unsigned i = 0; i < HELD_MAX; i++)
		h->frozen[i] = -1;
	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		h->disks[i].excl_fd = -1;
}

/* ---- filesystems ---- */

static int open_point(const struct stacked *s, struct error *err)
{
	const char *point = s->mount.point;
	int fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_set(err, -errno, "open %s", point);
	if (stack_is_of(fd, s))
		return fd;
	(void)close(fd);
	error_set(err, -EBUSY, "freeze %s", point);
	error_why(err, "another filesystem is mounted over it");
	return error_todo(err, "mount it somewhere else as well, or unmount "
			       "what covers it");
}

/* Takes note before it is done: who comes after us undoes it. */
static struct msg_held_mount *note(
	struct maps_shared *s, const char *point, enum held_how how)
{
	struct msg_held_mount *held = &s->held[s->n_held];

	(void)snprintf(held->point, sizeof(held->point), "%s", point);
	held->how = (uint8_t)how;
	s->n_held++;
	return held;
}

/* A remount sets all flags of the mount anew. */
static unsigned long flags_of(const char *point)
{
	static const struct {
		unsigned long st, ms;
	} both[] = {{ST_NOSUID, MS_NOSUID}, {ST_NODEV, MS_NODEV},
		{ST_NOEXEC, MS_NOEXEC}, {ST_SYNCHRONOUS, MS_SYNCHRONOUS},
		{ST_NOATIME, MS_NOATIME}, {ST_NODIRATIME, MS_NODIRATIME},
		{ST_RELATIME, MS_RELATIME}};
	unsigned long flags = MS_REMOUNT;
	struct statvfs st;

	if (statvfs(point, &st) == 0)
		for (size_t i = 0; i < ARRAY_LEN(both); i++)
			if (st.f_flag & both[i].st)
				flags |= both[i].ms;
	return flags;
}

static int make_readonly(
	const char *point, struct maps_shared *s, struct error *err)
{
	(void)note(s, point, HELD_READONLY);
	if (mount(NULL, point, NULL, flags_of(point) | MS_RDONLY, NULL) == 0)
		return 0;
	s->n_held--;
	/* It is synced, and the commit is refused when it is written. */
	if (errno == EBUSY)
		return 0;
	return error_set(err, -errno, "make %s read-only", point);
}

static int freeze(struct hold *h, int fd, const char *point,
	struct maps_shared *s, struct error *err)
{
	uint32_t at = s->n_held;

	(void)note(s, point, HELD_FROZEN);
	if (ioctl(fd, FIFREEZE, 0) < 0) {
		int e = -errno;

		s->n_held--;
		if (e == -EOPNOTSUPP || e == -ENOTTY)
			return make_readonly(point, s, err);
		error_set(err, e, "freeze %s", point);
		if (e == -EBUSY)
			return error_why(err, "it is frozen already");
		return e;
	}
	h->frozen[at] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return h->frozen[at] < 0 ? error_set(err, -errno, "freeze %s", point)
				 : 0;
}

/* What is not frozen any more is free. */
static int thaw(int fd, const char *point, struct error *err)
{
	return ioctl(fd, FITHAW, 0) == 0 || errno == EINVAL
		       ? 0
		       : error_set(err, -errno, "thaw %s", point);
}

static int make_writable(const char *point, struct error *err)
{
	CLEANUP_FREE struct mount_info *now = calloc(1, sizeof(*now));
	int r = mount(NULL, point, NULL, flags_of(point), NULL) < 0 ? -errno
								    : 0;

	/* It is not mounted any more; in another system not even its folder is
	 * there. */
	if (r == -ENOENT)
		return 0;
	if (r < 0 && now && probe_mount_of(point, now, err) == 0 &&
		strcmp(now->point, point) != 0)
		return 0;
	return r < 0 ? error_set(err, r, "make %s writable", point) : 0;
}

/* fd: -1 when it was frozen by a process that is no more. */
static int undo_one(
	const struct msg_held_mount *held, int fd, struct error *err)
{
	const char *point = held->point;
	CLEANUP_CLOSE int own = -1;

	if (held->how == HELD_READONLY)
		return make_writable(point, err);
	if (fd >= 0)
		return thaw(fd, point, err);
	own = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (own < 0)
		return errno == ENOENT
			       ? 0
			       : error_set(err, -errno, "thaw %s", point);
	return thaw(own, point, err);
}

/* The root was the last to be frozen, and goes first. What fails stays noted,
 * for another try. */
static int undo_all(struct hold *h, struct maps_shared *s, struct error *err)
{
	bool failed[HELD_MAX];
	struct error later;
	uint32_t kept = 0;
	int r = 0;

	for (uint32_t i = s->n_held; i-- > 0;) {
		int e = undo_one(&s->held[i], h ? h->frozen[i] : -1,
			r < 0 ? &later : err);

		failed[i] = e < 0;
		r = r < 0 ? r : e;
	}
	for (uint32_t i = 0; i < s->n_held; i++) {
		int fd = h ? STEAL_FD(h->frozen[i]) : -1;

		if (!failed[i]) {
			if (fd >= 0)
				(void)close(fd);
			continue;
		}
		if (h)
			h->frozen[kept] = fd;
		s->held[kept++] = s->held[i];
	}
	s->n_held = kept;
	return r;
}

/* All are synced before the first one is frozen. */
static int freeze_all(struct hold *h, const struct stack *stack,
	struct maps_shared *s, struct msg_held *ret, struct error *err)
{
	int fds[HELD_MAX], r = 0;
	uint64_t t = clock_ms();
	size_t n = 0;

	/* Some may be noted still that could not be let go. */
	if (stack->n > HELD_MAX - s->n_held) {
		error_set(err, -E2BIG, "freeze %zu filesystems", stack->n);
		error_why(err, "that is more than %d", HELD_MAX);
		return error_todo(err, "unmount some in the quiesce hook");
	}
	for (; n < stack->n && r == 0; n++) {
		const struct mount_info *m = &stack->v[n].mount;

		/* Nothing is written to it in any way. */
		fds[n] = -1;
		if (m->super_readonly)
			continue;
		r = fds[n] = open_point(&stack->v[n], err);
		if (r < 0)
			continue;
		r = syncfs(fds[n]) < 0
			    ? error_set(err, -errno, "sync %s", m->point)
			    : 0;
	}
	ret->sync_ms = clock_ms() - t;
	t = clock_ms();
	s->phase = KEEPER_HOLDING;
	for (size_t i = 0; i < n && r == 0; i++)
		if (fds[i] >= 0)
			r = freeze(h, fds[i], stack->v[i].mount.point, s, err);
	ret->freeze_ms = clock_ms() - t;
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	ret->n_mounts = s->n_held;
	memcpy(ret->mounts, s->held, s->n_held * sizeof(s->held[0]));
	ret->kind = HOLD_FROZEN;
	return r;
}

/* ---- what is not mounted ---- */

static int keep_unmounted(struct hold *h, uint32_t i,
	const struct volume_facts *now, struct error *err)
{
	struct stat st;
	int fd;

	if (now->writers > 0) {
		error_set(err, -EBUSY, "hold %s", now->path);
		error_why(err, "%s still has it open for writing", now->writer);
		return error_todo(err, "stop it in the quiesce hook");
	}
	if (now->kind == VOLUME_FILE) {
		if (stat(now->path, &st) < 0)
			return error_set(err, -errno, "look at %s", now->path);
		h->disks[i].ctime = st.st_ctim;
		return 0;
	}
	fd = open(now->path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (fd < 0 && errno == EROFS)
		fd = open(now->path, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (fd < 0) {
		error_set(err, -errno, "hold %s", now->path);
		if (errno != EBUSY)
			return err->code;
		error_why(err, "something still uses it (perhaps a mount in "
			       "another namespace)");
		return error_todo(err, "stop what uses it in the quiesce hook");
	}
	h->disks[i].excl_fd = fd;
	/* What was written to the raw device may still be in its page cache:
	 * our own open kept the last close from syncing it. */
	if (fsync(fd) < 0)
		return error_set(err, -errno, "sync %s", now->path);
	return 0;
}

static void sync_node(const char *path)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	/* What fails here fails in the reads and proofs that follow. */
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISBLK(st.st_mode))
		(void)fsync(fd);
}

/* ---- what lies on them ---- */

static bool is_mounted(const struct stack *s, dev_t dev)
{
	for (size_t i = 0; i < s->n; i++)
		if (makedev(s->v[i].mount.dev_major, s->v[i].mount.dev_minor) ==
			dev)
			return true;
	return false;
}

struct walk {
	const struct stack *mounted;
	bool machine;
	struct error *err;
	dev_t dev; /* swap is asked whether it is this one */
};

static int is_swap(void *arg, const char *path, bool file, dev_t device)
{
	const struct walk *w = arg;

	return !file && device == w->dev;
}

/* Buffered writes to a raw device are in a cache of its own. Not sync(2): it
 * would wait for every other filesystem. What has nothing on it that is known,
 * and is held by something nevertheless, cannot be held still. */
static int visit(void *arg, const char *name, dev_t dev, bool leaf)
{
	struct walk *w = arg;
	char path[300];
	int fd;

	(void)snprintf(path, sizeof(path), "/dev/%s", name);
	sync_node(path);
	w->dev = dev;
	if (!w->machine || !leaf || is_mounted(w->mounted, dev) ||
		stack_swaps(is_swap, w) != 0)
		return 0;
	fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (fd >= 0)
		(void)close(fd);
	if (fd >= 0 || errno != EBUSY)
		return 0;
	error_set(w->err, -EBUSY, "hold %s", path);
	error_why(w->err, "something that cannot be frozen uses it (a mount in "
			  "another namespace, a virtual machine, DRBD, ZFS)");
	return error_todo(w->err, "stop it in the quiesce hook, or leave the "
				  "disk out of the plan");
}

static int sync_devices(const struct maps_shared *s, const struct stack *stack,
	bool machine, struct error *err)
{
	struct walk w = {.mounted = stack, .machine = machine, .err = err};
	dev_t disks[VOLUMES_MAX];
	size_t n = 0;
	int r;

	for (uint32_t i = 0; i < s->n_disks; i++)
		if (s->disks[i].kind == VOLUME_BLOCK)
			disks[n++] =
				makedev(s->disks[i].major, s->disks[i].minor);
	r = n > 0 ? stack_each(disks, n, visit, &w) : 0;
	return r < 0 && r != -EBUSY
		       ? error_set(err, r, "see what lies on the disks")
		       : r;
}

/* ---- both ---- */

static int hold_unmounted(struct hold *h, struct maps_shared *s,
	struct msg_held *ret, struct error *err)
{
	CLEANUP_FREE struct volume_facts *now = calloc(1, sizeof(*now));
	int r = now ? 0 : error_set(err, -ENOMEM, "hold the source");

	for (uint32_t i = 0; i < s->n_disks && r == 0; i++) {
		r = probe_use(s->disks[i].path, now, err);
		if (r == 0)
			r = keep_unmounted(h, i, now, err);
	}
	ret->kind = HOLD_UNMOUNTED;
	return r;
}

/* Only a descriptor asks the right device, whatever the name leads to. */
static int check_size(const struct maps_disk *disk, struct error *err)
{
	CLEANUP_CLOSE int fd = open(disk->path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint64_t size = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, -errno, "hold %s", disk->path);
	if (S_ISREG(st.st_mode))
		size = (uint64_t)st.st_size;
	else if (ioctl(fd, BLKGETSIZE64, &size) < 0)
		return error_set(err, -errno, "hold %s", disk->path);
	if (size == disk->size)
		return 0;
	error_set(err, -EINVAL, "hold %s", disk->path);
	return error_why(err, "its size changed since the move began");
}

/* The filesystems on the volumes. Of an image file they are those that its
 * users mounted from it. */
static int find_filesystems(const struct maps_shared *s, bool machine,
	struct stack *ret, struct error *err)
{
	CLEANUP_FREE struct volume_facts *now = NULL;
	dev_t disks[VOLUMES_MAX];
	int r = 0;

	for (uint32_t i = 0; i < s->n_disks; i++)
		disks[i] = makedev(s->disks[i].major, s->disks[i].minor);
	if (s->disks[0].kind == VOLUME_BLOCK)
		r = stack_find(disks, s->n_disks, ret, err);
	if (machine || r < 0 || ret->n > 0)
		return r;
	now = calloc(1, sizeof(*now));
	ret->v = calloc(1, sizeof(*ret->v));
	if (!now || !ret->v)
		return error_set(err, -ENOMEM, "hold the source");
	r = probe_use(s->disks[0].path, now, err);
	if (r == 0 && now->n_mounts > 0) {
		ret->v[0].mount = now->mounts[0];
		ret->n = 1;
	}
	return r;
}

int hold_sync(const struct maps_shared *s, struct error *err)
{
	CLEANUP(stack_done) struct stack stack = {0};
	int r = find_filesystems(s, true, &stack, err);

	for (size_t i = 0; i < stack.n && r == 0; i++) {
		const char *point = stack.v[i].mount.point;
		CLEANUP_CLOSE int fd =
			open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0 && syncfs(fd) < 0)
			r = error_set(err, -errno, "sync %s", point);
	}
	return r;
}

int hold_take(struct hold *h, bool machine, struct maps_shared *s,
	struct msg_held *ret, struct error *err)
{
	CLEANUP(stack_done) struct stack stack = {0};
	int r = 0;

	for (uint32_t i = 0; i < s->n_disks && r == 0; i++)
		r = check_size(&s->disks[i], err);
	if (r == 0)
		r = find_filesystems(s, machine, &stack, err);
	if (r == 0)
		r = sync_devices(s, &stack, machine, err);
	if (r == 0)
		r = stack.n > 0 ? freeze_all(h, &stack, s, ret, err)
				: hold_unmounted(h, s, ret, err);
	if (r < 0) {
		struct error undone;
		int e = hold_release(h, s, &undone);

		/* That something stays frozen is the worse news. */
		if (e < 0) {
			*err = undone;
			r = e;
		}
		if (s->phase == KEEPER_HOLDING)
			s->phase = KEEPER_QUIESCED;
		return r;
	}
	for (uint32_t i = 0; i < s->n_disks; i++)
		h->disks[i].written = probe_written(
			s->disks[i].kind, s->disks[i].major, s->disks[i].minor);
	s->used_holds = 0;
	s->hold = ret->kind;
	return 0;
}

static int check_frozen(
	struct hold *h, const struct maps_shared *s, struct error *err)
{
	for (uint32_t i = 0; i < s->n_held; i++) {
		if (s->held[i].how != HELD_FROZEN)
			continue;
		/* Frozen already is what this must say. */
		if (ioctl(h->frozen[i], FIFREEZE, 0) == 0) {
			(void)ioctl(h->frozen[i], FITHAW, 0);
			error_set(err, -EBUSY, "commit");
			return error_why(
				err, "somebody thawed %s", s->held[i].point);
		}
		if (errno != EBUSY)
			return error_set(err, -errno, "check the freeze");
	}
	return 0;
}

static int was_written(const struct maps_disk *disk, struct error *err)
{
	error_set(err, -EBUSY, "commit");
	return error_why(err, "%s was written", disk->path);
}

int hold_check(struct hold *h, const struct maps_shared *s, struct error *err)
{
	struct stat st;
	int r = s->hold == HOLD_FROZEN ? check_frozen(h, s, err) : 0;

	for (uint32_t i = 0; i < s->n_disks && r == 0; i++) {
		const struct maps_disk *d = &s->disks[i];
		const struct timespec *t = &h->disks[i].ctime;

		if (s->hold == HOLD_UNMOUNTED && d->kind == VOLUME_FILE) {
			if (stat(d->path, &st) < 0)
				return error_set(
					err, -errno, "look at %s", d->path);
			if (st.st_ctim.tv_sec != t->tv_sec ||
				st.st_ctim.tv_nsec != t->tv_nsec)
				return was_written(d, err);
		}
		if (!s->tracking && probe_written(d->kind, d->major,
					    d->minor) != h->disks[i].written)
			r = was_written(d, err);
	}
	return r;
}

int hold_release(struct hold *h, struct maps_shared *s, struct error *err)
{
	int r;

	s->used_holds = 0;
	r = undo_all(h, s, err);
	for (uint32_t i = 0; i < s->n_disks; i++)
		if (h->disks[i].excl_fd >= 0)
			(void)close(STEAL_FD(h->disks[i].excl_fd));
	s->hold = HOLD_NONE;
	return r;
}

int hold_release_dead(struct maps_shared *s, struct error *err)
{
	return undo_all(NULL, s, err);
}

int hold_release_one(const struct msg_held_mount *held, struct error *err)
{
	return undo_one(held, -1, err);
}

int hold_thaw_all(const struct maps_shared *s, bool machine, struct error *err)
{
	CLEANUP(stack_done) struct stack stack = {0};
	struct error later;
	int r = find_filesystems(s, machine, &stack, err);

	for (size_t i = stack.n; i-- > 0;) {
		CLEANUP_CLOSE int fd = open_point(&stack.v[i], &later);
		int e = fd < 0 ? 0
			       : thaw(fd, stack.v[i].mount.point,
					 r < 0 ? &later : err);

		/* It could not be frozen either. */
		if (e == -EOPNOTSUPP || e == -ENOTTY)
			continue;
		r = r < 0 ? r : e;
	}
	return r;
}
