/* SPDX-License-Identifier: Apache-2.0 */
/* What goes into the archive of a rescue system; for rescue.c and
 * taken.c alone. */
#ifndef REHOST_RESCUE_CONTENT_H
#define REHOST_RESCUE_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "rescue/cpio.h"

/* Refuses, naming the Debian packages, when programs are missing that go into
 * it, or that building needs (all that media takes only if media). */
int content_check(bool media, struct error *err) MUST_CHECK;

/* Folders, users, init, busybox with its links, dropbear, all libraries; for a
 * takeover what converts the host keys as well. */
int content_add_base(
	struct cpio *c, bool takeover, struct error *err) MUST_CHECK;

/* The keys that may log in: of the file, or of all ~/.ssh/id_*.pub when it is
 * NULL. */
int content_add_authorized_keys(
	struct cpio *c, const char *file, struct error *err) MUST_CHECK;

/* The n host keys in the files, or a new one when there is none, in the form
 * that dropbear has. work is a folder for files in between. *ret_lines (fresh
 * memory) becomes the public keys, a line each; fingerprint that of the first.
 */
int content_add_host_keys(struct cpio *c, const char *const *files, uint32_t n,
	const char *work, char **ret_lines, char *fingerprint, size_t size,
	struct error *err) MUST_CHECK;

/* ---- content_modules.c, which the agent has too ---- */

struct content_modules {
	const char *folder;  /* which no path in it may leave */
	const char *version; /* of the kernel */
	int level;	     /* of zstd */
	/* Names of further modules, with '_' only, and NULL; or NULL. */
	const char *const *names;
	/* Folder of the firmware that those ask for, or NULL: none is taken. */
	const char *firmware;
};

/* The modules of the folder that machines need, with what these need, and the
 * lists for init. *ret_n is how many. Those packed by xz or gzip are unpacked
 * with these programs. */
int content_add_modules(struct cpio *c, const struct content_modules *o,
	uint32_t *ret_n, struct error *err) MUST_CHECK;

/* zstd's: more takes long and wins little. Where somebody waits, and it is soon
 * thrown away, it is to be quick. */
#define CONTENT_LEVEL 9
#define CONTENT_QUICK 1

/* Packs bytes by zstd into fresh memory. 0 or -ENOMEM. */
int content_pack(const char *bytes, size_t n, int level, char **ret,
	size_t *ret_n) MUST_CHECK;

#endif
