/* SPDX-License-Identifier: Apache-2.0 */
#include "track/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hook.h"
#include "base/io.h"
#include "track/blocks.h"
#include "track/hold.h"
#include "track/netfence.h"
#include "track/tracker.h"
#include "volume/probe.h"

#define COLLECT_MS 5
#define SETTLE_MS 10000
#define SWEEP_S 60
#define ANSWER_MS 300 /* for an answer to get away */
#define HUSH_MS 50

struct keeper {
	struct keeper_config config;
	struct maps maps;
	int listen_fd, conn;
	struct channel *channel;
	uint64_t alone_since;

	/* The tracker and whatever uses it. */
	pthread_mutex_t tracker_lock;
	struct tracker *tracker;
	struct segments segments; /* that it follows */

	/* From ARM until RELEASE or commit. */
	bool armed, quiesced;
	uint64_t lease; /* clock_ms */
	struct msg_arm arm;
	const char *commands[HOOKS_MAX];
	struct hook_run hook;
	uint32_t answer_to; /* id of the request that the hooks answer */

	struct hold hold;
	/* Of a machine: made ready with ARM, cut with the hold. */
	struct netfence *net;
	struct netfence_allow allow;
	bool held_tracking; /* when it was taken */
	/* The hold is being taken; and whether that was cut short, which the
	 * watching thread does. */
	pthread_mutex_t hold_lock;
	bool holding, hold_late;
	uint64_t holding_since; /* of the watching thread */
	struct msg_keeper_state state;
	bool ending;
	bool ends_later; /* when the hooks are done */
	uint32_t end_id; /* of the request that said so */
};

/* ---- tracking ---- */

static void lost(struct keeper *k, const char *why)
{
	struct maps_shared *s = k->maps.shared;

	if (!s->tracking && s->reason[0])
		return;
	(void)snprintf(s->reason, sizeof(s->reason), "%s", why);
	s->tracking = 0;
}

static void mark(
	void *arg, enum track_kind kind, uint64_t offset, uint64_t bytes)
{
	struct keeper *k = arg;

	if (kind == TRACK_WRITE || !k->config.filesystem) {
		maps_mark(&k->maps, offset, bytes);
		k->maps.shared->written += MIN(bytes, k->maps.shared->size);
		return;
	}
	maps_discard(&k->maps, offset, bytes);
}

/* The one thing that this build may have broken on purpose. */
static bool undrained(const struct keeper *k)
{
#ifdef BREAK_NO_FINAL_DRAIN
	return k->armed;
#endif
	return false;
}

/* A freeze waits for writers that may wait for the network, which is cut: then
 * the main thread hangs, and nobody else can give the source back. */
static void watch_hold(struct keeper *k)
{
	struct maps_shared *s = k->maps.shared;
	bool cut;

	(void)pthread_mutex_lock(&k->hold_lock);
	cut = k->holding && !k->hold_late &&
	      (k->net || s->phase == KEEPER_HOLDING);
	if (!cut)
		k->holding_since = 0;
	else if (k->holding_since == 0)
		k->holding_since = clock_ms();
	if (cut && clock_ms() - k->holding_since >= k->arm.lease_ms) {
		k->hold_late = true;
		if (k->net)
			netfence_lift(k->net);
		for (uint32_t i = s->n_held; i-- > 0;)
			hold_release_one(&s->held[i]);
	}
	(void)pthread_mutex_unlock(&k->hold_lock);
}

static void begin_holding(struct keeper *k)
{
	(void)pthread_mutex_lock(&k->hold_lock);
	k->hold_late = false;
	k->holding = true;
	(void)pthread_mutex_unlock(&k->hold_lock);
}

/* Was it in time? */
static bool end_holding(struct keeper *k)
{
	bool late;

	(void)pthread_mutex_lock(&k->hold_lock);
	k->holding = false;
	late = k->hold_late;
	(void)pthread_mutex_unlock(&k->hold_lock);
	return !late;
}

