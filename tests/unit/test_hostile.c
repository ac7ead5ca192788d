/* SPDX-License-Identifier: Apache-2.0 */
/* Promise 7: whatever a source sends on the lanes, nothing outside the planned
 * volume is written, and what is no possible record writes nothing at all. */
#include "device.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/io.h"
#include "copy/receiver.h"
#include "copy/record.h"
#include "memory_volume.h"

#define SIZE ((1ULL << 20) + 777)
#define FILE_SIZE (8ULL << 20)
#define LANES 2
#define FILL 0xee

static char folder[] = "/tmp/rehost-hostile-XXXXXX";
static bool is_root;

/* A target whose volume is the first part of something larger. */
static struct {
	struct device device;
	struct memory_volume memory;
	struct volume *volume;
	char file[256];
	struct withheld withheld;
	struct receiver *receiver;
	int source[LANES]; /* the hostile ends */
	uint8_t secret[SECRET_SIZE];
	_Atomic uint32_t durables, mismatches;
	_Atomic uint32_t failed;
} t;

static enum { ON_MEMORY, ON_FILE, ON_DEVICE } kind;

static void on_durable(void *arg, struct msg_durable *m)
{
	if (m->error.code)
		t.failed = m->error.code;
	else
		t.durables++;
}

static void on_mismatch(void *arg, struct msg_mismatch *m)
{
	t.mismatches += m->n;
}

static void open_volume(void)
{
	static struct volume v;

	if (kind == ON_MEMORY) {
		memory_volume_init(&t.memory, SIZE, FILL);
		t.volume = &t.memory.volume;
		return;
	}
	(void)snprintf(t.file, sizeof(t.file), "%.200s/target", folder);
	device_file(t.file, FILE_SIZE, FILL);
	memset(&v, 0, sizeof(v));
	v.size = SIZE;
	v.alignment = 1;
	v.ops = &volume_file_ops;
	if (kind == ON_DEVICE) {
		device_attach(&t.device, t.file, 0);
		v.alignment = 512;
		v.ops = &volume_block_ops;
	}
	(void)snprintf(v.path, sizeof(v.path), "%s",
		kind == ON_DEVICE ? t.device.path : t.file);
	v.fd = open(
		v.path, O_RDWR | O_CLOEXEC |
				(kind == ON_DEVICE ? O_DIRECT | O_EXCL : 0));
	assert_true(v.fd >= 0);
	t.volume = &v;
}

static void start_target(void)
{
	struct receiver_events events = {on_durable, on_mismatch, NULL};
	struct lane *lanes[LANES];

	t.durables = t.mismatches = t.failed = 0;
	for (int i = 0; i < LANES; i++) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC,
					 0, pair),
			0);
		assert_int_equal(lane_plain(pair[1], &lanes[i]), 0);
		t.source[i] = pair[0];
	}
	assert_int_equal(receiver_start(t.volume, t.secret, &t.withheld, lanes,
				 LANES, &events, &t.receiver),
		0);
}

static void stop_target(void)
{
	receiver_stop(t.receiver);
	t.receiver = NULL;
	for (int i = 0; i < LANES; i++)
		if (t.source[i] >= 0)
			(void)close(STEAL_FD(t.source[i]));
}

static void wait_failed(uint32_t code)
{
	for (uint64_t end = clock_ms() + 30000; !t.failed && clock_ms() < end;)
		clock_sleep_ms(1);
	assert_int_equal(t.failed, code);
}

static void wait_durable(uint32_t n)
{
	for (uint64_t end = clock_ms() + 30000;
		t.durables < n && clock_ms() < end;)
		clock_sleep_ms(1);
	assert_int_equal(t.durables, n);
}

