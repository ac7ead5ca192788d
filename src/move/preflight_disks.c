/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the disks of the target may take those of the source. */
#include "move/preflight_checks.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "move/plan_disk.h"

void preflight_source_disk(struct preflight *p)
{
	const json_t *list = facts_at(p->source, "disks"), *o;
	size_t i;

	for (unsigned k = 0; k < p->wish->n_disks; k++) {
		const char *key = p->wish->disks[k].source;
		bool found = false;

		preflight_each(list, i, o) found =
			found || preflight_is_called(o, key);
		if (found)
			continue;
		preflight_find(p, BLOCKS, SOURCE,
			"it has no disk %.200s, which the plan names", key);
		preflight_remedy(p, "look at what inspect shows, and name the "
				    "disk anew");
	}
	if (p->n_pairs > 0)
		return;
	preflight_find(p, BLOCKS, SOURCE, "no disk of it %s",
		p->wish->n_disks > 0 ? "is to be moved" : "is known");
	preflight_remedy(p, "see \"missing\" in its facts, and leave at least "
			    "one of its disks in the move");
}

void preflight_many_disks(struct preflight *p)
{
	if (p->n_unpaired == 0)
		return;
	preflight_find(p, BLOCKS, SOURCE,
		"it has %u disks that would move, and %d are the most",
		p->n_pairs + p->n_unpaired, PREFLIGHT_PAIRS_MAX);
	preflight_remedy(p, "leave some out, and move them as volumes");
}

/* Disks of the target of at least this size that may be written. */
static unsigned count_candidates(const struct preflight *p, uint64_t size)
{
	const json_t *list = facts_at(p->target, "disks"), *o;
	unsigned n = 0;
	size_t i;

	preflight_each(list, i, o) n +=
		preflight_is_candidate(o) && preflight_disk_size(o) >= size;
	return n;
}

void preflight_disk_missing(struct preflight *p)
{
	char text[600], size[24];

	for (unsigned i = 0; i < p->n_pairs; i++) {
		uint64_t need = preflight_disk_size(p->pairs[i].source);
		unsigned n = count_candidates(p, need);

		if (p->pairs[i].named)
			continue;
		(void)preflight_disk_text(
			p->pairs[i].source, text, sizeof(text));
		(void)preflight_size_text(need, size);
		if (n == 0)
			preflight_find(p, BLOCKS, TARGET,
				"it has no disk as large as the source's %s of "
				"%s",
				text, size);
		else
			preflight_find(p, BLOCKS, TARGET,
				"for the source's %s of %s none of its disks "
				"is chosen; %u %s as large",
				text, size, n, n == 1 ? "is" : "are");
		preflight_remedy(p,
			n == 0 ? "give it a larger disk, or leave this one out "
				 "of the move"
			       : "write one into the plan, which tells what "
				 "speaks against each, or leave this one out");
	}
	if (p->n_pairs > 0 || count_candidates(p, 0) > 0)
		return;
	preflight_find(p, BLOCKS, TARGET,
		"no disk of it is known that could "
		"be written");
	preflight_remedy(p, "see \"missing\" in its facts, or give it a disk");
}

void preflight_disk_small(struct preflight *p)
{
	char from[600], to[600], need[24], have[24];

	for (unsigned i = 0; i < p->n_pairs; i++) {
		const struct preflight_pair *pair = &p->pairs[i];
		uint64_t a = preflight_disk_size(pair->source),
			 b = preflight_disk_size(pair->target);

		if (!pair->target || b >= a)
			continue;
		preflight_find(p, BLOCKS, TARGET,
			"its disk %s has %s, %llu bytes too few for the "
			"source's %s of %s",
			preflight_disk_text(pair->target, to, sizeof(to)),
			preflight_size_text(b, have),
			(unsigned long long)(a - b),
			preflight_disk_text(pair->source, from, sizeof(from)),
			preflight_size_text(a, need));
		preflight_remedy(p, "make it larger, or name another disk");
	}
}

static const char *unfit(const struct preflight_pair *pair)
{
	if (!pair->target)
		return pair->called > 1 ? "several disks are called so"
					: "there is no such disk";
	if (!preflight_is(pair->target, "kind", "disk") &&
		!preflight_is(pair->target, "kind", "mpath"))
		return "it is no whole disk";
	if (preflight_true(pair->target, "readonly"))
		return "it is read-only";
	if (preflight_true(pair->target, "removable"))
		return "it is removable";
	return NULL;
}

void preflight_disk_unfit(struct preflight *p)
{
	for (unsigned i = 0; i < p->n_pairs; i++) {
		const struct preflight_pair *pair = &p->pairs[i];
		const char *why = pair->named ? unfit(pair) : NULL;

		for (unsigned k = 0; !why && pair->target && k < i; k++)
			if (p->pairs[k].target == pair->target)
				why = "two disks of the source go to it";
		if (!why)
			continue;
		preflight_find(p, BLOCKS, TARGET, "the disk %.200s: %s",
			pair->named ? pair->named : "", why);
		preflight_remedy(p, "name a whole disk by its ID, as inspect "
				    "shows it");
	}
}

