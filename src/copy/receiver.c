/* SPDX-License-Identifier: Apache-2.0 */
#include "copy/receiver.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "copy/record.h"
#include "volume/signatures.h"

#define WRITERS 16
#define ITEMS 32
#define SLOTS 16 /* epochs that may be open at once */

struct item {
	struct item *next;
	struct record rec;
	unsigned slot;
	uint8_t *raw;  /* page-aligned, CHUNK and one page */
	uint8_t *wire; /* CHUNK */
};

struct slot {
	unsigned pending; /* records received and not yet done */
	unsigned closed;  /* lanes whose barrier came */
};

struct lane_thread {
	struct receiver *r;
	struct lane *lane;
	pthread_t thread;
	uint32_t epoch; /* that its next records belong to */
};

struct receiver {
	struct volume *volume;
	const uint8_t *secret;
	struct withheld *withheld;
	struct receiver_events events;
	unsigned n_lanes;
	struct lane_thread lanes[LANES_MAX];
	pthread_t writers[WRITERS], flusher;
	unsigned n_writers, n_threads;
	bool have_flusher;

	/* Protects everything below, and the withheld blocks. */
	pthread_mutex_t lock;
	pthread_cond_t work, free_item, epoch_done;
	struct item items[ITEMS], *free_items, *first, **last;
	struct slot slots[SLOTS];
	uint32_t next_epoch; /* to become durable */
	struct msg_mismatch mismatch;
	bool stop;
	struct error error;
};

/* ---- withheld blocks ---- */

int withheld_init(struct withheld *w, const struct msg_extent *v, uint32_t n,
	uint64_t size)
{
	memset(w, 0, sizeof(*w));
	for (uint32_t i = 0; i < n; i++) {
		uint64_t at = v[i].offset / SIGNATURE_BLOCK * SIGNATURE_BLOCK,
			 end;

		if (v[i].offset >= size || v[i].bytes > size - v[i].offset)
			return -ERANGE;
		end = v[i].offset + v[i].bytes;
		for (; at < end; at += SIGNATURE_BLOCK) {
			bool have = false;

			for (uint32_t k = 0; k < w->n; k++)
				have = have || w->v[k].offset == at;
			if (have)
				continue;
			if (w->n == ARRAY_LEN(w->v))
				return -ERANGE;
			w->v[w->n].offset = at;
			w->v[w->n].n = (uint32_t)MIN(
				(uint64_t)SIGNATURE_BLOCK, size - at);
			w->n++;
		}
	}
	return 0;
}

/* The first withheld block that touches [off, off + n), or -1. */
static int find_withheld(const struct withheld *w, uint64_t off, uint64_t n)
{
	int best = -1;

	for (uint32_t i = 0; i < w->n; i++)
		if (w->v[i].offset < off + n &&
			w->v[i].offset + w->v[i].n > off &&
			(best < 0 || w->v[i].offset < w->v[best].offset))
			best = (int)i;
	return best;
}

enum action { STORE, ERASE, LOAD };

static int on_volume(
	struct volume *v, enum action a, uint8_t *buf, uint64_t n, uint64_t off)
{
	switch (a) {
	case STORE:
		return v->ops->write(v, buf, n, off);
	case ERASE:
		return v->ops->zero(v, n, off);
	case LOAD:
		return v->ops->read(v, buf, n, off);
	}
	return -EINVAL;
}

static void on_withheld(struct receiver *r, enum action a, int i, uint8_t *buf,
	uint64_t n, uint64_t off)
{
	uint8_t *at = r->withheld->v[i].data + (off - r->withheld->v[i].offset);

	(void)pthread_mutex_lock(&r->lock);
	if (a == STORE)
		memcpy(at, buf, n);
	else if (a == ERASE)
		memset(at, 0, n);
	else
		memcpy(buf, at, n);
	if (a != LOAD)
		r->withheld->v[i].filled = true;
	(void)pthread_mutex_unlock(&r->lock);
}

/* Does the action for a range: on memory where it is withheld, on the volume
 * elsewhere. */
