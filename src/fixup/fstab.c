/* SPDX-License-Identifier: Apache-2.0 */
/* fstab(5): devices by what they are called on every machine. */
#include "fixup/unit.h"

#include <stdio.h>
#include <string.h>

#include "facts/fstab.h"
#include "fixup/devices.h"

/* Spec, mount, type, options. */
#define WORDS 4

struct words {
	size_t from[WORDS], n[WORDS];
	int count;
};

static void split(const char *text, struct words *w)
{
	size_t at = 0;

	for (w->count = 0; w->count < WORDS; w->count++) {
		w->n[w->count] = edit_word(text, &at, &w->from[w->count]);
		if (w->n[w->count] == 0)
			break;
	}
}

/* A device that is not here must not stop the boot. */
static void allow_absence(struct unit *u, const struct edit_line *l,
	const struct words *w, const struct fstab_entry *e, struct edit *out)
{
	char options[EDIT_LINE_MAX + 16];
	size_t last = w->count > 3 ? 3 : 2;

	if (fstab_has_option(e->options, "nofail") ||
		fstab_has_option(e->options, "noauto")) {
		edit_pass(out, l);
		return;
	}
	unit_warn(u,
		"%s, for %s in /etc/fstab, is not among what moves; the system "
		"will go on without it",
		e->spec, e->mount);
	(void)snprintf(options, sizeof(options), "%.*s%snofail",
		(int)w->n[last], l->text + w->from[last],
		last == 3 ? "," : " ");
	edit_splice(out, l, w->from[last], w->n[last], options);
	edit_say(out, "%s for %s may be absent (nofail)", e->spec, e->mount);
}

/* Root was found by the boot loader; its line is for remounting and fsck. */
static bool name_root(struct unit *u, const struct edit_line *l,
	const struct words *w, const struct fstab_entry *e, struct edit *out)
{
	const char *root = unit_text(u->wish, "root");

	if (!root[0]) {
		unit_warn(u, "nobody knows what %s, the root in /etc/fstab, is",
			e->spec);
		return false;
	}
	edit_splice(out, l, w->from[0], w->n[0], root);
	edit_say(out, "%s for / is named %s", e->spec, root);
	return true;
}

static void rewrite_line(struct unit *u, const struct edit_line *l,
	const struct fstab_entry *e, struct edit *out)
{
	bool root = strcmp(e->mount, "/") == 0;
	char name[DEVICES_NAME_MAX];
	const json_t *entry;
	struct words w;

	split(l->text, &w);
	switch (devices_find(u->wish, e->spec, &entry)) {
	case DEVICES_RENAMED:
		if (!devices_name(entry, name)) {
			unit_warn(u,
				"%s in /etc/fstab keeps its name: it has no "
				"UUID",
				e->spec);
			break;
		}
		edit_splice(out, l, w.from[0], w.n[0], name);
		edit_say(out, "%s for %s is named %s", e->spec, e->mount, name);
		return;
	case DEVICES_UNKNOWN:
		if (!root) {
			allow_absence(u, l, &w, e, out);
			return;
		}
		if (name_root(u, l, &w, e, out))
			return;
		break;
	default:
		break;
	}
	edit_pass(out, l);
}

/* arg: the one device that may be absent; NULL: all are looked at. */
int unit_rewrite_fstab(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	const char *lacks = arg;
	struct edit_line l;

	while (edit_next(&text, &l)) {
		char copy[EDIT_LINE_MAX + 1];
		struct fstab_reader r;
		struct fstab_entry e;
		struct words w;

		memcpy(copy, l.text, sizeof(copy));
		fstab_begin(&r, copy);
		if (!fstab_next(&r, &e) ||
			(lacks && strcmp(e.spec, lacks) != 0)) {
			edit_pass(out, &l);
		} else if (lacks) {
			split(l.text, &w);
			allow_absence(u, &l, &w, &e, out);
		} else {
			rewrite_line(u, &l, &e, out);
		}
	}
	return 0;
}

int unit_fstab_may_lack(struct unit *u, const char *device)
{
	return unit_rewrite_if(
		u, "/etc/fstab", unit_rewrite_fstab, (void *)device);
}

int unit_fstab(struct unit *u)
{
	return unit_rewrite_if(u, "/etc/fstab", unit_rewrite_fstab, NULL);
}
