/* SPDX-License-Identifier: Apache-2.0 */
#include "move/phase.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const phase_names[PHASE_COUNT] = {
	[PHASE_INSPECT] = "inspect",
	[PHASE_PREPARE] = "prepare",
	[PHASE_SEED] = "seed",
	[PHASE_FOLLOW] = "follow",
	[PHASE_QUIESCE] = "quiesce",
	[PHASE_FINISH] = "finish",
	[PHASE_VERIFY] = "verify",
	[PHASE_COMMIT] = "commit",
	[PHASE_ACTIVATE] = "activate",
	[PHASE_SETTLE] = "settle",
};

int phase_find(const char *name)
{
	for (int i = 0; i < PHASE_COUNT; i++)
		if (strcmp(phase_names[i], name) == 0)
			return i;
	return -1;
}

const char *const point_names[POINT_COUNT] = {
	"before", "acked", "published", "ordered", "after"};

bool phase_has_point(enum phase p, enum point at)
{
	switch (at) {
	case POINT_ACKED:
		return p == PHASE_COMMIT;
	case POINT_PUBLISHED:
	case POINT_ORDERED:
		return p == PHASE_ACTIVATE;
	default:
		return true;
	}
}

const char *const *phase_victims(enum phase p, enum point at)
{
	static const char *const all[] = {"controller", "source", "target",
		"keeper", "ssh", "hook", NULL};
	static const char *const no_hook[] = {
		"controller", "source", "target", "keeper", "ssh", NULL};

	return (p == PHASE_QUIESCE || p == PHASE_ACTIVATE) &&
			       (at == POINT_BEFORE || at == POINT_AFTER)
		       ? all
		       : no_hook;
}

bool phase_kills(enum phase p, enum point at, const char *victim)
{
	static bool granted;
	const char *wish = getenv("REHOST_TEST_KILL");
	char here[64];

	if (!wish || granted)
		return false;
	(void)snprintf(here, sizeof(here), "%s.%s:%s", phase_names[p],
		point_names[at], victim);
	granted = strcmp(wish, here) == 0;
	return granted;
}
