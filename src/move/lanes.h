/* SPDX-License-Identifier: Apache-2.0 */
/* Making the lanes between the two agents of a session. */
#ifndef REHOST_MOVE_LANES_H
#define REHOST_MOVE_LANES_H

#include "move/options.h"
#include "move/session.h"

/* Makes lanes the way that via says; auto tries direct, reverse, relayed.
 * generation differs each time. *ret_path is "direct", "reverse" or "relay". */
int lanes_make(struct session *s, const struct options *o, uint32_t generation,
	const char **ret_path, struct error *err);

#endif
