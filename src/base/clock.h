/* SPDX-License-Identifier: Apache-2.0 */
/* Time. Nothing in rehost relies on two machines' clocks agreeing. */
#ifndef REHOST_BASE_CLOCK_H
#define REHOST_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds and microseconds of CLOCK_MONOTONIC. */
uint64_t clock_ms(void);
uint64_t clock_us(void);

/* Milliseconds since 1970, by this machine's clock, which may be set at any
 * time. */
uint64_t clock_wall_ms(void);

/* Sleeps, resuming after signals. */
void clock_sleep_ms(unsigned ms);

/* Writes the present time as RFC 3339 in UTC ("2026-01-31T12:00:00Z"). */
#define CLOCK_TEXT_SIZE 32
void clock_text(char buf[CLOCK_TEXT_SIZE]);

#endif
