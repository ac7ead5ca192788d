/* SPDX-License-Identifier: Apache-2.0 */
#include "track/tracker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/parse.h"
#include "track/dmtable.h"

#define DEPTH_MAX 16

/* A device on the way down. */
struct device {
	uint32_t major, minor;
	int dir; /* its folder in sysfs */
	char name[NAME_MAX + 1];
	uint64_t sectors;
};

static void device_done(struct device *d)
{
	cleanup_close_p(&d->dir);
}

static int read_number(int dir, const char *path, uint64_t *ret)
{
	char text[64];
	ssize_t n = io_read_file(dir, path, text, sizeof(text));

	return n < 0 ? (int)n : parse_u64(text, ret);
}

static int device_open(
	struct device *d, uint32_t major, uint32_t minor, struct error *err)
{
	char path[64], link[PATH_MAX], *slash, *name;
	ssize_t n;
	int r;

	d->major = major;
	d->minor = minor;
	(void)snprintf(
		path, sizeof(path), "/sys/dev/block/%u:%u", major, minor);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0) {
		error_set(err, errno == ENOENT ? -ENODEV : -errno,
			"find block device %u:%u", major, minor);
		return error_why(err, "there is no %s", path);
	}
	link[n] = '\0';
	slash = strrchr(link, '/');
	name = slash ? slash + 1 : link;
	if (strlen(name) >= sizeof(d->name))
		return error_set(err, -ENAMETOOLONG, "use %s", path);
	memcpy(d->name, name, strlen(name) + 1);
	d->dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->dir < 0)
		return error_set(err, -errno, "open %s", path);
	r = read_number(d->dir, "size", &d->sectors);
	if (r < 0)
		return error_set(err, r, "read %s/size", path);
	return 0;
}

static int refuse(struct error *err, const struct device *d, const char *why)
{
	error_set(err, -EOPNOTSUPP, "follow changes of %s", d->name);
	return error_why(err, "%s", why);
}

static bool has(const struct device *d, const char *path)
{
	return faccessat(d->dir, path, F_OK, 0) == 0;
}

/* Whether events and counts of a disk can be relied on. */
static int check_disk(const struct device *d, struct error *err)
{
	char text[64];
	uint64_t iostats;

	if (has(d, "md"))
		return refuse(err, d, "it is an md array");
	if (!has(d, "mq"))
		return refuse(
			err, d, "it has no request queue (a bio-based device)");
	if (read_number(d->dir, "queue/iostats", &iostats) < 0)
		return refuse(err, d, "it has no queue/iostats");
	if (iostats == 0) {
		(void)refuse(err, d, "the kernel does not count its writes");
		return error_todo(
			err, "write 1 to /sys/block/%s/queue/iostats", d->name);
	}
	if (io_read_file(d->dir, "queue/zoned", text, sizeof(text)) >= 0 &&
		strcmp(text, "none") != 0)
		return refuse(err, d, "it is a zoned device");
	return 0;
}

/* The same piece on the disk of a partition. */
static int lower_partition(const struct device *d, const struct segment *piece,
	struct segments *s, struct error *err)
{
	struct segment v = *piece;
	uint64_t start, major, minor;
	char text[64], *colon;
	int r = read_number(d->dir, "start", &start);

	if (r == 0 && io_read_file(d->dir, "../dev", text, sizeof(text)) < 0)
		r = -EBADMSG;
	colon = r == 0 ? strchr(text, ':') : NULL;
	if (!colon)
		return error_set(err, r < 0 ? r : -EBADMSG,
			"find the disk of %s", d->name);
	*colon = '\0';
	if (parse_u64(text, &major) < 0 || parse_u64(colon + 1, &minor) < 0 ||
		major > UINT32_MAX || minor > UINT32_MAX ||
		__builtin_add_overflow(v.disk_start, start, &v.disk_start))
		return error_set(err, -EBADMSG, "find the disk of %s", d->name);
	v.major = (uint32_t)major;
	v.minor = (uint32_t)minor;
	if (s->n == SEGMENTS_MAX)
		return refuse(err, d, "the volume lies in too many pieces");
	s->v[s->n++] = v;
	return 0;
}