/* Is everything outside [from, to) as it was? */
static void assert_untouched_but(uint64_t from, uint64_t to)
{
	uint64_t n = kind == ON_MEMORY ? SIZE : FILE_SIZE;
	uint8_t *buf = kind == ON_MEMORY ? t.memory.bytes : malloc(n);

	assert_non_null(buf);
	if (kind != ON_MEMORY) {
		int fd;

		(void)fdatasync(t.volume->fd);
		fd = open(t.file, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(io_pread_all(fd, buf, n, 0), (ssize_t)n);
		(void)close(fd);
	}
	/* Behind an odd end a device's sector is filled up. */
	if (kind == ON_DEVICE && to == SIZE)
		to = (to + 511) / 512 * 512;
	for (uint64_t i = 0; i < n; i++)
		if (buf[i] != FILL && (i < from || i >= to))
			fail_msg(
				"byte %llu was written", (unsigned long long)i);
	if (kind != ON_MEMORY)
		free(buf);
}

/* ---- what a hostile source says ---- */

/* It may be cut off at any byte. */
static void say(int lane, const void *bytes, size_t n)
{
	while (n > 0) {
		ssize_t w = send(
			t.source[lane], bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (w < 0 && errno == EAGAIN && !t.failed) {
			clock_sleep_ms(1);
			continue;
		}
		if (w <= 0)
			return;
		bytes = (const char *)bytes + w;
		n -= (size_t)w;
	}
}

static void say_record(int lane, const struct record *r, const void *payload)
{
	uint8_t head[RECORD_HEAD_MAX];

	say(lane, head, record_format(r, head));
	if (payload)
		say(lane, payload, r->payload);
}

static void say_barrier(int lane, uint32_t epoch)
{
	struct record r = {.type = RECORD_BARRIER, .raw = epoch};

	say_record(lane, &r, NULL);
}

static void say_data(int lane, uint64_t offset, uint64_t bytes)
{
	static uint8_t payload[CHUNK];
	struct record r = {.type = RECORD_DATA,
		.n = 1,
		.raw = (uint32_t)bytes,
		.payload = (uint32_t)bytes,
		.v = {{offset, bytes}}};

	memset(payload, 0x41, sizeof(payload));
	say_record(lane, &r, payload);
}

/* A record that is refused, and writes nothing. */
static void assert_refused(const struct record *r, const void *payload)
{
	start_target();
	say_record(0, r, payload);
	wait_failed(EPROTO);
	stop_target();
	assert_untouched_but(0, 0);
}

static void refuse_extent(uint64_t offset, uint64_t bytes)
{
	static uint8_t payload[CHUNK];
	struct record data = {.type = RECORD_DATA,
		.n = 2,
		.raw = (uint32_t)bytes + 512,
		.payload = (uint32_t)bytes + 512,
		.v = {{0, 512}, {offset, bytes}}};
	struct record zero = {
		.type = RECORD_ZERO, .n = 2, .v = {{0, 512}, {offset, bytes}}};
	struct record digest = {.type = RECORD_DIGEST,
		.n = 2,
		.raw = (uint32_t)bytes + 512,
		.payload = 32,
		.v = {{0, 512}, {offset, bytes}}};

	assert_refused(&data, bytes <= CHUNK - 512 ? payload : NULL);
	assert_refused(&zero, NULL);
	assert_refused(&digest, payload);
}

/* ---- tests ---- */

static void test_outside(void **state)
{
	refuse_extent(1 << 20 | 512, 512);
	refuse_extent(1 << 20 | 1024, 512);
	refuse_extent(SIZE, 512);
	refuse_extent(SIZE - 777, 778);
	refuse_extent(SIZE - 777, 4096);
	refuse_extent(2 << 20, 512);
	refuse_extent(UINT64_MAX - 511, 512);
	refuse_extent(UINT64_MAX - 511, 1024);
	refuse_extent(1ULL << 63, 4096);
	refuse_extent(0, SIZE + 1);
	refuse_extent(4096, SIZE);
	refuse_extent(512, UINT64_MAX - 511);
	refuse_extent(0, 0);
	/* Not where blocks are. */
	refuse_extent(1, 512);
	refuse_extent(4095, 512);
	refuse_extent(0, 511);
	refuse_extent(4096, 4095);
}

static void test_headers(void **state)
{
	static uint8_t noise[CHUNK + 512];
	struct record r;

	for (int i = 0; i < 20; i++) {
		io_random(noise, sizeof(noise));
		/* No type that there is. */
		noise[0] |= 0x80;
		start_target();
		say(i % 2, noise, 100000);
		wait_failed(EPROTO);
		stop_target();
	}
	assert_untouched_but(0, 0);
	/* Too many extents, too much data. */
	start_target();
	say(0, "\1\0\377\377\0\0\20\0\0\0\20\0", 12);
	wait_failed(EPROTO);
	stop_target();
	start_target();
	say(0, "\1\0\0\101\0\0\20\0\0\0\20\0", 12);
	wait_failed(EPROTO);
	stop_target();
	r = (struct record){.type = RECORD_DATA,
		.n = 1,
		.raw = CHUNK + 512,
		.payload = CHUNK + 512,
		.v = {{0, CHUNK + 512}}};
	assert_refused(&r, noise);
	r.raw = r.payload = UINT32_MAX;
	assert_refused(&r, NULL);
	r = (struct record){.type = RECORD_DIGEST,
		.n = 1,
		.raw = 4096,
		.payload = 8,
		.v = {{0, 4096}}};
	assert_refused(&r, noise);
	r.payload = UINT32_MAX;
	assert_refused(&r, NULL);
	/* Sums that wrap around. */
	r = (struct record){.type = RECORD_DATA,
		.n = 2,
		.raw = 4096,
		.payload = 4096,
		.v = {{0, UINT64_MAX - 4095}, {4096, 8192}}};
	assert_refused(&r, noise);
}

/* What unpacks to more, or less, than it says. */
static void test_packed(void **state)
{
	static uint8_t packed[CHUNK];
	size_t big_n = 64 << 20;
	uint8_t *big = calloc(1, big_n);
	struct record r = {.type = RECORD_DATA,
		.flags = RECORD_ZSTD,
		.n = 1,
		.raw = CHUNK,
		.v = {{0, CHUNK}}};

	assert_non_null(big);
	r.payload =
		(uint32_t)ZSTD_compress(packed, sizeof(packed), big, big_n, 1);
	assert_true(r.payload < sizeof(packed));
	assert_refused(&r, packed);
	r.payload = (uint32_t)ZSTD_compress(
		packed, sizeof(packed), big, CHUNK - 1, 1);
	assert_refused(&r, packed);
	r.payload = (uint32_t)ZSTD_compress(
		packed, sizeof(packed), big, CHUNK + 1, 1);
	assert_refused(&r, packed);
	/* Several frames that come to more. */
	r.payload =
		(uint32_t)ZSTD_compress(packed, sizeof(packed), big, CHUNK, 1);
	memcpy(packed + r.payload, packed, r.payload);
	r.payload *= 2;
	assert_refused(&r, packed);
	io_random(packed, 1000);
	r.payload = 1000;
	assert_refused(&r, packed);
	free(big);
}

/* The order of barriers is the target's; who breaks it is not believed. */
static void test_barriers(void **state)
{
	static const uint32_t wrong[] = {0, 2, 16, 17, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		start_target();
		say_barrier(0, wrong[i]);
		wait_failed(EPROTO);
		stop_target();
	}
	start_target();
	say_barrier(0, 1);
	say_barrier(1, 1);
	wait_durable(1);
	say_barrier(0, 1);
	wait_failed(EPROTO);
	assert_int_equal(t.durables, 1);
	stop_target();
	/* One lane runs far ahead of the other. */
	start_target();
	for (uint32_t i = 1; i < 40; i++)
		say_barrier(0, i);
	wait_failed(EPROTO);
	assert_int_equal(t.durables, 0);
	stop_target();
	/* One lane alone makes nothing durable. */
	start_target();
	say_data(0, 0, 4096);
	for (uint32_t i = 1; i < 10; i++)
		say_barrier(0, i);
	clock_sleep_ms(50);
	assert_int_equal(t.durables, 0);
	for (uint32_t i = 1; i < 10; i++)
		say_barrier(1, i);
	wait_durable(9);
	assert_int_equal(t.failed, 0);
	stop_target();
	assert_untouched_but(0, 4096);
}

/* It ends in the middle of something. */
static void test_cut_off(void **state)
{
	static const uint8_t zeros[4096];
	uint8_t head[RECORD_HEAD_MAX];
	struct record r = {.type = RECORD_DATA,
		.n = 2,
		.raw = 8192,
		.payload = 8192,
		.v = {{8192, 4096}, {65536, 4096}}};
	uint32_t n = record_format(&r, head);

	for (uint32_t at = 1; at < n + 2000; at += at < n ? 1 : 400) {
		start_target();
		say(1, head, at < n ? at : n);
		if (at > n)
			say(1, zeros, at - n);
		(void)close(STEAL_FD(t.source[1]));
		wait_failed(ECONNRESET);
		stop_target();
	}
	start_target();
	(void)close(STEAL_FD(t.source[0]));
	wait_failed(EPIPE);
	stop_target();
	assert_untouched_but(0, 0);
}

/* A record may name the odd end again and again: allowed, and harmless. */
static void test_odd_end(void **state)
{
	static uint8_t payload[CHUNK];
	struct record r = {.type = RECORD_DATA, .n = 32};

	for (uint16_t i = 0; i < r.n; i++) {
		r.v[i] = i % 3 == 2 ? (struct msg_extent){8192, 4096}
				    : (struct msg_extent){1 << 20, 777};
		r.raw += (uint32_t)r.v[i].bytes;
	}
	r.payload = r.raw;
	memset(payload, 0x42, sizeof(payload));
	start_target();
	say_record(0, &r, payload);
	say_barrier(0, 1);
	say_barrier(1, 1);
	wait_durable(1);
	assert_int_equal(t.failed, 0);
	stop_target();
	assert_untouched_but(8192, SIZE);
}

/* Signatures are not written by records, however they overlap. */
static void test_withheld(void **state)
{
	static const struct msg_extent v[] = {{1024, 8}, {65536 + 5000, 8}};
	static uint8_t b[4096] __attribute__((aligned(4096)));
	uint8_t digest[32] = {0};
	struct record r = {.type = RECORD_ZERO,
		.n = 3,
		.v = {{0, 8192}, {512, 512}, {65536, 131072}}};
	struct record compare = {.type = RECORD_DIGEST,
		.n = 2,
		.raw = 65536 + 512,
		.payload = 32,
		.v = {{0, 65536}, {512, 512}}};

	assert_int_equal(withheld_init(&t.withheld, v, ARRAY_LEN(v), SIZE), 0);
	start_target();
	say_data(0, 0, CHUNK);
	say_data(1, 512, 1024);
	say_record(0, &r, NULL);
	say_record(1, &compare, digest);
	say_barrier(0, 1);
	say_barrier(1, 1);
	wait_durable(1);
	assert_int_equal(t.failed, 0);
	assert_int_equal(t.mismatches, 2);
	stop_target();
	for (uint32_t i = 0; i < t.withheld.n; i++) {
		assert_int_equal(t.volume->ops->read(t.volume, b, 4096,
					 t.withheld.v[i].offset),
			0);
		for (int k = 0; k < 4096; k++)
			assert_int_equal(b[k], FILL);
	}
	assert_untouched_but(0, CHUNK);
}

/* Records that were right once, with a byte changed. */
static void test_mutated(void **state)
{
	static uint8_t stream[400000], packed[CHUNK], raw[CHUNK];
	uint64_t x = 88172645463325252ULL;

	for (int round = 0; round < 150; round++) {
		size_t n = 0;

		start_target();
		for (int k = 0; k < 4; k++) {
			struct record r = {.n = 3};

			for (uint16_t i = 0; i < r.n; i++)
				r.v[i] = (struct msg_extent){
					(uint64_t)(i * 4 + k) * 16384, 8192};
			r.raw = k == 1 ? 0 : 3 * 8192;
			r.type = k == 1	  ? RECORD_ZERO
				 : k == 2 ? RECORD_DIGEST
					  : RECORD_DATA;
			r.payload = k == 1 ? 0 : k == 2 ? 48 : r.raw;
			r.flags = k == 3 ? RECORD_ZSTD : 0;
			if (k == 3)
				r.payload = (uint32_t)ZSTD_compress(
					packed, sizeof(packed), raw, r.raw, 1);
			n += record_format(&r, stream + n);
			memcpy(stream + n, k == 3 ? packed : raw, r.payload);
			n += r.payload;
		}
		for (int k = 0; k < 1 + round % 4; k++) {
			size_t at;

			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			/* Mostly where it matters. */
			at = x % 3 ? (x >> 8) % 300 : (x >> 8) % n;
			stream[at] = (uint8_t)(x >> 40);
		}
		say(0, stream, n);
		say_barrier(0, 1);
		say_barrier(1, 1);
		(void)close(STEAL_FD(t.source[0]));
		(void)close(STEAL_FD(t.source[1]));
		for (uint64_t end = clock_ms() + 30000;
			!t.failed && clock_ms() < end;)
			clock_sleep_ms(1);
		assert_true(t.failed);
		stop_target();
	}
	assert_untouched_but(0, SIZE);
}

/* ---- on each kind of volume ---- */

static int begin(int k)
{
	kind = k;
	if (kind == ON_DEVICE && !is_root)
		kind = ON_FILE;
	memset(&t, 0, sizeof(t));
	open_volume();
	return 0;
}

static int on_memory(void **state)
{
	return begin(ON_MEMORY);
}

static int on_file(void **state)
{
	return begin(ON_FILE);
}

static int on_device(void **state)
{
	return begin(ON_DEVICE);
}

static int end(void **state)
{
	if (t.receiver)
		stop_target();
	if (kind == ON_MEMORY) {
		memory_volume_done(&t.memory);
		return 0;
	}
	(void)close(t.volume->fd);
	if (kind == ON_DEVICE)
		device_remove(&t.device);
	return 0;
}

static int setup(void **state)
{
	is_root = device_setup(folder);
	return is_root || mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	return run("rm -rf '%s'", folder);
}

#define ON(where, f) cmocka_unit_test_setup_teardown(f, where, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(on_memory, test_outside),
		ON(on_memory, test_headers),
		ON(on_device, test_outside),
		ON(on_device, test_headers),
		ON(on_memory, test_packed),
		ON(on_memory, test_barriers),
		ON(on_memory, test_cut_off),
		ON(on_memory, test_odd_end),
		ON(on_file, test_odd_end),
		ON(on_device, test_odd_end),
		ON(on_memory, test_withheld),
		ON(on_device, test_withheld),
		ON(on_memory, test_mutated),
		ON(on_device, test_mutated),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
