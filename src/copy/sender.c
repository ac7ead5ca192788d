/* SPDX-License-Identifier: Apache-2.0 */
#include "copy/sender.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "copy/adapt.h"
#include "copy/differ.h"
#include "copy/limit.h"
#include "copy/record.h"

#define WORKERS 16
#define EPOCHS 4			  /* at most on their way */
#define EPOCH_BYTES (32ULL * 1024 * 1024) /* what a kill can cost */
#define EPOCH_RUNS 65536
#define TAKE_RUNS 16
#define NICE_IDLE 10 /* a tenth of a busy processor, so that it goes on */
#define IOPRIO_BE (2 << 13 | 4)
#define IOPRIO_IDLE (3 << 13)

struct run {
	uint64_t first, n; /* granules */
};

struct epoch {
	uint32_t number; /* 0: free */
	bool closed, barrier;
	unsigned sending; /* chunks taken and not yet sent */
	uint64_t bytes;
	uint32_t n;
	struct run *runs;
};

struct sender {
	struct maps *maps;
	struct volume *volume;
	const uint8_t *secret;
	unsigned n_lanes;
	struct lane *lanes[LANES_MAX];
	pthread_mutex_t lane_locks[LANES_MAX];
	pthread_mutex_t barrier_lock; /* taken before lane locks */

	/* Protects everything below. Never held while reading or sending;
	 * taken inside a lane lock by nobody. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct msg_pass pass;
	struct epoch epochs[EPOCHS];
	struct epoch *current;
	uint32_t next_epoch, barrier_at;
	uint64_t deadline; /* of taking, milliseconds; 0 none */
	uint64_t cursor;   /* granule */
	uint64_t compared; /* where the last comparison with a budget ended */
	bool exhausted, on_target;
	int error;
	struct msg_error why;
	struct adapt adapt;
	struct limit limit;
	struct msg_progress progress;
	uint64_t chunks, differ_bytes, taken;

	struct differ differ;
};

struct worker {
	struct sender *s;
	unsigned number;
	uint8_t *buf, *packed;
	ZSTD_CCtx *zstd;
};

int sender_new(struct maps *maps, struct volume *volume,
	const uint8_t secret[SECRET_SIZE], struct lane **lanes, unsigned n,
	struct sender **ret)
{
	struct sender *s;

	if (n == 0 || n > LANES_MAX)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	if (differ_init(&s->differ, maps->granules) < 0) {
		free(s);
		return -ENOMEM;
	}
	s->volume = volume;
	s->secret = secret;
	s->n_lanes = n;
	s->next_epoch = s->barrier_at = 1;
	limit_init(&s->limit);
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_mutex_init(&s->barrier_lock, NULL);
	(void)pthread_cond_init(&s->changed, NULL);
	for (unsigned i = 0; i < n; i++) {
		s->lanes[i] = lanes[i];
		(void)pthread_mutex_init(&s->lane_locks[i], NULL);
	}
	s->maps = maps;
	for (int i = 0; i < EPOCHS; i++) {
		s->epochs[i].runs = calloc(EPOCH_RUNS, sizeof(struct run));
		if (!s->epochs[i].runs) {
			sender_free(s);
			return -ENOMEM;
		}
	}
	*ret = s;
	return 0;
}

void sender_free(struct sender *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->n_lanes; i++) {
		lane_free(s->lanes[i]);
		(void)pthread_mutex_destroy(&s->lane_locks[i]);
	}
	for (int i = 0; i < EPOCHS; i++)
		free(s->epochs[i].runs);
	differ_done(&s->differ);
	(void)pthread_mutex_destroy(&s->lock);
	(void)pthread_mutex_destroy(&s->barrier_lock);
	(void)pthread_cond_destroy(&s->changed);
	limit_done(&s->limit);
	free(s);
}

/* ---- epochs; the lock is held ---- */

static void fail(struct sender *s, int code, const char *what, const char *why)
{
	if (!s->error) {
		s->error = code;
		s->why.code = (uint32_t)-code;
		(void)snprintf(s->why.what, sizeof(s->why.what), "%s", what);
		(void)snprintf(s->why.why, sizeof(s->why.why), "%s",
			why ? why : strerror(-code));
	}
	(void)pthread_cond_broadcast(&s->changed);
}

