/* SPDX-License-Identifier: Apache-2.0 */
/* Partition tables on images that were made larger; sfdisk makes and judges
 * them. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout/grow.h"

#define MIB (1ULL << 20)

static char folder[] = "/tmp/rehost-test-grow.XXXXXX";
static char image[64], other[64];
static uint64_t source; /* bytes that the image had first */

__attribute__((format(printf, 1, 2))) static int run(const char *format, ...)
{
	char command[2048];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	return system(command);
}

/* An image of so many MiB with that table, which then has more. */
static void make(const char *table, unsigned from, unsigned to)
{
	(void)unlink(image);
	source = from * MIB;
	assert_int_equal(run("truncate -s %uM %s", from, image), 0);
	assert_int_equal(
		run("printf '%s' | sfdisk -q %s >/dev/null", table, image), 0);
	assert_int_equal(run("truncate -s %uM %s", to, image), 0);
	assert_int_equal(run("cp --sparse=always %s %s", image, other), 0);
}

static int grow(uint64_t start, struct layout_grown *ret)
{
	int fd = open(image, O_RDWR | O_CLOEXEC);
	struct layout_disk disk = {.fd = fd, .sector = 512, .source = source};
	struct error err = {0};
	struct stat st;
	int r;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	disk.size = (uint64_t)st.st_size;
	r = layout_grow(&disk, start, ret, &err);
	if (r < 0) {
		assert_int_equal(err.code, r);
		assert_true(err.why[0] != '\0');
	}
	assert_int_equal(close(fd), 0);
	return r;
}

static void expect_untouched(void)
{
	assert_int_equal(run("cmp -s %s %s", image, other), 0);
}

/* What sfdisk has to say of it. */
static void expect_good(void)
{
	assert_int_equal(run("LC_ALL=C sfdisk --verify %s >%s/says 2>&1 && "
			     "grep -q '^No errors detected' %s/says && "
			     "! grep -qi 'corrupt\\|mismatch\\|end of the' "
			     "%s/says || { cat %s/says; false; }",
				 image, folder, folder, folder, folder),
		0);
}

static void expect_bad(void)
{
	assert_int_equal(run("LC_ALL=C sfdisk --verify %s 2>&1 | "
			     "grep -qi 'corrupt\\|mismatch\\|end of the'",
				 image),
		0);
}

/* Each partition as "START+SIZE", in blocks. */
static void expect_parts(const char *want)
{
	assert_int_equal(
		run("[ \"$(LC_ALL=C sfdisk -d %s 2>/dev/null | sed -n "
		    "'s/.*start= *\\([0-9]*\\), size= *\\([0-9]*\\),.*/\\1+\\2/"
		    "p' | tr '\\n' ' ')\" = '%s ' ] || { sfdisk -d %s; "
		    "false; }",
			image, want, image),
		0);
}

#define GPT                                                                    \
	"label: gpt\\nlabel-id: 12345678-1234-1234-1234-123456789abc\\n"       \
	"start=1MiB, size=8MiB, type=uefi\\nstart=9MiB, name=root\\n"

static void gpt_copy_moves(void **state)
{
	struct layout_grown g;

	(void)state;
	make(GPT, 64, 96);
	expect_bad();
	assert_int_equal(grow(0, &g), 0);
	assert_true(g.moved && g.written);
	assert_int_equal(g.number, 0);
	expect_good();
	expect_parts("2048+16384 18432+110592");
	/* All else is as it was. */
	assert_int_equal(run("sfdisk -d %s 2>/dev/null | "
			     "grep -q 12345678-1234-1234-1234-123456789ABC",
				 image),
		0);
	assert_int_equal(grow(0, &g), 0);
	assert_false(g.moved || g.written);
}

static void gpt_grows(void **state)
{
	struct layout_grown g;

	(void)state;
	make(GPT, 64, 96);
	assert_int_equal(grow(9 * MIB, &g), 0);
	assert_true(g.moved && g.written);
	assert_int_equal(g.number, 2);
	assert_int_equal(g.from, 110592ULL * 512);
	/* A whole MiB before the end, where the copy is. */
	assert_int_equal(g.now, 86 * MIB);
	expect_good();
	expect_parts("2048+16384 18432+176128");
	assert_int_equal(
		run("sfdisk -d %s | grep -q 'name=\"root\"'", image), 0);
	assert_int_equal(grow(9 * MIB, &g), 0);
	assert_false(g.moved || g.written);
	assert_int_equal(g.from, g.now);
}

