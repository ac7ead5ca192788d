/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's half of the NBD protocol, for reading alone: "fixed newstyle"
 * with simple replies, as in doc/proto.md of
 * https://github.com/NetworkBlockDevice/nbd. One object is one connection. It
 * opens nothing: bytes of the client are put in, bytes for it are taken out.
 *
 * The client is whoever reaches the socket: every byte of it is checked, and
 * what it can make us keep is bounded. Writes are refused, whatever they say.
 * Disks are exported by number: "0", "1" and so on.
 *
 * One thread.
 */
#ifndef REHOST_WIRE_NBD_H
#define REHOST_WIRE_NBD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

#define NBD_DISKS_MAX 64
#define NBD_READ_MAX (32U * 1024 * 1024) /* of one request */
#define NBD_TAKE_MAX 8192		 /* what it keeps of the client */
#define NBD_GIVE_MIN 512		 /* what nbd_give must have room for */

struct nbd;

/* Reads n bytes of a disk, all inside of it. 0 or negative errno. */
typedef int nbd_read_fn(
	void *arg, uint32_t disk, void *buf, uint32_t n, uint64_t off);

/* A new connection to these disks. -ENOMEM, -E2BIG. */
int nbd_new(const uint64_t *sizes, uint32_t n, nbd_read_fn *read, void *arg,
	struct nbd **ret) MUST_CHECK;

/* NULL is fine. */
void nbd_free(struct nbd *s);

/* How many bytes nbd_take will take now. */
size_t nbd_room(const struct nbd *s);

/* Takes bytes of the client, at most nbd_room. */
void nbd_take(struct nbd *s, const void *data, size_t n);

/* The next bytes for the client; size is at least NBD_GIVE_MIN. Their number; 0
 * when the client is to speak; -EPIPE when it has said good-bye, -EPROTO when
 * it said what no client may, -EIO when a disk failed in the middle of an
 * answer: then the connection is to be closed. */
ssize_t nbd_give(struct nbd *s, void *buf, size_t size) MUST_CHECK;

#endif
