/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdarg.h>
#include <sys/wait.h>
#include <zstd.h>

#include "facts/facts.h"
#include "facts_tree.h"

#define ROOT_UUID "0b1e9a4c-6a52-4c0e-9d5b-7f1d2c3b4a59"

static json_t *facts;

static int drop(void **state)
{
	json_decref(facts);
	facts = NULL;
	return tree_teardown(state);
}

static void gather_tree(const char *root)
{
	struct error err = {0};
	char text[2048];

	json_decref(facts);
	facts = NULL;
	if (facts_gather(root, 0, NULL, &facts, &err) < 0)
		fail_msg("%s", error_text(&err, text, sizeof(text)));
	tree_check_documented(facts);
}

/* The value at a path of keys and indices, "boot.entries.0.title". */
static json_t *at(const char *path)
{
	json_t *j = facts;
	char copy[256], *rest = copy, *key;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	while ((key = strsep(&rest, ".")))
		j = json_is_array(j) ? json_array_get(j, (size_t)(*key - '0'))
				     : json_object_get(j, key);
	return j;
}

static void is_text(const char *path, const char *value)
{
	const char *s = json_string_value(at(path));

	if (!s)
		fail_msg("%s is not there", path);
	assert_string_equal(s, value);
}

static void is_number(const char *path, json_int_t value)
{
	assert_true(json_is_integer(at(path)));
	assert_int_equal(json_integer_value(at(path)), value);
}

static void is_missing(const char *what, const char *why)
{
	json_t *m = tree_find(at("missing"), "what", what);

	if (!m)
		fail_msg("%s is not named as missing", what);
	assert_non_null(strstr(tree_text(m, "why"), why));
}

/* ---- trees ---- */

static size_t put_entry(char *out, const char *name)
{
	size_t n = (size_t)sprintf(out,
		"070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s",
		1, 0100644, 0, 0, 1, 0, 0, 0, 0, 0, 0,
		(unsigned)strlen(name) + 1, 0, name);

	for (out[n++] = '\0'; n % 4;)
		out[n++] = '\0';
	return n;
}

static void put_initramfs(const char *path, const char *const *names)
{
	static char plain[65536], packed[65536];
	size_t n = 0, k = put_entry(packed, "kernel/x86/microcode/x.bin");

	for (; *names; names++)
		n += put_entry(plain + n, *names);
	n += put_entry(plain + n, "TRAILER!!!");
	k += put_entry(packed + k, "TRAILER!!!");
	k += ZSTD_compress(packed + k, sizeof(packed) - k, plain, n, 1);
	tree_put_bytes(path, packed, k);
}

/* A kernel that tells its release. */
static void put_kernel(const char *path, const char *release)
{
	char kernel[2048] = "";

	memcpy(kernel + 0x202, "HdrS", 4);
	kernel[0x20f] = 1;
	(void)sprintf(kernel + 0x300, "%s (x@y) #1 SMP", release);
	tree_put_bytes(path, kernel, sizeof(kernel));
}

static void put_programs(void)
{
	static const char elf[20] = "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0\x3e";

	tree_put_bytes("/usr/bin/dash", elf, sizeof(elf));
	tree_link("/bin", "usr/bin");
	tree_link("/usr/bin/sh", "/usr/bin/dash");
}

