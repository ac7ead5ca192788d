/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replica for reading, while it is one: each disk an NBD export, with the
 * withheld blocks in their places. Nothing listens here: connections are made
 * on the controller, and their bytes come in frames, as much as there is credit
 * for. Nothing is written, and no pass runs meanwhile, because the controller
 * begins none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "wire/nbd.h"

#define ALIGN 4096

struct stream {
	uint32_t id; /* 0: free */
	struct nbd *nbd;
	uint64_t credit; /* what may still be sent */
	uint32_t owed;	 /* credit of what was taken, not yet given back */
};

struct export
{
	struct stream v[STREAMS_MAX];
	uint64_t sizes[NBD_DISKS_MAX];
	uint8_t *buf; /* aligned */
};

static void free_export(struct export *e)
{
	if (!e)
		return;
	for (unsigned i = 0; i < STREAMS_MAX; i++)
		nbd_free(e->v[i].nbd);
	free(e->buf);
	free(e);
}

/* Of any offset and length. */
static int read_disk(
	void *arg, uint32_t disk, void *buf, uint32_t n, uint64_t off)
{
	struct agent *a = arg;
	uint64_t at = a->joined.v[disk].start + off;
	uint64_t begin = at / ALIGN * ALIGN;
	uint64_t end = (at + n + ALIGN - 1) / ALIGN * ALIGN;
	int r;

	if (n > RELAY_PIECE)
		return -EINVAL;
	r = receiver_read(a->volume, &a->withheld, a->export->buf,
		MIN(end, a->volume->size) - begin, begin);
	if (r == 0)
		memcpy(buf, a->export->buf + (at - begin), n);
	return r;
}

int export_begin(struct agent *a, const struct frame *f, struct error *err)
{
	struct export *e;

	free_export(a->export);
	a->export = NULL;
	for (uint32_t i = 0; i < a->withheld.n; i++)
		if (!a->withheld.v[i].filled)
			return error_set(err, -ENODATA,
				"show the replica: a block of it is not there");
	e = calloc(1, sizeof(*e));
	if (!e || posix_memalign((void **)&e->buf, ALIGN,
			  RELAY_PIECE + 2 * ALIGN) != 0) {
		free(e);
		return error_set(err, -ENOMEM, "show the replica");
	}
	for (uint32_t i = 0; i < a->joined.n; i++)
		e->sizes[i] = a->joined.v[i].volume.size;
	a->export = e;
	agent_answer(a, MSG_OK, f->id, NULL);
	return 0;
}

int export_end(struct agent *a, const struct frame *f, struct error *err)
{
	(void)err;
	free_export(a->export);
	a->export = NULL;
	agent_answer(a, MSG_OK, f->id, NULL);
	return 0;
}

static struct stream *find(struct agent *a, uint32_t id)
{
	for (unsigned i = 0; i < STREAMS_MAX; i++)
		if (a->export->v[i].id == id)
			return &a->export->v[i];
	return NULL;
}

static void end_stream(struct stream *s)
{
	nbd_free(s->nbd);
	memset(s, 0, sizeof(*s));
}

static int open_stream(struct agent *a, uint32_t id)
{
	struct stream *s = find(a, 0);

	if (!s || find(a, id) ||
		nbd_new(a->export->sizes, a->joined.n, read_disk, a, &s->nbd) <
			0)
		return -EPROTO;
	s->id = id;
	s->credit = STREAM_WINDOW;
	return 0;
}

int export_frame(struct agent *a, const struct frame *f)
{
	struct stream *s;
	uint32_t id;

	if (f->n < 4)
		return -EPROTO;
	id = get_be32(f->payload);
	if (id == 0)
		return -EPROTO;
	if (!a->export)
		return 0; /* of an export that is over */
	if (f->type == MSG_STREAM_OPEN)
		return open_stream(a, id);
	s = find(a, id);
	if (!s)
		return 0; /* we have ended it */
	switch (f->type) {
	case MSG_STREAM_DATA:
		if (f->n - 4 > nbd_room(s->nbd))
			return -EPROTO; /* more than its credit */
		nbd_take(s->nbd, f->payload + 4, f->n - 4);
		s->owed += f->n - 4;
		return 0;
	case MSG_STREAM_CREDIT:
		if (f->n != 8)
			return -EPROTO;
		s->credit += get_be32(f->payload + 4);
		return s->credit > STREAM_WINDOW ? -EPROTO : 0;
	default:
		end_stream(s);
		return 0;
	}
}

/* What the client said and was dealt with may be said anew. */
static int give_credit(struct agent *a, struct stream *s, const uint8_t id[4])
{
	uint32_t kept = (uint32_t)(NBD_TAKE_MAX - nbd_room(s->nbd));
	uint8_t credit[4];

	if (s->owed <= kept || s->owed - kept < STREAM_ASKS / 4)
		return 0;
	put_be32(credit, s->owed - kept);
	s->owed = kept;
	return channel_send_raw(
		a->channel, MSG_STREAM_CREDIT, 0, id, 4, credit, 4);
}

static int serve(struct agent *a, struct stream *s, bool *more)
{
	static uint8_t buf[RELAY_PIECE];
	uint8_t id[4];
	ssize_t n;
	int r;

	put_be32(id, s->id);
	n = nbd_give(s->nbd, buf, sizeof(buf));
	r = give_credit(a, s, id);
	if (r < 0 || n == 0)
		return r;
	if (n < 0) {
		end_stream(s);
		return channel_send_raw(
			a->channel, MSG_STREAM_END, 0, id, 4, NULL, 0);
	}
	*more = true;
	s->credit -= (uint64_t)n;
	return channel_send_raw(
		a->channel, MSG_STREAM_DATA, 0, id, 4, buf, (uint32_t)n);
}

int export_serve(struct agent *a, bool *ret_more)
{
	int r = 0;

	*ret_more = false;
	for (unsigned i = 0; a->export && i < STREAMS_MAX && r == 0; i++) {
		struct stream *s = &a->export->v[i];

		/* The controller's other messages must not wait for long. */
		if (s->id && s->credit >= RELAY_PIECE &&
			channel_queued(a->channel) <= 16 * RELAY_PIECE)
			r = serve(a, s, ret_more);
	}
	return r;
}
