/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of kernel modules: modules.dep, then modules.alias behind a NUL, then
 * what is asked for behind another. */
#include "fuzz.h"

#include "base/modalias.h"
#include "rescue/modules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const uint8_t *end = data + n, *alias, *asked;
	uint32_t found[16], order[MODULES_ORDER];
	struct modules *m;
	size_t dep_n, alias_n, out_n;
	char *text, *out;
	bool *chosen;
	uint32_t k;

	alias = memchr(data, '\0', n);
	dep_n = alias ? (size_t)(alias - data) : n;
	alias = alias ? alias + 1 : end;
	asked = memchr(alias, '\0', (size_t)(end - alias));
	alias_n = asked ? (size_t)(asked - alias) : (size_t)(end - alias);
	asked = asked ? asked + 1 : end;
	if (modules_read(fuzz_text(data, dep_n), dep_n,
		    fuzz_text(alias, alias_n), alias_n, &m) < 0)
		return 0;
	text = fuzz_text(asked, (size_t)(end - asked));
	k = modules_find(m, text, found, 16);
	fuzz_check(k <= 16);
	for (uint32_t i = 0; i < k; i++)
		fuzz_check(found[i] < modules_count(m));
	chosen = fuzz_alloc(modules_count(m) * sizeof(*chosen));
	for (uint32_t i = 0; i < modules_count(m); i++) {
		int r = modules_order(m, i, order);

		chosen[i] = i % 2 == 0;
		fuzz_check(r <= MODULES_ORDER);
		fuzz_check(modalias_plain_path(modules_path(m, i)) > 0);
		fuzz_check(modules_path(m, i)[0] != '/');
		for (int j = 0; j < r; j++)
			fuzz_check(order[j] < modules_count(m));
	}
	if (modules_write_dep(m, chosen, &out, &out_n) == 0)
		free(out);
	if (modules_write_alias(m, chosen, &out, &out_n) == 0)
		free(out);
	free(chosen);
	free(text);
	modules_free(m);
	return 0;
}
