/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "track/maps.h"

#define GRANULE 4096
#define SIZE (1000 * GRANULE + 512) /* the last granule is cut */

static struct maps maps;

static int begin(void **state)
{
	return maps_create(SIZE, GRANULE, &maps);
}

static int end(void **state)
{
	maps_close(&maps);
	return 0;
}

static void assert_next(uint64_t from, uint64_t first, uint64_t n)
{
	uint64_t f = 0, m = 0;

	assert_true(maps_next_dirty(&maps, from, UINT64_MAX, &f, &m));
	assert_int_equal(f, first);
	assert_int_equal(m, n);
}

/* Rounded outwards, and cut to the volume. */
static void test_mark(void **state)
{
	maps_mark(&maps, GRANULE - 1, 2);
	assert_next(0, 0, 2);
	maps_mark(&maps, 10 * GRANULE, 0);
	maps_mark(&maps, SIZE, GRANULE);
	assert_int_equal(maps_dirty(&maps), 2 * GRANULE);
	maps_mark(&maps, SIZE - 1, UINT64_MAX);
	assert_next(2, 1000, 1);
	assert_int_equal(maps_dirty(&maps), 2 * GRANULE + 512);
}

/* A discard makes unknown, and what is on its way goes again. */
static void test_discard(void **state)
{
	bitmap_set(&maps.known, 0, 30);
	bitmap_set(&maps.inflight, 18, 10);
	maps_discard(&maps, 10 * GRANULE, 10 * GRANULE);
	assert_true(bitmap_get(&maps.known, 9));
	for (uint64_t i = 10; i < 20; i++)
		assert_false(bitmap_get(&maps.known, i));
	assert_true(bitmap_get(&maps.known, 20));
	assert_next(0, 18, 2);
	assert_int_equal(maps_dirty(&maps), 2 * GRANULE);
	assert_int_equal(bitmap_count(&maps.inflight), 10);
	/* Nobody knows where: that takes nothing from what is known. */
	maps_discard(&maps, 0, UINT64_MAX);
	assert_int_equal(maps.shared->vague, 1);
	assert_int_equal(bitmap_count(&maps.known), 20);
	maps_discard(&maps, 0, 1000 * GRANULE);
	assert_int_equal(bitmap_count(&maps.known), 0);
	assert_next(0, 18, 10);
}

/* What is free counts for nothing only while the filesystem is frozen. */
static void test_frozen(void **state)
{
	maps_mark(&maps, 0, 100 * GRANULE);
	bitmap_set(&maps.used, 40, 10);
	assert_int_equal(maps_dirty(&maps), 100 * GRANULE);
	maps.shared->used_holds = 1;
	assert_int_equal(maps_dirty(&maps), 100 * GRANULE);
	maps.shared->hold = HOLD_FROZEN;
	assert_next(0, 40, 10);
	assert_int_equal(maps_dirty(&maps), 10 * GRANULE);
	maps.shared->used_holds = 0;
	assert_next(0, 0, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mark, begin, end),
		cmocka_unit_test_setup_teardown(test_discard, begin, end),
		cmocka_unit_test_setup_teardown(test_frozen, begin, end),
	};

	return cmocka_run_group_tests_name("maps", tests, NULL, NULL);
}