static void *collect_thread(void *arg)
{
	struct keeper *k = arg;

	while (!k->ending) {
		watch_hold(k);
		struct error err;

		(void)pthread_mutex_lock(&k->tracker_lock);
		if (k->tracker && !undrained(k) &&
			tracker_collect(k->tracker, &err) < 0)
			lost(k, err.why);
		(void)pthread_mutex_unlock(&k->tracker_lock);
		clock_sleep_ms(COLLECT_MS);
	}
	return NULL;
}

/* Where all volumes together lie on the disks of the machine. */
static int find_segments(
	const struct keeper_config *c, struct segments *ret, struct error *err)
{
	CLEANUP_FREE struct segments *one = calloc(1, sizeof(*one));
	int r = 0;

	if (!one)
		return error_set(err, -ENOMEM, "find the disks of a volume");
	for (uint32_t i = 0; i < c->n && r == 0; i++) {
		const struct maps_disk *d = &c->disks[i];

		r = segments_find(d->major, d->minor, one, err);
		if (r == 0 && one->n > SEGMENTS_MAX - ret->n) {
			r = error_set(err, -EOPNOTSUPP, "follow changes");
			error_why(err, "the volumes lie in too many pieces");
		}
		for (uint32_t k = 0; r == 0 && k < one->n; k++) {
			one->v[k].volume_start += d->start / 512;
			ret->v[ret->n++] = one->v[k];
		}
	}
	return r;
}

/* Do the volumes still lie where the tracker looks? Asked after the events
 * were read: what was written elsewhere before is then not overlooked. */
static int check_place(struct keeper *k, struct error *err)
{
	CLEANUP_FREE struct segments *now = calloc(1, sizeof(*now));

	if (!now)
		return error_set(err, -ENOMEM, "say what changed");
	if (find_segments(&k->config, now, err) == 0 &&
		memcmp(now, &k->segments, sizeof(*now)) == 0)
		return 0;
	error_set(err, -ENODATA, "say what changed");
	return error_why(err, "the volume was moved or resized on its disks");
}

static bool has_file(const struct keeper_config *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->disks[i].kind != VOLUME_BLOCK)
			return true;
	return false;
}

static void start_tracker(struct keeper *k)
{
	char name[64];
	struct error err;
	int r;

	if (!k->config.track) {
		lost(k, "comparison was asked for");
		return;
	}
	if (has_file(&k->config)) {
		lost(k, "it is an image file, which no tracker can follow");
		return;
	}
	keeper_instance_name(k->config.key, name);
	(void)tracker_sweep(name);
	tracker_sweep_left(SWEEP_S);
	memset(&k->segments, 0, sizeof(k->segments));
	r = find_segments(&k->config, &k->segments, &err);
	if (r == 0)
		r = tracker_start(name, &k->segments, k->config.trace_kb, mark,
			k, &k->tracker, &err);
	/* It may have moved before the first event was recorded. */
	if (r == 0)
		r = check_place(k, &err);
	if (r < 0) {
		tracker_stop(k->tracker);
		k->tracker = NULL;
		lost(k, err.why);
		return;
	}
	tracker_drop_every(k->tracker, k->config.drop_every);
	k->maps.shared->tracking = 1;
}

/* Begins anew after a loss; the caller compares what may have been missed. */
static int retrack(struct keeper *k, struct error *err)
{
	struct maps_shared *s = k->maps.shared;

	(void)pthread_mutex_lock(&k->tracker_lock);
	tracker_stop(k->tracker);
	k->tracker = NULL;
	s->tracking = 0;
	s->reason[0] = '\0';
	start_tracker(k);
	(void)pthread_mutex_unlock(&k->tracker_lock);
	if (s->tracking)
		return 0;
	error_set(err, -EOPNOTSUPP, "follow what changes");
	return error_why(err, "%s", s->reason);
}

/* ---- the machine's network ---- */

/* Can it be let through? Not one that cannot be reached from here, or only by a
 * tunnel. */
