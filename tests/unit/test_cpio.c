/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "rescue/cpio.h"

static struct cpio *sample(const char *first, const char *second)
{
	struct cpio *c;

	assert_int_equal(cpio_new(&c), 0);
	assert_int_equal(cpio_add_file(c, first, 0644, "abc", 3), 0);
	assert_int_equal(cpio_add_file(c, second, 0755, "", 0), 0);
	return c;
}

static void order_does_not_matter(void **state)
{
	struct cpio *a = sample("b/x", "a"), *b = sample("b/x", "a");
	struct cpio *c;
	char *one, *two;
	size_t n, m;

	cpio_free(b);
	assert_int_equal(cpio_new(&c), 0);
	assert_int_equal(cpio_add_file(c, "a", 0755, "", 0), 0);
	assert_int_equal(cpio_add_folder(c, "b", 0755), 0);
	assert_int_equal(cpio_add_file(c, "b/x", 0644, "abc", 3), 0);
	assert_int_equal(cpio_write(a, &one, &n), 0);
	assert_int_equal(cpio_write(c, &two, &m), 0);
	assert_int_equal(n, m);
	assert_memory_equal(one, two, n);
	assert_int_equal(n % 4, 0);
	free(one);
	free(two);
	cpio_free(a);
	cpio_free(c);
}

/* The exact bytes of one entry, written down by hand. */
static void bytes_are_right(void **state)
{
	static const char expected[] = "070701"
				       "00000001" /* inode */
				       "000081A4" /* mode */
				       "00000000" /* uid */
				       "00000000" /* gid */
				       "00000001" /* links */
				       "00000000" /* time */
				       "00000003" /* size */
				       "00000000"
				       "00000000" /* device */
				       "00000000"
				       "00000000" /* node */
				       "00000002" /* length of the name */
				       "00000000" /* checksum */
				       "f\0"
				       "abc\0"
				       "070701";
	struct cpio *c;
	char *out;
	size_t n;

	assert_int_equal(cpio_new(&c), 0);
	assert_int_equal(cpio_add_file(c, "f", 0644, "abc", 3), 0);
	assert_int_equal(cpio_write(c, &out, &n), 0);
	assert_int_equal(n, 112 + 4 + 124);
	assert_memory_equal(out, expected, sizeof(expected) - 1);
	assert_string_equal(out + 112 + 4 + 110, "TRAILER!!!");
	free(out);
	cpio_free(c);
}

static void paths(void **state)
{
	static const char *const bad[] = {
		"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", NULL};
	char longest[1025];
	struct cpio *c;

	assert_int_equal(cpio_new(&c), 0);
	for (const char *const *p = bad; *p; p++)
		assert_int_equal(cpio_add_folder(c, *p, 0755), -EINVAL);
	memset(longest, 'a', 1024);
	longest[1024] = '\0';
	assert_int_equal(cpio_add_folder(c, longest, 0755), -EINVAL);
	assert_int_equal(cpio_add_link(c, "a..b/...", "t"), 0);
	assert_true(cpio_has(c, "a..b"));
	assert_false(cpio_has(c, "a"));
	/* A path is one thing. */
	assert_int_equal(cpio_add_file(c, "f", 0644, "12345", 5), 0);
	assert_int_equal(cpio_add_file(c, "f", 0644, "", 0), -EEXIST);
	assert_int_equal(cpio_add_folder(c, "f", 0755), -EEXIST);
	assert_int_equal(cpio_add_file(c, "f/g", 0644, "", 0), -EEXIST);
	assert_int_equal(cpio_add_folder(c, "a..b", 0700), 0);
	assert_int_equal(cpio_size(c, "f"), 5);
	assert_int_equal(cpio_size(c, ""), 6);
	cpio_free(c);
	cpio_free(NULL);
}

/* What another program makes of it. */
static void others_read_it(void **state)
{
	static const char list[] = "d\nd/console\nd/link\nd/sub\nd/sub/file\n";
	char name[] = "/tmp/test_cpio.XXXXXX", command[128], text[256];
	int fd = mkstemp(name);
	struct cpio *c;
	size_t n;
	char *out;
	FILE *f;

	assert_true(fd >= 0);
	assert_int_equal(cpio_new(&c), 0);
	assert_int_equal(cpio_add_file(c, "d/sub/file", 0600, "x\n", 2), 0);
	assert_int_equal(cpio_add_link(c, "d/link", "sub/file"), 0);
	assert_int_equal(cpio_add_device(c, "d/console", 0600, 5, 1), 0);
	assert_int_equal(cpio_write(c, &out, &n), 0);
	assert_int_equal(io_write_all(fd, out, n), 0);
	(void)snprintf(
		command, sizeof(command), "busybox cpio -t <%s 2>&1", name);
	f = popen(command, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	assert_int_equal(pclose(f), 0);
	/* It says how many blocks there were at the end. */
	assert_int_equal(strncmp(text, list, strlen(list)), 0);
	free(out);
	cpio_free(c);
	(void)close(fd);
	(void)unlink(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(bytes_are_right),
		cmocka_unit_test(paths),
		cmocka_unit_test(others_read_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
