/* SPDX-License-Identifier: Apache-2.0 */
/* Device-mapper tables: u8 form (0 a table, 1 parameters of a target), bytes.
 */
#include "fuzz.h"

#include "track/dmtable.h"

static void lower(const struct dmtable_target *t)
{
	static struct segments s;
	struct segment piece = {.major = 253,
		.disk_start = t->start,
		.sectors = t->sectors ? t->sectors : 1,
		.stripes = 1};
	uint64_t sectors = 0;

	memset(&s, 0, sizeof(s));
	if (dmtable_lower(t, &piece, &s, &sectors) == 0) {
		fuzz_check(sectors <= piece.sectors);
		fuzz_check(s.n <= SEGMENTS_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct dmtable_target t;
	size_t at = 0, before;
	uint64_t *table;
	char *text;

	if (n < 1)
		return 0;
	if (data[0] & 1) {
		text = fuzz_text(data + 1, n - 1);
		memset(&t, 0, sizeof(t));
		t.sectors = 1 << 20;
		strcpy(t.type, data[0] & 2 ? "striped" : "linear");
		if (dmtable_parse(text, &t) == 0) {
			fuzz_check(t.stripes > 0 &&
				   t.stripes <= DMTABLE_STRIPES_MAX);
			lower(&t);
		}
		free(text);
		return 0;
	}
	table = fuzz_alloc(n - 1);
	memcpy(table, data + 1, n - 1);
	for (int i = 0; i < 100; i++) {
		before = at;
		if (dmtable_next(table, n - 1, &at, &t) < 0)
			break;
		/* Behind the end, at last. */
		fuzz_check(at > before);
		lower(&t);
	}
	free(table);
	return 0;
}
