/* SPDX-License-Identifier: Apache-2.0 */
#include "move/power.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hook.h"
#include "facts/facts.h"
#include "move/probe.h"

#define STEP_MS 20
#define TRY_MS 2000

int power_check(const struct options *o, bool machine, struct error *err)
{
	bool any = o->power_off.n + o->power_on.n + o->target_power_off.n > 0 ||
		   o->no_rollback;
	const char *why = NULL;

	if (any && !machine)
		why = "a volume has no power";
	else if (any && (o->copy || o->clone))
		why = "the source of a copy goes on";
	else if (o->power_on.n > 0 && o->power_off.n == 0)
		why = "--power-on is for what --power-off switched off";
	else if (o->power_off.n > 0 && o->power_on.n == 0 && !o->no_rollback)
		why = "--power-off wants --power-on for the way back, or "
		      "--no-rollback";
	else if (power_fences(o) && o->fence != FENCE_AUTO &&
		 o->fence != FENCE_FREEZE)
		why = "a source that is switched on again must find its disks "
		      "as they were: leave --fence away";
	if (!why)
		return 0;
	error_set(err, -EINVAL, "switch machines off and on");
	error_why(err, "%s", why);
	return error_todo(err, "see --power-off in rehost(1)");
}

bool power_fences(const struct options *o)
{
	return o->power_off.n > 0 && o->power_on.n > 0;
}

static const char *said(const struct move *m)
{
	return facts_text(json_object_get(m->report, "machine"), "power");
}

static int say(struct move *m, const char *what, struct error *err)
{
	move_set_text(m, "machine", "power", what);
	return move_save(m, true, err);
}

/* Connections are served meanwhile. */
static int run(struct move *m, const struct hook_list *l, const char *phase,
	const char *place, struct error *err)
{
	static struct hook_run h;
	struct error ignored;
	const struct hook_env env = {m->row.name, phase, place};

	hook_begin(&h, (const char *const *)l->v, l->n, &env,
		m->options.hook_timeout_ms, true);
	while (!hook_step(&h))
		if (session_idle(&m->session, STEP_MS, &ignored) < 0)
			clock_sleep_ms(STEP_MS);
	move_add_hooks(m, phase, h.failed, h.why, h.output);
	if (!h.failed)
		return 0;
	error_set(err, -ECANCELED, "run %s command %u", phase, h.failed);
	error_host(err, "the controller");
	error_why(err, "%s%s%.400s", h.why, h.output[0] ? ": " : "", h.output);
	return error_todo(
		err, "see what it does when it is run by hand, then try again");
}

bool power_source_is_off(const struct move *m)
{
	return strcmp(said(m), "off") == 0;
}

/* By whatever answers for it, or refuses to. */
static bool source_is_heard(struct move *m)
{
	const char *address = facts_text(
		json_object_get(m->report, "machine"), "source_address");
	struct error ignored;
	char probe[32];
	int r;

	move_ssh_probe(m, probe);
	r = address[0] ? probe_once(probe, address, TRY_MS) : -ETIMEDOUT;
	return r == 0 || r == -ECONNREFUSED ||
	       move_connect(m, SOURCE, &ignored) == 0;
}

int power_off_source(struct move *m, struct error *err)
{
	bool was_off = power_source_is_off(m);
	struct error ignored;
	int r = 0;

	session_close(&m->session, SOURCE);
	if (!was_off)
		r = say(m, "going-off", err);
	if (r == 0)
		r = run(m, &m->options.power_off, "power-off",
			m->options.source, err);
	/* Another try finds it off, which the command may call an error. */
	if (r < 0 && was_off && !source_is_heard(m)) {
		move_note(m, "power-off", "%s: %s; the source is off already",
			err->what, err->why);
		r = 0;
	}
	session_close(&m->session, SOURCE);
	if (r < 0 && was_off)
		(void)say(m, "going-off", &ignored);
	if (r < 0)
		return r;
	move_set_bool(m, "fence", "survives_reboot", true);
	return say(m, "off", err);
}

bool power_can_bring_back(const struct move *m)
{
	return said(m)[0] && m->options.power_on.n > 0 &&
	       !move_fenced_by_signature(m);
}

bool power_source_is_back(const struct move *m)
{
	return strcmp(said(m), "going-on") == 0 || strcmp(said(m), "on") == 0;
}

int power_reach_source(struct move *m, struct error *err)
{
	uint64_t until = clock_ms() + m->options.boot_timeout_ms;
	struct error why = {0}, ignored;
	int r, ran;

	if (!said(m)[0] || m->options.power_on.n == 0)
		return move_connect(m, SOURCE, err);
	/* Stored before: from then on clients may write to it. */
	r = say(m, "going-on", err);
	if (r < 0)
		return r;
	/* It may be on already, which the command may call an error. */
	ran = run(m, &m->options.power_on, "power-on", m->options.source, &why);
	while ((r = move_connect(m, SOURCE, err)) < 0 && clock_ms() < until)
		if (session_idle(&m->session, TRY_MS, &ignored) < 0)
			clock_sleep_ms(TRY_MS);
	if (r < 0) {
		if (ran < 0)
			*err = why;
		return r;
	}
	return say(m, "on", err);
}

int power_off_target(struct move *m, struct error *err)
{
	int r;

	if (m->options.target_power_off.n == 0)
		return -ENOENT;
	session_close(&m->session, TARGET);
	r = run(m, &m->options.target_power_off, "target-power-off",
		m->options.target, err);
	if (r == 0)
		move_note(m, "target-off",
			"the target was switched off; its disks hold a copy "
			"that boots: wipe them before it is switched on again");
	return r;
}
