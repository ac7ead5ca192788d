/* SPDX-License-Identifier: Apache-2.0 */
#include "move/estimate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "move/inspect.h"
#include "move/lanes.h"
#include "move/session.h"

#define CALL_MS 60000
#define MAP_MS 600000
#define TURNS 3	      /* of each way */
#define TURN_MS 1200  /* that a sample should take */
#define LIMIT_MS 4000 /* and may take */
#define GONE_MS 2000  /* until a lost connection is seen */
#define FIRST_BYTES (1ULL << 20)
#define PIECES 64 /* of a sample, if they are not too small */
#define PIECE_MIN (256ULL << 10)
#define PIECE_MAX (4ULL << 20)
/* All that take long, together: what was read once comes out of caches, so each
 * sends other blocks, if that leaves enough to measure. */
#define SAMPLES (2 * TURNS + 2)
#define SAMPLE_MIN (16ULL << 20)

struct run {
	const struct estimate_wish *wish;
	struct session session;
	struct estimate *e;
	struct msg_open_target *disk; /* to be written to, or NULL */
	uint32_t pass;
	unsigned samples;
};

static int pass(struct run *r, enum pass_kind kind, enum compress compress,
	struct msg_pass_done *ret, struct error *err)
{
	struct session *s = &r->session;
	struct msg_pass p = {
		.number = ++r->pass,
		.kind = (uint8_t)kind,
		.idle = 1,
		.compress = (uint8_t)compress,
		.bwlimit = r->wish->options->bwlimit,
		.limit_ms = LIMIT_MS,
	};
	int e = session_call(s, SOURCE, MSG_PASS, &p, ret, 0, err);

	if (e < 0 || !ret->error.code)
		return e;
	message_to_error(&ret->error,
		s->host[ret->on_target ? TARGET : SOURCE].peer.name, err);
	return err->code;
}

/* Sends a new sample of so many bytes. */
static int send_sample(struct run *r, uint64_t bytes, enum compress compress,
	struct msg_pass_done *ret, struct error *err)
{
	struct msg_sample q = {
		.bytes = bytes,
		.piece = MIN(MAX(bytes / PIECES, PIECE_MIN), PIECE_MAX),
		/* Every one somewhere else: 37 and 100 have no divisor. */
		.shift = r->samples++ * 37 % 100,
	};
	int e = session_call(
		&r->session, SOURCE, MSG_SAMPLE, &q, NULL, CALL_MS, err);

	return e < 0 ? e : pass(r, PASS_SEND, compress, ret, err);
}

static void add_sample(
	struct estimate_way *w, const struct msg_pass_done *d, uint64_t tail)
{
	/* The wait for the last word of the target comes once in a seed. */
	uint64_t ms = d->ms - MIN(tail, d->ms / 2);
	uint64_t rate = forecast_rate(d->bytes, ms);

	w->bytes += d->bytes;
	w->sent += d->sent;
	w->zero += d->zero;
	w->ms += MAX(ms, (uint64_t)1);
	w->low = w->low ? MIN(w->low, rate) : rate;
	w->high = MAX(w->high, rate);
}

/* A size that takes about TURN_MS at the rate of the last sample. */
static uint64_t next_size(const struct run *r, const struct msg_pass_done *d)
{
	uint64_t n = forecast_rate(d->bytes, d->ms) * TURN_MS / 1000;
	uint64_t most = r->e->used / SAMPLES / (r->disk ? 2 : 1);

	most = MAX(most, SAMPLE_MIN);

	return MIN(MAX(MIN(n, most), PIECE_MIN), MAX(r->e->used, (uint64_t)1));
}

/* What a pass takes that sends next to nothing; the least of some, as each may
 * be held up. */
static int measure_overhead(struct run *r, struct error *err)
{
	struct msg_pass_done d;
	int e = 0;

	for (unsigned i = 0; i < TURNS && e == 0; i++) {
		uint64_t *to = &r->e->forecast.overhead_ms;

		e = send_sample(r, 1, COMPRESS_NEVER, &d, err);
		if (e == 0)
			*to = i ? MIN(*to, d.ms) : d.ms;
	}
	return e;
}

