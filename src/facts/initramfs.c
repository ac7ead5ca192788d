/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "facts/disks.h"
#include "facts/gather.h"
#include "facts/unpack.h"

#define ORDER_MAX (8U << 20)
#define KERNELS_MAX 128

struct listing {
	struct gather *g;
	json_t *modules, *programs;
	const char *kind;
};

/* ---- names of modules ---- */

/* "kernel/fs/ext4/ext4.ko.xz" is "ext4"; false when it is no module. The kernel
 * takes '-' for '_'. */
static bool module_name(const char *path, size_t n, char *buf, size_t size)
{
	static const char *const ends[] = {
		".ko", ".ko.xz", ".ko.zst", ".ko.gz"};
	const char *slash = memrchr(path, '/', n);
	const char *name = slash ? slash + 1 : path;
	size_t k = n - (size_t)(name - path);

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		size_t e = strlen(ends[i]);

		if (k <= e || k - e >= size ||
			memcmp(name + k - e, ends[i], e) != 0)
			continue;
		for (size_t c = 0; c < k - e; c++)
			buf[c] = name[c] == '-' ? '_' : name[c];
		buf[k - e] = '\0';
		return true;
	}
	return false;
}

static bool begins(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

/* Who made it, by what it puts in. */
static const char *kind_of(const char *name)
{
	static const struct {
		const char *begins, *kind;
	} marks[] = {{"scripts/functions", "initramfs-tools"},
		{"conf/initramfs.conf", "initramfs-tools"},
		{"usr/lib/dracut/", "dracut"}, {"lib/dracut/", "dracut"},
		{"usr/bin/dracut-", "dracut"}, {"init_functions", "mkinitcpio"},
		{"etc/initramfs-release", "mkinitfs"}};

	for (size_t i = 0; i < ARRAY_LEN(marks); i++)
		if (begins(name, marks[i].begins))
			return marks[i].kind;
	return NULL;
}

/* What must be in it for a root that is more than a filesystem on a disk. */
static const char *program_of(const char *name, size_t n)
{
	static const char *const programs[] = {"lvm", "mdadm", "cryptsetup",
		"systemd-cryptsetup", "btrfs", "zpool", "multipathd",
		"iscsistart", "mount.nfs", "systemd"};
	const char *slash = memrchr(name, '/', n);

	for (size_t i = 0; slash && i < ARRAY_LEN(programs); i++)
		if (strcmp(slash + 1, programs[i]) == 0 &&
			(memmem(name, n, "bin/", 4) ||
				memmem(name, n, "lib/systemd/", 12)))
			return programs[i];
	return NULL;
}

static void add_program(struct listing *l, const char *name)
{
	json_t *j;
	size_t i;

	json_array_foreach(l->programs, i,
		j) if (strcmp(json_string_value(j), name) == 0) return;
	gather_add(l->g, l->programs, json_string(name));
}

static void take_name(void *arg, const char *name, size_t n)
{
	struct listing *l = arg;
	char module[256];
	const char *program;

	if (!l->kind)
		l->kind = kind_of(name);
	if (module_name(name, n, module, sizeof(module))) {
		gather_add(l->g, l->modules,
			gather_string(l->g, module, strlen(module)));
		return;
	}
	program = program_of(name, n);
	if (program)
		add_program(l, program);
}

/* ---- one kernel ---- */

static void read_initramfs(struct gather *g, json_t *k)
{
	const char *path = facts_text(k, "initramfs");
	CLEANUP_CLOSE int fd =
		path[0] ? gather_open(g, path, O_RDONLY) : -ENOENT;
	struct listing l = {.g = g};
	const char *compression, *why;
	int r;

	if (fd < 0) {
		if (path[0])
			gather_missing(g, path, "%s", strerror(-fd));
		return;
	}
	(void)gather_step(g, path, UNPACK_MS_MAX);
	l.modules = gather_list(g);
	l.programs = gather_list(g);
	r = unpack_names(fd, take_name, &l, &compression, &why);
	if (r == -ENOMEM)
		g->oom = true;
	gather_set(g, k, "initramfs_compression", compression);
	if (r < 0) {
		/* Half a list would name as missing what is there. */
		gather_missing(g, path, "%s (%s)", why ? why : strerror(-r),
			compression);
		json_decref(l.modules);
		json_decref(l.programs);
		return;
	}
	gather_set_json(g, k, "initramfs_modules", l.modules);
	gather_set_json(g, k, "initramfs_programs", l.programs);
	gather_set(g, k, "initramfs_kind", l.kind ? l.kind : "other");
}

static void read_modules(struct gather *g, json_t *k, const char *release)
{
	CLEANUP_FREE char *builtin = NULL;
	CLEANUP_FREE char *order = NULL;
	char path[PATH_MAX], name[256], *at, *line;
	json_t *list;
	uint64_t n = 0;

	(void)snprintf(
		path, sizeof(path), "lib/modules/%s/modules.builtin", release);
	if (gather_read(g, path, ORDER_MAX, &builtin, NULL) == 0) {
		list = gather_list(g);
		at = builtin;
		while ((line = gather_next_line(&at)))
			if (module_name(line, strlen(line), name, sizeof(name)))
				gather_add(g, list,
					gather_string(g, name, strlen(name)));
		gather_set_json(g, k, "builtin", list);
	}
	(void)snprintf(
		path, sizeof(path), "lib/modules/%s/modules.order", release);
	if (gather_read(g, path, ORDER_MAX, &order, NULL) < 0)
		return;
	for (at = order; (at = strchr(at, '\n')); at++)
		n++;
	gather_set_number(g, k, "modules", n);
}

/* A kernel tells its release itself: Documentation/arch/x86/boot.rst, "HdrS"
 * and kernel_version. */
static void release_within(
	struct gather *g, const char *path, char *buf, size_t size)
{
	CLEANUP_CLOSE int fd = gather_open(g, path, O_RDONLY);
	uint8_t head[0x210];
	char text[128];
	uint64_t at;
	ssize_t n;

	buf[0] = '\0';
	if (fd < 0 || io_pread_all(fd, head, sizeof(head), 0) !=
			      (ssize_t)sizeof(head))
		return;
	at = (uint64_t)(head[0x20e] | head[0x20f] << 8);
	if (memcmp(head + 0x202, "HdrS", 4) != 0 || at == 0)
		return;
	n = io_pread_all(fd, text, sizeof(text) - 1, at + 0x200);
	if (n <= 0)
		return;
	text[n] = '\0';
	text[strcspn(text, " \n")] = '\0';
	(void)snprintf(buf, size, "%s", text);
}

/* As the boot loader has it, or by the names that distributions use. */
static void find_initramfs(
	struct gather *g, json_t *k, const char *kernel, const char *release)
{
	static const char *const names[] = {"initrd.img-%s", "initramfs-%s.img",
		"initrd-%s", "initrd-%s.img", "initramfs-%s"};
	const json_t *list = facts_at(g->top, "boot.entries"), *j;
	size_t i;

	json_array_foreach(list, i, j)
	{
		if (strcmp(facts_text(j, "kernel"), kernel) != 0 ||
			!facts_text(j, "initramfs")[0])
			continue;
		gather_set(g, k, "initramfs", facts_text(j, "initramfs"));
		return;
	}
	for (i = 0; i < ARRAY_LEN(names); i++) {
		const char *mark = strstr(names[i], "%s");
		char path[PATH_MAX];

		(void)snprintf(path, sizeof(path), "/boot/%.*s%s%s",
			(int)(mark - names[i]), names[i], release, mark + 2);
		if (!gather_exists(g, path, O_PATH))
			continue;
		gather_set(g, k, "initramfs", path);
		return;
	}
}

static void add_kernel(struct gather *g, const char *path, const char *guess)
{
	json_t *list = json_object_get(g->top, "kernels"), *j, *k;
	json_t *boot = json_object_get(g->top, "boot");
	const char *running = facts_text(g->top, "system.kernel.release");
	char release[256], folder[PATH_MAX];
	size_t i;

	json_array_foreach(list, i,
		j) if (strcmp(facts_text(j, "kernel"), path) == 0) return;
	if (json_array_size(list) >= KERNELS_MAX)
		return;
	(void)snprintf(release, sizeof(release), "%s", guess);
	(void)snprintf(folder, sizeof(folder), "lib/modules/%s", release);
	if (!release[0] || !gather_exists(g, folder, O_PATH)) {
		release_within(g, path, release, sizeof(release));
		if (!release[0] || strchr(release, '/'))
			(void)snprintf(release, sizeof(release), "%s", guess);
	}
	k = gather_object(g);
	gather_set(g, k, "release", release);
	gather_set(g, k, "kernel", path);
	gather_set_bool(
		g, k, "running", release[0] && strcmp(release, running) == 0);
	gather_set_bool(g, k, "default",
		strcmp(facts_text(boot, "default.kernel"), path) == 0);
	find_initramfs(g, k, path, guess);
	gather_add(g, list, k);
}

static void in_boot(
	struct gather *g, const char *path, const char *name, void *arg)
{
	static const char *const prefixes[] = {
		"vmlinuz-", "vmlinux-", "kernel-", "bzImage-", "Image-"};
	char file[PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		if (!begins(name, prefixes[i]))
			continue;
		(void)snprintf(file, sizeof(file), "/boot/%s", name);
		add_kernel(g, file, name + strlen(prefixes[i]));
		return;
	}
}

/* Reading an initramfs costs more than all else: only the one is read that
 * boots next. */
static void read_kernels(struct gather *g)
{
	json_t *list = json_object_get(g->top, "kernels"), *k;
	const json_t *next = facts_kernel(g->top);
	size_t i;

	json_array_foreach(list, i, k)
	{
		const char *release = facts_text(k, "release");

		if ((k == next ||
			    json_is_true(json_object_get(k, "running"))) &&
			release[0] && !strchr(release, '/'))
			read_modules(g, k, release);
		if (k == next)
			read_initramfs(g, k);
	}
}

void gather_initramfs(struct gather *g)
{
	json_t *boot, *list, *j;
	size_t i;

	gather_set_json(g, g->top, "kernels", gather_list(g));
	gather_each(g, "boot", in_boot, NULL);
	/* Those with other names, or elsewhere. */
	boot = json_object_get(g->top, "boot");
	list = json_object_get(boot, "entries");
	json_array_foreach(list, i, j)
	{
		const char *kernel = facts_text(j, "kernel");

		if (kernel[0] && gather_exists(g, kernel, O_PATH))
			add_kernel(g, kernel, "");
	}
	read_kernels(g);
}
