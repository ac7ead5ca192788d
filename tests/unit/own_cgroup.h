/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cgroup of the test's own, below the one that it is in, for what is attached
 * to the root of the hierarchy: in a cgroup namespace that was made in it, it
 * is the root. Empty, it stays should the test be killed. For programs that use
 * all of it.
 */
#ifndef REHOST_TESTS_OWN_CGROUP_H
#define REHOST_TESTS_OWN_CGROUP_H

#include "unit.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "track/netfence.h"

static int cgroup = -1, home_cgroup = -1;
static char cgroup_name[64];

static void join(int folder)
{
	assert_int_equal(io_write_file(folder, "cgroup.procs", "0"), 0);
}

static void make_cgroup(void)
{
	CLEANUP_CLOSE int root = netfence_open_cgroup();
	char text[4096], *own, *end;

	assert_true(root >= 0);
	assert_true(io_read_file(AT_FDCWD, "/proc/self/cgroup", text,
			    sizeof(text)) > 0);
	own = strstr(text, "0::/");
	assert_non_null(own);
	own += strlen("0::/");
	end = strchrnul(own, '\n');
	*end = '\0';
	home_cgroup = openat(
		root, *own ? own : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(home_cgroup >= 0);
	(void)snprintf(cgroup_name, sizeof(cgroup_name), "rehost-test-%d",
		(int)getpid());
	assert_int_equal(mkdirat(home_cgroup, cgroup_name, 0755), 0);
	cgroup = openat(
		home_cgroup, cgroup_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(cgroup >= 0);
}

/* Empty it is once the last child was awaited. */
static bool remove_cgroup(void)
{
	for (int i = 0; home_cgroup >= 0 && i < 100; i++) {
		if (unlinkat(home_cgroup, cgroup_name, AT_REMOVEDIR) == 0)
			return true;
		clock_sleep_ms(50);
	}
	return false;
}

/* Promise to this host: the root of the hierarchy, as a holder sees it, is the
 * test's own cgroup. */
static void must_be_ours(void)
{
	CLEANUP_CLOSE int seen = netfence_open_cgroup();
	struct stat a, b;

	if (seen < 0 || fstat(seen, &a) < 0 || fstat(cgroup, &b) < 0 ||
		a.st_ino != b.st_ino)
		_exit(99);
}

#endif
