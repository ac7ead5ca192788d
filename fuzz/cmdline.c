/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's command line, as the rescue system reads it. */
#include "fuzz.h"

#include "rescue/cmdline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = fuzz_text(data, n), bad[16];
	struct cmdline_address a;
	struct cmdline c;

	cmdline_parse(text, &c, bad, sizeof(bad));
	fuzz_check(c.n_addresses >= 1 && c.n_addresses <= CMDLINE_ADDRESSES);
	fuzz_check(c.n_dns <= CMDLINE_DNS);
	for (uint32_t i = 0; i < c.n_dns; i++)
		fuzz_check(cmdline_is_ip(c.dns[i]));
	fuzz_check(strnlen(bad, sizeof(bad)) < sizeof(bad));
	if (cmdline_parse_address(text, &a) == 0) {
		fuzz_check(a.prefix <= 128);
		fuzz_check(strnlen(a.dev, sizeof(a.dev)) < sizeof(a.dev));
	}
	free(text);
	return 0;
}
