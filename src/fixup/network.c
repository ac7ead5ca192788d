/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces keep their names, whatever they are plugged into, and get the
 * addresses of the plan, in the files of whoever configures them. */
#include "fixup/nic.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NICS_MAX 256
#define RULES_FOLDER "/etc/udev/rules.d"
#define RULES_FILE RULES_FOLDER "/70-rehost-net.rules"

/* Where files are; a folder has those whose names begin and end so. */
static const struct source {
	enum netconfig_format format;
	const char *path;
	bool folder;
	const char *begin, *end;
	unit_rewrite_fn *rewrite; /* NULL: only MAC addresses */
} sources[] = {
	{NETCONFIG_INTERFACES, "/etc/network/interfaces", false, "", "",
		nic_rewrite_interfaces},
	{NETCONFIG_INTERFACES, "/etc/network/interfaces.d", true, "", "",
		nic_rewrite_interfaces},
	{NETCONFIG_NETWORKD, "/etc/systemd/network", true, "", ".network",
		nic_rewrite_networkd},
	{NETCONFIG_NETWORKD, "/etc/systemd/network", true, "", ".link", NULL},
	{NETCONFIG_KEYFILE, "/etc/NetworkManager/system-connections", true, "",
		"", nic_rewrite_keyfile},
	{NETCONFIG_NETPLAN, "/etc/netplan", true, "", ".yaml",
		nic_rewrite_netplan},
	{NETCONFIG_IFCFG, "/etc/sysconfig/network-scripts", true, "ifcfg-", "",
		nic_rewrite_ifcfg},
	{NETCONFIG_IFCFG, "/etc/sysconfig/network", true, "ifcfg-", "", NULL},
};

typedef int file_fn(
	struct unit *u, const struct source *s, const char *path, void *arg);

/* What one file says of an interface, and all of them together. */
struct scan {
	const struct nic *nic;
	bool exact, pattern;
	enum netconfig_mode mode, pattern_mode;
};

struct search {
	struct nic *nic;
	struct scan all;
	/* A file of a kind that is not rewritten names it, and how. */
	bool foreign;
	enum netconfig_mode foreign_mode;
	bool changed; /* something was not yet as planned */
};

/* ---- files ---- */

static bool has_ends(const char *name, const struct source *s)
{
	size_t n = strlen(name), b = strlen(s->begin), e = strlen(s->end);

	return n >= b + e && strncmp(name, s->begin, b) == 0 &&
	       strcmp(name + n - e, s->end) == 0 && name[0] != '.' &&
	       name[n - 1] != '~';
}

static int each_file(
	struct unit *u, const struct source *s, file_fn *fn, void *arg)
{
	CLEANUP(tree_names_done) struct tree_names l = {0};
	char path[TREE_PATH_MAX];
	int r = 0;

	if (!s->folder)
		return tree_is_there(u->tree, s->path) ? fn(u, s, s->path, arg)
						       : 0;
	if (tree_list(u->tree, s->path, &l) < 0)
		return 0;
	for (size_t i = 0; i < l.n && r == 0; i++)
		if (has_ends(l.v[i], s) &&
			snprintf(path, sizeof(path), "%s/%s", s->path, l.v[i]) <
				TREE_PATH_MAX &&
			!tree_is_folder(u->tree, path))
			r = fn(u, s, path, arg);
	return r;
}

static int each_source(struct unit *u, file_fn *fn, void *arg)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(sources) && r == 0; i++)
		r = each_file(u, &sources[i], fn, arg);
	return r;
}

/* ---- names ---- */

static int fix_macs(
	struct unit *u, const struct source *s, const char *path, void *arg)
{
	struct nic_macs m = {.nics = arg, .format = s->format};

	if (s->format == NETCONFIG_INTERFACES)
		return 0;
	return unit_rewrite_if(u, path, nic_rewrite_macs, &m);
}

/* Whether other rules do so already. */
static bool is_pinned(struct unit *u, const struct nic *nic)
{
	CLEANUP_FREE char *text =
		unit_read(u, RULES_FOLDER "/70-persistent-net.rules");
	const char *at = text;
	char name[64], mac[64];
	struct edit_line l;

	(void)snprintf(name, sizeof(name), "NAME=\"%s\"", nic->name);
	(void)snprintf(
		mac, sizeof(mac), "ATTR{address}==\"%s\"", nic->target_mac);
	while (at && edit_next(&at, &l))
		if (l.text[0] != '#' && strstr(l.text, name) &&
			strstr(l.text, mac))
			return true;
	return false;
}

/* A rule and not a .link file: NAME= of a rule is heeded by every udev that
 * there ever was, goes before the policies of .link files, and DRIVERS leaves
 * out bridges and VLANs, which have the same address. */
