/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The phases of a move, in order, and the points between them at which tests
 * kill something: before and after every phase that the table lists.
 */
#ifndef REHOST_MOVE_PHASE_H
#define REHOST_MOVE_PHASE_H

#include <stdbool.h>

enum phase {
	PHASE_INSPECT,
	PHASE_PREPARE,
	PHASE_SEED,
	PHASE_FOLLOW,
	PHASE_QUIESCE,
	PHASE_FINISH,
	PHASE_VERIFY,
	PHASE_COMMIT,
	PHASE_ACTIVATE,
	PHASE_SETTLE,
	PHASE_COUNT,
};

extern const char *const phase_names[PHASE_COUNT];

/* The phase of that name, or -1. */
int phase_find(const char *name);

/* Points of a phase at which tests kill. In commit "acked": the keeper's word
 * has come and is not stored yet. In activate "published": the copy is whole;
 * and, of machines alone, "ordered": the order to boot is stored and not given
 * yet. */
enum point {
	POINT_BEFORE,
	POINT_ACKED,
	POINT_PUBLISHED,
	POINT_ORDERED,
	POINT_AFTER,
	POINT_COUNT
};

extern const char *const point_names[POINT_COUNT];

/* Does the phase have this point? */
bool phase_has_point(enum phase p, enum point at);

/* Who can be killed at a point, NULL-terminated; hooks only in phases that run
 * them, before and after they did their work. */
const char *const *phase_victims(enum phase p, enum point at);

/* Does a test want to kill this one here? $REHOST_TEST_KILL is
 * "PHASE.POINT:VICTIM". Each wish is granted once. */
bool phase_kills(enum phase p, enum point at, const char *victim);

#endif
