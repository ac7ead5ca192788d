/* SPDX-License-Identifier: Apache-2.0 */
/* The volume part: its table, and what its phases share. */
#include "parts/volume.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "move/lanes.h"

#define LANE_TRIES 5

int volume_source_call(struct part *p, uint32_t type, const void *request,
	void *answer, struct error *err)
{
	return session_call(
		&p->move->session, SOURCE, type, request, answer, LONG_MS, err);
}

int volume_target_call(struct part *p, uint32_t type, const void *request,
	void *answer, struct error *err)
{
	return session_call(
		&p->move->session, TARGET, type, request, answer, LONG_MS, err);
}

bool volume_has_target(const struct part *p)
{
	const struct volume_part *v = p->data;

	return v->target_agent &&
	       v->target_agent == (int)p->move->session.host[TARGET].peer.pid;
}

static int make_lanes(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	const char *path = "";
	int r = lanes_make(
		&m->session, &m->options, ++v->generation, &path, err);

	if (r < 0)
		return r;
	move_set(m, "lanes", "count", m->options.lanes);
	move_set_text(m, "lanes", "path", path);
	if (m->options.via == VIA_AUTO && strcmp(path, "direct") != 0)
		move_note(m, "lanes",
			strcmp(path, "relay") == 0
				? "the hosts cannot reach each other: the data "
				  "goes through this machine"
				: "the target cannot be reached from the "
				  "source: it connects to the source instead");
	return 0;
}

static void pass_error(
	struct part *p, const struct msg_pass_done *done, struct error *err)
{
	message_to_error(&done->error,
		p->move->session.host[done->on_target ? TARGET : SOURCE]
			.peer.name,
		err);
}

static bool lanes_broke(const struct msg_pass_done *d)
{
	return d->error.code == EPIPE || d->error.code == ECONNRESET ||
	       d->error.code == ETIMEDOUT || d->error.code == ENOTCONN ||
	       d->error.code == EHOSTUNREACH;
}

/* The rate that the cut will see. Live passes are slowed down by what the
 * source does, so the best of late counts, and is forgotten slowly; but for
 * what was much faster, such as a proof that reads in order. */
static uint64_t rate_of_late(uint64_t before, uint64_t now)
{
	return now >= before || before / 4 > now ? now : (3 * before + now) / 4;
}

static void count(
	struct part *p, enum pass_kind kind, const struct msg_pass_done *d)
{
	struct volume_part *v = p->data;
	uint64_t rate = d->ms ? d->bytes * 1000 / d->ms : 0;

	move_add(p->move, "bytes", "read", (int64_t)d->bytes);
	move_add(p->move, "bytes", "sent", (int64_t)d->sent);
	move_add(p->move, "bytes", "zero", (int64_t)d->zero);
	move_add(p->move, "proof", "chunks", (int64_t)d->chunks);
	if (d->bytes >= 4 << 20) {
		if (kind == PASS_COMPARE)
			v->compare_rate = rate_of_late(v->compare_rate, rate);
		else
			v->send_rate =
				v->of_seed ? rate
					   : rate_of_late(v->send_rate, rate);
		if (kind == PASS_SEND)
			v->of_seed = false;
	} else if (d->bytes < 256 << 10) {
		v->overhead_ms =
			v->overhead_ms ? (v->overhead_ms + d->ms) / 2 : d->ms;
	}
}

/* Of a pass that has not ended, as far as is known. */
static void count_broken(struct move *m)
{
	const struct msg_progress *done = &m->session.progress;

	move_add(m, "bytes", "read", (int64_t)done->bytes);
	move_add(m, "bytes", "sent", (int64_t)done->sent);
	move_add(m, "bytes", "zero", (int64_t)done->zero);
}

