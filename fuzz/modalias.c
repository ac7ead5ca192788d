/* SPDX-License-Identifier: Apache-2.0 */
/* Both files that tell which module drives what. The first byte chooses. */
#include "fuzz.h"

#include "base/modalias.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text, first[MODALIAS_MAX] = "";
	struct modalias_reader r;
	struct modalias a;

	if (n == 0)
		return 0;
	text = fuzz_text(data + 1, n - 1);
	modalias_begin(&r, text, n - 1, data[0] & 1);
	while (modalias_next(&r, &a)) {
		uint64_t steps = MODALIAS_MAX * MODALIAS_MAX;

		fuzz_check(strlen(a.pattern) < MODALIAS_MAX);
		fuzz_check(strlen(a.module) < MODALIAS_MAX);
		fuzz_check(modalias_literal(a.pattern) <= strlen(a.pattern));
		(void)modalias_plain_path(a.module);
		/* Each on the one before. */
		(void)modalias_match(a.pattern, first, &steps);
		(void)snprintf(first, sizeof(first), "%s", a.pattern);
	}
	free(text);
	return 0;
}
