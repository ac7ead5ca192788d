/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is used of the volumes that move. All counts as used at first; then each
 * mounted filesystem whose place on them is known says what of its own is free,
 * and of swap only the header is kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/agent.h"
#include "track/tracker.h"
#include "volume/array.h"
#include "volume/probe.h"
#include "volume/stack.h"
#include "volume/usedmap.h"

/* The header is the first page: mm/swapfile.c of the Linux source. */
#define SWAP_HEADER 4096ULL
#define SWAP_MAGIC "SWAPSPACE2"
#define EXTENTS 256

/* Where a device lies on the volumes. */
struct place_of {
	struct maps *maps;
	struct segments segments;
	uint64_t used; /* bytes, for swap: none */
};

/* The volume on this disk; NULL when it does not move. */
static const struct maps_disk *volume_on(
	const struct maps *m, uint32_t major, uint32_t minor)
{
	const struct maps_shared *s = m->shared;

	for (uint32_t i = 0; i < s->n_disks; i++)
		if (s->disks[i].kind == VOLUME_BLOCK &&
			s->disks[i].major == major &&
			s->disks[i].minor == minor)
			return &s->disks[i];
	return NULL;
}

/* A volume that is mounted as it is lies where it is; others are looked for on
 * the disks below. */
static int find_place(
	struct place_of *p, uint32_t major, uint32_t minor, struct error *err)
{
	const struct maps_disk *d = volume_on(p->maps, major, minor);

	if (!d)
		return segments_find(major, minor, &p->segments, err);
	memset(&p->segments, 0, sizeof(p->segments));
	p->segments.n = 1;
	p->segments.v[0] = (struct segment){.major = major,
		.minor = minor,
		.sectors = d->size / 512 + (d->size % 512 != 0),
		.stripes = 1};
	return 0;
}

static void set_range(struct maps *m, uint64_t from, uint64_t to)
{
	uint64_t g = m->shared->granule;

	if (from < to)
		bitmap_set(&m->used, from / g, (to + g - 1) / g - from / g);
}

/* Whole granules only: what shares one with something else stays used. */
static void clear_range(struct maps *m, uint64_t from, uint64_t to)
{
	uint64_t g = m->shared->granule;

	from = (from + g - 1) / g;
	to = to == m->shared->size ? m->granules : to / g;
	if (from < to)
		bitmap_clear(&m->used, from, to - from);
}

/* All of the device, used or free. */
static void mark_whole(const struct place_of *p, bool used)
{
	for (uint32_t i = 0; i < p->segments.n; i++) {
		const struct segment *v = &p->segments.v[i];
		const struct maps_disk *d =
			volume_on(p->maps, v->major, v->minor);
		uint64_t from = v->disk_start * 512, to;

		if (!d || from >= d->size)
			continue;
		to = MIN(from + v->sectors * 512, d->size);
		if (used)
			set_range(p->maps, d->start + from, d->start + to);
		else
			clear_range(p->maps, d->start + from, d->start + to);
	}
}

struct mark_run {
	const struct place_of *place;
	bool used;
};

static void mark_piece(void *arg, uint32_t major, uint32_t minor,
	uint64_t sector, uint64_t sectors)
{
	const struct mark_run *run = arg;
	struct maps *m = run->place->maps;
	const struct maps_disk *d = volume_on(m, major, minor);
	uint64_t from = sector * 512, to;

	if (!d || from >= d->size)
		return;
	to = MIN(from + sectors * 512, d->size);
	if (run->used)
		set_range(m, d->start + from, d->start + to);
	else
		clear_range(m, d->start + from, d->start + to);
}

static void mark_used(void *arg, uint64_t offset, uint64_t bytes)
{
	struct mark_run run = {arg, true};
	uint64_t first = offset / 512, end = (offset + bytes + 511) / 512;

	segments_lower(
		&run.place->segments, first, end - first, mark_piece, &run);
}

static int map_filesystem(
	struct maps *m, const struct mount_info *mount, char why[512])
{
	CLEANUP_FREE struct place_of *p = calloc(1, sizeof(*p));
	struct error err = {0};
	uint64_t size = 0;
	int r;

