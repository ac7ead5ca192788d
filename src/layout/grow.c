/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/grow.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "facts/table.h"

#define MBR_PARTS 446
#define MBR_ENTRY 16
#define MBR_MAX UINT32_MAX /* blocks that an entry can count */
#define HEAD_MIN 92
#define ENTRIES_MAX (128U * 1024)
#define ENTRY_MAX 4096U

/* Offsets in a GPT's head. */
enum {
	HEAD_LENGTH = 12,
	HEAD_CRC = 16,
	HEAD_SELF = 24,
	HEAD_OTHER = 32,
	HEAD_FIRST = 40,
	HEAD_LAST = 48,
	HEAD_ENTRIES = 72,
	HEAD_N = 80,
	HEAD_SIZE = 84,
	HEAD_ENTRIES_CRC = 88,
};

struct gpt {
	uint8_t head[512];
	uint8_t *entries; /* n of size each, then zeros up to a whole block */
	uint32_t n, size;
	uint64_t blocks; /* of the entries */
};

struct disk {
	int fd;
	uint64_t blocks, source; /* its own, those of what it is a copy of */
	uint32_t sector;
	struct error *err;
};

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static int refuse(const struct disk *d, int code, const char *why)
{
	error_set(d->err, code, "change the partition table");
	return error_why(d->err, "%s", why);
}

static int behind(const struct disk *d, uint32_t number)
{
	error_set(d->err, -EBUSY, "grow a partition");
	return error_why(d->err, "partition %u lies behind it", number);
}

static int read_at(const struct disk *d, void *buf, size_t n, uint64_t block)
{
	ssize_t got = io_pread_all(d->fd, buf, n, block * d->sector);

	if (got == (ssize_t)n)
		return 0;
	return error_set(
		d->err, got < 0 ? (int)got : -EIO, "read the partition table");
}

/* Writes what differs from what is there. */
static int write_at(const struct disk *d, const void *buf, size_t n,
	uint64_t block, bool *ret_written)
{
	CLEANUP_FREE uint8_t *now = malloc(n);
	int r;

	if (!now)
		return error_set(d->err, -ENOMEM, "write the partition table");
	r = read_at(d, now, n, block);
	if (r < 0 || memcmp(now, buf, n) == 0)
		return r;
	r = io_pwrite_all(d->fd, buf, n, block * d->sector);
	if (r < 0)
		return error_set(d->err, r, "write the partition table");
	*ret_written = true;
	return 0;
}

static int flush(const struct disk *d)
{
	if (fsync(d->fd) < 0)
		return error_set(d->err, -errno, "write the partition table");
	return 0;
}

/* Where the last block of a partition is to be that ends where the disk does.
 */
static uint64_t aligned_end(const struct disk *d, uint64_t last)
{
	uint64_t step = MAX(LAYOUT_ALIGN / d->sector, 1U);
	uint64_t end = (last + 1) / step * step;

	return end > 0 ? end - 1 : 0;
}

/* ---- GPT ---- */

static void gpt_done(struct gpt *g)
{
	free(g->entries);
}

/* 1: read, 0: there is none that makes sense. */
static int gpt_read(const struct disk *d, uint64_t at, struct gpt *ret)
{
	uint8_t copy[512];
	uint32_t length;
	uint64_t where;
	size_t bytes;
	int r;

	if (at >= d->blocks)
		return 0;
	r = read_at(d, ret->head, sizeof(ret->head), at);
	if (r < 0)
		return r;
	length = get32(ret->head + HEAD_LENGTH);
	if (memcmp(ret->head, "EFI PART", 8) != 0 || length < HEAD_MIN ||
		length > sizeof(ret->head) ||
		get64(ret->head + HEAD_SELF) != at)
		return 0;
	memcpy(copy, ret->head, sizeof(copy));
	put32(copy + HEAD_CRC, 0);
	if (table_crc32(copy, length) != get32(ret->head + HEAD_CRC))
		return 0;
	ret->n = get32(ret->head + HEAD_N);
	ret->size = get32(ret->head + HEAD_SIZE);
	if (ret->size < 128 || ret->size > ENTRY_MAX || ret->n == 0 ||
		ret->n > ENTRIES_MAX / ret->size)
		return 0;
	bytes = (size_t)ret->n * ret->size;
	ret->blocks = (bytes + d->sector - 1) / d->sector;
	where = get64(ret->head + HEAD_ENTRIES);
	if (where >= d->blocks || ret->blocks > d->blocks - where)
		return 0;
	free(ret->entries);
	ret->entries = calloc(ret->blocks, d->sector);
	if (!ret->entries)
		return error_set(d->err, -ENOMEM, "read the partition table");
	r = read_at(d, ret->entries, bytes, where);
	if (r < 0)
		return r;
	return table_crc32(ret->entries, bytes) ==
	       get32(ret->head + HEAD_ENTRIES_CRC);
}

