/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/codec.h"

#include <errno.h>
#include <string.h>

uint64_t codec_max(const struct shape *shape)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < shape->n; i++) {
		const struct field *f = &shape->fields[i];

		switch (f->kind) {
		case FIELD_U8:
			n += 1;
			break;
		case FIELD_U32:
			n += 4;
			break;
		case FIELD_U64:
			n += 8;
			break;
		case FIELD_BYTES:
			n += f->max;
			break;
		case FIELD_STR:
		case FIELD_BLOB:
			n += 4 + (uint64_t)f->max;
			break;
		case FIELD_LIST:
			n += 4 + f->max * codec_max(f->element);
			break;
		}
	}
	return n;
}

struct out {
	uint8_t *p;
	uint64_t left;
};

static int put(struct out *o, const void *bytes, uint64_t n)
{
	if (n > o->left)
		return -EMSGSIZE;
	if (n > 0)
		memcpy(o->p, bytes, n);
	o->p += n;
	o->left -= n;
	return 0;
}

static int put_u32(struct out *o, uint32_t v)
{
	uint8_t b[4];

	put_be32(b, v);
	return put(o, b, 4);
}

static int encode(const struct shape *shape, const char *in, struct out *o);

static int encode_field(const struct field *f, const char *in, struct out *o)
{
	const char *at = in + f->offset;
	uint8_t b[8];
	uint32_t n;
	int r;

	switch (f->kind) {
	case FIELD_U8:
		return put(o, at, 1);
	case FIELD_U32:
		memcpy(&n, at, 4);
		return put_u32(o, n);
	case FIELD_U64:
		put_be64(b, *(const uint64_t *)(const void *)at);
		return put(o, b, 8);
	case FIELD_BYTES:
		return put(o, at, f->max);
	case FIELD_STR:
		n = (uint32_t)strnlen(at, f->max);
		if (n == f->max)
			return -EINVAL;
		r = put_u32(o, n);
		return r < 0 ? r : put(o, at, n);
	case FIELD_BLOB:
	case FIELD_LIST:
		memcpy(&n, in + f->count_offset, 4);
		if (n > f->max)
			return -EINVAL;
		r = put_u32(o, n);
		if (r < 0)
			return r;
		if (f->kind == FIELD_BLOB)
			return put(o, at, n);
		for (uint32_t i = 0; i < n && r == 0; i++)
			r = encode(f->element,
				at + (size_t)i * f->element->size, o);
		return r;
	}
	return -EINVAL;
}

static int encode(const struct shape *shape, const char *in, struct out *o)
{
	int r = 0;

	for (uint32_t i = 0; i < shape->n && r == 0; i++)
		r = encode_field(&shape->fields[i], in, o);
	return r;
}

int64_t codec_encode(
	const struct shape *shape, const void *in, uint8_t *out, uint64_t size)
{
	struct out o = {out, size};
	int r = encode(shape, in, &o);

	return r < 0 ? r : (int64_t)(o.p - out);
}

struct in {
	const uint8_t *p;
	uint64_t left;
};

static int get(struct in *i, void *to, uint64_t n)
{
	if (n > i->left)
		return -EBADMSG;
	if (n > 0)
		memcpy(to, i->p, n);
	i->p += n;
	i->left -= n;
	return 0;
}

static int get_u32(struct in *i, uint32_t *ret)
{
	uint8_t b[4];
	int r = get(i, b, 4);

	if (r == 0)
		*ret = get_be32(b);
	return r;
}

static int decode(const struct shape *shape, struct in *in, char *out);

static int decode_field(const struct field *f, struct in *in, char *out)
{
	char *at = out + f->offset;
	uint8_t b[8];
	uint64_t v;
	uint32_t n;
	int r;

	switch (f->kind) {
	case FIELD_U8:
		return get(in, at, 1);
	case FIELD_U32:
		r = get_u32(in, &n);
		if (r == 0)
			memcpy(at, &n, 4);
		return r;
	case FIELD_U64:
		r = get(in, b, 8);
		v = r == 0 ? get_be64(b) : 0;
		memcpy(at, &v, 8);
		return r;
	case FIELD_BYTES:
		return get(in, at, f->max);
	case FIELD_STR:
		r = get_u32(in, &n);
		if (r < 0 || n >= f->max)
			return -EBADMSG;
		r = get(in, at, n);
		if (r < 0 || memchr(at, 0, n))
			return -EBADMSG;
		at[n] = '\0';
		return 0;
	case FIELD_BLOB:
	case FIELD_LIST:
		r = get_u32(in, &n);
		if (r < 0 || n > f->max)
			return -EBADMSG;
		memcpy(out + f->count_offset, &n, 4);
		if (f->kind == FIELD_BLOB)
			return get(in, at, n);
		for (uint32_t i = 0; i < n && r == 0; i++)
			r = decode(f->element, in,
				at + (size_t)i * f->element->size);
		return r;
	}
	return -EBADMSG;
}

static int decode(const struct shape *shape, struct in *in, char *out)
{
	int r = 0;

	for (uint32_t i = 0; i < shape->n && r == 0; i++)
		r = decode_field(&shape->fields[i], in, out);
	return r;
}

int codec_decode(
	const struct shape *shape, const uint8_t *in, uint64_t n, void *out)
{
	struct in i = {in, n};
	int r;

	if (shape->size)
		memset(out, 0, shape->size);
	r = decode(shape, &i, out);
	return r < 0 || i.left > 0 ? -EBADMSG : 0;
}
