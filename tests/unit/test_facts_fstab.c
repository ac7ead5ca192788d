/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "facts/fstab.h"
#include "facts/secrets.h"

static void lines(void **state)
{
	char text[] = "# a comment\n\n"
		      "UUID=1-2 / ext4 errors=remount-ro 0 1\n"
		      "  /dev/sdb1\t/mnt/a\\040b\\134c xfs defaults\r\n"
		      "too few\n"
		      "tmpfs /tmp tmpfs rw,size=1g 0 99999999999 more words";
	struct fstab_reader r;
	struct fstab_entry e;

	fstab_begin(&r, text);
	assert_true(fstab_next(&r, &e));
	assert_int_equal(r.line, 3);
	assert_string_equal(e.spec, "UUID=1-2");
	assert_string_equal(e.mount, "/");
	assert_string_equal(e.options, "errors=remount-ro");
	assert_int_equal(e.pass, 1);
	assert_true(fstab_next(&r, &e));
	assert_string_equal(e.mount, "/mnt/a b\\c");
	assert_string_equal(e.options, "defaults");
	assert_int_equal(e.pass, 0);
	assert_true(fstab_next(&r, &e));
	assert_int_equal(r.line, 6);
	assert_int_equal(e.pass, 99);
	assert_false(fstab_next(&r, &e));
	assert_int_equal(r.unreadable, 1);
	assert_int_equal(r.first_unreadable, 5);
}

static void crypt_lines(void **state)
{
	char text[] = "root UUID=5-6 none luks,discard\nswap /dev/sda2\nx\n";
	struct fstab_reader r;
	struct fstab_crypt e;

	fstab_begin(&r, text);
	assert_true(fstab_next_crypt(&r, &e));
	assert_string_equal(e.name, "root");
	assert_string_equal(e.device, "UUID=5-6");
	assert_string_equal(e.key, "none");
	assert_string_equal(e.options, "luks,discard");
	assert_true(fstab_next_crypt(&r, &e));
	assert_string_equal(e.key, "");
	assert_string_equal(e.options, "");
	assert_false(fstab_next_crypt(&r, &e));
	assert_int_equal(r.unreadable, 1);
}

static void hostile(void **state)
{
	char escapes[] = "a\\0 b\\400 c\\000\\12 d\\";
	size_t n = 1 << 20;
	char *text = malloc(n + 64);
	struct fstab_reader r;
	struct fstab_entry e;

	/* What is no escape stays as it is. */
	fstab_begin(&r, escapes);
	assert_true(fstab_next(&r, &e));
	assert_string_equal(e.spec, "a\\0");
	assert_string_equal(e.mount, "b\\400");
	assert_string_equal(e.type, "c\\000\\12");
	assert_string_equal(e.options, "d\\");
	/* A line of a megabyte, and one behind it. */
	assert_non_null(text);
	memset(text, 'x', n);
	text[100] = text[200] = text[300] = ' ';
	strcpy(text + n, "\n/dev/sda1 / ext4\n");
	fstab_begin(&r, text);
	assert_true(fstab_next(&r, &e));
	assert_int_equal(r.line, 2);
	assert_string_equal(e.spec, "/dev/sda1");
	assert_string_equal(e.options, "");
	assert_int_equal(r.first_unreadable, 1);
	free(text);
}

static void names(void **state)
{
	static const char *const known[][2] = {{"UUID=x", "uuid"},
		{"LABEL=/", "label"}, {"PARTUUID=1", "partuuid"},
		{"PARTLABEL=x", "partlabel"}, {"/dev/disk/by-uuid/1", "uuid"},
		{"/dev/disk/by-id/ata-x", "path"},
		{"/dev/disk/by-path/pci-x", "path"},
		{"/dev/mapper/a--b-c", "lvm"}, {"/dev/mapper/a--b", "mapper"},
		{"/dev/vg/lv", "lvm"}, {"/dev/sda1", "unstable"},
		{"/dev/xvda", "unstable"}, {"/dev/nvme0n1p2", "unstable"},
		{"/dev/md0", "other"}, {"proc", "other"}, {"h:/x", "other"},
		{"/dev/sd/lv", "lvm"}, {"/dev/", "other"}, {"", "other"}};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		assert_string_equal(fstab_names(known[i][0]), known[i][1]);
}

