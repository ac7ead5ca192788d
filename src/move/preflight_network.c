/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, names of interfaces, and the link between both machines. */
#include "move/preflight_checks.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "move/takeover_network.h"

/* Addresses that are compared. */
#define ADDRESSES_MAX 256

struct address {
	int family;
	uint8_t bytes[16];
	unsigned bits;
};

/* "10.0.2.15/24"; false when it is none that others reach. */
static bool parse(const char *text, struct address *ret)
{
	char copy[64], *slash;
	uint64_t bits;

	if (strlen(text) >= sizeof(copy))
		return false;
	(void)snprintf(copy, sizeof(copy), "%s", text);
	slash = strchr(copy, '/');
	if (!slash)
		return false;
	*slash++ = '\0';
	ret->family = strchr(copy, ':') ? AF_INET6 : AF_INET;
	memset(ret->bytes, 0, sizeof(ret->bytes));
	if (inet_pton(ret->family, copy, ret->bytes) != 1 ||
		parse_u64(slash, &bits) < 0 ||
		bits > (ret->family == AF_INET ? 32 : 128))
		return false;
	ret->bits = (unsigned)bits;
	/* Loopback and link-local ones. */
	if (ret->family == AF_INET)
		return ret->bytes[0] != 127 &&
		       !(ret->bytes[0] == 169 && ret->bytes[1] == 254);
	return ret->bytes[0] != 0 &&
	       !(ret->bytes[0] == 0xfe && (ret->bytes[1] & 0xc0) == 0x80);
}

bool preflight_same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	unsigned mask = 0xff00U >> rest & 0xff;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || ((a[whole] ^ b[whole]) & mask) == 0;
}

/* Whether a lies in the network of b. */
static bool is_within(const struct address *a, const struct address *b)
{
	return a->family == b->family &&
	       preflight_same_bits(a->bytes, b->bytes, b->bits);
}

static bool is_outer(const json_t *interface)
{
	static const char *const inner[] = {"loopback", "tun", "wireguard"};
	const char *kind = preflight_text(interface, "kind");

	for (size_t i = 0; i < ARRAY_LEN(inner); i++)
		if (strcmp(kind, inner[i]) == 0)
			return false;
	return true;
}

/* All addresses of a machine by which others reach it. */
static unsigned collect(const json_t *facts, struct address v[ADDRESSES_MAX])
{
	const json_t *list = facts_at(facts, "network.interfaces"), *o;
	unsigned n = 0;
	size_t i;

	preflight_each(list, i, o)
	{
		const json_t *addresses = facts_at(o, "addresses"), *a;
		size_t k;

		if (!is_outer(o))
			continue;
		preflight_each(addresses, k, a)
		{
			if (n == ADDRESSES_MAX)
				return n;
			if (parse(preflight_text(a, ""), &v[n]))
				n++;
		}
	}
	return n;
}

void preflight_address(struct preflight *p)
{
	struct address there[ADDRESSES_MAX], one;
	unsigned n = collect(p->target, there);
	const json_t *list = facts_at(p->source, "network.interfaces"), *o;
	size_t i;

	if (p->wish->new_addresses || n == 0)
		return;
	preflight_each(list, i, o)
	{
		const json_t *addresses = facts_at(o, "addresses"), *a;
		const json_t *dynamic = facts_at(o, "dynamic_addresses");
		size_t k;

		if (!is_outer(o))
			continue;
		preflight_each(addresses, k, a)
		{
			const char *text = preflight_text(a, "");
			bool fits = false;

			if (!parse(text, &one) ||
				preflight_has(dynamic, text, ADDRESSES_MAX))
				continue;
			for (unsigned t = 0; t < n && !fits; t++)
				fits = is_within(&one, &there[t]);
			if (fits)
				continue;
			preflight_find(p, WARNS, TARGET,
				"none of its networks has the source's address "
				"%s (%s)",
				text, preflight_text(o, "name"));
			preflight_remedy(p,
				"give the moved system an address of the "
				"target's network, or have the network send "
				"this one there; change the DNS ahead");
		}
	}
}

void preflight_dynamic_address(struct preflight *p)
{
	const json_t *list = facts_at(p->source, "network.interfaces"), *o;
	struct address a;
	size_t i;

	if (p->wish->new_addresses)
		return;
	preflight_each(list, i, o)
	{
		const char *text = preflight_text(
			json_array_get(facts_at(o, "dynamic_addresses"), 0),
			"");

		/* What an interface gives itself is no loss. */
		if (!preflight_true(o, "dynamic") || !is_outer(o) ||
			(text[0] && !parse(text, &a)))
			continue;
		preflight_find(p, NOTES, SOURCE,
			"%s has its address%s%s from DHCP or a router: on the "
			"target it gets another",
			preflight_text(o, "name"), text[0] ? " " : "", text);
		preflight_remedy(p, "change the DNS ahead, or reserve the "
				    "address for the target's MAC");
	}
}

static unsigned count_ethernet(const json_t *facts, bool with_address)
{
	const json_t *list = facts_at(facts, "network.interfaces"), *o;
	unsigned n = 0;
	size_t i;

	/* What software made has no address of a device. */
	preflight_each(list, i, o) n +=
		preflight_is(o, "kind", "ethernet") && facts_at(o, "address") &&
				(!with_address || preflight_true(o, "up"))
			? 1
			: 0;
	return n;
}

