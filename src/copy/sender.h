/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source's half of the copy path: passes over the maps.
 *
 * A pass of kind SEND takes what is dirty, reads it and sends it; one of kind
 * COMPARE takes what is known and unproved and sends digests. Several workers
 * take chunks in the order of the volume, each reads, looks for zeros,
 * compresses or digests, and sends on a free lane. A granule is taken from the
 * dirty map before it is read, so what changes after the read is marked again.
 *
 * Work is counted in epochs. When an epoch's last record is out, a barrier goes
 * down every lane; the target flushes and says that the epoch is durable, and
 * only then are its granules known (SEND) or proved (COMPARE).
 */
#ifndef REHOST_COPY_SENDER_H
#define REHOST_COPY_SENDER_H

#include "base/error.h"
#include "link/lane.h"
#include "track/maps.h"
#include "volume/volume.h"

struct sender;

/* Takes the lanes over. maps, volume and secret stay the caller's. */
int sender_new(struct maps *maps, struct volume *volume,
	const uint8_t secret[SECRET_SIZE], struct lane **lanes, unsigned n,
	struct sender **ret);

/* Runs a pass to its end; blocks. ret is filled in any case; its error's code
 * is zero when all of it is durable or compared. Differences that were found
 * wait until sender_differ. One pass at a time. */
void sender_pass(
	struct sender *s, const struct msg_pass *p, struct msg_pass_done *ret);

/* From other threads, while a pass runs: what the target says. -EPROTO when it
 * cannot be; ignored when the sender has failed. */
int sender_durable(struct sender *s, const struct msg_durable *m);
int sender_mismatch(struct sender *s, const struct msg_mismatch *m);

/* How far the pass is. Any thread. */
void sender_progress(struct sender *s, struct msg_progress *ret);

/* differ_judge (copy/differ.h) on what compare passes found since the last
 * call; call it after the tracker was settled. */
void sender_differ(struct sender *s, bool all, uint64_t *ret_unexplained,
	uint64_t *ret_suspect);

/* Ends the running pass with an error. Any thread. */
void sender_abort(struct sender *s, int code);

/* Ends the lanes and frees. NULL is fine. No pass may be running. */
void sender_free(struct sender *s);

#endif
