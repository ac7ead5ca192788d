/* SPDX-License-Identifier: Apache-2.0 */
#include "volume/assemble.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/io.h"
#include "base/parse.h"
#include "volume/array.h"

#define NAME "rehost-fit-"
#define TABLE 65536
#define DM_MAJOR_MISC 10
#define DM_MINOR_MISC 236 /* linux/miscdevice.h, MAPPER_CTRL_MINOR */

/* Where a device lies, and the devices of the arrays among that. */
struct lies {
	const struct msg_path *disks;
	uint32_t n_disks;
	const struct msg_pieces *on;
	char arrays[PIECES_ARRAYS_MAX][64];
};

static const char *path_of(const struct lies *l, uint32_t disk)
{
	return disk < VOLUMES_MAX ? l->disks[disk].path
				  : l->arrays[disk - VOLUMES_MAX];
}

static bool is_known(const struct lies *l, uint32_t disk)
{
	return disk < VOLUMES_MAX ? disk < l->n_disks
				  : disk - VOLUMES_MAX < l->on->n_arrays;
}

/* ---- partitions ---- */

/* The partition of a disk that has these bytes, and where in it they begin. */
static int find_partition(const char *disk, uint64_t at, uint64_t bytes,
	char ret[64], uint64_t *ret_into)
{
	const char *name = strrchr(disk, '/');
	char path[512], text[64];
	uint64_t start, sectors;
	struct dirent *e;
	int r = -ENOENT;
	DIR *d;

	at /= 512;
	bytes /= 512;
	(void)snprintf(path, sizeof(path), "/sys/class/block/%.200s",
		name ? name + 1 : disk);
	d = opendir(path);
	while (d && r < 0 && (e = readdir(d))) {
		(void)snprintf(path, sizeof(path), "%.200s/start", e->d_name);
		if (io_read_file(dirfd(d), path, text, sizeof(text)) <= 0 ||
			parse_u64(text, &start) < 0 || start > at)
			continue;
		(void)snprintf(path, sizeof(path), "%.200s/size", e->d_name);
		if (io_read_file(dirfd(d), path, text, sizeof(text)) <= 0 ||
			parse_u64(text, &sectors) < 0 || bytes > sectors ||
			at - start > sectors - bytes)
			continue;
		if ((size_t)snprintf(ret, 64, "/dev/%.50s", e->d_name) < 64 &&
			access(ret, F_OK) == 0) {
			*ret_into = (at - start) * 512;
			r = 0;
		}
	}
	if (d)
		(void)closedir(d);
	return r;
}

/* ---- device-mapper ---- */

/* The node is not there where no udev makes it; opening it loads the module. */
static int open_control(void)
{
	static const char path[] = "/dev/mapper/control";
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	if ((mkdir("/dev/mapper", 0755) < 0 && errno != EEXIST) ||
		(mknod(path, S_IFCHR | 0600,
			 makedev(DM_MAJOR_MISC, DM_MINOR_MISC)) < 0 &&
			errno != EEXIST))
		return -errno;
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void begin(struct dm_ioctl *io, uint32_t size, uint32_t number)
{
	memset(io, 0, size);
	io->version[0] = DM_VERSION_MAJOR;
	io->data_size = size;
	io->data_start = sizeof(*io);
	(void)snprintf(io->name, sizeof(io->name), NAME "%u", number);
}

static int simple(int fd, unsigned long what, uint32_t number, uint64_t *dev)
{
	struct dm_ioctl io;

	begin(&io, sizeof(io), number);
	if (ioctl(fd, what, &io) < 0)
		return -errno;
	if (dev)
		*dev = io.dev;
	return 0;
}

/* Appends one target; its text follows it, and the next one that. */
static int add_target(struct dm_ioctl *io, uint32_t *at, uint64_t start,
	uint64_t sectors, const char *type, const char *params)
{
	struct dm_target_spec *t = (void *)((char *)io + *at);
	uint32_t n = (uint32_t)(sizeof(*t) + strlen(params) + 1 + 7) / 8 * 8;

	if (n > TABLE - *at)
		return -E2BIG;
	t->sector_start = start;
	t->length = sectors;
	(void)snprintf(t->target_type, sizeof(t->target_type), "%s", type);
	memcpy(t + 1, params, strlen(params) + 1);
	t->next = n;
	*at += n;
	io->target_count++;
	return 0;
}

/* "MAJOR:MINOR SECTOR" of a piece. It is taken from the partition that it lies
 * in, as the kernel lets only one of a disk and its partitions be used, and
 * another partition may be mounted. */
static int place_text(
	const struct lies *l, const struct msg_piece *p, char buf[64])
{
	const char *path = path_of(l, p->disk);
	char partition[64];
	struct stat st;
	uint64_t into;

	if (find_partition(path, p->at, p->bytes, partition, &into) == 0)
		path = partition;
	else
		into = p->at;
	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISBLK(st.st_mode))
		return -ENOTBLK;
	(void)snprintf(buf, 64, "%u:%u %llu", major(st.st_rdev),
		minor(st.st_rdev), (unsigned long long)into / 512);
	return 0;
}

