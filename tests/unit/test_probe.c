/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include <linux/blkpg.h>
#include <linux/fs.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "volume/mounts.h"
#include "volume/probe.h"

#define MIB (1ULL << 20)
#define UUID "0b1e9a4c-6a52-4c0e-9d5b-7f1d2c3b4a59"

static char folder[] = "/var/tmp/test_probe.XXXXXX";
static char point[300], file[300];
static struct volume_facts *f;

static void probe(const char *path)
{
	struct error err = {0};
	char text[2048];

	if (probe_volume(path, f, &err) < 0)
		fail_msg("%s", error_text(&err, text, sizeof(text)));
}

static int open_file(void)
{
	int fd = open(file, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void put(uint64_t off, const void *bytes, size_t n)
{
	int fd = open_file();

	assert_int_equal(io_pwrite_all(fd, bytes, n, off), 0);
	(void)close(fd);
}

static bool has_signature(const char *name, uint64_t off, uint64_t bytes)
{
	for (uint32_t i = 0; i < f->n_signatures; i++)
		if (f->signatures[i].offset == off &&
			f->signatures[i].bytes == bytes &&
			strcmp(f->signatures[i].name, name) == 0)
			return true;
	return false;
}

/* What is withheld must be all that makes the volume known: to this code, and
 * to wipefs and blkid, which read it their own way. */
static void check_withheld(void)
{
	int fd;

	probe(file);
	assert_true(f->n_signatures > 0);
	assert_int_equal(run("test -n \"$(wipefs -n %s)\"", file), 0);
	fd = open_file();
	for (uint32_t i = 0; i < f->n_signatures; i++) {
		const struct signature *s = &f->signatures[i];
		char *zeros = calloc(1, s->bytes);

		assert_true(s->bytes > 0);
		assert_true(s->offset + s->bytes <= f->size);
		assert_non_null(zeros);
		assert_int_equal(
			io_pwrite_all(fd, zeros, s->bytes, s->offset), 0);
		free(zeros);
	}
	(void)close(fd);
	assert_int_equal(run("test -z \"$(wipefs -n %s)\"", file), 0);
	assert_int_not_equal(run("blkid -p %s >/dev/null", file), 0);
	probe(file);
	assert_int_equal(f->n_signatures, 0);
	assert_string_equal(f->fstype, "");
}

static void make_file(const char *command, uint64_t size)
{
	device_file(file, size, 0);
	if (command)
		assert_int_equal(
			run("%s %s >/dev/null 2>&1", command, file), 0);
	probe(file);
}

static void filesystems(void **state)
{
	make_file("mkfs.ext4 -q -F -U " UUID, 32 * MIB);
	assert_int_equal(f->kind, VOLUME_FILE);
	assert_int_equal(f->logical, 1);
	assert_string_equal(f->path, file);
	assert_string_equal(f->fstype, "ext4");
	assert_string_equal(f->uuid, UUID);
	assert_int_equal(f->n_signatures, 1);
	assert_true(has_signature("ext4", 1080, 2));
	assert_true(f->clean && !f->empty && !f->external_journal &&
		    !f->multi_device && !f->busy && !f->n_mounts);
	check_withheld();

	make_file("mkfs.xfs -q -f -m uuid=" UUID, 320 * MIB);
	assert_string_equal(f->fstype, "xfs");
	assert_string_equal(f->uuid, UUID);
	assert_true(has_signature("xfs", 0, 4));
	assert_true(!f->external_journal && !f->empty);
	check_withheld();

	make_file("mkfs.btrfs -q -f -U " UUID, 200 * MIB);
	assert_string_equal(f->fstype, "btrfs");
	assert_string_equal(f->uuid, UUID);
	assert_true(has_signature("btrfs", 65600, 8));
	assert_true(has_signature("btrfs", 64 * MIB + 64, 8));
	assert_true(f->clean && !f->multi_device);
	check_withheld();

	make_file("mkswap -U " UUID, 8 * MIB);
	assert_string_equal(f->fstype, "swap");
	assert_string_equal(f->uuid, UUID);
	assert_true(has_signature("swap", 4086, 10));
	check_withheld();
}

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
	uint32_t c = ~0u;

	while (n--) {
		c ^= *p++;
		for (int i = 0; i < 8; i++)
			c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
	}
	return ~c;
}

static void put_le(uint8_t *p, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* One head of a table; all numbers in sectors. */
static void put_gpt(uint32_t sector, uint64_t at, uint64_t other,
	uint64_t entries_at, uint64_t last)
{
	static uint8_t entries[128 * 128];
	uint8_t head[92] = "EFI PART";

	put_le(head + 8, 0x10000, 4);
	put_le(head + 12, sizeof(head), 4);
	put_le(head + 24, at, 8);
	put_le(head + 32, other, 8);
	put_le(head + 40, 64, 8);
	put_le(head + 48, last - 64, 8);
	memset(head + 56, 0x5a, 16);
	put_le(head + 72, entries_at, 8);
	put_le(head + 80, 128, 4);
	put_le(head + 84, 128, 4);
	memset(entries, 0x33, 32);
	put_le(entries + 32, 64, 8);
	put_le(entries + 40, 100, 8);
	put_le(head + 88, crc32_of(entries, sizeof(entries)), 4);
	put_le(head + 16, crc32_of(head, sizeof(head)), 4);
	put(at * sector, head, sizeof(head));
	put(entries_at * sector, entries, sizeof(entries));
}

static void put_protective_mbr(uint64_t sectors)
{
	uint8_t entry[16] = {0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1};

	put_le(entry + 12, sectors - 1, 4);
	put(446, entry, sizeof(entry));
	put(510, "\x55\xaa", 2);
}

static void tables(void **state)
{
	static const uint32_t sectors[] = {512, 4096};
	uint8_t mbr_entry[16] = {0x80, 0, 2, 0, 0x83, 0, 3, 0, 1};

	for (size_t i = 0; i < ARRAY_LEN(sectors); i++) {
		uint64_t n = 64 * MIB / sectors[i];

		make_file(NULL, 64 * MIB);
		put_protective_mbr(n);
		/* The entries may lie far from their head. */
		put_gpt(sectors[i], 1, n - 1, i ? 2 : n / 2, n - 34);
		put_gpt(sectors[i], n - 1, 1, n - 33, n - 34);
		probe(file);
		assert_true(has_signature("gpt", sectors[i], 8));
		assert_true(has_signature("gpt", (n - 1) * sectors[i], 8));
		assert_true(has_signature("PMBR", 510, 2));
		assert_string_equal(f->fstype, "");
		assert_string_equal(
			f->uuid, "5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a");
		assert_true(!f->empty && !f->clean);
		if (i == 0)
			check_withheld();
	}
	make_file(NULL, 8 * MIB);
	put_le(mbr_entry + 12, 1000, 4);
	put(446, mbr_entry, sizeof(mbr_entry));
	put(440, "\x01\x02\x03\x04", 4);
	put(510, "\x55\xaa", 2);
	probe(file);
	assert_true(has_signature("dos", 510, 2));
	assert_string_equal(f->uuid, "04030201");
	check_withheld();
}

static void members(void **state)
{
	uint8_t label[64] = "LABELONE", md[256] = {0xfc, 0x4e, 0x2b, 0xa9, 1};
	uint64_t at = (64 * MIB / 512 - 16) & ~7ULL;

	put_le(label + 8, 1, 8);
	put_le(label + 20, 32, 4);
	memcpy(label + 24, "LVM2 001abcdefghijklmnopqrstuvwxyz012345", 40);
	make_file(NULL, 64 * MIB);
	put(512, label, sizeof(label));
	probe(file);
	assert_string_equal(f->fstype, "LVM2_member");
	assert_true(has_signature("LVM2_member", 536, 8));
	assert_false(f->multi_device);
	check_withheld();

	/* md's version 1.0 lies at the end. */
	put_le(md + 144, at, 8);
	memset(md + 16, 0x11, 16);
	make_file(NULL, 64 * MIB);
	put(at * 512, md, sizeof(md));
	probe(file);
	assert_string_equal(f->fstype, "linux_raid_member");
	assert_true(has_signature("linux_raid_member", at * 512, 4));
	assert_true(f->multi_device && !f->empty);
	check_withheld();

	/* A filesystem inside of it is found as well. */
	make_file("mkfs.ext4 -q -F", 64 * MIB);
	put(at * 512, md, sizeof(md));
	probe(file);
	assert_true(has_signature("linux_raid_member", at * 512, 4));
	assert_true(has_signature("ext4", 1080, 2));
	check_withheld();

	make_file(NULL, 64 * MIB);
	for (uint64_t i = 0; i < 16; i++) {
		uint8_t magic[8] = {0x0c, 0xb1, 0xba};

		put(128 * 1024 + i * 1024, magic, 8);
		put(64 * MIB - 128 * 1024 + i * 1024, magic, 8);
	}
	probe(file);
	assert_string_equal(f->fstype, "zfs_member");
	assert_true(has_signature("zfs_member", 0, 256 * 1024));
	assert_true(
		has_signature("zfs_member", 64 * MIB - 256 * 1024, 256 * 1024));
	assert_true(f->multi_device);
	check_withheld();
}

/* Its superblock is believed only when the MFT is where it says. */
static void ntfs(void **state)
{
	uint8_t boot[512] = {0xeb, 0x52, 0x90, 'N', 'T', 'F', 'S', ' ', ' ',
		' ', ' ', 0, 2, 8};

	boot[21] = 0xf8;
	put_le(boot + 40, 64 * MIB / 512 - 1, 8);
	put_le(boot + 48, 32 * MIB / 4096, 8);
	put_le(boot + 56, 2, 8);
	put_le(boot + 64, 0xf6, 4);
	put_le(boot + 68, 1, 4);
	put_le(boot + 72, 0x1234567890abcdefULL, 8);
	make_file(NULL, 64 * MIB);
	put(0, boot, sizeof(boot));
	put(64 * MIB - 512, boot, sizeof(boot));
	probe(file);
	assert_string_equal(f->fstype, "");
	for (uint64_t i = 0; i < 16; i++)
		put(32 * MIB + i * 1024, "FILE", 4);
	probe(file);
	assert_string_equal(f->fstype, "ntfs");
	assert_true(has_signature("ntfs", 3, 8));
	assert_true(has_signature("ntfs", 64 * MIB - 512 + 3, 8));
	check_withheld();
}

static void emptiness(void **state)
{
	static const struct {
		uint64_t at;
		bool empty;
	} cases[] = {{0, false}, {MIB - 1, false}, {MIB, true},
		{31 * MIB - 1, true}, {31 * MIB, false}, {32 * MIB - 1, false}};

	make_file(NULL, 32 * MIB);
	assert_true(f->empty);
	assert_string_equal(f->uuid, "");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		make_file(NULL, 32 * MIB);
		put(cases[i].at, "x", 1);
		probe(file);
		assert_int_equal(f->empty, cases[i].empty);
		assert_int_equal(f->n_signatures, 0);
	}
	device_file(file, 32 * MIB + 513, 0xaa);
	probe(file);
	assert_true(!f->empty && !f->clean && f->n_signatures == 0);
	assert_int_equal(f->size, 32 * MIB + 513);
	/* Smaller than what is looked at, and nothing at all. */
	make_file(NULL, 1000);
	assert_true(f->empty);
	put(999, "x", 1);
	probe(file);
	assert_false(f->empty);
	make_file(NULL, 0);
	assert_true(f->empty && f->size == 0);
}

static void device_facts(void **state)
{
	struct device d;
	struct stat st, below;
	char link[300], text[200];
	uint64_t written;
	int fd;

	device_make(&d, folder, "d", 64 * MIB, 0);
	assert_int_equal(stat(d.path, &st), 0);
	assert_int_equal(stat(d.file, &below), 0);
	(void)snprintf(link, sizeof(link), "%s/link", folder);
	assert_int_equal(symlink(d.path, link), 0);
	probe(link);
	assert_int_equal(f->kind, VOLUME_BLOCK);
	assert_string_equal(f->path, d.path);
	assert_int_equal(f->size, 64 * MIB);
	assert_int_equal(f->logical, 512);
	assert_int_equal(f->major, 7);
	assert_int_equal(f->minor, minor(st.st_rdev));
	assert_int_equal(f->disk_major, 7);
	assert_int_equal(f->disk_minor, f->minor);
	assert_int_equal(f->disk_start, 0);
	assert_int_equal(f->inode, 0);
	assert_int_equal(f->backing_inode, below.st_ino);
	assert_int_equal(f->backing_major, major(below.st_dev));
	assert_int_equal(f->backing_minor, minor(below.st_dev));
	assert_true(f->empty && f->request_based && !f->readonly && !f->busy &&
		    !f->zoned && !f->swap && !f->clean && !f->holder_count);
	assert_string_equal(
		probe_identity(f, text, sizeof(text)), "size:67108864");
	(void)snprintf(f->uuid, sizeof(f->uuid), "u");
	assert_string_equal(probe_identity(f, text, sizeof(text)), "uuid:u");
	(void)snprintf(f->wwn, sizeof(f->wwn), "w");
	assert_string_equal(probe_identity(f, text, sizeof(text)), "wwn:w");
	(void)snprintf(f->serial, sizeof(f->serial), "s");
	assert_string_equal(probe_identity(f, text, sizeof(text)), "serial:s");

	written = f->written;
	assert_int_equal(run("dd if=/dev/urandom of=%s bs=1M count=2 "
			     "oflag=direct 2>/dev/null",
				 d.path),
		0);
	probe(d.path);
	assert_int_equal(f->written, written + 2 * MIB);
	assert_false(f->empty);

	/* Held by someone whom no table shows. */
	fd = open(d.path, O_RDONLY | O_EXCL | O_CLOEXEC);
	assert_true(fd >= 0);
	probe(d.path);
	assert_true(f->busy && !f->n_mounts && !f->holder_count);
	(void)close(fd);
	probe(d.path);
	assert_false(f->busy);

	/* The file below is in use by the device. */
	probe(d.file);
	assert_int_equal(f->holder_count, 1);
	assert_string_equal(f->holder, d.path + 5);
	assert_int_equal(f->inode, below.st_ino);
	assert_int_equal(f->major, major(below.st_dev));
	fd = 1;
	assert_int_equal(ioctl(d.fd, BLKROSET, &fd), 0);
	probe(d.path);
	fd = 0; /* it would outlive the device */
	assert_int_equal(ioctl(d.fd, BLKROSET, &fd), 0);
	assert_true(f->readonly);
	device_detach(&d);
	assert_int_equal(unlink(link), 0);
	probe(d.file);
	assert_int_equal(f->holder_count, 0);
	device_attach(&d, d.file, 4096);
	probe(d.path);
	assert_int_equal(f->logical, 4096);
	device_remove(&d);
}

/* The page cache of the device shows what was there before. */
static void stale_cache(void **state)
{
	CLEANUP_FREE char *page = aligned_alloc(4096, 4096);
	struct device d;

	device_make(&d, folder, "d", 32 * MIB, 0);
	assert_non_null(page);
	assert_int_equal(io_pread_all(d.fd, page, 4096, 0), 4096);
	assert_int_equal(
		run("mkfs.ext4 -q -F %s && sync %s", d.file, d.file), 0);
	assert_int_equal(io_pread_all(d.fd, page, 4096, 0), 4096);
	assert_int_equal(page[1080], 0);
	probe(d.path);
	assert_string_equal(f->fstype, "ext4");
	device_remove(&d);
}

static void refusals(void **state)
{
	struct error err;
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	memset(f, 7, sizeof(*f));
	assert_int_equal(probe_volume(path, f, &err), -ENOTBLK);
	assert_int_equal(probe_volume("/dev/null", f, &err), -ENOTBLK);
	assert_int_equal(probe_volume(folder, f, &err), -ENOTBLK);
	assert_non_null(strstr(err.why, "folder"));
	assert_int_equal(probe_volume("/dev/nothing here", f, &err), -ENOENT);
	assert_int_equal(f->kind, 0x07070707);
	assert_int_equal(unlink(path), 0);
}

static void mounted(void **state)
{
	/* Each mountpoint that the kernel has to escape. */
	static const char *const names[] = {"plain", "a b", "tab\there",
		"line\nfeed", "back\\040slash", "h#sh"};
	struct device d;
	struct mount_info *m = malloc(sizeof(*m));
	char where[400], other[400];

	assert_non_null(m);
	device_make(&d, folder, "d", 64 * MIB, 0);
	assert_int_equal(run("mkfs.ext4 -q %s", d.path), 0);
	probe(d.path);
	assert_true(f->clean);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(where, sizeof(where), "%s/%s", point, names[i]);
		assert_int_equal(mkdir(where, 0700), 0);
		assert_int_equal(mount(d.path, where, "ext4", 0, NULL), 0);
		probe(d.path);
		assert_int_equal(f->n_mounts, 1);
		assert_string_equal(f->mounts[0].point, where);
		assert_string_equal(f->mounts[0].type, "ext4");
		assert_int_equal(f->mounts[0].major, f->major);
		assert_int_equal(f->mounts[0].dev_minor, f->minor);
		assert_false(f->mounts[0].readonly);
		assert_true(f->busy && !f->clean);
		assert_int_equal(f->n_partitions_mounted, 0);
		assert_int_equal(probe_mount_of(where, m, NULL), 0);
		assert_string_equal(m->point, where);
		assert_int_equal(umount(where), 0);
		probe(d.path);
		assert_true(!f->n_mounts && !f->busy && f->clean);
		assert_int_equal(rmdir(where), 0);
	}

	/* The first mount is the one that can be entered. */
	(void)snprintf(where, sizeof(where), "%s/covered", point);
	(void)snprintf(other, sizeof(other), "%s/other", point);
	assert_int_equal(mkdir(where, 0700), 0);
	assert_int_equal(mkdir(other, 0700), 0);
	assert_int_equal(mount(d.path, where, "ext4", 0, NULL), 0);
	assert_int_equal(mount("none", where, "tmpfs", 0, NULL), 0);
	assert_int_equal(mount(d.path, other, "ext4", 0, NULL), 0);
	assert_int_equal(mount(NULL, other, NULL,
				 MS_REMOUNT | MS_BIND | MS_RDONLY, NULL),
		0);
	probe(d.path);
	assert_int_equal(f->n_mounts, 2);
	assert_string_equal(f->mounts[0].point, other);
	assert_true(f->mounts[0].readonly);
	assert_false(f->mounts[1].readonly);
	assert_int_equal(probe_mount_of(where, m, NULL), 0);
	assert_string_equal(m->type, "tmpfs");
	assert_int_equal(probe_mount_of("/nothing here", m, NULL), -ENOENT);
	/* The file below knows as well. */
	probe(d.file);
	assert_int_equal(f->n_mounts, 2);
	assert_false(f->clean);
	assert_int_equal(umount(where), 0);
	assert_int_equal(umount(where), 0);

	/* As after a crash. */
	assert_int_equal(
		mount(NULL, other, NULL, MS_REMOUNT | MS_BIND, NULL), 0);
	assert_int_equal(
		run("echo x > %s/x && sync && cp %s %s", other, d.file, file),
		0);
	assert_int_equal(umount(other), 0);
	probe(file);
	assert_string_equal(f->fstype, "ext4");
	assert_false(f->clean);
	assert_int_equal(rmdir(where), 0);
	assert_int_equal(rmdir(other), 0);
	device_remove(&d);
	free(m);
}

