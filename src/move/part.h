/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A part: one thing that moves. The move walks all of its parts through the
 * phases; what a phase means for a kind of part is in the part's operations.
 * Adding a kind is adding one file under parts/ and a line in its table.
 *
 * Every operation may be repeated: after a kill the move does a phase again
 * that it had begun. All of them fill err on failure; NULL means that the kind
 * has nothing to do in that phase.
 */
#ifndef REHOST_MOVE_PART_H
#define REHOST_MOVE_PART_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct move;
struct part;

/* How far the replica is behind. */
struct backlog {
	uint64_t bytes;	      /* to send */
	uint64_t unproved;    /* to prove */
	uint64_t rate;	      /* bytes a second, as last measured; 0 unknown */
	uint64_t dirty_rate;  /* bytes a second that the source writes */
	uint64_t forecast_ms; /* offline if the cutover began now, no hooks */
	bool known;	      /* false before the seed is complete */
};

struct part_ops {
	const char *kind;

	/* After an earlier process died: gives the source back if nobody did.
	 */
	int (*recover)(struct part *p, struct error *err);
	/* Attaches to what an earlier process left at work; -ENOENT when it is
	 * gone. */
	int (*attach)(struct part *p, struct error *err);
	/* Looks at both ends and refuses what cannot work. Writes nothing. */
	int (*inspect)(struct part *p, struct error *err);
	/* Makes both ends ready: tracker, target, lanes. */
	int (*prepare)(struct part *p, struct error *err);
	/* The first full copy; after a resume, what is missing of it. */
	int (*seed)(struct part *p, struct error *err);
	/* One round; ret tells how it stands afterwards. */
	int (*follow)(struct part *p, struct backlog *ret, struct error *err);
	/* The cutover is about to begin. */
	int (*approach)(struct part *p, struct error *err);
	/* From here on the source stands still. */
	int (*quiesce)(struct part *p, struct error *err);
	/* Sends the rest. */
	int (*finish)(struct part *p, struct error *err);
	/* Proves the replica and makes it whole. -EBADMSG: it differs in a way
	 * that nothing explains; the move follows again, without trust in what
	 * it knew. */
	int (*verify)(struct part *p, struct error *err);
	/* Everything that must be safe before the commit is asked for. */
	int (*fence)(struct part *p, struct error *err);
	/* Makes the fence final; 0 only when it is. -ENOLINK: the source is
	 * known to be not committed. Other errors: nobody knows, ask again. */
	int (*commit)(struct part *p, struct error *err);
	/* Hands the target over and starts it. */
	int (*activate)(struct part *p, struct error *err);
	/* Stops the target; 0 only when it is certain that it is stopped. */
	int (*deactivate)(struct part *p, struct error *err);
	/* Before commit: gives the source back. */
	int (*rollback)(struct part *p, struct error *err);
	/* The move is given up before its commit: what was made of the target
	 * by any process must not look real. */
	int (*discard)(struct part *p, struct error *err);
	/* After commit, target stopped: gives the source back. */
	int (*unfence)(struct part *p, struct error *err);
	/* The end: removes what is ours from both ends. */
	int (*settle)(struct part *p, struct error *err);
	/* Re-reads both sides; *ret_differ in bytes. */
	int (*check)(struct part *p, uint64_t *ret_differ, struct error *err);
	void (*free)(struct part *p);
};

struct part {
	const struct part_ops *ops;
	struct move *move;
	void *data; /* the kind's own */
};

/* parts/volume.c: the volume, or all disks of a machine. */
int part_volume_new(struct move *m, struct part *ret);
/* parts/machine.c: comes after its disks. */
int part_machine_new(struct move *m, struct part *ret);

#endif
