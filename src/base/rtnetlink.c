/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rtnetlink.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define DUMP_BUFFER (64U * 1024)
/* A strange kernel may send for ever. */
#define DUMP_MESSAGES_MAX 100000

static size_t aligned(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

bool rtnetlink_next(const uint8_t **at, size_t *n, uint16_t *ret_type,
	uint32_t *ret_seq, const uint8_t **ret_body, size_t *ret_n)
{
	struct nlmsghdr h;

	if (*n < sizeof(h))
		return false;
	memcpy(&h, *at, sizeof(h));
	if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > *n)
		return false;
	*ret_type = h.nlmsg_type;
	*ret_seq = h.nlmsg_seq;
	*ret_body = *at + sizeof(h);
	*ret_n = h.nlmsg_len - sizeof(h);
	h.nlmsg_len = (uint32_t)MIN(aligned(h.nlmsg_len), *n);
	*at += h.nlmsg_len;
	*n -= h.nlmsg_len;
	return true;
}

/* Takes the first attribute of *n bytes at *at. */
static bool next_attribute(const uint8_t **at, size_t *n, uint16_t *ret_type,
	const uint8_t **ret_value, size_t *ret_n)
{
	struct rtattr a;
	size_t whole;

	if (*n < sizeof(a))
		return false;
	memcpy(&a, *at, sizeof(a));
	if (a.rta_len < sizeof(a) || a.rta_len > *n)
		return false;
	*ret_type = a.rta_type & NLA_TYPE_MASK;
	*ret_value = *at + sizeof(a);
	*ret_n = a.rta_len - sizeof(a);
	whole = MIN(aligned(a.rta_len), *n);
	*at += whole;
	*n -= whole;
	return true;
}

