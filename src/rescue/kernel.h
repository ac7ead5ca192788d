/* SPDX-License-Identifier: Apache-2.0 */
/* Which Linux a kernel file is. */
#ifndef REHOST_RESCUE_KERNEL_H
#define REHOST_RESCUE_KERNEL_H

#include <stddef.h>

#include "base/cleanup.h"

#define KERNEL_VERSION 128

/* The version that an x86 kernel of n bytes says it is ("6.1.0-56-amd64"):
 * Linux, Documentation/arch/x86/boot.rst, field kernel_version. It can be the
 * name of a folder. 0 or -ENOEXEC. */
int kernel_read_version(
	const void *bytes, size_t n, char ret[KERNEL_VERSION]) MUST_CHECK;

#endif
