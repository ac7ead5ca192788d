/* SPDX-License-Identifier: Apache-2.0 */
/* The facts of two machines, as JSON with a NUL between. */
#include "fuzz.h"

#include <jansson.h>

#include "move/preflight.h"

static void is_text(const json_t *finding, const char *key)
{
	const json_t *s = json_object_get(finding, key);

	fuzz_check(json_is_string(s) && json_string_length(s) > 0 &&
		   json_string_length(s) <= 1024);
	for (const char *c = json_string_value(s); *c; c++)
		fuzz_check((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void check(const json_t *source, const json_t *target,
	const struct preflight_wish *wish)
{
	const json_t *f;
	json_t *found;
	size_t i;

	fuzz_check(preflight(source, target, wish, &found) == 0);
	json_array_foreach(found, i, f)
	{
		is_text(f, "name");
		is_text(f, "severity");
		is_text(f, "host");
		is_text(f, "fact");
		is_text(f, "remedy");
	}
	json_decref(found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const ids[] = {"serial:T1", "wwn:a", NULL};
	static const struct preflight_disk disks[] = {
		{"vda", "vdb"}, {"serial:S1", NULL}, {"vdb", "vdb"}};
	static const struct preflight_wish asks = {.disks = disks,
		.n_disks = 3,
		.overwrite = ids,
		.takeover = true,
		.link_bytes_s = 1000,
		.source_asked_ms = 1700000000000,
		.target_asked_ms = 1};
	const uint8_t *gap = memchr(data, '\0', n);
	size_t first = gap ? (size_t)(gap - data) : n;
	json_t *source =
		json_loadb((const char *)data, first, JSON_DECODE_ANY, NULL);
	json_t *target = gap ? json_loadb((const char *)gap + 1, n - first - 1,
				       JSON_DECODE_ANY, NULL)
			     : NULL;

	check(source, target, NULL);
	check(source, target, &asks);
	check(target, source, &asks);
	json_decref(source);
	json_decref(target);
	return 0;
}
