/* SPDX-License-Identifier: Apache-2.0 */
#include "move/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "facts/facts.h"
#include "fixup/wish.h"
#include "move/back.h"
#include "move/clone.h"
#include "move/inspect.h"
#include "move/plan_disk.h"
#include "move/preflight.h"
#include "move/probe.h"
#include "move/steps.h"

#define PROBE_MS 3000

struct both {
	json_t *source, *target;
	int64_t source_ms, target_ms; /* when they were asked */
};

static void both_done(struct both *b)
{
	json_decref(b->source);
	json_decref(b->target);
}

/* The target first: the source is asked what drives its controllers. */
static int ask(struct move *m, struct both *b, struct error *err)
{
	CLEANUP_FREE const char **modaliases = NULL;
	int r;

	b->target_ms = (int64_t)clock_wall_ms();
	r = inspect_with(&m->session, TARGET, 0, NULL, &b->target, err);
	if (r == 0 && preflight_modaliases(b->target, &modaliases) < 0)
		r = error_set(err, -ENOMEM, "compare the machines");
	b->source_ms = (int64_t)clock_wall_ms();
	if (r == 0)
		r = inspect_with(
			&m->session, SOURCE, 0, modaliases, &b->source, err);
	return r;
}

/* ---- what stands in the way ---- */

/* The first finding that blocks is why; the others are worth a line. */
static int judge(struct move *m, const json_t *findings, struct error *err)
{
	const json_t *f;
	size_t i;

	json_array_foreach(findings, i, f)
	{
		const char *severity = facts_text(f, "severity");

		if (strcmp(severity, "blocks") == 0) {
			error_set(err, -EPERM, "move this machine");
			error_host(
				err, m->session
					     .host[strcmp(facts_text(f, "host"),
							   "source") == 0
							     ? SOURCE
							     : TARGET]
					     .peer.name);
			error_why(err, "%s (%s)", facts_text(f, "fact"),
				facts_text(f, "name"));
			return error_todo(err, "%s", facts_text(f, "remedy"));
		}
		if (strcmp(severity, "warns") == 0)
			move_note(m, "preflight", "%s: %s (%s)",
				facts_text(f, "host"), facts_text(f, "fact"),
				facts_text(f, "name"));
	}
	return 0;
}

static int preflight_all(struct move *m, const struct plan *p,
	const struct both *b, struct error *err)
{
	struct preflight_disk disks[PLAN_DISKS_MAX];
	const char *overwrite[PLAN_DISKS_MAX + 1] = {NULL};
	struct preflight_wish wish = {.disks = disks,
		.overwrite = overwrite,
		.new_addresses = m->options.clone,
		.fits_loader =
			!move_is_plain_copy(m) && p->fixups[PLAN_BOOTLOADER],
		.stays = m->options.copy || m->options.clone,
		.source_asked_ms = b->source_ms,
		.target_asked_ms = b->target_ms};
	json_t *findings = NULL;
	unsigned n = 0;
	int r;

	for (uint32_t i = 0; i < p->n_disks; i++) {
		const struct plan_disk *d = &p->disks[i];

		if (d->exclude || d->target_name)
			disks[wish.n_disks++] = (struct preflight_disk){
				d->name, d->exclude ? NULL : d->target_name};
		if (!d->exclude && d->overwrite)
			overwrite[n++] = d->overwrite;
	}
	if (preflight(b->source, b->target, &wish, &findings) < 0)
		return error_set(err, -ENOMEM, "compare the machines");
	r = judge(m, findings, err);
	json_decref(findings);
	return r;
}

/* ---- the plan, as options ---- */

/* "NAME/ID" where the id alone would not do. */
static const char *id_part(const char *overwrite)
{
	const char *slash = overwrite ? strchr(overwrite, '/') : NULL;

	return slash ? slash + 1 : overwrite ? overwrite : "";
}

static int take_disks(struct move *m, const struct plan *p,
	const struct both *b, struct error *err)
{
	int r = 0;

	for (uint32_t i = 0; i < p->n_disks && r == 0; i++) {
		const struct plan_disk *d = &p->disks[i];
		const json_t *from, *to;

		if (d->exclude)
			continue;
		from = plan_find_disk(b->source, d->id, d->name);
		to = plan_find_disk(b->target, d->target_id, d->target_name);
		r = options_add_disk(&m->options, facts_text(from, "path"),
			facts_text(to, "path"), id_part(d->overwrite));
	}
	if (r < 0)
		return error_set(err, r, "move so many disks");
	if (m->options.n_disks > 0)
		return 0;
	error_set(err, -ENOENT, "move this machine");
	return error_why(err, "it has no disk that moves");
}

static int take_hooks(struct hook_list *to, const struct hook_list *from)
{
	int r = 0;

	/* What the command line says comes in addition. */
	for (uint32_t i = 0; i < from->n && r == 0; i++)
		r = options_add_hook(to, from->v[i]);
	return r;
}

/* Of a file only: what rehost made itself came from the options. */
static int take_rest(struct move *m, const struct plan *p, struct error *err)
{
	struct options *o = &m->options;
	int r;

	if (!o->set_downtime)
		o->downtime_ms = p->downtime_ms;
	if (!o->set_bwlimit)
		o->bwlimit = p->bwlimit;
	if (!o->set_cutover)
		o->wait = p->wait;
	if (!o->set_hook_timeout)
		o->hook_timeout_ms = p->hook_timeout_ms;
	r = take_hooks(&o->quiesce, &p->quiesce);
	if (r == 0)
		r = take_hooks(&o->rollback, &p->rollback);
	return r < 0 ? error_set(err, r, "use the plan") : 0;
}

