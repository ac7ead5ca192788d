/* SPDX-License-Identifier: Apache-2.0 */
/* A client of the NBD server, that says what it likes. */
#include "fuzz.h"

#include "wire/nbd.h"

#define MIB (1ULL << 20)

static const uint64_t sizes[] = {64 * MIB, 1000, 1ULL << 62};

static int read_disk(
	void *arg, uint32_t disk, void *buf, uint32_t n, uint64_t off)
{
	(void)arg;
	fuzz_check(disk < ARRAY_LEN(sizes));
	fuzz_check(n > 0 && off < sizes[disk] && n <= sizes[disk] - off);
	memset(buf, 'x', n);
	return off % 4096 == 4095 ? -1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static uint8_t buf[65536];
	uint64_t given = 0;
	struct nbd *s;
	ssize_t r = 0;

	fuzz_check(nbd_new(sizes, ARRAY_LEN(sizes), read_disk, NULL, &s) == 0);
	while (r >= 0) {
		size_t piece = n < nbd_room(s) ? n : nbd_room(s);

		nbd_take(s, data, piece);
		data += piece;
		n -= piece;
		r = nbd_give(s, buf, sizeof(buf));
		fuzz_check(r <= (ssize_t)sizeof(buf));
		given += r > 0 ? (uint64_t)r : 0;
		/* It waits for the client, who has no more to say. */
		if (r == 0 && n == 0)
			break;
		/* A client that keeps quiet is no reason to keep more. */
		fuzz_check(r != 0 || nbd_room(s) > 0);
		if (given > 8 * MIB)
			break;
	}
	nbd_free(s);
	return 0;
}
