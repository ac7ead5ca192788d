/* SPDX-License-Identifier: Apache-2.0 */
#include "move/plan_grow.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "facts/facts.h"
#include "move/plan_text.h"

static bool is_kind(const json_t *d, const char *kind)
{
	return strcmp(facts_text(d, "kind"), kind) == 0;
}

static uint64_t number_of(const json_t *o, const char *path)
{
	json_int_t n = json_integer_value(facts_at(o, path));

	return n > 0 ? (uint64_t)n : 0;
}

/* Is it a partition of that disk, or the disk itself? */
static bool is_on(const json_t *d, const json_t *disk)
{
	const char *parent = json_string_value(
		json_array_get(json_object_get(d, "parents"), 0));

	return d == disk ||
	       (is_kind(d, "part") && parent &&
		       strcmp(parent, facts_text(disk, "name")) == 0);
}

bool plan_grow_is_mount(const char *text)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789._:=/+@,-";

	return text[0] == '/' && text[strspn(text, allowed)] == '\0';
}

static bool can_grow(const char *type)
{
	static const char *const types[] = {
		"ext2", "ext3", "ext4", "xfs", "btrfs"};

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

/* What blkid finds in a partition, for people. */
static const char *content_of(
	const json_t *facts, const json_t *disk, uint64_t number)
{
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(facts, "disks"), i, d)
	{
		if (is_kind(d, "part") && is_on(d, disk) &&
			number_of(d, "part.number") == number)
			return facts_text(d, "content.type");
	}
	return "";
}

/* Is the partition the last one, and of a kind that can be changed? */
static int check_last(const json_t *facts, const json_t *disk,
	const struct plan_grow *g, FILE *f)
{
	const json_t *table = json_object_get(disk, "table"), *p;
	const json_t *next = NULL;
	const char *content;
	size_t i;

	if (facts_text(table, "error")[0]) {
		(void)fputs("of its partition table, ", f);
		plan_text_visible(f, facts_text(table, "error"), 100);
		return -EOPNOTSUPP;
	}
	if (strcmp(facts_text(table, "kind"), "gpt") != 0 && g->partition > 4) {
		(void)fprintf(f, "partition %u is a logical one", g->partition);
		return -EOPNOTSUPP;
	}
	json_array_foreach(json_object_get(table, "partitions"), i, p)
	{
		uint64_t start = number_of(p, "start");

		if (start > g->start &&
			(!next || start < number_of(next, "start")))
			next = p;
	}
	if (!next)
		return 0;
	content = content_of(facts, disk, number_of(next, "number"));
	(void)fprintf(f, "partition %" PRIu64, number_of(next, "number"));
	if (content[0]) {
		(void)fputs(" (", f);
		plan_text_visible(f, content, 40);
		(void)fputc(')', f);
	}
	(void)fprintf(f, " lies behind partition %u", g->partition);
	return -EOPNOTSUPP;
}

static const json_t *filesystem_at(const json_t *facts, const char *mount)
{
	const json_t *f;
	size_t i;

	json_array_foreach(json_object_get(facts, "filesystems"), i, f)
	{
		if (strcmp(facts_text(f, "mount"), mount) == 0)
			return f;
	}
	return NULL;
}

/* The physical volume of a logical one that lies on that disk. */
static const json_t *physical_of(
	const json_t *facts, const json_t *logical, const json_t *disk)
{
	const json_t *name, *d;
	size_t i;

	json_array_foreach(json_object_get(logical, "parents"), i, name)
	{
		d = json_is_string(name)
			    ? facts_named(json_object_get(facts, "disks"),
				      json_string_value(name))
			    : NULL;
		if (d && is_on(d, disk) &&
			strcmp(facts_text(d, "content.type"), "LVM2_member") ==
				0)
			return d;
	}
	return NULL;
}

static int refuse(FILE *f, const char *why)
{
	(void)fputs(why, f);
	return -EOPNOTSUPP;
}

int plan_grow_find(const json_t *facts, const json_t *disk, const char *mount,
	struct plan_grow *ret, FILE *f)
{
	struct plan_grow g = {0};
	const json_t *on;

	g.fs = filesystem_at(facts, mount);
	g.device = facts_named(
		json_object_get(facts, "disks"), facts_text(g.fs, "disk"));
	if (!g.device)
		return refuse(f, "no filesystem of a disk is mounted there");
	if (!can_grow(facts_text(g.fs, "type"))) {
		plan_text_visible(f, facts_text(g.fs, "type"), 40);
		return refuse(f, " does not grow while it is mounted");
	}
	if (json_array_size(json_object_get(g.fs, "devices")) > 1)
		return refuse(f, "it lies on several devices");
	if (is_kind(g.device, "lvm")) {
		g.physical = physical_of(facts, g.device, disk);
		if (!g.physical)
			return refuse(f,
				"its logical volume does not lie on that disk "
				"straight away");
	} else if (!is_kind(g.device, "part") && !is_kind(g.device, "disk")) {
		(void)fprintf(f, "it lies on a device (");
		plan_text_visible(f, facts_text(g.device, "kind"), 40);
		return refuse(f, ") that rehost does not grow");
	}
	on = g.physical ? g.physical : g.device;
	if (!is_on(on, disk))
		return refuse(f, "it lies on another disk");
	if (is_kind(on, "part")) {
		g.partition = (uint32_t)number_of(on, "part.number");
		g.start = number_of(on, "part.start");
		if (g.partition == 0 || g.start == 0)
			return refuse(f, "where its partition begins is not "
					 "known");
		if (check_last(facts, disk, &g, f) < 0)
			return -EOPNOTSUPP;
	}
	if (!facts_text(g.device, "content.uuid")[0] &&
		!is_kind(g.device, "lvm"))
		return refuse(f, "it has no UUID");
	*ret = g;
	return 0;
}

json_t *plan_grow_wish(const struct plan_grow *g, uint32_t index)
{
	const json_t *lvm = json_object_get(g->device, "lvm");
	json_t *o = json_pack("{s:I s:I s:I s:s s:s}", "disk",
		(json_int_t)index, "partition", (json_int_t)g->partition,
		"start", (json_int_t)g->start, "type",
		facts_text(g->fs, "type"), "mount", facts_text(g->fs, "mount"));

	if (!o)
		return NULL;
	if (g->physical) {
		(void)json_object_set_new(o, "physical",
			json_string(facts_text(g->physical, "content.uuid")));
		(void)json_object_set_new(
			o, "group", json_string(facts_text(lvm, "vg")));
		(void)json_object_set_new(o, "logical",
			json_string(facts_text(g->device, "path")));
	} else {
		(void)json_object_set_new(o, "uuid",
			json_string(facts_text(g->device, "content.uuid")));
	}
	return o;
}
