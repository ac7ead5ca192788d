/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "facts/table.h"

#define MIB (1ULL << 20)
#define SIZE (64 * MIB)

static uint8_t disk[SIZE];
static struct table t;

static int read_disk(void *arg, void *buf, size_t n, uint64_t off)
{
	assert_true(off + n <= sizeof(disk));
	memcpy(buf, disk + off, n);
	return 0;
}

static void read_table_of(uint32_t sector)
{
	assert_int_equal(table_read(read_disk, NULL, SIZE, sector, &t), 0);
}

static void put(uint64_t at, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		disk[at + (uint64_t)i] = (uint8_t)(v >> 8 * i);
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

static void clear(void)
{
	memset(disk, 0, sizeof(disk));
}

static void mbr(uint64_t at, int i, int type, uint32_t start, uint32_t n)
{
	uint64_t e = at + 446 + 16 * (uint64_t)i;

	put(at + 510, 0xaa55, 2);
	put(e + 4, (uint64_t)type, 1);
	put(e + 8, start, 4);
	put(e + 12, n, 4);
}

/* One head with two partitions, the second named "a♥" and a broken one. */
static void gpt_head(uint32_t sector, uint64_t at, uint64_t entries)
{
	uint64_t h = at * sector, e = entries * sector;

	memset(disk + e, 0, 128 * 128);
	memset(disk + e, 0x11, 16);
	memset(disk + e + 16, 0x22, 16);
	put(e + 32, 2048, 8);
	put(e + 40, 4095, 8);
	memset(disk + e + 256, 0x33, 32);
	put(e + 256 + 32, 4096, 8);
	put(e + 256 + 40, 4096, 8);
	put(e + 256 + 48, 1ULL << 63 | 4, 8);
	put(e + 256 + 56, 'a', 2);
	put(e + 256 + 58, 0x2665, 2);
	put(e + 256 + 60, 0xd800, 2);
	memcpy(disk + h, "EFI PART\0\0\1\0\\\0\0\0", 16);
	put(h + 24, at, 8);
	memset(disk + h + 56, 0xab, 16);
	put(h + 72, entries, 8);
	put(h + 80, 128, 4);
	put(h + 84, 128, 4);
	put(h + 88, crc(disk + e, 128 * 128), 4);
	put(h + 16, 0, 4);
	put(h + 16, crc(disk + h, 92), 4);
}

static void make_gpt(uint32_t sector)
{
	uint64_t last = SIZE / sector - 1;

	clear();
	mbr(0, 0, 0xee, 1, (uint32_t)last);
	gpt_head(sector, 1, 2);
	gpt_head(sector, last, last - 40);
}

static void check_gpt(uint32_t sector)
{
	assert_int_equal(t.kind, TABLE_GPT);
	assert_string_equal(t.id, "abababab-abab-abab-abab-abababababab");
	assert_int_equal(t.n, 2);
	assert_int_equal(t.parts[0].number, 1);
	assert_int_equal(t.parts[0].start, 2048ULL * sector);
	assert_int_equal(t.parts[0].size, 2048ULL * sector);
	assert_string_equal(
		t.parts[0].type, "11111111-1111-1111-1111-111111111111");
	assert_string_equal(
		t.parts[0].uuid, "22222222-2222-2222-2222-222222222222");
	assert_int_equal(t.parts[1].number, 3);
	assert_int_equal(t.parts[1].size, sector);
	assert_string_equal(t.parts[1].name, "a\u2665\ufffd");
	assert_true(t.parts[1].flags == (1ULL << 63 | 4));
}

static void gpts(void **state)
{
	static const uint32_t sectors[] = {512, 4096};

	for (size_t i = 0; i < 2; i++) {
		make_gpt(sectors[i]);
		read_table_of(sectors[i]);
		check_gpt(sectors[i]);
		assert_null(t.error);
		/* The first copy is damaged. */
		disk[sectors[i] + 60] ^= 1;
		read_table_of(sectors[i]);
		check_gpt(sectors[i]);
		assert_non_null(t.error);
		/* Both are. */
		disk[(SIZE / sectors[i] - 1) * sectors[i] + 60] ^= 1;
		read_table_of(sectors[i]);
		assert_int_equal(t.kind, TABLE_GPT);
		assert_int_equal(t.n, 0);
		assert_non_null(t.error);
	}
	/* A disk's blocks were of another size. */
	make_gpt(4096);
	read_table_of(512);
	check_gpt(4096);
	assert_non_null(t.error);
	/* Without its MBR it is none, as for the kernel. */
	make_gpt(512);
	memset(disk, 0, 512);
	read_table_of(512);
	assert_int_equal(t.kind, TABLE_NONE);
	assert_non_null(t.error);
}

/* Heads whose sums are right, and nothing else is. */
static void hostile_gpts(void **state)
{
	static const struct {
		uint64_t at, v;
		int n;
	} bad[] = {{80, 0xffffffff, 4}, {84, 0xffffffff, 4}, {84, 1, 4},
		{72, UINT64_MAX, 8}, {72, SIZE / 512 - 1, 8}, {80, 0, 4},
		{24, 7, 8}, {12, 0xffffffff, 4}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		make_gpt(512);
		memset(disk + SIZE - 512, 0, 512);
		put(512 + bad[i].at, bad[i].v, bad[i].n);
		put(512 + 16, 0, 4);
		put(512 + 16, crc(disk + 512, 92), 4);
		read_table_of(512);
		assert_int_equal(t.n, 0);
		assert_non_null(t.error);
	}
	/* Partitions that are not on the disk, or end before they begin. */
	for (int i = 0; i < 3; i++) {
		static const uint64_t ends[] = {UINT64_MAX, 5, SIZE / 512};

		make_gpt(512);
		put(1024 + 40, ends[i], 8);
		put(512 + 88, crc(disk + 1024, 128 * 128), 4);
		put(512 + 16, 0, 4);
		put(512 + 16, crc(disk + 512, 92), 4);
		read_table_of(512);
		assert_int_equal(t.n, 1);
		assert_int_equal(t.parts[0].number, 3);
		assert_non_null(t.error);
	}
}

static void dos(void **state)
{
	clear();
	put(440, 0x1234abcd, 4);
	mbr(0, 0, 0x83, 2048, 4096);
	put(446, 0x80, 1);
	mbr(0, 2, 0x05, 10240, 40960);
	mbr(10240 * 512, 0, 0x82, 63, 1000);
	mbr(10240 * 512, 1, 0x05, 4096, 4096);
	mbr(14336ULL * 512, 0, 0x8e, 2048, 1000);
	read_table_of(512);
	assert_int_equal(t.kind, TABLE_DOS);
	assert_null(t.error);
	assert_string_equal(t.id, "1234abcd");
	assert_int_equal(t.n, 4);
	assert_int_equal(t.parts[0].flags, 0x80);
	assert_string_equal(t.parts[0].type, "0x83");
	assert_string_equal(t.parts[0].uuid, "1234abcd-01");
	assert_int_equal(t.parts[1].number, 3);
	assert_int_equal(t.parts[2].number, 5);
	assert_int_equal(t.parts[2].start, (10240 + 63) * 512ULL);
	assert_string_equal(t.parts[2].uuid, "1234abcd-05");
	assert_int_equal(t.parts[3].number, 6);
	assert_int_equal(t.parts[3].start, (14336 + 2048) * 512ULL);
	assert_int_equal(t.code, TABLE_CODE_NONE);
	memcpy(disk + 300, "GRUB \0Geom", 10);
	read_table_of(512);
	assert_int_equal(t.code, TABLE_CODE_GRUB);
	memcpy(disk + 300, "LILO", 4);
	read_table_of(512);
	assert_int_equal(t.code, TABLE_CODE_OTHER);
}

static void loops(void **state)
{
	/* Back to the first, to itself, and between two. */
	clear();
	mbr(0, 0, 0x0f, 2048, 40960);
	mbr(2048 * 512, 0, 0x83, 1, 10);
	mbr(2048 * 512, 1, 0x05, 4096, 4096);
	mbr(6144 * 512, 0, 0x83, 1, 10);
	mbr(6144 * 512, 1, 0x05, 4096, 4096);
	read_table_of(512);
	assert_non_null(strstr(t.error, "loop"));
	assert_int_equal(t.n, 3);
	put(6144 * 512 + 446 + 16 + 8, 0, 4);
	read_table_of(512);
	assert_non_null(strstr(t.error, "loop"));
	assert_int_equal(t.n, 3);
	/* Out of the disk. */
	put(6144 * 512 + 446 + 16 + 8, 0xfffffff0, 4);
	read_table_of(512);
	assert_non_null(strstr(t.error, "broken"));
	assert_int_equal(t.n, 3);
	/* Longer than anyone needs. */
	clear();
	mbr(0, 0, 0x05, 2048, 100000);
	for (uint32_t i = 0; i < 1000; i++) {
		mbr((2048 + 8ULL * i) * 512, 0, 0x83, 1, 1);
		mbr((2048 + 8ULL * i) * 512, 1, 0x05, 8 * (i + 1), 8);
	}
	read_table_of(512);
	assert_int_equal(t.n, TABLE_PARTS_MAX);
	assert_non_null(t.error);
	/* Partitions beyond the end. */
	clear();
	mbr(0, 0, 0x83, 2048, 0xffffffff);
	mbr(0, 1, 0x83, 0xffffffff, 1);
	read_table_of(512);
	assert_int_equal(t.n, 0);
	assert_non_null(strstr(t.error, "beyond"));
}

static void none(void **state)
{
	clear();
	read_table_of(512);
	assert_int_equal(t.kind, TABLE_NONE);
	assert_null(t.error);
	/* The boot sector of a filesystem. */
	memset(disk + 3, 'x', 500);
	put(510, 0xaa55, 2);
	read_table_of(512);
	assert_int_equal(t.kind, TABLE_NONE);
	assert_int_equal(table_read(read_disk, NULL, SIZE, 0, &t), -EINVAL);
	assert_int_equal(table_read(read_disk, NULL, SIZE, 511, &t), -EINVAL);
	assert_int_equal(table_read(read_disk, NULL, 100, 512, &t), 0);
	assert_int_equal(t.kind, TABLE_NONE);
	assert_int_equal(table_read(read_disk, NULL, 512, 512, &t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gpts),
		cmocka_unit_test(hostile_gpts),
		cmocka_unit_test(dos),
		cmocka_unit_test(loops),
		cmocka_unit_test(none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
