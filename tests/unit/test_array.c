/* SPDX-License-Identifier: Apache-2.0 */
/* What an array is made of, as sysfs has it. Making one takes the kernel's
 * driver: tests/vm/long/move_md.sh. */
#include "volume/array.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "unit.h"
#include "volume/assemble.h"

static char sys[PATH_MAX];

static void put(const char *path, const char *text)
{
	char at[PATH_MAX + 256];
	int fd;

	for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
		(void)snprintf(at, sizeof(at), "%s/%.*s", sys,
			(int)(slash - path), path);
		assert_true(mkdir(at, 0755) == 0 || errno == EEXIST);
	}
	(void)snprintf(at, sizeof(at), "%s/%s", sys, path);
	fd = open(at, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(close(fd), 0);
}

#define MD "devices/virtual/block/md0/md/"

/* A mirror that is whole. */
static int begin(void **state)
{
	char at[PATH_MAX + 256];

	(void)snprintf(sys, sizeof(sys), "/tmp/rehost-test-array.XXXXXX");
	if (!mkdtemp(sys))
		return -1;
	put(MD "metadata_version", "1.2\n");
	put(MD "raid_disks", "2\n");
	put(MD "dev-vda2/block/dev", "254:2\n");
	put(MD "dev-vda2/slot", "0\n");
	put(MD "dev-vda2/state", "in_sync\n");
	put(MD "dev-vdb2/block/dev", "254:18\n");
	put(MD "dev-vdb2/slot", "1\n");
	put(MD "dev-vdb2/state", "in_sync,write_mostly\n");
	put("dev/block/x", "");
	(void)snprintf(at, sizeof(at), "%s/dev/block/9:0", sys);
	return symlink("../../devices/virtual/block/md0", at);
}

static int end(void **state)
{
	char command[PATH_MAX + 16];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", sys);
	return system(command);
}

static void is_refused(int code, const char *why)
{
	struct error err = {0};
	struct array a;

	assert_int_equal(array_read(sys, makedev(9, 0), &a, &err), code);
	if (why && !strstr(err.why, why))
		fail_msg("%s: %s", err.what, err.why);
}

static bool has_member(const struct array *a, dev_t dev)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (a->v[i] == dev)
			return true;
	return false;
}

static void whole(void **state)
{
	struct error err = {0};
	struct array a;

	assert_int_equal(array_read(sys, makedev(9, 0), &a, &err), 0);
	assert_string_equal(a.name, "md0");
	assert_int_equal(a.minor, 2);
	assert_int_equal(a.n, 2);
	assert_true(has_member(&a, makedev(254, 2)));
	assert_true(has_member(&a, makedev(254, 18)));
}

static void with_a_spare(void **state)
{
	struct error err = {0};
	struct array a;

	put(MD "dev-vdc2/block/dev", "254:34\n");
	put(MD "dev-vdc2/slot", "none\n");
	put(MD "dev-vdc2/state", "spare\n");
	assert_int_equal(array_read(sys, makedev(9, 0), &a, &err), 0);
	assert_int_equal(a.n, 3);
	assert_true(has_member(&a, makedev(254, 34)));
}

static void other_metadata(void **state)
{
	static const char *const refused[] = {
		"0.90\n", "external:imsm\n", "none\n", "1.3\n", ""};
	struct error err = {0};
	struct array a;

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		put(MD "metadata_version", refused[i]);
		is_refused(-EOPNOTSUPP, "only 1.0, 1.1 and 1.2");
	}
	put(MD "metadata_version", "1.0\n");
	assert_int_equal(array_read(sys, makedev(9, 0), &a, &err), 0);
	assert_int_equal(a.minor, 0);
}

static void lacking(void **state)
{
	put(MD "dev-vdb2/state", "faulty\n");
	is_refused(-EOPNOTSUPP, "only 1 of its 2 members");
	/* It is being filled. */
	put(MD "dev-vdb2/state", "spare\n");
	is_refused(-EOPNOTSUPP, "only 1 of its 2 members");
	put(MD "dev-vdb2/state", "in_sync\n");
	put(MD "raid_disks", "3 (2)\n");
	is_refused(-EBADMSG, NULL);
	put(MD "raid_disks", "3\n");
	is_refused(-EOPNOTSUPP, "only 2 of its 3 members");
}

static void no_sense(void **state)
{
	struct error err = {0};
	struct array a;

	put(MD "dev-vdb2/block/dev", "254\n");
	is_refused(-EBADMSG, NULL);
	put(MD "dev-vdb2/block/dev", "");
	is_refused(-ENODEV, NULL);
	assert_int_equal(array_read(sys, makedev(9, 1), &a, &err), -ENOENT);
}

static void too_many(void **state)
{
	for (unsigned i = 0; i < MEMBERS_MAX; i++) {
		char path[128], text[32];

		(void)snprintf(path, sizeof(path), MD "dev-sd%u/block/dev", i);
		(void)snprintf(text, sizeof(text), "8:%u\n", i);
		put(path, text);
	}
	is_refused(-E2BIG, NULL);
}

/* ---- what the target is told ---- */

static struct msg_pieces on;
static struct msg_path disks[1];

static void is_nonsense(int code)
{
	struct error err = {0};
	char path[64];

	assert_int_equal(assemble(disks, 1, &on, 0, path, &err), code);
}

/* Nothing outside of what was sent is looked at, and nothing is made. */
static void hostile_pieces(void **state)
{
	(void)snprintf(disks[0].path, sizeof(disks[0].path), "/dev/null");
	is_nonsense(-EPROTO); /* none at all */
	on.n = 1;
	is_nonsense(-EPROTO); /* without stripes */
	on.v[0].stripes = 1;
	on.v[0].disk = 1;
	is_nonsense(-EPROTO);
	on.v[0].disk = VOLUMES_MAX;
	is_nonsense(-EPROTO);
	on.v[0].disk = UINT32_MAX;
	is_nonsense(-EPROTO);
	on.n_arrays = 1;
	is_nonsense(-EPROTO);
	on.v[0].disk = VOLUMES_MAX + 1;
	is_nonsense(-EPROTO);
	on.v[0].disk = VOLUMES_MAX;
	on.arrays[0].n = 1;
	on.arrays[0].v[0].disk = 1;
	is_nonsense(-EPROTO);
	on.arrays[0].v[0].disk = VOLUMES_MAX;
	is_nonsense(-EPROTO);
	/* No partition begins there. */
	on.arrays[0].v[0].disk = 0;
	on.arrays[0].v[0].at = 512;
	is_nonsense(-ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whole, begin, end),
		cmocka_unit_test_setup_teardown(with_a_spare, begin, end),
		cmocka_unit_test_setup_teardown(other_metadata, begin, end),
		cmocka_unit_test_setup_teardown(lacking, begin, end),
		cmocka_unit_test_setup_teardown(no_sense, begin, end),
		cmocka_unit_test_setup_teardown(too_many, begin, end),
		cmocka_unit_test(hostile_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
