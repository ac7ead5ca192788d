/* SPDX-License-Identifier: Apache-2.0 */
/* Sender and receiver together, over plain lanes, on files and loop devices. */
#include "device.h"

#include <pthread.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/io.h"
#include "copy/receiver.h"
#include "copy/sender.h"
#include "volume/joined.h"

#define G 4096ULL
#define MIB (1ULL << 20)

static uint64_t differ_all(struct sender *s)
{
	uint64_t unexplained, suspect;

	sender_differ(s, true, &unexplained, &suspect);
	return unexplained;
}

static char folder[] = "/tmp/rehost-copy-XXXXXX";
static bool is_root;

struct rig {
	struct maps maps;
	struct volume from, to;
	uint8_t secret[SECRET_SIZE];
	struct withheld withheld;
	struct sender *sender;
	struct receiver *receiver;
	struct msg_pass_done done;

	/* Set by the receiver's threads. */
	_Atomic(struct sender *) told;
	_Atomic uint32_t durables, refused, failed;
	uint32_t passes;
};

/* ---- content ---- */

static uint64_t seed_state = 88172645463325252ULL;

static uint64_t next_random(void)
{
	seed_state ^= seed_state << 13;
	seed_state ^= seed_state >> 7;
	return seed_state ^= seed_state << 17;
}

static void put(const char *path, uint64_t off, const void *data, uint64_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(io_pwrite_all(fd, data, n, off), 0);
	(void)fsync(fd);
	(void)close(fd);
}

/* A file of size bytes: noise, holes, words and zeros that were written. */
static void make_content(const char *path, uint64_t size)
{
	uint8_t *buf = malloc(MIB);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_non_null(buf);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	for (uint64_t at = 0, n; at < size; at += n) {
		uint64_t kind = next_random() % 5;

		n = 1 + next_random() % (300 * 1024);
		n = n > size - at ? size - at : n;
		if (kind == 0)
			continue;
		if (kind == 1)
			memset(buf, 0, n);
		else if (kind == 2)
			for (uint64_t i = 0; i < n; i++)
				buf[i] = (uint8_t) "a block like others "[i %
									  20];
		else
			for (uint64_t i = 0; i < n; i++)
				buf[i] = (uint8_t)(next_random() >> 24);
		assert_int_equal(io_pwrite_all(fd, buf, n, at), 0);
	}
	assert_int_equal(fsync(fd), 0);
	(void)close(fd);
	free(buf);
}

static const char *path_of(const char *name)
{
	static char buf[4][300];
	static int i;

	i = (i + 1) % 4;
	(void)snprintf(buf[i], sizeof(buf[i]), "%s/%s", folder, name);
	return buf[i];
}

static void *aligned(size_t n)
{
	void *p = NULL;

	assert_int_equal(posix_memalign(&p, 4096, n), 0);
	assert_non_null(p);
	return p;
}

/* How many granules differ, of those in which (NULL: all). */
static uint64_t differing(struct rig *r, const struct bitmap *in)
{
	uint8_t *a = aligned(2 * G), *b = aligned(2 * G);
	uint64_t n = 0, size = r->from.size;

	for (uint64_t g = 0; g * G < size; g++) {
		uint64_t len = size - g * G < G ? size - g * G : G;

		if (in && !bitmap_get(in, g))
			continue;
		assert_int_equal(r->from.ops->read(&r->from, a, len, g * G), 0);
		assert_int_equal(r->to.ops->read(&r->to, b, len, g * G), 0);
		n += memcmp(a, b, len) != 0;
	}
	free(a);
	free(b);
	return n;
}

/* ---- the rig ---- */

static void on_durable(void *arg, struct msg_durable *m)
{
	struct rig *r = arg;
	struct sender *s = r->told;

	if (m->error.code)
		r->failed = m->error.code;
	else
		r->durables++;
	if (s && sender_durable(s, m) < 0)
		r->refused++;
}

static void on_mismatch(void *arg, struct msg_mismatch *m)
{
	struct rig *r = arg;
	struct sender *s = r->told;

	if (s && sender_mismatch(s, m) < 0)
		r->refused++;
}

static void open_end(struct volume *v, bool source, const char *path,
	bool device, uint64_t size)
{
	static struct volume_facts f;
	struct error err;

	memset(&f, 0, sizeof(f));
	f.kind = device ? VOLUME_BLOCK : VOLUME_FILE;
	f.size = size;
	f.logical = device ? 512 : 1;
	(void)snprintf(f.path, sizeof(f.path), "%s", path);
	assert_int_equal(source ? volume_open_source(&f, v, &err)
				: volume_open_target(&f, size, v, &err),
		0);
}

static void rig_open(struct rig *r, const char *from, bool from_device,
	const char *to, bool to_device, uint64_t size)
{
	memset(r, 0, sizeof(*r));
	io_random(r->secret, sizeof(r->secret));
	assert_int_equal(maps_create(size, (uint32_t)G, &r->maps), 0);
	open_end(&r->from, true, from, from_device, size);
	open_end(&r->to, false, to, to_device, size);
}

static void unlink_lanes(struct rig *r)
{
	receiver_stop(r->receiver);
	r->receiver = NULL;
	r->told = NULL;
	sender_free(r->sender);
	r->sender = NULL;
}