/* All stripes of the striped target that begins at piece first. */
static int add_stripes(struct dm_ioctl *io, uint32_t *at, const struct lies *l,
	uint32_t first, uint64_t start)
{
	const struct msg_pieces *on = l->on;
	const struct msg_piece *p = &on->v[first];
	char params[4096], place[64];
	size_t n;

	n = (size_t)snprintf(params, sizeof(params), "%u %llu", p->stripes,
		(unsigned long long)p->chunk / 512);
	for (uint32_t i = 0; i < p->stripes; i++) {
		const struct msg_piece *s = &on->v[first + i];

		if (first + i >= on->n || s->stripes != p->stripes ||
			s->stripe != i || s->bytes != p->bytes ||
			n + 64 > sizeof(params))
			return -EOPNOTSUPP;
		if (place_text(l, s, place) < 0)
			return -ENODEV;
		n += (size_t)snprintf(
			params + n, sizeof(params) - n, " %s", place);
	}
	return add_target(
		io, at, start, p->bytes / 512 * p->stripes, "striped", params);
}

static int fill_table(struct dm_ioctl *io, const struct lies *l)
{
	const struct msg_pieces *on = l->on;
	uint32_t at = sizeof(*io);
	uint64_t start = 0;
	int r = 0;

	for (uint32_t i = 0; i < on->n && r == 0;) {
		const struct msg_piece *p = &on->v[i];
		char params[64];

		if (p->volume / 512 != start)
			return -EOPNOTSUPP; /* a gap, or out of order */
		if (p->stripes > 1) {
			r = add_stripes(io, &at, l, i, start);
			start += p->bytes / 512 * p->stripes;
			i += p->stripes;
			continue;
		}
		r = place_text(l, p, params);
		if (r == 0)
			r = add_target(io, &at, start, p->bytes / 512, "linear",
				params);
		start += p->bytes / 512;
		i++;
	}
	return r;
}

static int make_mapped(
	const struct lies *l, uint32_t number, char ret[64], struct error *err)
{
	CLEANUP_CLOSE int fd = open_control();
	CLEANUP_FREE struct dm_ioctl *io = malloc(TABLE);
	uint64_t dev = 0;
	unsigned ma, mi;
	int r;

	if (!io)
		return error_set(err, -ENOMEM, "assemble a volume");
	if (fd < 0)
		return error_set(err, fd, "open device-mapper's control");
	begin(io, TABLE, number);
	r = fill_table(io, l);
	if (r == 0)
		r = simple(fd, DM_DEV_CREATE, number, &dev);
	if (r == 0 && ioctl(fd, DM_TABLE_LOAD, io) < 0)
		r = -errno;
	/* Without the flag it resumes. */
	if (r == 0)
		r = simple(fd, DM_DEV_SUSPEND, number, NULL);
	if (r < 0) {
		if (r != -EBUSY)
			(void)simple(fd, DM_DEV_REMOVE, number, NULL);
		error_set(err, r, "assemble a volume by device-mapper");
		return r == -EOPNOTSUPP
			       ? error_why(err, "it is laid out in a "
						"way that is not known")
			       : r;
	}
	ma = (unsigned)(dev >> 8) & 0xfff;
	mi = (unsigned)((dev & 0xff) | ((dev >> 12) & 0xfff00));
	(void)snprintf(ret, 64, "/dev/" NAME "%u", number);
	(void)unlink(ret);
	if (mknod(ret, S_IFBLK | 0600, makedev(ma, mi)) < 0)
		return error_set(err, -errno, "make %s", ret);
	return 0;
}

