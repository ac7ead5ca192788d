/* SPDX-License-Identifier: Apache-2.0 */
#include "copy/differ.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"

int differ_init(struct differ *d, uint64_t granules)
{
	uint64_t one = bitmap_size(granules);
	char *p = mmap(NULL, 3 * one, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	memset(d, 0, sizeof(*d));
	if (p == MAP_FAILED)
		return -ENOMEM;
	d->memory = p;
	bitmap_view(&d->found, p, granules);
	bitmap_view(&d->begins, p + one, granules);
	bitmap_view(&d->suspect, p + 2 * one, granules);
	return 0;
}

void differ_done(struct differ *d)
{
	if (d->memory)
		(void)munmap(d->memory, 3 * bitmap_size(d->found.bits));
	d->memory = NULL;
}

void differ_add(struct differ *d, uint64_t first, uint64_t n)
{
	bitmap_set(&d->begins, first, 1);
	bitmap_set(&d->found, first, n);
}

/* The bytes of an extent that differs, if nothing in it was written or
 * discarded. Sets *ret_end to where the next one begins. */
static uint64_t unexplained(const struct differ *d, const struct maps *m,
	uint64_t first, uint64_t end, uint64_t *ret_end)
{
	bool explained = d->any;
	uint64_t i = first;

	do {
		explained = explained || bitmap_get(&m->dirty, i) ||
			    !bitmap_get(&m->known, i);
		i++;
	} while (i < end && !bitmap_get(&d->begins, i));
	*ret_end = i;
	return explained ? 0 : maps_bytes(m, first, i - first);
}

enum judgement { MAKE_DIRTY, CONVICT, SUSPECT };

/* Goes through the extents that differ; returns the bytes that it counted. */
static uint64_t judge(struct differ *d, struct maps *m, enum judgement how)
{
	uint64_t at = 0, first, n, end, bytes, sum = 0;

	for (; bitmap_next(&d->found, at, UINT64_MAX, &first, &n); at = end) {
		bytes = unexplained(d, m, first, first + n, &end);
		if (how == MAKE_DIRTY) {
			sum += bytes;
			bitmap_set(&m->dirty, first, end - first);
		} else if (how == SUSPECT && bytes) {
			sum += bytes;
			bitmap_set(&d->suspect, first, end - first);
		} else if (bytes && bitmap_get(&d->suspect, first)) {
			sum += bytes;
			bitmap_set(&m->dirty, first, end - first);
		}
	}
	return sum;
}

void differ_judge(struct differ *d, struct maps *m, bool all,
	uint64_t *ret_unexplained, uint64_t *ret_suspect)
{
	uint64_t now = clock_ms(), every = d->suspect.bits;
	bool aged = now - d->suspect_at >= DIFFER_SUSPECT_MS;

	*ret_unexplained = *ret_suspect = 0;
	d->any = m->shared->vague != d->vague;
	d->vague = m->shared->vague;
	if (all) {
		*ret_unexplained = judge(d, m, MAKE_DIRTY);
		bitmap_clear(&d->suspect, 0, every);
	} else if (aged) {
		*ret_unexplained = judge(d, m, CONVICT);
		/* Suspects that were found equal meanwhile are none. */
		bitmap_clear(&d->suspect, 0, every);
		*ret_suspect = judge(d, m, SUSPECT);
		d->suspect_at = now;
	} else {
		*ret_suspect = maps_count(m, &d->suspect);
	}
	bitmap_clear(&d->found, 0, every);
	bitmap_clear(&d->begins, 0, every);
}
