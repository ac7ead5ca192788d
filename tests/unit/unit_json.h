/* SPDX-License-Identifier: Apache-2.0 */
/* Facts as tests write them: JSON with ' for ". */
#ifndef REHOST_TESTS_UNIT_JSON_H
#define REHOST_TESTS_UNIT_JSON_H

#include "unit.h"

#include <jansson.h>

static inline json_t *load(const char *text)
{
	char *copy = strdup(text);
	json_error_t e;
	json_t *j;

	assert_non_null(copy);
	for (char *c = copy; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	j = json_loads(copy, 0, &e);
	if (!j)
		fail_msg("%s: %s", e.text, copy);
	free(copy);
	return j;
}

#endif
