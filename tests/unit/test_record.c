/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "copy/record.h"

/* Parses what a header and its extents say; 0 or -EPROTO. */
static int parse(const struct record *r, struct record *ret)
{
	uint8_t b[RECORD_HEAD_MAX];
	uint32_t n = record_format(r, b);
	int x = record_parse_header(b, ret);

	if (x < 0)
		return x;
	assert_int_equal(n, RECORD_HEADER + x);
	assert_int_equal(x, r->n * 16);
	return record_parse_extents(b + RECORD_HEADER, ret);
}

static int verdict(const struct record *r)
{
	struct record got;

	return parse(r, &got);
}

static struct record data(void)
{
	struct record r = {.type = RECORD_DATA,
		.n = 2,
		.raw = 12288,
		.payload = 12288,
		.v = {{4096, 8192}, {65536, 4096}}};

	return r;
}

static void test_round_trip(void **state)
{
	struct record r = {0}, got;

	for (uint16_t n = 1; n <= RECORD_EXTENTS_MAX; n++) {
		memset(&r, 0, sizeof(r));
		r.type = RECORD_DATA;
		r.flags = n % 2 ? RECORD_ZSTD : 0;
		r.n = n;
		for (uint16_t i = 0; i < n; i++) {
			r.v[i].offset = UINT64_MAX - i * 8192ULL;
			r.v[i].bytes = 512 + i;
			r.raw += (uint32_t)r.v[i].bytes;
		}
		r.payload = r.raw - n % 2;
		memset(&got, 0, sizeof(got));
		assert_int_equal(parse(&r, &got), 0);
		assert_memory_equal(&r, &got, sizeof(r));
	}
}

static void test_data(void **state)
{
	struct record r = data();

	assert_int_equal(verdict(&r), 0);
#define REFUSED(change)                                                        \
	do {                                                                   \
		r = data();                                                    \
		change;                                                        \
		assert_int_equal(verdict(&r), -EPROTO);                        \
	} while (0)
	REFUSED(r.n = 0);
	REFUSED(r.raw = 0; r.payload = 0);
	REFUSED(r.raw = r.payload = 12287);
	REFUSED(r.raw = r.payload = 12289);
	REFUSED(r.payload = 12287);
	REFUSED(r.payload = 12289);
	REFUSED(r.payload = 0);
	REFUSED(r.payload = UINT32_MAX);
	REFUSED(r.flags = 2);
	REFUSED(r.flags = 0xff);
	REFUSED(r.flags = RECORD_ZSTD; r.payload = 12289);
	REFUSED(r.flags = RECORD_ZSTD; r.payload = 0);
	REFUSED(r.v[0].bytes = 0);
	REFUSED(r.v[0].bytes = UINT64_MAX);
	REFUSED(r.v[0].bytes = ZERO_MAX + 1);
	/* Sums that would wrap around to what the header says. */
	REFUSED(r.v[0].bytes = UINT64_MAX - 4095; r.v[1].bytes = 12288 + 4096);
	REFUSED(r.raw = r.payload = CHUNK + 512; r.v[0].bytes = CHUNK;
		r.v[1].bytes = 512);
	r = data();
	r.flags = RECORD_ZSTD;
	r.payload = 1;
	assert_int_equal(verdict(&r), 0);
	r = data();
	r.raw = r.payload = CHUNK;
	r.v[0].bytes = CHUNK - 4096;
	assert_int_equal(verdict(&r), 0);
}

