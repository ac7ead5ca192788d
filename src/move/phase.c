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

const char *const point_names[POINT_COUNT] = {"before", "acked", "after"};

bool phase_has_point(enum phase p, enum point at)
{
	return at != POINT_ACKED || p == PHASE_COMMIT;
}

const char *phase_kill_wish(enum phase p, enum point at)
{
	static bool granted;
	const char *wish = getenv("REHOST_TEST_KILL");
	char here[64];
	size_t n;

	if (!wish || granted)
		return NULL;
	(void)snprintf(
		here, sizeof(here), "%s.%s:", phase_names[p], point_names[at]);
	n = strlen(here);
	if (strncmp(wish, here, n) != 0)
		return NULL;
	granted = true;
	return wish + n;
}
