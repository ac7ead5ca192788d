/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of mountinfo, which hold names that users chose. */
#include "fuzz.h"

#include "volume/mounts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = fuzz_text(data, n), *source = fuzz_alloc(4096);
	char *small = fuzz_alloc(16);
	struct mount_info *m = fuzz_alloc(sizeof(*m));
	uint64_t id;
	dev_t dev;

	if (mounts_parse(text, &id, m, source) == 0) {
		fuzz_check(
			strnlen(m->point, sizeof(m->point)) < sizeof(m->point));
		fuzz_check(strnlen(m->type, sizeof(m->type)) < sizeof(m->type));
		fuzz_check(strnlen(source, 4096) < 4096);
	}
	if (mounts_unescape(text, small, 16) == 0)
		fuzz_check(strnlen(small, 16) < 16);
	(void)!mounts_parse_dev(text, &dev);
	free(text);
	free(source);
	free(small);
	free(m);
	return 0;
}
