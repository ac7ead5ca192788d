/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a machine's network its rescue system keeps, told from its facts: the
 * addresses of its plain network cards, bound to their MACs, with their MTU,
 * the best default route of each family of those that go through a gateway on
 * such a card, other routes through one, name servers, and the port of ssh; as
 * words for the kernel's command line (rescue/cmdline.h). Facts may say
 * anything; what makes no sense is left out.
 */
#ifndef REHOST_MOVE_TAKEOVER_NETWORK_H
#define REHOST_MOVE_TAKEOVER_NETWORK_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/* How ssh reached the machine: SSH_CONNECTION, as its agent tells it. */
struct takeover_reach {
	const char *at;	  /* its own address; "": not over a network */
	const char *from; /* the address on the other side */
	uint32_t port;	  /* its own; 0: not known */
};

struct takeover_network {
	char words[1400];   /* each with a space before it */
	char refused[512];  /* why it cannot be kept at all; "": it can */
	const char *remedy; /* what helps against that */
	char left[512];	    /* what is left out, for people; "" */
	char dynamic[512];  /* addresses that are not the machine's own */
	char address[64];   /* at which ssh reaches it, of words */
	unsigned n_addresses, n_routes;
};

/* It is refused, too, when no way that is kept leads back to where ssh came
 * from. */
void takeover_network(const json_t *facts, const struct takeover_reach *reach,
	struct takeover_network *ret);

/* The command line as a whole: of the machine's own what its hardware needs to
 * boot, its consoles, the words above, the watchdog (seconds; 0: none), and an
 * id by which the new system is known. 0, or -E2BIG when it does not fit. */
int takeover_cmdline(const json_t *facts, const struct takeover_network *n,
	unsigned watchdog, const char *id, char *ret, size_t size) MUST_CHECK;

#endif
