/* SPDX-License-Identifier: Apache-2.0 */
/* Every message of the table, there and back, and damaged in every way. */
#include "unit.h"

#include <errno.h>
#include <stdbool.h>

#include "base/io.h"
#include "wire/addresses.h"
#include "wire/message.h"

static uint64_t state_of_random = 0x9e3779b97f4a7c15ULL;

static uint64_t next_random(void)
{
	state_of_random ^= state_of_random << 13;
	state_of_random ^= state_of_random >> 7;
	return state_of_random ^= state_of_random << 17;
}

/* Fills a struct: every field at its largest (full), or short. */
static void fill(const struct shape *s, char *out, bool full)
{
	for (uint32_t i = 0; i < s->n; i++) {
		const struct field *f = &s->fields[i];
		char *at = out + f->offset;
		uint32_t n = full ? f->max : MIN(f->max, 2U);

		switch (f->kind) {
		case FIELD_U8:
			*at = (char)(next_random() | 1);
			break;
		case FIELD_U32:
			for (int k = 0; k < 4; k++)
				at[k] = (char)(next_random() | 1);
			break;
		case FIELD_U64:
			for (int k = 0; k < 8; k++)
				at[k] = (char)(next_random() | 1);
			break;
		case FIELD_STR:
			n = full ? f->max - 1 : MIN(f->max - 1, 3U);
			for (uint32_t k = 0; k < n; k++)
				at[k] = (char)(1 + next_random() % 255);
			break;
		case FIELD_BYTES:
			for (uint32_t k = 0; k < f->max; k++)
				at[k] = (char)next_random();
			break;
		case FIELD_BLOB:
			memcpy(out + f->count_offset, &n, 4);
			for (uint32_t k = 0; k < n; k++)
				at[k] = (char)next_random();
			break;
		case FIELD_LIST:
			memcpy(out + f->count_offset, &n, 4);
			for (uint32_t k = 0; k < n; k++)
				fill(f->element, at + k * f->element->size,
					full);
			break;
		}
	}
}

struct coded {
	char *msg, *copy;
	uint8_t *wire, *again;
	uint64_t size; /* of the buffers */
	uint64_t n;    /* on the wire */
};

static struct coded make(const struct shape *s, bool full)
{
	struct coded c = {.size = codec_max(s)};
	int64_t n;

	/* Exactly as long as they may be, for the sanitizers. */
	c.msg = calloc(1, s->size);
	c.copy = malloc(s->size);
	c.wire = malloc(c.size);
	c.again = malloc(c.size);
	assert_true(c.msg && c.copy && c.wire && c.again);
	fill(s, c.msg, full);
	n = codec_encode(s, c.msg, c.wire, c.size);
	assert_true(n > 0 && (uint64_t)n <= c.size);
	c.n = (uint64_t)n;
	return c;
}

static void done(struct coded *c)
{
	free(c->msg);
	free(c->copy);
	free(c->wire);
	free(c->again);
}

#define EACH_SHAPE(s)                                                          \
	for (uint32_t type_ = 0; type_ < MSG_TYPE_MAX; type_++)                \
		for (const struct shape *s = shape_of(type_); s; s = NULL)

static const struct shape *shape_of(uint32_t type)
{
	const struct message_def *d = message_def(type);

	return d && d->shape->n ? d->shape : NULL;
}

static void test_table(void **state)
{
	assert_null(message_def(0));
	assert_null(message_def(MSG_TYPE_MAX));
	assert_null(message_def(UINT32_MAX));
	for (uint32_t i = 0; i < MSG_TYPE_MAX; i++) {
		const struct message_def *d = message_def(i);

		if (!d)
			continue;
		assert_non_null(d->name);
		assert_true(d->from && d->shape);
		assert_true(codec_max(d->shape) <= MESSAGE_MAX);
		/* Requests come from the controller and have an answer. */
		if (d->answer) {
			assert_true(d->from & FROM_CONTROLLER);
			assert_true(d->in);
			assert_non_null(message_def(d->answer));
		}
		if (d->max)
			assert_int_equal(d->shape->size, 0);
	}
}

/* Bytes of the struct that a field takes. */
static void cover(const struct shape *s, const struct field *f, uint8_t *map)
{
	uint64_t n = f->max;

	if (f->kind == FIELD_U8)
		n = 1;
	else if (f->kind == FIELD_U32)
		n = 4;
	else if (f->kind == FIELD_U64)
		n = 8;
	else if (f->kind == FIELD_LIST)
		n = (uint64_t)f->max * f->element->size;
	assert_true(f->offset + n <= s->size);
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(map[f->offset + i]++, 0);
	if (f->kind == FIELD_BLOB || f->kind == FIELD_LIST) {
		assert_true(f->count_offset + 4 <= s->size);
		for (int i = 0; i < 4; i++)
			assert_int_equal(map[f->count_offset + i]++, 0);
	}
}

