/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The moved system made ready on a machine that runs an agent and nothing else:
 * mounted, changed, its kernel loaded. The new machine and its rehearsal go
 * through the same.
 */
#ifndef REHOST_MOVE_FIT_H
#define REHOST_MOVE_FIT_H

#include "move/move.h"

struct fit_result {
	json_t *fixups;	   /* the report of fixup/fixup.h, {} for none */
	char skipped[512]; /* mounts that could not be looked into, or "" */
	char why[512];	   /* the kernel was not loaded, or "" */
	uint64_t ms;
	struct msg_boot how; /* to start it */
};

/* What machine_prepare stored. */
int fit_load(struct move *m, struct msg_fit *ret, struct error *err) MUST_CHECK;

/* Has the agent of that side do it, in the way that options.boot says: then
 * ret->how is what MSG_BOOT is to be told. -ENOEXEC when only kexec will do and
 * the kernel was not loaded. */
int fit_system(struct move *m, enum side side, struct msg_fit *fit,
	struct fit_result *ret, struct error *err) MUST_CHECK;

void fit_result_done(struct fit_result *r);

#endif
