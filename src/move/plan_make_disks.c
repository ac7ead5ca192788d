/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each disk of the source gets the smallest of the target that fits, in the
 * order of the source. As what fits a larger disk also fits a smaller one, this
 * finds places for as many as there can be. Where two would serve equally and
 * only one is needed, a guess could be the wrong disk, so the user chooses.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "move/plan_disk.h"
#include "move/plan_grow.h"
#include "move/plan_make.h"
#include "move/plan_text.h"

#define ALTERNATIVES 6	       /* in one comment */
#define LEFT_MIN (64ULL << 20) /* less is not worth a word */

struct candidate {
	const json_t *disk;
	uint64_t size;
	bool empty, taken;
	char *unfit; /* why it may not be used; NULL: it may */
};

struct disks {
	const json_t *source, *target;
	const char *place; /* of the target */
	const char *overwrite;
	struct candidate *v;
	size_t n;
	const json_t *from[PLAN_DISKS_MAX]; /* the source's whole disks */
	size_t n_from;
};

static int why_unfit(const json_t *facts, const json_t *disk, char **ret)
{
	struct plan_note n;
	bool unfit;
	int r;

	if (plan_note_begin(&n) < 0)
		return -ENOMEM;
	unfit = plan_disk_unfit(facts, disk, n.f);
	r = plan_note_end(&n, ret);
	if (r == 0 && !unfit) {
		free(*ret);
		*ret = NULL;
	}
	return r;
}

static int candidates(struct disks *k)
{
	const json_t *d;
	size_t i;
	int r = 0;

	k->v = calloc(PLAN_DISKS_MAX, sizeof(*k->v));
	if (!k->v)
		return -ENOMEM;
	json_array_foreach(json_object_get(k->target, "disks"), i, d)
	{
		struct candidate *c = &k->v[k->n];

		if (r < 0 || !plan_disk_is_whole(k->target, d))
			continue;
		if (k->n == PLAN_DISKS_MAX)
			return -E2BIG;
		c->disk = d;
		c->size = plan_disk_size(d);
		c->empty = plan_disk_is_empty(d);
		r = why_unfit(k->target, d, &c->unfit);
		k->n++;
	}
	return r;
}

/* Smaller first; of equal ones an empty one. */
static bool is_better(const struct candidate *a, const struct candidate *b)
{
	return !b || a->size < b->size ||
	       (a->size == b->size && a->empty && !b->empty);
}

static struct candidate *best_for(struct disks *k, uint64_t size)
{
	struct candidate *best = NULL;

	for (size_t i = 0; i < k->n; i++) {
		struct candidate *c = &k->v[i];

		if (c->size >= size && !c->taken && !c->unfit &&
			is_better(c, best))
			best = c;
	}
	return best;
}

static size_t equals_of(const struct disks *k, const struct candidate *c)
{
	size_t n = 0;

	for (size_t i = 0; i < k->n; i++)
		n += !k->v[i].taken && !k->v[i].unfit &&
		     k->v[i].size == c->size && k->v[i].empty == c->empty;
	return n;
}

/* How many disks of the source, from number first on, best fit one like c. */
static size_t wanting(struct disks *k, size_t first, const struct candidate *c)
{
	size_t n = 0;

	for (size_t i = first; i < k->n_from; i++) {
		const struct candidate *best;

		if (json_is_true(json_object_get(k->from[i], "removable")))
			continue;
		best = best_for(k, plan_disk_size(k->from[i]));
		n += best && best->size == c->size && best->empty == c->empty;
	}
	return n;
}

/* Ready to be copied into the file. */
static void put_target(FILE *f, const struct candidate *c)
{
	(void)fputs("\n       {name: ", f);
	plan_text_scalar(f, facts_text(c->disk, "name"));
	(void)fputs(", id: ", f);
	plan_text_scalar(f, facts_text(c->disk, "id"));
	(void)fprintf(f, ", size: %" PRIu64 "}", c->size);
}

/* Every other disk of the target, and what speaks for or against it. */
static void put_others(
	FILE *f, const struct disks *k, uint64_t size, const json_t *chosen)
{
	unsigned shown = 0;

	for (size_t i = 0; i < k->n; i++) {
		const struct candidate *c = &k->v[i];

		if (c->disk == chosen || shown++ >= ALTERNATIVES)
			continue;
		(void)fputs("\n     ", f);
		plan_disk_describe(k->target, c->disk, f);
		(void)fprintf(f, ": %s",
			c->unfit	 ? c->unfit
			: c->size < size ? "is too small"
			: c->taken	 ? "is taken by a disk above"
					 : "fits too");
		if (!c->unfit && c->size >= size)
			put_target(f, c);
	}
	if (shown > ALTERNATIVES)
		(void)fprintf(f, "\n     and %u more", shown - ALTERNATIVES);
}

