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
 * keeps, and names it (-EADDRINUSE). What only the source itself reaches, as
 * bridges and tunnels that no network card carries, is noted. Writes nothing.
 */
int clone_check(struct move *m, const struct plan *p, const json_t *source,
	struct error *err) MUST_CHECK;

#endif
