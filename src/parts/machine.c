/* SPDX-License-Identifier: Apache-2.0 */
/* The machine part: what makes a copy of all disks a machine that runs. Its
 * disks are a volume part of their own, which comes before it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "facts/facts.h"
#include "move/back.h"
#include "move/fit.h"
#include "move/machine.h"
#include "move/power.h"
#include "move/probe.h"
#include "move/ssh_says.h"
#include "move/steps.h"
#include "move/who.h"
#include "parts/grow.h"
#include "parts/volume.h"
#include "volume/mounts.h"

#define GONE_MS 60000
#define HEARD_MS 1000
#define KEEPER_MS 5000
#define HEARING_MS 2000
#define SILENCE_MS 20000
#define PATIENCE_MS 250
#define PATIENCE_MAX_MS 5000
#define QUIET_TIMES 2
#define RESCUE_MS 60000 /* until it has gone */
#define BOOT_TRIES 2	/* the order may not be heard */

/* machine.hushed: the source was told to be silent, and said that it is. */
enum { HUSH_ASKED = 1, HUSH_ANSWERED };

struct machine_part {
	struct msg_fit *fit;
	struct prober *prober;
};

static int64_t machine_get(const struct part *p, const char *key)
{
	return move_get(p->move, "machine", key);
}

static const char *machine_text(const struct part *p, const char *key)
{
	return facts_text(json_object_get(p->move->report, "machine"), key);
}

static const json_t *machine_list(const struct part *p, const char *key)
{
	return json_object_get(
		json_object_get(p->move->report, "machine"), key);
}

/* ---- before the cut: what will be needed after it ---- */

static int add_mount(struct part *p, const json_t *mount, struct error *err)
{
	struct machine_part *v = p->data;
	struct msg_fit_mount *f = &v->fit->mounts[v->fit->n_mounts];
	const char *subvolume = facts_text(mount, "subvolume");
	static struct msg_path path;
	int r;

	if (v->fit->n_mounts == FIT_MOUNTS_MAX)
		return 0;
	(void)snprintf(path.path, sizeof(path.path), "%s",
		facts_text(mount, "device"));
	r = session_call(&p->move->session, SOURCE, MSG_LIE, &path, &f->on,
		CALL_MS, err);
	if (r < 0)
		return r;
	(void)snprintf(
		f->point, sizeof(f->point), "%s", facts_text(mount, "mount"));
	(void)snprintf(
		f->type, sizeof(f->type), "%s", facts_text(mount, "type"));
	(void)snprintf(f->folder, sizeof(f->folder), "%s",
		facts_text(mount, "folder"));
	if (subvolume[0])
		(void)snprintf(
			f->options, sizeof(f->options), "subvol=%s", subvolume);
	v->fit->n_mounts++;
	return 0;
}

static int make_fit(struct part *p, struct error *err)
{
	struct machine_part *v = p->data;
	const struct options *o = &p->move->options;
	const json_t *mount;
	char *text;
	size_t i;
	int r = 0;

	memset(v->fit, 0, sizeof(*v->fit));
	v->fit->n_disks = o->n_disks;
	for (uint32_t k = 0; k < o->n_disks; k++)
		(void)snprintf(v->fit->disks[k].path,
			sizeof(v->fit->disks[k].path), "%s",
			o->disks[k].target);
	json_array_foreach(json_object_get(o->wish, "mounts"), i, mount)
	{
		r = add_mount(p, mount, err);
		if (r < 0 && mounts_is_needed(facts_text(mount, "mount")))
			return r;
		if (r < 0 && p->move->session.host[SOURCE].alive)
			move_note(p->move, "not-mounted",
				"%s will not be looked into on the target: %s",
				facts_text(mount, "mount"), err->why);
	}
	text = json_dumps(o->wish, JSON_COMPACT);
	if (!text || strlen(text) > sizeof(v->fit->wish)) {
		free(text);
		return error_set(err, -E2BIG, "say what the system is to be");
	}
	v->fit->n_wish = (uint32_t)strlen(text);
	memcpy(v->fit->wish, text, v->fit->n_wish);
	free(text);
	(void)snprintf(v->fit->kernel, sizeof(v->fit->kernel), "%s",
		facts_text(o->wish, "boot.kernel"));
	(void)snprintf(v->fit->initramfs, sizeof(v->fit->initramfs), "%s",
		facts_text(o->wish, "boot.initramfs"));
	(void)snprintf(v->fit->cmdline, sizeof(v->fit->cmdline), "%s",
		facts_text(o->wish, "boot.command_line"));
	v->fit->secret = json_is_true(facts_at(o->wish, "boot.secret"));
	if (p->move->options.boot != BOOT_BY_KEXEC ||
		(v->fit->kernel[0] && !v->fit->secret))
		return 0;
	error_set(err, -EINVAL, "start the new machine by kexec");
	error_why(err, "what its boot loader starts, and tells the kernel, is "
		       "not known in full");
	return error_todo(err, "leave --boot kexec away");
}

