/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces from /sys, their addresses and routes by rtnetlink, the resolver
 * from its files. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/parse.h"
#include "base/rtnetlink.h"
#include "facts/gather.h"
#include "facts/netconfig.h"

#define NET "/sys/class/net"
/* Each costs several reads of /sys. */
#define INTERFACES_MAX 1024
#define ROUTES_MAX 4096
#define ADDRESSES_MAX 4096

struct interface {
	uint32_t index;
	char name[IFNAMSIZ];
	json_t *object, *addresses, *dynamic;
};

struct network {
	struct gather *g;
	json_t *list, *routes;
	struct interface *interfaces;
	uint32_t n, n_addresses, n_routes;
	int socket; /* for ethtool; -1: none */
	bool kernel_names, mac_names, path_names, other_names;
	bool too_many;
};

/* ---- interfaces ---- */

static const char *attribute(struct gather *g, const char *name,
	const char *what, char *buf, size_t size)
{
	char path[512];

	(void)snprintf(path, sizeof(path), NET "/%s/%s", name, what);
	return gather_line(g, path, buf, size);
}

static bool attribute_number(
	struct gather *g, const char *name, const char *what, uint64_t *ret)
{
	char path[512];

	(void)snprintf(path, sizeof(path), NET "/%s/%s", name, what);
	return gather_number(g, path, ret);
}

/* The kernel's "0x1003". */
static uint32_t hex(const char *s)
{
	uint32_t v = 0;

	if (s[0] == '0' && s[1] == 'x')
		s += 2;
	for (int i = 0; i < 8; i++, s++) {
		const char *digits = "0123456789abcdef", *at;

		at = *s ? strchr(digits, *s | 32) : NULL;
		if (!at)
			break;
		v = v << 4 | (uint32_t)(at - digits);
	}
	return v;
}

static bool has_entry(struct gather *g, const char *name, const char *what)
{
	char path[512];
	CLEANUP_CLOSE int fd = -1;

	(void)snprintf(path, sizeof(path), NET "/%s/%s", name, what);
	fd = gather_open(g, path, O_RDONLY);
	return fd >= 0;
}

static const char *kind_of(struct gather *g, const char *name, uint64_t type)
{
	static const char *const kinds[] = {
		"bridge", "bond", "vlan", "wireguard"};
	char path[512], line[256], *at;
	CLEANUP_FREE char *text = NULL;

	if (type == ARPHRD_LOOPBACK)
		return "loopback";
	(void)snprintf(path, sizeof(path), NET "/%s/uevent", name);
	if (gather_read(g, path, 4096, &text, NULL) == 0) {
		char *rest = text;

		while ((at = gather_next_line(&rest))) {
			if (strncmp(at, "DEVTYPE=", 8) != 0)
				continue;
			at += 8;
			if (strcmp(at, "wlan") == 0)
				return "wireless";
			for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
				if (strcmp(at, kinds[i]) == 0)
					return kinds[i];
		}
	}
	if (*attribute(g, name, "tun_flags", line, sizeof(line)))
		return "tun";
	/* Old kernels tell no DEVTYPE of these. */
	if (has_entry(g, name, "bridge"))
		return "bridge";
	if (has_entry(g, name, "bonding"))
		return "bond";
	if (type == ARPHRD_INFINIBAND)
		return "infiniband";
	/* What hangs on no device was made by software: veth, dummy … */
	if (type == ARPHRD_ETHER && has_entry(g, name, "device"))
		return "ethernet";
	return "other";
}

static void set_permanent_mac(
	struct network *n, json_t *object, const char *name, const char *mac)
{
	/* struct ethtool_perm_addr, which ends with the address */
	uint32_t ask[2 + 8] = {ETHTOOL_GPERMADDR, 32};
	struct ifreq request = {0};
	char text[18];
	const uint8_t *b = (const uint8_t *)(ask + 2);

	if (n->socket < 0)
		return;
	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	request.ifr_data = (void *)ask;
	if (ioctl(n->socket, SIOCETHTOOL, &request) < 0 || ask[1] != 6)
		return;
	(void)snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x",
		b[0], b[1], b[2], b[3], b[4], b[5]);
	if (strcmp(text, "00:00:00:00:00:00") != 0 &&
		strcmp(text, "ff:ff:ff:ff:ff:ff") != 0)
		gather_set(n->g, object, "permanent_mac", text);
}