static void link_lanes(struct rig *r, unsigned n)
{
	struct receiver_events events = {on_durable, on_mismatch, r};
	struct lane *a[LANES_MAX], *b[LANES_MAX];

	unlink_lanes(r);
	r->failed = 0;
	for (unsigned i = 0; i < n; i++) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC,
					 0, pair),
			0);
		assert_int_equal(lane_plain(pair[0], &a[i]), 0);
		assert_int_equal(lane_plain(pair[1], &b[i]), 0);
		/* What waits for a dead peer must be ended by something else
		 * than the time. */
		lane_set_limits(a[i], 3600 * 1000, 0);
	}
	assert_int_equal(
		sender_new(&r->maps, &r->from, r->secret, a, n, &r->sender), 0);
	r->told = r->sender;
	assert_int_equal(receiver_start(&r->to, r->secret, &r->withheld, b, n,
				 &events, &r->receiver),
		0);
}

static void rig_close(struct rig *r)
{
	unlink_lanes(r);
	assert_int_equal(r->refused, 0);
	volume_close(&r->from);
	volume_close(&r->to);
	maps_close(&r->maps);
}

static int pass_with(struct rig *r, uint8_t kind, uint8_t compress,
	uint64_t bwlimit, uint64_t budget)
{
	struct msg_pass p = {.number = ++r->passes,
		.kind = kind,
		.compress = compress,
		.bwlimit = bwlimit,
		.budget = budget};

	sender_pass(r->sender, &p, &r->done);
	assert_int_equal(r->done.pass, r->passes);
	return -(int)r->done.error.code;
}

static int pass(struct rig *r, uint8_t kind)
{
	return pass_with(r, kind, COMPRESS_NEVER, 0, 0);
}

static void all_dirty(struct rig *r)
{
	maps_mark(&r->maps, 0, UINT64_MAX);
}

static void assert_seeded(struct rig *r)
{
	assert_int_equal(bitmap_count(&r->maps.dirty), 0);
	assert_int_equal(bitmap_count(&r->maps.inflight), 0);
	assert_int_equal(bitmap_count(&r->maps.known), r->maps.granules);
	assert_int_equal(bitmap_count(&r->maps.unproved), r->maps.granules);
	assert_int_equal(differing(r, NULL), 0);
}

/* ---- tests ---- */

/* From a file to a file over garbage, and what the pass says about it. */
static void test_seed(void **state)
{
	struct rig r;

	for (unsigned lanes = 1; lanes <= 4; lanes += 3) {
		make_content(path_of("a"), 24 * MIB);
		device_file(path_of("b"), 24 * MIB, 0xee);
		rig_open(
			&r, path_of("a"), false, path_of("b"), false, 24 * MIB);
		link_lanes(&r, lanes);
		all_dirty(&r);
		assert_int_equal(pass(&r, PASS_SEND), 0);
		assert_seeded(&r);
		assert_int_equal(r.done.bytes, 24 * MIB);
		assert_true(r.done.zero > 0 && r.done.zero < r.done.bytes);
		assert_true(r.done.sent >= r.done.bytes - r.done.zero);
		assert_true(r.done.sent < 24 * MIB);
		/* Nothing dirty: nothing is sent. */
		assert_int_equal(pass(&r, PASS_SEND), 0);
		assert_int_equal(r.done.bytes, 0);
		/* All equal, and proved thereby. */
		assert_int_equal(pass(&r, PASS_COMPARE), 0);
		assert_int_equal(r.done.differ, 0);
		assert_int_equal(r.done.bytes, 24 * MIB);
		assert_true(r.done.sent < MIB);
		assert_int_equal(bitmap_count(&r.maps.unproved), 0);
		rig_close(&r);
	}
}

/* Compression is tried after a moment, and what it makes is the same. */
static void test_compressed(void **state)
{
	struct rig r;

	make_content(path_of("a"), 24 * MIB);
	device_file(path_of("b"), 24 * MIB, 0xee);
	rig_open(&r, path_of("a"), false, path_of("b"), false, 24 * MIB);
	link_lanes(&r, 2);
	all_dirty(&r);
	assert_int_equal(
		pass_with(&r, PASS_SEND, COMPRESS_ADAPT, 16 * MIB, 0), 0);
	assert_seeded(&r);
	rig_close(&r);
}

/* What an estimate sends: always compressed, and for so long. */
static void test_always_compressed(void **state)
{
	static const uint8_t words[] = "the same again and again, and ";
	struct rig r;

	make_content(path_of("a"), 8 * MIB);
	for (uint64_t at = 0; at < 8 * MIB; at += 4096)
		put(path_of("a"), at, words, sizeof(words));
	device_file(path_of("b"), 8 * MIB, 0xee);
	rig_open(&r, path_of("a"), false, path_of("b"), false, 8 * MIB);
	link_lanes(&r, 2);
	all_dirty(&r);
	assert_int_equal(pass_with(&r, PASS_SEND, COMPRESS_NEVER, 0, 0), 0);
	assert_seeded(&r);
	assert_true(r.done.sent >= r.done.bytes - r.done.zero);
	all_dirty(&r);
	assert_int_equal(pass_with(&r, PASS_SEND, COMPRESS_ALWAYS, 0, 0), 0);
	assert_seeded(&r);
	assert_true(r.done.sent < (r.done.bytes - r.done.zero) / 10 * 9);
	rig_close(&r);
}