static bool has_way(const struct netfence_address *peer)
{
	struct netfence_allow one = {0};
	struct error ignored;

	return netfence_add_peer(&one, peer) == 0 &&
	       netfence_find_near(&one, &ignored) == 0;
}

/* The first one is who has to get through; of the others those that can. */
static int add_peers(struct netfence_allow *allow,
	const struct msg_peers *peers, struct error *err)
{
	int r = 0;

	for (uint32_t i = 0; i < peers->n && r == 0; i++) {
		struct netfence_address a;

		if (peers->v[i].port > UINT16_MAX)
			return error_set(err, -EINVAL, "fence the network");
		/* Some are names of interfaces that are not here. */
		if (netfence_address(peers->v[i].text, &a) < 0)
			continue;
		a.port = (uint16_t)peers->v[i].port;
		if (i > 0 && !has_way(&a))
			continue;
		r = netfence_add_peer(allow, &a);
		if (r < 0)
			error_set(err, r, "fence the network");
	}
	return r < 0 ? r : netfence_find_near(allow, err);
}

static int prepare_network(
	struct keeper *k, const struct msg_peers *peers, struct error *err)
{
	int r;

	memset(&k->allow, 0, sizeof(k->allow));
	r = add_peers(&k->allow, peers, err);
	return r < 0 ? r : netfence_prepare(&k->net, err);
}

static void open_network(struct keeper *k)
{
	if (!k->net)
		return;
	netfence_forget(k->config.name);
	netfence_end(k->net);
	k->net = NULL;
}

/* Others than before, or nobody, may talk to it from now on. */
static int hush(
	struct keeper *k, const struct msg_peers *peers, struct error *err)
{
	struct netfence_allow allow = {0};
	int r = add_peers(&allow, peers, err);

	if (r < 0)
		return r;
	if (!k->net || k->maps.shared->phase != KEEPER_COMMITTED)
		return error_set(err, -EINVAL, "fence the network");
	return netfence_change(k->net, &allow, err);
}

/* ---- giving the source back ---- */

static void phase(struct keeper *k, enum keeper_phase p)
{
	k->maps.shared->phase = p;
}

static void send_msg(struct keeper *k, uint32_t type, uint32_t id, void *msg)
{
	if (k->channel && channel_send(k->channel, type, id, msg) == 0)
		(void)channel_flush(k->channel, false);
}

static void send_ok(struct keeper *k, uint32_t id)
{
	send_msg(k, MSG_OK, id, NULL);
}

static void send_error(struct keeper *k, uint32_t id, const struct error *err)
{
	struct msg_error m;

	message_from_error(err, &m);
	send_msg(k, MSG_ERROR, id, &m);
}

static void fill_result(const struct hook_run *h, struct msg_hooks_result *m)
{
	m->failed = h->failed;
	(void)snprintf(m->why, sizeof(m->why), "%s", h->why);
	(void)snprintf(m->output, sizeof(m->output), "%s", h->output);
	m->ms = h->ms;
}

/* Runs the given hooks from the event loop; id is answered at the end. */
static void run_hooks(struct keeper *k, const struct msg_hook *v, uint32_t n,
	const char *phase_name, bool stop, uint32_t id)
{
	struct hook_env env = {k->arm.name, phase_name, k->arm.device};

	for (uint32_t i = 0; i < n; i++)
		k->commands[i] = v[i].command;
	hook_begin(
		&k->hook, k->commands, n, &env, k->arm.hook_timeout_ms, stop);
	k->answer_to = id;
}

/* Gives the source back: thaw first, then everything that may take time. */
static void roll_back(struct keeper *k, bool hooks, uint32_t id)
{
	struct maps_shared *s = k->maps.shared;
	bool had_quiesced = k->armed && k->quiesced;

	hook_kill(&k->hook, "the move was rolled back");
	if (s->phase == KEEPER_FENCING && s->n_saved > 0)
		(void)blocks_write(s, s->saved, s->n_saved, false, NULL);
	s->n_saved = 0;
	phase(k, KEEPER_RELEASING);
	hold_release(&k->hold, k->maps.shared);
	open_network(k);
	k->armed = k->quiesced = false;
	run_hooks(k, k->arm.rollback,
		hooks && had_quiesced ? k->arm.n_rollback : 0, "rollback",
		false, id);
}