/* Once the copy at the end is durable, whatever becomes of the first. */
static void gpt_goes_on_after_a_crash(void **state)
{
	struct layout_grown g;

	(void)state;
	make(GPT, 64, 96);
	assert_int_equal(grow(9 * MIB, &g), 0);
	/* The entries are new, the head is old; then none of both. */
	assert_int_equal(run("dd if=%s of=%s bs=512 skip=1 seek=1 count=1 "
			     "conv=notrunc status=none",
				 other, image),
		0);
	assert_int_equal(grow(9 * MIB, &g), 0);
	assert_true(g.written);
	expect_good();
	expect_parts("2048+16384 18432+176128");
	assert_int_equal(run("dd if=/dev/zero of=%s bs=512 seek=1 count=33 "
			     "conv=notrunc status=none",
				 image),
		0);
	assert_int_equal(grow(0, &g), 0);
	expect_good();
	expect_parts("2048+16384 18432+176128");
	/* The copy is torn while the first is still the old one. */
	make(GPT, 64, 96);
	assert_int_equal(run("dd if=/dev/urandom of=%s bs=512 seek=196575 "
			     "count=33 conv=notrunc status=none",
				 image),
		0);
	assert_int_equal(grow(9 * MIB, &g), 0);
	expect_good();
	expect_parts("2048+16384 18432+176128");
}

static void gpt_is_refused(void **state)
{
	struct layout_grown g;

	(void)state;
	make(GPT, 64, 96);
	assert_int_equal(grow(1 * MIB, &g), -EBUSY);
	expect_untouched();
	assert_int_equal(grow(2 * MIB, &g), -ENOENT);
	expect_untouched();
	/* The only copy that is where it is looked for has a flipped bit. */
	assert_int_equal(run("printf '\\1' | dd of=%s bs=1 seek=1100 "
			     "conv=notrunc status=none && cp %s %s",
				 image, image, other),
		0);
	assert_int_equal(grow(0, &g), -EBADMSG);
	expect_untouched();
	/* It would have to be shorter than its partition. */
	make(GPT, 64, 60);
	assert_int_equal(grow(0, &g), -EBADMSG);
	expect_untouched();
}

/* The members of a mirror whose superblocks are at their ends have the table of
 * what is on it. */
static void gpt_of_something_else(void **state)
{
	struct layout_grown g;

	(void)state;
	make(GPT, 63, 64);
	source = 64 * MIB;
	assert_int_equal(run("printf SUPERBLOCK | dd of=%s bs=1 seek=%llu "
			     "conv=notrunc status=none && cp %s %s",
				 image, 64 * MIB - 8192, image, other),
		0);
	assert_int_equal(grow(0, &g), 0);
	assert_false(g.moved || g.written);
	expect_untouched();
	assert_int_equal(grow(9 * MIB, &g), -ENOSPC);
	expect_untouched();
	/* Also where there is more room. */
	assert_int_equal(run("truncate -s 96M %s %s", image, other), 0);
	assert_int_equal(grow(0, &g), 0);
	assert_false(g.moved || g.written);
	expect_untouched();
	assert_int_equal(grow(9 * MIB, &g), -EBADMSG);
	expect_untouched();
}

/* Nothing is done to a disk that is as large, whatever could be. */
static void as_large_as_the_source(void **state)
{
	struct layout_grown g;

	(void)state;
	make(GPT, 64, 64);
	assert_int_equal(run("dd if=/dev/zero of=%s bs=512 seek=131071 "
			     "count=1 conv=notrunc status=none && cp %s %s",
				 image, image, other),
		0);
	assert_int_equal(grow(0, &g), 0);
	assert_false(g.moved || g.written);
	expect_untouched();
	make("label: dos\\nstart=1MiB, size=8MiB\\n", 64, 64);
	assert_int_equal(grow(1 * MIB, &g), -ENOSPC);
	expect_untouched();
}

#define DOS                                                                    \
	"label: dos\\nlabel-id: 0x12345678\\nstart=1MiB, size=8MiB, "          \
	"bootable\\nstart=9MiB, type=8e\\n"