static void test_time_limit(void **state)
{
	struct msg_pass p = {.number = 1,
		.kind = PASS_SEND,
		.bwlimit = 8 * MIB,
		.limit_ms = 1};
	struct rig r;

	make_content(path_of("a"), 64 * MIB);
	device_file(path_of("b"), 64 * MIB, 0xee);
	rig_open(&r, path_of("a"), false, path_of("b"), false, 64 * MIB);
	link_lanes(&r, 2);
	all_dirty(&r);
	/* What was taken arrives, what was not stays. */
	sender_pass(r.sender, &p, &r.done);
	assert_int_equal(r.done.error.code, 0);
	assert_true(r.done.bytes < 64 * MIB);
	assert_int_equal(maps_dirty(&r.maps) + r.done.bytes, 64 * MIB);
	assert_int_equal(differing(&r, &r.maps.known), 0);
	r.passes = 1;
	assert_int_equal(pass(&r, PASS_SEND), 0);
	assert_seeded(&r);
	rig_close(&r);
}

/* Several volumes as one, with gaps between them. */
/* What is written over all of them arrives in each; between them it is dropped,
 * and zeros reach across their ends. */
static void joined_write_back(
	const uint64_t *sizes, size_t n, const uint8_t *want, uint8_t *buf)
{
	struct joined *j = calloc(1, sizeof(*j));
	static struct volume_facts f;
	struct error err;

	assert_non_null(j);
	joined_init(j);
	for (size_t i = 0; i < n; i++) {
		char name[] = {'w', (char)('0' + i), '\0'};

		make_content(path_of(name), sizes[i] / 2);
		memset(&f, 0, sizeof(f));
		f.kind = VOLUME_FILE;
		f.size = sizes[i];
		(void)snprintf(f.path, sizeof(f.path), "%s", path_of(name));
		assert_int_equal(joined_add_target(j, &f, sizes[i], &err), 0);
	}
	memcpy(buf, want, j->volume.size);
	for (uint64_t at = 0; at < j->volume.size; at += 65536)
		assert_int_equal(
			j->volume.ops->write(&j->volume, buf + at,
				MIN((uint64_t)65536, j->volume.size - at), at),
			0);
	assert_int_equal(j->volume.ops->flush(&j->volume), 0);
	memset(buf, 0xee, j->volume.size);
	assert_int_equal(
		j->volume.ops->read(&j->volume, buf, j->volume.size, 0), 0);
	assert_memory_equal(buf, want, j->volume.size);
	assert_int_equal(
		j->volume.ops->zero(&j->volume, j->volume.size - 4096, 4096),
		0);
	assert_int_equal(
		j->volume.ops->read(&j->volume, buf, j->volume.size, 0), 0);
	assert_memory_equal(buf, want, 4096);
	for (uint64_t at = 4096; at < j->volume.size; at++)
		assert_int_equal(buf[at], 0);
	assert_int_equal(
		j->volume.ops->write(&j->volume, buf, 4096, j->volume.size),
		-EIO);
	joined_close(j);
	free(j);
}

static void test_joined(void **state)
{
	static const uint64_t sizes[] = {
		3 * JOINED_STEP, JOINED_STEP + 777, 1, 200001};
	struct joined *j = calloc(1, sizeof(*j));
	uint8_t *buf = aligned(2 * MIB), *want = aligned(2 * MIB);
	static struct volume_facts f;
	struct error err;
	uint64_t at = 0;

	assert_non_null(j);
	memset(want, 0, 2 * MIB);
	joined_init(j);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		char name[] = {'j', (char)('0' + i), '\0'};
		int fd;

		make_content(path_of(name), sizes[i]);
		memset(&f, 0, sizeof(f));
		f.kind = VOLUME_FILE;
		f.size = sizes[i];
		(void)snprintf(f.path, sizeof(f.path), "%s", path_of(name));
		assert_int_equal(joined_add_source(j, &f, &err), 0);
		assert_int_equal(j->v[i].start, at);
		fd = open(f.path, O_RDONLY | O_CLOEXEC);
		assert_int_equal(io_pread_all(fd, want + at, sizes[i], 0),
			(int)sizes[i]);
		(void)close(fd);
		at = joined_next(at + sizes[i]);
	}
	assert_int_equal(j->volume.size, j->v[3].start + sizes[3]);
	/* All at once, in pieces, and over each of the ends. */
	memset(buf, 0xee, 2 * MIB);
	assert_int_equal(
		j->volume.ops->read(&j->volume, buf, j->volume.size, 0), 0);
	assert_memory_equal(buf, want, j->volume.size);
	for (uint64_t off = 0; off + 4096 <= j->volume.size; off += 4096) {
		memset(buf, 0xee, 4096);
		assert_int_equal(
			j->volume.ops->read(&j->volume, buf, 4096, off), 0);
		assert_memory_equal(buf, want + off, 4096);
	}
	assert_int_equal(
		j->volume.ops->read(&j->volume, buf, 4096, j->volume.size),
		-EIO);
	(void)snprintf(f.path, sizeof(f.path), "%s/none", folder);
	assert_int_equal(joined_add_source(j, &f, &err), -ENOENT);
	assert_int_equal(j->n, 4);
	joined_close(j);
	joined_write_back(sizes, ARRAY_LEN(sizes), want, buf);
	free(j);
	free(buf);
	free(want);
}