static void roll_back_alone(struct keeper *k, const char *why)
{
	k->state.rollbacks++;
	(void)snprintf(k->state.reason, sizeof(k->state.reason), "%s", why);
	roll_back(k, true, 0);
}

static bool may_roll_back(const struct keeper *k)
{
	uint32_t p = k->maps.shared->phase;

	return k->armed && p != KEEPER_COMMITTED && p != KEEPER_RELEASING;
}

static void hooks_done(struct keeper *k)
{
	struct msg_hooks_result m;
	uint32_t id = k->answer_to;

	memset(&m, 0, sizeof(m));
	fill_result(&k->hook, &m);
	if (k->maps.shared->phase == KEEPER_QUIESCING) {
		phase(k, KEEPER_QUIESCED);
	} else {
		k->state.rollback = m;
		phase(k, KEEPER_IDLE);
	}
	k->answer_to = 0;
	if (id)
		send_msg(k, MSG_HOOKS_RESULT, id, &m);
	if (k->ends_later && k->maps.shared->phase == KEEPER_IDLE) {
		if (k->end_id)
			send_ok(k, k->end_id);
		k->ending = true;
	}
}

/* ---- holding it still ---- */

static int take_hold(struct keeper *k, struct msg_held *ret, struct error *err)
{
	int r;

	if (k->maps.shared->phase != KEEPER_QUIESCED) {
		error_set(err, -EBUSY, "hold the source");
		return error_why(err, "the cutover is no longer under way: %s",
			k->state.reason);
	}
	/* What is written by now need not be written in the outage. */
	r = k->net ? hold_sync(k->maps.shared, err) : 0;
	if (r < 0)
		return r;
	begin_holding(k);
	/* First, so that nobody is told anything that is not frozen then. */
	r = k->net ? netfence_begin(k->net, &k->allow, err) : 0;
	if (r == 0)
		r = hold_take(
			&k->hold, k->config.machine, k->maps.shared, ret, err);
	if (!end_holding(k) && r == 0) {
		hold_release(&k->hold, k->maps.shared);
		r = error_set(err, -ETIMEDOUT, "hold the source");
		error_why(err, "its filesystems did not stand still in time; "
			       "something writes that waits for the network, "
			       "perhaps");
		error_todo(err, "stop it in the quiesce hook");
	}
	if (r == 0 && k->net)
		(void)netfence_text(k->net, ret->network, sizeof(ret->network));
	if (r < 0 && k->net)
		netfence_lift(k->net);
	/* Renewals lay unread while this took its time. */
	k->lease = clock_ms() + k->arm.lease_ms;
	if (r < 0)
		return r;
	k->held_tracking = k->maps.shared->tracking != 0;
	phase(k, KEEPER_HELD);
	return 0;
}

/* ---- settle and commit ---- */

static int settle(
	struct keeper *k, bool live, unsigned timeout_ms, struct error *err)
{
	int r;

	if (!k->maps.shared->tracking) {
		error_set(err, -ENODATA, "say what changed");
		return error_why(err, "%s", k->maps.shared->reason);
	}
	if (undrained(k))
		return 0;
	(void)pthread_mutex_lock(&k->tracker_lock);
	r = tracker_settle(k->tracker, live, timeout_ms, err);
	if (r == 0 || r == -EAGAIN) {
		int e = check_place(k, err);

		r = e < 0 ? e : r;
	}
	(void)pthread_mutex_unlock(&k->tracker_lock);
	if (r == -ENODATA)
		lost(k, err->why);
	return r;
}

