/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's description of its pages, and a page: two texts, each with a
 * NUL behind it, and bytes. */
#include "fuzz.h"

#include "track/ringpage.h"

static void on_event(void *arg, const struct ringpage_event *e)
{
	(*(uint64_t *)arg)++;
	fuzz_check(e->kind == RINGPAGE_WRITE || e->kind == RINGPAGE_DISCARD ||
		   e->kind == RINGPAGE_IGNORE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const uint8_t *end = memchr(data, 0, n), *second, *page;
	struct ringpage_format f;
	uint64_t events = 0;
	uint8_t *copy;
	size_t left;

	memset(&f, 0, sizeof(f));
	if (!end || ringpage_header((const char *)data, &f) < 0)
		return 0;
	second = end + 1;
	end = memchr(second, 0, n - (size_t)(second - data));
	if (!end || ringpage_format((const char *)second, &f) < 0)
		return 0;
	page = end + 1;
	left = n - (size_t)(page - data);
	copy = fuzz_alloc(left);
	memcpy(copy, page, left);
	(void)!ringpage_parse(&f, copy, left, on_event, &events);
	fuzz_check(events <= left);
	free(copy);
	return 0;
}
