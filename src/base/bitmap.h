/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sparse bitmap over memory that the caller provides, for instance a shared
 * mapping: leaves of one page each, and a summary with one bit for each leaf
 * that was ever written, so that a scan touches no page that was never used.
 *
 * Every function may be called by several threads and processes at once: bits
 * change by atomic operations. A scan that runs beside changes sees each bit
 * either as before or as after.
 */
#ifndef REHOST_BASE_BITMAP_H
#define REHOST_BASE_BITMAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bitmap {
	uint64_t bits;		   /* number of bits */
	_Atomic uint64_t *summary; /* one bit a leaf */
	_Atomic uint64_t *leaf;	   /* bits / 64 words, rounded up to pages */
};

/* Bytes of memory that a bitmap of this many bits wants, whole pages. */
uint64_t bitmap_size(uint64_t bits);

/* Makes b a view of mem, which is page-aligned, has bitmap_size(bits) bytes,
 * and is either all zero or already a bitmap of this size. */
void bitmap_view(struct bitmap *b, void *mem, uint64_t bits);

/* Sets or clears n bits from first; parts beyond the end are ignored. */
void bitmap_set(struct bitmap *b, uint64_t first, uint64_t n);
void bitmap_clear(struct bitmap *b, uint64_t first, uint64_t n);

bool bitmap_get(const struct bitmap *b, uint64_t bit);

/* Finds the next run of set bits at or after from, at most max long. Returns
 * false when there is none. */
bool bitmap_next(const struct bitmap *b, uint64_t from, uint64_t max,
	uint64_t *ret_first, uint64_t *ret_n);

/* The same for runs of bits that are set in b and (not) in mask, which has the
 * same size. */
bool bitmap_next_and(const struct bitmap *b, const struct bitmap *mask,
	bool invert_mask, uint64_t from, uint64_t max, uint64_t *ret_first,
	uint64_t *ret_n);

/* The same, of [from, end) alone. */
bool bitmap_next_within(const struct bitmap *b, const struct bitmap *mask,
	bool invert_mask, uint64_t from, uint64_t end, uint64_t *ret_first,
	uint64_t *ret_n);

/* Sets those of the n bits from first that are clear in mask (same size);
 * returns how many of them were clear in b before. */
uint64_t bitmap_set_unless(struct bitmap *b, const struct bitmap *mask,
	uint64_t first, uint64_t n);

/* Number of set bits. */
uint64_t bitmap_count(const struct bitmap *b);

/* to |= from, from = 0; bit by bit, so that none is lost when others set bits
 * meanwhile. Same sizes. */
void bitmap_move(struct bitmap *to, struct bitmap *from);

/* to |= from. Same sizes. */
void bitmap_or(struct bitmap *to, const struct bitmap *from);

#endif