/* Is the source exactly as it was when the last round was sent? */
static int check_still(struct keeper *k, struct error *err)
{
	struct maps_shared *s = k->maps.shared;
	int r;

	if (s->phase != KEEPER_HELD) {
		error_set(err, -EBUSY, "commit");
		return error_why(err, "the source is no longer held: %s",
			k->state.reason);
	}
	r = hold_check(&k->hold, s, err);
	if (r < 0)
		return r;
	if (k->held_tracking && !s->tracking) {
		error_set(err, -EBUSY, "commit");
		return error_why(
			err, "the tracker was lost since: %s", s->reason);
	}
	if (s->tracking) {
		r = settle(k, false, SETTLE_MS, err);
		/* Other partitions of the disk may be busy. */
		if (r == -EAGAIN)
			r = settle(k, true, SETTLE_MS, err);
		if (r < 0)
			return r;
	}
	if (maps_dirty(&k->maps) || bitmap_count(&k->maps.inflight)) {
		error_set(err, -EBUSY, "commit");
		return error_why(err, "%s was written after the last round",
			s->n_disks == 1 ? s->disks[0].path : "a disk");
	}
	/* An interface that came up last, or could not be fenced yet. */
	r = k->net ? netfence_refresh(k->net, err) : 0;
	return MIN(r, 0);
}

static int commit(
	struct keeper *k, const struct msg_commit *m, struct error *err)
{
	struct maps_shared *s = k->maps.shared;
	int r;

	if (s->phase == KEEPER_COMMITTED)
		return 0;
	r = check_still(k, err);
	if (r < 0 || m->fence == FENCE_AUTO)
		return r;
	if ((m->fence == FENCE_FREEZE && s->hold != HOLD_FROZEN) ||
		(m->fence == FENCE_UNMOUNTED && s->hold != HOLD_UNMOUNTED)) {
		error_set(err, -EINVAL, "make the fence");
		return error_why(err, "the source is %s",
			s->hold == HOLD_FROZEN ? "mounted" : "not mounted");
	}
	if (m->fence == FENCE_SIGNATURE) {
		s->n_saved = 0;
		r = blocks_read(s, m, s->saved, err);
		if (r < 0)
			return r;
		s->n_saved = m->n;
		phase(k, KEEPER_FENCING);
		r = blocks_write(s, s->saved, s->n_saved, true, err);
		if (r < 0)
			return r;
	}
	/* If it cannot, the fence of the network ends with this process. */
	if (k->net && netfence_keep(k->net, k->config.name, err) < 0)
		(void)snprintf(k->state.reason, sizeof(k->state.reason),
			"the network's fence ends with the keeper: %.400s",
			err->why);
	s->fence = m->fence;
	phase(k, KEEPER_COMMITTED);
	k->armed = false;
	return 0;
}

/* After commit, knowingly: put everything back. Also for a keeper that was
 * made afresh after a reboot. */
static int unfence(
	struct keeper *k, const struct msg_unfence *m, struct error *err)
{
	struct maps_shared *s = k->maps.shared;
	int r;

	for (uint32_t i = 0; i < m->n; i++) {
		r = blocks_put_back(s, &m->v[i], err);
		if (r < 0)
			return r;
	}
	s->n_saved = 0;
	for (uint32_t i = m->n_mounts; s->n_held == 0 && i-- > 0;)
		hold_release_one(&m->mounts[i]);
	phase(k, KEEPER_RELEASING);
	hold_release(&k->hold, k->maps.shared);
	open_network(k);
	netfence_forget(k->config.name);
	return 0;
}

/* ---- requests ---- */

/* The machine lives on elsewhere: this one ends as it is held, and nothing of
 * it runs again. */
static void power_off(struct keeper *k, uint32_t id)
{
	send_ok(k, id);
	(void)channel_flush(k->channel, true);
	clock_sleep_ms(ANSWER_MS);
	(void)reboot(RB_POWER_OFF);
	/* It cannot; then it stays held. */
}

static union {
	struct msg_settle settle;
	struct msg_arm arm;
	struct msg_renew renew;
	struct msg_commit commit;
	struct msg_release release;
	struct msg_unfence unfence;
	struct msg_end end;
	struct msg_peers peers;
} in;

