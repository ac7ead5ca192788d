/* SPDX-License-Identifier: Apache-2.0 */
/* Which volumes of a machine would have to be carried. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "facts/facts.h"
#include "move/estimate.h"
#include "move/plan_disk.h"

/* Does anything lie on it? */
static bool carries(const json_t *disks, const char *name)
{
	const json_t *d, *p;
	size_t i, k;

	json_array_foreach(disks, i, d)
	{
		json_array_foreach(json_object_get(d, "parents"), k, p)
		{
			if (json_is_string(p) &&
				strcmp(json_string_value(p), name) == 0)
				return true;
		}
	}
	return false;
}

static bool is_swap(const json_t *facts, const json_t *disk)
{
	const json_t *s;
	size_t i;

	json_array_foreach(json_object_get(facts, "swap"), i, s)
	{
		if (strcmp(facts_text(s, "disk"), facts_text(disk, "name")) ==
				0 &&
			strcmp(facts_text(s, "kind"), "partition") == 0)
			return true;
	}
	return strcmp(facts_text(json_object_get(disk, "content"), "type"),
		       "swap") == 0;
}

/* Why the disk is not among the volumes; NULL when it is. "" when it is not
 * worth a word. */
static const char *why_not(const json_t *facts, const json_t *disk)
{
	static const char *const kinds[] = {
		"disk", "part", "lvm", "md", "crypt", "mpath", "dm"};
	const char *kind = facts_text(disk, "kind");
	bool known = false;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		known = known || strcmp(kind, kinds[i]) == 0;
	if (!known || !facts_text(disk, "path")[0] ||
		carries(json_object_get(facts, "disks"),
			facts_text(disk, "name")))
		return "";
	if (json_is_true(json_object_get(disk, "removable")))
		return "removable";
	if (is_swap(facts, disk))
		return "swap";
	if (plan_disk_is_empty(disk))
		return "empty";
	return NULL;
}

int estimate_machine(const json_t *facts, struct msg_measure *q,
	char **ret_left_out, struct error *err)
{
	const json_t *d;
	char *text = NULL;
	size_t i, n = 0;
	FILE *f;

	if (!plan_disk_can_count(facts)) {
		error_set(err, -E2BIG, "estimate this machine");
		error_why(err, "it has more disks than any machine");
		return error_todo(err, "name one volume, like host:/dev/vdb");
	}
	f = open_memstream(&text, &n);
	if (!f)
		return error_set(err, -ENOMEM, "estimate this machine");
	q->n = 0;
	json_array_foreach(json_object_get(facts, "disks"), i, d)
	{
		const char *why = why_not(facts, d);
		const char *path = facts_text(d, "path");

		if (!why && q->n == MEASURE_MAX)
			why = "more volumes than can be measured at once";
		if (!why && strlen(path) < sizeof(q->v[0].path))
			(void)snprintf(q->v[q->n++].path, sizeof(q->v[0].path),
				"%s", path);
		else if (why && why[0])
			(void)fprintf(f, "%s%s (%s)", ftell(f) > 0 ? ", " : "",
				path, why);
	}
	if (fclose(f) != 0 || !text) {
		free(text);
		return error_set(err, -ENOMEM, "estimate this machine");
	}
	*ret_left_out = text;
	if (q->n > 0)
		return 0;
	error_set(err, -ENOENT, "estimate this machine");
	error_why(err, "no disk of it holds anything that is known%s%s",
		text[0] ? ": " : "", text);
	return error_todo(err, "name a volume, like host:/dev/vdb");
}
