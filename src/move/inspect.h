/* SPDX-License-Identifier: Apache-2.0 */
/* The facts of a machine, gathered there by an agent; see rehost-facts(5). */
#ifndef REHOST_MOVE_INSPECT_H
#define REHOST_MOVE_INSPECT_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "link/ssh.h"
#include "move/session.h"

/* Asks the machine of a place, whose path must be empty, as root or as whoever
 * may log in. Rates are taken over sample_ms (0: none). modaliases as for
 * facts_gather; what exceeds MODALIASES_MAX, or is longer than any that a
 * kernel makes, is left out. What comes is JSON whose values are the machine's
 * own words: of any type, in any place. The caller owns *ret. *ret_asked_ms
 * (NULL: not wanted) is when it was asked, by this machine's clock; the agent
 * reads its own at once. Blocks. -EPROTO when it is no JSON object or more than
 * FACTS_MAX. */
int inspect(const struct place *place, const struct ssh_options *options,
	unsigned sample_ms, const char *const *modaliases, json_t **ret,
	int64_t *ret_asked_ms, struct error *err);

/* The same of a machine whose agent is connected. */
int inspect_with(struct session *s, enum side side, unsigned sample_ms,
	const char *const *modaliases, json_t **ret, struct error *err);

#endif
