/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/nbd.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/codec.h"

#define MAGIC 0x4e42444d41474943ULL  /* "NBDMAGIC" */
#define OPTION 0x49484156454f5054ULL /* "IHAVEOPT" */
#define OPTION_REPLY 0x0003e889045565a9ULL
#define REQUEST 0x25609513U
#define REPLY 0x67446698U

#define FIXED_NEWSTYLE 1
#define NO_ZEROES 2

#define OPTION_HEAD 16
#define REQUEST_HEAD 28
#define REPLY_HEAD 16
#define OPTION_MAX 4200 /* a name of 4096 bytes, and what is around it */

enum {
	OPT_EXPORT_NAME = 1,
	OPT_ABORT,
	OPT_LIST,
	OPT_INFO = 6,
	OPT_GO,
};
enum { INFO_EXPORT = 0, INFO_BLOCK_SIZE = 3 };
#define REP_ACK 1U
#define REP_SERVER 2U
#define REP_INFO 3U
#define REP_ERR_UNSUP 0x80000001U
#define REP_ERR_INVALID 0x80000003U
#define REP_ERR_UNKNOWN 0x80000006U

enum {
	CMD_READ,
	CMD_WRITE,
	CMD_DISC,
	CMD_FLUSH,
	CMD_TRIM,
	CMD_CACHE,
	CMD_WRITE_ZEROES,
};
/* Errors as they are on the wire. */
#define WIRE_EPERM 1
#define WIRE_EIO 5
#define WIRE_EINVAL 22

/* HAS_FLAGS, READ_ONLY, CAN_MULTI_CONN */
#define EXPORT_FLAGS (1U | 2U | 256U)

enum state { HELLO, FLAGS, OPTIONS, REQUESTS, ENDING };

struct nbd {
	uint64_t sizes[NBD_DISKS_MAX];
	uint32_t n_disks;
	nbd_read_fn *read;
	void *arg;

	enum state state;
	bool no_zeroes;
	uint32_t disk; /* that was chosen */

	uint8_t in[NBD_TAKE_MAX];
	size_t n_in;
	uint8_t out[4096]; /* no answer to an option is longer */
	size_t out_at, n_out;

	/* The rest of an answer, or of what a refused write brings. */
	uint64_t read_at;
	uint32_t read_left, skip;
};

int nbd_new(const uint64_t *sizes, uint32_t n, nbd_read_fn *read, void *arg,
	struct nbd **ret)
{
	struct nbd *s;

	if (n > NBD_DISKS_MAX)
		return -E2BIG;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	memcpy(s->sizes, sizes, n * sizeof(*sizes));
	s->n_disks = n;
	s->read = read;
	s->arg = arg;
	*ret = s;
	return 0;
}

void nbd_free(struct nbd *s)
{
	free(s);
}

size_t nbd_room(const struct nbd *s)
{
	return sizeof(s->in) - s->n_in;
}

void nbd_take(struct nbd *s, const void *data, size_t n)
{
	n = MIN(n, nbd_room(s));
	if (n > 0)
		memcpy(s->in + s->n_in, data, n);
	s->n_in += n;
}

static void drop(struct nbd *s, size_t n)
{
	memmove(s->in, s->in + n, s->n_in - n);
	s->n_in -= n;
}

/* ---- answers ---- */

static void put(struct nbd *s, const void *data, size_t n)
{
	/* NBD_DISKS_MAX keeps the longest answer far below. */
	if (n > sizeof(s->out) - s->n_out)
		return;
	if (data)
		memcpy(s->out + s->n_out, data, n);
	else
		memset(s->out + s->n_out, 0, n);
	s->n_out += n;
}

static void put16(struct nbd *s, uint16_t v)
{
	uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	put(s, b, sizeof(b));
}

static void put32(struct nbd *s, uint32_t v)
{
	uint8_t b[4];

	put_be32(b, v);
	put(s, b, sizeof(b));
}

static void put64(struct nbd *s, uint64_t v)
{
	uint8_t b[8];

	put_be64(b, v);
	put(s, b, sizeof(b));
}

static void option_reply(
	struct nbd *s, uint32_t option, uint32_t type, uint32_t n)
{
	put64(s, OPTION_REPLY);
	put32(s, option);
	put32(s, type);
	put32(s, n);
}

static void head(uint8_t at[REPLY_HEAD], uint32_t error, const uint8_t *cookie)
{
	put_be32(at, REPLY);
	put_be32(at + 4, error);
	memcpy(at + 8, cookie, 8);
}

