/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the units of src/fixup share: the wish, the report, and files that are
 * made anew only when they are not right already.
 *
 * A unit is one function, listed in fixup.c. It returns 0 or, with u->err set,
 * a negative errno; the latter only when the moved system would not boot
 * without it, or when the tree cannot be written at all.
 */
#ifndef REHOST_FIXUP_UNIT_H
#define REHOST_FIXUP_UNIT_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "fixup/edit.h"
#include "fixup/tree.h"

/* Files that rehost makes begin with this, behind what makes a comment. */
#define UNIT_MADE_BY "Made by rehost when it moved this machine."
/* Where files are kept that were made anew, below it with their own path. They
 * cannot stay beside the new ones: ifupdown and NetworkManager read every name
 * in their folders. */
#define UNIT_OLD "/var/lib/rehost/old"

struct unit {
	const struct tree *tree;
	const json_t *wish; /* checked: see wish.h */
	const char *name;   /* of the fix-up, for the report */
	json_t *changes, *warnings, *host_keys;
	bool oom;
	struct error *err;
};

/* Adds to the report. Texts are made printable. */
void unit_changed(struct unit *u, const char *path, const char *what, ...)
	__attribute__((format(printf, 3, 4)));
void unit_warn(struct unit *u, const char *what, ...)
	__attribute__((format(printf, 2, 3)));

/* Makes a text anew; what it says goes into the report when the file was
 * written. */
typedef int unit_rewrite_fn(
	struct unit *u, const char *text, struct edit *out, void *arg);

/* Rewrites a file, and does not touch it when nothing differs. One that cannot
 * be read, or is no text, is left alone with a warning. -ENOENT, without an
 * error, when there is none. */
int unit_rewrite(struct unit *u, const char *path, unit_rewrite_fn *fn,
	void *arg) MUST_CHECK;

/* The same; 0 when there is none. */
int unit_rewrite_if(struct unit *u, const char *path, unit_rewrite_fn *fn,
	void *arg) MUST_CHECK;

/* The same for each file of a folder whose name ends so. */
int unit_rewrite_all(struct unit *u, const char *folder, const char *end,
	unit_rewrite_fn *fn, void *arg) MUST_CHECK;

/* Sees to it that a file has exactly this text. The mode is for a new one. */
int unit_put(struct unit *u, const char *path, const char *text, mode_t mode,
	const char *what) MUST_CHECK;

/* Sees to it that a symbolic link says exactly this. */
int unit_link(struct unit *u, const char *path, const char *target,
	const char *what) MUST_CHECK;

/* Removes a file when it is there. */
int unit_remove(struct unit *u, const char *path, const char *what) MUST_CHECK;

/* Copies a file to UNIT_OLD, unless there is one from an earlier run. */
int unit_keep_old(struct unit *u, const char *path) MUST_CHECK;

/* Sets u->err: cannot write PATH of the moved system. Returns r. */
int unit_failed(struct unit *u, int r, const char *path) MUST_CHECK;

/* The text of a key, "" when there is none. */
const char *unit_text(const json_t *o, const char *key);

/* Whether the wish has this fix-up: what is not said is true. */
bool unit_wants(const struct unit *u, const char *name);

/* Whether the copy is to be told from its source ("identity": "new"). */
bool unit_is_new(const struct unit *u);

/* Reads a text; NULL when there is none, or none that can be used (then with a
 * warning). The caller frees it. */
char *unit_read(struct unit *u, const char *path);

/* Where systemd's own units are, "" when it is not there. */
const char *unit_systemd(const struct unit *u);

/* The first of these programs (NULL behind the last) that is in the tree, or
 * NULL. */
const char *unit_program(const struct unit *u, const char *const *paths);

/* The initramfs has a copy of what is about to be changed, and must be built
 * anew. Kept in the tree until that was done, so that a crash between loses
 * nothing. */
#define UNIT_STALE "/var/lib/rehost/initramfs-stale"
int unit_make_stale(struct unit *u) MUST_CHECK;

/* The script that the end of the first boot runs. */
#define UNIT_GROW "/etc/rehost-grow"

/* One file each; "console" does nothing unless it is wished for. */
int unit_fstab(struct unit *u) MUST_CHECK;
int unit_lvm(struct unit *u) MUST_CHECK;
int unit_crypttab(struct unit *u) MUST_CHECK;
int unit_bootloader(struct unit *u) MUST_CHECK;
int unit_console(struct unit *u) MUST_CHECK;
int unit_initramfs(struct unit *u) MUST_CHECK;
int unit_network(struct unit *u) MUST_CHECK;
int unit_resolver(struct unit *u) MUST_CHECK;
int unit_hostname(struct unit *u) MUST_CHECK;
int unit_machine_id(struct unit *u) MUST_CHECK;
int unit_ssh_keys(struct unit *u) MUST_CHECK;
int unit_cloud(struct unit *u) MUST_CHECK;
int unit_grow(struct unit *u) MUST_CHECK;
int unit_marker(struct unit *u) MUST_CHECK;

/* The boot goes on without this device of /etc/fstab. */
int unit_fstab_may_lack(struct unit *u, const char *device) MUST_CHECK;

/* Rewriters of the above, for fuzzers; the last is a kernelargs_fn. */
int unit_rewrite_fstab(
	struct unit *u, const char *text, struct edit *out, void *arg);
int unit_rewrite_crypttab(
	struct unit *u, const char *text, struct edit *out, void *arg);
int unit_rewrite_root(struct unit *u, const char *args, bool whole,
	struct edit *out, struct edit *said, void *arg);

#endif
