/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"

#define MBR_PARTS 446
#define MBR_ENTRY 16
#define GPT_HEAD 92
#define GPT_ENTRIES_MAX (128U * 1024)
#define GPT_ENTRY_MAX 4096U
/* More tables than this in a chain hold more partitions than are taken. */
#define CHAIN_MAX TABLE_PARTS_MAX

struct reader {
	table_read_fn *fn;
	void *arg;
	uint64_t size;
	uint32_t sector;
	struct table *t;
};

static uint64_t le(const uint8_t *p, int n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

static void put_guid(char *to, size_t size, const uint8_t *p)
{
	(void)snprintf(to, size,
		"%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		(unsigned)le(p, 4), (unsigned)le(p + 4, 2),
		(unsigned)le(p + 6, 2), p[8], p[9], p[10], p[11], p[12], p[13],
		p[14], p[15]);
}

static bool is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static void broken(struct reader *r, const char *why)
{
	if (!r->t->error)
		r->t->error = why;
}

/* False (and no error) when it does not lie on the disk. */
static int read_at(
	struct reader *r, void *buf, size_t n, uint64_t off, bool *ret_inside)
{
	*ret_inside = off <= r->size && n <= r->size - off;
	return *ret_inside ? r->fn(r->arg, buf, n, off) : 0;
}

int table_read_fd(void *arg, void *buf, size_t n, uint64_t off)
{
	ssize_t got = io_pread_all(*(int *)arg, buf, n, off);

	if (got < 0)
		return (int)got;
	return (size_t)got == n ? 0 : -EIO;
}

/* Takes a partition; NULL when there are too many, or it is not on the disk. */
static struct table_part *add_part(
	struct reader *r, uint32_t number, uint64_t start, uint64_t sectors)
{
	struct table_part *p;
	uint64_t first, bytes;

	if (r->t->n == TABLE_PARTS_MAX) {
		broken(r, "it has too many partitions");
		return NULL;
	}
	if (__builtin_mul_overflow(start, (uint64_t)r->sector, &first) ||
		__builtin_mul_overflow(sectors, (uint64_t)r->sector, &bytes) ||
		first > r->size || bytes > r->size - first) {
		broken(r, "a partition lies beyond the end of the disk");
		return NULL;
	}
	p = &r->t->parts[r->t->n++];
	memset(p, 0, sizeof(*p));
	p->number = number;
	p->start = first;
	p->size = bytes;
	return p;
}

/* ---- GPT ---- */

uint32_t table_crc32(const uint8_t *p, size_t n)
{
	uint32_t c = ~0U;

	while (n-- > 0) {
		c ^= *p++;
		for (int i = 0; i < 8; i++)
			c = c >> 1 ^ (c & 1 ? 0xedb88320U : 0);
	}
	return ~c;
}

static size_t put_char(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	to[0] = (char)(0xe0 | c >> 12);
	to[1] = (char)(0x80 | (c >> 6 & 0x3f));
	to[2] = (char)(0x80 | (c & 0x3f));
	return 3;
}

/* 36 units of UTF-16. Pairs of surrogates are not worth their code in a name
 * of a partition. */
static void put_utf16(char *to, const uint8_t *p)
{
	size_t n = 0;

	for (int i = 0; i < 36; i++) {
		uint32_t c = (uint32_t)le(p + 2 * (size_t)i, 2);

		if (c == 0)
			break;
		n += put_char(to + n, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
	}
	to[n] = '\0';
}

static void gpt_entries(
	struct reader *r, const uint8_t *e, uint32_t n, uint32_t size)
{
	for (uint32_t i = 0; i < n; i++, e += size) {
		uint64_t first = le(e + 32, 8), last = le(e + 40, 8);
		struct table_part *p;

		if (is_zero(e, 16))
			continue;
		if (last < first || last == UINT64_MAX) {
			broken(r, "a partition ends before it begins");
			continue;
		}
		p = add_part(r, i + 1, first, last - first + 1);
		if (!p)
			continue;
		put_guid(p->type, sizeof(p->type), e);
		put_guid(p->uuid, sizeof(p->uuid), e + 16);
		p->flags = le(e + 48, 8);
		put_utf16(p->name, e + 56);
	}
}

/* Reads the table whose head lies at block at. 1: taken, 0: there is none that
 * makes sense. */
static int gpt_at(struct reader *r, uint64_t at)
{
	CLEANUP_FREE uint8_t *entries = NULL;
	uint8_t head[512];
	uint32_t n, size, length, crc;
	uint64_t where;
	bool inside;
	int err;

	err = read_at(r, head, sizeof(head), at * r->sector, &inside);
	if (err < 0 || !inside || memcmp(head, "EFI PART", 8) != 0)
		return err;
	length = (uint32_t)le(head + 12, 4);
	crc = (uint32_t)le(head + 16, 4);
	memset(head + 16, 0, 4);
	if (length < GPT_HEAD || length > sizeof(head) ||
		table_crc32(head, length) != crc || le(head + 24, 8) != at)
		return 0;
	n = (uint32_t)le(head + 80, 4);
	size = (uint32_t)le(head + 84, 4);
	if (size < 128 || size > GPT_ENTRY_MAX || n == 0 ||
		n > GPT_ENTRIES_MAX / size ||
		__builtin_mul_overflow(
			le(head + 72, 8), (uint64_t)r->sector, &where))
		return 0;
	entries = malloc((size_t)n * size);
	if (!entries)
		return -ENOMEM;
	err = read_at(r, entries, (size_t)n * size, where, &inside);
	if (err < 0 || !inside ||
		table_crc32(entries, (size_t)n * size) != le(head + 88, 4))
		return err;
	r->t->kind = TABLE_GPT;
	put_guid(r->t->id, sizeof(r->t->id), head + 56);
	gpt_entries(r, entries, n, size);
	return 1;
}

/* The blocks of a disk that was copied to another one may be of another size
 * than its table's. */
static int gpt(struct reader *r)
{
	const uint32_t sizes[] = {r->sector, 512, 4096};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		int err;

		r->sector = sizes[i];
		err = gpt_at(r, 1);
		if (err > 0 && i > 0 && sizes[i] != sizes[0])
			broken(r, "it was made for blocks of another size");
		if (err != 0)
			return err;
	}
	r->sector = sizes[0];
	if (r->size / r->sector > 1) {
		int err = gpt_at(r, r->size / r->sector - 1);

		if (err > 0)
			broken(r, "only its copy at the disk's end is whole");
		if (err != 0)
			return err;
	}
	r->t->kind = TABLE_GPT;
	broken(r, "both of its copies are damaged");
	return 1;
}

/* ---- MBR ---- */

static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

static void dos_part(
	struct reader *r, uint32_t number, const uint8_t *e, uint64_t base)
{
	struct table_part *p =
		add_part(r, number, base + le(e + 8, 4), le(e + 12, 4));

	if (!p)
		return;
	(void)snprintf(p->type, sizeof(p->type), "0x%02x", e[4]);
	p->flags = e[0] & 0x80;
	if (r->t->id[0])
		(void)snprintf(p->uuid, sizeof(p->uuid), "%.8s-%02x", r->t->id,
			number & 0xff);
}

/* Follows a chain of extended partitions: each link has one partition, counted
 * from the link, and where the next link is, counted from the first one. */
static int dos_chain(struct reader *r, uint64_t first, uint32_t *number)
{
	uint64_t seen[CHAIN_MAX], at = first;

	for (uint32_t i = 0; i < CHAIN_MAX; i++) {
		uint8_t b[512];
		bool inside, more = false;
		int err = read_at(r, b, sizeof(b), at * r->sector, &inside);

		if (err < 0)
			return err;
		if (!inside || b[510] != 0x55 || b[511] != 0xaa) {
			broken(r, "the chain of extended partitions is broken");
			return 0;
		}
		seen[i] = at;
		for (int k = 0; k < 4; k++) {
			const uint8_t *e = b + MBR_PARTS + k * MBR_ENTRY;

			if (le(e + 12, 4) == 0 || e[4] == 0)
				continue;
			if (!is_extended(e[4])) {
				dos_part(r, (*number)++, e, seen[i]);
			} else if (!more) {
				more = true;
				at = first + le(e + 8, 4);
			}
		}
		if (!more)
			return 0;
		for (uint32_t k = 0; k <= i; k++) {
			if (seen[k] != at)
				continue;
			broken(r, "the chain of extended partitions is a loop");
			return 0;
		}
	}
	broken(r, "it has too many partitions");
	return 0;
}

/* Filesystems may begin with a boot sector, which has the same signature. */
static bool is_table(const uint8_t *b)
{
	bool any = false;

	if (b[510] != 0x55 || b[511] != 0xaa || memcmp(b + 3, "NTFS", 4) == 0 ||
		memcmp(b + 3, "EXFAT", 5) == 0)
		return false;
	for (int i = 0; i < 4; i++) {
		const uint8_t *e = b + MBR_PARTS + i * MBR_ENTRY;

		if (e[0] & 0x7f)
			return false;
		any |= e[4] != 0 && le(e + 12, 4) > 0;
	}
	return any;
}

static int dos(struct reader *r, const uint8_t *b)
{
	uint32_t number = 5;

	r->t->kind = TABLE_DOS;
	(void)snprintf(
		r->t->id, sizeof(r->t->id), "%08x", (unsigned)le(b + 440, 4));
	for (uint32_t i = 0; i < 4; i++) {
		const uint8_t *e = b + MBR_PARTS + i * MBR_ENTRY;

		if (e[4] != 0 && le(e + 12, 4) > 0)
			dos_part(r, i + 1, e, 0);
	}
	for (uint32_t i = 0; i < 4; i++) {
		const uint8_t *e = b + MBR_PARTS + i * MBR_ENTRY;
		int err = 0;

		if (is_extended(e[4]) && le(e + 12, 4) > 0)
			err = dos_chain(r, le(e + 8, 4), &number);
		if (err < 0)
			return err;
	}
	return 0;
}

static enum table_code boot_code(const uint8_t *b)
{
	if (b[510] != 0x55 || b[511] != 0xaa || is_zero(b, 440))
		return TABLE_CODE_NONE;
	return memmem(b, 440, "GRUB ", 5) ? TABLE_CODE_GRUB : TABLE_CODE_OTHER;
}

int table_read(table_read_fn *fn, void *arg, uint64_t size, uint32_t sector,
	struct table *ret)
{
	struct reader r = {fn, arg, size, sector, ret};
	uint8_t b[512], head[8];
	bool inside, known, protective = false;
	int err;

	if (sector < 512 || sector > 65536 || (sector & (sector - 1)) != 0)
		return -EINVAL;
	memset(ret, 0, sizeof(*ret));
	err = read_at(&r, b, sizeof(b), 0, &inside);
	if (err < 0 || !inside)
		return err;
	ret->code = boot_code(b);
	known = is_table(b);
	for (int i = 0; i < 4; i++)
		protective |= b[MBR_PARTS + i * MBR_ENTRY + 4] == 0xee;
	/* A GPT whose protective MBR was overwritten counts as none, as it does
	 * for the kernel. */
	if (known && protective) {
		err = gpt(&r);
		return err < 0 ? err : 0;
	}
	if (known)
		return dos(&r, b);
	err = read_at(&r, head, sizeof(head), sector, &inside);
	if (err == 0 && inside && memcmp(head, "EFI PART", 8) == 0)
		ret->error = "a GPT without its protective MBR";
	return err;
}
