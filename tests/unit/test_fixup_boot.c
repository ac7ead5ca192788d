/* SPDX-License-Identifier: Apache-2.0 */
/* Boot loader and console, on trees as Debian, Ubuntu and RHEL have them. */
#include "unit.h"

#include "fixup_image.h"

#define ROOT "'root': 'UUID=" IMAGE_ROOT_UUID "', " IMAGE_FILESYSTEMS
#define BIOS ROOT "'firmware': 'bios'"
#define UEFI ROOT "'firmware': 'uefi'"
#define TEST(f) cmocka_unit_test_setup_teardown(f, image_setup, image_teardown)

#define DEBIAN_GRUB(root)                                                      \
	"set default=\"0\"\n"                                                  \
	"set root='hd0,gpt2'\n"                                                \
	"menuentry 'Debian' --class debian {\n"                                \
	"\tsearch --no-floppy --fs-uuid --set=root " IMAGE_BOOT_UUID "\n"      \
	"\tlinux\t/vmlinuz-6.1.0-18-amd64 root=" root " ro  quiet\n"           \
	"\tinitrd\t/initrd.img-6.1.0-18-amd64\n"                               \
	"}\n"                                                                  \
	"# linux /x root=/dev/loop0p2\n"                                       \
	"submenu 'Other' {\n"                                                  \
	"menuentry 'Old' {\n"                                                  \
	"\tlinux /vmlinuz-old root=UUID=" IMAGE_ROOT_UUID                      \
	" ro resume=UUID=" IMAGE_SWAP_UUID "\n"                                \
	"}\n"                                                                  \
	"}\n"

/* What update-grub writes where there is no udev. */
static void grub_of_debian_names_no_loop_device(void **state)
{
	image_put("/boot/grub/grub.cfg", DEBIAN_GRUB("/dev/loop0p2"));
	image_put("/etc/default/grub",
		"GRUB_DEFAULT=0\n"
		"GRUB_CMDLINE_LINUX_DEFAULT=\"quiet root=/dev/vda2\"\n"
		"GRUB_CMDLINE_LINUX='resume=/dev/vda3 net.ifnames=0'\n"
		"#GRUB_CMDLINE_LINUX=\"root=/dev/vda2\"\n");
	image_run("bootloader", BIOS);
	image_is("/boot/grub/grub.cfg", DEBIAN_GRUB("UUID=" IMAGE_ROOT_UUID));
	image_is("/etc/default/grub",
		"GRUB_DEFAULT=0\n"
		"GRUB_CMDLINE_LINUX_DEFAULT=\"quiet root=UUID=" IMAGE_ROOT_UUID
		"\"\n"
		"GRUB_CMDLINE_LINUX='resume=UUID=" IMAGE_SWAP_UUID
		" net.ifnames=0'\n"
		"#GRUB_CMDLINE_LINUX=\"root=/dev/vda2\"\n");
	assert_true(image_says(
		"changes", "root=/dev/loop0p2 is named UUID=" IMAGE_ROOT_UUID));
	assert_int_equal(image_count("changes", "bootloader"), 3);
}

static void what_is_right_stays(void **state)
{
	image_put("/boot/grub/grub.cfg", DEBIAN_GRUB("UUID=" IMAGE_ROOT_UUID));
	image_run_idle("bootloader", BIOS);
	image_put("/boot/grub/grub.cfg", DEBIAN_GRUB("/dev/mapper/vg-root"));
	image_run_idle("bootloader",
		"'root': '/dev/mapper/vg-root', 'filesystems': [{'device': "
		"'/dev/dm-0', 'logical': '/dev/mapper/vg-root', "
		"'mount': '/'}]");
	image_put("/boot/grub/grub.cfg", DEBIAN_GRUB("PARTUUID=aabb-02"));
	image_run_idle("bootloader", BIOS);
	image_put("/boot/grub/grub.cfg", DEBIAN_GRUB("$root"));
	image_run_idle("bootloader", BIOS);
}

