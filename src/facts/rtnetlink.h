/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses and routes as rtnetlink(7) tells them: one dump, and readers of its
 * messages that trust no length in them.
 */
#ifndef REHOST_FACTS_RTNETLINK_H
#define REHOST_FACTS_RTNETLINK_H

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

/* Asks the kernel for all addresses (RTM_GETADDR) or routes (RTM_GETROUTE) of a
 * family and calls fn with the body of each, until it returns non-zero, which
 * is returned. Waits for a second at most. 0, or negative errno: -ENOENT when
 * the family has no such table. */
int rtnetlink_dump(uint16_t type, int family,
	int (*fn)(void *arg, const uint8_t *body, size_t n),
	void *arg) MUST_CHECK;

#endif
