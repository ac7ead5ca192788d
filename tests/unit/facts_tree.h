/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the facts: the tree of a machine in a temporary folder, and
 * looking into what was gathered. */
#ifndef REHOST_TESTS_FACTS_TREE_H
#define REHOST_TESTS_FACTS_TREE_H

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "facts/gather.h"

static char tree[64];
static struct gather tree_gather;

static inline int tree_setup(void **state)
{
	(void)snprintf(tree, sizeof(tree), "/tmp/rehost-facts-XXXXXX");
	return mkdtemp(tree) ? 0 : -1;
}

static inline int tree_teardown(void **state)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", tree);
	return system(command);
}

/* The path below the tree, its folders made. */
static inline char *tree_path(const char *path)
{
	static char full[4096];

	(void)snprintf(full, sizeof(full), "%s%s", tree, path);
	for (char *at = full + strlen(tree) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
		*at = '/';
	}
	return full;
}

static inline void tree_put_bytes(const char *path, const void *bytes, size_t n)
{
	CLEANUP_CLOSE int fd = open(tree_path(path),
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, bytes, n), 0);
}

static inline void tree_put(const char *path, const char *text)
{
	tree_put_bytes(path, text, strlen(text));
}

static inline void tree_folder(const char *path)
{
	(void)mkdir(tree_path(path), 0755);
}

static inline void tree_link(const char *path, const char *target)
{
	assert_int_equal(symlink(target, tree_path(path)), 0);
}

/* Gathers a part of the tree, or of this machine. */
static inline json_t *tree_gather_with(
	const char *root, void (*fn)(struct gather *g))
{
	struct gather *g = &tree_gather;

	memset(g, 0, sizeof(*g));
	g->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(g->root_fd >= 0);
	g->live = strcmp(root, "/") == 0;
	g->top = json_object();
	g->missing = json_array();
	fn(g);
	(void)close(g->root_fd);
	assert_false(g->oom);
	assert_int_equal(json_object_set_new(g->top, "missing", g->missing), 0);
	return g->top;
}

static inline const char *tree_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* The element of a list whose key has this value; NULL when there is none. */
static inline json_t *tree_find(
	const json_t *list, const char *key, const char *value)
{
	json_t *o;
	size_t i;

	json_array_foreach(
		list, i, o) if (strcmp(tree_text(o, key), value) == 0) return o;
	return NULL;
}

/* Whether a list of texts has one. */
static inline bool tree_has(const json_t *list, const char *text)
{
	json_t *s;
	size_t i;

	json_array_foreach(list, i,
		s) if (strcmp(json_string_value(s), text) == 0) return true;
	return false;
}

#endif