/* A disk with a partition, as sysfs has them. */
static void put_disk(void)
{
	static const char pci[] = "/sys/devices/pci0000:00/0000:00:04.0";
	char path[256];
	static const struct {
		const char *path, *text;
	} files[] = {{"modalias", "pci:v00001AF4d00001001\n"},
		{"class", "0x010000\n"},
		{"virtio1/modalias", "virtio:d00000002v00001AF4\n"},
		{"virtio1/device", "0x0002\n"},
		{"virtio1/block/vda/size", "41943040\n"},
		{"virtio1/block/vda/dev", "254:0\n"},
		{"virtio1/block/vda/ro", "0\n"},
		{"virtio1/block/vda/serial", " abc 1 \n"},
		{"virtio1/block/vda/queue/rotational", "1\n"},
		{"virtio1/block/vda/queue/logical_block_size", "512\n"},
		{"virtio1/block/vda/vda1/size", "2097152\n"},
		{"virtio1/block/vda/vda1/partition", "1\n"},
		{"virtio1/block/vda/vda1/start", "2048\n"},
		{"virtio1/block/vda/vda1/dev", "254:1\n"}};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", pci, files[i].path);
		tree_put(path, files[i].text);
	}
	tree_link("/sys/bus/pci/devices/0000:00:04.0",
		"../../../devices/pci0000:00/0000:00:04.0");
	tree_link("/sys/bus/virtio/devices/virtio1",
		"../../../devices/pci0000:00/0000:00:04.0/virtio1");
	tree_folder("/sys/bus/virtio/drivers/virtio_blk");
	tree_folder("/sys/module/virtio_blk");
	tree_link("/sys/bus/virtio/drivers/virtio_blk/module",
		"../../../../module/virtio_blk");
	tree_link("/sys/devices/pci0000:00/0000:00:04.0/virtio1/driver",
		"../../../../bus/virtio/drivers/virtio_blk");
	tree_link("/sys/class/block/vda",
		"../../devices/pci0000:00/0000:00:04.0/virtio1/block/vda");
	tree_link("/sys/class/block/vda1",
		"../../devices/pci0000:00/0000:00:04.0/virtio1/block/vda/vda1");
	tree_put("/sys/class/block/dm-0/size", "1024\n");
	tree_put("/sys/class/block/dm-0/dev", "253:0\n");
	tree_put("/sys/class/block/dm-0/dm/name", "my--vg-root\n");
	tree_put("/sys/class/block/dm-0/dm/uuid", "LVM-abc\n");
	tree_put("/sys/class/block/dm-0/slaves/vda1", "");
	tree_put("/sys/class/block/dm-1/size", "1024\n");
	tree_put("/sys/class/block/dm-1/dm/name", "secret\n");
	tree_put("/sys/class/block/dm-1/dm/uuid",
		"CRYPT-LUKS2-0123456789abcdef0123456789abcdef-secret\n");
	tree_put("/sys/class/block/loop0/size", "0\n");
	tree_put("/sys/class/block/ram0/size", "8192\n");
}

static void put_debian(void)
{
	static const char *const names[] = {".", "bin", "conf/initramfs.conf",
		"scripts/functions", "usr/sbin/lvm",
		"usr/lib/modules/6.1.0-13-amd64/kernel/drivers/block/"
		"virtio_blk.ko",
		"usr/lib/modules/6.1.0-13-amd64/kernel/fs/ext4/ext-4.ko.xz",
		NULL};

	put_programs();
	put_disk();
	tree_put("/etc/os-release",
		"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n"
		"VERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n#x\n");
	tree_put("/etc/hostname", "old\n");
	tree_put("/etc/machine-id", "00112233445566778899aabbccddeeff\n");
	tree_link("/sbin/init", "/lib/systemd/systemd");
	tree_put("/proc/sys/kernel/osrelease", "6.1.0-13-amd64\n");
	tree_put("/proc/cmdline", "BOOT_IMAGE=/boot/vmlinuz root=/dev/a ro\n");
	tree_put("/proc/meminfo", "MemTotal:  2000 kB\nMemAvailable: 1 kB\n");
	tree_put("/proc/stat", "cpu 1 2\nbtime 1700000000\n");
	tree_put("/sys/devices/system/cpu/online", "0-3,8\n");
	tree_put("/sys/kernel/security/lockdown",
		"none [integrity] confidentiality\n");
	tree_put("/sys/class/dmi/id/sys_vendor", "QEMU\n");
	tree_folder("/sys/firmware/acpi");
	tree_put("/proc/self/mountinfo",
		"22 1 0:21 / /proc rw - proc proc rw\n"
		"27 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n"
		"28 1 253:0 / /srv/a\\040b\\012 rw - xfs "
		"/dev/mapper/my--vg-root rw\n"
		"29 1 0:50 / /mnt rw - nfs4 server:/x rw,vers=4.2\n"
		"30 1 254:1 /sub /bind rw shared:1 - ext4 /dev/vda1 rw\n"
		"31 1 0:40 /@home /home rw - btrfs /dev/vda1 "
		"rw,subvolid=257,subvol=/@home\n"
		"broken\n");
	tree_put("/proc/swaps",
		"Filename\tType\tSize\tUsed\tPriority\n"
		"/dev/dm-0 partition 1000 10 -2\n/swap\\040file file 5 0 -3\n");
	tree_put("/etc/fstab",
		"UUID=" ROOT_UUID " / ext4 errors=remount-ro 0 1\n"
		"/dev/vda1 /boot ext3 defaults 0 2\n"
		"/dev/my-vg/root none swap sw 0 0\n"
		"//h/s /m cifs user=a,password=secret 0 0\n");
	tree_put("/etc/crypttab", "secret /dev/vda1 none luks\n");
	put_kernel("/boot/vmlinuz-6.1.0-13-amd64", "6.1.0-13-amd64");
	put_kernel("/boot/vmlinuz-5.10.0-1-amd64", "5.10.0-1-amd64");
	put_initramfs("/boot/initrd.img-6.1.0-13-amd64", names);
	tree_put("/boot/initrd.img-5.10.0-1-amd64", "not read");
	tree_put("/usr/lib/modules/6.1.0-13-amd64/modules.builtin",
		"kernel/fs/ext4/ext4.ko\nkernel/drivers/nvme/host/nvme.ko\n");
	tree_put("/usr/lib/modules/6.1.0-13-amd64/modules.order",
		"kernel/a.ko\nkernel/b.ko\nkernel/c.ko\n");
	tree_link("/lib", "usr/lib");
	tree_put("/boot/grub/grub.cfg",
		"set default=\"0\"\nmenuentry 'Debian' {\n"
		"linux /vmlinuz-6.1.0-13-amd64 root=/dev/mapper/my--vg-root "
		"ro acpi_osi=!*\ninitrd /initrd.img-6.1.0-13-amd64\n}\n"
		"menuentry 'Old' {\nlinux /@/boot/vmlinuz-5.10.0-1-amd64 "
		"root=UUID=" ROOT_UUID " rd.x.password=y\n}\n");
	tree_put("/boot/efi/EFI/debian/grubx64.efi", "MZ");
}

