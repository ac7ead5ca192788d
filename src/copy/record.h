/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What travels on a lane: records, from the source to the target only.
 *
 *	u8 type  u8 flags  u16 extents  u32 raw  u32 payload  (big-endian)
 *	extents x { u64 offset, u64 bytes }
 *	payload bytes
 *
 *	DATA     the extents' contents, raw bytes together; zstd-compressed when
 *	         the flag says so
 *	ZERO     the extents read as zeros; no payload
 *	DIGEST   XXH3-128 of each extent, keyed with the move's secret, 16 bytes
 *	         each, big-endian high word first; the target compares
 *	BARRIER  raw is the epoch: all before it on this lane belong to this
 *	         epoch or an earlier one; no extents, no payload
 *	END      the lane is finished
 *
 * record_parse is the one decoder, and checks everything that can be checked
 * without the volume; record_fits checks against the volume.
 */
#ifndef REHOST_COPY_RECORD_H
#define REHOST_COPY_RECORD_H

#include <stdint.h>

#include "wire/message.h"

#define RECORD_HEADER 12
#define RECORD_EXTENTS_MAX 64
#define RECORD_HEAD_MAX (RECORD_HEADER + RECORD_EXTENTS_MAX * 16)
#define CHUNK (256 * 1024) /* greatest raw size of DATA */
#define DIGEST_SIZE 16
#define ZERO_MAX (1ULL << 30) /* greatest extent of ZERO */

enum record_type {
	RECORD_DATA = 1,
	RECORD_ZERO,
	RECORD_DIGEST,
	RECORD_BARRIER,
	RECORD_END,
};

#define RECORD_ZSTD 1

struct record {
	uint8_t type, flags;
	uint16_t n;
	uint32_t raw, payload;
	struct msg_extent v[RECORD_EXTENTS_MAX];
};

/* Bytes of the extents that follow a header, or -EPROTO when the header is not
 * one of a possible record; fills everything but v. */
int record_parse_header(
	const uint8_t b[RECORD_HEADER], struct record *ret) MUST_CHECK;

/* Parses the extents (ret->n * 16 bytes) and checks them against raw and
 * payload. 0 or -EPROTO. */
int record_parse_extents(const uint8_t *b, struct record *ret) MUST_CHECK;

/* Are all extents inside size, and multiples of 512 but at its end? 0 or
 * -EPROTO. */
int record_fits(const struct record *r, uint64_t size) MUST_CHECK;

/* Writes header and extents; returns the bytes used. */
uint32_t record_format(const struct record *r, uint8_t out[RECORD_HEAD_MAX]);

/* The digest of an extent's contents. */
void record_digest(const uint8_t secret[SECRET_SIZE], const void *data,
	uint64_t n, uint64_t offset, uint8_t ret[DIGEST_SIZE]);

#endif
