/* SPDX-License-Identifier: Apache-2.0 */
#include "move/plan_disk.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "move/plan.h"
#include "move/plan_text.h"

/* What lies on what is not deeper. */
#define DEPTH 16

uint64_t plan_disk_size(const json_t *disk)
{
	json_int_t n = json_integer_value(json_object_get(disk, "size"));

	return n > 0 ? (uint64_t)n : 0;
}

static bool is_kind(const json_t *disk, const char *kind)
{
	return strcmp(facts_text(disk, "kind"), kind) == 0;
}

static bool has_text(const json_t *array, const char *text)
{
	const json_t *v;
	size_t i;

	json_array_foreach(array, i, v)
	{
		if (json_is_string(v) &&
			strcmp(json_string_value(v), text) == 0)
			return true;
	}
	return false;
}

bool plan_disk_can_count(const json_t *facts)
{
	static const struct {
		const char *list, *within;
		size_t max, max_within;
	} lists[] = {{"disks", "parents", 4096, 16384},
		{"filesystems", "devices", 16384, 65536},
		{"disks", "driver_path", 4096, 65536},
		{"swap", "devices", 256, 256}};
	const json_t *v;
	size_t i, sum;

	for (unsigned k = 0; k < ARRAY_LEN(lists); k++) {
		const json_t *list = json_object_get(facts, lists[k].list);

		sum = 0;
		if (json_array_size(list) > lists[k].max)
			return false;
		json_array_foreach(list, i, v)
		{
			sum += json_array_size(
				json_object_get(v, lists[k].within));
		}
		if (sum > lists[k].max_within)
			return false;
	}
	return true;
}

bool plan_disk_is_whole(const json_t *facts, const json_t *disk)
{
	const json_t *d;
	size_t i;

	/* Without a size it is a drive without a medium. */
	if (!facts_text(disk, "name")[0] || !facts_text(disk, "id")[0] ||
		plan_disk_size(disk) == 0)
		return false;
	if (is_kind(disk, "mpath"))
		return true;
	if (!is_kind(disk, "disk"))
		return false;
	if (json_array_size(json_object_get(disk, "holders")) == 0)
		return true;
	json_array_foreach(json_object_get(facts, "disks"), i, d)
	{
		if (is_kind(d, "mpath") &&
			has_text(json_object_get(d, "parents"),
				facts_text(disk, "name")))
			return false;
	}
	return true;
}

const char *plan_disk_key(const json_t *facts, const json_t *disk)
{
	const char *id = facts_text(disk, "id");
	const char *name = facts_text(disk, "name");
	const json_t *d;
	size_t i;

	/* A uuid or size is of what is on it, and changes with that. */
	if (strncmp(id, "serial:", 7) != 0 && strncmp(id, "wwn:", 4) != 0)
		return name;
	json_array_foreach(json_object_get(facts, "disks"), i, d)
	{
		if (d != disk && strcmp(facts_text(d, "id"), id) == 0)
			return name;
	}
	return id;
}

const json_t *plan_find_disk(
	const json_t *facts, const char *id, const char *name)
{
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(facts, "disks"), i, d)
	{
		if (strcmp(facts_text(d, "id"), id) != 0 ||
			!plan_disk_is_whole(facts, d))
			continue;
		if (strcmp(facts_text(d, "name"), name) == 0 ||
			strcmp(plan_disk_key(facts, d), id) == 0)
			return d;
	}
	return NULL;
}

char *plan_disk_overwrite(const json_t *facts, const json_t *disk)
{
	const char *id = facts_text(disk, "id");
	const json_t *d;
	bool alone = true;
	char *text;
	size_t i;

	json_array_foreach(json_object_get(facts, "disks"), i, d)
	{
		if (d != disk && strcmp(facts_text(d, "id"), id) == 0 &&
			!is_kind(d, "part"))
			alone = false;
	}
	if (asprintf(&text, "%s%s%s", alone ? "" : facts_text(disk, "name"),
		    alone ? "" : "/", id) < 0)
		return NULL;
	return text;
}

bool plan_disk_is_empty(const json_t *disk)
{
	return !json_object_get(disk, "table") &&
	       !json_object_get(disk, "content") &&
	       !json_object_get(disk, "unreadable");
}

json_t *plan_disk_tree(const json_t *facts, const json_t *disk)
{
	json_t *names = json_object();
	const json_t *d, *p;
	size_t i, j, before = 0;

	if (!names || json_object_set_new(
			      names, facts_text(disk, "name"), json_true()) < 0)
		goto no_memory;
	for (int depth = 0; depth < DEPTH && json_object_size(names) > before;
		depth++) {
		before = json_object_size(names);
		json_array_foreach(json_object_get(facts, "disks"), i, d)
		{
			json_array_foreach(json_object_get(d, "parents"), j, p)
			{
				if (json_is_string(p) &&
					json_object_get(
						names, json_string_value(p)) &&
					json_object_set_new(names,
						facts_text(d, "name"),
						json_true()) < 0)
					goto no_memory;
			}
		}
	}
	return names;
no_memory:
	json_decref(names);
	return NULL;
}

/* Whether the filesystem or swap lies on one of the names. */
static bool lies_on(const json_t *what, const json_t *names)
{
	const json_t *v;
	size_t i;

	if (json_object_get(names, facts_text(what, "disk")))
		return true;
	json_array_foreach(json_object_get(what, "devices"), i, v)
	{
		if (json_is_string(v) &&
			json_object_get(names, json_string_value(v)))
			return true;
	}
	return false;
}

