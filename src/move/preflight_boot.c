/* SPDX-License-Identifier: Apache-2.0 */
/* How the source boots, and whether the target can boot in the same way. */
#include "move/preflight_checks.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "facts/fstab.h"

/* Whether it has an EFI system partition of which nobody could see what is on
 * it. */
static bool unseen(const json_t *source)
{
	return !json_is_array(facts_at(source, "boot.esp.files")) &&
	       (facts_at(source, "boot.esp") ||
		       preflight_is(source, "system.firmware.mode", "uefi"));
}

static const char *unseen_text(const json_t *source)
{
	return facts_at(source, "boot.esp")
		       ? "its EFI system partition is not mounted"
		       : "no EFI system partition of it is known";
}

static const char mount_it[] =
	"mount its EFI system partition (mount /boot/efi) and ask again";

/* Whether what is on the source's disks can boot in this mode. */
static bool carries(const json_t *source, const char *mode)
{
	const json_t *list, *o;
	size_t i;

	if (strcmp(mode, "uefi") == 0)
		return json_array_size(facts_at(source, "boot.esp.files")) > 0;
	list = facts_at(source, "boot.mbr");
	preflight_each(list, i, o)
	{
		if (preflight_is(o, "boot_code", "grub") ||
			preflight_is(o, "boot_code", "other"))
			return strcmp(mode, "bios") == 0;
	}
	return false;
}

void preflight_boot_mode(struct preflight *p)
{
	const char *from = preflight_text(p->source, "system.firmware.mode");
	const char *to = preflight_text(p->target, "system.firmware.mode");
	bool both, blind;

	if (!from[0] || !to[0] || strcmp(from, to) == 0)
		return;
	both = carries(p->source, to);
	blind = !both && strcmp(to, "uefi") == 0 && unseen(p->source);
	preflight_find(p, both ? WARNS : BLOCKS, TARGET,
		"it starts by %s, the source by %s%s", to, from,
		both	? "; its disks have a loader for both"
		: blind ? "; whether that has a loader for both is not known, "
			  "because its EFI system partition is not mounted"
			: "");
	if (blind)
		preflight_remedy(p, "%s", mount_it);
	else
		preflight_remedy(p,
			both ? "set the target's firmware to %s, or try a boot "
			       "by %s before the cutover"
			     : "set the target's firmware to %s; if it knows "
			       "%s only, install a loader for that on the "
			       "source first",
			from, to);
}

void preflight_boot_loader(struct preflight *p)
{
	const char *loader = preflight_text(p->source, "boot.loader");

	if (strcmp(loader, "none") != 0 && strcmp(loader, "unknown") != 0)
		return;
	preflight_find(p, p->wish->fits_loader ? BLOCKS : WARNS, SOURCE, "%s",
		loader[0] == 'n'
			? "it has no boot loader: its host starts the kernel"
			: "it has kernels, and no boot loader that is known");
	preflight_remedy(p,
		"install one on the source (GRUB), or have the target's host "
		"start the same kernel, and let the fix-up bootloader be false "
		"in the plan");
}

/* What firmware looks for: UEFI specification, 3.5.1.1. */
static const char *fallback(const struct preflight *p)
{
	static const struct {
		const char *architecture, *file;
	} files[] = {{"x86_64", "EFI/BOOT/BOOTX64.EFI"},
		{"i686", "EFI/BOOT/BOOTIA32.EFI"},
		{"aarch64", "EFI/BOOT/BOOTAA64.EFI"},
		{"arm", "EFI/BOOT/BOOTARM.EFI"},
		{"riscv64", "EFI/BOOT/BOOTRISCV64.EFI"}};
	const json_t *facts = facts_at(p->target, "system.architecture")
				      ? p->target
				      : p->source;

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (preflight_is(facts, "system.architecture",
			    files[i].architecture))
			return files[i].file;
	return NULL;
}

/* The names of boot entries are in the old machine's firmware. A new machine
 * looks for one file only. */
