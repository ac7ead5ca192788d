/* SPDX-License-Identifier: Apache-2.0 */
#include "move/preflight_checks.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define TEXT_MAX 1024
/* Longest text that can be a name. */
#define NAME_LENGTH 256
/* Findings of one check: a person reads no more. */
#define FOUND_MAX 16

/* A check that needs the target is left out where there is none; others than
 * those of a takeover where there is nothing else. */
static const struct {
	const char *name;
	preflight_check *check;
	bool needs_target, takeover;
} checks[] = {
	{"no-root", preflight_no_root, false, true},
	{"not-known", preflight_not_known, false, true},
	{"same-machine", preflight_same_machine, true},
	{"architecture", preflight_architecture, true},
	{"container", preflight_container, false, true},
	{"too-little-memory", preflight_memory, true, true},
	{"kexec-forbidden", preflight_kexec, true, true},
	{"takeover-network", preflight_takeover_network, true, true},
	{"takeover-disk", preflight_takeover_disk, true, true},
	{"takeover-login", preflight_takeover_login, true, true},
	{"clock-off", preflight_clock, false},
	{"databases-running", preflight_databases, false},
	{"old-kernel", preflight_old_kernel, false},
	{"network-disk", preflight_network_disk, false},

	{"boot-mode-mismatch", preflight_boot_mode, true},
	{"no-boot-loader", preflight_boot_loader, false},
	{"no-efi-fallback", preflight_efi_fallback, false},
	{"secure-boot", preflight_secure_boot, true, true},
	{"no-room", preflight_room, true},
	{"unstable-root-name", preflight_root_name, false},
	{"unstable-name", preflight_unstable_names, false},

	{"no-storage-driver", preflight_storage_driver, true},
	{"no-network-driver", preflight_network_driver, true},
	{"drivers-unknown", preflight_drivers_unknown, true},
	{"cloud-kernel", preflight_cloud_kernel, false},
	{"modules-gone", preflight_modules_gone, false},

	{"no-source-disk", preflight_source_disk, false},
	{"too-many-disks", preflight_many_disks, false},
	{"no-target-disk", preflight_disk_missing, true},
	{"target-disk-too-small", preflight_disk_small, true},
	{"target-disk-unfit", preflight_disk_unfit, true},
	{"target-disk-ambiguous", preflight_disk_ambiguous, true},
	{"target-disk-in-use", preflight_disk_in_use, true},
	{"target-disk-not-empty", preflight_disk_not_empty, true},
	{"sector-size", preflight_sector_size, true},

	{"unsupported-part", preflight_unsupported, false},
	{"degraded-array", preflight_degraded, false},

	{"network-address", preflight_address, true},
	{"dynamic-address", preflight_dynamic_address, false},
	{"fewer-interfaces", preflight_fewer_interfaces, true},
	{"interface-name", preflight_interface_name, true},
	{"cloud-init", preflight_cloud_init, false},
	{"link-too-slow", preflight_link, false},
};

const char *preflight_name(unsigned i)
{
	return i < ARRAY_LEN(checks) ? checks[i].name : NULL;
}

/* ---- findings ---- */

/* Formatting may have cut a character, in the middle too: what is left of it is
 * left out. */
static json_t *clean(struct preflight *p, const char *text)
{
	char out[TEXT_MAX];
	size_t k = 0, n;
	json_t *j;

	for (; *text && k + 4 < sizeof(out); text += n > 0 ? n : 1) {
		uint32_t c;

		n = text_character(text, strnlen(text, 4), &c);
		if (n > 0 && text_is_hidden(c)) {
			out[k++] = '?';
		} else {
			memcpy(out + k, text, n);
			k += n;
		}
	}
	j = json_stringn(out, k);
	if (!j)
		p->oom = true;
	return j;
}

static void set(struct preflight *p, json_t *o, const char *key, json_t *value)
{
	if (json_object_set_new(o, key, value) < 0)
		p->oom = true;
}

void preflight_find(struct preflight *p, enum preflight_severity severity,
	enum preflight_host host, const char *fact, ...)
{
	static const char *const names[] = {"blocks", "warns", "notes"};
	char text[TEXT_MAX];
	va_list ap;
	json_t *f;

	p->last = NULL;
	if (p->n_found++ >= FOUND_MAX)
		return;
	va_start(ap, fact);
	(void)vsnprintf(text, sizeof(text), fact, ap);
	va_end(ap);
	f = json_object();
	if (!f || json_array_append(p->found[severity], f) < 0) {
		json_decref(f);
		p->oom = true;
		return;
	}
	set(p, f, "name", json_string(p->name));
	set(p, f, "severity", json_string(names[severity]));
	set(p, f, "host", json_string(preflight_host_name(host)));
	set(p, f, "fact", clean(p, text));
	json_decref(f);
	p->last = f;
}

