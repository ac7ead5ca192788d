/* SPDX-License-Identifier: Apache-2.0 */
#include "fixup/kernelargs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* GRUB reads and writes it in place, and finds it by its size. */
#define GRUBENV_SIZE 1024

static const struct {
	const char *path;
	enum kernelargs_kind kind;
} files[] = {
	{"/boot/grub/grub.cfg", KERNELARGS_GRUB},
	{"/boot/grub2/grub.cfg", KERNELARGS_GRUB},
	{"/boot/grub/grubenv", KERNELARGS_GRUBENV},
	{"/boot/grub2/grubenv", KERNELARGS_GRUBENV},
	{"/boot/grub/menu.lst", KERNELARGS_LEGACY},
	{"/boot/grub/grub.conf", KERNELARGS_LEGACY},
	{"/boot/extlinux/extlinux.conf", KERNELARGS_EXTLINUX},
	{"/boot/extlinux.conf", KERNELARGS_EXTLINUX},
	{"/boot/syslinux/syslinux.cfg", KERNELARGS_EXTLINUX},
	{"/extlinux.conf", KERNELARGS_EXTLINUX},
	{"/etc/default/grub", KERNELARGS_DEFAULT},
	{"/etc/kernel/cmdline", KERNELARGS_PLAIN},
};

/* Folders that are looked into, and the ends of names there. */
static const struct {
	const char *path, *end;
	enum kernelargs_kind kind;
} folders[] = {
	{"/boot/loader/entries", ".conf", KERNELARGS_BLS},
	{"/boot/efi/loader/entries", ".conf", KERNELARGS_BLS},
	{"/efi/loader/entries", ".conf", KERNELARGS_BLS},
	{"/etc/default/grub.d", ".cfg", KERNELARGS_DEFAULT},
};

/* Where the EFI system partition is mounted; each vendor has a folder there. */
static const char *const vendors[] = {"/boot/efi/EFI", "/boot/EFI", "/efi/EFI"};

struct region {
	size_t at, n;
	bool whole;
};

struct rewriting {
	struct kernelargs_fn *fn;
	enum kernelargs_kind kind;
};

/* ---- where it stands in a line ---- */

/* What is behind the first words. */
static bool behind_words(const char *text, int words, struct region *ret)
{
	size_t at = 0, from;

	for (int i = 0; i < words; i++)
		if (edit_word(text, &at, &from) == 0)
			return false;
	ret->at = at + strspn(text + at, " \t");
	ret->n = strlen(text + ret->at);
	return true;
}

static bool is_first_word(const char *text, const char *const *words)
{
	size_t at = 0, from, n = edit_word(text, &at, &from);

	for (; *words; words++)
		if (strlen(*words) == n &&
			strncasecmp(text + from, *words, n) == 0)
			return true;
	return false;
}

static bool in_pair(const char *text, struct edit_pair *p, struct region *ret)
{
	if (!edit_pair(text, p))
		return false;
	ret->at = p->value;
	ret->n = p->value_n;
	return true;
}

static bool find_grub(const char *text, struct region *ret)
{
	static const char *const kernels[] = {
		"linux", "linux16", "linuxefi", "module", "module2", NULL};
	static const char *const set[] = {"set", NULL};
	struct edit_pair p;

	if (is_first_word(text, kernels)) {
		ret->whole =
			strstr(text, "root=") && !strstr(text, "kernelopts");
		return behind_words(text, 2, ret);
	}
	/* RHEL 8: what entries use when the environment block has none. */
	if (!is_first_word(text, set) || !strstr(text, "kernelopts=") ||
		!in_pair(text, &p, ret))
		return false;
	ret->whole = true;
	return true;
}

static bool find_default(const char *text, struct region *ret)
{
	static const char prefix[] = "GRUB_CMDLINE_LINUX";
	struct edit_pair p;

	if (!in_pair(text, &p, ret) || p.key_n < strlen(prefix) ||
		strncmp(text + p.key, prefix, strlen(prefix)) != 0)
		return false;
	ret->whole = edit_is_key(text, &p, prefix) && !strchr(text, '$');
	return true;
}

static bool find_region(
	enum kernelargs_kind kind, const char *text, struct region *ret)
{
	static const char *const legacy[] = {"kernel", "module", NULL};
	static const char *const options[] = {"options", NULL};
	static const char *const append[] = {"append", NULL};
	size_t blanks = strspn(text, " \t");
	struct edit_pair p;

