/* SPDX-License-Identifier: Apache-2.0 */
#include "copy/limit.h"

#include "base/clock.h"

#define BURST_US 100000

void limit_init(struct limit *l)
{
	pthread_condattr_t attr;

	(void)pthread_mutex_init(&l->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&l->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	l->rate = l->next_us = 0;
	l->ended = false;
}

void limit_done(struct limit *l)
{
	(void)pthread_mutex_destroy(&l->lock);
	(void)pthread_cond_destroy(&l->changed);
}

void limit_set(struct limit *l, uint64_t rate)
{
	(void)pthread_mutex_lock(&l->lock);
	l->rate = rate;
	l->next_us = 0;
	(void)pthread_mutex_unlock(&l->lock);
}

void limit_wait(struct limit *l, uint64_t n)
{
	uint64_t now, mine;
	struct timespec until;

	(void)pthread_mutex_lock(&l->lock);
	if (l->rate > 0) {
		now = clock_us();
		if (l->next_us + BURST_US < now)
			l->next_us = now - BURST_US;
		mine = l->next_us;
		l->next_us += (uint64_t)((double)n * 1e6 / (double)l->rate);
		until.tv_sec = (time_t)(mine / 1000000);
		until.tv_nsec = (long)(mine % 1000000 * 1000);
		while (!l->ended && clock_us() < mine)
			(void)pthread_cond_timedwait(
				&l->changed, &l->lock, &until);
	}
	(void)pthread_mutex_unlock(&l->lock);
}

void limit_end(struct limit *l)
{
	(void)pthread_mutex_lock(&l->lock);
	l->ended = true;
	(void)pthread_cond_broadcast(&l->changed);
	(void)pthread_mutex_unlock(&l->lock);
}
