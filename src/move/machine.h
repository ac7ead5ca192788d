/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a move of a whole machine is made of: which of its disks goes where, and
 * what its system is to become, from the facts of both machines and a plan.
 */
#ifndef REHOST_MOVE_MACHINE_H
#define REHOST_MOVE_MACHINE_H

#include "move/move.h"
#include "move/plan.h"

/* Asks both machines, which are connected, compares them, makes a plan or takes
 * the one of options.plan, and sets disks, wish, probes and what else the plan
 * says in m->options. Refuses what would not boot. Nothing is written. */
int machine_plan(struct move *m, struct error *err);

/* Which of both machines is connected on that side, as their network cards say:
 * 1 the target, 0 the source, -ENODATA when the cards do not tell, other
 * negative errno. Asks its facts. */
int machine_which(struct move *m, enum side side, struct error *err);

/* What fixup_run (fixup/fixup.h) is told; a new reference, or NULL when out of
 * memory. */
json_t *machine_wish(const struct plan *p, const json_t *source,
	const json_t *target, const char *name);

#endif
