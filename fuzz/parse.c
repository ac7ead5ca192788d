/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, sizes, durations, names, hexadecimal digits. */
#include "fuzz.h"

#include "base/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *s = fuzz_text(data, n), text[80];
	uint8_t bytes[32];
	uint64_t v;

	if (parse_u64(s, &v) == 0) {
		const char *digits = s + strspn(s, "0");

		(void)snprintf(
			text, sizeof(text), "%llu", (unsigned long long)v);
		fuzz_check(strcmp(text, *digits ? digits : "0") == 0);
	}
	(void)!parse_size(s, &v);
	(void)!parse_duration(s, &v);
	if (parse_is_name(s))
		fuzz_check(strlen(s) < 64 && !strchr(s, '/') && s[0] != '.');
	for (uint32_t k = 0; k <= sizeof(bytes); k++)
		if (parse_unhex(s, bytes, k) == 0) {
			parse_hex(bytes, k, text);
			fuzz_check(strlen(s) == 2 * k);
			for (uint32_t i = 0; i < 2 * k; i++)
				fuzz_check((text[i] | 32) == (s[i] | 32));
		}
	free(s);
	return 0;
}
