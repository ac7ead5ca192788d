/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A used map is right when what it leaves out may be anything. So: fill a
 * filesystem, take the map, let the filesystem work on, unmount it. Copy what
 * the map has, and what changed since (that is what a tracker would know), onto
 * an image of garbage. The copy must be whole: same files, and fsck is content.
 *
 * The source lies on a pattern that no filesystem writes, so that every write
 * since the map is seen as a change.
 */
#include "device.h"

#include <ftw.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"
#include "volume/usedmap.h"

#define MIB (1ULL << 20)
#define GRAIN 4096
#define PATTERN 0x5c
#define GARBAGE 0xaa

static char folder[] = "/var/tmp/test_usedmap.XXXXXX";
static char point[300];

struct used {
	uint8_t *grains;
	uint64_t size;
	bool outside;
};

static void collect(void *arg, uint64_t offset, uint64_t bytes)
{
	struct used *used = arg;

	if (bytes == 0 || offset >= used->size || bytes > used->size - offset) {
		used->outside = true;
		return;
	}
	for (uint64_t at = offset / GRAIN; at * GRAIN < offset + bytes; at++)
		used->grains[at] = 1;
}

/* One line for each file, sorted by name. */
static char **lines;
static size_t n_lines;
static size_t root_length;

static void add_attributes(const char *path, char *line, size_t size)
{
	char names[1024], value[1024];
	ssize_t n = llistxattr(path, names, sizeof(names));
	size_t at = strlen(line);

	assert_true(n >= 0);
	for (char *name = names; name < names + n; name += strlen(name) + 1) {
		ssize_t r = lgetxattr(path, name, value, sizeof(value));

		assert_true(r >= 0);
		at += (size_t)snprintf(line + at, size - at, " %s=%016llx",
			name,
			(unsigned long long)XXH3_64bits(value, (size_t)r));
		assert_true(at < size);
	}
}