/* A disk takes some of what comes before it is slow, and then the flush at the
 * end of each sample costs more than that of a seed, which goes on meanwhile.
 * So the way that a move would take is measured by one long pass. */
static int measure_disk(struct run *r, struct error *err)
{
	bool packs = estimate_packs(r->e);
	struct estimate_way *w = packs ? &r->e->packed : &r->e->plain;
	struct msg_pass_done d;
	int e = send_sample(r, MAX(r->e->used / 3, (uint64_t)1),
		packs ? COMPRESS_ALWAYS : COMPRESS_NEVER, &d, err);

	if (e < 0)
		return e;
	/* The others show how much it varies. */
	w->bytes = w->sent = w->zero = w->ms = 0;
	add_sample(w, &d, r->e->forecast.overhead_ms);
	return 0;
}

/* Both ways in turn, so that both meet the same weather. */
static int measure_lanes(struct run *r, struct error *err)
{
	static const enum compress ways[] = {COMPRESS_NEVER, COMPRESS_ALWAYS};
	struct estimate_way *to[] = {&r->e->plain, &r->e->packed};
	uint64_t size[2] = {FIRST_BYTES, FIRST_BYTES};
	struct msg_pass_done d;
	int e;

	/* Lanes begin slowly. */
	e = send_sample(r, FIRST_BYTES, COMPRESS_NEVER, &d, err);
	if (e == 0)
		e = measure_overhead(r, err);
	for (unsigned i = 0; i < 2 && e == 0; i++) {
		/* Twice, as the first one is too small to tell. */
		for (unsigned k = 0; k < 2 && e == 0; k++) {
			e = send_sample(r, size[i], ways[i], &d, err);
			if (e == 0)
				size[i] = next_size(r, &d);
		}
	}
	for (unsigned i = 0; i < 2 * TURNS && e == 0; i++) {
		e = send_sample(r, size[i % 2], ways[i % 2], &d, err);
		if (e < 0)
			break;
		add_sample(to[i % 2], &d, r->e->forecast.overhead_ms);
		size[i % 2] = next_size(r, &d);
	}
	if (e == 0 && r->disk)
		e = measure_disk(r, err);
	/* What was sent last is what can be compared. */
	if (e == 0)
		e = pass(r, PASS_COMPARE, COMPRESS_NEVER, &d, err);
	if (e == 0)
		r->e->forecast.compare_rate = forecast_rate(d.bytes, d.ms);
	return e;
}

static void sum_up(struct estimate *e)
{
	const struct msg_measured *m = e->source;

	e->forecast.tracking = true;
	e->forecast.sync_ms = m->map_ms;
	e->writes.sample_ms = m->sample_ms;
	for (uint32_t i = 0; i < m->n; i++) {
		const struct msg_measured_volume *v = &m->v[i];

		e->size += v->size;
		e->used += v->used;
		e->written += v->written;
		e->writes.half += v->half;
		e->writes.distinct += v->distinct;
		if (v->by != WRITES_TRACKED && v->why[0])
			e->forecast.tracking = false;
	}
}

/* What comes must be possible before it is reckoned with. */
static int check(const struct run *r, struct error *err)
{
	const struct msg_measured *m = r->e->source;
	uint64_t size = 0;
	bool good = m->n > 0;

	for (uint32_t i = 0; i < m->n; i++)
		good = good && m->v[i].used <= m->v[i].size &&
		       m->v[i].distinct <= UINT64_MAX / 2 / MEASURE_MAX &&
		       m->v[i].written <= UINT64_MAX / 2 / MEASURE_MAX &&
		       m->v[i].half <= m->v[i].distinct &&
		       !__builtin_add_overflow(size, m->v[i].size, &size);
	if (good && size <= m->size && m->size <= 1ULL << 60)
		return 0;
	error_set(err, -EPROTO, "understand what the agent measured");
	error_host(err, r->session.host[SOURCE].peer.name);
	return err->code;
}

