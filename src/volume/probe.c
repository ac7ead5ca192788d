/* SPDX-License-Identifier: Apache-2.0 */
#include "volume/probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "base/io.h"
#include "base/parse.h"
#include "volume/mounts.h"
#include "volume/openers.h"
#include "volume/signatures.h"

#define SWAPS_MAX (1u << 20)

/* A device through which the volume is used: itself, a partition on it, a loop
 * device over a file. */
struct user {
	dev_t dev;
	bool partition;
	bool in_use;
};

struct probe {
	struct volume_facts *f;
	struct stat st;
	int path_fd; /* O_PATH */
	int sys;     /* its folder in sysfs, for block devices */
	struct user *users;
	size_t n_users;
};

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

static void cleanup_probe(struct probe *p)
{
	cleanup_close_p(&p->path_fd);
	cleanup_close_p(&p->sys);
	free(p->users);
}

/* ---- sysfs ---- */

/* Reads a file of sysfs; false when there is none, or nothing in it. */
static bool attribute(int dir, const char *name, char *buf, size_t size)
{
	return io_read_file(dir, name, buf, size) > 0;
}

static bool attribute_u64(int dir, const char *name, uint64_t *ret)
{
	char text[32];

	return attribute(dir, name, text, sizeof(text)) &&
	       parse_u64(text, ret) == 0;
}

static bool attribute_dev(int dir, dev_t *ret)
{
	char text[32];

	return attribute(dir, "dev", text, sizeof(text)) &&
	       mounts_parse_dev(text, ret) == 0;
}

static int open_dir(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static DIR *list(int dir, const char *name)
{
	int fd = open_dir(dir, name);
	DIR *d;

	if (fd < 0)
		return NULL;
	d = fdopendir(fd);
	if (!d)
		(void)close(fd);
	return d;
}

/* The name of the first entry, and how many there are. */
static uint64_t count_entries(int dir, const char *name, char *first, size_t n)
{
	CLEANUP(cleanup_dir) DIR *d = list(dir, name);
	struct dirent *e;
	uint64_t count = 0;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		if (count++ == 0 && first)
			(void)snprintf(first, n, "%.*s", (int)n - 1, e->d_name);
	}
	return count;
}

/* What a user can type, and no more: a device may say anything. */
static void put_name(char *to, size_t size, const char *from, uint64_t part)
{
	char suffix[32] = "";
	size_t n = 0, room;

	if (part > 0)
		(void)snprintf(suffix, sizeof(suffix), "-part%llu",
			(unsigned long long)part);
	room = size - strlen(suffix);
	for (; *from == ' '; from++)
		;
	for (; *from && n + 1 < room; from++)
		to[n++] = *from > ' ' && *from < 0x7f ? *from : '_';
	for (; n > 0 && to[n - 1] == '_'; n--)
		;
	if (n > 0)
		n += (size_t)snprintf(to + n, size - n, "%s", suffix);
	to[n] = '\0';
}

/* SCSI Primary Commands, "unit serial number VPD page": four bytes of head,
 * the last of which has the length. */
static bool scsi_serial(int disk, char *buf, size_t size)
{
	char page[260];
	ssize_t n = io_read_file(disk, "device/vpd_pg80", page, sizeof(page));
	size_t length;

	if (n < 4 || (uint8_t)page[1] != 0x80)
		return false;
	length = MIN((size_t)(uint8_t)page[3], (size_t)n - 4);
	length = MIN(length, size - 1);
	memcpy(buf, page + 4, length);
	buf[length] = '\0';
	return buf[0] != '\0';
}

static void read_names(struct volume_facts *f, int disk, uint64_t part)
{
	static const char *const serials[] = {"serial", "device/serial"};
	static const char *const wwns[] = {
		"wwid", "device/wwid", "dm/uuid", "md/uuid"};
	char text[512];
	bool have = scsi_serial(disk, text, sizeof(text));

	for (size_t i = 0; !have && i < ARRAY_LEN(serials); i++)
		have = attribute(disk, serials[i], text, sizeof(text));
	put_name(f->serial, sizeof(f->serial), have ? text : "", part);
	have = false;
	for (size_t i = 0; !have && i < ARRAY_LEN(wwns); i++)
		have = attribute(disk, wwns[i], text, sizeof(text));
	put_name(f->wwn, sizeof(f->wwn), have ? text : "", part);
}