static void check_cover(const struct shape *s)
{
	uint8_t *map = calloc(1, s->size);
	uint32_t hole = 0;

	assert_non_null(map);
	for (uint32_t i = 0; i < s->n; i++) {
		cover(s, &s->fields[i], map);
		if (s->fields[i].kind == FIELD_LIST)
			check_cover(s->fields[i].element);
	}
	/* What no field covers can only be padding. */
	for (uint32_t i = 0; i < s->size; i++) {
		hole = map[i] ? 0 : hole + 1;
		assert_true(hole < 8);
	}
	free(map);
}

/* No field of a struct was forgotten, none is there twice. */
static void test_fields(void **state)
{
	EACH_SHAPE(s)
	check_cover(s);
}

static void test_round_trip(void **state)
{
	for (int full = 0; full < 2; full++) {
		EACH_SHAPE(s)
		{
			struct coded c = make(s, full);

			memset(c.copy, 0x5a, s->size);
			assert_int_equal(
				codec_decode(s, c.wire, c.n, c.copy), 0);
			assert_memory_equal(c.msg, c.copy, s->size);
			done(&c);
		}
	}
}

static void test_truncated(void **state)
{
	EACH_SHAPE(s)
	{
		struct coded c = make(s, false);

		for (uint64_t n = 0; n < c.n; n++) {
			/* In a buffer of its own: sanitizers see the end. */
			uint8_t *cut = malloc(n + 1);

			assert_non_null(cut);
			memcpy(cut + 1, c.wire, n);
			assert_int_equal(
				codec_decode(s, cut + 1, n, c.copy), -EBADMSG);
			free(cut);
		}
		/* One byte too many is wrong as well. */
		memcpy(c.again, c.wire, c.n);
		if (c.n < c.size) {
			c.again[c.n] = 0;
			assert_int_equal(
				codec_decode(s, c.again, c.n + 1, c.copy),
				-EBADMSG);
		}
		done(&c);
		c = make(s, true);
		for (uint64_t n = next_random() % 7; n < c.n;
			n += 1 + c.n / 64 + next_random() % 13)
			assert_int_equal(
				codec_decode(s, c.wire, n, c.copy), -EBADMSG);
		done(&c);
	}
}

/* Whatever is decoded is within its bounds, and says the same bytes again. */
static bool check_decoded(const struct shape *s, struct coded *c)
{
	int r = codec_decode(s, c->wire, c->n, c->copy);

	if (r < 0) {
		assert_int_equal(r, -EBADMSG);
		return false;
	}
	assert_int_equal(
		codec_encode(s, c->copy, c->again, c->size), (int64_t)c->n);
	assert_memory_equal(c->wire, c->again, c->n);
	return true;
}

