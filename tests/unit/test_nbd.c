/* SPDX-License-Identifier: Apache-2.0 */
/* A server of NBD against clients that keep to the protocol, and others. */
#include "unit.h"

#include <errno.h>

#include "wire/codec.h"
#include "wire/nbd.h"

#define OPTION 0x49484156454f5054ULL
#define REQUEST 0x25609513U
#define MIB (1ULL << 20)

static const uint64_t sizes[] = {64 * MIB, 1000};
static unsigned reads;
static uint64_t broken_from; /* reading fails from there on */

/* Every byte tells where it is. */
static uint8_t byte_at(uint32_t disk, uint64_t off)
{
	return (uint8_t)(off * 7 + (off >> 12) + disk);
}

static int read_disk(
	void *arg, uint32_t disk, void *buf, uint32_t n, uint64_t off)
{
	uint8_t *to = buf;

	assert_ptr_equal(arg, &reads);
	assert_true(disk < 2);
	assert_true(n > 0 && off < sizes[disk] && n <= sizes[disk] - off);
	reads++;
	if (off + n > broken_from)
		return -EIO;
	for (uint32_t i = 0; i < n; i++)
		to[i] = byte_at(disk, off + i);
	return 0;
}

static struct nbd *begin(void)
{
	struct nbd *s;

	reads = 0;
	broken_from = UINT64_MAX;
	assert_int_equal(nbd_new(sizes, 2, read_disk, &reads, &s), 0);
	return s;
}

/* Takes exactly n bytes of it. */
static void take(struct nbd *s, void *buf, size_t n)
{
	static uint8_t kept[NBD_GIVE_MIN];
	static size_t have, at;
	static struct nbd *of;
	uint8_t *to = buf;

	if (of != s)
		have = at = 0;
	of = s;
	while (n > 0) {
		size_t piece;

		if (have == at) {
			ssize_t r = nbd_give(s, kept, sizeof(kept));

			assert_true(r > 0);
			have = (size_t)r;
			at = 0;
		}
		piece = have - at < n ? have - at : n;
		memcpy(to, kept + at, piece);
		at += piece;
		to += piece;
		n -= piece;
	}
}

static ssize_t give(struct nbd *s)
{
	uint8_t buf[NBD_GIVE_MIN];

	return nbd_give(s, buf, sizeof(buf));
}

static void flags(struct nbd *s, uint32_t v)
{
	uint8_t b[4];

	put_be32(b, v);
	nbd_take(s, b, sizeof(b));
}

static void greet(struct nbd *s)
{
	uint8_t b[18];

	take(s, b, sizeof(b));
	assert_memory_equal(b, "NBDMAGICIHAVEOPT", 16);
	assert_int_equal(get_be16(b + 16), 3);
	flags(s, 3);
}

static void option(struct nbd *s, uint32_t which, const void *data, uint32_t n)
{
	uint8_t b[16];

	put_be64(b, OPTION);
	put_be32(b + 8, which);
	put_be32(b + 12, n);
	nbd_take(s, b, sizeof(b));
	if (n)
		nbd_take(s, data, n);
}

/* The type of the next reply to an option, whose data goes to buf. */
static uint32_t reply(struct nbd *s, uint32_t which, uint8_t *buf, uint32_t *n)
{
	uint8_t b[20];

	take(s, b, sizeof(b));
	assert_true(get_be64(b) == 0x0003e889045565a9ULL);
	assert_int_equal(get_be32(b + 8), which);
	*n = get_be32(b + 16);
	assert_true(*n <= 64);
	take(s, buf, *n);
	return get_be32(b + 12);
}

static void go(struct nbd *s, const char *name)
{
	uint8_t b[64], data[64];
	uint32_t n;

	greet(s);
	put_be32(data, (uint32_t)strlen(name));
	memcpy(data + 4, name, strlen(name));
	put_be16(data + 4 + strlen(name), 0);
	option(s, 7, data, (uint32_t)strlen(name) + 6);
	assert_int_equal(reply(s, 7, b, &n), 3);
	assert_int_equal(n, 12);
	assert_int_equal(get_be16(b), 0);
	assert_true(get_be64(b + 2) == sizes[name[0] - '0']);
	/* For reading alone. */
	assert_int_equal(get_be16(b + 10) & 2, 2);
	assert_int_equal(reply(s, 7, b, &n), 3);
	assert_int_equal(reply(s, 7, b, &n), 1);
}

static void request(
	struct nbd *s, uint32_t type, uint64_t cookie, uint64_t off, uint32_t n)
{
	uint8_t b[28];

	put_be32(b, REQUEST);
	put_be32(b + 4, type);
	put_be64(b + 8, cookie);
	put_be64(b + 16, off);
	put_be32(b + 24, n);
	nbd_take(s, b, sizeof(b));
}