static void btrfs_mounted(void **state)
{
	struct device a, b;
	char options[200];
	uint8_t log_root[8] = {0, 0, 0x40};

	device_make(&a, folder, "a", 200 * MIB, 0);
	device_make(&b, folder, "b", 200 * MIB, 0);
	assert_int_equal(run("mkfs.btrfs -q %s >/dev/null 2>&1", a.path), 0);
	assert_int_equal(mount(a.path, point, "btrfs", 0, NULL), 0);
	assert_int_equal(run("btrfs -q subvolume create %s/sub", point), 0);
	assert_int_equal(umount(point), 0);
	assert_int_equal(mount(a.path, point, "btrfs", 0, "subvol=sub"), 0);
	probe(a.path);
	assert_int_equal(f->n_mounts, 1);
	assert_string_equal(f->mounts[0].point, point);
	assert_int_equal(f->mounts[0].major, 0);
	assert_int_equal(f->mounts[0].dev_major, 7);
	assert_int_equal(f->mounts[0].dev_minor, f->minor);
	assert_true(f->busy && !f->clean && !f->multi_device);
	probe(b.path);
	assert_int_equal(f->n_mounts, 0);
	assert_int_equal(umount(point), 0);
	probe(a.path);
	assert_true(f->clean && !f->n_mounts);
	/* A log that has to be replayed. */
	assert_int_equal(run("cp %s %s", a.file, file), 0);
	put(65536 + 0x60, log_root, 8);
	probe(file);
	assert_string_equal(f->fstype, "btrfs");
	assert_false(f->clean);

	assert_int_equal(run("mkfs.btrfs -q -f -d raid1 -m raid1 %s %s "
			     ">/dev/null 2>&1",
				 a.path, b.path),
		0);
	(void)snprintf(options, sizeof(options), "device=%s,device=%s", a.path,
		b.path);
	assert_int_equal(mount(a.path, point, "btrfs", 0, options), 0);
	for (int i = 0; i < 2; i++) {
		probe(i ? b.path : a.path);
		assert_int_equal(f->n_mounts, 1);
		assert_string_equal(f->mounts[0].point, point);
		assert_true(f->busy && f->multi_device);
	}
	assert_int_equal(umount(point), 0);
	device_remove(&a);
	device_remove(&b);
	(void)run("btrfs device scan --forget >/dev/null 2>&1");
}