/* Nothing that is behind SECRET may stay. */
static void secrets(void **state)
{
	static const struct {
		const char *separators, *text, *left;
	} known[] = {/* options */
		{",", "user=a,password=b,c,PASS=de,passwd=,x",
			"user=a,password=*,c,PASS=*,passwd=,x"},
		{",", "password2=SECRET,secret=SECRET,credentials=/root/c",
			"password2=*,secret=*,credentials=/root/c"},
		{",", "username=dom/a%SECRET,user=b,rw",
			"username=dom/a%*,user=b,rw"},
		{",", "luks,pin=SECRET,timeout=3,password-echo=no,tries=2",
			"luks,pin=*,timeout=3,password-echo=no,tries=2"},
		{",", "pkcs11-uri=pkcs11:token=a;pin-value=SECRET;x=y?z,nofail",
			"pkcs11-uri=pkcs11:token=a;pin-value=*;x=y?z,nofail"},
		{",", "rw,iommu.bypass=1,compress=zstd:3,subvol=/@home",
			"rw,iommu.bypass=1,compress=zstd:3,subvol=/@home"},
		/* the first word of fstab */
		{",", "https://user:SECRET@host/dav",
			"https://user:*@host/dav"},
		{",", "https://user:SEC@RET=@host:8/d@v",
			"https://user:*@host:8/d@v"},
		{",", "//user:SECRET@host/share", "//user:*@host/share"},
		{",", "curlftpfs#user:SECRET@host", "curlftpfs#user:*@host"},
		{",", "nas:/export/@a", "nas:/export/@a"},
		{",", "user@host:/x", "user@host:/x"},
		{",", "admin@1-2.fs=/", "admin@1-2.fs=/"},
		{",", "UUID=1", "UUID=1"},
		/* the kernel's command line */
		{" ", "root=UUID=1 ro rd.iscsi.in.password=SECRET,x quiet",
			"root=UUID=1 ro rd.iscsi.in.password=* quiet"},
		{" ", "netroot=iscsi:user:SEC/RET@192.0.2.1::::iqn.a:b root=x",
			"netroot=iscsi:*@192.0.2.1::::iqn.a:b root=x"},
		{" ", "vncpassword=\"SEC RET\" rootpw=SECRET x",
			"vncpassword=* rootpw=* x"},
		{" ", "\"password=SEC RET\" a", "\"password=* a"},
		{" ", "ds=nocloud;s=http://u:SECRET@h/x console=ttyS0,115200",
			"ds=nocloud;s=http://u:*@h/x console=ttyS0,115200"},
		{" ", "systemd.set_credential=a:SECRET b",
			"systemd.set_credential=* b"},
		{" ", "systemd.set_credential_binary=a:SECRET b",
			"systemd.set_credential_binary=* b"},
		{",", "secretkey=SECRET,accesskey=SECRET",
			"secretkey=*,accesskey=*"},
		{" ", "crashkernel=512M-:192M BOOT_IMAGE=(hd0,gpt1)/vmlinuz",
			"crashkernel=512M-:192M BOOT_IMAGE=(hd0,gpt1)/vmlinuz"},
		{" ", "=a password= @ : :@ a:@ \"",
			"=a password= @ : :@ a:@ \""},
		{" ", "", ""}};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		char *text = strdup(known[i].text);

		assert_non_null(text);
		secrets_hide(text, known[i].separators);
		assert_string_equal(text, known[i].left);
		free(text);
	}
	assert_true(secrets_is_key("SECRET"));
	assert_true(secrets_is_key("rootfs:SECRET"));
	assert_false(secrets_is_key("/root/key"));
	assert_false(secrets_is_key("none"));
	assert_false(secrets_is_key("-"));
	assert_false(secrets_is_key(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(crypt_lines),
		cmocka_unit_test(hostile),
		cmocka_unit_test(names),
		cmocka_unit_test(secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
