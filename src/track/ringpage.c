/* SPDX-License-Identifier: Apache-2.0 */
#include "track/ringpage.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "base/parse.h"

#define COMMIT_FLAGS (3U << 30) /* RB_MISSED_EVENTS, RB_MISSED_STORED */
#define NO_SECTOR UINT64_MAX

/* type_len of a ring buffer event's first word. */
#define TYPE_PADDING 29
#define TYPE_TIME_EXTEND 30
#define TYPE_TIME_STAMP 31

/* Reads the decimal number behind key in [s, end). */
static bool number_after(
	const char *s, const char *end, const char *key, uint32_t *ret)
{
	const char *p = memmem(s, (size_t)(end - s), key, strlen(key));
	char digits[16];
	size_t n = 0;
	uint64_t v;

	if (!p)
		return false;
	p += strlen(key);
	while (p < end && *p == ' ')
		p++;
	while (p + n < end && n < sizeof(digits) - 1 &&
		isdigit((unsigned char)p[n])) {
		digits[n] = p[n];
		n++;
	}
	digits[n] = '\0';
	if (parse_u64(digits, &v) < 0 || v > RINGPAGE_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

/* Whether the declaration [s, end), as "unsigned int nr_sector" or "char
 * rwbs[10]", is that of name. */
static bool declares(const char *s, const char *end, const char *name)
{
	const char *bracket = memchr(s, '[', (size_t)(end - s));
	size_t n = strlen(name);

	/* An array of a type, "char[] cmd", has its brackets in front. */
	if (bracket && !memchr(bracket, ' ', (size_t)(end - bracket)))
		end = bracket;
	return (size_t)(end - s) > n && end[-(ptrdiff_t)n - 1] == ' ' &&
	       memcmp(end - n, name, n) == 0;
}

/* Finds a line "field:TYPE NAME; offset:N; size:N; …". */
static int find_field(
	const char *text, const char *name, struct ringpage_field *ret)
{
	while (*text) {
		const char *end = text + strcspn(text, "\n");
		const char *field =
			memmem(text, (size_t)(end - text), "field:", 6);
		const char *semicolon =
			field ? memchr(field, ';', (size_t)(end - field))
			      : NULL;
		struct ringpage_field f;

		if (semicolon && declares(field, semicolon, name)) {
			if (!number_after(semicolon, end, "offset:", &f.at) ||
				!number_after(semicolon, end, "size:", &f.size))
				return -EBADMSG;
			*ret = f;
			return 0;
		}
		text = *end ? end + 1 : end;
	}
	return -EBADMSG;
}

int ringpage_header(const char *text, struct ringpage_format *f)
{
	struct ringpage_field commit, data;

	if (find_field(text, "commit", &commit) < 0 ||
		find_field(text, "data", &data) < 0)
		return -EBADMSG;
	if ((commit.size != 4 && commit.size != 8) ||
		commit.at + commit.size > data.at || data.size < 8 ||
		data.at + data.size > RINGPAGE_MAX)
		return -EBADMSG;
	f->commit = commit;
	f->data = data;
	f->page_size = data.at + data.size;
	return 0;
}

int ringpage_format(const char *text, struct ringpage_format *f)
{
	struct ringpage_format new = *f;
	const struct {
		const char *name;
		struct ringpage_field *field;
		uint32_t min, max; /* sizes */
	} fields[] = {
		{"common_type", &new.type, 2, 2},
		{"dev", &new.dev, 4, 4},
		{"sector", &new.sector, 8, 8},
		{"nr_sector", &new.sectors, 4, 4},
		{"rwbs", &new.rwbs, 1, 64},
	};

	if (!number_after(text, text + strlen(text), "ID:", &new.id) ||
		new.id == 0 || new.id > UINT16_MAX)
		return -EBADMSG;
	new.event_size = 0;
	for (unsigned i = 0; i < ARRAY_LEN(fields); i++) {
		const struct ringpage_field *at = fields[i].field;

		if (find_field(text, fields[i].name, fields[i].field) < 0 ||
			at->size < fields[i].min || at->size > fields[i].max)
			return -EBADMSG;
		new.event_size = MAX(new.event_size, at->at + at->size);
	}
	*f = new;
	return 0;
}

enum ringpage_kind ringpage_kind(
	const char *rwbs, size_t n, uint64_t sector, uint32_t sectors)
{
	size_t at = 0;

	/* Requests without a place are flushes and passthrough commands; the
	 * disk's count leaves both out. */
	if (sectors == 0 || sector == NO_SECTOR)
		return RINGPAGE_IGNORE;
	/* A flush that comes before the request itself. */
	if (n > 1 && rwbs[0] == 'F')
		at = 1;
	if (at < n && rwbs[at] == 'R')
		return RINGPAGE_IGNORE;
	if (at < n && rwbs[at] == 'D')
		return at + 1 < n && rwbs[at + 1] == 'E' ? RINGPAGE_WRITE
							 : RINGPAGE_DISCARD;
	/* 'W', 'N' (zeroes), and what a later kernel may invent. */
	return RINGPAGE_WRITE;
}

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static int take_event(const struct ringpage_format *f, const uint8_t *p,
	size_t n, ringpage_fn *fn, void *arg)
{
	struct ringpage_event e;
	uint32_t dev;
	uint16_t type;

	if (n < f->type.at + sizeof(type))
		return -EBADMSG;
	memcpy(&type, p + f->type.at, sizeof(type));
	if (type != f->id)
		return 0;
	if (n < f->event_size)
		return -EBADMSG;
	dev = load32(p + f->dev.at);
	e.major = dev >> 20;
	e.minor = dev & ((1U << 20) - 1);
	e.sector = load64(p + f->sector.at);
	e.sectors = load32(p + f->sectors.at);
	e.kind = ringpage_kind((const char *)p + f->rwbs.at, f->rwbs.size,
		e.sector, e.sectors);
	fn(arg, &e);
	return 0;
}

/* What the first words of a ring buffer event say about it. */
struct item {
	size_t size;	     /* all of it; 0: nothing follows on this page */
	size_t payload;	     /* where the payload begins; 0: has none */
	size_t payload_size; /* bytes */
};

static int take_item(const uint8_t *p, size_t n, struct item *ret)
{
	struct item item = {0};
	uint32_t word, type_len, delta, length = 0;

	if (n < 4)
		return -EBADMSG;
	word = load32(p);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	type_len = word >> 27;
	delta = word & ((1U << 27) - 1);
#else
	type_len = word & 31;
	delta = word >> 5;
#endif
	if (type_len == 0 || (type_len == TYPE_PADDING && delta != 0)) {
		if (n < 8)
			return -EBADMSG;
		length = load32(p + 4);
		if (length < 4 || length > n - 4)
			return -EBADMSG;
	}
	switch (type_len) {
	case TYPE_PADDING:
		item.size = delta ? length + 4 : 0;
		break;
	case TYPE_TIME_EXTEND:
	case TYPE_TIME_STAMP:
		item.size = 8;
		break;
	case 0: /* the length stands in a word of its own */
		item.size = (length + 4 + 3) & ~(size_t)3;
		item.payload = 8;
		item.payload_size = length - 4;
		break;
	default:
		item.payload_size = type_len * 4;
		item.payload = 4;
		item.size = item.payload_size + 4;
	}
	if (item.size > n)
		return -EBADMSG;
	*ret = item;
	return 0;
}

int ringpage_parse(const struct ringpage_format *f, const void *page, size_t n,
	ringpage_fn *fn, void *arg)
{
	const uint8_t *p = page;
	uint64_t word;
	uint32_t commit;

	if (n < f->data.at)
		return -EBADMSG;
	/* The flags are added as negative numbers: above them are their
	 * signs. */
	word = f->commit.size == 8
		       ? load64(p + f->commit.at)
		       : (uint64_t)(int32_t)load32(p + f->commit.at);
	if (word != (uint64_t)(int32_t)word)
		return -EBADMSG;
	commit = (uint32_t)word & ~COMMIT_FLAGS;
	p += f->data.at;
	if (commit > n - f->data.at)
		return -EBADMSG;
	n = commit;
	while (n > 0) {
		struct item item;
		int r = take_item(p, n, &item);

		if (r == 0 && item.payload)
			r = take_event(f, p + item.payload, item.payload_size,
				fn, arg);
		if (r < 0)
			return r;
		if (item.size == 0)
			break;
		p += item.size;
		n -= item.size;
	}
	return word & COMMIT_FLAGS ? -ENODATA : 0;
}
