/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REHOST_VOLUME_OPENERS_H
#define REHOST_VOLUME_OPENERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Counts the other processes that have a block device or file open for writing,
 * by /proc/PID/fd and fdinfo (proc(5)): such use shows nowhere else.
 * Processes that end meanwhile, or may not be looked at, do not count. name
 * gets "COMMAND (PID)" of the first. */
uint32_t openers_count(const struct stat *of, char *name, size_t size);

#endif