void preflight_disk_ambiguous(struct preflight *p)
{
	unsigned n = count_candidates(p, 0);
	char to[600];

	for (unsigned i = 0; i < p->n_pairs; i++) {
		const struct preflight_pair *pair = &p->pairs[i];

		if (!pair->target)
			continue;
		(void)preflight_disk_text(pair->target, to, sizeof(to));
		if (n > 1 && !preflight_text(pair->target, "serial")[0] &&
			!preflight_text(pair->target, "wwn")[0]) {
			preflight_find(p, WARNS, TARGET,
				"its disk %s has neither a serial number nor a "
				"WWN, and there are %u disks: after a reboot "
				"another may have its name",
				to, n);
			preflight_remedy(p, "give its disks serial numbers "
					    "where its host can, or take the "
					    "others away for the move");
		}
	}
}

/* Where one of the target's disks is used: a mount, or swap; or NULL. */
static const char *use_of(const struct preflight *p, const json_t *disk)
{
	const json_t *list = facts_at(p->target, "filesystems"), *o;
	size_t i;

	preflight_each(list, i,
		o) if (preflight_stands_on(p, TARGET, preflight_text(o, "disk"),
			       disk)) return facts_text(o, "mount");
	list = facts_at(p->target, "swap");
	preflight_each(list, i,
		o) if (preflight_stands_on(p, TARGET, preflight_text(o, "disk"),
			       disk)) return "swap";
	return NULL;
}

void preflight_disk_in_use(struct preflight *p)
{
	char text[600];

	for (unsigned i = 0; i < p->n_pairs; i++) {
		const char *use = use_of(p, p->pairs[i].target);

		/* The system taken over lets go of all disks. */
		if (!use || p->wish->takeover)
			continue;
		preflight_find(p, BLOCKS, TARGET,
			"its disk %s is in use as %.200s",
			preflight_disk_text(
				p->pairs[i].target, text, sizeof(text)),
			use);
		preflight_remedy(p,
			"boot the rescue system there (rehost rescue "
			"build), or unmount it");
	}
}

static bool may_overwrite(const struct preflight *p, const char *key)
{
	for (const char *const *id = p->wish->overwrite; id && *id; id++)
		if (strcmp(key, *id) == 0)
			return true;
	return false;
}

/* What a disk has on it; "" when nothing is seen. */
static const char *content(
	const struct preflight *p, const json_t *disk, char *buf, size_t size)
{
	const json_t *list = facts_at(p->target, "disks"), *o;
	const char *table = preflight_text(disk, "table.kind");
	const char *type = preflight_text(disk, "content.type");
	unsigned parts = 0;
	size_t i;

	preflight_each(list, i,
		o) if (o != disk && preflight_is(o, "kind", "part") &&
		       preflight_stands_on(p, TARGET, preflight_text(o, "name"),
			       disk)) parts++;
	if (type[0])
		(void)snprintf(buf, size, "%s", type);
	else if (table[0] || parts > 0)
		(void)snprintf(buf, size, "a table (%s) with %u partitions",
			table[0] ? table : "of a kind that is not known",
			parts);
	else
		(void)snprintf(buf, size, "%s",
			facts_at(disk, "table") ? "a table that makes no sense"
			: facts_at(disk, "unreadable")
				? "something that could not be read"
				: "");
	return buf;
}

void preflight_disk_not_empty(struct preflight *p)
{
	bool blind = preflight_false(p->target, "root");
	char text[600], what[320];

	for (unsigned i = 0; i < p->n_pairs; i++) {
		const json_t *disk = p->pairs[i].target;
		CLEANUP_FREE char *key = NULL;

		if (!disk)
			continue;
		key = plan_disk_overwrite(p->target, disk);
		if (!key) {
			p->oom = true;
			return;
		}
		(void)preflight_disk_text(disk, text, sizeof(text));
		(void)content(p, disk, what, sizeof(what));
		if (what[0] && may_overwrite(p, key)) {
			preflight_find(p, NOTES, TARGET,
				"its disk %s has %s on it: all of that will be "
				"destroyed",
				text, what);
			preflight_remedy(p, "it was named for overwriting");
		} else if (what[0] || blind) {
			preflight_find(p, what[0] ? BLOCKS : WARNS, TARGET,
				"its disk %s %s%s", text,
				what[0] ? "is not empty: it has "
					: "cannot be seen to be empty",
				what);
			preflight_remedy(p,
				"if all on it may be destroyed: --overwrite "
				"%s",
				key[0] ? key : "ID, as inspect shows it");
		}
	}
}

void preflight_sector_size(struct preflight *p)
{
	char text[600];

	for (unsigned i = 0; i < p->n_pairs; i++) {
		uint64_t a, b;

		if (!preflight_number(p->pairs[i].source, "logical", &a) ||
			!preflight_number(p->pairs[i].target, "logical", &b) ||
			a == b)
			continue;
		preflight_find(p, BLOCKS, TARGET,
			"its disk %s has sectors of %llu bytes, the source's "
			"has %llu: neither the partition table nor some "
			"filesystems would be found",
			preflight_disk_text(
				p->pairs[i].target, text, sizeof(text)),
			(unsigned long long)b, (unsigned long long)a);
		preflight_remedy(p,
			"take a disk with sectors of %llu bytes; "
			"many virtual ones can be set to that",
			(unsigned long long)a);
	}
}
