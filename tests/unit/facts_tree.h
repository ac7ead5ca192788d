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

/* ---- rehost-facts(5) ---- */

/* Whether a word stands in a line ".It Li …" between from and to. */
static inline bool tree_is_word(
	const char *from, const char *to, const char *word)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	size_t n = strlen(word);

	for (const char *at = from;
		(at = strstr(at, "\n.It Li ")) && at < to;) {
		const char *end;

		at += strlen("\n.It Li ");
		end = at + strcspn(at, "\n");
		while (at < end) {
			size_t k = strspn(at, letters);

			if (k == n && strncmp(at, word, n) == 0)
				return true;
			at += k > 0 ? k : 1;
		}
	}
	return false;
}

static inline void tree_check_keys(const char *from, const char *to,
	const json_t *j, const char *section, const char *above)
{
	/* Its keys are names of interfaces. */
	bool names = strcmp(section, "network") == 0 &&
		     strcmp(above, "interfaces") == 0 && json_is_object(j);
	const char *key;
	json_t *value;
	size_t i;

	json_array_foreach(j, i, value)
		tree_check_keys(from, to, value, section, "");
	json_object_foreach((json_t *)j, key, value)
	{
		if (names)
			continue;
		if (!tree_is_word(from, to, key))
			fail_msg("%s of %s is not in the manual", key, section);
		tree_check_keys(from, to, value, section, key);
	}
}

/* Every key that was gathered must be in the manual, under ".Ss KEY". */
static inline void tree_check_documented(const json_t *facts)
{
	char *text, mark[128];
	const char *key;
	json_t *value;
	size_t n;

	assert_int_equal(io_slurp(FACTS_MANUAL, 1 << 20, &text, &n), 0);
	json_object_foreach((json_t *)facts, key, value)
	{
		const char *from, *to;

		(void)snprintf(mark, sizeof(mark), "\n.Ss %s\n", key);
		from = strstr(text, mark);
		if (!from)
			fail_msg("%s is not in the manual", key);
		to = strstr(from + 1, "\n.Ss ");
		tree_check_keys(
			from, to ? to : from + strlen(from), value, key, "");
	}
	free(text);
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
	tree_check_documented(g->top);
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
