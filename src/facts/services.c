/* SPDX-License-Identifier: Apache-2.0 */
/* Services that are enabled (systemd, System V, OpenRC: all by links) and that
 * run (their control groups, or what the init keeps in /run). */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "facts/gather.h"

#define SERVICES_MAX 4096
/* Folders below a service's control group in which a process is looked for. */
#define GROUPS_MAX 64

struct services {
	struct gather *g;
	json_t *list, *by_name;
	bool too_many;
};

/* ---- the list ---- */

/* The service of this name, a new one when it is not there yet; NULL when
 * there can be none. The list owns it. */
static json_t *service(struct services *s, const char *name, const char *kind)
{
	json_t *text = gather_string(s->g, name, strlen(name)), *o;
	const char *key = json_string_value(text);

	o = key ? json_object_get(s->by_name, key) : NULL;
	if (!o && json_object_size(s->by_name) >= SERVICES_MAX) {
		if (!s->too_many)
			gather_missing(s->g, "services",
				"there are more than %d", SERVICES_MAX);
		s->too_many = true;
	} else if (!o && key) {
		o = gather_object(s->g);
		gather_set(s->g, o, "name", name);
		gather_set(s->g, o, "kind", kind);
		gather_set_bool(s->g, o, "enabled", false);
		gather_set_json(s->g, s->by_name, key, o);
		o = json_object_get(s->by_name, key);
		gather_add(s->g, s->list, json_incref(o));
	}
	json_decref(text);
	return o;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n > k && strcmp(s + n - k, end) == 0;
}

/* ---- systemd ---- */

static bool is_unit(const char *name)
{
	static const char *const kinds[] = {".service", ".socket", ".timer",
		".path", ".mount", ".automount", ".swap"};

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (ends_with(name, kinds[i]))
			return true;
	return false;
}

static void add_wanted(
	struct gather *g, const char *path, const char *name, void *arg)
{
	if (is_unit(name))
		gather_set_bool(
			g, service(arg, name, "systemd"), "enabled", true);
}

static void add_wants(
	struct gather *g, const char *path, const char *name, void *arg)
{
	char folder[512];

	if (!ends_with(name, ".wants") && !ends_with(name, ".requires"))
		return;
	(void)snprintf(folder, sizeof(folder), "%s/%s", path, name);
	gather_each(g, folder, add_wanted, arg);
}

struct group {
	uint64_t pid;
	unsigned looked;
};

static bool first_process(struct gather *g, const char *folder, uint64_t *ret)
{
	char path[1100];

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	return gather_number(g, path, ret) && *ret > 0;
}

static void look_below(
	struct gather *g, const char *path, const char *name, void *arg)
{
	struct group *group = arg;
	char folder[1024];
	uint64_t pid;

	/* Attributes have a dot behind their controller. */
	if (group->pid || group->looked >= GROUPS_MAX ||
		strncmp(name, "cgroup.", 7) == 0 ||
		strncmp(name, "cpu.", 4) == 0 || strncmp(name, "io.", 3) == 0 ||
		strncmp(name, "memory.", 7) == 0 ||
		strncmp(name, "pids.", 5) == 0)
		return;
	group->looked++;
	(void)snprintf(folder, sizeof(folder), "%s/%s", path, name);
	if (first_process(g, folder, &pid))
		group->pid = pid;
}

/* Version 2 tells whether there is a process in a group or below it. */
static bool is_populated(struct gather *g, const char *folder)
{
	char path[1100];
	CLEANUP_FREE char *text = NULL;

	(void)snprintf(path, sizeof(path), "%s/cgroup.events", folder);
	return gather_read(g, path, 4096, &text, NULL) < 0 ||
	       strstr(text, "populated 1");
}

static void add_group(
	struct gather *g, const char *path, const char *name, void *arg);

static void add_slice(
	struct gather *g, const char *path, const char *name, void *arg)
{
	/* Those of templates: system-getty.slice; none lies deeper. */
	if (ends_with(name, ".service"))
		add_group(g, path, name, arg);
}

static void add_group(
	struct gather *g, const char *path, const char *name, void *arg)
{
	struct services *s = arg;
	struct group group = {0};
	char folder[1024];
	json_t *o;

	(void)snprintf(folder, sizeof(folder), "%s/%s", path, name);
	if (ends_with(name, ".slice")) {
		gather_each(g, folder, add_slice, arg);
		return;
	}
	if (!ends_with(name, ".service") || !is_populated(g, folder))
		return;
	/* Services with groups of their own have no process in the outer. */
	if (!first_process(g, folder, &group.pid)) {
		group.pid = 0;
		gather_each(g, folder, look_below, &group);
	}
	if (group.pid == 0)
		return;
	o = service(s, name, "systemd");
	gather_set_bool(g, o, "running", true);
	gather_set_number(g, o, "pid", group.pid);
}

