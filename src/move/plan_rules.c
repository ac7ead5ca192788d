/* SPDX-License-Identifier: Apache-2.0 */
#include "move/plan_rules.h"

#include <string.h>

#include "move/plan.h"

/* An entry is either left out or has a target, even if that is ~. */
static int check_target(const struct plan_rules *r, const struct plan_yaml *y,
	bool exclude, bool has_target)
{
	const struct plan_yaml *target = plan_yaml_get(y, "target");

	if (exclude && has_target)
		return plan_yaml_refuse(r->err, r->file, target,
			"a target, but exclude is true; take one away");
	if (!exclude && !target)
		return plan_yaml_refuse(r->err, r->file, y,
			"it needs a target, or exclude: true");
	return 0;
}

int plan_rules_disk(
	const struct plan_rules *r, const struct plan_yaml *y, const void *base)
{
	const struct plan_disk *d = base;
	int got = check_target(r, y, d->exclude, d->target_id != NULL);
	size_t n;

	if (got == 0 && d->grow && !d->target_id)
		return plan_yaml_refuse(r->err, r->file,
			plan_yaml_get(y, "grow"),
			"grow, but there is no target; take it away");
	if (got < 0 || !d->overwrite)
		return got;
	if (!d->target_id)
		return plan_yaml_refuse(r->err, r->file,
			plan_yaml_get(y, "overwrite"),
			"overwrite, but there is no target; take it away");
	/* "NAME/ID" is for disks with the same id. */
	n = strlen(d->target_name);
	if (strcmp(d->overwrite, d->target_id) != 0 &&
		(strncmp(d->overwrite, d->target_name, n) != 0 ||
			d->overwrite[n] != '/' ||
			strcmp(d->overwrite + n + 1, d->target_id) != 0))
		return plan_yaml_refuse(r->err, r->file,
			plan_yaml_get(y, "overwrite"),
			"overwrite names %.100s, but the target is %.100s",
			d->overwrite, d->target_id);
	return 0;
}

int plan_rules_nic(
	const struct plan_rules *r, const struct plan_yaml *y, const void *base)
{
	static const char *const only_map[] = {
		"addresses", "gateways", "nameservers"};
	const struct plan_nic *n = base;
	int got = check_target(r, y, n->exclude, n->target != NULL);

	if (got < 0)
		return got;
	if (n->target && !plan_yaml_get(y, "mode"))
		return plan_yaml_refuse(r->err, r->file, y,
			"it needs a mode: keep, map or dhcp");
	for (unsigned i = 0; i < ARRAY_LEN(only_map); i++) {
		const struct plan_yaml *list = plan_yaml_get(y, only_map[i]);

		if (list && list->n && n->mode != PLAN_MAP)
			return plan_yaml_refuse(r->err, r->file, list,
				"%s are only for mode: map", only_map[i]);
	}
	if (n->target && n->mode == PLAN_MAP && n->addresses.n == 0)
		return plan_yaml_refuse(r->err, r->file,
			plan_yaml_get(y, "mode"),
			"mode: map needs addresses, like [192.0.2.5/24]");
	return 0;
}

static int twice(const struct plan_rules *r, const struct plan_yaml *at,
	const struct plan_yaml *first, const char *what)
{
	return plan_yaml_refuse(r->err, r->file, at,
		"%s is here twice, first in line %u", what, first->line);
}

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* Ids may be equal where hardware has no serials; names never are. */
static int check_disks(const struct plan_rules *r, const struct plan *p,
	const struct plan_yaml *list)
{
	for (uint32_t i = 0; i < p->n_disks; i++)
		for (uint32_t j = 0; j < i; j++) {
			const struct plan_yaml *a = list->values[j];
			const struct plan_yaml *b = list->values[i];

			if (same(p->disks[i].name, p->disks[j].name))
				return twice(r, plan_yaml_get(b, "name"),
					plan_yaml_get(a, "name"), "this disk");
			if (same(p->disks[i].target_name,
				    p->disks[j].target_name))
				return twice(r, plan_yaml_get(b, "target"),
					plan_yaml_get(a, "target"),
					"this target disk");
		}
	return 0;
}

static int check_nics(const struct plan_rules *r, const struct plan *p,
	const struct plan_yaml *list)
{
	for (uint32_t i = 0; i < p->n_nics; i++)
		for (uint32_t j = 0; j < i; j++) {
			const struct plan_yaml *a = list->values[j];
			const struct plan_yaml *b = list->values[i];

			if (same(p->nics[i].mac, p->nics[j].mac))
				return twice(r, plan_yaml_get(b, "mac"),
					plan_yaml_get(a, "mac"), "this MAC");
			if (same(p->nics[i].target, p->nics[j].target))
				return twice(r, plan_yaml_get(b, "target"),
					plan_yaml_get(a, "target"),
					"this target");
		}
	return 0;
}

/* Facts are compared by their fingerprints and named by their lines. */
static int check_facts(const struct plan_rules *r, const struct plan_side *s,
	const struct plan_yaml *facts, const char *key)
{
	char print[65];
	int got = plan_fingerprint(&s->facts, print);

	if (got < 0)
		return error_set(r->err, got, "read the plan");
	if (strcmp(print, s->fingerprint) == 0)
		return 0;
	return plan_yaml_refuse(r->err, r->file, plan_yaml_get(facts, key),
		"these facts or their fingerprint were changed; make a new "
		"plan instead");
}

int plan_rules_plan(
	const struct plan_rules *r, const struct plan_yaml *y, const void *base)
{
	const struct plan_yaml *facts = plan_yaml_get(y, "facts");
	const struct plan *p = base;
	int got = check_disks(r, p, plan_yaml_get(y, "disks"));

	if (got == 0)
		got = check_nics(r, p, plan_yaml_get(y, "network"));
	if (got == 0)
		got = check_facts(r, &p->source, facts, "source");
	if (got == 0)
		got = check_facts(r, &p->target, facts, "target");
	return got;
}
