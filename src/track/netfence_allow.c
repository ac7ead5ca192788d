/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a fence of the network lets pass: reading addresses, and finding what
 * leads to them. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/rtnetlink.h"
#include "track/netfence.h"

static size_t size_of(const struct netfence_address *a)
{
	return a->family == AF_INET ? 4 : a->family == AF_INET6 ? 16 : 6;
}

static bool is_same(
	const struct netfence_address *a, const struct netfence_address *b)
{
	return a->family == b->family &&
	       memcmp(a->bytes, b->bytes, size_of(a)) == 0;
}

int netfence_address(const char *text, struct netfence_address *ret)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct netfence_address a = {.family = AF_INET};
	const char *scope = strchr(text, '%');
	char plain[INET6_ADDRSTRLEN];
	size_t n = scope ? (size_t)(scope - text) : strlen(text);

	if (n >= sizeof(plain))
		return -EINVAL;
	memcpy(plain, text, n);
	plain[n] = '\0';
	if (!scope && inet_pton(AF_INET, plain, a.bytes) == 1) {
		*ret = a;
		return 0;
	}
	if (inet_pton(AF_INET6, plain, a.bytes) != 1)
		return -EINVAL;
	if (memcmp(a.bytes, mapped, sizeof(mapped)) == 0) {
		memmove(a.bytes, a.bytes + sizeof(mapped), 4);
		memset(a.bytes + 4, 0, 12);
		*ret = a;
		return 0;
	}
	a.family = AF_INET6;
	if (scope) {
		a.index = if_nametoindex(scope + 1);
		if (a.index == 0)
			return -EINVAL;
	}
	*ret = a;
	return 0;
}

int netfence_add_peer(
	struct netfence_allow *allow, const struct netfence_address *peer)
{
	if (peer->family != AF_INET && peer->family != AF_INET6)
		return -EAFNOSUPPORT;
	for (uint32_t i = 0; i < allow->n_peers; i++) {
		uint16_t *port = &allow->peers[i].port;

		if (!is_same(&allow->peers[i], peer))
			continue;
		if (peer->port && *port && *port != peer->port)
			return -EEXIST;
		if (!peer->port)
			*port = 0;
		return 0;
	}
	if (allow->n_peers == NETFENCE_PEERS)
		return -E2BIG;
	allow->peers[allow->n_peers++] = *peer;
	return 0;
}

int netfence_add_connection(
	struct netfence_allow *allow, const char *connection)
{
	const char *end = strchr(connection, ' ');
	char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
	struct netfence_address a;
	int r;

	if (!end || (size_t)(end - connection) >= sizeof(text))
		return -EINVAL;
	memcpy(text, connection, (size_t)(end - connection));
	text[end - connection] = '\0';
	r = netfence_address(text, &a);
	return r < 0 ? r : netfence_add_peer(allow, &a);
}

static int add_near(
	struct netfence_allow *allow, const struct netfence_address *a)
{
	for (uint32_t i = 0; i < allow->n_near; i++)
		if (is_same(&allow->near[i], a))
			return 0;
	if (allow->n_near == NETFENCE_NEAR_MAX)
		return -E2BIG;
	allow->near[allow->n_near++] = *a;
	return 0;
}

/* ---- next hops ---- */

struct wanted_link {
	uint32_t index;
	bool found;
	struct rtnetlink_link link;
};

static int match_link(void *arg, const uint8_t *body, size_t n)
{
	struct wanted_link *w = arg;

	if (rtnetlink_link(body, n, &w->link) < 0 || w->link.index != w->index)
		return 0;
	w->found = true;
	return 1;
}

/* Frames to a peer must go out as they are, not within packets to somebody
 * else whom the fence does not know. */
