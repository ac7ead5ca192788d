/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of an estimate. */
#include "base/cleanup.h"
#include "copy/adapt.h"
#include "move/estimate.h"

static uint64_t way_rate(const struct estimate_way *w)
{
	return forecast_rate(w->bytes, w->ms);
}

/* The way's rate on a link of so many bytes a second. */
static uint64_t way_on(const struct estimate_way *w, uint64_t link)
{
	double most = (double)link * (double)w->bytes /
		      (double)MAX(w->sent, (uint64_t)1);
	uint64_t own = way_rate(w);

	return most < (double)own ? (uint64_t)most : own;
}

/* What a seed loses to trying what does not pay in the end. It begins without
 * compression, and compares in pairs: one is enough where one way moves twice
 * as much as the other. */
static uint64_t trial_ms(uint64_t plain, uint64_t packed)
{
	uint64_t more = MAX(plain, packed), less = MIN(plain, packed);
	unsigned n = more / 2 > less ? 1 : 2;

	if (adapt_pays(plain, packed))
		n++;
	return more ? n * (ADAPT_TRIAL_MS - ADAPT_TRIAL_MS * less / more) : 0;
}

uint64_t estimate_seed_at(const struct estimate *e, uint64_t link)
{
	uint64_t plain = way_on(&e->plain, link);
	uint64_t packed = way_on(&e->packed, link);

	return forecast_ms(e->used, adapt_pays(plain, packed) ? packed : plain);
}

bool estimate_packs(const struct estimate *e)
{
	return adapt_pays(way_rate(&e->plain), way_rate(&e->packed));
}

void estimate_work_out(struct estimate *e, uint64_t budget_ms)
{
	const struct estimate_way *w;

	e->packs = estimate_packs(e);
	w = e->packs ? &e->packed : &e->plain;
	e->rate = way_rate(w);
	e->low = MIN(w->low, e->rate);
	e->high = MAX(w->high, e->rate);
	/* Trials, the last flush, and what else a pass takes. */
	e->fixed_ms = e->used ? e->forecast.overhead_ms +
					trial_ms(way_rate(&e->plain),
						way_rate(&e->packed))
			      : 0;
	e->seed_ms = forecast_ms(e->used, e->rate) + e->fixed_ms;
	e->seed_low_ms = forecast_ms(e->used, e->high) + e->fixed_ms;
	e->seed_high_ms = forecast_ms(e->used, e->low) + e->fixed_ms;
	e->seed_sent = (uint64_t)((double)e->used *
				  MIN((double)w->sent / (double)MAX(w->bytes,
								(uint64_t)1),
					  2.0));
	e->writes.most = e->size;
	e->forecast.send_rate = e->rate;
	e->forecast.dirty_rate =
		e->writes.sample_ms
			? forecast_rate(e->written, e->writes.sample_ms)
			: 0;
	forecast_course(&e->forecast, &e->writes, e->used, e->seed_ms,
		budget_ms, &e->course);
}
