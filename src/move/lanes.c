/* SPDX-License-Identifier: Apache-2.0 */
#include "move/lanes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"

#define ACCEPT_MS 8000
#define CALL_MS 60000

/* Where the listening side may be reached: as ssh reached it, then all of its
 * own addresses, then the loopback when both are one machine. */
static void addresses(
	const struct msg_hello *h, bool same, struct msg_connect *m)
{
	m->n_addresses = 0;
	if (h->ssh_address[0])
		(void)snprintf(m->addresses[m->n_addresses++].text,
			sizeof(m->addresses[0].text), "%s", h->ssh_address);
	for (uint32_t i = 0; i < h->n_addresses && i < 6; i++)
		if (strcmp(h->addresses[i].text, h->ssh_address) != 0)
			m->addresses[m->n_addresses++] = h->addresses[i];
	if (same)
		(void)snprintf(m->addresses[m->n_addresses++].text,
			sizeof(m->addresses[0].text), "127.0.0.1");
}

/* One side listens, the other connects. */
static int connect_sides(struct session *s, const struct options *o,
	enum side listener, uint32_t generation, struct error *err)
{
	bool same = strcmp(s->host[SOURCE].hello.boot_id,
			    s->host[TARGET].hello.boot_id) == 0;
	struct msg_listen listen = {o->port_low, o->port_high, {0}};
	struct msg_lanes accept = {o->lanes, generation, ACCEPT_MS};
	static struct msg_connect connect;
	struct msg_listening at = {0};
	struct error why;
	uint32_t id;
	int r, e;

	io_random(listen.key, sizeof(listen.key));
	r = session_call(s, listener, MSG_LISTEN, &listen, &at, CALL_MS, err);
	if (r == 0)
		r = session_begin(s, listener, MSG_ACCEPT, &accept, &id, err);
	if (r < 0)
		return r;
	memset(&connect, 0, sizeof(connect));
	memcpy(connect.key, listen.key, sizeof(connect.key));
	connect.port = at.port;
	connect.lanes = o->lanes;
	connect.generation = generation;
	addresses(&s->host[listener].hello, same, &connect);
	r = session_call(s, (enum side) !listener, MSG_CONNECT, &connect, NULL,
		CALL_MS, err);
	/* The listener gives up by itself when nobody comes. */
	e = session_wait(
		s, listener, id, MSG_ACCEPT, NULL, CALL_MS, r < 0 ? &why : err);
	explicit_bzero(&listen, sizeof(listen));
	explicit_bzero(connect.key, sizeof(connect.key));
	return r < 0 ? r : e;
}

static int relay(struct session *s, const struct options *o,
	uint32_t generation, struct error *err)
{
	struct msg_lanes m = {o->lanes, generation, 0};
	int r = session_call(s, TARGET, MSG_RELAY, &m, NULL, CALL_MS, err);

	if (r == 0)
		r = session_call(s, SOURCE, MSG_RELAY, &m, NULL, CALL_MS, err);
	if (r == 0)
		session_relay(s, o->lanes);
	return r;
}

/* May the next way be tried? */
static bool go_on(const struct session *s, int r)
{
	return r < 0 && r != -EINTR && s->host[SOURCE].alive &&
	       s->host[TARGET].alive;
}

int lanes_make(struct session *s, const struct options *o, uint32_t generation,
	const char **ret_path, struct error *err)
{
	int r = -EINVAL;

	session_relay(s, 0);
	if (o->via == VIA_AUTO || o->via == VIA_DIRECT) {
		*ret_path = "direct";
		r = connect_sides(s, o, TARGET, generation, err);
	}
	if (go_on(s, r) && (o->via == VIA_AUTO || o->via == VIA_REVERSE)) {
		*ret_path = "reverse";
		r = connect_sides(s, o, SOURCE, generation, err);
	}
	if (go_on(s, r) && (o->via == VIA_AUTO || o->via == VIA_RELAY)) {
		*ret_path = "relay";
		r = relay(s, o, generation, err);
	}
	return r;
}
