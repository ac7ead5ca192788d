/* SPDX-License-Identifier: Apache-2.0 */
/* Work in a process of its own: what comes back, and how it is ended. */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "move/aside.h"

static unsigned ticks;

static int count(void *arg, struct error *err)
{
	(void)err;
	++*(unsigned *)arg;
	return 0;
}

static int interrupt(void *arg, struct error *err)
{
	(void)arg;
	return error_set(err, -EINTR, "go on");
}

static int find(void *arg, void *out, struct error *err)
{
	(void)err;
	clock_sleep_ms(500);
	*(uint64_t *)out = *(uint64_t *)arg + 1;
	return 7;
}

static int refuse(void *arg, void *out, struct error *err)
{
	(void)arg;
	(void)out;
	error_set(err, -ENOENT, "find it");
	return error_why(err, "nobody knows where it is");
}

static int die(void *arg, void *out, struct error *err)
{
	(void)arg;
	(void)out;
	(void)err;
	(void)kill(getpid(), SIGKILL);
	return 0;
}

static int hang(void *arg, void *out, struct error *err)
{
	(void)arg;
	(void)out;
	(void)err;
	clock_sleep_ms(60000);
	return 0;
}

static void test_result(void **state)
{
	struct session s;
	struct error err = {0};
	uint64_t in = 41, out = 0;
	const struct aside a = {find, &in, &out, sizeof(out)};

	(void)state;
	session_init(&s);
	s.tick = count;
	s.arg = &ticks;
	assert_int_equal(aside_run(&a, &s, &err), 7);
	assert_int_equal(out, 42);
	assert_true(ticks > 0);
	session_done(&s);
}

static void test_errors(void **state)
{
	struct error err = {0};
	uint64_t out = 5;
	struct aside a = {refuse, NULL, &out, sizeof(out)};

	(void)state;
	assert_int_equal(aside_run(&a, NULL, &err), -ENOENT);
	assert_string_equal(err.why, "nobody knows where it is");
	a.work = die;
	assert_int_equal(aside_run(&a, NULL, &err), -ECHILD);
	assert_non_null(strstr(err.why, "signal 9"));
	assert_int_equal(out, 5);
}

static void test_interrupted(void **state)
{
	struct session s;
	struct error err = {0};
	uint64_t out = 0, begun = clock_ms();
	const struct aside a = {hang, NULL, &out, sizeof(out)};

	(void)state;
	session_init(&s);
	s.tick = interrupt;
	assert_int_equal(aside_run(&a, &s, &err), -EINTR);
	assert_true(clock_ms() - begun < 30000);
	session_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_result),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_interrupted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
