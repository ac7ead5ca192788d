/* SPDX-License-Identifier: Apache-2.0 */
#include "volume/openers.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

static void cleanup_dir(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static DIR *open_dir(int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (!d && fd >= 0)
		(void)close(fd);
	return d;
}

/* The octal "flags:" of fdinfo tells the access mode. */
static bool is_for_writing(int process, const char *fd)
{
	char path[64], text[1024], *at;

	(void)snprintf(path, sizeof(path), "fdinfo/%.20s", fd);
	if (io_read_file(process, path, text, sizeof(text)) < 0)
		return false;
	at = strstr(text, "flags:");
	return at && (strtoul(at + 6, NULL, 8) & O_ACCMODE) != O_RDONLY;
}

static bool is_same(const struct statx *a, const struct stat *b)
{
	if (S_ISBLK(b->st_mode))
		return S_ISBLK(a->stx_mode) &&
		       makedev(a->stx_rdev_major, a->stx_rdev_minor) ==
			       b->st_rdev;
	return makedev(a->stx_dev_major, a->stx_dev_minor) == b->st_dev &&
	       a->stx_ino == b->st_ino;
}

static bool writes(int process, const struct stat *of)
{
	CLEANUP(cleanup_dir) DIR *fds = open_dir(process, "fd");
	struct dirent *e;
	struct statx st;

	/* No question to servers that may be gone, or wait for us. */
	while (fds && (e = readdir(fds)))
		if (e->d_name[0] != '.' &&
			statx(dirfd(fds), e->d_name,
				AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
				STATX_TYPE | STATX_INO, &st) == 0 &&
			is_same(&st, of) && is_for_writing(process, e->d_name))
			return true;
	return false;
}

uint32_t openers_count(const struct stat *of, char *name, size_t size)
{
	CLEANUP(cleanup_dir) DIR *proc = open_dir(AT_FDCWD, "/proc");
	struct dirent *e;
	uint32_t n = 0;
	char own[16];

	(void)snprintf(own, sizeof(own), "%d", getpid());
	while (proc && (e = readdir(proc))) {
		CLEANUP_CLOSE int process = -1;
		char command[64] = "";

		if (e->d_name[0] < '1' || e->d_name[0] > '9' ||
			strcmp(e->d_name, own) == 0)
			continue;
		process = openat(dirfd(proc), e->d_name,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (process < 0 || !writes(process, of))
			continue;
		if (n++ == 0) {
			(void)!io_read_file(
				process, "comm", command, sizeof(command));
			(void)snprintf(name, size, "%.40s (%.16s)", command,
				e->d_name);
		}
	}
	return n;
}
