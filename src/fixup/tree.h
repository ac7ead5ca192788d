/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a moved system, which is mounted at a folder of this one.
 *
 * Nobody vouches for what is in it, so every path is followed by openat2(2)
 * with RESOLVE_IN_ROOT: absolute symbolic links and ".." stay inside, as they
 * would after a chroot. Nothing but regular files is read or replaced, so no
 * FIFO holds us up and no device is opened. Nothing in it runs, so that two
 * looks at one name see the same thing.
 *
 * Paths are absolute, as the moved system has them. Functions return 0 or a
 * negative errno: -EINVAL for what is no regular file, -EFBIG for what is too
 * large, -ELOOP for links that lead nowhere.
 */
#ifndef REHOST_FIXUP_TREE_H
#define REHOST_FIXUP_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"

#define TREE_PATH_MAX 4096
/* Greatest file of settings that is read. */
#define TREE_TEXT_MAX (4U * 1024 * 1024)
/* Greatest file that is copied. */
#define TREE_COPY_MAX (64U * 1024 * 1024)
/* Greatest number of names in a folder. */
#define TREE_NAMES_MAX 16384

struct tree {
	int fd;
	const char *path; /* the caller's */
};

/* Opens the folder at which it is mounted; tree_close ends that. */
int tree_open(const char *path, struct tree *ret) MUST_CHECK;
void tree_close(struct tree *t);

/* Whether there is such a thing, symbolic links followed or, for the last, not.
 */
bool tree_is_file(const struct tree *t, const char *path);
bool tree_is_folder(const struct tree *t, const char *path);
bool tree_is_there(const struct tree *t, const char *path);

/* Reads a file whole, NUL behind it; the caller frees *ret. ret_n may be NULL.
 */
int tree_read(const struct tree *t, const char *path, size_t max, char **ret,
	size_t *ret_n) MUST_CHECK;

/* Opens a regular file for reading: a descriptor. */
int tree_open_file(const struct tree *t, const char *path) MUST_CHECK;

/* What a symbolic link says; -EINVAL when it is none. */
int tree_readlink(const struct tree *t, const char *path,
	char ret[TREE_PATH_MAX]) MUST_CHECK;

/* The names in a folder, sorted, without "." and "..". tree_names_done ends
 * them. */
struct tree_names {
	char **v;
	size_t n;
};
int tree_list(const struct tree *t, const char *path,
	struct tree_names *ret) MUST_CHECK;
void tree_names_done(struct tree_names *l);

/* Finds a name in a folder whatever the case of its letters, as FAT does, and
 * writes folder/name to ret. */
int tree_find(const struct tree *t, const char *folder, const char *name,
	char ret[TREE_PATH_MAX]) MUST_CHECK;

/* Makes a file have these contents, or makes it: a new one is written beside
 * it, synced and renamed. It keeps owner, mode, extended attributes and the
 * flags of chattr(1). A file that was not there gets the mode, root as its
 * owner and, as SELinux would do, the label of its folder; folders above it
 * are made. A symbolic link stays, and what it leads to is replaced. */
int tree_write(const struct tree *t, const char *path, const void *bytes,
	size_t n, mode_t mode) MUST_CHECK;

/* Makes a file, which is complete, take the place of another, whose owner,
 * mode and attributes it gets when there is such a one. Same filesystem. */
int tree_replace(
	const struct tree *t, const char *from, const char *to) MUST_CHECK;

int tree_copy(const struct tree *t, const char *from, const char *to,
	mode_t mode) MUST_CHECK;

/* Makes a folder and those above it; 0 also when it is there. */
int tree_make_folder(
	const struct tree *t, const char *path, mode_t mode) MUST_CHECK;

/* Makes a symbolic link; whatever has its name, but for a folder, is replaced.
 */
int tree_symlink(
	const struct tree *t, const char *path, const char *target) MUST_CHECK;

/* Removes a file or a link, not what it leads to. -ENOENT when there is none.
 */
int tree_remove(const struct tree *t, const char *path) MUST_CHECK;

#endif