static int pin_names(struct unit *u, const struct nic_list *nics)
{
	CLEANUP(edit_done) struct edit out = {0};
	size_t n = 0, kernels = 0;

	edit_text(&out, "# " UNIT_MADE_BY "\n"
			"# Interfaces keep the names that they had.\n");
	for (size_t i = 0; i < nics->n; i++) {
		const struct nic *nic = &nics->v[i];

		if (!nic->target_mac[0]) {
			unit_warn(u,
				"%s may get another name: nobody told which "
				"interface of the target it is",
				nic->name);
			continue;
		}
		kernels += strncmp(nic->name, "eth", 3) == 0;
		if (is_pinned(u, nic))
			continue;
		n++;
		edit_put(&out,
			"SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", "
			"ATTR{address}==\"%s\", ATTR{type}==\"1\", "
			"NAME=\"%s\"\n",
			nic->target_mac, nic->name);
	}
	if (kernels > 1)
		unit_warn(u, "several interfaces are called eth0, eth1 and so "
			     "on: the kernel may hand these names out in "
			     "another order, and udev cannot exchange them");
	if (out.oom)
		return unit_failed(u, -ENOMEM, RULES_FILE);
	if (n == 0)
		return 0;
	return unit_put(u, RULES_FILE, edit_string(&out), 0644,
		"interfaces keep their names, by MAC address");
}

/* ---- who configures an interface ---- */

static bool has_word(const char *words, const char *word)
{
	size_t at = 0, from, n;

	while ((n = edit_word(words, &at, &from)) > 0)
		if (edit_is_word(words, from, n, word))
			return true;
	return false;
}

static bool has_pattern(const char *words, const char *name)
{
	size_t at = 0, from, n;
	char pattern[64];

	while ((n = edit_word(words, &at, &from)) > 0) {
		if (n >= sizeof(pattern))
			continue;
		memcpy(pattern, words + from, n);
		pattern[n] = '\0';
		if (netconfig_matches(pattern, name))
			return true;
	}
	return false;
}

static void scan_entry(void *arg, const struct netconfig_entry *e)
{
	struct scan *s = arg;
	const struct nic *nic = s->nic;

	if (e->source[0])
		return;
	if (has_word(e->names, nic->name) ||
		(e->mac[0] && (strcmp(e->mac, nic->mac) == 0 ||
				      strcmp(e->mac, nic->target_mac) == 0))) {
		s->exact = true;
		s->mode = MAX(s->mode, e->mode);
	} else if (!e->mac[0] &&
		   (!e->names[0] || has_pattern(e->names, nic->name))) {
		s->pattern = true;
		s->pattern_mode = MAX(s->pattern_mode, e->mode);
	}
}

static int scan_file(struct unit *u, const struct source *s, const char *path,
	struct scan *ret)
{
	CLEANUP_FREE char *text = unit_read(u, path);
	CLEANUP_FREE char *copy = text ? strdup(text) : NULL;

	if (!text)
		return 0;
	if (!copy)
		return unit_failed(u, -ENOMEM, path);
	netconfig_parse(s->format, copy, scan_entry, ret);
	/* A file without DEVICE= goes by its own name. */
	if (s->format == NETCONFIG_IFCFG &&
		strcmp(strrchr(path, '/') + 1 + strlen("ifcfg-"),
			ret->nic->name) == 0) {
		ret->exact = true;
		ret->mode = MAX(ret->mode, ret->pattern_mode);
	}
	return 0;
}

/* ---- addresses ---- */

static int find_in_file(
	struct unit *u, const struct source *s, const char *path, void *arg)
{
	struct search *search = arg;
	struct scan scan = {.nic = search->nic};
	int r;

	if (!s->rewrite && s->format != NETCONFIG_IFCFG)
		return 0;
	r = scan_file(u, s, path, &scan);
	if (!s->rewrite) {
		search->foreign |= scan.exact;
		search->foreign_mode = MAX(search->foreign_mode, scan.mode);
		return r;
	}
	search->all.exact |= scan.exact;
	search->all.pattern |= scan.pattern;
	search->all.pattern_mode =
		MAX(search->all.pattern_mode, scan.pattern_mode);
	return r;
}

static int change_file(
	struct unit *u, const struct source *s, const char *path, void *arg)
{
	struct search *search = arg;
	struct scan scan = {.nic = search->nic};
	int r;

	if (!s->rewrite)
		return 0;
	r = scan_file(u, s, path, &scan);
	if (r < 0 || !scan.exact ||
		(search->nic->dhcp && scan.mode == NETCONFIG_DHCP))
		return r;
	search->changed = true;
	return unit_rewrite_if(u, path, s->rewrite, search->nic);
}

