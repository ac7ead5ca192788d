/* SPDX-License-Identifier: Apache-2.0 */
/* Making the agent's lanes, and relaying them through the controller. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/io.h"

static void on_durable(void *arg, struct msg_durable *m)
{
	struct agent *a = arg;

	m->generation = a->generation;
	agent_answer(a, MSG_DURABLE, 0, m);
}

static void on_mismatch(void *arg, struct msg_mismatch *m)
{
	struct agent *a = arg;

	m->generation = a->generation;
	agent_answer(a, MSG_MISMATCH, 0, m);
}

/* Puts new lanes to use in place of old ones. Frees them on failure. */
static int install(struct agent *a, struct lane **lanes, unsigned n,
	uint32_t generation, struct error *err)
{
	struct receiver_events events = {on_durable, on_mismatch, a};
	int r;

	if (agent_sends(a)) {
		(void)pthread_mutex_lock(&a->sender_lock);
		sender_free(a->sender);
		a->sender = NULL;
		a->generation = generation;
		r = sender_new(
			a->sends, a->reads, a->secret, lanes, n, &a->sender);
		(void)pthread_mutex_unlock(&a->sender_lock);
	} else {
		receiver_stop(a->receiver);
		a->receiver = NULL;
		a->generation = generation;
		r = receiver_start(a->volume, a->secret, &a->withheld, lanes, n,
			&events, &a->receiver);
	}
	if (r < 0)
		return error_set(err, r, "use the lanes");
	return 0;
}

static void free_lanes(struct lane **lanes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		lane_free(lanes[i]);
}

int lanes_listen(struct agent *a, const struct frame *f, struct error *err)
{
	struct msg_listening out = {0};
	struct msg_listen m;
	int r;

	if (frame_decode(f, &m) < 0 || m.low > 65535 || m.high > 65535)
		return error_set(err, -EPROTO, "understand a request");
	lane_listener_free(a->listener);
	a->listener = NULL;
	r = lane_listen(m.low, m.high, m.key, &a->listener, err);
	explicit_bzero(&m, sizeof(m));
	if (r < 0)
		return r;
	out.port = lane_listener_port(a->listener);
	agent_answer(a, MSG_LISTENING, f->id, &out);
	return 0;
}

int lanes_accept(struct agent *a, const struct frame *f, struct error *err)
{
	struct lane *lanes[LANES_MAX] = {NULL}, *l;
	struct msg_lanes m;
	uint32_t number;
	int r = 0;

	if (frame_decode(f, &m) < 0 || m.lanes == 0 || m.lanes > LANES_MAX)
		return error_set(err, -EPROTO, "understand a request");
	if (!a->listener)
		return error_set(err, -ENOTCONN, "accept lanes");
	for (unsigned i = 0; i < m.lanes && r == 0; i++) {
		r = lane_accept(a->listener, m.timeout_ms, &l, &number, err);
		if (r < 0)
			break;
		if (number >= m.lanes || lanes[number]) {
			lane_free(l);
			r = error_set(err, -EPROTO, "accept lanes");
		} else {
			lanes[number] = l;
		}
	}
	lane_listener_free(a->listener);
	a->listener = NULL;
	if (r < 0) {
		free_lanes(lanes, LANES_MAX);
		return r;
	}
	r = install(a, lanes, m.lanes, m.generation, err);
	if (r == 0)
		agent_answer(a, MSG_OK, f->id, NULL);
	return r;
}

int lanes_connect(struct agent *a, const struct frame *f, struct error *err)
{
	struct lane *lanes[LANES_MAX] = {NULL};
	static struct msg_connect m;
	const char *address = NULL;
	unsigned n = 0;
	int r = -EHOSTUNREACH;

	if (frame_decode(f, &m) < 0 || m.lanes == 0 || m.lanes > LANES_MAX ||
		m.port == 0 || m.port > 65535)
		return error_set(err, -EPROTO, "understand a request");
	error_set(err, r, "connect lanes");
	for (uint32_t i = 0; i < m.n_addresses && n == 0; i++) {
		address = m.addresses[i].text;
		r = lane_connect(
			address, m.port, m.key, 0, 3000, &lanes[0], err);
		n = r == 0;
	}
	while (r == 0 && n < m.lanes) {
		r = lane_connect(
			address, m.port, m.key, n, 5000, &lanes[n], err);
		n += r == 0;
	}
	if (r < 0) {
		free_lanes(lanes, n);
		return r;
	}
	r = install(a, lanes, n, m.generation, err);
	if (r == 0)
		agent_answer(a, MSG_OK, f->id, NULL);
	return r;
}

/* ---- relay ---- */

void relay_end(struct agent *a)
{
	for (unsigned i = 0; i < a->n_relays; i++) {
		(void)close(a->relays[i].fd);
		free(a->relays[i].buf);
	}
	memset(a->relays, 0, sizeof(a->relays));
	a->n_relays = 0;
}