int volume_pass(struct part *p, enum pass_kind kind, uint64_t budget,
	struct msg_pass_done *ret, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	bool held = m->session.lease_ms != 0;
	struct msg_pass pass = {
		.kind = (uint8_t)kind,
		.idle = !held && !m->hurry,
		.compress = 1,
		.bwlimit = held ? 0 : m->options.bwlimit,
		.budget = budget,
	};
	int r = 0;

	for (int try = 0;; try++) {
		if (v->generation == 0 || try > 0)
			r = make_lanes(p, err);
		if (r < 0)
			return r;
		pass.number = ++v->pass;
		memset(&m->session.progress, 0, sizeof(m->session.progress));
		r = session_call(
			&m->session, SOURCE, MSG_PASS, &pass, ret, 0, err);
		if (r < 0) {
			count_broken(m);
			return r;
		}
		count(p, kind, ret);
		m->done_base += ret->bytes;
		m->session.progress.bytes = 0;
		if (!ret->error.code)
			return 0;
		pass_error(p, ret, err);
		if (held || !lanes_broke(ret) || try == LANE_TRIES ||
			!m->session.host[TARGET].alive)
			return err->code;
		move_note(m, "lanes-broke",
			"the lanes broke (%s); new ones "
			"are made",
			err->why);
		r = session_idle(&m->session, 500U << try, err);
		if (r < 0)
			return r;
	}
}

int volume_settle_tracker(struct part *p, bool live, struct error *err)
{
	struct msg_settle m = {live, 10000};
	int r = volume_source_call(p, MSG_SETTLE, &m, NULL, err);

	/* Other partitions of the disk may never stand still; then it is
	 * enough that all which completed until now was seen. */
	if (r == -EAGAIN && !live) {
		m.live = 1;
		r = volume_source_call(p, MSG_SETTLE, &m, NULL, err);
	}
	return r == -EAGAIN ? 0 : r;
}

int volume_take_differences(struct part *p, enum differences how,
	struct differences_found *ret, struct error *err)
{
	struct volume_part *v = p->data;
	struct msg_source_state state;
	struct msg_mark *mark;
	int r = 0;

	if (v->tracking)
		r = volume_settle_tracker(p, how != DIFFER_HELD, err);
	if (r < 0)
		return r;
	mark = calloc(1, sizeof(*mark));
	if (!mark)
		return error_set(err, -ENOMEM, "compare");
	mark->differ = how == DIFFER_LIVE ? 1 : 2;
	r = volume_source_call(p, MSG_MARK, mark, &state, err);
	free(mark);
	if (r < 0)
		return r;
	/* With no tracker nothing is ever explained. */
	ret->unexplained = v->tracking ? state.unexplained : 0;
	ret->suspect = state.suspect;
	return 0;
}

int volume_mark(struct part *p, const struct msg_mark *set, struct error *err)
{
	struct msg_source_state state;

	return volume_source_call(p, MSG_MARK, set, &state, err);
}

int volume_map(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct msg_map_result map;
	uint64_t start = clock_ms();
	int r = volume_source_call(p, MSG_MAP, NULL, &map, err);

	if (r < 0)
		return r;
	v->sync_ms = clock_ms() - start;
	v->mapped = map.mapped;
	move_set(p->move, "bytes", "used", (int64_t)map.used);
	if (!map.mapped && !v->map_said) {
		v->map_said = true;
		move_note(p->move, "no-map", "all blocks count as used: %s",
			map.reason);
	}
	return 0;
}

int volume_state(
	struct part *p, struct msg_source_state *ret, struct error *err)
{
	int r = volume_source_call(p, MSG_BACKLOG, NULL, ret, err);

	if (r == 0) {
		move_set(p->move, "memory_kb", "source", (int64_t)ret->hwm_kb);
		p->move->progress.total = MAX(p->move->progress.total,
			p->move->done_base + ret->dirty);
	}
	return r;
}

static uint32_t test_setting(const char *name)
{
	const char *text = getenv(name);
	uint64_t v;

	return text && parse_u64(text, &v) == 0 ? (uint32_t)v : 0;
}

