/* SPDX-License-Identifier: Apache-2.0 */
#include "track/hold.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "volume/probe.h"

static int freeze(struct hold *h, const struct mount_info *mount,
	struct maps_shared *s, struct msg_held *ret, struct error *err)
{
	CLEANUP_CLOSE int fd =
		open(mount->point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t t = clock_ms();
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, -errno, "open %s", mount->point);
	if (st.st_dev != makedev(mount->major, mount->minor) &&
		mount->major != 0) {
		error_set(err, -EBUSY, "freeze %s", mount->point);
		return error_why(err, "another filesystem is mounted over it");
	}
	if (syncfs(fd) < 0)
		return error_set(err, -errno, "sync %s", mount->point);
	ret->sync_ms = clock_ms() - t;
	(void)snprintf(s->mount, sizeof(s->mount), "%s", mount->point);
	s->phase = KEEPER_HOLDING;
	t = clock_ms();
	if (ioctl(fd, FIFREEZE, 0) < 0) {
		int e = -errno;

		s->mount[0] = '\0';
		s->phase = KEEPER_QUIESCED;
		error_set(err, e, "freeze %s", mount->point);
		if (e == -EBUSY)
			return error_why(err, "it is frozen already");
		return e;
	}
	ret->freeze_ms = clock_ms() - t;
	h->freeze_fd = STEAL_FD(fd);
	ret->kind = HOLD_FROZEN;
	(void)snprintf(ret->mount, sizeof(ret->mount), "%s", mount->point);
	return 0;
}

static int keep_unmounted(struct hold *h, const struct volume_facts *now,
	struct msg_held *ret, struct error *err)
{
	struct stat st;

	if (now->writers > 0) {
		error_set(err, -EBUSY, "hold %s", now->path);
		error_why(err, "%s still has it open for writing", now->writer);
		return error_todo(err, "stop it in the quiesce hook");
	}
	if (now->kind == VOLUME_FILE) {
		if (stat(now->path, &st) < 0)
			return error_set(err, -errno, "look at %s", now->path);
		h->ctime = st.st_ctim;
	} else {
		h->excl_fd = open(now->path, O_RDWR | O_EXCL | O_CLOEXEC);
		if (h->excl_fd < 0 && errno == EROFS)
			h->excl_fd =
				open(now->path, O_RDONLY | O_EXCL | O_CLOEXEC);
		if (h->excl_fd < 0) {
			error_set(err, -errno, "hold %s", now->path);
			if (errno != EBUSY)
				return err->code;
			error_why(err, "something still uses it (perhaps a "
				       "mount in another namespace)");
			return error_todo(
				err, "stop what uses it in the quiesce hook");
		}
		/* What was written to the raw device may still be in its page
		 * cache: our own open kept the last close from syncing it. */
		if (fsync(h->excl_fd) < 0)
			return error_set(err, -errno, "sync %s", now->path);
	}
	ret->kind = HOLD_UNMOUNTED;
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

/* Buffered writes to the raw device, and to its partitions, which have caches
 * of their own. Not sync(2): it would wait for every other filesystem. */
static void sync_raw(const struct volume_facts *now)
{
	char folder[64], path[512];
	struct dirent *e;
	DIR *d;

	sync_node(now->path);
	(void)snprintf(folder, sizeof(folder), "/sys/dev/block/%u:%u",
		now->major, now->minor);
	d = opendir(folder);
	while (d && (e = readdir(d))) {
		(void)snprintf(path, sizeof(path), "%s/%s/partition", folder,
			e->d_name);
		if (e->d_name[0] == '.' || access(path, F_OK) < 0)
			continue;
		(void)snprintf(path, sizeof(path), "/dev/%s", e->d_name);
		sync_node(path);
	}
	if (d)
		(void)closedir(d);
}

/* One filesystem can be held, not several. */
static int check_mounts(const struct volume_facts *now, struct error *err)
{
	for (uint32_t i = 1; i < now->n_mounts; i++) {
		if (now->mounts[i].major == now->mounts[0].major &&
			now->mounts[i].minor == now->mounts[0].minor)
			continue;
		error_set(err, -EBUSY, "hold %s", now->path);
		return error_why(err,
			"several filesystems on it are mounted, on %s and %s",
			now->mounts[0].point, now->mounts[i].point);
	}
	return 0;
}

int hold_take(struct hold *h, const char *path, struct maps_shared *s,
	struct msg_held *ret, struct error *err)
{
	CLEANUP_FREE struct volume_facts *now = calloc(1, sizeof(*now));
	int r;

	if (!now)
		return error_set(err, -ENOMEM, "hold the source");
	r = probe_use(path, now, err);
	if (r < 0)
		return r;
	if (now->size != s->size) {
		error_set(err, -EINVAL, "hold %s", path);
		return error_why(err, "its size changed since the move began");
	}
	r = check_mounts(now, err);
	if (r < 0)
		return r;
	if (now->kind == VOLUME_BLOCK)
		sync_raw(now);
	if (now->n_mounts > 0)
		r = freeze(h, &now->mounts[0], s, ret, err);
	else
		r = keep_unmounted(h, now, ret, err);
	if (r < 0)
		return r;
	h->written = probe_written(now);
	s->used_holds = 0;
	s->hold = ret->kind;
	return 0;
}

int hold_check(struct hold *h, const struct volume_facts *f,
	const struct maps_shared *s, struct error *err)
{
	struct stat st;

	if (s->hold == HOLD_FROZEN) {
		/* Frozen already is what this must say. */
		if (ioctl(h->freeze_fd, FIFREEZE, 0) == 0) {
			(void)ioctl(h->freeze_fd, FITHAW, 0);
			(void)close(STEAL_FD(h->freeze_fd));
			error_set(err, -EBUSY, "commit");
			return error_why(err, "somebody thawed %s", s->mount);
		}
		if (errno != EBUSY)
			return error_set(err, -errno, "check the freeze");
	} else if (f->kind == VOLUME_FILE) {
		if (stat(f->path, &st) < 0)
			return error_set(err, -errno, "look at %s", f->path);
		if (st.st_ctim.tv_sec != h->ctime.tv_sec ||
			st.st_ctim.tv_nsec != h->ctime.tv_nsec) {
			error_set(err, -EBUSY, "commit");
			return error_why(err, "%s was written", f->path);
		}
	}
	if (!s->tracking && probe_written(f) != h->written) {
		error_set(err, -EBUSY, "commit");
		return error_why(err, "%s was written", f->path);
	}
	return 0;
}

void hold_release(struct hold *h, struct maps_shared *s)
{
	s->used_holds = 0;
	if (h->freeze_fd >= 0) {
		(void)ioctl(h->freeze_fd, FITHAW, 0);
		(void)close(STEAL_FD(h->freeze_fd));
	}
	if (h->excl_fd >= 0)
		(void)close(STEAL_FD(h->excl_fd));
	s->mount[0] = '\0';
	s->hold = HOLD_NONE;
}

void hold_thaw(const char *mount)
{
	CLEANUP_CLOSE int fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		(void)ioctl(fd, FITHAW, 0);
}
