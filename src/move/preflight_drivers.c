/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the kernel that the source boots drives the target's hardware. */
#include "move/preflight_checks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static enum preflight_driven place(const char *in)
{
	return strcmp(in, "builtin") == 0 || strcmp(in, "initramfs") == 0
		       ? AT_BOOT
	       : strcmp(in, "modules") == 0 ? IN_MODULES
	       : strcmp(in, "none") == 0    ? NO_DRIVER
					    : DRIVER_UNKNOWN;
}

static enum preflight_driven driven(const struct preflight *p,
	const json_t *device, const char **ret_module)
{
	const json_t *kernel = facts_kernel(p->source), *d;
	const char *module = preflight_text(device, "module");

	d = preflight_with(facts_at(p->source, "drivers"), "modalias",
		facts_text(device, "modalias"));
	*ret_module = d ? preflight_text(d, "module") : module;
	if (d)
		return place(preflight_text(d, "in"));
	/* The source was not asked. What the target itself uses for it may be
	 * seen on the source; that it is not seen says nothing. */
	return module[0] && (preflight_has(facts_at(kernel, "builtin"), module,
				     PREFLIGHT_MODULES_MAX) ||
				    preflight_has(facts_at(kernel,
							  "initramfs_modules"),
					    module, PREFLIGHT_MODULES_MAX))
		       ? AT_BOOT
		       : DRIVER_UNKNOWN;
}

static bool knows_disk_path(const struct preflight *p)
{
	for (unsigned k = 0; k < p->n_pairs; k++)
		if (json_array_size(
			    facts_at(p->pairs[k].target, "driver_path")) > 0)
			return true;
	return false;
}

enum way { NOT_ON, UNSURE, ON };

/* Whether a device stands on the way to a disk that is written; it may where
 * the ways are not known. */
static enum way way_to_disk(const struct preflight *p, const char *address)
{
	for (unsigned k = 0; k < p->n_pairs; k++)
		if (preflight_has(facts_at(p->pairs[k].target, "driver_path"),
			    address, PREFLIGHT_PATH_MAX))
			return ON;
	return knows_disk_path(p) ? NOT_ON : UNSURE;
}

/* The same for an interface; one without a cable decides nothing. */
static enum way way_to_network(const struct preflight *p, const char *address)
{
	const json_t *list = facts_at(p->target, "network.interfaces"), *o;
	bool known = false;
	size_t i;

	preflight_each(list, i, o)
	{
		const json_t *path = facts_at(o, "driver_path");

		known = known || json_array_size(path) > 0;
		if (preflight_has(path, address, PREFLIGHT_PATH_MAX))
			return preflight_false(o, "carrier") ? NOT_ON : ON;
	}
	return known ? NOT_ON : UNSURE;
}

/* What others hang on, as USB's and SD cards' hosts: with a driver, and no
 * bridge, which does without. */
static bool carries_others(const json_t *d)
{
	return preflight_is(d, "kind", "other") &&
	       preflight_text(d, "driver")[0] &&
	       strncmp(preflight_text(d, "class"), "0x06", 4) != 0;
}

/* Whether the moved system needs it, and what for. */
static bool is_needed(
	const struct preflight *p, const json_t *d, bool *ret_storage)
{
	const char *address = preflight_text(d, "address");

	if (preflight_is(d, "kind", "storage")) {
		*ret_storage = true;
		return way_to_disk(p, address) != NOT_ON;
	}
	if (preflight_is(d, "kind", "network")) {
		*ret_storage = false;
		return way_to_network(p, address) != NOT_ON;
	}
	if (!carries_others(d))
		return false;
	*ret_storage = way_to_disk(p, address) == ON;
	return *ret_storage || way_to_network(p, address) == ON;
}

void preflight_drive(struct preflight *p)
{
	const json_t *list = facts_at(p->target, "devices"), *d;
	size_t i;

	preflight_each(list, i, d)
	{
		struct preflight_device *to = &p->devices[p->n_devices];
		bool storage;

		if (!is_needed(p, d, &storage))
			continue;
		if (p->n_devices == PREFLIGHT_DEVICES_MAX) {
			p->n_unseen++;
			continue;
		}
		to->device = d;
		to->storage = storage;
		to->driven = driven(p, d, &to->module);
		p->n_devices++;
	}
}

