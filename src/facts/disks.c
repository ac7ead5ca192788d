/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/disks.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/parse.h"
#include "facts/table.h"
#include "volume/mounts.h"
#include "volume/probe.h"

#define BLOCK "sys/class/block"
#define TEXT 512

/* One device while it is looked at. */
struct disk {
	json_t *j;
	const char *name;
	char sys[64 + NAME_MAX]; /* its folder */
	char number[32], kind[16];
	uint64_t size;
	char uuid[64];
};

static void cleanup_probe(blkid_probe *pr)
{
	blkid_free_probe(*pr);
}

/* ---- attributes ---- */

static const char *attribute(struct gather *g, const struct disk *d,
	const char *name, char *buf, size_t size)
{
	char path[sizeof(d->sys) + 64];

	(void)snprintf(path, sizeof(path), "%s/%s", d->sys, name);
	return gather_line(g, path, buf, size);
}

static bool number(
	struct gather *g, const struct disk *d, const char *name, uint64_t *ret)
{
	char text[32];

	return parse_u64(attribute(g, d, name, text, sizeof(text)), ret) == 0;
}

static void set_text(struct gather *g, struct disk *d, json_t *object,
	const char *key, const char *name)
{
	char text[TEXT];

	gather_set(g, object, key, attribute(g, d, name, text, sizeof(text)));
}

static void set_number(struct gather *g, struct disk *d, json_t *object,
	const char *key, const char *name)
{
	uint64_t v;

	if (number(g, d, name, &v))
		gather_set_number(g, object, key, v);
}

static void set_bool(struct gather *g, struct disk *d, json_t *object,
	const char *key, const char *name)
{
	uint64_t v;

	if (number(g, d, name, &v))
		gather_set_bool(g, object, key, v != 0);
}

static void add_name(
	struct gather *g, const char *path, const char *name, void *arg)
{
	gather_add(g, arg, gather_string(g, name, strlen(name)));
}

/* The names in a folder of the device, as a list. */
static json_t *names_in(
	struct gather *g, const struct disk *d, const char *folder)
{
	char path[sizeof(d->sys) + 64];
	json_t *list = gather_list(g);

	(void)snprintf(path, sizeof(path), "%s/%s", d->sys, folder);
	gather_each(g, path, add_name, list);
	return list;
}