static bool is_pci(const char *s)
{
	static const char form[] = "xxxx:xx:xx.x";

	if (strlen(s) != sizeof(form) - 1)
		return false;
	for (unsigned i = 0; i < sizeof(form) - 1; i++)
		if (form[i] == 'x' ? !strchr("0123456789abcdef", s[i])
				   : s[i] != form[i])
			return false;
	return true;
}

static bool is_on_a_bus(const char *bus)
{
	static const char *const buses[] = {
		"pci", "virtio", "usb", "vmbus", "xen", "platform"};

	for (unsigned i = 0; i < ARRAY_LEN(buses); i++)
		if (strcmp(bus, buses[i]) == 0)
			return true;
	return false;
}

/* The devices that an interface hangs on, the nearest last:
 * ../../devices/pci0000:00/0000:00:03.0/virtio0/net/eth0 */
static void set_device(
	struct network *n, json_t *object, const char *name, int net)
{
	char target[1024], path[1100], bus[64], link[1200], *at, *part;
	char nearest[64] = "", pci[64] = "";
	ssize_t k = readlinkat(net, name, target, sizeof(target) - 1);
	json_t *all;
	size_t len;

	if (k <= 0)
		return;
	target[k] = '\0';
	at = strstr(target, "devices/");
	if (!at || strncmp(at + 8, "virtual/", 8) == 0)
		return;
	all = gather_list(n->g);
	len = (size_t)snprintf(path, sizeof(path), "/sys/devices");
	at += 8;
	while ((part = strsep(&at, "/")) && strcmp(part, "net") != 0) {
		len += (size_t)snprintf(
			path + len, sizeof(path) - len, "/%s", part);
		if (len >= sizeof(path))
			break;
		(void)snprintf(link, sizeof(link), "%s/subsystem", path);
		if (!is_on_a_bus(gather_link(n->g, link, bus, sizeof(bus))))
			continue;
		gather_add(n->g, all, gather_string(n->g, part, strlen(part)));
		(void)snprintf(nearest, sizeof(nearest), "%.63s", part);
		if (is_pci(part))
			(void)snprintf(pci, sizeof(pci), "%.63s", part);
	}
	gather_set(n->g, object, "address", pci[0] ? pci : nearest);
	if (all && json_array_size(all) > 0)
		gather_set_json(n->g, object, "driver_path", all);
	else
		json_decref(all);
}

/* How the physical interfaces are named: after the order in which the kernel
 * found them, after where they sit, or after their MAC. */
static void note_name(struct network *n, const char *name)
{
	size_t len = strlen(name);

	if (len > 3 && strncmp(name, "eth", 3) == 0 &&
		strspn(name + 3, "0123456789") == len - 3)
		n->kernel_names = true;
	else if (len == 15 && strncmp(name, "enx", 3) == 0)
		n->mac_names = true;
	else if (len > 3 && name[0] == 'e' && name[1] == 'n' &&
		 strchr("opsabcvd", name[2]) && strpbrk(name, "0123456789"))
		n->path_names = true;
	else
		n->other_names = true;
}

static void add_interface(
	struct gather *g, const char *path, const char *name, void *arg)
{
	struct network *n = arg;
	struct interface *i = &n->interfaces[n->n];
	CLEANUP_CLOSE int net = -1;
	uint64_t index, v, type = 0;
	char line[256], link[512], found[256];
	const char *kind;
	json_t *o;