static int look_at_source(
	struct run *r, struct msg_measure *q, struct error *err)
{
	int e;

	q->sample_ms = r->wish->sample_ms;
	q->track = !getenv("REHOST_TEST_NO_TRACKER");
	io_random(q->secret, sizeof(q->secret));
	e = session_call(&r->session, SOURCE, MSG_MEASURE, q, r->e->source,
		MAP_MS + q->sample_ms, err);
	if (e == 0)
		e = check(r, err);
	if (e == 0)
		sum_up(r->e);
	return e;
}

static int open_target(
	struct run *r, const struct msg_measure *q, struct error *err)
{
	struct msg_open_sink m = {.size = r->e->source->size};
	struct msg_target_state state;
	int e;

	memcpy(m.secret, q->secret, sizeof(m.secret));
	if (r->disk)
		e = estimate_hold(&r->session, r->disk, m.size, m.secret, err);
	else
		e = session_call(&r->session, TARGET, MSG_OPEN_SINK, &m, &state,
			CALL_MS, err);
	if (e == 0)
		e = lanes_make(
			&r->session, r->wish->options, 1, &r->e->lanes, err);
	return e;
}

/* Which volumes: the one that was named, or those of the machine. */
static int name_volumes(struct run *r, const struct ssh_options *ssh,
	struct msg_measure *q, struct error *err)
{
	const struct place *source = &r->wish->source;
	json_t *facts = NULL;
	int e;

	if (source->path[0]) {
		q->n = 1;
		(void)snprintf(
			q->v[0].path, sizeof(q->v[0].path), "%s", source->path);
		return 0;
	}
	e = inspect(source, ssh, 0, NULL, &facts, NULL, err);
	if (e == 0)
		e = estimate_machine(facts, q, &r->e->left_out, err);
	json_decref(facts);
	return e;
}

/* Both ends say that the lanes broke; the one that is gone is why. */
static int blame(struct session *s, int e, struct error *err)
{
	struct error gone = {0};

	if (!s->host[SOURCE].alive || !s->host[TARGET].alive ||
		session_idle(s, GONE_MS, &gone) != -ECONNRESET)
		return e;
	*err = gone;
	return gone.code;
}

int estimate(
	const struct estimate_wish *w, struct estimate *ret, struct error *err)
{
	struct ssh_options ssh = {.args = (const char *const *)w->options->ssh};
	CLEANUP_FREE struct msg_measure *q = calloc(1, sizeof(*q));
	struct run r = {.wish = w, .e = ret};
	int e = 0;

	memset(ret, 0, sizeof(*ret));
	ret->lanes = "";
	ret->source = calloc(1, sizeof(*ret->source));
	if (!q || !ret->source)
		return error_set(err, -ENOMEM, "measure");
	session_init(&r.session);
	e = name_volumes(&r, &ssh, q, err);
	if (e == 0)
		e = session_connect(&r.session, SOURCE, &w->source, &ssh, err);
	/* Whoever may log in can take what is thrown away. */
	ssh.any_user = !w->write;
	if (e == 0)
		e = session_connect(&r.session, TARGET,
			w->has_target ? &w->target : &w->source, &ssh, err);
	if (e == 0 && w->write)
		e = estimate_may_write(&r.session, w, &r.disk, err);
	if (e == 0)
		e = look_at_source(&r, q, err);
	if (e == 0)
		e = open_target(&r, q, err);
	if (e == 0 && ret->used > 0) {
		e = measure_lanes(&r, err);
		if (e < 0)
			e = blame(&r.session, e, err);
	}
	if (e == 0 && r.disk) {
		ret->on_disk = true;
		e = estimate_let_go(&r.session, err);
	}
	session_done(&r.session);
	free(r.disk);
	if (e == 0)
		estimate_work_out(ret, w->options->downtime_ms);
	return e;
}

void estimate_done(struct estimate *e)
{
	free(e->source);
	free(e->left_out);
	e->source = NULL;
	e->left_out = NULL;
}
