/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a machine answer as its clients see it? A child of the controller asks
 * again and again, first the source, then, when it is told, the target, and
 * keeps when it last heard from the one and first from the other: the outage.
 */
#ifndef REHOST_MOVE_PROBE_H
#define REHOST_MOVE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "move/options.h"

struct prober;

/* One question: "tcp:22", "http://:80/path", "http://name:80/path" (see
 * rehost-plan(5)) to a host. Waits at most timeout_ms. 0: it answered; negative
 * errno. */
int probe_once(const char *probe, const char *host, unsigned timeout_ms);

/* The port that a probe asks; 0 when it is not written as a number. */
uint16_t probe_port(const char *probe);

/* The same probe of another port. -E2BIG when buf is too small. */
int probe_at_port(
	const char *probe, unsigned port, char *buf, size_t size) MUST_CHECK;

/* Begins to ask the first of the probes of the source, several times a second.
 * 0 or negative errno. */
int prober_start(const struct hook_list *probes, const char *source,
	struct prober **ret) MUST_CHECK;

/* From now on all probes are asked of the target. */
void prober_turn(struct prober *p, const char *target);

/* When the source last answered, and when all of the target first did, by
 * clock_ms; 0: not yet. */
uint64_t prober_last(const struct prober *p);
uint64_t prober_first(const struct prober *p);

/* Ends it. NULL is fine. */
void prober_end(struct prober *p);

#endif
