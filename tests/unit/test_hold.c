/* SPDX-License-Identifier: Apache-2.0 */
/* Several disks held together: what is on them is found and frozen in order,
 * and given back whatever fails. */
#include "device.h"

#include <linux/fs.h>
#include <sys/sysmacros.h>

#include "track/hold.h"
#include "volume/probe.h"
#include "volume/stack.h"

#define MIB (1ULL << 20)

static char folder[] = "/tmp/rehost-hold-XXXXXX";
static bool is_root;

/* Two disks; on the first a filesystem with an image file, and what is in that
 * mounted too. */
static struct {
	struct device disk[2], image;
	char point[3][256]; /* of the first, the second, the image */
	struct maps_shared *s;
	struct hold hold;
} t;

static void mount_new(const struct device *d, const char *point)
{
	assert_int_equal(run("mkfs.ext4 -q -F -O ^has_journal %s", d->path), 0);
	assert_int_equal(mkdir(point, 0700), 0);
	assert_int_equal(mount(d->path, point, "ext4", 0, NULL), 0);
}

static void take_disk(uint32_t i)
{
	struct maps_disk *d = &t.s->disks[i];
	struct stat st;

	assert_int_equal(stat(t.disk[i].path, &st), 0);
	(void)snprintf(d->path, sizeof(d->path), "%s", t.disk[i].path);
	d->kind = VOLUME_BLOCK;
	d->major = major(st.st_rdev);
	d->minor = minor(st.st_rdev);
	d->size = t.disk[i].size;
	d->start = i * 64 * MIB;
}

static int begin(void **state)
{
	if (!is_root)
		return 0;
	memset(&t, 0, sizeof(t));
	t.s = calloc(1, sizeof(*t.s));
	assert_non_null(t.s);
	for (int i = 0; i < 3; i++)
		(void)snprintf(
			t.point[i], sizeof(t.point[i]), "%s/mnt%d", folder, i);
	for (uint32_t i = 0; i < 2; i++) {
		char name[] = {'d', (char)('0' + i), '\0'};

		device_make(&t.disk[i], folder, name, 32 * MIB, 0);
		mount_new(&t.disk[i], t.point[i]);
		take_disk(i);
	}
	device_make(&t.image, t.point[0], "image", 8 * MIB, 0);
	mount_new(&t.image, t.point[2]);
	t.s->n_disks = 2;
	t.s->phase = KEEPER_QUIESCED;
	t.s->size = 96 * MIB;
	hold_init(&t.hold);
	return 0;
}

static int end(void **state)
{
	struct error err;

	if (!is_root)
		return 0;
	assert_int_equal(hold_release(&t.hold, t.s, &err), 0);
	(void)umount(t.point[2]);
	device_detach(&t.image);
	for (int i = 0; i < 2; i++)
		(void)umount(t.point[i]);
	for (int i = 0; i < 2; i++)
		device_remove(&t.disk[i]);
	free(t.s);
	return run("rm -rf %s/mnt*", folder);
}

static bool is_frozen(const char *point)
{
	int fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	assert_true(fd >= 0);
	r = ioctl(fd, FIFREEZE, 0);
	if (r == 0)
		assert_int_equal(ioctl(fd, FITHAW, 0), 0);
	(void)close(fd);
	return r < 0;
}

static void assert_frozen(bool first, bool second, bool image)
{
	assert_int_equal(is_frozen(t.point[0]), first);
	assert_int_equal(is_frozen(t.point[1]), second);
	assert_int_equal(is_frozen(t.point[2]), image);
}

#define NEEDS_ROOT                                                             \
	if (!is_root)                                                          \
	skip()

static void test_found(void **state)
{
	dev_t disks[2];
	struct stack s;
	struct error err;

	NEEDS_ROOT;
	for (int i = 0; i < 2; i++)
		disks[i] = makedev(t.s->disks[i].major, t.s->disks[i].minor);
	assert_int_equal(stack_find(disks, 2, &s, &err), 0);
	assert_int_equal(s.n, 3);
	/* What lies on another's file comes before it. */
	assert_string_equal(s.v[0].mount.point, t.point[2]);
	assert_int_equal(s.v[0].depth, 1);
	assert_int_equal(s.v[1].depth, 0);
	stack_done(&s);
	/* Of one disk alone, the other's is none of it. */
	assert_int_equal(stack_find(&disks[1], 1, &s, &err), 0);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.v[0].mount.point, t.point[1]);
	stack_done(&s);
	assert_true(stack_lies_on(disks[0], disks, 1));
	assert_false(stack_lies_on(disks[1], disks, 1));
}