static void on_arm(struct keeper *k, uint32_t id, struct error *err)
{
	if (k->maps.shared->phase != KEEPER_IDLE) {
		error_set(err, -EBUSY, "start the cutover");
		error_why(err, "the source is not free (keeper phase %u)",
			k->maps.shared->phase);
		send_error(k, id, err);
		return;
	}
	if (in.arm.network && prepare_network(k, &in.arm.peers, err) < 0) {
		open_network(k);
		send_error(k, id, err);
		return;
	}
	k->arm = in.arm;
	k->armed = k->quiesced = true;
	k->lease = clock_ms() + k->arm.lease_ms;
	k->state.reason[0] = '\0';
	phase(k, KEEPER_QUIESCING);
	run_hooks(k, k->arm.quiesce, k->arm.n_quiesce, "quiesce", true, id);
}

static void on_state(struct keeper *k, uint32_t id)
{
	struct msg_keeper_state *m = &k->state;

	m->present = 1;
	m->phase = k->maps.shared->phase;
	m->hold = (uint8_t)k->maps.shared->hold;
	m->fence = (uint8_t)k->maps.shared->fence;
	send_msg(k, MSG_KEEPER_STATE, id, m);
}

static void on_unfence(struct keeper *k, uint32_t id, struct error *err)
{
	uint32_t p = k->maps.shared->phase;
	int r;

	if (p != KEEPER_COMMITTED && p != KEEPER_IDLE) {
		error_set(err, -EBUSY, "remove the fence");
		send_error(k, id, err);
		return;
	}
	r = unfence(k, &in.unfence, err);
	if (r < 0) {
		send_error(k, id, err);
		return;
	}
	memset(&k->arm, 0, sizeof(k->arm));
	(void)snprintf(k->arm.name, sizeof(k->arm.name), "%s", in.unfence.name);
	(void)snprintf(
		k->arm.device, sizeof(k->arm.device), "%s", in.unfence.device);
	k->arm.hook_timeout_ms = in.unfence.hook_timeout_ms;
	k->arm.n_rollback = in.unfence.rollback ? in.unfence.n_rollback : 0;
	memcpy(k->arm.rollback, in.unfence.rollback_hooks,
		sizeof(k->arm.rollback));
	run_hooks(k, k->arm.rollback, k->arm.n_rollback, "rollback", false, id);
}

static void request(struct keeper *k, const struct frame *f)
{
	struct msg_held held = {0};
	struct error err = {0};
	int r = 0;

	if (message_def(f->type)->shape->size && frame_decode(f, &in) < 0) {
		error_set(&err, -EPROTO, "understand a request");
		send_error(k, f->id, &err);
		return;
	}
	switch (f->type) {
	case MSG_SETTLE:
		r = settle(k, in.settle.live, in.settle.timeout_ms, &err);
		break;
	case MSG_RETRACK:
		r = retrack(k, &err);
		break;
	case MSG_HUSH:
		/* Who asks may be among those who hear nothing more. */
		send_ok(k, f->id);
		(void)channel_flush(k->channel, true);
		clock_sleep_ms(HUSH_MS);
		if (hush(k, &in.peers, &err) < 0)
			(void)snprintf(k->state.reason, sizeof(k->state.reason),
				"%s", err.what);
		return;
	case MSG_ARM:
		on_arm(k, f->id, &err);
		return;
	case MSG_RENEW:
		if (k->armed)
			k->lease = clock_ms() + in.renew.lease_ms;
		break;
	case MSG_HOLD:
		r = take_hold(k, &held, &err);
		if (r == 0) {
			send_msg(k, MSG_HELD, f->id, &held);
			return;
		}
		break;
	case MSG_COMMIT:
		r = commit(k, &in.commit, &err);
		break;
	case MSG_RELEASE:
		if (may_roll_back(k)) {
			roll_back(k, in.release.rollback, f->id);
			return;
		}
		if (k->maps.shared->phase == KEEPER_COMMITTED) {
			r = error_set(&err, -EBUSY, "give the source back");
			error_why(&err, "the move is committed");
			break;
		}
		/* It went back by itself: say how that went. */
		if (k->maps.shared->phase == KEEPER_RELEASING) {
			k->answer_to = f->id;
			return;
		}
		send_msg(k, MSG_HOOKS_RESULT, f->id, &k->state.rollback);
		return;
	case MSG_KEEPER:
		on_state(k, f->id);
		return;
	case MSG_UNFENCE:
		on_unfence(k, f->id, &err);
		return;
	case MSG_END:
		/* Rollback hooks are not left half-way. */
		if (!k->hook.done) {
			k->ends_later = true;
			k->end_id = f->id;
			return;
		}
		/* A fence ends knowingly or not at all. */
		if (k->maps.shared->phase == KEEPER_COMMITTED &&
			!in.end.confirm) {
			r = error_set(&err, -EBUSY, "end the keeper");
			error_why(&err, "the move is committed");
			break;
		}
		if (in.end.poweroff && in.end.confirm &&
			k->maps.shared->phase == KEEPER_COMMITTED) {
			power_off(k, f->id);
			return;
		}
		hold_release(&k->hold, k->maps.shared);
		open_network(k);
		k->ending = true;
		break;
	default:
		r = error_set(&err, -EPROTO, "serve a request");
	}
	if (r < 0)
		send_error(k, f->id, &err);
	else
		send_ok(k, f->id);
}

