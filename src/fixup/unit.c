/* SPDX-License-Identifier: Apache-2.0 */
#include "fixup/unit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define REPORT_MAX 4096
#define WHAT_MAX 1024

static void add(struct unit *u, json_t *list, const char *path, char *what)
{
	json_t *o = json_object();
	char clean[TREE_PATH_MAX];

	text_clean(what);
	if (json_object_set_new(o, "fixup", json_string(u->name)) < 0 ||
		json_object_set_new(o, "what", json_string(what)) < 0)
		u->oom = true;
	if (path) {
		(void)snprintf(clean, sizeof(clean), "%s", path);
		text_clean(clean);
		if (json_object_set_new(o, "path", json_string(clean)) < 0)
			u->oom = true;
	}
	if (json_array_size(list) >= REPORT_MAX)
		json_decref(o);
	else if (json_array_append_new(list, o) < 0)
		u->oom = true;
}

void unit_changed(struct unit *u, const char *path, const char *what, ...)
{
	char text[WHAT_MAX];
	va_list ap;

	va_start(ap, what);
	(void)vsnprintf(text, sizeof(text), what, ap);
	va_end(ap);
	add(u, u->changes, path, text);
}

void unit_warn(struct unit *u, const char *what, ...)
{
	char text[WHAT_MAX];
	va_list ap;

	va_start(ap, what);
	(void)vsnprintf(text, sizeof(text), what, ap);
	va_end(ap);
	add(u, u->warnings, NULL, text);
}

int unit_failed(struct unit *u, int r, const char *path)
{
	(void)error_set(u->err, r, "write %s of the moved system", path);
	if (r == -EROFS)
		(void)error_todo(u->err, "mount it for writing");
	if (r == -ENOSPC)
		(void)error_todo(u->err, "free some space there");
	return r;
}

const char *unit_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

bool unit_wants(const struct unit *u, const char *name)
{
	return !json_is_false(
		json_object_get(json_object_get(u->wish, "fixups"), name));
}

bool unit_is_new(const struct unit *u)
{
	return strcmp(unit_text(u->wish, "identity"), "new") == 0;
}

/* ---- files ---- */

static int read_text(struct unit *u, const char *path, char **ret)
{
	CLEANUP_FREE char *text = NULL;
	size_t n;
	int r = tree_read(u->tree, path, TREE_TEXT_MAX, &text, &n);

	if (r == -ENOENT || r == -ENOTDIR)
		return -ENOENT;
	if (r < 0) {
		unit_warn(u, "%s is left as it is: %s", path,
			r == -EINVAL ? "it is no regular file" : strerror(-r));
		return r;
	}
	if (strlen(text) != n) {
		unit_warn(u, "%s is left as it is: it is no text", path);
		return -EILSEQ;
	}
	*ret = STEAL_PTR(text);
	return 0;
}

char *unit_read(struct unit *u, const char *path)
{
	char *text = NULL;

	return read_text(u, path, &text) < 0 ? NULL : text;
}

int unit_keep_old(struct unit *u, const char *path)
{
	char old[TREE_PATH_MAX];
	int r;

	if (snprintf(old, sizeof(old), UNIT_OLD "%s", path) >= TREE_PATH_MAX)
		return unit_failed(u, -ENAMETOOLONG, path);
	if (tree_is_there(u->tree, old))
		return 0;
	/* It may hold passwords. */
	r = tree_copy(u->tree, path, old, 0600);
	return r < 0 ? unit_failed(u, r, old) : 0;
}

static int write_text(struct unit *u, const char *path, const struct edit *out)
{
	json_t *what;
	size_t i;
	int r = out->keep_old ? unit_keep_old(u, path) : 0;

	if (r < 0)
		return r;
	r = tree_write(u->tree, path, edit_string(out), out->n, 0644);
	if (r < 0)
		return unit_failed(u, r, path);
	json_array_foreach(out->said, i, what)
		unit_changed(u, path, "%s", json_string_value(what));
	if (json_array_size(out->said) == 0)
		unit_changed(u, path, "changed");
	return 0;
}

int unit_rewrite(
	struct unit *u, const char *path, unit_rewrite_fn *fn, void *arg)
{
	CLEANUP(edit_done) struct edit out = {0};
	CLEANUP_FREE char *text = NULL;
	int r = read_text(u, path, &text);

	if (r < 0)
		return r == -ENOENT ? r : 0;
	r = fn(u, text, &out, arg);
	if (r < 0)
		return r;
	if (out.oom)
		return unit_failed(u, -ENOMEM, path);
	if (strcmp(text, edit_string(&out)) == 0)
		return 0;
	return write_text(u, path, &out);
}

int unit_rewrite_if(
	struct unit *u, const char *path, unit_rewrite_fn *fn, void *arg)
{
	int r = unit_rewrite(u, path, fn, arg);

	return r == -ENOENT ? 0 : r;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n >= k && strcmp(s + n - k, end) == 0;
}

int unit_rewrite_all(struct unit *u, const char *folder, const char *end,
	unit_rewrite_fn *fn, void *arg)
{
	CLEANUP(tree_names_done) struct tree_names l = {0};
	char path[TREE_PATH_MAX];
	int r = tree_list(u->tree, folder, &l);

	if (r < 0)
		return 0;
	for (size_t i = 0; i < l.n && r == 0; i++) {
		int n = snprintf(path, sizeof(path), "%s/%s", folder, l.v[i]);

		if (n < TREE_PATH_MAX && ends_with(l.v[i], end) &&
			tree_is_file(u->tree, path))
			r = unit_rewrite_if(u, path, fn, arg);
	}
	return r;
}

int unit_put(struct unit *u, const char *path, const char *text, mode_t mode,
	const char *what)
{
	CLEANUP_FREE char *old = NULL;
	size_t n;
	int r = tree_read(u->tree, path, TREE_TEXT_MAX, &old, &n);

	if (r == 0 && n == strlen(text) && memcmp(old, text, n) == 0)
		return 0;
	r = tree_write(u->tree, path, text, strlen(text), mode);
	if (r < 0)
		return unit_failed(u, r, path);
	unit_changed(u, path, "%s", what);
	return 0;
}

int unit_link(
	struct unit *u, const char *path, const char *target, const char *what)
{
	char old[TREE_PATH_MAX];
	int r = tree_readlink(u->tree, path, old);

	if (r == 0 && strcmp(old, target) == 0)
		return 0;
	r = tree_symlink(u->tree, path, target);
	if (r < 0)
		return unit_failed(u, r, path);
	unit_changed(u, path, "%s", what);
	return 0;
}

int unit_remove(struct unit *u, const char *path, const char *what)
{
	int r;

	if (!tree_is_there(u->tree, path))
		return 0;
	r = tree_remove(u->tree, path);
	if (r < 0)
		return unit_failed(u, r, path);
	unit_changed(u, path, "%s", what);
	return 0;
}

int unit_make_stale(struct unit *u)
{
	int r = tree_write(u->tree, UNIT_STALE, "", 0, 0644);

	return r < 0 ? unit_failed(u, r, UNIT_STALE) : 0;
}

const char *unit_systemd(const struct unit *u)
{
	static const char *const paths[] = {
		"/usr/lib/systemd/system", "/lib/systemd/system"};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (tree_is_folder(u->tree, paths[i]))
			return paths[i];
	return "";
}

const char *unit_program(const struct unit *u, const char *const *paths)
{
	for (; *paths; paths++)
		if (tree_is_file(u->tree, *paths))
			return *paths;
	return NULL;
}
