/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of the moved system: a small tree with busybox, in which the
 * builder of the initramfs is a script, and the real ssh-keygen. */
#include "unit.h"

#include <signal.h>

#include "base/clock.h"
#include "fixup/chroot.h"
#include "fixup_image.h"

#define RELEASE "6.1.0-18-amd64"
#define IMAGE "/boot/initrd.img-" RELEASE

/* Copies a program and the libraries that it is linked with. */
static bool add_program(const char *path)
{
	char command[1024];

	if (access(path, X_OK) < 0)
		return false;
	(void)snprintf(command, sizeof(command),
		"for f in '%s' $(ldd '%s' | grep -o '/[^ ]*'); do "
		"mkdir -p '%s'/$(dirname $f) && cp -L $f '%s'/$f || exit 1; "
		"done",
		path, path, image, image);
	return system(command) == 0;
}

static int setup(void **state)
{
	static const char *const names[] = {"sh", "cat", "echo", "grep",
		"sleep", "ls", "mv", "cp", "tr", "mount", "id", "pwd", "sed",
		"test", "setsid", "touch"};
	char path[64];

	if (image_setup(state) < 0 || !add_program("/bin/busybox"))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "/bin/%s", names[i]);
		image_link(path, "busybox");
	}
	return 0;
}

static int run_with(const char *script, uint64_t timeout_ms, size_t max,
	bool devices, char **ret)
{
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	const struct chroot_job job = {.root = image,
		.argv = argv,
		.timeout_ms = timeout_ms,
		.max = max,
		.devices = devices};
	struct error err = {0};
	int r = chroot_run(&job, ret, NULL, &err);

	image_error[0] = '\0';
	if (r < 0)
		(void)error_text(&err, image_error, sizeof(image_error));
	return r;
}

static char *run(const char *script)
{
	char *text = NULL;

	if (run_with(script, 20000, 65536, false, &text) < 0)
		fail_msg("%s", image_error);
	return text;
}

static void is_output(const char *script, const char *expected)
{
	char *text = run(script);

	assert_string_equal(text, expected);
	free(text);
}

static char *mounts(void)
{
	char *text;

	assert_int_equal(
		io_slurp("/proc/self/mountinfo", 1 << 20, &text, NULL), 0);
	return text;
}

static void programs_see_the_tree_alone(void **state)
{
	char *before = mounts(), *after;

	image_put("/etc/here", "x");
	is_output("cat /etc/here; pwd", "x/\n");
	is_output("echo a >/dev/null; echo b >&2; echo c", "b\nc\n");
	is_output("cat", "");
	is_output(
		"echo $HOME $LC_ALL $$ >/run/x; cat /run/x | sed 's/[0-9]*$//'",
		"/root C \n");
	is_output("ls /dev | tr '\\n' ' '", "fd full null random shm stderr "
					    "stdin stdout tty urandom zero ");
	is_output("test -e /proc/self/exe && test -d /sys/kernel && echo ok",
		"ok\n");
	/* Nothing of it stays. */
	after = mounts();
	assert_string_equal(before, after);
	assert_false(image_has("/run/x"));
	assert_false(image_has("/dev/null"));
	free(before);
	free(after);
}

static void devices_when_they_are_needed(void **state)
{
	char *text = NULL;

	if (run_with("ls /dev", 20000, 65536, true, &text) < 0) {
		/* A container may not mount it. */
		assert_non_null(strstr(image_error, "mount what it needs"));
		skip();
	}
	assert_non_null(strstr(text, "null\n"));
	free(text);
}

static void failures_say_why(void **state)
{
	const char *const none[] = {"/bin/none", NULL};
	struct chroot_job job = {
		.root = image, .argv = none, .timeout_ms = 20000, .max = 100};
	struct error err = {0};

	assert_int_equal(run_with("echo one; echo 'two\033[m' >&2; exit 3",
				 20000, 65536, false, NULL),
		-EIO);
	assert_non_null(strstr(image_error, "it exited with status 3: two?[m"));
	assert_int_equal(
		run_with("kill -9 $$", 20000, 65536, false, NULL), -EIO);
	assert_non_null(strstr(image_error, "died from signal 9"));
	assert_int_equal(chroot_run(&job, NULL, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.why, "start it"));
	job.root = "/nonexistent";
	assert_int_equal(chroot_run(&job, NULL, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.why, "root folder"));
}

/* Whether a process runs whose root is the tree. */
static bool any_left(void)
{
	char command[256];

	(void)snprintf(command, sizeof(command),
		"for p in /proc/[0-9]*; do "
		"test \"$(readlink $p/root)\" = '%s' && exit 0; done; exit 1",
		image);
	return system(command) == 0;
}