static size_t address_size(int family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

static bool get_u32(const uint8_t *value, size_t n, uint32_t *ret)
{
	if (n != sizeof(*ret))
		return false;
	memcpy(ret, value, sizeof(*ret));
	return true;
}

static bool get_address(
	const uint8_t *value, size_t n, int family, uint8_t ret[16])
{
	if (n == 0 || n != address_size(family))
		return false;
	memcpy(ret, value, n);
	return true;
}

int rtnetlink_address(
	const uint8_t *body, size_t n, struct rtnetlink_address *ret)
{
	struct rtnetlink_address a = {0};
	struct ifaddrmsg m;
	const uint8_t *value;
	uint16_t type;
	uint32_t flags;
	size_t value_n;
	bool has = false, own = false;

	if (n < sizeof(m))
		return -EBADMSG;
	memcpy(&m, body, sizeof(m));
	body += sizeof(m);
	n -= sizeof(m);
	a.family = m.ifa_family;
	a.prefix = m.ifa_prefixlen;
	a.index = m.ifa_index;
	if (address_size(a.family) == 0)
		return -ENOENT;
	if (a.prefix > 8 * address_size(a.family))
		return -EBADMSG;
	flags = m.ifa_flags;
	while (next_attribute(&body, &n, &type, &value, &value_n)) {
		/* Between two ends IFA_ADDRESS is the other end's. */
		if (type == IFA_LOCAL || (type == IFA_ADDRESS && !own)) {
			if (!get_address(value, value_n, a.family, a.bytes))
				return -EBADMSG;
			own = type == IFA_LOCAL;
			has = true;
		} else if (type == IFA_FLAGS) {
			if (!get_u32(value, value_n, &flags))
				return -EBADMSG;
		}
	}
	if (!has)
		return -EBADMSG;
	a.permanent = flags & IFA_F_PERMANENT;
	*ret = a;
	return 0;
}

/* RTA_VIA: a gateway of another family than the route. */
static bool get_via(const uint8_t *value, size_t n, struct rtnetlink_hop *hop)
{
	uint16_t family;

	if (n < sizeof(family))
		return false;
	memcpy(&family, value, sizeof(family));
	if (!get_address(value + sizeof(family), n - sizeof(family), family,
		    hop->via))
		return false;
	hop->family = family;
	return true;
}

static int get_hops(
	const uint8_t *value, size_t n, struct rtnetlink_route *route)
{
	while (n >= sizeof(struct rtnexthop) &&
		route->n_hops < RTNETLINK_HOPS) {
		struct rtnetlink_hop *hop = &route->hops[route->n_hops];
		const uint8_t *at = value + sizeof(struct rtnexthop), *v;
		struct rtnexthop h;
		size_t left, v_n, whole;
		uint16_t type;

		memcpy(&h, value, sizeof(h));
		if (h.rtnh_len < sizeof(h) || h.rtnh_len > n)
			return -EBADMSG;
		memset(hop, 0, sizeof(*hop));
		hop->index = (uint32_t)h.rtnh_ifindex;
		hop->onlink = h.rtnh_flags & RTNH_F_ONLINK;
		left = h.rtnh_len - sizeof(h);
		while (next_attribute(&at, &left, &type, &v, &v_n)) {
			if (type == RTA_GATEWAY) {
				if (!get_address(
					    v, v_n, route->family, hop->via))
					return -EBADMSG;
				hop->family = route->family;
			} else if (type == RTA_VIA && !get_via(v, v_n, hop)) {
				return -EBADMSG;
			}
		}
		route->n_hops++;
		whole = MIN(aligned(h.rtnh_len), n);
		value += whole;
		n -= whole;
	}
	return 0;
}

static int get_route_attribute(uint16_t type, const uint8_t *value, size_t n,
	struct rtnetlink_route *r, struct rtnetlink_hop *hop, uint32_t *table)
{
	bool ok = true;

	switch (type) {
	case RTA_DST:
		ok = get_address(value, n, r->family, r->to);
		break;
	case RTA_TABLE:
		ok = get_u32(value, n, table);
		break;
	case RTA_OIF:
		ok = get_u32(value, n, &hop->index);
		break;
	case RTA_PRIORITY:
		ok = get_u32(value, n, &r->metric);
		break;
	case RTA_GATEWAY:
		ok = get_address(value, n, r->family, hop->via);
		hop->family = r->family;
		break;
	case RTA_VIA:
		ok = get_via(value, n, hop);
		break;
	case RTA_MULTIPATH:
		return get_hops(value, n, r);
	default:
		break;
	}
	return ok ? 0 : -EBADMSG;
}

static bool is_wanted(const struct rtmsg *m)
{
	return !(m->rtm_flags & RTM_F_CLONED) &&
	       (m->rtm_type == RTN_UNICAST || m->rtm_type == RTN_BLACKHOLE ||
		       m->rtm_type == RTN_UNREACHABLE ||
		       m->rtm_type == RTN_PROHIBIT);
}

/* The body of an RTM_NEWROUTE whose head is m, of any table. */
static int get_route(const struct rtmsg *m, const uint8_t *body, size_t n,
	struct rtnetlink_route *ret, uint32_t *ret_table)
{
	struct rtnetlink_route r = {0};
	struct rtnetlink_hop hop = {0};
	const uint8_t *value;
	uint16_t type;
	uint32_t table = m->rtm_table;
	size_t value_n;
	int error;

	body += sizeof(*m);
	n -= sizeof(*m);
	r.family = m->rtm_family;
	r.prefix = m->rtm_dst_len;
	r.type = m->rtm_type;
	r.protocol = m->rtm_protocol;
	if (address_size(r.family) == 0)
		return -ENOENT;
	if (r.prefix > 8 * address_size(r.family))
		return -EBADMSG;
	hop.onlink = m->rtm_flags & RTNH_F_ONLINK;
	while (next_attribute(&body, &n, &type, &value, &value_n)) {
		error = get_route_attribute(
			type, value, value_n, &r, &hop, &table);
		if (error < 0)
			return error;
	}
	if (r.n_hops == 0)
		r.hops[r.n_hops++] = hop;
	*ret = r;
	*ret_table = table;
	return 0;
}

int rtnetlink_route(const uint8_t *body, size_t n, struct rtnetlink_route *ret)
{
	struct rtnetlink_route r;
	struct rtmsg m;
	uint32_t table;
	int error;

	if (n < sizeof(m))
		return -EBADMSG;
	memcpy(&m, body, sizeof(m));
	if (!is_wanted(&m))
		return -ENOENT;
	error = get_route(&m, body, n, &r, &table);
	if (error < 0)
		return error;
	if (table != RT_TABLE_MAIN)
		return -ENOENT;
	*ret = r;
	return 0;
}

/* A text with or without its NUL; what does not fit is cut. */
static void get_text(const uint8_t *value, size_t n, char *buf, size_t size)
{
	n = strnlen((const char *)value, MIN(n, size - 1));
	memcpy(buf, value, n);
	buf[n] = '\0';
}

int rtnetlink_link(const uint8_t *body, size_t n, struct rtnetlink_link *ret)
{
	struct rtnetlink_link l = {0};
	struct ifinfomsg m;
	const uint8_t *value, *info;
	size_t value_n, info_n;
	uint16_t type;

	if (n < sizeof(m))
		return -EBADMSG;
	memcpy(&m, body, sizeof(m));
	body += sizeof(m);
	n -= sizeof(m);
	l.index = (uint32_t)m.ifi_index;
	l.flags = m.ifi_flags;
	l.type = m.ifi_type;
	while (next_attribute(&body, &n, &type, &value, &value_n)) {
		if (type == IFLA_IFNAME) {
			get_text(value, value_n, l.name, sizeof(l.name));
		} else if (type == IFLA_LINK) {
			if (!get_u32(value, value_n, &l.lower))
				return -EBADMSG;
		} else if (type == IFLA_LINK_NETNSID) {
			l.elsewhere = true;
		} else if (type == IFLA_LINKINFO) {
			while (next_attribute(
				&value, &value_n, &type, &info, &info_n))
				if (type == IFLA_INFO_KIND)
					get_text(info, info_n, l.kind,
						sizeof(l.kind));
		}
	}
	if (l.index == 0 || !l.name[0])
		return -EBADMSG;
	*ret = l;
	return 0;
}

int rtnetlink_neighbour(
	const uint8_t *body, size_t n, struct rtnetlink_neighbour *ret)
{
	struct rtnetlink_neighbour e = {0};
	struct ndmsg m;
	const uint8_t *value;
	size_t value_n;
	uint16_t type;
	bool has_address = false, has_mac = false;

	if (n < sizeof(m))
		return -EBADMSG;
	memcpy(&m, body, sizeof(m));
	body += sizeof(m);
	n -= sizeof(m);
	e.index = (uint32_t)m.ndm_ifindex;
	e.family = m.ndm_family;
	if (address_size(e.family) == 0 ||
		(m.ndm_state & (NUD_INCOMPLETE | NUD_FAILED | NUD_NOARP)))
		return -ENOENT;
	while (next_attribute(&body, &n, &type, &value, &value_n)) {
		if (type == NDA_DST) {
			if (!get_address(value, value_n, e.family, e.bytes))
				return -EBADMSG;
			has_address = true;
		} else if (type == NDA_LLADDR && value_n == sizeof(e.mac)) {
			memcpy(e.mac, value, sizeof(e.mac));
			has_mac = true;
		}
	}
	if (!has_address)
		return -EBADMSG;
	if (!has_mac)
		return -ENOENT;
	*ret = e;
	return 0;
}

struct request {
	struct nlmsghdr h;
	union {
		struct rtmsg route;
		struct ifaddrmsg address;
		struct ifinfomsg link;
		struct ndmsg neighbour;
	} m;
	uint8_t attributes[64];
};

/* n bytes behind the head. */
static int send_request(int fd, struct request *request, uint16_t type,
	size_t n, uint16_t flags)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct timeval wait = {.tv_sec = 1};

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
		return -errno;
	n += sizeof(request->h);
	request->h.nlmsg_len = (uint32_t)n;
	request->h.nlmsg_type = type;
	request->h.nlmsg_flags = flags;
	request->h.nlmsg_seq = 1;
	if (sendto(fd, request, n, 0, (void *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	return 0;
}

static int ask(int fd, uint16_t type, int family)
{
	struct request request = {0};
	size_t n = sizeof(request.m.route);

	/* Where the kernel knows it, it sends the main table alone. */
	if (type == RTM_GETROUTE) {
		int on = 1;

		(void)setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on,
			sizeof(on));
		request.m.route.rtm_table = RT_TABLE_MAIN;
	}
	if (type == RTM_GETADDR)
		n = sizeof(request.m.address);
	else if (type == RTM_GETLINK)
		n = sizeof(request.m.link);
	else if (type == RTM_GETNEIGH)
		n = sizeof(request.m.neighbour);
	/* All messages begin with their family. */
	request.m.route.rtm_family = (uint8_t)family;
	return send_request(fd, &request, type, n, NLM_F_REQUEST | NLM_F_DUMP);
}

/* The NLMSG_ERROR's code. */
static int told_error(const uint8_t *body, size_t n)
{
	int32_t code;

	if (n < sizeof(code))
		return -EBADMSG;
	memcpy(&code, body, sizeof(code));
	return code < 0 && code > -4096 ? code : -EBADMSG;
}

/* Receives what the kernel itself sent, not what processes may send as well.
 * Returns how much. */
static ssize_t receive(int fd, uint8_t *buf)
{
	for (;;) {
		struct sockaddr_nl from = {0};
		socklen_t from_n = sizeof(from);
		ssize_t k = recvfrom(fd, buf, DUMP_BUFFER, MSG_TRUNC,
			(void *)&from, &from_n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (from.nl_pid != 0)
			continue;
		if (k == 0 || (size_t)k > DUMP_BUFFER)
			return -EBADMSG;
		return k;
	}
}

int rtnetlink_dump(uint16_t type, int family,
	int (*fn)(void *arg, const uint8_t *body, size_t n), void *arg)
{
	CLEANUP_CLOSE int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	CLEANUP_FREE uint8_t *buf = malloc(DUMP_BUFFER);
	uint32_t messages = 0;
	int r;

	if (fd < 0)
		return -errno;
	if (!buf)
		return -ENOMEM;
	r = ask(fd, type, family);
	while (r == 0) {
		const uint8_t *at = buf, *body;
		size_t left, n;
		uint16_t got;
		uint32_t seq;
		ssize_t k = receive(fd, buf);

		if (k < 0)
			return (int)k;
		left = (size_t)k;
		while (r == 0 &&
			rtnetlink_next(&at, &left, &got, &seq, &body, &n)) {
			if (++messages > DUMP_MESSAGES_MAX)
				return -E2BIG;
			if (seq != 1)
				continue;
			if (got == NLMSG_DONE)
				return 0;
			if (got == NLMSG_ERROR)
				return told_error(body, n);
			if (got == type - 2) /* RTM_NEW… */
				r = fn(arg, body, n);
		}
	}
	return r;
}

static size_t add_attribute(struct request *request, size_t at, uint16_t type,
	const void *value, size_t n)
{
	struct rtattr a = {(uint16_t)(sizeof(a) + n), type};
	uint8_t *to = (uint8_t *)request + sizeof(request->h) + at;

	memcpy(to, &a, sizeof(a));
	memcpy(to + sizeof(a), value, n);
	return at + aligned(sizeof(a) + n);
}

/* The one answer. */
static int read_way(
	const uint8_t *buf, size_t left, struct rtnetlink_route *ret)
{
	const uint8_t *body;
	struct rtmsg m;
	uint16_t got;
	uint32_t seq, table;
	size_t n;

	if (!rtnetlink_next(&buf, &left, &got, &seq, &body, &n) || seq != 1)
		return -EBADMSG;
	if (got == NLMSG_ERROR)
		return told_error(body, n);
	if (got != RTM_NEWROUTE || n < sizeof(m))
		return -EBADMSG;
	memcpy(&m, body, sizeof(m));
	return get_route(&m, body, n, ret, &table);
}

int rtnetlink_way(int family, const uint8_t to[16], const uint8_t *from,
	uint32_t index, bool whole, struct rtnetlink_route *ret)
{
	CLEANUP_CLOSE int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	CLEANUP_FREE uint8_t *buf = malloc(DUMP_BUFFER);
	struct request request = {0};
	size_t size = address_size(family), n = sizeof(request.m.route);
	ssize_t k;
	int r;

	if (size == 0)
		return -EAFNOSUPPORT;
	if (fd < 0)
		return -errno;
	if (!buf)
		return -ENOMEM;
	request.m.route.rtm_family = (uint8_t)family;
	request.m.route.rtm_dst_len = (uint8_t)(8 * size);
	request.m.route.rtm_flags = whole ? RTM_F_FIB_MATCH : 0;
	n = add_attribute(&request, n, RTA_DST, to, size);
	if (from) {
		request.m.route.rtm_src_len = (uint8_t)(8 * size);
		n = add_attribute(&request, n, RTA_SRC, from, size);
	}
	if (index > 0)
		n = add_attribute(&request, n, RTA_OIF, &index, sizeof(index));
	r = send_request(fd, &request, RTM_GETROUTE, n, NLM_F_REQUEST);
	if (r < 0)
		return r;
	k = receive(fd, buf);
	return k < 0 ? (int)k : read_way(buf, (size_t)k, ret);
}
