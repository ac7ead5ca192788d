/* SPDX-License-Identifier: Apache-2.0 */
#include "move/session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "build_id.h"
#include "wire/addresses.h"

#define TICK_MS 200
#define NOTICES_MAX 100
#define REFUSED_MS 10000
#define RENEW_ID 0xffffffffU
#define PING_MS 5000
#define ABANDONED_MS 60000
#define START_MS 60000
#define OTHERS_MS 10

void session_init(struct session *s)
{
	memset(s, 0, sizeof(*s));
	for (int i = 0; i < SIDES; i++)
		s->host[i].peer.in = s->host[i].peer.out =
			s->host[i].peer.errors = -1;
	s->next_id = 1;
	s->spare[GUEST] = true;
}

static int gone(struct session *s, enum side side, int code, struct error *err)
{
	struct host *h = &s->host[side];

	h->alive = false;
	peer_read_errors(&h->peer);
	error_set(err, -ECONNRESET, "talk to the agent");
	error_host(err, h->peer.name);
	if (code == -EPROTO)
		error_why(err, "it sent what no agent may send");
	else if (h->peer.stderr_tail[0])
		error_why(err, "the connection was lost (%.900s)",
			h->peer.stderr_tail);
	else
		error_why(err, "the connection was lost");
	return -ECONNRESET;
}

/* Checks what is relayed, so that who breaks the rules is the one that is
 * blamed, and so that it queues no more than it has credit for. Returns 0 to
 * pass it on, 1 to drop it, -EPROTO. */
static int relayed(struct session *s, enum side side, const struct frame *f)
{
	uint32_t lane, n;

	if (side != (f->type == MSG_RELAY_CREDIT ? TARGET : SOURCE) || f->n < 4)
		return -EPROTO;
	lane = get_be32(f->payload);
	if (s->n_relayed == 0)
		return 1; /* of lanes that are gone */
	if (lane >= s->n_relayed)
		return -EPROTO;
	if (f->type == MSG_RELAY_DATA) {
		if (f->n - 4 > s->credit[lane])
			return -EPROTO;
		s->credit[lane] -= f->n - 4;
	} else if (f->type == MSG_RELAY_CREDIT) {
		n = f->n == 8 ? get_be32(f->payload + 4) : UINT32_MAX;
		if (n > RELAY_WINDOW - s->credit[lane])
			return -EPROTO;
		s->credit[lane] += n;
	}
	return 0;
}

/* The target takes no more; the source is told, and has to end its pass. */
static void refused(struct session *s, const struct msg_error *e)
{
	if (!s->in_pass || s->refused_at)
		return;
	s->refused_at = clock_ms();
	(void)snprintf(
		s->refused_why, sizeof(s->refused_why), "%.255s", e->why);
}

/* What one side has to tell the other goes through here. Returns 1 when the
 * frame was an event, 0 when it is an answer, negative on nonsense. */
static int event(struct session *s, enum side side, const struct frame *f)
{
	static union {
		struct msg_durable durable;
		struct msg_mismatch mismatch;
		struct msg_log log;
	} m;
	struct channel *other;
	int r;

	/* A guest has nothing to do with the move: it answers, or logs. */
	if (side == GUEST && f->type != MSG_LOG)
		return f->id ? 0 : -EPROTO;
	other = side == GUEST ? NULL : s->host[!side].channel;

	switch (f->type) {
	case MSG_DURABLE:
	case MSG_MISMATCH:
		if (side != TARGET || frame_decode(f, &m) < 0)
			return -EPROTO;
		if (f->type == MSG_DURABLE && m.durable.error.code)
			refused(s, &m.durable.error);
		break;
	case MSG_RELAY_DATA:
	case MSG_RELAY_END:
	case MSG_RELAY_CREDIT:
		r = relayed(s, side, f);
		if (r != 0)
			return r;
		break;
	case MSG_STREAM_DATA:
	case MSG_STREAM_CREDIT:
	case MSG_STREAM_END:
		if (side != TARGET)
			return -EPROTO;
		/* Of an export that is over. */
		return !s->streams || streams_frame(s->streams, f) == 0
			       ? 1
			       : -EPROTO;
	case MSG_PROGRESS:
		return side == SOURCE && frame_decode(f, &s->progress) == 0
			       ? 1
			       : -EPROTO;
	case MSG_LOG:
		if (frame_decode(f, &m) < 0 ||
			s->host[side].notices++ == NOTICES_MAX)
			return -EPROTO;
		if (s->notice)
			s->notice(s->arg, side, m.log.text);
		return 1;
	default:
		return f->id == RENEW_ID;
	}
	/* Who keeps to the rules never queues as much. */
	if (other && channel_queued(other) > 2ULL * LANES_MAX * RELAY_WINDOW)
		return -EPROTO;
	if (other)
		(void)channel_send_raw(
			other, f->type, 0, f->payload, f->n, NULL, 0);
	return 1;
}