void preflight_remedy(struct preflight *p, const char *remedy, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	if (!p->last)
		return;
	va_start(ap, remedy);
	(void)vsnprintf(text, sizeof(text), remedy, ap);
	va_end(ap);
	set(p, p->last, "remedy", clean(p, text));
}

/* ---- facts ---- */

const json_t *preflight_facts(
	const struct preflight *p, enum preflight_host host)
{
	return host == SOURCE ? p->source : p->target;
}

const char *preflight_host_name(enum preflight_host host)
{
	return host == SOURCE ? "source" : "target";
}

const char *preflight_text(const json_t *j, const char *path)
{
	const char *s = facts_text(j, path);

	return strnlen(s, NAME_LENGTH + 1) > NAME_LENGTH ? "" : s;
}

bool preflight_is(const json_t *j, const char *path, const char *text)
{
	return strcmp(facts_text(j, path), text) == 0;
}

bool preflight_number(const json_t *j, const char *path, uint64_t *ret)
{
	const json_t *n = facts_at(j, path);

	if (!json_is_integer(n) || json_integer_value(n) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(n);
	return true;
}

bool preflight_true(const json_t *j, const char *path)
{
	return json_is_true(facts_at(j, path));
}

bool preflight_false(const json_t *j, const char *path)
{
	return json_is_false(facts_at(j, path));
}

bool preflight_has(const json_t *list, const char *text, size_t max)
{
	const json_t *j;
	size_t i;

	for (i = 0; i < max && (j = json_array_get(list, i)); i++) {
		const char *s = json_string_value(j);

		if (s && strcmp(s, text) == 0)
			return true;
	}
	return false;
}

const json_t *preflight_with(
	const json_t *list, const char *key, const char *text)
{
	const json_t *o;
	size_t i;

	preflight_each(list, i, o)
	{
		const char *s = json_string_value(json_object_get(o, key));

		if (s && strcmp(s, text) == 0)
			return o;
	}
	return NULL;
}

const char *preflight_disk_text(const json_t *disk, char *buf, size_t size)
{
	const char *path = preflight_text(disk, "path");
	const char *id = preflight_text(disk, "id");

	if (!path[0])
		path = preflight_text(disk, "name");
	(void)snprintf(buf, size, id[0] ? "%s (%s)" : "%s%s",
		path[0] ? path : "a disk", id);
	return buf;
}

const char *preflight_size_text(uint64_t bytes, char buf[24])
{
	static const char *const units[] = {
		"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes;
	size_t i = 0;

	for (; v >= 1024 && i + 1 < ARRAY_LEN(units); i++)
		v /= 1024;
	(void)snprintf(buf, 24, i == 0 ? "%.0f %s" : "%.1f %s", v, units[i]);
	return buf;
}

/* ---- all of it ---- */

static int run(struct preflight *p, bool all, json_t **ret_findings)
{
	for (unsigned i = 0; i < SEVERITIES; i++) {
		p->found[i] = json_array();
		p->oom = p->oom || !p->found[i];
	}
	if (all) {
		preflight_map(p);
		preflight_drive(p);
	}
	for (size_t i = 0; i < ARRAY_LEN(checks) && !p->oom; i++) {
		if ((checks[i].needs_target && !p->target) ||
			(!all && !checks[i].takeover))
			continue;
		p->name = checks[i].name;
		p->n_found = 0;
		p->last = NULL;
		checks[i].check(p);
	}
	for (unsigned i = 1; i < SEVERITIES; i++) {
		if (!p->oom && json_array_extend(p->found[0], p->found[i]) < 0)
			p->oom = true;
		json_decref(p->found[i]);
	}
	json_decref(p->disks[SOURCE]);
	json_decref(p->disks[TARGET]);
	if (p->oom) {
		json_decref(p->found[0]);
		return -ENOMEM;
	}
	*ret_findings = p->found[0];
	return 0;
}

int preflight(const json_t *source, const json_t *target,
	const struct preflight_wish *wish, json_t **ret_findings)
{
	static const struct preflight_wish none;
	struct preflight p = {.source = source,
		.target = target,
		.wish = wish ? wish : &none};

	return run(&p, true, ret_findings);
}

int preflight_takeover(const json_t *target, const struct takeover_reach *reach,
	const struct preflight_login *login, json_t **ret_findings)
{
	struct preflight_wish wish = {
		.takeover = true, .reach = reach, .login = login};
	struct preflight p = {.target = target, .wish = &wish};

	return run(&p, false, ret_findings);
}
