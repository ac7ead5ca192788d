/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a machine's network its rescue system keeps, told from its facts: the
 * addresses of its plain network cards, bound to their MACs, the best default
 * route of each family, static routes, and name servers; as words for the
 * kernel's command line (rescue/cmdline.h). Facts may say anything; what makes
 * no sense is left out.
 */
#ifndef REHOST_MOVE_TAKEOVER_NETWORK_H
#define REHOST_MOVE_TAKEOVER_NETWORK_H

#include <jansson.h>
#include <stddef.h>

#include "base/cleanup.h"

struct takeover_network {
	char words[1400];  /* each with a space before it */
	char refused[512]; /* why it cannot be kept at all; "": it can */
	char left[512];	   /* what is left out, for people; "" */
	char dynamic[512]; /* addresses that are not the machine's own */
	char address[64];  /* at which ssh reaches it, of words */
	unsigned n_addresses, n_routes;
};

/* reached_at is the machine's own address that ssh came to, "" when it did not
 * come over a network. */
void takeover_network(const json_t *facts, const char *reached_at,
	struct takeover_network *ret);

/* The command line as a whole: of the machine's own what its hardware needs to
 * boot, its consoles, the words above, the watchdog (seconds; 0: none), and an
 * id by which the new system is known. 0, or -E2BIG when it does not fit. */
int takeover_cmdline(const json_t *facts, const struct takeover_network *n,
	unsigned watchdog, const char *id, char *ret, size_t size) MUST_CHECK;

#endif