static void remove_mapped(uint32_t n)
{
	CLEANUP_CLOSE int fd = -1;

	/* Where nothing was ever made, its module is not loaded for this. */
	if (access("/dev/mapper/control", F_OK) == 0)
		fd = open_control();
	for (uint32_t i = 0; i < n; i++) {
		char node[64];

		(void)snprintf(node, sizeof(node), "/dev/" NAME "%u", i);
		(void)unlink(node);
		if (fd >= 0)
			(void)simple(fd, DM_DEV_REMOVE, i, NULL);
	}
}

/* ---- arrays ---- */

/* Those that are put together so far: several devices lie on one. */
static struct {
	char name[64], path[64];
} made[ARRAYS_MAX];
static uint32_t n_made;

static int find_member(const struct lies *l, const struct msg_member *m,
	char ret[64], struct error *err)
{
	const char *disk = l->disks[m->disk].path;
	uint64_t into;

	if (m->at == 0 && strlen(disk) < 64) {
		memcpy(ret, disk, strlen(disk) + 1);
		return 0;
	}
	if (find_partition(disk, m->at, m->bytes, ret, &into) == 0 && into == 0)
		return 0;
	error_set(err, -ENOENT, "find the partition of an array on %s", disk);
	return error_why(
		err, "none begins at byte %llu", (unsigned long long)m->at);
}

static int make_array(const struct lies *l, const struct msg_array *a,
	char ret[64], struct error *err)
{
	char paths[MEMBERS_MAX][64];
	const char *members[MEMBERS_MAX];
	int r = 0;

	for (uint32_t i = 0; i < n_made; i++) {
		if (strcmp(made[i].name, a->name) != 0)
			continue;
		memcpy(ret, made[i].path, 64);
		return 0;
	}
	if (n_made == ARRAYS_MAX)
		return error_set(err, -E2BIG, "put so many arrays together");
	for (uint32_t i = 0; i < a->n && r == 0; i++) {
		if (a->v[i].disk >= l->n_disks)
			return error_set(err, -EPROTO, "put an array together");
		r = find_member(l, &a->v[i], paths[i], err);
		members[i] = paths[i];
	}
	if (r == 0)
		r = array_make(n_made, a->minor, members, a->n, ret, err);
	if (r < 0)
		return r;
	(void)snprintf(
		made[n_made].name, sizeof(made[n_made].name), "%s", a->name);
	memcpy(made[n_made++].path, ret, 64);
	return 0;
}

/* ---- all together ---- */

int assemble(const struct msg_path *disks, uint32_t n_disks,
	const struct msg_pieces *on, uint32_t number, char ret[64],
	struct error *err)
{
	struct lies l = {.disks = disks, .n_disks = n_disks, .on = on};
	const struct msg_piece *p = &on->v[0];
	uint64_t into;
	int r = 0;

	for (uint32_t i = 0; i < on->n; i++)
		if (!is_known(&l, on->v[i].disk) || on->v[i].stripes == 0)
			return error_set(err, -EPROTO, "assemble a volume");
	if (on->n == 0)
		return error_set(err, -EPROTO, "assemble a volume");
	for (uint32_t i = 0; i < on->n_arrays && r == 0; i++)
		r = make_array(&l, &on->arrays[i], l.arrays[i], err);
	if (r < 0)
		return r;
	if (on->n == 1 && p->volume == 0 && p->at == 0 &&
		p->disk >= VOLUMES_MAX) {
		memcpy(ret, path_of(&l, p->disk), 64);
		return 0;
	}
	if (on->n == 1 && p->volume == 0 &&
		find_partition(path_of(&l, p->disk), p->at, p->bytes, ret,
			&into) == 0 &&
		into == 0)
		return 0;
	return make_mapped(&l, number, ret, err);
}

int assemble_undo(uint32_t n, struct error *err)
{
	/* They may lie on arrays. */
	remove_mapped(n);
	return array_stop_all(err);
}
