/* SPDX-License-Identifier: Apache-2.0 */
/* Disks among each other, and the plan's pairs of them. */
#include "move/preflight_checks.h"

#include <string.h>

/* Steps from a partition down to its disks. */
#define DEPTH_MAX 8
/* And all of them: a volume group may have many disks. */
#define STEPS_MAX 256

uint64_t preflight_disk_size(const json_t *disk)
{
	uint64_t n = 0;

	(void)preflight_number(disk, "size", &n);
	return n;
}

bool preflight_is_called(const json_t *disk, const char *key)
{
	static const char *const ids[] = {"serial", "wwn"};

	if (!disk || !key[0])
		return false;
	if (preflight_is(disk, "name", key) ||
		preflight_is(disk, "path", key) ||
		preflight_is(disk, "id", key))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		size_t n = strlen(ids[i]);

		if (strncmp(key, ids[i], n) == 0 && key[n] == ':' &&
			key[n + 1] && preflight_is(disk, ids[i], key + n + 1))
			return true;
	}
	return false;
}

static bool is_fixed_disk(const json_t *disk)
{
	return preflight_is(disk, "kind", "disk") &&
	       preflight_disk_size(disk) > 0 &&
	       !preflight_true(disk, "removable");
}

bool preflight_is_candidate(const json_t *disk)
{
	return is_fixed_disk(disk) && !preflight_true(disk, "readonly");
}

/* ---- disks among each other ---- */

static json_t *by_names(struct preflight *p, const json_t *facts)
{
	const json_t *list = facts_at(facts, "disks");
	json_t *map = json_object(), *o;
	size_t i;

	preflight_each(list, i, o)
	{
		const char *name = preflight_text(o, "name");

		if (name[0] && json_object_set(map, name, o) < 0)
			p->oom = true;
	}
	p->oom = p->oom || !map;
	return map;
}

const json_t *preflight_disk_named(
	const struct preflight *p, enum preflight_host host, const char *name)
{
	return json_object_get(p->disks[host], name);
}

static bool stands_on(const struct preflight *p, enum preflight_host host,
	const json_t *from, const json_t *disk, unsigned depth, unsigned *steps)
{
	const json_t *parents = facts_at(from, "parents"), *o;
	size_t i;

	if (from == disk)
		return true;
	/* A hostile machine's disks may stand on themselves. */
	if (depth == 0)
		return false;
	preflight_each(parents, i, o)
	{
		if (*steps == 0)
			return false;
		(*steps)--;
		if (stands_on(p, host,
			    preflight_disk_named(
				    p, host, preflight_text(o, "")),
			    disk, depth - 1, steps))
			return true;
	}
	return false;
}

bool preflight_stands_on(const struct preflight *p, enum preflight_host host,
	const char *name, const json_t *disk)
{
	const json_t *from = preflight_disk_named(p, host, name);
	unsigned steps = STEPS_MAX;

	return from && disk &&
	       stands_on(p, host, from, disk, DEPTH_MAX, &steps);
}

/* ---- which goes where ---- */

static const struct preflight_disk *wish_for(
	const struct preflight *p, const json_t *disk)
{
	for (unsigned i = 0; i < p->wish->n_disks; i++)
		if (preflight_is_called(disk, p->wish->disks[i].source))
			return &p->wish->disks[i];
	return NULL;
}

/* The only one that is called so: several may have one ID. */
static void find_target(const struct preflight *p, struct preflight_pair *pair)
{
	const json_t *list = facts_at(p->target, "disks"), *o;
	size_t i;

	preflight_each(list, i, o)
	{
		if (preflight_is_called(o, pair->named))
			pair->target = pair->called++ == 0 ? o : NULL;
	}
}

static void add_pair(
	struct preflight *p, const json_t *source, const char *named)
{
	struct preflight_pair *pair = &p->pairs[p->n_pairs];

	if (p->n_pairs == PREFLIGHT_PAIRS_MAX) {
		p->n_unpaired++;
		return;
	}
	pair->source = source;
	pair->named = named;
	if (named)
		find_target(p, pair);
	p->n_pairs++;
}

bool preflight_moves(const struct preflight *p, const json_t *disk)
{
	for (unsigned i = 0; i < p->n_pairs; i++)
		if (p->pairs[i].source == disk)
			return true;
	return false;
}

void preflight_map(struct preflight *p)
{
	const json_t *list = facts_at(p->source, "disks"), *o;
	size_t i;

	p->disks[SOURCE] = by_names(p, p->source);
	p->disks[TARGET] = by_names(p, p->target);
	preflight_each(list, i, o)
	{
		const struct preflight_disk *wish = wish_for(p, o);

		if (wish ? wish->target != NULL : is_fixed_disk(o))
			add_pair(p, o, wish ? wish->target : NULL);
	}
}