static void debian(void **state)
{
	put_debian();
	gather_tree(tree);
	is_number("schema", FACTS_SCHEMA);
	is_text("system.distribution.id", "debian");
	is_text("system.distribution.version", "12");
	is_text("system.distribution.codename", "bookworm");
	is_text("system.hostname", "old");
	is_text("system.machine_id", "00112233445566778899aabbccddeeff");
	is_text("system.architecture", "x86_64");
	is_number("system.cpus", 5);
	is_text("system.kernel.release", "6.1.0-13-amd64");
	is_text("system.kernel.lockdown", "integrity");
	assert_true(json_is_true(at("system.kernel.modules_dir")));
	is_text("system.virtualization.machine", "qemu");
	assert_null(at("system.virtualization.container"));
	is_text("system.firmware.mode", "bios");
	is_text("system.init", "systemd");
	is_number("system.boot_time", 1700000000);
	is_number("memory.total", 2000 * 1024);

	assert_int_equal(json_array_size(at("devices")), 2);
	is_text("devices.0.kind", "storage");
	is_text("devices.1.address", "virtio1");
	is_text("devices.1.kind", "storage");
	is_text("devices.1.driver", "virtio_blk");
	is_text("devices.1.module", "virtio_blk");

	assert_int_equal(json_array_size(at("disks")), 4);
	is_text("disks.0.kind", "lvm");
	is_text("disks.0.path", "/dev/mapper/my--vg-root");
	is_text("disks.0.lvm.vg", "my-vg");
	is_text("disks.0.lvm.lv", "root");
	is_text("disks.0.parents.0", "vda1");
	is_text("disks.1.kind", "crypt");
	is_text("disks.1.crypt.type", "luks2");
	is_text("disks.1.crypt.uuid", "01234567-89ab-cdef-0123-456789abcdef");
	is_text("disks.2.kind", "disk");
	is_number("disks.2.size", 41943040LL * 512);
	is_text("disks.2.serial", "abc 1");
	is_text("disks.2.driver_path.0", "0000:00:04.0");
	is_text("disks.2.driver_path.1", "virtio1");
	assert_true(json_is_true(at("disks.2.rotational")));
	is_text("disks.3.kind", "part");
	is_text("disks.3.parents.0", "vda");
	is_number("disks.3.part.number", 1);
	is_number("disks.3.part.start", 2048 * 512);
	is_number("disks.3.logical", 512);
}