static int refuse(struct nbd *s, uint32_t error, const uint8_t *cookie)
{
	uint8_t b[REPLY_HEAD];

	head(b, error, cookie);
	put(s, b, sizeof(b));
	return 0;
}

/* ---- options ---- */

/* The disk of that name, or -1. */
static int find(const struct nbd *s, const uint8_t *name, size_t n)
{
	char text[12];

	for (uint32_t i = 0; i < s->n_disks; i++) {
		(void)snprintf(text, sizeof(text), "%u", i);
		if (strlen(text) == n && memcmp(text, name, n) == 0)
			return (int)i;
	}
	return -1;
}

static void put_export(struct nbd *s, int disk)
{
	put64(s, s->sizes[disk]);
	put16(s, EXPORT_FLAGS);
}

static int choose_old(struct nbd *s, const uint8_t *data, size_t n)
{
	int disk = find(s, data, n);

	/* There is no answer that says so. */
	if (disk < 0)
		return -EPROTO;
	put_export(s, disk);
	if (!s->no_zeroes)
		put(s, NULL, 124);
	s->disk = (uint32_t)disk;
	s->state = REQUESTS;
	return 0;
}

/* u32 length of the name, the name, u16 count, so many u16. */
static int choose(struct nbd *s, uint32_t option, const uint8_t *data, size_t n)
{
	uint32_t n_name = n >= 6 ? get_be32(data) : UINT32_MAX;
	uint32_t n_infos;
	int disk;

	if (n < 6 || n_name > n - 6) {
		option_reply(s, option, REP_ERR_INVALID, 0);
		return 0;
	}
	n_infos = (uint32_t)data[4 + n_name] << 8 | data[5 + n_name];
	if (n - 6 - n_name != 2ULL * n_infos) {
		option_reply(s, option, REP_ERR_INVALID, 0);
		return 0;
	}
	disk = find(s, data + 4, n_name);
	if (disk < 0) {
		option_reply(s, option, REP_ERR_UNKNOWN, 0);
		return 0;
	}
	option_reply(s, option, REP_INFO, 12);
	put16(s, INFO_EXPORT);
	put_export(s, disk);
	/* Any read will do; pages are best. */
	option_reply(s, option, REP_INFO, 14);
	put16(s, INFO_BLOCK_SIZE);
	put32(s, 1);
	put32(s, 4096);
	put32(s, NBD_READ_MAX);
	option_reply(s, option, REP_ACK, 0);
	if (option == OPT_GO) {
		s->disk = (uint32_t)disk;
		s->state = REQUESTS;
	}
	return 0;
}

static int list(struct nbd *s, size_t n)
{
	char text[12];

	if (n > 0) {
		option_reply(s, OPT_LIST, REP_ERR_INVALID, 0);
		return 0;
	}
	for (uint32_t i = 0; i < s->n_disks; i++) {
		(void)snprintf(text, sizeof(text), "%u", i);
		option_reply(
			s, OPT_LIST, REP_SERVER, (uint32_t)strlen(text) + 4);
		put32(s, (uint32_t)strlen(text));
		put(s, text, strlen(text));
	}
	option_reply(s, OPT_LIST, REP_ACK, 0);
	return 0;
}

/* 1 when something was done, 0 when the client is to say more. */
static int serve_option(struct nbd *s)
{
	uint32_t option, n;
	int r = 0;

	if (s->n_in < OPTION_HEAD)
		return 0;
	option = get_be32(s->in + 8);
	n = get_be32(s->in + 12);
	if (get_be64(s->in) != OPTION || n > OPTION_MAX)
		return -EPROTO;
	if (s->n_in - OPTION_HEAD < n)
		return 0;
	switch (option) {
	case OPT_EXPORT_NAME:
		r = choose_old(s, s->in + OPTION_HEAD, n);
		break;
	case OPT_ABORT:
		option_reply(s, option, REP_ACK, 0);
		s->state = ENDING;
		break;
	case OPT_LIST:
		r = list(s, n);
		break;
	case OPT_INFO:
	case OPT_GO:
		r = choose(s, option, s->in + OPTION_HEAD, n);
		break;
	default:
		option_reply(s, option, REP_ERR_UNSUP, 0);
		break;
	}
	drop(s, OPTION_HEAD + n);
	return r < 0 ? r : 1;
}