void probe_names(int sys, struct volume_facts *ret)
{
	CLEANUP_CLOSE int disk = -1;
	uint64_t part = 0;

	if (!attribute_u64(sys, "partition", &part))
		part = 0;
	disk = open_dir(sys, part > 0 ? ".." : ".");
	read_names(ret, disk < 0 ? sys : disk, part);
}

/* The seventh number of stat is sectors written
 * (Documentation/block/stat.rst). */
static uint64_t bytes_written(int sys)
{
	char text[512], *at = text, *w;
	uint64_t v = 0;
	int n = 0;

	if (!attribute(sys, "stat", text, sizeof(text)))
		return 0;
	while ((w = strsep(&at, " ")))
		if (*w && ++n == 7)
			return parse_u64(w, &v) < 0 ? 0 : v * 512;
	return 0;
}

uint64_t probe_written(uint32_t kind, uint32_t major, uint32_t minor)
{
	CLEANUP_CLOSE int sys = -1;
	char path[64];

	if (kind != VOLUME_BLOCK)
		return 0;
	(void)snprintf(
		path, sizeof(path), "/sys/dev/block/%u:%u", major, minor);
	sys = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return sys < 0 ? 0 : bytes_written(sys);
}

/* ---- who uses it ---- */

static int add_user(struct probe *p, dev_t dev, bool partition, bool in_use)
{
	struct user *users =
		reallocarray(p->users, p->n_users + 1, sizeof(*p->users));

	if (!users)
		return -ENOMEM;
	p->users = users;
	users[p->n_users++] = (struct user){dev, partition, in_use};
	return 0;
}

/* Partitions are folders of the disk's folder. */
static int add_partitions(struct probe *p, int disk)
{
	CLEANUP(cleanup_dir) DIR *d = list(disk, ".");
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		CLEANUP_CLOSE int sys = -1;
		uint64_t number;
		dev_t dev;
		int r;

		if (e->d_name[0] == '.' || e->d_type != DT_DIR)
			continue;
		sys = open_dir(disk, e->d_name);
		if (sys < 0 || !attribute_u64(sys, "partition", &number) ||
			!attribute_dev(sys, &dev))
			continue;
		r = add_user(p, dev, true,
			count_entries(sys, "holders", NULL, 0) > 0);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Loop devices over the file. */
static int add_loops(struct probe *p)
{
	CLEANUP(cleanup_dir) DIR *d = list(AT_FDCWD, "/sys/block");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		CLEANUP_CLOSE int sys = -1;
		char path[PATH_MAX];
		struct stat st;
		dev_t dev;
		int r;

		if (strncmp(e->d_name, "loop", 4) != 0)
			continue;
		sys = open_dir(dirfd(d), e->d_name);
		if (sys < 0 ||
			!attribute(
				sys, "loop/backing_file", path, sizeof(path)) ||
			stat(path, &st) < 0 || st.st_dev != p->st.st_dev ||
			st.st_ino != p->st.st_ino || !attribute_dev(sys, &dev))
			continue;
		if (p->f->holder_count++ == 0)
			(void)snprintf(p->f->holder, sizeof(p->f->holder),
				"%.*s", (int)sizeof(p->f->holder) - 1,
				e->d_name);
		r = add_user(p, dev, false, true);
		if (r == 0)
			r = add_partitions(p, sys);
		if (r < 0)
			return r;
	}
	return 0;
}

static int find_user(
	struct probe *p, const struct mount_info *m, struct user **ret)
{
	dev_t dev = makedev(m->dev_major, m->dev_minor);
	bool btrfs = strcmp(m->type, "btrfs") == 0;

	*ret = NULL;
	if (dev == 0)
		return 0;
	for (size_t i = 0; i < p->n_users && !*ret; i++) {
		int r = p->users[i].dev == dev;

		if (!r && btrfs)
			r = mounts_btrfs_same(p->users[i].dev, dev);
		if (r < 0)
			return r;
		if (r)
			*ret = &p->users[i];
	}
	return 0;
}

