/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "base/io.h"
#include "base/parse.h"
#include "facts/disks.h"
#include "facts/fstab.h"
#include "facts/gather.h"
#include "facts/secrets.h"
#include "volume/mounts.h"

/* Machines with thousands of containers have long ones. */
#define MOUNTINFO_MAX (16U << 20)
#define FSTAB_MAX (4U << 20)

/* One line of mountinfo. */
struct mount {
	char *device, *root, *point, *options, *type, *source, *super;
};

static bool among(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, list[i]) == 0)
			return true;
	return false;
}

/* Sets text without the secrets in it. */
static void set_hidden(
	struct gather *g, json_t *j, const char *key, const char *text)
{
	CLEANUP_FREE char *copy = strdup(text);

	if (!copy) {
		g->oom = true;
		return;
	}
	secrets_hide(copy, ",");
	gather_set(g, j, key, copy);
}

/* ---- mounts ---- */

/* Splits it; false when it makes no sense. proc(5). */
static bool split(char *line, struct mount *ret)
{
	char *w;

	(void)strsep(&line, " ");
	(void)strsep(&line, " ");
	ret->device = strsep(&line, " ");
	ret->root = strsep(&line, " ");
	ret->point = strsep(&line, " ");
	ret->options = strsep(&line, " ");
	do {
		w = strsep(&line, " ");
	} while (w && strcmp(w, "-") != 0);
	ret->type = strsep(&line, " ");
	ret->source = strsep(&line, " ");
	ret->super = line;
	/* What is unescaped is never longer. */
	return line && mounts_unescape(ret->point, ret->point, PATH_MAX) == 0 &&
	       mounts_unescape(ret->root, ret->root, PATH_MAX) == 0 &&
	       mounts_unescape(ret->source, ret->source, PATH_MAX) == 0;
}

static bool is_network(const struct mount *m)
{
	static const char *const types[] = {"nfs", "nfs4", "cifs", "smb3",
		"ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "9p",
		"lustre", "ocfs2", "gfs2", "afs", "beegfs", "fuse.s3fs",
		"fuse.ceph"};

	return among(m->type, types, ARRAY_LEN(types));
}

static bool is_real(const struct mount *m)
{
	static const char *const without_device[] = {
		"btrfs", "zfs", "bcachefs", "ubifs", "virtiofs"};

	return strncmp(m->device, "0:", 2) != 0 || strcmp(m->point, "/") == 0 ||
	       among(m->type, without_device, ARRAY_LEN(without_device));
}

/* The disk that it lies on; btrfs has a number of its own, so that there the
 * source counts. NULL when it is not known. */
static json_t *disk_of(struct gather *g, const struct mount *m)
{
	json_t *disk = disks_by_number(g, m->device);

	return disk ? disk : disks_by_name(g, disks_find(g, m->source));
}

/* A value among comma-separated options, or NULL; cuts what follows. */
static char *option(char *options, const char *key)
{
	size_t n = strlen(key);
	char *w;

	while ((w = strsep(&options, ",")))
		if (strncmp(w, key, n) == 0)
			return w + n;
	return NULL;
}

static void add_device(
	struct gather *g, const char *path, const char *name, void *arg)
{
	gather_add(g, arg, gather_string(g, name, strlen(name)));
}

/* All devices of a btrfs (btrfs(5), sysfs). */
static json_t *devices(
	struct gather *g, const struct mount *m, const char *disk)
{
	json_t *list = gather_list(g);
	const char *uuid = facts_text(disks_by_name(g, disk), "content.uuid");
	char path[256];

	(void)snprintf(path, sizeof(path), "sys/fs/btrfs/%.64s/devices", uuid);
	if (strcmp(m->type, "btrfs") == 0 && uuid[0] && !strchr(uuid, '/'))
		gather_each(g, path, add_device, list);
	if (json_array_size(list) == 0 && disk[0])
		gather_add(g, list, gather_string(g, disk, strlen(disk)));
	return list;
}

static uint64_t times(uint64_t a, uint64_t b)
{
	uint64_t v;

	return __builtin_mul_overflow(a, b, &v) ? UINT64_MAX : v;
}

