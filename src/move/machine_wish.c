/* SPDX-License-Identifier: Apache-2.0 */
/* What the moved system is to become on its new machine, from both machines'
 * facts: see fixup/fixup.h, and boot_* which fitting itself needs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/parse.h"
#include "facts/facts.h"
#include "facts/fstab.h"
#include "move/interfaces.h"
#include "move/machine.h"
#include "move/plan_disk.h"
#include "move/plan_grow.h"

static void set_text(json_t *o, const char *key, const char *text)
{
	if (text[0])
		(void)json_object_set_new(o, key, json_string(text));
}

/* Where it is mounted; the first, when that is several times. */
static const json_t *mount_of(const json_t *facts, const char *name)
{
	const json_t *f;
	size_t i;

	json_array_foreach(json_object_get(facts, "filesystems"), i, f)
	{
		if (strcmp(facts_text(f, "disk"), name) == 0)
			return f;
	}
	return NULL;
}

static void add_aliases(json_t *list, const json_t *lines, const char *key,
	const char *name, const char *point)
{
	const json_t *line;
	size_t i;

	json_array_foreach(lines, i, line)
	{
		const char *spec = facts_text(line, key);
		const char *mount = facts_text(line, "mount");

		if (strncmp(spec, "/dev/disk/", 10) == 0 &&
			(strcmp(facts_text(line, "disk"), name) == 0 ||
				(point[0] && strcmp(mount, point) == 0)))
			(void)json_array_append_new(list, json_string(spec));
	}
}

/* What fstab and crypttab call it: names like /dev/disk/by-path/… say nothing
 * by themselves. */
static json_t *aliases(const json_t *facts, const char *name, const char *point)
{
	json_t *list = json_array();

	add_aliases(list, json_object_get(facts, "fstab"), "spec", name, point);
	add_aliases(list, json_object_get(facts, "crypttab"), "device", name,
		point);
	return list;
}

static json_t *device(const json_t *facts, const json_t *d)
{
	const json_t *mount = mount_of(facts, facts_text(d, "name"));
	const char *kind = facts_text(d, "kind");
	const char *type = facts_text(d, "content.type");
	json_t *o = json_object();

	set_text(o, "device", facts_text(d, "path"));
	set_text(o, "uuid", facts_text(d, "content.uuid"));
	set_text(o, "label", facts_text(d, "content.label"));
	set_text(o, "partuuid", facts_text(d, "part.uuid"));
	set_text(o, "partlabel", facts_text(d, "part.name"));
	set_text(o, "type", type);
	set_text(o, "mount", facts_text(mount, "mount"));
	(void)json_object_set_new(o, "aliases",
		aliases(facts, facts_text(d, "name"),
			facts_text(mount, "mount")));
	if (strcmp(kind, "lvm") == 0 || strcmp(kind, "crypt") == 0)
		set_text(o, "logical", facts_text(d, "path"));
	(void)json_object_set_new(
		o, "swap", json_boolean(strcmp(type, "swap") == 0));
	(void)json_object_set_new(
		o, "crypt", json_boolean(strcmp(type, "crypto_LUKS") == 0));
	return o;
}

/* What lies on disks that the plan leaves out, by name. What comes over the
 * network is there on the new machine as well. */
static json_t *left_out(const struct plan *p, const json_t *facts)
{
	json_t *all = json_object();

	for (uint32_t i = 0; i < p->n_disks; i++) {
		const struct plan_disk *d = &p->disks[i];
		const json_t *disk =
			d->exclude ? plan_find_disk(facts, d->id, d->name)
				   : NULL;
		json_t *tree = disk && !plan_disk_elsewhere(facts, disk)
				       ? plan_disk_tree(facts, disk)
				       : NULL;

		(void)json_object_update(all, tree);
		json_decref(tree);
	}
	return all;
}

static json_t *devices(const struct plan *p, const json_t *facts)
{
	json_t *list = json_array(), *left = left_out(p, facts);
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(facts, "disks"), i, d)
	{
		/* In a part without content swap may be made at each boot. */
		if ((facts_text(d, "content.type")[0] ||
			    json_array_size(json_object_get(d, "parents")) >
				    0) &&
			!json_object_get(left, facts_text(d, "name")))
			(void)json_array_append_new(list, device(facts, d));
	}
	json_decref(left);
	return list;
}