static int add_partition(const struct device *d, int n, uint64_t start,
	uint64_t bytes, char *path, size_t size)
{
	struct blkpg_partition part = {.start = (long long)start,
		.length = (long long)bytes,
		.pno = n};
	struct blkpg_ioctl_arg arg = {.op = BLKPG_ADD_PARTITION,
		.datalen = sizeof(part),
		.data = &part};

	(void)snprintf(path, size, "%sp%d", d->path, n);
	return ioctl(d->fd, BLKPG, &arg);
}

static void partitions(void **state)
{
	struct device d;
	struct loop_info64 info = {0};
	char p1[80], p2[80];
	uint32_t mi;

	device_make(&d, folder, "d", 64 * MIB, 0);
	info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN;
	assert_int_equal(ioctl(d.fd, LOOP_SET_STATUS64, &info), 0);
	assert_int_equal(
		add_partition(&d, 1, MIB, 32 * MIB, p1, sizeof(p1)), 0);
	assert_int_equal(
		add_partition(&d, 2, 40 * MIB, 16 * MIB, p2, sizeof(p2)), 0);
	assert_int_equal(run("mkfs.ext4 -q %s && mkswap -q %s", p1, p2), 0);
	probe(d.path);
	mi = f->minor;
	assert_int_equal(f->n_partitions_mounted, 0);
	assert_false(f->busy);

	assert_int_equal(mount(p1, point, "ext4", 0, NULL), 0);
	probe(d.path);
	assert_int_equal(f->n_partitions_mounted, 1);
	assert_int_equal(f->n_mounts, 1);
	assert_string_equal(f->mounts[0].point, point);
	assert_true(f->busy);
	probe(p1);
	assert_int_equal(f->n_mounts, 1);
	assert_int_equal(f->n_partitions_mounted, 0);
	assert_int_equal(f->size, 32 * MIB);
	assert_int_equal(f->disk_major, 7);
	assert_int_equal(f->disk_minor, mi);
	assert_int_equal(f->disk_start, MIB);
	assert_true(f->busy && f->request_based);
	probe(p2);
	assert_true(!f->busy && !f->n_mounts && !f->swap);
	assert_string_equal(f->fstype, "swap");
	assert_int_equal(f->disk_start, 40 * MIB);
	/* Through the file. */
	probe(d.file);
	assert_int_equal(f->n_partitions_mounted, 1);
	assert_int_equal(f->n_mounts, 1);

	assert_int_equal(swapon(p2, 0), 0);
	probe(p2);
	assert_int_equal(swapoff(p2), 0);
	assert_true(f->swap && f->busy);
	assert_int_equal(swapon(p2, 0), 0);
	probe(d.path);
	assert_int_equal(swapoff(p2), 0);
	assert_int_equal(f->n_partitions_mounted, 2);
	assert_false(f->swap);
	assert_int_equal(umount(point), 0);
	probe(d.path);
	assert_true(!f->busy && !f->n_partitions_mounted && !f->n_mounts);
	device_remove(&d);
}

