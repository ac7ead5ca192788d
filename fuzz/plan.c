/* SPDX-License-Identifier: Apache-2.0 */
/* Plan files, which people and machines write. */
#include "fuzz.h"

#include "move/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text, *again;
	struct plan p, q;
	struct error err;

	if (plan_parse("f", (const char *)data, n, &p, &err) < 0) {
		fuzz_check(err.code < 0 && err.why[0]);
		return 0;
	}
	/* What was taken is written, read as the same, and written the same. */
	if (plan_write(&p, &text, &err) == 0) {
		fuzz_check(plan_parse("g", text, strlen(text), &q, &err) == 0);
		fuzz_check(plan_write(&q, &again, &err) == 0);
		fuzz_check(strcmp(text, again) == 0);
		fuzz_check(q.n_disks == p.n_disks && q.n_nics == p.n_nics);
		free(again);
		free(text);
		plan_done(&q);
	}
	plan_done(&p);
	return 0;
}
