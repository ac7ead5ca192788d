/* SPDX-License-Identifier: Apache-2.0 */
/* rehost move, copy, resume: the commands that control a move. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "move/plan.h"

static void on_signal(int number)
{
	move_signal = number;
}

void catch_signals(void)
{
	struct sigaction a = {.sa_handler = on_signal};

	(void)sigaction(SIGINT, &a, NULL);
	(void)sigaction(SIGTERM, &a, NULL);
	/* The terminal's end is not the move's. */
	(void)signal(SIGHUP, SIG_IGN);
}

static void finish(const struct flags *f, const struct move *m, int code,
	const struct error *err)
{
	progress_end();
	if (!f->quiet && m->report && (code == EXIT_DONE || m->stored) &&
		!f->dry_run) {
		if (f->json)
			print_json(json_incref(m->report));
		else
			report_print(m->report);
	}
	(void)fflush(stdout);
	if (code != EXIT_DONE)
		print_error(f, err);
}

static int check_hooks(const struct command *c, const struct flags *f)
{
	const struct options *o = &f->options;

	if (o->activate.n > 0 && o->deactivate.n == 0 && f->verbose && !f->json)
		(void)printf("no --deactivate: if the target fails to start, "
			     "or for a rollback, its device\nhas to be free "
			     "by itself\n");
	if (o->freeze && o->fence == FENCE_UNMOUNTED)
		return usage_error(
			c, "--freeze and --fence unmounted exclude each other");
	return 0;
}

/* A path on this machine is made absolute: hooks run elsewhere, and later
 * commands may be. */
static int take_place(const char *said, char *buf, size_t size)
{
	struct place p;
	CLEANUP_FREE char *folder = NULL;
	int n;

	if (place_parse(said, &p, NULL) == 0 && place_is_local(&p) &&
		p.path[0] != '\0' && p.path[0] != '/')
		folder = getcwd(NULL, 0);
	n = folder ? snprintf(buf, size, "%s/%s", folder, p.path)
		   : snprintf(buf, size, "%s", said);
	return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

/* A plan names both machines itself. */
static int places_of_plan(struct options *o, struct error *err)
{
	CLEANUP(plan_done) struct plan p;
	int r;

	plan_init(&p);
	r = plan_read(o->plan, &p, err);
	if (r < 0)
		return r;
	(void)snprintf(o->source, sizeof(o->source), "%s", p.source.place);
	(void)snprintf(o->target, sizeof(o->target), "%s", p.target.place);
	if (p.name && !o->name[0])
		(void)snprintf(o->name, sizeof(o->name), "%s", p.name);
	return 0;
}

/* An exit code when they are no good. */
static int take_places(const struct command *c, struct flags *f)
{
	struct options *o = &f->options;
	struct error err = {0};

	if (f->n_arguments == 0) {
		if (places_of_plan(o, &err) == 0)
			return 0;
		print_error(f, &err);
		return EXIT_REFUSED;
	}
	if (take_place(f->arguments[0], o->source, sizeof(o->source)) < 0 ||
		take_place(f->arguments[1], o->target, sizeof(o->target)) < 0)
		return usage_error(c, "a place is too long");
	return 0;
}

int cmd_run(const struct command *c, struct flags *f)
{
	struct observer observer;
	struct error err = {0};
	struct store *store = NULL;
	static struct move m;
	int r = check_hooks(c, f);

	if (r == 0)
		r = take_places(c, f);
	if (r != 0)
		return r;
	f->options.copy = strcmp(c->name, "copy") == 0;
	observer = progress_observer(f);
	catch_signals();
	if (move_new(&f->options, &observer, &m, &err) < 0) {
		print_error(f, &err);
		r = EXIT_REFUSED;
	} else if ((m.source.path[0] == '\0') != (m.target.path[0] == '\0')) {
		r = usage_error(c, "one place is a machine, the other a "
				   "volume like host:/dev/vdb");
	} else if (m.machine &&
		   (place_is_local(&m.source) || place_is_local(&m.target))) {
		r = usage_error(c, "a machine is named by its host");
	} else if (!m.machine && (m.options.clone || m.options.hostname[0])) {
		r = usage_error(c, "--clone and --as are for machines");
	} else if (m.options.copy && m.options.hostname[0] && !f->clone &&
		   !m.options.plan[0]) {
		r = usage_error(c, "--as is for a copy with --clone");
	} else if (store_open(&store, &err) < 0) {
		print_error(f, &err);
		r = EXIT_REFUSED;
	} else {
		m.store = store;
		r = f->dry_run ? move_dry_run(&m, &err) : move_run(&m, &err);
		finish(f, &m, r, &err);
		if (f->dry_run && r == EXIT_DONE && f->json)
			print_json(json_incref(m.report));
		else if (f->dry_run && r == EXIT_DONE && !f->quiet)
			plan_print(m.report);
	}
	move_done(&m);
	store_close(store);
	return r;
}

int cmd_resume(const struct command *c, struct flags *f)
{
	struct observer observer;
	struct error err = {0};
	struct store *store = NULL;
	static struct move m;
	int r;

	observer = progress_observer(f);
	catch_signals();
	if (store_open(&store, &err) < 0 ||
		move_load(store, name_of(f), &observer, &m, &err) < 0) {
		print_error(f, &err);
		r = EXIT_REFUSED;
	} else {
		if (f->options.bwlimit)
			m.options.bwlimit = f->options.bwlimit;
		if (f->set_downtime)
			m.options.downtime_ms = f->options.downtime_ms;
		m.options.freeze |= f->options.freeze;
		if (f->set_boot_timeout)
			m.options.boot_timeout_ms = f->options.boot_timeout_ms;
		r = options_take_hooks(&m.options.probes, &f->options.probes);
		if (f->set_cutover)
			m.options.wait = f->options.wait;
		move_set(&m, "downtime_ms", "budget",
			(int64_t)m.options.downtime_ms);
		if (r < 0)
			error_set(&err, r, "take a probe");
		r = r < 0 ? EXIT_REFUSED : move_run(&m, &err);
		finish(f, &m, r, &err);
	}
	move_done(&m);
	store_close(store);
	return r;
}