	/* bonding_masters is a file among them. */
	if (strlen(name) >= IFNAMSIZ ||
		!attribute_number(g, name, "ifindex", &index))
		return;
	if (n->n == INTERFACES_MAX) {
		if (!n->too_many)
			gather_missing(g, "network.interfaces",
				"there are more than %d", INTERFACES_MAX);
		n->too_many = true;
		return;
	}
	o = gather_object(g);
	(void)attribute_number(g, name, "type", &type);
	kind = kind_of(g, name, type);
	gather_set(g, o, "name", name);
	(void)attribute(g, name, "address", line, sizeof(line));
	if (strlen(line) > 0 && strspn(line, "0:") != strlen(line))
		gather_set(g, o, "mac", line);
	if (strcmp(kind, "loopback") != 0)
		set_permanent_mac(n, o, name, line);
	gather_set(g, o, "kind", kind);
	if (*attribute(g, name, "flags", line, sizeof(line)))
		gather_set_bool(g, o, "up", hex(line) & IFF_UP);
	if (attribute_number(g, name, "carrier", &v))
		gather_set_bool(g, o, "carrier", v != 0);
	if (attribute_number(g, name, "mtu", &v))
		gather_set_number(g, o, "mtu", v);
	/* Unknown is -1, and in some drivers the greatest number. */
	if (attribute_number(g, name, "speed", &v) && v > 0 && v < 10000000)
		gather_set_number(g, o, "speed_mbit", v);
	(void)snprintf(link, sizeof(link), "%s/%s/master", path, name);
	gather_set(g, o, "master", gather_link(g, link, found, sizeof(found)));
	(void)snprintf(link, sizeof(link), "%s/%s/device/driver", path, name);
	gather_set(g, o, "driver", gather_link(g, link, found, sizeof(found)));
	net = gather_open(g, path, O_RDONLY | O_DIRECTORY);
	if (net >= 0)
		set_device(n, o, name, net);
	if (strcmp(kind, "ethernet") == 0)
		note_name(n, name);
	i->index = (uint32_t)index;
	(void)snprintf(i->name, sizeof(i->name), "%s", name);
	i->object = json_incref(o);
	i->addresses = gather_list(g);
	i->dynamic = gather_list(g);
	gather_add(g, n->list, o);
	n->n++;
}

static int by_index(const void *a, const void *b)
{
	const struct interface *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

static struct interface *find_interface(struct network *n, uint32_t index)
{
	struct interface key = {.index = index};

	return bsearch(&key, n->interfaces, n->n, sizeof(key), by_index);
}

/* ---- addresses and routes ---- */

static void address_text(const uint8_t *bytes, int family, unsigned prefix,
	char *buf, size_t size)
{
	char text[INET6_ADDRSTRLEN] = "";

	(void)inet_ntop(family, bytes, text, sizeof(text));
	(void)snprintf(buf, size, "%s/%u", text, prefix);
}

static int take_address(void *arg, const uint8_t *body, size_t size)
{
	struct network *n = arg;
	struct rtnetlink_address a;
	struct interface *i;
	char text[64];

	if (rtnetlink_address(body, size, &a) < 0)
		return 0;
	i = find_interface(n, a.index);
	if (!i)
		return 0;
	if (n->n_addresses++ == ADDRESSES_MAX) {
		gather_missing(n->g, "network.interfaces.addresses",
			"there are more than %d", ADDRESSES_MAX);
		return 1;
	}
	address_text(a.bytes, a.family, a.prefix, text, sizeof(text));
	gather_add(n->g, i->addresses, gather_string(n->g, text, strlen(text)));
	if (!a.permanent)
		gather_add(n->g, i->dynamic,
			gather_string(n->g, text, strlen(text)));
	return 0;
}

static const char *protocol_name(uint8_t protocol)
{
	static const struct {
		uint8_t protocol;
		const char *name;
	} names[] = {{RTPROT_KERNEL, "kernel"}, {RTPROT_BOOT, "boot"},
		{RTPROT_STATIC, "static"}, {RTPROT_RA, "ra"},
		{RTPROT_DHCP, "dhcp"}, {RTPROT_REDIRECT, "redirect"}};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].protocol == protocol)
			return names[i].name;
	return "";
}

static bool is_default(const struct rtnetlink_route *r)
{
	static const uint8_t zero[16];

	return r->prefix == 0 && memcmp(r->to, zero, sizeof(zero)) == 0;
}

