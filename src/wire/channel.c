/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/channel.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

#define HEADER 12

struct channel {
	int in, out;
	uint8_t from;

	/* What was read and not yet taken. */
	uint8_t *rbuf;
	uint64_t rstart, rend, rsize;
	uint64_t taken; /* of the frame handed out last */

	/* What is queued and not yet written. lock covers all of it. */
	pthread_mutex_t lock;
	uint8_t *wbuf;
	uint64_t wstart, wend, wsize;
	int werror;
};

static uint64_t bound(const struct message_def *d)
{
	return d->max ? d->max : codec_max(d->shape);
}

int channel_new(int in, int out, uint8_t from, struct channel **ret)
{
	struct channel *c;
	int r;

	r = io_set_nonblock(in, 1);
	if (r == 0)
		r = io_set_nonblock(out, 1);
	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->in = in;
	c->out = out;
	c->from = from;
	r = -pthread_mutex_init(&c->lock, NULL);
	if (r < 0) {
		free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void channel_free(struct channel *c)
{
	if (!c)
		return;
	(void)pthread_mutex_destroy(&c->lock);
	free(c->rbuf);
	free(c->wbuf);
	free(c);
}

void channel_set_from(struct channel *c, uint8_t from)
{
	c->from = from;
}

/* Makes room for n more bytes behind *end; moves the content to the front. */
static int room(uint8_t **buf, uint64_t *start, uint64_t *end, uint64_t *size,
	uint64_t n)
{
	uint8_t *grown;
	uint64_t want;

	if (*start > 0) {
		memmove(*buf, *buf + *start, *end - *start);
		*end -= *start;
		*start = 0;
	}
	if (*size - *end >= n)
		return 0;
	want = *end + n + 4096;
	grown = realloc(*buf, want);
	if (!grown)
		return -ENOMEM;
	*buf = grown;
	*size = want;
	return 0;
}

static int queue(struct channel *c, uint64_t n, uint8_t **ret)
{
	int r;

	if (c->werror)
		return c->werror;
	if (c->wsize - c->wend < n) {
		r = room(&c->wbuf, &c->wstart, &c->wend, &c->wsize, n);
		if (r < 0)
			return r;
	}
	*ret = c->wbuf + c->wend;
	return 0;
}

static void header(uint8_t *p, uint32_t type, uint32_t id, uint32_t n)
{
	put_be32(p, type);
	put_be32(p + 4, id);
	put_be32(p + 8, n);
}

int channel_send(struct channel *c, uint32_t type, uint32_t id, const void *msg)
{
	const struct message_def *d = message_def(type);
	uint64_t max;
	uint8_t *p;
	int64_t n;
	int r;

	if (!d)
		return -EINVAL;
	max = codec_max(d->shape);
	(void)pthread_mutex_lock(&c->lock);
	r = queue(c, HEADER + max, &p);
	if (r == 0) {
		n = codec_encode(d->shape, msg, p + HEADER, max);
		if (n < 0) {
			r = (int)n;
		} else {
			header(p, type, id, (uint32_t)n);
			c->wend += HEADER + (uint64_t)n;
		}
	}
	(void)pthread_mutex_unlock(&c->lock);
	return r;
}

int channel_send_raw(struct channel *c, uint32_t type, uint32_t id,
	const void *a, uint32_t na, const void *b, uint32_t nb)
{
	uint8_t *p;
	int r;

	(void)pthread_mutex_lock(&c->lock);
	r = queue(c, HEADER + (uint64_t)na + nb, &p);
	if (r == 0) {
		header(p, type, id, na + nb);
		memcpy(p + HEADER, a, na);
		if (nb > 0)
			memcpy(p + HEADER + na, b, nb);
		c->wend += HEADER + (uint64_t)na + nb;
	}
	(void)pthread_mutex_unlock(&c->lock);
	return r;
}

uint64_t channel_queued(struct channel *c)
{
	uint64_t n;

	(void)pthread_mutex_lock(&c->lock);
	n = c->wend - c->wstart;
	(void)pthread_mutex_unlock(&c->lock);
	return n;
}

int channel_flush(struct channel *c, bool wait)
{
	int r;

	(void)pthread_mutex_lock(&c->lock);
	while (c->wstart < c->wend && !c->werror) {
		ssize_t w =
			write(c->out, c->wbuf + c->wstart, c->wend - c->wstart);

		if (w >= 0) {
			c->wstart += (uint64_t)w;
		} else if (errno == EAGAIN) {
			struct pollfd p = {.fd = c->out, .events = POLLOUT};

			if (!wait)
				break;
			(void)poll(&p, 1, 1000);
		} else if (errno != EINTR) {
			c->werror = -errno;
		}
	}
	if (c->wstart == c->wend)
		c->wstart = c->wend = 0;
	r = c->werror;
	(void)pthread_mutex_unlock(&c->lock);
	return r;
}

int channel_read(struct channel *c)
{
	for (int i = 0; i < 8; i++) {
		ssize_t n;
		int r;

		/* A frame that was handed out must stay where it is. */
		if (c->taken)
			return 0;
		r = room(&c->rbuf, &c->rstart, &c->rend, &c->rsize,
			2 * RELAY_PIECE);
		if (r < 0)
			return r;
		n = read(c->in, c->rbuf + c->rend, c->rsize - c->rend);
		if (n > 0) {
			c->rend += (uint64_t)n;
			if ((uint64_t)n < 65536)
				return 0;
		} else if (n == 0) {
			return -EPIPE;
		} else if (errno == EAGAIN) {
			return 0;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

int channel_next(struct channel *c, struct frame *ret)
{
	const struct message_def *d;
	const uint8_t *p;
	uint64_t have;

	c->rstart += c->taken;
	c->taken = 0;
	have = c->rend - c->rstart;
	if (have < HEADER)
		return 0;
	p = c->rbuf + c->rstart;
	ret->type = get_be32(p);
	ret->id = get_be32(p + 4);
	ret->n = get_be32(p + 8);
	d = message_def(ret->type);
	if (!d || !(d->from & c->from) || ret->n > bound(d))
		return -EPROTO;
	if (have - HEADER < ret->n)
		return 0;
	ret->payload = p + HEADER;
	c->taken = HEADER + (uint64_t)ret->n;
	return 1;
}

int frame_decode(const struct frame *f, void *msg)
{
	const struct message_def *d = message_def(f->type);

	if (!d || d->max)
		return -EPROTO;
	return codec_decode(d->shape, f->payload, f->n, msg) < 0 ? -EPROTO : 0;
}

int channel_in(const struct channel *c)
{
	return c->in;
}

int channel_out(const struct channel *c)
{
	return c->out;
}
