/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A write that is in flight while the tracker is asked must be reported after
 * it completes: what marks at issue only forgets it. The write is held up by
 * freezing the filesystem below a loop device.
 */
#include "device.h"

#include <linux/fs.h>
#include <pthread.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/io.h"
#include "track/tracker.h"

static char folder[64] = "/var/tmp/test-inflight.XXXXXX";

struct marks {
	uint64_t writes, first, end;
};

static void take(void *arg, enum track_kind kind, uint64_t offset, uint64_t n)
{
	struct marks *m = arg;

	if (kind != TRACK_WRITE)
		return;
	m->first = m->writes++ ? m->first : offset;
	m->end = offset + n;
}

static void *write_one(void *arg)
{
	const struct device *d = arg;
	int fd = open(d->path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	void *buf = NULL;

	assert_true(fd >= 0);
	assert_int_equal(posix_memalign(&buf, 4096, 65536), 0);
	memset(buf, 0x5a, 65536);
	assert_int_equal(pwrite(fd, buf, 65536, 1 << 20), 65536);
	free(buf);
	(void)close(fd);
	return NULL;
}

static uint64_t in_flight(unsigned dev_major, unsigned dev_minor)
{
	char path[96], text[512];
	unsigned long long n = 0;

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/inflight",
		dev_major, dev_minor);
	if (io_read_file(AT_FDCWD, path, text, sizeof(text)) < 0)
		return 0;
	return sscanf(text, "%*u %llu", &n) == 1 ? n : 0;
}

static void held_up_write(void **state)
{
	struct device below, disk;
	struct segments segments;
	struct tracker *t;
	struct marks marks = {0};
	struct error err;
	struct stat st;
	char file[160], mount_point[128];
	pthread_t thread;
	int fs;

	(void)snprintf(file, sizeof(file), "%s/below.img", folder);
	(void)snprintf(mount_point, sizeof(mount_point), "%s/m", folder);
	device_file(file, 64 << 20, 0);
	device_attach(&below, file, 512);
	assert_int_equal(run("mkfs.ext4 -q %s", below.path), 0);
	assert_int_equal(mkdir(mount_point, 0700), 0);
	assert_int_equal(mount(below.path, mount_point, "ext4", 0, NULL), 0);
	(void)snprintf(file, sizeof(file), "%s/disk.img", mount_point);
	device_file(file, 16 << 20, 0x11);
	device_attach(&disk, file, 512);
	assert_int_equal(stat(disk.path, &st), 0);

	assert_int_equal(segments_find(major(st.st_rdev), minor(st.st_rdev),
				 &segments, &err),
		0);
	(void)snprintf(file, sizeof(file), "rehost-inflight-%d", getpid());
	assert_int_equal(
		tracker_start(file, &segments, 0, take, &marks, &t, &err), 0);

	fs = open(mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fs >= 0);
	assert_int_equal(ioctl(fs, FIFREEZE, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, write_one, &disk), 0);
	for (int i = 0;
		i < 1000 && !in_flight(major(st.st_rdev), minor(st.st_rdev));
		i++)
		clock_sleep_ms(10);
	/* Nothing may assert from here to the thaw. */
	(void)tracker_collect(t, &err);
	memset(&marks, 0, sizeof(marks));
	assert_int_equal(ioctl(fs, FITHAW, 0), 0);
	(void)pthread_join(thread, NULL);

	assert_int_equal(tracker_settle(t, false, 5000, &err), 0);
	assert_true(marks.writes > 0);
	assert_int_equal(marks.first, 1 << 20);
	assert_int_equal(marks.end, (1 << 20) + 65536);

	tracker_stop(t);
	(void)close(fs);
	(void)close(disk.fd);
	assert_int_equal(umount2(mount_point, MNT_DETACH), 0);
	(void)close(below.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(held_up_write)};
	int r;

	if (!device_setup(folder))
		return 77;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)run("rm -rf %s", folder);
	return r;
}