/* The entry that begins there; nothing may lie behind it, and all must lie
 * where partitions may. */
static int gpt_grow(const struct disk *d, struct gpt *g, uint64_t first,
	uint64_t last, struct layout_grown *ret)
{
	uint8_t *mine = NULL;
	uint32_t next = 0;
	uint64_t end;

	for (uint32_t i = 0; i < g->n; i++) {
		uint8_t *e = g->entries + (size_t)i * g->size;
		static const uint8_t none[16];

		if (memcmp(e, none, sizeof(none)) == 0)
			continue;
		if (get64(e + 40) < get64(e + 32) || get64(e + 40) > last)
			return refuse(
				d, -EBADMSG, "a partition ends where none may");
		if (get64(e + 32) > first)
			next = i + 1;
		if (get64(e + 32) != first || first == 0)
			continue;
		mine = e;
		ret->number = i + 1;
	}
	if (first == 0)
		return 0;
	if (!mine)
		return refuse(d, -ENOENT, "no partition begins there");
	if (next)
		return behind(d, next);
	end = MAX(get64(mine + 40), aligned_end(d, last));
	ret->from = (get64(mine + 40) - first + 1) * d->sector;
	ret->now = (end - first + 1) * d->sector;
	put64(mine + 40, end);
	return 0;
}

/* A head for block at, whose entries begin at another. */
static void gpt_head(const struct gpt *g, uint64_t at, uint64_t other,
	uint64_t entries, uint8_t *ret)
{
	memcpy(ret, g->head, sizeof(g->head));
	put64(ret + HEAD_SELF, at);
	put64(ret + HEAD_OTHER, other);
	put64(ret + HEAD_ENTRIES, entries);
	put32(ret + HEAD_ENTRIES_CRC,
		table_crc32(g->entries, (size_t)g->n * g->size));
	put32(ret + HEAD_CRC, 0);
	put32(ret + HEAD_CRC, table_crc32(ret, get32(ret + HEAD_LENGTH)));
}

/* Both copies; the one at the end is durable before the first is touched. */
static int gpt_write(const struct disk *d, const struct gpt *g,
	uint64_t entries, struct layout_grown *ret)
{
	CLEANUP_FREE uint8_t *head = calloc(1, d->sector);
	uint64_t last = d->blocks - 1, copy = last - g->blocks;
	size_t bytes = (size_t)g->blocks * d->sector;
	bool written = false;
	int r;

	if (!head)
		return error_set(d->err, -ENOMEM, "write the partition table");
	gpt_head(g, last, 1, copy, head);
	r = write_at(d, g->entries, bytes, copy, &written);
	if (r == 0)
		r = write_at(d, head, d->sector, last, &written);
	if (r == 0 && written)
		r = flush(d);
	gpt_head(g, 1, last, entries, head);
	if (r == 0)
		r = write_at(d, g->entries, bytes, entries, &written);
	if (r == 0)
		r = write_at(d, head, d->sector, 1, &written);
	if (r == 0 && written)
		r = flush(d);
	ret->written |= written;
	return r;
}

/* It says that the whole disk is taken, as far as it can count. */
static int protect(const struct disk *d, uint8_t *mbr, struct layout_grown *ret)
{
	bool written = false;
	int r;

	for (int i = 0; i < 4; i++) {
		uint8_t *e = mbr + MBR_PARTS + i * MBR_ENTRY;

		/* Those of other shapes serve somebody else, too. */
		if (e[4] == 0xee && get32(e + 8) == 1 && i == 0)
			put32(e + 12, (uint32_t)MIN(d->blocks - 1, MBR_MAX));
	}
	r = write_at(d, mbr, 512, 0, &written);
	ret->written |= written;
	return r == 0 && written ? flush(d) : r;
}

/* Did the table span the source, or does it this disk already? */
static bool is_of_disk(const struct disk *d, const struct gpt *g)
{
	uint64_t other = get64(g->head + HEAD_OTHER);

	return get64(g->head + HEAD_SELF) != 1 || other == d->source - 1 ||
	       other == d->blocks - 1;
}

static int grow_gpt(const struct disk *d, uint8_t *mbr, uint64_t start,
	struct layout_grown *ret)
{
	CLEANUP(gpt_done) struct gpt g = {.entries = NULL};
	uint64_t last, entries, end = d->blocks - 1;
	int r = gpt_read(d, 1, &g);

