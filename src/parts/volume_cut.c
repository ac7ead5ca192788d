/* SPDX-License-Identifier: Apache-2.0 */
/* The volume part: the cutover, until the source is fenced. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "move/power.h"
#include "parts/volume.h"

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
		volume_copy_hooks(&o->quiesce, arm->quiesce, &arm->n_quiesce);
		volume_kill_hook(arm->quiesce, o->quiesce.v[0], PHASE_QUIESCE);
		volume_copy_hooks(
			&o->rollback, arm->rollback, &arm->n_rollback);
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
		return volume_hook_error(p, SOURCE, "quiesce", &hooks, err);
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

int volume_take_signatures(
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
	r = volume_take_signatures(m, &file->blocks, err);
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
