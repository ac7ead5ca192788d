/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structs to bytes and back, driven by tables.
 *
 * A shape lists the fields of a struct. There is one encoder and one decoder
 * for all shapes; neither allocates, because strings and lists are arrays
 * inside the struct, and these arrays are the bounds that the decoder enforces.
 *
 * On the wire (all numbers big-endian): U8, U32, U64 as they are; STR as a u32
 * length and that many bytes, none of them NUL; BYTES as that many bytes; BLOB
 * as a u32 count and that many bytes; LIST as a u32 count and that many
 * structs.
 */
#ifndef REHOST_WIRE_CODEC_H
#define REHOST_WIRE_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

enum field_kind {
	FIELD_U8,
	FIELD_U32,
	FIELD_U64,
	FIELD_STR,
	FIELD_BYTES,
	FIELD_BLOB,
	FIELD_LIST,
};

struct shape;

struct field {
	enum field_kind kind;
	uint32_t offset;       /* in the struct */
	uint32_t max;	       /* bytes (with NUL), or elements of a list */
	uint32_t count_offset; /* BLOB, LIST: the uint32_t that counts */
	const struct shape *element; /* LIST */
};

struct shape {
	uint32_t size; /* of the struct */
	uint32_t n;
	const struct field *fields;
};

#define F_U8(s, m)                                                             \
	{                                                                      \
		FIELD_U8, offsetof(struct s, m), 0, 0, NULL                    \
	}
#define F_U32(s, m)                                                            \
	{                                                                      \
		FIELD_U32, offsetof(struct s, m), 0, 0, NULL                   \
	}
#define F_U64(s, m)                                                            \
	{                                                                      \
		FIELD_U64, offsetof(struct s, m), 0, 0, NULL                   \
	}
#define F_STR(s, m)                                                            \
	{                                                                      \
		FIELD_STR, offsetof(struct s, m), sizeof(((struct s *)0)->m),  \
			0, NULL                                                \
	}
#define F_BYTES(s, m)                                                          \
	{                                                                      \
		FIELD_BYTES, offsetof(struct s, m),                            \
			sizeof(((struct s *)0)->m), 0, NULL                    \
	}
#define F_BLOB(s, count, m)                                                    \
	{                                                                      \
		FIELD_BLOB, offsetof(struct s, m), sizeof(((struct s *)0)->m), \
			offsetof(struct s, count), NULL                        \
	}
#define F_LIST(s, count, m, shape)                                             \
	{                                                                      \
		FIELD_LIST, offsetof(struct s, m),                             \
			ARRAY_LEN(((struct s *)0)->m),                         \
			offsetof(struct s, count), shape                       \
	}
#define SHAPE(s, f)                                                            \
	{                                                                      \
		sizeof(struct s), ARRAY_LEN(f), f                              \
	}
#define SHAPE_EMPTY                                                            \
	{                                                                      \
		0, 0, NULL                                                     \
	}

/* Greatest number of bytes that a struct of this shape can take. */
uint64_t codec_max(const struct shape *shape);

/* Encodes in into out of size bytes; returns the bytes used, -EMSGSIZE when
 * they do not fit, -EINVAL when a count is above its bound or a string is not
 * terminated. */
int64_t codec_encode(const struct shape *shape, const void *in, uint8_t *out,
	uint64_t size) MUST_CHECK;

/* Decodes exactly n bytes into out, which is zeroed first. 0, or -EBADMSG when
 * the bytes are not exactly one struct of this shape within its bounds. */
int codec_decode(const struct shape *shape, const uint8_t *in, uint64_t n,
	void *out) MUST_CHECK;

static inline void put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
	put_be16(p, (uint16_t)(v >> 16));
	put_be16(p + 2, (uint16_t)v);
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
	put_be32(p, (uint32_t)(v >> 32));
	put_be32(p + 4, (uint32_t)v);
}

static inline uint16_t get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)get_be16(p) << 16 | get_be16(p + 2);
}

static inline uint64_t get_be64(const uint8_t *p)
{
	return (uint64_t)get_be32(p) << 32 | get_be32(p + 4);
}

#endif