static void debian_files(void **state)
{
	put_debian();
	gather_tree(tree);
	assert_int_equal(json_array_size(at("filesystems")), 5);
	is_text("filesystems.0.mount", "/");
	is_text("filesystems.0.disk", "vda1");
	is_text("filesystems.1.mount", "/srv/a b\\x0a");
	is_text("filesystems.1.disk", "dm-0");
	assert_true(json_is_true(at("filesystems.2.network")));
	is_text("filesystems.3.folder", "/sub");
	is_text("filesystems.4.subvolume", "@home");
	is_text("filesystems.4.disk", "vda1");
	is_text("filesystems.4.devices.0", "vda1");
	is_missing("proc/self/mountinfo", "no sense");
	is_text("swap.0.disk", "dm-0");
	is_number("swap.0.size", 1000 * 1024);
	is_text("swap.1.path", "/swap file");
	is_text("swap.1.kind", "file");
	is_text("fstab.0.names", "uuid");
	is_number("fstab.0.pass", 1);
	is_text("fstab.1.names", "unstable");
	is_text("fstab.1.disk", "vda1");
	is_text("fstab.2.names", "lvm");
	is_text("fstab.2.disk", "dm-0");
	is_text("fstab.3.options", "user=a,password=*");
	is_text("crypttab.0.disk", "vda1");

	is_text("boot.loader", "grub");
	is_text("boot.config", "/boot/grub/grub.cfg");
	is_text("boot.default.title", "Debian");
	is_text("boot.default.kernel", "/boot/vmlinuz-6.1.0-13-amd64");
	is_text("boot.default.initramfs", "/boot/initrd.img-6.1.0-13-amd64");
	is_text("boot.default.root", "/dev/mapper/my--vg-root");
	is_text("boot.default.disk", "dm-0");
	is_text("boot.entries.1.kernel", "/boot/vmlinuz-5.10.0-1-amd64");
	is_text("boot.entries.1.root", "UUID=" ROOT_UUID);
	is_text("boot.entries.1.command_line",
		"root=UUID=" ROOT_UUID " rd.x.password=*");
	/* An asterisk of its own is none. */
	assert_null(at("boot.default.secret"));
	assert_true(json_is_true(at("boot.entries.1.secret")));
	is_text("boot.esp.files.0", "EFI/debian/grubx64.efi");

	assert_int_equal(json_array_size(at("kernels")), 2);
	is_text("kernels.0.release", "5.10.0-1-amd64");
	is_text("kernels.0.initramfs", "/boot/initrd.img-5.10.0-1-amd64");
	assert_true(json_is_false(at("kernels.0.default")));
	assert_null(at("kernels.0.initramfs_modules"));
	assert_true(json_is_true(at("kernels.1.default")));
	assert_true(json_is_true(at("kernels.1.running")));
	is_text("kernels.1.builtin.1", "nvme");
	is_number("kernels.1.modules", 3);
	is_text("kernels.1.initramfs_compression", "zstd");
	is_text("kernels.1.initramfs_kind", "initramfs-tools");
	is_text("kernels.1.initramfs_modules.0", "virtio_blk");
	is_text("kernels.1.initramfs_modules.1", "ext_4");
	is_text("kernels.1.initramfs_programs.0", "lvm");
}

