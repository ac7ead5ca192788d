/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place: where a volume, a tree or a machine is.
 *
 *	[user@]host:/path    ssh://[user@]host[:port]/path    [v6]:/path
 *	/path  ./path        (contains a slash before any colon: local)
 *	host  user@host      (a bare word: a machine; also ssh://host[:port])
 */
#ifndef REHOST_LINK_PLACE_H
#define REHOST_LINK_PLACE_H

#include <stdbool.h>

#include "base/error.h"

struct place {
	char user[64];	 /* "" = as ssh decides */
	char host[256];	 /* "" = this machine; a v6 address without brackets */
	unsigned port;	 /* 0 = as ssh decides */
	char path[4096]; /* "" = the machine itself */
};

/* Parses text. -EINVAL with what is wrong and what to write instead: empty
 * parts, a host or user that begins with '-' or has characters which a host or
 * user cannot have, control characters, relative remote paths, a port out of
 * range, another scheme than ssh, too long. A bare word that is also a file
 * here is refused with a hint (./word or ssh://word). Nothing is decoded: '%'
 * stands for itself. */
int place_parse(const char *text, struct place *ret, struct error *err);

bool place_is_local(const struct place *p);

/* The way that a user writes it, for messages; returns buf. Parses again to the
 * same place, except for a word that is also a file. */
const char *place_text(const struct place *p, char *buf, unsigned long size);

#endif
