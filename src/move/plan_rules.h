/* SPDX-License-Identifier: Apache-2.0 */
/* What holds between the keys of a plan. Each rule is called when all keys of
 * its map have been read, and refuses with file, line and column. */
#ifndef REHOST_MOVE_PLAN_RULES_H
#define REHOST_MOVE_PLAN_RULES_H

#include "move/plan_yaml.h"

struct plan_rules {
	const char *file;
	struct error *err;
};

/* base: the struct plan_disk, struct plan_nic, struct plan that y became. */
int plan_rules_disk(const struct plan_rules *r, const struct plan_yaml *y,
	const void *base) MUST_CHECK;
int plan_rules_nic(const struct plan_rules *r, const struct plan_yaml *y,
	const void *base) MUST_CHECK;
int plan_rules_plan(const struct plan_rules *r, const struct plan_yaml *y,
	const void *base) MUST_CHECK;

#endif