/* Sizes that are no multiple of anything. */
static void test_odd_sizes(void **state)
{
	static const uint64_t sizes[] = {1, 511, 512, 513, 4095, 4097,
		262144 + 1, 3 * MIB + 3 * 4096 + 777, MIB - 1};
	struct rig r;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		make_content(path_of("a"), sizes[i]);
		put(path_of("a"), sizes[i] - 1, "!", 1);
		device_file(path_of("b"), sizes[i] + 100, 0xee);
		rig_open(
			&r, path_of("a"), false, path_of("b"), false, sizes[i]);
		link_lanes(&r, 2);
		all_dirty(&r);
		assert_int_equal(pass(&r, PASS_SEND), 0);
		assert_int_equal(r.done.bytes, sizes[i]);
		assert_seeded(&r);
		assert_int_equal(pass(&r, PASS_COMPARE), 0);
		assert_int_equal(r.done.differ, 0);
		assert_int_equal(bitmap_count(&r.maps.unproved), 0);
		rig_close(&r);
	}
}

/* Devices, and a target that is larger: what lies behind stays. */
static void test_devices(void **state)
{
	const uint64_t sizes[] = {8 * MIB, MIB + 1536, 2 * MIB + 777};
	struct device from, to;
	struct rig r;
	uint8_t *behind = aligned(MIB);

	if (!is_root)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		bool whole = sizes[i] % 512 == 0;
		uint64_t end = (sizes[i] + 511) / 512 * 512;

		make_content(path_of("a"), sizes[i]);
		device_make(&to, folder, "to", 16 * MIB, 0xee);
		if (whole)
			device_attach(&from, path_of("a"), 0);
		rig_open(&r, whole ? from.path : path_of("a"), whole, to.path,
			true, sizes[i]);
		link_lanes(&r, 3);
		all_dirty(&r);
		assert_int_equal(pass(&r, PASS_SEND), 0);
		assert_seeded(&r);
		assert_int_equal(pass(&r, PASS_COMPARE), 0);
		assert_int_equal(r.done.differ, 0);
		rig_close(&r);
		assert_int_equal(
			io_pread_all(to.fd, behind, MIB, end), (ssize_t)MIB);
		for (uint64_t k = 0; k < MIB; k++)
			assert_int_equal(behind[k], 0xee);
		device_remove(&to);
		if (whole)
			device_detach(&from);
	}
	free(behind);
}

/* Only what is dirty goes, wherever it is. */
static void test_scattered(void **state)
{
	struct rig r;
	uint64_t n;

	make_content(path_of("a"), 32 * MIB);
	device_file(path_of("b"), 32 * MIB, 0xee);
	rig_open(&r, path_of("a"), false, path_of("b"), false, 32 * MIB);
	link_lanes(&r, 4);
	for (uint64_t g = 0; g < r.maps.granules; g += 1 + next_random() % 7)
		maps_mark(&r.maps, g * G + 1, 1 + next_random() % 5000);
	n = bitmap_count(&r.maps.dirty);
	assert_int_equal(pass(&r, PASS_SEND), 0);
	assert_int_equal(r.done.bytes, n * G);
	assert_int_equal(bitmap_count(&r.maps.known), n);
	assert_int_equal(differing(&r, &r.maps.known), 0);
	/* The rest was not touched. */
	for (uint64_t g = 0; g < r.maps.granules; g++) {
		uint8_t b[16];

		if (bitmap_get(&r.maps.known, g))
			continue;
		assert_int_equal(r.to.ops->read(&r.to, b, 16, g * G), 0);
		assert_int_equal(b[0], 0xee);
	}
	rig_close(&r);
}

/* So many runs that an epoch is full by their number. */
static void test_many_runs(void **state)
{
	uint64_t n = 0;
	struct rig r;
	int fd = open(
		path_of("a"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(800 * MIB)), 0);
	for (uint64_t at = 0; at < 800 * MIB; at += 7 * MIB + 8192)
		assert_int_equal(io_pwrite_all(fd, "here", 4, at), 0);
	(void)close(fd);
	device_file(path_of("b"), 800 * MIB, 0);
	rig_open(&r, path_of("a"), false, path_of("b"), false, 800 * MIB);
	link_lanes(&r, 3);
	for (uint64_t g = 0; g < r.maps.granules; g += 2, n++)
		maps_mark(&r.maps, g * G, 1);
	assert_int_equal(pass(&r, PASS_SEND), 0);
	assert_true(r.durables > 1);
	assert_int_equal(bitmap_count(&r.maps.known), n);
	assert_int_equal(bitmap_count(&r.maps.dirty), 0);
	for (uint64_t at = 0; at < 800 * MIB; at += 7 * MIB + 8192) {
		char b[4];

		assert_int_equal(r.to.ops->read(&r.to, b, 4, at), 0);
		assert_memory_equal(b, "here", 4);
	}
	rig_close(&r);
	(void)unlink(path_of("a"));
	(void)unlink(path_of("b"));
}

