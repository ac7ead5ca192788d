/* SPDX-License-Identifier: Apache-2.0 */
#include "parts/grow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "facts/facts.h"
#include "move/move.h"
#include "parts/volume.h"

/* What the plan has to say of disk i, or NULL. */
static const json_t *wish_of(const struct move *m, uint32_t i)
{
	const json_t *w;
	size_t k;

	json_array_foreach(json_object_get(m->options.wish, "grow"), k, w)
	{
		if (json_integer_value(json_object_get(w, "disk")) ==
			(json_int_t)i)
			return w;
	}
	return NULL;
}

/* Does an array have it all? Then so it has what looks like its table. */
static bool is_member(const struct move *m, uint32_t i)
{
	const json_t *d;
	size_t k;

	json_array_foreach(
		json_object_get(m->options.wish, "filesystems"), k, d)
	{
		if (strcmp(facts_text(d, "device"),
			    m->options.disks[i].source) == 0 &&
			strcmp(facts_text(d, "type"), "linux_raid_member") == 0)
			return true;
	}
	return false;
}

static json_t *report_of(const struct move *m, const char *disk)
{
	json_t *o;
	size_t k;

	json_array_foreach(json_object_get(m->report, "grown"), k, o)
	{
		if (strcmp(facts_text(o, "disk"), disk) == 0)
			return o;
	}
	return NULL;
}

/* Once more, it has nothing left to do: what it did before stays told. */
static void tell(struct move *m, uint32_t i, const struct msg_grown_disk *g)
{
	const char *disk = m->options.disks[i].target;
	const json_t *wish = wish_of(m, i);
	json_t *list = json_object_get(m->report, "grown");

	if (g->why[0])
		move_note(m, "not-grown", "%s: %s", disk, g->why);
	if ((!g->moved && !wish && !g->why[0]) || report_of(m, disk))
		return;
	if (!list) {
		list = json_array();
		if (json_object_set_new(m->report, "grown", list) < 0)
			return;
	}
	(void)json_array_append_new(list,
		json_pack("{s:s s:b s:i s:I s:I s:s s:s}", "disk", disk,
			"copy_moved", g->moved, "partition", (int)g->number,
			"from", (json_int_t)g->from, "to", (json_int_t)g->now,
			"mount", facts_text(wish, "mount"), "why", g->why));
}

int grow_target(struct part *p, struct error *err)
{
	struct move *m = p->move;
	const struct options *o = &m->options;
	struct msg_grow *grow = calloc(1, sizeof(*grow));
	static struct msg_grown grown;
	uint32_t disk[VOLUMES_MAX], n = 0;
	int r;

	if (!grow)
		return error_set(err, -ENOMEM, "grow the target");
	for (uint32_t i = 0; i < o->n_disks; i++) {
		json_int_t start = json_integer_value(
			json_object_get(wish_of(m, i), "start"));

		if (is_member(m, i))
			continue;
		disk[n] = i;
		(void)snprintf(grow->v[n].path, sizeof(grow->v[n].path), "%s",
			o->disks[i].target);
		grow->v[n].start = start > 0 ? (uint64_t)start : 0;
		grow->v[n++].source = volume_source_bytes(p, i);
	}
	grow->n = n;
	r = n == 0 ? 0
		   : session_call(&m->session, TARGET, MSG_GROW, grow, &grown,
			     CALL_MS, err);
	free(grow);
	if (r < 0 && m->session.host[TARGET].alive &&
		!(r == -EBUSY && m->resumed)) {
		move_note(m, "not-grown", "cannot %s: %s", err->what, err->why);
		return 0;
	}
	for (uint32_t i = 0; r == 0 && i < MIN(grown.n, n); i++)
		tell(m, disk[i], &grown.v[i]);
	return r;
}
