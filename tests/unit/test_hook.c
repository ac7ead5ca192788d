/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hook.h"
#include "base/io.h"

#define LONG 600000

static char folder[] = "/tmp/rehost-hook-XXXXXX";
static struct hook_run h;

static const struct hook_env env = {"one", "quiesce", "/dev/vdb"};

static void begin(
	const char *const *commands, uint32_t n, uint64_t timeout_ms, bool stop)
{
	hook_begin(&h, commands, n, &env, timeout_ms, stop);
}

static void run_one(const char *command, uint64_t timeout_ms)
{
	const char *commands[] = {command};

	begin(commands, 1, timeout_ms, true);
	hook_finish(&h);
	assert_true(h.done);
	assert_int_equal(h.pid, 0);
	assert_int_equal(h.out, -1);
}

/* Reads a file that a hook makes, when it is there. */
static uint64_t wait_number(const char *name)
{
	char path[300], buf[64];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	for (int i = 0; i < 3000; i++) {
		if (io_read_file(AT_FDCWD, path, buf, sizeof(buf)) > 0)
			return strtoull(buf, NULL, 10);
		clock_sleep_ms(10);
	}
	fail_msg("%s never came", name);
	return 0;
}

/* Waits until a process that a hook left is no more, or is a zombie. */
static void wait_gone(uint64_t pid)
{
	char path[64], buf[1024], *at;

	(void)snprintf(path, sizeof(path), "/proc/%u/stat", (unsigned)pid);
	for (int i = 0; i < 3000; i++) {
		if (io_read_file(AT_FDCWD, path, buf, sizeof(buf)) < 0)
			return;
		at = strrchr(buf, ')');
		if (at && at[2] == 'Z')
			return;
		clock_sleep_ms(10);
	}
	fail_msg("process %u is still there", (unsigned)pid);
}

static void test_success(void **state)
{
	const char *commands[] = {"echo first", "echo second >&2", "cat; pwd"};

	begin(commands, 3, LONG, true);
	hook_finish(&h);
	assert_int_equal(h.failed, 0);
	assert_string_equal(h.output, "first\nsecond\n/\n");
	begin(NULL, 0, LONG, true);
	assert_true(h.done);
	assert_true(hook_step(&h));
	assert_int_equal(h.failed, 0);
	hook_kill(&h, "nothing runs");
	assert_int_equal(h.failed, 0);
}

static void test_environment(void **state)
{
	assert_int_equal(setenv("REHOST_STRAY", "1", 1), 0);
	run_one("echo $REHOST_NAME $REHOST_PHASE $REHOST_DEVICE x$REHOST_STRAY"
		"; echo $PATH",
		LONG);
	assert_int_equal(h.failed, 0);
	assert_non_null(strstr(h.output, "one quiesce /dev/vdb x\n"));
	assert_non_null(strstr(h.output, ":/usr/local/sbin:/usr/sbin:/sbin\n"));
	/* Its signals are as usual, though ours are not. */
	(void)signal(SIGPIPE, SIG_IGN);
	run_one("kill -PIPE $$; echo alive", LONG);
	assert_int_equal(h.failed, 1);
	assert_non_null(strstr(h.why, "signal 13"));
}

static void test_failure(void **state)
{
	const char *commands[] = {
		"echo a", "echo b; exit 7", "echo c", "exit 8"};

	begin(commands, 4, LONG, true);
	hook_finish(&h);
	assert_int_equal(h.failed, 2);
	assert_string_equal(h.why, "it exited with status 7");
	assert_string_equal(h.output, "a\nb\n");
	/* All are run in a rollback; the first failure is told. */
	begin(commands, 4, LONG, false);
	hook_finish(&h);
	assert_int_equal(h.failed, 2);
	assert_string_equal(h.why, "it exited with status 7");
	assert_string_equal(h.output, "a\nb\nc\n");
	run_one("kill -KILL $$", LONG);
	assert_string_equal(h.why, "it died from signal 9");
	run_one("no-such-command-here", LONG);
	assert_string_equal(h.why, "it exited with status 127");
	run_one("(", LONG);
	assert_int_equal(h.failed, 1);
}

/* At the limit it is killed, with everything that it started. */
static void test_timeout(void **state)
{
	const char *commands[] = {NULL, "echo after"};
	char command[400];

	(void)snprintf(command, sizeof(command),
		"sleep 1000 & echo $! >%s/slept; trap '' TERM; "
		"echo waiting; while :; do sleep 1000; done",
		folder);
	commands[0] = command;
	begin(commands, 2, 300, false);
	hook_finish(&h);
	assert_int_equal(h.failed, 1);
	assert_non_null(strstr(h.why, "did not end within"));
	assert_string_equal(h.output, "waiting\nafter\n");
	wait_gone(wait_number("slept"));
}

/* A daemon that keeps the pipe open holds up nothing, and lives. */
static void test_daemon(void **state)
{
	char command[400];
	uint64_t pid;

	(void)snprintf(command, sizeof(command),
		"sleep 1000 & echo $! >%s/daemon; echo started", folder);
	run_one(command, LONG);
	assert_int_equal(h.failed, 0);
	assert_string_equal(h.output, "started\n");
	pid = wait_number("daemon");
	assert_int_equal(kill((pid_t)pid, 0), 0);
	assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
}

