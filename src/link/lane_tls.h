/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of lanes: an SSL object over a non-blocking socket, with the key as its
 * only means of knowing the other side. Only lane.c uses it.
 */
#ifndef REHOST_LINK_LANE_TLS_H
#define REHOST_LINK_LANE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LANE_TLS_KEY_SIZE 32

/* Payload of a full record. */
#define LANE_TLS_RECORD 16384

struct lane_tls;

/* Results of the calls below besides 0: what to poll(2) for before the same
 * call is made again. Negative: errno, and the connection is of no more use. */
#define LANE_TLS_WANT_READ 1
#define LANE_TLS_WANT_WRITE 2

/* Makes TLS over fd, which stays the caller's and must outlive it. */
int lane_tls_new(int fd, bool server, const uint8_t key[LANE_TLS_KEY_SIZE],
	struct lane_tls **ret);

/* Shakes hands. -EKEYREJECTED when the other side does not know the key or
 * speaks something else; -ECONNRESET when it hung up. Forgets the key at the
 * end. */
int lane_tls_handshake(struct lane_tls *t);

/* Takes up to one record, which leaves when enough is gathered or with the
 * flush. more says that further data follows at once. After a want the same
 * data must be given again. */
int lane_tls_write(struct lane_tls *t, const void *buf, size_t n, bool more,
	size_t *ret_n);

/* Sends what is gathered. */
int lane_tls_flush(struct lane_tls *t);

/* Receives at least one byte. -EPIPE at an announced end, -ECONNRESET at any
 * other, -EBADMSG at data that was not sealed with the key. */
int lane_tls_read(struct lane_tls *t, void *buf, size_t n, size_t *ret_n);

/* Renews the key that seals what is sent from here on. */
int lane_tls_rekey(struct lane_tls *t);

/* Announces the end. */
int lane_tls_end(struct lane_tls *t);

void lane_tls_free(struct lane_tls *t);

#endif
