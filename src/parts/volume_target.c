/* SPDX-License-Identifier: Apache-2.0 */
/* The volume part: the target's side of the cutover, and of the way back. */
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

static int run_target_hooks(struct part *p, const struct hook_list *l,
	const char *phase, struct error *err)
{
	struct move *m = p->move;
	static struct msg_hooks_result result;
	struct msg_hooks *hooks;
	int r;

	if (l->n == 0)
		return 0;
	hooks = calloc(1, sizeof(*hooks));
	if (!hooks)
		return error_set(err, -ENOMEM, "run hooks");
	memcpy(hooks->secret, m->row.secret, sizeof(hooks->secret));
	(void)snprintf(hooks->name, sizeof(hooks->name), "%s", m->row.name);
	(void)snprintf(hooks->phase, sizeof(hooks->phase), "%s", phase);
	(void)snprintf(hooks->device, sizeof(hooks->device), "%s",
		volume_of(p)->disks[0].target_path);
	hooks->timeout_ms = (uint32_t)m->options.hook_timeout_ms;
	volume_copy_hooks(l, hooks->v, &hooks->n);
	if (l == &m->options.activate)
		volume_kill_hook(hooks->v, l->v[0], PHASE_ACTIVATE);
	r = session_call(
		&m->session, TARGET, MSG_HOOKS, hooks, &result, 0, err);
	free(hooks);
	if (r < 0)
		return r;
	m->hooks_ms += result.ms;
	move_add_hooks(m, phase, result.failed, result.why, result.output);
	return result.failed ? volume_hook_error(p, TARGET, phase, &result, err)
			     : 0;
}

static int probe_target(
	struct part *p, uint32_t i, struct volume_facts *ret, struct error *err)
{
	int r = volume_probe(
		p, TARGET, volume_of(p)->disks[i].target_path, ret, err);

	return r < 0 ? r : volume_check_identity(p, TARGET, i, ret, err);
}

/* The kernel counts what is written to a disk, from the boot on. */
static void remember_written(struct part *p, uint64_t written)
{
	struct move *m = p->move;

	move_set(m, "replica", "written_before", (int64_t)written);
	move_set_text(m, "replica", "boot_before",
		m->session.host[TARGET].hello.boot_id);
}

static void say_written(struct part *p, uint64_t written)
{
	struct move *m = p->move;
	const json_t *replica = json_object_get(m->report, "replica");
	const char *boot =
		json_string_value(json_object_get(replica, "boot_before"));
	uint64_t before = (uint64_t)move_get(m, "replica", "written_before");

	if (!boot)
		return;
	if (strcmp(boot, m->session.host[TARGET].hello.boot_id) != 0) {
		move_note(m, "target-wrote",
			"the target was booted since the commit: what it wrote "
			"to its disk before is not known, %llu bytes since; "
			"the source does not have them",
			(unsigned long long)written);
		return;
	}
	written = written > before ? written - before : 0;
	move_set(m, "replica", "wrote", (int64_t)written);
	move_note(m, "target-wrote",
		"the target wrote %llu bytes to its disk since the commit; the "
		"source does not have them",
		(unsigned long long)written);
}

int volume_check_target(struct part *p, struct error *err)
{
	static struct volume_facts now;
	int r = 0;

	for (uint32_t i = 0; i < volume_of(p)->n && r == 0; i++)
		r = probe_target(p, i, &now, err);
	return r;
}

/* Nothing of ours stays there. */
static void leave_source(struct part *p)
{
	struct move *m = p->move;
	struct error why = {0};

	if (volume_settle(p, &why) < 0)
		move_note(m, "left-behind",
			"%s: %s; the keeper on the source ends by itself",
			why.what, why.why);
	session_close(&m->session, SOURCE);
}

/* The replica becomes what the source was. Not before the source is fenced: a
 * target that is reset by then has nothing to boot. Of another process's
 * replica the store has what is missing. */
