/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/facts.h"

#include <string.h>

const json_t *facts_at(const json_t *j, const char *path)
{
	char key[64];

	while (j && *path) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		j = json_object_get(j, key);
		path += n + (path[n] == '.');
	}
	return json_is_null(j) ? NULL : j;
}

const char *facts_text(const json_t *j, const char *path)
{
	const char *s = json_string_value(facts_at(j, path));

	return s ? s : "";
}

const json_t *facts_named(const json_t *list, const char *name)
{
	const json_t *o;
	size_t i;

	json_array_foreach(list, i, o)
	{
		if (name[0] && strcmp(facts_text(o, "name"), name) == 0)
			return o;
	}
	return NULL;
}

json_t *facts_kernel(const json_t *facts)
{
	const json_t *list = facts_at(facts, "kernels");
	json_t *k, *running = NULL;
	size_t i;

	json_array_foreach(list, i, k)
	{
		if (json_is_true(json_object_get(k, "default")))
			return k;
		if (!running && json_is_true(json_object_get(k, "running")))
			running = k;
	}
	return running ? running
		       : json_array_get(list, json_array_size(list) - 1);
}
