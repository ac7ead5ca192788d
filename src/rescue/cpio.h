/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes archives that the kernel unpacks as its first root folder: cpio
 * "newc", see Documentation/driver-api/early-userspace/buffer-format.rst in
 * Linux. The same entries give the same bytes: they are sorted, belong to root,
 * and have no times.
 *
 * Paths are as seen from the root and begin with no slash ("etc/passwd"). The
 * folders above an entry are added by themselves. Not for sharing between
 * threads.
 */
#ifndef REHOST_RESCUE_CPIO_H
#define REHOST_RESCUE_CPIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct cpio; /* a list of entries */

/* 0 or -ENOMEM. cpio_free accepts NULL. */
int cpio_new(struct cpio **ret) MUST_CHECK;
void cpio_free(struct cpio *c);

/* Each adds an entry and copies what it is given. -EEXIST when the path is
 * taken (a folder may be added again), -EINVAL for a path that is empty, longer
 * than 1023 bytes, begins or ends with a slash, or has "." or ".." in it.
 * mode has the permission bits alone. */
int cpio_add_folder(struct cpio *c, const char *path, uint32_t mode) MUST_CHECK;
int cpio_add_file(struct cpio *c, const char *path, uint32_t mode,
	const void *bytes, size_t n) MUST_CHECK;
int cpio_add_link(
	struct cpio *c, const char *path, const char *target) MUST_CHECK;
int cpio_add_device(struct cpio *c, const char *path, uint32_t mode,
	uint32_t major, uint32_t minor) MUST_CHECK;

/* Whether there is an entry of this path. */
bool cpio_has(const struct cpio *c, const char *path);

/* The sum of the contents whose paths begin with prefix. */
uint64_t cpio_size(const struct cpio *c, const char *prefix);

/* The archive in fresh memory. 0, -ENOMEM, or -EFBIG for a file of 4 GiB. */
int cpio_write(struct cpio *c, char **ret, size_t *ret_n) MUST_CHECK;

#endif
