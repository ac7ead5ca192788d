/* SPDX-License-Identifier: Apache-2.0 */
#include "volume/spared.h"

#include <errno.h>
#include <string.h>

#include "volume/signatures.h"

/* The range that touches [off, off + n) and begins first, or -1. */
static int find(const struct spared *s, uint64_t off, uint64_t n)
{
	int best = -1;

	for (uint32_t i = 0; i < s->n; i++)
		if (s->v[i].from < off + n && s->v[i].to > off &&
			(best < 0 || s->v[i].from < s->v[best].from))
			best = (int)i;
	return best;
}

/* Writes, or without a buffer makes zero, what is not spared. */
static int put(struct volume *v, uint8_t *buf, uint64_t n, uint64_t off)
{
	/* The volume is the first in the struct. */
	const struct spared *s = (const struct spared *)(const void *)v;

	while (n > 0) {
		int i = find(s, off, n), r = 0;
		uint64_t piece = n;

		if (i >= 0 && s->v[i].from <= off) {
			piece = MIN(n, s->v[i].to - off);
		} else {
			if (i >= 0)
				piece = s->v[i].from - off;
			r = buf ? s->on->ops->write(s->on, buf, piece, off)
				: s->on->ops->zero(s->on, piece, off);
		}
		if (r < 0)
			return r;
		buf = buf ? buf + piece : NULL;
		off += piece;
		n -= piece;
	}
	return 0;
}

static int spared_read(struct volume *v, void *buf, uint64_t n, uint64_t off)
{
	struct volume *on = ((struct spared *)(void *)v)->on;

	return on->ops->read(on, buf, n, off);
}

static int spared_write(struct volume *v, void *buf, uint64_t n, uint64_t off)
{
	return put(v, buf, n, off);
}

static int spared_zero(struct volume *v, uint64_t n, uint64_t off)
{
	return put(v, NULL, n, off);
}

static int spared_flush(struct volume *v)
{
	struct volume *on = ((struct spared *)(void *)v)->on;

	return on->ops->flush(on);
}

static const struct volume_ops spared_ops = {
	.read = spared_read,
	.write = spared_write,
	.zero = spared_zero,
	.flush = spared_flush,
};

void spared_init(struct spared *s, struct volume *on)
{
	memset(s, 0, sizeof(*s));
	s->volume = *on;
	s->volume.ops = &spared_ops;
	s->volume.fd = -1;
	s->on = on;
}

int spared_add(struct spared *s, uint64_t from, uint64_t bytes)
{
	uint64_t to;

	if (__builtin_add_overflow(from, bytes, &to) ||
		__builtin_add_overflow(to, SIGNATURE_BLOCK - 1, &to))
		return -EOVERFLOW;
	if (s->n == SPARED_MAX)
		return -E2BIG;
	s->v[s->n].from = from - from % SIGNATURE_BLOCK;
	s->v[s->n++].to = to - to % SIGNATURE_BLOCK;
	return 0;
}

const char *spared_parts(const struct volume_facts *f)
{
	/* As libblkid calls them; "minix" is a filesystem as well. */
	static const char *const tables[] = {"gpt", "dos", "PMBR", "aix",
		"atari", "bsd", "mac", "sgi", "sun", "solaris_x86", "ultrix",
		"unixware"};
	static const char member[] = "_member";

	for (uint32_t i = 0; i < f->n_signatures; i++) {
		const char *name = f->signatures[i].name;
		size_t n = strlen(name);

		for (size_t k = 0; k < ARRAY_LEN(tables); k++)
			if (strcmp(name, tables[k]) == 0)
				return name;
		if (n >= strlen(member) &&
			strcmp(name + n - strlen(member), member) == 0)
			return name;
	}
	return NULL;
}

int spared_add_disk(struct spared *s, const struct volume_facts *f)
{
	uint64_t tail = MIN(f->size, (uint64_t)SIGNATURES_TAIL);
	int r = spared_add(s, 0, SIGNATURES_HEAD);

	if (r == 0)
		r = spared_add(s, f->size - tail, tail);
	for (uint32_t i = 0; i < f->n_signatures && r == 0; i++)
		r = spared_add(
			s, f->signatures[i].offset, f->signatures[i].bytes);
	return r;
}
