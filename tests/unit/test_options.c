/* SPDX-License-Identifier: Apache-2.0 */
/* What is stored of a move is what is read again. */
#include "unit_json.h"

#include <errno.h>

#include "move/options.h"

static void fill(struct options *o)
{
	options_init(o);
	strcpy(o->name, "web");
	strcpy(o->source, "root@old");
	strcpy(o->target, "root@new");
	strcpy(o->overwrite, "serial:x");
	o->wait = o->clone = o->full_verify = true;
	o->fence = FENCE_SIGNATURE;
	o->via = VIA_RELAY;
	o->boot = BOOT_BY_FIRMWARE;
	o->lanes = 3;
	o->bwlimit = 1 << 20;
	o->downtime_ms = 1234;
	o->boot_timeout_ms = 5678;
	assert_int_equal(options_add_hook(&o->quiesce, "stop"), 0);
	assert_int_equal(options_add_hook(&o->deactivate, "end"), 0);
	assert_int_equal(options_add_hook(&o->probes, "tcp:22"), 0);
	assert_int_equal(options_add_hook(&o->power_off, "virsh off"), 0);
	assert_int_equal(options_add_hook(&o->power_on, "virsh on"), 0);
	assert_int_equal(options_add_hook(&o->target_power_off, "off"), 0);
	o->no_rollback = true;
	assert_int_equal(options_add_ssh(o, "-F"), 0);
	assert_int_equal(
		options_add_disk(o, "/dev/vda", "/dev/sda", "serial:y"), 0);
	assert_int_equal(options_add_disk(o, "/dev/vdb", "/dev/sdb", ""), 0);
	o->wish = load("{'identity':'keep','mounts':[]}");
}

static void test_same(void **state)
{
	static struct options a, b;
	struct error err;
	json_t *first, *second;

	fill(&a);
	first = options_to_json(&a);
	assert_non_null(first);
	assert_int_equal(options_from_json(first, &b, &err), 0);
	second = options_to_json(&b);
	assert_true(json_equal(first, second));
	assert_int_equal(b.n_disks, 2);
	assert_string_equal(b.disks[1].target, "/dev/sdb");
	assert_string_equal(b.probes.v[0], "tcp:22");
	assert_int_equal(b.boot_timeout_ms, 5678);
	assert_string_equal(b.power_off.v[0], "virsh off");
	assert_string_equal(b.power_on.v[0], "virsh on");
	assert_string_equal(b.target_power_off.v[0], "off");
	assert_true(b.no_rollback);
	assert_true(json_equal(a.wish, b.wish));
	json_decref(first);
	json_decref(second);
	options_done(&a);
	options_done(&b);
}

/* A volume has neither disks nor a wish. */
static void test_volume(void **state)
{
	static struct options a, b;
	struct error err;
	json_t *j;

	options_init(&a);
	j = options_to_json(&a);
	assert_non_null(j);
	assert_int_equal(options_from_json(j, &b, &err), 0);
	assert_int_equal(b.n_disks, 0);
	assert_null(b.wish);
	json_decref(j);
	options_done(&a);
	options_done(&b);
}

/* What is missing, or too much, is refused. */
static void test_refused(void **state)
{
	static struct options a, b;
	const char *key;
	struct error err;
	json_t *j, *v;

	fill(&a);
	j = options_to_json(&a);
	json_object_foreach(j, key, v)
	{
		json_t *less = json_copy(j);

		assert_int_equal(json_object_del(less, key), 0);
		assert_int_equal(options_from_json(less, &b, &err), -EINVAL);
		json_decref(less);
	}
	assert_int_equal(json_object_set_new(j, "more", json_true()), 0);
	assert_int_equal(options_from_json(j, &b, &err), -EINVAL);
	json_decref(j);
	options_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_volume),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
