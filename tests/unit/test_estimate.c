/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "base/cleanup.h"
#include "move/estimate.h"
#include "move/forecast.h"

#define MIB (1ULL << 20)

/* ---- what is written ---- */

static void test_written(void **state)
{
	/* A hot part at first, then 1 MiB/s of other blocks. */
	struct forecast_writes w = {10000, 20 * MIB, 25 * MIB, 1000 * MIB};

	assert_int_equal(forecast_written(&w, 0), 0);
	assert_int_equal(forecast_written(&w, 2500), 10 * MIB);
	assert_int_equal(forecast_written(&w, 5000), 20 * MIB);
	assert_int_equal(forecast_written(&w, 10000), 25 * MIB);
	assert_int_equal(forecast_written(&w, 100000), 115 * MIB);
	/* No more than there is. */
	assert_int_equal(forecast_written(&w, UINT64_MAX), 1000 * MIB);
	assert_int_equal(forecast_ms(UINT64_MAX, 0), INT64_MAX);
	assert_int_equal(forecast_rate(UINT64_MAX, 0), INT64_MAX);
	assert_int_equal(forecast_rate(100, 50), 2000);
	w.sample_ms = 0;
	assert_int_equal(forecast_written(&w, 5000), 0);
	/* From a machine that means no good. */
	w = (struct forecast_writes){10, UINT64_MAX, 1, UINT64_MAX};
	assert_true(forecast_written(&w, UINT64_MAX) >= 1);
}

/* ---- the outage ---- */

static void test_outage(void **state)
{
	struct forecast f = {.send_rate = 100 * MIB,
		.compare_rate = 200 * MIB,
		.sync_ms = 50,
		.overhead_ms = 10,
		.tracking = true};

	assert_int_equal(forecast_outage(&f, 0, 0, 1000 * MIB), 190);
	/* What is dirty is sent and proved, the rest only proved. */
	assert_int_equal(forecast_outage(&f, 100 * MIB, 0, 1000 * MIB),
		190 + 1000 + 500);
	assert_int_equal(
		forecast_outage(&f, 0, 200 * MIB, 1000 * MIB), 190 + 1000);
	/* What comes until the freeze holds. */
	f.dirty_rate = 100 * MIB;
	assert_int_equal(
		forecast_outage(&f, 0, 0, 1000 * MIB), 190 + 350 + 175);
	f.dirty_rate = 0;
	f.tracking = false;
	assert_int_equal(forecast_outage(&f, 0, 0, 1000 * MIB), 190 + 5000);
	/* Nothing is known yet. */
	f = (struct forecast){.tracking = true};
	assert_int_equal(forecast_outage(&f, 50 * MIB, 0, 0), 100 + 2000);
}

static void test_slow(void **state)
{
	struct backlog before = {.bytes = 10, .known = true};
	struct backlog now = {.bytes = 10, .forecast_ms = 5000, .known = true};

	assert_int_equal(forecast_slow(&before, &now, 2000, 2), 3);
	/* It fits; it got less; more is proved; nothing is known before. */
	assert_int_equal(forecast_slow(&before, &now, 5000, 2), 0);
	now.bytes = 9;
	assert_int_equal(forecast_slow(&before, &now, 2000, 2), 0);
	now.bytes = 11;
	before.unproved = 100;
	assert_int_equal(forecast_slow(&before, &now, 2000, 2), 0);
	before = (struct backlog){0};
	assert_int_equal(forecast_slow(&before, &now, 2000, 2), 0);
}

/* ---- the course ---- */

static void test_course(void **state)
{
	struct forecast f = {.send_rate = 100 * MIB,
		.compare_rate = 400 * MIB,
		.sync_ms = 20,
		.overhead_ms = 5,
		.tracking = true};
	struct forecast_writes w = {10000, 0, 0, 10000 * MIB};
	struct forecast_course c;

	/* Nobody writes: only the proof takes time. */
	forecast_course(&f, &w, 4000 * MIB, 40000, 2000, &c);
	assert_true(c.fits);
	assert_int_equal(c.rounds, 0);
	assert_int_equal(c.sent, 0);
	assert_true(c.ms >= 10000 && c.ms < 20000);
	assert_true(c.outage_ms < 500);
	/* A tenth of the link: each round is about a tenth of the last. */
	w.half = 50 * MIB;
	w.distinct = 100 * MIB;
	f.dirty_rate = 10 * MIB;
	forecast_course(&f, &w, 4000 * MIB, 40000, 2000, &c);
	assert_true(c.fits);
	assert_true(c.rounds >= 2);
	assert_true(c.sent >= 400 * MIB && c.sent < 800 * MIB);
	assert_true(c.outage_ms < 2000);
	/* Twice the link: it never comes near. */
	w.half = 1000 * MIB;
	w.distinct = 2000 * MIB;
	f.dirty_rate = 200 * MIB;
	forecast_course(&f, &w, 4000 * MIB, 40000, 2000, &c);
	assert_false(c.fits);
	assert_true(c.outage_ms > 2000);
	/* But when these are always the same blocks, it is bounded. */
	w.half = w.distinct = 20 * MIB;
	f.dirty_rate = 1 * MIB;
	forecast_course(&f, &w, 4000 * MIB, 40000, 2000, &c);
	assert_true(c.fits);
	/* Whatever the numbers, it ends. */
	f = (struct forecast){.tracking = true};
	w = (struct forecast_writes){
		1, UINT64_MAX / 4, UINT64_MAX / 2, UINT64_MAX};
	forecast_course(&f, &w, UINT64_MAX, UINT64_MAX, 0, &c);
	assert_false(c.fits);
}

/* ---- the seed ---- */

