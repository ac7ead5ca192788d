/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bitmap.h"

#include <string.h>

#include "base/cleanup.h"

#define PAGE 4096ULL
#define LEAF_WORDS (PAGE / 8)
#define LEAF_BITS (PAGE * 8)

static uint64_t leaves(uint64_t bits)
{
	return bits / LEAF_BITS + (bits % LEAF_BITS != 0);
}

static uint64_t summary_size(uint64_t bits)
{
	uint64_t bytes = leaves(bits) / 8 + 8;

	return (bytes + PAGE - 1) / PAGE * PAGE;
}

uint64_t bitmap_size(uint64_t bits)
{
	return summary_size(bits) + leaves(bits) * PAGE;
}

void bitmap_view(struct bitmap *b, void *mem, uint64_t bits)
{
	b->bits = bits;
	b->summary = mem;
	b->leaf = (void *)((char *)mem + summary_size(bits));
}

static bool leaf_used(const struct bitmap *b, uint64_t word)
{
	uint64_t leaf = word / LEAF_WORDS;

	return b->summary[leaf / 64] >> (leaf % 64) & 1;
}

static uint64_t word_at(const struct bitmap *b, uint64_t w)
{
	return leaf_used(b, w) ? b->leaf[w] : 0;
}

/* The bits of word w that lie in [first, end). */
static uint64_t word_mask(uint64_t w, uint64_t first, uint64_t end)
{
	uint64_t lo = first > w * 64 ? first - w * 64 : 0;
	uint64_t hi = end < (w + 1) * 64 ? end - w * 64 : 64;
	uint64_t m = hi == 64 ? ~0ULL : (1ULL << hi) - 1;

	return m & ~0ULL << lo;
}

/* Cuts [first, first + n) to the bitmap; false when nothing is left. */
static bool cut(
	const struct bitmap *b, uint64_t first, uint64_t n, uint64_t *ret_end)
{
	if (first >= b->bits || n == 0)
		return false;
	*ret_end = n > b->bits - first ? b->bits : first + n;
	return true;
}

void bitmap_set(struct bitmap *b, uint64_t first, uint64_t n)
{
	uint64_t end;

	if (!cut(b, first, n, &end))
		return;
	for (uint64_t w = first / 64; w * 64 < end; w++) {
		uint64_t leaf = w / LEAF_WORDS;

		/* The summary first: a scan must not miss a set bit. */
		if (!leaf_used(b, w))
			b->summary[leaf / 64] |= 1ULL << (leaf % 64);
		b->leaf[w] |= word_mask(w, first, end);
	}
}

void bitmap_clear(struct bitmap *b, uint64_t first, uint64_t n)
{
	uint64_t end;

	if (!cut(b, first, n, &end))
		return;
	for (uint64_t w = first / 64; w * 64 < end; w++) {
		if (!leaf_used(b, w)) {
			w = (w / LEAF_WORDS + 1) * LEAF_WORDS - 1;
			continue;
		}
		b->leaf[w] &= ~word_mask(w, first, end);
	}
}

uint64_t bitmap_set_unless(
	struct bitmap *b, const struct bitmap *mask, uint64_t first, uint64_t n)
{
	uint64_t end, count = 0;

	if (!cut(b, first, n, &end))
		return 0;
	for (uint64_t w = first / 64; w * 64 < end; w++) {
		uint64_t leaf = w / LEAF_WORDS, v, old;

		v = word_mask(w, first, end) & ~word_at(mask, w);
		if (!v)
			continue;
		if (!leaf_used(b, w))
			b->summary[leaf / 64] |= 1ULL << (leaf % 64);
		old = atomic_fetch_or(&b->leaf[w], v);
		count += (uint64_t)__builtin_popcountll(v & ~old);
	}
	return count;
}

bool bitmap_get(const struct bitmap *b, uint64_t bit)
{
	if (bit >= b->bits || !leaf_used(b, bit / 64))
		return false;
	return b->leaf[bit / 64] >> (bit % 64) & 1;
}