/* Where the link of a device leads: "../../devices/…/block/sda/sda1". */
static bool read_path(
	struct gather *g, const char *link, char *buf, size_t size)
{
	CLEANUP_CLOSE int fd = gather_open(g, link, O_PATH | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", buf, size);

	if (n <= 0 || (size_t)n >= size)
		return false;
	buf[n] = '\0';
	return true;
}

/* ---- kinds ---- */

/* The names of a volume as LVM writes them in one: '-' doubled, then a single
 * one between. Cuts the layer off that some have behind. */
static bool lvm_names(const char *name, char *vg, char *lv, size_t size)
{
	char *to[] = {vg, lv};

	for (size_t i = 0; i < ARRAY_LEN(to); i++) {
		size_t n = 0;

		for (; *name && (name[0] != '-' || name[1] == '-'); name++) {
			name += *name == '-';
			if (n + 1 < size)
				to[i][n++] = *name;
		}
		to[i][n] = '\0';
		if (n == 0)
			return false;
		name += *name == '-';
	}
	return true;
}

static void lvm_set(struct gather *g, struct disk *d, const char *name)
{
	char vg[256], lv[256];
	json_t *j;

	if (!lvm_names(name, vg, lv, sizeof(vg)))
		return;
	j = gather_object(g);
	gather_set(g, j, "vg", vg);
	gather_set(g, j, "lv", lv);
	gather_set_json(g, d->j, "lvm", j);
}

/* "CRYPT-LUKS2-32 digits-name" */
static void crypt_names(struct gather *g, struct disk *d, const char *uuid)
{
	json_t *j = gather_object(g);
	const char *kind = uuid + strlen("CRYPT-");
	const char *end = kind + strcspn(kind, "-");
	char type[32], text[64];

	for (size_t i = 0; i < sizeof(type); i++)
		type[i] = kind + i < end ? (char)(kind[i] | 0x20) : '\0';
	type[sizeof(type) - 1] = '\0';
	gather_set(g, j, "type", type);
	if (strncmp(type, "luks", 4) == 0 && *end &&
		strcspn(end + 1, "-") == 32) {
		end++;
		(void)snprintf(text, sizeof(text), "%.8s-%.4s-%.4s-%.4s-%.12s",
			end, end + 8, end + 12, end + 16, end + 20);
		gather_set(g, j, "uuid", text);
	}
	gather_set_json(g, d->j, "crypt", j);
}

static const char *dm_kind(struct gather *g, struct disk *d)
{
	char uuid[256], name[256], path[300];

	(void)attribute(g, d, "dm/uuid", uuid, sizeof(uuid));
	(void)attribute(g, d, "dm/name", name, sizeof(name));
	if (name[0]) {
		(void)snprintf(path, sizeof(path), "/dev/mapper/%s", name);
		gather_set(g, d->j, "path", path);
	}
	if (strncmp(uuid, "LVM-", 4) == 0) {
		lvm_set(g, d, name);
		return "lvm";
	}
	if (strncmp(uuid, "CRYPT-", 6) == 0) {
		crypt_names(g, d, uuid);
		return "crypt";
	}
	return strncmp(uuid, "mpath-", 6) == 0 ? "mpath" : "dm";
}

static void md(struct gather *g, struct disk *d)
{
	json_t *j = gather_object(g);

	set_text(g, d, j, "level", "md/level");
	set_number(g, d, j, "devices", "md/raid_disks");
	set_text(g, d, j, "state", "md/array_state");
	set_text(g, d, j, "uuid", "md/uuid");
	set_number(g, d, j, "degraded", "md/degraded");
	set_text(g, d, j, "metadata", "md/metadata_version");
	set_text(g, d, j, "action", "md/sync_action");
	gather_set_json(g, d->j, "md", j);
}

static bool begins(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

static const char *kind_of(struct gather *g, struct disk *d)
{
	static const char *const disks[] = {
		"sd", "vd", "xvd", "hd", "nvme", "mmcblk", "dasd", "pmem"};
	char text[64];
	uint64_t v;

	if (number(g, d, "partition", &v))
		return "part";
	if (begins(d->name, "dm-"))
		return dm_kind(g, d);
	if (attribute(g, d, "md/array_state", text, sizeof(text))[0]) {
		md(g, d);
		return "md";
	}
	if (begins(d->name, "loop")) {
		set_text(g, d, d->j, "backing", "loop/backing_file");
		return "loop";
	}
	if (begins(d->name, "sr"))
		return "rom";
	if (begins(d->name, "zram"))
		return "zram";
	/* The boot areas of an eMMC belong to its firmware. */
	if (begins(d->name, "mmcblk") &&
		(strstr(d->name, "boot") || strstr(d->name, "rpmb")))
		return "other";
	for (size_t i = 0; i < ARRAY_LEN(disks); i++)
		if (begins(d->name, disks[i]))
			return "disk";
	return "other";
}

/* ---- what it hangs on ---- */

static bool is_device(struct gather *g, const char *address)
{
	json_t *list = json_object_get(g->top, "devices"), *j;
	size_t i;

	json_array_foreach(list, i, j) if (strcmp(facts_text(j, "address"),
						   address) == 0) return true;
	return false;
}

static void driver_path(struct gather *g, struct disk *d, const char *path)
{
	char copy[PATH_MAX], link[64 + NAME_MAX], *at = copy, *name;
	json_t *list = gather_list(g);

	(void)snprintf(copy, sizeof(copy), "%s", path);
	while ((name = strsep(&at, "/")))
		if (is_device(g, name))
			gather_add(
				g, list, gather_string(g, name, strlen(name)));
	/* NVMe with several paths hangs on none; its controller does. */
	if (json_array_size(list) == 0 && begins(d->name, "nvme")) {
		(void)snprintf(link, sizeof(link), "sys/class/nvme/nvme%.*s",
			(int)strspn(d->name + 4, "0123456789"), d->name + 4);
		at = read_path(g, link, copy, sizeof(copy)) ? copy : NULL;
		while ((name = strsep(&at, "/")))
			if (is_device(g, name))
				gather_add(g, list,
					gather_string(g, name, strlen(name)));
	}
	if (json_array_size(list) > 0)
		gather_set_json(g, d->j, "driver_path", list);
	else
		json_decref(list);
}

/* The folder of a partition lies in its disk's. */
static void parents(struct gather *g, struct disk *d, char *path)
{
	json_t *list;
	char *last, *disk;

	if (strcmp(d->kind, "part") != 0) {
		list = names_in(g, d, "slaves");
	} else {
		list = gather_list(g);
		last = strrchr(path, '/');
		if (last)
			*last = '\0';
		disk = last ? strrchr(path, '/') : NULL;
		if (disk)
			gather_add(g, list,
				gather_string(g, disk + 1, strlen(disk + 1)));
	}
	gather_set_json(g, d->j, "parents", list);
	gather_set_json(g, d->j, "holders", names_in(g, d, "holders"));
}

/* ---- what is in it ---- */

/* Whether a disk, or the one that a partition is on, has lost its way to the
 * medium. */
static bool is_gone(struct gather *g, const char *name)
{
	static const char *const files[] = {"device/state", "../device/state"};
	char path[64 + NAME_MAX], text[64];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		(void)snprintf(
			path, sizeof(path), BLOCK "/%s/%s", name, files[i]);
		(void)gather_line(g, path, text, sizeof(text));
		if (text[0])
			return strcmp(text, "running") != 0 &&
			       strcmp(text, "live") != 0;
	}
	return false;
}

/* What would hang, or fail after long: paths that are gone, what lies on
 * nothing but such, and what is suspended. */
static bool is_dead(struct gather *g, struct disk *d)
{
	json_t *list = json_object_get(d->j, "parents"), *j;
	size_t i, gone = 0;
	uint64_t v;

	json_array_foreach(list, i, j) gone += is_gone(g, json_string_value(j));
	return is_gone(g, d->name) || (i > 0 && gone == i) ||
	       (number(g, d, "dm/suspended", &v) && v != 0);
}

/* Only a running kernel has devices. */
static int open_disk(struct gather *g, struct disk *d)
{
	CLEANUP_CLOSE int fd = -1;
	char path[64 + NAME_MAX], self[64];
	struct stat st;
	dev_t dev;
	int r;

	/* A drive may try for long to read a disc that is not there. */
	if (!g->live || d->size == 0 || strcmp(d->kind, "rom") == 0 ||
		begins(d->name, "fd"))
		return -ENOENT;
	if (is_dead(g, d)) {
		gather_missing(g, d->name, "the device does not answer");
		return -EIO;
	}
	/* Whatever is read of it, until the next one. */
	if (!gather_step(g, d->name, 0))
		return -ETIMEDOUT;
	(void)snprintf(path, sizeof(path), "/dev/%s", d->name);
	for (char *c = path; *c; c++)
		if (*c == '!')
			*c = '/';
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
	} else if (!S_ISBLK(st.st_mode) ||
		   mounts_parse_dev(d->number, &dev) < 0 || dev != st.st_rdev) {
		r = -ENODEV;
	} else {
		(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
		r = open(self, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		r = r < 0 ? -errno : r;
	}
	if (r < 0)
		gather_missing(g, d->name, "open %s: %s", path, strerror(-r));
	return r;
}

static json_t *partition(struct gather *g, const struct table_part *p)
{
	json_t *j = gather_object(g);
	char flags[32];

	gather_set_number(g, j, "number", p->number);
	gather_set_number(g, j, "start", p->start);
	gather_set_number(g, j, "size", p->size);
	gather_set(g, j, "type", p->type);
	gather_set(g, j, "name", p->name);
	gather_set(g, j, "uuid", p->uuid);
	(void)snprintf(
		flags, sizeof(flags), "0x%llx", (unsigned long long)p->flags);
	if (p->flags)
		gather_set(g, j, "flags", flags);
	return j;
}

static void set_table(struct gather *g, struct disk *d, const struct table *t)
{
	static const char *const codes[] = {"none", "grub", "other"};
	json_t *j, *list;

	gather_set(g, d->j, "boot_code", codes[t->code]);
	if (t->kind == TABLE_NONE && !t->error)
		return;
	j = gather_object(g);
	if (t->kind != TABLE_NONE)
		gather_set(g, j, "kind", t->kind == TABLE_GPT ? "gpt" : "dos");
	gather_set(g, j, "id", t->id);
	gather_set(g, j, "error", t->error ? t->error : "");
	list = gather_list(g);
	for (uint32_t i = 0; i < t->n; i++)
		gather_add(g, list, partition(g, &t->parts[i]));
	gather_set_json(g, j, "partitions", list);
	gather_set_json(g, d->j, "table", j);
	(void)snprintf(d->uuid, sizeof(d->uuid), "%s", t->id);
}

/* Whether it could be told if there is one. */
static bool read_table(struct gather *g, struct disk *d, int fd, bool *ret)
{
	CLEANUP_FREE struct table *t = malloc(sizeof(*t));
	uint64_t sector = 512;
	int r;

	if (!t) {
		g->oom = true;
		return false;
	}
	(void)number(g, d, "queue/logical_block_size", &sector);
	r = table_read(table_read_fd, &fd, d->size,
		(uint32_t)MIN(sector, 1U << 20), t);
	if (r < 0)
		gather_missing(g, d->name, "read its partition table: %s",
			strerror(-r));
	else
		set_table(g, d, t);
	*ret = r == 0 && t->kind != TABLE_NONE;
	return r == 0;
}

/* Whether it could be told what is on it, nothing included. */
static bool read_content(struct gather *g, struct disk *d, int fd)
{
	static const struct {
		const char *name, *key;
	} keys[] = {{"TYPE", "type"}, {"UUID", "uuid"}, {"LABEL", "label"},
		{"VERSION", "version"}};
	CLEANUP(cleanup_probe) blkid_probe pr = blkid_new_probe();
	json_t *j;
	int r;

	if (!pr || blkid_probe_set_device(pr, fd, 0, 0) < 0) {
		gather_missing(g, d->name, "its content cannot be read");
		return false;
	}
	(void)blkid_probe_enable_superblocks(pr, 1);
	(void)blkid_probe_set_superblocks_flags(
		pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_UUID | BLKID_SUBLKS_LABEL |
			    BLKID_SUBLKS_VERSION);
	r = blkid_do_safeprobe(pr);
	if (r == 1)
		return true;
	j = gather_object(g);
	if (r == -2)
		gather_set(g, j, "type", "ambiguous");
	else if (r < 0)
		gather_missing(g, d->name, "its content cannot be read");
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(keys); i++) {
		const char *text;

		if (blkid_probe_lookup_value(pr, keys[i].name, &text, NULL) < 0)
			continue;
		gather_set(g, j, keys[i].key, text);
		if (strcmp(keys[i].name, "UUID") == 0)
			(void)snprintf(d->uuid, sizeof(d->uuid), "%s", text);
	}
	if (json_object_size(j) > 0)
		gather_set_json(g, d->j, "content", j);
	else
		json_decref(j);
	return r == 0 || r == -2;
}

/* What could not be read must not be taken for empty. */
static void contents(struct gather *g, struct disk *d)
{
	CLEANUP_CLOSE int fd = open_disk(g, d);
	bool whole = strcmp(d->kind, "part") != 0 &&
		     strcmp(d->kind, "lvm") != 0 &&
		     strcmp(d->kind, "crypt") != 0;

	bool table = false, known = fd >= 0;

	if (known && whole)
		known = read_table(g, d, fd, &table);
	if (known && !table)
		known = read_content(g, d, fd);
	if (!known && g->live)
		gather_set_bool(g, d->j, "unreadable", true);
}

/* ---- names ---- */

static void identity(struct gather *g, struct disk *d)
{
	CLEANUP_FREE struct volume_facts *f = NULL;
	CLEANUP_CLOSE int sys = -1;
	char text[TEXT];

	if (!g->live) {
		set_text(g, d, d->j, "serial", "serial");
		set_text(g, d, d->j, "wwn", "wwid");
		return;
	}
	f = calloc(1, sizeof(*f));
	if (!f) {
		g->oom = true;
		return;
	}
	sys = gather_open(g, d->sys, O_RDONLY | O_DIRECTORY);
	if (sys >= 0)
		probe_names(sys, f);
	f->size = d->size;
	(void)snprintf(f->uuid, sizeof(f->uuid), "%s", d->uuid);
	gather_set(g, d->j, "serial", f->serial);
	gather_set(g, d->j, "wwn", f->wwn);
	gather_set(g, d->j, "id", probe_identity(f, text, sizeof(text)));
}

static void model(struct gather *g, struct disk *d)
{
	char text[TEXT];

	set_text(g, d, d->j, "model", "device/model");
	(void)attribute(g, d, "device/vendor", text, sizeof(text));
	/* On other buses than SCSI it is a number. */
	if (!begins(text, "0x"))
		gather_set(g, d->j, "vendor", text);
}

/* ---- all of a device ---- */

static void basics(struct gather *g, struct disk *d)
{
	bool part = strcmp(d->kind, "part") == 0;
	const char *queue = part ? "../queue" : "queue";
	char path[64];

	gather_set_number(g, d->j, "size", d->size);
	set_bool(g, d, d->j, "readonly", "ro");
	set_bool(g, d, d->j, "removable", part ? "../removable" : "removable");
	(void)snprintf(path, sizeof(path), "%s/rotational", queue);
	set_bool(g, d, d->j, "rotational", path);
	(void)snprintf(path, sizeof(path), "%s/logical_block_size", queue);
	set_number(g, d, d->j, "logical", path);
	(void)snprintf(path, sizeof(path), "%s/physical_block_size", queue);
	set_number(g, d, d->j, "physical", path);
}

/* What the kernel says of a partition, and what its disk's table does. */
static void part(struct gather *g, struct disk *d)
{
	const json_t *list = json_object_get(d->j, "parents");
	json_t *disk =
		disks_by_name(g, json_string_value(json_array_get(list, 0)));
	json_t *j, *p = NULL;
	uint64_t n, start;
	size_t i;

	if (!number(g, d, "partition", &n))
		return;
	list = facts_at(disk, "table.partitions");
	json_array_foreach(list, i,
		j) if (json_integer_value(json_object_get(j, "number")) ==
		       (json_int_t)n) p = json_copy(j);
	if (!p)
		p = gather_object(g);
	gather_set_number(g, p, "number", n);
	if (number(g, d, "start", &start) && start <= INT64_MAX / 512)
		gather_set_number(g, p, "start", start * 512);
	if (p)
		(void)json_object_del(p, "size");
	gather_set_json(g, d->j, "part", p);
}

static bool is_wanted(struct gather *g, const struct disk *d)
{
	static const char *const unused[] = {
		"loop", "nbd", "zram", "fd", "dm-", "md", "mtd"};
	uint64_t hidden = 0;

	if (begins(d->name, "ram"))
		return false;
	/* Drivers make such before anyone wants them. */
	for (size_t i = 0; d->size == 0 && i < ARRAY_LEN(unused); i++)
		if (begins(d->name, unused[i]))
			return false;
	/* One of several ways to an NVMe namespace, which has a disk of its
	 * own. */
	return !number(g, d, "hidden", &hidden) || hidden == 0;
}

static void add_disk(
	struct gather *g, const char *folder, const char *name, void *arg)
{
	struct disk d = {.name = name};
	char path[PATH_MAX] = "";
	uint64_t sectors = 0;

