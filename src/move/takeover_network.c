/* SPDX-License-Identifier: Apache-2.0 */
#include "move/takeover_network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "move/preflight_checks.h"
#include "rescue/cmdline.h"

#define WORD 200
#define PER_INTERFACE 64 /* addresses that are looked at */
#define USUAL_MTU 1500

/* Appends "text" or ", text", or dots once when it does not fit. */
static void list(char *buf, size_t size, const char *text)
{
	static const char more[] = " ...";
	size_t n = strlen(buf);

	if (n >= sizeof(more) && strcmp(buf + n + 1 - sizeof(more), more) == 0)
		return;
	if (n + strlen(text) + 2 + sizeof(more) <= size)
		(void)snprintf(buf + n, size - n, "%s%s", n ? ", " : "", text);
	else
		(void)snprintf(buf + n, size - n, "%s", more);
}

static bool add_word(struct takeover_network *n, const char *word)
{
	size_t at = strlen(n->words);

	if (at + strlen(word) + 2 > sizeof(n->words))
		return false;
	(void)snprintf(n->words + at, sizeof(n->words) - at, " %s", word);
	return true;
}

/* The MAC that a card has when its driver has just found it. */
static const char *mac_of(const json_t *interface)
{
	const char *mac = preflight_text(interface, "permanent_mac");

	return mac[0] ? mac : preflight_text(interface, "mac");
}

/* One that the rescue system has too: a card, and no part of a bridge or bond.
 */
static bool is_plain(const json_t *interface)
{
	return preflight_is(interface, "kind", "ethernet") &&
	       facts_at(interface, "address") && mac_of(interface)[0] &&
	       !facts_at(interface, "master");
}

static bool is_link_local(const struct cmdline_address *a)
{
	return a->family == AF_INET6 && a->address[0] == 0xfe &&
	       (a->address[1] & 0xc0) == 0x80;
}

static bool is_same(const char *address, const struct cmdline_address *b)
{
	int family = strchr(address, ':') ? AF_INET6 : AF_INET;
	uint8_t bytes[16] = {0};

	return inet_pton(family, address, bytes) == 1 && family == b->family &&
	       memcmp(bytes, b->address, family == AF_INET ? 4 : 16) == 0;
}

/* ---- the default routes ---- */

/* Whether the rescue system can have it: it goes through a gateway of its own
 * family, on a card that is there. */
static bool is_keepable(const json_t *facts, const json_t *route, int family)
{
	const json_t *interface =
		preflight_with(facts_at(facts, "network.interfaces"), "name",
			preflight_text(route, "interface"));
	uint8_t gateway[16];

	return is_plain(interface) &&
	       inet_pton(family, preflight_text(route, "via"), gateway) == 1;
}

/* The one that the machine uses, of all or of those that can be kept; NULL when
 * there is none. */
static const json_t *best_default(
	const json_t *facts, int family, bool keepable)
{
	const json_t *routes = facts_at(facts, "network.routes"), *o;
	const json_t *best = NULL;
	uint64_t f, metric, least = UINT64_MAX;
	size_t i;

	preflight_each(routes, i, o)
	{
		metric = 0;
		(void)preflight_number(o, "metric", &metric);
		if (!preflight_is(o, "to", "default") ||
			!preflight_number(o, "family", &f) ||
			f != (family == AF_INET6 ? 6 : 4) ||
			preflight_true(o, "refuses") || metric >= least ||
			(keepable && !is_keepable(facts, o, family)))
			continue;
		least = metric;
		best = o;
	}
	return best;
}

/* ---- addresses ---- */

struct keeper {
	const json_t *facts;
	const struct takeover_reach *reach;
	struct takeover_network *n;
	/* IPv4, IPv6: the default routes, and whether they have a place. */
	const json_t *defaults[2];
	bool kept_default[2];
	/* Networks that are kept: of addresses, and of routes. */
	struct cmdline_address kept[CMDLINE_ADDRESSES + CMDLINE_ROUTES];
	unsigned n_kept;
};

