/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper does to the source at the cut: network, hold, commit. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "track/blocks.h"
#include "track/keeper_state.h"

#define SETTLE_MS 10000

void keeper_phase(struct keeper *k, enum keeper_phase p)
{
	k->maps.shared->phase = p;
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
		bool known = netfence_address(peers->v[i].text, &a) == 0;

		if (peers->v[i].port > UINT16_MAX || (i == 0 && !known)) {
			error_set(err, -EINVAL, "fence the network");
			return error_why(err, "%.100s port %u is nobody's",
				peers->v[i].text, peers->v[i].port);
		}
		/* Some are names of interfaces that are not here. */
		if (!known)
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

int keeper_prepare_network(
	struct keeper *k, const struct msg_peers *peers, struct error *err)
{
	int r;

	memset(&k->allow, 0, sizeof(k->allow));
	r = add_peers(&k->allow, peers, err);
	return r < 0 ? r : netfence_prepare(&k->net, err);
}

void keeper_open_network(struct keeper *k)
{
	netfence_forget(k->config.name);
	if (!k->net)
		return;
	netfence_end(k->net);
	k->net = NULL;
}

int keeper_prepare_hush(
	struct keeper *k, const struct msg_peers *peers, struct error *err)
{
	struct netfence_allow allow = {0};
	int r = add_peers(&allow, peers, err);

	if (r < 0)
		return r;
	if (!k->net || k->maps.shared->phase != KEEPER_COMMITTED) {
		error_set(err, -EINVAL, "fence the network");
		return error_why(err, "it is not fenced yet");
	}
	k->allow = allow;
	return 0;
}

int keeper_hush(struct keeper *k, struct error *err)
{
	return netfence_change(k->net, &k->allow, err);
}

/* ---- holding it still ---- */

/* A freeze waits for writers that may wait for the network, which is cut: then
 * the main thread hangs, and nobody else can give the source back. */
void keeper_watch_hold(struct keeper *k)
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
	if (cut && clock_ms() - k->holding_since >= k->arm->lease_ms) {
		struct error ignored;

		k->hold_late = true;
		if (k->net)
			netfence_lift(k->net);
		for (uint32_t i = s->n_held; i-- > 0;)
			(void)hold_release_one(&s->held[i], &ignored);
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

int keeper_let_go(struct keeper *k, struct error *err)
{
	int r = hold_release(&k->hold, k->maps.shared, err);

	if (r < 0)
		maps_stuck(k->maps.shared, err);
	return r;
}

/* Who asked for it may be gone, and nobody would take the hold back before the
 * lease is over. */
static bool is_alone(const struct keeper *k)
{
	struct pollfd p = {.fd = k->conn, .events = POLLRDHUP};

	return k->conn < 0 || (poll(&p, 1, 0) > 0 && p.revents);
}

int keeper_take_hold(struct keeper *k, struct msg_held *ret, struct error *err)
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
	if (is_alone(k)) {
		error_set(err, -ECONNRESET, "hold the source");
		return error_why(err, "nobody asks for it any more");
	}
	/* First, so that nobody is told anything that is not frozen then. */
	r = k->net ? netfence_begin(k->net, &k->allow, err) : 0;
	/* Not before: the thread that watches takes the fence away. So nobody
	 * watches it being made, which waits for nothing that is held. */
	begin_holding(k);
	if (r == 0)
		r = hold_take(
			&k->hold, k->config.machine, k->maps.shared, ret, err);
	if (!end_holding(k) && r == 0) {
		(void)keeper_let_go(k, err);
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
	k->lease = clock_ms() + k->arm->lease_ms;
	if (r < 0)
		return r;
	k->held_tracking = k->maps.shared->tracking != 0;
	keeper_phase(k, KEEPER_HELD);
	return 0;
}

/* ---- commit ---- */

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
		r = keeper_settle(k, false, SETTLE_MS, err);
		/* Other partitions of the disk may be busy. */
		if (r == -EAGAIN)
			r = keeper_settle(k, true, SETTLE_MS, err);
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

int keeper_commit(
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
		keeper_phase(k, KEEPER_FENCING);
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
	keeper_phase(k, KEEPER_COMMITTED);
	k->armed = false;
	return 0;
}

int keeper_unfence(
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
	memset(&s->rollback, 0, sizeof(s->rollback));
	keeper_open_network(k);
	if (s->n_held > 0) {
		(void)keeper_let_go(k, err);
		return 0;
	}
	for (uint32_t i = m->n_mounts; i-- > 0;)
		if (hold_release_one(&m->mounts[i], err) < 0)
			maps_stuck(s, err);
	if (hold_thaw_all(s, k->config.machine, err) < 0)
		maps_stuck(s, err);
	/* Devices that it holds open. */
	(void)keeper_let_go(k, err);
	return 0;
}
