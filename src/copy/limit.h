/* SPDX-License-Identifier: Apache-2.0 */
/* A bandwidth limit that several threads share. */
#ifndef REHOST_COPY_LIMIT_H
#define REHOST_COPY_LIMIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct limit {
	pthread_mutex_t lock;
	uint64_t rate;	  /* bytes a second; 0 = none */
	uint64_t next_us; /* when the next byte may go */
	bool ended;
	pthread_cond_t changed;
};

/* No limit at first. */
void limit_init(struct limit *l);
void limit_done(struct limit *l);

/* Begins anew with a rate; while nobody waits. */
void limit_set(struct limit *l, uint64_t rate);

/* Sleeps until n more bytes may be sent. Bursts of up to 100 ms are allowed. */
void limit_wait(struct limit *l, uint64_t n);

/* Ends all waits, and every later one, at once and for good. */
void limit_end(struct limit *l);

#endif