static int act(struct receiver *r, enum action a, uint8_t *buf, uint64_t n,
	uint64_t off)
{
	const struct withheld *w = r->withheld;

	while (n > 0) {
		int i = find_withheld(w, off, n), e;
		uint64_t piece = n;

		if (i >= 0 && w->v[i].offset <= off) {
			piece = MIN(n, w->v[i].offset + w->v[i].n - off);
			on_withheld(r, a, i, buf, piece, off);
		} else {
			if (i >= 0)
				piece = w->v[i].offset - off;
			e = on_volume(r->volume, a, buf, piece, off);
			if (e < 0)
				return e;
		}
		buf += a == ERASE ? 0 : piece;
		off += piece;
		n -= piece;
	}
	return 0;
}

int receiver_restore(struct volume *volume, struct withheld *w,
	const struct msg_block *b, struct error *err)
{
	int i = b->n > 0 ? find_withheld(w, b->offset, b->n) : -1, r;
	void *buf;

	if (i < 0 || w->v[i].offset != b->offset || w->v[i].n < b->n)
		return error_set(err, -EPROTO, "understand a block");
	if (posix_memalign(&buf, 4096, 2 * SIGNATURE_BLOCK) != 0)
		return error_set(err, -ENOMEM, "read %s", volume->path);
	r = volume->ops->read(volume, buf, w->v[i].n, b->offset);
	memset(w->v[i].data, 0, sizeof(w->v[i].data));
	memcpy(w->v[i].data, b->data, b->n);
	if (r < 0)
		error_set(err, r, "read %s", volume->path);
	else if (!signature_is_removed(buf, w->v[i].data, w->v[i].n))
		memcpy(w->v[i].data, buf, w->v[i].n);
	w->v[i].filled = r == 0;
	free(buf);
	return r;
}

int receiver_publish(
	struct volume *volume, const struct withheld *w, struct error *err)
{
	uint8_t *buf;
	int r = 0;

	if (posix_memalign((void **)&buf, 4096, 2 * SIGNATURE_BLOCK) != 0)
		return error_set(err, -ENOMEM, "write the signatures");
	for (uint32_t i = 0; i < w->n && r == 0; i++) {
		if (!w->v[i].filled) {
			r = error_set(err, -ENODATA, "write the signatures");
			error_why(err, "block %llu was never received",
				(unsigned long long)w->v[i].offset);
			break;
		}
		memcpy(buf, w->v[i].data, w->v[i].n);
		r = volume->ops->write(volume, buf, w->v[i].n, w->v[i].offset);
		if (r < 0)
			r = error_set(err, r, "write to %s", volume->path);
	}
	if (r == 0 && volume->ops->flush(volume) < 0)
		r = error_set(err, -EIO, "flush %s", volume->path);
	for (uint32_t i = 0; i < w->n && r == 0; i++) {
		r = volume->ops->read(volume, buf, w->v[i].n, w->v[i].offset);
		if (r < 0)
			r = error_set(err, r, "read %s", volume->path);
		else if (memcmp(buf, w->v[i].data, w->v[i].n) != 0) {
			r = error_set(err, -EIO, "read back %s", volume->path);
			error_why(err, "the disk does not hold what was "
				       "written to it");
		}
	}
	free(buf);
	return r;
}

int receiver_read(struct volume *volume, const struct withheld *w, void *buf,
	uint64_t n, uint64_t off)
{
	uint8_t *to = buf;
	int r = volume->ops->read(volume, buf, n, off);

	for (uint32_t i = 0; i < w->n && r == 0; i++) {
		uint64_t begin = MAX(off, w->v[i].offset);
		uint64_t end = MIN(off + n, w->v[i].offset + w->v[i].n);

		if (begin >= end)
			continue;
		if (!w->v[i].filled)
			return -ENODATA;
		memcpy(to + (begin - off),
			w->v[i].data + (begin - w->v[i].offset), end - begin);
	}
	return r;
}

int receiver_wipe(
	struct volume *volume, const struct withheld *w, struct error *err)
{
	for (uint32_t i = 0; i < w->n; i++) {
		int r = volume->ops->zero(volume, w->v[i].n, w->v[i].offset);

		if (r < 0)
			return error_set(err, r, "write to %s", volume->path);
	}
	if (volume->ops->flush(volume) < 0)
		return error_set(err, -EIO, "flush %s", volume->path);
	return 0;
}