/* Is it that side's machine itself that answers there? Others may have its
 * address where the controller is. */
static bool is_itself(struct part *p, enum side side, const char *address)
{
	struct move *m = p->move;
	const struct msg_hello *h = &m->session.host[side].hello;
	struct ssh_options o = {.args = (const char *const *)m->options.ssh};

	return back_answers(side == SOURCE ? &m->source : &m->target, &o,
		address, h->ssh_port ? h->ssh_port : 22, h->boot_id);
}

/* How long an answer takes; -1: the controller hears none. */
static int64_t answer_ms(
	struct part *p, const char *address, unsigned patience_ms)
{
	uint64_t t = clock_ms();
	char probe[32];

	move_ssh_probe(p->move, probe);
	return probe_once(probe, address, patience_ms) < 0
		       ? -1
		       : (int64_t)(clock_ms() - t);
}

/* By which port it is asked whether it answers, how long that takes, and at
 * which of the addresses that the new machine will have the controller hears
 * it: at others its silence says nothing. */
static void note_way(struct part *p)
{
	struct move *m = p->move;
	const char *first = machine_text(p, "source_address");
	json_t *heard = json_array();
	int64_t slowest, first_ms;
	const json_t *a;
	size_t i;

	move_set(m, "machine", "ssh_port",
		m->session.host[SOURCE].hello.ssh_port);
	slowest = first_ms = answer_ms(p, first, PATIENCE_MAX_MS);
	/* Behind a jump host somebody else may have it here. */
	move_set(m, "machine", "stranger",
		first_ms >= 0 && !is_itself(p, SOURCE, first));
	json_array_foreach(machine_list(p, "shared"), i, a)
	{
		const char *address = json_string_value(a);
		int64_t ms = strcmp(address, first) == 0
				     ? first_ms
				     : answer_ms(p, address, HEARING_MS);

		if (ms >= 0 && is_itself(p, SOURCE, address))
			(void)json_array_append(heard, (json_t *)(uintptr_t)a);
		slowest = MAX(slowest, ms);
	}
	move_set(m, "machine", "connect_ms", MAX(slowest, (int64_t)0));
	(void)json_object_set_new(
		json_object_get(m->report, "machine"), "heard", heard);
}

/* Is the new machine to be found where the rescue system is? */
static bool has_rescue_address(const struct part *p)
{
	return strcmp(machine_text(p, "address"),
		       machine_text(p, "rescue_address")) == 0;
}

/* Behind its network's translation of addresses the target says one that leads
 * nowhere from here, or to a stranger; then it is found by the name that ssh
 * has for it. */
static void name_target(struct part *p)
{
	struct move *m = p->move;
	struct ssh_options o = {.args = (const char *const *)m->options.ssh};
	const struct msg_hello *h = &m->session.host[TARGET].hello;
	CLEANUP_FREE char *text = NULL;
	char name[256];

	/* A process before this one may have found it. */
	if (machine_text(p, "rescue_address")[0] && has_rescue_address(p))
		return;
	move_set_text(m, "machine", "rescue_address", h->ssh_address);
	if (!h->ssh_address[0] ||
		strcmp(machine_text(p, "address"), h->ssh_address) != 0 ||
		is_itself(p, TARGET, h->ssh_address) ||
		ssh_says(&m->target, &o, &text) < 0)
		return;
	ssh_value(text, "hostname", name, sizeof(name));
	/* A gateway may have that name, and an ssh of its own. */
	if (!name[0] || !is_itself(p, TARGET, name))
		return;
	move_set_text(m, "machine", "address", name);
	move_set_text(m, "machine", "rescue_address", name);
}