int lanes_relay(struct agent *a, const struct frame *f, struct error *err)
{
	struct lane *lanes[LANES_MAX] = {NULL};
	struct msg_lanes m;
	int r = 0;

	if (frame_decode(f, &m) < 0 || m.lanes == 0 || m.lanes > LANES_MAX)
		return error_set(err, -EPROTO, "understand a request");
	relay_end(a);
	for (unsigned i = 0; i < m.lanes && r == 0; i++) {
		struct relay *l = &a->relays[i];
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) <
			0) {
			r = -errno;
			break;
		}
		l->fd = pair[0];
		l->credit = RELAY_WINDOW;
		l->buf = a->state == IN_TARGET ? malloc(RELAY_WINDOW) : NULL;
		a->n_relays++;
		r = io_set_nonblock(pair[0], 1);
		if (r == 0 && a->state == IN_TARGET && !l->buf)
			r = -ENOMEM;
		if (r == 0)
			r = lane_plain(pair[1], &lanes[i]);
		if (r < 0)
			(void)close(pair[1]);
	}
	if (r < 0) {
		free_lanes(lanes, LANES_MAX);
		relay_end(a);
		return error_set(err, r, "relay lanes");
	}
	r = install(a, lanes, m.lanes, m.generation, err);
	if (r == 0)
		agent_answer(a, MSG_OK, f->id, NULL);
	return r;
}

int relay_frame(struct agent *a, const struct frame *f)
{
	struct relay *l;
	uint32_t lane, n;

	if (f->n < 4)
		return -EPROTO;
	lane = get_be32(f->payload);
	if (lane >= a->n_relays)
		return 0; /* of lanes that are gone */
	l = &a->relays[lane];
	if (f->type == MSG_RELAY_CREDIT) {
		if (f->n != 8 || !agent_sends(a))
			return -EPROTO;
		l->credit += get_be32(f->payload + 4);
		return l->credit > RELAY_WINDOW ? -EPROTO : 0;
	}
	if (a->state != IN_TARGET)
		return -EPROTO;
	if (f->type == MSG_RELAY_END) {
		l->ended = true;
		return 0;
	}
	n = f->n - 4;
	if (l->end + n > RELAY_WINDOW && l->start > 0) {
		memmove(l->buf, l->buf + l->start, l->end - l->start);
		l->end -= l->start;
		l->start = 0;
	}
	if (l->end + n > RELAY_WINDOW)
		return -EPROTO; /* more than its credit */
	memcpy(l->buf + l->end, f->payload + 4, n);
	l->end += n;
	return 0;
}

void relay_poll(struct agent *a, struct pollfd *p)
{
	/* The controller's messages go first: no more data into the queue than
	 * keeps the connection busy. */
	bool full = channel_queued(a->channel) > 16 * RELAY_PIECE;

	for (unsigned i = 0; i < a->n_relays; i++) {
		struct relay *l = &a->relays[i];

		p[i].fd = l->fd;
		p[i].revents = 0;
		if (a->state == IN_TARGET)
			p[i].events =
				l->start < l->end || l->ended ? POLLOUT : 0;
		else
			p[i].events = l->credit > 0 && !full && !l->ended
					      ? POLLIN
					      : 0;
		if (!p[i].events)
			p[i].fd = -1;
	}
}

static int read_relay(struct agent *a, unsigned i)
{
	static uint8_t buf[RELAY_PIECE];
	struct relay *l = &a->relays[i];
	uint8_t lane[4];
	ssize_t n;

	n = read(l->fd, buf, MIN(l->credit, (uint64_t)sizeof(buf)));
	put_be32(lane, i);
	if (n > 0) {
		l->credit -= (uint64_t)n;
		return channel_send_raw(a->channel, MSG_RELAY_DATA, 0, lane, 4,
			buf, (uint32_t)n);
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	l->ended = true;
	return channel_send_raw(a->channel, MSG_RELAY_END, 0, lane, 4, NULL, 0);
}

static int write_relay(struct agent *a, unsigned i)
{
	struct relay *l = &a->relays[i];
	uint8_t lane[4], credit[4];
	ssize_t n;

	if (l->start < l->end) {
		n = send(l->fd, l->buf + l->start, l->end - l->start,
			MSG_NOSIGNAL);
		if (n > 0) {
			l->start += (uint32_t)n;
			l->owed += (uint32_t)n;
		} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
			l->start = l->end; /* the lane is gone */
		}
	}
	if (l->start == l->end) {
		l->start = l->end = 0;
		if (l->ended)
			(void)shutdown(l->fd, SHUT_WR);
		l->ended = false;
	}
	if (l->owed < RELAY_WINDOW / 16)
		return 0;
	put_be32(lane, i);
	put_be32(credit, l->owed);
	l->owed = 0;
	return channel_send_raw(
		a->channel, MSG_RELAY_CREDIT, 0, lane, 4, credit, 4);
}

int relay_serve(struct agent *a, const struct pollfd *p)
{
	int r = 0;

	for (unsigned i = 0; i < a->n_relays && r == 0; i++)
		if (p[i].fd >= 0 && p[i].revents)
			r = a->state == IN_TARGET ? write_relay(a, i)
						  : read_relay(a, i);
	return r;
}
