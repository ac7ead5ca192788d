/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeper and agent of a source share: the maps of the volume and the
 * keeper's state, in one memory file, so that neither's death loses anything
 * that the other knows.
 *
 * A bit stands for one granule (4 KiB, more for very large volumes).
 *
 *	dirty     has to be sent
 *	inflight  was read and sent, the target has not said that it is durable
 *	known     the target has durably what the source had when it was read
 *	unproved  known, but not proved by digests since it was last sent
 *
 *	used      is in use by the filesystem, as of the last used map
 *
 * A granule is set in the next map before it leaves the one before, so a crash
 * at any point can only make more work, never less.
 */
#ifndef REHOST_TRACK_MAPS_H
#define REHOST_TRACK_MAPS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bitmap.h"
#include "base/error.h"
#include "wire/message.h"

/* One of the volumes that move together, behind one another: see
 * volume/joined.h. */
struct maps_disk {
	char path[4096]; /* resolved */
	uint32_t kind;	 /* enum volume_kind */
	uint32_t major, minor;
	uint64_t start, size; /* bytes */
};

struct maps_shared {
	uint64_t magic;
	char build[BUILD_SIZE];
	char name[64]; /* of the move */
	uint64_t id;   /* of the keeper, random, below 2^63 */
	uint64_t size; /* of the volume, bytes */
	uint32_t granule;
	_Atomic uint32_t phase;	   /* enum keeper_phase */
	_Atomic uint32_t hold;	   /* enum hold_kind */
	_Atomic uint32_t fence;	   /* enum fence_kind */
	_Atomic uint64_t written;  /* bytes written inside the volume */
	_Atomic uint32_t tracking; /* a tracker runs and is not lost */
	char reason[512];	   /* why not; written before tracking */
	/* The used map is of the frozen filesystem: what is free now stays
	 * free until the thaw, and nothing of it has to be sent. */
	_Atomic uint32_t used_holds;
	/* Discards of which nobody knows what they covered: see tracker.h. */
	_Atomic uint64_t vague;
	uint32_t n_disks;
	struct maps_disk disks[VOLUMES_MAX];
	/* In the order in which they were taken; set before it is done. */
	_Atomic uint32_t n_held;
	struct msg_held_mount held[HELD_MAX];
	uint32_t n_saved; /* blocks removed by the fence */
	struct msg_block saved[PROBE_SIGNATURES_MAX];
	/* The cutover that is under way, with its rollback hooks; the process
	 * group of the hook that runs, or 0; and how the source went back, the
	 * last time. */
	struct msg_arm arm;
	_Atomic int hook_group;
	struct msg_hooks_result rollback;
};

/* Something of the source could not be let go; the first reason is kept. */
void maps_stuck(struct maps_shared *s, const struct error *err);

struct maps {
	struct maps_shared *shared;
	int fd;
	uint64_t bytes;
	uint64_t granules;
	struct bitmap dirty, inflight, known, unproved, used;
};

/* The granule for a volume of this size, so that a map stays under 16 MiB (up
 * to 32 TiB): 4 KiB to 256 KiB. */
uint32_t maps_granule(uint64_t size);

/* Makes new maps: nothing is known. 0 or negative errno. */
int maps_create(uint64_t size, uint32_t granule, struct maps *ret);

/* Maps what another process made; fd then belongs to ret. -EPROTO when it is
 * not what this build makes. */
int maps_attach(int fd, struct maps *ret);

/* Hands the maps to the process at the other end of a connected Unix socket
 * (SCM_RIGHTS, unix(7)), which takes them as maps_attach does. Both block. */
int maps_send(const struct maps *m, int conn);
int maps_receive(int conn, struct maps *ret);

/* Unmaps and closes; a zeroed struct is fine. */
void maps_close(struct maps *m);

/* Marks bytes dirty; any range, cut to the volume, rounded outwards. */
void maps_mark(struct maps *m, uint64_t offset, uint64_t bytes);

/* What a filesystem discarded is free. It no longer has to be equal on both
 * sides; if it is used again, the used map finds it unknown. What is on its way
 * was read before, perhaps: it goes again, or its arrival would make it known.
 * The same range as maps_mark; a sender may run meanwhile. All of the volume is
 * what the tracker says when it does not know: that only counts as vague, and
 * the used map tells later what is free. */
void maps_discard(struct maps *m, uint64_t offset, uint64_t bytes);

/* The next run, at most max long, that has to be sent: what is dirty, but for
 * what is free for sure. */
bool maps_next_dirty(const struct maps *m, uint64_t from, uint64_t max,
	uint64_t *ret_first, uint64_t *ret_n);

/* How many bytes that are. */
uint64_t maps_dirty(const struct maps *m);

/* A sample of what is used, spread over all of it, becomes dirty, and nothing
 * else is: pieces of piece bytes, about bytes together. shift, 0 to 99, moves
 * them on by so many hundredths of the way to the next one, so that several
 * samples need not be the same blocks. What is known was sent by an earlier
 * one: it is left out, as caches would give it sooner, until too little else is
 * left; then nothing is known any more. */
void maps_sample(
	struct maps *m, uint64_t bytes, uint64_t piece, unsigned shift);

/* A run of granules as bytes of the volume (the last one may be cut). */
uint64_t maps_bytes(const struct maps *m, uint64_t first, uint64_t n);

/* Bytes that a map holds, at most the volume's size. */
uint64_t maps_count(const struct maps *m, const struct bitmap *b);

#endif