static int add_mount(void *arg, uint64_t id, const struct mount_info *m)
{
	struct probe *p = arg;
	struct user *u;
	int r = find_user(p, m, &u);

	(void)id;
	if (r < 0 || !u)
		return r;
	u->in_use = true;
	if (p->f->n_mounts < PROBE_MOUNTS_MAX)
		p->f->mounts[p->f->n_mounts++] = *m;
	return 0;
}

/* Whether the mount's point leads into its filesystem: it is no single file,
 * and nothing else is mounted over it. */
static bool is_open(const struct mount_info *m)
{
	struct statx st;

	return statx(AT_FDCWD, m->point,
		       AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW |
			       AT_STATX_DONT_SYNC,
		       STATX_TYPE, &st) == 0 &&
	       S_ISDIR(st.stx_mode) &&
	       (m->major == 0 || (st.stx_dev_major == m->major &&
					 st.stx_dev_minor == m->minor));
}

/* The first mount is the one to go by. */
static int order_mounts(struct volume_facts *f)
{
	CLEANUP_FREE struct mount_info *m = malloc(sizeof(*m));

	if (!m)
		return -ENOMEM;
	for (uint32_t i = 0; i < f->n_mounts; i++) {
		if (!is_open(&f->mounts[i]))
			continue;
		*m = f->mounts[i];
		f->mounts[i] = f->mounts[0];
		f->mounts[0] = *m;
		break;
	}
	return 0;
}

static void add_swap(struct probe *p, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return;
	if (S_ISREG(st.st_mode) && S_ISREG(p->st.st_mode) &&
		st.st_dev == p->st.st_dev && st.st_ino == p->st.st_ino)
		p->f->swap = 1;
	for (size_t i = 0; S_ISBLK(st.st_mode) && i < p->n_users; i++) {
		if (p->users[i].dev != st.st_rdev)
			continue;
		p->users[i].in_use = true;
		if (!p->users[i].partition)
			p->f->swap = 1;
	}
}

/* /proc/swaps (proc(5)): a head line, then the path up to a blank. */
static int find_swap(struct probe *p)
{
	CLEANUP_FREE char *text = NULL;
	char *at, *line, path[PATH_MAX];
	int r = io_slurp("/proc/swaps", SWAPS_MAX, &text, NULL);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	at = text;
	(void)strsep(&at, "\n");
	while ((line = strsep(&at, "\n"))) {
		line[strcspn(line, " \t")] = '\0';
		if (line[0] == '/' &&
			mounts_unescape(line, path, sizeof(path)) == 0)
			add_swap(p, path);
	}
	return 0;
}

static int find_users(struct probe *p)
{
	int r = find_swap(p);

	if (r == 0)
		r = mounts_each(add_mount, p);
	if (r == 0)
		r = order_mounts(p->f);
	for (size_t i = 0; i < p->n_users; i++)
		if (p->users[i].partition && p->users[i].in_use)
			p->f->n_partitions_mounted++;
	return r;
}

/* ---- the two kinds ---- */

static int open_volume(const struct probe *p, int flags)
{
	char self[64];
	int fd;

	/* The same object again, whatever the path leads to by now. */
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", p->path_fd);
	fd = open(self, O_RDONLY | O_CLOEXEC | flags);
	return fd < 0 ? -errno : fd;
}

static int block_sizes(int fd, struct volume_facts *f)
{
	int logical = 0, readonly = 0;
	unsigned physical = 0;

	if (ioctl(fd, BLKGETSIZE64, &f->size) < 0 ||
		ioctl(fd, BLKSSZGET, &logical) < 0 ||
		ioctl(fd, BLKPBSZGET, &physical) < 0 ||
		ioctl(fd, BLKROGET, &readonly) < 0)
		return -errno;
	if (logical < 512 || (logical & (logical - 1)) != 0)
		return -EINVAL;
	f->logical = (uint32_t)logical;
	f->physical = physical;
	f->readonly = readonly != 0;
	return f->size == 0 ? -ENOMEDIUM : 0;
}

