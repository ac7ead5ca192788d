/* SPDX-License-Identifier: Apache-2.0 */
/* The archive that an agent makes, of a machine in a folder. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/io.h"
#include "rescue/taken.h"

#define V "6.9.9-test"
#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIx me"
#define ODD                                                                    \
	"odd\0firmware=odd/a.bin\0firmware=odd/none\0xfirmware=two.bin\0"      \
	"firmware=odd/b.bin"
#define PRIVATE "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n"

static char tree[64];

static void put_bytes(const char *path, const char *bytes, size_t n)
{
	char full[4096];
	int fd;

	(void)snprintf(full, sizeof(full), "%s%s", tree, path);
	for (char *at = full + strlen(tree) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
		*at = '/';
	}
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, bytes, n), 0);
	assert_int_equal(close(fd), 0);
}

static void put(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

static void drop(const char *path)
{
	char full[4096];

	(void)snprintf(full, sizeof(full), "%s%s", tree, path);
	assert_int_equal(unlink(full), 0);
}

static void put_kernel(const char *path, const char *version)
{
	char bytes[0x400] = {0};

	memcpy(bytes + 0x202, "HdrS", 4);
	bytes[0x20e] = 0x10;
	(void)snprintf(bytes + 0x210, 64, "%s (x)", version);
	put_bytes(path, bytes, sizeof(bytes));
}

static int setup(void **state)
{
	(void)snprintf(tree, sizeof(tree), "/tmp/rehost-taken-XXXXXX");
	if (!mkdtemp(tree))
		return -1;
	put_kernel("/boot/vmlinuz-" V, V);
	put("/lib/modules/" V "/modules.dep",
		"kernel/drivers/net/phy/one.ko: kernel/lib/two.ko\n"
		"kernel/lib/two.ko:\nextra/odd-nic.ko:\nkernel/sound/x.ko:\n");
	put("/lib/modules/" V "/modules.alias", "alias mdio:1* one\n");
	put("/lib/modules/" V "/kernel/drivers/net/phy/one.ko", "one");
	put_bytes("/lib/modules/" V "/kernel/lib/two.ko", "\0firmware=two.bin",
		18);
	put_bytes("/lib/modules/" V "/extra/odd-nic.ko", ODD, sizeof(ODD));
	put("/lib/firmware/odd/a.bin.xz", "A");
	put("/lib/firmware/odd/b.bin", "B");
	put("/lib/firmware/two.bin", "not asked for here");
	put("/sys/class/scsi_host/host0/proc_name", "odd-nic\n");
	put("/etc/ssh/ssh_host_ed25519_key", PRIVATE);
	put("/etc/ssh/ssh_host_ed25519_key.pub", KEY);
	put("/etc/passwd", "root:x:0:0::/root:/bin/sh\n"
			   "me:x:1000:1000:,,,:/home/me:/bin/sh\n");
	put("/root/.ssh/authorized_keys", "command=\"no\" " KEY "\n");
	put("/home/me/.ssh/authorized_keys", KEY "\n");
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", tree);
	return system(command);
}

static int make(const char *user, const char *keys, struct taken *ret,
	struct error *err)
{
	struct taken_options o = {.root = tree,
		.running = V,
		.user = user,
		.keys = keys,
		.offered = "ssh-rsa AAAAB3other\n" KEY "\n"};

	return taken_make(&o, ret, err);
}

static void done(struct taken *t)
{
	(void)close(t->kernel_fd);
	free(t->archive);
}

/* The contents of a file in an archive: by its name, with a NUL behind it. */
static const char *entry(const struct taken *t, const char *path, size_t *ret_n,
	unsigned *ret_mode)
{
	size_t at = 0;

	while (at + 110 < t->archive_n) {
		const char *h = t->archive + at;
		char number[9] = "";
		size_t size, name;

		memcpy(number, h + 54, 8);
		size = strtoul(number, NULL, 16);
		memcpy(number, h + 94, 8);
		name = strtoul(number, NULL, 16);
		memcpy(number, h + 14, 8);
		*ret_mode = (unsigned)strtoul(number, NULL, 16);
		*ret_n = size;
		if (strcmp(h + 110, path) == 0)
			return h + ((110 + name + 3) & ~3UL);
		at += ((110 + name + 3) & ~3UL) + ((size + 3) & ~3UL);
	}
	return NULL;
}

static void expect(const struct taken *t, const char *path, unsigned mode,
	const char *content)
{
	unsigned m;
	size_t n;
	const char *at = entry(t, path, &n, &m);

	if (!at)
		fail_msg("there is no %s", path);
	assert_int_equal(m & 07777, mode);
	if (content) {
		assert_int_equal(n, strlen(content));
		assert_memory_equal(at, content, n);
	}
}