static void redhat(void **state)
{
	static const char *const names[] = {"usr/lib/dracut/hooks/cmdline/a.sh",
		"usr/lib/modules/5.14/x_y.ko.xz", NULL};

	put_programs();
	tree_put(
		"/etc/redhat-release", "Red Hat Enterprise Linux 9.2 (Plow)\n");
	tree_put("/usr/lib/os-release", "ID=\"rhel\"\nID_LIKE='fedora'\n"
					"VERSION_ID=\"9.2\"\n");
	tree_link("/etc/os-release", "../usr/lib/os-release");
	tree_put("/boot/grub2/grub.cfg",
		"set default=\"${saved_entry}\"\ninsmod blscfg\nblscfg\n"
		"menuentry 'UEFI Firmware' { fwsetup\n}\n");
	tree_put("/boot/grub2/grubenv",
		"# GRUB Environment Block\nsaved_entry=id-5.14.0-284\n"
		"kernelopts=root=/dev/mapper/rhel-root ro crashkernel=1G\n#");
	tree_put("/boot/loader/entries/id-5.14.0-284.conf",
		"title Red Hat 5.14.0-284\nlinux /vmlinuz-5.14.0-284\n"
		"initrd /initramfs-5.14.0-284.img $tuned_initrd\n"
		"options $kernelopts $tuned_params rhgb\n");
	tree_put("/boot/loader/entries/id-5.14.0-362.conf",
		"title Red Hat 5.14.0-362\nlinux /vmlinuz-5.14.0-362\n"
		"initrd /initramfs-5.14.0-362.img\noptions root=x\n");
	tree_put("/boot/loader/entries/id-0-rescue.conf",
		"title Rescue\nlinux /vmlinuz-0-rescue\n");
	put_kernel("/boot/vmlinuz-5.14.0-284", "5.14.0-284");
	put_kernel("/boot/vmlinuz-5.14.0-362", "5.14.0-362");
	put_initramfs("/boot/initramfs-5.14.0-284.img", names);
	gather_tree(tree);
	is_text("system.distribution.id", "rhel");
	is_text("system.distribution.like", "fedora");
	is_text("boot.loader", "grub");
	is_text("boot.default.title", "Red Hat 5.14.0-284");
	is_text("boot.default.kernel", "/boot/vmlinuz-5.14.0-284");
	is_text("boot.default.command_line",
		"root=/dev/mapper/rhel-root ro crashkernel=1G rhgb");
	is_text("boot.default.root", "/dev/mapper/rhel-root");
	is_text("boot.entries.0.title", "Red Hat 5.14.0-362");
	is_text("boot.entries.2.title", "Rescue");
	is_text("kernels.0.initramfs_kind", "dracut");
	is_text("kernels.0.initramfs_modules.0", "x_y");
	assert_null(at("kernels.1.initramfs_modules"));
	/* Only for the next time: as long as it lasts. */
	tree_put("/boot/grub2/grubenv", "next_entry=0\nsaved_entry=x\n");
	gather_tree(tree);
	is_text("boot.default.title", "Red Hat 5.14.0-362");
	is_missing("/initramfs-5.14.0-362.img", "No such file");
	/* Older ones had no os-release. */
	assert_int_equal(unlink(tree_path("/etc/os-release")), 0);
	assert_int_equal(unlink(tree_path("/usr/lib/os-release")), 0);
	gather_tree(tree);
	is_text("system.distribution.id", "rhel");
	is_text("system.distribution.version", "9.2");
}

static void ubuntu(void **state)
{
	static const char *const names[] = {"init_functions", NULL};

	tree_put("/etc/os-release", "ID=ubuntu\nVERSION_ID=\"22.04\"\n");
	tree_put("/etc/netplan/00.yaml",
		"network:\n  ethernets:\n    eth0:\n      dhcp4: true\n");
	tree_put("/boot/efi/EFI/ubuntu/grub.cfg",
		"search.fs_uuid 1 root\nconfigfile $prefix/grub.cfg\n");
	tree_put("/boot/efi/EFI/ubuntu/shimx64.efi", "MZ");
	tree_put("/boot/efi/EFI/BOOT/BOOTX64.EFI", "MZ");
	tree_folder("/boot/grub/x86_64-efi");
	tree_folder("/sys/firmware/efi");
	tree_put_bytes("/sys/firmware/efi/efivars/SecureBoot-"
		       "8be4df61-93ca-11d2-aa0d-00e098032b8c",
		"\6\0\0\0\1", 5);
	tree_put("/boot/grub/grub.cfg",
		"menuentry U {\nlinux ($root)/boot/vmlinuz root=LABEL=x\n"
		"initrd /boot/initrd.img\n}\n");
	put_kernel("/boot/vmlinuz-5.15.0-1-generic", "5.15.0-1-generic");
	tree_link("/boot/vmlinuz", "vmlinuz-5.15.0-1-generic");
	put_initramfs("/boot/initrd.img-5.15.0-1-generic", names);
	tree_link("/boot/initrd.img", "/boot/initrd.img-5.15.0-1-generic");
	gather_tree(tree);
	is_text("system.firmware.mode", "uefi");
	assert_true(json_is_true(at("system.firmware.secure_boot")));
	is_text("boot.loader", "grub-efi");
	is_text("boot.config", "/boot/grub/grub.cfg");
	is_text("boot.esp.mount", "/boot/efi");
	assert_true(tree_has(at("boot.esp.files"), "EFI/BOOT/BOOTX64.EFI"));
	assert_true(tree_has(at("boot.esp.files"), "EFI/ubuntu/shimx64.efi"));
	/* Named by a link: the release comes from within. */
	is_text("kernels.1.kernel", "/boot/vmlinuz");
	is_text("kernels.1.release", "5.15.0-1-generic");
	assert_true(json_is_true(at("kernels.1.default")));
	is_text("kernels.1.initramfs_kind", "mkinitcpio");
}

