/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of this machine that the builder of the rescue system runs, and
 * files that it takes from it. */
#ifndef REHOST_RESCUE_PROGRAM_H
#define REHOST_RESCUE_PROGRAM_H

#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"

#define PROGRAM_PATH 4096

/* Finds a program in PATH and in the folders of the system's own programs. 0 or
 * -ENOENT. */
int program_find(const char *name, char ret[PROGRAM_PATH]) MUST_CHECK;

/* Runs argv[0], found as above, without input, and waits for it. What it writes
 * to standard output goes into fresh memory with a NUL behind it, at most max
 * bytes; ret may be NULL. A program that is missing, or ends in any way but
 * with status 0, is an error that has the last line of what it said. */
int program_run(char *const argv[], size_t max, char **ret, size_t *ret_n,
	struct error *err) MUST_CHECK;

/* The same with a file as its input; -1: none. */
int program_filter(int in, char *const argv[], size_t max, char **ret,
	size_t *ret_n, struct error *err) MUST_CHECK;

#endif