/* What has no group does not run. */
static void set_stopped(struct services *s)
{
	json_t *o;
	size_t i;

	json_array_foreach(s->list, i, o)
	{
		const char *name =
			json_string_value(json_object_get(o, "name"));

		if (name && ends_with(name, ".service") &&
			!json_object_get(o, "running"))
			gather_set_bool(s->g, o, "running", false);
	}
}

static void find_systemd(struct services *s)
{
	static const char *const groups[] = {"/sys/fs/cgroup/system.slice",
		"/sys/fs/cgroup/unified/system.slice",
		"/sys/fs/cgroup/systemd/system.slice"};

	gather_each(s->g, "/etc/systemd/system", add_wants, s);
	for (unsigned i = 0; i < ARRAY_LEN(groups); i++) {
		if (!gather_exists(s->g, groups[i], O_DIRECTORY))
			continue;
		gather_each(s->g, groups[i], add_group, s);
		set_stopped(s);
		return;
	}
}

/* ---- System V ---- */

static bool has_unit(struct gather *g, const char *name)
{
	static const char *const folders[] = {"/etc/systemd/system",
		"/lib/systemd/system", "/usr/lib/systemd/system"};
	char path[512], to[16];

	for (unsigned i = 0; i < ARRAY_LEN(folders); i++) {
		(void)snprintf(
			path, sizeof(path), "%s/%s.service", folders[i], name);
		if (gather_exists(g, path, O_RDONLY) ||
			*gather_link(g, path, to, sizeof(to)))
			return true;
	}
	return false;
}

/* By the file in which scripts keep the number of what they started. */
static void set_by_pid_file(struct gather *g, json_t *o, const char *name)
{
	char path[512];
	uint64_t pid;

	(void)snprintf(path, sizeof(path), "/run/%s.pid", name);
	if (!gather_number(g, path, &pid) || pid == 0)
		return;
	(void)snprintf(
		path, sizeof(path), "/proc/%llu", (unsigned long long)pid);
	if (!gather_exists(g, path, O_DIRECTORY))
		return;
	gather_set_bool(g, o, "running", true);
	gather_set_number(g, o, "pid", pid);
}

static void add_script(
	struct gather *g, const char *path, const char *name, void *arg)
{
	struct services *s = arg;
	json_t *o;

	/* S20nginx */
	if (name[0] != 'S' || strlen(name) < 4 ||
		strspn(name + 1, "0123456789") < 2)
		return;
	name += 3;
	/* systemd starts a script alone when it has no unit for it. */
	if (has_unit(g, name))
		return;
	o = service(s, name, "sysv");
	if (o && json_is_true(json_object_get(o, "enabled")))
		return;
	gather_set_bool(g, o, "enabled", true);
	set_by_pid_file(g, o, name);
}

static void find_sysv(struct services *s)
{
	static const char *const bases[] = {"/etc", "/etc/rc.d"};
	CLEANUP_FREE char *text = NULL;
	char level = '\0', *rest, *line, path[64];

	/* id:2:initdefault: */
	if (gather_read(s->g, "/etc/inittab", GATHER_TEXT_MAX, &text, NULL) ==
		0) {
		rest = text;
		while ((line = gather_next_line(&rest))) {
			char *at = strstr(line, ":initdefault:");

			if (*line != '#' && at && at > line && at[-1] >= '2' &&
				at[-1] <= '5')
				level = at[-1];
		}
	}
	for (unsigned i = 0; i < ARRAY_LEN(bases); i++)
		for (char l = '2'; l <= '5'; l++) {
			if (level && level != l)
				continue;
			(void)snprintf(
				path, sizeof(path), "%s/rc%c.d", bases[i], l);
			gather_each(s->g, path, add_script, s);
		}
}

/* ---- OpenRC ---- */

static void add_runlevel_service(
	struct gather *g, const char *path, const char *name, void *arg)
{
	json_t *o = service(arg, name, "openrc");
	char started[512], to[16];

	gather_set_bool(g, o, "enabled", true);
	if (!gather_exists(g, "/run/openrc/started", O_DIRECTORY))
		return;
	(void)snprintf(
		started, sizeof(started), "/run/openrc/started/%s", name);
	gather_set_bool(g, o, "running",
		gather_exists(g, started, O_RDONLY) ||
			*gather_link(g, started, to, sizeof(to)));
	set_by_pid_file(g, o, name);
}

static void add_runlevel(
	struct gather *g, const char *path, const char *name, void *arg)
{
	char folder[512];

	if (strcmp(name, "shutdown") == 0)
		return;
	(void)snprintf(folder, sizeof(folder), "%s/%s", path, name);
	gather_each(g, folder, add_runlevel_service, arg);
}

void gather_services(struct gather *g)
{
	struct services s = {
		.g = g, .list = gather_list(g), .by_name = gather_object(g)};

	find_systemd(&s);
	find_sysv(&s);
	gather_each(g, "/etc/runlevels", add_runlevel, &s);
	json_decref(s.by_name);
	gather_set_json(g, g->top, "services", s.list);
}
