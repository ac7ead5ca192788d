/* SPDX-License-Identifier: Apache-2.0 */
/* The host's name: kept whatever the new provider says, or a new one. */
#include "fixup/unit.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HOSTNAME_FILE "/etc/hostname"
#define SYSCONFIG_FILE "/etc/sysconfig/network"

struct names {
	const char *from, *to;
};

/* The file may have comments (systemd) above the name. */
static int rewrite_hostname(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	const char *name = arg;
	struct edit_line l;
	bool done = false;

	while (edit_next(&text, &l)) {
		size_t at = 0, from, n = edit_word(l.text, &at, &from);

		if (l.huge || n == 0 || l.text[from] == '#' || done) {
			edit_pass(out, &l);
			continue;
		}
		done = true;
		if (edit_is_word(l.text, from, n, name)) {
			edit_pass(out, &l);
			continue;
		}
		edit_say(out, "%.64s is called %s", l.text + from, name);
		edit_splice(out, &l, from, n, name);
	}
	if (!done) {
		edit_put(out, "%s\n", name);
		edit_say(out, "it is called %s", name);
	}
	return 0;
}

static int rewrite_sysconfig(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	const char *name = arg;
	struct edit_line l;
	struct edit_pair p;

	while (edit_next(&text, &l)) {
		if (!edit_pair(l.text, &p) ||
			!edit_is_key(l.text, &p, "HOSTNAME") ||
			edit_is_word(l.text, p.value, p.value_n, name)) {
			edit_pass(out, &l);
			continue;
		}
		edit_splice(out, &l, p.value, p.value_n, name);
		edit_say(out, "HOSTNAME is %s", name);
	}
	return 0;
}

/* Whether the name begins here, and nothing but a domain belongs to it. */
static bool is_name_at(const char *text, size_t at, const char *name)
{
	size_t n = strlen(name);
	char before = at > 0 ? text[at - 1] : ' ', after;

	if (strncmp(text + at, name, n) != 0)
		return false;
	after = text[at + n];
	return (before == ' ' || before == '\t') &&
	       (after == '\0' || after == ' ' || after == '\t' ||
		       (after == '.' && !strchr(name, '.')));
}

static int rewrite_hosts(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	const struct names *names = arg;
	struct edit_line l;
	bool said = false;

	while (edit_next(&text, &l)) {
		size_t from = 0;

		for (size_t i = 0; !l.huge && l.text[i] && l.text[i] != '#';
			i++) {
			if (!is_name_at(l.text, i, names->from))
				continue;
			edit_add(out, l.raw + from, i - from);
			edit_text(out, names->to);
			i += strlen(names->from) - 1;
			from = i + 1;
			if (!said)
				edit_say(out, "%s is named %s", names->from,
					names->to);
			said = true;
		}
		edit_add(out, l.raw + from, l.n - from);
	}
	return 0;
}

/* cloud-init would give it the name that its provider tells. */
static int keep_from_cloud_init(struct unit *u)
{
	if (!tree_is_folder(u->tree, "/etc/cloud/cloud.cfg.d") ||
		tree_is_there(u->tree, "/etc/cloud/cloud-init.disabled") ||
		unit_wants(u, "cloud"))
		return 0;
	return unit_put(u, "/etc/cloud/cloud.cfg.d/99-rehost-hostname.cfg",
		"# " UNIT_MADE_BY "\npreserve_hostname: true\n", 0644,
		"cloud-init leaves the host's name alone");
}

int unit_hostname(struct unit *u)
{
	const char *name = unit_text(u->wish, "hostname");
	struct names names = {unit_text(u->wish, "old_hostname"), name};
	char line[512];
	int r;

	if (!name[0])
		return keep_from_cloud_init(u);
	r = unit_rewrite_if(u, SYSCONFIG_FILE, rewrite_sysconfig, (void *)name);
	if (r == 0)
		r = unit_rewrite(
			u, HOSTNAME_FILE, rewrite_hostname, (void *)name);
	if (r == -ENOENT) {
		(void)snprintf(line, sizeof(line), "%s\n", name);
		/* Before systemd, sysconfig alone had it. */
		r = unit_systemd(u)[0] || !tree_is_file(u->tree, SYSCONFIG_FILE)
			    ? unit_put(u, HOSTNAME_FILE, line, 0644,
				      "the host's name is set")
			    : 0;
	}
	if (r == 0 && tree_is_file(u->tree, "/etc/HOSTNAME"))
		r = unit_rewrite_if(
			u, "/etc/HOSTNAME", rewrite_hostname, (void *)name);
	if (r == 0 && names.from[0] && strcmp(names.from, name) != 0)
		r = unit_rewrite_if(u, "/etc/hosts", rewrite_hosts, &names);
	return r < 0 ? r : keep_from_cloud_init(u);
}