static void add_route(struct network *n, const struct rtnetlink_route *r,
	const struct rtnetlink_hop *hop)
{
	struct interface *i = find_interface(n, hop->index);
	struct gather *g = n->g;
	json_t *o = gather_object(g);
	char text[64];

	address_text(r->to, r->family, r->prefix, text, sizeof(text));
	gather_set(g, o, "to", is_default(r) ? "default" : text);
	if (hop->family && inet_ntop(hop->family, hop->via, text, sizeof(text)))
		gather_set(g, o, "via", text);
	if (i)
		gather_set(g, o, "interface", i->name);
	if (r->metric)
		gather_set_number(g, o, "metric", r->metric);
	gather_set_number(g, o, "family", r->family == AF_INET ? 4 : 6);
	gather_set(g, o, "protocol", protocol_name(r->protocol));
	if (hop->onlink)
		gather_set_bool(g, o, "onlink", true);
	if (r->type != RTN_UNICAST)
		gather_set_bool(g, o, "refuses", true);
	gather_add(g, n->routes, o);
}

static int take_route(void *arg, const uint8_t *body, size_t size)
{
	struct network *n = arg;
	struct rtnetlink_route r;

	if (rtnetlink_route(body, size, &r) < 0)
		return 0;
	for (uint32_t i = 0; i < r.n_hops; i++) {
		if (n->n_routes++ == ROUTES_MAX) {
			gather_missing(n->g, "network.routes",
				"there are more than %d", ROUTES_MAX);
			return 1;
		}
		add_route(n, &r, &r.hops[i]);
	}
	return 0;
}

static void ask_kernel(struct network *n)
{
	static const int families[] = {AF_INET, AF_INET6};
	int r = rtnetlink_dump(RTM_GETADDR, AF_UNSPEC, take_address, n);

	if (r < 0)
		gather_missing(n->g, "network.interfaces.addresses", "%s",
			strerror(-r));
	for (unsigned i = 0; i < ARRAY_LEN(families); i++) {
		r = rtnetlink_dump(RTM_GETROUTE, families[i], take_route, n);
		/* Without IPv6, or without a route, there is no table. */
		if (r < 0 && r != -ENOENT && r != -EAFNOSUPPORT &&
			r != -EOPNOTSUPP)
			gather_missing(
				n->g, "network.routes", "%s", strerror(-r));
	}
}

/* ---- the resolver ---- */

static void add_words(struct gather *g, json_t *list, char *line)
{
	char *w;

	for (int i = 0; i < 64 && (w = gather_next_word(&line)); i++)
		gather_add(g, list, gather_string(g, w, strlen(w)));
}

/* Programs that write resolv.conf say so in a comment, most of them. */
static const char *manager_by_comment(const char *line)
{
	static const char *const names[][2] = {
		{"NetworkManager", "NetworkManager"},
		{"systemd-resolved", "systemd-resolved"},
		{"resolvconf", "resolvconf"}, {"dhcpcd", "dhcpcd"},
		{"Connection Manager", "connman"}, {"netconfig", "netconfig"},
		{"cloud-init", "cloud-init"}};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (strstr(line, names[i][0]))
			return names[i][1];
	return NULL;
}

static const char *manager_by_link(struct gather *g)
{
	static const char *const names[][2] = {
		{"systemd/resolve", "systemd-resolved"},
		{"resolvconf", "resolvconf"},
		{"NetworkManager", "NetworkManager"}, {"connman", "connman"},
		{"netconfig", "netconfig"}};
	CLEANUP_CLOSE int etc = gather_open(g, "/etc", O_RDONLY | O_DIRECTORY);
	char target[512];
	ssize_t n;

	n = etc < 0 ? -1
		    : readlinkat(
			      etc, "resolv.conf", target, sizeof(target) - 1);
	if (n <= 0)
		return NULL;
	target[n] = '\0';
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (strstr(target, names[i][0]))
			return names[i][1];
	return NULL;
}

/* Returns who wrote it, by its comments, or NULL. */
static const char *read_resolver(struct gather *g, const char *path,
	json_t *servers, json_t *search, json_t *options)
{
	CLEANUP_FREE char *text = NULL;
	const char *manager = NULL;
	char *rest, *line, *word;

	if (gather_read(g, path, GATHER_TEXT_MAX, &text, NULL) < 0)
		return NULL;
	rest = text;
	while ((line = gather_next_line(&rest))) {
		if (*line == '#' || *line == ';') {
			if (!manager)
				manager = manager_by_comment(line);
			continue;
		}
		word = gather_next_word(&line);
		if (!word)
			continue;
		if (strcmp(word, "nameserver") == 0) {
			word = gather_next_word(&line);
			if (word)
				gather_add(g, servers,
					gather_string(g, word, strlen(word)));
		} else if (strcmp(word, "search") == 0 ||
			   strcmp(word, "domain") == 0) {
			/* The last line counts. */
			(void)json_array_clear(search);
			add_words(g, search, line);
		} else if (strcmp(word, "options") == 0) {
			add_words(g, options, line);
		}
	}
	return manager;
}