/* A machine with an identity of its own is a copy, and the user says so. */
static int take_identity(struct move *m, struct plan *p, struct error *err)
{
	struct options *o = &m->options;

	if (o->hostname[0]) {
		free(p->hostname);
		p->hostname = strdup(o->hostname);
		if (!p->hostname)
			return error_set(err, -ENOMEM, "use the plan");
	}
	if (p->new_identity != o->clone) {
		error_set(err, -EINVAL, "use the plan");
		error_why(err, "it says identity: %s",
			plan_identity_names[p->new_identity]);
		return error_todo(err, "%s",
			p->new_identity ? "make a clone of it: rehost copy "
					  "--clone --plan"
					: "write identity: new into it, or "
					  "leave --clone away");
	}
	if (o->copy && !o->clone && p->hostname) {
		error_set(err, -EINVAL, "change the host name");
		return error_why(err, "a copy is not changed, but with "
				      "--clone");
	}
	return 0;
}

static int get_plan(struct move *m, const struct both *b, struct plan *ret,
	struct error *err)
{
	struct options *o = &m->options;
	int r;

	if (o->plan[0])
		r = plan_read(o->plan, ret, err);
	else
		r = plan_make(o, o->clone, b->source, b->target, ret, err);
	if (r == 0)
		r = take_identity(m, ret, err);
	if (r < 0)
		return r;
	r = plan_check(ret, b->source, b->target, err);
	if (r == -EINVAL && !o->plan[0])
		error_todo(err, "make a plan with rehost plan, choose there, "
				"and give it as --plan");
	if (r == 0 && o->plan[0])
		r = take_rest(m, ret, err);
	return r;
}

/* Those of the plan that the source does not answer, the new machine will not
 * answer either. What the user asks for is asked, whatever it says now. */
static int take_probes(struct move *m, const struct plan *p, struct error *err)
{
	const char *address = m->session.host[SOURCE].hello.ssh_address;
	struct hook_list *probes = &m->options.probes;

	if (move_is_plain_copy(m) || probes->n > 0)
		return 0;
	for (uint32_t i = 0; i < p->probes.n; i++) {
		const char *probe = p->probes.v[i];

		if (address[0] && probe_once(probe, address, PROBE_MS) < 0)
			move_note(m, "not-probed",
				"%s: the source does not answer it at %s",
				probe, address);
		else if (options_add_hook(probes, probe) < 0)
			return error_set(err, -E2BIG, "probe so much");
	}
	return 0;
}

/* A service that began later was restarted, or is not of the boot. */
#define BOOT_S 900

/* Whoever is probed was there so long after the source's own kernel began. */
static void forecast_boot(struct move *m, const json_t *source)
{
	const struct hook_list *probes = &m->options.probes;
	int64_t last = 0;
	const json_t *p;
	size_t i;

	json_array_foreach(json_object_get(source, "ports"), i, p)
	{
		int64_t port = json_integer_value(json_object_get(p, "port"));
		int64_t started =
			json_integer_value(json_object_get(p, "started"));

		for (uint32_t k = 0; k < probes->n; k++)
			if (port == probe_port(probes->v[k]) &&
				started < BOOT_S && started > last)
				last = started;
	}
	if (last > 0)
		move_set(m, "machine", "last_boot_ms", last * 1000);
}

static void keep_way_back(struct move *m, const json_t *source)
{
	struct back back;

	if (back_find(source, &m->session.host[SOURCE].hello, &back) < 0)
		return;
	move_set_text(m, "machine", "back_controller", back.controller);
	move_set_text(m, "machine", "back_source", back.source);
}

int machine_plan(struct move *m, struct error *err)
{
	CLEANUP(both_done) struct both b = {0};
	CLEANUP(plan_done) struct plan p;
	struct options *o = &m->options;
	int r;

	plan_init(&p);
	r = ask(m, &b, err);
	if (r == 0)
		r = get_plan(m, &b, &p, err);
	if (r == 0 && (o->activate.n > 0 || o->deactivate.n > 0)) {
		r = error_set(err, -EOPNOTSUPP, "run hooks on the target");
		error_why(err, "a machine has activate and deactivate hooks of "
			       "its own: the services that it starts");
		error_todo(err, "leave them away");
	}
	if (r == 0 && o->clone)
		r = clone_check(m, &p, b.source, b.target, err);
	if (r == 0)
		r = preflight_all(m, &p, &b, err);
	if (r == 0)
		r = take_disks(m, &p, &b, err);
	if (r == 0)
		r = take_probes(m, &p, err);
	if (r == 0)
		machine_choose_address(m, &p, b.source);
	if (r == 0)
		forecast_boot(m, b.source);
	if (r < 0)
		return r;
	keep_way_back(m, b.source);
	o->wish = machine_wish(&p, b.source, b.target, m->row.name);
	if (!o->wish)
		return error_set(err, -ENOMEM, "plan the move");
	/* The target would refuse it, after the commit. */
	return move_is_plain_copy(m) ? 0 : wish_check(o->wish, err);
}

/* A system goes on living while it is copied, or waits for days: its kernel may
 * be another one by now. */
int machine_plan_again(struct move *m, struct error *err)
{
	CLEANUP(both_done) struct both b = {0};
	int r = ask(m, &b, err);

	/* What was planned may still do. */
	if (r < 0 && r != -EINTR && m->session.host[SOURCE].alive &&
		m->session.host[TARGET].alive) {
		move_note(m, "kernel",
			"whether the source has another kernel by now is not "
			"known: %s",
			err->why);
		return 0;
	}
	if (r < 0)
		return r;
	r = machine_wish_kernel(m->options.wish, b.source, b.target);
	if (r < 0)
		return error_set(err, r, "plan the move");
	return wish_check(m->options.wish, err);
}
