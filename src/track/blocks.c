/* SPDX-License-Identifier: Apache-2.0 */
#include "track/blocks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

int blocks_write(const char *path, uint64_t size, const struct msg_block *v,
	uint32_t n, bool zero, struct error *err)
{
	CLEANUP_CLOSE int fd = -1;
	void *buf;
	int r = 0;

	if (n == 0)
		return 0;
	fd = open(path, O_WRONLY | O_DIRECT | O_SYNC | O_CLOEXEC);
	if (fd < 0)
		return error_set(err, -errno, "open %s for writing", path);
	if (posix_memalign(&buf, SIGNATURE_BLOCK, SIGNATURE_BLOCK) != 0)
		return error_set(err, -ENOMEM, "write to %s", path);
	for (uint32_t i = 0; i < n && r == 0; i++) {
		if (v[i].offset > size || v[i].n > size - v[i].offset ||
			v[i].n > SIGNATURE_BLOCK) {
			r = error_set(err, -ERANGE, "write to %s", path);
			break;
		}
		memset(buf, 0, SIGNATURE_BLOCK);
		if (!zero)
			memcpy(buf, v[i].data, v[i].n);
		r = io_pwrite_all(fd, buf, v[i].n, v[i].offset);
		if (r < 0)
			r = error_set(err, r, "write to %s at %llu", path,
				(unsigned long long)v[i].offset);
	}
	free(buf);
	return r;
}

int blocks_read(const char *path, uint64_t size, const struct msg_commit *what,
	struct msg_block *ret, struct error *err)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	void *buf;
	int r = 0;

	if (fd < 0)
		return error_set(err, -errno, "open %s", path);
	if (posix_memalign(&buf, SIGNATURE_BLOCK, SIGNATURE_BLOCK) != 0)
		return error_set(err, -ENOMEM, "read %s", path);
	for (uint32_t i = 0; i < what->n && r == 0; i++) {
		struct msg_block *b = &ret[i];
		ssize_t got;

		b->offset = what->v[i].offset;
		b->n = (uint32_t)what->v[i].bytes;
		if (what->v[i].bytes > SIGNATURE_BLOCK || b->offset > size ||
			b->n > size - b->offset) {
			r = error_set(err, -ERANGE, "read %s", path);
			break;
		}
		got = io_pread_all(fd, buf, b->n, b->offset);
		if (got != (ssize_t)b->n)
			r = error_set(err, got < 0 ? (int)got : -EIO, "read %s",
				path);
		else
			memcpy(b->data, buf, b->n);
	}
	free(buf);
	return r;
}

int blocks_put_back(const char *path, uint64_t size, const struct msg_block *b,
	struct error *err)
{
	static const uint8_t zeros[SIGNATURE_BLOCK];
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	CLEANUP_FREE void *buf = NULL;
	ssize_t n;

	if (fd < 0)
		return error_set(err, -errno, "open %s", path);
	if (posix_memalign(&buf, SIGNATURE_BLOCK, SIGNATURE_BLOCK) != 0)
		return error_set(err, -ENOMEM, "read %s", path);
	n = b->n <= SIGNATURE_BLOCK && b->offset <= size
		    ? io_pread_all(fd, buf, b->n, b->offset)
		    : -ERANGE;
	if (n != (ssize_t)b->n)
		return error_set(err, n < 0 ? (int)n : -EIO, "read %s", path);
	if (memcmp(buf, zeros, b->n) != 0)
		return 0;
	return blocks_write(path, size, b, 1, false, err);
}