static void set_resolver(struct gather *g, json_t *network)
{
	static const char behind[] = "/run/systemd/resolve/resolv.conf";
	json_t *o = gather_object(g), *servers = gather_list(g),
	       *search = gather_list(g), *options = gather_list(g),
	       *upstream = gather_list(g), *none = gather_list(g);
	const char *by =
		read_resolver(g, "/etc/resolv.conf", servers, search, options);
	const char *link = manager_by_link(g);

	if (link)
		by = link;
	if (by && strcmp(by, "systemd-resolved") == 0)
		(void)read_resolver(g, behind, upstream, none, none);
	if (by || json_array_size(servers) > 0 || json_array_size(search) > 0)
		gather_set(g, o, "managed_by", by ? by : "static");
	gather_set_filled(g, o, "nameservers", servers);
	gather_set_filled(g, o, "search", search);
	gather_set_filled(g, o, "options", options);
	gather_set_filled(g, o, "upstream", upstream);
	json_decref(none);
	if (o && json_object_size(o) > 0)
		gather_set_json(g, network, "resolver", o);
	else
		json_decref(o);
}

static void set_hosts(struct gather *g, json_t *network)
{
	CLEANUP_FREE char *text = NULL;
	char *rest, *line, *word;
	uint64_t n = 0;

	if (gather_read(g, "/etc/hosts", 16 * GATHER_TEXT_MAX, &text, NULL) < 0)
		return;
	rest = text;
	while ((line = gather_next_line(&rest))) {
		word = gather_next_word(&line);
		n += word && *word != '#';
	}
	gather_set_number(g, network, "hosts", n);
}

/* ---- all of it ---- */

static void set_names(struct network *n, json_t *network)
{
	int kinds =
		n->kernel_names + n->mac_names + n->path_names + n->other_names;

	if (kinds > 1)
		gather_set(n->g, network, "names", "mixed");
	else if (kinds == 1)
		gather_set(n->g, network, "names",
			n->kernel_names ? "kernel"
			: n->mac_names	? "mac"
			: n->path_names ? "predictable"
					: "other");
}

static void gather_interfaces(struct network *n)
{
	n->interfaces = calloc(INTERFACES_MAX, sizeof(*n->interfaces));
	if (!n->interfaces) {
		n->g->oom = true;
		return;
	}
	gather_each(n->g, NET, add_interface, n);
	if (n->n == 0)
		gather_missing(n->g, "network.interfaces", "%s",
			n->g->live ? NET " cannot be read"
				   : "only the running kernel knows them");
	qsort(n->interfaces, n->n, sizeof(*n->interfaces), by_index);
	if (n->g->live)
		ask_kernel(n);
	for (uint32_t i = 0; i < n->n; i++) {
		struct interface *f = &n->interfaces[i];

		if (n->g->live && json_array_size(f->addresses) > 0)
			gather_set_bool(n->g, f->object, "dynamic",
				json_array_size(f->dynamic) > 0);
		gather_set_filled(n->g, f->object, "addresses", f->addresses);
		gather_set_filled(
			n->g, f->object, "dynamic_addresses", f->dynamic);
		json_decref(f->object);
	}
	free(n->interfaces);
	n->interfaces = NULL;
}

void gather_network(struct gather *g)
{
	struct network n = {.g = g,
		.list = gather_list(g),
		.routes = gather_list(g),
		.socket = -1};
	json_t *network = gather_object(g);
	CLEANUP_CLOSE int fd =
		g->live ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;

	n.socket = fd;
	gather_interfaces(&n);
	set_names(&n, network);
	gather_set_json(
		g, network, "configured_by", netconfig_gather(g, n.list));
	gather_set_json(g, network, "interfaces", n.list);
	gather_set_json(g, network, "routes", n.routes);
	set_resolver(g, network);
	set_hosts(g, network);
	gather_set_json(g, g->top, "network", network);
}
