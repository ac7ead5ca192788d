/* SPDX-License-Identifier: Apache-2.0 */
#include "track/tracefs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include "base/clock.h"

#define TRACEFS_FSTYPE 0x74726163
#define DEBUGFS_FSTYPE 0x64626720 /* tracefs was part of it until Linux 4.1 */

#define REMOVE_TRIES 50

static int open_if(const char *path, long fstype, long fstype2)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) < 0)
		return -errno;
	if ((long)fs.f_type != fstype && (long)fs.f_type != fstype2)
		return -ENOENT;
	return STEAL_FD(fd);
}

/* A mount that only this descriptor keeps. */
static int mount_detached(void)
{
	static const char point[] = "/sys/kernel/tracing";
	CLEANUP_CLOSE int fs = fsopen("tracefs", FSOPEN_CLOEXEC);
	int fd;

	if (fs >= 0) {
		if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
			return -errno;
		fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
		return fd < 0 ? -errno : fd;
	}
	if (errno != ENOSYS)
		return -errno;
	/* Linux before 5.2 needs a mount point, for a moment. */
	if (mount("tracefs", point, "tracefs", 0, NULL) < 0)
		return -errno;
	fd = open_if(point, TRACEFS_FSTYPE, TRACEFS_FSTYPE);
	if (umount2(point, MNT_DETACH) < 0 && fd >= 0) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	return fd;
}

static int open_tracefs(void)
{
	int fd = open_if("/sys/kernel/tracing", TRACEFS_FSTYPE, TRACEFS_FSTYPE);

	if (fd < 0)
		fd = open_if("/sys/kernel/debug/tracing", TRACEFS_FSTYPE,
			DEBUGFS_FSTYPE);
	return fd < 0 ? mount_detached() : fd;
}

int tracefs_instances(void)
{
	CLEANUP_CLOSE int root = open_tracefs();
	int fd;

	if (root < 0)
		return root;
	fd = openat(root, "instances", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

bool tracefs_is_name(const char *name)
{
	return name[0] && name[0] != '.' && !strchr(name, '/') &&
	       strlen(name) <= NAME_MAX;
}

int tracefs_remove(int instances, const char *name)
{
	/* Whoever reads in it just now may hold it for a moment. */
	for (int i = 0; i < REMOVE_TRIES; i++) {
		if (unlinkat(instances, name, AT_REMOVEDIR) == 0 ||
			errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			return -errno;
		clock_sleep_ms(10);
	}
	return -EBUSY;
}