static int serve_flags(struct nbd *s)
{
	uint32_t flags;

	if (s->n_in < 4)
		return 0;
	flags = get_be32(s->in);
	drop(s, 4);
	/* Older clients than that are not spoken to. */
	if (!(flags & FIXED_NEWSTYLE) ||
		(flags & ~(uint32_t)(FIXED_NEWSTYLE | NO_ZEROES)))
		return -EPROTO;
	s->no_zeroes = flags & NO_ZEROES;
	s->state = OPTIONS;
	return 1;
}

/* ---- requests ---- */

/* The first piece of an answer. It is read before the answer says that it is
 * one, as nothing can take that back. */
static ssize_t begin_read(struct nbd *s, const uint8_t *cookie, uint64_t off,
	uint32_t n, uint8_t *buf, size_t size)
{
	uint32_t piece = (uint32_t)MIN((size_t)n, size - REPLY_HEAD);

	if (s->read(s->arg, s->disk, buf + REPLY_HEAD, piece, off) < 0) {
		head(buf, WIRE_EIO, cookie);
		return REPLY_HEAD;
	}
	head(buf, 0, cookie);
	s->read_at = off + piece;
	s->read_left = n - piece;
	return (ssize_t)(REPLY_HEAD + piece);
}

static ssize_t go_on_reading(struct nbd *s, uint8_t *buf, size_t size)
{
	uint32_t piece = (uint32_t)MIN((size_t)s->read_left, size);

	if (s->read(s->arg, s->disk, buf, piece, s->read_at) < 0)
		return -EIO;
	s->read_at += piece;
	s->read_left -= piece;
	return (ssize_t)piece;
}

/* Bytes that were put into buf; 0: none, *ret_more when something was done. */
static ssize_t serve_request(
	struct nbd *s, uint8_t *buf, size_t size, bool *ret_more)
{
	uint64_t off, bytes = s->sizes[s->disk];
	uint8_t cookie[8];
	uint32_t flags, type, n;

	*ret_more = false;
	if (s->n_in < REQUEST_HEAD)
		return 0;
	if (get_be32(s->in) != REQUEST)
		return -EPROTO;
	flags = get_be32(s->in + 4) >> 16;
	type = get_be32(s->in + 4) & 0xffff;
	memcpy(cookie, s->in + 8, sizeof(cookie));
	off = get_be64(s->in + 16);
	n = get_be32(s->in + 24);
	drop(s, REQUEST_HEAD);
	*ret_more = true;
	switch (type) {
	case CMD_READ:
		if (flags || n == 0 || n > NBD_READ_MAX || off >= bytes ||
			n > bytes - off)
			return refuse(s, WIRE_EINVAL, cookie);
		return begin_read(s, cookie, off, n, buf, size);
	case CMD_WRITE:
		if (n > NBD_READ_MAX)
			return -EPROTO;
		s->skip = n;
		return refuse(s, WIRE_EPERM, cookie);
	case CMD_TRIM:
	case CMD_WRITE_ZEROES:
		return refuse(s, WIRE_EPERM, cookie);
	case CMD_DISC:
		return -EPIPE;
	default:
		return refuse(s, WIRE_EINVAL, cookie);
	}
}

static void begin(struct nbd *s)
{
	put64(s, MAGIC);
	put64(s, OPTION);
	put16(s, FIXED_NEWSTYLE | NO_ZEROES);
	s->state = FLAGS;
}

static ssize_t give_out(struct nbd *s, void *buf, size_t size)
{
	size_t n = MIN(size, s->n_out - s->out_at);

	memcpy(buf, s->out + s->out_at, n);
	s->out_at += n;
	if (s->out_at == s->n_out)
		s->out_at = s->n_out = 0;
	return (ssize_t)n;
}

ssize_t nbd_give(struct nbd *s, void *buf, size_t size)
{
	bool more = true;
	ssize_t r = 0;

	while (more && r == 0) {
		if (s->n_out > 0)
			return give_out(s, buf, size);
		if (s->read_left > 0)
			return go_on_reading(s, buf, size);
		if (s->skip > 0) {
			size_t n = MIN(s->n_in, (size_t)s->skip);

			drop(s, n);
			s->skip -= (uint32_t)n;
			if (s->skip > 0)
				return 0;
		}
		switch (s->state) {
		case HELLO:
			begin(s);
			break;
		case FLAGS:
			r = serve_flags(s);
			more = r > 0;
			r = MIN(r, (ssize_t)0);
			break;
		case OPTIONS:
			r = serve_option(s);
			more = r > 0;
			r = MIN(r, (ssize_t)0);
			break;
		case REQUESTS:
			r = serve_request(s, buf, size, &more);
			break;
		case ENDING:
			return -EPIPE;
		}
	}
	return r;
}
