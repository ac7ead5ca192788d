/* SPDX-License-Identifier: Apache-2.0 */
#include "move/streams.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct stream {
	uint32_t id; /* 0: free */
	int fd;
	bool ended, left; /* by the agent; by the client */
	uint32_t asks;	  /* bytes of the client that may still be sent */
	/* For the client; of the window. */
	uint8_t *buf;
	uint32_t start, end;
	uint32_t credit; /* what the agent may still send */
	uint32_t owed;	 /* of what was passed on */
};

struct streams {
	int listener;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	uint32_t last_id;
	uint64_t bytes;
	struct stream v[STREAMS_MAX];
};

int streams_new(const char *path, struct streams **ret, struct error *err)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct streams *s;
	int r;

	if (strlen(path) >= sizeof(to.sun_path))
		return error_set(err, -ENAMETOOLONG, "listen at %s", path);
	s = calloc(1, sizeof(*s));
	if (!s)
		return error_set(err, -ENOMEM, "listen at %s", path);
	memcpy(to.sun_path, path, strlen(path));
	s->listener =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listener < 0) {
		free(s);
		return error_set(err, -errno, "make a socket");
	}
	if (bind(s->listener, (const struct sockaddr *)&to, sizeof(to)) < 0 ||
		chmod(path, 0600) < 0 || listen(s->listener, 16) < 0) {
		r = error_set(err, -errno, "listen at %s", path);
		(void)close(s->listener);
		free(s);
		return r;
	}
	memcpy(s->path, path, strlen(path));
	*ret = s;
	return 0;
}

static void end_stream(struct stream *v)
{
	if (v->id)
		(void)close(v->fd);
	free(v->buf);
	memset(v, 0, sizeof(*v));
}

void streams_free(struct streams *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < STREAMS_MAX; i++)
		end_stream(&s->v[i]);
	(void)close(s->listener);
	(void)unlink(s->path);
	free(s);
}

uint64_t streams_bytes(const struct streams *s)
{
	return s->bytes;
}

static struct stream *find(struct streams *s, uint32_t id)
{
	for (unsigned i = 0; i < STREAMS_MAX; i++)
		if (s->v[i].id == id)
			return &s->v[i];
	return NULL;
}

/* May more of the client be read? The channel is for other things as well. */
static bool listens(const struct stream *v)
{
	return !v->ended && !v->left && v->asks > 0;
}

unsigned streams_poll(
	struct streams *s, const struct channel *to, struct pollfd *p)
{
	unsigned n = 0;

	(void)to;
	if (find(s, 0))
		p[n++] = (struct pollfd){.fd = s->listener, .events = POLLIN};
	for (unsigned i = 0; i < STREAMS_MAX; i++) {
		const struct stream *v = &s->v[i];
		short events = (short)((listens(v) ? POLLIN : 0) |
				       (v->start < v->end ? POLLOUT : 0));

		if (v->id && events)
			p[n++] = (struct pollfd){.fd = v->fd, .events = events};
	}
	return n;
}

static int take_connection(struct streams *s, struct channel *to)
{
	struct stream *v = find(s, 0);
	uint8_t id[4];
	int fd = v ? accept4(s->listener, NULL, NULL,
			     SOCK_CLOEXEC | SOCK_NONBLOCK)
		   : -1;

	if (fd < 0)
		return 0;
	v->buf = malloc(STREAM_WINDOW);
	if (!v->buf) {
		(void)close(fd);
		return 0;
	}
	v->fd = fd;
	v->id = ++s->last_id;
	v->asks = STREAM_ASKS;
	v->credit = STREAM_WINDOW;
	put_be32(id, v->id);
	return channel_send_raw(to, MSG_STREAM_OPEN, 0, id, 4, NULL, 0);
}

/* What the client says. */
static int ask(struct stream *v, struct channel *to)
{
	uint8_t buf[STREAM_ASKS], id[4];
	ssize_t n = recv(v->fd, buf, MIN((size_t)v->asks, sizeof(buf)), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	put_be32(id, v->id);
	if (n <= 0) {
		v->left = true;
		return channel_send_raw(to, MSG_STREAM_END, 0, id, 4, NULL, 0);
	}
	v->asks -= (uint32_t)n;
	return channel_send_raw(
		to, MSG_STREAM_DATA, 0, id, 4, buf, (uint32_t)n);
}

/* What the client is told. */
static int tell(struct streams *s, struct stream *v, struct channel *to)
{
	uint8_t id[4], credit[4];
	ssize_t n =
		send(v->fd, v->buf + v->start, v->end - v->start, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0) {
		v->start = v->end = 0;
		if (v->left)
			return 0;
		v->left = true;
		put_be32(id, v->id);
		return channel_send_raw(to, MSG_STREAM_END, 0, id, 4, NULL, 0);
	}
	v->start += (uint32_t)n;
	v->owed += (uint32_t)n;
	s->bytes += (uint64_t)n;
	if (v->start == v->end)
		v->start = v->end = 0;
	if (v->owed < STREAM_WINDOW / 8 || v->ended)
		return 0;
	put_be32(id, v->id);
	put_be32(credit, v->owed);
	v->credit += v->owed;
	v->owed = 0;
	return channel_send_raw(to, MSG_STREAM_CREDIT, 0, id, 4, credit, 4);
}

int streams_serve(struct streams *s, struct channel *to)
{
	int r = take_connection(s, to);

	for (unsigned i = 0; i < STREAMS_MAX && r == 0; i++) {
		struct stream *v = &s->v[i];

		if (!v->id)
			continue;
		if (v->start < v->end)
			r = tell(s, v, to);
		if (r == 0 && listens(v))
			r = ask(v, to);
		if (v->left || (v->ended && v->start == v->end))
			end_stream(v);
	}
	return r;
}

int streams_frame(struct streams *s, const struct frame *f)
{
	struct stream *v;
	uint32_t id, n;

	if (f->n < 4)
		return -EPROTO;
	id = get_be32(f->payload);
	n = f->n - 4;
	if (id == 0 || id > s->last_id)
		return -EPROTO;
	v = find(s, id);
	if (!v)
		return 0; /* we have ended it */
	switch (f->type) {
	case MSG_STREAM_DATA:
		if (n > v->credit || v->ended)
			return -EPROTO;
		v->credit -= n;
		if (v->end + n > STREAM_WINDOW) {
			memmove(v->buf, v->buf + v->start, v->end - v->start);
			v->end -= v->start;
			v->start = 0;
		}
		memcpy(v->buf + v->end, f->payload + 4, n);
		v->end += n;
		return 0;
	case MSG_STREAM_CREDIT:
		if (f->n != 8 ||
			get_be32(f->payload + 4) > STREAM_ASKS - v->asks)
			return -EPROTO;
		v->asks += get_be32(f->payload + 4);
		return 0;
	case MSG_STREAM_END:
		v->ended = true;
		return 0;
	default:
		return -EPROTO;
	}
}
