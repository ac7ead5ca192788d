/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent does on the source. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/clock.h"
#include "base/hook.h"
#include "base/io.h"
#include "base/parse.h"
#include "track/netfence.h"
#include "track/tracker.h"
#include "volume/probe.h"
#include "volume/usedmap.h"

/* What was discarded since is not known any more, and needs no proof. */
static uint64_t unproved(const struct maps *m)
{
	uint64_t at = 0, first, n, bytes = 0;

	while (bitmap_next_and(
		&m->unproved, &m->known, false, at, UINT64_MAX, &first, &n)) {
		bytes += maps_bytes(m, first, n);
		at = first + n;
	}
	return bytes;
}

static void fill_state(struct agent *a, struct msg_source_state *m)
{
	struct maps *maps = &a->keeper.maps;

	m->tracking = maps->shared->tracking != 0;
	if (!m->tracking)
		(void)snprintf(m->reason, sizeof(m->reason), "%.*s",
			(int)sizeof(maps->shared->reason) - 1,
			maps->shared->reason);
	m->size = maps->shared->size;
	m->granule = maps->shared->granule;
	m->dirty = maps_dirty(maps);
	m->unproved = unproved(maps);
	m->known = maps_count(maps, &maps->known);
	m->inflight = maps_count(maps, &maps->inflight);
	m->written = maps->shared->written;
	m->hwm_kb = agent_hwm(getpid()) + agent_hwm(a->keeper.pid);
}

static void answer_state(
	struct agent *a, uint32_t id, uint64_t unexplained, uint64_t suspect)
{
	struct msg_source_state m = {0};

	fill_state(a, &m);
	m.unexplained = unexplained;
	m.suspect = suspect;
	agent_answer(a, MSG_SOURCE_STATE, id, &m);
}

/* Opens one more volume and tells the keeper's configuration of it. */
static int open_volume(struct agent *a, const char *path,
	struct keeper_config *c, struct error *err)
{
	CLEANUP_FREE struct volume_facts *f = calloc(1, sizeof(*f));
	struct maps_disk *d = &c->disks[c->n];
	int r;

	if (!f)
		return error_set(err, -ENOMEM, "open the source");
	r = probe_volume(path, f, err);
	if (r == 0)
		r = joined_add_source(&a->joined, f, err);
	if (r < 0)
		return r;
	memcpy(d->path, f->path, sizeof(d->path));
	d->kind = f->kind;
	d->major = f->major;
	d->minor = f->minor;
	d->size = f->size;
	d->start = a->joined.v[c->n++].start;
	if (f->fstype[0])
		c->filesystem = true;
	return 0;
}

static int attach(struct agent *a, const struct msg_open_source *m,
	struct keeper_config *c, struct error *err)
{
	int r;

	memcpy(c->key, m->key, sizeof(c->key));
	memcpy(c->name, m->name, sizeof(c->name));
	c->machine = m->machine;
	c->linger_ms = m->linger_ms;
	c->granule = maps_granule(a->joined.volume.size);
	c->track = m->track;
	/* What is discarded is free, not content. */
	c->filesystem = c->filesystem || m->machine;
	c->drop_every = m->test_drop_every;
	c->trace_kb = m->test_trace_kb;
	r = keeper_attach(c, !m->attach, &a->keeper, err);
	if (r < 0)
		return r;
	/* Who wants nothing but the keeper may still end it. */
	if (m->attach || a->keeper.maps.shared->size == a->joined.volume.size)
		return 0;
	keeper_detach(&a->keeper);
	error_set(err, -EINVAL, "go on with %s", m->v[0].path);
	return error_why(err, "its size changed since the move began");
}

