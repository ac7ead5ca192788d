/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces are paired first by the subnet that both are in, then in order:
 * Ethernet before others, those with a carrier first. What is made by software
 * (bridges, bonds, VLANs) comes along with the moved configuration.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/parse.h"
#include "move/interfaces.h"
#include "move/plan_disk.h"
#include "move/plan_make.h"
#include "move/plan_text.h"

#define INTERFACES 16384
#define ADDRESSES 32   /* of one interface that are compared */
#define CONFIGURED 256 /* ways of configuring that are looked at */

struct nic {
	const json_t *j, *holder;
	char mac[64];
	bool taken;
};

struct network {
	const json_t *facts, *all;	 /* the machine's; its interfaces */
	struct nic v[PLAN_NICS_MAX + 1]; /* the last is for trying */
	size_t n;
};

static int rank(const json_t *j)
{
	return (strcmp(facts_text(j, "kind"), "ethernet") ? 2 : 0) +
	       (json_is_true(json_object_get(j, "carrier")) ? 0 : 1);
}

bool plan_is_card(const json_t *j)
{
	static const char *const kinds[] = {
		"ethernet", "wireless", "infiniband"};

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(facts_text(j, "kind"), kinds[i]) == 0)
			return true;
	return false;
}

static int add_nic(struct network *w, const json_t *j)
{
	const char *mac = facts_text(j, "permanent_mac");
	struct nic *nic = &w->v[w->n];

	if (!mac[0])
		mac = facts_text(j, "mac");
	if (strlen(mac) >= sizeof(nic->mac))
		return 0;
	(void)snprintf(nic->mac, sizeof(nic->mac), "%s", mac);
	if (!plan_is_mac(nic->mac))
		return 0;
	for (size_t i = 0; i < w->n; i++)
		if (strcmp(w->v[i].mac, nic->mac) == 0)
			return 0; /* nothing could tell them apart */
	if (w->n == PLAN_NICS_MAX)
		return -E2BIG;
	nic->j = j;
	nic->holder = interfaces_holder(w->all, j);
	w->n++;
	return 0;
}

/* Those of the hardware; where there is none, as in a container, those that
 * look like it. */
static int load(struct network *w, const json_t *facts)
{
	const json_t *j;
	size_t i;
	int r = 0;

	memset(w, 0, sizeof(*w));
	w->facts = json_object_get(facts, "network");
	w->all = json_object_get(w->facts, "interfaces");
	if (json_array_size(w->all) > INTERFACES)
		return -E2BIG;
	for (int hardware = 1; r == 0 && hardware >= 0 && w->n == 0; hardware--)
		for (int at = 0; r == 0 && at < 4; at++)
			json_array_foreach(w->all, i, j)
			{
				if (r == 0 && plan_is_card(j) &&
					rank(j) == at &&
					(!hardware ||
						facts_text(j, "address")[0]))
					r = add_nic(w, j);
			}
	return r;
}

struct subnet {
	int family;
	uint8_t bytes[16];
	unsigned bits;
};

/* False for what says nothing about where a machine is: link-local addresses,
 * and what is no address at all. */
static bool parse_subnet(const char *text, struct subnet *s)
{
	char address[64];
	const char *slash = strchr(text, '/');
	uint64_t bits;

	if (!plan_is_network(text) || !slash)
		return false;
	memset(s, 0, sizeof(*s));
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	s->family = strchr(address, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(s->family, address, s->bytes) != 1 ||
		parse_u64(slash + 1, &bits) < 0)
		return false;
	s->bits = (unsigned)bits;
	if (s->family == AF_INET6)
		return !(s->bytes[0] == 0xfe && (s->bytes[1] & 0xc0) == 0x80);
	return s->bytes[0] != 127 &&
	       !(s->bytes[0] == 169 && s->bytes[1] == 254);
}

/* Whether the address of a lies in the network of b, and the other way. */
static bool share(const char *a, const char *b)
{
	struct subnet x, y;
	unsigned bits;

	if (!parse_subnet(a, &x) || !parse_subnet(b, &y) ||
		x.family != y.family || x.bits != y.bits)
		return false;
	bits = x.bits;
	if (memcmp(x.bytes, y.bytes, bits / 8) != 0)
		return false;
	return bits % 8 == 0 ||
	       (x.bytes[bits / 8] ^ y.bytes[bits / 8]) >> (8 - bits % 8) == 0;
}

static bool shares_subnet(const json_t *a, const json_t *b)
{
	const json_t *x, *y;
	size_t i, k;

	json_array_foreach(json_object_get(a, "addresses"), i, x)
	{
		json_array_foreach(json_object_get(b, "addresses"), k, y)
		{
			if (i < ADDRESSES && k < ADDRESSES &&
				json_is_string(x) && json_is_string(y) &&
				share(json_string_value(x),
					json_string_value(y)))
				return true;
		}
	}
	return false;
}

