/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane: one stream that carries records from the source's agent to the
 * target's, in that direction only.
 *
 * Either a TCP connection with TLS 1.3 (RFC 8446) and a one-time external
 * pre-shared key (OpenSSL's psk_use_session/find_session callbacks,
 * TLS_AES_128_GCM_SHA256, X25519, no certificates), or a plain descriptor when
 * the stream is relayed through the controller's ssh connections, which encrypt
 * it already. What travels on it is the same.
 *
 * One thread at a time may use a lane. Sending on a socket raises no SIGPIPE;
 * on a plain lane over a pipe it does, so main ignores SIGPIPE.
 *
 * OpenSSL is told to read no configuration, which works only when nothing in
 * the process has used it before.
 */
#ifndef REHOST_LINK_LANE_H
#define REHOST_LINK_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

#define LANE_KEY_SIZE 32

struct lane;
struct lane_listener;

/* Listens on TCP for lanes that know the key, on all addresses, IPv6 and IPv4,
 * on the first free port of low to high (0, 0: any). -EADDRINUSE when none is
 * free. */
int lane_listen(unsigned low, unsigned high, const uint8_t key[LANE_KEY_SIZE],
	struct lane_listener **ret, struct error *err);

unsigned lane_listener_port(const struct lane_listener *ll);

/* Waits up to timeout_ms for the next lane that has shaken hands. Handshakes
 * run side by side and go on in the next call; a connection that does not know
 * the key, or takes longer than 10 s over it, is dropped. So a stranger can
 * neither join nor hold up a move. -ETIMEDOUT, -ECANCELED after
 * lane_listener_shutdown. One thread at a time. */
int lane_accept(struct lane_listener *ll, unsigned timeout_ms,
	struct lane **ret, uint32_t *ret_number, struct error *err);

/* Ends a blocked lane_accept of another thread, and every later one. */
void lane_listener_shutdown(struct lane_listener *ll);

/* Stops listening; handshakes that are not done are dropped. NULL is fine. */
void lane_listener_free(struct lane_listener *ll);

/* Connects to a numeric address ("192.0.2.1", "2001:db8::1") within
 * timeout_ms and shakes hands. number is the lane's, sent inside TLS so that
 * the other side knows which lane it accepted. -EKEYREJECTED when the other
 * side does not know the key; -ETIMEDOUT; other negative errno. */
int lane_connect(const char *address, unsigned port,
	const uint8_t key[LANE_KEY_SIZE], uint32_t number, unsigned timeout_ms,
	struct lane **ret, struct error *err);

/* Makes a lane of a plain stream descriptor (socket or pipe), which it then
 * owns and makes non-blocking. On failure the caller keeps it. */
int lane_plain(int fd, struct lane **ret);

/* Sends all of the parts, blocking; small parts share a TLS record with what
 * follows. 0 or negative errno; after an error the lane is of no more use.
 * -ETIMEDOUT when the peer took nothing for 60 s, -EPIPE or -ECONNRESET when it
 * has gone, -ECANCELED after lane_shutdown. */
int lane_send(struct lane *l, const struct iovec *parts, int n);

/* Receives exactly n bytes, blocking for as long as the peer's machine is
 * there: a dead one is noticed within about 30 s (-ETIMEDOUT). 0, -EPIPE at a
 * clean end before the first byte, -ECONNRESET at one in the middle or at an
 * end which the peer did not announce (TLS only), -EBADMSG when what came was
 * not sealed with the key, -ECANCELED, or other negative errno. */
int lane_receive(struct lane *l, void *buf, size_t n);

/* Ends blocked sends and receives of another thread with -ECANCELED, and every
 * later one; may be called beside them. */
void lane_shutdown(struct lane *l);

/* Bytes that went through, headers of TLS not counted. May be called beside
 * sends and receives. */
uint64_t lane_bytes(const struct lane *l);

/* Bytes that were sent and that the other side has not acknowledged; 0 where
 * the kernel does not tell (SIOCOUTQ, tcp(7), unix(7)). May be called beside
 * sends. */
uint64_t lane_queued(const struct lane *l);

/* Other limits than the usual ones, 0 for no change: how long a send waits for
 * a peer that takes nothing, and after how many bytes the sending key is
 * renewed (64 GiB; RFC 8446 section 5.5 allows some 380). */
void lane_set_limits(struct lane *l, unsigned send_ms, uint64_t rekey_bytes);

/* Announces the end to the peer, unless the lane failed or was shut down,
 * closes and frees. NULL is fine. */
void lane_free(struct lane *l);

#endif