static void journals(void **state)
{
	struct device a, b;

	device_make(&a, folder, "a", 320 * MIB, 0);
	device_make(&b, folder, "b", 64 * MIB, 0);
	assert_int_equal(
		run("mkfs.xfs -q -f -l logdev=%s %s", b.path, a.path), 0);
	probe(a.path);
	assert_string_equal(f->fstype, "xfs");
	assert_true(f->external_journal && !f->clean);
	assert_int_equal(run("mke2fs -q -F -b 4096 -O journal_dev %s && "
			     "mkfs.ext4 -q -F -b 4096 -J device=%s %s",
				 b.path, b.path, a.path),
		0);
	probe(a.path);
	assert_string_equal(f->fstype, "ext4");
	assert_true(f->external_journal && f->clean);
	probe(b.path);
	assert_string_equal(f->fstype, "jbd");
	assert_true(f->external_journal);
	assert_int_equal(run("mkfs.ext4 -q -F -O ^has_journal %s", a.path), 0);
	probe(a.path);
	assert_true(!f->external_journal && f->clean);
	device_remove(&a);
	device_remove(&b);
}

static void mountinfo_lines(void **state)
{
	static const char *const wrong[] = {"", " ", "1", "1 2 3:4 / /a rw",
		"1 2 3:4 / /a rw - ext4 /dev/x", "1 2 3:4 / /a rw -",
		"1 2 3 / /a rw - ext4 x rw", "1 2 : / /a rw - ext4 x rw",
		"1 2 3: / /a rw - ext4 x rw", "1 2 -3:4 / /a rw - ext4 x rw",
		"1 2 99999999999:4 / /a rw - ext4 x rw",
		"x 2 3:4 / /a rw - ext4 x rw", "1 2 3:4 / a rw - ext4 x rw",
		"1 2 3:4 / /a\\04 rw - ext4 x rw",
		"1 2 3:4 / /a\\0 rw - ext4 x rw",
		"1 2 3:4 / /a\\ rw - ext4 x rw",
		"1 2 3:4 / /a\\777 rw - ext4 x rw",
		"1 2 3:4 / /a\\000 rw - ext4 x rw",
		"1 2 3:4 / /a\\089 rw - ext4 x rw"};
	struct mount_info *m = malloc(sizeof(*m));
	char source[4096], line[5000] = "1 2 3:4 / /", end[] = " rw - e x rw";
	uint64_t id;

	assert_non_null(m);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(
			mounts_parse(wrong[i], &id, m, source), -EBADMSG);
	assert_int_equal(
		mounts_parse("36 35 98:70000 /x /a\\040\\134b ro,noatime "
			     "shared:1 master:2 - fuse.x /dev/a\\011b rw,x=y",
			&id, m, source),
		0);
	assert_int_equal(id, 36);
	assert_int_equal(m->major, 98);
	assert_int_equal(m->dev_minor, 70000);
	assert_string_equal(m->point, "/a \\b");
	assert_string_equal(m->type, "fuse.x");
	assert_string_equal(source, "/dev/a\tb");
	assert_true(m->readonly);
	/* Read-only as a whole, and options that only look so. */
	assert_int_equal(
		mounts_parse("1 2 0:4 / /a rw - x  ro,b", &id, m, source), 0);
	assert_true(m->readonly);
	assert_int_equal(m->dev_minor, 0);
	assert_int_equal(mounts_parse("1 2 0:4 / /a rw,ro2,noro - x y ro=1",
				 &id, m, source),
		0);
	assert_false(m->readonly);
	/* The longest point that fits, and one more. */
	memset(line + 11, 'p', 4094);
	memcpy(line + 11 + 4094, end, sizeof(end));
	assert_int_equal(mounts_parse(line, &id, m, source), 0);
	assert_int_equal(strlen(m->point), 4095);
	memset(line + 11, 'p', 4095);
	memcpy(line + 11 + 4095, end, sizeof(end));
	assert_int_equal(mounts_parse(line, &id, m, source), -EBADMSG);
	free(m);
}

