/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/xattr.h>

#include "fixup/edit.h"
#include "fixup/tree.h"
#include "fixup_image.h"

static struct tree t;

static int setup(void **state)
{
	return image_setup(state) == 0 && tree_open(image, &t) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	tree_close(&t);
	return image_teardown(state);
}

static int write_text(const char *path, const char *text)
{
	return tree_write(&t, path, text, strlen(text), 0640);
}

static int read_it(const char *path)
{
	char *text = NULL;
	int r = tree_read(&t, path, TREE_TEXT_MAX, &text, NULL);

	free(text);
	return r;
}

static void keeps_what_belongs_to_a_file(void **state)
{
	bool has_attributes = false;
	struct stat st, after;
	char value[16];

	image_put("/etc/a", "old");
	assert_int_equal(chown(image_path("/etc/a"), 7, 8), 0);
	assert_int_equal(chmod(image_path("/etc/a"), 04751), 0);
	if (setxattr(image_path("/etc/a"), "user.x", "y", 1, 0) < 0)
		assert_int_equal(errno, ENOTSUP);
	else
		has_attributes = true;
	assert_int_equal(stat(image_path("/etc/a"), &st), 0);
	assert_int_equal(write_text("/etc/a", "new"), 0);
	image_is("/etc/a", "new");
	assert_int_equal(stat(image_path("/etc/a"), &after), 0);
	assert_int_equal(after.st_uid, 7);
	assert_int_equal(after.st_gid, 8);
	assert_int_equal(after.st_mode, st.st_mode);
	assert_true(after.st_ino != st.st_ino);
	if (has_attributes)
		assert_int_equal(getxattr(image_path("/etc/a"), "user.x", value,
					 sizeof(value)),
			1);
}

static void makes_files_and_folders(void **state)
{
	struct stat st;
	mode_t old = umask(077);

	assert_int_equal(write_text("/a/b/c", "x"), 0);
	(void)umask(old);
	image_is("/a/b/c", "x");
	assert_int_equal(stat(image_path("/a/b/c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(stat(image_path("/a/b"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(tree_make_folder(&t, "/a/b/c", 0755), -ENOTDIR);
	assert_int_equal(tree_remove(&t, "/a/b/c"), 0);
	assert_int_equal(tree_remove(&t, "/a/b/c"), -ENOENT);
}

static void links_stay_inside(void **state)
{
	char outside[128];
	struct stat st;

	(void)snprintf(outside, sizeof(outside), "%s.outside", image);
	image_link("/up", "../../../../../../..");
	image_link("/etc", "real");
	image_folder("/real");
	/* Absolute, relative to where the link really stands, and a chain. */
	image_link("/real/abs", outside);
	image_link("/real/rel", "../real/x");
	image_link("/real/chain", "/etc/rel");
	assert_int_equal(write_text("/etc/chain", "x"), 0);
	image_is("/real/x", "x");
	assert_int_equal(read_it("/etc/chain"), 0);
	assert_string_equal(image_target("/real/chain"), "/etc/rel");
	/* Inside, /tmp is not there. */
	assert_int_equal(write_text("/etc/abs", "x"), -ENOENT);
	assert_int_equal(stat(outside, &st), -1);
	assert_int_equal(write_text("/up/y", "x"), 0);
	image_is("/y", "x");
	image_link("/loop", "loop");
	assert_int_equal(write_text("/loop", "x"), -ELOOP);
	assert_int_equal(read_it("/loop"), -ELOOP);
	assert_int_equal(write_text("/etc/..", "x"), -EINVAL);
}

static void takes_regular_files_only(void **state)
{
	char *names;

	image_fifo("/etc/fifo");
	image_folder("/etc/folder");
	assert_int_equal(
		mknod(image_path("/etc/null"), S_IFCHR | 0666, (1 << 8) | 3),
		0);
	assert_int_equal(read_it("/etc/fifo"), -EINVAL);
	assert_int_equal(read_it("/etc/folder"), -EINVAL);
	assert_int_equal(read_it("/etc/null"), -EINVAL);
	assert_int_equal(write_text("/etc/fifo", "x"), -EINVAL);
	assert_int_equal(write_text("/etc/folder", "x"), -EINVAL);
	image_put("/etc/large", "");
	assert_int_equal(
		truncate(image_path("/etc/large"), TREE_TEXT_MAX + 1), 0);
	assert_int_equal(read_it("/etc/large"), -EFBIG);
	/* Nothing was left of what did not work. */
	names = image_listing();
	assert_null(strstr(names, ".rehost-"));
	free(names);
}

static void replaces_what_is_immutable(void **state)
{
	int fd, flags = FS_IMMUTABLE_FL, had = 0;

	image_put("/etc/resolv.conf", "old");
	fd = open(image_path("/etc/resolv.conf"), O_RDONLY);
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0) {
		(void)close(fd);
		skip();
	}
	(void)close(fd);
	assert_int_equal(write_text("/etc/resolv.conf", "new"), 0);
	image_is("/etc/resolv.conf", "new");
	fd = open(image_path("/etc/resolv.conf"), O_RDONLY);
	assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &had), 0);
	(void)close(fd);
	assert_true(had & FS_IMMUTABLE_FL);
}

