/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where tracefs and its instances are (Documentation/trace/ftrace.rst of the
 * Linux source).
 */
#ifndef REHOST_TRACK_TRACEFS_H
#define REHOST_TRACK_TRACEFS_H

#include <stdbool.h>

#include "base/cleanup.h"

/* Opens the folder of instances: of the mounted tracefs or, where there is
 * none, of one that only this descriptor keeps mounted, and that nobody else
 * sees. Returns the descriptor or negative errno: -ENODEV and -ENOENT mean that
 * the kernel has no tracefs. */
int tracefs_instances(void) MUST_CHECK;

/* Whether name can be that of an instance. */
bool tracefs_is_name(const char *name);

/* Removes an instance of that folder. 0, also when there is none; -EBUSY when
 * it is in use, after trying for half a second; other negative errno. */
int tracefs_remove(int instances, const char *name);

#endif
