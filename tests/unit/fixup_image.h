/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the fix-ups: the tree of a moved system in a temporary folder,
 * and running one fix-up over it. */
#ifndef REHOST_TESTS_FIXUP_IMAGE_H
#define REHOST_TESTS_FIXUP_IMAGE_H

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "fixup/fixup.h"

#define IMAGE_ROOT_UUID "0b1e9a4c-6a52-4c0e-9d5b-7f1d2c3b4a59"
#define IMAGE_BOOT_UUID "5d0e6f7a-1111-4222-8333-444455556666"
#define IMAGE_SWAP_UUID "77777777-aaaa-4bbb-8ccc-ddddeeeeffff"
#define IMAGE_CRYPT_UUID "c0ffee00-1234-4567-89ab-cdef01234567"

/* What moves; apostrophes stand for quotes. */
#define IMAGE_FILESYSTEMS                                                      \
	"'filesystems': ["                                                     \
	"{'device': '/dev/vda2', 'uuid': '" IMAGE_ROOT_UUID "', "              \
	"'aliases': ['/dev/disk/by-path/pci-0000:00:04.0-part2'], "            \
	"'partuuid': 'aabb-02', 'type': 'ext4', 'mount': '/'}, "               \
	"{'device': '/dev/vda1', 'uuid': '" IMAGE_BOOT_UUID "', "              \
	"'type': 'ext4', 'mount': '/boot'}, "                                  \
	"{'device': '/dev/vda3', 'uuid': '" IMAGE_SWAP_UUID "', "              \
	"'type': 'swap', 'swap': true}, "                                      \
	"{'device': '/dev/vdb', 'uuid': '" IMAGE_CRYPT_UUID "', "              \
	"'type': 'crypto_LUKS', 'crypt': true}, "                              \
	"{'device': '/dev/dm-0', 'uuid': 'x', 'mount': '/srv', "               \
	"'logical': '/dev/mapper/big-my--data'}], "

static char image[64];
static json_t *image_report;
static char image_error[4096];

static inline int image_setup(void **state)
{
	(void)snprintf(image, sizeof(image), "/tmp/rehost-fixup-XXXXXX");
	return mkdtemp(image) ? 0 : -1;
}

static inline int image_teardown(void **state)
{
	char command[256];

	json_decref(image_report);
	image_report = NULL;
	(void)snprintf(command, sizeof(command),
		"chattr -R -f -i '%s'; rm -rf '%s'", image, image);
	return system(command) == 0 ? 0 : -1;
}

/* The path below the tree, its folders made. */
static inline char *image_path(const char *path)
{
	static char full[4096];

	(void)snprintf(full, sizeof(full), "%s%s", image, path);
	for (char *at = full + strlen(image) + 1; (at = strchr(at, '/'));
		at++) {
		*at = '\0';
		assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
		*at = '/';
	}
	return full;
}

static inline void image_put_bytes(
	const char *path, const void *bytes, size_t n, mode_t mode)
{
	CLEANUP_CLOSE int fd = open(image_path(path),
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, bytes, n), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static inline void image_put(const char *path, const char *text)
{
	image_put_bytes(path, text, strlen(text), 0644);
}

static inline void image_script(const char *path, const char *text)
{
	image_put_bytes(path, text, strlen(text), 0755);
}

static inline void image_folder(const char *path)
{
	(void)mkdir(image_path(path), 0755);
}

static inline void image_link(const char *path, const char *target)
{
	assert_int_equal(symlink(target, image_path(path)), 0);
}

static inline void image_fifo(const char *path)
{
	assert_int_equal(mkfifo(image_path(path), 0600), 0);
}

static inline bool image_has(const char *path)
{
	struct stat st;

	return lstat(image_path(path), &st) == 0;
}

/* A file's contents, until the next call; fails when there is none. */
static inline const char *image_read(const char *path)
{
	static char *text;

	free(text);
	text = NULL;
	if (io_slurp(image_path(path), 8 << 20, &text, NULL) < 0)
		fail_msg("%s is not there", path);
	return text;
}

static inline void image_is(const char *path, const char *text)
{
	assert_string_equal(image_read(path), text);
}

static inline const char *image_target(const char *path)
{
	static char target[4096];
	ssize_t n = readlink(image_path(path), target, sizeof(target) - 1);

	assert_true(n > 0);
	target[n] = '\0';
	return target;
}

/* A wish of text in which apostrophes stand for quotes, with all fix-ups but
 * one switched off ("": all are). */
static inline json_t *image_wish(const char *only, const char *text)
{
	static const char *const names[] = {"fstab", "crypttab", "bootloader",
		"initramfs", "network", "resolver", "hostname", "machine-id",
		"ssh-keys", "cloud", "console"};
	json_t *wish, *fixups = json_object();
	char full[16384];

	(void)snprintf(full, sizeof(full), "{'name': 'web1', %s}", text);
	for (char *at = full; (at = strchr(at, '\''));)
		*at = '"';
	wish = json_loads(full, 0, NULL);
	if (!wish)
		fail_msg("no JSON: %s", full);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)json_object_set_new(fixups, names[i],
			json_boolean(strcmp(names[i], only) == 0));
	(void)json_object_set_new(wish, "fixups", fixups);
	return wish;
}

