/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to boot a kernel with an archive; only rescue.c uses it. */
#ifndef REHOST_RESCUE_MEDIA_H
#define REHOST_RESCUE_MEDIA_H

#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"

/* Writes a new file of the folder, readable as mode says. */
int media_write(const char *folder, const char *name, unsigned mode,
	const void *bytes, size_t n, struct error *err) MUST_CHECK;

/* Writes rescue.ipxe, which takes kernel and initramfs from where it was itself
 * taken from. */
int media_write_ipxe(
	const char *folder, const char *cmdline, struct error *err) MUST_CHECK;

/* Makes rescue.iso and rescue.img from kernel and initramfs in the folder. */
int media_make(
	const char *folder, const char *cmdline, struct error *err) MUST_CHECK;

#endif
