/* SPDX-License-Identifier: Apache-2.0 */
#include "copy/adapt.h"

#include <string.h>

#define TRIALS 4 /* with and without compression, in turn */
#define TRIAL_US (ADAPT_TRIAL_MS * 1000ULL) /* at least, */
#define TRIAL_BYTES 4194304		    /* and so much, */
#define TRIAL_MAX_US 1000000		    /* but no longer */
#define KEEP_US 30000000		    /* until it is tried again, */
#define KEEP_BYTES 134217728		    /* if so much is left of the pass */

bool adapt_pays(uint64_t plain, uint64_t compressed)
{
	return compressed > plain + plain / 16;
}

void adapt_begin(struct adapt *a, uint64_t now_us)
{
	if (a->decided) {
		a->step = 0;
		a->use = a->verdict;
	} else {
		a->since_us = now_us;
	}
	a->since_bytes = 0;
}

/* One pair tells enough when one way moves twice as much as the other. */
static bool is_clear(const struct adapt *a)
{
	return a->step == 2 &&
	       (a->moved[0] / 2 > a->moved[1] || a->moved[1] / 2 > a->moved[0]);
}

static bool is_over(
	const struct adapt *a, uint64_t span, uint64_t moved, uint64_t left)
{
	if (a->step == 0 && a->decided)
		return span >= KEEP_US && left >= KEEP_BYTES;
	return span >= TRIAL_MAX_US ||
	       (span >= TRIAL_US && moved >= TRIAL_BYTES);
}

void adapt_step(struct adapt *a, uint64_t now_us, uint64_t done, uint64_t left)
{
	uint64_t span = now_us - a->since_us, moved = done - a->since_bytes;

	if (!is_over(a, span, moved, left))
		return;
	if (a->step == 0)
		memset(a->moved, 0, sizeof(a->moved));
	else
		a->moved[a->use] += moved * 1000 / (span / 1000 + 1);
	a->step = is_clear(a) ? 0 : (a->step + 1) % (TRIALS + 1);
	if (a->step == 0) {
		a->decided = true;
		a->verdict = adapt_pays(a->moved[0], a->moved[1]);
	}
	a->use = a->step ? a->step % 2 == 0 : a->verdict;
	a->since_us = now_us;
	a->since_bytes = done;
}
