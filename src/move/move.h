/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A move: parts walking through phases, persisted before and after each, with
 * one commit in the middle. One process, one thread.
 */
#ifndef REHOST_MOVE_MOVE_H
#define REHOST_MOVE_MOVE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "link/place.h"
#include "move/options.h"
#include "move/part.h"
#include "move/phase.h"
#include "move/session.h"
#include "store/store.h"

#define PARTS_MAX 2

/* Exit codes that other programs rely on. */
enum {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1,
	EXIT_USAGE = 2,
	EXIT_DIFFERENT = 3,
	EXIT_RESUMABLE = 4,
	EXIT_ACT_NOW = 5,
};

/* How it goes, for whoever shows it. Bytes done never fall. */
struct progress {
	const char *phase;
	uint64_t done, total, rate; /* bytes, bytes, bytes a second */
	struct backlog backlog;
	uint32_t round;
	uint64_t left_ms; /* until the seed is complete; 0 unknown */
	bool boots; /* a start of the target comes on top of the forecast */
	uint64_t boot_ms; /* that the source's own took; 0 unknown */
};

/* Who shows it. All may be NULL. */
struct observer {
	void (*progress)(void *arg, const struct progress *p);
	/* A line worth knowing; event is its machine-readable name. */
	void (*note)(void *arg, const char *event, const char *text);
	void *arg;
};

struct rehearsal;

struct move {
	struct store *store;
	struct store_row row;
	struct options options;
	struct place source, target;
	json_t *report;
	struct session session;
	/* Of a machine they are made when its disks are known. */
	struct part parts[PARTS_MAX];
	unsigned n_parts;
	bool machine;
	struct observer observer;

	enum phase phase;
	bool stored;	    /* it has a row in the store */
	bool resumed;	    /* an earlier process began it */
	bool interruptible; /* a wish to stop may end a wait */
	bool want_pause, want_abort, want_cutover;
	bool target_is_off;  /* the user says so, for a rollback */
	bool target_stopped; /* seen by this process */
	bool target_serves;  /* it was asked for nothing, and answers */
	bool hurry;	     /* the cutover is near: the source waits for us */
	bool quiesced;	     /* rollback has something to undo */
	bool want_rehearsal; /* somebody asked for one */
	bool rehearsing;     /* the source goes on after the present cut */
	struct rehearsal *rehearsal; /* that is on its way, or NULL */
	bool rehearse_only;	     /* afterwards it pauses again */
	bool rehearsed;		     /* it is afterwards */
	bool frozen; /* the hold is a freeze: writers hang meanwhile */

	struct progress progress;
	uint64_t done_base; /* bytes of passes that are over */
	uint64_t poll_at, show_at, save_at;
	uint64_t rate_at, rate_done; /* for the rate shown */

	uint64_t cut_at, hooks_ms; /* of the present cutover */
	uint64_t held_at;	   /* clock_ms; when writers stopped */
	uint64_t forecast_ms;
};

/* Begins anew; the options are taken over. Nothing is stored or contacted. */
int move_new(struct options *options, const struct observer *observer,
	struct move *ret, struct error *err);

/* Loads a move from the store and takes its lock. */
int move_load(struct store *store, const char *name,
	const struct observer *observer, struct move *ret, struct error *err);

void move_done(struct move *m);

/* Checks both ends and says what would happen; writes nothing. */
int move_dry_run(struct move *m, struct error *err);

/* Runs a new or a resumed move as far as it goes. Returns the exit code; err is
 * filled unless it is EXIT_DONE. */
int move_run(struct move *m, struct error *err);

/* The other commands on a move that nobody controls; return an exit code. */
int move_abort(struct move *m, struct error *err);
int move_rollback(struct move *m, struct error *err);
int move_confirm(struct move *m, struct error *err);
int move_check(struct move *m, struct error *err);

/* Asks the running move, from a signal handler, to pause. */
extern volatile int move_signal;

/* ---- for parts ---- */

/* A line for the user and the history. */
void move_note(struct move *m, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Numbers and texts of the report: section.key = value. */
void move_set(
	struct move *m, const char *section, const char *key, int64_t value);
void move_add(
	struct move *m, const char *section, const char *key, int64_t value);
int64_t move_get(const struct move *m, const char *section, const char *key);
void move_set_text(struct move *m, const char *section, const char *key,
	const char *value);
void move_set_bool(
	struct move *m, const char *section, const char *key, bool value);
void move_add_round(struct move *m, uint64_t bytes, uint64_t ms);
/* Keeps what hooks printed. */
void move_add_hooks(struct move *m, const char *phase, uint32_t failed,
	const char *why, const char *output);

/* Is it certain that the present cut is taken back? */
bool move_keeps_source(const struct move *m);

/* Stores the move as it is. */
int move_save(struct move *m, bool durable, struct error *err);

#endif