	if (r == 0)
		r = gpt_read(d, end, &g);
	if (r < 0)
		return r;
	if (r == 0)
		return refuse(d, -EBADMSG,
			"it is damaged, or made for blocks of another size");
	if (!is_of_disk(d, &g))
		return start == 0 ? 0
				  : refuse(d, -EBADMSG,
					    "its second copy was not at the "
					    "end of the source's disk");
	entries = get64(g.head + HEAD_SELF) == 1 ? get64(g.head + HEAD_ENTRIES)
						 : 2;
	/* Between both copies there must be room for both lists of entries. */
	if (entries < 2 || entries > get64(g.head + HEAD_FIRST) ||
		g.blocks > get64(g.head + HEAD_FIRST) - entries ||
		end < g.blocks + get64(g.head + HEAD_FIRST) ||
		end - g.blocks - 1 < get64(g.head + HEAD_LAST))
		return refuse(d, -EBADMSG,
			"it does not say where partitions may lie on this "
			"disk");
	last = end - g.blocks - 1;
	ret->moved = get64(g.head + HEAD_SELF) == 1 &&
		     get64(g.head + HEAD_OTHER) != end;
	put64(g.head + HEAD_LAST, last);
	r = gpt_grow(d, &g, start / d->sector, last, ret);
	if (r == 0)
		r = gpt_write(d, &g, entries, ret);
	return r < 0 ? r : protect(d, mbr, ret);
}

/* ---- MBR ---- */

static int grow_dos(const struct disk *d, uint8_t *mbr, uint64_t start,
	struct layout_grown *ret)
{
	uint64_t first = start / d->sector, n;
	uint8_t *mine = NULL;
	bool extended = false;
	int r;

	for (int i = 0; i < 4; i++) {
		uint8_t *e = mbr + MBR_PARTS + i * MBR_ENTRY;
		bool is = e[4] == 0x05 || e[4] == 0x0f || e[4] == 0x85;

		if (e[4] == 0 || get32(e + 12) == 0)
			continue;
		extended |= is && first > get32(e + 8) &&
			    first - get32(e + 8) < get32(e + 12);
		if (get32(e + 8) != first || is)
			continue;
		mine = e;
		ret->number = (uint32_t)i + 1;
	}
	if (!mine)
		return refuse(d, extended ? -EOPNOTSUPP : -ENOENT,
			extended ? "it is a logical partition"
				 : "no partition begins there");
	for (uint32_t i = 0; i < 4; i++) {
		const uint8_t *e = mbr + MBR_PARTS + i * MBR_ENTRY;

		if (e[4] != 0 && get32(e + 12) > 0 && get32(e + 8) > first)
			return behind(d, i + 1);
	}
	if (first + get32(mine + 12) > d->blocks)
		return refuse(d, -EBADMSG, "it lies beyond the disk's end");
	n = aligned_end(d, MIN(d->blocks, first + MBR_MAX) - 1) + 1;
	n = MAX(n > first ? n - first : 0, get32(mine + 12));
	ret->from = (uint64_t)get32(mine + 12) * d->sector;
	ret->now = n * d->sector;
	if (n == get32(mine + 12))
		return 0;
	put32(mine + 12, (uint32_t)n);
	/* Its end is beyond what cylinders can tell, as on all disks of today.
	 */
	memcpy(mine + 5, "\xfe\xff\xff", 3);
	r = write_at(d, mbr, 512, 0, &ret->written);
	return r < 0 ? r : flush(d);
}

int layout_grow(const struct layout_disk *disk, uint64_t start,
	struct layout_grown *ret, struct error *err)
{
	struct disk d = {.fd = disk->fd, .sector = disk->sector, .err = err};
	uint32_t sector = disk->sector;
	uint8_t mbr[512];
	bool protective = false;
	int r;

	memset(ret, 0, sizeof(*ret));
	if (sector < 512 || sector > 65536 || (sector & (sector - 1)) != 0 ||
		start % sector != 0)
		return refuse(&d, -EINVAL, "its blocks make no sense");
	d.blocks = disk->size / sector;
	d.source = disk->source / sector;
	if (d.blocks < 3 || d.source < 3)
		return refuse(&d, -EINVAL, "the disk has no room for one");
	if (disk->size == disk->source)
		return start == 0 ? 0
				  : refuse(&d, -ENOSPC,
					    "the disk is as large as the "
					    "source's");
	r = read_at(&d, mbr, sizeof(mbr), 0);
	if (r < 0)
		return r;
	for (int i = 0; i < 4; i++)
		protective |= mbr[MBR_PARTS + i * MBR_ENTRY + 4] == 0xee;
	if (mbr[510] == 0x55 && mbr[511] == 0xaa && protective)
		return grow_gpt(&d, mbr, start, ret);
	if (start == 0)
		return 0;
	if (mbr[510] != 0x55 || mbr[511] != 0xaa)
		return refuse(&d, -ENOENT, "there is none");
	return grow_dos(&d, mbr, start, ret);
}
