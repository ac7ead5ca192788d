/* SPDX-License-Identifier: Apache-2.0 */
/* What the user asked for; kept in the store as JSON. */
#ifndef REHOST_MOVE_OPTIONS_H
#define REHOST_MOVE_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "link/ssh.h"
#include "wire/message.h"

#define SSH_ARGS_MAX 64

enum via { VIA_AUTO, VIA_DIRECT, VIA_REVERSE, VIA_RELAY };
enum boot { BOOT_AUTO, BOOT_BY_KEXEC, BOOT_BY_FIRMWARE };

struct hook_list {
	uint32_t n;
	char *v[HOOKS_MAX];
};

/* One disk of a machine that moves, and the one that it goes to. */
struct move_disk {
	char source[4096], target[4096]; /* paths */
	char overwrite[256];
};

struct options {
	char name[64];
	char source[4600], target[4600]; /* as the user wrote them */
	bool copy;			 /* rehost copy: no cutover */
	bool wait;			 /* --cutover wait */
	bool freeze, full_verify;
	enum fence_kind fence;
	enum via via;
	uint32_t lanes, port_low, port_high;
	uint64_t bwlimit, downtime_ms, linger_ms, hook_timeout_ms, lease_ms;
	char overwrite[256];
	struct hook_list quiesce, rollback, activate, deactivate;
	/* A machine: its disks, and what its moved system is to become
	 * (fixup/fixup.h), both by its plan. 0: a volume. */
	uint32_t n_disks;
	struct move_disk *disks;
	json_t *wish;
	struct hook_list probes;  /* that must answer on the new machine */
	enum boot boot;		  /* how the new machine is started */
	uint64_t boot_timeout_ms; /* until all probes must be answered */
	bool clone;		  /* the source stays */
	/* Commands of the controller that switch machines: move/power.h. */
	struct hook_list power_off, power_on, target_power_off;
	bool no_rollback; /* confirmed when the new machine answers */
	/* Not stored: the plan's file, or ""; and what was said besides, which
	 * counts more than what stands there. The wish has the rest of it. */
	char plan[4096];
	char hostname[65]; /* --as: of the new machine, or "" */
	bool set_downtime, set_cutover, set_bwlimit, set_hook_timeout;
	uint32_t n_ssh;
	char *ssh[SSH_ARGS_MAX + 1]; /* NULL-terminated */
};

/* Sets the defaults. */
void options_init(struct options *o);
void options_done(struct options *o);

/* Adds a copy; -E2BIG when there are too many. */
int options_add_hook(struct hook_list *l, const char *command);

/* Replaces a list, unless the other one is empty: what is said now counts more
 * than what was said when the move began. */
int options_take_hooks(
	struct hook_list *to, const struct hook_list *from) MUST_CHECK;
int options_add_ssh(struct options *o, const char *arg);
/* Adds a disk; -E2BIG when there are VOLUMES_MAX. */
int options_add_disk(struct options *o, const char *source, const char *target,
	const char *overwrite);

/* A new reference, or NULL when out of memory. */
json_t *options_to_json(const struct options *o);
/* Reads what options_to_json made. -EINVAL when it is something else. */
int options_from_json(const json_t *j, struct options *ret, struct error *err);

extern const char *const fence_names[]; /* by enum fence_kind */
extern const char *const via_names[];	/* by enum via */
extern const char *const boot_names[];	/* by enum boot */

#endif
