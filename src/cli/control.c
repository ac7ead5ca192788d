/* SPDX-License-Identifier: Apache-2.0 */
/* rehost cutover, pause; abort, verify, rollback, confirm. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"

#define ABORT_WAIT_MS 120000

/* Leaves a request for the process that controls the move. */
int cmd_request(const struct command *c, struct flags *f)
{
	struct store_row row = {0};
	struct store *store = NULL;
	struct error err = {0};
	int r;

	r = open_row(f, &store, &row, &err);
	if (r == 0 && !row.controlled) {
		r = error_set(&err, -ESRCH, "%s %s", c->name, row.name);
		error_why(&err, "nobody controls it now; it is %s", row.state);
		error_todo(&err, "rehost resume %s", row.name);
	}
	if (r == 0)
		r = store_request(store, row.name, c->name, &err);
	if (r < 0)
		print_error(f, &err);
	else if (f->json)
		print_json(row_json(&row));
	else if (!f->quiet)
		(void)printf("%s: asked to %s; see rehost status %s\n",
			row.name, c->name, row.name);
	store_row_done(&row);
	store_close(store);
	return r < 0 ? EXIT_REFUSED : EXIT_DONE;
}

/* It ended in a cutover that nobody took back. */
static bool stands_still(const struct store_row *row)
{
	json_t *report = json_loads(row->report ? row->report : "{}", 0, NULL);
	bool begun = json_integer_value(json_object_get(
			     json_object_get(report, "cutover"), "begun")) > 0;

	json_decref(report);
	return begun && !row->controlled && strcmp(row->state, "paused") == 0 &&
	       strcmp(row->live, "source") == 0;
}

/* A running move is aborted by its own process; wait for that. *ret_status is
 * the command's, when it fails. */
static int abort_running(struct store *store, struct store_row *row,
	int *ret_status, struct error *err)
{
	uint64_t until = clock_ms() + ABORT_WAIT_MS;
	char name[64];
	int r = store_request(store, row->name, "abort", err);

	*ret_status = EXIT_REFUSED;
	(void)snprintf(name, sizeof(name), "%s", row->name);
	while (r == 0 && row->controlled && clock_ms() < until) {
		clock_sleep_ms(200);
		store_row_done(row);
		r = store_get(store, name, row, err);
	}
	if (r < 0)
		return r;
	if (stands_still(row)) {
		*ret_status = EXIT_ACT_NOW;
		error_set(err, -EHOSTUNREACH, "abort %s", row->name);
		error_why(err, "its source may stand still, and could not be "
			       "asked to go on");
		return error_todo(err,
			"make sure that the source can be reached, then rehost "
			"abort %s again",
			row->name);
	}
	if (strcmp(row->state, "rolled-back") != 0) {
		error_set(err, -EBUSY, "abort %s", row->name);
		error_why(err, "it is %s, phase %s", row->state, row->phase);
		if (strcmp(row->live, "none") != 0)
			return err->code;
		*ret_status = EXIT_ACT_NOW;
		return error_todo(err,
			"nothing lives: rehost resume %s, or rehost rollback "
			"%s",
			row->name, row->name);
	}
	return 0;
}

static int decide(const struct command *c, struct flags *f, struct move *m,
	struct error *err)
{
	struct options *o = &f->options;

	m->target_is_off = f->discard;
	if (options_take_hooks(&m->options.power_off, &o->power_off) < 0 ||
		options_take_hooks(&m->options.power_on, &o->power_on) < 0 ||
		options_take_hooks(&m->options.target_power_off,
			&o->target_power_off) < 0) {
		error_set(err, -ENOMEM, "take a command");
		return EXIT_REFUSED;
	}
	if (strcmp(c->name, "abort") == 0)
		return move_abort(m, err);
	if (strcmp(c->name, "rollback") == 0)
		return move_rollback(m, err);
	if (strcmp(c->name, "confirm") == 0)
		return move_confirm(m, err);
	return move_check(m, err);
}

static void print_now(struct store *store, const char *name)
{
	struct store_row row = {0};

	if (store_get(store, name, &row, NULL) == 0)
		print_json(row_json(&row));
	store_row_done(&row);
}

int cmd_decide(const struct command *c, struct flags *f)
{
	struct observer observer;
	struct store_row row = {0};
	struct store *store = NULL;
	struct error err = {0};
	static struct move m;
	int r, status;

	observer = progress_observer(f);
	r = open_row(f, &store, &row, &err);
	if (r < 0) {
		print_error(f, &err);
		r = EXIT_REFUSED;
	} else if (row.controlled && strcmp(c->name, "abort") == 0) {
		r = abort_running(store, &row, &status, &err);
		if (r < 0)
			print_error(f, &err);
		else if (f->json)
			print_json(row_json(&row));
		else if (!f->quiet)
			(void)printf("%s: %s\n", row.name, row.state);
		r = r < 0 ? status : EXIT_DONE;
	} else {
		r = move_load(store, row.name, &observer, &m, &err) < 0
			    ? EXIT_REFUSED
			    : decide(c, f, &m, &err);
		progress_end();
		/* Different is an answer and no error. */
		if (r != EXIT_DONE && r != EXIT_DIFFERENT)
			print_error(f, &err);
		else if (r == EXIT_DONE && !f->quiet && !f->json)
			(void)printf("%s: %s\n", m.row.name,
				strcmp(c->name, "verify") == 0 ? "equal"
							       : m.row.state);
		move_done(&m);
		/* Now that nobody controls it any more. */
		if ((r == EXIT_DONE || r == EXIT_DIFFERENT) && f->json)
			print_now(store, row.name);
	}
	store_row_done(&row);
	store_close(store);
	return r;
}
