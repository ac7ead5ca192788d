/* SPDX-License-Identifier: Apache-2.0 */
#include "track/dmtable.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/parse.h"

#define TABLE_MAX (16U << 20)

/* One DM_TABLE_STATUS with room for size bytes; -E2BIG when it is too small. */
static int table_status(int fd, uint32_t major, uint32_t minor,
	struct dm_ioctl *io, uint32_t size)
{
	memset(io, 0, size);
	io->version[0] = DM_VERSION_MAJOR;
	io->data_size = size;
	io->data_start = sizeof(*io);
	io->flags = DM_STATUS_TABLE_FLAG;
	/* The kernel's huge_encode_dev. */
	io->dev = (minor & 0xff) | ((uint64_t)major << 8) |
		  ((uint64_t)(minor & ~0xffU) << 12);
	if (ioctl(fd, DM_TABLE_STATUS, io) < 0)
		return -errno;
	if (io->flags & DM_BUFFER_FULL_FLAG)
		return -E2BIG;
	if (io->data_start < sizeof(*io) || io->data_size > size ||
		io->data_start > io->data_size)
		return -EBADMSG;
	return 0;
}

int dmtable_read(uint32_t major, uint32_t minor, void **ret, size_t *ret_n,
	uint32_t *ret_targets)
{
	CLEANUP_CLOSE int fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	for (uint32_t size = 16384; size <= TABLE_MAX; size *= 4) {
		CLEANUP_FREE char *buf = malloc(size);
		struct dm_ioctl *io = (struct dm_ioctl *)buf;
		int r;

		if (!buf)
			return -ENOMEM;
		r = table_status(fd, major, minor, io, size);
		if (r == -E2BIG)
			continue;
		if (r < 0)
			return r;
		*ret_targets = io->target_count;
		*ret_n = io->data_size - io->data_start;
		memmove(buf, buf + io->data_start, *ret_n);
		*ret = STEAL_PTR(buf);
		return 0;
	}
	return -E2BIG;
}

/* Cuts the next word off *s into buf. */
static int next_word(const char **s, char *buf, size_t size)
{
	const char *p = *s + strspn(*s, " ");
	size_t n = strcspn(p, " ");

	if (n == 0 || n >= size)
		return -EBADMSG;
	memcpy(buf, p, n);
	buf[n] = '\0';
	*s = p + n;
	return 0;
}

static int next_number(const char **s, uint64_t max, uint64_t *ret)
{
	char word[32];
	uint64_t v;

	if (next_word(s, word, sizeof(word)) < 0 || parse_u64(word, &v) < 0 ||
		v > max)
		return -EBADMSG;
	*ret = v;
	return 0;
}

/* "MAJOR:MINOR START" */
static int next_below(const char **s, struct dmtable_target *t, unsigned i)
{
	uint64_t major, minor, start;
	char word[32], *colon;

	if (next_word(s, word, sizeof(word)) < 0)
		return -EBADMSG;
	colon = strchr(word, ':');
	if (!colon)
		return -EBADMSG;
	*colon = '\0';
	if (parse_u64(word, &major) < 0 || parse_u64(colon + 1, &minor) < 0 ||
		major > UINT32_MAX || minor > UINT32_MAX ||
		next_number(s, UINT64_MAX, &start) < 0)
		return -EBADMSG;
	t->below[i].major = (uint32_t)major;
	t->below[i].minor = (uint32_t)minor;
	t->below[i].start = start;
	return 0;
}

