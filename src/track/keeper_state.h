/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keeper knows, for its own three files: keeper.c serves the agent and
 * gives the source back, keeper_cut.c holds it still and commits,
 * keeper_tracking.c follows what is written.
 *
 * Two threads: the main one, and the one that collects (keeper_collect). Only
 * the main one calls what is declared here, but for keeper_watch_hold.
 */
#ifndef REHOST_TRACK_KEEPER_STATE_H
#define REHOST_TRACK_KEEPER_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hook.h"
#include "track/hold.h"
#include "track/keeper.h"
#include "track/maps.h"
#include "track/netfence.h"
#include "track/tracker.h"
#include "wire/channel.h"

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
	bool armed;
	uint64_t lease;	     /* clock_ms */
	struct msg_arm *arm; /* in the maps */
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
	/* When the hooks are done: for SIGTERM, or for this request. */
	bool told_to_end;
	uint32_t end_id;
};

/* Where the cut is: in the maps, so that it outlives this process. */
void keeper_phase(struct keeper *k, enum keeper_phase p);

/* ---- keeper_tracking.c ---- */

/* From now on nobody knows what is written; the first reason is kept. */
void keeper_lost(struct keeper *k, const char *why);

/* Starts the tracker if the volumes allow one; else says why not in the maps.
 */
void keeper_track(struct keeper *k);

/* Begins anew after a loss; the caller compares what may have been missed. */
int keeper_retrack(struct keeper *k, struct error *err) MUST_CHECK;

/* All that was written until now is marked when this returns. live: the disk
 * may be written meanwhile. -EAGAIN: it did not get quiet within timeout_ms;
 * -ENODATA: something was lost. */
int keeper_settle(struct keeper *k, bool live, unsigned timeout_ms,
	struct error *err) MUST_CHECK;

/* The thread that reads events, and watches the hold, until k->ending. */
void *keeper_collect(void *k);

/* ---- keeper_cut.c ---- */

/* Makes the fence of a machine's network ready for these peers; without
 * effect yet. */
int keeper_prepare_network(struct keeper *k, const struct msg_peers *peers,
	struct error *err) MUST_CHECK;

/* Everybody may talk to it again, also when the fence is that of a keeper that
 * is no more; fine without one. Before a thaw, which waits for writers, and
 * they may wait for the network. */
void keeper_open_network(struct keeper *k);

/* After the commit: others than before, or nobody, are to talk to it. All that
 * can be refused is refused here. */
int keeper_prepare_hush(struct keeper *k, const struct msg_peers *peers,
	struct error *err) MUST_CHECK;

/* From now on it is so. */
int keeper_hush(struct keeper *k, struct error *err) MUST_CHECK;

/* Cuts the network of a machine and holds the volumes. On errors nothing is
 * held; a hold that is not complete within the lease is one. */
int keeper_take_hold(
	struct keeper *k, struct msg_held *ret, struct error *err) MUST_CHECK;

/* Lets the volumes go. What cannot be is also said to whoever asks how the
 * source went back (maps_stuck). */
int keeper_let_go(struct keeper *k, struct error *err);

/* For the collecting thread, again and again: gives back a hold that is not
 * complete within the lease, as the main thread may hang in it. */
void keeper_watch_hold(struct keeper *k);

/* Checks once more that it is held and that nothing was written, and makes the
 * fence final. */
int keeper_commit(struct keeper *k, const struct msg_commit *m,
	struct error *err) MUST_CHECK;

/* After commit, knowingly: puts everything back, as far as it is not yet. Also
 * for a keeper that was made afresh when another had died, or after a
 * reboot: what it says is held then, and what is found to be, is let go. */
int keeper_unfence(struct keeper *k, const struct msg_unfence *m,
	struct error *err) MUST_CHECK;

#endif