/* Not to be found out when it is too late. */
static void tell_way_back(const struct part *p)
{
	struct move *m = p->move;

	if (move_shares_addresses(m) && !m->options.clone &&
		!m->options.no_rollback && m->options.power_on.n == 0 &&
		!machine_text(p, "back_source")[0])
		move_note(m, "no-way-back",
			"from the moment that the new machine boots, with %s, "
			"the source cannot be reached from here: a rollback "
			"needs its console, or --power-off and --power-on",
			json_string_value(
				json_array_get(machine_list(p, "shared"), 0)));
}

static int machine_prepare(struct part *p, struct error *err)
{
	struct machine_part *v = p->data;
	struct move *m = p->move;
	int r;

	if (move_is_plain_copy(m))
		return 0;
	r = make_fit(p, err);
	if (r < 0)
		return r;
	/* The plan rests on how it was reached first. */
	if (!machine_text(p, "source_address")[0])
		move_set_text(m, "machine", "source_address",
			m->session.host[SOURCE].hello.ssh_address);
	note_way(p);
	name_target(p);
	tell_way_back(p);
	move_set_text(m, "machine", "rescue_boot",
		m->session.host[TARGET].hello.boot_id);
	move_set_text(m, "machine", "source_boot",
		m->session.host[SOURCE].hello.boot_id);
	/* After the commit the source cannot be asked any more. */
	return store_put_blob(
		m->store, m->row.name, "fit", v->fit, sizeof(*v->fit), err);
}

/* Clients are asked for from before the cut, so that the outage is theirs. */
static int machine_approach(struct part *p, struct error *err)
{
	struct machine_part *v = p->data;
	const struct host *h = &p->move->session.host[SOURCE];

	(void)err;
	if (!move_keeps_source(p->move) && !v->prober &&
		h->hello.ssh_address[0] && p->move->options.probes.n > 0 &&
		prober_start(&p->move->options.probes, h->hello.ssh_address,
			&v->prober) < 0)
		v->prober = NULL; /* it measures, and decides nothing yet */
	return 0;
}

static int machine_rollback(struct part *p, struct error *err)
{
	struct machine_part *v = p->data;

	(void)err;
	prober_end(v->prober);
	v->prober = NULL;
	return 0;
}

/* ---- after the commit ---- */

static void tell_changes(struct move *m, struct fit_result *f)
{
	const json_t *v;
	size_t i;

	json_array_foreach(json_object_get(f->fixups, "warnings"), i, v)
		move_note(m, "fixup", "%s: %s", facts_text(v, "fixup"),
			facts_text(v, "what"));
	(void)json_object_set(m->report, "fixups", f->fixups);
	move_set(m, "machine", "fit_ms", (int64_t)f->ms);
	if (f->skipped[0])
		move_note(m, "not-mounted", "not looked into on the target: %s",
			f->skipped);
	if (f->why[0])
		move_note(m, "boots-by-firmware",
			"the new machine boots by its firmware: %s", f->why);
}

/* A refusal is an answer, too. */
static bool answers(const char *probe, const char *host, unsigned patience_ms)
{
	int r = probe_once(probe, host, patience_ms);

	return r != -ETIMEDOUT && r != -EHOSTUNREACH && r != -ENETUNREACH;
}

/* Whether nobody answers at an address, several times in a row; so long it may
 * go on answering. */
static bool is_silent(struct part *p, const char *host, unsigned ms)
{
	uint64_t until = clock_ms() + ms;
	/* Several ways there and back, as far as it was asked before. */
	unsigned patience = (unsigned)MIN(
		MAX(4 * machine_get(p, "connect_ms"), (int64_t)PATIENCE_MS),
		(int64_t)PATIENCE_MAX_MS);
	unsigned quiet = 0;
	struct error err;
	char probe[32];

	move_ssh_probe(p->move, probe);
	while (quiet < QUIET_TIMES) {
		if (!answers(probe, host, patience)) {
			quiet++;
			continue;
		}
		quiet = 0;
		if (clock_ms() > until ||
			session_idle(&p->move->session, 50, &err) < 0)
			return false;
	}
	return true;
}