static struct epoch *open_epoch(struct sender *s)
{
	while (!s->current && !s->error) {
		for (int i = 0; i < EPOCHS; i++) {
			struct epoch *e = &s->epochs[i];

			if (e->number)
				continue;
			e->number = s->next_epoch++;
			e->closed = e->barrier = false;
			e->sending = 0;
			e->bytes = e->n = 0;
			s->current = e;
			return e;
		}
		(void)pthread_cond_wait(&s->changed, &s->lock);
	}
	return s->error ? NULL : s->current;
}

static void close_epoch(struct sender *s)
{
	if (s->current) {
		s->current->closed = true;
		s->current = NULL;
	}
}

static bool open_epochs(const struct sender *s)
{
	for (int i = 0; i < EPOCHS; i++)
		if (s->epochs[i].number)
			return true;
	return false;
}

/* ---- taking work ---- */

/* Takes the next chunk: runs that fit into one record. Returns their number. */
static unsigned take(
	struct sender *s, struct run runs[TAKE_RUNS], struct epoch **ret_epoch)
{
	struct maps *m = s->maps;
	/* A record has one extent for each granule at worst. */
	uint64_t left =
		MIN(CHUNK / m->shared->granule, (uint32_t)RECORD_EXTENTS_MAX);
	bool send = s->pass.kind == PASS_SEND;
	unsigned n = 0;
	struct epoch *e;

	if (left == 0)
		left = 1;
	(void)pthread_mutex_lock(&s->lock);
	e = open_epoch(s);
	while (e && n < TAKE_RUNS && left > 0 && !s->exhausted) {
		struct run *r = &runs[n];
		bool more =
			send ? maps_next_dirty(
				       m, s->cursor, left, &r->first, &r->n)
			     : bitmap_next_and(&m->unproved, &m->known, false,
				       s->cursor, left, &r->first, &r->n);

		if (!more || (s->pass.budget && s->taken >= s->pass.budget) ||
			(s->deadline && clock_ms() >= s->deadline)) {
			s->exhausted = true;
			break;
		}
		if (send) {
			bitmap_set(&m->inflight, r->first, r->n);
			bitmap_clear(&m->dirty, r->first, r->n);
		}
		s->cursor = r->first + r->n;
		s->taken += maps_bytes(m, r->first, r->n);
		left -= r->n;
		e->runs[e->n++] = *r;
		e->bytes += maps_bytes(m, r->first, r->n);
		n++;
	}
	if (n > 0)
		e->sending++;
	if (e && (e->bytes >= EPOCH_BYTES || e->n + TAKE_RUNS > EPOCH_RUNS))
		close_epoch(s);
	(void)pthread_mutex_unlock(&s->lock);
	*ret_epoch = e;
	return n;
}

/* ---- lanes ---- */

static int send_on(
	struct sender *s, unsigned lane, const struct iovec *parts, int n)
{
	int r = lane_send(s->lanes[lane], parts, n);

	(void)pthread_mutex_unlock(&s->lane_locks[lane]);
	return r;
}

/* Sends on the first lane that is free, beginning with the worker's own. */
static int send_parts(struct worker *w, const struct iovec *parts, int n)
{
	struct sender *s = w->s;
	unsigned own = w->number % s->n_lanes;

	for (unsigned i = 0; i < s->n_lanes; i++) {
		unsigned lane = (own + i) % s->n_lanes;

		if (pthread_mutex_trylock(&s->lane_locks[lane]) == 0)
			return send_on(s, lane, parts, n);
	}
	(void)pthread_mutex_lock(&s->lane_locks[own]);
	return send_on(s, own, parts, n);
}

static int send_record(
	struct worker *w, const struct record *rec, const void *payload)
{
	uint8_t head[RECORD_HEAD_MAX];
	struct iovec parts[2] = {
		{head, record_format(rec, head)},
		{(void *)(uintptr_t)payload, rec->payload},
	};

	limit_wait(&w->s->limit, parts[0].iov_len + parts[1].iov_len);
	(void)pthread_mutex_lock(&w->s->lock);
	w->s->progress.sent += parts[0].iov_len + parts[1].iov_len;
	(void)pthread_mutex_unlock(&w->s->lock);
	return send_parts(w, parts, rec->payload ? 2 : 1);
}

