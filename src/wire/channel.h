/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framed messages over a pair of stream descriptors.
 *
 * A frame is u32 type, u32 id, u32 length (big-endian), then that many bytes.
 * Length is checked against the type's own bound before anything is read.
 *
 * channel_send and channel_flush may be called from several threads;
 * everything else from one.
 */
#ifndef REHOST_WIRE_CHANNEL_H
#define REHOST_WIRE_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/message.h"

struct channel;

struct frame {
	uint32_t type, id, n;
	const uint8_t *payload; /* valid until the next channel_next */
};

/* Makes a channel. in and out may be equal; both become non-blocking; they stay
 * the caller's to close. from: FROM_… bits of the other side, what it sends is
 * checked against. */
int channel_new(int in, int out, uint8_t from, struct channel **ret);

/* Frees; NULL is fine. */
void channel_free(struct channel *c);

/* Changes what the other side is taken for. */
void channel_set_from(struct channel *c, uint8_t from);

/* Encodes a message and queues it. 0 or negative errno. */
int channel_send(
	struct channel *c, uint32_t type, uint32_t id, const void *msg);

/* Queues raw bytes (of two parts) as the payload of a message. */
int channel_send_raw(struct channel *c, uint32_t type, uint32_t id,
	const void *a, uint32_t na, const void *b, uint32_t nb);

/* Bytes that are queued and not written. */
uint64_t channel_queued(struct channel *c);

/* Writes what can be written without blocking; with wait, blocks until all is
 * written. 0, -EPIPE when the other side is gone, or negative errno. */
int channel_flush(struct channel *c, bool wait);

/* Reads what is there without blocking. 0, -EPIPE at the end of the stream, or
 * negative errno. */
int channel_read(struct channel *c);

/* Takes the next whole frame that was read. 1 and *ret, 0 when there is none
 * yet, -EPROTO for an unknown type, a wrong sender or length. */
int channel_next(struct channel *c, struct frame *ret);

/* Decodes a frame's payload into msg, which has the type's shape. -EPROTO when
 * it does not fit. */
int frame_decode(const struct frame *f, void *msg) MUST_CHECK;

/* Tells the descriptors to poll. */
int channel_in(const struct channel *c);
int channel_out(const struct channel *c);

#endif