/* The source, at all addresses that the new machine will have; *ret_at is where
 * it answers still. */
static bool source_is_silent(struct part *p, unsigned ms, const char **ret_at)
{
	const json_t *a;
	size_t i;

	json_array_foreach(machine_list(p, "heard"), i, a)
	{
		*ret_at = json_string_value(a);
		if (!is_silent(p, *ret_at, ms))
			return false;
	}
	return true;
}

/* The new machine takes an address of the source: the source, which is fenced,
 * must not answer there any more, not even the controller, but by a way back of
 * its own if there is one. It does so when its own answer is away. */
static int hush_source(struct part *p, struct error *err)
{
	struct move *m = p->move;
	static struct msg_peers left;
	bool heard = json_array_size(machine_list(p, "heard")) > 0;
	const char *at;
	struct error why;
	int r;

	if (!move_shares_addresses(m) ||
		machine_get(p, "hushed") == HUSH_ANSWERED)
		return 0;
	/* A process that was killed may have stored this and not done it. */
	if (machine_get(p, "hushed") && heard &&
		source_is_silent(p, HEARD_MS, &at)) {
		move_note(m, "hush",
			"the source is silent, but nobody knows whether it was "
			"told to be: if only its network is down, switch it "
			"off before that is back");
		return 0;
	}
	/* It may be another process that committed. */
	r = move_connect(m, SOURCE, &why);
	if (r == 0)
		r = volume_open_source_agent(&m->parts[0], VOLUME_KEEPER, &why);
	left.n = machine_text(p, "back_controller")[0] != '\0';
	(void)snprintf(left.v[0].text, sizeof(left.v[0].text), "%s",
		machine_text(p, "back_controller"));
	left.v[0].port = m->session.host[SOURCE].hello.ssh_port;
	/* Before it is done: afterwards there is that other way alone. */
	if (r == 0) {
		move_set(m, "machine", "hushed", HUSH_ASKED);
		r = move_save(m, true, &why);
	}
	if (r == 0)
		r = session_call(&m->session, SOURCE, MSG_HUSH, &left, NULL,
			CALL_MS, &why);
	if (r == 0)
		move_set(m, "machine", "hushed", HUSH_ANSWERED);
	/* Where its silence is not heard its word is all that there is. */
	if (r < 0 && !heard && m->session.host[SOURCE].alive) {
		error_set(err, -EADDRINUSE, "boot the new machine");
		error_why(err,
			"the source, at an address that the new machine is to "
			"have, could not be told to be silent (%.300s)",
			why.why);
		return error_todo(err,
			"switch the source off, then rehost resume %s",
			m->row.name);
	}
	if (r < 0)
		move_note(m, "hush",
			"the source could not be told to be silent (%s): "
			"before it is on the network again, switch it off, or "
			"both answer for %s",
			why.why,
			json_string_value(
				json_array_get(machine_list(p, "shared"), 0)));
	session_close(&m->session, SOURCE);
	return 0;
}

/* Only then another may take it. */
static int await_silence(struct part *p, struct error *err)
{
	const char *at;

	if (!move_shares_addresses(p->move) ||
		source_is_silent(p, SILENCE_MS, &at))
		return 0;
	error_set(err, -EADDRINUSE, "boot the new machine");
	error_why(err,
		"the source still answers at %s, which the new machine is to "
		"have",
		at);
	return error_todo(err, "switch the source off, then rehost resume %s",
		p->move->row.name);
}

static bool fence_ends_with_a_reset(const struct move *m)
{
	return !m->options.clone &&
	       !json_is_true(json_object_get(
		       json_object_get(m->report, "fence"), "survives_reboot"));
}

/* The source may live since, and have taken writes, which would be lost when
 * the new machine takes its place. */
