/* SPDX-License-Identifier: Apache-2.0 */
/* rehost rehearse: asks whoever controls the move, or controls it meanwhile. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "facts/facts.h"
#include "move/rehearse.h"

#define LOOK_MS 300
#define ID_BYTES 4
#define LOST_LOOKS 3

struct asked_for {
	char id[2 * ID_BYTES + 1];
	size_t before; /* how many results there were */
};

/* What is left in the store; paths are this process's. */
static json_t *make_request(const struct flags *f, const char *id)
{
	const struct options *o = &f->options;
	CLEANUP_FREE char *kernel =
		f->rescue.kernel ? realpath(f->rescue.kernel, NULL) : NULL;
	CLEANUP_FREE char *modules =
		f->rescue.modules ? realpath(f->rescue.modules, NULL) : NULL;
	json_t *probes = json_array(), *j;

	for (uint32_t i = 0; i < o->probes.n; i++)
		(void)json_array_append_new(
			probes, json_string(o->probes.v[i]));
	j = json_pack("{s:s s:o}", "id", id, "probes", probes);
	if (f->set_boot_timeout)
		(void)json_object_set_new(j, "boot_timeout_ms",
			json_integer((json_int_t)o->boot_timeout_ms));
	if (f->on)
		(void)json_object_set_new(j, "on", json_string(f->on));
	if (f->rescue.kernel)
		(void)json_object_set_new(j, "kernel",
			json_string(kernel ? kernel : f->rescue.kernel));
	if (f->rescue.modules)
		(void)json_object_set_new(j, "modules",
			json_string(modules ? modules : f->rescue.modules));
	return j;
}

/* The id of what is asked for now; "" when nothing is. */
static int pending(
	struct store *store, const char *name, char id[64], struct error *err)
{
	CLEANUP_FREE void *bytes = NULL;
	json_t *j;
	uint32_t n = 0;
	int r = store_get_blob(store, name, REHEARSAL_REQUEST, &bytes, &n, err);

	id[0] = '\0';
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	j = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, NULL);
	(void)snprintf(id, 64, "%s", facts_text(j, "id"));
	json_decref(j);
	return 0;
}

static int leave_request(struct store *store, const char *name,
	const struct flags *f, const char *id, struct error *err)
{
	json_t *j = make_request(f, id);
	CLEANUP_FREE char *text = json_dumps(j, JSON_COMPACT);

	json_decref(j);
	if (!text)
		return error_set(err, -ENOMEM, "rehearse %s", name);
	return store_put_blob(store, name, REHEARSAL_REQUEST, text,
		(uint32_t)strlen(text), err);
}

/* What was found; a new reference, or NULL when it is not there yet. One
 * without id, that was not among the first, is of a request that could not be
 * read. */
static json_t *find_result(const json_t *report, const struct asked_for *a)
{
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(report, "rehearsals"), i, v)
	{
		const char *id = facts_text(v, "id");

		if (strcmp(id, a->id) == 0 || (!id[0] && i >= a->before))
			return json_incref(v);
	}
	return NULL;
}

struct looked {
	json_t *result; /* NULL: not yet */
	bool controlled, lost;
	char step[64]; /* the last one that was shown */
};

static void show_step(const struct flags *f, const json_t *report,
	const char *id, char last[64])
{
	const json_t *now = json_object_get(report, "rehearsing");
	const char *text = facts_text(now, "step");

	if (strcmp(facts_text(now, "id"), id) != 0 || f->quiet ||
		strncmp(text, last, 63) == 0)
		return;
	(void)snprintf(last, 64, "%s", text);
	if (f->json)
		print_json(json_pack(
			"{s:s s:s}", "event", "rehearsal", "step", last));
	else
		(void)printf("rehearsal: %s\n", last);
	(void)fflush(stdout);
}

/* A look at what came of it: neither asked for, nor on its way, nor there. */
static int look(const struct flags *f, struct store *store, const char *name,
	const struct asked_for *a, struct looked *ret, struct error *err)
{
	struct store_row row = {0};
	char asked[64] = "";
	json_t *report;
	/* It is emptied after the report was written. */
	int r = pending(store, name, asked, err);

	if (r == 0)
		r = store_get(store, name, &row, err);
	if (r < 0)
		return r;
	report = json_loads(
		row.report ? row.report : "", JSON_REJECT_DUPLICATES, NULL);
	ret->controlled = row.controlled;
	store_row_done(&row);
	ret->result = find_result(report, a);
	show_step(f, report, a->id, ret->step);
	ret->lost =
		strcmp(asked, a->id) != 0 &&
		strcmp(facts_text(json_object_get(report, "rehearsing"), "id"),
			a->id) != 0;
	json_decref(report);
	return 0;
}

