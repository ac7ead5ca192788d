/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who answers. Once a machine has moved, several systems may have one address
 * and one host key: the source, as it is held or booted since, and the system
 * that was moved; and where that was to boot, the target's rescue system may
 * still run. So neither says whom a connection leads to. The boot id does
 * (random(4), one for each boot of a kernel), and the network cards, which stay
 * with their machine.
 */
#ifndef REHOST_MOVE_WHO_H
#define REHOST_MOVE_WHO_H

#include "move/move.h"

enum who {
	WHO_SOURCE,	  /* as it was at the cut */
	WHO_SOURCE_SINCE, /* the same machine, booted since: with its own
			   * system or a rescue system */
	WHO_RESCUE,	  /* the target's */
	WHO_MOVED,	  /* the system that was moved, on the target */
};

/* Who is connected on that side. May ask for its facts. -ENODATA when the cards
 * do not tell, other negative errno. */
int who_answers(struct move *m, enum side side, struct error *err);

#endif