	(void)snprintf(d.sys, sizeof(d.sys), "%s/%s", folder, name);
	(void)number(g, &d, "size", &sectors);
	d.size = MIN(sectors, (uint64_t)INT64_MAX / 512) * 512;
	if (!is_wanted(g, &d))
		return;
	d.j = gather_object(g);
	(void)attribute(g, &d, "dev", d.number, sizeof(d.number));
	(void)read_path(g, d.sys, path, sizeof(path));
	gather_set(g, d.j, "name", name);
	(void)snprintf(d.kind, sizeof(d.kind), "%s", kind_of(g, &d));
	if (d.j && !json_object_get(d.j, "path")) {
		char node[NAME_MAX + 8];

		(void)snprintf(node, sizeof(node), "/dev/%s", name);
		for (char *c = node; *c; c++)
			if (*c == '!')
				*c = '/';
		gather_set(g, d.j, "path", node);
	}
	gather_set(g, d.j, "number", d.number);
	gather_set(g, d.j, "kind", d.kind);
	basics(g, &d);
	if (strcmp(d.kind, "disk") == 0)
		driver_path(g, &d, path);
	parents(g, &d, path);
	if (strcmp(d.kind, "part") == 0)
		part(g, &d);
	contents(g, &d);
	identity(g, &d);
	model(g, &d);
	gather_add(g, json_object_get(g->top, "disks"), d.j);
}

/* Older kernels do not tell an array's UUID; its members do. */
static void complete_md(struct gather *g)
{
	json_t *list = json_object_get(g->top, "disks"), *j;
	size_t i;

	json_array_foreach(list, i, j)
	{
		json_t *array = json_object_get(j, "md");
		const char *member = json_string_value(
			json_array_get(json_object_get(j, "parents"), 0));

		if (!array || json_object_get(array, "uuid") || !member)
			continue;
		gather_set(g, array, "uuid",
			facts_text(disks_by_name(g, member), "content.uuid"));
	}
}

/* The kernel knows tables that table.c does not: a disk with partitions is not
 * empty. */
static void foreign_tables(struct gather *g)
{
	json_t *list = json_object_get(g->top, "disks"), *j;
	size_t i;

	json_array_foreach(list, i, j)
	{
		json_t *disk = disks_by_name(
			g, json_string_value(json_array_get(
				   json_object_get(j, "parents"), 0)));
		json_t *table;

		if (strcmp(facts_text(j, "kind"), "part") != 0 || !disk ||
			json_object_get(disk, "table"))
			continue;
		table = gather_object(g);
		gather_set(g, table, "error",
			"it is of a kind that is not "
			"known");
		gather_set_json(g, disk, "table", table);
	}
}

void gather_disks(struct gather *g)
{
	gather_set_json(g, g->top, "disks", gather_list(g));
	gather_each(g, BLOCK, add_disk, NULL);
	complete_md(g);
	foreign_tables(g);
}

/* ---- finding ---- */

static json_t *find(struct gather *g, const char *path, const char *value)
{
	json_t *list = json_object_get(g->top, "disks"), *j;
	size_t i;

	if (!value || !value[0])
		return NULL;
	json_array_foreach(list, i,
		j) if (strcmp(facts_text(j, path), value) == 0) return j;
	return NULL;
}

json_t *disks_by_number(struct gather *g, const char *device)
{
	return find(g, "number", device);
}

json_t *disks_by_name(struct gather *g, const char *name)
{
	return find(g, "name", name);
}

/* Members of an array carry the same UUID as others of it: that is not what a
 * filesystem is found by. */
static json_t *find_filesystem(
	struct gather *g, const char *path, const char *value)
{
	json_t *list = json_object_get(g->top, "disks"), *j;
	size_t i;

