/* SPDX-License-Identifier: Apache-2.0 */
/* A target that keeps nothing: what comes is taken and thrown away. */
#include <stdio.h>
#include <string.h>

#include "volume/volume.h"

static int sink_read(struct volume *v, void *buf, uint64_t n, uint64_t off)
{
	memset(buf, 0, n);
	return 0;
}

static int sink_write(struct volume *v, void *buf, uint64_t n, uint64_t off)
{
	return 0;
}

static int sink_zero(struct volume *v, uint64_t n, uint64_t off)
{
	return 0;
}

static int sink_flush(struct volume *v)
{
	return 0;
}

static const struct volume_ops sink_ops = {
	.read = sink_read,
	.write = sink_write,
	.zero = sink_zero,
	.flush = sink_flush,
};

void volume_open_sink(uint64_t size, struct volume *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->ops = &sink_ops;
	ret->fd = -1;
	ret->size = size;
	ret->alignment = 512;
	(void)snprintf(ret->path, sizeof(ret->path), "nothing");
}
