/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <pthread.h>

#include "base/clock.h"
#include "copy/limit.h"

static void *take(void *arg)
{
	for (int i = 0; i < 10; i++)
		limit_wait(arg, 25000);
	return NULL;
}

/* What several threads get together is not more than the rate. */
static void test_rate(void **state)
{
	struct limit l;
	pthread_t threads[4];
	uint64_t start, ms;

	limit_init(&l);
	limit_set(&l, 2000000);
	start = clock_ms();
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, take, &l), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	ms = clock_ms() - start;
	/* A million bytes at two million a second; 100 ms may go ahead, and
	 * the last piece is not awaited. */
	assert_true(ms + 2 >= 500 - 100 - 13);
	limit_done(&l);
}

static void *wait_long(void *arg)
{
	limit_wait(arg, 1000000);
	limit_wait(arg, 1000000);
	return NULL;
}

/* Without a limit, and after its end, nobody waits: this would take days. */
static void test_no_wait(void **state)
{
	struct limit l;
	pthread_t thread;

	limit_init(&l);
	for (int i = 0; i < 1000; i++)
		limit_wait(&l, UINT64_MAX / 2);
	limit_set(&l, 1);
	assert_int_equal(pthread_create(&thread, NULL, wait_long, &l), 0);
	clock_sleep_ms(20);
	limit_end(&l);
	assert_int_equal(pthread_join(thread, NULL), 0);
	limit_wait(&l, 1000000);
	limit_set(&l, 1);
	limit_wait(&l, 1000000);
	limit_wait(&l, 1000000);
	limit_done(&l);
}

/* What was not used is not saved up. */
static void test_no_saving(void **state)
{
	struct limit l;
	uint64_t start;

	limit_init(&l);
	limit_set(&l, 1000000);
	limit_wait(&l, 1);
	clock_sleep_ms(400);
	start = clock_ms();
	for (int i = 0; i < 4; i++)
		limit_wait(&l, 100000);
	assert_true(clock_ms() - start + 2 >= 200);
	limit_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_no_wait),
		cmocka_unit_test(test_no_saving),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