static size_t count_addresses(const json_t *j, const char *key)
{
	struct subnet s;
	const json_t *v;
	size_t i, n = 0;

	json_array_foreach(json_object_get(j, key), i, v)
	{
		n += i < ADDRESSES && json_is_string(v) &&
		     parse_subnet(json_string_value(v), &s);
	}
	return n;
}

/* How it is configured: see facts; "": not. */
static const char *configured(const struct network *w, const json_t *j)
{
	const char *name = facts_text(j, "name");
	const json_t *v;
	size_t i;

	json_array_foreach(json_object_get(w->facts, "configured_by"), i, v)
	{
		/* Not by facts_text: names may have dots. */
		const char *how = json_string_value(json_object_get(
			json_object_get(v, "interfaces"), name));

		if (i == CONFIGURED)
			break;
		if (!json_is_false(json_object_get(v, "active")) && how &&
			how[0])
			return how;
	}
	return "";
}

/* As it is configured; otherwise as the kernel has its addresses. */
static bool uses_dhcp(const struct network *w, const json_t *j)
{
	size_t all = count_addresses(j, "addresses");
	const char *how = configured(w, j);

	if (how[0])
		return strcmp(how, "dhcp") == 0;
	return all > 0 && count_addresses(j, "dynamic_addresses") == all;
}

static void put_addresses(FILE *f, const json_t *j)
{
	const json_t *v;
	size_t i;
	unsigned shown = 0;

	json_array_foreach(json_object_get(j, "addresses"), i, v)
	{
		if (!json_is_string(v) || shown == 6)
			continue;
		(void)fputs(", ", f);
		plan_text_visible(f, json_string_value(v), 60);
		shown++;
	}
	if (!shown)
		(void)fputs(", no address", f);
}

static void put_nic(FILE *f, const struct network *w, const struct nic *nic)
{
	const json_t *at = nic->holder;

	plan_text_visible(f, facts_text(nic->j, "name"), 40);
	(void)fprintf(f, ", %s",
		json_is_true(json_object_get(nic->j, "carrier"))
			? "carrier"
			: "no carrier");
	if (at != nic->j) {
		(void)fputs(", in ", f);
		plan_text_visible(f, facts_text(at, "name"), 40);
	}
	put_addresses(f, at);
	if (uses_dhcp(w, at))
		(void)fputs(" (DHCP)", f);
}

struct pairing {
	struct network *source, *target;
	const char *place; /* of the target */
	bool clone;
	struct error *err;
};

static int say_too_many(const struct pairing *k, const char *name)
{
	(void)error_set(k->err, -EOVERFLOW, "make a plan");
	(void)error_why(k->err,
		"its interface %.40s has more than %d addresses", name,
		PLAN_ADDRESSES_MAX);
	(void)error_todo(k->err, "take some away for the time of the plan");
	return error_host(k->err, k->place);
}

/* The target's addresses and gateways become the moved machine's. */
static int map(const struct pairing *k, struct plan_nic *n, const json_t *at)
{
	const struct network *w = k->target;
	const char *name = facts_text(at, "name");
	const json_t *v;
	bool have[2] = {false};
	struct subnet s;
	size_t i;
	int r = 0;

	if (json_array_size(json_object_get(at, "addresses")) >
		PLAN_ADDRESSES_MAX)
		return say_too_many(k, name);
	n->mode = PLAN_MAP;
	json_array_foreach(json_object_get(at, "addresses"), i, v)
	{
		if (r == 0 && json_is_string(v) &&
			parse_subnet(json_string_value(v), &s))
			r = plan_list_add(&n->addresses, json_string_value(v),
				PLAN_ADDRESSES_MAX);
	}
	json_array_foreach(json_object_get(w->facts, "routes"), i, v)
	{
		const char *via = facts_text(v, "via");
		bool six = strchr(via, ':');

		if (r < 0 || strcmp(facts_text(v, "to"), "default") != 0 ||
			strcmp(facts_text(v, "interface"), name) != 0 ||
			!plan_is_address(via) || have[six])
			continue;
		have[six] = true;
		r = plan_list_add(&n->gateways, via, PLAN_LIST_MAX);
	}
	return r;
}

static bool target_has_subnet(const struct network *t, const json_t *from)
{
	for (size_t i = 0; i < t->n; i++)
		if (shares_subnet(from, t->v[i].holder))
			return true;
	return false;
}

/* One without an address may yet have some by its configuration, or serve what
 * it is a part of. */
static void choose_unused(const struct pairing *k, struct plan_nic *n,
	const struct nic *from, FILE *f)
{
	if (strcmp(configured(k->source, from->holder), "static") == 0 ||
		from->holder != from->j || facts_text(from->j, "master")[0]) {
		n->mode = PLAN_DHCP;
		(void)fputs("\ndhcp: a clone cannot have the addresses that "
			    "the source may have here.",
			f);
		return;
	}
	n->exclude = true;
	free(n->target);
	n->target = NULL;
	(void)fputs(
		"\nLeft out: it has no address, and a clone keeps none.", f);
}

