/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of network configuration, and where their files are. What a file
 * says is read in netconfig_parse.c. */
#include "facts/netconfig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "facts/gather.h"

/* Files that are read of one kind. */
#define FILES_MAX 256

struct kind {
	struct gather *g;
	json_t *interfaces; /* of the machine */
	enum netconfig_format format;
	const char *suffix; /* of its files in a folder; "": any */
	json_t *files, *modes;
	bool first_wins; /* else the greatest mode */
	unsigned n_files;
	const char *file; /* that is being read */
	/* Patterns of ifupdown's that still are to be read. */
	char todo[FILES_MAX][512];
	unsigned n_todo;
};

/* ---- interfaces by their names ---- */

static const char *const mode_names[] = {
	[NETCONFIG_MANUAL] = "manual",
	[NETCONFIG_AUTO] = "auto",
	[NETCONFIG_DHCP] = "dhcp",
	[NETCONFIG_STATIC] = "static",
};

static enum netconfig_mode mode_of(const json_t *modes, const char *key)
{
	const char *now = json_string_value(json_object_get(modes, key));

	for (unsigned i = NETCONFIG_MANUAL; now && i < ARRAY_LEN(mode_names);
		i++)
		if (strcmp(now, mode_names[i]) == 0)
			return i;
	return NETCONFIG_NONE;
}