static json_t *texts(const struct plan_list *l)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < l->n; i++)
		(void)json_array_append_new(list, json_string(l->v[i]));
	return list;
}

/* The name of the bridge or bond that has a card's addresses, or "". */
static const char *holder(const json_t *source, const char *mac)
{
	const json_t *all = facts_at(source, "network.interfaces");
	const json_t *card = interfaces_card(all, mac);
	const json_t *has = card ? interfaces_holder(all, card) : NULL;

	/* Without addresses nobody knows which of them is meant. */
	return has == card || json_array_size(
				      json_object_get(has, "addresses")) == 0
		       ? ""
		       : facts_text(has, "name");
}

static json_t *nics(const struct plan *p, const json_t *source)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < p->n_nics; i++) {
		const struct plan_nic *n = &p->nics[i];
		json_t *o;

		if (n->exclude || !n->target)
			continue;
		o = json_object();
		set_text(o, "name", n->name ? n->name : "");
		set_text(o, "holder", holder(source, n->mac));
		set_text(o, "mac", n->mac);
		set_text(o, "target_mac", n->target);
		set_text(o, "mode", plan_mode_names[n->mode]);
		(void)json_object_set_new(o, "addresses", texts(&n->addresses));
		(void)json_object_set_new(o, "gateways", texts(&n->gateways));
		(void)json_object_set_new(
			o, "nameservers", texts(&n->nameservers));
		(void)json_array_append_new(list, o);
	}
	return list;
}

/* Is it of a network card? Those are not needed to find a disk. */
static bool is_network(const json_t *target, const char *modalias)
{
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(target, "devices"), i, d)
	{
		if (strcmp(facts_text(d, "modalias"), modalias) == 0)
			return strcmp(facts_text(d, "kind"), "network") == 0;
	}
	return false;
}

/* The modules for the target's controllers, and those of them that the kernel
 * finds nowhere while it has no disk yet. */
static void set_drivers(json_t *wish, json_t *kernel, const json_t *source,
	const json_t *target)
{
	json_t *all = json_array(), *missing = json_array();
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(source, "drivers"), i, d)
	{
		const char *module = facts_text(d, "module");
		const char *in = facts_text(d, "in");

		if (!module[0] || strcmp(in, "builtin") == 0 ||
			is_network(target, facts_text(d, "modalias")))
			continue;
		(void)json_array_append_new(all, json_string(module));
		if (strcmp(in, "initramfs") != 0)
			(void)json_array_append_new(
				missing, json_string(module));
	}
	(void)json_object_set_new(wish, "drivers", all);
	(void)json_object_set_new(kernel, "modules_missing", missing);
}

/* Then the kernel itself finds the root. Boot loaders have several ways to name
 * an initramfs, so what speaks for one counts. */
static bool has_no_initramfs(const json_t *facts)
{
	const char *root = facts_text(facts, "boot.default.root");

	return facts_text(facts, "boot.default.kernel")[0] &&
	       !facts_text(facts, "boot.default.initramfs")[0] &&
	       !facts_text(facts_kernel(facts), "initramfs")[0] &&
	       !strstr(facts_text(facts, "boot.default.command_line"),
		       "initrd=") &&
	       strncmp(root, "/dev/mapper/", 12) != 0 &&
	       strncmp(root, "UUID=", 5) != 0 &&
	       strncmp(root, "LABEL=", 6) != 0;
}

/* The root as the boot loader must name it: what it says already when that is
 * good anywhere. */