int dmtable_parse(const char *params, struct dmtable_target *t)
{
	uint64_t stripes = 1, chunk = 0, row, end;

	if (t->sectors == 0 ||
		__builtin_add_overflow(t->start, t->sectors, &end))
		return -EBADMSG;
	if (strcmp(t->type, "striped") == 0) {
		if (next_number(&params, UINT32_MAX, &stripes) < 0 ||
			next_number(&params, UINT32_MAX, &chunk) < 0 ||
			stripes == 0 || chunk == 0 ||
			__builtin_mul_overflow(stripes, chunk, &row))
			return -EBADMSG;
		if (stripes > DMTABLE_STRIPES_MAX)
			return -EOPNOTSUPP;
	} else if (strcmp(t->type, "linear") != 0) {
		return -EOPNOTSUPP;
	}
	for (unsigned i = 0; i < stripes; i++)
		if (next_below(&params, t, i) < 0 ||
			__builtin_add_overflow(
				t->below[i].start, t->sectors, &end))
			return -EBADMSG;
	if (params[strspn(params, " ")])
		return -EBADMSG;
	t->stripes = (uint32_t)stripes;
	t->chunk_sectors = stripes == 1 ? 0 : (uint32_t)chunk;
	return 0;
}

int dmtable_next(
	const void *table, size_t n, size_t *at, struct dmtable_target *ret)
{
	struct dm_target_spec spec;
	const char *params;
	int r;

	if (*at > n || n - *at <= sizeof(spec))
		return -EBADMSG;
	memcpy(&spec, (const char *)table + *at, sizeof(spec));
	params = (const char *)table + *at + sizeof(spec);
	if (!memchr(params, '\0', n - *at - sizeof(spec)) ||
		!memchr(spec.target_type, '\0', sizeof(spec.target_type)))
		return -EBADMSG;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->type, spec.target_type, sizeof(spec.target_type));
	ret->start = spec.sector_start;
	ret->sectors = spec.length;
	r = dmtable_parse(params, ret);
	if (r < 0)
		return r;
	/* It may lie behind the end, aligned, when there is no next one. */
	if (spec.next < *at + sizeof(spec))
		return -EBADMSG;
	*at = spec.next;
	return 0;
}

/* How many sectors of a stripe lie before sector of the striped target. */
static uint64_t of_stripe(
	const struct dmtable_target *t, uint32_t stripe, uint64_t sector)
{
	uint64_t chunk = t->chunk_sectors, row = chunk * t->stripes;
	uint64_t rest = sector % row, before = stripe * chunk;

	rest = rest <= before ? 0 : MIN(rest - before, chunk);
	return sector / row * chunk + rest;
}

static int append(struct segments *s, const struct segment *v)
{
	uint64_t end;

	if (__builtin_add_overflow(v->disk_start, v->sectors, &end))
		return -EBADMSG;
	if (s->n == SEGMENTS_MAX)
		return -E2BIG;
	s->v[s->n++] = *v;
	return 0;
}

/* Moves the beginning of a piece forward by n sectors of its device. */
static void cut_front(struct segment *v, uint64_t n)
{
	v->disk_start += n;
	v->sectors -= n;
	if (v->stripes > 1)
		v->skip += n;
	else
		v->volume_start += n;
}

int dmtable_lower(const struct dmtable_target *t, const struct segment *piece,
	struct segments *s, uint64_t *ret_sectors)
{
	uint64_t from = MAX(t->start, piece->disk_start);
	uint64_t to =
		MIN(t->start + t->sectors, piece->disk_start + piece->sectors);
	struct segment part = *piece;
	int r;

	if (from >= to) {
		*ret_sectors = 0;
		return 0;
	}
	cut_front(&part, from - piece->disk_start);
	part.sectors = to - from;
	*ret_sectors = to - from;
	from -= t->start;
	to -= t->start;
	if (t->stripes == 1) {
		part.major = t->below[0].major;
		part.minor = t->below[0].minor;
		part.disk_start = t->below[0].start + from;
		return append(s, &part);
	}
	if (part.stripes > 1)
		return -EOPNOTSUPP;
	part.volume_start -= from; /* may wrap, see struct segment */
	part.stripes = t->stripes;
	part.chunk_sectors = t->chunk_sectors;
	for (uint32_t i = 0; i < t->stripes; i++) {
		part.major = t->below[i].major;
		part.minor = t->below[i].minor;
		part.stripe = i;
		part.skip = of_stripe(t, i, from);
		part.sectors = of_stripe(t, i, to) - part.skip;
		part.disk_start = t->below[i].start + part.skip;
		r = part.sectors ? append(s, &part) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}
