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

/* The one that the machine uses, NULL when it has none with a gateway. */
static const json_t *best_default(const json_t *facts, uint64_t family)
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
			!preflight_number(o, "family", &f) || f != family ||
			!preflight_text(o, "via")[0] ||
			preflight_true(o, "refuses") || metric >= least)
			continue;
		least = metric;
		best = o;
	}
	return best;
}

/* ---- addresses ---- */

struct keeper {
	const json_t *facts;
	const char *reached_at;
	struct takeover_network *n;
	const json_t *defaults[2]; /* IPv4, IPv6; NULL once it has its place */
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
	const json_t **route = &k->defaults[family == AF_INET6];
	struct cmdline_address parsed;
	char word[WORD], gateway[80] = "";

	if (*route && preflight_is(*route, "interface",
			      preflight_text(interface, "name")))
		(void)snprintf(gateway, sizeof(gateway), ",gw=%.64s",
			preflight_text(*route, "via"));
	for (;;) {
		(void)snprintf(word, sizeof(word),
			"rehost.ip=%.64s%s,mac=%.20s", text, gateway,
			mac_of(interface));
		if (cmdline_parse_address(word + 10, &parsed) == 0)
			break;
		/* A gateway of the other family, or one that is none. */
		if (!gateway[0])
			return false;
		gateway[0] = '\0';
	}
	if (k->n->n_addresses == CMDLINE_ADDRESSES || !add_word(k->n, word))
		return false;
	k->n->n_addresses++;
	if (gateway[0])
		*route = NULL;
	return true;
}

/* One address: that at which ssh came (first), or another. */
static void take(
	struct keeper *k, const json_t *interface, const char *text, bool first)
{
	const json_t *dynamic = facts_at(interface, "dynamic_addresses");
	struct cmdline_address a;

	if (cmdline_parse_address(text, &a) < 0 || a.family == AF_UNSPEC ||
		is_link_local(&a) || is_same(k->reached_at, &a) != first)
		return;
	if (!is_plain(interface)) {
		if (first)
			(void)snprintf(k->n->refused, sizeof(k->n->refused),
				"ssh reaches it at %.64s on %.40s, which is no "
				"plain network card (%.20s): the rescue system "
				"has no other",
				k->reached_at,
				preflight_text(interface, "name"),
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
			k->reached_at);
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

static void take_routes(struct keeper *k)
{
	const json_t *routes = facts_at(k->facts, "network.routes"), *o;
	const json_t *interfaces = facts_at(k->facts, "network.interfaces");
	size_t i;

	preflight_each(routes, i, o)
	{
		const char *to = preflight_text(o, "to");
		const json_t *interface = preflight_with(
			interfaces, "name", preflight_text(o, "interface"));
		struct cmdline_address a;
		char word[WORD];

		if (strcmp(to, "default") == 0 ||
			!preflight_text(o, "via")[0] ||
			preflight_is(o, "protocol", "kernel") ||
			preflight_true(o, "refuses"))
			continue;
		(void)snprintf(word, sizeof(word),
			"rehost.route=%.64s,gw=%.64s,mac=%.20s", to,
			preflight_text(o, "via"), mac_of(interface));
		if (!is_plain(interface) ||
			cmdline_parse_route(word + 13, &a) < 0 ||
			k->n->n_routes == CMDLINE_ROUTES ||
			!add_word(k->n, word)) {
			char text[128];

			(void)snprintf(
				text, sizeof(text), "the route to %.64s", to);
			list(k->n->left, sizeof(k->n->left), text);
			continue;
		}
		k->n->n_routes++;
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

void takeover_network(const json_t *facts, const char *reached_at,
	struct takeover_network *ret)
{
	struct keeper k = {.facts = facts, .n = ret, .reached_at = reached_at};
	struct cmdline_address a;
	char text[80];

	memset(ret, 0, sizeof(*ret));
	k.defaults[0] = best_default(facts, 4);
	k.defaults[1] = best_default(facts, 6);
	(void)snprintf(text, sizeof(text), "%.60s/%s", reached_at,
		strchr(reached_at, ':') ? "128" : "32");
	if (!reached_at[0]) {
		(void)snprintf(ret->refused, sizeof(ret->refused),
			"it was not reached by ssh over a network");
	} else if (cmdline_parse_address(text, &a) < 0 || is_link_local(&a)) {
		(void)snprintf(ret->refused, sizeof(ret->refused),
			"ssh reaches it at %.64s, an address that it has for "
			"its own link alone",
			reached_at);
	} else {
		take_all(&k, true);
		if (!ret->refused[0] && !ret->address[0])
			(void)snprintf(ret->refused, sizeof(ret->refused),
				"ssh reaches it at %.64s, which none of its "
				"network cards has",
				reached_at);
	}
	if (ret->refused[0])
		return;
	take_all(&k, false);
	take_routes(&k);
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