/* What could have the room that is left. */
static void put_grow(FILE *f, const struct disks *k, size_t index)
{
	const json_t *disk = k->from[index], *fs;
	CLEANUP_FREE char *why = NULL;
	struct plan_grow g;
	size_t i, n;

	json_array_foreach(json_object_get(k->source, "filesystems"), i, fs)
	{
		const char *mount = facts_text(fs, "mount");
		CLEANUP_FREE char *text = NULL;
		FILE *m = open_memstream(&text, &n);
		int r = m ? plan_grow_find(k->source, disk, mount, &g, m)
			  : -ENOMEM;

		if (!m || fclose(m) != 0)
			return;
		if (r == 0 && plan_grow_is_mount(mount)) {
			(void)fprintf(f,
				"\nIt is larger: grow: %.200s gives that to "
				"the filesystem there.",
				mount);
			return;
		}
		if (r < 0 && !why && text[0] == 'p')
			why = STEAL_PTR(text);
	}
	(void)fprintf(f, "\nIt is larger, but nothing on it can grow%s%s.",
		why ? ": " : "", why ? why : "");
}

static int take(struct disks *k, size_t index, struct plan_disk *d,
	struct candidate *c, FILE *f)
{
	CLEANUP_FREE char *key = plan_disk_overwrite(k->target, c->disk);

	c->taken = true;
	d->target_name = strdup(facts_text(c->disk, "name"));
	d->target_id = strdup(facts_text(c->disk, "id"));
	d->target_size = c->size;
	if (!d->target_name || !d->target_id || !key)
		return -ENOMEM;
	(void)fputs("\n-> ", f);
	plan_disk_describe(k->target, c->disk, f);
	(void)fputs("\n   It is the smallest disk of ", f);
	plan_text_visible(f, k->place, 80);
	(void)fputs(" that fits.", f);
	if (k->n > 1) {
		(void)fputs("\n   The others:", f);
		put_others(f, k, d->size, c->disk);
	}
	if (c->size >= d->size + LEFT_MIN)
		put_grow(f, k, index);
	/* Also what no facts tell of: the agent looks for zeros as well. */
	if (key[0] && strcmp(k->overwrite, key) == 0) {
		d->overwrite = STEAL_PTR(key);
		(void)fputs("\nWhat is on it is destroyed.", f);
		return 0;
	}
	if (c->empty)
		return 0;
	(void)fputs(
		"\nIt is NOT EMPTY. If all on it may be destroyed, write ", f);
	if (strcmp(key, d->target_id) == 0)
		(void)fputs("its id\n", f);
	else
		plan_text_scalar(f, key);
	(void)fprintf(f, "%sbehind overwrite; rehost refuses until then.",
		strcmp(key, d->target_id) == 0
			? ""
			: "\n(another disk has the same id) ");
	return 0;
}

static int choose(struct disks *k, size_t index, struct plan_disk *d, FILE *f)
{
	struct candidate *c = best_for(k, d->size);

	if (!c) {
		(void)fputs("\nNo disk of ", f);
		plan_text_visible(f, k->place, 80);
		(void)fputs(" can take it. Choose one, or exclude: true.\n"
			    "A disk in use is free once the target runs from "
			    "memory (rehost rescue build).\nIts disks:",
			f);
		put_others(f, k, d->size, NULL);
		return 0;
	}
	if (wanting(k, index, c) < equals_of(k, c)) {
		(void)fputs("\nSeveral disks of ", f);
		plan_text_visible(f, k->place, 80);
		(void)fputs(" would serve equally well, and rehost does not "
			    "guess.\nChoose one, or exclude: true. Its disks:",
			f);
		put_others(f, k, d->size, NULL);
		return 0;
	}
	return take(k, index, d, c, f);
}

static int add(
	struct disks *k, struct plan *p, size_t index, const json_t *disk)
{
	struct plan_disk *d = plan_add_disk(p);
	struct plan_note n;
	int r, end;

	if (!d || plan_note_begin(&n) < 0)
		return -ENOMEM;
	d->name = strdup(facts_text(disk, "name"));
	d->id = strdup(facts_text(disk, "id"));
	d->size = plan_disk_size(disk);
	plan_disk_describe(k->source, disk, n.f);
	r = d->name && d->id ? 0 : -ENOMEM;
	if (json_is_true(json_object_get(disk, "removable"))) {
		d->exclude = true;
		(void)fputs("\nLeft out, because it is removable.", n.f);
	} else if (r == 0) {
		r = choose(k, index, d, n.f);
	}
	end = plan_note_end(&n, &d->comment);
	return r < 0 ? r : end;
}

int plan_make_disks(struct plan *p, const json_t *source, const json_t *target,
	const char *overwrite)
{
	struct disks k = {.source = source,
		.target = target,
		.place = p->target.place,
		.overwrite = overwrite};
	const json_t *d;
	size_t i;
	int r = candidates(&k);

	json_array_foreach(json_object_get(source, "disks"), i, d)
	{
		if (r < 0 || !plan_disk_is_whole(source, d))
			continue;
		if (k.n_from == PLAN_DISKS_MAX)
			r = -E2BIG;
		else
			k.from[k.n_from++] = d;
	}
	for (i = 0; r == 0 && i < k.n_from; i++)
		r = add(&k, p, i, k.from[i]);
	for (i = 0; i < k.n; i++)
		free(k.v[i].unfit);
	free(k.v);
	return r;
}