void preflight_efi_fallback(struct preflight *p)
{
	const json_t *files = facts_at(p->source, "boot.esp.files"), *f;
	const char *to = preflight_text(p->target, "system.firmware.mode");
	const char *file = fallback(p);
	size_t i;

	if (!file || (to[0] && strcmp(to, "uefi") != 0) ||
		!preflight_is(p->source, "system.firmware.mode", "uefi"))
		return;
	preflight_each(files, i, f)
	{
		if (strcasecmp(preflight_text(f, ""), file) == 0)
			return;
	}
	if (unseen(p->source)) {
		preflight_find(p, WARNS, SOURCE,
			"%s, so nobody could see whether it has %s, the only "
			"file that new firmware looks for",
			unseen_text(p->source), file);
		preflight_remedy(p, "%s", mount_it);
		return;
	}
	preflight_find(p, WARNS, SOURCE,
		"its EFI system partition has no %s, and the target's firmware "
		"knows no other name",
		file);
	preflight_remedy(p, "grub-install --removable (Debian: also \"install "
			    "to the removable media path\" in dpkg-reconfigure "
			    "grub-efi-amd64), or add a boot entry in the "
			    "target's firmware");
}

static bool has_shim(const json_t *files)
{
	const json_t *f;
	size_t i;

	preflight_each(files, i, f)
	{
		const char *s = preflight_text(f, "");
		const char *slash = strrchr(s, '/');

		if (strncasecmp(slash ? slash + 1 : s, "shim", 4) == 0)
			return true;
	}
	return false;
}

void preflight_secure_boot(struct preflight *p)
{
	const json_t *files = facts_at(p->source, "boot.esp.files");

	if (!preflight_true(p->target, "system.firmware.secure_boot"))
		return;
	if (p->source &&
		!preflight_true(p->source, "system.firmware.secure_boot") &&
		unseen(p->source)) {
		preflight_find(p, WARNS, TARGET,
			"Secure Boot is on, and whether the source has a "
			"signed loader (shim) is not known: %s",
			unseen_text(p->source));
		preflight_remedy(p, "%s", mount_it);
	} else if (p->source &&
		   !preflight_true(p->source, "system.firmware.secure_boot") &&
		   !has_shim(files)) {
		preflight_find(p, BLOCKS, TARGET,
			"Secure Boot is on, and the source has no signed "
			"loader (shim)");
		preflight_remedy(p, "turn Secure Boot off there, or install "
				    "the signed loader and kernel of the "
				    "distribution on the source");
	} else if (p->wish->takeover) {
		preflight_find(p, WARNS, TARGET,
			"Secure Boot is on: it takes signed kernels by kexec");
		preflight_remedy(p, "turn Secure Boot off for the move, or "
				    "keep the target's own kernel, which is "
				    "signed");
	} else if (!preflight_true(p->source, "system.firmware.secure_boot")) {
		preflight_find(p, WARNS, TARGET,
			"Secure Boot is on, and was off on the source: "
			"modules and kernels that are not signed will not "
			"load");
		preflight_remedy(p, "turn Secure Boot off there, or sign what "
				    "was built on the source (DKMS)");
	}
}

/* ---- names of disks ---- */

/* "sd" of "/dev/sda1": what the kernel calls disks of one kind. */
static size_t prefix(const char *name, const char **ret)
{
	static const char *const prefixes[] = {
		"nvme", "mmcblk", "xvd", "sd", "vd", "hd"};

	if (strncmp(name, "/dev/", 5) == 0)
		name += 5;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		size_t n = strlen(prefixes[i]);

		if (strncmp(name, prefixes[i], n) == 0) {
			*ret = prefixes[i];
			return n;
		}
	}
	return 0;
}

/* Whether no disk that the target gets is called in this way. */
static bool called_else(const struct preflight *p, const char *spec)
{
	const char *have, *is;
	bool any = false;

	if (prefix(spec, &have) == 0)
		return false;
	for (unsigned i = 0; i < p->n_pairs; i++) {
		const char *name = preflight_text(p->pairs[i].target, "name");

		if (prefix(name, &is) == 0)
			continue;
		if (strcmp(is, have) == 0)
			return false;
		any = true;
	}
	return any;
}

/* The value of a word of the kernel's command line; false when it has none. */
static bool word(const char *line, const char *key, char *buf, size_t size)
{
	size_t k = strlen(key);

	for (; *line; line += strcspn(line, " ")) {
		size_t n;

		line += strspn(line, " ");
		n = strcspn(line, " ");
		if (n <= k || strncmp(line, key, k) != 0)
			continue;
		(void)snprintf(
			buf, size, "%.*s", (int)MIN(n - k, size - 1), line + k);
		return true;
	}
	return false;
}