	if (!p)
		return -ENOMEM;
	p->maps = m;
	r = find_place(p, mount->dev_major, mount->dev_minor, &err);
	for (uint32_t i = 0; i < p->segments.n && r == 0; i++)
		size += p->segments.v[i].sectors * 512;
	if (r == 0) {
		mark_whole(p, false);
		r = usedmap_read(mount->point, mount->dev_major,
			mount->dev_minor, size, mark_used, p, &err);
		if (r < 0)
			mark_whole(p, true);
	}
	if (r < 0)
		(void)snprintf(why, 512, "%.511s", err.why);
	return r;
}

/* ---- swap ---- */

/* Where a swap file lies on its filesystem's device (FIEMAP,
 * Documentation/filesystems/fiemap.rst); its first part is kept. */
static void free_extents(struct place_of *p, int fd)
{
	CLEANUP_FREE struct fiemap *map = calloc(
		1, sizeof(*map) + EXTENTS * sizeof(struct fiemap_extent));
	struct mark_run run = {p, false};
	uint64_t at = SWAP_HEADER;

	while (map) {
		const struct fiemap_extent *e = map->fm_extents;
		uint32_t i;

		memset(map, 0, sizeof(*map));
		map->fm_start = at;
		map->fm_length = UINT64_MAX - at;
		map->fm_extent_count = EXTENTS;
		if (ioctl(fd, FS_IOC_FIEMAP, map) < 0 ||
			map->fm_mapped_extents == 0)
			return;
		for (i = 0; i < map->fm_mapped_extents; i++, e++) {
			uint64_t skip = e->fe_logical < SWAP_HEADER
						? SWAP_HEADER - e->fe_logical
						: 0;

			at = e->fe_logical + e->fe_length;
			if ((e->fe_flags &
				    (FIEMAP_EXTENT_UNKNOWN |
					    FIEMAP_EXTENT_ENCODED |
					    FIEMAP_EXTENT_SHARED |
					    FIEMAP_EXTENT_NOT_ALIGNED)) ||
				skip >= e->fe_length)
				continue;
			segments_lower(&p->segments,
				(e->fe_physical + skip + 511) / 512,
				(e->fe_length - skip) / 512, mark_piece, &run);
			if (e->fe_flags & FIEMAP_EXTENT_LAST)
				return;
		}
	}
}

