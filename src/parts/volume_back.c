/* SPDX-License-Identifier: Apache-2.0 */
/* The volume part: the ways back of the source. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "move/steps.h"
#include "parts/volume.h"

static struct volume_part *volume_of(const struct part *p)
{
	return p->data;
}

/* How the source went back. */
static void note_back(struct move *m, const struct msg_hooks_result *h)
{
	move_add_hooks(m, "rollback", h->failed, h->why, h->output);
	if (h->stuck[0])
		move_note(m, "stuck",
			"the source was not let go altogether: %s; its writers "
			"wait until that is mended there",
			h->stuck);
	if (h->failed)
		move_note(m, "rollback-failed",
			"rollback hook %u failed on the source: %s; what the "
			"hook should start is not running",
			h->failed, h->why);
}

static void take_mounts(const struct move *m, struct msg_unfence *u)
{
	const json_t *v, *list = json_object_get(
				 json_object_get(m->report, "fence"), "mounts");
	size_t i;

	json_array_foreach(list, i, v)
	{
		struct msg_held_mount *to = &u->mounts[u->n_mounts];
		const char *point =
			json_string_value(json_object_get(v, "point"));

		if (!point || u->n_mounts == HELD_MAX)
			break;
		(void)snprintf(to->point, sizeof(to->point), "%s", point);
		to->how =
			(uint8_t)json_integer_value(json_object_get(v, "how"));
		u->n_mounts++;
	}
}

int volume_rollback(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	struct msg_release release = {.rollback = 1};
	static struct msg_hooks_result hooks;
	int r;

	/* The source first: a target that hangs must not hold it up. */
	r = session_call(
		&m->session, SOURCE, MSG_RELEASE, &release, &hooks, 0, err);
	/* A copy goes on to be one. */
	if (v->proved && !m->options.copy) {
		v->proved = false;
		move_set_bool(m, "proof", "ok", false);
	}
	if (r < 0)
		return r;
	move_set(m, "cutover", "begun", 0);
	note_back(m, &hooks);
	return 0;
}

/* A keeper that died after the commit left all to the next one. */
static int ask_unfence(struct part *p, const struct msg_unfence *u,
	struct msg_hooks_result *hooks, struct error *err)
{
	struct move *m = p->move;
	int r = session_call(
		&m->session, SOURCE, MSG_UNFENCE, u, hooks, 0, err);

	if (r != -ECHILD)
		return r;
	session_close(&m->session, SOURCE);
	r = move_connect(m, SOURCE, err);
	if (r == 0)
		r = volume_open_source_agent(p, VOLUME_GIVE_BACK, err);
	return r < 0 ? r
		     : session_call(&m->session, SOURCE, MSG_UNFENCE, u, hooks,
			       0, err);
}

/* back: the source is to live again; otherwise what was frozen is only let go.
 * Blocks that are still there are left alone by the keeper. */
static int unfence(struct part *p, bool back, struct error *err)
{
	struct move *m = p->move;
	CLEANUP_FREE struct msg_unfence *u = calloc(1, sizeof(*u));
	CLEANUP_FREE struct msg_blocks *blocks = calloc(1, sizeof(*blocks));
	static struct msg_hooks_result hooks;
	int r;

	if (!u || !blocks)
		return error_set(err, -ENOMEM, "remove the fence");
	r = volume_open_source_agent(p, VOLUME_USE, err);
	/* What the fence took away; without it the source would not boot any
	 * more. */
	if (r == 0 && back && move_fenced_by_signature(m))
		r = volume_take_signatures(m, blocks, err);
	u->n = blocks->n;
	memcpy(u->v, blocks->v, sizeof(u->v));
	u->rollback = back;
	take_mounts(m, u);
	u->hook_timeout_ms = (uint32_t)m->options.hook_timeout_ms;
	(void)snprintf(u->name, sizeof(u->name), "%s", m->row.name);
	(void)snprintf(u->device, sizeof(u->device), "%s",
		volume_of(p)->disks[0].source_path);
	/* They undo what quiesce hooks did: not in a rescue system. */
	if (move_get(m, "cutover", "hooks") && !move_source_is_rescue(m))
		volume_copy_hooks(&m->options.rollback, u->rollback_hooks,
			&u->n_rollback);
	if (r == 0)
		r = ask_unfence(p, u, &hooks, err);
	if (r < 0)
		return r;
	note_back(m, &hooks);
	return 0;
}

int volume_unfence(struct part *p, struct error *err)
{
	int r = volume_open_source_agent(p, VOLUME_USE, err);

	/* Stored before it is asked for: whatever becomes of the answer, the
	 * source may live from then on. */
	if (r == 0) {
		move_set_bool(p->move, "fence", "leaving", true);
		r = move_save(p->move, true, err);
	}
	return r < 0 ? r : unfence(p, true, err);
}

/* A keeper that lives has given the source back by itself, or is about to: it
 * answers when that is done. One that died in the middle of a cutover, with its
 * agent, left it to us, and to whoever tries again; another keeper knows
 * nothing of it. */
int volume_recover(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	int r;

	if (!move_get(m, "cutover", "begun"))
		return 0;
	r = volume_open_source_agent(p, VOLUME_KEEPER, err);
	if (r == -ENOENT)
		r = volume_open_source_agent(p, VOLUME_GIVE_BACK, err);
	if (r == 0)
		r = v->keeper == (uint64_t)move_get(m, "cutover", "keeper")
			    ? volume_rollback(p, err)
			    : unfence(p, true, err);
	if (r < 0)
		return r;
	move_set(m, "cutover", "begun", 0);
	/* Whether the move can go on with it is another question. */
	v->source_agent = 0;
	session_close(&m->session, SOURCE);
	return move_connect(m, SOURCE, err);
}

/* The source machine, whose keeper is gone. */
static int switch_off(struct part *p, struct error *err)
{
	static const struct msg_boot off = {BOOT_POWEROFF};

	return session_call(
		&p->move->session, SOURCE, MSG_BOOT, &off, NULL, CALL_MS, err);
}

int volume_settle(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	static struct msg_path name;
	/* A fence ends only when the user confirmed the target. */
	struct msg_end end = {.confirm = strcmp(m->row.live, "target") == 0,
		.poweroff = v->machine && strcmp(m->row.live, "target") == 0};
	struct error why = {0};
	int r = 0;

	if (m->session.host[TARGET].alive) {
		(void)snprintf(name.path, sizeof(name.path), "%s", m->row.name);
		r = volume_target_call(p, MSG_DROP_FILE, &name, NULL, err);
	}
	if (m->session.host[SOURCE].alive) {
		int e = volume_open_source_agent(p, VOLUME_KEEPER, &why);

		/* A keeper that died after the commit left it frozen. A
		 * machine is not let go first: it would live. */
		if (e == -ENOENT && end.poweroff)
			return switch_off(p, err);
		if (e == -ENOENT && strcmp(m->row.live, "source") != 0)
			e = unfence(p, false, &why);
		if (e == 0)
			e = volume_source_call(p, MSG_END, &end, NULL, &why);
		if (e < 0 && e != -ENOENT) {
			*err = why;
			r = e;
		}
		v->source_agent = 0;
	}
	return r;
}