static void leave(struct keeper *k, const char *what, const json_t *interface)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "%.80s (%.40s, %.20s)", what,
		preflight_text(interface, "name"),
		preflight_text(interface, "kind"));
	list(k->n->left, sizeof(k->n->left), text);
}

/* "rehost.ip=A/P,gw=G,mac=M", with the gateway when the default route goes this
 * way and has not been named yet. */
static bool keep(
	struct keeper *k, const char *text, int family, const json_t *interface)
{
	const json_t *route = k->defaults[family == AF_INET6];
	struct cmdline_address parsed;
	char word[WORD], gateway[80] = "", mtu[16] = "";
	uint64_t bytes;

	if (route && !k->kept_default[family == AF_INET6] &&
		preflight_is(
			route, "interface", preflight_text(interface, "name")))
		(void)snprintf(gateway, sizeof(gateway), ",gw=%.64s",
			preflight_text(route, "via"));
	if (preflight_number(interface, "mtu", &bytes) && bytes != USUAL_MTU &&
		bytes >= CMDLINE_MTU_MIN && bytes <= CMDLINE_MTU_MAX)
		(void)snprintf(mtu, sizeof(mtu), ",mtu=%u", (unsigned)bytes);
	(void)snprintf(word, sizeof(word), "rehost.ip=%.64s%s%s,mac=%.20s",
		text, gateway, mtu, mac_of(interface));
	if (cmdline_parse_address(word + 10, &parsed) < 0 ||
		k->n->n_addresses == CMDLINE_ADDRESSES || !add_word(k->n, word))
		return false;
	k->kept[k->n_kept++] = parsed;
	k->n->n_addresses++;
	if (gateway[0])
		k->kept_default[family == AF_INET6] = true;
	return true;
}

/* One address: that at which ssh came (first), or another. */
static void take(
	struct keeper *k, const json_t *interface, const char *text, bool first)
{
	const json_t *dynamic = facts_at(interface, "dynamic_addresses");
	struct cmdline_address a;

	if (cmdline_parse_address(text, &a) < 0 || a.family == AF_UNSPEC ||
		is_link_local(&a) || is_same(k->reach->at, &a) != first)
		return;
	if (!is_plain(interface)) {
		if (first)
			(void)snprintf(k->n->refused, sizeof(k->n->refused),
				"ssh reaches it at %.64s on %.40s, which is no "
				"plain network card (%.20s): the rescue system "
				"has no other",
				k->reach->at, preflight_text(interface, "name"),
				preflight_text(interface, "kind"));
		else
			leave(k, text, interface);
		return;
	}
	if (!keep(k, text, a.family, interface)) {
		leave(k, text, interface);
		return;
	}
	if (first)
		(void)snprintf(k->n->address, sizeof(k->n->address), "%s",
			k->reach->at);
	if (preflight_has(dynamic, text, PER_INTERFACE))
		list(k->n->dynamic, sizeof(k->n->dynamic), text);
}

static void take_all(struct keeper *k, bool first)
{
	const json_t *interfaces = facts_at(k->facts, "network.interfaces");
	const json_t *o;
	size_t i;

	preflight_each(interfaces, i, o)
	{
		const json_t *addresses = facts_at(o, "addresses"), *a;
		size_t j;

		if (preflight_is(o, "kind", "loopback"))
			continue;
		preflight_each(addresses, j, a)
		{
			if (j == PER_INTERFACE)
				break;
			take(k, o, preflight_text(a, ""), first);
		}
	}
}

/* ---- routes and name servers ---- */

