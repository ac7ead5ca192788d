/* SPDX-License-Identifier: Apache-2.0 */
/* A folder on this machine: what runs there, how it is ended, and that nothing
 * is left. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "move/ground.h"

static bool stop;

static int tick(void *arg, struct error *err)
{
	(void)arg;
	return stop ? error_set(err, -EINTR, "go on") : 0;
}

static void test_folder(void **state)
{
	CLEANUP_FREE char *text = NULL;
	struct ground *g = NULL;
	struct error err = {0};
	char folder[64], path[96];
	size_t n = 0;

	(void)state;
	assert_int_equal(ground_new(NULL, NULL, NULL, &g, &err), 0);
	(void)snprintf(folder, sizeof(folder), "%s", ground_facts(g)->folder);
	(void)snprintf(path, sizeof(path), "%s/said", folder);
	assert_int_equal(access(folder, X_OK), 0);
	assert_true(ground_facts(g)->memory > 0 && ground_facts(g)->room > 0);
	assert_int_equal(ground_run(g, "pwd", "", path, &err), 0);
	assert_int_equal(io_slurp(path, 4096, &text, &n), 0);
	assert_int_equal(strncmp(text, folder, strlen(folder)), 0);
	assert_int_equal(
		ground_run(g, "echo 'no way' >&2; exit 3", "", "", &err), -EIO);
	assert_string_equal(err.why, "status 3: no way");
	ground_end(g);
	assert_int_equal(access(folder, F_OK), -1);
}

/* A wish to stop ends what is waited for, and the folder goes. */
static void test_stopped(void **state)
{
	struct session s;
	struct ground *g = NULL;
	struct error err = {0};
	char folder[64];
	uint64_t begun = clock_ms();

	(void)state;
	session_init(&s);
	s.tick = tick;
	assert_int_equal(ground_new(NULL, NULL, &s, &g, &err), 0);
	(void)snprintf(folder, sizeof(folder), "%s", ground_facts(g)->folder);
	stop = true;
	assert_int_equal(ground_run(g, "sleep 60", "", "", &err), -EINTR);
	ground_end(g);
	assert_int_equal(access(folder, F_OK), -1);
	assert_true(clock_ms() - begun < 30000);
	session_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folder),
		cmocka_unit_test(test_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
