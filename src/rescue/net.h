/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network interfaces, addresses and routes by rtnetlink(7), for the rescue
 * system, which has no ip(8). All functions return 0 or a negative errno, that
 * of the kernel included. Each opens a socket of its own, so they may be called
 * from anywhere.
 */
#ifndef REHOST_RESCUE_NET_H
#define REHOST_RESCUE_NET_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define NET_LINKS 64

struct net_link {
	int index;
	char name[IF_NAMESIZE];
	uint8_t mac[6];
	uint32_t mtu;
	bool ethernet; /* and has such an address */
	bool up;       /* is meant to run */
	bool running;  /* has a carrier */
};

struct net_address {
	int index, family;
	uint8_t address[16];
	uint32_t prefix;
	bool global; /* and no longer being tried for duplicates */
};

/* A socket that becomes readable when links or addresses change; what it says
 * is to be thrown away, and everything looked at again. A descriptor, or a
 * negative errno. */
int net_watch(void);

/* At most max links, or addresses; returns how many. */
int net_links(struct net_link *ret, uint32_t max) MUST_CHECK;
int net_addresses(struct net_address *ret, uint32_t max) MUST_CHECK;

int net_set_up(int index) MUST_CHECK;
int net_set_mtu(int index, uint32_t mtu) MUST_CHECK;

/* Adds an address; one that is there already is no error. A new IPv6 address is
 * used at once: nobody waits for the search for duplicates. */
int net_add_address(int index, int family, const uint8_t *address,
	uint32_t prefix) MUST_CHECK;
int net_remove_address(int index, int family, const uint8_t *address,
	uint32_t prefix) MUST_CHECK;

/* A route to a network, or the default route when that is NULL. The gateway may
 * lie outside of all prefixes, as many providers have it. The lower the index
 * the more it is preferred. */
int net_add_route(int index, int family, const uint8_t *network,
	uint32_t prefix, const uint8_t *gateway) MUST_CHECK;

#endif