/* Whether another device of the kind is driven: then the machine has at least
 * one disk or network. */
static bool any_driven(const struct preflight *p, bool storage)
{
	for (unsigned i = 0; i < p->n_devices; i++)
		if (preflight_is(p->devices[i].device, "kind",
			    storage ? "storage" : "network") &&
			p->devices[i].driven >= IN_MODULES)
			return true;
	return false;
}

/* "storage controller", or what such hang on. */
static const char *what(const json_t *d)
{
	return preflight_is(d, "kind", "storage")   ? "storage controller"
	       : preflight_is(d, "kind", "network") ? "network controller"
						    : "controller";
}

static void say_undriven(struct preflight *p, const json_t *d, bool blocks)
{
	const char *driver = preflight_text(d, "driver");
	const json_t *kernel = facts_kernel(p->source);

	preflight_find(p, blocks ? BLOCKS : WARNS, TARGET,
		"nothing in the source's kernel %s drives its %s %s (%s%s%s)",
		preflight_text(kernel, "release"), what(d),
		preflight_text(d, "address"), preflight_text(d, "modalias"),
		driver[0] ? "; there it is " : "", driver);
	preflight_remedy(p, "install a kernel with that driver on the source, "
			    "make it the default and run inspect again, or "
			    "give the target another controller (virtio)");
}

static void say_rebuild(
	struct preflight *p, const json_t *d, const char *module)
{
	const json_t *kernel = facts_kernel(p->source);
	bool read = json_is_array(facts_at(kernel, "initramfs_modules"));
	bool none = !preflight_text(kernel, "initramfs")[0];

	preflight_find(p, WARNS, TARGET,
		"its %s %s (%s) takes the module %s, which the source has, %s",
		what(d), preflight_text(d, "address"),
		preflight_text(d, "modalias"), module,
		read   ? "but not in its initramfs"
		: none ? "but it boots without an initramfs"
		       : "but nobody could see whether it is in its "
			 "initramfs");
	preflight_remedy(p,
		"the initramfs must be made with it: add %s to "
		"/etc/initramfs-tools/modules and run update-initramfs -u, or "
		"dracut --force --add-drivers %s, or make it for all hardware",
		module, module);
}

void preflight_storage_driver(struct preflight *p)
{
	/* Without the way to the disk one cannot tell which of them counts. */
	bool sure = knows_disk_path(p) || !any_driven(p, true);

	for (unsigned i = 0; i < p->n_devices; i++) {
		const struct preflight_device *d = &p->devices[i];

		if (d->storage && d->driven == NO_DRIVER)
			say_undriven(p, d->device, sure);
		else if (d->storage && d->driven == IN_MODULES)
			say_rebuild(p, d->device, d->module);
	}
}

void preflight_network_driver(struct preflight *p)
{
	bool sure = !any_driven(p, false);

	/* Modules are there once root is: the initramfs does not count. */
	for (unsigned i = 0; i < p->n_devices; i++)
		if (!p->devices[i].storage && p->devices[i].driven == NO_DRIVER)
			say_undriven(p, p->devices[i].device, sure);
}

void preflight_drivers_unknown(struct preflight *p)
{
	unsigned n = p->n_unseen;

	for (unsigned i = 0; i < p->n_devices; i++)
		n += p->devices[i].driven == DRIVER_UNKNOWN ? 1 : 0;
	/* Machines have some controller. */
	if (n > 0)
		preflight_find(p, NOTES, SOURCE,
			"whether its kernel drives %u of the target's "
			"controllers is not known",
			n);
	else if (json_array_size(facts_at(p->target, "devices")) == 0)
		preflight_find(
			p, NOTES, TARGET, "its controllers are not known");
	preflight_remedy(p, "see \"missing\" in the facts of both; try a boot "
			    "of the target before the cutover");
}

/* Adds the addresses on the ways to these disks or interfaces. */
static int add_ways(const json_t *list, json_t *to)
{
	const json_t *o, *a;
	size_t i, k;

	preflight_each(list, i, o)
	{
		const json_t *path = facts_at(o, "driver_path");

		for (k = 0;
			k < PREFLIGHT_PATH_MAX && (a = json_array_get(path, k));
			k++)
			if (json_object_set_new(
				    to, preflight_text(a, ""), json_true()) < 0)
				return -ENOMEM;
	}
	return 0;
}

