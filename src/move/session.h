/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller's connections to the two agents; and, in a rehearsal, to the
 * one of the guest that is booted for it.
 *
 * Calls look blocking, but while one waits, everything else goes on: relayed
 * lanes, what the target has to tell the source, lease renewals, the tick.
 * One thread.
 */
#ifndef REHOST_MOVE_SESSION_H
#define REHOST_MOVE_SESSION_H

#include <stdbool.h>

#include "base/error.h"
#include "link/ssh.h"
#include "move/streams.h"
#include "wire/channel.h"

enum side { SOURCE, TARGET, GUEST, SIDES };

struct host {
	struct peer peer;
	bool started, alive;
	uint32_t abandoned; /* id of a call whose wait the tick ended */
	struct channel *channel;
	struct msg_hello hello;
	/* An answer that came while another one was awaited. */
	struct frame early;
	uint8_t *early_payload;
	/* Requests that were not answered yet, the oldest of them forgotten;
	 * and how often it spoke unasked. */
	uint32_t asked[16], n_asked, notices;
};

struct session {
	struct host host[SIDES];
	uint32_t next_id;

	/* While lease_ms is set, the keeper's lease is renewed. */
	uint32_t lease_ms;
	uint64_t renew_at, ping_at, tick_at;

	/* Lanes that are relayed: what the source may still send on each. */
	unsigned n_relayed;
	uint64_t credit[LANES_MAX];

	/* Sides that the move can do without: when one is lost, no call to
	 * another fails. The guest always is one. */
	bool spare[SIDES];

	/* Connections to the target's export, or NULL. The caller's. */
	struct streams *streams;

	/* A pass is waited for; when, and why, the target gave it up. */
	bool in_pass;
	uint64_t refused_at;
	char refused_why[256];

	/* The last progress of a pass. */
	struct msg_progress progress;

	/* Called about five times a second while waiting; a negative return
	 * ends the wait with that error. May be NULL. */
	int (*tick)(void *arg, struct error *err);
	/* Called with an agent's notice. May be NULL. */
	void (*notice)(void *arg, enum side side, const char *text);
	void *arg;
};

void session_init(struct session *s);

/* Starts the agent on a side and waits for its greeting. While the guest's is
 * started, the others are served. */
int session_connect(struct session *s, enum side side,
	const struct place *place, const struct ssh_options *options,
	struct error *err);

/* Sends a request and waits for its answer, which must be of the type that the
 * table names; answer may be NULL. timeout_ms 0: as long as it takes. The
 * agent's own error is returned as such, with its host. -ECONNRESET when the
 * agent was lost; after that every call to this side fails the same way. */
int session_call(struct session *s, enum side side, uint32_t type,
	const void *request, void *answer, unsigned timeout_ms,
	struct error *err);

/* Sends a request and does not wait; session_wait takes its answer. */
int session_begin(struct session *s, enum side side, uint32_t type,
	const void *request, uint32_t *ret_id, struct error *err);
int session_wait(struct session *s, enum side side, uint32_t id, uint32_t type,
	void *answer, unsigned timeout_ms, struct error *err);

/* From now on n lanes are relayed, all of them new; what comes of others is
 * dropped. */
void session_relay(struct session *s, unsigned n);

/* Serves everything for ms milliseconds. */
int session_idle(struct session *s, unsigned ms, struct error *err);

/* Ends one side's agent, or all. */
void session_close(struct session *s, enum side side);
void session_done(struct session *s);

#endif
