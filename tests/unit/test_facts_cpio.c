/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <zstd.h>

#include "base/io.h"
#include "facts/unpack.h"

#define ROOM (4U << 20)

static uint8_t out[ROOM];
static size_t n;
static char seen[4096];
static unsigned n_seen;

static void see(void *arg, const char *name, size_t length)
{
	size_t k = strlen(seen);

	assert_int_equal(name[length], '\0');
	n_seen++;
	(void)snprintf(seen + k, sizeof(seen) - k, "%s ", name);
}

static void pad(size_t to)
{
	while (n % to)
		out[n++] = 0;
}

static void entry(const char *name, const void *data, size_t size)
{
	n += (size_t)sprintf((char *)out + n,
		"070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 1,
		0100644, 0, 0, 1, 0, (unsigned)size, 0, 0, 0, 0,
		(unsigned)strlen(name) + 1, 0);
	memcpy(out + n, name, strlen(name) + 1);
	n += strlen(name) + 1;
	pad(4);
	memcpy(out + n, data, size);
	n += size;
	pad(4);
}

static void begin(void)
{
	n = n_seen = 0;
	seen[0] = '\0';
}

static void trailer(void)
{
	entry("TRAILER!!!", "", 0);
	pad(512);
}

static int feed_all(const uint8_t *p, size_t size, size_t step, bool skip)
{
	static struct cpio c;
	size_t at = 0;

	seen[0] = '\0';
	n_seen = 0;
	cpio_begin(&c, see, NULL);
	while (at < size) {
		size_t used, k = step < size - at ? step : size - at;
		uint64_t over;
		int r = cpio_feed(&c, p + at, k, &used);

		assert_true(used <= k);
		at += used;
		if (r != 0)
			return r;
		assert_int_equal(used, k);
		over = skip ? cpio_skippable(&c) : 0;
		over = over < size - at ? over : size - at;
		cpio_skipped(&c, over);
		at += over;
	}
	return c.state == CPIO_BETWEEN ? 0 : -EPIPE;
}

static void names(void **state)
{
	static const size_t steps[] = {1, 3, 4096, ROOM};
	static const uint8_t data[5000];

	begin();
	entry(".", "", 0);
	entry("./etc/x", "hello", 5);
	entry("/usr//bin", data, sizeof(data));
	trailer();
	entry("second", "", 0);
	trailer();
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		for (int skip = 0; skip < 2; skip++) {
			assert_int_equal(feed_all(out, n, steps[i], skip), 0);
			assert_string_equal(seen, ". etc/x usr//bin second ");
		}
	/* What follows, and is none. */
	out[n] = 0x1f;
	assert_int_equal(feed_all(out, n + 1, ROOM, false), 1);
	assert_int_equal(feed_all(out, n - 300, ROOM, false), -EPIPE);
}

static void broken(void **state)
{
	size_t whole;

	begin();
	entry("file", "x", 1);
	trailer();
	whole = n;
	/* Every byte of the head once, with what is no digit. */
	for (size_t i = 0; i < CPIO_HEAD; i++) {
		uint8_t was = out[i];

		out[i] = 'g';
		(void)feed_all(out, whole, 7, false);
		out[i] = was;
	}
	/* Names of no length, and of too much. */
	memcpy(out + 94, "00000000", 8);
	assert_int_equal(feed_all(out, whole, ROOM, false), -EBADMSG);
	memcpy(out + 94, "ffffffff", 8);
	assert_int_equal(feed_all(out, whole, ROOM, false), -EBADMSG);
	memcpy(out + 94, "00001001", 8);
	assert_int_equal(feed_all(out, whole, ROOM, false), -EBADMSG);
	/* A name without an end. */
	memcpy(out + 94, "00000004", 8);
	assert_int_equal(feed_all(out, whole, ROOM, false), -EBADMSG);
	/* A file that is larger than all there is. */
	memcpy(out + 94, "00000005", 8);
	memcpy(out + 54, "ffffffff", 8);
	assert_int_equal(feed_all(out, whole, ROOM, true), -EPIPE);
}

/* ---- whole ones ---- */

static const char *compression, *why;

static int unpack(const void *bytes, size_t size)
{
	int fd = memfd_create("initramfs", MFD_CLOEXEC), r;

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, bytes, size), 0);
	seen[0] = '\0';
	n_seen = 0;
	r = unpack_names(fd, see, NULL, &compression, &why);
	(void)close(fd);
	return r;
}

