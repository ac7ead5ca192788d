/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/cleanup.h"
#include "copy/adapt.h"

#define STEP_US 10000
#define MANY (1ULL << 40)

struct link {
	struct adapt a;
	uint64_t now_us, done;
	uint64_t rate[2]; /* bytes a second, plain and compressed */
	/* Of a slow link: what it takes a second, what lies in its buffers, and
	 * how much of these there is; each way then fills them at its rate. */
	uint64_t takes, room, put, left;
	bool packs;    /* what the workers have in hand, */
	uint64_t hand; /* and how much of it is still to go the old way */
};

#define PACKED 3	  /* compressed bytes are so many times fewer */
#define IN_HAND (4 << 20) /* of all workers */

/* What is done in one step of time, at most as much as there is room for. */
static uint64_t work(struct link *l, uint64_t bytes)
{
	uint64_t ratio = l->packs ? PACKED : 1, queue;

	if (l->takes == 0) {
		l->put += bytes;
		l->left = l->put;
		return bytes;
	}
	queue = l->put - l->left;
	l->left += MIN(queue, l->takes / (1000000 / STEP_US));
	bytes = MIN(bytes / ratio, l->room - (l->put - l->left));
	l->put += bytes;
	bytes *= ratio;
	if (l->packs == l->a.use)
		l->hand = IN_HAND;
	l->hand -= MIN(l->hand, bytes);
	if (l->hand == 0)
		l->packs = l->a.use;
	return bytes;
}

/* The pass goes on for so long; with how much left for each. */
static void run(struct link *l, uint64_t us, uint64_t left)
{
	for (uint64_t end = l->now_us + us; l->now_us < end;) {
		l->now_us += STEP_US;
		struct adapt_at at;

		l->done += work(l, l->rate[l->a.use] / (1000000 / STEP_US));
		at = (struct adapt_at){l->done, l->put, l->left};
		if (adapt_due(&l->a, l->now_us, l->done, left))
			adapt_step(&l->a, l->now_us, &at);
	}
}

static void begin(struct link *l)
{
	struct adapt_at at = {0, l->put, l->left};

	l->done = 0;
	adapt_begin(&l->a, l->now_us, &at);
}

static void test_verdict(void **state)
{
	struct link slow = {.now_us = 1, .rate = {10 << 20, 30 << 20}};
	struct link fast = {.now_us = 1, .rate = {900 << 20, 300 << 20}};

	begin(&slow);
	run(&slow, 8000000, MANY);
	assert_true(slow.a.decided && slow.a.verdict && slow.a.use);
	begin(&fast);
	run(&fast, 8000000, MANY);
	assert_true(fast.a.decided && !fast.a.verdict && !fast.a.use);
}

/* Buffers take as much in a moment as the link in a second. */
static void test_buffers(void **state)
{
	struct link l = {.now_us = 1,
		.rate = {600 << 20, 200 << 20},
		.takes = 12 << 20,
		.room = 24 << 20};

	begin(&l);
	run(&l, 8000000, MANY);
	assert_true(l.a.decided && l.a.verdict);
	/* And full as they are by then. */
	run(&l, 60000000, MANY);
	assert_true(l.a.verdict);
	/* A slow disk does not fill them in the first step. */
	l = (struct link){.now_us = 1,
		.rate = {60 << 20, 60 << 20},
		.takes = 12 << 20,
		.room = 60 << 20};
	begin(&l);
	run(&l, 8000000, MANY);
	assert_true(l.a.decided && l.a.verdict);
}

/* So slow that no trial comes to an end. */
static void test_slow(void **state)
{
	struct link l = {.now_us = 1,
		.rate = {600 << 20, 200 << 20},
		.takes = 100 << 10,
		.room = 1 << 20};

	begin(&l);
	run(&l, 20000000, MANY);
	assert_true(l.a.decided && l.a.verdict && l.a.use);
}

/* Compression that wins next to nothing is not worth the processor. */
static void test_little(void **state)
{
	struct link l = {.now_us = 1, .rate = {100 << 20, 103 << 20}};

	begin(&l);
	run(&l, 8000000, MANY);
	assert_true(l.a.decided && !l.a.verdict);
}

/* What was found holds for passes that are too short for trials, and a trial
 * that a pass's end cut off does not. */
static void test_short_passes(void **state)
{
	struct link l = {.now_us = 1, .rate = {10 << 20, 30 << 20}};

	begin(&l);
	run(&l, 8000000, MANY);
	for (int i = 0; i < 10; i++) {
		begin(&l);
		assert_true(l.a.use);
		run(&l, 100000, 0);
		assert_true(l.a.use && l.a.step == 0);
	}
	run(&l, 60000000, MANY);
	while (l.a.step == 0)
		run(&l, STEP_US, MANY);
	begin(&l);
	assert_true(l.a.use && l.a.step == 0);
}

/* Conditions change: it is tried again, but only where enough is left. */
static void test_again(void **state)
{
	struct link l = {.now_us = 1, .rate = {10 << 20, 30 << 20}};

	begin(&l);
	run(&l, 8000000, MANY);
	l.rate[0] = 300 << 20;
	run(&l, 90000000, 1 << 20);
	assert_true(l.a.use && l.a.step == 0);
	run(&l, 90000000, MANY);
	assert_true(!l.a.verdict);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdict),
		cmocka_unit_test(test_buffers),
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_little),
		cmocka_unit_test(test_short_passes),
		cmocka_unit_test(test_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