static int renew(struct session *s)
{
	struct msg_renew m = {s->lease_ms};

	if (!s->lease_ms || !s->host[SOURCE].alive || clock_ms() < s->renew_at)
		return 0;
	s->renew_at = clock_ms() + s->lease_ms / 6;
	return channel_send(s->host[SOURCE].channel, MSG_RENEW, RENEW_ID, &m);
}

/* The answer to a request that was begun and is waited for later. */
static void keep_early(struct host *h, const struct frame *f)
{
	uint8_t *copy = malloc((size_t)f->n + 1);

	free(h->early_payload);
	h->early_payload = copy;
	h->early.id = 0;
	if (!copy)
		return;
	memcpy(copy, f->payload, f->n);
	h->early = *f;
	h->early.payload = copy;
}

/* Is it the first answer to a request of ours? */
static bool was_asked(struct host *h, uint32_t id)
{
	for (uint32_t i = 0; i < ARRAY_LEN(h->asked); i++)
		if (id && h->asked[i] == id) {
			h->asked[i] = 0;
			return true;
		}
	return false;
}

/* So that an agent knows a controller that is gone from a silent one. */
static void ping(struct session *s)
{
	if (clock_ms() < s->ping_at)
		return;
	s->ping_at = clock_ms() + PING_MS;
	for (int i = 0; i < SIDES; i++)
		if (s->host[i].alive)
			(void)channel_send(
				s->host[i].channel, MSG_PING, 0, NULL);
}

/* Reads one side; stops at the answer to id, which stays in *ret. Returns 1
 * when it was found. */
static int read_side(struct session *s, enum side side, uint32_t id,
	struct frame *ret, struct error *err)
{
	struct host *h = &s->host[side];
	int r = channel_read(h->channel), n, e;

	while ((n = channel_next(h->channel, ret)) > 0) {
		e = event(s, side, ret);
		if (e < 0)
			return gone(s, side, -EPROTO, err);
		if (e == 0 && !was_asked(h, ret->id))
			return gone(s, side, -EPROTO, err);
		if (e == 0 && id && ret->id == id)
			return 1;
		if (e == 0)
			keep_early(h, ret);
	}
	if (n < 0 || r < 0)
		return gone(s, side, n < 0 ? n : r, err);
	return 0;
}

/* Serves both sides once, until the answer to id from side is there (1), or
 * the time is over (0). */
static int pump(struct session *s, int side, uint32_t id, uint64_t deadline,
	struct frame *ret, struct error *err)
{
	/* What was read behind the answer of the call before is not polled. */
	bool rest = true;

