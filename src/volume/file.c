/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image files. Their page cache is coherent with everybody's, so plain reads
 * and writes are right at any size; zeros become holes (fallocate(2)).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "volume/volume.h"

static int file_read(struct volume *v, void *buf, uint64_t n, uint64_t off)
{
	ssize_t r = io_pread_all(v->fd, buf, n, off);

	if (r < 0)
		return (int)r;
	return (uint64_t)r < n ? -EIO : 0;
}

static int file_write(struct volume *v, void *buf, uint64_t n, uint64_t off)
{
	return io_pwrite_all(v->fd, buf, n, off);
}

static int file_zero(struct volume *v, uint64_t n, uint64_t off)
{
	static const char zeros[65536];

	if (fallocate(v->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		    (off_t)off, (off_t)n) == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return -errno;
	while (n > 0) {
		uint64_t piece = MIN(n, (uint64_t)sizeof(zeros));
		int r = io_pwrite_all(v->fd, zeros, piece, off);

		if (r < 0)
			return r;
		n -= piece;
		off += piece;
	}
	return 0;
}

static int file_flush(struct volume *v)
{
	if (fdatasync(v->fd) < 0)
		return -errno;
	/* What is read next, for a proof, is to come from the disk. */
	(void)posix_fadvise(v->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

const struct volume_ops volume_file_ops = {
	.read = file_read,
	.write = file_write,
	.zero = file_zero,
	.flush = file_flush,
};
