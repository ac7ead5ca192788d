/* SPDX-License-Identifier: Apache-2.0 */
/* A record's header and extents: u64 size of the volume, bytes. */
#include "fuzz.h"

#include "copy/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t head[RECORD_HEAD_MAX];
	struct record r;
	uint64_t size;
	int x;

	if (n < 8 + RECORD_HEADER)
		return 0;
	size = get_be64(data);
	data += 8;
	n -= 8;
	x = record_parse_header(data, &r);
	if (x < 0)
		return 0;
	fuzz_check(x <= RECORD_EXTENTS_MAX * 16);
	fuzz_check(r.type == RECORD_BARRIER || r.type == RECORD_END ||
		   r.raw <= CHUNK);
	fuzz_check(r.payload <= CHUNK);
	if ((size_t)x > n - RECORD_HEADER ||
		record_parse_extents(data + RECORD_HEADER, &r) < 0)
		return 0;
	fuzz_check(record_format(&r, head) == RECORD_HEADER + (uint32_t)x);
	fuzz_check(memcmp(head, data, RECORD_HEADER + (size_t)x) == 0);
	if (record_fits(&r, size) < 0)
		return 0;
	for (uint16_t i = 0; i < r.n; i++)
		fuzz_check(r.v[i].offset < size && r.v[i].bytes > 0 &&
			   r.v[i].bytes <= size - r.v[i].offset);
	return 0;
}
