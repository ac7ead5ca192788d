/* SPDX-License-Identifier: Apache-2.0 */
/* fstab and crypttab, which the users of a machine may write. */
#include "fuzz.h"

#include "facts/fstab.h"
#include "facts/secrets.h"

static size_t within(const char *s, const char *text, size_t n)
{
	fuzz_check(s == text + n || *s == '\0' || (s >= text && s < text + n));
	return strlen(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = fuzz_text(data, n), *again = fuzz_text(data, n);
	char *options = fuzz_text(data, n);
	struct fstab_reader r;
	struct fstab_entry e;
	struct fstab_crypt c;

	fstab_begin(&r, text);
	while (fstab_next(&r, &e)) {
		fuzz_check(within(e.spec, text, n) <= FSTAB_LINE_MAX);
		fuzz_check(within(e.mount, text, n) <= FSTAB_LINE_MAX);
		fuzz_check(within(e.type, text, n) <= FSTAB_LINE_MAX);
		fuzz_check(within(e.options, text, n) <= FSTAB_LINE_MAX);
		fuzz_check(e.pass <= 99 && r.line > 0);
		fuzz_check(fstab_names(e.spec) != NULL);
	}
	fstab_begin(&r, again);
	while (fstab_next_crypt(&r, &c)) {
		fuzz_check(within(c.name, again, n) <= FSTAB_LINE_MAX);
		fuzz_check(within(c.device, again, n) <= FSTAB_LINE_MAX);
		fuzz_check(within(c.key, again, n) <= FSTAB_LINE_MAX);
		fuzz_check(within(c.options, again, n) <= FSTAB_LINE_MAX);
	}
	secrets_hide(options, ", ");
	fuzz_check(strlen(options) <= strnlen((const char *)data, n));
	free(text);
	free(again);
	free(options);
	return 0;
}
