/* SPDX-License-Identifier: Apache-2.0 */
/* Block devices: O_DIRECT both ways, BLKZEROOUT (linux/fs.h) for zeros. */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/io.h"
#include "volume/volume.h"

static uint64_t round_up(const struct volume *v, uint64_t n)
{
	return (n + v->alignment - 1) / v->alignment * v->alignment;
}

static int block_read(struct volume *v, void *buf, uint64_t n, uint64_t off)
{
	ssize_t r = io_pread_all(v->fd, buf, round_up(v, n), off);

	if (r < 0)
		return (int)r;
	return (uint64_t)r < n ? -EIO : 0;
}

static int block_write(struct volume *v, void *buf, uint64_t n, uint64_t off)
{
	uint64_t whole = round_up(v, n);

	/* Behind an odd-sized end the target's bytes mean nothing. */
	memset((char *)buf + n, 0, whole - n);
	return io_pwrite_all(v->fd, buf, whole, off);
}

static int block_zero(struct volume *v, uint64_t n, uint64_t off)
{
	uint64_t range[2] = {off, round_up(v, n)};

	return ioctl(v->fd, BLKZEROOUT, range) < 0 ? -errno : 0;
}

static int block_flush(struct volume *v)
{
	return fdatasync(v->fd) < 0 ? -errno : 0;
}

const struct volume_ops volume_block_ops = {
	.read = block_read,
	.write = block_write,
	.zero = block_zero,
	.flush = block_flush,
};
