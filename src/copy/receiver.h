/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target's half of the copy path: takes records from lanes, writes or
 * compares, flushes at the end of each epoch and says so.
 *
 * Every byte that arrives is taken for hostile: what is not a possible record,
 * or reaches outside the volume, ends the receiver with an error before
 * anything of it is written.
 *
 * Blocks that carry signatures are withheld: kept in memory, compared there,
 * and written only by receiver_publish, so that a half-made replica is not
 * taken for a filesystem by anything.
 */
#ifndef REHOST_COPY_RECEIVER_H
#define REHOST_COPY_RECEIVER_H

#include "base/error.h"
#include "link/lane.h"
#include "volume/volume.h"
#include "wire/message.h"

/* The withheld blocks of one target; may outlive several receivers. */
struct withheld {
	uint32_t n;
	struct {
		uint64_t offset;
		uint32_t n;
		bool filled; /* its contents have arrived */
		uint8_t data[SIGNATURE_BLOCK];
	} v[PROBE_SIGNATURES_MAX * 4];
};

/* Rounds the ranges to whole blocks inside size. -ERANGE when they are outside
 * or too many. */
int withheld_init(struct withheld *w, const struct msg_extent *v, uint32_t n,
	uint64_t size) MUST_CHECK;

/* Called from the receiver's threads. */
struct receiver_events {
	/* An epoch is durable; or, with error->code, nothing more comes. */
	void (*durable)(void *arg, struct msg_durable *m);
	/* Differences, before their epoch's durable. */
	void (*mismatch)(void *arg, struct msg_mismatch *m);
	void *arg;
};

struct receiver;

/* Starts receiving; takes the lanes over. volume, secret and withheld stay the
 * caller's and must outlive it. */
int receiver_start(struct volume *volume, const uint8_t secret[SECRET_SIZE],
	struct withheld *withheld, struct lane **lanes, unsigned n,
	const struct receiver_events *events, struct receiver **ret);

/* Ends the lanes, joins the threads, frees. NULL is fine. */
void receiver_stop(struct receiver *r);

/* Fills a withheld block that another process received with b, or with what is
 * on the volume if that is neither removed nor b: it was published then. A disk
 * that ends within a block has less of it, and zeros follow. -EPROTO when b is
 * none that is withheld. */
int receiver_restore(struct volume *volume, struct withheld *w,
	const struct msg_block *b, struct error *err);

/* Writes the withheld blocks, flushes, and reads them back from the disk.
 * -ENODATA when one of them never arrived. No receiver may be writing. */
int receiver_publish(
	struct volume *volume, const struct withheld *w, struct error *err);

/* Reads what the volume will be once it is published; offset and length as for
 * the volume. No receiver may be writing. */
int receiver_read(struct volume *volume, const struct withheld *w, void *buf,
	uint64_t n, uint64_t off) MUST_CHECK;

/* Makes the withheld blocks of the volume zero and flushes. */
int receiver_wipe(
	struct volume *volume, const struct withheld *w, struct error *err);

#endif