/* Whether a network that is kept has this address, or it is a gateway. */
static bool has_way(const struct keeper *k, int family, const uint8_t *address)
{
	for (unsigned i = 0; i < k->n_kept; i++) {
		const struct cmdline_address *a = &k->kept[i];

		if (a->family != family)
			continue;
		if (preflight_same_bits(a->address, address, a->prefix) ||
			(a->has_gateway &&
				memcmp(a->gateway, address,
					family == AF_INET6 ? 16 : 4) == 0))
			return true;
	}
	return false;
}

static void take_route(struct keeper *k, const json_t *route)
{
	const char *to = preflight_text(route, "to");
	const json_t *interface =
		preflight_with(facts_at(k->facts, "network.interfaces"), "name",
			preflight_text(route, "interface"));
	struct cmdline_address a;
	char word[WORD], text[128];

	/* On a network that is kept, or to a gateway. */
	if (!preflight_text(route, "via")[0] &&
		cmdline_parse_address(to, &a) == 0 &&
		has_way(k, a.family, a.address))
		return;
	(void)snprintf(word, sizeof(word),
		"rehost.route=%.64s,gw=%.64s,mac=%.20s", to,
		preflight_text(route, "via"), mac_of(interface));
	if (is_plain(interface) && cmdline_parse_route(word + 13, &a) == 0 &&
		k->n->n_routes < CMDLINE_ROUTES && add_word(k->n, word)) {
		k->kept[k->n_kept++] = a;
		k->n->n_routes++;
		return;
	}
	(void)snprintf(text, sizeof(text), "the route to %.64s", to);
	list(k->n->left, sizeof(k->n->left), text);
}

static void take_routes(struct keeper *k)
{
	const json_t *routes = facts_at(k->facts, "network.routes"), *o;
	size_t i;

	preflight_each(routes, i, o)
	{
		if (!preflight_is(o, "to", "default") &&
			!preflight_is(o, "protocol", "kernel") &&
			!preflight_true(o, "refuses"))
			take_route(k, o);
	}
}

/* Default routes of which none was kept are named; and where ssh came from
 * must be reached by what was. */
static void check_ways(struct keeper *k)
{
	static const int families[] = {AF_INET, AF_INET6};
	int ours = strchr(k->reach->at, ':') ? AF_INET6 : AF_INET;
	uint8_t from[16] = {0};

	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		int f = families[i];
		const json_t *best = best_default(k->facts, f, false);
		char text[128] = "";

		if (best)
			(void)snprintf(text, sizeof(text),
				"the IPv%d default route through %.40s",
				f == AF_INET6 ? 6 : 4,
				preflight_text(best, "interface"));
		if (k->kept_default[i])
			continue;
		if (f != ours || (inet_pton(f, k->reach->from, from) == 1 &&
					 has_way(k, f, from))) {
			if (best)
				list(k->n->left, sizeof(k->n->left), text);
			continue;
		}
		(void)snprintf(k->n->refused, sizeof(k->n->refused),
			"the rescue system would not reach %.64s, from where "
			"ssh comes: %s%s",
			k->reach->from, best ? text : "it has no default route",
			best ? " cannot be kept" : "");
		k->n->remedy = "run rehost from a machine in one of its own "
			       "networks, give it a default route through a "
			       "gateway on a plain network card, or boot the "
			       "rescue system there in another way";
	}
}

/* Those behind a server on the machine itself, which ends with it. */
static unsigned take_servers(struct keeper *k, const char *path, unsigned n)
{
	const json_t *servers = facts_at(k->facts, path), *o;
	size_t i;

	preflight_each(servers, i, o)
	{
		const char *text = preflight_text(o, "");
		char word[WORD];

		if (n == CMDLINE_DNS || !cmdline_is_ip(text) ||
			strncmp(text, "127.", 4) == 0 ||
			strcmp(text, "::1") == 0)
			continue;
		(void)snprintf(word, sizeof(word), "rehost.dns=%s", text);
		n += add_word(k->n, word);
	}
	return n;
}