static int send_barrier(struct sender *s, uint32_t epoch)
{
	/* The caller holds barrier_lock. */
	struct record rec = {.type = RECORD_BARRIER, .raw = epoch};
	uint8_t head[RECORD_HEAD_MAX];
	struct iovec part = {head, record_format(&rec, head)};
	int r = 0;

	for (unsigned i = 0; i < s->n_lanes && r == 0; i++) {
		(void)pthread_mutex_lock(&s->lane_locks[i]);
		r = send_on(s, i, &part, 1);
	}
	return r;
}

/* ---- compression ---- */

static bool compresses(const struct sender *s)
{
	return s->pass.compress == COMPRESS_ALWAYS ||
	       (s->pass.compress == COMPRESS_ADAPT && s->adapt.use);
}

/* Sends raw bytes of w->buf as DATA, compressed if that is the way now. */
static int send_data(struct worker *w, struct record *rec)
{
	rec->type = RECORD_DATA;
	rec->flags = 0;
	rec->payload = rec->raw;
	if (compresses(w->s) && rec->raw >= 512) {
		/* Worth it only if it saves something. */
		size_t n = ZSTD_compressCCtx(w->zstd, w->packed,
			rec->raw - rec->raw / 16, w->buf, rec->raw, 1);

		if (!ZSTD_isError(n)) {
			rec->flags = RECORD_ZSTD;
			rec->payload = (uint32_t)n;
			return send_record(w, rec, w->packed);
		}
	}
	return send_record(w, rec, w->buf);
}

/* ---- one chunk ---- */

static bool is_zero(const uint8_t *p, uint64_t n)
{
	return n < 8 ? !memcmp(p, "\0\0\0\0\0\0\0", n)
		     : !memcmp(p, "\0\0\0\0\0\0\0", 8) &&
			       !memcmp(p, p + 8, n - 8);
}

static void add_extent(struct record *r, uint64_t offset, uint64_t n)
{
	struct msg_extent *last = r->n ? &r->v[r->n - 1] : NULL;

	if (last && last->offset + last->bytes == offset)
		last->bytes += n;
	else
		r->v[r->n++] = (struct msg_extent){offset, n};
}

/* Reads the runs one behind the other into w->buf. */
static int read_runs(struct worker *w, const struct run *runs, unsigned n,
	uint64_t *ret_offset)
{
	struct maps *m = w->s->maps;
	uint64_t at = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t off = runs[i].first * m->shared->granule;
		uint64_t len = maps_bytes(m, runs[i].first, runs[i].n);
		int r = w->s->volume->ops->read(
			w->s->volume, w->buf + at, len, off);

		if (r < 0) {
			*ret_offset = off;
			return r;
		}
		at += len;
	}
	return 0;
}

/* With the lock. */
static struct adapt_at where(const struct sender *s)
{
	struct adapt_at at = {.done = s->progress.bytes};

	for (unsigned i = 0; i < s->n_lanes; i++) {
		uint64_t put = lane_bytes(s->lanes[i]);

		at.put += put;
		at.left += put - MIN(put, lane_queued(s->lanes[i]));
	}
	return at;
}

static void adapt(struct sender *s)
{
	const struct msg_progress *p = &s->progress;
	/* No trials while the source waits for us. */
	uint64_t remains =
		s->pass.idle && p->total > p->bytes ? p->total - p->bytes : 0;
	uint64_t now = clock_us();

	if (adapt_due(&s->adapt, now, p->bytes, remains)) {
		struct adapt_at at = where(s);

		adapt_step(&s->adapt, now, &at);
	}
}

static void count_sent(struct sender *s, uint64_t data, uint64_t zeros)
{
	struct msg_progress *p = &s->progress;

	(void)pthread_mutex_lock(&s->lock);
	p->zero += zeros;
	p->bytes += data + zeros;
	adapt(s);
	(void)pthread_mutex_unlock(&s->lock);
}