/* Compresses what is in out from byte at on. */
static void pack(size_t at, const char *program)
{
	static uint8_t packed[ROOM];
	char command[256], path[] = "/tmp/test_facts_cpio.XXXXXX";
	int fd = mkstemp(path);
	ssize_t k;

	assert_true(fd >= 0);
	if (!program) {
		k = (ssize_t)ZSTD_compress(packed, ROOM, out + at, n - at, 1);
	} else {
		assert_int_equal(io_write_all(fd, out + at, n - at), 0);
		(void)snprintf(command, sizeof(command), "%s <%s >%s.p",
			program, path, path);
		assert_int_equal(system(command), 0);
		(void)snprintf(command, sizeof(command), "%s.p", path);
		(void)close(fd);
		fd = open(command, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		k = io_pread_all(fd, packed, ROOM, 0);
		(void)unlink(command);
	}
	(void)close(fd);
	(void)unlink(path);
	assert_true(k > 0);
	memcpy(out + at, packed, (size_t)k);
	n = at + (size_t)k;
}

static size_t microcode(void)
{
	static const uint8_t data[300000];

	begin();
	entry("kernel/x86/microcode/GenuineIntel.bin", data, sizeof(data));
	trailer();
	return n;
}

static void fill(void)
{
	for (int i = 0; i < 20000; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "lib/%d.ko", i);
		entry(name, name, 20);
	}
	trailer();
}

static void kinds(void **state)
{
	static const struct {
		const char *name, *program;
	} known[] = {{"zstd", NULL}, {"gzip", "gzip -1"},
		{"xz", "xz --check=crc32 -0"}, {"lz4", "lz4 -l -c"},
		{"bzip2", "bzip2"}, {"lzma", "xz --format=lzma -0"}};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		size_t at = microcode();
		char command[64];

		fill();
		/* Not every machine has all. */
		(void)snprintf(command, sizeof(command),
			"command -v %.*s >/dev/null",
			known[i].program ? (int)strcspn(known[i].program, " ")
					 : 4,
			known[i].program ? known[i].program : "true");
		if (system(command) != 0)
			continue;
		pack(at, known[i].program);
		assert_int_equal(unpack(out, n), 0);
		assert_string_equal(compression, known[i].name);
		assert_int_equal(n_seen, 20001);
		/* Zeros behind, as loaders leave them. */
		memset(out + n, 0, 1000);
		assert_int_equal(unpack(out, n + 1000), 0);
		assert_int_equal(n_seen, 20001);
		/* Cut off. */
		assert_true(unpack(out, n / 2 + at / 2) < 0);
		assert_non_null(why);
	}
}

static void parts(void **state)
{
	size_t at = microcode();

	assert_int_equal(unpack(out, n), 0);
	assert_string_equal(compression, "none");
	assert_int_equal(n_seen, 1);
	entry("a", "", 0);
	trailer();
	pack(at, NULL);
	pad(4);
	at = n;
	/* A second frame, and an archive behind it. */
	entry("b", "", 0);
	trailer();
	pack(at, NULL);
	pad(4);
	entry("c", "", 0);
	trailer();
	assert_int_equal(unpack(out, n), 0);
	assert_string_equal(
		seen, "kernel/x86/microcode/GenuineIntel.bin a b c ");
	assert_string_equal(compression, "zstd");
}

static void hostile(void **state)
{
	static const char *const magics[] = {"\x28\xb5\x2f\xfd....",
		"\x1f\x8b......", "BZh9....",
		"\xfd"
		"7zXZ...",
		"\x5d\0\0\0....", "garbage.", "0garbage"};

	for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
		int r = unpack(magics[i], 8);

		/* A program may say nothing at all. */
		if (magics[i][0] == 'g' || magics[i][0] == '0' || i == 0)
			assert_true(r < 0);
	}
	assert_int_equal(unpack("", 0), 0);
}

/* 1100 MiB of zeros behind one name. */
static void bomb(void **state)
{
	ZSTD_CStream *z = ZSTD_createCStream();
	static uint8_t zeros[1 << 20], packed[ROOM];
	ZSTD_outBuffer o = {packed, ROOM, 0};

	assert_non_null(z);
	begin();
	entry("x", "", 0);
	memcpy(zeros, out, n);
	memcpy(zeros + 54, "ffffffff", 8);
	for (int i = 0; i < 1100; i++) {
		ZSTD_inBuffer in = {zeros, sizeof(zeros), 0};

		while (in.pos < in.size)
			assert_false(
				ZSTD_isError(ZSTD_compressStream(z, &o, &in)));
		if (i == 0)
			memset(zeros, 0, sizeof(zeros));
	}
	assert_int_equal(ZSTD_endStream(z, &o), 0);
	(void)ZSTD_freeCStream(z);
	assert_int_equal(unpack(packed, o.pos), -E2BIG);
	assert_non_null(why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(broken),
		cmocka_unit_test(kinds),
		cmocka_unit_test(parts),
		cmocka_unit_test(hostile),
		cmocka_unit_test(bomb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
