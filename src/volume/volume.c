/* SPDX-License-Identifier: Apache-2.0 */
#include "volume/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

static void fill(struct volume *v, const struct volume_facts *f, uint64_t size)
{
	memset(v, 0, sizeof(*v));
	v->ops = f->kind == VOLUME_BLOCK ? &volume_block_ops : &volume_file_ops;
	v->fd = -1;
	v->size = size;
	v->alignment = f->logical ? f->logical : 1;
	(void)snprintf(v->path, sizeof(v->path), "%s", f->path);
}

int volume_open_source(
	const struct volume_facts *f, struct volume *ret, struct error *err)
{
	struct volume v;
	int flags = O_RDONLY | O_CLOEXEC;

	fill(&v, f, f->size);
	if (f->kind == VOLUME_BLOCK)
		flags |= O_DIRECT;
#ifdef BREAK_BUFFERED_READS
	flags &= ~O_DIRECT;
#endif
	v.fd = open(f->path, flags);
	if (v.fd < 0)
		return error_set(err, -errno, "open %s", f->path);
	*ret = v;
	return 0;
}

int volume_open_target(const struct volume_facts *f, uint64_t size,
	struct volume *ret, struct error *err)
{
	struct volume v;
	int flags = O_RDWR | O_CLOEXEC;

	fill(&v, f, size);
	if (f->kind == VOLUME_BLOCK)
		flags |= O_DIRECT | O_EXCL;
	v.fd = open(f->path, flags);
	if (v.fd < 0) {
		error_set(err, -errno, "open %s for writing", f->path);
		if (err && err->code == -EBUSY) {
			error_why(err, "something uses it");
			error_todo(err, "free it, or name another target");
		}
		return err ? err->code : -EBUSY;
	}
	/* A writer of an earlier, cut connection must be gone. */
	if (f->kind == VOLUME_FILE && flock(v.fd, LOCK_EX | LOCK_NB) < 0) {
		error_set(err, -EBUSY, "write to %s", f->path);
		error_why(err, "another agent writes to it");
		(void)close(v.fd);
		return -EBUSY;
	}
	if (f->kind == VOLUME_FILE && ftruncate(v.fd, (off_t)size) < 0) {
		error_set(err, -errno, "set the size of %s", f->path);
		(void)close(v.fd);
		return err ? err->code : -EIO;
	}
	*ret = v;
	return 0;
}

int volume_room(const char *path, uint64_t size, struct error *err)
{
	CLEANUP_FREE char *copy = strdup(path);
	struct statvfs fs;

	if (!copy)
		return error_set(err, -ENOMEM, "create %s", path);
	if (statvfs(dirname(copy), &fs) < 0)
		return error_set(err, -errno, "create %s", path);
	if ((uint64_t)fs.f_bavail * fs.f_frsize < size) {
		error_set(err, -ENOSPC, "create %s", path);
		error_why(err, "%llu bytes are needed and %llu are free",
			(unsigned long long)size,
			(unsigned long long)fs.f_bavail * fs.f_frsize);
		return error_todo(err, "free some space, or name another path");
	}
	return 0;
}

int volume_create(const char *path, uint64_t size, struct error *err)
{
	CLEANUP_CLOSE int fd = -1;
	int r = volume_room(path, size, err);

	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(err, -errno, "create %s", path);
	if (ftruncate(fd, (off_t)size) < 0)
		return error_set(err, -errno, "set the size of %s", path);
	r = io_sync_folder(path);
	return r < 0 ? error_set(err, r, "create %s", path) : 0;
}

void volume_close(struct volume *v)
{
	if (v->fd >= 0)
		(void)close(v->fd);
	v->fd = -1;
}