static void minimal(void **state)
{
	gather_tree(tree);
	is_text("boot.loader", "none");
	assert_int_equal(json_array_size(at("disks")), 0);
	assert_int_equal(json_array_size(at("fstab")), 0);
	assert_int_equal(json_array_size(at("kernels")), 0);
	assert_null(at("system.architecture"));
	assert_null(at("system.kernel.release"));
	assert_null(at("system.firmware.mode"));
	assert_null(at("memory"));
	/* Nothing but a loader of another kind. */
	tree_put("/boot/extlinux/extlinux.conf",
		"label a\nkernel /boot/k\nappend root=/dev/sda1\n");
	gather_tree(tree);
	is_text("boot.loader", "extlinux");
	is_text("boot.default.root", "/dev/sda1");
	tree_put("/efi/loader/loader.conf", "timeout 3\ndefault arch*\n");
	tree_put("/efi/loader/entries/arch-1.conf",
		"title A\nlinux /k\noptions root=UUID=1\n");
	tree_put("/efi/loader/entries/zzz.conf", "title Z\nlinux /z\n");
	gather_tree(tree);
	is_text("boot.loader", "systemd-boot");
	is_text("boot.default.title", "A");
}

/* ---- what is hostile ---- */

static void hostile(void **state)
{
	size_t n = 5 << 20;
	char *big = malloc(n + 1);

	assert_non_null(big);
	memset(big, 'x', n);
	big[n] = '\0';
	/* FIFOs would block, devices do things, links lead out. */
	assert_int_equal(mkfifo(tree_path("/etc/fstab"), 0644), 0);
	tree_link("/etc/hostname", "../../../../../../../../etc/hostname");
	tree_link("/etc/crypttab", "/dev/zero");
	tree_link("/etc/machine-id", "/etc/machine-id");
	tree_put("/boot/grub/grub.cfg", big);
	tree_put("/etc/os-release", "NAME=\nID=\"a\\\"\x1b[31m\xff\"\n=\n\n\"");
	tree_folder("/proc/meminfo");
	tree_folder("/boot/vmlinuz-folder");
	tree_put("/boot/vmlinuz-\n\x1b\xc3", "short");
	tree_put("/boot/initrd.img-\n\x1b\xc3", "short");
	gather_tree(tree);
	free(big);
	assert_null(at("system.hostname"));
	assert_null(at("system.machine_id"));
	is_text("system.distribution.id", "a\"\\x1b[31m\\xff");
	is_missing("etc/fstab", "");
	is_missing("proc/meminfo", "directory");
	is_missing("boot/grub/grub.cfg", "larger");
	is_text("boot.loader", "unknown");
	is_text("kernels.0.kernel", "/boot/vmlinuz-\\x0a\\x1b\\xc3");
}

static void long_fstab(void **state)
{
	size_t n = 1 << 20;
	char *text = malloc(n + 64);

	assert_non_null(text);
	memset(text, 'x', n);
	(void)sprintf(text + n, "\n/dev/sda1 / ext4 rw 0 1\n");
	tree_put("/etc/fstab", text);
	free(text);
	gather_tree(tree);
	assert_int_equal(json_array_size(at("fstab")), 1);
	is_number("fstab.0.line", 2);
	is_missing("etc/fstab", "line 1");
}

static void strings(void **state)
{
	static const struct {
		const char *bytes, *text;
	} known[] = {{"plain \u00e9\u20ac\U0001f600",
			     "plain \u00e9\u20ac\U0001f600"},
		{"a\nb\tc\x7f\\", "a\\x0ab\\x09c\\x7f\\x5c"},
		{"\xc2\x80\xe2\x80\xae", "\\xc2\\x80\\xe2\\x80\\xae"},
		{"\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82",
			"\\xc0\\xaf\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80\\xe2"
			"\\x82"}};
	struct gather g = {0};
	char big[10000];
	json_t *j;

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		j = gather_string(&g, known[i].bytes, strlen(known[i].bytes));
		assert_string_equal(json_string_value(j), known[i].text);
		json_decref(j);
	}
	for (int c = 0; c < 256; c++) {
		memset(big, c, sizeof(big));
		j = gather_string(&g, big, sizeof(big));
		assert_non_null(j);
		assert_in_range(json_string_length(j), 4000, 4100);
		json_decref(j);
	}
	assert_false(g.oom);
}

