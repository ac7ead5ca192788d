/* SPDX-License-Identifier: Apache-2.0 */
#include "track/blocks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "volume/signatures.h"

/* The volume that the block lies in, open; *ret_at is where in it. */
static int open_disk(const struct maps_shared *s, uint64_t offset, uint32_t n,
	int flags, uint64_t *ret_at, struct error *err)
{
	for (uint32_t i = 0; i < s->n_disks; i++) {
		const struct maps_disk *d = &s->disks[i];
		int fd;

		if (offset < d->start || offset - d->start > d->size ||
			n > d->size - (offset - d->start) ||
			n > SIGNATURE_BLOCK)
			continue;
		*ret_at = offset - d->start;
		fd = open(d->path, flags | O_DIRECT | O_CLOEXEC);
		return fd < 0 ? error_set(err, -errno, "open %s%s", d->path,
					flags & O_WRONLY ? " for writing" : "")
			      : fd;
	}
	return error_set(err, -ERANGE, "reach a block at %llu",
		(unsigned long long)offset);
}

static int new_buffer(void **ret, struct error *err)
{
	if (posix_memalign(ret, SIGNATURE_BLOCK, SIGNATURE_BLOCK) == 0)
		return 0;
	*ret = NULL;
	return error_set(err, -ENOMEM, "keep a block");
}

static int write_one(const struct maps_shared *s, const struct msg_block *b,
	bool zero, void *buf, struct error *err)
{
	CLEANUP_CLOSE int fd = -1;
	uint64_t at;
	int r;

	fd = open_disk(s, b->offset, b->n, O_WRONLY | O_SYNC, &at, err);
	if (fd < 0)
		return fd;
	memset(buf, 0, SIGNATURE_BLOCK);
	if (!zero)
		memcpy(buf, b->data, b->n);
	r = io_pwrite_all(fd, buf, b->n, at);
	return r < 0 ? error_set(err, r, "write a block at %llu",
			       (unsigned long long)b->offset)
		     : 0;
}

static int read_one(const struct maps_shared *s, uint64_t offset, uint32_t n,
	void *buf, struct error *err)
{
	CLEANUP_CLOSE int fd = -1;
	uint64_t at;
	ssize_t got;

	fd = open_disk(s, offset, n, O_RDONLY, &at, err);
	if (fd < 0)
		return fd;
	got = io_pread_all(fd, buf, n, at);
	if (got == (ssize_t)n)
		return 0;
	return error_set(err, got < 0 ? (int)got : -EIO, "read a block at %llu",
		(unsigned long long)offset);
}

int blocks_write(const struct maps_shared *s, const struct msg_block *v,
	uint32_t n, bool zero, struct error *err)
{
	CLEANUP_FREE void *buf = NULL;
	int r = n > 0 ? new_buffer(&buf, err) : 0;

	for (uint32_t i = 0; i < n && r == 0; i++)
		r = write_one(s, &v[i], zero, buf, err);
	return r;
}

int blocks_read(const struct maps_shared *s, const struct msg_commit *what,
	struct msg_block *ret, struct error *err)
{
	CLEANUP_FREE void *buf = NULL;
	int r = new_buffer(&buf, err);

	for (uint32_t i = 0; i < what->n && r == 0; i++) {
		struct msg_block *b = &ret[i];

		if (what->v[i].bytes > SIGNATURE_BLOCK)
			return error_set(err, -ERANGE, "read a block");
		b->offset = what->v[i].offset;
		b->n = (uint32_t)what->v[i].bytes;
		r = read_one(s, b->offset, b->n, buf, err);
		if (r == 0)
			memcpy(b->data, buf, b->n);
	}
	return r;
}

int blocks_put_back(const struct maps_shared *s, const struct msg_block *b,
	struct error *err)
{
	CLEANUP_FREE void *buf = NULL;
	int r = new_buffer(&buf, err);

	if (r == 0)
		r = read_one(s, b->offset, b->n, buf, err);
	if (r < 0 || !signature_is_removed(buf, b->data, b->n))
		return r;
	return blocks_write(s, b, 1, false, err);
}
