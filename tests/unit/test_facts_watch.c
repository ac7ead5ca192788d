/* SPDX-License-Identifier: Apache-2.0 */
/* Children that hang, crash and never end while they gather. */
#include "unit.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "facts/watch.h"
#include "facts_tree.h"

/* Busy machines stop a child, too. */
#define STALL_MS 3000
#define ALL_MS 60000

static struct gather g;

static json_t *run(const struct watch_group *groups, size_t n, uint64_t all_ms)
{
	memset(&g, 0, sizeof(g));
	g.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	g.live = true;
	g.top = json_object();
	g.missing = json_array();
	watch_run(&g, groups, n, STALL_MS, all_ms);
	(void)close(g.root_fd);
	assert_false(g.oom);
	/* Nothing of it is left. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	return g.top;
}

static const char *why(const char *what)
{
	return tree_text(tree_find(g.missing, "what", what), "why");
}

static void drop_all(void)
{
	json_decref(g.top);
	json_decref(g.missing);
}

static void one(struct gather *to)
{
	json_t *list = gather_list(to);

	gather_add(to, list, gather_string(to, "a\nb", 3));
	gather_set_json(to, to->top, "one", list);
	gather_missing(to, "some", "thing");
}

/* Needs what another group set. */
static void two(struct gather *to)
{
	gather_set_bool(to, to->top, "two",
		json_array_size(json_object_get(to->top, "one")) == 1);
}

static void hang_at(struct gather *to, const char *what)
{
	while (gather_step(to, what, 0))
		(void)pause();
}

static void hangs_at_something(struct gather *to)
{
	hang_at(to, "/dead/file");
	hang_at(to, "another");
	gather_set(to, to->top, "rest", "is here");
}

static void hangs_in_itself(struct gather *to)
{
	gather_set(to, to->top, "lost", "with it");
	(void)pause();
}

/* Looks at it whatever it was told. */
static void hangs_again(struct gather *to)
{
	(void)gather_step(to, "again", 0);
	(void)pause();
}

static void crashes(struct gather *to)
{
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)signal(SIGSEGV, SIG_DFL);
	(void)raise(SIGSEGV);
}

static void never_ends(struct gather *to)
{
	for (;;)
		(void)gather_step(to, "on and on", 0);
}

/* Does nothing for longer than others may. */
static void may_wait(struct gather *to)
{
	struct timespec t = {.tv_sec = STALL_MS / 1000 + 2};

	(void)gather_step(to, "a rest", 10000);
	(void)nanosleep(&t, NULL);
	gather_set(to, to->top, "rested", "yes");
}

static void in_order(void **state)
{
	static const struct watch_group groups[] = {{"one", one}, {"two", two}};
	json_t *j = run(groups, ARRAY_LEN(groups), ALL_MS);

	assert_true(json_is_true(json_object_get(j, "two")));
	assert_true(tree_has(json_object_get(j, "one"), "a\\x0ab"));
	assert_int_equal(json_array_size(g.missing), 1);
	assert_string_equal(why("some"), "thing");
	drop_all();
}

static void what_hangs(void **state)
{
	static const struct watch_group groups[] = {{"one", one},
		{"three", hangs_at_something}, {"four", hangs_in_itself},
		{"five", crashes}, {"two", two}};
	json_t *j = run(groups, ARRAY_LEN(groups), ALL_MS);

	assert_string_equal(why("dead/file"), "it does not answer");
	assert_string_equal(why("another"), "it does not answer");
	assert_string_equal(tree_text(j, "rest"), "is here");
	assert_non_null(strstr(why("four"), "hangs"));
	assert_null(json_object_get(j, "lost"));
	assert_non_null(strstr(why("five"), "(11)"));
	assert_true(json_is_true(json_object_get(j, "two")));
	/* Each is named once, also what was gathered before. */
	assert_int_equal(json_array_size(g.missing), 5);
	drop_all();
}

static void deaf(void **state)
{
	static const struct watch_group groups[] = {
		{"one", hangs_again}, {"two", may_wait}};
	json_t *j = run(groups, ARRAY_LEN(groups), ALL_MS);

	assert_string_equal(why("again"), "it does not answer");
	assert_string_equal(why("one"), "gathering it hangs");
	assert_string_equal(tree_text(j, "rested"), "yes");
	drop_all();
}

static void no_end(void **state)
{
	static const struct watch_group groups[] = {
		{"one", one}, {"six", never_ends}, {"two", two}};
	json_t *j = run(groups, ARRAY_LEN(groups), 5000);

	assert_non_null(json_object_get(j, "one"));
	assert_null(json_object_get(j, "two"));
	assert_non_null(strstr(why("six"), "no time"));
	assert_non_null(strstr(why("two"), "no time"));
	drop_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(what_hangs),
		cmocka_unit_test(deaf),
		cmocka_unit_test(no_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
