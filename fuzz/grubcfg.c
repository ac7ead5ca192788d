/* SPDX-License-Identifier: Apache-2.0 */
/* What boot loaders read: the first byte chooses whose. */
#include "fuzz.h"

#include <stdbool.h>

#include "facts/grubcfg.h"

static struct grubcfg c;

static void check_text(const char *s, const char *text, size_t n)
{
	fuzz_check(*s == '\0' || (s >= text && s < text + n));
	(void)strlen(s);
}

static void check_item(const struct grubcfg_item *i, const char *text, size_t n)
{
	check_text(i->title, text, n);
	check_text(i->id, text, n);
	check_text(i->kernel, text, n);
	check_text(i->initrd, text, n);
	check_text(i->args, text, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct grubcfg_item *i;
	struct grubcfg_item item;
	char *text, *env, buf[32];

	if (n == 0)
		return 0;
	text = fuzz_text(data + 1, n - 1);
	env = fuzz_text(data + 1, n - 1);
	if (data[0] % 4 == 0)
		grubcfg_read(text, &c);
	else if (data[0] % 4 == 1)
		grubcfg_read_legacy(text, &c);
	else if (data[0] % 4 == 2)
		grubcfg_read_extlinux(text, &c);
	else
		grubcfg_read_bls(text, &item);
	if (data[0] % 4 == 3) {
		check_item(&item, text, n);
	} else {
		fuzz_check(c.n >= 0 && c.n <= GRUBCFG_ITEMS_MAX);
		for (int k = 0; k < c.n; k++) {
			check_item(&c.items[k], text, n);
			fuzz_check(c.items[k].parent < k);
		}
		i = grubcfg_default(&c, c.preset);
		fuzz_check(!i || (i >= c.items && i < c.items + c.n));
		fuzz_check(!i || !i->menu);
		(void)grubcfg_default(&c, env);
	}
	fuzz_check(strlen(grubcfg_env(env, "saved_entry", buf, sizeof(buf))) <
		   sizeof(buf));
	free(text);
	free(env);
	return 0;
}