int source_open(struct agent *a, const struct frame *f, struct error *err)
{
	CLEANUP_FREE struct keeper_config *c = calloc(1, sizeof(*c));
	static struct msg_open_source m;
	struct msg_source_state state = {0};
	int r = 0;

	if (!c)
		return error_set(err, -ENOMEM, "open the source");
	if (frame_decode(f, &m) < 0 || m.n == 0)
		return error_set(err, -EPROTO, "understand a request");
	joined_init(&a->joined);
	/* Not to be found out after hours, at the cut. */
	if (m.machine && !m.attach && netfence_check(err) < 0)
		return err->code;
	for (uint32_t i = 0; i < m.n && r == 0; i++)
		r = open_volume(a, m.v[i].path, c, err);
	if (r == 0)
		r = attach(a, &m, c, err);
	if (r < 0) {
		joined_close(&a->joined);
		return r;
	}
	memcpy(a->secret, m.secret, sizeof(a->secret));
	a->volume = a->reads = &a->joined.volume;
	a->sends = &a->keeper.maps;
	a->machine = c->machine;
	a->filesystem = c->filesystem;
	a->state = IN_SOURCE;
	state.fresh = a->keeper.fresh;
	state.keeper = a->keeper.maps.shared->id;
	fill_state(a, &state);
	agent_answer(a, MSG_SOURCE_STATE, f->id, &state);
	return 0;
}

/* ---- used map ---- */

bool source_used(const struct volume_facts *now, bool filesystem,
	usedmap_fn *fn, void *arg, char *reason, size_t size)
{
	struct error why = {0};
	int r;

	if (now->n_mounts == 0 || now->n_partitions_mounted) {
		(void)snprintf(reason, size, "%s",
			filesystem ? "it is not mounted"
				   : "it holds no known filesystem");
		return false;
	}
	r = usedmap_read(now->mounts[0].point, now->major, now->minor,
		now->size, fn, arg, &why);
	(void)snprintf(reason, size, "%.*s", (int)size - 1, why.why);
	return r == 0;
}

int source_map(struct agent *a, const struct frame *f, struct error *err)
{
	struct msg_map_result m = {0};
	int r = used_find(&a->keeper.maps, a->machine, a->filesystem, &m, err);

	if (r == 0)
		agent_answer(a, MSG_MAP_RESULT, f->id, &m);
	return r;
}

/* ---- passes ---- */

int source_pass(struct agent *a, const struct frame *f, struct error *err)
{
	struct msg_pass m;
	struct msg_pass_done done;

	if (frame_decode(f, &m) < 0 ||
		(m.kind != PASS_SEND && m.kind != PASS_COMPARE))
		return error_set(err, -EPROTO, "understand a request");
	if (!a->sender) {
		error_set(err, -ENOTCONN, "send");
		return error_why(err, "there are no lanes");
	}
	a->in_pass = true;
	sender_pass(a->sender, &m, &done);
	a->in_pass = false;
	agent_answer(a, MSG_PASS_DONE, f->id, &done);
	return 0;
}

void source_progress(struct agent *a)
{
	struct msg_progress m;

	if (!a->in_pass || clock_ms() < a->progress_at)
		return;
	a->progress_at = clock_ms() + 200;
	sender_progress(a->sender, &m);
	agent_answer(a, MSG_PROGRESS, 0, &m);
}

int source_event(struct agent *a, const struct frame *f)
{
	static union {
		struct msg_durable durable;
		struct msg_mismatch mismatch;
	} m;
	static const struct msg_durable nonsense = {
		.error = {
			EPROTO, "go on", "it said what no target may say", ""}};
	int r = 0;

	if (frame_decode(f, &m) < 0)
		return -EPROTO;
	(void)pthread_mutex_lock(&a->sender_lock);
	/* Nothing to do when it is of lanes that are gone. */
	if (a->sender && (f->type == MSG_DURABLE ? m.durable.generation
						 : m.mismatch.generation) ==
				 a->generation)
		r = f->type == MSG_DURABLE
			    ? sender_durable(a->sender, &m.durable)
			    : sender_mismatch(a->sender, &m.mismatch);
	if (r < 0)
		(void)sender_durable(a->sender, &nonsense);
	(void)pthread_mutex_unlock(&a->sender_lock);
	return 0;
}

/* Everything dirty counts as on the target from now on, unproved: after marks
 * were lost, only a comparison tells what has to be sent. */
static void suppose_known(struct maps *m)
{
	uint64_t at = 0, first, n;

	while (bitmap_next(&m->dirty, at, UINT64_MAX, &first, &n)) {
		bitmap_set(&m->unproved, first, n);
		bitmap_set(&m->known, first, n);
		bitmap_clear(&m->dirty, first, n);
		at = first + n;
	}
}

/* No map can be taken any more: what was in use by the last one, or was sent
 * since, and is not known, is sent once more. */
