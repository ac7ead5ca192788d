/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/parse.h"
#include "facts/disks.h"
#include "facts/gather.h"
#include "facts/grubcfg.h"
#include "facts/secrets.h"

#define CONFIG_MAX (1U << 20)
#define ENTRIES_MAX 50
#define BLS_MAX 64
#define ESP_FILES_MAX 64
#define COMMAND_MAX 4096
#define ESP_TYPE "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
#define LOADER_INFO                                                            \
	"sys/firmware/efi/efivars/"                                            \
	"LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

/* A configuration and the texts that its items point into. */
struct config {
	const char *loader;
	char path[PATH_MAX];
	char *text, *env;
	char *bls[BLS_MAX];
	char *bls_id[BLS_MAX];
	int n_bls;
	struct grubcfg c;
	char preset[256];
};

static void cleanup_config(struct config *f)
{
	free(f->text);
	free(f->env);
	for (int i = 0; i < f->n_bls; i++) {
		free(f->bls[i]);
		free(f->bls_id[i]);
	}
}

static bool read_text(struct gather *g, struct config *f, const char *path)
{
	char *text;

	if (gather_read(g, path, CONFIG_MAX, &text, NULL) < 0)
		return false;
	free(f->text);
	f->text = text;
	(void)snprintf(f->path, sizeof(f->path), "%s", path);
	return true;
}

/* ---- entries of the Boot Loader Specification ---- */

static void add_bls(
	struct gather *g, const char *path, const char *name, void *arg)
{
	struct config *f = arg;
	char file[PATH_MAX + NAME_MAX + 2];
	size_t n = strlen(name);

	if (n < 6 || strcmp(name + n - 5, ".conf") != 0)
		return;
	if (f->n_bls == BLS_MAX) {
		f->c.cut = true;
		return;
	}
	(void)snprintf(file, sizeof(file), "%s/%s", path, name);
	if (gather_read(g, file, GATHER_TEXT_MAX, &f->bls[f->n_bls], NULL) < 0)
		return;
	f->bls_id[f->n_bls] = strndup(name, n - 5);
	if (f->bls_id[f->n_bls])
		f->n_bls++;
	else
		free(f->bls[f->n_bls]);
}

/* Puts the entries of a folder before the others, newest first. */
static void read_bls(struct gather *g, struct config *f, const char *folder)
{
	CLEANUP_FREE struct grubcfg *all = calloc(1, sizeof(*all));
	int order[BLS_MAX];

	if (!all) {
		g->oom = true;
		return;
	}
	gather_each(g, folder, add_bls, f);
	for (int i = 0; i < f->n_bls; i++) {
		int k = i;

		for (; k > 0 &&
			strverscmp(f->bls_id[order[k - 1]], f->bls_id[i]) < 0;
			k--)
			order[k] = order[k - 1];
		order[k] = i;
	}
	for (int i = 0; i < f->n_bls; i++) {
		grubcfg_read_bls(f->bls[order[i]], &all->items[i]);
		all->items[i].id = f->bls_id[order[i]];
		all->items[i].index = i;
	}
	all->n = f->n_bls;
	for (int i = 0; i < f->c.n && all->n < GRUBCFG_ITEMS_MAX; i++) {
		struct grubcfg_item item = f->c.items[i];

		if (item.parent < 0)
			item.index += f->n_bls;
		else
			item.parent += f->n_bls;
		all->items[all->n++] = item;
	}
	f->c.n = all->n;
	memcpy(f->c.items, all->items, sizeof(all->items));
}

/* ---- GRUB ---- */

static void read_env(struct gather *g, struct config *f, const char *config)
{
	const char *slash = strrchr(config, '/');
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%.*s/grubenv",
		slash ? (int)(slash - config) : 0, config);
	/* On a RHEL with UEFI it is a link that leads outside, or there. */
	if (gather_read(g, path, GATHER_TEXT_MAX, &f->env, NULL) < 0 &&
		gather_read(g, "boot/grub2/grubenv", GATHER_TEXT_MAX, &f->env,
			NULL) < 0)
		f->env = NULL;
}

static void env(
	const struct config *f, const char *name, char *buf, size_t size)
{
	(void)grubcfg_env(f->env ? f->env : "", name, buf, size);
}

static bool is_efi(struct gather *g)
{
	const char *mode = facts_text(g->top, "system.firmware.mode");

	if (mode[0])
		return strcmp(mode, "uefi") == 0;
	return (gather_exists(g, "boot/grub/x86_64-efi", O_PATH) ||
		       gather_exists(g, "boot/efi/EFI", O_PATH)) &&
	       !gather_exists(g, "boot/grub/i386-pc", O_PATH) &&
	       !gather_exists(g, "boot/grub2/i386-pc", O_PATH);
}

