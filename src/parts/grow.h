/* SPDX-License-Identifier: Apache-2.0 */
/* The target's disks, once they hold the copy of a machine and nobody has them:
 * the second copies of their partition tables go to where they end, and the
 * partitions that the plan named get the room behind them. */
#ifndef REHOST_PARTS_GROW_H
#define REHOST_PARTS_GROW_H

#include "base/cleanup.h"
#include "move/part.h"

/* May be repeated. What cannot be grown is noted, and no failure; only a lost
 * connection is one, and -EBUSY after a resume, when an earlier agent may hold
 * the disks for a while. */
int grow_target(struct part *p, struct error *err) MUST_CHECK;

#endif
