/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names in an initramfs: archives as they are (microcode, and more on newer
 * systems), then one that is compressed. zstd is unpacked here, all else by the
 * machine's own programs, bounded in time and bytes.
 */
#ifndef REHOST_FACTS_UNPACK_H
#define REHOST_FACTS_UNPACK_H

#include "facts/cpio.h"

/* What an initramfs may unpack to, and how long that may take. */
#define UNPACK_BYTES_MAX (1ULL << 30)
#define UNPACK_MS_MAX 60000

/* Calls fn for each name in the initramfs that fd is. *ret_compression is set
 * as soon as it is known, also on errors: "none", "gzip", "zstd", …; *ret_why
 * to a reason, or NULL, when it fails. 0; -EBADMSG when it makes no sense;
 * -ENOENT when there is no program for it; -E2BIG, -ETIMEDOUT, other negative
 * errno. */
int unpack_names(int fd, cpio_fn *fn, void *arg, const char **ret_compression,
	const char **ret_why) MUST_CHECK;

#endif