/* With what gather_disks and gather_filesystems find on a running machine. */
static const char *esp_disks, *esp_mounts;

static void gather_esp(struct gather *g)
{
	json_object_set_new(g->top, "disks", json_loads(esp_disks, 0, NULL));
	json_object_set_new(
		g->top, "filesystems", json_loads(esp_mounts, 0, NULL));
	gather_boot(g);
}

#define ESP(name, type)                                                        \
	"{\"name\":\"" name                                                    \
	"\",\"number\":\"4000:1\",\"part\":{\"type\":\"" type "\"}}"
#define ESP_GUID "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"

static void esp_by_type(void **state)
{
	static const struct {
		const char *disks, *mounts, *disk, *mount, *file;
	} known[] = {/* Mounted at a place of its own. */
		{"[" ESP("sda1", ESP_GUID) "]",
			"[{\"disk\":\"sda1\",\"mount\":\"/mnt/e\"}]", "sda1",
			"/mnt/e", "EFI/BOOT/BOOTX64.EFI"},
		{"[" ESP("sda1", "0xef") "]",
			"[{\"disk\":\"sda1\",\"mount\":\"/mnt/e\"}]", "sda1",
			"/mnt/e", "EFI/BOOT/BOOTX64.EFI"},
		/* What lies in the folder where it belongs is another's. */
		{"[" ESP("sda1", ESP_GUID) "]", "[]", "sda1", "", NULL},
		/* Of two the one that is mounted. */
		{"[" ESP("sda1", ESP_GUID) "," ESP("sdb1", ESP_GUID) "]",
			"[{\"disk\":\"sdb1\",\"mount\":\"/mnt/e\"}]", "sdb1",
			"/mnt/e", "EFI/BOOT/BOOTX64.EFI"},
		/* No type is known. */
		{"[]", "[]", "", "/boot/efi", "EFI/debian/shimx64.efi"}};

	tree_put("/boot/efi/EFI/debian/shimx64.efi", "");
	tree_put("/mnt/e/EFI/BOOT/BOOTX64.EFI", "");
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		json_t *j;
		bool named;

		esp_disks = known[i].disks;
		esp_mounts = known[i].mounts;
		j = tree_gather_with(tree, gather_esp);
		assert_string_equal(
			facts_text(j, "boot.esp.disk"), known[i].disk);
		assert_string_equal(
			facts_text(j, "boot.esp.mount"), known[i].mount);
		if (known[i].file)
			assert_true(tree_has(
				facts_at(j, "boot.esp.files"), known[i].file));
		else
			assert_null(facts_at(j, "boot.esp.files"));
		named = tree_find(facts_at(j, "missing"), "what",
				"boot.esp.files") != NULL;
		assert_int_equal(named, !known[i].file);
		json_decref(j);
	}
}

