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

/* Asks them once more, when a move goes on: which kernel starts, with which
 * drivers, is planned anew, and nothing else. */
int machine_plan_again(struct move *m, struct error *err);

/* The addresses of the source that the new machine will have as well, without
 * link-local ones and at most MACHINE_SHARED_MAX of them: a new list of texts,
 * or NULL when out of memory. What DHCP will give is not known, and not in it.
 */
#define MACHINE_SHARED_MAX 16
json_t *machine_shared(const struct plan *p, const json_t *source);

/* Sets machine.shared in the report, and machine.address: where clients find
 * the new machine, by the interface that takes the place of the one by which
 * the source is reached; "" when that is not known. */
void machine_choose_address(
	struct move *m, const struct plan *p, const json_t *source);

/* What fixup_run (fixup/fixup.h) is told; a new reference, or NULL when out of
 * memory. */
json_t *machine_wish(const struct plan *p, const json_t *source,
	const json_t *target, const char *name);

/* Sets what is in it of the kernel that starts: root, kernel, drivers, boot.
 * 0 or -ENOMEM. */
int machine_wish_kernel(
	json_t *wish, const json_t *source, const json_t *target);

#endif