int volume_open_source_agent(
	struct part *p, enum volume_open how, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	struct host *h = &m->session.host[SOURCE];
	static struct msg_open_source open;
	struct msg_source_state state;
	int r;

	if (v->source_agent == (int)h->peer.pid && v->source_agent)
		return 0;
	/* Whatever became of the volume, its keeper can be asked. */
	r = volume_know_source(p, err);
	if (r < 0 && (r != -ERANGE || how == VOLUME_USE))
		return r;
	memset(&open, 0, sizeof(open));
	open.n = v->n;
	for (uint32_t i = 0; i < v->n; i++)
		(void)snprintf(open.v[i].path, sizeof(open.v[i].path), "%s",
			v->disks[i].source_path);
	open.machine = v->machine;
	(void)snprintf(open.name, sizeof(open.name), "%s", m->row.name);
	memcpy(open.key, m->row.key, sizeof(open.key));
	memcpy(open.secret, m->row.secret, sizeof(open.secret));
	open.linger_ms = m->options.linger_ms;
	open.track = !test_setting("REHOST_TEST_NO_TRACKER");
	open.test_drop_every = test_setting("REHOST_TEST_DROP_EVERY");
	open.test_trace_kb = test_setting("REHOST_TEST_TRACE_KB");
	open.attach = how == VOLUME_KEEPER;
	r = volume_source_call(p, MSG_OPEN_SOURCE, &open, &state, err);
	if (r < 0)
		return r;
	/* Both ends lay the volumes out by what they see: it must be the
	 * same. */
	if (how == VOLUME_USE &&
		state.size != (uint64_t)move_get(m, "bytes", "total")) {
		error_set(err, -EINVAL, "go on with %s", m->row.name);
		error_why(err, "the size of a volume changed meanwhile");
		return error_todo(err, "abort the move and begin a new one");
	}
	v->source_agent = (int)h->peer.pid;
	v->generation = 0; /* new agents have no lanes yet */
	/* Also when it was made to give the source back. */
	v->fresh = state.fresh || (v->fresh && v->keeper == state.keeper);
	v->keeper = state.keeper;
	v->tracking = state.tracking;
	v->size = state.size;
	memcpy(v->reason, state.reason, sizeof(v->reason));
	v->written = state.written;
	v->written_at = clock_ms();
	return 0;
}

static void volume_free(struct part *p)
{
	struct volume_part *v = p->data;

	if (v)
		free(v->disks);
	free(v);
	p->data = NULL;
}

static const struct part_ops ops = {
	.kind = "volume",
	.recover = volume_recover,
	.attach = volume_attach,
	.inspect = volume_inspect,
	.prepare = volume_prepare,
	.seed = volume_seed,
	.follow = volume_follow,
	.quiesce = volume_quiesce,
	.finish = volume_finish,
	.verify = volume_verify,
	.discard = volume_discard,
	.fence = volume_fence,
	.commit = volume_commit,
	.activate = volume_activate,
	.deactivate = volume_deactivate,
	.rollback = volume_rollback,
	.unfence = volume_unfence,
	.settle = volume_settle,
	.check = volume_check,
	.free = volume_free,
};

/* A machine has those of its plan, a volume is the one that was named. */
static void name_disks(struct move *m, struct volume_part *v)
{
	const struct options *o = &m->options;

	for (uint32_t i = 0; i < v->n; i++) {
		struct volume_disk *d = &v->disks[i];

		d->source_path =
			v->machine ? o->disks[i].source : m->source.path;
		d->target_path =
			v->machine ? o->disks[i].target : m->target.path;
		d->overwrite =
			v->machine ? o->disks[i].overwrite : o->overwrite;
	}
}

int part_volume_new(struct move *m, struct part *ret)
{
	struct volume_part *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->machine = m->options.n_disks > 0;
	v->n = v->machine ? m->options.n_disks : 1;
	v->disks = calloc(v->n, sizeof(*v->disks));
	if (!v->disks) {
		free(v);
		return -ENOMEM;
	}
	name_disks(m, v);
	ret->data = v;
	ret->ops = &ops;
	ret->move = m;
	return 0;
}