static void an_unknown_root_is_an_error(void **state)
{
	image_put("/boot/grub/grub.cfg", DEBIAN_GRUB("/dev/sda1"));
	assert_int_equal(
		image_try("bootloader", "'firmware': 'bios'"), -ENODEV);
	assert_non_null(strstr(image_error, "root=/dev/sda1"));
	assert_non_null(strstr(image_error, "plan again"));
	image_is("/boot/grub/grub.cfg", DEBIAN_GRUB("/dev/sda1"));
	assert_int_equal(unlink(image_path("/boot/grub/grub.cfg")), 0);
	assert_int_equal(image_try("bootloader", BIOS), -ENOENT);
	assert_non_null(strstr(image_error, "no configuration of GRUB"));
}

/* The kernel alone knows no UUID of a filesystem. */
static void a_kernel_without_initramfs_gets_a_partuuid(void **state)
{
	image_put("/boot/grub/grub.cfg", DEBIAN_GRUB("/dev/vda2"));
	image_run("bootloader",
		BIOS ", 'kernel': {'release': '6.1', 'initramfs': null}");
	image_is("/boot/grub/grub.cfg", DEBIAN_GRUB("PARTUUID=aabb-02"));
}

/* Without a partition it has no name that is good anywhere. */
static void a_root_that_is_no_partition_is_refused(void **state)
{
	static const char line[] =
		"menuentry 'x' {\n\tlinux /boot/k root=/dev/vdb ro\n}\n";

	image_put("/boot/grub/grub.cfg", line);
	assert_int_equal(image_try("bootloader",
				 "'firmware': 'bios', 'filesystems': "
				 "[{'device': '/dev/vdb', 'uuid': 'u-9', "
				 "'type': 'ext4', 'mount': '/'}], 'kernel': "
				 "{'release': '6.1', 'initramfs': null}"),
		-ENODEV);
	image_is("/boot/grub/grub.cfg", line);
}

static void entries_of_rhel(void **state)
{
	char env[1025], expected[1025];
	int n;

	memset(env, '#', sizeof(env) - 1);
	env[1024] = '\0';
	memcpy(expected, env, sizeof(env));
	n = sprintf(env, "# GRUB Environment Block\nsaved_entry=x\n"
			 "kernelopts=root=/dev/vda2 ro crashkernel=auto \n"
			 "boot_success=0\n");
	env[n] = '#';
	n = sprintf(expected, "# GRUB Environment Block\nsaved_entry=x\n"
			      "kernelopts=root=UUID=" IMAGE_ROOT_UUID
			      " ro crashkernel=auto \nboot_success=0\n");
	expected[n] = '#';
	image_put("/boot/efi/EFI/redhat/grubenv", env);
	image_put("/boot/efi/EFI/redhat/grub.cfg",
		"set kernelopts=\"root=/dev/vda2 ro \"\n"
		"insmod blscfg\nblscfg\n");
	image_link("/boot/grub2/grubenv", "../efi/EFI/redhat/grubenv");
	image_put("/boot/loader/entries/abc-5.14.conf",
		"title Red Hat\nlinux /vmlinuz-5.14\n"
		"options $kernelopts $tuned_params\n");
	image_put("/boot/loader/entries/abc-5.15.conf",
		"title Red Hat\nlinux /vmlinuz-5.15\n"
		"options root=/dev/vda2 ro rd.lvm.lv=vg/root\n");
	image_put("/etc/kernel/cmdline", "root=/dev/vda2 ro\n");
	image_run("bootloader", BIOS);
	image_is("/boot/efi/EFI/redhat/grubenv", expected);
	assert_string_equal(image_target("/boot/grub2/grubenv"),
		"../efi/EFI/redhat/grubenv");
	image_is("/boot/efi/EFI/redhat/grub.cfg",
		"set kernelopts=\"root=UUID=" IMAGE_ROOT_UUID " ro \"\n"
		"insmod blscfg\nblscfg\n");
	image_is("/boot/loader/entries/abc-5.14.conf",
		"title Red Hat\nlinux /vmlinuz-5.14\n"
		"options $kernelopts $tuned_params\n");
	image_is("/boot/loader/entries/abc-5.15.conf",
		"title Red Hat\nlinux /vmlinuz-5.15\n"
		"options root=UUID=" IMAGE_ROOT_UUID " ro rd.lvm.lv=vg/root\n");
	image_is("/etc/kernel/cmdline", "root=UUID=" IMAGE_ROOT_UUID " ro\n");
}

