/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rehearsal: the replica as it is after a checkpoint, booted by a throwaway
 * machine that resembles the target (throwaway.h), and asked what clients would
 * ask. It is read through the target agent's export, and what is written goes
 * into overlays; so the replica stays as it is, and rounds are held meanwhile.
 * The machine runs the rescue system first, and from there on everything is as
 * on the new machine: fit.h.
 *
 * The move does it between two rounds:
 *
 *	rehearsal_begin		the machine is switched on
 *	rehearsal_is_up		asked between rounds, until it is up
 *	rehearsal_wait		it is, and the source cannot be held yet
 *	the checkpoint		source held still, replica proved, source back
 *	rehearsal_run		held: boot and probes
 *	rehearsal_end		what was found goes into the report
 *
 * That something is wrong with the rehearsal does not end the move: it is what
 * was found.
 */
#ifndef REHOST_MOVE_REHEARSE_H
#define REHOST_MOVE_REHEARSE_H

#include <sys/types.h>

#include "move/move.h"

/* What the user asked for, as it is left in the store for whoever controls the
 * move: an object with id, probes, and if they were said on (a place), kernel,
 * modules, boot_timeout_ms. It is empty when nothing is asked for: whoever does
 * the rehearsal empties it once the report says so ("rehearsing", with the id).
 */
#define REHEARSAL_REQUEST "rehearsal"

struct rehearsal;

/* *ret is set unless there is no memory. */
int rehearsal_begin(
	struct move *m, struct rehearsal **ret, struct error *err) MUST_CHECK;

/* 1: its rescue system answers; 0: not yet. */
int rehearsal_is_up(struct rehearsal *r, struct error *err) MUST_CHECK;

/* The source cannot be held within the budget, as what is to be done says. 0:
 * wait on; -ETIMEDOUT: it was waited long enough, which held a cutover off. */
int rehearsal_wait(struct rehearsal *r, const struct backlog *now,
	struct error *err) MUST_CHECK;

/* Passed or failed, unless it is negative: then it could not be tried. */
int rehearsal_run(struct rehearsal *r, struct error *err) MUST_CHECK;

/* failed: why it could not be tried, or NULL. held_since (clock_ms): from then
 * on no round could begin, until this has switched the machine off; 0: not at
 * all. Frees; NULL is fine. */
void rehearsal_end(
	struct rehearsal *r, const struct error *failed, uint64_t held_since);

/* ---- rehearse_request.c ---- */

/* Is it a move that can be rehearsed at all, and once it follows? */
int rehearsal_check(const struct store_row *row, const struct options *o,
	struct error *err) MUST_CHECK;

/* Is one asked for? When that cannot be read it is, for rehearsal_begin to say
 * so. */
bool rehearsal_is_asked(struct move *m);

/* Takes it: a new reference, and what is to be probed, the move's probes when
 * it names none; the caller frees both, also on failure. */
int rehearsal_read(struct move *m, json_t **ret, struct hook_list *probes,
	struct error *err) MUST_CHECK;

/* It was taken: another one can be asked for. */
void rehearsal_forget(struct move *m);

/* ---- rehearse_told.c ---- */

/* How much a console has said, and what of that begins there, its end when it
 * is very much; the caller frees it. NULL: no memory. */
off_t rehearsal_console_size(const char *path);
char *rehearsal_console(const char *path, off_t from);

/* What a console said, without what is not text: its last lines, as a list of
 * at most n; a new reference. */
json_t *rehearsal_tail(const char *console, unsigned n);

/* What it says of why a system did not boot, and will not, or NULL. */
const char *rehearsal_reason(const char *console);

/* Whether it has a kernel's first words. */
bool rehearsal_kernel_spoke(const char *console);

/* Makes the moved system speak on the serial port. *ret_added: the wish was
 * changed for that. */
int rehearsal_wish_console(
	struct msg_fit *f, bool *ret_added, struct error *err) MUST_CHECK;

#endif
