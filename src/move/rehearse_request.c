/* SPDX-License-Identifier: Apache-2.0 */
/* What a rehearsal is asked for: whether it can be, and how that is read. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "facts/facts.h"
#include "move/plan.h"
#include "move/rehearse.h"
#include "move/steps.h"

int rehearsal_check(
	const struct store_row *row, const struct options *o, struct error *err)
{
	struct place source;
	int e = place_parse(o->source, &source, err);

	if (e < 0)
		return e;
	error_set(err, -EINVAL, "rehearse %s", row->name);
	if (source.path[0])
		return error_why(err, "only whole machines can be rehearsed");
	if (o->copy)
		return error_why(err, "it is a copy, which does not boot");
	if (strcmp(row->live, "source") != 0 ||
		strcmp(row->state, "rolled-back") == 0)
		return error_why(err,
			"it is %s and not on its way any more: what can be "
			"rehearsed is the replica of a move that follows",
			row->state);
	memset(err, 0, sizeof(*err));
	return 0;
}

bool rehearsal_is_asked(struct move *m)
{
	CLEANUP_FREE void *bytes = NULL;
	struct error ignored;
	uint32_t n = 0;

	return store_get_blob(m->store, m->row.name, REHEARSAL_REQUEST, &bytes,
		       &n, &ignored) < 0 ||
	       n > 0;
}

void rehearsal_forget(struct move *m)
{
	struct error why = {0};

	if (store_put_blob(
		    m->store, m->row.name, REHEARSAL_REQUEST, "", 0, &why) < 0)
		move_note(m, "store", "%s: %s", why.what, why.why);
}

int rehearsal_read(struct move *m, json_t **ret, struct hook_list *probes,
	struct error *err)
{
	CLEANUP_FREE void *bytes = NULL;
	json_t *probe, *list;
	uint32_t n;
	size_t i;
	int e = store_get_blob(
		m->store, m->row.name, REHEARSAL_REQUEST, &bytes, &n, err);

	if (e < 0)
		return e;
	*ret = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(*ret))
		return error_set(err, -EINVAL, "read what was asked for");
	list = json_object_get(*ret, "probes");
	json_array_foreach(list, i, probe)
	{
		const char *text = json_string_value(probe);

		if (text && plan_is_probe(text) &&
			options_add_hook(probes, text) < 0)
			return error_set(err, -E2BIG, "probe so much");
	}
	for (i = 0; probes->n == 0 && i < m->options.probes.n; i++)
		if (options_add_hook(probes, m->options.probes.v[i]) < 0)
			break;
	if (probes->n > 0)
		return 0;
	error_set(err, -EINVAL, "rehearse");
	error_why(err, "nothing says what must answer");
	return error_todo(err, "name it: --probe tcp:22 --probe http://:80/");
}