/* Superblocks with changed bytes: any answer, but no crash, and nothing outside
 * of the volume. */
static void hostile(void **state)
{
	static const char *const makers[] = {"mkfs.ext4 -q -F", "mkswap",
		"mkfs.btrfs -q -f", "mkfs.xfs -q -f", NULL};
	uint64_t x = 88172645463325252ULL;

	for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
		uint64_t size = i == 3 ? 320 * MIB : 128 * MIB;

		make_file(makers[i], size);
		if (!makers[i]) {
			put_protective_mbr(size / 512);
			put_gpt(512, 1, size / 512 - 1, 2, size / 512 - 34);
		}
		for (int round = 0; round < 60; round++) {
			for (int k = 0; k < 6; k++) {
				uint64_t at, v;

				x ^= x << 13;
				x ^= x >> 7;
				x ^= x << 17;
				at = i == 2 ? 65536 : 0;
				at += x % (round % 2 ? 4096 : 512);
				v = round % 3 ? x : UINT64_MAX;
				put(at, &v, 1 + x % 8);
			}
			if (probe_volume(file, f, NULL) < 0)
				continue;
			for (uint32_t s = 0; s < f->n_signatures; s++)
				assert_true(
					f->signatures[s].offset <= f->size &&
					f->signatures[s].bytes <=
						f->size - f->signatures[s]
								  .offset);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filesystems),
		cmocka_unit_test(tables),
		cmocka_unit_test(members),
		cmocka_unit_test(ntfs),
		cmocka_unit_test(emptiness),
		cmocka_unit_test(device_facts),
		cmocka_unit_test(stale_cache),
		cmocka_unit_test(refusals),
		cmocka_unit_test(mounted),
		cmocka_unit_test(btrfs_mounted),
		cmocka_unit_test(partitions),
		cmocka_unit_test(journals),
		cmocka_unit_test(mountinfo_lines),
		cmocka_unit_test(hostile),
	};
	int r;

	f = calloc(1, sizeof(*f));
	if (!f || !device_setup(folder)) {
		print_message("needs root: skipped\n");
		return 77;
	}
	(void)snprintf(point, sizeof(point), "%s/point", folder);
	(void)snprintf(file, sizeof(file), "%s/file", folder);
	(void)mkdir(point, 0700);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	while (umount2(point, MNT_DETACH) == 0)
		;
	(void)run("rm -rf --one-file-system %s", folder);
	free(f);
	return r;
}