static void loop_backing(int fd, struct volume_facts *f)
{
	struct loop_info64 info = {0};

	if (f->major != LOOP_MAJOR || ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return;
	f->backing_inode = info.lo_inode;
	/* As new_encode_dev in linux/kdev_t.h has it. */
	f->backing_major = (uint32_t)(info.lo_device >> 8) & 0xfff;
	f->backing_minor = (uint32_t)(info.lo_device & 0xff) |
			   ((uint32_t)(info.lo_device >> 12) & 0xfff00);
}

static int read_sysfs(struct probe *p)
{
	CLEANUP_CLOSE int disk = -1;
	struct volume_facts *f = p->f;
	uint64_t part = 0, start = 0, flag;
	char path[64], text[64];
	dev_t dev;

	(void)snprintf(
		path, sizeof(path), "/sys/dev/block/%u:%u", f->major, f->minor);
	p->sys = open_dir(AT_FDCWD, path);
	if (p->sys < 0)
		return p->sys;
	if (attribute_u64(p->sys, "partition", &part) &&
		(!attribute_u64(p->sys, "start", &start) ||
			__builtin_mul_overflow(start, 512ULL, &f->disk_start)))
		return -EBADMSG;
	disk = open_dir(p->sys, part > 0 ? ".." : ".");
	if (disk < 0)
		return disk;
	if (!attribute_dev(disk, &dev))
		return -EBADMSG;
	f->disk_major = major(dev);
	f->disk_minor = minor(dev);
	f->request_based = faccessat(disk, "mq", F_OK, 0) == 0;
	f->removable = attribute_u64(disk, "removable", &flag) && flag != 0;
	f->zoned = attribute(disk, "queue/zoned", text, sizeof(text)) &&
		   strcmp(text, "none") != 0;
	f->written = bytes_written(p->sys);
	f->holder_count =
		count_entries(p->sys, "holders", f->holder, sizeof(f->holder));
	read_names(f, disk, part);
	return part > 0 ? 0 : add_partitions(p, disk);
}

static int probe_busy(struct probe *p)
{
	int fd = open_volume(p, O_EXCL);

	if (fd == -EBUSY)
		p->f->busy = 1;
	else if (fd < 0)
		return fd;
	else
		(void)close(fd);
	return 0;
}

static int probe_block(struct probe *p, int fd)
{
	struct volume_facts *f = p->f;
	int r;

	f->kind = VOLUME_BLOCK;
	f->major = major(p->st.st_rdev);
	f->minor = minor(p->st.st_rdev);
	r = block_sizes(fd, f);
	if (r < 0)
		return r;
	loop_backing(fd, f);
	f->writers = openers_count(&p->st, f->writer, sizeof(f->writer));
	r = add_user(p, p->st.st_rdev, false, false);
	if (r == 0)
		r = read_sysfs(p);
	return r < 0 ? r : probe_busy(p);
}

static int probe_file(struct probe *p, int fd)
{
	struct volume_facts *f = p->f;
	struct statvfs fs;

	if (fstatvfs(fd, &fs) < 0)
		return -errno;
	f->kind = VOLUME_FILE;
	f->size = (uint64_t)p->st.st_size;
	f->logical = 1;
	f->physical = 1;
	f->major = major(p->st.st_dev);
	f->minor = minor(p->st.st_dev);
	f->inode = p->st.st_ino;
	f->readonly = (fs.f_flag & ST_RDONLY) != 0;
	f->writers = openers_count(&p->st, f->writer, sizeof(f->writer));
	return add_loops(p);
}

static int probe_open(struct probe *p, bool content)
{
	bool block = S_ISBLK(p->st.st_mode);
	CLEANUP_CLOSE int fd = open_volume(p, block ? O_DIRECT : 0);
	struct volume_facts *f = p->f;
	int r;

	if (fd < 0)
		return fd;
	r = block ? probe_block(p, fd) : probe_file(p, fd);
	if (r == 0)
		r = find_users(p);
	if (r == 0 && content)
		r = signatures_read(fd, f);
	/* What is in use is not yet unmounted. */
	if (f->busy || f->n_mounts > 0 || f->holder_count > 0)
		f->clean = 0;
	return r;
}

static int explain(const char *path, int code, struct error *err)
{
	(void)error_set(err, code, "inspect %s", path);
	if ((code == -EACCES || code == -EPERM) && geteuid() != 0)
		(void)error_todo(err, "log in as root");
	else if (code == -ENOTBLK)
		(void)error_why(err, "it is neither a block device nor a file");
	else if (code == -ENOMEDIUM)
		(void)error_why(err, "it has no medium, or is not set up yet");
	else if (code == -EOVERFLOW) {
		(void)error_why(err,
			"it has more than %d signatures of filesystems and "
			"tables",
			PROBE_SIGNATURES_MAX);
		(void)error_todo(err, "look at it with wipefs");
	}
	return code;
}

static int probe_path(const char *path, bool content, struct volume_facts *ret,
	struct error *err)
{
	CLEANUP_FREE struct volume_facts *f = calloc(1, sizeof(*f));
	CLEANUP_FREE char *resolved = NULL;
	CLEANUP(cleanup_probe)
	struct probe p = {.f = f, .path_fd = -1, .sys = -1};
	int r;

	if (!f)
		return explain(path, -ENOMEM, err);
	p.path_fd = open(path, O_PATH | O_CLOEXEC);
	if (p.path_fd < 0 || fstat(p.path_fd, &p.st) < 0)
		return explain(path, -errno, err);
	if (S_ISDIR(p.st.st_mode)) {
		(void)explain(path, -ENOTBLK, err);
		(void)error_why(err, "it is a folder");
		return -ENOTBLK;
	}
	if (!S_ISBLK(p.st.st_mode) && !S_ISREG(p.st.st_mode))
		return explain(path, -ENOTBLK, err);
	resolved = realpath(path, NULL);
	if (!resolved)
		return explain(path, -errno, err);
	if ((size_t)snprintf(f->path, sizeof(f->path), "%s", resolved) >=
		sizeof(f->path))
		return explain(path, -ENAMETOOLONG, err);
	r = probe_open(&p, content);
	if (r < 0)
		return explain(path, r, err);
	*ret = *f;
	return 0;
}

int probe_volume(const char *path, struct volume_facts *ret, struct error *err)
{
	return probe_path(path, true, ret, err);
}

int probe_use(const char *path, struct volume_facts *ret, struct error *err)
{
	return probe_path(path, false, ret, err);
}

/* ---- the rest ---- */

struct wanted {
	uint64_t id;
	struct mount_info *ret;
};

static int take_mount(void *arg, uint64_t id, const struct mount_info *m)
{
	struct wanted *w = arg;

	if (id != w->id)
		return 0;
	*w->ret = *m;
	return 1;
}

/* /proc/self/fdinfo (proc(5)) names the mount of an open file. */
static int mount_id(int fd, uint64_t *ret)
{
	char path[64], text[512], *at = text, *line;
	ssize_t r;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	r = io_read_file(AT_FDCWD, path, text, sizeof(text));
	if (r < 0)
		return (int)r;
	while ((line = strsep(&at, "\n")))
		if (strncmp(line, "mnt_id:\t", 8) == 0)
			return parse_u64(line + 8, ret);
	return -EBADMSG;
}

int probe_mount_of(const char *path, struct mount_info *ret, struct error *err)
{
	CLEANUP_CLOSE int fd = open(path, O_PATH | O_CLOEXEC);
	struct wanted w = {.ret = ret};
	int r;

	if (fd < 0)
		return error_set(
			err, -errno, "find the filesystem of %s", path);
	r = mount_id(fd, &w.id);
	if (r == 0)
		r = mounts_each(take_mount, &w);
	if (r > 0)
		return 0;
	return error_set(
		err, r < 0 ? r : -ENOENT, "find the filesystem of %s", path);
}

const char *probe_identity(
	const struct volume_facts *f, char *buf, unsigned long size)
{
	if (f->serial[0])
		(void)snprintf(buf, size, "serial:%s", f->serial);
	else if (f->wwn[0])
		(void)snprintf(buf, size, "wwn:%s", f->wwn);
	else if (f->uuid[0])
		(void)snprintf(buf, size, "uuid:%s", f->uuid);
	else
		(void)snprintf(
			buf, size, "size:%llu", (unsigned long long)f->size);
	return buf;
}