/* ---- failure: the lock is held ---- */

static void fail_locked(
	struct receiver *r, int code, const char *what, const char *why)
{
	struct msg_durable m = {0};

	if (r->stop)
		return;
	error_set(&r->error, code, "%s", what);
	if (why)
		error_why(&r->error, "%s", why);
	if (code == -ENOSPC)
		error_todo(&r->error, "free some space there, then resume");
	message_from_error(&r->error, &m.error);
	r->stop = true;
	(void)pthread_cond_broadcast(&r->work);
	(void)pthread_cond_broadcast(&r->free_item);
	(void)pthread_cond_broadcast(&r->epoch_done);
	r->events.durable(r->events.arg, &m);
}

static void fail(
	struct receiver *r, int code, const char *what, const char *why)
{
	(void)pthread_mutex_lock(&r->lock);
	fail_locked(r, code, what, why);
	(void)pthread_mutex_unlock(&r->lock);
}

/* ---- lanes ---- */

static struct item *get_item(struct receiver *r)
{
	struct item *i;

	(void)pthread_mutex_lock(&r->lock);
	while (!r->free_items && !r->stop)
		(void)pthread_cond_wait(&r->free_item, &r->lock);
	i = r->stop ? NULL : r->free_items;
	if (i)
		r->free_items = i->next;
	(void)pthread_mutex_unlock(&r->lock);
	return i;
}

static void put_item(struct receiver *r, struct item *i)
{
	(void)pthread_mutex_lock(&r->lock);
	i->next = r->free_items;
	r->free_items = i;
	(void)pthread_cond_signal(&r->free_item);
	(void)pthread_mutex_unlock(&r->lock);
}

static int on_barrier(struct lane_thread *l, uint32_t epoch)
{
	struct receiver *r = l->r;
	int e = 0;

	(void)pthread_mutex_lock(&r->lock);
	if (epoch != l->epoch || epoch - r->next_epoch >= SLOTS - 1) {
		e = -EPROTO;
	} else {
		r->slots[epoch % SLOTS].closed++;
		l->epoch++;
		(void)pthread_cond_broadcast(&r->epoch_done);
	}
	(void)pthread_mutex_unlock(&r->lock);
	return e;
}

static void enqueue(struct lane_thread *l, struct item *i)
{
	struct receiver *r = l->r;

	(void)pthread_mutex_lock(&r->lock);
	i->slot = l->epoch % SLOTS;
	r->slots[i->slot].pending++;
	i->next = NULL;
	*r->last = i;
	r->last = &i->next;
	(void)pthread_cond_signal(&r->work);
	(void)pthread_mutex_unlock(&r->lock);
}

/* Receives one record into i. 0, 1 when it was no work, or negative errno. */
static int receive(struct lane_thread *l, struct item *i)
{
	struct receiver *r = l->r;
	uint8_t head[RECORD_HEAD_MAX];
	int n, e;

	e = lane_receive(l->lane, head, RECORD_HEADER);
	if (e < 0)
		return e;
	n = record_parse_header(head, &i->rec);
	if (n < 0)
		return n;
	if (n > 0) {
		e = lane_receive(l->lane, head, (size_t)n);
		if (e < 0)
			return e == -EPIPE ? -ECONNRESET : e;
	}
	e = record_parse_extents(head, &i->rec);
	if (e == 0)
		e = record_fits(&i->rec, r->volume->size);
	if (e < 0)
		return e;
	if (i->rec.type == RECORD_BARRIER) {
		e = on_barrier(l, i->rec.raw);
		return e < 0 ? e : 1;
	}
	if (i->rec.type == RECORD_END)
		return -EPIPE;
	if (i->rec.payload > 0)
		e = lane_receive(l->lane,
			i->rec.type == RECORD_DATA && !i->rec.flags ? i->raw
								    : i->wire,
			i->rec.payload);
	return e == -EPIPE ? -ECONNRESET : e;
}

