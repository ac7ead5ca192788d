/* SPDX-License-Identifier: Apache-2.0 */
/* Files that configure the network. The first byte is the format. */
#include "fuzz.h"

#include "facts/netconfig.h"

static void check(void *arg, const struct netconfig_entry *e)
{
	fuzz_check(strnlen(e->names, sizeof(e->names)) < sizeof(e->names));
	fuzz_check(strnlen(e->source, sizeof(e->source)) < sizeof(e->source));
	fuzz_check(e->mac[0] == '\0' || strlen(e->mac) == 17);
	fuzz_check(e->mode <= NETCONFIG_STATIC);
	if (e->source[0])
		fuzz_check(e->names[0] == '\0');
	(void)netconfig_matches(e->names, e->source);
	(*(unsigned *)arg)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	unsigned found = 0;
	char *text;

	if (n == 0)
		return 0;
	text = fuzz_text(data + 1, n - 1);
	netconfig_parse(data[0] % (NETCONFIG_CONNMAN + 1), text, check, &found);
	fuzz_check(found <= n);
	free(text);
	return 0;
}
