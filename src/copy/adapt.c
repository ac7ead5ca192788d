/* SPDX-License-Identifier: Apache-2.0 */
#include "copy/adapt.h"

#include <string.h>

#include "base/cleanup.h"

#define TRIALS 4 /* with and without compression, in turn */
#define TRIAL_US (ADAPT_TRIAL_MS * 1000ULL) /* at least, */
/* and so much, which is also what all workers together have in hand. */
#define TRIAL_BYTES 4194304
/* A link that takes longer for it is slower than any processor compresses. */
#define TRIAL_MAX_US 5000000
#define KEEP_US 30000000     /* until it is tried again, */
#define KEEP_BYTES 134217728 /* if so much is left of the pass */

bool adapt_pays(uint64_t plain, uint64_t compressed)
{
	return compressed > plain + plain / 16;
}

void adapt_begin(struct adapt *a, uint64_t now_us, const struct adapt_at *at)
{
	if (a->decided) {
		a->step = 0;
		a->use = a->verdict;
	} else {
		a->since_us = now_us;
	}
	a->since = *at;
}

/* One pair tells enough when one way moves twice as much as the other. */
static bool is_clear(const struct adapt *a)
{
	return a->step == 2 &&
	       (a->moved[0] / 2 > a->moved[1] || a->moved[1] / 2 > a->moved[0]);
}

bool adapt_due(
	const struct adapt *a, uint64_t now_us, uint64_t done, uint64_t remains)
{
	uint64_t span = now_us - a->since_us, moved = done - a->since.done;

	if (a->step == 0 && a->decided)
		return span >= KEEP_US && remains >= KEEP_BYTES;
	return span >= TRIAL_MAX_US ||
	       (moved >= TRIAL_BYTES && (!a->settled || span >= TRIAL_US));
}

/* Of what a step did, as much as left of what it put on the lanes. When more
 * left, it was of the step before, and what was done had to wait for it. */
static uint64_t moved_since(const struct adapt *a, const struct adapt_at *at)
{
	uint64_t moved = at->done - a->since.done;
	uint64_t put = at->put - a->since.put;
	uint64_t left = at->left - MIN(at->left, a->since.left);

	if (left >= put)
		return moved;
	return (uint64_t)((double)moved * (double)left / (double)put);
}

static void decide(struct adapt *a, bool verdict)
{
	a->step = 0;
	a->decided = true;
	a->verdict = verdict;
}

void adapt_step(struct adapt *a, uint64_t now_us, const struct adapt_at *at)
{
	uint64_t ms = (now_us - a->since_us) / 1000;
	uint64_t rate = moved_since(a, at) * 1000 / (ms + 1);
	bool trying = a->step > 0 || !a->decided;
	bool slow = at->done - a->since.done < TRIAL_BYTES;

	a->since_us = now_us;
	a->since = *at;
	if (trying && !slow && !a->settled) {
		a->settled = true;
		return;
	}
	if (a->step > 0)
		a->moved[a->use] += rate;
	else
		memset(a->moved, 0, sizeof(a->moved));
	if (trying && slow)
		decide(a, true);
	else if (a->step == TRIALS || is_clear(a))
		decide(a, adapt_pays(a->moved[0], a->moved[1]));
	else
		a->step++;
	a->use = a->step ? a->step % 2 == 0 : a->verdict;
	a->settled = false;
}