static int lower_target(const struct device *d, const struct segment *piece,
	const struct dmtable_target *t, struct segments *s, struct error *err)
{
	uint64_t sectors = 0;
	int r = dmtable_lower(t, piece, s, &sectors);

	if (r == -E2BIG)
		return refuse(err, d, "the volume lies in too many pieces");
	if (r == -EOPNOTSUPP)
		return refuse(err, d, "it is striped, and so is what is on it");
	if (r < 0)
		return error_set(err, r, "understand the table of %s", d->name);
	return 0;
}

static int lower_mapped(const struct device *d, const struct segment *piece,
	struct segments *s, struct error *err)
{
	CLEANUP_FREE void *table = NULL;
	CLEANUP_FREE struct dmtable_target *t = malloc(sizeof(*t));
	uint64_t expected = 0;
	uint32_t targets;
	size_t n, at = 0;
	int r;

	if (!t)
		return error_set(err, -ENOMEM, "read the table of %s", d->name);
	r = dmtable_read(d->major, d->minor, &table, &n, &targets);
	if (r < 0)
		return error_set(
			err, r, "read the device-mapper table of %s", d->name);
	for (uint32_t i = 0; i < targets; i++) {
		r = dmtable_next(table, n, &at, t);
		if (r == -EOPNOTSUPP) {
			(void)refuse(err, d, "");
			return error_why(err,
				"it has a device-mapper target of type %s",
				strcmp(t->type, "striped") == 0
					? "striped with too many stripes"
					: t->type);
		}
		/* A table has no gaps: targets follow each other. */
		if (r < 0 || t->start != expected)
			return error_set(err, r < 0 ? r : -EBADMSG,
				"understand the table of %s", d->name);
		expected = t->start + t->sectors;
		r = lower_target(d, piece, t, s, err);
		if (r < 0)
			return r;
	}
	if (expected < piece->disk_start + piece->sectors)
		return refuse(err, d, "its table does not cover all of it");
	return 0;
}

/* Appends piece to s, as it is on the devices below if there are any. */
static int lower(const struct segment *piece, bool arrays, struct segments *s,
	bool *ret_lowered, struct error *err)
{
	CLEANUP(device_done) struct device d = {.dir = -1};
	uint64_t end;
	int r = device_open(&d, piece->major, piece->minor, err);

	if (r < 0)
		return r;
	if (__builtin_add_overflow(piece->disk_start, piece->sectors, &end) ||
		end > d.sectors)
		return refuse(
			err, &d, "what lies on it reaches beyond its end");
	if (has(&d, "partition")) {
		*ret_lowered = true;
		return lower_partition(&d, piece, s, err);
	}
	if (has(&d, "dm")) {
		*ret_lowered = true;
		return lower_mapped(&d, piece, s, err);
	}
	r = arrays && has(&d, "md") ? 0 : check_disk(&d, err);
	if (r < 0)
		return r;
	if (piece->sectors == 0)
		return refuse(err, &d, "its size is 0");
	if (s->n == SEGMENTS_MAX)
		return refuse(err, &d, "the volume lies in too many pieces");
	s->v[s->n++] = *piece;
	return 0;
}

static int volume_sectors(
	uint32_t major, uint32_t minor, uint64_t *ret, struct error *err)
{
	CLEANUP(device_done) struct device d = {.dir = -1};
	int r = device_open(&d, major, minor, err);

	if (r == 0)
		*ret = d.sectors;
	return r;
}

static int find(uint32_t major, uint32_t minor, bool arrays,
	struct segments *ret, struct error *err)
{
	CLEANUP_FREE struct segments *now = calloc(1, sizeof(*now));
	CLEANUP_FREE struct segments *below = calloc(1, sizeof(*below));
	int r;

	if (!now || !below)
		return error_set(err, -ENOMEM, "find the disks of a volume");
	now->n = 1;
	now->v[0].major = major;
	now->v[0].minor = minor;
	now->v[0].stripes = 1;
	r = volume_sectors(major, minor, &now->v[0].sectors, err);
	if (r < 0)
		return r;
	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		bool lowered = false;
		struct segments *swap = now;

