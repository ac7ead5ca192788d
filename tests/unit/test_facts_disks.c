/* SPDX-License-Identifier: Apache-2.0 */
/* What stands on real devices: loop devices, for want of others. */
#include "device.h"

#include "facts/facts.h"
#include "facts_tree.h"

#define MIB (1ULL << 20)
#define UUID "0b1e9a4c-6a52-4c0e-9d5b-7f1d2c3b4a59"

static char folder[] = "/var/tmp/test_facts.XXXXXX";
static json_t *facts;

static json_t *find_disk(const char *path)
{
	struct error err;
	json_t *j;

	json_decref(facts);
	facts = NULL;
	assert_int_equal(facts_gather("/", 0, NULL, &facts, &err), 0);
	j = tree_find(json_object_get(facts, "disks"), "path", path);
	assert_non_null(j);
	return j;
}

static const char *text_in(json_t *j, const char *inner, const char *key)
{
	return tree_text(json_object_get(j, inner), key);
}

static void content(void **state)
{
	struct device d;
	char point[300];
	json_t *j;

	device_make(&d, folder, "disk", 32 * MIB, 0);
	assert_int_equal(
		run("mkfs.ext4 -q -F -L 'a b' -U " UUID " %s", d.path), 0);
	j = find_disk(d.path);
	assert_string_equal(tree_text(j, "kind"), "loop");
	assert_string_equal(tree_text(j, "backing"), d.file);
	assert_int_equal(
		json_integer_value(json_object_get(j, "size")), 32 * MIB);
	assert_string_equal(text_in(j, "content", "type"), "ext4");
	assert_string_equal(text_in(j, "content", "uuid"), UUID);
	assert_string_equal(text_in(j, "content", "label"), "a b");
	assert_string_equal(tree_text(j, "id"), "uuid:" UUID);
	assert_null(json_object_get(j, "table"));
	/* Mounted, below a name that is not easy to show. */
	(void)snprintf(point, sizeof(point), "%s/a b\n\x1b", folder);
	assert_int_equal(mkdir(point, 0700), 0);
	assert_int_equal(mount(d.path, point, "ext4", MS_NOATIME, ""), 0);
	j = find_disk(d.path);
	j = tree_find(json_object_get(facts, "filesystems"), "disk",
		tree_text(j, "name"));
	assert_non_null(j);
	assert_non_null(strstr(tree_text(j, "mount"), "/a b\\x0a\\x1b"));
	assert_non_null(strstr(tree_text(j, "options"), "noatime"));
	assert_string_equal(tree_text(j, "uuid"), UUID);
	assert_true(json_integer_value(json_object_get(j, "size")) > 0);
	assert_true(json_integer_value(json_object_get(j, "used")) > 0);
	assert_true(json_integer_value(json_object_get(j, "inodes_used")) > 0);
	assert_int_equal(umount(point), 0);
	assert_int_equal(rmdir(point), 0);
	device_remove(&d);
}

static void table(void **state)
{
	static const uint8_t entries[66] = {0x80, 0, 0, 0, 0x83, 0, 0, 0, 0, 8,
		0, 0, 0, 16, 0, 0, [64] = 0x55, [65] = 0xaa};
	struct device d;
	json_t *j, *part;

	device_make(&d, folder, "disk", 8 * MIB, 0);
	assert_int_equal(io_pwrite_all(d.fd, "\xcd\xab\x34\x12", 4, 440), 0);
	assert_int_equal(io_pwrite_all(d.fd, entries, 66, 446), 0);
	assert_int_equal(fsync(d.fd), 0);
	j = find_disk(d.path);
	assert_string_equal(text_in(j, "table", "kind"), "dos");
	assert_string_equal(text_in(j, "table", "id"), "1234abcd");
	part = json_array_get(
		json_object_get(json_object_get(j, "table"), "partitions"), 0);
	assert_string_equal(tree_text(part, "type"), "0x83");
	assert_string_equal(tree_text(part, "uuid"), "1234abcd-01");
	assert_int_equal(
		json_integer_value(json_object_get(part, "start")), MIB);
	assert_int_equal(
		json_integer_value(json_object_get(part, "size")), 2 * MIB);
	assert_null(json_object_get(j, "boot_code"));
	j = json_object_get(json_object_get(facts, "boot"), "mbr");
	j = tree_find(j, "disk", strrchr(d.path, '/') + 1);
	assert_string_equal(tree_text(j, "boot_code"), "none");
	device_remove(&d);
}

static int finish(void **state)
{
	json_decref(facts);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content),
		cmocka_unit_test(table),
	};

	if (!device_setup(folder))
		return 77;
	return cmocka_run_group_tests(tests, NULL, finish);
}
