/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathering in a child. A server that is away, a disk whose paths are dead and
 * a process that is stuck can hold whoever looks at them for ever, beyond the
 * reach of signals. So a child looks, and says each time at what (gather_step).
 * When it gets no further it is given up, what it looked at is named in
 * "missing", and another child goes on without that.
 */
#ifndef REHOST_FACTS_WATCH_H
#define REHOST_FACTS_WATCH_H

#include "facts/gather.h"

/* A part of the facts. Its function only sets new keys of g->top, and adds to
 * g->missing. */
struct watch_group {
	const char *name;
	void (*fn)(struct gather *g);
};

/* Gathers all groups, each with what those before it set. A child that does
 * nothing for stall_ms, and what gather_step allows, hangs; not even using the
 * processor counts as nothing. What is not gathered after all_ms is named.
 * Where no child can be made it is done here. Not for several threads at once.
 */
void watch_run(struct gather *g, const struct watch_group *groups, size_t n,
	uint64_t stall_ms, uint64_t all_ms);

/* gather_step */
bool watch_step(struct watch *w, const char *what, uint64_t may_ms);

#endif