static inline int image_try(const char *only, const char *text)
{
	json_t *wish = image_wish(only, text);
	struct error err = {0};
	int r;

	json_decref(image_report);
	image_report = NULL;
	r = fixup_run(image, wish, &image_report, &err);
	json_decref(wish);
	image_error[0] = '\0';
	if (r < 0) {
		assert_int_equal(r, err.code);
		(void)error_text(&err, image_error, sizeof(image_error));
	}
	return r;
}

/* How many entries of a list are of a fix-up. */
static inline size_t image_count(const char *list, const char *fixup)
{
	json_t *o;
	size_t i, n = 0;

	json_array_foreach(json_object_get(image_report, list), i, o)
	{
		const char *s = json_string_value(json_object_get(o, "fixup"));

		n += strcmp(s, fixup) == 0;
	}
	return n;
}

/* Whether an entry of a list says this, or is of this path. */
static inline bool image_says(const char *list, const char *text)
{
	json_t *o;
	size_t i;

	json_array_foreach(json_object_get(image_report, list), i, o)
	{
		const char *what =
			json_string_value(json_object_get(o, "what"));
		const char *path =
			json_string_value(json_object_get(o, "path"));

		if (strstr(what, text) || (path && strcmp(path, text) == 0))
			return true;
	}
	return false;
}

/* Every name with its inode, mode, size, times and target. */
static inline char *image_listing(void)
{
	char command[256], *text = NULL;
	FILE *f;
	size_t size = 1 << 20, n;

	(void)snprintf(command, sizeof(command),
		"cd '%s' && find . -printf '%%p %%i %%m %%s %%T@ %%C@ %%l\\n' "
		"| sort",
		image);
	f = popen(command, "r");
	assert_non_null(f);
	text = calloc(1, size + 1);
	assert_non_null(text);
	n = fread(text, 1, size, f);
	assert_true(n < size);
	assert_int_equal(pclose(f), 0);
	return text;
}

/* Runs one fix-up twice; the second run must change nothing. The report is that
 * of the first. */
static inline void image_run(const char *only, const char *text)
{
	json_t *first;
	char *before, *after;

	if (image_try(only, text) < 0)
		fail_msg("%s", image_error);
	first = json_incref(image_report);
	before = image_listing();
	if (image_try(only, text) < 0)
		fail_msg("%s", image_error);
	after = image_listing();
	if (json_array_size(json_object_get(image_report, "changes")) > 0)
		fail_msg("the second run changed something: %s",
			json_dumps(image_report, 0));
	assert_string_equal(before, after);
	free(before);
	free(after);
	json_decref(image_report);
	image_report = first;
}

/* Runs it where everything is right already. */
static inline void image_run_idle(const char *only, const char *text)
{
	image_run(only, text);
	if (image_count("changes", only) > 0)
		fail_msg("it changed something: %s",
			json_dumps(image_report, 0));
}

#endif