static void dos_grows(void **state)
{
	struct layout_grown g;

	(void)state;
	make(DOS, 64, 96);
	assert_int_equal(grow(0, &g), 0);
	expect_untouched();
	assert_int_equal(grow(9 * MIB, &g), 0);
	assert_true(g.written);
	assert_int_equal(g.number, 2);
	assert_int_equal(g.from, 55 * MIB);
	assert_int_equal(g.now, 87 * MIB);
	expect_good();
	expect_parts("2048+16384 18432+178176");
	assert_int_equal(run("sfdisk -d %s | grep -q 'type=8e$'", image), 0);
	assert_int_equal(grow(9 * MIB, &g), 0);
	assert_false(g.written);
}

static void dos_is_refused(void **state)
{
	struct layout_grown g;

	(void)state;
	make(DOS, 64, 96);
	assert_int_equal(grow(1 * MIB, &g), -EBUSY);
	assert_int_equal(grow(3 * MIB, &g), -ENOENT);
	expect_untouched();
	make("label: dos\\nstart=1MiB, size=8MiB\\nstart=9MiB, type=5\\n"
	     "start=10MiB, size=4MiB\\n",
		64, 96);
	assert_int_equal(grow(10 * MIB, &g), -EOPNOTSUPP);
	assert_int_equal(grow(1 * MIB, &g), -EBUSY);
	/* The one that holds others is none itself. */
	assert_true(grow(9 * MIB, &g) < 0);
	expect_untouched();
	/* A filesystem on the whole disk has no table. */
	assert_int_equal(run("dd if=/dev/zero of=%s bs=1M count=1 "
			     "conv=notrunc status=none && cp %s %s",
				 image, image, other),
		0);
	assert_int_equal(grow(1 * MIB, &g), -ENOENT);
	assert_int_equal(grow(0, &g), 0);
	expect_untouched();
}

/* What 32 bits of blocks can tell is the most. */
static void dos_ends_at_its_limit(void **state)
{
	struct layout_grown g;

	(void)state;
	make(DOS, 64, 3U << 20);
	assert_int_equal(grow(9 * MIB, &g), 0);
	assert_int_equal(g.now % MIB, 0);
	assert_true(g.now <= UINT32_MAX * 512ULL);
	assert_true(g.now > (2ULL << 40) - 4 * MIB);
	expect_good();
}

static void blocks_make_sense(void **state)
{
	struct layout_grown g;
	struct error err = {0};
	struct layout_disk d = {.size = 64 * MIB, .source = 32 * MIB};

	(void)state;
	make(GPT, 64, 64);
	d.fd = open(image, O_RDWR | O_CLOEXEC);
	assert_true(d.fd >= 0);
	assert_int_equal(layout_grow(&d, 0, &g, &err), -EINVAL);
	d.sector = 513;
	assert_int_equal(layout_grow(&d, 0, &g, &err), -EINVAL);
	/* Made for others. */
	d.sector = 4096;
	assert_int_equal(layout_grow(&d, 0, &g, &err), -EBADMSG);
	d.sector = 512;
	d.size = 1024;
	assert_int_equal(layout_grow(&d, 0, &g, &err), -EINVAL);
	d.size = 64 * MIB;
	d.source = 0;
	assert_int_equal(layout_grow(&d, 0, &g, &err), -EINVAL);
	/* It says that it is larger than it is. */
	d.size = 80 * MIB;
	d.source = 64 * MIB;
	assert_int_equal(layout_grow(&d, 9 * MIB, &g, &err), -EIO);
	assert_int_equal(close(d.fd), 0);
	expect_parts("2048+16384 18432+110592");
	assert_int_equal(run("sfdisk --verify %s >/dev/null 2>&1", image), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gpt_copy_moves),
		cmocka_unit_test(gpt_grows),
		cmocka_unit_test(gpt_goes_on_after_a_crash),
		cmocka_unit_test(gpt_is_refused),
		cmocka_unit_test(gpt_of_something_else),
		cmocka_unit_test(as_large_as_the_source),
		cmocka_unit_test(dos_grows),
		cmocka_unit_test(dos_is_refused),
		cmocka_unit_test(dos_ends_at_its_limit),
		cmocka_unit_test(blocks_make_sense),
	};
	int r;

	if (!mkdtemp(folder))
		return 1;
	(void)snprintf(image, sizeof(image), "%s/image", folder);
	(void)snprintf(other, sizeof(other), "%s/other", folder);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)run("rm -rf %s", folder);
	return r;
}