static void root_name(const json_t *facts, char *buf, size_t size)
{
	const char *said = facts_text(facts, "boot.default.root");
	const json_t *d, *f;
	size_t i;

	if (strncmp(said, "UUID=", 5) == 0 ||
		strncmp(said, "PARTUUID=", 9) == 0 ||
		strncmp(said, "/dev/mapper/", 12) == 0) {
		(void)snprintf(buf, size, "%s", said);
		return;
	}
	buf[0] = '\0';
	json_array_foreach(json_object_get(facts, "filesystems"), i, f)
	{
		if (strcmp(facts_text(f, "mount"), "/") != 0)
			continue;
		d = facts_named(
			json_object_get(facts, "disks"), facts_text(f, "disk"));
		if (strcmp(facts_text(d, "kind"), "lvm") == 0)
			(void)snprintf(buf, size, "%s", facts_text(d, "path"));
		else if (has_no_initramfs(facts)) {
			if (facts_text(d, "part.uuid")[0])
				(void)snprintf(buf, size, "PARTUUID=%s",
					facts_text(d, "part.uuid"));
		} else if (facts_text(f, "uuid")[0])
			(void)snprintf(
				buf, size, "UUID=%s", facts_text(f, "uuid"));
		return;
	}
}

/* "resume=/dev/sda5": an initramfs would wait half a minute for it, and there
 * is nothing to go on with. */
static bool is_old_resume(const char *word, size_t n)
{
	char device[256];

	if (n < 7 || n - 7 >= sizeof(device) ||
		strncmp(word, "resume=", 7) != 0)
		return false;
	memcpy(device, word + 7, n - 7);
	device[n - 7] = '\0';
	return strcmp(fstab_names(device), "unstable") == 0 ||
	       strcmp(fstab_names(device), "path") == 0;
}

/* The boot loader's line with that root in it. */
static void boot_line(
	const char *line, const char *root, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	while (*line && n + 1 < size) {
		size_t blank = strspn(line, " \t");
		size_t word = strcspn(line + blank, " \t");
		const char *w = line + blank;
		int wrote;

		if (word > 5 && strncmp(w, "root=", 5) == 0 && root[0])
			wrote = snprintf(buf + n, size - n, "%sroot=%s",
				n ? " " : "", root);
		else if (word > 0 && strncmp(w, "BOOT_IMAGE=", 11) != 0 &&
			 !is_old_resume(w, word))
			wrote = snprintf(buf + n, size - n, "%s%.*s",
				n ? " " : "", (int)word, w);
		else
			wrote = 0;
		n += wrote > 0 ? (size_t)wrote : 0;
		line += blank + word;
	}
}

static void set_boot(json_t *wish, const json_t *facts, const char *root)
{
	char line[KERNEL_LINE];
	json_t *boot = json_object();

	boot_line(facts_text(facts, "boot.default.command_line"), root, line,
		sizeof(line));
	/* Without its initramfs it would not find the root. */
	if (facts_text(facts, "boot.default.initramfs")[0] ||
		has_no_initramfs(facts))
		set_text(boot, "kernel",
			facts_text(facts, "boot.default.kernel"));
	set_text(
		boot, "initramfs", facts_text(facts, "boot.default.initramfs"));
	set_text(boot, "command_line", line);
	if (json_is_true(facts_at(facts, "boot.default.secret")))
		(void)json_object_set_new(boot, "secret", json_true());
	(void)json_object_set_new(wish, "boot", boot);
}

static bool add_mount(json_t *list, const json_t *facts, const char *disk,
	const char *point, const json_t *f)
{
	const json_t *d = facts_named(json_object_get(facts, "disks"), disk);
	json_t *o;

	if (!d)
		return false;
	o = json_object();
	set_text(o, "mount", point);
	set_text(o, "type", f ? facts_text(f, "type") : "vfat");
	set_text(o, "device", facts_text(d, "path"));
	set_text(o, "subvolume", facts_text(f, "subvolume"));
	set_text(o, "folder", facts_text(f, "folder"));
	(void)json_array_append_new(list, o);
	return true;
}

/* Where an EFI system partition belongs that is not mounted, or by autofs when
 * someone looks. */
static const char *esp_point(const json_t *facts, const char *disk)
{
	const char *point = facts_text(facts, "boot.esp.mount");
	const json_t *line;
	size_t i;

	json_array_foreach(json_object_get(facts, "fstab"), i, line)
	{
		if (!point[0] && strcmp(facts_text(line, "disk"), disk) == 0)
			point = facts_text(line, "mount");
	}
	return strcmp(point, "/efi") == 0 || strcmp(point, "/boot") == 0
		       ? point
		       : "/boot/efi";
}