/* Only the last part of what it says is kept, and only what can be shown. */
static void test_output(void **state)
{
	run_one("i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done",
		LONG);
	assert_int_equal(h.failed, 0);
	assert_true(strlen(h.output) > HOOK_OUTPUT - 100);
	assert_true(strlen(h.output) < HOOK_OUTPUT);
	assert_non_null(strstr(h.output, "line 4999\n"));
	assert_null(strstr(h.output, "line 100\n"));
	run_one("printf 'a\\033[2Jb\\000c\\177d\\r\\tE\\303\\244\\n'", LONG);
	assert_string_equal(h.output, "a?[2Jb?c?d?\tE\303\244\n");
	/* One piece that is longer than what is kept. */
	run_one("head -c 100000 /dev/zero | tr '\\0' z; echo", LONG);
	assert_int_equal(strlen(h.output), HOOK_OUTPUT - 1);
	assert_string_equal(h.output + HOOK_OUTPUT - 3, "z\n");
}

/* A step ends although the hook never stops talking. */
static void test_endless_output(void **state)
{
	const char *commands[] = {
		"yes & yes & yes & yes & yes & yes & yes & yes"};
	uint64_t steps = 0;

	begin(commands, 1, 1000, true);
	while (!hook_step(&h))
		steps++;
	assert_true(steps > 0);
	assert_int_equal(h.failed, 1);
	assert_true(strlen(h.output) == HOOK_OUTPUT - 1);
}

/* Its writers are always faster than its reader. */
static void test_read_is_bounded(void **state)
{
	const char *commands[] = {"sleep 1000"};
	uint64_t n;
	int p = -1;

	begin(commands, 1, 100, true);
	assert_false(hook_step(&h));
	/* In place of its pipe, one that is never empty. */
	p = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	assert_true(p >= 0);
	assert_true(dup2(p, h.out) >= 0);
	for (n = 0; !hook_step(&h); n++)
		;
	assert_int_equal(h.failed, 1);
	(void)close(p);
}

static void test_kill(void **state)
{
	const char *commands[] = {NULL, "echo never"};
	char command[400];

	(void)snprintf(command, sizeof(command),
		"sleep 1000 & echo $! >%s/killed; echo some; wait", folder);
	commands[0] = command;
	begin(commands, 2, LONG, false);
	while (!strstr(h.output, "some"))
		assert_false(hook_step(&h));
	hook_kill(&h, "it is over");
	assert_true(h.done);
	assert_int_equal(h.failed, 1);
	assert_string_equal(h.why, "it is over");
	assert_string_equal(h.output, "some\n");
	assert_true(hook_step(&h));
	wait_gone(wait_number("killed"));
	hook_kill(&h, "again");
	assert_string_equal(h.why, "it is over");
	/* Before it began. */
	begin(commands, 2, LONG, false);
	hook_kill(&h, "at once");
	assert_true(hook_step(&h));
	assert_int_equal(h.failed, 1);
}

/* Nothing of a hook outlives who began it; what one left behind before does. */
static void test_owner_dies(void **state)
{
	char first[200], second[200];
	const char *commands[] = {first, second};
	pid_t daemon, owner;

	(void)snprintf(first, sizeof(first),
		"sleep 1000 >/dev/null 2>&1 & echo $! >%s/stays", folder);
	(void)snprintf(second, sizeof(second),
		"sleep 1000 & echo $! >%s/orphan; wait", folder);
	owner = fork();
	assert_true(owner >= 0);
	if (owner == 0) {
		begin(commands, 2, LONG, true);
		hook_finish(&h);
		_exit(0);
	}
	daemon = (pid_t)wait_number("stays");
	(void)wait_number("orphan");
	assert_int_equal(kill(owner, SIGKILL), 0);
	assert_int_equal(waitpid(owner, NULL, 0), owner);
	wait_gone(wait_number("orphan"));
	assert_int_equal(kill(daemon, SIGKILL), 0);
}

/* What a hook sends to its own group is its affair, and it is its first. */
static void test_group(void **state)
{
	static const char *const fine[] = {"trap '' TERM; kill 0; exit 0",
		"trap '' HUP; kill -HUP 0; exit 0",
		"trap : USR2; kill -USR2 0; exit 0",
		"trap '' TERM; kill -- -$$; exit 0"};
	const char *commands[] = {"sleep 1000 & kill -KILL 0"};

	for (unsigned i = 0; i < ARRAY_LEN(fine); i++) {
		run_one(fine[i], LONG);
		assert_string_equal(h.why, "");
	}
	begin(commands, 1, LONG, true);
	hook_finish(&h);
	assert_non_null(strstr(h.why, "signal 9"));
	/* Its guard alone: nobody takes it for the hook. */
	run_one("pkill -KILL -g $$ -x rehost-hook; echo on", LONG);
	assert_string_equal(h.why, "");
	assert_string_equal(h.output, "on\n");
}

/* None is left open by many runs. */
static void test_descriptors(void **state)
{
	int before = dup(0), after;

	assert_true(before >= 0);
	(void)close(before);
	for (int i = 0; i < 50; i++)
		run_one(i % 2 ? "exit 0" : "exit 1", LONG);
	after = dup(0);
	assert_int_equal(before, after);
	(void)close(after);
}

static int setup(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[300];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_success),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_daemon),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_endless_output),
		cmocka_unit_test(test_read_is_bounded),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_owner_dies),
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_descriptors),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
