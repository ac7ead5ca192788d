/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "memory_volume.h"
#include "volume/spared.h"

#define MIB (1ULL << 20)
#define SIZE (32 * MIB)
#define BLOCK ((uint64_t)SIGNATURE_BLOCK)

static struct memory_volume m;
static struct spared s;

static int begin(void **state)
{
	memory_volume_init(&m, SIZE, 'o');
	spared_init(&s, &m.volume);
	return 0;
}

static int end(void **state)
{
	memory_volume_done(&m);
	return 0;
}

static int put(int byte, uint64_t n, uint64_t off)
{
	CLEANUP_FREE uint8_t *buf = malloc(n);

	assert_non_null(buf);
	memset(buf, byte, n);
	return byte ? s.volume.ops->write(&s.volume, buf, n, off)
		    : s.volume.ops->zero(&s.volume, n, off);
}

static void assert_bytes(int byte, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		if (m.bytes[i] != byte)
			fail_msg("byte %llu is %d, not %d",
				(unsigned long long)i, m.bytes[i], byte);
}

static void test_ranges(void **state)
{
	uint8_t buf[16];

	/* One inside a block, one over two, one beside it. */
	assert_int_equal(spared_add(&s, 10 * BLOCK + 5, 3), 0);
	assert_int_equal(spared_add(&s, 21 * BLOCK - 1, 2), 0);
	assert_int_equal(spared_add(&s, 20 * BLOCK, 7), 0);
	assert_int_equal(put('n', 40 * BLOCK, 0), 0);
	assert_bytes('n', 0, 10 * BLOCK);
	assert_bytes('o', 10 * BLOCK, 11 * BLOCK);
	assert_bytes('n', 11 * BLOCK, 20 * BLOCK);
	assert_bytes('o', 20 * BLOCK, 22 * BLOCK);
	assert_bytes('n', 22 * BLOCK, 40 * BLOCK);
	assert_bytes('o', 40 * BLOCK, SIZE);
	/* What begins or ends in one; all of it in one. */
	assert_int_equal(put(0, 2 * BLOCK, 21 * BLOCK), 0);
	assert_bytes('o', 20 * BLOCK, 22 * BLOCK);
	assert_bytes(0, 22 * BLOCK, 23 * BLOCK);
	assert_int_equal(put(0, 2 * BLOCK, 9 * BLOCK), 0);
	assert_bytes(0, 9 * BLOCK, 10 * BLOCK);
	assert_bytes('o', 10 * BLOCK, 11 * BLOCK);
	m.writes = 0;
	assert_int_equal(put('n', 512, 10 * BLOCK + 512), 0);
	assert_int_equal(m.writes, 0);
	assert_int_equal(put('z', 512, 9 * BLOCK + 512), 0);
	assert_bytes('z', 9 * BLOCK + 512, 9 * BLOCK + 1024);
	/* Reading and flushing are the volume's. */
	assert_int_equal(s.volume.ops->read(&s.volume, buf, 16, 10 * BLOCK), 0);
	assert_int_equal(buf[15], 'o');
	assert_int_equal(s.volume.ops->flush(&s.volume), 0);
	assert_int_equal(s.volume.size, SIZE);
}

static void test_disk(void **state)
{
	struct volume_facts *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	/* The target is larger than what is written to it. */
	f->size = SIZE + 3 * MIB;
	f->n_signatures = 1;
	f->signatures[0] = (struct signature){.offset = 16 * MIB, .bytes = 2};
	assert_int_equal(spared_add_disk(&s, f), 0);
	assert_int_equal(put('n', SIZE, 0), 0);
	assert_bytes('o', 0, 8 * MIB);
	assert_bytes('n', 8 * MIB, 16 * MIB);
	assert_bytes('o', 16 * MIB, 16 * MIB + BLOCK);
	assert_bytes('n', 16 * MIB + BLOCK, 31 * MIB);
	assert_bytes('o', 31 * MIB, SIZE);
	/* A small one is all ends. */
	spared_init(&s, &m.volume);
	f->n_signatures = 0;
	f->size = 1 * MIB;
	assert_int_equal(spared_add_disk(&s, f), 0);
	m.writes = 0;
	assert_int_equal(put('x', 1 * MIB, 0), 0);
	assert_int_equal(m.writes, 0);
	free(f);
}

static void test_bounds(void **state)
{
	assert_int_equal(spared_add(&s, UINT64_MAX, 1), -EOVERFLOW);
	assert_int_equal(spared_add(&s, UINT64_MAX - 10, 5), -EOVERFLOW);
	for (int i = 0; i < SPARED_MAX; i++)
		assert_int_equal(spared_add(&s, 0, 1), 0);
	assert_int_equal(spared_add(&s, 0, 1), -E2BIG);
}

static void test_parts(void **state)
{
	static const char *const have[] = {"gpt", "dos", "PMBR", "sun",
		"LVM2_member", "linux_raid_member", "isw_raid_member"};
	static const char *const have_not[] = {
		"ext4", "btrfs", "swap", "crypto_LUKS", "minix", "vfat", ""};
	CLEANUP_FREE struct volume_facts *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_null(spared_parts(f));
	f->n_signatures = 2;
	for (size_t i = 0; i < ARRAY_LEN(have_not); i++)
		for (int at = 0; at < 2; at++) {
			(void)snprintf(f->signatures[at].name,
				sizeof(f->signatures[at].name), "%s",
				have_not[i]);
			assert_null(spared_parts(f));
		}
	/* Also behind another one, as on an image for both. */
	(void)snprintf(f->signatures[0].name, sizeof(f->signatures[0].name),
		"iso9660");
	for (size_t i = 0; i < ARRAY_LEN(have); i++) {
		(void)snprintf(f->signatures[1].name,
			sizeof(f->signatures[1].name), "%s", have[i]);
		assert_string_equal(spared_parts(f), have[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ranges, begin, end),
		cmocka_unit_test_setup_teardown(test_disk, begin, end),
		cmocka_unit_test_setup_teardown(test_bounds, begin, end),
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests_name("spared", tests, NULL, NULL);
}