/* Routes by way of the old gateways, and further addresses. */
static int drop_ifcfg_more(struct unit *u, const struct nic *nic)
{
	static const char *const begins[] = {"route-", "route6-", "rule-"};
	static const char folder[] = "/etc/sysconfig/network-scripts";
	CLEANUP(tree_names_done) struct tree_names l = {0};
	char path[TREE_PATH_MAX], alias[64];
	int r = 0;

	if (tree_list(u->tree, folder, &l) < 0)
		return 0;
	(void)snprintf(alias, sizeof(alias), "ifcfg-%s:", nic->name);
	for (size_t i = 0; i < l.n && r == 0; i++) {
		bool goes = strncmp(l.v[i], alias, strlen(alias)) == 0;

		for (size_t k = 0; k < ARRAY_LEN(begins); k++) {
			size_t n = strlen(begins[k]);

			goes |= strncmp(l.v[i], begins[k], n) == 0 &&
				strcmp(l.v[i] + n, nic->name) == 0;
		}
		if (!goes)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", folder, l.v[i]);
		if (!tree_is_file(u->tree, path))
			continue;
		r = unit_keep_old(u, path);
		if (r == 0)
			r = unit_remove(u, path, "was of the old network");
	}
	return r;
}

static int rewrite_gateway(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	const char *gateway = arg;
	struct edit_line l;
	struct edit_pair p;

	while (edit_next(&text, &l)) {
		if (!edit_pair(l.text, &p) ||
			!edit_is_key(l.text, &p, "GATEWAY") ||
			edit_is_word(l.text, p.value, p.value_n, gateway)) {
			edit_pass(out, &l);
			continue;
		}
		out->keep_old = true;
		if (gateway[0])
			edit_splice(out, &l, p.value, p.value_n, gateway);
		edit_say(out, "the gateway is %s",
			gateway[0] ? gateway : "left to DHCP");
	}
	return 0;
}

/* Of several cards of one bridge or bond one is enough: a planned address goes
 * before DHCP. */
static bool is_covered(const struct nic_list *nics, size_t i)
{
	const struct nic *nic = &nics->v[i], *o;

	for (size_t k = 0; nic->holder[0] && k < nics->n; k++) {
		o = &nics->v[k];
		if (k != i && (o->map || o->dhcp) &&
			strcmp(o->holder, nic->holder) == 0 &&
			(o->map == nic->map ? k < i : o->map))
			return true;
	}
	return false;
}

/* RHEL's gateway of the whole machine: the planned one; none only when no
 * interface keeps what it has. */
static int fix_gateway(struct unit *u, const struct nic_list *nics)
{
	const char *gateway = "";
	bool kept = nics->n == 0;

	for (size_t i = 0; i < nics->n; i++) {
		const struct nic *nic = &nics->v[i];

		kept |= !nic->map && !nic->dhcp;
		if (nic->map && !gateway[0])
			gateway = nic_gateway(nic, false);
	}
	if ((kept && !gateway[0]) ||
		!tree_is_file(u->tree, "/etc/sysconfig/network"))
		return 0;
	return unit_rewrite_if(
		u, "/etc/sysconfig/network", rewrite_gateway, (void *)gateway);
}

/* Nothing names the interface: whoever cares for all of them gets a file. */
static int add_file(struct unit *u, const struct nic *nic)
{
	static const struct {
		const char *in_use, *path, *end;
		void (*write)(const struct nic *nic, struct edit *out);
	} kinds[] = {{"/etc/netplan", "/etc/netplan/90-rehost-", ".yaml",
			     nic_write_netplan},
		{"/etc/NetworkManager/system-connections",
			"/etc/NetworkManager/system-connections/rehost-",
			".nmconnection", nic_write_keyfile},
		{"/etc/systemd/network", "/etc/systemd/network/05-rehost-",
			".network", nic_write_networkd}};
	CLEANUP(edit_done) struct edit out = {0};
	char path[TREE_PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!tree_is_folder(u->tree, kinds[i].in_use))
			continue;
		(void)snprintf(path, sizeof(path), "%s%s%s", kinds[i].path,
			nic->name, kinds[i].end);
		kinds[i].write(nic, &out);
		if (out.oom)
			return unit_failed(u, -ENOMEM, path);
		/* NetworkManager reads no file that others can. */
		return unit_put(u, path, edit_string(&out), i < 2 ? 0600 : 0644,
			nic->dhcp ? "DHCP" : "the planned addresses");
	}
	return nic_unchanged(u, nic, "nothing is known that configures it");
}

static int append_interfaces(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	const struct nic *nic = arg;

	edit_text(out, text);
	nic_write_interfaces(nic, out);
	out->keep_old = true;
	edit_say(out, "%s has %s", nic->name,
		nic->dhcp ? "DHCP" : "the planned addresses");
	return 0;
}

