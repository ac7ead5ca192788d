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

/* How many of them are dirty, and that all of these are used. */
static uint64_t sampled(void)
{
	uint64_t at = 0, first, n, sum = 0;

	for (; bitmap_next(&maps.dirty, at, UINT64_MAX, &first, &n);
		at = first + n)
		for (uint64_t i = first; i < first + n; i++) {
			assert_true(bitmap_get(&maps.used, i));
			sum++;
		}
	return sum;
}

/* Pieces over all that is used, whatever lies between. */
static void test_sample(void **state)
{
	uint64_t first, n;

	/* 400 used granules, in three runs. */
	bitmap_set(&maps.used, 0, 10);
	bitmap_set(&maps.used, 100, 190);
	bitmap_set(&maps.used, 700, 200);
	bitmap_set(&maps.dirty, 50, 5);
	maps_sample(&maps, 40 * GRANULE, 10 * GRANULE, 0);
	assert_int_equal(sampled(), 40);
	assert_next(0, 0, 10);
	assert_next(10, 190, 10);
	assert_next(200, 700, 10);
	assert_next(710, 800, 10);
	/* The next sample lies elsewhere. */
	maps_sample(&maps, 40 * GRANULE, 10 * GRANULE, 50);
	assert_int_equal(sampled(), 40);
	assert_next(0, 135, 10);
	/* A piece that begins in one run and ends in another. */
	maps_sample(&maps, 20 * GRANULE, 20 * GRANULE, 0);
	assert_int_equal(sampled(), 20);
	assert_next(0, 0, 10);
	assert_next(10, 100, 10);
	/* All of it, and nothing. */
	maps_sample(&maps, UINT64_MAX, GRANULE, 99);
	assert_int_equal(sampled(), 400);
	maps_sample(&maps, 400 * GRANULE, 7 * GRANULE, 99);
	assert_int_equal(sampled(), 400);
	maps_sample(&maps, 0, GRANULE, 0);
	assert_false(bitmap_next(&maps.dirty, 0, 1000, &first, &n));
	maps_sample(&maps, 1, 1, 0);
	assert_int_equal(sampled(), 1);
	/* What was sent is left out, while there is enough else. */
	bitmap_set(&maps.known, 0, 10);
	bitmap_set(&maps.known, 700, 170);
	maps_sample(&maps, 220 * GRANULE, 10 * GRANULE, 0);
	assert_int_equal(sampled(), 220);
	assert_next(0, 100, 190);
	assert_next(290, 870, 30);
	assert_true(bitmap_get(&maps.known, 0));
	maps_sample(&maps, 221 * GRANULE, 221 * GRANULE, 0);
	assert_int_equal(sampled(), 221);
	assert_next(0, 0, 10);
	assert_false(bitmap_get(&maps.known, 700));
	bitmap_clear(&maps.used, 0, 1000);
	maps_sample(&maps, 40 * GRANULE, 10 * GRANULE, 0);
	assert_int_equal(sampled(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mark, begin, end),
		cmocka_unit_test_setup_teardown(test_discard, begin, end),
		cmocka_unit_test_setup_teardown(test_frozen, begin, end),
		cmocka_unit_test_setup_teardown(test_sample, begin, end),
	};

	return cmocka_run_group_tests_name("maps", tests, NULL, NULL);
}