/* One wrong byte is found, and sending it again heals it. */
static void test_compare(void **state)
{
	struct rig r;
	uint8_t byte, other;

	make_content(path_of("a"), 16 * MIB + 999);
	device_file(path_of("b"), 16 * MIB + 999, 0xee);
	rig_open(&r, path_of("a"), false, path_of("b"), false, 16 * MIB + 999);
	link_lanes(&r, 3);
	all_dirty(&r);
	assert_int_equal(pass(&r, PASS_SEND), 0);
	for (int i = 0; i < 3; i++) {
		uint64_t at =
			i == 0 ? 16 * MIB + 998 : next_random() % (16 * MIB);

		bitmap_or(&r.maps.unproved, &r.maps.known);
		assert_int_equal(r.to.ops->read(&r.to, &byte, 1, at), 0);
		other = (uint8_t)(byte ^ 0x10);
		put(path_of("b"), at, &other, 1);
		assert_int_equal(pass(&r, PASS_COMPARE), 0);
		assert_true(r.done.differ > 0 && r.done.differ <= 65536);
		/* It stays unproved, all else is proved. */
		assert_true(bitmap_get(&r.maps.unproved, at / G));
		assert_true(bitmap_count(&r.maps.unproved) <= 16);
		assert_int_equal(bitmap_count(&r.maps.dirty), 0);
		/* Nobody wrote it: unexplained. */
		assert_true(differ_all(r.sender) == r.done.differ);
		assert_true(bitmap_get(&r.maps.dirty, at / G));
		assert_int_equal(differ_all(r.sender), 0);
		assert_int_equal(pass(&r, PASS_SEND), 0);
		assert_int_equal(differing(&r, NULL), 0);
		assert_int_equal(pass(&r, PASS_COMPARE), 0);
		assert_int_equal(r.done.differ, 0);
		assert_int_equal(bitmap_count(&r.maps.unproved), 0);
	}
	/* One that was written meanwhile is explained. */
	bitmap_or(&r.maps.unproved, &r.maps.known);
	put(path_of("a"), 5 * MIB, "new", 3);
	assert_int_equal(pass(&r, PASS_COMPARE), 0);
	assert_true(r.done.differ > 0);
	maps_mark(&r.maps, 5 * MIB, 4096);
	assert_int_equal(differ_all(r.sender), 0);
	rig_close(&r);
}

/* With a budget a comparison gets through the volume pass by pass. */
static void test_budget(void **state)
{
	struct rig r;
	int n = 0;

	make_content(path_of("a"), 16 * MIB);
	device_file(path_of("b"), 16 * MIB, 0xee);
	rig_open(&r, path_of("a"), false, path_of("b"), false, 16 * MIB);
	link_lanes(&r, 2);
	all_dirty(&r);
	assert_int_equal(pass(&r, PASS_SEND), 0);
	while (bitmap_count(&r.maps.unproved) > 0 && n++ < 30) {
		assert_int_equal(pass_with(&r, PASS_COMPARE, false, 0, MIB), 0);
		assert_true(r.done.bytes <= 2 * MIB);
	}
	assert_int_equal(bitmap_count(&r.maps.unproved), 0);
	assert_true(n >= 8);
	rig_close(&r);
}

/* Another process has them from elsewhere; what was published before it, and
 * may have been written to since, stays. */
static void restore_withheld(
	struct rig *r, const struct msg_extent *v, uint32_t n, uint64_t size)
{
	static struct msg_block b[8];
	struct withheld old = r->withheld;
	uint8_t *buf = aligned(8192);
	struct error err;

	assert_int_equal(withheld_init(&r->withheld, v, n, size), 0);
	assert_true(old.n <= ARRAY_LEN(b));
	for (uint32_t i = 0; i < old.n; i++) {
		b[i].offset = old.v[i].offset;
		b[i].n = old.v[i].n;
		memcpy(b[i].data, old.v[i].data, old.v[i].n);
	}
	b[0].offset += 4096; /* none of them */
	assert_int_equal(
		receiver_restore(&r->to, &r->withheld, &b[0], &err), -EPROTO);
	b[0].offset = old.v[0].offset;
	b[0].n++;
	assert_int_equal(
		receiver_restore(&r->to, &r->withheld, &b[0], &err), -EPROTO);
	b[0].n = 0;
	assert_int_equal(
		receiver_restore(&r->to, &r->withheld, &b[0], &err), -EPROTO);
	b[0].n = old.v[0].n;
	for (uint32_t i = 0; i + 1 < old.n; i++)
		assert_int_equal(
			receiver_restore(&r->to, &r->withheld, &b[i], &err), 0);
	/* A disk that ends in it. */
	b[2].n = 512;
	memset(r->withheld.v[2].data, 'x', sizeof(r->withheld.v[2].data));
	assert_int_equal(
		receiver_restore(&r->to, &r->withheld, &b[2], &err), 0);
	assert_memory_equal(r->withheld.v[2].data, b[2].data, 512);
	for (uint32_t k = 512; k < old.v[2].n; k++)
		assert_int_equal(r->withheld.v[2].data[k], 0);
	b[2].n = old.v[2].n;
	assert_int_equal(
		receiver_restore(&r->to, &r->withheld, &b[2], &err), 0);
	/* Torn: some sectors were written, the others were not. */
	memset(buf, 0, 4096);
	memcpy(buf, b[1].data, 512);
	assert_int_equal(r->to.ops->write(&r->to, buf, b[1].n, b[1].offset), 0);
	assert_int_equal(
		receiver_restore(&r->to, &r->withheld, &b[1], &err), 0);
	assert_memory_equal(r->withheld.v[1].data, b[1].data, b[1].n);
	/* All of them, or nothing. */
	assert_int_equal(
		receiver_publish(&r->to, &r->withheld, &err), -ENODATA);
	assert_int_equal(
		receiver_restore(&r->to, &r->withheld, &b[old.n - 1], &err), 0);
	memset(buf, 'm', old.v[1].n);
	assert_int_equal(
		r->to.ops->write(&r->to, buf, old.v[1].n, old.v[1].offset), 0);
	assert_int_equal(
		receiver_restore(&r->to, &r->withheld, &b[1], &err), 0);
	assert_int_equal(receiver_publish(&r->to, &r->withheld, &err), 0);
	assert_int_equal(differing(r, NULL), 1);
	assert_int_equal(
		r->to.ops->read(&r->to, buf, old.v[1].n, old.v[1].offset), 0);
	assert_int_equal(buf[7], 'm');
	free(buf);
}