void preflight_fewer_interfaces(struct preflight *p)
{
	unsigned used = count_ethernet(p->source, true);
	unsigned have = count_ethernet(p->target, false);

	if (!facts_at(p->target, "network.interfaces") || have >= used)
		return;
	preflight_find(p, WARNS, TARGET,
		"it has %u network interfaces, and the source uses %u", have,
		used);
	preflight_remedy(p, "give it as many, or move the addresses to fewer "
			    "(VLANs, several addresses on one)");
}

/* "52:54:00:12:34:56" */
static bool is_mac(const char *s)
{
	for (unsigned i = 0; i < 17; i++)
		if (i % 3 == 2 ? s[i] != ':' : !isxdigit((unsigned char)s[i]))
			return false;
	return s[17] == '\0';
}

static bool has_mac(const json_t *facts, const char *name)
{
	const json_t *o = preflight_with(
		facts_at(facts, "network.interfaces"), "name", name);

	return preflight_text(o, "mac")[0] != '\0';
}

static void check_configured(
	struct preflight *p, const char *by, const char *name)
{
	const json_t *list = facts_at(p->target, "network.interfaces");
	const json_t *ours = preflight_with(
		facts_at(p->source, "network.interfaces"), "name", name);

	if (is_mac(name)) {
		if (preflight_with(list, "mac", name))
			return;
		preflight_find(p, WARNS, SOURCE,
			"%s configures the interface with the MAC %s, which "
			"the target does not have",
			by, name);
		preflight_remedy(p, "give the target that MAC, or change the "
				    "configuration to the target's");
		return;
	}
	/* What software makes gets its name there too; patterns fit. */
	if (strpbrk(name, "*?[") || !ours || !facts_at(ours, "address") ||
		!has_mac(p->source, name) || preflight_with(list, "name", name))
		return;
	preflight_find(p, WARNS, SOURCE,
		"%s configures %s, and the target's interfaces have other "
		"names",
		by, name);
	preflight_remedy(p,
		"tie the name to the target's MAC (systemd.link(5) "
		"with MACAddress= and Name=%s)",
		name);
}

void preflight_interface_name(struct preflight *p)
{
	const json_t *list = facts_at(p->source, "network.configured_by");
	const json_t *o;
	size_t i;

	if (!facts_at(p->target, "network.interfaces"))
		return;
	preflight_each(list, i, o)
	{
		json_t *all = json_object_get(o, "interfaces"), *v;
		const char *key;
		unsigned n = 0;

		if (preflight_false(o, "active"))
			continue;
		json_object_foreach(all, key, v)
		{
			if (n++ == ADDRESSES_MAX)
				break;
			if (strlen(key) < 64)
				check_configured(
					p, preflight_text(o, "kind"), key);
		}
	}
}

void preflight_cloud_init(struct preflight *p)
{
	const json_t *o =
		preflight_with(facts_at(p->source, "network.configured_by"),
			"kind", "cloud-init");

	if (!o || preflight_false(o, "active"))
		return;
	preflight_find(p, WARNS, SOURCE,
		"cloud-init configures its network: on another machine it "
		"takes itself for new, and writes network, host keys and users "
		"anew");
	preflight_remedy(p, "before the cutover turn it off (touch "
			    "/etc/cloud/cloud-init.disabled), once another "
			    "configures the network");
}

/* ---- a takeover ---- */

void preflight_takeover_network(struct preflight *p)
{
	struct takeover_network n;

	if (!p->wish->takeover || !p->wish->reach)
		return;
	takeover_network(p->target, p->wish->reach, &n);
	if (n.refused[0]) {
		preflight_find(p, BLOCKS, TARGET, "%s", n.refused);
		preflight_remedy(p, "%s", n.remedy);
	}
	if (n.left[0]) {
		preflight_find(p, WARNS, TARGET,
			"the rescue system does not keep %s", n.left);
		preflight_remedy(p, "make sure that nothing needs it during "
				    "the move");
	}
	if (n.dynamic[0]) {
		preflight_find(p, NOTES, TARGET,
			"%s has come by DHCP or from a router and is kept as "
			"it is",
			n.dynamic);
		preflight_remedy(p, "make sure that the lease outlasts the "
				    "move");
	}
}

/* ---- the link ---- */

static uint64_t write_rate(const struct preflight *p)
{
	const json_t *list = facts_at(p->source, "load.disks"), *o;
	uint64_t sum = 0, n;
	size_t i;

	/* Partitions and the like count again what their disks do. */
	preflight_each(list, i, o)
	{
		const json_t *d = preflight_disk_named(
			p, SOURCE, preflight_text(o, "name"));

		if (preflight_is(d, "kind", "disk") &&
			preflight_number(o, "write_bytes_s", &n) &&
			__builtin_add_overflow(sum, n, &sum))
			return UINT64_MAX;
	}
	return sum;
}

void preflight_link(struct preflight *p)
{
	uint64_t link = p->wish->link_bytes_s, rate = write_rate(p);
	char a[24], b[24];

	/* With half of it the rounds still get smaller, slowly. */
	if (link == 0 || rate == 0 || rate < link / 2)
		return;
	preflight_find(p, rate >= link ? BLOCKS : WARNS, SOURCE,
		"it writes %s a second, and the link takes %s a second: the "
		"target %s",
		preflight_size_text(rate, a), preflight_size_text(link, b),
		rate >= link ? "never comes near" : "comes near slowly");
	preflight_remedy(p, "move when less is written, find what writes, or "
			    "use a faster link");
}