static void time_ends(void **state)
{
	assert_int_equal(run_with("echo begun; sleep 1000 & sleep 1000", 300,
				 65536, false, NULL),
		-ETIMEDOUT);
	assert_non_null(strstr(image_error, "begun"));
	for (int i = 0; i < 200 && any_left(); i++)
		clock_sleep_ms(10);
	assert_false(any_left());
}

static void nobody_outlives_the_program(void **state)
{
	is_output("setsid sleep 1000 & echo done", "done\n");
	for (int i = 0; i < 200 && any_left(); i++)
		clock_sleep_ms(10);
	assert_false(any_left());
}

static void output_is_bounded(void **state)
{
	char *text = NULL;

	assert_int_equal(run_with("i=0; while [ $i -lt 3000 ]; do echo "
				  "0123456789; i=$((i+1)); done; echo -n end",
				 20000, 1000, false, &text),
		0);
	assert_int_equal(strlen(text), 1000);
	assert_string_equal(text + 997, "end");
	free(text);
}

/* Mounts must not follow links out of the tree. */
static void mount_points_that_lead_away(void **state)
{
	char outside[128], file[192], *before, *after;

	(void)snprintf(outside, sizeof(outside), "%s-outside", image);
	(void)snprintf(file, sizeof(file), "%s/x", outside);
	assert_int_equal(mkdir(outside, 0755), 0);
	image_link("/run", outside);
	before = mounts();
	assert_true(
		run_with("echo bad >/run/x", 20000, 65536, false, NULL) < 0);
	after = mounts();
	assert_string_equal(before, after);
	assert_int_equal(access(file, F_OK), -1);
	assert_int_equal(rmdir(outside), 0);
	free(before);
	free(after);
}

/* ---- initramfs ---- */

/* Like the real ones as far as they are used: it reads its list of modules, and
 * writes beside the old one. */
static void put_initramfs_tools(void)
{
	image_put("/etc/initramfs-tools/modules", "# modules\nnfs\n");
	image_put("/etc/initramfs-tools/initramfs.conf", "MODULES=dep\n");
	image_script("/usr/sbin/update-initramfs",
		"#!/bin/sh\n"
		"[ \"$1 $2 $3\" = \"-u -k " RELEASE "\" ] || exit 2\n"
		"{ cat " IMAGE "; grep -v '^#' /etc/initramfs-tools/modules |\n"
		"sed 's|.*|usr/lib/modules/" RELEASE "/kernel/&.ko|'; } >" IMAGE
		".new\n"
		"echo run >>/runs\n"
		"mv " IMAGE ".new " IMAGE "\n");
	image_script("/usr/bin/lsinitramfs", "#!/bin/sh\ncat \"$1\"\n");
	image_put(IMAGE, "usr/lib/modules/" RELEASE "/kernel/ext4.ko.xz\n");
	image_put("/lib/modules/" RELEASE "/modules.builtin",
		"kernel/drivers/ata/ahci.ko\n");
	image_put("/lib/modules/" RELEASE "/modules.dep",
		"kernel/drivers/block/virtio_blk.ko: kernel/virtio.ko\n"
		"kernel/drivers/net/virtio_net.ko.xz:\nkernel/ext4.ko:\n");
}

#define KERNEL(rest)                                                           \
	"'kernel': {'release': '" RELEASE "', 'initramfs': '" IMAGE "'" rest "}"
#define DRIVERS "'drivers': ['virtio-blk', 'ahci', 'ext4', 'virtio_net'], "

static void initramfs_gets_what_is_missing(void **state)
{
	put_initramfs_tools();
	image_run("initramfs", DRIVERS KERNEL(""));
	image_is("/etc/initramfs-tools/modules",
		"# modules\nnfs\n# Made by rehost when it moved this machine.\n"
		"virtio-blk\nvirtio_net\n");
	assert_non_null(strstr(image_read(IMAGE), "virtio-blk.ko"));
	assert_non_null(
		strstr(image_read("/etc/initramfs-tools/conf.d/zz-rehost"),
			"MODULES=most"));
	image_is("/runs", "run\n");
	assert_true(image_says("changes", "built anew by"));
}

static void initramfs_that_is_complete_stays(void **state)
{
	put_initramfs_tools();
	image_run_idle("initramfs", DRIVERS KERNEL(", 'modules_missing': []"));
	image_run_idle("initramfs", "'drivers': ['ext4', 'ahci'], " KERNEL(""));
	assert_false(image_has("/runs"));
	/* What was missing on the source is looked at again. */
	image_run("initramfs",
		DRIVERS KERNEL(", 'modules_missing': ['virtio_blk']"));
	image_is("/runs", "run\n");
	image_is("/etc/initramfs-tools/modules",
		"# modules\nnfs\n# Made by rehost when it moved this machine.\n"
		"virtio_blk\n");
}