static void a_tree_that_cannot_be_written(void **state)
{
	assert_int_equal(mount("tmpfs", image, "tmpfs", 0, NULL), 0);
	image_put("/etc/fstab", "/dev/vda2 / ext4 defaults 0 1\n");
	assert_int_equal(
		mount(NULL, image, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(
		image_try("fstab", IMAGE_FILESYSTEMS "'id': 'a'"), -EROFS);
	assert_non_null(strstr(image_error, "/etc/fstab"));
	assert_non_null(strstr(image_error, "mount it for writing"));
	assert_int_equal(umount(image), 0);
}

static void symlinks_and_copies(void **state)
{
	char found[TREE_PATH_MAX];
	struct tree_names l;

	image_put("/d/B", "x");
	image_link("/d/a", "/somewhere");
	assert_int_equal(tree_symlink(&t, "/d/a", "/dev/null"), 0);
	assert_string_equal(image_target("/d/a"), "/dev/null");
	assert_int_equal(tree_copy(&t, "/d/B", "/d/C", 0600), 0);
	image_is("/d/C", "x");
	assert_int_equal(tree_find(&t, "/d", "b", found), 0);
	assert_string_equal(found, "/d/B");
	assert_int_equal(tree_list(&t, "/d", &l), 0);
	assert_int_equal(l.n, 3);
	assert_string_equal(l.v[0], "B");
	tree_names_done(&l);
	assert_int_equal(chmod(image_path("/d/B"), 0711), 0);
	assert_int_equal(tree_replace(&t, "/d/C", "/d/B"), 0);
	assert_false(image_has("/d/C"));
	assert_int_equal(access(image_path("/d/B"), X_OK), 0);
	assert_int_equal(tree_replace(&t, "/d/none", "/d/B"), -ENOENT);
}

static void lines(void **state)
{
	static char text[EDIT_LINE_MAX + 64];
	struct edit out = {0};
	struct edit_line l;
	struct edit_pair p;
	const char *at = "a b\r\n\n c";
	char section[8];

	assert_true(edit_next(&at, &l));
	assert_string_equal(l.text, "a b");
	assert_int_equal(l.n, 5);
	edit_splice(&out, &l, 2, 1, "dd");
	assert_true(edit_next(&at, &l));
	edit_pass(&out, &l);
	assert_true(edit_next(&at, &l));
	edit_pass(&out, &l);
	assert_false(edit_next(&at, &l));
	assert_string_equal(edit_string(&out), "a dd\r\n\n c");
	edit_done(&out);
	memset(text, 'x', EDIT_LINE_MAX + 1);
	at = text;
	assert_true(edit_next(&at, &l));
	assert_true(l.huge);
	assert_string_equal(l.text, "");
	assert_true(edit_pair(" a = 'b c' ", &p));
	assert_true(edit_is_word(" a = 'b c' ", p.value, p.value_n, "b c"));
	assert_false(edit_pair("# a=b", &p));
	assert_false(edit_pair("=b", &p));
	assert_true(edit_section(" [Network]", section, sizeof(section)));
	assert_string_equal(section, "Network");
}

static void refuses_wishes(void **state)
{
	static const char *const bad[] = {"'hostname': 'a\\nb'",
		"'hostname': 'a b'", "'hostname': 5", "'root': 'UUID=a b'",
		"'drivers': ['../x']", "'drivers': 'x'", "'nics': [5]",
		"'nics': [{'name': '../../x'}]",
		"'nics': [{'name': 'eth0', 'mac': '52:54:00:AA:BB:CC'}]",
		"'nics': [{'name': 'eth0', 'addresses': ['192.0.2.1']}]",
		"'nics': [{'name': 'eth0', 'addresses': ['192.0.2.1/33']}]",
		"'nics': [{'name': 'eth0', 'gateways': ['x']}]",
		"'kernel': {'release': '../x'}", "'identity': 'new'",
		"'identity': 'other'", "'filesystems': {}",
		"'filesystems': [{'mount': 'a\\u001bb'}]", "'boot_disk': 'vda'",
		"'grow': {}", "'grow': [{'mount': '/a b'}]",
		"'grow': [{'uuid': 'a;b'}]",
		"'grow': [{'logical': '/dev/$(x)'}]"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (image_try("fstab", bad[i]) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
		assert_false(image_has("/etc/rehost-migrating"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			keeps_what_belongs_to_a_file, setup, teardown),
		cmocka_unit_test_setup_teardown(
			makes_files_and_folders, setup, teardown),
		cmocka_unit_test_setup_teardown(
			links_stay_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(
			takes_regular_files_only, setup, teardown),
		cmocka_unit_test_setup_teardown(
			replaces_what_is_immutable, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_tree_that_cannot_be_written, setup, teardown),
		cmocka_unit_test_setup_teardown(
			symlinks_and_copies, setup, teardown),
		cmocka_unit_test(lines),
		cmocka_unit_test_setup_teardown(
			refuses_wishes, setup, teardown),
	};

	return cmocka_run_group_tests_name("fixup_tree", tests, NULL, NULL);
}