static void test_others(void **state)
{
	struct record r = {.type = RECORD_ZERO, .n = 1, .v = {{0, ZERO_MAX}}};

	assert_int_equal(verdict(&r), 0);
	r.v[0].bytes++;
	assert_int_equal(verdict(&r), -EPROTO);
	r.v[0].bytes = 0;
	assert_int_equal(verdict(&r), -EPROTO);
	r.v[0].bytes = 512;
	r.raw = 512;
	assert_int_equal(verdict(&r), -EPROTO);
	r.raw = 0;
	r.payload = 1;
	assert_int_equal(verdict(&r), -EPROTO);
	r.payload = 0;
	r.flags = RECORD_ZSTD;
	assert_int_equal(verdict(&r), -EPROTO);

	r = (struct record){.type = RECORD_DIGEST,
		.n = 2,
		.raw = 69632,
		.payload = 32,
		.v = {{0, 65536}, {1 << 20, 4096}}};
	assert_int_equal(verdict(&r), 0);
	r.payload = 31;
	assert_int_equal(verdict(&r), -EPROTO);
	r.payload = 33;
	assert_int_equal(verdict(&r), -EPROTO);
	r.payload = 32;
	r.raw++;
	assert_int_equal(verdict(&r), -EPROTO);

	r = (struct record){.type = RECORD_BARRIER, .raw = UINT32_MAX};
	assert_int_equal(verdict(&r), 0);
	r.payload = 1;
	assert_int_equal(verdict(&r), -EPROTO);
	r = (struct record){.type = RECORD_BARRIER, .n = 1, .v = {{0, 512}}};
	assert_int_equal(verdict(&r), -EPROTO);
	r = (struct record){.type = RECORD_END};
	assert_int_equal(verdict(&r), 0);
	for (unsigned type = 0; type < 256; type++) {
		r = (struct record){.type = (uint8_t)type, .n = 1};
		if (type < RECORD_DATA || type > RECORD_END)
			assert_int_equal(verdict(&r), -EPROTO);
	}
}

/* More extents than there is room for are refused by the header alone. */
static void test_too_many(void **state)
{
	uint8_t b[RECORD_HEADER] = {0};
	struct record r;

	for (unsigned type = 0; type < 8; type++)
		for (unsigned n = RECORD_EXTENTS_MAX + 1; n < 65536;
			n = n * 2 + 1) {
			b[0] = (uint8_t)type;
			b[2] = (uint8_t)(n >> 8);
			b[3] = (uint8_t)n;
			assert_int_equal(record_parse_header(b, &r), -EPROTO);
		}
}

static int fits(uint64_t offset, uint64_t bytes, uint64_t size)
{
	struct record r = {
		.type = RECORD_ZERO, .n = 2, .v = {{0, 512}, {offset, bytes}}};

	return record_fits(&r, size);
}

static void test_fits(void **state)
{
	const uint64_t size = (1 << 20) + 777;

	assert_int_equal(fits(0, 512, size), 0);
	assert_int_equal(fits(0, size, size), 0);
	assert_int_equal(fits(1 << 20, 777, size), 0);
	assert_int_equal(fits((1 << 20) + 512, 265, size), 0);
	assert_int_equal(fits((1 << 20) + 512, 266, size), -EPROTO);
	assert_int_equal(fits((1 << 20) + 512, 264, size), -EPROTO);
	assert_int_equal(fits((1 << 20) + 1024, 1, size), -EPROTO);
	assert_int_equal(fits(size, 1, size), -EPROTO);
	assert_int_equal(fits(0, size + 1, size), -EPROTO);
	assert_int_equal(fits(1, 511, size), -EPROTO);
	assert_int_equal(fits(256, 512, size), -EPROTO);
	assert_int_equal(fits(0, 511, size), -EPROTO);
	assert_int_equal(fits(UINT64_MAX - 511, 512, size), -EPROTO);
	assert_int_equal(fits(512, UINT64_MAX - 511, size), -EPROTO);
	assert_int_equal(fits(UINT64_MAX, UINT64_MAX, size), -EPROTO);
}

static void test_digest(void **state)
{
	uint8_t secret[SECRET_SIZE], text[1000], a[DIGEST_SIZE], b[DIGEST_SIZE];

	for (int i = 0; i < SECRET_SIZE; i++)
		secret[i] = (uint8_t)(i * 7 + 1);
	memset(text, 'x', sizeof(text));
	record_digest(secret, text, sizeof(text), 4096, a);
	record_digest(secret, text, sizeof(text), 4096, b);
	assert_memory_equal(a, b, DIGEST_SIZE);
	record_digest(secret, text, sizeof(text), 8192, b);
	assert_memory_not_equal(a, b, DIGEST_SIZE);
	record_digest(secret, text, sizeof(text) - 1, 4096, b);
	assert_memory_not_equal(a, b, DIGEST_SIZE);
	text[500] ^= 1;
	record_digest(secret, text, sizeof(text), 4096, b);
	assert_memory_not_equal(a, b, DIGEST_SIZE);
	text[500] ^= 1;
	secret[100] ^= 1;
	record_digest(secret, text, sizeof(text), 4096, b);
	assert_memory_not_equal(a, b, DIGEST_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_fits),
		cmocka_unit_test(test_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