static void test_flipped(void **state)
{
	EACH_SHAPE(s)
	{
		struct coded c = make(s, false);

		for (uint64_t bit = 0; bit < c.n * 8; bit++) {
			c.wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
			(void)check_decoded(s, &c);
			c.wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_true(check_decoded(s, &c));
		done(&c);
		c = make(s, true);
		for (int i = 0; i < 40; i++) {
			uint64_t at = next_random() % c.n;
			uint8_t was = c.wire[at];

			c.wire[at] = (uint8_t)next_random();
			(void)check_decoded(s, &c);
			c.wire[at] = was;
		}
		done(&c);
	}
}

static void test_noise(void **state)
{
	EACH_SHAPE(s)
	{
		struct coded c = make(s, false);

		for (int i = 0; i < 300; i++) {
			c.n = next_random() % (MIN(c.size, (uint64_t)300) + 1);
			for (uint64_t k = 0; k < c.n; k++)
				c.wire[k] = next_random() & 3
						    ? 0
						    : (uint8_t)next_random();
			(void)check_decoded(s, &c);
		}
		done(&c);
	}
}

/* The encoder keeps to its room, and refuses what the decoder would. */
static void test_encode_bounds(void **state)
{
	EACH_SHAPE(s)
	{
		struct coded c = make(s, false);

		for (uint64_t n = 0; n < c.n; n++) {
			uint8_t *small = malloc(n + 1);

			assert_non_null(small);
			small[n] = 0xa5;
			assert_int_equal(
				codec_encode(s, c.msg, small, n), -EMSGSIZE);
			assert_int_equal(small[n], 0xa5);
			free(small);
		}
		for (uint32_t i = 0; i < s->n; i++) {
			const struct field *f = &s->fields[i];
			uint32_t n = f->max + 1;

			if (f->kind == FIELD_STR) {
				memset(c.msg + f->offset, 'x', f->max);
			} else if (f->kind == FIELD_BLOB ||
				   f->kind == FIELD_LIST) {
				memcpy(c.msg + f->count_offset, &n, 4);
			} else {
				continue;
			}
			assert_int_equal(codec_encode(s, c.msg, c.wire, c.size),
				-EINVAL);
			break;
		}
		done(&c);
	}
}

/* A string with a NUL in it is none. */
static void test_strings(void **state)
{
	static struct msg_path m;
	const struct shape *s = message_def(MSG_PROBE)->shape;
	uint8_t wire[8] = {0, 0, 0, 4, 'a', 0, 'c', 'd'};

	assert_int_equal(codec_decode(s, wire, 8, &m), -EBADMSG);
	wire[5] = 'b';
	assert_int_equal(codec_decode(s, wire, 8, &m), 0);
	assert_string_equal(m.path, "abcd");
	wire[3] = 0;
	assert_int_equal(codec_decode(s, wire, 4, &m), 0);
	assert_string_equal(m.path, "");
	memset(wire, 0xff, 4);
	assert_int_equal(codec_decode(s, wire, 8, &m), -EBADMSG);
}

static void test_numbers(void **state)
{
	uint8_t b[8];

	put_be64(b, 0x0102030405060708ULL);
	for (int i = 0; i < 8; i++)
		assert_int_equal(b[i], i + 1);
	assert_true(get_be64(b) == 0x0102030405060708ULL);
	assert_int_equal(get_be32(b), 0x01020304);
	assert_int_equal(get_be16(b), 0x0102);
	memset(b, 0xff, sizeof(b));
	assert_true(get_be64(b) == UINT64_MAX);
	assert_true(get_be32(b) == UINT32_MAX);
	assert_int_equal(get_be16(b), 0xffff);
}

/* A peer's error is one, whatever code it sends. */
static void test_errors(void **state)
{
	static struct msg_error m;
	struct error err;

	strcpy(m.what, "do it");
	for (uint32_t code = 0; code < 70000; code += code < 5000 ? 1 : 997) {
		m.code = code;
		message_to_error(&m, "there", &err);
		assert_true(err.code < 0 && err.code > -4096);
	}
	m.code = UINT32_MAX;
	message_to_error(&m, "there", &err);
	assert_int_equal(err.code, -EPROTO);
	assert_string_equal(err.host, "there");
	m.code = ENOSPC;
	message_to_error(&m, "there", &err);
	message_from_error(&err, &m);
	assert_int_equal(m.code, ENOSPC);
	assert_string_equal(m.what, "do it");
	/* Formats in it are text. */
	strcpy(m.what, "%s%n%s");
	message_to_error(&m, "there", &err);
	assert_string_equal(err.what, "%s%n%s");
}

static void assert_kept(const char *text, bool kept)
{
	static struct msg_hello m;

	memset(&m, 0, sizeof(m));
	(void)snprintf(m.ssh_address, sizeof(m.ssh_address), "%s", text);
	(void)snprintf(m.ssh_client, sizeof(m.ssh_client), "%s", text);
	strcpy(m.addresses[0].text, "192.0.2.1");
	(void)snprintf(
		m.addresses[1].text, sizeof(m.addresses[1].text), "%s", text);
	strcpy(m.addresses[2].text, "192.0.2.3");
	m.n_addresses = 3;
	addresses_keep(&m);
	assert_string_equal(m.ssh_address, kept ? text : "");
	assert_string_equal(m.ssh_client, kept ? text : "");
	assert_int_equal(m.n_addresses, kept ? 3 : 2);
	assert_string_equal(m.addresses[kept ? 2 : 1].text, "192.0.2.3");
}

/* Only addresses of a peer go on to ssh and its shells. */
static void test_addresses(void **state)
{
	(void)state;
	assert_kept("192.0.2.7", true);
	assert_kept("2001:db8::7", true);
	assert_kept("fe80::1%eth0.5", true);
	assert_kept("", false);
	assert_kept("host.example", false);
	assert_kept("$({touch,x})", false);
	assert_kept("192.0.2.7%eth0", false);
	assert_kept("fe80::1%", false);
	assert_kept("fe80::1%$({touch,x})", false);
	assert_kept("fe80::1%a b", false);
	assert_kept("fe80::1%eth0%eth0", false);
	assert_kept("fe80::1%abcdefghijklmnop", false);
	assert_kept("0000000000000000000000000000000000000000000000001", false);
	assert_kept("-oProxyCommand=x", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_encode_bounds),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