static void *lane_main(void *arg)
{
	struct lane_thread *l = arg;
	struct item *i;
	int e = 0;

	while ((i = get_item(l->r))) {
		e = receive(l, i);
		if (e == 0) {
			enqueue(l, i);
			continue;
		}
		put_item(l->r, i);
		if (e < 0)
			break;
	}
	if (e == -EPROTO)
		fail(l->r, e, "go on receiving",
			"the source sent what no source may send");
	else if (e < 0)
		fail(l->r, e, "receive on a lane", NULL);
	return NULL;
}

/* ---- work ---- */

/* The lock is held. */
static void flush_mismatch(struct receiver *r)
{
	if (r->mismatch.n == 0)
		return;
	r->mismatch.epoch = r->next_epoch;
	r->events.mismatch(r->events.arg, &r->mismatch);
	r->mismatch.n = 0;
}

static void differs(struct receiver *r, const struct msg_extent *e)
{
	(void)pthread_mutex_lock(&r->lock);
	if (r->mismatch.n == ARRAY_LEN(r->mismatch.v))
		flush_mismatch(r);
	r->mismatch.v[r->mismatch.n++] = *e;
	(void)pthread_mutex_unlock(&r->lock);
}

static int compare(struct receiver *r, struct item *i)
{
	uint8_t own[DIGEST_SIZE];

	for (uint16_t k = 0; k < i->rec.n; k++) {
		const struct msg_extent *e = &i->rec.v[k];
		int x = act(r, LOAD, i->raw, e->bytes, e->offset);

		if (x < 0)
			return x;
		record_digest(r->secret, i->raw, e->bytes, e->offset, own);
		if (memcmp(own, i->wire + (size_t)k * DIGEST_SIZE,
			    DIGEST_SIZE) != 0)
			differs(r, e);
	}
	return 0;
}

static int store(struct receiver *r, struct item *i)
{
	uint64_t at = 0;

	if (i->rec.flags & RECORD_ZSTD) {
		size_t n = ZSTD_decompress(
			i->raw, i->rec.raw, i->wire, i->rec.payload);

		if (ZSTD_isError(n) || n != i->rec.raw)
			return -EPROTO;
	}
	for (uint16_t k = 0; k < i->rec.n; k++) {
		const struct msg_extent *e = &i->rec.v[k];
		uint8_t *from = i->raw + at;
		int x;

		/* Only the volume's odd end leaves the next one unaligned,
		 * and nothing follows it there; a liar gets it copied. */
		if (at % 512) {
			memmove(i->wire, from, e->bytes);
			memcpy(i->raw, i->wire, e->bytes);
			from = i->raw;
		}
		x = act(r, STORE, from, e->bytes, e->offset);
		if (x < 0)
			return x;
		at += e->bytes;
	}
	return 0;
}

static int process(struct receiver *r, struct item *i)
{
	int x = 0;

	switch (i->rec.type) {
	case RECORD_DATA:
		return store(r, i);
	case RECORD_ZERO:
		for (uint16_t k = 0; k < i->rec.n && x == 0; k++)
			x = act(r, ERASE, i->raw, i->rec.v[k].bytes,
				i->rec.v[k].offset);
		return x;
	default:
		return compare(r, i);
	}
}

static void *writer_main(void *arg)
{
	struct receiver *r = arg;

	for (;;) {
		struct item *i;
		int e;

		(void)pthread_mutex_lock(&r->lock);
		while (!r->first && !r->stop)
			(void)pthread_cond_wait(&r->work, &r->lock);
		if (r->stop) {
			(void)pthread_mutex_unlock(&r->lock);
			return NULL;
		}
		i = r->first;
		r->first = i->next;
		if (!r->first)
			r->last = &r->first;
		(void)pthread_mutex_unlock(&r->lock);

		e = process(r, i);

		(void)pthread_mutex_lock(&r->lock);
		if (e < 0) {
			char what[4200];

			(void)snprintf(what, sizeof(what), "%s %s",
				i->rec.type == RECORD_DIGEST ? "read"
							     : "write to",
				r->volume->path);
			fail_locked(r, e, what, NULL);
		}
		r->slots[i->slot].pending--;
		i->next = r->free_items;
		r->free_items = i;
		(void)pthread_cond_signal(&r->free_item);
		(void)pthread_cond_broadcast(&r->epoch_done);
		(void)pthread_mutex_unlock(&r->lock);
	}
}