void preflight_root_name(struct preflight *p)
{
	char root[512];
	const char *line = facts_text(p->source, "boot.default.command_line");

	(void)snprintf(root, sizeof(root), "%s",
		preflight_text(p->source, "boot.default.root"));
	if (!root[0] && !word(line, "root=", root, sizeof(root)))
		return;
	if (strcmp(fstab_names(root), "unstable") == 0) {
		bool otherwise = called_else(p, root);

		preflight_find(p, otherwise ? BLOCKS : WARNS, SOURCE,
			"the kernel's command line has root=%s%s", root,
			otherwise ? "; the target's disks are called otherwise"
				  : ", a name that another machine may give "
				    "to another disk");
	} else if (strcmp(fstab_names(root), "path") == 0) {
		preflight_find(p, WARNS, SOURCE,
			"the kernel's command line has root=%s, a name made of "
			"this machine's hardware",
			root);
	}
	preflight_remedy(p, "name the root by UUID= in the boot loader's "
			    "configuration (root=UUID=...; GRUB: remove "
			    "GRUB_DISABLE_LINUX_UUID, then update-grub)");
}

/* What an initramfs takes beside the one that it replaces. */
#define REBUILD_ROOM (192U << 20)
#define FITTING_ROOM (4U << 20)

static const json_t *mounted_at(const json_t *source, const char *point)
{
	return preflight_with(facts_at(source, "filesystems"), "mount", point);
}

/* What is changed on the target is first written beside what was there. Its
 * filesystems are as full as the source's. */
void preflight_room(struct preflight *p)
{
	const json_t *root = mounted_at(p->source, "/");
	const json_t *boot = mounted_at(p->source, "/boot");
	bool rebuild = false;
	uint64_t n, used;

	boot = boot ? boot : root;
	for (unsigned i = 0; i < p->n_devices; i++)
		rebuild |= p->devices[i].storage &&
			   p->devices[i].driven == IN_MODULES;
	/* What is kept for root counts: it is root who writes. */
	if (preflight_number(root, "size", &n) &&
		preflight_number(root, "used", &used) && used <= n &&
		n - used < FITTING_ROOM) {
		preflight_find(p, p->wish->stays ? WARNS : BLOCKS, SOURCE,
			"its root filesystem is full, and what must be changed "
			"for the target is written there");
		preflight_remedy(p, "free a few MiB on /");
	}
	if (rebuild && preflight_number(boot, "free", &n) && n < REBUILD_ROOM) {
		char size[24];

		preflight_find(p, WARNS, SOURCE,
			"its initramfs must be built anew for the target, and "
			"/boot has %s free",
			preflight_size_text(n, size));
		preflight_remedy(p,
			"remove old kernels (apt-get autoremove --purge, dnf "
			"remove --oldinstallonly)");
	}
}

static void unstable_line(struct preflight *p, const json_t *e,
	const char *file, const char *spec)
{
	const char *names = preflight_text(e, "names");
	const char *options = facts_text(e, "options");
	bool path = strcmp(names, "path") == 0;
	uint64_t line = 0;

	if (strcmp(names, "unstable") != 0 && !path)
		return;
	/* Nobody misses a CD-ROM, and a boot goes on without these. */
	(void)preflight_number(e, "line", &line);
	preflight_find(p,
		strstr(options, "nofail") || strstr(options, "noauto") ? NOTES
								       : WARNS,
		SOURCE, "%s, line %u: %.200s, %s", file, (unsigned)line, spec,
		path ? "a name made of this machine's hardware"
		     : "a name that another machine may give to another disk");
	preflight_remedy(p, "name it by UUID= (blkid shows it)");
}

void preflight_unstable_names(struct preflight *p)
{
	const json_t *fstab = facts_at(p->source, "fstab"), *e;
	const json_t *crypttab = facts_at(p->source, "crypttab");
	size_t i;

	preflight_each(fstab, i, e)
		unstable_line(p, e, "/etc/fstab", facts_text(e, "spec"));
	preflight_each(crypttab, i, e)
		unstable_line(p, e, "/etc/crypttab", facts_text(e, "device"));
}
