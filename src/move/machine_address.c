/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses a machine has once it has moved. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "facts/facts.h"
#include "move/machine.h"

static size_t length_of(const char *network)
{
	return strcspn(network, "/");
}

/* "192.0.2.5" of "192.0.2.5/24"? */
static bool is_address(const char *network, const char *address)
{
	size_t n = length_of(network);

	return n > 0 && strlen(address) == n &&
	       strncmp(network, address, n) == 0;
}

static bool has(const json_t *addresses, const char *address)
{
	const json_t *a;
	size_t i;

	json_array_foreach(addresses, i, a)
	{
		const char *text = json_string_value(a);

		if (text && is_address(text, address))
			return true;
	}
	return false;
}

/* What cards with this MAC have, and what stands on them. NULL: any MAC. */
static bool has_address(const json_t *facts, const char *mac, const char *at)
{
	const json_t *i;
	size_t k;

	json_array_foreach(facts_at(facts, "network.interfaces"), k, i)
	{
		if ((!mac || strcasecmp(facts_text(i, "mac"), mac) == 0) &&
			has(json_object_get(i, "addresses"), at))
			return true;
	}
	return false;
}

static bool is_link_local(const char *address)
{
	struct in6_addr a;

	return inet_pton(AF_INET6, address, &a) == 1 &&
	       IN6_IS_ADDR_LINKLOCAL(&a);
}

static void add(json_t *list, const char *network)
{
	char text[INET6_ADDRSTRLEN];

	if (length_of(network) >= sizeof(text) ||
		json_array_size(list) == MACHINE_SHARED_MAX)
		return;
	(void)snprintf(
		text, sizeof(text), "%.*s", (int)length_of(network), network);
	if (text[0] && !is_link_local(text) && !has(list, text))
		(void)json_array_append_new(list, json_string(text));
}

static void add_kept(json_t *list, const json_t *facts, const char *mac)
{
	const json_t *i, *a;
	size_t k, n;

	json_array_foreach(facts_at(facts, "network.interfaces"), k, i)
	{
		if (strcasecmp(facts_text(i, "mac"), mac) != 0)
			continue;
		json_array_foreach(json_object_get(i, "addresses"), n, a) add(
			list, json_string_value(a) ? json_string_value(a) : "");
	}
}

/* What is not adapted is as it was. */
static bool is_kept(const struct plan *p, const struct plan_nic *n)
{
	return n->mode == PLAN_KEEP || !p->fixups[PLAN_NETWORK];
}

json_t *machine_shared(const struct plan *p, const json_t *source)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < p->n_nics; i++) {
		const struct plan_nic *n = &p->nics[i];

		if (n->exclude)
			continue;
		if (is_kept(p, n)) {
			add_kept(list, source, n->mac);
			continue;
		}
		for (uint32_t k = 0; k < n->addresses.n; k++) {
			char text[INET6_ADDRSTRLEN + 8];

			(void)snprintf(text, sizeof(text), "%.*s",
				(int)length_of(n->addresses.v[k]),
				n->addresses.v[k]);
			if (has_address(source, NULL, text))
				add(list, text);
		}
	}
	return list;
}

void machine_choose_address(
	struct move *m, const struct plan *p, const json_t *source)
{
	const char *old = m->session.host[SOURCE].hello.ssh_address;
	const struct plan_nic *nic = NULL;
	const char *at;
	char text[256];

	for (uint32_t i = 0; i < p->n_nics && !nic; i++)
		if (!p->nics[i].exclude &&
			has_address(source, p->nics[i].mac, old))
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
	(void)snprintf(text, sizeof(text), "%.*s", (int)length_of(at), at);
	move_set_text(m, "machine", "address", text);
	(void)json_object_set_new(json_object_get(m->report, "machine"),
		"shared",
		m->options.clone ? json_array() : machine_shared(p, source));
}