/* Signatures are kept back, compared in memory, and written at the end. */
static void test_withheld(void **state)
{
	static const struct msg_extent v[] = {{1080, 2}, {65536 + 64, 8},
		{4 * MIB - 4096 - 100, 200}, {4 * MIB + 777 - 10, 10}};
	static const uint64_t blocks[] = {
		0, 65536, 4 * MIB - 8192, 4 * MIB - 4096, 4 * MIB};
	uint64_t size = 4 * MIB + 777;
	struct error err;
	struct rig r;
	uint8_t *buf = aligned(8192);

	make_content(path_of("a"), size);
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		put(path_of("a"), v[i].offset, "SIGNATURE",
			v[i].bytes < 9 ? v[i].bytes : 9);
	/* None of them reads as zeros. */
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		put(path_of("a"), blocks[i] + 5, "x", 1);
	device_file(path_of("b"), size, 0xee);
	rig_open(&r, path_of("a"), false, path_of("b"), false, size);
	assert_int_equal(withheld_init(&r.withheld, v, ARRAY_LEN(v), size), 0);
	assert_int_equal(r.withheld.n, ARRAY_LEN(blocks));
	/* What never came is not published. */
	assert_int_equal(receiver_publish(&r.to, &r.withheld, &err), -ENODATA);
	assert_int_equal(receiver_wipe(&r.to, &r.withheld, &err), 0);
	link_lanes(&r, 2);
	all_dirty(&r);
	assert_int_equal(pass(&r, PASS_SEND), 0);
	assert_int_equal(differing(&r, NULL), ARRAY_LEN(blocks));
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
		uint64_t n = MIN(size - blocks[i], (uint64_t)4096);

		assert_int_equal(r.to.ops->read(&r.to, buf, n, blocks[i]), 0);
		for (uint64_t k = 0; k < n; k++)
			assert_int_equal(buf[k], 0);
	}
	/* Compared where they are. */
	assert_int_equal(pass(&r, PASS_COMPARE), 0);
	assert_int_equal(r.done.differ, 0);
	put(path_of("a"), 65536 + 70, "?", 1);
	bitmap_or(&r.maps.unproved, &r.maps.known);
	assert_int_equal(pass(&r, PASS_COMPARE), 0);
	assert_true(r.done.differ > 0);
	(void)differ_all(r.sender);
	/* They outlive the lanes. */
	link_lanes(&r, 3);
	assert_int_equal(pass(&r, PASS_SEND), 0);
	assert_int_equal(differing(&r, NULL), ARRAY_LEN(blocks));
	unlink_lanes(&r);
	assert_int_equal(receiver_publish(&r.to, &r.withheld, &err), 0);
	assert_int_equal(differing(&r, NULL), 0);
	assert_int_equal(receiver_wipe(&r.to, &r.withheld, &err), 0);
	assert_int_equal(differing(&r, NULL), ARRAY_LEN(blocks));
	restore_withheld(&r, v, ARRAY_LEN(v), size);
	rig_close(&r);
	free(buf);
}

static void test_withheld_bounds(void **state)
{
	static struct withheld w;
	struct msg_extent v = {4 * MIB, 1};

	assert_int_equal(withheld_init(&w, &v, 1, 4 * MIB), -ERANGE);
	v = (struct msg_extent){4 * MIB - 1, 2};
	assert_int_equal(withheld_init(&w, &v, 1, 4 * MIB), -ERANGE);
	v = (struct msg_extent){UINT64_MAX, UINT64_MAX};
	assert_int_equal(withheld_init(&w, &v, 1, 4 * MIB), -ERANGE);
	v = (struct msg_extent){1, UINT64_MAX};
	assert_int_equal(withheld_init(&w, &v, 1, 4 * MIB), -ERANGE);
	v = (struct msg_extent){0, 4 * MIB};
	assert_int_equal(withheld_init(&w, &v, 1, 4 * MIB), -ERANGE);
	v = (struct msg_extent){0, MIB};
	assert_int_equal(withheld_init(&w, &v, 1, 4 * MIB), 0);
	assert_int_equal(w.n, 256);
}

/* A full disk: the error is the target's, at once, and what is not durable is
 * still to be sent. */
