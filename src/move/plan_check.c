/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "move/plan.h"
#include "move/plan_disk.h"
#include "move/plan_grow.h"
#include "move/plan_text.h"

#define SHOWN 3 /* changes in one error */

/* Splits "KIND WHICH key=value …" at the first two spaces; the two parts are
 * terminated. Returns the rest, "" when there is none. */
static char *split(char *line, char **ret_which)
{
	char *which = strchr(line, ' '), *rest;

	if (!which) {
		*ret_which = line + strlen(line);
		return *ret_which;
	}
	*which++ = '\0';
	if (strchr(which, '=') && strcmp(line, "firmware") == 0) {
		*ret_which = which + strlen(which);
		return which;
	}
	rest = strchr(which, ' ');
	*ret_which = which;
	if (!rest)
		return which + strlen(which);
	*rest = '\0';
	return rest + 1;
}

/* Of " key=value" in rest; a copy, or NULL. */
static char *value_of(const char *rest, const char *key)
{
	size_t n = strlen(key);

	for (; *rest; rest += strcspn(rest, " "), rest += *rest == ' ')
		if (strncmp(rest, key, n) == 0 && rest[n] == '=')
			return strndup(
				rest + n + 1, strcspn(rest + n + 1, " "));
	return NULL;
}

static bool same_thing(const char *a, const char *b)
{
	CLEANUP_FREE char *x = strdup(a), *y = strdup(b);
	char *which_x, *which_y;

	if (!x || !y)
		return false;
	(void)split(x, &which_x);
	(void)split(y, &which_y);
	return strcmp(x, y) == 0 && strcmp(which_x, which_y) == 0;
}

static const char *find(const struct plan_list *l, const char *line)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (same_thing(l->v[i], line))
			return l->v[i];
	return NULL;
}

/* "disk vdb" or "partition 2 of vdb"; the name where the line of the disk has
 * one. */
static void put_thing(FILE *f, const struct plan_list *in, const char *kind,
	const char *which)
{
	const char *slash = strrchr(which, '/');
	CLEANUP_FREE char *line = NULL, *name = NULL;
	bool part = strcmp(kind, "part") == 0 && slash;
	size_t n = part ? (size_t)(slash - which) : strlen(which);

	for (uint32_t i = 0; i < in->n && !name; i++)
		if (strncmp(in->v[i], "disk ", 5) == 0 &&
			strncmp(in->v[i] + 5, which, n) == 0 &&
			in->v[i][5 + n] == ' ')
			name = value_of(in->v[i] + 6 + n, "name");
	if (part)
		(void)fprintf(f, "partition %.20s of ", slash + 1);
	else
		(void)fputs("disk ", f);
	line = strndup(which, n);
	plan_text_visible(f, name ? name : line ? line : "", 60);
}

/* One property that differs. */
static void put_change(
	FILE *f, const char *key, const char *now, const char *then)
{
	bool bytes = strcmp(key, "size") == 0;

	(void)fputs(bytes ? " has " : " has the ", f);
	if (!bytes)
		(void)fprintf(f, "%s ", key);
	plan_text_visible(f, now ? now : "(none)", 100);
	(void)fprintf(f, "%s, the plan was made for ", bytes ? " bytes" : "");
	plan_text_visible(f, then ? then : "(none)", 100);
}

static unsigned compare(FILE *f, const struct plan_list *then,
	const struct plan_list *now, const char *old_line, const char *new_line)
{
	static const char *const keys[] = {"mode", "size", "serial", "wwn",
		"table", "path", "start", "type", "uuid", "content"};
	CLEANUP_FREE char *a = strdup(old_line), *b = strdup(new_line);
	char *which, *rest_a, *rest_b;

	if (!a || !b)
		return 0;
	rest_a = split(a, &which);
	rest_b = split(b, &which);
	for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
		CLEANUP_FREE char *x = value_of(rest_a, keys[i]);
		CLEANUP_FREE char *y = value_of(rest_b, keys[i]);

		if (x ? y && strcmp(x, y) == 0 : !y)
			continue;
		if (strcmp(b, "firmware") == 0)
			(void)fputs("the firmware", f);
		else
			put_thing(f, now, b, which);
		put_change(f, keys[i], y, x);
		return 1;
	}
	return 0;
}

