/* SPDX-License-Identifier: Apache-2.0 */
#include "volume/joined.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

static int joined_read(struct volume *v, void *buf, uint64_t n, uint64_t off)
{
	/* The volume is the first in the struct. */
	struct joined *j = (struct joined *)(void *)v;
	uint8_t *to = buf;

	for (uint32_t i = 0; i < j->n && n > 0; i++) {
		struct volume *one = &j->v[i].volume;
		uint64_t end = i + 1 < j->n ? j->v[i + 1].start : v->size;
		uint64_t at, piece, have;
		int r;

		if (off >= end)
			continue;
		at = off - j->v[i].start;
		piece = MIN(n, end - off);
		have = at < one->size ? MIN(piece, one->size - at) : 0;
		r = have ? one->ops->read(one, to, have, at) : 0;
		if (r < 0)
			return r;
		memset(to + have, 0, piece - have);
		to += piece;
		off += piece;
		n -= piece;
	}
	return n > 0 ? -EIO : 0;
}

static int refuse_write(struct volume *v, void *buf, uint64_t n, uint64_t off)
{
	return -EROFS;
}

static int refuse_zero(struct volume *v, uint64_t n, uint64_t off)
{
	return -EROFS;
}

static int refuse_flush(struct volume *v)
{
	return -EROFS;
}

static const struct volume_ops joined_ops = {
	.read = joined_read,
	.write = refuse_write,
	.zero = refuse_zero,
	.flush = refuse_flush,
};

void joined_init(struct joined *j)
{
	memset(j, 0, sizeof(*j));
	j->volume.ops = &joined_ops;
	j->volume.fd = -1;
	j->volume.alignment = 4096;
}

int joined_add(struct joined *j, const struct volume_facts *f, uint64_t step,
	struct error *err)
{
	uint64_t start, end;
	int r;

	if (j->n == JOINED_MAX) {
		error_set(err, -E2BIG, "open %s", f->path);
		return error_why(
			err, "that is more than %d volumes", JOINED_MAX);
	}
	if (__builtin_add_overflow(j->volume.size, step - 1, &start) ||
		__builtin_add_overflow(start / step * step, f->size, &end))
		return error_set(err, -EOVERFLOW, "open %s", f->path);
	start = start / step * step;
	r = volume_open_source(f, &j->v[j->n].volume, err);
	if (r < 0)
		return r;
	j->v[j->n++].start = start;
	j->volume.size = end;
	return 0;
}

void joined_close(struct joined *j)
{
	for (uint32_t i = 0; i < j->n; i++)
		volume_close(&j->v[i].volume);
	j->n = 0;
}