static void older_loaders(void **state)
{
	image_put("/boot/grub/menu.lst",
		"default 0\ntitle CentOS\n\troot (hd0,0)\n"
		"\tkernel /vmlinuz-2.6 ro root=/dev/xvda2 console=hvc0\n"
		"\tinitrd /initrd-2.6.img\n");
	image_put("/boot/extlinux/extlinux.conf",
		"DEFAULT linux\nLABEL linux\n  KERNEL /vmlinuz\n"
		"  APPEND initrd=/initrd.img root=/dev/vda2 ro\n");
	image_run("bootloader", BIOS);
	image_is("/boot/grub/menu.lst",
		"default 0\ntitle CentOS\n\troot (hd0,0)\n"
		"\tkernel /vmlinuz-2.6 ro root=UUID=" IMAGE_ROOT_UUID
		" console=hvc0\n"
		"\tinitrd /initrd-2.6.img\n");
	image_is("/boot/extlinux/extlinux.conf",
		"DEFAULT linux\nLABEL linux\n  KERNEL /vmlinuz\n"
		"  APPEND initrd=/initrd.img root=UUID=" IMAGE_ROOT_UUID
		" ro\n");
}

static void removable_path_of_debian(void **state)
{
	image_put("/etc/os-release", "NAME=Debian\nID=debian\n");
	image_put("/boot/grub/grub.cfg", DEBIAN_GRUB("UUID=" IMAGE_ROOT_UUID));
	image_put("/boot/efi/EFI/aaa/shimx64.efi", "another's");
	image_put("/boot/efi/EFI/debian/shimx64.efi", "shim");
	image_put("/boot/efi/EFI/debian/grubx64.efi", "grub");
	image_put("/boot/efi/EFI/debian/mmx64.efi", "mok");
	image_run("bootloader", UEFI);
	image_is("/boot/efi/EFI/BOOT/BOOTX64.EFI", "shim");
	image_is("/boot/efi/EFI/BOOT/grubx64.efi", "grub");
	image_is("/boot/efi/EFI/BOOT/mmx64.efi", "mok");
	assert_int_equal(image_count("changes", "bootloader"), 3);
}

static void removable_path_of_others(void **state)
{
	image_put("/boot/grub/grub.cfg", DEBIAN_GRUB("UUID=" IMAGE_ROOT_UUID));
	assert_int_equal(image_try("bootloader", UEFI), -ENOENT);
	assert_non_null(strstr(image_error, "EFI system partition"));
	image_folder("/efi/EFI/BOOT");
	assert_int_equal(image_try("bootloader", UEFI), -ENOENT);
	image_put("/efi/EFI/rocky/grubx64.efi", "grub");
	image_run("bootloader", UEFI);
	image_is("/efi/EFI/BOOT/BOOTX64.EFI", "grub");
	/* FAT does not mind the case of letters. */
	image_put("/efi/EFI/BOOT/bootx64.efi", "mine");
	assert_int_equal(unlink(image_path("/efi/EFI/BOOT/BOOTX64.EFI")), 0);
	image_run_idle("bootloader", UEFI);
}

static void hostile_configurations(void **state)
{
	static char text[(1 << 20) + 8192];
	size_t n;

	n = (size_t)sprintf(text, "\tlinux /a root=/dev/vda2 ");
	memset(text + n, 'x', 1 << 20);
	(void)sprintf(text + n + (1 << 20), "\n\tlinux /b root=/dev/vda2\n");
	image_put("/boot/grub/grub.cfg", text);
	image_run("bootloader", BIOS);
	assert_int_equal(image_count("changes", "bootloader"), 1);
	assert_int_equal(unlink(image_path("/boot/grub/grub.cfg")), 0);
	image_fifo("/boot/grub/grub.cfg");
	image_link("/boot/grub/grubenv", "grubenv");
	image_put_bytes("/etc/kernel/cmdline", "root=/dev/vda2\0", 15, 0644);
	assert_int_equal(image_try("bootloader", BIOS), -ENOENT);
	image_put("/boot/loader/entries/a.conf", "linux /x\noptions root=\n"
						 "options =\noptions\n");
	image_run_idle("bootloader", BIOS);
	assert_int_equal(image_count("warnings", "bootloader"), 3);
}