static uint32_t answer(struct nbd *s, uint64_t cookie)
{
	uint8_t b[16];

	take(s, b, sizeof(b));
	assert_int_equal(get_be32(b), 0x67446698);
	assert_true(get_be64(b + 8) == cookie);
	return get_be32(b + 4);
}

static void check_read(struct nbd *s, uint32_t disk, uint64_t off, uint32_t n)
{
	uint8_t *b = malloc(n);

	assert_non_null(b);
	request(s, 0, off ^ 0x1234567890abcdefULL, off, n);
	assert_int_equal(answer(s, off ^ 0x1234567890abcdefULL), 0);
	take(s, b, n);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(b[i], byte_at(disk, off + i));
	free(b);
}

static void test_reads(void **state)
{
	struct nbd *s = begin();

	go(s, "0");
	check_read(s, 0, 0, 512);
	check_read(s, 0, 1, 1);
	check_read(s, 0, 12345, 3 * MIB + 1);
	check_read(s, 0, 64 * MIB - 1, 1);
	check_read(s, 0, 32 * MIB, NBD_READ_MAX);
	assert_int_equal(give(s), 0);
	nbd_free(s);
	s = begin();
	go(s, "1");
	check_read(s, 1, 0, 1000);
	check_read(s, 1, 999, 1);
	nbd_free(s);
}

/* A byte at a time, and several requests at once. */
static void test_pieces(void **state)
{
	struct nbd *s = begin();
	uint8_t b[28 * 3], data[512];

	go(s, "0");
	for (int i = 0; i < 3; i++) {
		put_be32(b + 28 * i, REQUEST);
		put_be32(b + 28 * i + 4, 0);
		put_be64(b + 28 * i + 8, (uint64_t)i);
		put_be64(b + 28 * i + 16, 4096ULL * (uint64_t)i);
		put_be32(b + 28 * i + 24, 512);
	}
	for (size_t i = 0; i < 27; i++) {
		nbd_take(s, b + i, 1);
		assert_int_equal(give(s), 0);
	}
	nbd_take(s, b + 27, sizeof(b) - 27);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(answer(s, i), 0);
		take(s, data, sizeof(data));
		assert_int_equal(data[0], byte_at(0, 4096 * i));
	}
	nbd_free(s);
}

static void test_options(void **state)
{
	struct nbd *s = begin();
	uint8_t b[64], data[16] = {0};
	uint32_t n;

	greet(s);
	/* TLS, structured replies, contexts, and what nobody knows. */
	for (uint32_t which = 5; which < 20; which += which == 5 ? 3 : 1) {
		option(s, which, data, 3);
		assert_int_equal(reply(s, which, b, &n), 0x80000001U);
	}
	option(s, 0xffffffffU, NULL, 0);
	assert_int_equal(reply(s, 0xffffffffU, b, &n), 0x80000001U);
	option(s, 3, NULL, 0);
	assert_int_equal(reply(s, 3, b, &n), 2);
	assert_int_equal(n, 5);
	assert_memory_equal(b,
		"\0\0\0\1"
		"0",
		5);
	assert_int_equal(reply(s, 3, b, &n), 2);
	assert_memory_equal(b,
		"\0\0\0\1"
		"1",
		5);
	assert_int_equal(reply(s, 3, b, &n), 1);
	option(s, 3, data, 1);
	assert_int_equal(reply(s, 3, b, &n), 0x80000003U);
	/* No such disk. */
	put_be32(data, 1);
	data[4] = '2';
	option(s, 7, data, 7);
	assert_int_equal(reply(s, 7, b, &n), 0x80000006U);
	/* Lengths that do not fit. */
	put_be32(data, 2);
	option(s, 7, data, 7);
	assert_int_equal(reply(s, 7, b, &n), 0x80000003U);
	put_be32(data, UINT32_MAX);
	option(s, 6, data, 7);
	assert_int_equal(reply(s, 6, b, &n), 0x80000003U);
	option(s, 6, data, 5);
	assert_int_equal(reply(s, 6, b, &n), 0x80000003U);
	put_be32(data, 1);
	put_be16(data + 5, 0x8000);
	option(s, 6, data, 7);
	assert_int_equal(reply(s, 6, b, &n), 0x80000003U);
	option(s, 2, NULL, 0);
	assert_int_equal(reply(s, 2, b, &n), 1);
	assert_int_equal(give(s), -EPIPE);
	nbd_free(s);
}

static void test_old_way(void **state)
{
	struct nbd *s = begin();
	uint8_t b[10 + 124];

	take(s, b, 18);
	flags(s, 1); /* it wants the zeros */
	option(s, 1, "1", 1);
	take(s, b, sizeof(b));
	assert_true(get_be64(b) == sizes[1]);
	assert_int_equal(get_be16(b + 8) & 2, 2);
	check_read(s, 1, 10, 20);
	nbd_free(s);
	s = begin();
	greet(s);
	option(s, 1, "7", 1);
	assert_int_equal(give(s), -EPROTO);
	nbd_free(s);
}

