/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to the target agent's export: taken on a Unix socket here, their
 * bytes passed on in frames of the agent's connection, as much as there is
 * credit for. What the agent sends beyond its credit, or of a connection that
 * it cannot know, is its error.
 *
 * One thread; nothing blocks.
 */
#ifndef REHOST_MOVE_STREAMS_H
#define REHOST_MOVE_STREAMS_H

#include <poll.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "wire/channel.h"

struct streams;

#define STREAMS_POLL (1 + STREAMS_MAX)

/* Listens at a path, which is made, for its owner alone. */
int streams_new(
	const char *path, struct streams **ret, struct error *err) MUST_CHECK;

/* Closes all and removes the path. NULL is fine. */
void streams_free(struct streams *s);

/* Fills what to poll, of which there are at most STREAMS_POLL; their number. */
unsigned streams_poll(
	struct streams *s, const struct channel *to, struct pollfd *p);

/* Does what can be done now. 0, or the error of the channel. */
int streams_serve(struct streams *s, struct channel *to);

/* A frame of the agent. 0 or -EPROTO. */
int streams_frame(struct streams *s, const struct frame *f);

/* Bytes that went to clients so far. */
uint64_t streams_bytes(const struct streams *s);

#endif
