/* SPDX-License-Identifier: Apache-2.0 */
/* Work that takes long and knows nothing of the session, beside it. */
#ifndef REHOST_MOVE_ASIDE_H
#define REHOST_MOVE_ASIDE_H

#include <stddef.h>
#include <sys/types.h>

#include "move/session.h"

/* It runs in a process of its own: what it finds goes to n bytes at out, all of
 * them its own, as pointers do not come back. */
struct aside {
	int (*work)(void *arg, void *out, struct error *err);
	void *arg, *out;
	size_t n;
};

/* Returns what it returned, with its error. The session is served meanwhile;
 * what that says (-EINTR) ends the work. NULL: there is none. */
int aside_run(
	const struct aside *a, struct session *s, struct error *err) MUST_CHECK;

/* Waits for a child as long as it takes, and serves the session; when that says
 * that it is to end the child is killed, and it is returned. */
int aside_wait(pid_t pid, struct session *s, int *ret_status,
	struct error *err) MUST_CHECK;

/* Serves the session for a while, or sleeps when that cannot be. Returns what
 * it says. */
int aside_pause(struct session *s, unsigned ms, struct error *err);

#endif
