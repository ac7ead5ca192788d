/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets, from the text of /proc/net (see proc_net(5)). */
#ifndef REHOST_FACTS_PORTS_H
#define REHOST_FACTS_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct ports_socket {
	int family; /* AF_INET or AF_INET6 */
	uint8_t address[16];
	uint16_t port;
	uint16_t remote; /* the other end's port */
	uint32_t state;	 /* TCP_LISTEN …; of UDP TCP_CLOSE: not connected */
	uint64_t inode;
};

/* Reads one line (which it changes) of tcp, udp (family AF_INET), tcp6 or udp6
 * (AF_INET6). -EBADMSG when it is none, as the first line. */
int ports_parse(char *line, int family, struct ports_socket *ret) MUST_CHECK;

#endif
