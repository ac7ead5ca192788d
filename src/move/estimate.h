/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a move would take, measured on the machines themselves: what is
 * used, what is written meanwhile, how well it packs, and how fast samples of
 * it travel over the lanes that a move would use. What arrives is thrown away:
 * nothing is written on either machine, and nothing of ours stays there. Only
 * when that is wished are the samples written to the target's disk.
 */
#ifndef REHOST_MOVE_ESTIMATE_H
#define REHOST_MOVE_ESTIMATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "link/place.h"
#include "move/forecast.h"
#include "move/options.h"
#include "wire/message.h"

struct estimate_wish {
	struct place source; /* a volume, or a machine */
	struct place target; /* its path only with write */
	bool has_target;     /* else the source sends to itself */
	/* Both are volumes, and samples are written to the target, which must
	 * be empty or the one of --overwrite. */
	bool write;
	unsigned sample_ms;	       /* how long to watch what is written */
	const struct options *options; /* lanes, via, ports, bwlimit, budget */
};

/* What samples that were sent in one way showed. */
struct estimate_way {
	uint64_t bytes, sent, zero; /* of volumes; on the wire; of bytes */
	uint64_t ms;
	uint64_t low, high; /* of single samples, bytes a second */
};

struct estimate {
	struct msg_measured *source; /* the volumes */
	char *left_out;		     /* of a machine, and why; "" nothing */
	uint64_t size, used;
	uint64_t written; /* in the sample, as often as written */
	struct forecast_writes writes;

	const char *lanes; /* "direct", "reverse", "relay" */
	struct estimate_way plain, packed;
	bool packs;   /* a move would compress */
	bool on_disk; /* the samples went to the target's disk */

	uint64_t rate, low, high; /* of the volumes' bytes, a second */
	uint64_t seed_ms, seed_low_ms, seed_high_ms, seed_sent;
	uint64_t fixed_ms; /* of a seed, whatever its size */
	struct forecast forecast;
	struct forecast_course course;
};

/* Measures; takes --sample and some seconds. The caller calls estimate_done in
 * any case. */
int estimate(
	const struct estimate_wish *w, struct estimate *ret, struct error *err);
void estimate_done(struct estimate *e);

/* estimate_sums.c: Would a move compress, by what was measured so far? */
bool estimate_packs(const struct estimate *e);

/* Takes what was measured, and works out the rest. */
void estimate_work_out(struct estimate *e, uint64_t budget_ms);

/* How long the seed takes on a link of so many bytes a second; the source's
 * own rate bounds it. */
uint64_t estimate_seed_at(const struct estimate *e, uint64_t link);

/* estimate_target.c: A target that samples may be written to.
 * estimate_may_write asks both machines whether that may be done, before
 * anything takes time, with the checks of a move; changes nothing.
 * estimate_hold then takes the disk, which must have the room for size bytes;
 * estimate_let_go gives it back. */
struct session;
int estimate_may_write(struct session *s, const struct estimate_wish *w,
	struct msg_open_target **ret, struct error *err);
int estimate_hold(struct session *s, struct msg_open_target *m, uint64_t size,
	const uint8_t secret[SECRET_SIZE], struct error *err);
int estimate_let_go(struct session *s, struct error *err);

/* estimate_machine.c: The volumes of a machine that hold something which would
 * have to be carried: filesystems and other contents, each once, without swap
 * and without what lies on others. Fills q's paths. *ret_left_out, for people,
 * says what is not among them; the caller frees it. -ENOENT when there is
 * none. */
int estimate_machine(const json_t *facts, struct msg_measure *q,
	char **ret_left_out, struct error *err);

#endif