/* Whether the way to it leads through what somebody far away, or a program,
 * would have to answer for. remote has where such begin. */
static bool is_behind(const json_t *remote, const char *point)
{
	const json_t *j;
	size_t i;

	json_array_foreach(remote, i, j)
	{
		size_t n = json_string_length(j);

		if (strncmp(point, json_string_value(j), n) == 0 &&
			(point[n] == '/' || point[n] == '\0'))
			return true;
	}
	return false;
}

static void use(struct gather *g, const struct mount *m, json_t *j)
{
	CLEANUP_CLOSE int fd = -1;
	struct statvfs v;
	struct stat st;
	char device[32];

	if (!gather_step(g, m->point, 0))
		return;
	fd = open(m->point, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		gather_missing(g, m->point, "%s", strerror(errno));
		return;
	}
	/* Something else may be mounted over it. */
	(void)snprintf(device, sizeof(device), "%u:%u", major(st.st_dev),
		minor(st.st_dev));
	if (strncmp(m->device, "0:", 2) != 0 && strcmp(m->device, device) != 0)
		return;
	if (fstatvfs(fd, &v) < 0) {
		gather_missing(g, m->point, "%s", strerror(errno));
		return;
	}
	gather_set_number(g, j, "size", times(v.f_blocks, v.f_frsize));
	gather_set_number(g, j, "used",
		times(v.f_blocks - MIN(v.f_bfree, v.f_blocks), v.f_frsize));
	gather_set_number(g, j, "free", times(v.f_bavail, v.f_frsize));
	gather_set_number(g, j, "inodes", v.f_files);
	gather_set_number(
		g, j, "inodes_used", v.f_files - MIN(v.f_ffree, v.f_files));
}

static void add_mount(struct gather *g, struct mount *m, json_t *remote)
{
	json_t *j = gather_object(g);
	json_t *disk = disk_of(g, m);
	const char *name = facts_text(disk, "name");
	char options[4096], *subvolume;

	gather_set(g, j, "mount", m->point);
	set_hidden(g, j, "source", m->source);
	gather_set(g, j, "disk", name);
	gather_set(g, j, "type", m->type);
	(void)snprintf(options, sizeof(options), "%.2000s,%.2000s", m->options,
		m->super);
	set_hidden(g, j, "options", options);
	gather_set(g, j, "uuid", facts_text(disk, "content.uuid"));
	if (g->live && !is_behind(remote, m->point))
		use(g, m, j);
	if (is_network(m))
		gather_set_bool(g, j, "network", true);
	else if (name[0])
		gather_set_json(g, j, "devices", devices(g, m, name));
	subvolume = strcmp(m->type, "btrfs") == 0 ? option(m->super, "subvol=")
						  : NULL;
	if (subvolume)
		gather_set(
			g, j, "subvolume", subvolume + (subvolume[0] == '/'));
	else if (strcmp(m->root, "/") != 0)
		gather_set(g, j, "folder", m->root);
	gather_add(g, json_object_get(g->top, "filesystems"), j);
}

