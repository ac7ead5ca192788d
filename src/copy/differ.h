/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comparisons found different, and what to think of it. Not for use by
 * several threads at once.
 */
#ifndef REHOST_COPY_DIFFER_H
#define REHOST_COPY_DIFFER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bitmap.h"
#include "track/maps.h"

/* A suspect that still differs after so long is none any more, but guilty. */
#define DIFFER_SUSPECT_MS 10000

struct differ {
	void *memory; /* of all three */
	/* What differs; and where the extents begin that were compared as one:
	 * one written block explains all of its extent. */
	struct bitmap found, begins;
	struct bitmap suspect; /* see differ_judge */
	uint64_t suspect_at;   /* clock_ms when they became it */
	uint64_t vague;	       /* discards seen, see maps_shared */
	bool any;	       /* one of them explains everything just now */
};

/* 0 or -ENOMEM. */
int differ_init(struct differ *d, uint64_t granules);

/* Fine for a zeroed struct. */
void differ_done(struct differ *d);

/* An extent that was compared as one differs. In granules. */
void differ_add(struct differ *d, uint64_t first, uint64_t n);

/* Decides on what compare passes found different since the last call. An extent
 * that was compared as one is explained when anything in it was written or
 * discarded since, or when there was a discard that may have been anywhere;
 * otherwise the tracker missed something, or the target changed by itself.
 *
 * With all, everything that differs becomes dirty, and *ret_unexplained counts
 * what is not explained: right when the source stands still, or when marks were
 * lost anyway. Without, the source is live: a write in flight is seen by the
 * comparison before its completion marks it. So what is not explained becomes
 * suspect first (*ret_suspect) and stays unproved; only what differs again
 * DIFFER_SUSPECT_MS later, with no mark in between, is counted, and becomes
 * dirty. In bytes. */
void differ_judge(struct differ *d, struct maps *m, bool all,
	uint64_t *ret_unexplained, uint64_t *ret_suspect);

#endif
