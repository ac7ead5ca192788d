/* SPDX-License-Identifier: Apache-2.0 */
#include "volume/array.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/major.h>
#include <linux/raid/md_u.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/parse.h"
#include "volume/mounts.h"

/* By such a name the driver knows that no number is meant. */
#define NAME "md_rehost"
#define NEW_ARRAY "/sys/module/md_mod/parameters/new_array"
#define APPEARS_MS 10000
#define BUSY_MS 10000
#define TICK_MS 50

/* ---- what one is made of ---- */

static int refuse(struct error *err, const char *name, const char *todo)
{
	error_set(err, -EOPNOTSUPP, "put the array %s together", name);
	return error_todo(err, "%s", todo);
}

static int read_minor(int dir, struct array *a, struct error *err)
{
	static const char *const known[] = {"1.0", "1.1", "1.2"};
	char text[64];

	if (io_read_file(dir, "metadata_version", text, sizeof(text)) < 0)
		(void)snprintf(text, sizeof(text), "?");
	for (uint32_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(text, known[i]) != 0)
			continue;
		a->minor = i;
		return 0;
	}
	(void)refuse(err, a->name,
		"move the array as a volume, to an array of the target");
	/* The old kind keeps the array's number, which would change. */
	return error_why(err,
		"its metadata is of version %.40s: only 1.0, 1.1 and 1.2 can "
		"be put together on the target",
		text);
}

static int add_member(int dir, const char *folder, struct array *a)
{
	char path[NAME_MAX + 32], text[64];
	int r;

	(void)snprintf(path, sizeof(path), "%s/block/dev", folder);
	if (a->n == MEMBERS_MAX)
		return -E2BIG;
	if (io_read_file(dir, path, text, sizeof(text)) <= 0)
		return -ENODEV;
	r = mounts_parse_dev(text, &a->v[a->n]);
	if (r == 0)
		a->n++;
	return r;
}

/* Is it in a place of the array, and not a spare, and does it work there? */
static bool is_placed(int dir, const char *folder)
{
	char path[NAME_MAX + 32], text[128];
	uint64_t slot;

	(void)snprintf(path, sizeof(path), "%s/slot", folder);
	if (io_read_file(dir, path, text, sizeof(text)) <= 0 ||
		parse_u64(text, &slot) < 0)
		return false;
	(void)snprintf(path, sizeof(path), "%s/state", folder);
	return io_read_file(dir, path, text, sizeof(text)) > 0 &&
	       strstr(text, "in_sync") && !strstr(text, "faulty");
}

static int read_members(int dir, struct array *a, struct error *err)
{
	uint64_t wanted = 0, placed = 0;
	struct dirent *e;
	char text[64];
	int r = 0, fd;
	DIR *d;

	if (io_read_file(dir, "raid_disks", text, sizeof(text)) <= 0 ||
		parse_u64(text, &wanted) < 0 || wanted == 0)
		return error_set(
			err, -EBADMSG, "read how many members %s has", a->name);
	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d) {
		r = error_set(err, -errno, "read the members of %s", a->name);
		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	while (r == 0 && (e = readdir(d))) {
		if (strncmp(e->d_name, "dev-", 4) != 0)
			continue;
		r = add_member(dir, e->d_name, a);
		placed += is_placed(dir, e->d_name);
	}
	(void)closedir(d);
	if (r < 0)
		return error_set(err, r, "read the members of %s", a->name);
	if (placed == wanted)
		return 0;
	(void)refuse(err, a->name,
		"repair it first (mdadm --add), and wait until it is whole");
	return error_why(err, "only %llu of its %llu members are in order",
		(unsigned long long)placed, (unsigned long long)wanted);
}

int array_read(const char *sys, dev_t dev, struct array *ret, struct error *err)
{
	char path[PATH_MAX], link[PATH_MAX];
	CLEANUP_CLOSE int dir = -1;
	struct array a = {0};
	const char *name;
	ssize_t n;
	int r;

	(void)snprintf(path, sizeof(path), "%.1000s/dev/block/%u:%u", sys,
		major(dev), minor(dev));
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return error_set(err, -errno, "find the array %u:%u",
			major(dev), minor(dev));
	link[n] = '\0';
	name = strrchr(link, '/');
	(void)snprintf(a.name, sizeof(a.name), "%.63s", name ? name + 1 : link);
	(void)snprintf(path, sizeof(path), "%.1000s/dev/block/%u:%u/md", sys,
		major(dev), minor(dev));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return error_set(err, -errno, "open %s", path);
	r = read_minor(dir, &a, err);
	if (r == 0)
		r = read_members(dir, &a, err);
	if (r == 0)
		*ret = a;
	return r;
}

/* ---- making one ---- */

/* Opening a device of its number loads the driver. What that makes besides goes
 * with the first word to it. */
static int load_driver(void)
{
	static const char node[] = "/dev/rehost-md";
	int fd;

	if (access(NEW_ARRAY, W_OK) == 0)
		return 0;
	(void)unlink(node);
	if (mknod(node, S_IFBLK | 0600, makedev(MD_MAJOR, 511)) < 0)
		return -errno;
	fd = open(node, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		(void)ioctl(fd, STOP_ARRAY, NULL);
		(void)close(fd);
	}
	(void)unlink(node);
	return access(NEW_ARRAY, W_OK) < 0 ? -EOPNOTSUPP : 0;
}

