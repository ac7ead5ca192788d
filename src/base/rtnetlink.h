/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links, addresses, neighbours and routes as rtnetlink(7) tells them
 * (linux/rtnetlink.h, linux/if_link.h, linux/neighbour.h): a dump, the way to
 * one address, and readers of messages that trust no length in them.
 */
#ifndef REHOST_BASE_RTNETLINK_H
#define REHOST_BASE_RTNETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Next hops that are kept of one route. */
#define RTNETLINK_HOPS 16

struct rtnetlink_address {
	uint32_t index; /* of the interface */
	int family;	/* AF_INET or AF_INET6 */
	unsigned prefix;
	uint8_t bytes[16];
	bool permanent; /* nobody takes it away after a time */
};

struct rtnetlink_hop {
	uint32_t index; /* of the interface; 0: none */
	int family;	/* of via; 0: no gateway */
	uint8_t via[16];
	bool onlink;
};

struct rtnetlink_route {
	int family;
	unsigned prefix;
	uint8_t to[16];
	uint8_t type;	  /* RTN_UNICAST, or one that refuses */
	uint8_t protocol; /* RTPROT_…: who made it */
	uint32_t metric;
	uint32_t n_hops;
	struct rtnetlink_hop hops[RTNETLINK_HOPS];
};

struct rtnetlink_link {
	uint32_t index;
	uint32_t flags; /* IFF_… */
	uint16_t type;	/* ARPHRD_… */
	uint32_t lower; /* that it stands on; 0: none */
	bool elsewhere; /* lower is in another network namespace */
	char name[16];	/* IFNAMSIZ */
	char kind[16];	/* "vlan", "bridge"; "" of hardware */
};

struct rtnetlink_neighbour {
	uint32_t index; /* of the interface */
	int family;
	uint8_t bytes[16];
	uint8_t mac[6];
};

/* Takes the first message of *n bytes at *at: its type, sequence number and
 * body. False when no whole message is left. */
bool rtnetlink_next(const uint8_t **at, size_t *n, uint16_t *ret_type,
	uint32_t *ret_seq, const uint8_t **ret_body, size_t *ret_n);

/* Reads the body of an RTM_NEWADDR. -EBADMSG when it is not well formed,
 * -ENOENT when it is of another family. */
int rtnetlink_address(const uint8_t *body, size_t n,
	struct rtnetlink_address *ret) MUST_CHECK;

/* Reads the body of an RTM_NEWROUTE. -EBADMSG when it is not well formed,
 * -ENOENT when it is not a route of the main table, or only a cached one. */
int rtnetlink_route(
	const uint8_t *body, size_t n, struct rtnetlink_route *ret) MUST_CHECK;

/* Reads the body of an RTM_NEWLINK. -EBADMSG when it is not well formed, or
 * has no name. A kind that is too long is cut. */
int rtnetlink_link(
	const uint8_t *body, size_t n, struct rtnetlink_link *ret) MUST_CHECK;

/* Reads the body of an RTM_NEWNEIGH. -EBADMSG when it is not well formed,
 * -ENOENT when it is none whose Ethernet address is known. */
int rtnetlink_neighbour(const uint8_t *body, size_t n,
	struct rtnetlink_neighbour *ret) MUST_CHECK;

/* Asks which way packets to an address take, from that address (NULL: any) and
 * by that interface (0: any); whole asks for the entry of the table, with all
 * its hops, where the kernel can tell it (4.13). Any table and any type, as
 * RTN_LOCAL. Waits for a second at most. 0 or negative errno: -ENETUNREACH and
 * others when there is no way. */
int rtnetlink_way(int family, const uint8_t to[16], const uint8_t *from,
	uint32_t index, bool whole, struct rtnetlink_route *ret) MUST_CHECK;

/* Asks the kernel for all links (RTM_GETLINK), addresses (RTM_GETADDR),
 * neighbours (RTM_GETNEIGH) or routes (RTM_GETROUTE) of a family and calls fn
 * with the body of each, until it returns non-zero, which is returned. Opens no
 * file. Waits for a second at most. 0, or negative errno: -ENOENT when
 * the family has no such table. */
int rtnetlink_dump(uint16_t type, int family,
	int (*fn)(void *arg, const uint8_t *body, size_t n),
	void *arg) MUST_CHECK;

#endif
