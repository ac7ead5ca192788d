/* SPDX-License-Identifier: Apache-2.0 */
#include "move/who.h"

#include <errno.h>
#include <string.h>

#include "facts/facts.h"
#include "move/inspect.h"

static bool has_card(const json_t *facts, const char *mac)
{
	const json_t *i;
	size_t k;

	json_array_foreach(facts_at(facts, "network.interfaces"), k, i)
	{
		const char *own = facts_text(i, "permanent_mac");

		/* As plans name them: a bond gives its ports its own. */
		if (strcasecmp(own[0] ? own : facts_text(i, "mac"), mac) == 0)
			return true;
	}
	return false;
}

/* 1: the target's, 0: the source's. */
static int whose_cards(const struct move *m, const json_t *facts)
{
	const json_t *nic;
	int whose = -ENODATA;
	size_t i;

	json_array_foreach(json_object_get(m->options.wish, "nics"), i, nic)
	{
		if (strcasecmp(facts_text(nic, "mac"),
			    facts_text(nic, "target_mac")) == 0)
			continue;
		if (has_card(facts, facts_text(nic, "target_mac")))
			whose = 1;
		else if (has_card(facts, facts_text(nic, "mac")))
			whose = 0;
	}
	return whose;
}

int who_answers(struct move *m, enum side side, struct error *err)
{
	const struct msg_hello *h = &m->session.host[side].hello;
	const json_t *known = json_object_get(m->report, "machine");
	json_t *facts = NULL;
	int r;

	if (strcmp(h->boot_id, facts_text(known, "source_boot")) == 0)
		return WHO_SOURCE;
	if (strcmp(h->boot_id, facts_text(known, "rescue_boot")) == 0)
		return WHO_RESCUE;
	r = inspect_with(&m->session, side, 0, NULL, &facts, err);
	if (r < 0)
		return r;
	r = whose_cards(m, facts);
	json_decref(facts);
	/* Machines may have been given the same MACs. A rescue system that was
	 * reached as the target has the target's keys. */
	if (r < 0 && h->rescue && side == TARGET)
		return WHO_RESCUE;
	if (r < 0) {
		error_set(err, r, "tell the machines apart");
		return error_why(err,
			"its network cards do not say whether it is the source "
			"or the target");
	}
	return r == 0 ? WHO_SOURCE_SINCE : h->rescue ? WHO_RESCUE : WHO_MOVED;
}