static void initramfs_that_cannot_be_made(void **state)
{
	put_initramfs_tools();
	assert_int_equal(image_try("initramfs",
				 "'drivers': ['hv_storvsc'], " KERNEL("")),
		-ENODEV);
	assert_non_null(strstr(image_error, "no driver hv_storvsc"));
	image_script("/usr/sbin/update-initramfs",
		"#!/bin/sh\necho no space left; exit 1\n");
	assert_int_equal(image_try("initramfs", DRIVERS KERNEL("")), -EIO);
	assert_non_null(strstr(image_error, "no space left"));
	image_is(IMAGE, "usr/lib/modules/" RELEASE "/kernel/ext4.ko.xz\n");
	/* One that says that it did, and did not. */
	image_script("/usr/sbin/update-initramfs", "#!/bin/sh\nexit 0\n");
	assert_int_equal(image_try("initramfs", DRIVERS KERNEL("")), -ENODEV);
	assert_non_null(strstr(image_error, "although it was built anew"));
	assert_int_equal(unlink(image_path("/usr/sbin/update-initramfs")), 0);
	assert_int_equal(image_try("initramfs", DRIVERS KERNEL("")), -ENOENT);
	assert_non_null(strstr(image_error, "dracut"));
}

static void initramfs_of_rhel(void **state)
{
	struct stat st;

	put_initramfs_tools();
	assert_int_equal(unlink(image_path("/usr/sbin/update-initramfs")), 0);
	image_script("/usr/bin/dracut",
		"#!/bin/sh\n"
		"[ \"$1 $2 $3\" = '-f --no-hostonly --add-drivers' ] || exit "
		"2\n"
		"[ \"$6\" = " RELEASE " ] || exit 3\n"
		"grep -q 'add_drivers+=\" virtio-blk virtio_net \"' "
		"/etc/dracut.conf.d/rehost.conf || exit 4\n"
		"for m in $4; do echo \"-rw-r--r-- 1 root root 5 Jan 1 "
		"usr/lib/modules/x/$m.ko.xz\"; done >\"$5\"\n"
		"cat " IMAGE " >>\"$5\"\n");
	assert_int_equal(chmod(image_path(IMAGE), 0600), 0);
	image_run("initramfs", DRIVERS KERNEL(""));
	assert_non_null(strstr(image_read(IMAGE), "/virtio_net.ko.xz"));
	assert_false(image_has(IMAGE ".rehost-new"));
	assert_int_equal(stat(image_path(IMAGE), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* One that stops in the middle leaves the old one. */
	image_put(IMAGE, "ext4.ko\n");
	image_script("/usr/bin/dracut", "#!/bin/sh\necho half >$5\nexit 1\n");
	assert_int_equal(image_try("initramfs", DRIVERS KERNEL("")), -EIO);
	image_is(IMAGE, "ext4.ko\n");
	assert_false(image_has(IMAGE ".rehost-new"));
}

/* It opens the root by its own copy of crypttab. */
static void initramfs_knows_the_new_name_of_an_encrypted_root(void **state)
{
	put_initramfs_tools();
	image_put("/etc/crypttab", "root /dev/vdb none luks\n");
	image_run("crypttab", IMAGE_FILESYSTEMS "'root': '/dev/mapper/root'");
	assert_true(image_has("/var/lib/rehost/initramfs-stale"));
	assert_false(image_has("/runs"));
	/* Although it has all drivers. */
	image_run("initramfs", DRIVERS KERNEL(", 'modules_missing': []"));
	image_is("/runs", "run\n");
	assert_false(image_has("/var/lib/rehost/initramfs-stale"));
	image_is("/etc/initramfs-tools/modules", "# modules\nnfs\n");
}

/* ---- keys ---- */

static void put_keys(void)
{
	image_put("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
	image_put_bytes("/etc/ssh/ssh_host_rsa_key", "old", 3, 0640);
	image_put("/etc/ssh/ssh_host_rsa_key.pub", "old");
	image_put_bytes("/etc/ssh/ssh_host_ed25519_key", "old", 3, 0600);
	image_put("/etc/ssh/ssh_host_ed25519_key.pub", "old");
	image_put_bytes("/etc/ssh/ssh_host_dsa_key", "old", 3, 0600);
}

/* What the report says of the keys is what ssh-keygen says of them. */
static void expect_fingerprints(void)
{
	const json_t *list = json_object_get(image_report, "host_keys"), *k;
	char command[1024];
	size_t i;

	assert_true(json_array_size(list) > 0);
	json_array_foreach(list, i, k)
	{
		(void)snprintf(command, sizeof(command),
			"ssh-keygen -lf '%s/etc/ssh/ssh_host_%s_key.pub' | "
			"grep -qF ' %s '",
			image, json_string_value(json_object_get(k, "type")),
			json_string_value(json_object_get(k, "fingerprint")));
		assert_int_equal(system(command), 0);
	}
}

static void keys_are_new_for_a_copy(void **state)
{
	char key[8192];
	struct stat st;

	put_keys();
	if (!add_program("/usr/bin/ssh-keygen"))
		skip();
	image_run_idle("ssh-keys", "'identity': 'keep', 'id': 'a'");
	assert_int_equal(
		json_array_size(json_object_get(image_report, "host_keys")), 0);
	image_run("ssh-keys", "'identity': 'new', 'id': 'a'");
	assert_int_equal(image_count("warnings", "ssh-keys"), 1);
	expect_fingerprints();
	/* Also when there is nothing left to do. */
	assert_int_equal(
		image_try("ssh-keys", "'identity': 'new', 'id': 'a'"), 0);
	assert_int_equal(image_count("changes", "ssh-keys"), 0);
	expect_fingerprints();
	assert_false(image_has("/etc/ssh/ssh_host_dsa_key"));
	assert_non_null(strstr(image_read("/etc/ssh/ssh_host_ed25519_key.pub"),
		"ssh-ed25519 "));
	assert_non_null(
		strstr(image_read("/etc/ssh/ssh_host_rsa_key"), "PRIVATE KEY"));
	assert_int_equal(stat(image_path("/etc/ssh/ssh_host_rsa_key"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	(void)snprintf(key, sizeof(key), "%s",
		image_read("/etc/ssh/ssh_host_rsa_key"));
	/* Another move of what was a copy already. */
	image_run("ssh-keys", "'identity': 'new', 'id': 'b'");
	assert_string_not_equal(image_read("/etc/ssh/ssh_host_rsa_key"), key);
}

static void keys_without_ssh_keygen(void **state)
{
	put_keys();
	if (!add_program("/usr/bin/openssl"))
		skip();
	image_run("ssh-keys", "'identity': 'new', 'id': 'a'");
	assert_non_null(
		strstr(image_read("/etc/ssh/ssh_host_rsa_key"), "PRIVATE KEY"));
	assert_false(image_has("/etc/ssh/ssh_host_rsa_key.pub"));
	assert_false(image_has("/etc/ssh/ssh_host_ed25519_key"));
	assert_int_equal(image_count("warnings", "ssh-keys"), 2);
}

static void keys_stay_when_none_can_be_made(void **state)
{
	put_keys();
	image_script("/usr/bin/ssh-keygen", "#!/bin/sh\necho broken; exit 1\n");
	assert_int_equal(
		image_try("ssh-keys", "'identity': 'new', 'id': 'a'"), 0);
	assert_true(image_says("warnings", "still that of the source"));
	assert_true(image_says("warnings", "broken"));
	image_is("/etc/ssh/ssh_host_rsa_key", "old");
}

static void boot_code_when_asked_for(void **state)
{
	image_put("/boot/grub/grub.cfg", "linux /vmlinuz root=LABEL=x\n");
	assert_int_equal(
		image_try("bootloader", "'boot_disk': '/dev/vda'"), -ENOENT);
	assert_non_null(strstr(image_error, "no grub-install"));
	image_script("/usr/sbin/grub-install",
		"#!/bin/sh\necho \"$@\" >/installed\n");
	assert_int_equal(image_try("bootloader", "'boot_disk': '/dev/vda'"), 0);
	image_is("/installed", "--target=i386-pc --recheck /dev/vda\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, image_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(programs_see_the_tree_alone),
		TEST(devices_when_they_are_needed),
		TEST(failures_say_why),
		TEST(time_ends),
		TEST(nobody_outlives_the_program),
		TEST(output_is_bounded),
		TEST(mount_points_that_lead_away),
		TEST(initramfs_gets_what_is_missing),
		TEST(initramfs_that_is_complete_stays),
		TEST(initramfs_that_cannot_be_made),
		TEST(initramfs_of_rhel),
		TEST(initramfs_knows_the_new_name_of_an_encrypted_root),
		TEST(keys_are_new_for_a_copy),
		TEST(keys_without_ssh_keygen),
		TEST(keys_stay_when_none_can_be_made),
		TEST(boot_code_when_asked_for),
	};

	return cmocka_run_group_tests_name("fixup_chroot", tests, NULL, NULL);
}
