/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of an estimate. */
#include "base/cleanup.h"
#include "move/estimate.h"

static uint64_t rate_of(uint64_t bytes, uint64_t ms)
{
	return (uint64_t)((double)bytes * 1000 / (double)MAX(ms, (uint64_t)1));
}

static uint64_t way_rate(const struct estimate_way *w)
{
	return rate_of(w->bytes, w->ms);
}

/* By the rule that the copy path decides with, see adapt_step. */
static bool pays(uint64_t plain, uint64_t packed)
{
	return packed > plain + plain / 16;
}

static uint64_t ms_for(uint64_t bytes, uint64_t rate)
{
	return (uint64_t)((double)bytes * 1000 /
			  (double)MAX(rate, (uint64_t)1));
}

/* The way's rate on a link of so many bytes a second. */
static uint64_t way_on(const struct estimate_way *w, uint64_t link)
{
	double most = (double)link * (double)w->bytes /
		      (double)MAX(w->sent, (uint64_t)1);
	uint64_t own = way_rate(w);

	return most < (double)own ? (uint64_t)most : own;
}

uint64_t estimate_seed_at(const struct estimate *e, uint64_t link)
{
	uint64_t plain = way_on(&e->plain, link);
	uint64_t packed = way_on(&e->packed, link);

	return ms_for(e->used, pays(plain, packed) ? packed : plain);
}

void estimate_work_out(struct estimate *e, uint64_t budget_ms)
{
	const struct estimate_way *w;
	uint64_t span = MAX(e->writes.sample_ms, (uint64_t)1);

	e->packs = pays(way_rate(&e->plain), way_rate(&e->packed));
	w = e->packs ? &e->packed : &e->plain;
	e->rate = way_rate(w);
	e->low = MIN(w->low, e->rate);
	e->high = MAX(w->high, e->rate);
	e->seed_ms = ms_for(e->used, e->rate);
	e->seed_low_ms = ms_for(e->used, e->high);
	e->seed_high_ms = ms_for(e->used, e->low);
	e->seed_sent = (uint64_t)((double)e->used * (double)w->sent /
				  (double)MAX(w->bytes, (uint64_t)1));
	e->writes.most = e->size;
	e->forecast.send_rate = e->rate;
	e->forecast.dirty_rate =
		e->writes.sample_ms ? rate_of(e->written, span) : 0;
	forecast_course(&e->forecast, &e->writes, e->used, e->seed_ms,
		budget_ms, &e->course);
}
