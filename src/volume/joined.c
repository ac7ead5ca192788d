/* SPDX-License-Identifier: Apache-2.0 */
#include "volume/joined.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

enum what { READ, WRITE, ZERO };

static int on_one(
	enum what what, struct volume *v, uint8_t *buf, uint64_t n, uint64_t at)
{
	switch (what) {
	case READ:
		return v->ops->read(v, buf, n, at);
	case WRITE:
		return v->ops->write(v, buf, n, at);
	default:
		return v->ops->zero(v, n, at);
	}
}

/* The same on each that [off, off + n) touches. A piece that ends with its
 * volume may be of any length: the room up to the next one is ours. */
static int on_each(struct volume *v, enum what what, uint8_t *buf, uint64_t n,
	uint64_t off)
{
	/* The volume is the first in the struct. */
	struct joined *j = (struct joined *)(void *)v;

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
		r = have ? on_one(what, one, buf, have, at) : 0;
		if (r < 0)
			return r;
		if (what == READ)
			memset(buf + have, 0, piece - have);
		buf = buf ? buf + piece : NULL;
		off += piece;
		n -= piece;
	}
	return n > 0 ? -EIO : 0;
}

static int joined_read(struct volume *v, void *buf, uint64_t n, uint64_t off)
{
	return on_each(v, READ, buf, n, off);
}

static int joined_write(struct volume *v, void *buf, uint64_t n, uint64_t off)
{
	return on_each(v, WRITE, buf, n, off);
}

static int joined_zero(struct volume *v, uint64_t n, uint64_t off)
{
	return on_each(v, ZERO, NULL, n, off);
}

static int joined_flush(struct volume *v)
{
	struct joined *j = (struct joined *)(void *)v;

	for (uint32_t i = 0; i < j->n; i++) {
		struct volume *one = &j->v[i].volume;
		int r = one->ops->flush(one);

		if (r < 0)
			return r;
	}
	return 0;
}

static const struct volume_ops joined_ops = {
	.read = joined_read,
	.write = joined_write,
	.zero = joined_zero,
	.flush = joined_flush,
};

void joined_init(struct joined *j)
{
	memset(j, 0, sizeof(*j));
	j->volume.ops = &joined_ops;
	j->volume.fd = -1;
	j->volume.alignment = 1;
}

uint64_t joined_next(uint64_t size)
{
	return (size + JOINED_STEP - 1) / JOINED_STEP * JOINED_STEP;
}

static int check_room(const struct joined *j, const char *path, uint64_t size,
	struct error *err)
{
	if (j->n == JOINED_MAX) {
		error_set(err, -E2BIG, "open %s", path);
		return error_why(
			err, "that is more than %d volumes", JOINED_MAX);
	}
	if (size > INT64_MAX / JOINED_MAX)
		return error_set(err, -EOVERFLOW, "open %s", path);
	return 0;
}

/* The one at j->n was opened. */
static void append(struct joined *j)
{
	const struct volume *one = &j->v[j->n].volume;

	j->v[j->n].start = joined_next(j->volume.size);
	j->volume.size = j->v[j->n].start + one->size;
	j->volume.alignment = MAX(j->volume.alignment, one->alignment);
	if (j->n++ == 0)
		memcpy(j->volume.path, one->path, sizeof(j->volume.path));
}

int joined_add_source(
	struct joined *j, const struct volume_facts *f, struct error *err)
{
	int r = check_room(j, f->path, f->size, err);

	if (r == 0)
		r = volume_open_source(f, &j->v[j->n].volume, err);
	if (r == 0)
		append(j);
	return r;
}

int joined_add_target(struct joined *j, const struct volume_facts *f,
	uint64_t size, struct error *err)
{
	int r = check_room(j, f->path, size, err);

	if (r == 0)
		r = volume_open_target(f, size, &j->v[j->n].volume, err);
	if (r == 0)
		append(j);
	return r;
}

void joined_close(struct joined *j)
{
	for (uint32_t i = 0; i < j->n; i++)
		volume_close(&j->v[i].volume);
	j->n = 0;
}