static int check_link(uint32_t index, const char *peer, struct error *err)
{
	static const char *const plain[] = {"", "vlan", "bridge", "bond",
		"team", "macvlan", "ipvlan", "veth", "vrf", "openvswitch",
		"dummy"};
	struct wanted_link w = {.index = index};
	int r = rtnetlink_dump(RTM_GETLINK, AF_UNSPEC, match_link, &w);

	if (r < 0 || !w.found)
		return error_set(err, r < 0 ? r : -ENODEV,
			"find the interface to %s", peer);
	if (w.link.type == ARPHRD_LOOPBACK)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if (w.link.type == ARPHRD_ETHER &&
			strcmp(w.link.kind, plain[i]) == 0)
			return 0;
	error_set(err, -EOPNOTSUPP, "fence the network but for %s", peer);
	error_why(err, "it is reached by %s, a tunnel (%s)", w.link.name,
		w.link.kind[0] ? w.link.kind : "no Ethernet");
	return error_todo(err, "reach the machine without the tunnel");
}

static int add_hops(struct netfence_allow *allow,
	const struct rtnetlink_route *route, const char *peer,
	struct error *err)
{
	for (uint32_t i = 0; i < route->n_hops; i++) {
		const struct rtnetlink_hop *hop = &route->hops[i];
		struct netfence_address a = {
			.family = hop->family, .index = hop->index};
		int r = check_link(hop->index, peer, err);

		if (r < 0)
			return r;
		if (hop->family == 0)
			continue;
		memcpy(a.bytes, hop->via, sizeof(a.bytes));
		r = add_near(allow, &a);
		if (r < 0)
			return error_set(err, r, "note the ways to %s", peer);
	}
	return 0;
}

static int find_hops(struct netfence_allow *allow,
	const struct netfence_address *peer, struct error *err)
{
	struct rtnetlink_route route;
	char text[INET6_ADDRSTRLEN] = "";
	int r;

	(void)inet_ntop(peer->family, peer->bytes, text, sizeof(text));
	r = rtnetlink_way(
		peer->family, peer->bytes, NULL, peer->index, false, &route);
	if (r < 0)
		return error_set(err, r, "find the way to %s", text);
	/* The machine itself: through the loopback. */
	if (route.type == RTN_LOCAL)
		return 0;
	r = add_hops(allow, &route, text, err);
	if (r < 0)
		return r;
	/* Where there are several hops, any of them may come to ask. */
	if (rtnetlink_way(peer->family, peer->bytes, NULL, peer->index, true,
		    &route) < 0 ||
		route.type != RTN_UNICAST)
		return 0;
	return add_hops(allow, &route, text, err);
}

/* ---- neighbours ---- */

static bool is_known(
	const struct netfence_allow *allow, const struct netfence_address *a)
{
	for (uint32_t i = 0; i < allow->n_peers; i++)
		if (is_same(&allow->peers[i], a))
			return true;
	for (uint32_t i = 0; i < allow->n_near; i++)
		if (is_same(&allow->near[i], a))
			return true;
	return false;
}

static int take_neighbour(void *arg, const uint8_t *body, size_t n)
{
	struct netfence_address a = {0}, mac = {.family = AF_PACKET};
	struct rtnetlink_neighbour e;

	if (rtnetlink_neighbour(body, n, &e) < 0)
		return 0;
	a.family = e.family;
	memcpy(a.bytes, e.bytes, sizeof(a.bytes));
	if (!is_known(arg, &a))
		return 0;
	memcpy(mac.bytes, e.mac, sizeof(e.mac));
	return add_near(arg, &mac);
}

int netfence_find_near(struct netfence_allow *allow, struct error *err)
{
	static const int families[] = {AF_INET, AF_INET6};

	for (uint32_t i = 0; i < allow->n_peers; i++) {
		int r = find_hops(allow, &allow->peers[i], err);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		int r = rtnetlink_dump(
			RTM_GETNEIGH, families[i], take_neighbour, allow);

		/* A kernel without IPv6 has no such table. */
		if (r < 0 && r != -ENOENT && r != -EOPNOTSUPP &&
			r != -EAFNOSUPPORT)
			return error_set(err, r, "list the neighbours");
	}
	return 0;
}
