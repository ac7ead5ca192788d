/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/cpio.h"

#include <errno.h>
#include <string.h>

#define TRAILER "TRAILER!!!"

void cpio_begin(struct cpio *c, cpio_fn *fn, void *arg)
{
	c->fn = fn;
	c->arg = arg;
	c->state = CPIO_BETWEEN;
	c->skip = c->data = c->entries = 0;
	c->have = c->want = c->name_size = 0;
}

static void expect_head(struct cpio *c)
{
	c->state = CPIO_IN_HEAD;
	c->have = 0;
	c->want = CPIO_HEAD;
}

/* Eight hexadecimal digits. */
static bool hex(const char *s, uint32_t *ret)
{
	uint32_t v = 0;

	for (int i = 0; i < 8; i++) {
		char c = s[i] | 0x20;

		if (s[i] >= '0' && s[i] <= '9')
			v = v << 4 | (uint32_t)(s[i] - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint32_t)(c - 'a' + 10);
		else
			return false;
	}
	*ret = v;
	return true;
}

/* A head and its name, and the bytes of a file, are filled up to four. */
static size_t padding(uint64_t n)
{
	return (size_t)(-n & 3);
}

static int take_head(struct cpio *c)
{
	uint32_t size, name;

	if ((memcmp(c->buf, "070701", 6) != 0 &&
		    memcmp(c->buf, "070702", 6) != 0) ||
		!hex(c->buf + 54, &size) || !hex(c->buf + 94, &name) ||
		name == 0 || name > CPIO_NAME_MAX)
		return -EBADMSG;
	c->data = size;
	c->have = 0;
	c->want = name + padding(CPIO_HEAD + (uint64_t)name);
	c->name_size = name;
	c->state = CPIO_IN_NAME;
	return 0;
}

static int take_name(struct cpio *c)
{
	size_t n = c->name_size - 1;
	const char *name = c->buf;

	if (c->buf[n] != '\0')
		return -EBADMSG;
	c->skip = c->data + padding(c->data);
	c->have = 0;
	if (strcmp(name, TRAILER) == 0) {
		c->state = CPIO_BETWEEN;
		return 0;
	}
	c->state = CPIO_IN_DATA;
	c->entries++;
	while (n > 0 && (name[0] == '/' ||
				(n > 1 && name[0] == '.' && name[1] == '/'))) {
		n -= name[0] == '/' ? 1 : 2;
		name += name[0] == '/' ? 1 : 2;
	}
	if (n > 0)
		c->fn(c->arg, name, n);
	return 0;
}

/* Collects what is wanted; whether it is all there. */
static bool collect(struct cpio *c, const uint8_t **p, size_t *n)
{
	size_t k = MIN(c->want - c->have, *n);

	memcpy(c->buf + c->have, *p, k);
	c->have += k;
	*p += k;
	*n -= k;
	return c->have == c->want;
}

static void pass(struct cpio *c, const uint8_t **p, size_t *n)
{
	size_t k = (size_t)MIN(c->skip, (uint64_t)*n);

	c->skip -= k;
	*p += k;
	*n -= k;
	if (c->skip == 0)
		expect_head(c);
}

/* The trailer's own data, and zeros; false when something else begins. */
static bool between(struct cpio *c, const uint8_t **p, size_t *n)
{
	while (*n > 0 && **p == 0) {
		(*p)++;
		(*n)--;
	}
	if (*n == 0)
		return true;
	if (**p != '0')
		return false;
	expect_head(c);
	return true;
}

int cpio_feed(struct cpio *c, const uint8_t *p, size_t n, size_t *ret_used)
{
	size_t all = n;
	int r = 0;

	while (n > 0 && r == 0) {
		switch (c->state) {
		case CPIO_BETWEEN:
			r = between(c, &p, &n) ? 0 : 1;
			break;
		case CPIO_IN_HEAD:
			if (collect(c, &p, &n))
				r = take_head(c);
			break;
		case CPIO_IN_NAME:
			if (collect(c, &p, &n))
				r = take_name(c);
			/* An empty file has nothing to pass. */
			if (c->state == CPIO_IN_DATA && c->skip == 0)
				expect_head(c);
			break;
		case CPIO_IN_DATA:
			pass(c, &p, &n);
			break;
		}
	}
	*ret_used = all - n;
	return r;
}

uint64_t cpio_skippable(const struct cpio *c)
{
	return c->state == CPIO_IN_DATA ? c->skip : 0;
}

void cpio_skipped(struct cpio *c, uint64_t n)
{
	c->skip -= MIN(n, c->skip);
	if (c->state == CPIO_IN_DATA && c->skip == 0)
		expect_head(c);
}