static bool try_grub(struct gather *g, struct config *f, const char *path)
{
	if (!read_text(g, f, path))
		return false;
	grubcfg_read(f->text, &f->c);
	/* A stub on the ESP only leads to the real one. */
	return f->c.n > 0 || f->c.bls;
}

struct stub {
	struct config *f;
	bool found;
};

static void try_vendor(
	struct gather *g, const char *path, const char *name, void *arg)
{
	struct stub *s = arg;
	char file[64 + NAME_MAX];

	(void)snprintf(file, sizeof(file), "%s/%s/grub.cfg", path, name);
	if (!s->found && try_grub(g, s->f, file))
		s->found = true;
}

static bool read_grub(struct gather *g, struct config *f)
{
	static const char *const paths[] = {
		"boot/grub/grub.cfg", "boot/grub2/grub.cfg"};
	struct stub s = {.f = f};
	bool efi = is_efi(g);

	if (efi)
		gather_each(g, "boot/efi/EFI", try_vendor, &s);
	for (size_t i = 0; !s.found && i < ARRAY_LEN(paths); i++)
		s.found = try_grub(g, f, paths[i]);
	if (!s.found)
		return false;
	f->loader = efi ? "grub-efi" : "grub";
	read_env(g, f, f->path);
	env(f, "next_entry", f->preset, sizeof(f->preset));
	if (!f->preset[0] && f->c.saved)
		env(f, "saved_entry", f->preset, sizeof(f->preset));
	if (!f->preset[0])
		memcpy(f->preset, f->c.preset, sizeof(f->preset));
	if (f->c.bls)
		read_bls(g, f, "boot/loader/entries");
	return true;
}

/* ---- the others ---- */

static bool read_systemd_boot(struct gather *g, struct config *f)
{
	static const char *const roots[] = {"efi", "boot", "boot/efi"};
	char path[64], *line, *at;

	for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
		(void)snprintf(
			path, sizeof(path), "%s/loader/loader.conf", roots[i]);
		if (!read_text(g, f, path))
			continue;
		memset(&f->c, 0, sizeof(f->c));
		(void)snprintf(
			path, sizeof(path), "%s/loader/entries", roots[i]);
		read_bls(g, f, path);
		if (f->n_bls == 0)
			continue;
		f->loader = "systemd-boot";
		at = f->text;
		while ((line = gather_next_line(&at))) {
			const char *key = gather_next_word(&line);
			const char *value = gather_next_word(&line);

			if (value && strcmp(key, "default") == 0)
				(void)snprintf(f->preset, sizeof(f->preset),
					"%s", value);
		}
		return true;
	}
	return false;
}

/* It says so itself, in a variable of the firmware. */
static bool is_systemd_boot(struct gather *g)
{
	CLEANUP_CLOSE int fd = gather_open(g, LOADER_INFO, O_RDONLY);
	uint8_t text[4 + 2 * 12];

	/* Four bytes of attributes, then UTF-16. */
	if (fd < 0 || read(fd, text, sizeof(text)) != sizeof(text))
		return false;
	for (size_t i = 0; i < 12; i++)
		if (text[4 + 2 * i] != (uint8_t) "systemd-boot"[i])
			return false;
	return true;
}

static bool read_others(struct gather *g, struct config *f)
{
	static const struct {
		const char *path, *loader;
		void (*read)(char *text, struct grubcfg *ret);
	} files[] = {{"boot/grub/menu.lst", "grub-legacy", grubcfg_read_legacy},
		{"boot/grub/grub.conf", "grub-legacy", grubcfg_read_legacy},
		{"boot/extlinux/extlinux.conf", "extlinux",
			grubcfg_read_extlinux},
		{"boot/extlinux.conf", "extlinux", grubcfg_read_extlinux},
		{"boot/syslinux/syslinux.cfg", "extlinux",
			grubcfg_read_extlinux},
		{"etc/lilo.conf", "lilo", NULL}};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (!read_text(g, f, files[i].path))
			continue;
		memset(&f->c, 0, sizeof(f->c));
		if (files[i].read)
			files[i].read(f->text, &f->c);
		f->loader = files[i].loader;
		memcpy(f->preset, f->c.preset, sizeof(f->preset));
		return true;
	}
	return false;
}

/* ---- entries ---- */

/* Finds the file that a loader means: it counts from the filesystem's root,
 * which may be /boot, or have the system in a subvolume. buf has PATH_MAX. */
