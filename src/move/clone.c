/* SPDX-License-Identifier: Apache-2.0 */
#include "move/clone.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "facts/facts.h"

#define DEPTH 4 /* of what is a part of something else */

struct address {
	int family;
	uint8_t bytes[16];
};

/* False for what every machine may have: loopback, link-local. */
static bool parse(const char *text, struct address *ret)
{
	char plain[64];

	(void)snprintf(
		plain, sizeof(plain), "%.*s", (int)strcspn(text, "/"), text);
	memset(ret, 0, sizeof(*ret));
	ret->family = strchr(plain, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(ret->family, plain, ret->bytes) != 1)
		return false;
	if (ret->family == AF_INET6)
		return strcmp(plain, "::1") != 0 &&
		       !(ret->bytes[0] == 0xfe &&
			       (ret->bytes[1] & 0xc0) == 0x80);
	return ret->bytes[0] != 127 &&
	       !(ret->bytes[0] == 169 && ret->bytes[1] == 254);
}

static bool is_same(const char *a, const char *b)
{
	struct address x, y;

	return parse(a, &x) && parse(b, &y) && memcmp(&x, &y, sizeof(x)) == 0;
}

static const json_t *interface_named(const json_t *list, const char *name)
{
	const json_t *i;
	size_t k;

	json_array_foreach(list, k, i)
	{
		if (name[0] && strcmp(facts_text(i, "name"), name) == 0)
			return i;
	}
	return NULL;
}

/* Whether an interface is the card with that MAC, or a bridge or bond that the
 * card is a part of. */
static bool carries(const json_t *list, const char *mac, const json_t *which)
{
	const json_t *i;
	size_t k;

	json_array_foreach(list, k, i)
	{
		const char *own = facts_text(i, "permanent_mac");
		const json_t *up = i;

		/* It has the address of what it lies on. */
		if (strcmp(facts_text(i, "kind"), "vlan") == 0 ||
			strcasecmp(own[0] ? own : facts_text(i, "mac"), mac) !=
				0)
			continue;
		for (int d = 0; up && d < DEPTH; d++) {
			if (up == which)
				return true;
			up = interface_named(list, facts_text(up, "master"));
		}
	}
	return false;
}

/* The card that takes its place on the clone; NULL: there is none. */
static const struct plan_nic *nic_of(
	const struct plan *p, const json_t *list, const json_t *which)
{
	for (uint32_t i = 0; i < p->n_nics; i++)
		if (!p->nics[i].exclude && p->nics[i].target &&
			carries(list, p->nics[i].mac, which))
			return &p->nics[i];
	return NULL;
}

static bool has_card(const struct plan *p)
{
	for (uint32_t i = 0; i < p->n_nics; i++)
		if (!p->nics[i].exclude && p->nics[i].target)
			return true;
	return false;
}

static int refuse(const char *address, const char *name, const char *todo,
	struct error *err)
{
	error_set(err, -EADDRINUSE, "make a clone");
	error_why(err,
		"it would have %.64s (%.40s) as well, which the source keeps",
		address, name);
	return error_todo(err, "%s", todo);
}

/* One address of one interface of the source. */
static int check(struct move *m, const struct plan *p, const json_t *list,
	const json_t *i, const char *address, struct error *err)
{
	const char *name = facts_text(i, "name");
	const struct plan_nic *nic = nic_of(p, list, i);
	bool mode_is_kept =
		nic && (nic->mode == PLAN_KEEP || !p->fixups[PLAN_NETWORK]);

	if (mode_is_kept)
		return refuse(address, name,
			p->fixups[PLAN_NETWORK]
				? "give its interface mode: dhcp, or mode: map "
				  "with addresses of its own, in the plan; or "
				  "exclude: true"
				: "let the fix-up network be true in the plan",
			err);
	for (uint32_t k = 0; k < p->n_nics; k++)
		for (uint32_t a = 0; a < p->nics[k].addresses.n; a++)
			if (!p->nics[k].exclude &&
				is_same(address, p->nics[k].addresses.v[a]))
				return refuse(address, name,
					"give it another address in the plan",
					err);
	if (nic || !has_card(p))
		return 0;
	if (strcmp(facts_text(i, "kind"), "vlan") == 0)
		return refuse(address, name,
			"rehost gives VLANs no other addresses: take it away "
			"for the time of the copy, or exclude all interfaces "
			"and set the clone's network up at its console",
			err);
	if (strcmp(facts_text(i, "kind"), "ethernet") != 0)
		move_note(m, "same-address",
			"the clone has %.64s (%.40s), too: nothing leads there "
			"but what the system itself makes; see that both may "
			"have it",
			address, name);
	return 0;
}

int clone_check(struct move *m, const struct plan *p, const json_t *source,
	struct error *err)
{
	const json_t *list = facts_at(source, "network.interfaces"), *i, *a;
	struct address ignored;
	size_t k, n;
	int r = 0;

	json_array_foreach(list, k, i)
	{
		json_array_foreach(json_object_get(i, "addresses"), n, a)
		{
			const char *text = json_string_value(a);

			if (r == 0 && text && parse(text, &ignored))
				r = check(m, p, list, i, text, err);
		}
	}
	return r;
}