static int send_chunk(struct worker *w, const struct run *runs, unsigned n)
{
	struct maps *m = w->s->maps;
	uint32_t granule = m->shared->granule;
	struct record data = {0}, zero = {.type = RECORD_ZERO};
	uint64_t at = 0, zeros = 0;
	int r = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t off = runs[i].first * granule;
		uint64_t end = off + maps_bytes(m, runs[i].first, runs[i].n);

		for (; off < end; off += granule) {
			uint64_t len = MIN((uint64_t)granule, end - off);

			if (is_zero(w->buf + at, len)) {
				add_extent(&zero, off, len);
				zeros += len;
			} else {
				if (data.raw != at)
					memmove(w->buf + data.raw, w->buf + at,
						len);
				add_extent(&data, off, len);
				data.raw += (uint32_t)len;
			}
			at += len;
		}
	}
	if (zero.n > 0)
		r = send_record(w, &zero, NULL);
	if (r == 0 && data.n > 0)
		r = send_data(w, &data);
	count_sent(w->s, data.raw, zeros);
	return r;
}

static int digest_chunk(struct worker *w, const struct run *runs, unsigned n)
{
	struct maps *m = w->s->maps;
	struct record rec = {.type = RECORD_DIGEST};
	uint64_t at = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t off = runs[i].first * m->shared->granule;
		uint64_t end = off + maps_bytes(m, runs[i].first, runs[i].n);

		/* Small enough that a difference costs little to send. */
		while (off < end) {
			uint64_t len = MIN(end - off,
				MAX((uint64_t)65536,
					(uint64_t)m->shared->granule));

			record_digest(w->s->secret, w->buf + at, len, off,
				w->packed + (size_t)rec.n * DIGEST_SIZE);
			rec.v[rec.n++] = (struct msg_extent){off, len};
			rec.raw += (uint32_t)len;
			off += len;
			at += len;
		}
	}
	rec.payload = rec.n * (uint32_t)DIGEST_SIZE;
	(void)pthread_mutex_lock(&w->s->lock);
	w->s->chunks += rec.n;
	w->s->progress.bytes += rec.raw;
	(void)pthread_mutex_unlock(&w->s->lock);
	return send_record(w, &rec, w->packed);
}

/* The number of the epoch whose barrier is next, if all of it is out, else 0;
 * the target wants them in order on every lane. */
static uint32_t next_barrier(struct sender *s)
{
	uint32_t number = 0;

	(void)pthread_mutex_lock(&s->lock);
	for (int i = 0; i < EPOCHS && !s->error; i++) {
		struct epoch *e = &s->epochs[i];

		if (e->number == s->barrier_at && e->closed &&
			e->sending == 0) {
			e->barrier = true;
			s->barrier_at++;
			number = e->number;
			break;
		}
	}
	(void)pthread_mutex_unlock(&s->lock);
	return number;
}

static void send_barriers(struct sender *s)
{
	uint32_t epoch;
	int r = 0;

	(void)pthread_mutex_lock(&s->barrier_lock);
	while (r == 0 && (epoch = next_barrier(s)))
		r = send_barrier(s, epoch);
	(void)pthread_mutex_unlock(&s->barrier_lock);
	if (r < 0) {
		(void)pthread_mutex_lock(&s->lock);
		fail(s, r, "send on a lane", NULL);
		(void)pthread_mutex_unlock(&s->lock);
	}
}

static void finish_chunk(struct sender *s, struct epoch *e)
{
	bool ready;

	(void)pthread_mutex_lock(&s->lock);
	e->sending--;
	ready = e->closed && e->sending == 0;
	(void)pthread_mutex_unlock(&s->lock);
	if (ready)
		send_barriers(s);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct sender *s = w->s;
	struct run runs[TAKE_RUNS];
	struct epoch *e;
	unsigned n;

	/* Behind the source's own work while it lives, as usual at the cut. */
	(void)syscall(
		SYS_ioprio_set, 1, 0, s->pass.idle ? IOPRIO_IDLE : IOPRIO_BE);
	(void)setpriority(
		PRIO_PROCESS, (id_t)gettid(), s->pass.idle ? NICE_IDLE : 0);
	while ((n = take(s, runs, &e)) > 0) {
		uint64_t bad = 0;
		char what[128] = "send on a lane";
		int r = read_runs(w, runs, n, &bad);

		if (r < 0)
			(void)snprintf(what, sizeof(what),
				"read the source at byte %llu",
				(unsigned long long)bad);
		else
			r = s->pass.kind == PASS_SEND
				    ? send_chunk(w, runs, n)
				    : digest_chunk(w, runs, n);
		if (r < 0) {
			(void)pthread_mutex_lock(&s->lock);
			fail(s, r, what, NULL);
			(void)pthread_mutex_unlock(&s->lock);
		}
		finish_chunk(s, e);
		if (r < 0)
			break;
	}
	return NULL;
}

