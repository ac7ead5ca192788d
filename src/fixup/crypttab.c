/* SPDX-License-Identifier: Apache-2.0 */
/* crypttab(5): encrypted volumes by UUID. */
#include "fixup/unit.h"

#include <stdio.h>
#include <string.h>

#include "facts/fstab.h"
#include "fixup/devices.h"

/* Name, device, key, options. */
#define WORDS 4

/* Whether the root is what this line opens. */
static bool is_root(const struct unit *u, const char *name)
{
	const json_t *root = devices_mounted(u->wish, "/");
	char path[EDIT_LINE_MAX + 32];

	(void)snprintf(path, sizeof(path), "/dev/mapper/%s", name);
	return strcmp(unit_text(u->wish, "root"), path) == 0 ||
	       strcmp(unit_text(root, "logical"), path) == 0;
}

/* What such a line names is written over at each boot. */
static bool is_made_anew(const struct fstab_crypt *c)
{
	return fstab_has_option(c->options, "swap") ||
	       fstab_has_option(c->options, "tmp") ||
	       strcmp(c->key, "/dev/urandom") == 0 ||
	       strcmp(c->key, "/dev/random") == 0 ||
	       strcmp(c->key, "/dev/hwrng") == 0;
}

/* Another disk may have that name on the target. Nor may the boot wait for what
 * it makes. */
static int leave_out(struct unit *u, const struct edit_line *l,
	const struct fstab_crypt *c, struct edit *out)
{
	char path[EDIT_LINE_MAX + 32];

	unit_warn(u,
		"%s, for %s in /etc/crypttab, would be made anew at each boot, "
		"and may be another disk now: the line is left out",
		c->device, c->name);
	edit_splice(out, l, 0, 0, "# ");
	edit_say(out, "%s is not made of %s", c->name, c->device);
	(void)snprintf(path, sizeof(path), "/dev/mapper/%s", c->name);
	return u->tree ? unit_fstab_may_lack(u, path) : 0;
}

static void allow_absence(struct unit *u, const struct edit_line *l,
	const struct fstab_crypt *c, struct edit *out)
{
	size_t at = 0, from = 0, n = 0;

	if (fstab_has_option(c->options, "nofail") ||
		fstab_has_option(c->options, "noauto")) {
		edit_pass(out, l);
		return;
	}
	unit_warn(u,
		"%s, for %s in /etc/crypttab, is not among what moves; the "
		"system will go on without it",
		c->device, c->name);
	for (int i = 0; i < WORDS; i++) {
		size_t k, begin;

		k = edit_word(l->text, &at, &begin);
		if (k == 0)
			break;
		from = begin;
		n = k;
	}
	edit_splice(out, l, from + n, 0,
		c->options[0] ? ",nofail"
		: c->key[0]   ? " nofail"
			      : " none nofail");
	edit_say(out, "%s for %s may be absent (nofail)", c->device, c->name);
}

static int rewrite_line(struct unit *u, const struct edit_line *l,
	const struct fstab_crypt *c, struct edit *out, bool *ret_root)
{
	char name[DEVICES_NAME_MAX];
	size_t at = 0, from, n;
	const json_t *entry;

	(void)edit_word(l->text, &at, &from);
	n = edit_word(l->text, &at, &from);
	switch (devices_find(u->wish, c->device, &entry)) {
	case DEVICES_RENAMED:
		if (!devices_name(entry, name)) {
			if (is_made_anew(c))
				return leave_out(u, l, c, out);
			unit_warn(u,
				"%s in /etc/crypttab keeps its name: it has no "
				"UUID",
				c->device);
			break;
		}
		*ret_root |= is_root(u, c->name);
		edit_splice(out, l, from, n, name);
		edit_say(
			out, "%s for %s is named %s", c->device, c->name, name);
		return 0;
	case DEVICES_UNKNOWN:
		if (is_made_anew(c))
			return leave_out(u, l, c, out);
		if (!is_root(u, c->name)) {
			allow_absence(u, l, c, out);
			return 0;
		}
		unit_warn(u,
			"nobody knows what %s is, on which the root stands in "
			"/etc/crypttab",
			c->device);
		break;
	default:
		break;
	}
	edit_pass(out, l);
	return 0;
}

int unit_rewrite_crypttab(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	bool root = false;
	struct edit_line l;
	int r = 0;

	while (r == 0 && edit_next(&text, &l)) {
		char copy[EDIT_LINE_MAX + 1];
		struct fstab_reader reader;
		struct fstab_crypt c;

		memcpy(copy, l.text, sizeof(copy));
		fstab_begin(&reader, copy);
		if (fstab_next_crypt(&reader, &c))
			r = rewrite_line(u, &l, &c, out, &root);
		else
			edit_pass(out, &l);
	}
	/* The initramfs opens the root by its own copy. */
	return r == 0 && root && u->tree ? unit_make_stale(u) : r;
}

int unit_crypttab(struct unit *u)
{
	return unit_rewrite_if(u, "/etc/crypttab", unit_rewrite_crypttab, NULL);
}