static void use_again(struct maps *m)
{
	const struct bitmap *maybe[] = {&m->used, &m->unproved};

	for (unsigned i = 0; i < ARRAY_LEN(maybe); i++) {
		uint64_t at = 0, first, n;

		while (bitmap_next_and(maybe[i], &m->known, true, at,
			UINT64_MAX, &first, &n)) {
			bitmap_set(&m->dirty, first, n);
			at = first + n;
		}
	}
}

int source_mark(struct agent *a, const struct frame *f, struct error *err)
{
	static struct msg_mark m;
	struct maps *maps = &a->keeper.maps;
	uint64_t unexplained = 0, suspect = 0;

	if (frame_decode(f, &m) < 0)
		return error_set(err, -EPROTO, "understand a request");
	if (m.differ && a->sender)
		sender_differ(a->sender, m.differ == 2, &unexplained, &suspect);
	if (m.all)
		maps_mark(maps, 0, maps->shared->size);
	if (m.used)
		use_again(maps);
	if (m.known)
		suppose_known(maps);
	if (m.unprove)
		bitmap_or(&maps->unproved, &maps->known);
	for (uint32_t i = 0; i < m.n; i++)
		maps_mark(maps, m.v[i].offset, m.v[i].bytes);
	answer_state(a, f->id, unexplained, suspect);
	return 0;
}

int source_backlog(struct agent *a, const struct frame *f, struct error *err)
{
	answer_state(a, f->id, 0, 0);
	return 0;
}

int source_read_blocks(
	struct agent *a, const struct frame *f, struct error *err)
{
	CLEANUP_FREE struct msg_blocks *out = calloc(1, sizeof(*out));
	static struct msg_commit m;
	void *buf;
	int r = 0;

	if (!out || posix_memalign(&buf, 4096, 2 * SIGNATURE_BLOCK) != 0)
		return error_set(err, -ENOMEM, "read %s", a->volume->path);
	if (frame_decode(f, &m) < 0)
		r = error_set(err, -EPROTO, "understand a request");
	for (uint32_t i = 0; i < m.n && r == 0; i++) {
		struct msg_block *b = &out->v[i];

		if (m.v[i].bytes > SIGNATURE_BLOCK ||
			m.v[i].offset % SIGNATURE_BLOCK ||
			m.v[i].offset > a->volume->size ||
			m.v[i].bytes > a->volume->size - m.v[i].offset) {
			r = error_set(err, -ERANGE, "read %s", a->volume->path);
			break;
		}
		b->offset = m.v[i].offset;
		b->n = (uint32_t)m.v[i].bytes;
		r = a->volume->ops->read(a->volume, buf, b->n, b->offset);
		if (r < 0)
			error_set(err, r, "read %s", a->volume->path);
		else
			memcpy(b->data, buf, b->n);
	}
	free(buf);
	if (r < 0)
		return r;
	out->n = m.n;
	agent_answer(a, MSG_BLOCKS, f->id, out);
	return 0;
}

/* ---- keeper ---- */

/* What the keeper would have answered, were it alive. */
static void answer_for_keeper(struct agent *a, uint32_t type, uint32_t id)
{
	static const struct msg_keeper_state none;
	const struct maps_shared *s = a->keeper.maps.shared;
	struct error err;

	if (type == MSG_KEEPER) {
		agent_answer(a, MSG_KEEPER_STATE, id, &none);
		return;
	}
	if ((type == MSG_RELEASE && s->phase != KEEPER_COMMITTED) ||
		(type == MSG_UNFENCE && a->died_in == KEEPER_RELEASING)) {
		agent_answer(a, MSG_HOOKS_RESULT, id, &s->rollback);
		return;
	}
	if (type == MSG_END && s->phase == KEEPER_IDLE) {
		agent_answer(a, MSG_OK, id, NULL);
		return;
	}
	error_set(&err, -ECHILD, "ask the keeper");
	error_why(&err, "it was killed");
	agent_answer_error(a, id, &err);
}

static void undone(struct agent *a)
{
	static const struct msg_log gone = {"the keeper is gone"};
	static const struct msg_log killed = {
		"the keeper was killed; what it held was given back"};
	struct maps_shared *s = a->keeper.maps.shared;

	a->undoing = false;
	(void)tracker_sweep(a->keeper.instance);
	if (a->stand_in >= 0)
		(void)close(STEAL_FD(a->stand_in));
	if (s->phase != KEEPER_COMMITTED)
		agent_answer(a, MSG_LOG, 0,
			a->died_in == KEEPER_IDLE ? &gone : &killed);
	for (unsigned i = 0; i < a->n_asked; i++)
		answer_for_keeper(a, a->asked[i].type, a->asked[i].id);
	a->n_asked = 0;
}

