/* SPDX-License-Identifier: Apache-2.0 */
#include "move/forecast.h"

#include "base/cleanup.h"

#define SHORT_MS 250 /* of an outage; who could tell it from a shorter one? */
/* Time that a background proof may take between two rounds. */
#define PROOF_MS 2000
#define PROOF_LEAST (64ULL << 20)
/* More rounds than any move has that comes to an end. */
#define ROUNDS_MAX 1000

static uint64_t bounded(double n)
{
	return n < (double)INT64_MAX ? (uint64_t)n : INT64_MAX;
}

uint64_t forecast_ms(uint64_t bytes, uint64_t rate)
{
	return bounded((double)bytes * 1000 / (double)MAX(rate, (uint64_t)1));
}

uint64_t forecast_rate(uint64_t bytes, uint64_t ms)
{
	return bounded((double)bytes * 1000 / (double)MAX(ms, (uint64_t)1));
}

static uint64_t send_rate(const struct forecast *f)
{
	return f->send_rate ? f->send_rate : 50 << 20;
}

static uint64_t compare_rate(const struct forecast *f)
{
	return f->compare_rate ? f->compare_rate : send_rate(f);
}

uint64_t forecast_outage(const struct forecast *f, uint64_t dirty,
	uint64_t unproved, uint64_t known)
{
	/* What is still to come until the freeze holds. */
	uint64_t late = f->dirty_rate * (f->sync_ms + 300) / 1000;
	uint64_t bytes = dirty + late, prove = bytes + unproved;

	if (!f->tracking || f->full_verify)
		prove = known + dirty;
	return f->sync_ms + 4 * f->overhead_ms + 100 +
	       forecast_ms(bytes, send_rate(f)) +
	       forecast_ms(prove, compare_rate(f));
}

uint64_t forecast_proof(const struct forecast *f)
{
	return MAX(f->compare_rate * PROOF_MS / 1000, PROOF_LEAST);
}

bool forecast_improving(const struct backlog *before, const struct backlog *now)
{
	return !before->known || now->unproved < before->unproved / 10 * 9 ||
	       (now->forecast_ms > SHORT_MS &&
		       now->forecast_ms < before->forecast_ms / 10 * 9);
}

unsigned forecast_slow(const struct backlog *before, const struct backlog *now,
	uint64_t budget_ms, unsigned slow)
{
	bool ready = now->known && now->forecast_ms <= budget_ms;

	return !forecast_improving(before, now) && before->known &&
			       now->bytes >= before->bytes && !ready
		       ? slow + 1
		       : 0;
}

uint64_t forecast_written(const struct forecast_writes *w, uint64_t ms)
{
	double span = (double)w->sample_ms / 2;
	double half = (double)MIN(w->half, w->distinct);
	double later = (double)w->distinct - half, bytes;

	if (w->sample_ms == 0)
		return 0;
	if ((double)ms <= span)
		bytes = half * (double)ms / span;
	else
		bytes = half + later * ((double)ms - span) / span;
	return MIN(bounded(bytes), w->most);
}

void forecast_course(const struct forecast *f, const struct forecast_writes *w,
	uint64_t used, uint64_t seed_ms, uint64_t budget_ms,
	struct forecast_course *ret)
{
	struct backlog last = {0}, now = {.known = true};
	uint64_t dirty = forecast_written(w, seed_ms), unproved = used;
	unsigned slow = 0;

	*ret = (struct forecast_course){0};
	for (unsigned i = 0; i < ROUNDS_MAX; i++) {
		uint64_t prove =
			f->tracking ? MIN(unproved, forecast_proof(f)) : used;
		uint64_t sent, took;

		/* As volume_follow goes: proof, map, what was written. */
		took = f->overhead_ms * 2 + f->sync_ms +
		       forecast_ms(prove, compare_rate(f));
		sent = MIN(dirty + forecast_written(w, took), w->most);
		took += forecast_ms(sent, send_rate(f));
		dirty = forecast_written(w, forecast_ms(sent, send_rate(f)));
		unproved = unproved - MIN(unproved, prove) + sent;
		unproved = MIN(unproved, used);
		ret->rounds += sent > 0;
		ret->sent += sent;
		now.bytes = dirty;
		now.unproved = unproved;
		now.forecast_ms = forecast_outage(f, dirty, unproved, used);
		ret->outage_ms = now.forecast_ms;
		ret->ms += took;
		ret->fits = now.forecast_ms <= budget_ms;
		slow = forecast_slow(&last, &now, budget_ms, slow);
		if (slow == FORECAST_STUCK ||
			(ret->fits && !forecast_improving(&last, &now)))
			return;
		last = now;
	}
}
