/* SPDX-License-Identifier: Apache-2.0 */
/* The boot loader: what it tells the kernel of the root, and that a machine
 * without boot entries of its own finds it. */
#include "fixup/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fixup/chroot.h"
#include "fixup/devices.h"
#include "fixup/kernelargs.h"

#define INSTALL_MS 120000
#define OUTPUT_MAX 65536

/* ---- root= ---- */

/* Without an initramfs the kernel itself finds the root, and knows no UUID of
 * filesystems. */
static const char *root_name(const struct unit *u)
{
	static char text[DEVICES_NAME_MAX];
	const json_t *kernel = json_object_get(u->wish, "kernel");
	const char *part = unit_text(devices_mounted(u->wish, "/"), "partuuid");

	if (!json_is_null(json_object_get(kernel, "initramfs")))
		return unit_text(u->wish, "root");
	if (!part[0] || strlen(part) > DEVICES_NAME_MAX - 16)
		return "";
	(void)snprintf(text, sizeof(text), "PARTUUID=%s", part);
	return text;
}

static int no_root(struct unit *u, const char *value)
{
	(void)error_set(u->err, -ENODEV,
		"name the root filesystem to the boot loader of the moved "
		"system");
	(void)error_why(u->err,
		"it says root=%s, which the new machine does not have, and "
		"nobody told what it is",
		value);
	return error_todo(u->err,
		"give the root filesystem a UUID, and boot loader and "
		"initramfs of the source that name, then plan again");
}

/* Rewrites what is behind "root=" or "resume=". */
static int rewrite_device(struct unit *u, const char *key, const char *value,
	struct edit *out, struct edit *said)
{
	bool root = strcmp(key, "root") == 0;
	char name[DEVICES_NAME_MAX];
	const json_t *entry;
	enum devices_kind kind;

	kind = strchr(value, '$') ? DEVICES_NONE
				  : devices_find(u->wish, value, &entry);
	if (kind == DEVICES_NONE || kind == DEVICES_STABLE) {
		edit_text(out, value);
		return 0;
	}
	if (root && kind == DEVICES_RENAMED &&
		strcmp(unit_text(entry, "mount"), "/") == 0)
		kind = DEVICES_UNKNOWN;
	if (kind == DEVICES_RENAMED && devices_name(entry, name)) {
		edit_text(out, name);
		edit_say(said, "%s=%s is named %s", key, value, name);
		return 0;
	}
	if (!root) {
		/* It costs a resume, which a moved system has none of. */
		edit_text(out, value);
		unit_warn(u, "%s=%s names no device that moves", key, value);
		return 0;
	}
	(void)snprintf(name, sizeof(name), "%s", root_name(u));
	if (!name[0])
		return no_root(u, value);
	edit_text(out, name);
	edit_say(said, "%s=%s is named %s", key, value, name);
	return 0;
}

int unit_rewrite_root(struct unit *u, const char *args, bool whole,
	struct edit *out, struct edit *said, void *arg)
{
	static const char *const keys[] = {"root", "resume"};
	size_t at = 0, from, n, passed = 0;

	while ((n = edit_word(args, &at, &from)) > 0) {
		for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
			size_t k = strlen(keys[i]) + 1;
			char value[EDIT_LINE_MAX + 1];
			int r;

			if (n <= k || strncmp(args + from, keys[i], k - 1) ||
				args[from + k - 1] != '=')
				continue;
			(void)snprintf(value, sizeof(value), "%.*s",
				(int)(n - k), args + from + k);
			edit_add(out, args + passed, from + k - passed);
			passed = from + n;
			r = rewrite_device(u, keys[i], value, out, said);
			if (r < 0)
				return r;
		}
	}
	edit_text(out, args + passed);
	return 0;
}

/* ---- the removable-media path ---- */

/* The folder "EFI" of the EFI system partition. */
static int find_esp(const struct unit *u, char ret[TREE_PATH_MAX])
{
	static const char *const mounts[] = {"/boot/efi", "/efi", "/boot"};

	for (size_t i = 0; i < ARRAY_LEN(mounts); i++)
		if (tree_find(u->tree, mounts[i], "EFI", ret) == 0)
			return 0;
	return -ENOENT;
}

static bool has_file(const struct unit *u, const char *folder, const char *name,
	char ret[TREE_PATH_MAX])
{
	return tree_find(u->tree, folder, name, ret) == 0 &&
	       tree_is_file(u->tree, ret);
}

/* What a vendor's folder has, the best first. */
static const char *const loaders[] = {
	"shimx64.efi", "grubx64.efi", "systemd-bootx64.efi"};

static bool is_own(const struct unit *u, const char *name)
{
	CLEANUP_FREE char *text = NULL;
	char line[128];

	if (tree_read(u->tree, "/etc/os-release", 65536, &text, NULL) < 0)
		return false;
	(void)snprintf(line, sizeof(line), "ID=%s\n", name);
	if (strstr(text, line))
		return true;
	(void)snprintf(line, sizeof(line), "ID=\"%s\"\n", name);
	return strstr(text, line) != NULL;
}