static void test_no_space(void **state)
{
	char mount_point[300];
	struct rig r;

	if (!is_root)
		skip();
	(void)snprintf(mount_point, sizeof(mount_point), "%s/full", folder);
	assert_int_equal(mkdir(mount_point, 0700), 0);
	assert_int_equal(mount("tmpfs", mount_point, "tmpfs", 0, "size=3m"), 0);
	device_file(path_of("a"), 48 * MIB, 0x77);
	device_file(path_of("full/b"), 48 * MIB, 0);
	rig_open(&r, path_of("a"), false, path_of("full/b"), false, 48 * MIB);
	link_lanes(&r, 3);
	all_dirty(&r);
	assert_int_equal(pass(&r, PASS_SEND), -ENOSPC);
	assert_true(r.done.on_target);
	assert_non_null(strstr(r.done.error.what, "full/b"));
	assert_true(r.done.error.todo[0]);
	assert_int_equal(bitmap_count(&r.maps.inflight), 0);
	assert_int_equal(
		bitmap_count(&r.maps.dirty) + bitmap_count(&r.maps.known),
		r.maps.granules);
	assert_int_equal(differing(&r, &r.maps.known), 0);
	/* With more room it goes on. */
	assert_int_equal(
		mount(NULL, mount_point, NULL, MS_REMOUNT, "size=64m"), 0);
	link_lanes(&r, 3);
	assert_int_equal(pass(&r, PASS_SEND), 0);
	assert_seeded(&r);
	rig_close(&r);
	assert_int_equal(umount2(mount_point, MNT_DETACH), 0);
}

/* The source cannot be read to its end. */
static void test_source_error(void **state)
{
	struct rig r;

	make_content(path_of("a"), 48 * MIB);
	device_file(path_of("b"), 48 * MIB, 0);
	rig_open(&r, path_of("a"), false, path_of("b"), false, 48 * MIB);
	link_lanes(&r, 3);
	all_dirty(&r);
	assert_int_equal(truncate(path_of("a"), (off_t)(40 * MIB)), 0);
	assert_int_equal(pass(&r, PASS_SEND), -EIO);
	assert_false(r.done.on_target);
	assert_non_null(strstr(r.done.error.what, "read the source at byte"));
	assert_int_equal(bitmap_count(&r.maps.inflight), 0);
	assert_int_equal(
		bitmap_count(&r.maps.dirty) + bitmap_count(&r.maps.known),
		r.maps.granules);
	assert_int_equal(truncate(path_of("a"), (off_t)(48 * MIB)), 0);
	assert_int_equal(differing(&r, &r.maps.known), 0);
	link_lanes(&r, 3);
	assert_int_equal(pass(&r, PASS_SEND), 0);
	assert_seeded(&r);
	rig_close(&r);
}

/* ---- writers beside it ---- */

struct writer {
	struct rig *r;
	_Atomic bool stop;
	_Atomic uint64_t writes;
	int fd;
};

/* Writes, and marks when the write is complete, as the tracker does. */
static void *write_on(void *arg)
{
	struct writer *w = arg;
	uint64_t x = 88172645463325252ULL, size = w->r->from.size;
	uint8_t buf[16384];

	while (!w->stop) {
		uint64_t at, n;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		at = x % size;
		n = 1 + (x >> 40) % sizeof(buf);
		n = n > size - at ? size - at : n;
		memset(buf, (x & 7) ? (int)(x >> 32) : 0, n);
		if (pwrite(w->fd, buf, n, (off_t)at) != (ssize_t)n)
			break;
		maps_mark(&w->r->maps, at, n);
		w->writes++;
	}
	return NULL;
}

static void test_marking_while_sending(void **state)
{
	static struct writer w;
	struct rig r;
	pthread_t thread;
	int passes = 0;

	make_content(path_of("a"), 8 * MIB + 333);
	device_file(path_of("b"), 8 * MIB + 333, 0xee);
	rig_open(&r, path_of("a"), false, path_of("b"), false, 8 * MIB + 333);
	link_lanes(&r, 4);
	all_dirty(&r);
	memset(&w, 0, sizeof(w));
	w.r = &r;
	w.fd = open(path_of("a"), O_WRONLY | O_CLOEXEC);
	assert_true(w.fd >= 0);
	assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
	while (passes < 12 || w.writes < 2000) {
		assert_int_equal(pass(&r, PASS_SEND), 0);
		if (passes % 4 == 3) {
			assert_int_equal(pass(&r, PASS_COMPARE), 0);
			(void)differ_all(r.sender);
		}
		passes++;
	}
	w.stop = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)close(w.fd);
	assert_int_equal(pass(&r, PASS_SEND), 0);
	assert_int_equal(bitmap_count(&r.maps.dirty), 0);
	assert_int_equal(bitmap_count(&r.maps.inflight), 0);
	assert_int_equal(differing(&r, NULL), 0);
	/* What is proved is equal; the rest proves now. */
	assert_int_equal(pass(&r, PASS_COMPARE), 0);
	assert_int_equal(r.done.differ, 0);
	rig_close(&r);
}

/* ---- broken off ---- */

struct breaker {
	struct rig *r;
	unsigned after_ms;
	enum { ABORT, STOP_RECEIVER } how;
};

static void *break_off(void *arg)
{
	struct breaker *b = arg;
	struct msg_durable m = {.error = {.code = ENOTCONN}};

	clock_sleep_ms(b->after_ms);
	if (b->how == ABORT) {
		sender_abort(b->r->sender, -ECANCELED);
	} else {
		receiver_stop(b->r->receiver);
		b->r->receiver = NULL;
		/* As the agent's controller would notice. */
		(void)sender_durable(b->r->sender, &m);
	}
	return NULL;
}

