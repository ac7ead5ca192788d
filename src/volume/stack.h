/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is mounted, or swapped to, that lies on certain disks, through whatever
 * is between: partitions, device-mapper, md, loop devices over files. Reads
 * /proc/self/mountinfo (volume/mounts.h), /proc/swaps (proc(5)) and sysfs
 * (Documentation/ABI/testing/sysfs-block: "slaves", "partition",
 * "loop/backing_file"). Opens no device.
 *
 * What is mounted in other mount namespaces alone is not seen.
 */
#ifndef REHOST_VOLUME_STACK_H
#define REHOST_VOLUME_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "wire/facts.h"

/* A filesystem. Its mount is one that leads into it, if there is one. */
struct stacked {
	struct mount_info mount;
	uint64_t id;	/* of the mount */
	bool open;	/* the mount leads into it */
	unsigned depth; /* filesystems below it, by loop devices: 0 none */
};

struct stack {
	size_t n;
	struct stacked *v;
};

/* Finds the filesystems on the disks, in the order in which they can be
 * frozen: those that lie on others first, the root last. The caller ends *ret
 * with stack_done. */
int stack_find(const dev_t *disks, size_t n, struct stack *ret,
	struct error *err) MUST_CHECK;
void stack_done(struct stack *s);

/* Whether an open folder is of this mount, and nothing is mounted over it. */
bool stack_is_of(int fd, const struct stacked *s);

/* Calls fn for each block device that lies on the disks, these among them, with
 * its name in /dev; leaf: nothing lies on it. Not 0 ends the walk and is
 * returned. Errors: -ENOENT without sysfs. */
typedef int stack_device_fn(void *arg, const char *name, dev_t dev, bool leaf);
int stack_each(const dev_t *disks, size_t n, stack_device_fn *fn,
	void *arg) MUST_CHECK;

/* Does the block device lie on one of the disks, or is it one? */
bool stack_lies_on(dev_t dev, const dev_t *disks, size_t n);

/* Calls fn for each swap area in use; device is its block device, or that on
 * which its file lies, and 0 when that is not known. Not 0 ends the walk and is
 * returned. */
typedef int stack_swap_fn(void *arg, const char *path, bool file, dev_t device);
int stack_swaps(stack_swap_fn *fn, void *arg) MUST_CHECK;

#endif
