/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share: the steps that runs and commands are
 * made of. All return 0 or negative errno with err filled.
 */
#ifndef REHOST_MOVE_STEPS_H
#define REHOST_MOVE_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "move/move.h"

/* An empty report; a new reference, or NULL when out of memory. */
json_t *move_new_report(const struct options *o);

/* live: NULL for no change. */
void move_set_state(struct move *m, const char *state, const char *live);

/* The report's error; NULL for none. */
void move_set_error(struct move *m, const struct error *err);

/* Connects unless it is connected. */
int move_connect(struct move *m, enum side side, struct error *err);
int move_connect_both(struct move *m, struct error *err);

/* Makes the parts, once the disks of a machine are known. */
int move_make_parts(struct move *m, struct error *err);

/* Stores that a phase begins, and that it is over. */
int move_enter(struct move *m, enum phase p, struct error *err);
int move_leave(struct move *m, struct error *err);

/* Here a test may kill something. */
void move_kill_point(struct move *m, enum point at);

/* An error when the present cutover takes longer than it may. */
int move_budget_missed(struct move *m, struct error *err);

/* Whether the source itself answers at the address that it always had: it, or a
 * rescue system on it. The connection to it is kept then. */
bool move_source_answers(struct move *m);
/* Whether the source, which is connected, runs a rescue system, started because
 * its own does not boot; and a note that it is to be reset then. */
bool move_source_is_rescue(const struct move *m);
void move_note_rescue(struct move *m);

/* Whether the fence of this move is, or is to be, one by signature. */
bool move_fenced_by_signature(const struct move *m);

/* Whether it is a copy that stays as it is: nothing of it is changed or booted.
 */
bool move_is_plain_copy(const struct move *m);
/* replica.published: asked for when nothing else can keep the target from being
 * booted; whoever answers has what the source was. */
enum { PUBLISH_ASKED = 1, PUBLISH_ANSWERED };
/* Whether the target has all, and may have written to it. */
bool move_is_published(const struct move *m);
/* Whether the target, when it is reset, may boot what it has. */
bool move_target_may_live(const struct move *m);
/* Is the new machine to answer at the address by which the source is reached?
 */
bool move_keeps_address(const struct move *m);
/* Whether it has the address of the source, and who answers there where the
 * controller is was not the source: it says nothing of either. */
bool move_hears_stranger(const struct move *m);

/* Is it to have any address that the source has? Then the source has to be
 * silent. */
bool move_shares_addresses(const struct move *m);

/* "tcp:22": what its ssh is asked with. */
void move_ssh_probe(const struct move *m, char ret[32]);

/* Calls an operation of every part as a phase: move_enter, the parts in order,
 * move_leave. */
int move_run_phase(
	struct move *m, enum phase p, size_t offset, struct error *err);
#define RUN(m, phase, op, err)                                                 \
	move_run_phase(m, phase, offsetof(struct part_ops, op), err)

/* Calls an operation of every part, the last one first. */
int move_run_all(struct move *m, size_t offset, struct error *err);
#define ALL(m, op, err) move_run_all(m, offsetof(struct part_ops, op), err)

/* What a call to the target came to: is it worth another try? The agent of an
 * earlier process, behind a connection that was cut, may hold the disks for a
 * while: left says whether there may be one. Waits a second then; *until begins
 * as 0. *r is the error of the wait when that fails. */
bool move_waits_for_disks(
	struct move *m, bool left, uint64_t *until, int *r, struct error *err);

/* Is it past the commit, as far as the store knows? */
bool move_committed(const struct move *m);

/* After the commit: the source was switched on, or asked to live again,
 * whatever became of that. No target may be started any more. */
bool move_source_may_live(const struct move *m);

/* The source could not be given back, or not be asked, after a process died in
 * the cutover: if its keeper died as well, it stands still. Says so in the
 * advice, with the command that tries again. Returns EXIT_ACT_NOW. */
int move_may_stand_still(
	const struct move *m, const char *command, struct error *err);

/* Asks the keeper when the store does not know whether it committed. */
int move_settle_commit(struct move *m, struct error *err);

#endif
