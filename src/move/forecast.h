/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a move will go on: how long the source would stand still if it were cut
 * now, whether another round is worth its time, and, before anything is copied,
 * how many rounds there will be. Moves and estimates use the same arithmetic.
 */
#ifndef REHOST_MOVE_FORECAST_H
#define REHOST_MOVE_FORECAST_H

#include <stdbool.h>
#include <stdint.h>

#include "move/part.h"

/* Milliseconds for so many bytes, and bytes a second; never more than
 * INT64_MAX. Nothing takes a millisecond at least. */
uint64_t forecast_ms(uint64_t bytes, uint64_t rate);
uint64_t forecast_rate(uint64_t bytes, uint64_t ms);

/* Rates in bytes a second. */
struct forecast {
	uint64_t send_rate;    /* 0: not known; 50 MiB/s is taken */
	uint64_t compare_rate; /* 0: not known; as it sends */
	uint64_t dirty_rate;   /* that the source writes */
	uint64_t sync_ms;      /* to sync and to read the used map */
	uint64_t overhead_ms;  /* of a pass with nothing in it */
	bool tracking;	       /* else everything known is compared */
	bool full_verify;
};

/* How long the source would stand still, but for hooks, with so many bytes
 * dirty, unproved and known. */
uint64_t forecast_outage(const struct forecast *f, uint64_t dirty,
	uint64_t unproved, uint64_t known);

/* Bytes that a background proof takes between two rounds. */
uint64_t forecast_proof(const struct forecast *f);

/* Is waiting for the next round worth its time? What is sent and proved now
 * need not be while the source stands still. */
bool forecast_improving(
	const struct backlog *before, const struct backlog *now);

/* For how many rounds running the backlog did not come nearer to what the
 * budget allows; slow is what this said last. */
#define FORECAST_STUCK 3 /* then it does not converge */
unsigned forecast_slow(const struct backlog *before, const struct backlog *now,
	uint64_t budget_ms, unsigned slow);

/* ---- before anything is copied ---- */

/* What a sample of the source's writes had: bytes of different blocks in its
 * first half and in all of it. */
struct forecast_writes {
	uint64_t sample_ms; /* 0: nobody looked, nothing is written */
	uint64_t half, distinct;
	uint64_t most; /* that there can be: the volumes' size */
};

/* Bytes of different blocks that are written in so many milliseconds. Behind
 * the sample the rate of its second half goes on: blocks that are written again
 * and again make the truth less. */
uint64_t forecast_written(const struct forecast_writes *w, uint64_t ms);

struct forecast_course {
	unsigned rounds;    /* with anything in them, the seed not counted */
	uint64_t ms;	    /* from the end of the seed to the cutover */
	uint64_t sent;	    /* in the rounds */
	uint64_t outage_ms; /* at their end */
	bool fits;	    /* it is within the budget; else it never will be */
};

/* How a move of used bytes, whose seed takes seed_ms, would go on. */
void forecast_course(const struct forecast *f, const struct forecast_writes *w,
	uint64_t used, uint64_t seed_ms, uint64_t budget_ms,
	struct forecast_course *ret);

#endif