/* The address at which ssh reaches it must be one that is kept. */
static void take_reached(struct keeper *k)
{
	const char *at = k->reach->at;
	struct cmdline_address a;
	char text[80];

	k->n->remedy = "reach it by ssh at an address of a plain network card, "
		       "or boot the rescue system there in another way";
	(void)snprintf(text, sizeof(text), "%.60s/%s", at,
		strchr(at, ':') ? "128" : "32");
	if (!at[0]) {
		(void)snprintf(k->n->refused, sizeof(k->n->refused),
			"it was not reached by ssh over a network");
		return;
	}
	if (cmdline_parse_address(text, &a) < 0 || is_link_local(&a)) {
		(void)snprintf(k->n->refused, sizeof(k->n->refused),
			"ssh reaches it at %.64s, an address that it has for "
			"its own link alone",
			at);
		return;
	}
	take_all(k, true);
	if (!k->n->refused[0] && !k->n->address[0])
		(void)snprintf(k->n->refused, sizeof(k->n->refused),
			"ssh reaches it at %.64s, which none of its "
			"network cards has",
			at);
}

void takeover_network(const json_t *facts, const struct takeover_reach *reach,
	struct takeover_network *ret)
{
	struct keeper k = {.facts = facts, .n = ret, .reach = reach};
	char port[32];

	memset(ret, 0, sizeof(*ret));
	k.defaults[0] = best_default(facts, AF_INET, true);
	k.defaults[1] = best_default(facts, AF_INET6, true);
	take_reached(&k);
	if (ret->refused[0])
		return;
	(void)snprintf(port, sizeof(port), "rehost.port=%u", reach->port);
	if (reach->port > 0 && reach->port != CMDLINE_PORT)
		(void)add_word(ret, port);
	take_all(&k, false);
	take_routes(&k);
	check_ways(&k);
	if (ret->refused[0])
		ret->words[0] = '\0';
	else
		(void)take_servers(&k, "network.resolver.upstream",
			take_servers(&k, "network.resolver.nameservers", 0));
}

/* ---- the command line ---- */

/* Beginnings of words without which the hardware may not boot, or not show what
 * happens; the same kernel boots there again. */
static bool is_of_hardware(const char *word)
{
	static const char *const begins[] = {"console=", "earlyprintk=",
		"acpi=", "acpi_", "amd_iommu=", "apic=", "clocksource=", "ibt=",
		"intel_iommu=", "iommu=", "irqpoll", "libata.",
		"maxcpus=", "mem=", "memmap=", "mitigations=", "noapic",
		"nolapic", "nomodeset", "noxsave", "nr_cpus=", "nvme_core.",
		"pci=", "pcie_", "processor.",
		"reboot=", "tsc=", "video=", "virtio_mmio.", "xen_"};

	for (size_t i = 0; i < ARRAY_LEN(begins); i++)
		if (strncmp(word, begins[i], strlen(begins[i])) == 0)
			return true;
	return false;
}

static bool is_clean(const char *word)
{
	for (; *word; word++)
		if (*word <= ' ' || *word > '~' || strchr("\"'\\", *word))
			return false;
	return true;
}

int takeover_cmdline(const json_t *facts, const struct takeover_network *n,
	unsigned watchdog, const char *id, char *ret, size_t size)
{
	const char *own = facts_text(facts, "system.kernel.command_line");
	size_t at = (size_t)snprintf(ret, size,
		"quiet panic=10 rehost.id=%s rehost.watchdog=%u%s", id,
		watchdog, n->words);

	while (at < size && *own) {
		size_t length = strcspn(own, " ");
		char word[WORD];

		(void)snprintf(word, sizeof(word), "%.*s",
			(int)MIN(length, sizeof(word) - 1), own);
		if (length < sizeof(word) && is_of_hardware(word) &&
			is_clean(word))
			at += (size_t)snprintf(
				ret + at, size - at, " %s", word);
		own += length;
		own += strspn(own, " ");
	}
	return at < size ? 0 : -E2BIG;
}
