/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses that an agent says its machine has. */
#ifndef REHOST_WIRE_ADDRESSES_H
#define REHOST_WIRE_ADDRESSES_H

#include "wire/message.h"

/* What a peer gives as an address and is none, numeric, with the name of an
 * interface at most (RFC 4007, section 11), becomes "": addresses go on to
 * others, some of whom have a shell see them. */
void addresses_keep(struct msg_hello *m);

#endif
