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

/* What was found; a new reference, or NULL when it is not there yet. */
static json_t *find_result(const json_t *report, const char *id)
{
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(report, "rehearsals"), i, v)
	{
		if (strcmp(facts_text(v, "id"), id) == 0)
			return json_incref(v);
	}
	return NULL;
}

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

/* Somebody else does it. */
static int await_result(const struct flags *f, struct store *store,
	const char *name, const char *id, json_t **ret, struct error *err)
{
	char last[64] = "";

	for (;;) {
		struct store_row row = {0};
		json_t *report;
		bool controlled;
		int r = store_get(store, name, &row, err);

		if (r < 0)
			return r;
		controlled = row.controlled;
		report = json_loads(row.report ? row.report : "",
			JSON_REJECT_DUPLICATES, NULL);
		store_row_done(&row);
		*ret = find_result(report, id);
		show_step(f, report, id, last);
		json_decref(report);
		if (*ret)
			return 0;
		if (!controlled) {
			error_set(err, -ECONNRESET, "rehearse %s", name);
			error_why(err, "who controlled the move has ended");
			return error_todo(
				err, "see rehost status %s; then again", name);
		}
		clock_sleep_ms(LOOK_MS);
	}
}

/* Nobody controls it: it goes on until it was rehearsed. */
static int control(const struct flags *f, struct store *store, const char *name,
	const char *id, json_t **ret, struct error *err)
{
	struct observer observer = progress_observer(f);
	static struct move m;
	int r;

	catch_signals();
	r = move_load(store, name, &observer, &m, err);
	if (r == 0) {
		m.want_rehearsal = m.rehearse_only = true;
		(void)move_run(&m, err);
		progress_end();
		*ret = find_result(m.report, id);
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

static int check_other(const struct store_row *row, struct error *err)
{
	json_t *report = json_loads(
		row->report ? row->report : "", JSON_REJECT_DUPLICATES, NULL);
	bool other = row->controlled && json_object_get(report, "rehearsing");

	json_decref(report);
	if (!other)
		return 0;
	error_set(err, -EBUSY, "rehearse %s", row->name);
	return error_why(err, "a rehearsal of it is going on");
}

int cmd_rehearse(const struct command *c, struct flags *f)
{
	uint8_t random[ID_BYTES];
	char id[2 * ID_BYTES + 1];
	struct store_row row = {0};
	struct store *store = NULL;
	struct options o;
	struct error err = {0};
	json_t *result = NULL, *j = NULL;
	int r;

	(void)c;
	options_init(&o);
	io_random(random, sizeof(random));
	parse_hex(random, sizeof(random), id);
	r = open_row(f, &store, &row, &err);
	if (r == 0) {
		j = json_loads(row.options ? row.options : "",
			JSON_REJECT_DUPLICATES, NULL);
		r = options_from_json(j, &o, &err);
	}
	if (r == 0)
		r = rehearsal_check(&row, &o, &err);
	if (r == 0)
		r = check_other(&row, &err);
	if (r == 0)
		r = leave_request(store, row.name, f, id, &err);
	if (r == 0 && row.controlled) {
		r = store_request(store, row.name, "rehearse", &err);
		if (r == 0)
			r = await_result(f, store, row.name, id, &result, &err);
	} else if (r == 0) {
		r = control(f, store, row.name, id, &result, &err);
	}
	if (r < 0)
		print_error(f, &err);
	else
		print_result(f, row.name, result);
	r = r == 0 && json_is_true(json_object_get(result, "passed"))
		    ? EXIT_DONE
		    : EXIT_REFUSED;
	json_decref(result);
	json_decref(j);
	options_done(&o);
	store_row_done(&row);
	store_close(store);
	return r;
}
