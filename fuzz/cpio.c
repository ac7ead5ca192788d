/* SPDX-License-Identifier: Apache-2.0 */
/* Archives of an initramfs: whole, and in pieces with files left out, which
 * must come to the same. The first byte is the size of the pieces. */
#include "fuzz.h"

#include "facts/cpio.h"

struct seen {
	uint64_t names, bytes;
};

static void see(void *arg, const char *name, size_t n)
{
	struct seen *s = arg;

	fuzz_check(n > 0 && n < CPIO_NAME_MAX && name[n] == '\0');
	fuzz_check(name[0] != '/');
	s->names++;
	s->bytes += n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct cpio c;
	struct seen whole = {0}, pieces = {0};
	size_t step, used = 0, at = 0, all;
	int r, k = 0;

	if (n == 0)
		return 0;
	step = data[0] + 1U;
	data++;
	n--;
	cpio_begin(&c, see, &whole);
	r = cpio_feed(&c, data, n, &all);
	fuzz_check(all <= n && (r != 0 || all == n));
	cpio_begin(&c, see, &pieces);
	while (at < n && k == 0) {
		size_t m = step < n - at ? step : n - at;
		uint64_t over;

		k = cpio_feed(&c, data + at, m, &used);
		fuzz_check(used <= m);
		at += used;
		over = k == 0 ? cpio_skippable(&c) : 0;
		over = over < n - at ? over : n - at;
		cpio_skipped(&c, over);
		at += over;
	}
	fuzz_check(k == r && at == all);
	fuzz_check(whole.names == pieces.names && whole.bytes == pieces.bytes);
	return 0;
}
