/* SPDX-License-Identifier: Apache-2.0 */
/* A line that the far shell printed before the agent spoke. */
#include "fuzz.h"

#include "link/bootstrap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char marker[BOOTSTRAP_MARKER_SIZE] =
		"0123456789abcdef0123456789abcdef";
	char *text = fuzz_text(data, n);
	const char *rest = NULL;
	enum bootstrap_answer a = bootstrap_answer(text, marker, &rest);

	/* Nothing but noise without the one-time marker. */
	fuzz_check(a == BOOTSTRAP_NOISE || strstr(text, marker));
	if (a >= BOOTSTRAP_ARCH)
		fuzz_check(rest > text && rest <= text + strlen(text));
	free(text);
	return 0;
}