/* What is in swap is memory, and stays with the machine. */
static int leave_swap(void *arg, const char *path, bool file, dev_t device)
{
	CLEANUP_FREE struct place_of *p = calloc(1, sizeof(*p));
	CLEANUP_CLOSE int fd = -1;
	char magic[sizeof(SWAP_MAGIC) - 1];
	struct error err;

	if (!p || device == 0)
		return 0;
	p->maps = arg;
	/* A btrfs has no device of that number, and addresses of its own. */
	if (find_place(p, major(device), minor(device), &err) < 0)
		return 0;
	if (!file) {
		struct mark_run run = {p, true};

		mark_whole(p, false);
		segments_lower(
			&p->segments, 0, SWAP_HEADER / 512, mark_piece, &run);
		return 0;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* Something else may be mounted over it. */
	if (fd >= 0 &&
		pread(fd, magic, sizeof(magic), SWAP_HEADER - sizeof(magic)) ==
			(ssize_t)sizeof(magic) &&
		memcmp(magic, SWAP_MAGIC, sizeof(magic)) == 0)
		free_extents(p, fd);
	return 0;
}

/* ---- where a filesystem lies, for who mounts its copy ---- */

/* A member lies in one piece on a disk that moves. */
static int add_member(
	struct agent *a, dev_t dev, struct msg_array *to, struct error *err)
{
	CLEANUP_FREE struct segments *s = calloc(1, sizeof(*s));
	const struct maps_shared *m = a->keeper.maps.shared;
	const struct segment *v;
	const struct maps_disk *d;
	int r;

	if (!s)
		return error_set(err, -ENOMEM, "find a device");
	r = segments_find(major(dev), minor(dev), s, err);
	if (r < 0)
		return r;
	v = &s->v[0];
	d = volume_on(&a->keeper.maps, v->major, v->minor);
	if (s->n == 1 && v->stripes == 1 && d) {
		to->v[to->n++] =
			(struct msg_member){.disk = (uint32_t)(d - m->disks),
				.at = v->disk_start * 512,
				.bytes = v->sectors * 512};
		return 0;
	}
	error_set(err, d ? -EOPNOTSUPP : -ENODEV, "put the array %s together",
		to->name);
	error_why(err,
		d ? "its member %u:%u lies in several pieces"
		  : "its member %u:%u lies on a disk that does not move",
		major(dev), minor(dev));
	return error_todo(err, d ? "leave its members on partitions or disks"
				 : "let all of its disks move");
}

/* The number of an array in the answer, which has it then; or an error. */
static int find_array(struct agent *a, uint32_t major, uint32_t minor,
	struct msg_pieces *ret, struct error *err)
{
	struct msg_array *to = &ret->arrays[ret->n_arrays];
	struct array array;
	int r = array_read("/sys", makedev(major, minor), &array, err);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < ret->n_arrays; i++)
		if (strcmp(ret->arrays[i].name, array.name) == 0)
			return (int)i;
	if (ret->n_arrays == PIECES_ARRAYS_MAX)
		return error_set(err, -E2BIG, "put so many arrays together");
	memcpy(to->name, array.name, sizeof(to->name));
	to->minor = array.minor;
	for (uint32_t i = 0; i < array.n && r == 0; i++)
		r = add_member(a, array.v[i], to, err);
	return r < 0 ? r : (int)ret->n_arrays++;
}

static int add_piece(struct agent *a, const struct segment *v,
	struct msg_pieces *ret, struct error *err)
{
	const struct maps *m = &a->keeper.maps;
	const struct maps_disk *d = volume_on(m, v->major, v->minor);
	uint64_t skip = v->stripes > 1 ? v->skip : 0;
	char path[64];
	int disk;

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/md", v->major,
		v->minor);
	if (ret->n == PIECES_MAX)
		return error_set(err, -E2BIG, "say where a device lies");
	if (d) {
		disk = (int)(d - m->shared->disks);
	} else if (access(path, F_OK) == 0) {
		disk = find_array(a, v->major, v->minor, ret, err);
		if (disk < 0)
			return disk;
		disk += VOLUMES_MAX;
	} else {
		error_set(err, -ENODEV, "say where a device lies");
		return error_why(err, "it lies on a disk that does not move");
	}
	ret->v[ret->n++] = (struct msg_piece){.disk = (uint32_t)disk,
		.at = (v->disk_start - skip) * 512,
		.volume = v->volume_start * 512,
		.bytes = (v->sectors + skip) * 512,
		.stripes = v->stripes,
		.stripe = v->stripe,
		.chunk = (uint64_t)v->chunk_sectors * 512};
	return 0;
}

/* Its layers are not of those that the target can put together. */
static int cannot_open(const char *path, struct error *err)
{
	char why[sizeof(err->why)];

	memcpy(why, err->why, sizeof(why));
	error_set(err, -EOPNOTSUPP, "open the copy of %s on the target", path);
	error_why(err, "%s", why);
	return error_todo(err,
		"a root on an encrypted, thin or other such volume cannot be "
		"made ready for another machine; its disks can be moved as "
		"volumes, one by one");
}