/* The word of b, masked. */
static uint64_t masked_at(const struct bitmap *b, const struct bitmap *mask,
	bool invert, uint64_t w)
{
	uint64_t v = word_at(b, w);

	if (v && mask)
		v &= invert ? ~word_at(mask, w) : word_at(mask, w);
	return v;
}

/* Looks for a run before limit. */
static bool find(const struct bitmap *b, const struct bitmap *mask, bool invert,
	uint64_t from, uint64_t limit, uint64_t max, uint64_t *ret_first,
	uint64_t *ret_n)
{
	uint64_t words, w = from / 64, first, end, v;

	limit = MIN(limit, b->bits);
	if (from >= limit || max == 0)
		return false;
	/* Neither the beginning nor the end is looked for behind it. */
	words = (limit + 63) / 64;
	for (v = 0; w < words; w++) {
		if (!leaf_used(b, w)) {
			w = (w / LEAF_WORDS + 1) * LEAF_WORDS - 1;
			continue;
		}
		v = masked_at(b, mask, invert, w);
		if (w == from / 64)
			v &= ~0ULL << (from % 64);
		if (v)
			break;
	}
	if (v == 0)
		return false;
	first = w * 64 + (uint64_t)__builtin_ctzll(v);
	if (first >= limit)
		return false;
	/* The run ends at the first clear bit. */
	v = ~v & ~0ULL << (first % 64);
	while (!v && ++w < words && w * 64 - first < max)
		v = ~masked_at(b, mask, invert, w);
	end = v ? w * 64 + (uint64_t)__builtin_ctzll(v) : w * 64;
	end = MIN(end, limit);
	*ret_first = first;
	*ret_n = MIN(end - first, max);
	return true;
}

bool bitmap_next_and(const struct bitmap *b, const struct bitmap *mask,
	bool invert, uint64_t from, uint64_t max, uint64_t *ret_first,
	uint64_t *ret_n)
{
	return find(b, mask, invert, from, UINT64_MAX, max, ret_first, ret_n);
}

bool bitmap_next_within(const struct bitmap *b, const struct bitmap *mask,
	bool invert, uint64_t from, uint64_t end, uint64_t *ret_first,
	uint64_t *ret_n)
{
	return find(b, mask, invert, from, end, UINT64_MAX, ret_first, ret_n);
}

bool bitmap_next(const struct bitmap *b, uint64_t from, uint64_t max,
	uint64_t *ret_first, uint64_t *ret_n)
{
	return bitmap_next_and(b, NULL, false, from, max, ret_first, ret_n);
}

uint64_t bitmap_count(const struct bitmap *b)
{
	uint64_t words = (b->bits + 63) / 64, n = 0;

	for (uint64_t w = 0; w < words; w++) {
		if (!leaf_used(b, w)) {
			w = (w / LEAF_WORDS + 1) * LEAF_WORDS - 1;
			continue;
		}
		n += (uint64_t)__builtin_popcountll(b->leaf[w]);
	}
	return n;
}

static void merge(struct bitmap *to, struct bitmap *from, bool take)
{
	uint64_t words = (from->bits + 63) / 64;

	for (uint64_t w = 0; w < words; w++) {
		uint64_t v, leaf = w / LEAF_WORDS;

		if (!leaf_used(from, w)) {
			w = (leaf + 1) * LEAF_WORDS - 1;
			continue;
		}
		v = from->leaf[w];
		if (!v)
			continue;
		/* Set in the one before it is gone from the other. */
		to->summary[leaf / 64] |= 1ULL << (leaf % 64);
		to->leaf[w] |= v;
		if (take)
			from->leaf[w] &= ~v;
	}
}

void bitmap_move(struct bitmap *to, struct bitmap *from)
{
	merge(to, from, true);
}

void bitmap_or(struct bitmap *to, const struct bitmap *from)
{
	struct bitmap f = *from;

	merge(to, &f, false);
}