static void set_mode(struct kind *k, const char *name, enum netconfig_mode mode)
{
	json_t *text = gather_string(k->g, name, strlen(name));
	const char *key = json_string_value(text);
	enum netconfig_mode now;

	if (key && strcmp(key, "lo") != 0 && mode != NETCONFIG_NONE) {
		now = mode_of(k->modes, key);
		if ((now == NETCONFIG_NONE &&
			    json_object_size(k->modes) < GATHER_LIST_MAX) ||
			(now != NETCONFIG_NONE && now < mode && !k->first_wins))
			gather_set(k->g, k->modes, key, mode_names[mode]);
	}
	json_decref(text);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static bool has_mac(const json_t *interface, const char *mac)
{
	const char *permanent = text_of(interface, "permanent_mac");

	return strcmp(text_of(interface, "mac"), mac) == 0 ||
	       strcmp(permanent, mac) == 0;
}

/* All interfaces of the machine that fit; false when there is none. */
static bool set_matching(struct kind *k, const char *pattern, const char *mac,
	enum netconfig_mode mode)
{
	bool found = false;
	json_t *i;
	size_t at;

	json_array_foreach(k->interfaces, at, i)
	{
		const char *name = text_of(i, "name");

		if (mac ? !has_mac(i, mac) : !netconfig_matches(pattern, name))
			continue;
		/* "Any" means cards, not what software made. */
		if (!mac && strcmp(pattern, "*") == 0 &&
			strcmp(text_of(i, "kind"), "ethernet") != 0)
			continue;
		set_mode(k, name, mode);
		found = true;
	}
	return found;
}

static void take_entry(void *arg, const struct netconfig_entry *e)
{
	struct kind *k = arg;
	char names[sizeof(e->names)], *rest = names, *word;

	if (e->source[0]) {
		if (k->n_todo < FILES_MAX)
			(void)snprintf(k->todo[k->n_todo++], sizeof(k->todo[0]),
				"%s", e->source);
		return;
	}
	(void)snprintf(names, sizeof(names), "%s", e->names);
	if (!names[0]) {
		const char *mac = e->mac[0] ? e->mac : NULL;

		if (!set_matching(k, "*", mac, e->mode))
			set_mode(k, mac ? mac : "*", e->mode);
		return;
	}
	while ((word = gather_next_word(&rest))) {
		if (strpbrk(word, "*?") && set_matching(k, word, NULL, e->mode))
			continue;
		set_mode(k, word, e->mode);
	}
}

/* ---- files ---- */

static void note_file(struct kind *k, const char *path)
{
	gather_add(k->g, k->files, gather_string(k->g, path, strlen(path)));
}

static void read_file(struct kind *k, const char *path)
{
	CLEANUP_FREE char *text = NULL;

	if (k->n_files == FILES_MAX)
		gather_missing(k->g, "network.configured_by",
			"more than %d files", FILES_MAX);
	if (k->n_files++ >= FILES_MAX)
		return;
	if (gather_read(k->g, path, GATHER_TEXT_MAX, &text, NULL) < 0)
		return;
	note_file(k, path);
	netconfig_parse(k->format, text, take_entry, k);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n >= k && strcmp(s + n - k, end) == 0;
}

static void read_in_folder(
	struct gather *g, const char *path, const char *name, void *arg)
{
	struct kind *k = arg;
	char file[1024];

	if (!ends_with(name, k->suffix) || ends_with(name, "~") ||
		ends_with(name, ".rpmsave") || ends_with(name, ".rpmnew") ||
		ends_with(name, ".bak"))
		return;
	if ((size_t)snprintf(file, sizeof(file), "%s/%s", path, name) <
		sizeof(file))
		read_file(k, file);
}

static void read_folder(struct kind *k, const char *path)
{
	gather_each(k->g, path, read_in_folder, k);
}

/* ---- who is at work ---- */

static bool is_masked(struct gather *g, const char *unit)
{
	char path[256], to[64];

	(void)snprintf(path, sizeof(path), "/etc/systemd/system/%s", unit);
	return strcmp(gather_link(g, path, to, sizeof(to)), "null") == 0;
}

/* Units that the distribution itself wants are enabled by no link in /etc. */
static bool is_running(struct gather *g, const char *unit)
{
	static const char *const groups[] = {"/sys/fs/cgroup/system.slice",
		"/sys/fs/cgroup/systemd/system.slice"};
	char path[256];

	for (unsigned i = 0; i < ARRAY_LEN(groups); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", groups[i], unit);
		if (gather_exists(g, path, O_DIRECTORY))
			return true;
	}
	return false;
}

/* Whether a unit runs, or something wants it at the next start. */
static bool is_enabled(struct gather *g, const char *unit)
{
	static const char *const wants[] = {"multi-user.target.wants",
		"network-online.target.wants", "network.target.wants",
		"sysinit.target.wants", "basic.target.wants",
		"graphical.target.wants", "sockets.target.wants"};
	char path[256], to[256];

	if (is_masked(g, unit))
		return false;
	for (unsigned i = 0; i < ARRAY_LEN(wants); i++) {
		(void)snprintf(path, sizeof(path), "/etc/systemd/system/%s/%s",
			wants[i], unit);
		if (*gather_link(g, path, to, sizeof(to)))
			return true;
	}
	return is_running(g, unit);
}

struct script {
	const char *name;
	bool found;
};

static void match_script(
	struct gather *g, const char *path, const char *name, void *arg)
{
	struct script *s = arg;

	if ((name[0] == 'S' && strlen(name) > 3 &&
		    strcmp(name + 3, s->name) == 0) ||
		strcmp(name, s->name) == 0)
		s->found = true;
}

static bool is_in_runlevel(struct gather *g, const char *script)
{
	static const char *const folders[] = {"/etc/rcS.d", "/etc/rc2.d",
		"/etc/rc3.d", "/etc/rc5.d", "/etc/rc.d/rc3.d",
		"/etc/rc.d/rc5.d", "/etc/runlevels/boot",
		"/etc/runlevels/default"};
	struct script s = {.name = script};

	for (unsigned i = 0; i < ARRAY_LEN(folders) && !s.found; i++)
		gather_each(g, folders[i], match_script, &s);
	return s.found;
}

static struct kind *new_kind(struct gather *g, json_t *interfaces,
	enum netconfig_format format, const char *suffix)
{
	struct kind *k = calloc(1, sizeof(*k));

	if (!k) {
		g->oom = true;
		return NULL;
	}
	k->g = g;
	k->interfaces = interfaces;
	k->format = format;
	k->suffix = suffix;
	k->files = gather_list(g);
	k->modes = gather_object(g);
	return k;
}

/* Adds what was found, if anything was, and frees k. */
static void end_kind(
	struct kind *k, json_t *list, const char *name, bool active)
{
	json_t *o;

	if (json_array_size(k->files) > 0) {
		o = gather_object(k->g);
		gather_set(k->g, o, "kind", name);
		gather_set_json(k->g, o, "files", k->files);
		gather_set_bool(k->g, o, "active", active);
		if (json_object_size(k->modes) > 0)
			gather_set_json(
				k->g, o, "interfaces", json_incref(k->modes));
		gather_add(k->g, list, o);
	} else {
		json_decref(k->files);
	}
	json_decref(k->modes);
	free(k);
}

/* ---- the kinds ---- */

struct pattern {
	struct kind *k;
	const char *name;
};

static void read_if_matches(
	struct gather *g, const char *path, const char *name, void *arg)
{
	struct pattern *p = arg;

	if (netconfig_matches(p->name, name))
		read_in_folder(g, path, name, p->k);
}

/* The pattern is in the last component of the path, or there is none. A path
 * that ends with a slash is a whole folder. */
static void read_source(struct kind *k, const char *source)
{
	char path[600], *slash;
	struct pattern p = {.k = k};

	(void)snprintf(path, sizeof(path), "%s%s",
		source[0] == '/' ? "" : "/etc/network/", source);
	slash = strrchr(path, '/');
	if (!slash[1]) {
		*slash = '\0';
		read_folder(k, path);
	} else if (strpbrk(slash, "*?")) {
		*slash = '\0';
		p.name = slash + 1;
		gather_each(k->g, path, read_if_matches, &p);
	} else {
		read_file(k, path);
	}
}

static void find_ifupdown(struct gather *g, json_t *interfaces, json_t *list)
{
	struct kind *k = new_kind(g, interfaces, NETCONFIG_INTERFACES, "");
	bool active;

	if (!k)
		return;
	read_file(k, "/etc/network/interfaces");
	/* What a file names is read after it, so files that name each other
	 * only use up the list. */
	for (unsigned i = 0; i < k->n_todo; i++)
		read_source(k, k->todo[i]);
	active = json_object_size(k->modes) > 0 &&
		 (is_enabled(g, "networking.service") ||
			 is_in_runlevel(g, "networking"));
	end_kind(k, list, "ifupdown", active);
}

static void find_networkd(struct gather *g, json_t *interfaces, json_t *list)
{
	struct kind *k =
		new_kind(g, interfaces, NETCONFIG_NETWORKD, ".network");

	if (!k)
		return;
	k->first_wins = true;
	read_folder(k, "/etc/systemd/network");
	read_folder(k, "/run/systemd/network");
	end_kind(k, list, "systemd-networkd",
		is_enabled(g, "systemd-networkd.service") ||
			gather_exists(g, "/run/systemd/netif/state", O_RDONLY));
}

static void find_network_manager(
	struct gather *g, json_t *interfaces, json_t *list, bool *ret_active)
{
	static const char *const conf =
		"/etc/NetworkManager/NetworkManager.conf";
	struct kind *k =
		new_kind(g, interfaces, NETCONFIG_KEYFILE, ".nmconnection");

	*ret_active = is_enabled(g, "NetworkManager.service") ||
		      is_in_runlevel(g, "NetworkManager");
	if (!k)
		return;
	read_folder(k, "/etc/NetworkManager/system-connections");
	read_folder(k, "/run/NetworkManager/system-connections");
	/* Without a keyfile it asks for addresses on all cards. */
	if (json_array_size(k->files) == 0 && gather_exists(g, conf, O_RDONLY))
		note_file(k, conf);
	end_kind(k, list, "NetworkManager", *ret_active);
}

static void find_netplan(struct gather *g, json_t *interfaces, json_t *list)
{
	struct kind *k = new_kind(g, interfaces, NETCONFIG_NETPLAN, ".yaml");

	if (!k)
		return;
	read_folder(k, "/lib/netplan");
	read_folder(k, "/etc/netplan");
	read_folder(k, "/run/netplan");
	end_kind(k, list, "netplan",
		gather_exists(g, "/lib/systemd/system-generators/netplan",
			O_RDONLY) ||
			gather_exists(g,
				"/usr/lib/systemd/system-generators/netplan",
				0) ||
			gather_exists(g, "/usr/sbin/netplan", O_RDONLY));
}

/* The older form of NetworkManager's and initscripts' files, and SUSE's. */
static void find_ifcfg(struct gather *g, json_t *interfaces, json_t *list,
	bool network_manager)
{
	struct kind *k = new_kind(g, interfaces, NETCONFIG_IFCFG, "");
	struct pattern p = {.k = k, .name = "ifcfg-*"};

	if (k) {
		gather_each(g, "/etc/sysconfig/network-scripts",
			read_if_matches, &p);
		end_kind(k, list, "ifcfg",
			network_manager || is_enabled(g, "network.service") ||
				is_in_runlevel(g, "network"));
	}
	k = p.k = new_kind(g, interfaces, NETCONFIG_IFCFG, "");
	if (k) {
		gather_each(g, "/etc/sysconfig/network", read_if_matches, &p);
		end_kind(k, list, "wicked",
			!network_manager &&
				(is_enabled(g, "wicked.service") ||
					is_enabled(g, "network.service") ||
					is_in_runlevel(g, "network")));
	}
}

static void find_connman(struct gather *g, json_t *interfaces, json_t *list)
{
	struct kind *k = new_kind(g, interfaces, NETCONFIG_CONNMAN, ".config");

	if (!k)
		return;
	read_folder(k, "/var/lib/connman");
	if (json_array_size(k->files) == 0 &&
		gather_exists(g, "/etc/connman/main.conf", O_RDONLY))
		note_file(k, "/etc/connman/main.conf");
	end_kind(k, list, "connman",
		is_enabled(g, "connman.service") ||
			is_in_runlevel(g, "connman"));
}

/* ---- cloud-init ---- */

struct cloud {
	struct kind *k;
	bool off;
};

/* Takes note of files that speak of the network, and of one that tells
 * cloud-init to leave it alone. */
static void look_at_cloud(
	struct gather *g, const char *path, const char *name, void *arg)
{
	struct cloud *c = arg;
	CLEANUP_FREE char *text = NULL;
	char file[1024], *rest, *line;
	bool network = false, said = false;

	if (!ends_with(name, ".cfg") ||
		(size_t)snprintf(file, sizeof(file), "%s/%s", path, name) >=
			sizeof(file) ||
		gather_read(g, file, GATHER_TEXT_MAX, &text, NULL) < 0)
		return;
	rest = text;
	while ((line = gather_next_line(&rest))) {
		char *comment = strchr(line, '#');

		if (comment)
			*comment = '\0';
		if (*line != ' ' && *line != '\t' && *line)
			network = strncmp(line, "network:", 8) == 0;
		if (!network)
			continue;
		said = true;
		line = strstr(line, "config:");
		if (line && strstr(line, "disabled"))
			c->off = true;
	}
	if (said)
		note_file(c->k, file);
}

/* Files of other kinds that it writes. */
static void note_written(struct kind *k)
{
	static const char *const written[] = {"/etc/netplan/50-cloud-init.yaml",
		"/etc/network/interfaces.d/50-cloud-init",
		"/etc/network/interfaces.d/50-cloud-init.cfg",
		"/etc/systemd/network/10-cloud-init-eth0.network",
		"/etc/NetworkManager/system-connections/"
		"cloud-init-eth0.nmconnection"};

	for (unsigned i = 0; i < ARRAY_LEN(written); i++)
		if (gather_exists(k->g, written[i], O_RDONLY))
			note_file(k, written[i]);
}

static void find_cloud_init(struct gather *g, json_t *interfaces, json_t *list)
{
	struct kind *k = new_kind(g, interfaces, NETCONFIG_NETPLAN, "");
	struct cloud c = {.k = k};
	CLEANUP_FREE char *line = NULL;

	if (!k)
		return;
	if (gather_exists(g, "/etc/cloud/cloud.cfg", O_RDONLY)) {
		note_file(k, "/etc/cloud/cloud.cfg");
		gather_each(g, "/etc/cloud/cloud.cfg.d", look_at_cloud, &c);
		note_written(k);
	}
	if (gather_exists(g, "/etc/cloud/cloud-init.disabled", O_RDONLY) ||
		is_masked(g, "cloud-init.service"))
		c.off = true;
	if (gather_read(g, "/proc/cmdline", 65536, &line, NULL) == 0 &&
		(strstr(line, "cloud-init=disabled") ||
			strstr(line, "network-config=disabled")))
		c.off = true;
	/* Where it never found out what instance this is, it changes nothing
	 * at the next start either. */
	if (!gather_exists(g, "/var/lib/cloud/instance", O_DIRECTORY))
		c.off = true;
	end_kind(k, list, "cloud-init", !c.off);
}

json_t *netconfig_gather(struct gather *g, json_t *interfaces)
{
	json_t *list = gather_list(g);
	bool network_manager = false;

	find_ifupdown(g, interfaces, list);
	find_networkd(g, interfaces, list);
	find_network_manager(g, interfaces, list, &network_manager);
	find_netplan(g, interfaces, list);
	find_ifcfg(g, interfaces, list, network_manager);
	find_connman(g, interfaces, list);
	find_cloud_init(g, interfaces, list);
	return list;
}