static void *flush_main(void *arg)
{
	struct receiver *r = arg;

	(void)pthread_mutex_lock(&r->lock);
	while (!r->stop) {
		struct slot *s = &r->slots[r->next_epoch % SLOTS];
		struct msg_durable m = {.epoch = r->next_epoch};
		int e;

		if (s->closed < r->n_lanes || s->pending > 0) {
			(void)pthread_cond_wait(&r->epoch_done, &r->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&r->lock);
		e = r->volume->ops->flush(r->volume);
		(void)pthread_mutex_lock(&r->lock);
		if (e < 0) {
			fail_locked(r, e, "flush the target", NULL);
			break;
		}
		flush_mismatch(r);
		memset(s, 0, sizeof(*s));
		r->next_epoch++;
		r->events.durable(r->events.arg, &m);
	}
	(void)pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* ---- beginning and end ---- */

int receiver_start(struct volume *volume, const uint8_t secret[SECRET_SIZE],
	struct withheld *withheld, struct lane **lanes, unsigned n,
	const struct receiver_events *events, struct receiver **ret)
{
	struct receiver *r;
	int e = 0;

	if (n == 0 || n > LANES_MAX)
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->volume = volume;
	r->secret = secret;
	r->withheld = withheld;
	r->events = *events;
	r->next_epoch = 1;
	r->last = &r->first;
	(void)pthread_mutex_init(&r->lock, NULL);
	(void)pthread_cond_init(&r->work, NULL);
	(void)pthread_cond_init(&r->free_item, NULL);
	(void)pthread_cond_init(&r->epoch_done, NULL);
	for (int i = 0; i < ITEMS && e == 0; i++) {
		struct item *it = &r->items[i];

		if (posix_memalign((void **)&it->raw, 4096, CHUNK + 4096) != 0)
			it->raw = NULL;
		it->wire = malloc(CHUNK);
		if (!it->raw || !it->wire)
			e = -ENOMEM;
		it->next = r->free_items;
		r->free_items = it;
	}
	for (r->n_lanes = 0; r->n_lanes < n; r->n_lanes++)
		r->lanes[r->n_lanes] = (struct lane_thread){
			.r = r, .lane = lanes[r->n_lanes], .epoch = 1};
	while (e == 0 && r->n_writers < WRITERS) {
		e = -pthread_create(
			&r->writers[r->n_writers], NULL, writer_main, r);
		r->n_writers += e == 0;
	}
	if (e == 0) {
		e = -pthread_create(&r->flusher, NULL, flush_main, r);
		r->have_flusher = e == 0;
	}
	while (e == 0 && r->n_threads < n) {
		struct lane_thread *l = &r->lanes[r->n_threads];

		e = -pthread_create(&l->thread, NULL, lane_main, l);
		r->n_threads += e == 0;
	}
	if (e < 0) {
		receiver_stop(r);
		return e;
	}
	*ret = r;
	return 0;
}

void receiver_stop(struct receiver *r)
{
	if (!r)
		return;
	(void)pthread_mutex_lock(&r->lock);
	r->stop = true;
	(void)pthread_cond_broadcast(&r->work);
	(void)pthread_cond_broadcast(&r->free_item);
	(void)pthread_cond_broadcast(&r->epoch_done);
	(void)pthread_mutex_unlock(&r->lock);
	for (unsigned i = 0; i < r->n_lanes; i++)
		lane_shutdown(r->lanes[i].lane);
	for (unsigned i = 0; i < r->n_threads; i++)
		(void)pthread_join(r->lanes[i].thread, NULL);
	for (unsigned i = 0; i < r->n_writers; i++)
		(void)pthread_join(r->writers[i], NULL);
	if (r->have_flusher)
		(void)pthread_join(r->flusher, NULL);
	for (unsigned i = 0; i < r->n_lanes; i++)
		lane_free(r->lanes[i].lane);
	for (int i = 0; i < ITEMS; i++) {
		free(r->items[i].raw);
		free(r->items[i].wire);
	}
	(void)pthread_mutex_destroy(&r->lock);
	(void)pthread_cond_destroy(&r->work);
	(void)pthread_cond_destroy(&r->free_item);
	(void)pthread_cond_destroy(&r->epoch_done);
	free(r);
}
