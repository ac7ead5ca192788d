/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clone lives beside its source: what of the source must not be there twice
 * is looked for before anything is written.
 */
#ifndef REHOST_MOVE_CLONE_H
#define REHOST_MOVE_CLONE_H

#include "move/move.h"
#include "move/plan.h"

/* Refuses a plan by which the clone would have an address that the source
 * keeps, and names it (-EADDRINUSE): one that moves as it is, also when the
 * source has it by its configuration only, and one of an interface that is left
 * out while the target has a card for which the plan says nothing, as the
 * kernel may give that its name. What only the source itself reaches, as
 * bridges and tunnels that no network card carries, is noted. Writes nothing.
 */
int clone_check(struct move *m, const struct plan *p, const json_t *source,
	const json_t *target, struct error *err) MUST_CHECK;

#endif
