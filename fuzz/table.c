/* SPDX-License-Identifier: Apache-2.0 */
/* Partition tables: u8 size in 64 KiB, u8 whether blocks have 4 KiB, then
 * pieces: u24 offset, u16 length, bytes. With bit 1 of the second byte the sums
 * of a GPT's first copy are made right, as no fuzzer guesses them. With bit 2
 * the table is changed, too, as that of a disk that became larger. */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "facts/table.h"
#include "layout/grow.h"
#include "wire/codec.h"

static uint8_t disk[257 << 16];
static uint64_t size;

static int read_disk(void *arg, void *buf, size_t n, uint64_t off)
{
	fuzz_check(n <= size && off <= size - n);
	memcpy(buf, disk + off, n);
	return 0;
}

static uint32_t crc(const uint8_t *p, size_t n)
{
	uint32_t c = ~0U;

	while (n-- > 0) {
		c ^= *p++;
		for (int i = 0; i < 8; i++)
			c = c >> 1 ^ (c & 1 ? 0xedb88320U : 0);
	}
	return ~c;
}

static void put_le(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static uint32_t get_le(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

static void mend(uint32_t sector)
{
	uint8_t *head = disk + sector;
	uint64_t at = (uint64_t)get_le(head + 72) * sector;
	uint64_t n = (uint64_t)get_le(head + 80) * get_le(head + 84);

	if (at < size && n <= size - at && n <= 1 << 17)
		put_le(head + 88, crc(disk + at, n));
	put_le(head + 16, 0);
	put_le(head + 16, crc(head, 92));
}

/* What was whole is whole, and holds the same, but for the one that grew. */
static void grow(const struct table *t, uint32_t sector)
{
	static struct table now;
	uint64_t start = t->n ? t->parts[t->n - 1].start : 0;
	int fd = memfd_create("disk", MFD_CLOEXEC);
	uint64_t source = (get_le(disk + sector + 32) + 1ULL) * sector;
	struct layout_disk on = {.fd = fd,
		.sector = sector,
		.size = size,
		.source = source < size ? source : size - sector};
	struct layout_grown g;
	struct error err = {0};

	fuzz_check(fd >= 0);
	fuzz_check(pwrite(fd, disk, size, 0) == (ssize_t)size);
	if (layout_grow(&on, start, &g, &err) < 0) {
		fuzz_check(err.code < 0);
		(void)close(fd);
		return;
	}
	fuzz_check(g.now >= g.from && g.now <= size);
	fuzz_check(pread(fd, disk, size, 0) == (ssize_t)size);
	fuzz_check(table_read(read_disk, NULL, size, sector, &now) == 0);
	if (!t->error) {
		fuzz_check(!now.error && now.n == t->n);
		for (uint32_t i = 0; i < t->n; i++)
			fuzz_check(
				now.parts[i].start == t->parts[i].start &&
				(now.parts[i].size == t->parts[i].size ||
					(now.parts[i].number == g.number &&
						now.parts[i].size == g.now)));
	}
	fuzz_check(layout_grow(&on, start, &g, &err) == 0);
	fuzz_check(!g.written && g.now == g.from);
	(void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct table t;
	uint32_t sector;

	if (n < 2)
		return 0;
	size = (data[0] + 1ULL) << 16;
	sector = data[1] & 1 ? 4096 : 512;
	memset(disk, 0, size);
	for (size_t at = 2; at + 5 <= n;) {
		uint64_t off = (uint64_t)data[at] << 16 | data[at + 1] << 8 |
			       data[at + 2];
		size_t k = get_be16(data + at + 3);

		at += 5;
		k = k < n - at ? k : n - at;
		if (off < size)
			memcpy(disk + off, data + at,
				k < size - off ? k : size - off);
		at += k;
	}
	if (data[1] & 2)
		mend(sector);
	if (table_read(read_disk, NULL, size, sector, &t) < 0)
		return 0;
	fuzz_check(t.n <= TABLE_PARTS_MAX);
	fuzz_check(t.kind != TABLE_NONE || t.n == 0);
	for (uint32_t i = 0; i < t.n; i++) {
		const struct table_part *p = &t.parts[i];

		fuzz_check(p->start <= size && p->size <= size - p->start);
		fuzz_check(strnlen(p->name, sizeof(p->name)) < sizeof(p->name));
		fuzz_check(strnlen(p->type, sizeof(p->type)) < sizeof(p->type));
	}
	if (data[1] & 4)
		grow(&t, sector);
	return 0;
}