/* Somebody else does it. */
static int await_result(const struct flags *f, struct store *store,
	const char *name, const struct asked_for *a, json_t **ret,
	struct error *err)
{
	struct looked l = {.controlled = true};
	unsigned lost = 0;

	for (;;) {
		int r = look(f, store, name, a, &l, err);

		if (r < 0)
			return r;
		*ret = l.result;
		if (*ret)
			return 0;
		if (!l.controlled) {
			error_set(err, -ECONNRESET, "rehearse %s", name);
			error_why(err, "who controlled the move has ended");
			return error_todo(
				err, "see rehost status %s; then again", name);
		}
		lost = l.lost ? lost + 1 : 0;
		if (lost == LOST_LOOKS) {
			error_set(err, -EBUSY, "rehearse %s", name);
			error_why(err,
				"it was forgotten: another one was asked for "
				"at the same time, or the move was resumed");
			return error_todo(err, "try again");
		}
		clock_sleep_ms(LOOK_MS);
	}
}

/* Nobody controls it: it goes on until it was rehearsed. *ret_status is how the
 * move ended. */
static int control(const struct flags *f, struct store *store, const char *name,
	const struct asked_for *a, json_t **ret, int *ret_status,
	struct error *err)
{
	struct observer observer = progress_observer(f);
	static struct move m;
	int r;

	catch_signals();
	r = move_load(store, name, &observer, &m, err);
	/* What others asked for before is over. */
	if (r == 0)
		r = leave_request(store, name, f, a->id, err);
	if (r == 0) {
		m.want_rehearsal = m.rehearse_only = true;
		*ret_status = move_run(&m, err);
		progress_end();
		*ret = find_result(m.report, a);
		r = *ret ? 0 : err->code ? err->code : -EIO;
	}
	move_done(&m);
	return r;
}

static void print_result(
	const struct flags *f, const char *name, json_t *result)
{
	report_clean(result);
	if (f->json) {
		json_t *j = json_pack(
			"{s:s s:s}", "event", "rehearsed", "name", name);

		(void)json_object_update(j, result);
		print_json(j);
	} else if (!f->quiet) {
		(void)printf("%s: ", name);
		report_rehearsal(result);
	}
}

/* Of somebody else: on its way, or asked for. */
static int check_other(struct store *store, const struct store_row *row,
	struct asked_for *a, struct error *err)
{
	json_t *report = json_loads(
		row->report ? row->report : "", JSON_REJECT_DUPLICATES, NULL);
	bool other = json_object_get(report, "rehearsing");
	char asked[64] = "";
	int r = 0;

	a->before = json_array_size(json_object_get(report, "rehearsals"));
	json_decref(report);
	if (!row->controlled)
		return 0;
	if (!other)
		r = pending(store, row->name, asked, err);
	if (r < 0 || (!other && !asked[0]))
		return r;
	error_set(err, -EBUSY, "rehearse %s", row->name);
	return error_why(err, "a rehearsal of it %s",
		other ? "is going on" : "was asked for, and is to come");
}

/* Whoever controls it does it. */
static int ask(const struct flags *f, struct store *store, const char *name,
	const struct asked_for *a, json_t **ret, struct error *err)
{
	int r = leave_request(store, name, f, a->id, err);

	if (r == 0)
		r = store_request(store, name, "rehearse", err);
	return r < 0 ? r : await_result(f, store, name, a, ret, err);
}

int cmd_rehearse(const struct command *c, struct flags *f)
{
	uint8_t random[ID_BYTES];
	struct asked_for a;
	struct store_row row = {0};
	struct store *store = NULL;
	struct options o;
	struct error err = {0};
	json_t *result = NULL, *j = NULL;
	int r, status = EXIT_DONE;

	(void)c;
	options_init(&o);
	io_random(random, sizeof(random));
	parse_hex(random, sizeof(random), a.id);
	r = open_row(f, &store, &row, &err);
	if (r == 0) {
		j = json_loads(row.options ? row.options : "",
			JSON_REJECT_DUPLICATES, NULL);
		r = options_from_json(j, &o, &err);
	}
	if (r == 0)
		r = rehearsal_check(&row, &o, &err);
	if (r == 0)
		r = check_other(store, &row, &a, &err);
	if (r == 0)
		r = row.controlled ? ask(f, store, row.name, &a, &result, &err)
				   : control(f, store, row.name, &a, &result,
					     &status, &err);
	if (r < 0)
		print_error(f, &err);
	else
		print_result(f, row.name, result);
	if (status != EXIT_ACT_NOW)
		status = r == 0 && json_is_true(
					   json_object_get(result, "passed"))
				 ? EXIT_DONE
				 : EXIT_REFUSED;
	json_decref(result);
	json_decref(j);
	options_done(&o);
	store_row_done(&row);
	store_close(store);
	return status;
}