	for (;;) {
		struct pollfd p[3 * SIDES + STREAMS_POLL];
		uint64_t now = clock_ms(), until;
		bool stream = s->streams && s->host[TARGET].alive;
		unsigned n = 3 * SIDES;
		int r = 0;

		(void)renew(s);
		ping(s);
		for (int i = 0; i < SIDES; i++) {
			struct host *h = &s->host[i];
			bool on = h->alive;

			/* A wait for this side first takes what is there. */
			p[3 * i] = (struct pollfd){
				.fd = on ? channel_in(h->channel) : -1,
				.events = POLLIN};
			p[3 * i + 1] = (struct pollfd){
				.fd = on && channel_queued(h->channel)
					      ? channel_out(h->channel)
					      : -1,
				.events = POLLOUT};
			p[3 * i + 2] =
				(struct pollfd){.fd = on ? h->peer.errors : -1,
					.events = POLLIN};
		}
		until = s->tick_at;
		if (deadline && deadline < until)
			until = deadline;
		if (stream)
			n += streams_poll(
				s->streams, s->host[TARGET].channel, p + n);
		(void)poll(p, n, until > now && !rest ? (int)(until - now) : 0);
		if (stream &&
			streams_serve(s->streams, s->host[TARGET].channel) < 0)
			r = gone(s, TARGET, -EPIPE, err);
		for (int i = 0; i < SIDES && r == 0; i++) {
			struct host *h = &s->host[i];

			if (!h->alive)
				continue;
			if (p[3 * i + 2].revents)
				peer_read_errors(&h->peer);
			if (p[3 * i].revents || rest)
				r = read_side(s, (enum side)i,
					i == side ? id : 0, ret, err);
			if (h->alive && channel_queued(h->channel) &&
				channel_flush(h->channel, false) < 0)
				r = gone(s, (enum side)i, -EPIPE, err);
			if (r < 0 && s->spare[i] && side != i)
				r = 0;
		}
		if (r != 0)
			return r;
		rest = false;
		now = clock_ms();
		if (now >= s->tick_at) {
			s->tick_at = now + TICK_MS;
			r = s->tick ? s->tick(s->arg, err) : 0;
			if (r < 0)
				return r;
		}
		if (s->refused_at && now - s->refused_at >= REFUSED_MS) {
			(void)gone(s, SOURCE, -EPROTO, err);
			return error_why(err,
				"it goes on although the target does not: %s",
				s->refused_why);
		}
		if (deadline && now >= deadline)
			return 0;
	}
}

static void serve_others(void *arg)
{
	struct session *s = arg;
	struct frame f;
	struct error ignored;

	/* Whoever is lost by it is so in the next call. */
	(void)pump(s, -1, 0, clock_ms() + OTHERS_MS, &f, &ignored);
}

static int start(struct session *s, enum side side, const struct place *place,
	const struct ssh_options *options, struct error *err)
{
	struct ssh_options o = *options;

	if (side == GUEST) {
		o.meanwhile = serve_others;
		o.meanwhile_arg = s;
	}
	return peer_start(place, &o, START_MS, &s->host[side].peer, err);
}

int session_connect(struct session *s, enum side side,
	const struct place *place, const struct ssh_options *options,
	struct error *err)
{
	struct host *h = &s->host[side];
	uint64_t deadline = clock_ms() + START_MS;
	struct frame f;
	int r, n;

	r = start(s, side, place, options, err);
	if (r < 0)
		return r;
	h->started = true;
	h->notices = 0;
	r = channel_new(h->peer.in, h->peer.out,
		side == SOURCE ? FROM_SOURCE | FROM_KEEPER : FROM_TARGET,
		&h->channel);
	if (r < 0)
		return error_set(err, r, "talk to the agent");
	for (;;) {
		struct pollfd p = {
			.fd = channel_in(h->channel), .events = POLLIN};

		if (side == GUEST)
			serve_others(s);
		(void)poll(&p, 1, side == GUEST ? 0 : TICK_MS);
		r = channel_read(h->channel);
		n = channel_next(h->channel, &f);
		if (n > 0)
			break;
		if (n < 0 || r < 0)
			return gone(s, side, n < 0 ? n : r, err);
		if (clock_ms() > deadline)
			return gone(s, side, -ETIMEDOUT, err);
	}
	h->alive = true;
	if (f.type != MSG_HELLO || frame_decode(&f, &h->hello) < 0)
		return gone(s, side, -EPROTO, err);
	addresses_keep(&h->hello);
	if (strcmp(h->hello.build, BUILD_ID) != 0) {
		error_set(err, -EPROTO, "use the agent");
		error_host(err, h->peer.name);
		return error_why(err, "it is of another build than rehost");
	}
	return 0;
}

