/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether compressing pays: both ways are tried in turn, and the one that moved
 * more of the volume is kept for a while, also through passes that are too
 * short for trials. The very first step is not counted, because lanes begin
 * slowly, nor is of any step what the workers had in hand when it began. What
 * counts is what left: the buffers of a slow link take megabytes at once, of
 * whatever is tried first. Where a link is too slow for trials, compressing
 * pays.
 *
 * The caller's lock covers all of it but the reading of use.
 */
#ifndef REHOST_COPY_ADAPT_H
#define REHOST_COPY_ADAPT_H

#include <stdbool.h>
#include <stdint.h>

/* How far a pass is. */
struct adapt_at {
	uint64_t done; /* bytes of the volume in this pass */
	uint64_t put;  /* bytes on the lanes, ever, */
	uint64_t left; /* and of these, what the other side has */
};

/* All zero before the first pass. */
struct adapt {
	_Atomic bool use; /* compress now; any thread may read it */
	bool decided, verdict;
	unsigned step; /* 0 keeping, else the trial: odd ones are plain */
	bool settled;  /* what the step before had begun is through */
	uint64_t since_us;
	struct adapt_at since;
	uint64_t moved[2]; /* bytes a second, plain and compressed, summed */
};

/* How long a pass compresses only to try it, where that does not pay: once, as
 * it is clear then. */
#define ADAPT_TRIAL_MS 200

/* Whether compressed is enough faster than plain, in bytes of the volume a
 * second. */
bool adapt_pays(uint64_t plain, uint64_t compressed);

/* A pass begins, with nothing done. A trial that was not finished begins anew,
 * unless it is known already what is better. */
void adapt_begin(struct adapt *a, uint64_t now_us, const struct adapt_at *at);

/* So many bytes of the pass are done by now: is adapt_step to be called,
 * because a step has settled or is over? New trials are made only when a lot of
 * the pass remains; say 0 to have none. */
bool adapt_due(const struct adapt *a, uint64_t now_us, uint64_t done,
	uint64_t remains);

/* What was due: the step counts from here, the next trial, or the verdict. */
void adapt_step(struct adapt *a, uint64_t now_us, const struct adapt_at *at);

#endif
