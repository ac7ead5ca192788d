/* SPDX-License-Identifier: Apache-2.0 */
/* Loop devices over files, in a mount namespace of the test's own. All ends by
 * itself with the process: mounts with the namespace, loop devices because they
 * clear themselves on last close. */
#ifndef REHOST_TESTS_DEVICE_H
#define REHOST_TESTS_DEVICE_H

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

struct device {
	char file[256];
	char path[64]; /* "/dev/loop7" */
	int fd;	       /* keeps it */
	uint64_t size;
};

/* A folder for one test program, and the namespace. False: not root. */
static inline bool device_setup(char *folder)
{
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mkdtemp(folder) != NULL;
}

__attribute__((format(printf, 1, 2))) static inline int run(
	const char *format, ...)
{
	char command[2048];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	return system(command);
}

/* Makes a file of size bytes that are all fill. */
static inline void device_file(const char *file, uint64_t size, int fill)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char *buf = malloc(1 << 20);

	assert_true(fd >= 0);
	assert_non_null(buf);
	memset(buf, fill, 1 << 20);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	for (uint64_t at = 0; fill && at < size; at += 1 << 20) {
		size_t n = size - at < 1 << 20 ? size - at : 1 << 20;

		assert_int_equal(pwrite(fd, buf, n, (off_t)at), (ssize_t)n);
	}
	free(buf);
	(void)close(fd);
}

static inline void device_attach(
	struct device *d, const char *file, uint32_t block_size)
{
	struct loop_config config = {.block_size = block_size};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int fd = open(file, O_RDWR | O_CLOEXEC);
	struct stat st;
	char name[sizeof(d->file)]; /* file may be d's */
	int r = -1;

	assert_true(control >= 0 && fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	config.fd = (uint32_t)fd;
	config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
	(void)snprintf(name, sizeof(name), "%s", file);
	memset(d, 0, sizeof(*d));
	/* Others take loop devices too. */
	for (int i = 0; i < 100 && r < 0; i++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);

		assert_true(n >= 0);
		(void)snprintf(d->path, sizeof(d->path), "/dev/loop%d", n);
		d->fd = open(d->path, O_RDWR | O_CLOEXEC);
		if (d->fd < 0)
			continue;
		r = ioctl(d->fd, LOOP_CONFIGURE, &config);
		if (r < 0)
			(void)close(d->fd);
	}
	assert_int_equal(r, 0);
	/* An earlier user of the device may have switched it off. */
	assert_int_equal(
		run("echo 1 >/sys/block/%s/queue/iostats", d->path + 5), 0);
	(void)close(control);
	(void)close(fd);
	memcpy(d->file, name, sizeof(name));
	d->size = (uint64_t)st.st_size;
}

static inline void device_make(struct device *d, const char *folder,
	const char *name, uint64_t size, int fill)
{
	char file[256];

	(void)snprintf(file, sizeof(file), "%s/%s", folder, name);
	device_file(file, size, fill);
	device_attach(d, file, 0);
}

/* The device ends when nothing else has it open. */
static inline void device_detach(struct device *d)
{
	(void)close(d->fd);
	d->fd = -1;
}

static inline void device_remove(struct device *d)
{
	device_detach(d);
	assert_int_equal(unlink(d->file), 0);
}

#endif