static void test_outside(void **state)
{
	struct nbd *s = begin();
	static const struct {
		uint64_t off;
		uint32_t n;
	} wild[] = {
		{1000, 1},
		{0, 1001},
		{999, 2},
		{UINT64_MAX, 1},
		{UINT64_MAX - 10, 12},
		{1, UINT32_MAX},
		{0, NBD_READ_MAX + 1},
		{0, 0},
		{1ULL << 63, 512},
	};

	go(s, "1");
	for (size_t i = 0; i < ARRAY_LEN(wild); i++) {
		request(s, 0, i, wild[i].off, wild[i].n);
		assert_int_equal(answer(s, i), EINVAL);
	}
	/* With flags, which we offer none of. */
	request(s, 1U << 16, 5, 0, 1);
	assert_int_equal(answer(s, 5), EINVAL);
	assert_int_equal(reads, 0);
	check_read(s, 1, 0, 10);
	nbd_free(s);
}

static void test_writes(void **state)
{
	struct nbd *s = begin();
	uint8_t data[5000] = {0};

	go(s, "0");
	/* Its bytes are passed over, whatever they look like. */
	put_be32(data, REQUEST);
	request(s, 1, 1, 0, sizeof(data));
	nbd_take(s, data, 2000);
	assert_int_equal(answer(s, 1), EPERM);
	assert_int_equal(give(s), 0);
	nbd_take(s, data, 3000);
	assert_int_equal(give(s), 0);
	request(s, 4, 2, 0, 4096);
	assert_int_equal(answer(s, 2), EPERM);
	request(s, 6, 3, 0, 4096);
	assert_int_equal(answer(s, 3), EPERM);
	request(s, 3, 4, 0, 0);
	assert_int_equal(answer(s, 4), EINVAL);
	request(s, 77, 5, 0, 0);
	assert_int_equal(answer(s, 5), EINVAL);
	check_read(s, 0, 0, 4096);
	request(s, 1, 6, 0, NBD_READ_MAX + 1);
	assert_int_equal(give(s), -EPROTO);
	nbd_free(s);
}

static void test_nonsense(void **state)
{
	static const uint32_t wrong[] = {0, 2, 4, 7, UINT32_MAX};
	struct nbd *s;
	uint8_t b[32] = {0};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		s = begin();
		take(s, b, 18);
		flags(s, wrong[i]);
		assert_int_equal(give(s), -EPROTO);
		nbd_free(s);
	}
	s = begin();
	greet(s);
	memset(b, 0, sizeof(b));
	nbd_take(s, b, 16);
	assert_int_equal(give(s), -EPROTO);
	nbd_free(s);
	s = begin();
	greet(s);
	/* More than we would keep. */
	put_be64(b, OPTION);
	put_be32(b + 8, 3);
	put_be32(b + 12, UINT32_MAX);
	nbd_take(s, b, 16);
	assert_int_equal(give(s), -EPROTO);
	nbd_free(s);
	s = begin();
	go(s, "0");
	memset(b, 0, sizeof(b));
	nbd_take(s, b, 28);
	assert_int_equal(give(s), -EPROTO);
	nbd_free(s);
	s = begin();
	go(s, "0");
	request(s, 2, 1, 0, 0);
	assert_int_equal(give(s), -EPIPE);
	nbd_free(s);
	assert_int_equal(
		nbd_new(sizes, NBD_DISKS_MAX + 1, read_disk, &reads, &s),
		-E2BIG);
}

static void test_room(void **state)
{
	struct nbd *s = begin();
	uint8_t data[NBD_TAKE_MAX] = {0};

	assert_int_equal(nbd_room(s), NBD_TAKE_MAX);
	nbd_take(s, data, sizeof(data));
	assert_int_equal(nbd_room(s), 0);
	/* What is too much is not kept. */
	nbd_take(s, data, sizeof(data));
	assert_int_equal(nbd_room(s), 0);
	nbd_free(s);
}

static void test_bad_disk(void **state)
{
	struct nbd *s = begin();
	uint8_t b[NBD_GIVE_MIN];

	go(s, "0");
	broken_from = 4096;
	check_read(s, 0, 0, 4096);
	/* At once: it can be said. In the middle: it cannot. */
	request(s, 0, 1, 8192, 4096);
	assert_int_equal(answer(s, 1), EIO);
	request(s, 0, 2, 4000, 4096);
	assert_int_equal(answer(s, 2), EIO);
	request(s, 0, 3, 3000, 4096);
	assert_true(nbd_give(s, b, sizeof(b)) > 16);
	while (nbd_give(s, b, sizeof(b)) > 0)
		;
	assert_int_equal(nbd_give(s, b, sizeof(b)), -EIO);
	nbd_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_old_way),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_writes),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_bad_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