/* What only the end of the rollback hooks answers. */
static bool waits_for_hooks(uint32_t type)
{
	return type == MSG_RELEASE || type == MSG_UNFENCE || type == MSG_END;
}

void source_undo(struct agent *a)
{
	struct maps_shared *s = a->keeper.maps.shared;

	if (!a->undoing)
		return;
	/* Another agent sees to it now; nothing is to go on behind its back. */
	if (a->stand_in >= 0 && keeper_replaced(a->stand_in)) {
		hook_kill(&a->undo, "another agent took over");
		_exit(0);
	}
	if (!hook_step(&a->undo))
		return;
	message_from_hooks(&a->undo, &s->rollback);
	undone(a);
}

static void keeper_died(struct agent *a)
{
	struct maps_shared *s = a->keeper.maps.shared;
	uint32_t n = MIN(s->arm.n_rollback, (uint32_t)HOOKS_MAX);
	struct hook_env env = {s->arm.name, "rollback", s->arm.device};
	bool unacknowledged = false;

	a->keeper_gone = true;
	a->died_in = s->phase;
	for (unsigned i = 0; i < a->n_asked; i++)
		unacknowledged |= a->asked[i].type == MSG_COMMIT;
	if (a->died_in != KEEPER_IDLE)
		a->stand_in = keeper_stand_in(&a->keeper);
	/* There is another one already, which has undone what it found. */
	if (a->stand_in == -EADDRINUSE)
		_exit(0);
	if (!keeper_undo(&a->keeper.maps, unacknowledged) ||
		a->died_in == KEEPER_IDLE) {
		undone(a);
		return;
	}
	/* It held the source, or was about to, or was giving it back. */
	for (uint32_t i = 0; i < n; i++)
		a->undo_commands[i] = s->arm.rollback[i].command;
	hook_begin(&a->undo, a->undo_commands, n, &env, s->arm.hook_timeout_ms,
		false);
	a->undoing = true;
	for (unsigned i = a->n_asked; i-- > 0;) {
		if (waits_for_hooks(a->asked[i].type))
			continue;
		answer_for_keeper(a, a->asked[i].type, a->asked[i].id);
		a->asked[i] = a->asked[--a->n_asked];
	}
	source_undo(a);
}

int source_forward(struct agent *a, const struct frame *f, struct error *err)
{
	int r;

	if (a->keeper_gone && !(a->undoing && waits_for_hooks(f->type))) {
		answer_for_keeper(a, f->type, f->id);
		return 0;
	}
	/* A lease is renewed often, and nobody waits for the answer. */
	if (f->type != MSG_RENEW) {
		if (a->n_asked == ARRAY_LEN(a->asked))
			return error_set(err, -EPROTO, "ask the keeper");
		a->asked[a->n_asked].type = f->type;
		a->asked[a->n_asked++].id = f->id;
	}
	if (a->keeper_gone)
		return 0;
	r = channel_send_raw(
		a->keeper.channel, f->type, f->id, f->payload, f->n, NULL, 0);
	if (r == 0)
		r = channel_flush(a->keeper.channel, true);
	if (r < 0)
		source_keeper_input(a);
	return 0;
}

static void answered(struct agent *a, uint32_t id)
{
	for (unsigned i = 0; i < a->n_asked; i++)
		if (a->asked[i].id == id) {
			a->asked[i] = a->asked[--a->n_asked];
			return;
		}
}

void source_keeper_input(struct agent *a)
{
	struct frame f;
	int r, n;

	if (a->keeper_gone)
		return;
	r = channel_read(a->keeper.channel);
	while ((n = channel_next(a->keeper.channel, &f)) > 0) {
		/* A newer agent has it now; this one's time is over. */
		if (f.type == MSG_LOG)
			_exit(0);
		answered(a, f.id);
		(void)channel_send_raw(
			a->channel, f.type, f.id, f.payload, f.n, NULL, 0);
		(void)channel_flush(a->channel, false);
	}
	if (r < 0 || n < 0)
		keeper_died(a);
}
