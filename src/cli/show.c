/* SPDX-License-Identifier: Apache-2.0 */
/* rehost status, list, report: reading the store. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"

static json_t *parse(const char *text)
{
	return text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

/* A move whose process died says "running" in the store. */
static const char *true_state(const struct store_row *r)
{
	return strcmp(r->state, "running") == 0 && !r->controlled ? "paused"
								  : r->state;
}

json_t *row_json(const struct store_row *r)
{
	json_t *j = json_pack("{s:s s:s s:s s:s s:s s:b s:s s:s}", "event",
		"status", "live", r->live, "name", r->name, "state",
		true_state(r), "phase", r->phase, "controlled", r->controlled,
		"created", r->created, "updated", r->updated);
	json_t *p = parse(r->progress), *rep = parse(r->report);

	if (p)
		(void)json_object_set_new(j, "progress", p);
	if (rep)
		(void)json_object_set(
			j, "error", json_object_get(rep, "error"));
	json_decref(rep);
	return j;
}

static uint64_t number(const json_t *j, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(j, key));
}

static const char *text(const json_t *j, const char *key)
{
	const char *t = json_string_value(json_object_get(j, key));

	return t ? t : "";
}

static void print_status(const struct store_row *r)
{
	json_t *p = parse(r->progress), *rep = parse(r->report);
	json_t *e = json_object_get(rep, "error");
	char a[32], b[32], c[32], d[32], boot[64];

	report_clean(e);
	(void)printf("live       %s\n", r->live);
	(void)printf("state      %s%s, phase %s\n", true_state(r),
		strcmp(true_state(r), r->state) != 0
			? " (its process ended; rehost resume goes on)"
			: "",
		r->phase);
	(void)printf("name       %s, since %s\n", r->name, r->created);
	if (p && r->controlled) {
		(void)printf("progress   %s of %s, %s/s, round %llu\n",
			human_bytes(number(p, "done"), a),
			human_bytes(number(p, "total"), b),
			human_bytes(number(p, "rate"), c),
			(unsigned long long)number(p, "round"));
		if (json_is_true(json_object_get(p, "known")))
			(void)printf("backlog    %s, unproved %s, source "
				     "writes %s/s\n"
				     "forecast   cut over now: offline for "
				     "about %s%s\n",
				human_bytes(number(p, "backlog"), a),
				human_bytes(number(p, "unproved"), b),
				human_bytes(number(p, "dirty_rate"), c),
				human_ms(number(p, "forecast_ms"), d),
				human_boot(json_is_true(
						   json_object_get(p, "boots")),
					number(p, "boot_ms"), boot));
	}
	if (json_is_object(e)) {
		const char *host = text(e, "host"), *todo = text(e, "do");

		(void)printf("error      %s%scannot %s: %s%s%s\n", host,
			host[0] ? ": " : "", text(e, "what"), text(e, "why"),
			todo[0] ? "; " : "", todo);
	}
	json_decref(p);
	json_decref(rep);
}

const char *name_of(const struct flags *f)
{
	return f->n_arguments ? f->arguments[0] : NULL;
}

int open_row(const struct flags *f, struct store **ret_store,
	struct store_row *ret, struct error *err)
{
	int r = store_open(ret_store, err);

	return r < 0 ? r : store_get(*ret_store, name_of(f), ret, err);
}

int cmd_status(const struct command *c, struct flags *f)
{
	struct store_row row = {0};
	struct store *store = NULL;
	struct error err = {0};
	int r;

	r = store_open(&store, &err);
	while (r == 0) {
		r = store_get(store, name_of(f), &row, &err);
		if (r < 0)
			break;
		if (f->json)
			print_json(row_json(&row));
		else
			print_status(&row);
		(void)fflush(stdout);
		if (!f->follow || !row.controlled)
			break;
		store_row_done(&row);
		clock_sleep_ms(1000);
		if (!f->json)
			(void)printf("\n");
	}
	if (r < 0)
		print_error(f, &err);
	store_row_done(&row);
	store_close(store);
	return r < 0 ? EXIT_REFUSED : EXIT_DONE;
}

static int list_one(void *arg, const struct store_row *row)
{
	const struct flags *f = arg;

	if (f->json)
		print_json(row_json(row));
	else
		(void)printf("%-24s %-12s live %-7s %-9s %s\n", row->name,
			true_state(row), row->live, row->phase, row->updated);
	return 0;
}

int cmd_list(const struct command *c, struct flags *f)
{
	struct store *store = NULL;
	struct error err = {0};
	int r;

	r = store_open(&store, &err);
	if (r == 0)
		r = store_each(store, list_one, f, &err);
	if (r < 0)
		print_error(f, &err);
	store_close(store);
	return r < 0 ? EXIT_REFUSED : EXIT_DONE;
}

int cmd_report(const struct command *c, struct flags *f)
{
	struct store_row row = {0};
	struct store *store = NULL;
	struct error err = {0};
	json_t *report = NULL;
	int r;

	r = open_row(f, &store, &row, &err);
	if (r == 0) {
		report = parse(row.report);
		if (f->json)
			print_json(json_incref(report));
		else if (report)
			report_print(report);
	}
	if (r < 0)
		print_error(f, &err);
	json_decref(report);
	store_row_done(&row);
	store_close(store);
	return r < 0 ? EXIT_REFUSED : EXIT_DONE;
}