static void begin(struct estimate *e)
{
	*e = (struct estimate){
		.used = 1000 * MIB,
		.size = 2000 * MIB,
		.plain = {.bytes = 100 * MIB,
			.sent = 100 * MIB,
			.ms = 500,
			.low = 150 * MIB,
			.high = 250 * MIB},
		.packed = {.bytes = 100 * MIB,
			.sent = 50 * MIB,
			.ms = 1000,
			.low = 90 * MIB,
			.high = 110 * MIB},
	};
	e->forecast.tracking = true;
}

static void test_seed(void **state)
{
	struct estimate e;

	begin(&e);
	estimate_work_out(&e, 2000);
	assert_false(e.packs);
	assert_int_equal(e.rate, 200 * MIB);
	/* Half as fast when compressed: two trials of 200 ms lose half of it.
	 */
	assert_int_equal(e.seed_ms, 5200);
	assert_int_equal(e.seed_low_ms, 4200);
	assert_in_range(e.seed_high_ms, 6860, 6870);
	assert_int_equal(e.seed_sent, 1000 * MIB);
	/* One tells enough when it is slower than that; and a pass has a fixed
	 * part. */
	e.packed.ms = 2000;
	e.forecast.overhead_ms = 30;
	estimate_work_out(&e, 2000);
	assert_int_equal(e.seed_ms, 5000 + 150 + 30);
	e.forecast.overhead_ms = 0;
	/* What is packed arrives sooner, but not by enough. */
	e.packed.ms = 480;
	estimate_work_out(&e, 2000);
	assert_false(e.packs);
	e.packed.ms = 400;
	estimate_work_out(&e, 2000);
	assert_true(e.packs);
	/* It begins without, and goes back to it twice. */
	assert_int_equal(e.seed_ms, 4000 + 3 * 40);
	assert_int_equal(e.seed_sent, 500 * MIB);
}

static void test_table(void **state)
{
	struct estimate e;

	begin(&e);
	estimate_work_out(&e, 2000);
	/* Slow: packed, and the link is what bounds it. */
	assert_int_equal(estimate_seed_at(&e, 10 * MIB), 50000);
	/* In between the processor does. */
	assert_int_equal(estimate_seed_at(&e, 60 * MIB), 10000);
	/* Fast: plain, at the source's own pace. */
	assert_int_equal(estimate_seed_at(&e, 10000 * MIB), 5000);
	/* From a machine that means no good. */
	e.plain.sent = e.packed.bytes = e.written = UINT64_MAX;
	e.packed.ms = e.plain.bytes = e.packed.sent = 0;
	e.used = e.size = 1ULL << 60;
	estimate_work_out(&e, 0);
	assert_true(estimate_seed_at(&e, 1) <= INT64_MAX);
	e = (struct estimate){0};
	estimate_work_out(&e, 2000);
	assert_int_equal(estimate_seed_at(&e, 0), 0);
	assert_int_equal(e.seed_ms, 0);
}

/* ---- the volumes of a machine ---- */

static const char machine[] =
	"{'disks':["
	"{'name':'vda','path':'/dev/vda','kind':'disk','table':{}},"
	"{'name':'vda1','path':'/dev/vda1','kind':'part','parents':['vda'],"
	"'content':{'type':'ext4'}},"
	"{'name':'vda2','path':'/dev/vda2','kind':'part','parents':['vda'],"
	"'content':{'type':'LVM2_member'}},"
	"{'name':'vda3','path':'/dev/vda3','kind':'part','parents':['vda']},"
	"{'name':'dm-0','path':'/dev/mapper/v-root','kind':'lvm',"
	"'parents':['vda2'],'content':{'type':'xfs'}},"
	"{'name':'dm-1','path':'/dev/mapper/v-swap','kind':'lvm',"
	"'parents':['vda2'],'content':{'type':'swap'}},"
	"{'name':'vdb','path':'/dev/vdb','kind':'disk',"
	"'content':{'type':'btrfs'},'removable':true},"
	"{'name':'loop0','path':'/dev/loop0','kind':'loop',"
	"'content':{'type':'squashfs'}},"
	"{'name':7,'path':[],'kind':'part','parents':'vda'}"
	"],'swap':[{'disk':'dm-1','kind':'partition'}]}";

static json_t *facts_of(const char *text)
{
	char *copy = strdup(text);
	json_t *j;

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	j = json_loads(copy, 0, NULL);
	free(copy);
	assert_non_null(j);
	return j;
}

static void test_machine(void **state)
{
	CLEANUP_FREE struct msg_measure *q = calloc(1, sizeof(*q));
	struct error err = {0};
	json_t *facts = facts_of(machine);
	char *left = NULL;

	assert_non_null(q);
	assert_int_equal(estimate_machine(facts, q, &left, &err), 0);
	assert_int_equal(q->n, 2);
	assert_string_equal(q->v[0].path, "/dev/vda1");
	assert_string_equal(q->v[1].path, "/dev/mapper/v-root");
	assert_string_equal(left,
		"/dev/vda3 (empty), /dev/mapper/v-swap (swap), /dev/vdb "
		"(removable)");
	free(left);
	json_decref(facts);

	left = NULL;
	facts = facts_of("{'disks':[{'name':'a','path':'/dev/a',"
			 "'kind':'disk'}]}");
	assert_int_equal(estimate_machine(facts, q, &left, &err), -ENOENT);
	assert_non_null(strstr(err.why, "/dev/a (empty)"));
	free(left);
	json_decref(facts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written),
		cmocka_unit_test(test_outage),
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_course),
		cmocka_unit_test(test_seed),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_machine),
	};

	return cmocka_run_group_tests_name("estimate", tests, NULL, NULL);
}