/* Wherever it breaks off: what counts as known is on the target, the rest is
 * dirty, and going on completes it. */
static void test_broken_off(void **state)
{
	struct rig r;

	make_content(path_of("a"), 96 * MIB);
	for (int i = 0; i < 6; i++) {
		struct breaker b = {&r, (unsigned)(next_random() % 60),
			i % 2 ? ABORT : STOP_RECEIVER};
		pthread_t thread;
		int x;

		device_file(path_of("b"), 96 * MIB, 0);
		rig_open(
			&r, path_of("a"), false, path_of("b"), false, 96 * MIB);
		link_lanes(&r, 3);
		all_dirty(&r);
		assert_int_equal(
			pthread_create(&thread, NULL, break_off, &b), 0);
		x = pass(&r, PASS_SEND);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(bitmap_count(&r.maps.inflight), 0);
		assert_int_equal(bitmap_count(&r.maps.dirty) +
					 bitmap_count(&r.maps.known),
			r.maps.granules);
		if (x < 0) {
			/* A sender that failed stays failed. */
			assert_true(pass(&r, PASS_SEND) < 0);
		}
		assert_int_equal(differing(&r, &r.maps.known), 0);
		link_lanes(&r, 2);
		assert_int_equal(pass(&r, PASS_SEND), 0);
		assert_seeded(&r);
		rig_close(&r);
	}
}

/* A pass that a bandwidth limit holds up ends when it is told to. */
static void test_abort_slow(void **state)
{
	struct rig r;
	struct breaker b = {&r, 50, ABORT};
	pthread_t thread;

	device_file(path_of("a"), 16 * MIB, 0x55);
	device_file(path_of("b"), 16 * MIB, 0);
	rig_open(&r, path_of("a"), false, path_of("b"), false, 16 * MIB);
	link_lanes(&r, 2);
	all_dirty(&r);
	assert_int_equal(pthread_create(&thread, NULL, break_off, &b), 0);
	/* At this rate it would take hours. */
	assert_int_equal(pass_with(&r, PASS_SEND, false, 1000, 0), -ECANCELED);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(bitmap_count(&r.maps.dirty), r.maps.granules);
	rig_close(&r);
}

/* What no target can have said. */
static void test_false_words(void **state)
{
	static struct msg_mismatch m;
	struct msg_durable d = {.epoch = 1};
	struct rig r;

	make_content(path_of("a"), MIB);
	device_file(path_of("b"), MIB, 0);
	rig_open(&r, path_of("a"), false, path_of("b"), false, MIB);
	link_lanes(&r, 1);
	assert_int_equal(sender_durable(r.sender, &d), -EPROTO);
	d.epoch = 0;
	assert_int_equal(sender_durable(r.sender, &d), -EPROTO);
	d.epoch = UINT32_MAX;
	assert_int_equal(sender_durable(r.sender, &d), -EPROTO);
	m.n = 1;
	m.v[0] = (struct msg_extent){MIB, 1};
	assert_int_equal(sender_mismatch(r.sender, &m), -EPROTO);
	m.v[0] = (struct msg_extent){MIB - 1, 2};
	assert_int_equal(sender_mismatch(r.sender, &m), -EPROTO);
	m.v[0] = (struct msg_extent){1, UINT64_MAX};
	assert_int_equal(sender_mismatch(r.sender, &m), -EPROTO);
	m.v[0] = (struct msg_extent){0, 0};
	assert_int_equal(sender_mismatch(r.sender, &m), -EPROTO);
	assert_int_equal(bitmap_count(&r.maps.known), 0);
	assert_int_equal(differ_all(r.sender), 0);
	/* Nothing was compared yet; then not as much. */
	m.v[0] = (struct msg_extent){0, 4096};
	assert_int_equal(sender_mismatch(r.sender, &m), -EPROTO);
	all_dirty(&r);
	assert_int_equal(pass(&r, PASS_SEND), 0);
	assert_int_equal(sender_mismatch(r.sender, &m), -EPROTO);
	assert_int_equal(pass(&r, PASS_COMPARE), 0);
	for (uint64_t n = 0; n < MIB; n += 65536) {
		m.v[0] = (struct msg_extent){0, 65536};
		assert_int_equal(sender_mismatch(r.sender, &m), 0);
	}
	assert_int_equal(sender_mismatch(r.sender, &m), -EPROTO);
	/* What comes too late is no lie. */
	sender_abort(r.sender, -ECANCELED);
	assert_int_equal(sender_mismatch(r.sender, &m), 0);
	assert_int_equal(sender_durable(r.sender, &d), 0);
	rig_close(&r);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seed),
		cmocka_unit_test(test_compressed),
		cmocka_unit_test(test_always_compressed),
		cmocka_unit_test(test_time_limit),
		cmocka_unit_test(test_joined),
		cmocka_unit_test(test_odd_sizes),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_scattered),
		cmocka_unit_test(test_many_runs),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_withheld),
		cmocka_unit_test(test_withheld_bounds),
		cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_source_error),
		cmocka_unit_test(test_marking_while_sending),
		cmocka_unit_test(test_broken_off),
		cmocka_unit_test(test_abort_slow),
		cmocka_unit_test(test_false_words),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