int session_begin(struct session *s, enum side side, uint32_t type,
	const void *request, uint32_t *ret_id, struct error *err)
{
	struct host *h = &s->host[side];
	struct error ignored;
	int r;

	err = err ? err : &ignored;
	if (!h->alive)
		return gone(s, side, -ECONNRESET, err);
	/* The agent may be at work on what nobody waits for any more. */
	if (h->abandoned && !(message_def(type)->in & IN_PASS)) {
		struct frame f;

		r = h->early.id == h->abandoned
			    ? 1
			    : pump(s, side, h->abandoned,
				      clock_ms() + ABANDONED_MS, &f, err);
		if (r < 0)
			return r;
		if (r == 0) {
			error_set(err, -ETIMEDOUT, "go on");
			error_host(err, h->peer.name);
			return error_why(err, "it is still at work on what "
					      "was given up");
		}
		h->abandoned = 0;
	}
	*ret_id = s->next_id++;
	if (s->next_id == RENEW_ID)
		s->next_id = 1;
	h->asked[h->n_asked++ % ARRAY_LEN(h->asked)] = *ret_id;
	r = channel_send(h->channel, type, *ret_id, request);
	if (r == 0 && channel_flush(h->channel, false) < 0)
		return gone(s, side, -EPIPE, err);
	return r < 0 ? error_set(err, r, "ask the agent") : 0;
}

int session_wait(struct session *s, enum side side, uint32_t id, uint32_t type,
	void *answer, unsigned timeout_ms, struct error *err)
{
	const struct message_def *d = message_def(type);
	struct host *h = &s->host[side];
	static struct msg_error m;
	struct frame f;
	struct error ignored;
	int r;

	err = err ? err : &ignored;
	if (h->early.id == id) {
		f = h->early;
		r = 1;
	} else {
		s->in_pass = type == MSG_PASS;
		s->refused_at = 0;
		r = pump(s, side, id, timeout_ms ? clock_ms() + timeout_ms : 0,
			&f, err);
		s->in_pass = false;
		s->refused_at = 0;
	}
	if (r < 0) {
		h->abandoned = id;
		return r;
	}
	if (r == 0) {
		error_set(err, -ETIMEDOUT, "get an answer to %s", d->name + 4);
		error_host(err, h->peer.name);
		return -ETIMEDOUT;
	}
	if (f.type == MSG_ERROR) {
		if (frame_decode(&f, &m) < 0)
			return gone(s, side, -EPROTO, err);
		message_to_error(&m, h->peer.name, err);
		return err->code;
	}
	if (f.type != d->answer)
		return gone(s, side, -EPROTO, err);
	if (answer && frame_decode(&f, answer) < 0)
		return gone(s, side, -EPROTO, err);
	return 0;
}

int session_call(struct session *s, enum side side, uint32_t type,
	const void *request, void *answer, unsigned timeout_ms,
	struct error *err)
{
	uint32_t id;
	int r = session_begin(s, side, type, request, &id, err);

	return r < 0 ? r
		     : session_wait(s, side, id, type, answer, timeout_ms, err);
}

void session_relay(struct session *s, unsigned n)
{
	s->n_relayed = MIN(n, (unsigned)LANES_MAX);
	for (unsigned i = 0; i < s->n_relayed; i++)
		s->credit[i] = RELAY_WINDOW;
}

int session_idle(struct session *s, unsigned ms, struct error *err)
{
	struct frame f;
	int r = pump(s, -1, 0, clock_ms() + ms, &f, err);

	return r < 0 ? r : 0;
}

void session_close(struct session *s, enum side side)
{
	struct host *h = &s->host[side];

	channel_free(h->channel);
	h->channel = NULL;
	h->alive = false;
	free(h->early_payload);
	h->early_payload = NULL;
	h->early.id = 0;
	h->abandoned = 0;
	if (h->started)
		peer_stop(&h->peer);
	h->started = false;
}

void session_done(struct session *s)
{
	for (int i = 0; i < SIDES; i++)
		session_close(s, (enum side)i);
}