		memset(below, 0, sizeof(*below));
		for (uint32_t i = 0; i < now->n; i++) {
			r = lower(&now->v[i], arrays, below, &lowered, err);
			if (r < 0)
				return r;
		}
		now = below;
		below = swap;
		if (!lowered && now->n > 0) {
			*ret = *now;
			return 0;
		}
	}
	error_set(err, -EOPNOTSUPP, "follow changes of %u:%u", major, minor);
	return error_why(err, "too many devices are stacked in it");
}

int segments_find(
	uint32_t major, uint32_t minor, struct segments *ret, struct error *err)
{
	return find(major, minor, false, ret, err);
}

int segments_find_arrays(
	uint32_t major, uint32_t minor, struct segments *ret, struct error *err)
{
	return find(major, minor, true, ret, err);
}

/* Reports [from, from + n) of a striped piece, counted from its stripe's
 * beginning, chunk by chunk. */
static void map_striped(const struct segment *v, uint64_t from, uint64_t n,
	segment_fn *fn, void *arg)
{
	uint64_t chunk = v->chunk_sectors;

	while (n > 0) {
		uint64_t in = from % chunk, part = MIN(n, chunk - in);

		fn(arg,
			v->volume_start + from / chunk * chunk * v->stripes +
				v->stripe * chunk + in,
			part);
		from += part;
		n -= part;
	}
}

void segments_map(const struct segments *s, uint32_t major, uint32_t minor,
	uint64_t sector, uint64_t n, segment_fn *fn, void *arg)
{
	uint64_t end;

	if (__builtin_add_overflow(sector, n, &end))
		end = UINT64_MAX;
	for (uint32_t i = 0; i < s->n; i++) {
		const struct segment *v = &s->v[i];
		uint64_t from = MAX(sector, v->disk_start);
		uint64_t to = MIN(end, v->disk_start + v->sectors);

		if (v->major != major || v->minor != minor || from >= to)
			continue;
		from -= v->disk_start;
		to -= v->disk_start;
		if (v->stripes > 1)
			map_striped(v, from + v->skip, to - from, fn, arg);
		else
			fn(arg, v->volume_start + from, to - from);
	}
}

/* The chunks of one stripe that [sector, end) of the volume touches. */
static void lower_striped(const struct segment *v, uint64_t sector,
	uint64_t end, segment_disk_fn *fn, void *arg)
{
	uint64_t chunk = v->chunk_sectors, row = chunk * v->stripes;
	/* In the stripe as a whole, as map_striped counts. */
	uint64_t first = v->skip, last = v->skip + v->sectors;

	for (uint64_t at = first; at < last;) {
		uint64_t in = at % chunk, part = MIN(last - at, chunk - in);
		uint64_t volume = v->volume_start + at / chunk * row +
				  v->stripe * chunk + in;
		uint64_t from = MAX(volume, sector);
		uint64_t to = MIN(volume + part, end);

		if (from < to)
			fn(arg, v->major, v->minor,
				v->disk_start + (at - v->skip) +
					(from - volume),
				to - from);
		else if (volume < sector && sector - volume > row)
			/* Whole rows lie before it. */
			part += (sector - volume) / row * chunk - chunk;
		else if (volume >= end)
			return;
		at += part;
	}
}

void segments_lower(const struct segments *s, uint64_t sector, uint64_t n,
	segment_disk_fn *fn, void *arg)
{
	uint64_t end;

	if (__builtin_add_overflow(sector, n, &end))
		end = UINT64_MAX;
	for (uint32_t i = 0; i < s->n; i++) {
		const struct segment *v = &s->v[i];
		uint64_t from, to;

		if (v->stripes > 1) {
			lower_striped(v, sector, end, fn, arg);
			continue;
		}
		from = MAX(sector, v->volume_start);
		to = MIN(end, v->volume_start + v->sectors);
		if (from < to)
			fn(arg, v->major, v->minor,
				v->disk_start + (from - v->volume_start),
				to - from);
	}
}