/* ---- connections ---- */

static bool gives_back(const struct keeper *k)
{
#ifdef BREAK_THAW_AFTER_COMMIT
	return true;
#endif
	return may_roll_back(k);
}

static void drop_conn(struct keeper *k, const char *why)
{
	channel_free(k->channel);
	k->channel = NULL;
	if (k->conn >= 0)
		(void)close(STEAL_FD(k->conn));
	k->alone_since = clock_ms();
	/* What it had read and not confirmed has to be sent again. */
	bitmap_move(&k->maps.dirty, &k->maps.inflight);
	if (gives_back(k))
		roll_back_alone(k, why);
}

/* Until the peer is gone, or for a second: until then it may go on taking
 * granules into flight. */
static void await_end(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t until = clock_ms() + 1000;
	char buf[4096];

	while (clock_ms() < until) {
		ssize_t n;

		if (poll(&p, 1, 50) <= 0)
			continue;
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return;
	}
}

/* Lets an agent in that is root and knows the key. A newer one replaces an
 * older one, whose controller may be long gone behind a cut connection. */
static void accept_agent(struct keeper *k)
{
	CLEANUP_CLOSE int fd = accept4(k->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct timeval tv = {.tv_sec = 2};
	uint8_t key[KEY_SIZE];
	struct ucred cred;
	socklen_t n = sizeof(cred);

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0 ||
		cred.uid != geteuid())
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (io_read_all(fd, key, sizeof(key)) < 0 ||
		CRYPTO_memcmp(key, k->config.key, sizeof(key)) != 0)
		return;
	if (k->conn >= 0) {
		struct msg_log m = {"another agent took over"};

		/* It must not take this for the keeper's death. */
		send_msg(k, MSG_LOG, 0, &m);
		await_end(k->conn);
		drop_conn(k, m.text);
	}
	if (maps_send(&k->maps, fd) < 0 ||
		channel_new(fd, fd, FROM_CONTROLLER, &k->channel) < 0)
		return;
	k->conn = STEAL_FD(fd);
}

static void serve_conn(struct keeper *k)
{
	struct frame f;
	int r = channel_read(k->channel), n;

	while ((n = channel_next(k->channel, &f)) > 0)
		request(k, &f);
	if (r == 0 && n == 0)
		r = channel_flush(k->channel, false);
	if (r < 0 || n < 0)
		drop_conn(k, "the connection to the controller was lost");
}