static int check_not_reset(struct part *p, struct error *err)
{
	struct move *m = p->move;
	static struct msg_keeper_state state;
	struct error why;
	int r;

	if (!fence_ends_with_a_reset(m))
		return 0;
	/* Where the commit was asked for, nobody has to log in again. */
	if (m->session.host[SOURCE].alive &&
		session_call(&m->session, SOURCE, MSG_KEEPER, NULL, &state,
			KEEPER_MS, &why) == 0 &&
		state.phase == KEEPER_COMMITTED)
		return 0;
	session_close(&m->session, SOURCE);
	r = move_connect(m, SOURCE, &why);
	if (r < 0)
		move_note(m, "source-unseen",
			"the source cannot be reached (%s), and its fence ends "
			"with a reset: nobody knows whether it was reset since "
			"the commit; what it took since then is lost",
			why.why);
	if (r < 0 || who_answers(m, SOURCE, &why) == WHO_SOURCE)
		return 0;
	error_set(err, -EADDRINUSE, "boot the new machine");
	error_why(err, "the source booted since the commit, and may have taken "
		       "writes");
	return error_todo(err, "rehost rollback %s", m->row.name);
}

/* Then the order to boot can not have been heard. */
static int lost_before_boot(const struct move *m, struct error *err)
{
	error_set(err, -ECONNRESET, "boot the new machine");
	error_why(err, "the connection to the target was lost before it was "
		       "told to");
	return error_todo(err, "rehost resume %s", m->row.name);
}

/* The order to boot is stored before it is given: from then on it may run. */
static int boot(struct part *p, struct error *err)
{
	struct machine_part *v = p->data;
	struct move *m = p->move;
	CLEANUP(fit_result_done) struct fit_result fitted = {0};
	bool before = machine_get(p, "booted") != 0;
	uint64_t until = 0;
	int r = 0;

	/* What becomes of the source is no matter any more, but where it has to
	 * be told to be silent; then it is tried again. */
	if (!move_shares_addresses(m) && !fence_ends_with_a_reset(m))
		session_close(&m->session, SOURCE);
	/* The rescue system is another boot. */
	if (before)
		r = volume_check_target(&m->parts[0], err);
	if (r == 0 && v->fit->n_mounts == 0)
		r = fit_load(m, v->fit, err);
	if (r == 0)
		do
			r = grow_target(p, err);
		while (move_waits_for_disks(m, m->resumed, &until, &r, err));
	if (r == 0)
		r = fit_system(m, TARGET, v->fit, &fitted, err);
	if (r < 0)
		return r;
	tell_changes(m, &fitted);
	r = check_not_reset(p, err);
	if (r < 0)
		return r;
	if (power_fences(&m->options))
		r = power_off_source(m, err);
	else
		r = hush_source(p, err);
	/* That it goes off is no matter while the new one boots. */
	session_close(&m->session, SOURCE);
	if (r == 0)
		r = await_silence(p, err);
	if (r == 0 && !m->session.host[TARGET].alive)
		r = lost_before_boot(m, err);
	if (r < 0)
		return r;
	move_set_text(m, "machine", "boots_by",
		fitted.how.how == BOOT_KEXEC ? "kexec" : "firmware");
	move_set(m, "machine", "booted", 1);
	if (m->cut_at && !m->options.clone)
		move_set(m, "downtime_ms", "to_boot",
			(int64_t)(clock_ms() - m->cut_at - m->hooks_ms));
	r = move_save(m, true, err);
	if (r == 0) {
		move_kill_point(m, POINT_ORDERED);
		r = session_call(&m->session, TARGET, MSG_BOOT, &fitted.how,
			NULL, CALL_MS, err);
	}
	/* The answer may be lost, the order not. */
	if (r == -ECONNRESET || r == -ETIMEDOUT)
		r = 0;
	if (r == 0 || r == -EINTR)
		session_close(&m->session, TARGET);
	else if (!before) /* it was refused */
		move_set(m, "machine", "booted", 0);
	return r;
}

static int no_answer(struct part *p, struct error *err)
{
	error_set(err, -ETIMEDOUT, "reach the new machine");
	error_why(err, "not all probes of %s were answered within %llu s",
		machine_text(p, "address"),
		(unsigned long long)p->move->options.boot_timeout_ms / 1000);
	return error_todo(err,
		"look at its console; mend it and rehost resume %s, or stop "
		"it and rehost %s %s%s",
		p->move->row.name,
		p->move->options.clone ? "abort" : "rollback",
		p->move->row.name,
		p->move->options.clone
			? ""
			: ", which loses what it wrote since the commit");
}

/* Does the rescue system run there? Then the order to boot was never heard, or
 * the firmware started it again. */
