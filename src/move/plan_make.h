/* SPDX-License-Identifier: Apache-2.0 */
/* The two halves of plan_make: which disk goes where, and which interface. */
#ifndef REHOST_MOVE_PLAN_MAKE_H
#define REHOST_MOVE_PLAN_MAKE_H

#include "move/plan.h"

/* Fills the plan's disks. overwrite: an ID that the user gave, or "". */
int plan_make_disks(struct plan *p, const json_t *source, const json_t *target,
	const char *overwrite) MUST_CHECK;

/* Fills the plan's interfaces. err is set only for -EOVERFLOW: more addresses
 * than a plan can hold. */
int plan_make_network(struct plan *p, const json_t *source,
	const json_t *target, bool clone, struct error *err) MUST_CHECK;

/* Is an interface that facts have of a kind that a plan pairs? */
bool plan_is_card(const json_t *interface);

/* A comment that is written line by line, each but the last ended by \n. */
struct plan_note {
	FILE *f;
	char *text;
	size_t n;
};

int plan_note_begin(struct plan_note *n) MUST_CHECK;
/* Hands the text over; the caller frees *ret. Ends the note in any case. */
int plan_note_end(struct plan_note *n, char **ret) MUST_CHECK;

#endif