/* What is in one list and not in the other. */
static unsigned missing(FILE *f, const struct plan_list *in,
	const struct plan_list *other, const char *said, unsigned shown)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < in->n; i++) {
		CLEANUP_FREE char *line = NULL;
		char *which;

		if (find(other, in->v[i]))
			continue;
		line = strdup(in->v[i]);
		if (!line)
			return n;
		(void)split(line, &which);
		if (shown + n++ >= SHOWN)
			continue;
		(void)fputs(shown + n > 1 ? "; " : "", f);
		put_thing(f, in, line, which);
		(void)fputs(said, f);
	}
	return n;
}

static void put_changes(
	FILE *f, const struct plan_list *then, const struct plan_list *now)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < then->n; i++) {
		const char *line = find(now, then->v[i]);

		if (!line)
			continue;
		/* Counted first, written only while there is room. */
		if (n >= SHOWN) {
			n += strcmp(line, then->v[i]) != 0;
			continue;
		}
		if (strcmp(line, then->v[i]) != 0) {
			CLEANUP_FREE char *text = NULL;
			size_t size;
			FILE *m = open_memstream(&text, &size);
			unsigned one;

			if (!m)
				return;
			one = compare(m, then, now, then->v[i], line);
			if (fclose(m) == 0 && one)
				(void)fprintf(f, "%s%s", n ? "; " : "", text);
			n += one;
		}
	}
	n += missing(f, then, now, " is gone", n);
	n += missing(f, now, then, " is new", n);
	if (n > SHOWN)
		(void)fprintf(f, "; and %u more", n - SHOWN);
}

static int check_side(
	const struct plan_side *s, const json_t *facts, struct error *err)
{
	struct plan_list now = {0};
	CLEANUP_FREE char *why = NULL;
	char print[65];
	size_t n;
	FILE *f;
	int r = plan_facts(facts, &now);

	if (r == 0)
		r = plan_fingerprint(&now, print);
	if (r < 0) {
		plan_list_done(&now);
		(void)error_set(err, r, "compare the facts with the plan");
		return error_host(err, s->place);
	}
	if (strcmp(print, s->fingerprint) == 0) {
		plan_list_done(&now);
		return 0;
	}
	(void)error_set(err, -ESTALE, "use the plan");
	f = open_memstream(&why, &n);
	if (f) {
		put_changes(f, &s->facts, &now);
		if (fclose(f) == 0 && n > 0)
			(void)error_why(err, "%s", why);
	}
	plan_list_done(&now);
	(void)error_todo(err, "make a new plan (rehost plan), or undo that");
	return error_host(err, s->place);
}

/* The disk that the plan means, still of the size that it had. */
static int find_disk(const struct plan_side *s, const json_t *facts,
	const char *id, const char *name, uint64_t size, const json_t **ret,
	struct error *err)
{
	const json_t *d = plan_find_disk(facts, id, name);

	if (d && plan_disk_size(d) == size) {
		*ret = d;
		return 0;
	}
	(void)error_set(err, -ESTALE, "use the plan");
	(void)error_why(err, "there is no disk %s (%s) with %" PRIu64 " bytes",
		name, id, size);
	return error_host(err, s->place);
}

/* What is on the disk that is to be written. */
static int check_content(const struct plan *p, const struct plan_disk *d,
	const json_t *facts, const json_t *disk, struct error *err)
{
	CLEANUP_FREE char *key = plan_disk_overwrite(facts, disk);

	if (!key)
		return error_set(err, -ENOMEM, "use the plan");
	if (plan_disk_is_empty(disk) ||
		(d->overwrite && strcmp(d->overwrite, key) == 0))
		return 0;
	(void)error_set(err, -EEXIST, "use the plan");
	(void)error_why(err, "disk %s is not empty%s", d->target_name,
		strcmp(key, d->target_id) != 0
			? ", and another disk has the same id"
			: "");
	(void)error_todo(err,
		"if all on it may be destroyed, give --overwrite %s, or write "
		"overwrite: \"%s\" into the plan if there is one",
		key, key);
	return error_host(err, p->target.place);
}

