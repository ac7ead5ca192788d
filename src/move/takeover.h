/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running machine becomes a target in memory, by kexec: rehost-rescue(7),
 * TAKEOVER. Until the agent is told to start the loaded kernel nothing there is
 * changed; afterwards the old system is down, and boots again by the watchdog
 * when rehost is not heard from.
 */
#ifndef REHOST_MOVE_TAKEOVER_H
#define REHOST_MOVE_TAKEOVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "link/ssh.h"
#include "move/move.h"
#include "wire/message.h"

#define TAKEOVER_WATCHDOG_MS 600000

struct takeover_options {
	const char *authorized_keys; /* file of further keys; NULL: none */
	uint64_t watchdog_ms;	     /* 0: none */
	bool dry_run;		     /* all but starting it */
	/* Called with what is done now, and while it is waited for; ms since
	 * the old system was told to go down, or 0. May be NULL. */
	void (*say)(void *arg, const char *what, uint64_t ms);
	void *arg;
};

struct takeover_result {
	json_t *findings; /* of preflight_takeover; NULL: it did not come so far
			   */
	struct msg_loaded loaded; /* version "": it did not come so far */
	char address[64];	  /* at which it stays */
	json_t *facts;	  /* of the rescue system; NULL: none is there */
	uint64_t down_ms; /* from the order to go down until it answered */
};

/* Blocks until the rescue system answers. EXIT_DONE, else err is filled:
 * EXIT_REFUSED, the old system runs (also when it came back); EXIT_ACT_NOW, it
 * is down and nothing answers. takeover_result_done frees. */
int takeover(const struct place *place, const struct ssh_options *options,
	const struct takeover_options *o, struct takeover_result *ret,
	struct error *err);
void takeover_result_done(struct takeover_result *r);

#endif
