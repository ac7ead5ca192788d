/* SPDX-License-Identifier: Apache-2.0 */
/* The volume part: the cutover, and the ways back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "move/phase.h"
#include "move/power.h"
#include "parts/volume.h"

static struct volume_part *volume_of(const struct part *p)
{
	return p->data;
}

static void copy_hooks(
	const struct hook_list *l, struct msg_hook *v, uint32_t *n)
{
	*n = l->n;
	for (uint32_t i = 0; i < l->n; i++)
		(void)snprintf(
			v[i].command, sizeof(v[i].command), "%s", l->v[i]);
}

/* For tests: the first hook is killed before it does anything, or when it has
 * done all and not ended. */
static void kill_hook(struct msg_hook *v, const char *command, enum phase p)
{
	if (!command)
		return;
	if (phase_kills(p, POINT_BEFORE, "hook"))
		(void)snprintf(v->command, sizeof(v->command),
			"kill -s KILL $$\n%s", command);
	else if (phase_kills(p, POINT_AFTER, "hook"))
		(void)snprintf(v->command, sizeof(v->command),
			"%s\nkill -s KILL $$", command);
}

static int hook_error(struct part *p, enum side side, const char *phase,
	const struct msg_hooks_result *h, struct error *err)
{
	const char *last = h->output;

	/* The last line that it printed tells most. */
	for (const char *c = h->output; *c; c++)
		if (*c == '\n' && c[1])
			last = c + 1;
	error_set(err, -ECANCELED, "run %s hook %u", phase, h->failed);
	error_host(err, p->move->session.host[side].peer.name);
	return error_why(err, "%s%s%.400s", h->why, last[0] ? ": " : "", last);
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

/* ---- quiesce ---- */

/* What was held, for a rollback after its keeper has died. */
static void keep_mounts(struct move *m, const struct msg_held *held)
{
	json_t *list = json_array();

	move_set_text(m, "fence", "mount",
		held->n_mounts ? held->mounts[0].point : "");
	for (uint32_t i = 0; i < held->n_mounts; i++)
		(void)json_array_append_new(list,
			json_pack("{s:s% s:i}", "point", held->mounts[i].point,
				strlen(held->mounts[i].point), "how",
				(int)held->mounts[i].how));
	(void)json_object_set_new(
		json_object_get(m->report, "fence"), "mounts", list);
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

static void add_peer(struct msg_peers *p, const char *address, uint32_t port)
{
	if (!address[0] || p->n == PEERS_MAX)
		return;
	(void)snprintf(p->v[p->n].text, sizeof(p->v[p->n].text), "%s", address);
	p->v[p->n++].port = port;
}

/* A machine that stands still still answers from memory: nobody may hear it but
 * the controller, by ssh alone, as clients and probes may run on its host; and
 * the target, to which its lanes go. */
static void name_peers(const struct move *m, struct msg_arm *arm)
{
	const struct msg_hello *source = &m->session.host[SOURCE].hello;
	const struct msg_hello *target = &m->session.host[TARGET].hello;

	arm->network = 1;
	/* Without any the controller itself would be cut off. */
	add_peer(&arm->peers, source->ssh_client, source->ssh_port);
	add_peer(&arm->peers, target->ssh_address, 0);
	for (uint32_t i = 0; i < target->n_addresses; i++)
		add_peer(&arm->peers, target->addresses[i].text, 0);
}

int volume_quiesce(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	const struct options *o = &m->options;
	struct msg_arm *arm = calloc(1, sizeof(*arm));
	static struct msg_hooks_result hooks;
	static struct msg_held held;
	int r;

	if (!arm)
		return error_set(err, -ENOMEM, "quiesce");
	arm->lease_ms = (uint32_t)o->lease_ms;
	(void)snprintf(arm->name, sizeof(arm->name), "%s", m->row.name);
	(void)snprintf(arm->device, sizeof(arm->device), "%s",
		v->disks[0].source.path);
	arm->hook_timeout_ms = (uint32_t)o->hook_timeout_ms;
	if (v->machine && !move_keeps_source(m))
		name_peers(m, arm);
	if (arm->network && arm->peers.n == 0) {
		free(arm);
		error_set(err, -EADDRNOTAVAIL, "fence the network");
		return error_why(err, "the source does not say from where it "
				      "is reached (SSH_CONNECTION)");
	}
	if (!move_keeps_source(m)) {
		copy_hooks(&o->quiesce, arm->quiesce, &arm->n_quiesce);
		kill_hook(arm->quiesce, o->quiesce.v[0], PHASE_QUIESCE);
		copy_hooks(&o->rollback, arm->rollback, &arm->n_rollback);
	}
	/* For who has to give the source back when its keeper died. */
	move_set(m, "cutover", "hooks", !move_keeps_source(m));
	move_set(m, "cutover", "keeper", (int64_t)v->keeper);
	move_set(m, "cutover", "begun", (int64_t)clock_wall_ms());
	r = move_save(m, true, err);
	if (r == 0)
		r = session_call(
			&m->session, SOURCE, MSG_ARM, arm, &hooks, 0, err);
	free(arm);
	if (r < 0)
		return r;
	m->hooks_ms += hooks.ms;
	move_add_hooks(m, "quiesce", hooks.failed, hooks.why, hooks.output);
	if (hooks.failed)
		return hook_error(p, SOURCE, "quiesce", &hooks, err);
	m->held_at = clock_ms();
	r = volume_source_call(p, MSG_HOLD, NULL, &held, err);
	if (r < 0)
		return r;
	v->hold = held.kind;
	move_set_text(m, "fence", "network", held.network);
	m->frozen = held.kind == HOLD_FROZEN;
	move_set(m, "downtime_ms", "sync", (int64_t)held.sync_ms);
	move_set(m, "downtime_ms", "freeze", (int64_t)held.freeze_ms);
	keep_mounts(m, &held);
	if (m->rehearsing)
		return 0;
	if (o->fence == FENCE_FREEZE && v->hold != HOLD_FROZEN) {
		error_set(err, -EINVAL, "use --fence freeze");
		return error_why(err, "the volume is not mounted any more");
	}
	if (!o->copy && o->quiesce.n == 0 && !o->freeze && !v->machine &&
		v->hold == HOLD_FROZEN) {
		error_set(err, -EBUSY, "cut over");
		error_why(err,
			"it is still mounted on %s, and nothing says how its "
			"writers stop",
			held.mounts[0].point);
		return error_todo(err,
			"unmount it and resume; or resume with --freeze to "
			"leave it frozen (its writers then hang until rollback "
			"or confirm)");
	}
	if (o->fence == FENCE_UNMOUNTED && v->hold != HOLD_UNMOUNTED) {
		error_set(err, -EINVAL, "use --fence unmounted");
		return error_why(err,
			"the quiesce hook left the volume mounted on %s",
			held.mounts[0].point);
	}
	return 0;
}

/* ---- finish and verify ---- */

/* What the tracker says at the cut must be all there is: when it is lost now,
 * the source goes back and everything is compared while it lives. */
static int lost_at_cut(int r, struct error *err)
{
	if (r != -ENODATA)
		return r;
	err->code = -EBADMSG;
	return -EBADMSG;
}

#define PROOFS_MAX 4

static int unprove(struct part *p, struct error *err)
{
	return volume_mark(p, &(struct msg_mark){.unprove = 1}, err);
}

static int mark_used(struct part *p, struct error *err)
{
	return volume_mark(p, &(struct msg_mark){.used = 1}, err);
}

static int suppose_all(struct part *p, struct error *err)
{
	return volume_mark(p, &(struct msg_mark){.all = 1, .known = 1}, err);
}

/* Sends what is dirty, and what is in use now and was never sent. */
static int send_rest(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct msg_pass_done done;
	int r = 0;

	if (v->mapped && v->hold == HOLD_FROZEN)
		r = volume_map(p, err);
	if (r == 0)
		r = volume_pass(p, PASS_SEND, 0, &done, err);
	if (r == 0)
		move_add_round(p->move, done.bytes, done.ms);
	return r;
}

int volume_finish(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct msg_pass_done done;
	struct differences_found found;
	int r = 0;

	if (v->tracking)
		r = lost_at_cut(volume_settle_tracker(p, false, err), err);
	/* No map can be taken any more, and no tracker says what was used
	 * since: everything counts, and is compared. */
	if (r == 0 && !v->tracking && v->hold == HOLD_UNMOUNTED)
		r = suppose_all(p, err);
	/* A discard may have taken from the known what is in use again. */
	if (r == 0 && v->tracking && v->hold == HOLD_UNMOUNTED)
		r = mark_used(p, err);
	if (r == 0 && !v->tracking) {
		r = unprove(p, err);
		if (r == 0)
			r = volume_pass(p, PASS_COMPARE, 0, &done, err);
		if (r == 0)
			r = volume_take_differences(
				p, DIFFER_HELD, &found, err);
		if (r == 0)
			move_add(p->move, "tracker", "compares", 1);
	}
	return r < 0 ? r : send_rest(p, err);
}

/* What is withheld, away from both: without it the replica is nothing, and
 * once its fence has taken it the source, too. */
static int keep_signatures(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	CLEANUP_FREE struct msg_blocks *blocks = calloc(1, sizeof(*blocks));
	int r;

	if (!blocks)
		return error_set(err, -ENOMEM, "keep the signatures");
	r = volume_source_call(p, MSG_READ_BLOCKS, &v->signatures, blocks, err);
	return r < 0 ? r
		     : store_put_blob(m->store, m->row.name, "signatures",
			       blocks, sizeof(*blocks), err);
}

static int take_signatures(
	struct move *m, struct msg_blocks *ret, struct error *err)
{
	CLEANUP_FREE void *stored = NULL;
	uint32_t n = 0;
	int r = store_get_blob(
		m->store, m->row.name, "signatures", &stored, &n, err);

	if (r < 0)
		return r;
	if (n != sizeof(*ret)) {
		error_set(err, -EINVAL, "take the signatures from the store");
		error_why(err, "another build of rehost stored them");
		return error_todo(err, "use that build for %s", m->row.name);
	}
	memcpy(ret, stored, sizeof(*ret));
	return 0;
}

int volume_verify(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	struct msg_source_state state;
	struct msg_pass_done done = {0};
	struct differences_found found;
	int r = 0;

#ifndef BREAK_SKIP_PROOF
	if (m->options.full_verify)
		r = unprove(p, err);
	/* A freeze does not stop discards: what they changed is sent again. */
	for (int i = 0; i < PROOFS_MAX && r == 0; i++) {
		r = volume_pass(p, PASS_COMPARE, 0, &done, err);
		if (r == 0)
			r = lost_at_cut(volume_take_differences(
						p, DIFFER_HELD, &found, err),
				err);
		if (r == 0)
			r = volume_state(p, &state, err);
		/* What lies between a frozen filesystem and its disk may have
		 * a last word: an array says that it is clean. */
		if (r < 0 || found.unexplained > 0 ||
			(done.differ == 0 && state.dirty == 0))
			break;
		r = send_rest(p, err);
	}
	if (r == 0)
		r = volume_state(p, &state, err);
	if (r < 0)
		return r;
	if (done.differ > 0 || state.dirty > 0 || state.unproved > 0 ||
		state.inflight > 0) {
		error_set(err, -EBADMSG, "prove the replica");
		error_why(err,
			"%llu bytes differ, %llu were written since, %llu are "
			"unproved",
			(unsigned long long)done.differ,
			(unsigned long long)state.dirty,
			(unsigned long long)state.unproved);
		/* Whatever the reason: trust nothing that was known. */
		(void)unprove(p, NULL);
		return -EBADMSG;
	}
#else
	r = volume_state(p, &state, err);
	if (r < 0)
		return r;
#endif
	/* A copy is never committed: ask here whether it stood still. */
	if (move_keeps_source(m)) {
		r = lost_at_cut(
			volume_source_call(p, MSG_COMMIT,
				&(struct msg_commit){.fence = FENCE_AUTO}, NULL,
				err),
			err);
		if (r == -EBUSY) {
			(void)unprove(p, NULL);
			err->code = -EBADMSG;
		}
		if (r < 0)
			return r == -EBUSY ? -EBADMSG : r;
	}
	move_set(m, "proof", "proved", (int64_t)state.known);
	/* It is shown to the rehearsal alone, with what is withheld. */
	if (m->rehearsing)
		return 0;
	r = keep_signatures(p, err);
	if (r < 0)
		return r;
	v->proved = true;
	move_set_bool(m, "proof", "ok", true);
	return 0;
}

/* ---- fence and commit ---- */

static enum fence_kind fence_of(const struct part *p)
{
	const struct volume_part *v = p->data;

	if (p->move->options.fence != FENCE_AUTO)
		return p->move->options.fence;
	/* A machine that is reset must not come to life beside the new one. One
	 * that is switched off is not, and must come back by itself. */
	if (v->machine && v->signatures.n > 0 &&
		!power_fences(&p->move->options))
		return FENCE_SIGNATURE;
	return v->hold == HOLD_FROZEN ? FENCE_FREEZE : FENCE_UNMOUNTED;
}

int volume_fence(struct part *p, struct error *err)
{
	struct move *m = p->move;
	enum fence_kind fence = fence_of(p);
	CLEANUP_FREE struct msg_file *file = NULL;
	int r;

	move_set_text(m, "fence", "kind", fence_names[fence]);
	move_set_bool(m, "fence", "survives_reboot", fence == FENCE_SIGNATURE);
	if (fence != FENCE_SIGNATURE)
		return 0;
	/* A second copy of what will be removed, away from the source. */
	file = calloc(1, sizeof(*file));
	if (!file)
		return error_set(err, -ENOMEM, "fence");
	(void)snprintf(file->name, sizeof(file->name), "%s", m->row.name);
	r = take_signatures(m, &file->blocks, err);
	return r < 0 ? r
		     : volume_target_call(p, MSG_KEEP_FILE, file, NULL, err);
}

static int ask_commit(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct host *h = &p->move->session.host[SOURCE];
	static struct msg_keeper_state state;
	struct msg_commit m;
	int r;

	if (v->source_agent != (int)h->peer.pid) {
		/* The answer was lost: the keeper knows it. */
		r = volume_open_source_agent(p, VOLUME_KEEPER, err);
		if (r == -ENOENT)
			return -ENOLINK;
		if (r == 0)
			r = volume_source_call(
				p, MSG_KEEPER, NULL, &state, err);
		if (r < 0)
			return r == -ECONNRESET ? r : -EINPROGRESS;
		if (state.present && state.phase == KEEPER_COMMITTED)
			return 0;
		error_set(err, -ENOLINK, "commit");
		error_why(err, "the source went back by itself: %s",
			state.present ? state.reason : "its keeper is gone");
		return -ENOLINK;
	}
	m = v->signatures;
	m.fence = (uint8_t)fence_of(p);
	if (m.fence != FENCE_SIGNATURE)
		m.n = 0;
	r = session_call(
		&p->move->session, SOURCE, MSG_COMMIT, &m, NULL, CALL_MS, err);
	if (r == 0 || !h->alive)
		return r;
	/* A refusal, or a keeper that died: the shared state was looked at by
	 * the agent; ask what holds now. */
	if (volume_source_call(p, MSG_KEEPER, NULL, &state, NULL) < 0)
		return -EINPROGRESS;
	return state.present && state.phase == KEEPER_COMMITTED ? 0 : -ENOLINK;
}

int volume_commit(struct part *p, struct error *err)
{
	const struct volume_part *v = p->data;
	static struct msg_keeper_state state;
	int r = ask_commit(p, err);

	/* Stored with it, and so at no cost. */
	if (r == 0 && !move_get(p->move, "replica", "published"))
		move_set(p->move, "replica", "published", PUBLISH_ASKED);
	if (r < 0 || !v->machine ||
		volume_source_call(p, MSG_KEEPER, NULL, &state, NULL) < 0)
		return r;
	/* From now on the network's fence is one that stays. */
	if (state.network[0])
		move_set_text(p->move, "fence", "network", state.network);
	/* It is committed all the same, and less is fenced than was said. */
	if (state.reason[0])
		move_note(p->move, "weak-fence", "%s", state.reason);
	return r;
}

/* ---- the target's side ---- */

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
	copy_hooks(l, hooks->v, &hooks->n);
	if (l == &m->options.activate)
		kill_hook(hooks->v, l->v[0], PHASE_ACTIVATE);
	r = session_call(
		&m->session, TARGET, MSG_HOOKS, hooks, &result, 0, err);
	free(hooks);
	if (r < 0)
		return r;
	m->hooks_ms += result.ms;
	move_add_hooks(m, phase, result.failed, result.why, result.output);
	return result.failed ? hook_error(p, TARGET, phase, &result, err) : 0;
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
		r = take_signatures(m, blocks, err);
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
	return move_save(m, true, err);
}

int volume_activate(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	int r = 0;

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

/* ---- ways back ---- */

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

static bool fenced_by_signature(const struct move *m)
{
	const char *kind = json_string_value(
		json_object_get(json_object_get(m->report, "fence"), "kind"));

	return kind && strcmp(kind, fence_names[FENCE_SIGNATURE]) == 0;
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
	if (r == 0 && back && fenced_by_signature(m))
		r = take_signatures(m, blocks, err);
	u->n = blocks->n;
	memcpy(u->v, blocks->v, sizeof(u->v));
	u->rollback = back;
	take_mounts(m, u);
	u->hook_timeout_ms = (uint32_t)m->options.hook_timeout_ms;
	(void)snprintf(u->name, sizeof(u->name), "%s", m->row.name);
	(void)snprintf(u->device, sizeof(u->device), "%s",
		volume_of(p)->disks[0].source_path);
	/* They undo what quiesce hooks did. */
	if (move_get(m, "cutover", "hooks"))
		copy_hooks(&m->options.rollback, u->rollback_hooks,
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
