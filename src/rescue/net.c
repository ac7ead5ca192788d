/* SPDX-License-Identifier: Apache-2.0 */
#include "rescue/net.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define ANSWER 32768
/* Routes of the second card are there too, but come after the first one's. */
#define METRIC 100

struct request {
	struct nlmsghdr h;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg address;
		struct rtmsg route;
	} u;
	char attributes[256];
};

static int open_socket(uint32_t groups)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = groups};
	struct timeval limit = {.tv_sec = 5};
	CLEANUP_CLOSE int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) <
			0)
		return -errno;
	return STEAL_FD(fd);
}

int net_watch(void)
{
	return open_socket(
		RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR);
}

static void add_attribute(
	struct request *r, unsigned short type, const void *data, size_t n)
{
	size_t at = NLMSG_ALIGN(r->h.nlmsg_len);
	struct rtattr a = {
		.rta_type = type,
		.rta_len = (unsigned short)RTA_LENGTH(n),
	};

	memcpy((char *)r + at, &a, sizeof(a));
	memcpy((char *)r + at + RTA_LENGTH(0), data, n);
	r->h.nlmsg_len = (uint32_t)(at + RTA_ALIGN(a.rta_len));
}

/* Sends a request, and calls each (unless it is NULL) for every message of the
 * answer, until its end. */
static int talk(struct request *r,
	void (*each)(const struct nlmsghdr *h, void *arg), void *arg)
{
	CLEANUP_CLOSE int fd = open_socket(0);
	CLEANUP_FREE char *buf = malloc(ANSWER);
	struct nlmsghdr *h;

	if (fd < 0)
		return fd;
	if (!buf)
		return -ENOMEM;
	r->h.nlmsg_seq = 1;
	if (send(fd, r, r->h.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(fd, buf, ANSWER, 0);
		unsigned left;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		left = (unsigned)n;
		for (h = (struct nlmsghdr *)buf; NLMSG_OK(h, left);
			h = NLMSG_NEXT(h, left)) {
			struct nlmsgerr e;

			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR) {
				if (h->nlmsg_len < NLMSG_LENGTH(sizeof(e)))
					return -EBADMSG;
				memcpy(&e, NLMSG_DATA(h), sizeof(e));
				return e.error;
			}
			if (each)
				each(h, arg);
		}
	}
}

struct list {
	void *items;
	uint32_t n, max;
};

static void take_link(const struct nlmsghdr *h, void *arg)
{
	struct list *l = arg;
	struct net_link *to = (struct net_link *)l->items + l->n;
	struct ifinfomsg i;
	int left = (int)h->nlmsg_len - (int)NLMSG_LENGTH(sizeof(i));

	if (h->nlmsg_type != RTM_NEWLINK || left < 0 || l->n == l->max)
		return;
	memset(to, 0, sizeof(*to));
	memcpy(&i, NLMSG_DATA(h), sizeof(i));
	to->index = i.ifi_index;
	to->up = (i.ifi_flags & IFF_UP) != 0;
	to->running = (i.ifi_flags & IFF_RUNNING) != 0;
	for (struct rtattr *a = IFLA_RTA(NLMSG_DATA(h)); RTA_OK(a, left);
		a = RTA_NEXT(a, left)) {
		size_t n = RTA_PAYLOAD(a);

		if (a->rta_type == IFLA_IFNAME && n > 0)
			(void)snprintf(to->name, sizeof(to->name), "%.*s",
				(int)n, (char *)RTA_DATA(a));
		if (a->rta_type == IFLA_MTU && n == sizeof(to->mtu))
			memcpy(&to->mtu, RTA_DATA(a), n);
		if (a->rta_type == IFLA_ADDRESS && n == sizeof(to->mac)) {
			memcpy(to->mac, RTA_DATA(a), n);
			to->ethernet = i.ifi_type == ARPHRD_ETHER;
		}
	}
	if (to->name[0])
		l->n++;
}