static const char *resolve(struct gather *g, const char *path, char *buf)
{
	static const char *const folders[] = {"", "/boot", "/boot/efi", "/efi"};
	const char *at = path;

	/* "($root)/boot/…" */
	if (*at == '(')
		at += strcspn(at, ")") + (strchr(at, ')') != NULL);
	for (int depth = 0; depth < 4 && *at == '/'; depth++) {
		for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
			(void)snprintf(buf, PATH_MAX, "%s%s", folders[i], at);
			if (gather_exists(g, buf, O_PATH))
				return buf;
		}
		at++;
		at += strcspn(at, "/");
	}
	(void)snprintf(buf, PATH_MAX, "%s", path);
	return buf;
}

/* Follows the one variable that distributions use for it, and drops others. */
static void expand(
	const struct config *f, const char *args, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	while (*(args += strspn(args, " \t"))) {
		size_t k = strcspn(args, " \t");
		char value[COMMAND_MAX] = "";

		if (strncmp(args, "$kernelopts", k) == 0 ||
			strncmp(args, "${kernelopts}", k) == 0)
			env(f, "kernelopts", value, sizeof(value));
		else if (*args != '$')
			(void)snprintf(value, sizeof(value), "%.*s",
				(int)MIN(k, sizeof(value) - 1), args);
		if (value[0] && n + strlen(value) + 2 < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s",
				n > 0 ? " " : "", value);
		args += k;
	}
}

static void set_root(struct gather *g, json_t *j, const char *command_line)
{
	const char *at = command_line;
	char root[512] = "";

	while (*(at += strspn(at, " \t"))) {
		size_t k = strcspn(at, " \t");

		if (strncmp(at, "root=", 5) == 0)
			(void)snprintf(root, sizeof(root), "%.*s",
				(int)MIN(k - 5, sizeof(root) - 1), at + 5);
		at += k;
	}
	gather_set(g, j, "root", root);
	gather_set(g, j, "disk", disks_find(g, root));
}

static json_t *entry(struct gather *g, const struct config *f,
	const struct grubcfg_item *i, bool title)
{
	json_t *j = gather_object(g);
	char path[PATH_MAX], args[COMMAND_MAX], plain[COMMAND_MAX];

	if (title)
		gather_set(g, j, "title", i->title);
	if (i->kernel[0])
		gather_set(g, j, "kernel", resolve(g, i->kernel, path));
	if (i->initrd[0])
		gather_set(g, j, "initramfs", resolve(g, i->initrd, path));
	expand(f, i->args, args, sizeof(args));
	memcpy(plain, args, sizeof(plain));
	secrets_hide(args, " \t");
	set_root(g, j, args);
	gather_set(g, j, "command_line", args);
	if (strcmp(args, plain) != 0)
		gather_set_bool(g, j, "secret", true);
	return j;
}

static const struct grubcfg_item *the_default(const struct config *f)
{
	size_t n = strcspn(f->preset, "*");

	if (strcmp(f->loader, "systemd-boot") != 0)
		return grubcfg_default(&f->c, f->preset);
	/* A pattern, in nearly all cases the beginning of a name. */
	if (strlen(f->preset) > 5 &&
		strcmp(f->preset + strlen(f->preset) - 5, ".conf") == 0)
		n = MIN(n, strlen(f->preset) - 5);
	for (int i = 0; n > 0 && i < f->c.n; i++)
		if (strncmp(f->c.items[i].id, f->preset, n) == 0)
			return &f->c.items[i];
	return f->c.n > 0 ? &f->c.items[0] : NULL;
}

static void set_entries(struct gather *g, struct config *f, json_t *boot)
{
	const struct grubcfg_item *first = the_default(f);
	json_t *list = gather_list(g);

	if (first && first->kernel[0])
		gather_set_json(g, boot, "default", entry(g, f, first, true));
	for (int i = 0; i < f->c.n; i++) {
		if (!f->c.items[i].kernel[0])
			continue;
		if (json_array_size(list) == ENTRIES_MAX) {
			f->c.cut = true;
			break;
		}
		gather_add(g, list, entry(g, f, &f->c.items[i], true));
	}
	if (f->c.cut)
		gather_missing(
			g, f->path, "it has more entries than are taken");
	gather_set_json(g, boot, "entries", list);
}

/* ---- what the firmware looks at ---- */

/* The codes were read with the tables. */
static json_t *boot_codes(struct gather *g)
{
	json_t *list = gather_list(g), *j;
	size_t i;

	json_array_foreach(json_object_get(g->top, "disks"), i, j)
	{
		const char *code = facts_text(j, "boot_code");
		json_t *m;

		if (!code[0])
			continue;
		m = gather_object(g);
		gather_set(g, m, "disk", facts_text(j, "name"));
		gather_set(g, m, "boot_code", code);
		gather_add(g, list, m);
	}
	return list;
}

struct esp {
	const char *folder; /* "EFI/debian" */
	json_t *files;
};