/* Whatever a machine keeps in files that are read: none of it is told. */
static void no_secrets(void **state)
{
	char *text;

	tree_put("/proc/cmdline", "root=UUID=1 rd.iscsi.password=SECRET ro\n");
	tree_put("/proc/sys/kernel/osrelease", "6.1.0-9-amd64\n");
	tree_put("/etc/fstab", "//h/s /s cifs username=a,password=SECRET 0 0\n"
			       "https://a:SECRET@h/dav /d davfs rw 0 0\n");
	tree_put("/etc/crypttab",
		"a UUID=1 SECRET luks,keyscript=decrypt_derived\n"
		"b UUID=2 /root/key luks,pin=SECRET\n");
	tree_put("/proc/self/mountinfo",
		"20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
		"21 20 0:40 / /d rw - fuse.sshfs https://a:SECRET@h/d rw\n"
		"22 20 0:41 / /s rw - cifs //h/s rw,password=SECRET\n");
	tree_put("/boot/grub/grub.cfg",
		"menuentry 'a' {\n linux /vmlinuz root=UUID=1 "
		"rd.iscsi.password=SECRET\n}\n");
	tree_put("/etc/netplan/w.yaml",
		"network:\n  version: 2\n  wifis:\n    wlan0:\n"
		"      dhcp4: true\n      access-points:\n"
		"        \"home\":\n          password: \"SECRET\"\n"
		"        \"work\": {auth: {key-management: eap, "
		"password: SECRET}}\n"
		"  modems:\n    cdc0:\n      pin: SECRET\n");
	tree_put("/etc/network/interfaces",
		"iface wlan0 inet dhcp\n wpa-ssid home\n wpa-psk SECRET\n");
	tree_put("/etc/NetworkManager/system-connections/w.nmconnection",
		"[connection]\nid=w\ntype=wifi\ninterface-name=wlan0\n"
		"[wifi-security]\npsk=SECRET\n[ipv4]\nmethod=auto\n");
	tree_put("/etc/systemd/network/w.netdev",
		"[NetDev]\nName=wg0\nKind=wireguard\n"
		"[WireGuard]\nPrivateKey=SECRET\n");
	tree_put("/etc/cloud/cloud.cfg.d/99-net.cfg",
		"network:\n  version: 2\n  wifis:\n    wlan0:\n"
		"      access-points: {home: {password: SECRET}}\n"
		"chpasswd: {list: 'root:SECRET'}\n");
	tree_put("/etc/sysconfig/network-scripts/ifcfg-wlan0",
		"DEVICE=wlan0\nBOOTPROTO=dhcp\nKEY=SECRET\nWPA_PSK=SECRET\n");
	gather_tree(tree);
	text = json_dumps(facts, 0);
	assert_non_null(text);
	assert_null(strstr(text, "SECRET"));
	/* All of it was read. */
	is_text("system.kernel.command_line",
		"root=UUID=1 rd.iscsi.password=* ro");
	is_text("boot.default.command_line", "root=UUID=1 rd.iscsi.password=*");
	assert_int_equal(json_array_size(at("fstab")), 2);
	assert_int_equal(json_array_size(at("crypttab")), 2);
	assert_int_equal(json_array_size(at("filesystems")), 3);
	assert_true(json_array_size(at("network.configured_by")) >= 4);
	free(text);
}

/* ---- this machine ---- */

static void live(void **state)
{
	char text[256];

	gather_tree("/");
	assert_true(json_string_length(at("system.kernel.release")) > 0);
	assert_true(json_string_length(at("system.architecture")) > 0);
	assert_true(json_integer_value(at("system.cpus")) > 0);
	assert_true(json_integer_value(at("system.clock.now_ms")) > 0);
	assert_true(json_integer_value(at("memory.total")) > 0);
	assert_non_null(tree_find(at("filesystems"), "mount", "/"));
	assert_int_equal(gethostname(text, sizeof(text)), 0);
	is_text("system.hostname", text);
}

/* With less than root it gives what it can. */
static void nobody(void **state)
{
	int status;
	pid_t pid = geteuid() == 0 ? fork() : -1;

	if (pid < 0)
		skip();
	if (pid == 0) {
		struct error err;
		json_t *j;

		if (setresgid(65534, 65534, 65534) < 0 ||
			setresuid(65534, 65534, 65534) < 0 ||
			facts_gather("/", 0, NULL, &j, &err) < 0)
			_exit(1);
		status = json_is_false(json_object_get(j, "root")) &&
			 json_array_size(json_object_get(j, "missing")) > 0;
		json_decref(j);
		_exit(status ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void no_root(void **state)
{
	struct error err = {0};
	json_t *j = NULL;

	assert_int_equal(facts_gather("/nowhere", 0, NULL, &j, &err), -ENOENT);
	assert_null(j);
	assert_int_equal(
		facts_gather("/dev/null", 0, NULL, &j, &err), -ENOTDIR);
}

#define tree_test(fn) cmocka_unit_test_setup_teardown(fn, tree_setup, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		tree_test(debian),
		tree_test(debian_files),
		tree_test(redhat),
		tree_test(ubuntu),
		tree_test(minimal),
		tree_test(hostile),
		tree_test(long_fstab),
		tree_test(esp_by_type),
		tree_test(no_secrets),
		cmocka_unit_test(strings),
		tree_test(live),
		cmocka_unit_test(nobody),
		cmocka_unit_test(no_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
