/* SPDX-License-Identifier: Apache-2.0 */
/* What ssh itself makes of its configuration: "ssh -G", ssh(1). */
#ifndef REHOST_MOVE_SSH_SAYS_H
#define REHOST_MOVE_SSH_SAYS_H

#include "base/cleanup.h"
#include "link/ssh.h"

/* Its options for a place, one "name value" a line; the caller frees *ret.
 * Waits for some seconds at most. 0 or negative errno. */
int ssh_says(const struct place *place, const struct ssh_options *o,
	char **ret) MUST_CHECK;

/* What a command says there. It has ten seconds. */
int ssh_runs(const struct place *place, const struct ssh_options *o,
	const char *command, char **ret) MUST_CHECK;

/* What ssh_says has of a word, or "". */
void ssh_value(const char *text, const char *key, char *buf, size_t size);

#endif