/* The vendor's folder with the best loader; *ret_loader is its path. */
static int find_vendor(const struct unit *u, const char *esp,
	char ret[TREE_PATH_MAX], char ret_loader[TREE_PATH_MAX])
{
	CLEANUP(tree_names_done) struct tree_names l = {0};
	char path[TREE_PATH_MAX], loader[TREE_PATH_MAX];
	size_t best = SIZE_MAX;
	int r = tree_list(u->tree, esp, &l);

	if (r < 0)
		return r;
	for (size_t i = 0; i < l.n; i++) {
		size_t rank = is_own(u, l.v[i]) ? 0 : ARRAY_LEN(loaders);

		if (snprintf(path, sizeof(path), "%s/%s", esp, l.v[i]) >=
				TREE_PATH_MAX ||
			!tree_is_folder(u->tree, path))
			continue;
		for (size_t k = 0; k < ARRAY_LEN(loaders); k++) {
			if (rank + k >= best ||
				!has_file(u, path, loaders[k], loader))
				continue;
			best = rank + k;
			memcpy(ret, path, sizeof(path));
			memcpy(ret_loader, loader, sizeof(loader));
		}
	}
	return best == SIZE_MAX ? -ENOENT : 0;
}

static int copy_file(struct unit *u, const char *from, const char *to)
{
	int r = tree_copy(u->tree, from, to, 0755);

	if (r < 0)
		return unit_failed(u, r, to);
	unit_changed(u, to, "copied from %s", from);
	return 0;
}

/* Shim starts what is called so beside it. */
static int copy_companions(
	struct unit *u, const char *vendor, const char *removable)
{
	static const char *const names[] = {"grubx64.efi", "mmx64.efi"};
	char from[TREE_PATH_MAX], to[TREE_PATH_MAX];
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(names) && r == 0; i++) {
		if (!has_file(u, vendor, names[i], from) ||
			has_file(u, removable, names[i], to))
			continue;
		if (snprintf(to, sizeof(to), "%s/%s", removable, names[i]) <
			TREE_PATH_MAX)
			r = copy_file(u, from, to);
	}
	return r;
}

static int no_loader(struct unit *u, const char *why)
{
	(void)error_set(u->err, -ENOENT,
		"make the moved system bootable by UEFI firmware");
	(void)error_why(u->err, "%s", why);
	return error_todo(u->err,
		"install a boot loader for UEFI on the source, or move to a "
		"machine that boots by BIOS");
}

static int fix_removable(struct unit *u)
{
	char esp[TREE_PATH_MAX], removable[TREE_PATH_MAX];
	char vendor[TREE_PATH_MAX], loader[TREE_PATH_MAX], to[TREE_PATH_MAX];
	int r;

	if (find_esp(u, esp) < 0)
		return no_loader(u,
			"it has no EFI system partition, or that is "
			"not mounted");
	if (tree_find(u->tree, esp, "BOOT", removable) < 0 &&
		snprintf(removable, sizeof(removable), "%s/BOOT", esp) >=
			TREE_PATH_MAX)
		return no_loader(u, "a path is too long");
	if (has_file(u, removable, "BOOTX64.EFI", to))
		return 0;
	if (find_vendor(u, esp, vendor, loader) < 0)
		return no_loader(u,
			"its EFI system partition has no boot loader that is "
			"known");
	/* Shim without what it starts would be worse than none. */
	r = copy_companions(u, vendor, removable);
	if (snprintf(to, sizeof(to), "%s/BOOTX64.EFI", removable) >=
		TREE_PATH_MAX)
		return no_loader(u, "a path is too long");
	return r < 0 ? r : copy_file(u, loader, to);
}

/* ---- boot code of a BIOS ---- */

static int install(struct unit *u, const char *disk)
{
	static const char *const programs[] = {"/usr/sbin/grub-install",
		"/sbin/grub-install", "/usr/sbin/grub2-install",
		"/sbin/grub2-install", NULL};
	const char *program = unit_program(u, programs);
	const char *const argv[] = {
		program, "--target=i386-pc", "--recheck", disk, NULL};
	const struct chroot_job job = {.root = u->tree->path,
		.argv = argv,
		.timeout_ms = INSTALL_MS,
		.max = OUTPUT_MAX,
		.devices = true};
	int r;

	if (!program) {
		(void)error_set(u->err, -ENOENT,
			"install the boot loader of the moved system on %s",
			disk);
		(void)error_why(u->err, "it has no grub-install");
		return error_todo(u->err, "move the disk as it is: its boot "
					  "code comes with it");
	}
	r = chroot_run(&job, NULL, NULL, u->err);
	if (r == 0)
		unit_changed(u, program, "boot code installed on %s", disk);
	return r;
}

int unit_bootloader(struct unit *u)
{
	struct kernelargs_fn fn = {.rewrite = unit_rewrite_root};
	const char *disk = unit_text(u->wish, "boot_disk");
	int r = kernelargs_rewrite_all(u, &fn);

	if (r < 0)
		return r;
	if (fn.found == 0 && !tree_is_folder(u->tree, "/boot/efi/EFI/Linux") &&
		!tree_is_folder(u->tree, "/efi/EFI/Linux") &&
		!tree_is_folder(u->tree, "/boot/EFI/Linux")) {
		(void)error_set(u->err, -ENOENT,
			"find what the moved system boots with");
		(void)error_why(u->err,
			"there is no configuration of GRUB, systemd-boot or "
			"extlinux with a kernel");
		return error_todo(u->err,
			"see whether /boot of the source is a filesystem that "
			"moves too");
	}
	if (strcmp(unit_text(u->wish, "firmware"), "uefi") == 0)
		return fix_removable(u);
	return disk[0] ? install(u, disk) : 0;
}