/* An environment block that is full stays as it is. */
static void a_full_environment_block(void **state)
{
	char env[1025];
	int n = sprintf(env, "# GRUB Environment Block\n"
			     "kernelopts=root=/dev/vda2 ");

	memset(env + n, 'x', sizeof(env) - (size_t)n);
	env[1023] = '\n';
	env[1024] = '\0';
	image_put("/boot/grub2/grubenv", env);
	image_put("/boot/loader/entries/a.conf",
		"linux /x\noptions root=/dev/vda2\n");
	image_run("bootloader", BIOS);
	image_is("/boot/grub2/grubenv", env);
	assert_true(image_says("warnings", "too small"));
}

/* ---- console ---- */

static void console_where_the_target_shows_it(void **state)
{
	image_put("/boot/grub/grub.cfg",
		"\tlinux /vmlinuz root=UUID=x ro console=hvc0 "
		"console=ttyS0,9600 quiet $vt_handoff\n"
		"\tlinux16 /memtest86+.bin\n");
	image_put("/etc/default/grub", "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n"
				       "GRUB_CMDLINE_LINUX=\"\"\n");
	image_put("/usr/lib/systemd/system/serial-getty@.service", "x");
	image_put("/etc/securetty", "tty1\n");
	image_run("console", "'console': ['tty0', 'ttyS0']");
	image_is("/boot/grub/grub.cfg",
		"\tlinux /vmlinuz root=UUID=x ro quiet $vt_handoff "
		"console=tty0 console=ttyS0,9600\n"
		"\tlinux16 /memtest86+.bin\n");
	image_is("/etc/default/grub",
		"GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n"
		"GRUB_CMDLINE_LINUX=\"console=tty0 console=ttyS0,115200n8\"\n");
	assert_string_equal(
		image_target("/etc/systemd/system/getty.target.wants/"
			     "serial-getty@ttyS0.service"),
		"/usr/lib/systemd/system/serial-getty@.service");
	image_is("/etc/securetty", "tty1\nttyS0\n");
	image_run_idle("console", "'console': ['tty0', 'ttyS0']");
}

static void console_before_systemd(void **state)
{
	image_put("/boot/grub/menu.lst",
		"\tkernel /vmlinuz root=LABEL=/ console=xvc0\n");
	image_put("/etc/inittab", "1:2345:respawn:/sbin/mingetty tty1\n");
	image_run("console", "'console': ['ttyS0']");
	image_is("/boot/grub/menu.lst",
		"\tkernel /vmlinuz root=LABEL=/ console=ttyS0,115200n8\n");
	image_is("/etc/inittab",
		"1:2345:respawn:/sbin/mingetty tty1\n"
		"# Made by rehost when it moved this machine.\n"
		"RS0:2345:respawn:/sbin/getty -L ttyS0 115200 vt100\n");
}

static void console_stays_when_nobody_asks(void **state)
{
	image_put("/boot/grub/grub.cfg",
		"\tlinux /vmlinuz root=UUID=x console=hvc0\n");
	image_run_idle("console", "'id': 'a'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(grub_of_debian_names_no_loop_device),
		TEST(what_is_right_stays),
		TEST(an_unknown_root_is_an_error),
		TEST(a_kernel_without_initramfs_gets_a_partuuid),
		TEST(a_root_that_is_no_partition_is_refused),
		TEST(entries_of_rhel),
		TEST(older_loaders),
		TEST(removable_path_of_debian),
		TEST(removable_path_of_others),
		TEST(hostile_configurations),
		TEST(a_full_environment_block),
		TEST(console_where_the_target_shows_it),
		TEST(console_before_systemd),
		TEST(console_stays_when_nobody_asks),
	};

	return cmocka_run_group_tests_name("fixup_boot", tests, NULL, NULL);
}