int net_links(struct net_link *ret, uint32_t max)
{
	struct list l = {.items = ret, .max = max};
	struct request q = {
		.h = {.nlmsg_len = NLMSG_LENGTH(sizeof(q.u.link)),
			.nlmsg_type = RTM_GETLINK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	};
	int r = talk(&q, take_link, &l);

	return r < 0 ? r : (int)l.n;
}

static size_t address_size(int family)
{
	return family == AF_INET6 ? 16 : 4;
}

static void take_address(const struct nlmsghdr *h, void *arg)
{
	struct list *l = arg;
	struct net_address *to = (struct net_address *)l->items + l->n;
	struct ifaddrmsg i;
	int left = (int)h->nlmsg_len - (int)NLMSG_LENGTH(sizeof(i));
	uint32_t flags;
	bool found = false;

	if (h->nlmsg_type != RTM_NEWADDR || left < 0 || l->n == l->max)
		return;
	memcpy(&i, NLMSG_DATA(h), sizeof(i));
	memset(to, 0, sizeof(*to));
	to->index = (int)i.ifa_index;
	to->family = i.ifa_family;
	to->prefix = i.ifa_prefixlen;
	flags = i.ifa_flags;
	for (struct rtattr *a = IFA_RTA(NLMSG_DATA(h)); RTA_OK(a, left);
		a = RTA_NEXT(a, left)) {
		size_t n = RTA_PAYLOAD(a);
		bool wanted = a->rta_type == IFA_LOCAL ||
			      (a->rta_type == IFA_ADDRESS && !found);

		if (a->rta_type == IFA_FLAGS && n == sizeof(flags))
			memcpy(&flags, RTA_DATA(a), n);
		if (wanted && n == address_size(to->family)) {
			memcpy(to->address, RTA_DATA(a), n);
			found = true;
		}
	}
	to->global = i.ifa_scope == RT_SCOPE_UNIVERSE &&
		     !(flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED));
	if (found)
		l->n++;
}

int net_addresses(struct net_address *ret, uint32_t max)
{
	struct list l = {.items = ret, .max = max};
	struct request q = {
		.h = {.nlmsg_len = NLMSG_LENGTH(sizeof(q.u.address)),
			.nlmsg_type = RTM_GETADDR,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	};
	int r = talk(&q, take_address, &l);

	return r < 0 ? r : (int)l.n;
}

int net_set_up(int index)
{
	struct request q = {
		.h = {.nlmsg_len = NLMSG_LENGTH(sizeof(q.u.link)),
			.nlmsg_type = RTM_NEWLINK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.u.link = {.ifi_index = index,
			.ifi_flags = IFF_UP,
			.ifi_change = IFF_UP},
	};

	return talk(&q, NULL, NULL);
}

int net_set_mtu(int index, uint32_t mtu)
{
	struct request q = {
		.h = {.nlmsg_len = NLMSG_LENGTH(sizeof(q.u.link)),
			.nlmsg_type = RTM_NEWLINK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.u.link = {.ifi_index = index},
	};

	add_attribute(&q, IFLA_MTU, &mtu, sizeof(mtu));
	return talk(&q, NULL, NULL);
}

static int change_address(unsigned short type, unsigned short flags, int index,
	int family, const uint8_t *address, uint32_t prefix)
{
	struct request q = {
		.h = {.nlmsg_len = NLMSG_LENGTH(sizeof(q.u.address)),
			.nlmsg_type = type,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags},
		.u.address = {.ifa_family = (uint8_t)family,
			.ifa_prefixlen = (uint8_t)prefix,
			.ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0,
			.ifa_index = (uint32_t)index},
	};
	size_t n = address_size(family);
	uint8_t broadcast[4];

	add_attribute(&q, IFA_LOCAL, address, n);
	add_attribute(&q, IFA_ADDRESS, address, n);
	if (family == AF_INET && prefix < 31) {
		memcpy(broadcast, address, 4);
		for (uint32_t i = prefix; i < 32; i++)
			broadcast[i / 8] |= (uint8_t)(0x80 >> (i % 8));
		add_attribute(&q, IFA_BROADCAST, broadcast, 4);
	}
	return talk(&q, NULL, NULL);
}

int net_add_address(
	int index, int family, const uint8_t *address, uint32_t prefix)
{
	return change_address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index,
		family, address, prefix);
}

int net_remove_address(
	int index, int family, const uint8_t *address, uint32_t prefix)
{
	return change_address(RTM_DELADDR, 0, index, family, address, prefix);
}

int net_add_route(int index, int family, const uint8_t *network,
	uint32_t prefix, const uint8_t *gateway)
{
	struct request q = {
		.h = {.nlmsg_len = NLMSG_LENGTH(sizeof(q.u.route)),
			.nlmsg_type = RTM_NEWROUTE,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK |
				       NLM_F_CREATE | NLM_F_REPLACE},
		.u.route = {.rtm_family = (uint8_t)family,
			.rtm_dst_len = network ? (uint8_t)prefix : 0,
			.rtm_table = RT_TABLE_MAIN,
			.rtm_protocol = RTPROT_STATIC,
			.rtm_scope = RT_SCOPE_UNIVERSE,
			.rtm_type = RTN_UNICAST,
			.rtm_flags = RTNH_F_ONLINK},
	};
	uint32_t metric = METRIC + (uint32_t)index, out = (uint32_t)index;

	if (network)
		add_attribute(&q, RTA_DST, network, address_size(family));
	add_attribute(&q, RTA_GATEWAY, gateway, address_size(family));
	add_attribute(&q, RTA_OIF, &out, sizeof(out));
	add_attribute(&q, RTA_PRIORITY, &metric, sizeof(metric));
	return talk(&q, NULL, NULL);
}
