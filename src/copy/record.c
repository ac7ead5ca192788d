/* SPDX-License-Identifier: Apache-2.0 */
#include "copy/record.h"

#include <errno.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

_Static_assert(SECRET_SIZE >= XXH3_SECRET_SIZE_MIN, "digest secret too short");

int record_parse_header(const uint8_t b[RECORD_HEADER], struct record *ret)
{
	ret->type = b[0];
	ret->flags = b[1];
	ret->n = get_be16(b + 2);
	ret->raw = get_be32(b + 4);
	ret->payload = get_be32(b + 8);
	if (ret->n > RECORD_EXTENTS_MAX || (ret->flags & ~RECORD_ZSTD) ||
		(ret->flags && ret->type != RECORD_DATA))
		return -EPROTO;
	switch (ret->type) {
	case RECORD_DATA:
		if (ret->n == 0 || ret->raw == 0 || ret->raw > CHUNK ||
			ret->payload == 0 || ret->payload > ret->raw ||
			(!ret->flags && ret->payload != ret->raw))
			return -EPROTO;
		break;
	case RECORD_ZERO:
		if (ret->n == 0 || ret->raw != 0 || ret->payload != 0)
			return -EPROTO;
		break;
	case RECORD_DIGEST:
		if (ret->n == 0 || ret->raw == 0 || ret->raw > CHUNK ||
			ret->payload != ret->n * (uint32_t)DIGEST_SIZE)
			return -EPROTO;
		break;
	case RECORD_BARRIER:
	case RECORD_END:
		if (ret->n != 0 || ret->payload != 0)
			return -EPROTO;
		break;
	default:
		return -EPROTO;
	}
	return ret->n * 16;
}

int record_parse_extents(const uint8_t *b, struct record *ret)
{
	uint64_t sum = 0;

	for (uint16_t i = 0; i < ret->n; i++, b += 16) {
		ret->v[i].offset = get_be64(b);
		ret->v[i].bytes = get_be64(b + 8);
		if (ret->v[i].bytes == 0 || ret->v[i].bytes > ZERO_MAX)
			return -EPROTO;
		sum += ret->v[i].bytes;
	}
	if ((ret->type == RECORD_DATA || ret->type == RECORD_DIGEST) &&
		sum != ret->raw)
		return -EPROTO;
	return 0;
}

int record_fits(const struct record *r, uint64_t size)
{
	for (uint16_t i = 0; i < r->n; i++) {
		const struct msg_extent *e = &r->v[i];

		if (e->offset >= size || e->bytes > size - e->offset ||
			e->offset % 512)
			return -EPROTO;
		if (e->bytes % 512 && e->offset + e->bytes != size)
			return -EPROTO;
	}
	return 0;
}

uint32_t record_format(const struct record *r, uint8_t out[RECORD_HEAD_MAX])
{
	uint8_t *p = out + RECORD_HEADER;

	out[0] = r->type;
	out[1] = r->flags;
	put_be16(out + 2, r->n);
	put_be32(out + 4, r->raw);
	put_be32(out + 8, r->payload);
	for (uint16_t i = 0; i < r->n; i++, p += 16) {
		put_be64(p, r->v[i].offset);
		put_be64(p + 8, r->v[i].bytes);
	}
	return (uint32_t)(p - out);
}

void record_digest(const uint8_t secret[SECRET_SIZE], const void *data,
	uint64_t n, uint64_t offset, uint8_t ret[DIGEST_SIZE])
{
	XXH3_state_t s;
	XXH128_hash_t h;
	uint8_t at[8];

	/* The place goes in as well: right bytes in the wrong place differ. */
	put_be64(at, offset);
	XXH3_INITSTATE(&s);
	(void)XXH3_128bits_reset_withSecret(&s, secret, SECRET_SIZE);
	(void)XXH3_128bits_update(&s, at, sizeof(at));
	(void)XXH3_128bits_update(&s, data, n);
	h = XXH3_128bits_digest(&s);
	put_be64(ret, h.high64);
	put_be64(ret + 8, h.low64);
}
