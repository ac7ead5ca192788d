/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that switch machines: which may be given together, and what their
 * results do to a move. */
#include "unit_json.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "move/power.h"

static char log_path[] = "/tmp/rehost-test-power.XXXXXX";

static void add(struct hook_list *l, const char *command)
{
	assert_int_equal(options_add_hook(l, command), 0);
}

/* ---- which make sense ---- */

static void check(const struct options *o, bool machine, const char *why)
{
	struct error err = {0};
	int r = power_check(o, machine, &err);

	if (!why) {
		assert_int_equal(r, 0);
		return;
	}
	assert_int_equal(r, -EINVAL);
	if (!strstr(err.why, why))
		fail_msg("%s", err.why);
}

static void test_check(void **state)
{
	struct options o;

	options_init(&o);
	check(&o, false, NULL);
	check(&o, true, NULL);
	assert_false(power_fences(&o));
	add(&o.target_power_off, "off");
	check(&o, true, NULL);
	check(&o, false, "a volume has no power");
	o.copy = true;
	check(&o, true, "goes on");
	o.copy = false;
	add(&o.power_on, "on");
	check(&o, true, "what --power-off switched off");
	add(&o.power_off, "off");
	check(&o, true, NULL);
	assert_true(power_fences(&o));
	o.fence = FENCE_FREEZE;
	check(&o, true, NULL);
	o.fence = FENCE_SIGNATURE;
	check(&o, true, "leave --fence away");
	options_done(&o);

	options_init(&o);
	add(&o.power_off, "off");
	check(&o, true, "--power-on for the way back, or --no-rollback");
	o.no_rollback = true;
	o.fence = FENCE_SIGNATURE;
	check(&o, true, NULL);
	assert_false(power_fences(&o));
	options_done(&o);
}

/* ---- what they do ---- */

static int begin(void **state)
{
	static struct move m;
	int fd;

	(void)strcpy(log_path + strlen(log_path) - 6, "XXXXXX");
	fd = mkstemp(log_path);
	if (fd < 0 || close(fd) < 0)
		return -1;
	memset(&m, 0, sizeof(m));
	options_init(&m.options);
	session_init(&m.session);
	(void)strcpy(m.row.name, "web");
	(void)strcpy(m.options.source, "root@old");
	(void)strcpy(m.options.target, "root@new");
	m.options.boot_timeout_ms = 1;
	m.report = json_object();
	*state = &m;
	return m.report ? 0 : -1;
}

static int end(void **state)
{
	struct move *m = *state;

	session_done(&m->session);
	options_done(&m->options);
	json_decref(m->report);
	return unlink(log_path);
}

static void expect_log(const char *wanted)
{
	char text[1024];
	int fd = open(log_path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	assert_true(n >= 0);
	text[n] = '\0';
	assert_int_equal(close(fd), 0);
	assert_string_equal(text, wanted);
}

static void add_logging(struct hook_list *l, const char *then)
{
	char command[512];

	(void)snprintf(command, sizeof(command),
		"echo $REHOST_NAME $REHOST_PHASE $REHOST_DEVICE >>%s; %s",
		log_path, then);
	add(l, command);
}

static void test_off(void **state)
{
	struct move *m = *state;
	struct error err = {0};

	add_logging(&m->options.power_off, "true");
	assert_false(power_source_is_off(m));
	assert_int_equal(power_off_source(m, &err), 0);
	assert_true(power_source_is_off(m));
	expect_log("web power-off root@old\n");
	assert_true(json_is_true(json_object_get(
		json_object_get(m->report, "fence"), "survives_reboot")));
}

/* It may have done its work nevertheless: only the way back knows better. */
static void test_off_fails(void **state)
{
	struct move *m = *state;
	struct error err = {0};

	add_logging(&m->options.power_off, "echo no such machine >&2; exit 3");
	assert_int_equal(power_off_source(m, &err), -ECANCELED);
	assert_false(power_source_is_off(m));
	assert_non_null(strstr(err.why, "status 3"));
	assert_non_null(strstr(err.why, "no such machine"));
	assert_string_equal(
		json_string_value(json_object_get(
			json_object_get(m->report, "machine"), "power")),
		"going-off");
	assert_int_equal(
		json_array_size(json_object_get(m->report, "hooks")), 1);
}

/* What is off already fails to be switched off, and is not heard. */
static void test_off_again(void **state)
{
	struct move *m = *state;
	struct error err = {0};
	char command[256];

	(void)strcpy(m->source.host, "rehost-test.invalid");
	assert_int_equal(setenv("REHOST_SSH", "/bin/false", 1), 0);
	(void)snprintf(command, sizeof(command),
		"! grep -q again %s; r=$?; "
		"echo again >>%s; exit $r",
		log_path, log_path);
	add(&m->options.power_off, command);
	assert_int_equal(power_off_source(m, &err), 0);
	assert_int_equal(power_off_source(m, &err), 0);
	assert_true(power_source_is_off(m));
	expect_log("again\nagain\n");
	/* Who answers for it, or refuses to, is on. */
	move_set_text(m, "machine", "source_address", "127.0.0.1");
	move_set(m, "machine", "ssh_port", 1);
	assert_int_equal(power_off_source(m, &err), -ECANCELED);
	assert_false(power_source_is_off(m));
	move_set_text(m, "machine", "source_address", "");
	/* Not so when that never was done. */
	move_set_text(m, "machine", "power", "going-off");
	assert_int_equal(power_off_source(m, &err), -ECANCELED);
}

static void test_limit(void **state)
{
	struct move *m = *state;
	struct error err = {0};

	m->options.hook_timeout_ms = 100;
	add_logging(&m->options.power_off, "sleep 600");
	assert_int_equal(power_off_source(m, &err), -ECANCELED);
	assert_non_null(strstr(err.why, "did not end within"));
}

/* Nobody answers here: what the command said is the reason. */
static void test_on(void **state)
{
	struct move *m = *state;
	struct error err = {0};

	(void)strcpy(m->source.host, "rehost-test.invalid");
	assert_int_equal(setenv("REHOST_SSH", "/bin/false", 1), 0);
	add(&m->options.power_off, "true");
	add_logging(&m->options.power_on, "echo no power >&2; exit 1");
	/* It was never switched off. */
	assert_true(power_reach_source(m, &err) < 0);
	expect_log("");
	assert_int_equal(power_off_source(m, &err), 0);
	assert_true(power_reach_source(m, &err) < 0);
	expect_log("web power-on root@old\n");
	assert_non_null(strstr(err.why, "no power"));
	/* It may be on: only a rollback goes on from there. */
	assert_false(power_source_is_off(m));
	assert_true(power_source_is_back(m));
}

static void test_target(void **state)
{
	struct move *m = *state;
	struct error err = {0};

	assert_int_equal(power_off_target(m, &err), -ENOENT);
	add_logging(&m->options.target_power_off, "true");
	assert_int_equal(power_off_target(m, &err), 0);
	expect_log("web target-power-off root@new\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test_setup_teardown(test_off, begin, end),
		cmocka_unit_test_setup_teardown(test_off_fails, begin, end),
		cmocka_unit_test_setup_teardown(test_off_again, begin, end),
		cmocka_unit_test_setup_teardown(test_limit, begin, end),
		cmocka_unit_test_setup_teardown(test_on, begin, end),
		cmocka_unit_test_setup_teardown(test_target, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