/* How the disk that is to be written is used now. */
static int check_use(const struct plan *p, const struct plan_disk *d,
	const json_t *facts, const json_t *disk, struct error *err)
{
	CLEANUP_FREE char *why = NULL;
	size_t n;
	FILE *f = open_memstream(&why, &n);
	bool unfit = f && plan_disk_unfit(facts, disk, f);

	if (!f || fclose(f) != 0)
		return error_set(err, -ENOMEM, "use the plan");
	if (!unfit)
		return 0;
	(void)error_set(err, -EBUSY, "use the plan");
	(void)error_why(err, "disk %s %s", d->target_name, why);
	(void)error_todo(err, "boot the rescue system there (rehost rescue "
			      "build), or choose another disk");
	return error_host(err, p->target.place);
}

/* Can what is to have the room of a larger disk grow into it? */
static int check_grow(const struct plan *p, const struct plan_disk *d,
	const json_t *facts, const json_t *disk, struct error *err)
{
	CLEANUP_FREE char *why = NULL;
	struct plan_grow g;
	size_t n;
	FILE *f;
	int r;

	if (!d->grow)
		return 0;
	f = open_memstream(&why, &n);
	r = f ? plan_grow_find(facts, disk, d->grow, &g, f) : 0;
	if (!f || fclose(f) != 0)
		return error_set(err, -ENOMEM, "use the plan");
	if (r == 0)
		return 0;
	(void)error_set(err, -EINVAL, "use the plan");
	(void)error_why(
		err, "disk %s cannot grow for %s: %s", d->name, d->grow, why);
	(void)error_todo(err, "take grow away, or name another filesystem");
	return error_host(err, p->source.place);
}

static int check_disk(const struct plan *p, const struct plan_disk *d,
	const json_t *source, const json_t *target, struct error *err)
{
	const json_t *from, *to;
	int r;

	if (d->exclude)
		return 0;
	if (!d->target_id) {
		(void)error_set(err, -EINVAL, "use the plan");
		(void)error_why(err, "disk %s has no target yet", d->name);
		return error_todo(err,
			"write a disk of %s as its target into the plan, or "
			"exclude: true",
			p->target.place);
	}
	r = find_disk(&p->source, source, d->id, d->name, d->size, &from, err);
	if (r == 0)
		r = find_disk(&p->target, target, d->target_id, d->target_name,
			d->target_size, &to, err);
	if (r < 0)
		return r;
	for (const struct plan_disk *e = p->disks; e < d; e++) {
		if (e->exclude || !e->target_id ||
			(plan_find_disk(source, e->id, e->name) != from &&
				plan_find_disk(target, e->target_id,
					e->target_name) != to))
			continue;
		(void)error_set(err, -EINVAL, "use the plan");
		(void)error_why(err,
			"%s and %s are one disk, or have one target", e->name,
			d->name);
		return error_todo(err, "give each disk a target of its own");
	}
	if (d->target_size < d->size) {
		(void)error_set(err, -ENOSPC, "use the plan");
		(void)error_why(err,
			"disk %s has %" PRIu64 " bytes, its target %s has "
			"%" PRIu64,
			d->name, d->size, d->target_name, d->target_size);
		return error_todo(err, "choose a target that is as large");
	}
	r = check_use(p, d, target, to, err);
	if (r == 0)
		r = check_grow(p, d, source, from, err);
	return r < 0 ? r : check_content(p, d, target, to, err);
}

int plan_check(const struct plan *p, const json_t *source_facts,
	const json_t *target_facts, struct error *err)
{
	int r = check_side(&p->source, source_facts, err);

	if (r == 0)
		r = check_side(&p->target, target_facts, err);
	for (uint32_t i = 0; r == 0 && i < p->n_disks; i++)
		r = check_disk(
			p, &p->disks[i], source_facts, target_facts, err);
	for (uint32_t i = 0; r == 0 && i < p->n_nics; i++) {
		const struct plan_nic *n = &p->nics[i];

		if (n->exclude || n->target)
			continue;
		(void)error_set(err, -EINVAL, "use the plan");
		(void)error_why(err, "interface %s has no target yet",
			n->name ? n->name : n->mac);
		r = error_todo(err,
			"write the MAC of an interface of %s as its "
			"target into the plan, or exclude: true",
			p->target.place);
	}
	return r;
}