static void check_time(struct keeper *k)
{
	uint64_t now = clock_ms();

	if (may_roll_back(k) && now >= k->lease)
		roll_back_alone(k, "the lease was not renewed in time");
	if (k->conn < 0 && k->maps.shared->phase == KEEPER_IDLE &&
		now - k->alone_since >= k->config.linger_ms)
		k->ending = true;
}

static volatile sig_atomic_t terminated;

static void on_sigterm(int number)
{
	terminated = number;
}

/* SIGTERM, as at a shutdown: the source is given back first, and what is
 * committed stays fenced for as long as it lasts. */
static void end_by_signal(struct keeper *k)
{
	terminated = 0;
	if (k->maps.shared->phase == KEEPER_COMMITTED)
		return;
	if (may_roll_back(k))
		roll_back_alone(k, "the keeper was told to end");
	k->ends_later = !k->hook.done;
	k->ending = k->hook.done;
}

static void loop(struct keeper *k)
{
	while (!k->ending) {
		struct error ignored;
		struct pollfd p[4] = {
			{.fd = k->listen_fd, .events = POLLIN},
			{.fd = k->conn, .events = POLLIN},
			{.fd = k->hook.done ? -1 : k->hook.out,
				.events = POLLIN},
			{.fd = k->net ? netfence_fd(k->net) : -1,
				.events = POLLIN},
		};
		bool running = !k->hook.done;

		if (k->channel && channel_queued(k->channel) > 0)
			p[1].events |= POLLOUT;
		(void)poll(p, 4, running ? 5 : 200);
		/* An interface that appears is fenced as the others are. */
		if (k->net && p[3].revents)
			(void)netfence_refresh(k->net, &ignored);
		if (terminated)
			end_by_signal(k);
		if (running && hook_step(&k->hook))
			hooks_done(k);
		if (p[0].revents)
			accept_agent(k);
		if (k->conn >= 0 && p[1].revents && p[1].fd == k->conn)
			serve_conn(k);
		/* An empty list of hooks is over as soon as it begins. */
		if (k->hook.done &&
			(k->maps.shared->phase == KEEPER_QUIESCING ||
				k->maps.shared->phase == KEEPER_RELEASING))
			hooks_done(k);
		check_time(k);
	}
	if (k->channel)
		(void)channel_flush(k->channel, true);
}

int keeper_main(const struct keeper_config *c, int listen_fd, int ready)
{
	static struct keeper k;
	pthread_t thread;
	int r;

	k.config = *c;
	k.listen_fd = listen_fd;
	k.conn = -1;
	hold_init(&k.hold);
	k.hook.done = true;
	k.hook.out = -1;
	k.alone_since = clock_ms();
	(void)pthread_mutex_init(&k.tracker_lock, NULL);
	(void)pthread_mutex_init(&k.hold_lock, NULL);
	r = maps_create(c->disks[c->n - 1].start + c->disks[c->n - 1].size,
		c->granule, &k.maps);
	if (r < 0)
		return -r;
	memcpy(k.maps.shared->name, c->name, sizeof(c->name));
	k.maps.shared->n_disks = c->n;
	memcpy(k.maps.shared->disks, c->disks, sizeof(c->disks));
	start_tracker(&k);
	(void)signal(SIGTERM, on_sigterm);
	/* Here and not before the fork: SO_PEERCRED tells who listened. */
	if (listen(listen_fd, 4) < 0)
		return errno;
	/* It must work while everything around it stands still. */
	(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	if (io_write_file(AT_FDCWD, "/proc/self/oom_score_adj", "-1000") < 0)
		errno = 0; /* an advantage, no need */
	r = pthread_create(&thread, NULL, collect_thread, &k);
	if (r > 0)
		return r;
	if (io_write_all(ready, "", 1) < 0)
		return EPIPE;
	(void)close(ready);
	loop(&k);
	(void)pthread_join(thread, NULL);
	hold_release(&k.hold, k.maps.shared);
	open_network(&k);
	tracker_stop(k.tracker);
	maps_close(&k.maps);
	return 0;
}