static void everything(void **state)
{
	struct taken t;
	struct error err = {0};
	unsigned mode;
	char plain[256];
	size_t n;
	const char *packed;

	assert_int_equal(make("me", "", &t, &err), 0);
	assert_string_equal(t.version, V);
	assert_string_equal(t.kernel, "/boot/vmlinuz-" V);
	assert_true(fcntl(t.kernel_fd, F_GETFL) >= 0);
	assert_int_equal(t.modules, 3);
	assert_int_equal(t.host_keys, 1);
	assert_int_equal(t.logins, 1);
	assert_int_equal(t.logins_left, 1);
	assert_int_equal(t.known, 1);
	expect(&t, "etc/rehost", 0700, NULL);
	expect(&t, "etc/rehost/openssh_key0", 0600, PRIVATE);
	expect(&t, "root", 0700, NULL);
	expect(&t, "root/.ssh/authorized_keys", 0600, KEY "\n");
	expect(&t, "lib/modules/" V "/modules.dep", 0644, NULL);
	/* What drives a disk here is there, wherever its module was. */
	packed = entry(&t, "lib/modules/" V "/extra/odd-nic.ko.zst", &n, &mode);
	assert_non_null(packed);
	n = ZSTD_decompress(plain, sizeof(plain), packed, n);
	assert_int_equal(n, sizeof(ODD));
	assert_memory_equal(plain, ODD, sizeof(ODD));
	expect(&t, "lib/firmware/odd/a.bin.xz", 0644, "A");
	expect(&t, "lib/firmware/odd/b.bin", 0644, "B");
	assert_null(entry(&t, "lib/firmware/two.bin", &n, &mode));
	assert_null(entry(
		&t, "lib/modules/" V "/kernel/sound/x.ko.zst", &n, &mode));
	done(&t);
}

static void keys_of_the_user(void **state)
{
	struct taken t;
	struct error err = {0};

	assert_int_equal(make("root", "", &t, &err), -ENOKEY);
	assert_non_null(strstr(err.todo, "--authorized-keys"));
	assert_int_equal(make("root", KEY, &t, &err), 0);
	expect(&t, "root/.ssh/authorized_keys", 0600, KEY "\n");
	done(&t);
	put("/etc/ssh/sshd_config", "AuthorizedKeysFile /etc/keys/%u\n"
				    "HostKey /etc/other\n");
	put("/etc/keys/root", "restrict " KEY "\n");
	put("/etc/other", PRIVATE "2");
	assert_int_equal(make("root", "", &t, &err), 0);
	expect(&t, "root/.ssh/authorized_keys", 0600, "restrict " KEY "\n");
	expect(&t, "etc/rehost/openssh_key0", 0600, PRIVATE "2");
	assert_int_equal(t.host_keys, 1);
	assert_int_equal(t.known, 1);
	done(&t);
	/* What is included comes first, and holds alone; host keys add up. */
	put("/etc/ssh/sshd_config.d/10.conf",
		"authorizedkeysfile /etc/keys/first\nHostKey /etc/third\n");
	put("/etc/ssh/sshd_config.d/20.conf",
		"AuthorizedKeysFile /etc/keys/second\n");
	put("/etc/keys/first", "ssh-rsa AAAAB3first\n");
	put("/etc/keys/second", "ssh-rsa AAAAB3second\n");
	put("/etc/third", PRIVATE "3");
	assert_int_equal(make("root", "", &t, &err), 0);
	expect(&t, "root/.ssh/authorized_keys", 0600, "ssh-rsa AAAAB3first\n");
	expect(&t, "etc/rehost/openssh_key0", 0600, PRIVATE "3");
	expect(&t, "etc/rehost/openssh_key1", 0600, PRIVATE "2");
	assert_int_equal(t.logins, 1);
	assert_int_equal(t.known, 0);
	done(&t);
	drop("/etc/ssh/sshd_config.d/10.conf");
	drop("/etc/ssh/sshd_config.d/20.conf");
	drop("/etc/ssh/sshd_config");
}

static void refusals(void **state)
{
	struct taken t;
	struct error err = {0};
	char outside[128], inside[256];

	put("/etc/ssh/ssh_host_ed25519_key.pub", "ssh-dss AAAAB3 x");
	assert_int_equal(make("me", "", &t, &err), -ENOKEY);
	put("/etc/ssh/ssh_host_ed25519_key.pub", KEY);
	/* A kernel that is another than it is called is none. */
	put_kernel("/boot/vmlinuz-" V, "6.9.9-other");
	assert_int_equal(make("me", "", &t, &err), -ENOENT);
	assert_non_null(strstr(err.why, V));
	/* Another one whose modules are there will do. */
	put_kernel("/lib/modules/6.9.8/vmlinuz", "6.9.8");
	put("/lib/modules/6.9.8/modules.dep", "kernel/drivers/md/a.ko:\n");
	put("/lib/modules/6.9.8/modules.alias", "");
	put("/lib/modules/6.9.8/kernel/drivers/md/a.ko", "a");
	assert_int_equal(make("me", "", &t, &err), 0);
	assert_string_equal(t.version, "6.9.8");
	done(&t);
	/* No link leads out of the folder, and no list. */
	drop("/lib/modules/6.9.8/kernel/drivers/md/a.ko");
	(void)snprintf(outside, sizeof(outside), "%s/etc/passwd", tree);
	(void)snprintf(inside, sizeof(inside),
		"%s/lib/modules/6.9.8/kernel/drivers/md/a.ko", tree);
	assert_int_equal(symlink(outside, inside), 0);
	assert_int_equal(make("me", "", &t, &err), -EXDEV);
	put("/lib/modules/6.9.8/modules.dep",
		"kernel/drivers/md/../../../../../../etc/x.ko:\n");
	put("/etc/x.ko", "x");
	assert_int_equal(make("me", "", &t, &err), 0);
	assert_int_equal(t.modules, 0);
	done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything),
		cmocka_unit_test(keys_of_the_user),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
