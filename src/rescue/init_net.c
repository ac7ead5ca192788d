/* SPDX-License-Identifier: Apache-2.0 */
/* Network: addresses of the command line, DHCP by udhcpc, and saying on the
 * console where the machine can be reached. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/parse.h"
#include "rescue/init.h"
#include "rescue/net.h"

#define ADDRESSES 128

/* A network card that gets its address by DHCP. */
struct card {
	int index; /* 0: this place is free */
	char name[IF_NAMESIZE];
	struct service dhcp;
};

static struct cmdline config;
static int applied[CMDLINE_ADDRESSES]; /* the card that has it; 0: none */
static int failed[CMDLINE_ADDRESSES];  /* what was said last, negative errno */
static int routed[CMDLINE_ROUTES];     /* the card that a route goes through */
static int refused[CMDLINE_ROUTES];    /* as failed */
static int unfit[CMDLINE_ADDRESSES];   /* their MTUs; as failed */
static struct card cards[NET_LINKS];
static struct net_address shown[ADDRESSES];
static int n_shown;

static void write_resolver(const char *const *servers, uint32_t n)
{
	char text[CMDLINE_DNS * 64] = "";
	CLEANUP_CLOSE int fd = open("/etc/resolv.conf",
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	for (uint32_t i = 0; i < n && i < CMDLINE_DNS; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
			"nameserver %s\n", servers[i]);
	if (fd < 0 || io_write_all(fd, text, strlen(text)) < 0)
		init_say("cannot write /etc/resolv.conf: %s", strerror(errno));
}

void network_begin(const struct cmdline *c)
{
	const char *dns[CMDLINE_DNS];

	config = *c;
	for (uint32_t i = 0; i < c->n_dns; i++)
		dns[i] = config.dns[i];
	if (c->n_dns > 0)
		write_resolver(dns, c->n_dns);
}

static bool is_meant(const struct cmdline_address *a, const struct net_link *l)
{
	if (!l->ethernet)
		return false;
	if (a->has_mac)
		return memcmp(a->mac, l->mac, sizeof(a->mac)) == 0;
	if (a->dev[0])
		return strcmp(a->dev, l->name) == 0;
	/* Anywhere means where a cable is. */
	return l->running;
}

/* One address's MTU holds for a card, so that two do not take turns. */
static void step_mtu(const struct net_link *l)
{
	const struct cmdline_address *a;
	uint32_t i = 0;
	int r;

	while (i < config.n_addresses &&
		(config.addresses[i].mtu == 0 ||
			!is_meant(&config.addresses[i], l)))
		i++;
	a = &config.addresses[i];
	if (i == config.n_addresses || a->mtu == l->mtu)
		return;
	r = net_set_mtu(l->index, a->mtu);
	if (r < 0 && r != unfit[i])
		init_say("cannot set an MTU of %u on %s: %s", a->mtu, l->name,
			strerror(-r));
	if (r < 0)
		unfit[i] = r;
}

static int apply(const struct cmdline_address *a, const struct net_link *l)
{
	int r = net_add_address(l->index, a->family, a->address, a->prefix);

	if (r == 0 && a->has_gateway)
		r = net_add_route(l->index, a->family, NULL, 0, a->gateway);
	return r == -EEXIST ? 0 : r;
}

/* After the addresses, from which the kernel knows where gateways are. Cards
 * that were taken out took their routes with them. */
static void step_routes(const struct net_link *links, int n)
{
	for (uint32_t i = 0; i < config.n_routes; i++) {
		const struct cmdline_address *a = &config.routes[i];
		int was = routed[i], r = 0;

		routed[i] = 0;
		for (int k = 0; k < n && routed[i] == 0; k++) {
			if (!is_meant(a, &links[k]) || !links[k].up)
				continue;
			if (links[k].index != was)
				r = net_add_route(links[k].index, a->family,
					a->address, a->prefix, a->gateway);
			if (r < 0 && r != refused[i])
				init_say("cannot set a route on %s: %s",
					links[k].name, strerror(-r));
			refused[i] = r;
			routed[i] = r < 0 ? 0 : links[k].index;
		}
	}
}

/* Gives each address of the command line to the first card it is meant for. */
static void step_static(const struct net_link *links, int n)
{
	for (uint32_t i = 0; i < config.n_addresses; i++) {
		const struct cmdline_address *a = &config.addresses[i];
		bool there = false;

		for (int k = 0; k < n; k++)
			there = there || links[k].index == applied[i];
		if (!there)
			applied[i] = 0;
		for (int k = 0; k < n && applied[i] == 0; k++) {
			char text[CMDLINE_TEXT] = "";
			int r;

			if (a->family == AF_UNSPEC || !is_meant(a, &links[k]))
				continue;
			r = apply(a, &links[k]);
			if (r == 0)
				applied[i] = links[k].index;
			else if (r != failed[i])
				init_say("cannot set %s on %s: %s",
					inet_ntop(a->family, a->address, text,
						sizeof(text)),
					links[k].name, strerror(-r));
			failed[i] = r;
			break;
		}
	}
}

static bool wants_dhcp(const struct net_link *l)
{
	bool wanted = false;

	for (uint32_t i = 0; i < config.n_addresses; i++) {
		const struct cmdline_address *a = &config.addresses[i];

		if (a->family == AF_UNSPEC && l->running && is_meant(a, l))
			wanted = true;
		if (a->family == AF_INET && applied[i] == l->index)
			return false;
	}
	return wanted;
}

static struct card *card_of(const struct net_link *l)
{
	struct card *unused = NULL;

	for (int i = 0; i < NET_LINKS; i++) {
		if (cards[i].index == l->index)
			return &cards[i];
		if (cards[i].index == 0 && !unused)
			unused = &cards[i];
	}
	if (unused) {
		char **arg = unused->dhcp.args;

		memset(unused, 0, sizeof(*unused));
		unused->index = l->index;
		(void)snprintf(
			unused->name, sizeof(unused->name), "%s", l->name);
		(void)snprintf(
			unused->dhcp.name, sizeof(unused->dhcp.name), "udhcpc");
		unused->dhcp.path = INIT_BUSYBOX;
		*arg++ = (char *)"-f";
		*arg++ = (char *)"-i";
		*arg++ = unused->name;
		*arg++ = (char *)"-s";
		*arg++ = (char *)INIT_DHCP;
		/* Four tries, a second apart, then five seconds of rest. */
		*arg++ = (char *)"-t4";
		*arg++ = (char *)"-T1";
		*arg++ = (char *)"-A5";
	}
	return unused;
}

static void step_dhcp(const struct net_link *links, int n)
{
	for (int k = 0; k < n; k++) {
		struct card *c =
			wants_dhcp(&links[k]) ? card_of(&links[k]) : NULL;

		if (c)
			service_step(&c->dhcp);
	}
	/* Cards that were taken out. */
	for (int i = 0; i < NET_LINKS; i++) {
		bool there = false;

		for (int k = 0; k < n; k++)
			there = there || links[k].index == cards[i].index;
		if (cards[i].index == 0 || there)
			continue;
		if (cards[i].dhcp.pid > 0)
			(void)kill(cards[i].dhcp.pid, SIGKILL);
		cards[i].index = 0;
	}
}

static bool is_among(
	const struct net_address *a, const struct net_address *list, int n)
{
	for (int i = 0; i < n; i++)
		if (list[i].index == a->index && list[i].family == a->family &&
			list[i].global == a->global &&
			memcmp(list[i].address, a->address,
				sizeof(a->address)) == 0)
			return true;
	return false;
}

static void say_address(
	const struct net_address *a, const struct net_link *links, int n)
{
	char text[CMDLINE_TEXT] = "", port[16] = "";

	(void)inet_ntop(a->family, a->address, text, sizeof(text));
	if (config.port != CMDLINE_PORT)
		(void)snprintf(port, sizeof(port), " -p %u", config.port);
	for (int k = 0; k < n; k++)
		if (links[k].index == a->index && links[k].ethernet)
			init_say("%s %02x:%02x:%02x:%02x:%02x:%02x: "
				 "ssh root@%s%s",
				links[k].name, links[k].mac[0], links[k].mac[1],
				links[k].mac[2], links[k].mac[3],
				links[k].mac[4], links[k].mac[5], text, port);
}

/* Says each address when it comes. */
static void step_addresses(const struct net_link *links, int n)
{
	struct net_address now[ADDRESSES];
	int n_now = net_addresses(now, ADDRESSES);

	if (n_now < 0)
		return;
	for (int i = 0; i < n_now; i++)
		if (now[i].global && !is_among(&now[i], shown, n_shown))
			say_address(&now[i], links, n);
	memcpy(shown, now, sizeof(now[0]) * (size_t)n_now);
	n_shown = n_now;
}

void network_step(void)
{
	struct net_link links[NET_LINKS];
	int n = net_links(links, NET_LINKS);
	static int last;

	if (n < 0) {
		if (n != last)
			init_say("cannot look for network cards: %s",
				strerror(-n));
		last = n;
		return;
	}
	last = 0;
	for (int k = 0; k < n; k++) {
		int r = 0;

		/* Some cards take it only while they are down. */
		step_mtu(&links[k]);
		if (!links[k].up &&
			(links[k].ethernet || strcmp(links[k].name, "lo") == 0))
			r = net_set_up(links[k].index);
		/* Some cards need firmware; the kernel says so itself. */
		(void)r;
	}
	step_static(links, n);
	step_routes(links, n);
	step_dhcp(links, n);
	step_addresses(links, n);
}

bool network_ended(pid_t pid, int status)
{
	for (int i = 0; i < NET_LINKS; i++)
		if (service_ended(&cards[i].dhcp, pid, status))
			return true;
	return false;
}

/* ---- what udhcpc calls ---- */

static int remove_others(int index, const uint8_t *keep)
{
	struct net_address list[ADDRESSES];
	int n = net_addresses(list, ADDRESSES), r = n < 0 ? n : 0;

	for (int i = 0; i < n; i++) {
		int one;

		if (list[i].index != index || list[i].family != AF_INET ||
			(keep && memcmp(list[i].address, keep, 4) == 0))
			continue;
		one = net_remove_address(
			index, AF_INET, list[i].address, list[i].prefix);
		r = r < 0 ? r : one;
	}
	return r;
}

static uint32_t prefix_of(const char *mask, const char *subnet)
{
	uint64_t prefix;
	struct in_addr a;

	if (mask && parse_u64(mask, &prefix) == 0 && prefix <= 32)
		return (uint32_t)prefix;
	if (subnet && inet_pton(AF_INET, subnet, &a) == 1)
		return (uint32_t)__builtin_popcount(a.s_addr);
	return 24;
}

/* Takes what udhcpc says about name servers, unless the user named some. */
static void take_resolvers(const char *text)
{
	char line[4096] = "", bad[64], words[CMDLINE_DNS][CMDLINE_TEXT];
	const char *list[CMDLINE_DNS];
	struct cmdline c;
	uint32_t n = 0;

	if (io_read_file(AT_FDCWD, "/proc/cmdline", line, sizeof(line)) < 0)
		line[0] = '\0';
	cmdline_parse(line, &c, bad, sizeof(bad));
	while (c.n_dns == 0 && n < CMDLINE_DNS) {
		size_t k;

		text += strspn(text, " ");
		k = strcspn(text, " ");
		if (k == 0)
			break;
		(void)snprintf(words[n], sizeof(words[n]), "%.*s",
			(int)MIN(k, sizeof(words[n]) - 1), text);
		text += k;
		list[n] = words[n];
		if (cmdline_is_ip(words[n]))
			n++;
	}
	if (n > 0)
		write_resolver(list, n);
}

static int take_lease(int index)
{
	const char *ip = getenv("ip"), *router = getenv("router");
	const char *dns = getenv("dns");
	uint8_t address[4], gateway[4];
	char first[CMDLINE_TEXT];
	int r;

	if (!ip || inet_pton(AF_INET, ip, address) != 1)
		return -EINVAL;
	r = net_add_address(index, AF_INET, address,
		prefix_of(getenv("mask"), getenv("subnet")));
	if (r == -EEXIST)
		r = 0;
	if (r == 0)
		r = remove_others(index, address);
	if (router) {
		(void)snprintf(first, sizeof(first), "%.*s",
			(int)MIN(strcspn(router, " "), sizeof(first) - 1),
			router);
		if (r == 0 && inet_pton(AF_INET, first, gateway) == 1)
			r = net_add_route(index, AF_INET, NULL, 0, gateway);
	}
	if (dns)
		take_resolvers(dns);
	return r;
}

int network_dhcp_event(int argc, char **argv)
{
	const char *name = getenv("interface");
	int index = name ? (int)if_nametoindex(name) : 0, r = 0;

	if (argc < 2 || index == 0)
		return 1;
	if (strcmp(argv[1], "deconfig") == 0)
		r = remove_others(index, NULL);
	else if (strcmp(argv[1], "bound") == 0 || strcmp(argv[1], "renew") == 0)
		r = take_lease(index);
	if (r < 0)
		init_say("cannot use what DHCP says on %s: %s", name,
			strerror(-r));
	return r < 0;
}
