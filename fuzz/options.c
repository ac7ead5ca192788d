/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a move as they are kept in the store. */
#include "fuzz.h"

#include "move/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct options o, again;
	json_t *j = json_loadb((const char *)data, n, 0, NULL), *out;
	struct error err;

	if (!j)
		return 0;
	if (options_from_json(j, &o, &err) == 0) {
		out = options_to_json(&o);
		/* What was taken is kept as it is. */
		if (out) {
			fuzz_check(options_from_json(out, &again, &err) == 0);
			fuzz_check(again.lanes == o.lanes &&
				   again.fence == o.fence);
			options_done(&again);
		}
		json_decref(out);
		options_done(&o);
	}
	json_decref(j);
	return 0;
}
