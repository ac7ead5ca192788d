/* SPDX-License-Identifier: Apache-2.0 */
/* rehost plan: what stands in the way of moving a machine, and a file that says
 * how it would be moved. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "facts/facts.h"
#include "move/estimate.h"
#include "move/inspect.h"
#include "move/plan.h"
#include "move/preflight.h"

struct machine {
	struct place place;
	json_t *facts;
	int64_t asked_ms; /* by this machine's clock; 0: not known */
};

static int parse_machine(const char *text, struct machine *m, struct error *err)
{
	int r = place_parse(text, &m->place, err);

	if (r == 0 && m->place.path[0]) {
		r = error_set(err, -EINVAL, "plan a move of %s", text);
		(void)error_why(err, "it is no machine");
		(void)error_todo(err, "name a machine: user@host; volumes are "
				      "moved without a plan");
	}
	return r;
}

static int ask(struct machine *m, const struct flags *f,
	const char *const *modaliases, struct error *err)
{
	struct ssh_options o = {.args = (const char *const *)f->options.ssh};

	return inspect(&m->place, &o, f->sample_ms, modaliases, &m->facts,
		&m->asked_ms, err);
}

/* The target first: the source is asked what drives the target's controllers.
 */
static int ask_both(struct machine *source, struct machine *target,
	const struct flags *f, struct error *err)
{
	CLEANUP_FREE const char **modaliases = NULL;
	int r = ask(target, f, NULL, err);

	if (r == 0 && preflight_modaliases(target->facts, &modaliases) < 0)
		r = error_set(err, -ENOMEM, "compare the machines");
	return r == 0 ? ask(source, f, modaliases, err) : r;
}

static unsigned count_blocks(const json_t *findings)
{
	unsigned blocks = 0;
	const json_t *v;
	size_t i;

	json_array_foreach(findings, i, v) blocks +=
		strcmp(facts_text(v, "severity"), "blocks") == 0;
	return blocks;
}

unsigned print_findings(FILE *to, const json_t *findings)
{
	const json_t *v;
	size_t i;

	json_array_foreach(findings, i, v)
	{
		(void)fprintf(to, "%-7s %s: %s: %s\n",
			facts_text(v, "severity"), facts_text(v, "host"),
			facts_text(v, "name"), facts_text(v, "fact"));
		if (facts_text(v, "remedy")[0])
			(void)fprintf(to, "        do: %s\n",
				facts_text(v, "remedy"));
	}
	return count_blocks(findings);
}

static void print_all(FILE *to, const json_t *findings)
{
	unsigned blocks = print_findings(to, findings);

	if (blocks > 0)
		(void)fprintf(to,
			"%u of these must be out of the way before "
			"the move\n",
			blocks);
}

/* Into the file that was named, else to standard output. */
static int put_plan(
	const struct flags *f, const struct plan *p, struct error *err)
{
	CLEANUP_FREE char *yaml = NULL;
	int r;

	if (f->output)
		return plan_save(p, f->output, err);
	r = plan_write(p, &yaml, err);
	if (r == 0 && (fputs(yaml, stdout) < 0 || fflush(stdout) != 0))
		r = error_set(err, -EIO, "write to standard output");
	return r;
}

/* What the plan does with the disks is what is looked at. */
static unsigned as_wished(const struct plan *p, struct preflight_disk *ret)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < p->n_disks; i++)
		if (p->disks[i].exclude || p->disks[i].target_name)
			ret[n++] = (struct preflight_disk){p->disks[i].name,
				p->disks[i].exclude ? NULL
						    : p->disks[i].target_name};
	return n;
}

/* How fast samples of the source reach the target. */
static int measure_link(const struct machine *source,
	const struct machine *target, const struct flags *f, uint64_t *ret,
	struct error *err)
{
	struct estimate_wish w = {.source = source->place,
		.target = target->place,
		.has_target = true,
		.options = &f->options};
	struct estimate e = {0};
	int r = estimate(&w, &e, err);

	if (r == 0)
		*ret = e.rate;
	estimate_done(&e);
	return r;
}

static int make(struct flags *f, struct error *err)
{
	struct preflight_disk disks[PLAN_DISKS_MAX];
	struct machine source = {0}, target = {0};
	struct preflight_wish wish = {.new_addresses = f->clone,
		.stays = f->clone,
		.fits_loader = true};
	const char *overwrite[2] = {f->options.overwrite, NULL};
	json_t *findings = NULL;
	struct plan plan;
	unsigned blocks;
	int r;

	plan_init(&plan);
	r = parse_machine(f->arguments[0], &source, err);
	if (r == 0)
		r = parse_machine(f->arguments[1], &target, err);
	if (r == 0)
		r = ask_both(&source, &target, f, err);
	if (r == 0 && f->measure)
		r = measure_link(&source, &target, f, &wish.link_bytes_s, err);
	wish.source_asked_ms = source.asked_ms;
	wish.target_asked_ms = target.asked_ms;
	if (overwrite[0][0])
		wish.overwrite = overwrite;
	(void)snprintf(f->options.source, sizeof(f->options.source), "%s",
		f->arguments[0]);
	(void)snprintf(f->options.target, sizeof(f->options.target), "%s",
		f->arguments[1]);
	if (r == 0)
		r = plan_make(&f->options, f->clone, source.facts, target.facts,
			&plan, err);
	if (r == 0) {
		wish.disks = disks;
		wish.n_disks = as_wished(&plan, disks);
	}
	if (r == 0 &&
		preflight(source.facts, target.facts, &wish, &findings) < 0)
		r = error_set(err, -ENOMEM, "compare the machines");
	if (r == 0 && !f->json)
		print_all(f->output ? stdout : stderr, findings);
	if (r == 0 && (!f->json || f->output))
		r = put_plan(f, &plan, err);
	blocks = count_blocks(findings);
	if (r == 0 && f->json) {
		print_json(json_pack("{s:s s:O s:s?}", "event", "plan",
			"findings", findings, "file", f->output));
	} else if (r == 0 && f->output && !f->quiet) {
		(void)printf("%s: read it, choose where it says ~, and keep "
			     "it: it is only good while the disks\n"
			     "are as they are\n",
			f->output);
	}
	json_decref(findings);
	json_decref(source.facts);
	json_decref(target.facts);
	plan_done(&plan);
	return r < 0 ? r : (int)blocks;
}

int cmd_plan(const struct command *c, struct flags *f)
{
	struct error err = {0};
	int r = make(f, &err);

	if (r < 0)
		print_error(f, &err);
	return r == 0 ? EXIT_DONE : EXIT_REFUSED;
}