static int publish(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	CLEANUP_FREE struct msg_blocks *blocks = calloc(1, sizeof(*blocks));
	struct msg_target_state state;
	uint64_t until = 0;
	int r = blocks ? 0 : error_set(err, -ENOMEM, "make the copy whole");

	/* A machine that moves has it stored since the commit. */
	if (r == 0 && !move_get(m, "replica", "published")) {
		move_set(m, "replica", "published", PUBLISH_ASKED);
		r = move_save(m, true, err);
	}
	if (r == 0 && !volume_has_target(p)) {
		r = volume_take_signatures(m, blocks, err);
		if (r == 0)
			do
				r = volume_open_again(p, blocks, err);
			while (move_waits_for_disks(m, true, &until, &r, err));
		if (r == 0)
			v->target_agent = (int)m->session.host[TARGET].peer.pid;
	}
	if (r == 0)
		r = volume_target_call(p, MSG_PUBLISH, blocks, &state, err);
	if (r == 0)
		r = volume_target_call(p, MSG_CLOSE_TARGET, NULL, NULL, err);
	if (r < 0)
		return r;
	v->target_agent = 0;
	move_set(m, "memory_kb", "target", (int64_t)state.hwm_kb);
	/* From here on others write there, and nothing is put back. */
	move_set(m, "replica", "published", PUBLISH_ANSWERED);
	r = move_save(m, true, err);
	if (r == 0)
		move_kill_point(m, POINT_PUBLISHED);
	return r;
}

int volume_activate(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	int r = 0;

	/* Whatever becomes of it: where it is needed it is connected again. */
	m->session.spare[SOURCE] = true;
	if (volume_has_target(p) || !move_is_published(m))
		r = publish(p, err);
	else if (v->machine && m->resumed && m->session.host[TARGET].alive)
		r = volume_check_target(p, err);
	/* What is to come does not need the source: a clone's boot may take
	 * long, and may be tried again. */
	if (r != -EINTR && m->options.clone)
		leave_source(p);
	/* A machine boots from its disks: parts/machine.c. */
	if (r == 0 && !m->options.copy && !v->machine) {
		static struct volume_facts now;

		if (probe_target(p, 0, &now, NULL) == 0)
			remember_written(p, now.written);
		r = run_target_hooks(p, &m->options.activate, "activate", err);
	}
	return r;
}

static int check_stopped(
	struct part *p, const struct volume_facts *now, struct error *err)
{
	if (now->n_mounts == 0 && !now->busy && now->holder_count == 0 &&
		now->writers == 0 && !now->swap)
		return 0;
	error_set(err, -EBUSY, "stop the target");
	error_host(err, p->move->session.host[TARGET].peer.name);
	error_why(err, "%s is still in use%s%s", now->path,
		now->n_mounts  ? ", mounted on "
		: now->writers ? " by "
			       : "",
		now->n_mounts  ? now->mounts[0].point
		: now->writers ? now->writer
			       : "");
	return error_todo(
		err, "give --deactivate a command that stops what uses it");
}

/* Not before the source can be given back, and nobody boots it any more. */
static int wipe_copy(struct part *p, struct error *err)
{
	int r = volume_open_source_agent(p, VOLUME_USE, err);

	if (r < 0)
		return r;
	move_set(p->move, "replica", "wiped", 1);
	r = move_save(p->move, true, err);
	return r < 0 ? r : volume_discard(p, err);
}

int volume_deactivate(struct part *p, struct error *err)
{
	static struct volume_facts now;
	int r;

	/* A machine that runs is stopped as a whole: parts/machine.c. One that
	 * was never told to boot keeps nothing that could. */
	if (volume_of(p)->machine)
		return move_get(p->move, "machine", "booted")
			       ? 0
			       : wipe_copy(p, err);
	r = run_target_hooks(
		p, &p->move->options.deactivate, "deactivate", err);
	if (r == 0)
		r = probe_target(p, 0, &now, err);
	if (r == 0)
		r = check_stopped(p, &now, err);
	if (r == 0 && now.kind == VOLUME_BLOCK)
		say_written(p, now.written);
	return r;
}