	if (!value[0])
		return NULL;
	json_array_foreach(list, i, j)
	{
		const char *type = facts_text(j, "content.type");

		if (strcasecmp(facts_text(j, path), value) == 0 &&
			strcmp(type, "linux_raid_member") != 0)
			return j;
	}
	return NULL;
}

static json_t *find_part(struct gather *g, const char *path, const char *value)
{
	json_t *list = json_object_get(g->top, "disks"), *j;
	size_t i;

	if (!value[0])
		return NULL;
	json_array_foreach(list, i,
		j) if (strcasecmp(facts_text(j, path), value) == 0) return j;
	return NULL;
}

static json_t *find_lv(struct gather *g, const char *name)
{
	json_t *list = json_object_get(g->top, "disks"), *j;
	const char *slash = strchr(name, '/');
	size_t i;

	if (!slash)
		return NULL;
	json_array_foreach(list, i, j)
	{
		const char *vg = facts_text(j, "lvm.vg");

		if (vg[0] && strlen(vg) == (size_t)(slash - name) &&
			strncmp(vg, name, (size_t)(slash - name)) == 0 &&
			strcmp(facts_text(j, "lvm.lv"), slash + 1) == 0)
			return j;
	}
	return NULL;
}

static json_t *find_path(struct gather *g, const char *path)
{
	static const struct {
		const char *folder;
		json_t *(*find)(
			struct gather *g, const char *path, const char *value);
		const char *path;
	} folders[] = {{"/dev/disk/by-uuid/", find_filesystem, "content.uuid"},
		{"/dev/disk/by-label/", find_filesystem, "content.label"},
		{"/dev/disk/by-partuuid/", find_part, "part.uuid"},
		{"/dev/disk/by-partlabel/", find_part, "part.name"}};
	char name[NAME_MAX + 1];
	json_t *j = find(g, "path", path);

	for (size_t i = 0; !j && i < ARRAY_LEN(folders); i++)
		if (begins(path, folders[i].folder))
			j = folders[i].find(g, folders[i].path,
				path + strlen(folders[i].folder));
	if (!j)
		j = disks_by_name(g, path + strlen("/dev/"));
	if (!j)
		j = find_lv(g, path + strlen("/dev/"));
	if (!j)
		j = disks_by_name(g, gather_link(g, path, name, sizeof(name)));
	return j;
}

const char *disks_find(struct gather *g, const char *spec)
{
	static const struct {
		const char *tag;
		json_t *(*find)(
			struct gather *g, const char *path, const char *value);
		const char *path;
	} tags[] = {{"UUID=", find_filesystem, "content.uuid"},
		{"LABEL=", find_filesystem, "content.label"},
		{"PARTUUID=", find_part, "part.uuid"},
		{"PARTLABEL=", find_part, "part.name"}};
	json_t *j = NULL;

	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		char value[TEXT];
		size_t n;

		if (!begins(spec, tags[i].tag))
			continue;
		spec += strlen(tags[i].tag);
		spec += *spec == '"';
		n = strcspn(spec, "\"");
		(void)snprintf(value, sizeof(value), "%.*s",
			(int)MIN(n, sizeof(value) - 1), spec);
		j = tags[i].find(g, tags[i].path, value);
		return facts_text(j, "name");
	}
	if (begins(spec, "/dev/"))
		j = find_path(g, spec);
	return facts_text(j, "name");
}