static int add_somewhere(struct unit *u, struct nic *nic)
{
	static const char *const nothing[] = {
		"/etc/netplan", "/etc/NetworkManager", "/etc/systemd/network"};
	bool others = false;

	for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
		CLEANUP(tree_names_done) struct tree_names l = {0};

		others |= tree_list(u->tree, nothing[i], &l) == 0 && l.n > 0;
	}
	if (!others && tree_is_file(u->tree, "/etc/network/interfaces"))
		return unit_rewrite_if(
			u, "/etc/network/interfaces", append_interfaces, nic);
	return add_file(u, nic);
}

static int fix_addresses(struct unit *u, struct nic *nic)
{
	struct nic holder = *nic;
	struct search search = {.nic = nic->holder[0] ? &holder : nic};
	int r;

	holder.name = nic->holder;
	holder.mac = holder.target_mac = "";
	r = each_source(u, find_in_file, &search);
	if (r < 0)
		return r;
	/* It does so already. */
	if (nic->dhcp && !search.all.exact &&
		(search.foreign ? search.foreign_mode
				: search.all.pattern_mode) == NETCONFIG_DHCP)
		return 0;
	if (search.foreign && !search.all.exact)
		return nic_unchanged(u, search.nic,
			"it is configured in /etc/sysconfig/network/ifcfg-…, "
			"which is left alone");
	if (nic->holder[0] && !search.all.exact)
		return nic_unchanged(
			u, search.nic, "no file is known that configures it");
	if (search.all.exact) {
		r = each_source(u, change_file, &search);
	} else {
		search.changed = true;
		r = add_somewhere(u, nic);
	}
	return r == 0 && search.changed ? drop_ifcfg_more(u, search.nic) : r;
}

/* cloud-init would write its own again. */
static int keep_from_cloud_init(struct unit *u)
{
	if (!tree_is_folder(u->tree, "/etc/cloud/cloud.cfg.d") ||
		tree_is_there(u->tree, "/etc/cloud/cloud-init.disabled") ||
		unit_wants(u, "cloud"))
		return 0;
	return unit_put(u, "/etc/cloud/cloud.cfg.d/99-rehost-network.cfg",
		"# " UNIT_MADE_BY "\nnetwork: {config: disabled}\n", 0644,
		"cloud-init leaves the network alone");
}

/* "" of InfiniBand: the kernel gives its names, and no file finds it so. */
static const char *ethernet_mac(const json_t *o, const char *key)
{
	const char *mac = unit_text(o, key);

	return strlen(mac) == 17 ? mac : "";
}

static void read_nic(const json_t *o, struct nic *ret)
{
	const char *mode = unit_text(o, "mode");

	*ret = (struct nic){.name = unit_text(o, "name"),
		.mac = ethernet_mac(o, "mac"),
		.target_mac = ethernet_mac(o, "target_mac"),
		.holder = unit_text(o, "holder"),
		.map = strcmp(mode, "map") == 0,
		.dhcp = strcmp(mode, "dhcp") == 0,
		.addresses = json_object_get(o, "addresses"),
		.gateways = json_object_get(o, "gateways"),
		.nameservers = json_object_get(o, "nameservers")};
}

static int fix_all(struct unit *u, struct nic_list *nics)
{
	int r = pin_names(u, nics);

	for (size_t i = 0; i < nics->n && r == 0; i++) {
		struct nic *nic = &nics->v[i];

		if (nic->map && !nic_at(nic->addresses, 0))
			r = nic_unchanged(u, nic, "the plan has none");
		else if ((nic->map || nic->dhcp) && !is_covered(nics, i))
			r = fix_addresses(u, nic);
	}
	if (r == 0)
		r = fix_gateway(u, nics);
	return r < 0 ? r : keep_from_cloud_init(u);
}

int unit_network(struct unit *u)
{
	const json_t *list = json_object_get(u->wish, "nics"), *o;
	struct nic_list nics = {0};
	size_t i;
	int r;

	nics.v = calloc(NICS_MAX, sizeof(*nics.v));
	if (!nics.v)
		return unit_failed(u, -ENOMEM, "the network's files");
	json_array_foreach(
		list, i, o) if (unit_text(o, "name")[0] && nics.n < NICS_MAX)
		read_nic(o, &nics.v[nics.n++]);
	r = nics.n > 0 ? each_source(u, fix_macs, &nics) : 0;
	if (r == 0 && nics.n > 0)
		r = unit_rewrite_all(
			u, RULES_FOLDER, ".rules", nic_rewrite_rules, &nics);
	if (r == 0 && nics.n > 0)
		r = fix_all(u, &nics);
	free(nics.v);
	return r;
}
