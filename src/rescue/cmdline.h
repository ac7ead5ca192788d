/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rescue system takes from the kernel's command line:
 *
 *	rehost.ip=dhcp[,mtu=BYTES][,WHERE]
 *	rehost.ip=ADDRESS/PREFIX[,gw=ADDRESS][,mtu=BYTES][,WHERE]
 *							IPv4 or IPv6
 *	rehost.route=NETWORK/PREFIX,gw=ADDRESS[,WHERE]
 *	rehost.dns=ADDRESS
 *	rehost.port=NUMBER	where ssh answers
 *	rehost.watchdog=SECONDS
 *	rehost.id=WORD		for whoever booted it; without a meaning here
 *
 * WHERE is mac=XX:XX:XX:XX:XX:XX or dev=NAME. All but port and watchdog may
 * be repeated. Without any rehost.ip it is DHCP everywhere.
 */
#ifndef REHOST_RESCUE_CMDLINE_H
#define REHOST_RESCUE_CMDLINE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

#define CMDLINE_ADDRESSES 32
#define CMDLINE_ROUTES 16
#define CMDLINE_DNS 3
#define CMDLINE_TEXT 46 /* an address as text */
#define CMDLINE_MTU_MIN 68
#define CMDLINE_MTU_MAX 65535
#define CMDLINE_PORT 22

struct cmdline_address {
	int family; /* AF_UNSPEC: DHCP */
	uint8_t address[16];
	uint32_t prefix;
	bool has_gateway, has_mac;
	uint8_t gateway[16];
	uint8_t mac[6];
	uint32_t mtu;	       /* of the card; 0: as it is */
	char dev[IF_NAMESIZE]; /* "": any */
};

struct cmdline {
	struct cmdline_address addresses[CMDLINE_ADDRESSES];
	uint32_t n_addresses;
	struct cmdline_address routes[CMDLINE_ROUTES]; /* all have a gateway */
	uint32_t n_routes;
	char dns[CMDLINE_DNS][CMDLINE_TEXT];
	uint32_t n_dns;
	uint32_t watchdog; /* seconds; 0: none */
	uint32_t port;	   /* CMDLINE_PORT when none is named */
};

/* One value of rehost.ip. 0 or -EINVAL. */
int cmdline_parse_address(
	const char *text, struct cmdline_address *ret) MUST_CHECK;

/* One value of rehost.route. 0 or -EINVAL. */
int cmdline_parse_route(
	const char *text, struct cmdline_address *ret) MUST_CHECK;

/* Whether text is an address of either family. */
bool cmdline_is_ip(const char *text);

/* Takes the words that are ours out of a whole command line. Words that are
 * wrong, or too many, are left out; the first of them goes to bad, cut to size,
 * which is "" when there is none. DHCP everywhere is filled in. */
void cmdline_parse(
	const char *text, struct cmdline *ret, char *bad, size_t size);

#endif