/* Opens an array by its name; path gets its node, which is made where the
 * kernel makes none. -ENODEV when there is none. */
static int open_named(uint32_t number, char path[64])
{
	char sys[96], text[64];
	struct stat st;
	dev_t dev;
	int fd;

	(void)snprintf(
		sys, sizeof(sys), "/sys/class/block/" NAME "%u/dev", number);
	if (io_read_file(AT_FDCWD, sys, text, sizeof(text)) <= 0)
		return -ENODEV;
	if (mounts_parse_dev(text, &dev) < 0)
		return -EBADMSG;
	(void)snprintf(path, 64, "/dev/" NAME "%u", number);
	if (stat(path, &st) == 0 &&
		(!S_ISBLK(st.st_mode) || st.st_rdev != dev) && unlink(path) < 0)
		return -errno;
	if (mknod(path, S_IFBLK | 0600, dev) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		/* One that is on its way out, or not there yet. */
		return errno == ENXIO ? -ENODEV : -errno;
	return fd;
}

static int make_empty(uint32_t number, char path[64])
{
	uint64_t until = clock_ms() + APPEARS_MS;
	char name[32];
	int r = load_driver(), fd;

	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), NAME "%u", number);
	r = io_write_file(AT_FDCWD, NEW_ARRAY, name);
	if (r < 0)
		return r;
	while ((fd = open_named(number, path)) == -ENODEV && clock_ms() < until)
		clock_sleep_ms(TICK_MS);
	return fd;
}

static int add_device(int fd, const char *path, struct error *err)
{
	mdu_disk_info_t disk = {0};
	struct stat st;

	if (stat(path, &st) < 0)
		return error_set(err, -errno, "find %s", path);
	if (!S_ISBLK(st.st_mode))
		return error_set(err, -ENOTBLK, "use %s", path);
	disk.major = (int)major(st.st_rdev);
	disk.minor = (int)minor(st.st_rdev);
	if (ioctl(fd, ADD_NEW_DISK, &disk) == 0)
		return 0;
	error_set(err, -errno, "add %s to its array", path);
	return error_todo(err,
		"look at its metadata (mdadm --examine), and at what the "
		"kernel says of it");
}

/* The driver leaves out what is stale. */
static int check_whole(int fd, struct error *err)
{
	mdu_array_info_t info = {0};

	if (ioctl(fd, GET_ARRAY_INFO, &info) < 0)
		return error_set(err, -errno, "look at the array");
	if (info.raid_disks > 0 && info.active_disks == info.raid_disks)
		return 0;
	error_set(err, -EIO, "put the array together");
	return error_why(err, "only %d of its %d members are in order",
		info.active_disks, info.raid_disks);
}

static int start(int fd, uint32_t minor, const char *const *members, uint32_t n,
	struct error *err)
{
	/* Without a number of disks the metadata says what it is. */
	mdu_array_info_t info = {
		.major_version = 1, .minor_version = (int)minor};
	int r = 0;

	if (ioctl(fd, SET_ARRAY_INFO, &info) < 0)
		return error_set(err, -errno, "begin an array");
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = add_device(fd, members[i], err);
	if (r < 0)
		return r;
	if (ioctl(fd, RUN_ARRAY, NULL) < 0)
		return error_set(err, -errno, "start the array");
	return check_whole(fd, err);
}

int array_make(uint32_t number, uint32_t minor, const char *const *members,
	uint32_t n, char ret[64], struct error *err)
{
	char path[64] = "";
	int fd = make_empty(number, path), r;

	if (fd < 0) {
		error_set(err, fd, "make an array");
		return fd == -EOPNOTSUPP
			       ? error_why(err, "this kernel has no md driver")
			       : fd;
	}
	r = start(fd, minor, members, n, err);
	if (r < 0)
		(void)ioctl(fd, STOP_ARRAY, NULL);
	(void)close(fd);
	if (r < 0) {
		(void)unlink(path);
		return r;
	}
	memcpy(ret, path, 64);
	return 0;
}

/* Who mounted it may just be letting go. */
static int stop(uint32_t number)
{
	uint64_t until = clock_ms() + BUSY_MS;
	char path[64];
	int r, fd;

	for (;;) {
		fd = open_named(number, path);
		if (fd == -ENODEV)
			return 0;
		if (fd < 0)
			return fd;
		r = ioctl(fd, STOP_ARRAY, NULL) < 0 ? -errno : 0;
		(void)close(fd);
		if (r != -EBUSY || clock_ms() > until)
			break;
		clock_sleep_ms(TICK_MS);
	}
	if (r == 0)
		(void)unlink(path);
	return r;
}

int array_stop_all(struct error *err)
{
	int r = 0;

	for (uint32_t i = 0; i < ARRAYS_MAX; i++) {
		int one = stop(i);

		if (one < 0 && r == 0)
			r = error_set(err, one, "stop the array " NAME "%u", i);
	}
	return r;
}