static void test_together(void **state)
{
	static struct msg_held held;
	struct msg_held_mount one = {.how = HELD_FROZEN};
	struct error err = {0};

	NEEDS_ROOT;
	memset(&held, 0, sizeof(held));
	assert_int_equal(hold_take(&t.hold, true, t.s, &held, &err), 0);
	assert_int_equal(held.kind, HOLD_FROZEN);
	assert_int_equal(held.n_mounts, 3);
	assert_int_equal(t.s->n_held, 3);
	assert_string_equal(t.s->held[0].point, t.point[2]);
	assert_frozen(true, true, true);
	t.s->tracking = 1;
	assert_int_equal(hold_check(&t.hold, t.s, &err), 0);
	/* One of them thawed by somebody else is noticed. */
	(void)snprintf(one.point, sizeof(one.point), "%s", t.point[1]);
	assert_int_equal(hold_release_one(&one, &err), 0);
	assert_int_equal(hold_check(&t.hold, t.s, &err), -EBUSY);
	assert_non_null(strstr(err.why, t.point[1]));
	assert_int_equal(hold_release(&t.hold, t.s, &err), 0);
	assert_int_equal(t.s->n_held, 0);
	assert_frozen(false, false, false);
}

/* The process that held them is no more: the notes are enough. */
static void test_dead(void **state)
{
	static struct msg_held held;
	struct error err = {0};

	NEEDS_ROOT;
	memset(&held, 0, sizeof(held));
	assert_int_equal(hold_take(&t.hold, true, t.s, &held, &err), 0);
	for (int i = 0; i < 3; i++)
		(void)close(STEAL_FD(t.hold.frozen[i]));
	assert_int_equal(hold_release_dead(t.s, &err), 0);
	assert_int_equal(t.s->n_held, 0);
	assert_frozen(false, false, false);
	/* And so is nothing at all. */
	hold_init(&t.hold);
	assert_int_equal(hold_take(&t.hold, true, t.s, &held, &err), 0);
	assert_frozen(true, true, true);
	assert_int_equal(hold_thaw_all(t.s, true, &err), 0);
	assert_frozen(false, false, false);
	assert_int_equal(hold_thaw_all(t.s, true, &err), 0);
	assert_int_equal(hold_release(&t.hold, t.s, &err), 0);
}

/* The last of them cannot be frozen: those before are given back. */
static void test_half_way(void **state)
{
	static struct msg_held held;
	struct error err = {0};
	const char *last =
		strcmp(t.point[0], t.point[1]) > 0 ? t.point[0] : t.point[1];
	int fd;

	NEEDS_ROOT;
	fd = open(last, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, FIFREEZE, 0), 0);
	memset(&held, 0, sizeof(held));
	assert_int_equal(hold_take(&t.hold, true, t.s, &held, &err), -EBUSY);
	assert_non_null(strstr(err.why, "frozen already"));
	assert_int_equal(t.s->n_held, 0);
	assert_int_equal(t.s->phase, KEEPER_QUIESCED);
	assert_int_equal(ioctl(fd, FITHAW, 0), 0);
	(void)close(fd);
	assert_frozen(false, false, false);
}

/* Read-only ones need no freeze. */
static void test_read_only(void **state)
{
	static struct msg_held held;
	struct error err = {0};

	NEEDS_ROOT;
	assert_int_equal(
		mount(NULL, t.point[1], NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	memset(&held, 0, sizeof(held));
	assert_int_equal(hold_take(&t.hold, true, t.s, &held, &err), 0);
	assert_int_equal(t.s->n_held, 2);
	assert_int_equal(hold_release(&t.hold, t.s, &err), 0);
	assert_frozen(false, false, false);
}

static int setup(void **state)
{
	is_root = device_setup(folder);
	return is_root || mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	return run("rm -rf '%s'", folder);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(test_found),
		EACH(test_together),
		EACH(test_dead),
		EACH(test_half_way),
		EACH(test_read_only),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