/* ---- the pass ---- */

static int worker_init(struct worker *w, struct sender *s, unsigned number)
{
	uint64_t chunk =
		MAX((uint64_t)CHUNK, (uint64_t)s->maps->shared->granule);

	w->s = s;
	w->number = number;
	if (posix_memalign((void **)&w->buf, 4096, chunk + 4096) != 0)
		w->buf = NULL;
	w->packed = malloc(chunk);
	w->zstd = s->pass.compress ? ZSTD_createCCtx() : NULL;
	return w->buf && w->packed && (w->zstd || !s->pass.compress) ? 0
								     : -ENOMEM;
}

static void worker_done(struct worker *w)
{
	free(w->buf);
	free(w->packed);
	(void)ZSTD_freeCCtx(w->zstd);
}

static void run_workers(struct sender *s)
{
	struct worker workers[WORKERS];
	pthread_t threads[WORKERS];
	unsigned n = 0;
	int r = 0;

	memset(workers, 0, sizeof(workers));
	while (n < WORKERS) {
		r = worker_init(&workers[n], s, n);
		if (r == 0)
			r = -pthread_create(
				&threads[n], NULL, work, &workers[n]);
		if (r < 0) {
			worker_done(&workers[n]);
			break;
		}
		n++;
	}
	if (n == 0) {
		(void)pthread_mutex_lock(&s->lock);
		fail(s, r, "start the workers", NULL);
		(void)pthread_mutex_unlock(&s->lock);
	}
	for (unsigned i = 0; i < n; i++) {
		(void)pthread_join(threads[i], NULL);
		worker_done(&workers[i]);
	}
}

static void finish_epochs(struct sender *s)
{
	(void)pthread_mutex_lock(&s->lock);
	if (s->current && s->current->n == 0) {
		/* Opened for nothing. */
		s->current->number = 0;
		s->next_epoch--;
		s->current = NULL;
	}
	close_epoch(s);
	(void)pthread_mutex_unlock(&s->lock);
	send_barriers(s);
	(void)pthread_mutex_lock(&s->lock);
	while (open_epochs(s) && !s->error)
		(void)pthread_cond_wait(&s->changed, &s->lock);
	(void)pthread_mutex_unlock(&s->lock);
}

void sender_pass(
	struct sender *s, const struct msg_pass *p, struct msg_pass_done *ret)
{
	uint64_t start = clock_ms();
	struct adapt_at at;

	(void)pthread_mutex_lock(&s->lock);
	s->pass = *p;
	s->taken = s->chunks = s->differ_bytes = 0;
	/* With a budget each pass goes on where the last one ended, so that
	 * busy blocks at the beginning do not use it up every time. */
	s->cursor = p->budget ? s->compared : 0;
	s->exhausted = false;
	s->deadline = p->limit_ms ? start + p->limit_ms : 0;
	memset(&s->progress, 0, sizeof(s->progress));
	s->progress.pass = p->number;
	s->progress.total = p->kind == PASS_SEND
				    ? maps_dirty(s->maps)
				    : maps_count(s->maps, &s->maps->unproved);
	at = where(s);
	adapt_begin(&s->adapt, clock_us(), &at);
	(void)pthread_mutex_unlock(&s->lock);
	limit_set(&s->limit, p->bwlimit);

	run_workers(s);
	finish_epochs(s);