static void mounts(struct gather *g)
{
	CLEANUP_FREE char *text = NULL;
	json_t *remote = gather_list(g);
	char *at, *line;

	gather_set_json(g, g->top, "filesystems", gather_list(g));
	at = gather_read(g, "proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL) <
			     0
		     ? NULL
		     : text;
	while ((line = gather_next_line(&at))) {
		struct mount m;

		if (*line == '\0')
			continue;
		if (!split(line, &m)) {
			gather_missing(g, "proc/self/mountinfo",
				"a line makes no sense");
			continue;
		}
		if (is_network(&m) || strncmp(m.type, "fuse", 4) == 0)
			gather_add(g, remote, json_string_nocheck(m.point));
		if (is_real(&m) || is_network(&m))
			add_mount(g, &m, remote);
	}
	json_decref(remote);
}

/* ---- swap ---- */

/* The path of a swap may be another name of its device. */
static const char *swap_disk(struct gather *g, const char *path)
{
	const char *name = disks_find(g, path);
	char number[32];
	struct stat st;

	if (name[0] || !g->live || !gather_step(g, path, 0) ||
		stat(path, &st) < 0 || !S_ISBLK(st.st_mode))
		return name;
	(void)snprintf(number, sizeof(number), "%u:%u", major(st.st_rdev),
		minor(st.st_rdev));
	return facts_text(disks_by_number(g, number), "name");
}

static void add_swap(struct gather *g, char *line)
{
	json_t *j;
	char *path = gather_next_word(&line), *type = gather_next_word(&line);
	char *size = gather_next_word(&line), *used = gather_next_word(&line);
	uint64_t n, k;
	const char *disk;

	if (!used || mounts_unescape(path, path, PATH_MAX) < 0 ||
		parse_u64(size, &n) < 0 || parse_u64(used, &k) < 0)
		return;
	j = gather_object(g);
	disk = swap_disk(g, path);
	gather_set(g, j, "path", path);
	gather_set(g, j, "disk", disk);
	gather_set_number(g, j, "size", times(n, 1024));
	gather_set_number(g, j, "used", times(k, 1024));
	gather_set(g, j, "kind", strncmp(disk, "zram", 4) == 0 ? "zram" : type);
	gather_add(g, json_object_get(g->top, "swap"), j);
}

static void swaps(struct gather *g)
{
	CLEANUP_FREE char *text = NULL;
	char *at, *line;

	gather_set_json(g, g->top, "swap", gather_list(g));
	if (gather_read(g, "proc/swaps", GATHER_TEXT_MAX, &text, NULL) < 0)
		return;
	at = text;
	(void)gather_next_line(&at);
	while ((line = gather_next_line(&at)))
		add_swap(g, line);
}

/* ---- what is to be mounted ---- */

static void complain(
	struct gather *g, const char *path, const struct fstab_reader *r)
{
	if (r->unreadable > 0)
		gather_missing(g, path,
			"%u lines make no sense or are longer than %d bytes, "
			"the first is line %u",
			r->unreadable, FSTAB_LINE_MAX, r->first_unreadable);
}

static void fstab(struct gather *g)
{
	static const char path[] = "etc/fstab";
	CLEANUP_FREE char *text = NULL;
	json_t *list = gather_list(g);
	struct fstab_reader r;
	struct fstab_entry e;

	gather_set_json(g, g->top, "fstab", list);
	if (gather_read(g, path, FSTAB_MAX, &text, NULL) < 0)
		return;
	fstab_begin(&r, text);
	while (json_array_size(list) < GATHER_LIST_MAX && fstab_next(&r, &e)) {
		json_t *j = gather_object(g);

		gather_set_number(g, j, "line", r.line);
		set_hidden(g, j, "spec", e.spec);
		gather_set(g, j, "mount", e.mount);
		gather_set(g, j, "type", e.type);
		set_hidden(g, j, "options", e.options);
		gather_set_number(g, j, "pass", e.pass);
		gather_set(g, j, "names", fstab_names(e.spec));
		gather_set(g, j, "disk", disks_find(g, e.spec));
		gather_add(g, list, j);
	}
	complain(g, path, &r);
}

static void crypttab(struct gather *g)
{
	static const char path[] = "etc/crypttab";
	CLEANUP_FREE char *text = NULL;
	json_t *list = gather_list(g);
	struct fstab_reader r;
	struct fstab_crypt e;

	gather_set_json(g, g->top, "crypttab", list);
	if (gather_read(g, path, FSTAB_MAX, &text, NULL) < 0)
		return;
	fstab_begin(&r, text);
	while (json_array_size(list) < GATHER_LIST_MAX &&
		fstab_next_crypt(&r, &e)) {
		json_t *j = gather_object(g);

		gather_set_number(g, j, "line", r.line);
		gather_set(g, j, "name", e.name);
		gather_set(g, j, "device", e.device);
		gather_set(g, j, "key",
			secrets_is_key(e.key) ? SECRETS_MARK : e.key);
		set_hidden(g, j, "options", e.options);
		gather_set(g, j, "names", fstab_names(e.device));
		gather_set(g, j, "disk", disks_find(g, e.device));
		gather_add(g, list, j);
	}
	complain(g, path, &r);
}

void gather_filesystems(struct gather *g)
{
	mounts(g);
	swaps(g);
	fstab(g);
	crypttab(g);
}
