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

struct hook_list {
	uint32_t n;
	char *v[HOOKS_MAX];
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
	uint32_t n_ssh;
	char *ssh[SSH_ARGS_MAX + 1]; /* NULL-terminated */
};

/* Sets the defaults. */
void options_init(struct options *o);
void options_done(struct options *o);

/* Adds a copy; -E2BIG when there are too many. */
int options_add_hook(struct hook_list *l, const char *command);
int options_add_ssh(struct options *o, const char *arg);

/* A new reference, or NULL when out of memory. */
json_t *options_to_json(const struct options *o);
/* Reads what options_to_json made. -EINVAL when it is something else. */
int options_from_json(const json_t *j, struct options *ret, struct error *err);

extern const char *const fence_names[]; /* by enum fence_kind */
extern const char *const via_names[];	/* by enum via */

#endif