static int add_line(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	char line[4096], link[1024] = "";
	unsigned long long digest = 0;

	if (S_ISREG(st->st_mode)) {
		char *text = NULL;
		size_t n = 0;

		/* A file that cannot be read makes the manifest differ. */
		if (io_slurp(path, 512 * MIB, &text, &n) == 0)
			digest = XXH3_64bits(text, n);
		free(text);
	}
	if (S_ISLNK(st->st_mode))
		assert_true(readlink(path, link, sizeof(link) - 1) > 0);
	(void)snprintf(line, sizeof(line),
		"%s %o %u:%u %lu %llu %lld.%09ld %lx %s %016llx",
		path + root_length, st->st_mode, st->st_uid, st->st_gid,
		(unsigned long)st->st_nlink, (unsigned long long)st->st_size,
		(long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
		(unsigned long)st->st_rdev, link, digest);
	add_attributes(path, line, sizeof(line));
	lines = reallocarray(lines, n_lines + 1, sizeof(*lines));
	assert_non_null(lines);
	lines[n_lines] = strdup(line);
	assert_non_null(lines[n_lines++]);
	return 0;
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *manifest(void)
{
	size_t size = 1, at = 0;
	char *text;

	lines = NULL;
	n_lines = 0;
	root_length = strlen(point);
	assert_int_equal(nftw(point, add_line, 32, FTW_PHYS | FTW_MOUNT), 0);
	qsort(lines, n_lines, sizeof(*lines), compare_lines);
	for (size_t i = 0; i < n_lines; i++)
		size += strlen(lines[i]) + 1;
	text = malloc(size);
	assert_non_null(text);
	for (size_t i = 0; i < n_lines; i++) {
		at += (size_t)snprintf(text + at, size - at, "%s\n", lines[i]);
		free(lines[i]);
	}
	free(lines);
	return text;
}

static void write_file(
	const char *name, unsigned seed, uint64_t offset, size_t n, int flags)
{
	char path[400];
	uint8_t *buf = malloc(n);
	uint64_t x = seed * 0x9e3779b97f4a7c15ULL + 1;
	int fd;

	assert_non_null(buf);
	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf[i] = (uint8_t)x;
	}
	(void)snprintf(path, sizeof(path), "%s/%s", point, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0640);
	assert_true(fd >= 0);
	assert_int_equal(io_pwrite_all(fd, buf, n, offset), 0);
	if (seed % 5 == 0)
		assert_int_equal(fsetxattr(fd, "user.seed", buf, 100, 0), 0);
	if (seed % 31 == 0)
		assert_int_equal(fsync(fd), 0);
	(void)close(fd);
	free(buf);
}

static void fill(void)
{
	char name[64], path[400];

	for (unsigned i = 0; i < 20; i++) {
		(void)snprintf(path, sizeof(path), "%s/d%u", point, i);
		assert_int_equal(mkdir(path, 0750), 0);
	}
	for (unsigned i = 0; i < 900; i++) {
		(void)snprintf(name, sizeof(name), "d%u/f%u", i % 20, i);
		write_file(name, i, 0, i % 9 ? 1 + i * 37 % 60000 : 300000, 0);
	}
	sync();
	/* Holes, overwritten parts, links, and room that is free again. */
	for (unsigned i = 0; i < 900; i += 3) {
		(void)snprintf(
			path, sizeof(path), "%s/d%u/f%u", point, i % 20, i);
		assert_int_equal(unlink(path), 0);
	}
	for (unsigned i = 1; i < 900; i += 6) {
		(void)snprintf(name, sizeof(name), "d%u/f%u", i % 20, i);
		write_file(name, i + 1, i * 100, 9000, 0);
	}
	write_file("sparse", 7, 40 * MIB, 5000, 0);
	write_file("big", 8, 0, 20 * MIB, 0);
	assert_int_equal(
		run("cd %s && ln d1/f1 hard && ln -s d1/f1 soft && "
		    "mknod null c 1 3 && mkfifo fifo && chown 7:8 fifo && "
		    "fallocate -l 3M room && "
		    "ln -s $(seq -s _ 1 200) long",
			point),
		0);
}

/* What happens between the map and the end. */
static void work_on(void)
{
	char name[64], path[400];

	for (unsigned i = 2; i < 300; i += 6) {
		(void)snprintf(
			path, sizeof(path), "%s/d%u/f%u", point, i % 20, i);
		assert_int_equal(unlink(path), 0);
		(void)snprintf(name, sizeof(name), "d%u/new%u", i % 20, i);
		write_file(name, i + 5000, 0, 1 + i * 91 % 70000, 0);
	}
	write_file("big", 9, 2 * MIB, 3 * MIB, 0);
	write_file("room", 10, MIB, MIB / 2, 0);
}

/* The whole device, not what the page cache has of it. */
static uint8_t *read_device(const struct device *d)
{
	int fd = open(d->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	void *buf = NULL;

	assert_true(fd >= 0);
	assert_int_equal(posix_memalign(&buf, 4096, d->size), 0);
	assert_int_equal(io_pread_all(fd, buf, d->size, 0), (ssize_t)d->size);
	(void)close(fd);
	return buf;
}

static void mount_it(
	const struct device *d, const char *type, const char *options)
{
	assert_int_equal(mount(d->path, point, type, MS_NOATIME, options), 0);
}

static uint32_t dev_of(const struct device *d, uint32_t *ret_minor)
{
	struct stat st;

	assert_int_equal(stat(d->path, &st), 0);
	*ret_minor = minor(st.st_rdev);
	return major(st.st_rdev);
}

static int read_map(
	const struct device *d, struct used *used, struct error *err)
{
	uint32_t mi, ma = dev_of(d, &mi);

	memset(used, 0, sizeof(*used));
	used->size = d->size;
	used->grains = calloc(1, d->size / GRAIN + 1);
	assert_non_null(used->grains);
	return usedmap_read(point, ma, mi, d->size, collect, used, err);
}

struct kind {
	const char *type;
	const char *make, *fs_size; /* the device's name goes between */
	const char *options;	    /* of the source's mount */
	const char *copy_options;   /* of the copy's, which has the same uuid */
	const char *check;
	uint64_t size;
	void (*also)(void); /* more to fill in */
};

static void make_copy(const struct kind *kind, const struct used *used,
	const uint8_t *before, const uint8_t *after, const char *want)
{
	struct device copy;
	char *got;
	int fd;

	device_make(&copy, folder, "copy", used->size, GARBAGE);
	fd = open(copy.path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (uint64_t i = 0; i < used->size / GRAIN; i++)
		if (used->grains[i] ||
			memcmp(before + i * GRAIN, after + i * GRAIN, GRAIN))
			assert_int_equal(io_pwrite_all(fd, after + i * GRAIN,
						 GRAIN, i * GRAIN),
				0);
	assert_int_equal(fsync(fd), 0);
	(void)close(fd);
	mount_it(&copy, kind->type, kind->copy_options);
	got = manifest();
	assert_int_equal(umount(point), 0);
	assert_string_equal(got, want);
	assert_true(strlen(want) > 10000);
	free(got);
	assert_int_equal(
		run("%s %s >/dev/null 2>&1", kind->check, copy.path), 0);
	device_remove(&copy);
}

static void whole_copy(const struct kind *kind)
{
	struct device source;
	struct used used;
	uint8_t *before, *after;
	uint64_t n = 0;
	char *want;

	device_make(&source, folder, "source", kind->size, PATTERN);
	assert_int_equal(run("%s %s %s >/dev/null", kind->make, source.path,
				 kind->fs_size),
		0);
	mount_it(&source, kind->type, kind->options);
	fill();
	if (kind->also)
		kind->also();
	assert_int_equal(read_map(&source, &used, NULL), 0);
	before = read_device(&source);
	work_on();
	want = manifest();
	/* Nothing stays open in it. */
	assert_int_equal(umount(point), 0);
	after = read_device(&source);
	device_remove(&source);
	(void)run("btrfs device scan --forget >/dev/null 2>&1");
	assert_false(used.outside);
	for (uint64_t i = 0; i < used.size / GRAIN; i++)
		n += used.grains[i];
	print_message("used: %llu of %llu MiB\n",
		(unsigned long long)(n * GRAIN / MIB),
		(unsigned long long)(used.size / MIB));
	assert_true(n * GRAIN < used.size * 6 / 10);
	make_copy(kind, &used, before, after, want);
	free(used.grains);
	free(before);
	free(after);
	free(want);
}

static void ext4_4k(void **state)
{
	static const struct kind kind = {"ext4",
		"mkfs.ext4 -q -b 4096 -E nodiscard,lazy_itable_init=1", "",
		NULL, NULL, "e2fsck -fn", 256 * MIB, NULL};

	whole_copy(&kind);
}

/* The device is larger than the filesystem: what is behind counts as used. */
static void ext4_1k(void **state)
{
	static const struct kind kind = {"ext4",
		"mkfs.ext4 -q -b 1024 -E nodiscard -O ^flex_bg,^metadata_csum",
		"200M", NULL, NULL, "e2fsck -fn", 210 * MIB, NULL};

	whole_copy(&kind);
}

static void share(void)
{
	assert_int_equal(run("cd %s && cp --reflink=always big big2 && "
			     "cp --reflink=always d1/f1 shared",
				 point),
		0);
	write_file("big2", 11, 5 * MIB, 100000, 0);
}

static void xfs(void **state)
{
	static const struct kind kind = {"xfs", "mkfs.xfs -q -f -K", "", NULL,
		"nouuid", "xfs_repair -n", 320 * MIB, share};

	whole_copy(&kind);
}

static void xfs_rmap(void **state)
{
	static const struct kind kind = {"xfs",
		"mkfs.xfs -q -f -K -b size=1024 -m rmapbt=1,reflink=1", "",
		NULL, "nouuid", "xfs_repair -n", 320 * MIB, share};

	whole_copy(&kind);
}

static void subvolumes(void)
{
	share();
	assert_int_equal(
		run("cd %s && btrfs -q subvolume create sub && cp -a d1 sub/ &&"
		    " btrfs -q subvolume snapshot sub sub/snap && "
		    "sync -f . && rm -rf sub/d1/f1*",
			point),
		0);
}

static void btrfs_dup(void **state)
{
	static const struct kind kind = {"btrfs",
		"mkfs.btrfs -q -K -m dup -d single", "", NULL, NULL,
		"btrfs check", 320 * MIB, subvolumes};

	whole_copy(&kind);
}

static void btrfs_single(void **state)
{
	static const struct kind kind = {"btrfs",
		"mkfs.btrfs -q -K -b 300M -m single -d single -n 4096 -R "
		"^free-space-tree",
		"", "compress=zstd,space_cache=v1", NULL, "btrfs check",
		320 * MIB, subvolumes};

	whole_copy(&kind);
}

static void expect_refusal(const struct device *d, int code, const char *why)
{
	struct used used;
	struct error err;

	assert_int_equal(read_map(d, &used, &err), code);
	assert_int_equal(err.code, code);
	assert_non_null(strstr(err.why, why));
	free(used.grains);
}

static void btrfs_refused(void **state)
{
	static const char *const profiles[] = {
		"-m raid1 -d raid1", "-m raid1 -d raid0", "-m dup -d single"};
	struct device a, b;
	char options[160];

	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		device_make(&a, folder, "a", 200 * MIB, 0);
		device_make(&b, folder, "b", 200 * MIB, 0);
		assert_int_equal(run("mkfs.btrfs -q %s %s %s >/dev/null 2>&1",
					 profiles[i], a.path, b.path),
			0);
		(void)snprintf(options, sizeof(options), "device=%s,device=%s",
			a.path, b.path);
		mount_it(&a, "btrfs", options);
		expect_refusal(&a, -EOPNOTSUPP, "several devices");
		expect_refusal(&b, -EOPNOTSUPP, "several devices");
		assert_int_equal(umount(point), 0);
		device_remove(&a);
		device_remove(&b);
		(void)run("btrfs device scan --forget >/dev/null 2>&1");
	}
	/* Newer kernels take striping on one device. */
	device_make(&a, folder, "a", 200 * MIB, 0);
	if (run("mkfs.btrfs -q -m single -d raid0 %s >/dev/null 2>&1",
		    a.path) == 0) {
		mount_it(&a, "btrfs", NULL);
		expect_refusal(&a, -EOPNOTSUPP, "RAID");
		assert_int_equal(umount(point), 0);
	}
	device_remove(&a);
}

static void others_refused(void **state)
{
	struct device a, b;
	char options[160];

	device_make(&a, folder, "a", 320 * MIB, 0);
	device_make(&b, folder, "b", 64 * MIB, 0);
	assert_int_equal(mount("none", point, "tmpfs", 0, NULL), 0);
	expect_refusal(&a, -EOPNOTSUPP, "only ext4");
	assert_int_equal(umount(point), 0);

	assert_int_equal(
		run("mkfs.xfs -q -f -l logdev=%s %s", b.path, a.path), 0);
	(void)snprintf(options, sizeof(options), "logdev=%s", b.path);
	mount_it(&a, "xfs", options);
	expect_refusal(&a, -EOPNOTSUPP, "another device");
	assert_int_equal(umount(point), 0);

	assert_int_equal(run("mke2fs -q -F -b 4096 -O journal_dev %s && "
			     "mkfs.ext4 -q -F -b 4096 -J device=%s %s",
				 b.path, b.path, a.path),
		0);
	mount_it(&a, "ext4", NULL);
	expect_refusal(&a, -EOPNOTSUPP, "another device");
	assert_int_equal(umount(point), 0);

	/* Not the volume that was asked for. */
	assert_int_equal(run("mkfs.ext4 -q -F %s", a.path), 0);
	mount_it(&a, "ext4", NULL);
	expect_refusal(&b, -ENODEV, "another device");
	assert_int_equal(umount(point), 0);
	assert_int_equal(run("mkfs.btrfs -q -f %s >/dev/null", a.path), 0);
	mount_it(&a, "btrfs", NULL);
	expect_refusal(&b, -ENODEV, "another device");
	assert_int_equal(umount(point), 0);
	device_remove(&a);
	device_remove(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ext4_4k),
		cmocka_unit_test(ext4_1k),
		cmocka_unit_test(xfs),
		cmocka_unit_test(xfs_rmap),
		cmocka_unit_test(btrfs_dup),
		cmocka_unit_test(btrfs_single),
		cmocka_unit_test(btrfs_refused),
		cmocka_unit_test(others_refused),
	};
	int r;

	if (!device_setup(folder)) {
		print_message("needs root: skipped\n");
		return 77;
	}
	(void)snprintf(point, sizeof(point), "%s/point", folder);
	(void)mkdir(point, 0700);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	while (umount2(point, MNT_DETACH) == 0)
		;
	(void)run("rm -rf --one-file-system %s", folder);
	return r;
}