int source_lie(struct agent *a, const struct frame *f, struct error *err)
{
	CLEANUP_FREE struct segments *s = calloc(1, sizeof(*s));
	static struct msg_pieces answer;
	struct msg_path m;
	struct stat st;
	int r;

	if (!s)
		return error_set(err, -ENOMEM, "find a device");
	if (frame_decode(f, &m) < 0)
		return error_set(err, -EPROTO, "understand a request");
	if (stat(m.path, &st) < 0 || !S_ISBLK(st.st_mode))
		return error_set(err, -ENOTBLK, "find %s", m.path);
	memset(&answer, 0, sizeof(answer));
	r = segments_find_arrays(major(st.st_rdev), minor(st.st_rdev), s, err);
	if (r == -EOPNOTSUPP)
		return cannot_open(m.path, err);
	for (uint32_t i = 0; i < s->n && r == 0; i++)
		r = add_piece(a, &s->v[i], &answer, err);
	if (r == 0)
		agent_answer(a, MSG_PIECES, f->id, &answer);
	return r;
}

/* ---- all together ---- */

/* What is free needs no equal and no proof: discards change it at any time,
 * even under a freeze. If it is used again, it is sent again. */
static void forget_free(struct maps *m)
{
	uint64_t at = 0, first, n;

	while (bitmap_next_and(
		&m->known, &m->used, true, at, UINT64_MAX, &first, &n)) {
		bitmap_clear(&m->known, first, n);
		bitmap_clear(&m->unproved, first, n);
		at = first + n;
	}
}

/* What is in use and not known has to be sent. */
static void take_used(struct maps *m, struct msg_map_result *ret)
{
	uint64_t g = m->shared->granule, at = 0, first, n;

	for (; bitmap_next(&m->used, at, UINT64_MAX, &first, &n);
		at = first + n) {
		ret->used += maps_bytes(m, first, n);
		ret->added +=
			g * bitmap_set_unless(&m->dirty, &m->known, first, n);
	}
}

static int check_sizes(const struct maps *m, struct error *err)
{
	const struct maps_shared *s = m->shared;

	for (uint32_t i = 0; i < s->n_disks; i++) {
		CLEANUP_CLOSE int fd =
			open(s->disks[i].path, O_RDONLY | O_CLOEXEC);
		uint64_t size = 0;
		struct stat st;

		if (fd < 0 || fstat(fd, &st) < 0)
			return error_set(err, -errno, "read the used map");
		if (S_ISREG(st.st_mode))
			size = (uint64_t)st.st_size;
		else if (ioctl(fd, BLKGETSIZE64, &size) < 0)
			return error_set(err, -errno, "read the used map");
		if (size == s->disks[i].size)
			continue;
		error_set(err, -EINVAL, "go on with %s", s->disks[i].path);
		error_why(err, "its size changed since the move began");
		return error_todo(err, "abort the move and begin a new one");
	}
	return 0;
}

int used_find(struct maps *m, bool machine, bool filesystem,
	struct msg_map_result *ret, struct error *err)
{
	CLEANUP(stack_done) struct stack stack = {0};
	const struct maps_shared *s = m->shared;
	dev_t disks[VOLUMES_MAX];
	int r = check_sizes(m, err);

	for (uint32_t i = 0; i < s->n_disks; i++)
		disks[i] =
			s->disks[i].kind == VOLUME_BLOCK
				? makedev(s->disks[i].major, s->disks[i].minor)
				: 0;
	if (r == 0)
		r = stack_find(disks, s->n_disks, &stack, err);
	if (r < 0)
		return r;
	m->shared->used_holds = 0;
	bitmap_clear(&m->used, 0, m->granules);
	for (uint32_t i = 0; i < s->n_disks; i++)
		set_range(m, s->disks[i].start,
			s->disks[i].start + s->disks[i].size);
	(void)snprintf(ret->reason, sizeof(ret->reason), "%s",
		filesystem ? "it is not mounted"
			   : "it holds no known filesystem");
	for (size_t i = 0; i < stack.n; i++)
		if (stack.v[i].depth == 0 &&
			map_filesystem(m, &stack.v[i].mount, ret->reason) == 0)
			ret->mapped = 1;
	if (machine && stack_swaps(leave_swap, m) < 0)
		return error_set(err, -EIO, "see what is swapped to");
	take_used(m, ret);
	if (ret->mapped) {
		forget_free(m);
		m->shared->used_holds = m->shared->hold == HOLD_FROZEN;
	}
	return 0;
}
