/* SPDX-License-Identifier: Apache-2.0 */
/* What the interfaces of a machine's facts ("network.interfaces") have to do
 * with its cards, and their addresses. */
#ifndef REHOST_MOVE_INTERFACES_H
#define REHOST_MOVE_INTERFACES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct interfaces_address {
	int family;
	uint8_t bytes[16];
};

/* Reads "192.0.2.5" or "192.0.2.5/24". False for what every machine may have:
 * loopback, link-local; and for what is none. */
bool interfaces_address(const char *text, struct interfaces_address *ret);

/* Are both the same address, whatever their prefixes? */
bool interfaces_is_same(const char *a, const char *b);

/* Whether an interface of the list is the card with that MAC, or a bridge or
 * bond that the card is a part of. Of a VLAN that is not known. */
bool interfaces_carries(
	const json_t *list, const char *mac, const json_t *which);

/* The interface that has a card's addresses: itself, or the bridge or bond that
 * it is a part of. Of the list, like the card. */
const json_t *interfaces_holder(const json_t *list, const json_t *card);

/* The card with that MAC, or NULL. */
const json_t *interfaces_card(const json_t *list, const char *mac);

#endif