static bool unfit(
	const json_t *facts, const json_t *disk, const json_t *names, FILE *f)
{
	const json_t *v;
	size_t i;

	if (json_is_true(json_object_get(disk, "removable")))
		return fprintf(f, "is removable") > 0;
	if (json_is_true(json_object_get(disk, "readonly")))
		return fprintf(f, "is read-only") > 0;
	json_array_foreach(json_object_get(facts, "filesystems"), i, v)
	{
		if (!lies_on(v, names))
			continue;
		(void)fputs("is mounted on ", f);
		plan_text_visible(f, facts_text(v, "mount"), 60);
		return true;
	}
	json_array_foreach(json_object_get(facts, "swap"), i, v)
	{
		if (lies_on(v, names))
			return fprintf(f, "is in use as swap") > 0;
	}
	json_array_foreach(json_object_get(facts, "disks"), i, v)
	{
		const char *name = facts_text(v, "name");

		if (v == disk || !json_object_get(names, name) ||
			is_kind(v, "part"))
			continue;
		(void)fputs("carries ", f);
		plan_text_visible(f, name, 60);
		return true;
	}
	return false;
}

bool plan_disk_unfit(const json_t *facts, const json_t *disk, FILE *f)
{
	json_t *names = plan_disk_tree(facts, disk);
	bool r;

	/* Not knowing is no permission. */
	r = names ? unfit(facts, disk, names, f)
		  : fprintf(f, "could not be looked at") > 0;
	json_decref(names);
	return r;
}

void plan_disk_put_size(FILE *f, uint64_t bytes)
{
	static const char *const units[] = {
		"bytes", "KiB", "MiB", "GiB", "TiB"};
	unsigned unit = 0;
	uint64_t rest = 0;

	for (; bytes >= 1024 && unit + 1 < ARRAY_LEN(units); unit++) {
		rest = bytes % 1024 * 10 / 1024;
		bytes /= 1024;
	}
	(void)fprintf(f, "%" PRIu64, bytes);
	if (rest)
		(void)fprintf(f, ".%" PRIu64, rest);
	(void)fprintf(f, " %s", units[unit]);
}

void plan_disk_describe(const json_t *facts, const json_t *disk, FILE *f)
{
	const json_t *v, *table = json_object_get(disk, "table");
	json_t *names = plan_disk_tree(facts, disk);
	unsigned shown = 0;
	size_t i;

	plan_text_visible(f, facts_text(disk, "name"), 60);
	(void)fputs(", ", f);
	plan_disk_put_size(f, plan_disk_size(disk));
	if (facts_text(disk, "model")[0]) {
		(void)fputs(", ", f);
		plan_text_visible(f, facts_text(disk, "model"), 40);
	}
	if (plan_disk_is_empty(disk)) {
		(void)fputs(", empty", f);
	} else if (!table && !json_object_get(disk, "content")) {
		(void)fputs(", its content not readable", f);
	} else if (!table) {
		(void)fputs(", ", f);
		plan_text_visible(f,
			facts_text(json_object_get(disk, "content"), "type"),
			40);
	} else {
		(void)fputs(", ", f);
		plan_text_visible(f,
			facts_text(table, "kind")[0] ? facts_text(table, "kind")
						     : "damaged",
			40);
		(void)fprintf(f, " table with %zu partitions",
			json_array_size(json_object_get(table, "partitions")));
	}
	json_array_foreach(json_object_get(facts, "filesystems"), i, v)
	{
		if (!names || !lies_on(v, names) || shown == 8)
			continue;
		(void)fputs(shown++ ? ", " : "; mounted: ", f);
		plan_text_visible(f, facts_text(v, "mount"), 60);
	}
	json_decref(names);
}

/* Longer is no way to a disk, and no list. */
#define WAY_MAX 32
#define DEVICES_MAX 4096

static const json_t *device_at(const json_t *facts, const char *address)
{
	const json_t *list = json_object_get(facts, "devices"), *d;

	for (size_t i = 0; i < DEVICES_MAX && (d = json_array_get(list, i));
		i++)
		if (strcmp(facts_text(d, "address"), address) == 0)
			return d;
	return NULL;
}

/* The kernel's names say it, or that a SCSI disk hangs on nothing else. */
const char *plan_disk_elsewhere(const json_t *facts, const json_t *disk)
{
	static const char *const kinds[][2] = {
		{"nbd", "NBD"}, {"rbd", "Ceph"}, {"drbd", "DRBD"}};
	const json_t *way = json_object_get(disk, "driver_path"), *o;
	const char *name = facts_text(disk, "name");
	size_t n;

	if (is_kind(disk, "part"))
		return NULL;
	for (n = 0; n < ARRAY_LEN(kinds); n++)
		if (strncmp(name, kinds[n][0], strlen(kinds[n][0])) == 0)
			return kinds[n][1];
	for (n = 0; (o = json_array_get(way, n)); n++) {
		const char *at = json_is_string(o) ? json_string_value(o) : "";

		if (n == WAY_MAX ||
			strcmp(facts_text(device_at(facts, at), "bus"), "scsi"))
			return NULL;
	}
	return n > 0 ? "iSCSI or the like" : NULL;
}