int preflight_modaliases(const json_t *target, const char ***ret)
{
	const json_t *list = facts_at(target, "devices"), *d;
	const char **v = calloc(PREFLIGHT_DEVICES_MAX + 1, sizeof(*v));
	json_t *ways = json_object();
	size_t i, n = 0;

	if (!v || add_ways(facts_at(target, "disks"), ways) < 0 ||
		add_ways(facts_at(target, "network.interfaces"), ways) < 0) {
		json_decref(ways);
		free(v);
		return -ENOMEM;
	}
	preflight_each(list, i, d)
	{
		const char *modalias = preflight_text(d, "modalias");
		bool once = true;

		if (!modalias[0] ||
			(!preflight_is(d, "kind", "storage") &&
				!preflight_is(d, "kind", "network") &&
				!(carries_others(d) &&
					json_object_get(ways,
						preflight_text(d, "address")))))
			continue;
		for (size_t k = 0; k < n && once; k++)
			once = strcmp(v[k], modalias) != 0;
		if (once && n < PREFLIGHT_DEVICES_MAX)
			v[n++] = modalias;
	}
	json_decref(ways);
	*ret = v;
	return 0;
}

/* ---- kernels that lack drivers ---- */

/* Kernels made for some clouds only, and what has the rest. */
static const struct {
	const char *distribution, *part, *package;
} small_kernels[] = {
	{"debian", "-cloud-amd64", "linux-image-amd64"},
	{"debian", "-cloud-arm64", "linux-image-arm64"},
	{"ubuntu", "-kvm", "linux-image-generic"},
	{"ubuntu", "-virtual", "linux-image-generic"},
	{"ubuntu", "-aws", "linux-image-generic"},
	{"ubuntu", "-azure", "linux-image-generic"},
	{"ubuntu", "-gcp", "linux-image-generic"},
	{"ubuntu", "-oracle", "linux-image-generic"},
	{"alpine", "-virt", "linux-lts"},
	{"", "-cloud-amd64", "a kernel that is not made for clouds"},
	{"", "-cloud-arm64", "a kernel that is not made for clouds"},
	{"sles", "-azure", "kernel-default"},
	{"opensuse-leap", "-azure", "kernel-default"},
	{"amzn", ".amzn", "a kernel of another distribution"},
};

static const char *missing_package(
	const char *distribution, const char *release)
{
	for (size_t i = 0; i < ARRAY_LEN(small_kernels); i++)
		if (strstr(release, small_kernels[i].part) &&
			(!small_kernels[i].distribution[0] ||
				strcmp(distribution,
					small_kernels[i].distribution) == 0))
			return small_kernels[i].package;
	return NULL;
}

void preflight_cloud_kernel(struct preflight *p)
{
	const char *release =
		preflight_text(facts_kernel(p->source), "release");
	const char *package = missing_package(
		preflight_text(p->source, "system.distribution.id"), release);

	if (!package)
		return;
	if (!p->target) {
		preflight_find(p, NOTES, SOURCE,
			"its kernel %s is made for certain clouds and drives "
			"no other hardware",
			release);
		preflight_remedy(
			p, "for any other target: install %s", package);
		return;
	}
	for (unsigned i = 0; i < p->n_devices; i++) {
		if (p->devices[i].driven != NO_DRIVER)
			continue;
		preflight_find(p, BLOCKS, SOURCE,
			"its kernel %s is made for certain clouds and lacks "
			"the driver for the target's %s",
			release,
			preflight_text(p->devices[i].device, "modalias"));
		preflight_remedy(p,
			"install %s on the source, and remove the "
			"other or make this the default",
			package);
		return;
	}
}

void preflight_modules_gone(struct preflight *p)
{
	if (!preflight_false(p->source, "system.kernel.modules_dir"))
		return;
	preflight_find(p, WARNS, SOURCE,
		"the modules of the kernel that runs, %s, are gone: it was "
		"replaced and not booted since, or its host starts it",
		preflight_text(p->source, "system.kernel.release"));
	preflight_remedy(p, "reboot the source before the move, so that what "
			    "is moved is what boots");
}