/* What has to be mounted to get at the system's files: the root and what it
 * boots from. */
static json_t *mounts(const json_t *facts)
{
	static const char *const wanted[] = {
		"/", "/boot", "/boot/efi", "/efi", "/usr", "/var", "/etc"};
	const char *esp = facts_text(facts, "boot.esp.disk");
	json_t *list = json_array();

	for (size_t k = 0; k < ARRAY_LEN(wanted); k++) {
		bool found = false;
		const json_t *f;
		size_t i;

		json_array_foreach(json_object_get(facts, "filesystems"), i, f)
		{
			if (!found &&
				strcmp(facts_text(f, "mount"), wanted[k]) == 0)
				found = add_mount(list, facts,
					facts_text(f, "disk"), wanted[k], f);
		}
		if (!found && esp[0] && !mount_of(facts, esp) &&
			strcmp(esp_point(facts, esp), wanted[k]) == 0)
			(void)add_mount(list, facts, esp, wanted[k], NULL);
	}
	return list;
}

/* What has the room of a disk that is larger. plan_check found it all. */
static void set_grow(json_t *wish, const struct plan *p, const json_t *source)
{
	json_t *list = json_array();
	uint32_t index = 0;

	for (uint32_t i = 0; i < p->n_disks; i++) {
		const struct plan_disk *d = &p->disks[i];
		const json_t *disk = plan_find_disk(source, d->id, d->name);
		CLEANUP_FREE char *why = NULL;
		struct plan_grow g;
		size_t n;
		FILE *f;

		if (d->exclude)
			continue;
		f = d->grow ? open_memstream(&why, &n) : NULL;
		if (f && plan_grow_find(source, disk, d->grow, &g, f) == 0)
			(void)json_array_append_new(
				list, plan_grow_wish(&g, index));
		if (f)
			(void)fclose(f);
		index++;
	}
	(void)json_object_set_new(wish, "grow", list);
}

int machine_wish_kernel(
	json_t *wish, const json_t *source, const json_t *target)
{
	json_t *kernel = json_object();
	const json_t *k = facts_kernel(source);
	char root[512];

	if (!kernel)
		return -ENOMEM;
	root_name(source, root, sizeof(root));
	set_text(wish, "root", root);
	set_text(kernel, "release", facts_text(k, "release"));
	if (has_no_initramfs(source))
		(void)json_object_set_new(kernel, "initramfs", json_null());
	else
		set_text(kernel, "initramfs", facts_text(k, "initramfs"));
	set_drivers(wish, kernel, source, target);
	(void)json_object_set_new(wish, "kernel", kernel);
	set_boot(wish, source, root);
	return 0;
}

json_t *machine_wish(const struct plan *p, const json_t *source,
	const json_t *target, const char *name)
{
	json_t *wish = json_object(), *fixups = json_object();
	uint8_t random[16];
	char hex[33];

	if (!wish || !fixups || machine_wish_kernel(wish, source, target) < 0)
		goto failed;
	io_random(random, sizeof(random));
	parse_hex(random, sizeof(random), hex);
	set_text(wish, "name", name);
	set_text(wish, "id", hex);
	set_text(wish, "identity", p->new_identity ? "new" : "keep");
	set_text(wish, "hostname", p->hostname ? p->hostname : "");
	set_text(wish, "old_hostname", facts_text(source, "system.hostname"));
	set_text(wish, "firmware", facts_text(target, "system.firmware.mode"));
	for (unsigned i = 0; i < PLAN_FIXUPS; i++)
		(void)json_object_set_new(fixups, plan_fixup_names[i],
			json_boolean(p->fixups[i]));
	(void)json_object_set_new(wish, "fixups", fixups);
	(void)json_object_set_new(wish, "filesystems", devices(p, source));
	(void)json_object_set_new(wish, "nics", nics(p, source));
	(void)json_object_set_new(wish, "mounts", mounts(source));
	set_grow(wish, p, source);
	return wish;
failed:
	json_decref(wish);
	json_decref(fixups);
	return NULL;
}
