/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether compressing pays: both ways are tried in turn, and the one that moved
 * more of the volume is kept for a while, also through passes that are too
 * short for trials. The very first step is not counted, because lanes begin
 * slowly.
 *
 * The caller's lock covers all of it but the reading of use.
 */
#ifndef REHOST_COPY_ADAPT_H
#define REHOST_COPY_ADAPT_H

#include <stdbool.h>
#include <stdint.h>

/* All zero before the first pass. */
struct adapt {
	_Atomic bool use; /* compress now; any thread may read it */
	bool decided, verdict;
	unsigned step; /* 0 keeping, else the trial: odd ones are plain */
	uint64_t since_us, since_bytes;
	uint64_t moved[2]; /* bytes a second, plain and compressed, summed */
};

/* How long a pass compresses only to try it, where that does not pay: once, as
 * it is clear then. */
#define ADAPT_TRIAL_MS 200

/* Whether compressed is enough faster than plain, in bytes of the volume a
 * second. */
bool adapt_pays(uint64_t plain, uint64_t compressed);

/* A pass begins. A trial that was not finished begins anew, unless it is known
 * already what is better. */
void adapt_begin(struct adapt *a, uint64_t now_us);

/* So many bytes of the pass are done by now. New trials are made only when a
 * lot is left; say 0 to have none. */
void adapt_step(struct adapt *a, uint64_t now_us, uint64_t done, uint64_t left);

#endif