static bool is_rescue(struct part *p)
{
	struct move *m = p->move;
	struct error ignored;

	return move_connect(m, TARGET, &ignored) == 0 &&
	       who_answers(m, TARGET, &ignored) == WHO_RESCUE;
}

/* -ESTALE: it was the rescue system that answered. */
static int await_answer(struct part *p, struct error *err)
{
	struct machine_part *v = p->data;
	struct move *m = p->move;
	const char *address = machine_text(p, "address");
	uint64_t until = clock_ms() + m->options.boot_timeout_ms, last;
	int r = 0;

	bool stranger = move_hears_stranger(m);

	if (m->options.probes.n == 0 || !address[0] || stranger) {
		move_note(m, "not-probed",
			"whether the new machine answers is not known: %s",
			stranger     ? "who answers at its address here was "
				       "not the source"
			: address[0] ? "there is no probe"
				     : "its address is not known");
		return 0;
	}
	if (!v->prober &&
		prober_start(&m->options.probes, address, &v->prober) < 0)
		return error_set(err, -ENOMEM, "probe the new machine");
	if (has_rescue_address(p))
		(void)is_silent(p, address, RESCUE_MS);
	prober_turn(v->prober, address);
	while (r == 0 && prober_first(v->prober) == 0) {
		if (clock_ms() > until)
			return no_answer(p, err);
		r = session_idle(&m->session, 100, err);
	}
	/* The new machine has other host keys: this takes no time. */
	if (r == 0 && has_rescue_address(p)) {
		if (is_rescue(p)) {
			prober_end(v->prober);
			v->prober = NULL;
			error_set(err, -ESTALE, "boot the new machine");
			return error_why(err, "the rescue system goes on");
		}
		session_close(&m->session, TARGET);
	}
	/* The controller is let through the source's fence, clients not. */
	last = MIN(prober_last(v->prober), m->held_at);
	if (r == 0 && last > 0 && !m->options.clone)
		move_set(m, "downtime_ms", "clients",
			(int64_t)(prober_first(v->prober) - last));
	return r;
}

static int machine_activate(struct part *p, struct error *err)
{
	struct machine_part *v = p->data;
	int r = 0;

	if (move_is_plain_copy(p->move)) {
		r = grow_target(p, err);
		move_note(p->move, "target-boots",
			"the target's disks hold a copy that boots, with the "
			"source's addresses and keys");
		return r;
	}
	move_set(p->move, "machine", "stopped", 0);
	for (int try = 0; try < BOOT_TRIES; try++) {
		r = machine_get(p, "booted") && !is_rescue(p) ? 0
							      : boot(p, err);
		if (r == 0)
			r = await_answer(p, err);
		if (r != -ESTALE)
			break;
	}
	/* A source that is to be given back must not be busy with answering. */
	prober_end(v->prober);
	v->prober = NULL;
	return r;
}

/* ---- back ---- */

/* The moved system, by the address that it has now; it has the host key of the
 * source. */
static int connect_moved(struct part *p, struct error *err)
{
	struct move *m = p->move;
	const char *args[SSH_ARGS_MAX + 8], *address;
	struct ssh_options o = {.args = args};
	static struct back_args there;
	size_t n = 0;
	int r;

	address = machine_text(p, "address");
	args[n++] = "-o";
	args[n++] = "ConnectTimeout=20";
	args[n++] = "-o";
	args[n++] = "ControlPath=none";
	for (uint32_t i = 0; i < m->options.n_ssh; i++)
		args[n++] = m->options.ssh[i];
	args[n] = NULL;
	session_close(&m->session, TARGET);
	if (address[0] && !move_keeps_address(p->move)) {
		r = back_arguments(&m->source, &o, address, &there);
		if (r < 0)
			return error_set(
				err, r, "ask ssh for its configuration");
		o.args = there.v;
	}
	return session_connect(&m->session, TARGET, &m->source, &o, err);
}