static void add_file(
	struct gather *g, const char *path, const char *name, void *arg)
{
	struct esp *e = arg;
	size_t n = strlen(name);
	char file[2 * NAME_MAX + 8];

	if (n < 4 || strcasecmp(name + n - 4, ".efi") != 0 ||
		json_array_size(e->files) >= ESP_FILES_MAX)
		return;
	(void)snprintf(file, sizeof(file), "%s/%s", e->folder, name);
	gather_add(g, e->files, gather_string(g, file, strlen(file)));
}

static void add_folder(
	struct gather *g, const char *path, const char *name, void *arg)
{
	struct esp e = {.files = arg};
	char inside[PATH_MAX], folder[NAME_MAX + 8];

	(void)snprintf(inside, sizeof(inside), "%s/%s", path, name);
	(void)snprintf(folder, sizeof(folder), "EFI/%s", name);
	e.folder = folder;
	gather_each(g, inside, add_file, &e);
}

static bool is_esp(const json_t *disk)
{
	const char *type = facts_text(disk, "part.type");

	return strcasecmp(type, ESP_TYPE) == 0 || strcmp(type, "0xef") == 0;
}

/* Where a partition is mounted, or "". */
static const char *mount_of(struct gather *g, const char *disk)
{
	json_t *list = json_object_get(g->top, "filesystems"), *j;
	size_t i;

	json_array_foreach(list, i, j)
	{
		if (strcmp(facts_text(j, "disk"), disk) == 0 &&
			!json_object_get(j, "folder"))
			return facts_text(j, "mount");
	}
	return "";
}

/* The partition that a folder is on, or NULL. */
static json_t *disk_below(struct gather *g, const char *path)
{
	CLEANUP_CLOSE int fd = gather_open(g, path, O_PATH | O_DIRECTORY);
	char number[32];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	(void)snprintf(number, sizeof(number), "%u:%u", major(st.st_dev),
		minor(st.st_dev));
	return disks_by_number(g, number);
}

static json_t *read_esp(struct gather *g, const char *point, const char *disk)
{
	json_t *e = gather_object(g), *list = gather_list(g);
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/EFI", point);
	gather_set(g, e, "mount", point);
	gather_set(g, e, "disk", disk);
	gather_each(g, path, add_folder, list);
	gather_set_json(g, e, "files", list);
	return e;
}

/* The partitions of that type; where none is known, as in a tree, the folders
 * where one is usually mounted. Some mount it only when it is looked into. */
static json_t *esp(struct gather *g)
{
	static const char *const points[] = {"/boot/efi", "/efi", "/boot"};
	json_t *list = json_object_get(g->top, "disks"), *j, *e;
	const char *first = "";
	size_t i;

	json_array_foreach(list, i, j)
	{
		const char *name = facts_text(j, "name"), *point;

		if (!is_esp(j))
			continue;
		point = mount_of(g, name);
		if (point[0])
			return read_esp(g, point, name);
		first = first[0] ? first : name;
	}
	for (size_t k = 0; k < ARRAY_LEN(points); k++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "%s/EFI", points[k]);
		if (!gather_exists(g, path, O_PATH))
			continue;
		j = disk_below(g, path);
		if (!first[0] || is_esp(j))
			return read_esp(g, points[k], facts_text(j, "name"));
	}
	if (!first[0])
		return NULL;
	gather_missing(g, "boot.esp.files",
		"the EFI system partition %s is not mounted", first);
	e = gather_object(g);
	gather_set(g, e, "disk", first);
	return e;
}

static void any_kernel(
	struct gather *g, const char *path, const char *name, void *arg)
{
	if (strncmp(name, "vmlinu", 6) == 0 || strncmp(name, "kernel", 6) == 0)
		*(bool *)arg = true;
}

void gather_boot(struct gather *g)
{
	CLEANUP_FREE struct config *f = calloc(1, sizeof(*f));
	json_t *boot = gather_object(g);
	bool found, kernel = false;

	if (!f) {
		g->oom = true;
		json_decref(boot);
		return;
	}
	found = (is_systemd_boot(g) && read_systemd_boot(g, f)) ||
		read_grub(g, f) || read_systemd_boot(g, f) || read_others(g, f);
	if (found) {
		char path[PATH_MAX + 1];

		(void)snprintf(path, sizeof(path), "/%s", f->path);
		gather_set(g, boot, "loader", f->loader);
		gather_set(g, boot, "config", path);
		set_entries(g, f, boot);
	} else {
		gather_each(g, "boot", any_kernel, &kernel);
		gather_set(g, boot, "loader", kernel ? "unknown" : "none");
	}
	gather_set_json(g, boot, "mbr", boot_codes(g));
	gather_set_json(g, boot, "esp", esp(g));
	gather_set_json(g, g->top, "boot", boot);
	cleanup_config(f);
}