static int choose_mode(const struct pairing *k, struct plan_nic *n,
	const struct nic *from, const struct nic *to, FILE *f)
{
	const json_t *s = from->holder, *t = to->holder;
	size_t there = count_addresses(t, "addresses");

	n->mode = PLAN_KEEP;
	if (uses_dhcp(k->source, s)) {
		n->mode = PLAN_DHCP;
		(void)fputs("\ndhcp: the source uses DHCP.", f);
	} else if (k->clone && count_addresses(s, "addresses") == 0) {
		choose_unused(k, n, from, f);
	} else if (count_addresses(s, "addresses") == 0) {
		(void)fputs("\nkeep: it has no address that could be wrong on "
			    "the target.",
			f);
	} else if (k->clone && there == 0) {
		n->mode = PLAN_DHCP;
		(void)fputs("\ndhcp: a clone cannot have the addresses of the "
			    "source, and the target has none.",
			f);
	} else if (!k->clone && there == 0) {
		(void)fputs("\nkeep: the target has no address here that says "
			    "otherwise.",
			f);
	} else if (!k->clone && target_has_subnet(k->target, s)) {
		(void)fputs("\nkeep: the target is in the same subnet.", f);
	} else if (uses_dhcp(k->target, t)) {
		n->mode = PLAN_DHCP;
		(void)fprintf(f,
			"\ndhcp: %s, and the target has its own by "
			"DHCP.",
			k->clone ? "a clone needs other addresses"
				 : "the subnet of the source is not there");
	} else {
		(void)fprintf(f,
			"\nmap: %s; these are the target's.\n"
			"Check the gateways, and give nameservers if the old "
			"ones are out of reach.",
			k->clone ? "a clone needs other addresses"
				 : "the subnet of the source is not there");
		return map(k, n, t);
	}
	return 0;
}

/* What else could be written behind target. */
static void put_others(
	FILE *f, const struct network *w, const struct nic *chosen)
{
	bool any = false;

	for (size_t i = 0; i < w->n; i++) {
		if (&w->v[i] == chosen)
			continue;
		(void)fputs(any ? "\n     " : "\n   The others:\n     ", f);
		(void)fprintf(f, "\"%s\" ", w->v[i].mac);
		put_nic(f, w, &w->v[i]);
		any = true;
	}
}

static int add(struct pairing *k, struct plan *p, const struct nic *from,
	struct nic *to)
{
	struct plan_nic *n = plan_add_nic(p);
	struct plan_note note;
	int r = 0, end;

	if (!n || plan_note_begin(&note) < 0)
		return -ENOMEM;
	n->name = strdup(facts_text(from->j, "name"));
	n->mac = strdup(from->mac);
	put_nic(note.f, k->source, from);
	if (to) {
		n->target = strdup(to->mac);
		(void)fputs("\n-> ", note.f);
		put_nic(note.f, k->target, to);
		r = n->target ? choose_mode(k, n, from, to, note.f) : -ENOMEM;
		put_others(note.f, k->target, to);
	} else if (count_addresses(from->holder, "addresses") == 0) {
		n->exclude = true;
		(void)fputs("\nLeft out: it has no address, and the target no "
			    "interface for it.",
			note.f);
	} else {
		(void)fputs("\nThe target has no interface left for it. Choose "
			    "one, or exclude: true.",
			note.f);
		put_others(note.f, k->target, NULL);
	}
	end = plan_note_end(&note, &n->comment);
	if (r == 0 && (!n->name || !n->mac))
		r = -ENOMEM;
	return r < 0 ? r : end;
}

int plan_make_network(struct plan *p, const json_t *source,
	const json_t *target, bool clone, struct error *err)
{
	CLEANUP_FREE struct network *s = malloc(sizeof(*s));
	CLEANUP_FREE struct network *t = malloc(sizeof(*t));
	struct nic *pair[PLAN_NICS_MAX] = {NULL};
	struct pairing k = {.source = s,
		.target = t,
		.place = p->target.place,
		.clone = clone,
		.err = err};
	int r;

	if (!s || !t)
		return -ENOMEM;
	r = load(s, source);
	if (r == 0)
		r = load(t, target);
	/* By subnet, then in order. */
	for (int any = 0; r == 0 && any < 2; any++)
		for (size_t i = 0; i < s->n; i++)
			for (size_t j = 0; j < t->n && !pair[i]; j++)
				if (!t->v[j].taken &&
					(any || shares_subnet(s->v[i].holder,
							t->v[j].holder))) {
					pair[i] = &t->v[j];
					pair[i]->taken = true;
				}
	for (size_t i = 0; r == 0 && i < s->n; i++)
		r = add(&k, p, &s->v[i], pair[i]);
	return r;
}
