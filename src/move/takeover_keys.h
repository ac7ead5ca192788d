/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys by which the user's ssh logs in without asking: those of identity
 * files that need no passphrase (ssh -G, ssh-keygen -y) and those of the agent
 * (ssh-add -L). One thread.
 */
#ifndef REHOST_MOVE_TAKEOVER_KEYS_H
#define REHOST_MOVE_TAKEOVER_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "link/ssh.h"

struct takeover_keys {
	char *text; /* public keys, one "TYPE BASE64 COMMENT" a line */
	size_t n;   /* bytes of it */
	bool sure;  /* ssh offers no others, such as certificates, or keys of
		     * smart cards */
};

/* Looks for them; what does not answer within seconds counts as not there. With
 * IdentitiesOnly all of the agent's are taken nevertheless. 0 or -ENOMEM;
 * takeover_keys_done frees, also when it is all zero. */
int takeover_keys_find(const struct place *place, const struct ssh_options *o,
	struct takeover_keys *ret) MUST_CHECK;
void takeover_keys_done(struct takeover_keys *k);

#endif
