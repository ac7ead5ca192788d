/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands in the way of moving a whole machine, told from the facts of both
 * ends (facts/facts.h) before anything is copied. rehost-preflight(7) has every
 * finding, what it means and what helps.
 *
 * It asks nobody and changes nothing. Facts come from machines that nobody
 * vouches for: what is absent or of another type than the manual says counts as
 * not known, and is named only where the move hangs on it.
 */
#ifndef REHOST_MOVE_PREFLIGHT_H
#define REHOST_MOVE_PREFLIGHT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Which disk goes where, as the plan has it (plan_make_disks.c decides). Each
 * is a name ("sda"), a path, or an ID as for --overwrite. */
struct preflight_disk {
	const char *source;
	const char *target; /* NULL: this disk stays behind */
};

struct takeover_reach; /* move/takeover_network.h */

/* Whether the user's ssh can log in again after a takeover. */
struct preflight_login {
	bool offers;   /* it has keys that it offers without asking */
	unsigned kept; /* of them may log in afterwards */
	bool sure;     /* it offers no others */
};

/* What the user asks for, and what was measured. All zero: nothing is. */
struct preflight_wish {
	/* Fixed disks of the source that are not here have no target yet. */
	const struct preflight_disk *disks;
	unsigned n_disks;
	/* What may be destroyed, as plan_disk_overwrite has it, NULL behind;
	 * NULL: nothing. */
	const char *const *overwrite;
	bool takeover; /* the target becomes one by kexec */
	/* For a takeover; NULL: not known yet. */
	const struct takeover_reach *reach;
	const struct preflight_login *login;
	bool new_addresses;    /* the source's addresses are not kept */
	bool fits_loader;      /* what it boots by is changed on the target */
	bool stays;	       /* the source goes on: nothing is fenced */
	uint64_t link_bytes_s; /* measured between both; 0: not known */
	/* The controller's clock when each machine told its own, milliseconds
	 * since 1970; 0: not known. */
	int64_t source_asked_ms, target_asked_ms;
};

/* Makes a list of all findings, those that block first:
 *
 *	{"name", "severity": "blocks|warns|notes", "host": "source|target",
 *	 "fact": "what it rests on", "remedy": "what helps"}
 *
 * Texts are clean: no control characters, at most 1 KiB. target may be NULL:
 * then only the source is looked at; wish may be NULL. The caller owns
 * *ret_findings. 0 or -ENOMEM. */
int preflight(const json_t *source, const json_t *target,
	const struct preflight_wish *wish, json_t **ret_findings) MUST_CHECK;

/* The same for a takeover alone: what stands in the way of it on the target,
 * whatever is moved there later. login may be NULL. */
int preflight_takeover(const json_t *target, const struct takeover_reach *reach,
	const struct preflight_login *login, json_t **ret_findings) MUST_CHECK;

/* The modaliases of a target's storage and network controllers and of what
 * those hang on, each once, to have facts_gather look for their drivers on the
 * source. They point into the facts, have NULL behind them, and the caller
 * frees *ret. 0 or -ENOMEM. */
int preflight_modaliases(const json_t *target, const char ***ret) MUST_CHECK;

/* The names of all findings, one after the other; NULL behind the last. */
const char *preflight_name(unsigned i);

#endif
