/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a program of the moved system, within that system.
 *
 * The program sees the tree as its root, with /proc, /sys, /dev and /run
 * mounted in a mount namespace of its own, so that nothing has to be cleaned
 * up: mounts go with the last process in it. A process namespace sees to it
 * that no process outlives the program, whatever it started. Where the kernel
 * has none, the process group is killed.
 *
 * Mount points are followed after the chroot, so that links in the tree cannot
 * lead the mounts elsewhere. It is no jail: the program is root, as it is when
 * the moved system runs.
 */
#ifndef REHOST_FIXUP_CHROOT_H
#define REHOST_FIXUP_CHROOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct chroot_job {
	const char *root;
	/* NULL behind the last; the first is an absolute path in the tree. */
	const char *const *argv;
	uint64_t timeout_ms;
	/* Bytes of output that are kept, the last ones. */
	size_t max;
	/* /dev has this machine's devices (devtmpfs), not only null, zero,
	 * full, random, urandom and tty. */
	bool devices;
};

/* Runs it without input, with a fixed environment (PATH, HOME=/root, LC_ALL=C).
 * What it wrote to its output and error output goes into fresh memory, NUL
 * behind it; ret may be NULL. A program that cannot be started, does not end in
 * time or ends in any way but with status 0 is an error that has the last line
 * of what it said. Forks: descriptors without O_CLOEXEC are inherited. */
int chroot_run(const struct chroot_job *job, char **ret, size_t *ret_n,
	struct error *err) MUST_CHECK;

#endif
