/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known about moves, in SQLite: the only file with SQL is store.c.
 *
 * The database is ${XDG_STATE_HOME:-~/.local/state}/rehost/rehost.db. One
 * process controls a move at a time; it holds a lock (flock(2)) on
 * NAME.lock beside it. Other commands reach it by requests in the store.
 *
 * All functions fill err on failure. One thread.
 */
#ifndef REHOST_STORE_STORE_H
#define REHOST_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct store;

/* A move as it is kept. Texts are allocated; store_row_done frees them. */
struct store_row {
	char name[64];
	char state[16]; /* running paused failed rolled-back done confirmed */
	char live[16];	/* source target none */
	char phase[16];
	bool phase_done; /* the phase has ended */
	char *options;	 /* JSON: what the user asked for */
	char *report;	 /* JSON: the report so far */
	char *progress;	 /* JSON: the last progress, or NULL */
	uint8_t key[32], secret[192];
	char created[32], updated[32];
	bool controlled; /* a process holds its lock now */
};

void store_row_done(struct store_row *r);

/* Opens the store, made if need be (mode 0700). */
int store_open(struct store **ret, struct error *err);
void store_close(struct store *s);

/* The folder that the store is in. */
const char *store_folder(const struct store *s);

/* Takes the move's lock, or -EBUSY. Released by store_unlock or exit. */
int store_lock(struct store *s, const char *name, struct error *err);
void store_unlock(struct store *s);

/* A new move; -EEXIST when the name is taken by one that is not over. */
int store_create(
	struct store *s, const struct store_row *row, struct error *err);

/* Reads a move, or with name NULL the only one that is open (-ENOENT, -E2BIG
 * with what to do). */
int store_get(struct store *s, const char *name, struct store_row *ret,
	struct error *err);

/* Calls fn for each move, newest first; a negative return ends it. */
int store_each(struct store *s,
	int (*fn)(void *arg, const struct store_row *row), void *arg,
	struct error *err);

/* Stores state, live, phase, options and report. A kill of the process loses
 * nothing of it; durable says that a power cut must not either (and costs a
 * sync of the disk, too slow for the steps inside a cutover that roll back
 * anyway when the controller is gone). */
int store_save(struct store *s, const struct store_row *row, bool durable,
	struct error *err);

/* Stores progress; not synchronous, losing it does no harm. */
int store_progress(
	struct store *s, const char *name, const char *json, struct error *err);

/* A named blob of a move: put (durable), get (caller frees; -ENOENT). */
int store_put_blob(struct store *s, const char *name, const char *key,
	const void *data, uint32_t n, struct error *err);
int store_get_blob(struct store *s, const char *name, const char *key,
	void **ret, uint32_t *ret_n, struct error *err);

/* Leaves a request ("cutover", "pause", "abort", "rehearse") for the
 * controller.
 */
int store_request(
	struct store *s, const char *name, const char *what, struct error *err);
/* Takes the oldest request; "" when there is none. */
int store_take_request(
	struct store *s, const char *name, char what[32], struct error *err);

/* Forgets a move. */
int store_remove(struct store *s, const char *name, struct error *err);

#endif
