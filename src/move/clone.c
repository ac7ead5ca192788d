/* SPDX-License-Identifier: Apache-2.0 */
#include "move/clone.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "facts/facts.h"
#include "move/interfaces.h"
#include "move/plan_make.h"

/* The card that takes its place on the clone; NULL: there is none. */
static const struct plan_nic *nic_of(
	const struct plan *p, const json_t *list, const json_t *which)
{
	for (uint32_t i = 0; i < p->n_nics; i++)
		if (!p->nics[i].exclude && p->nics[i].target &&
			interfaces_carries(list, p->nics[i].mac, which))
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

static bool is_planned(const struct plan *p, const json_t *card)
{
	const char *mac = facts_text(card, "permanent_mac");

	if (!mac[0])
		mac = facts_text(card, "mac");
	for (uint32_t i = 0; i < p->n_nics; i++)
		if (!p->nics[i].exclude && p->nics[i].target &&
			strcasecmp(p->nics[i].target, mac) == 0)
			return true;
	return false;
}

/* Has the target a card that no interface was given? The kernel may give it
 * the name of one that was left out. As in plan_make_network, what looks like
 * hardware counts where nothing is. */
static bool has_free_card(const struct plan *p, const json_t *target)
{
	const json_t *list = facts_at(target, "network.interfaces"), *i;
	bool hardware = false, free_one[2] = {false};
	size_t k;

	json_array_foreach(list, k, i)
	{
		bool is = facts_text(i, "address")[0] != '\0';

		if (!plan_is_card(i))
			continue;
		hardware |= is;
		free_one[is] |= !is_planned(p, i);
	}
	return free_one[hardware];
}

/* A card that no card of the target takes the place of, or what such a one is a
 * part of. */
static bool is_left_out(
	const struct plan *p, const json_t *list, const json_t *which)
{
	if (plan_is_card(which) && facts_text(which, "address")[0])
		return true;
	for (uint32_t i = 0; i < p->n_nics; i++)
		if ((p->nics[i].exclude || !p->nics[i].target) &&
			interfaces_carries(list, p->nics[i].mac, which))
			return true;
	return false;
}

/* Has it addresses by its configuration, whether it has them now or not? */
static bool is_static(const json_t *source, const char *name)
{
	const json_t *by, *how;
	size_t k;

	json_array_foreach(facts_at(source, "network.configured_by"), k, by)
	{
		/* Not by facts_text: names may have dots. */
		how = json_object_get(json_object_get(by, "interfaces"), name);
		if (!json_is_false(json_object_get(by, "active")) &&
			json_is_string(how) &&
			strcmp(json_string_value(how), "static") == 0)
			return true;
	}
	return false;
}

struct look {
	struct move *m;
	const struct plan *p;
	const json_t *list; /* the source's interfaces */
	bool free_card;
	struct error *err;
};

static const char give[] =
	"give its interface a card of the target and mode: dhcp, or mode: map "
	"with addresses of its own, in the plan";
static const char let[] = "let the fix-up network be true in the plan";

static int refuse(const struct look *l, const char *address, const char *name,
	const char *todo)
{
	error_set(l->err, -EADDRINUSE, "make a clone");
	error_why(l->err,
		"it would have %.64s (%.40s) as well, which the source keeps",
		address, name);
	return error_todo(l->err, "%s", todo);
}

static int refuse_configured(
	const struct look *l, const char *name, const char *todo)
{
	error_set(l->err, -EADDRINUSE, "make a clone");
	error_why(l->err,
		"it would have the addresses as well that %.40s is configured "
		"with on the source",
		name);
	return error_todo(l->err, "%s", todo);
}

/* A card whose configuration gives it another MAC than it came with gets that
 * on the clone as well; what is part of something else has that one's. */
static int check_mac(const struct look *l, const json_t *i)
{
	const char *own = facts_text(i, "permanent_mac");
	const char *mac = facts_text(i, "mac");

	if (!own[0] || !mac[0] || strcasecmp(own, mac) == 0 ||
		!plan_is_card(i) || facts_text(i, "master")[0])
		return 0;
	error_set(l->err, -EADDRINUSE, "make a clone");
	error_why(l->err,
		"it would have the MAC address %.20s as well, which the "
		"source's configuration gives %.40s",
		mac, facts_text(i, "name"));
	return error_todo(l->err, "take that out of the source's configuration "
				  "for the time of the copy");
}

static bool is_kept(const struct plan *p, const struct plan_nic *n)
{
	return n->mode == PLAN_KEEP || !p->fixups[PLAN_NETWORK];
}

/* One address of one interface of the source. */
static int check(const struct look *l, const json_t *i, const char *address)
{
	const char *name = facts_text(i, "name");
	const struct plan *p = l->p;
	const struct plan_nic *nic = nic_of(p, l->list, i);

	if (nic && is_kept(p, nic))
		return refuse(
			l, address, name, p->fixups[PLAN_NETWORK] ? give : let);
	for (uint32_t k = 0; k < p->n_nics; k++)
		for (uint32_t a = 0; a < p->nics[k].addresses.n; a++)
			if (!p->nics[k].exclude &&
				interfaces_is_same(
					address, p->nics[k].addresses.v[a]))
				return refuse(l, address, name,
					"give it another address in the plan");
	if (nic || (!has_card(p) && !l->free_card))
		return 0;
	if (strcmp(facts_text(i, "kind"), "vlan") == 0)
		return refuse(l, address, name,
			"rehost gives VLANs no other addresses: take it away "
			"for the time of the copy, and set up the clone's when "
			"it is there");
	if (l->free_card && is_left_out(p, l->list, i))
		return refuse(l, address, name, give);
	if (!plan_is_card(i))
		move_note(l->m, "same-address",
			"the clone has %.64s (%.40s), too: nothing leads there "
			"but what the system itself makes; see that both may "
			"have it",
			address, name);
	return 0;
}

/* What the source may have later, and the clone at once. */
static int check_configured(const struct look *l, const json_t *source)
{
	const struct plan *p = l->p;
	const json_t *i;
	size_t k;

	for (uint32_t n = 0; n < p->n_nics; n++) {
		const struct plan_nic *nic = &p->nics[n];

		if (!nic->exclude && nic->target && is_kept(p, nic))
			return refuse_configured(l,
				nic->name ? nic->name : nic->mac,
				p->fixups[PLAN_NETWORK] ? give : let);
	}
	json_array_foreach(l->list, k, i)
	{
		const char *name = facts_text(i, "name");

		if (l->free_card && !nic_of(p, l->list, i) &&
			is_left_out(p, l->list, i) && is_static(source, name))
			return refuse_configured(l, name, give);
	}
	return 0;
}

int clone_check(struct move *m, const struct plan *p, const json_t *source,
	const json_t *target, struct error *err)
{
	const struct look l = {.m = m,
		.p = p,
		.list = facts_at(source, "network.interfaces"),
		.free_card = has_free_card(p, target),
		.err = err};
	struct interfaces_address ignored;
	const json_t *i, *a;
	size_t k, n;
	int r = 0;

	json_array_foreach(l.list, k, i)
	{
		r = r < 0 ? r : check_mac(&l, i);
		json_array_foreach(json_object_get(i, "addresses"), n, a)
		{
			const char *text = json_string_value(a);

			if (r == 0 && text &&
				interfaces_address(text, &ignored))
				r = check(&l, i, text);
		}
	}
	return r < 0 ? r : check_configured(&l, source);
}