	(void)pthread_mutex_lock(&s->lock);
	if (p->budget)
		s->compared = s->taken < p->budget ? 0 : s->cursor;
	if (s->error) {
		/* Whatever was not confirmed goes again, on new lanes. */
		for (int i = 0; i < EPOCHS; i++)
			s->epochs[i].number = 0;
		s->current = NULL;
		bitmap_move(&s->maps->dirty, &s->maps->inflight);
	}
	memset(ret, 0, sizeof(*ret));
	ret->pass = p->number;
	ret->bytes = s->progress.bytes;
	ret->sent = s->progress.sent;
	ret->zero = s->progress.zero;
	ret->chunks = s->chunks;
	ret->differ = s->differ_bytes;
	ret->ms = clock_ms() - start;
	ret->on_target = s->on_target;
	ret->error = s->why;
	(void)pthread_mutex_unlock(&s->lock);
}

/* ---- what the target says ---- */

/* Wakes workers that wait for a lane or for the bandwidth limit; for good. */
static void end_sending(struct sender *s)
{
	limit_end(&s->limit);
	for (unsigned i = 0; i < s->n_lanes; i++)
		lane_shutdown(s->lanes[i]);
}

/* Clears unproved in a run, but for what was found different. */
static void prove_run(struct sender *s, const struct run *r)
{
	struct bitmap *u = &s->maps->unproved;
	uint64_t at = r->first, end = r->first + r->n, first, n;

	while (bitmap_next_within(
		u, &s->differ.found, true, at, end, &first, &n)) {
		bitmap_clear(u, first, n);
		at = first + n;
	}
}

int sender_durable(struct sender *s, const struct msg_durable *m)
{
	struct maps *maps = s->maps;
	struct epoch *e = NULL;
	int r = 0;

	(void)pthread_mutex_lock(&s->lock);
	if (m->error.code) {
		if (!s->error) {
			s->why = m->error;
			s->error = -EIO;
			s->on_target = true;
		}
		(void)pthread_cond_broadcast(&s->changed);
		(void)pthread_mutex_unlock(&s->lock);
		/* Nobody takes what the workers are sending. */
		end_sending(s);
		return 0;
	}
	for (int i = 0; i < EPOCHS; i++)
		if (s->epochs[i].number == m->epoch && m->epoch)
			e = &s->epochs[i];
	if (s->error) {
		/* All that was on its way goes again; too late. */
	} else if (!e || !e->barrier) {
		r = -EPROTO;
	} else {
		for (uint32_t i = 0; i < e->n; i++) {
			const struct run *run = &e->runs[i];

			if (s->pass.kind == PASS_COMPARE) {
				prove_run(s, run);
				continue;
			}
			bitmap_set(&maps->unproved, run->first, run->n);
			bitmap_set(&maps->known, run->first, run->n);
			bitmap_clear(&maps->inflight, run->first, run->n);
		}
		e->number = 0;
		(void)pthread_cond_broadcast(&s->changed);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return r;
}

int sender_mismatch(struct sender *s, const struct msg_mismatch *m)
{
	uint64_t g = s->maps->shared->granule, size = s->maps->shared->size;
	int r = 0;

	(void)pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < m->n && r == 0 && !s->error; i++) {
		const struct msg_extent *e = &m->v[i];

		if (e->offset >= size || e->bytes > size - e->offset ||
			e->bytes == 0) {
			r = -EPROTO;
			break;
		}
		/* No more can differ than was compared. */
		s->differ_bytes += e->bytes;
		if (s->pass.kind != PASS_COMPARE ||
			s->differ_bytes > s->progress.bytes) {
			r = -EPROTO;
			break;
		}
		differ_add(&s->differ, e->offset / g,
			(e->offset + e->bytes + g - 1) / g - e->offset / g);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return r;
}

void sender_differ(struct sender *s, bool all, uint64_t *ret_unexplained,
	uint64_t *ret_suspect)
{
	(void)pthread_mutex_lock(&s->lock);
	differ_judge(&s->differ, s->maps, all, ret_unexplained, ret_suspect);
	(void)pthread_mutex_unlock(&s->lock);
}

void sender_progress(struct sender *s, struct msg_progress *ret)
{
	(void)pthread_mutex_lock(&s->lock);
	*ret = s->progress;
	(void)pthread_mutex_unlock(&s->lock);
}

void sender_abort(struct sender *s, int code)
{
	(void)pthread_mutex_lock(&s->lock);
	fail(s, code, "go on with the pass", NULL);
	(void)pthread_mutex_unlock(&s->lock);
	end_sending(s);
}