/* It may be anybody who answers there, even the source after a reset. */
static int check_moved(struct part *p, struct error *err)
{
	const struct host *source = &p->move->session.host[SOURCE];
	int who = who_answers(p->move, TARGET, err);

	if (who == WHO_MOVED || who == WHO_RESCUE)
		return 0;
	/* Nothing tells them apart, but the source is heard elsewhere. */
	if (who == -ENODATA && source->alive &&
		strcmp(source->hello.boot_id, machine_text(p, "source_boot")) ==
			0)
		return 0;
	if (who < 0)
		return who;
	error_set(err, -EHOSTUNREACH, "stop the target");
	return error_why(err, "it is the source that answers there");
}

/* It was stopped, and may have been switched on again; or the source is back
 * already. What cannot be heard from here may be reached by ssh's own ways. */
static bool is_off_still(struct part *p)
{
	struct move *m = p->move;
	const char *at = machine_text(p, "address");
	struct error ignored;
	int who;

	if (!move_hears_stranger(m) && !is_silent(p, at, SILENCE_MS))
		return move_keeps_address(m) && move_source_answers(m);
	if (connect_moved(p, &ignored) < 0)
		return true;
	who = who_answers(m, TARGET, &ignored);
	session_close(&m->session, TARGET);
	return who == WHO_SOURCE || who == WHO_SOURCE_SINCE;
}

static int machine_deactivate(struct part *p, struct error *err)
{
	struct move *m = p->move;
	struct msg_boot off = {BOOT_POWEROFF};
	const char *at = machine_text(p, "address");
	uint64_t until;
	char probe[32];
	int r;

	if (machine_get(p, "stopped") && is_off_still(p)) {
		m->target_stopped = true;
		return 0;
	}
	/* Nobody told it to boot: the rescue system runs, and answers. */
	if (!machine_get(p, "booted"))
		return m->session.host[TARGET].alive
			       ? 0
			       : error_set(
					 err, -EHOSTUNREACH, "stop the target");
	r = connect_moved(p, err);
	/* What ssh advises is not enough. */
	if (r < 0)
		error_todo(err,
			"see that root can log in there, then rehost rollback "
			"%s again; or switch it off for good, then rehost "
			"rollback --discard-target-writes %s",
			m->row.name, m->row.name);
	else
		r = check_moved(p, err);
	/* The rescue system has keys, and may have an address, of its own. */
	if (r < 0) {
		session_close(&m->session, TARGET);
		move_ssh_probe(m, probe);
		m->target_serves = !move_hears_stranger(m) &&
				   answers(probe, at, PATIENCE_MAX_MS);
		at = machine_text(p, "rescue_address");
		r = is_rescue(p) ? 0 : r;
		m->target_serves = m->target_serves && r < 0;
	}
	if (r == 0)
		r = session_call(&m->session, TARGET, MSG_BOOT, &off, NULL,
			CALL_MS, err);
	/* It has given its word; when it is gone it has kept it. */
	until = clock_ms() + GONE_MS;
	while (r == 0 && m->session.host[TARGET].alive && clock_ms() < until)
		if (session_idle(&m->session, 100, err) < 0)
			break;
	if (r == 0 && (m->session.host[TARGET].alive ||
			      !(move_hears_stranger(m) ||
				      is_silent(p, at, SILENCE_MS)))) {
		r = error_set(err, -ETIMEDOUT, "stop the target");
		error_why(err, "it still answers after it said that it goes "
			       "off");
	}
	session_close(&m->session, TARGET);
	if (r == 0) {
		move_note(m, "target-off",
			"the target is off; its disks hold a copy that boots: "
			"wipe them before it is switched on again");
		m->target_stopped = true;
		move_set(m, "machine", "stopped", 1);
		r = move_save(m, true, err);
	}
	return r;
}

static void machine_free(struct part *p)
{
	struct machine_part *v = p->data;

	if (v) {
		prober_end(v->prober);
		free(v->fit);
	}
	free(v);
	p->data = NULL;
}

static const struct part_ops ops = {
	.kind = "machine",
	.prepare = machine_prepare,
	.approach = machine_approach,
	.rollback = machine_rollback,
	.activate = machine_activate,
	.deactivate = machine_deactivate,
	.free = machine_free,
};

int part_machine_new(struct move *m, struct part *ret)
{
	struct machine_part *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->fit = calloc(1, sizeof(*v->fit));
	if (!v->fit) {
		free(v);
		return -ENOMEM;
	}
	ret->data = v;
	ret->ops = &ops;
	ret->move = m;
	return 0;
}