	*ret = (struct region){.whole = true};
	if (text[blanks] == '\0' || text[blanks] == '#')
		return false;
	switch (kind) {
	case KERNELARGS_GRUB:
		return find_grub(text, ret);
	case KERNELARGS_LEGACY:
		ret->whole = strstr(text, "root=");
		return is_first_word(text, legacy) &&
		       behind_words(text, 2, ret);
	case KERNELARGS_BLS:
		ret->whole = !strstr(text, "kernelopts");
		return is_first_word(text, options) &&
		       behind_words(text, 1, ret);
	case KERNELARGS_EXTLINUX:
		ret->whole = strstr(text, "root=");
		return is_first_word(text, append) &&
		       behind_words(text, 1, ret);
	case KERNELARGS_GRUBENV:
		return in_pair(text, &p, ret) &&
		       edit_is_key(text, &p, "kernelopts");
	case KERNELARGS_DEFAULT:
		return find_default(text, ret);
	default:
		ret->n = strlen(text);
		return true;
	}
}

/* ---- rewriting ---- */

/* Its end is made of as many "#" as it takes. */
static void fit_grubenv(struct unit *u, const char *text, struct edit *out)
{
	size_t end = out->n;

	if (!out->text || strcmp(text, out->text) == 0)
		return;
	while (end > 0 && out->text[end - 1] == '#')
		end--;
	if (end > GRUBENV_SIZE) {
		unit_warn(u, "the environment block of GRUB is too small for "
			     "what its kernel must be told");
		out->n = 0;
		edit_text(out, text);
		return;
	}
	out->n = end;
	out->text[end] = '\0';
	for (; end < GRUBENV_SIZE && !out->oom; end++)
		edit_text(out, "#");
}

static int rewrite_line(struct unit *u, const struct edit_line *l,
	const struct region *where, struct edit *out, struct kernelargs_fn *fn)
{
	CLEANUP(edit_done) struct edit args = {0};
	char old[EDIT_LINE_MAX + 1];
	int r;

	memcpy(old, l->text + where->at, where->n);
	old[where->n] = '\0';
	r = fn->rewrite(u, old, where->whole, &args, out, fn->arg);
	if (r < 0)
		return r;
	out->oom |= args.oom;
	if (strcmp(old, edit_string(&args)) == 0)
		edit_pass(out, l);
	else
		edit_splice(out, l, where->at, where->n, edit_string(&args));
	return 0;
}

int kernelargs_rewrite(struct unit *u, enum kernelargs_kind kind,
	const char *text, struct edit *out, struct kernelargs_fn *fn)
{
	const char *at = text;
	struct edit_line l;
	struct region where;
	int r;

	while (edit_next(&at, &l)) {
		if (l.huge || !find_region(kind, l.text, &where)) {
			edit_pass(out, &l);
			continue;
		}
		r = rewrite_line(u, &l, &where, out, fn);
		if (r < 0)
			return r;
		if (kind != KERNELARGS_DEFAULT && kind != KERNELARGS_PLAIN &&
			kind != KERNELARGS_GRUBENV)
			fn->found++;
	}
	if (kind == KERNELARGS_GRUBENV)
		fit_grubenv(u, text, out);
	return 0;
}

static int rewrite_file(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	struct rewriting *w = arg;

	return kernelargs_rewrite(u, w->kind, text, out, w->fn);
}

/* RHEL before 9.3 has its configuration there. */
static int rewrite_vendors(
	struct unit *u, const char *folder, struct kernelargs_fn *fn)
{
	CLEANUP(tree_names_done) struct tree_names l = {0};
	struct rewriting w = {.fn = fn};
	char path[TREE_PATH_MAX];
	int r = 0;

	if (tree_list(u->tree, folder, &l) < 0)
		return 0;
	for (size_t i = 0; i < l.n && r == 0; i++) {
		if (snprintf(path, sizeof(path), "%s/%s/grub.cfg", folder,
			    l.v[i]) >= TREE_PATH_MAX)
			continue;
		w.kind = KERNELARGS_GRUB;
		r = unit_rewrite_if(u, path, rewrite_file, &w);
		(void)snprintf(
			path, sizeof(path), "%s/%s/grubenv", folder, l.v[i]);
		w.kind = KERNELARGS_GRUBENV;
		if (r == 0)
			r = unit_rewrite_if(u, path, rewrite_file, &w);
	}
	return r;
}

int kernelargs_rewrite_all(struct unit *u, struct kernelargs_fn *fn)
{
	struct rewriting w = {.fn = fn};
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(files) && r == 0; i++) {
		w.kind = files[i].kind;
		r = unit_rewrite_if(u, files[i].path, rewrite_file, &w);
	}
	for (size_t i = 0; i < ARRAY_LEN(folders) && r == 0; i++) {
		w.kind = folders[i].kind;
		r = unit_rewrite_all(
			u, folders[i].path, folders[i].end, rewrite_file, &w);
	}
	for (size_t i = 0; i < ARRAY_LEN(vendors) && r == 0; i++)
		r = rewrite_vendors(u, vendors[i], fn);
	return r;
}
