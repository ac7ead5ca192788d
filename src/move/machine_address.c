/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses a machine has once it has moved. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "facts/facts.h"
#include "move/interfaces.h"
#include "move/machine.h"

/* Does the interface lie on the card? A VLAN has the MAC of what it lies on. */
static bool lies_on(const json_t *list, const char *mac, const json_t *which)
{
	const json_t *i;
	size_t k;

	if (strcmp(facts_text(which, "kind"), "vlan") != 0)
		return interfaces_carries(list, mac, which);
	json_array_foreach(list, k, i)
	{
		if (strcasecmp(facts_text(i, "mac"),
			    facts_text(which, "mac")) == 0 &&
			interfaces_carries(list, mac, i))
			return true;
	}
	return false;
}

static bool has(const json_t *addresses, const char *address)
{
	const json_t *a;
	size_t i;

	json_array_foreach(addresses, i, a)
	{
		if (json_is_string(a) &&
			interfaces_is_same(json_string_value(a), address))
			return true;
	}
	return false;
}

/* Of what lies on the card with this MAC; NULL: of any interface. */
static bool has_address(const json_t *list, const char *mac, const char *at)
{
	const json_t *i;
	size_t k;

	json_array_foreach(list, k, i)
	{
		if (has(json_object_get(i, "addresses"), at) &&
			(!mac || lies_on(list, mac, i)))
			return true;
	}
	return false;
}

/* As it is written everywhere. */
static void add(json_t *shared, const char *text)
{
	struct interfaces_address a;
	char buf[INET6_ADDRSTRLEN];

	if (interfaces_address(text, &a) && !has(shared, text) &&
		json_array_size(shared) < MACHINE_SHARED_MAX &&
		inet_ntop(a.family, a.bytes, buf, sizeof(buf)))
		(void)json_array_append_new(shared, json_string(buf));
}

static void add_kept(json_t *shared, const json_t *list, const char *mac)
{
	const json_t *i, *a;
	size_t k, n;

	json_array_foreach(list, k, i)
	{
		if (!lies_on(list, mac, i))
			continue;
		json_array_foreach(json_object_get(i, "addresses"), n, a)
		{
			if (json_is_string(a))
				add(shared, json_string_value(a));
		}
	}
}

/* What is not adapted is as it was. */
static bool is_kept(const struct plan *p, const struct plan_nic *n)
{
	return n->mode == PLAN_KEEP || !p->fixups[PLAN_NETWORK];
}

json_t *machine_shared(const struct plan *p, const json_t *source)
{
	const json_t *list = facts_at(source, "network.interfaces");
	json_t *shared = json_array();

	for (uint32_t i = 0; i < p->n_nics; i++) {
		const struct plan_nic *n = &p->nics[i];

		if (n->exclude)
			continue;
		if (is_kept(p, n)) {
			add_kept(shared, list, n->mac);
			continue;
		}
		for (uint32_t k = 0; k < n->addresses.n; k++)
			if (has_address(list, NULL, n->addresses.v[k]))
				add(shared, n->addresses.v[k]);
	}
	return shared;
}

void machine_choose_address(
	struct move *m, const struct plan *p, const json_t *source)
{
	const json_t *list = facts_at(source, "network.interfaces");
	const char *old = m->session.host[SOURCE].hello.ssh_address;
	const struct plan_nic *nic = NULL;
	const char *at;
	json_t *shared;
	char text[256];

	for (uint32_t i = 0; i < p->n_nics && !nic; i++)
		if (!p->nics[i].exclude &&
			has_address(list, p->nics[i].mac, old))
			nic = &p->nics[i];
	for (uint32_t i = 0; i < p->n_nics && !nic; i++)
		if (!p->nics[i].exclude)
			nic = &p->nics[i];
	if (!nic || is_kept(p, nic))
		/* Of a clone that is not known: surely not the source's. */
		at = m->options.clone ? "" : old;
	else if (nic->mode == PLAN_DHCP)
		at = m->session.host[TARGET].hello.ssh_address;
	else
		at = nic->addresses.n > 0 ? nic->addresses.v[0] : "";
	(void)snprintf(text, sizeof(text), "%.*s", (int)strcspn(at, "/"), at);
	move_set_text(m, "machine", "address", text);
	shared = m->options.clone ? json_array() : machine_shared(p, source);
	/* Whatever it stands on. */
	if (strcmp(text, old) == 0)
		add(shared, old);
	(void)json_object_set_new(
		json_object_get(m->report, "machine"), "shared", shared);
}
