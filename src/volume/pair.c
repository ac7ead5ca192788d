/* SPDX-License-Identifier: Apache-2.0 */
#include "volume/pair.h"

#include <string.h>

#include "base/cleanup.h"

static bool same_text(const char *a, const char *b)
{
	return a[0] && strcmp(a, b) == 0;
}

static bool overlap(const struct volume_facts *a, const struct volume_facts *b)
{
	return a->disk_start < b->disk_start + b->size &&
	       b->disk_start < a->disk_start + a->size;
}

bool pair_is_same(
	const struct volume_facts *a, const struct volume_facts *b, bool host)
{
	if (a->kind == VOLUME_BLOCK && b->kind == VOLUME_BLOCK) {
		bool disk = host && a->disk_major == b->disk_major &&
			    a->disk_minor == b->disk_minor;

		if (host && a->major == b->major && a->minor == b->minor)
			return true;
		if (host && a->backing_inode &&
			a->backing_inode == b->backing_inode &&
			a->backing_major == b->backing_major &&
			a->backing_minor == b->backing_minor)
			return true;
		/* Shared storage seen from two hosts. */
		disk = disk || same_text(a->wwn, b->wwn) ||
		       (same_text(a->serial, b->serial) && a->size == b->size);
		return disk && overlap(a, b);
	}
	if (!host)
		return false;
	if (a->kind == VOLUME_FILE && b->kind == VOLUME_FILE)
		return a->inode == b->inode && a->major == b->major &&
		       a->minor == b->minor;
	if (a->kind == VOLUME_FILE)
		return pair_is_same(b, a, host);
	return a->backing_inode && a->backing_inode == b->inode &&
	       a->backing_major == b->major && a->backing_minor == b->minor;
}

static bool has_block(const struct msg_commit *s, uint64_t offset)
{
	for (uint32_t k = 0; k < s->n; k++)
		if (s->v[k].offset == offset)
			return true;
	return false;
}

bool pair_withhold(
	const struct volume_facts *f, uint64_t start, struct msg_commit *s)
{
	for (uint32_t i = 0; i < f->n_signatures; i++) {
		const struct signature *g = &f->signatures[i];
		uint64_t from = g->offset / SIGNATURE_BLOCK, to;

		/* The source says so: it may be anything. */
		if (g->offset >= f->size || g->bytes == 0)
			continue;
		to = (g->offset + MIN(g->bytes, f->size - g->offset) - 1) /
			     SIGNATURE_BLOCK +
		     1;
		for (uint64_t b = from; b < to; b++) {
			uint64_t off = b * SIGNATURE_BLOCK;

			if (has_block(s, start + off))
				continue;
			if (s->n == ARRAY_LEN(s->v))
				return false;
			s->v[s->n++] = (struct msg_extent){start + off,
				MIN((uint64_t)SIGNATURE_BLOCK, f->size - off)};
		}
	}
	return true;
}
