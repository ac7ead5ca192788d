/* SPDX-License-Identifier: Apache-2.0 */
/* The bitmap against a plain array of bytes, with random operations. */
#include "unit.h"

#include <sys/mman.h>

#include "base/bitmap.h"

#define BITS 300001ULL

static struct bitmap make(uint64_t bits)
{
	struct bitmap b;
	void *mem = mmap(NULL, bitmap_size(bits), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(mem != MAP_FAILED);
	bitmap_view(&b, mem, bits);
	return b;
}

static void check(const struct bitmap *b, const uint8_t *model)
{
	uint64_t at = 0, first, n, count = 0;

	for (uint64_t i = 0; i < BITS; i++)
		count += model[i];
	assert_int_equal(bitmap_count(b), count);
	while (bitmap_next(b, at, UINT64_MAX, &first, &n)) {
		for (uint64_t i = at; i < first; i++)
			assert_false(model[i]);
		for (uint64_t i = first; i < first + n; i++)
			assert_true(model[i]);
		at = first + n;
		assert_true(at == BITS || !model[at]);
	}
	for (uint64_t i = at; i < BITS; i++)
		assert_false(model[i]);
}

static void model_test(void **state)
{
	struct bitmap b = make(BITS);
	uint8_t *model = calloc(1, BITS);

	srandom(1);
	for (int i = 0; i < 300; i++) {
		uint64_t first = (uint64_t)random() % BITS;
		uint64_t n = (uint64_t)random() % (i % 3 ? 200 : 70000);

		if (i % 4 == 3)
			bitmap_clear(&b, first, n);
		else
			bitmap_set(&b, first, n);
		for (uint64_t k = first; k < first + n && k < BITS; k++)
			model[k] = i % 4 != 3;
		if (i % 10 == 0)
			check(&b, model);
	}
	check(&b, model);
	for (uint64_t i = 0; i < BITS; i += 37)
		assert_int_equal(bitmap_get(&b, i), model[i]);
	free(model);
}

static void masked(void **state)
{
	struct bitmap b = make(BITS), m = make(BITS);
	uint64_t first, n;

	bitmap_set(&b, 100, 1000);
	bitmap_set(&m, 150, 10);
	assert_true(bitmap_next_and(&b, &m, false, 0, 4096, &first, &n));
	assert_int_equal(first, 150);
	assert_int_equal(n, 10);
	assert_false(bitmap_next_and(&b, &m, false, 160, 4096, &first, &n));
	assert_true(bitmap_next_and(&b, &m, true, 0, 4096, &first, &n));
	assert_int_equal(first, 100);
	assert_int_equal(n, 50);
	assert_true(bitmap_next_and(&b, &m, true, 150, 64, &first, &n));
	assert_int_equal(first, 160);
	assert_int_equal(n, 64);
}

static void ends(void **state)
{
	struct bitmap b = make(65), c = make(65);
	uint64_t first, n;

	bitmap_set(&b, 64, UINT64_MAX);
	assert_int_equal(bitmap_count(&b), 1);
	bitmap_set(&b, 65, 1);
	assert_int_equal(bitmap_count(&b), 1);
	assert_true(bitmap_next(&b, 0, UINT64_MAX, &first, &n));
	assert_int_equal(first, 64);
	assert_int_equal(n, 1);
	bitmap_set(&c, 0, 3);
	bitmap_move(&c, &b);
	assert_int_equal(bitmap_count(&b), 0);
	assert_int_equal(bitmap_count(&c), 4);
	assert_false(bitmap_get(&c, 1000));
}

static void within(void **state)
{
	struct bitmap b, m;
	uint64_t first = 0, n = 0;
	void *memory = calloc(1, bitmap_size(1000));
	void *mask = calloc(1, bitmap_size(1000));

	assert_non_null(memory);
	assert_non_null(mask);
	bitmap_view(&b, memory, 1000);
	bitmap_view(&m, mask, 1000);
	bitmap_set(&b, 100, 50);
	assert_false(bitmap_next_within(&b, NULL, false, 0, 100, &first, &n));
	assert_true(bitmap_next_within(&b, NULL, false, 0, 101, &first, &n));
	assert_int_equal(first, 100);
	assert_int_equal(n, 1);
	assert_true(bitmap_next_within(&b, NULL, false, 120, 2000, &first, &n));
	assert_int_equal(first, 120);
	assert_int_equal(n, 30);
	assert_false(
		bitmap_next_within(&b, NULL, false, 150, 2000, &first, &n));
	bitmap_set(&m, 110, 10);
	assert_true(bitmap_next_within(&b, &m, true, 110, 130, &first, &n));
	assert_int_equal(first, 120);
	assert_int_equal(n, 10);
	free(memory);
	free(mask);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(within),
		cmocka_unit_test(model_test),
		cmocka_unit_test(masked),
		cmocka_unit_test(ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
