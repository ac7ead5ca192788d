/* SPDX-License-Identifier: Apache-2.0 */
#include "move/rehearse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/text.h"
#include "facts/facts.h"
#include "move/aside.h"
#include "move/fit.h"
#include "move/inspect.h"
#include "move/probe.h"
#include "move/rehearse_ask.h"
#include "move/ground.h"
#include "move/steps.h"
#include "move/throwaway.h"
#include "rescue/program.h"
#include "rescue/rescue.h"

#define CALL_MS 60000
#define RESCUE_MS 600000 /* until it answers */
#define READY_MS 300000U /* until the source can be held */
#define DISKS_MS 120000	 /* until it has its disks */
#define ROOM_BYTES (512ULL << 20)
#define GONE_MS 60000 /* until the rescue system is */
#define REBOOTS_MAX 3
#define CONSOLE_MAX (16U << 20)
#define TAIL_LINES 15
#define LOOK_MS 5000
#define SSH_PORT 22

struct rehearsal {
	struct move *m;
	json_t *request, *result, *reasons;
	json_t *source, *target; /* facts */
	struct hook_list probes;
	uint64_t boot_timeout_ms;
	struct throwaway_spec spec;
	struct ground *here, *there; /* may be the same */
	struct place on;
	struct ssh_options ssh;
	struct streams *streams;
	struct throwaway *machine;
	struct msg_fit *fit;
	struct rescue_result rescue;
	bool exported, console_added, no_kvm, answered, full;
	char exports[160], kernel[160], initramfs[160], key[160], known[160];
	char console[4200], screenshot[4200];
	off_t console_from; /* what the moved system says begins there */
	uint64_t until, ready_until, booted_at, look_at;
	struct asked ssh_port;
	unsigned reboots, n_asked;
	struct asked asked[HOOKS_MAX];
};

/* ---- what is told ---- */

static void step(struct rehearsal *r, const char *text)
{
	struct move *m = r->m;

	move_set_text(m, "rehearsing", "id", facts_text(r->request, "id"));
	move_set_text(m, "rehearsing", "step", text);
	(void)move_save(m, false, NULL);
	move_note(m, "rehearsal", "%s", text);
}

__attribute__((format(printf, 2, 3))) static void reason(
	struct rehearsal *r, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* Machines and programs may have had a say in it. */
	text_clean(text);
	(void)json_array_append_new(r->reasons, json_string(text));
}

static void set(struct rehearsal *r, const char *key, json_t *value)
{
	(void)json_object_set_new(r->result, key, value);
}

/* ---- before the checkpoint ---- */

static int check_move(struct rehearsal *r, struct error *err)
{
	struct move *m = r->m;

	if (!m->machine || m->options.n_disks == 0) {
		error_set(err, -EINVAL, "rehearse");
		return error_why(err, "only whole machines can be rehearsed");
	}
	r->fit = calloc(1, sizeof(*r->fit));
	if (!r->fit)
		return error_set(err, -ENOMEM, "rehearse");
	return fit_load(m, r->fit, err);
}

/* Where its files are, and where it runs. */
static int find_ground(struct rehearsal *r, struct error *err)
{
	struct move *m = r->m;
	const char *on = facts_text(r->request, "on");
	int e = ground_new(NULL, NULL, &m->session, &r->here, err);

	r->there = r->here;
	if (e == 0 && on[0]) {
		r->there = NULL;
		r->ssh.args = (const char *const *)m->options.ssh;
		e = place_parse(on, &r->on, err);
		if (e == 0)
			e = ground_new(
				&r->on, &r->ssh, &m->session, &r->there, err);
	}
	if (e < 0)
		return e;
	set(r, "on", json_string(ground_name(r->there)));
	return 0;
}

static void add_port(struct rehearsal *r, unsigned port)
{
	for (uint32_t i = 0; i < r->spec.n_ports; i++)
		if (r->spec.ports[i] == port)
			return;
	if (port && r->spec.n_ports < THROWAWAY_PORTS_MAX)
		r->spec.ports[r->spec.n_ports++] = port;
}

static int choose(struct rehearsal *r, struct error *err)
{
	struct move *m = r->m;
	struct throwaway_wish w = {
		.nics = json_object_get(m->options.wish, "nics"),
		/* Some is left for whoever else is there. */
		.memory_max = ground_facts(r->there)->memory / 4 * 3,
		.cpus_max = ground_facts(r->there)->cpus,
		.n_disks = m->options.n_disks};
	json_t *notes = json_array();
	int e;

	w.address =
		facts_text(json_object_get(m->report, "machine"), "address");
	e = inspect_with(&m->session, TARGET, 0, NULL, &r->target, err);
	if (e == 0)
		e = inspect_with(&m->session, SOURCE, 0, NULL, &r->source, err);
	if (e < 0) {
		json_decref(notes);
		return e;
	}
	w.source = r->source;
	w.target = r->target;
	for (uint32_t i = 0; i < w.n_disks; i++) {
		w.source_disks[i] = m->options.disks[i].source;
		w.target_disks[i] = m->options.disks[i].target;
	}
	throwaway_choose(&w, &r->spec, notes);
	set(r, "not_rehearsed", notes);
	add_port(r, SSH_PORT);
	for (uint32_t i = 0; i < r->probes.n; i++)
		add_port(r, probe_port(r->probes.v[i]));
	return 0;
}

static int make_key(struct rehearsal *r, struct error *err)
{
	char program[] = "ssh-keygen", quiet[] = "-q", type[] = "-t",
	     ed25519[] = "ed25519", phrase[] = "-N", none[] = "", file[] = "-f";
	char *argv[] = {program, quiet, type, ed25519, phrase, none, file,
		r->key, NULL};

	return program_run(argv, 4096, NULL, NULL, err);
}

/* The system that the machine runs first. */
static int build_rescue(void *arg, void *out, struct error *err)
{
	struct rehearsal *r = arg;
	const char *kernel = facts_text(r->request, "kernel");
	const char *modules = facts_text(r->request, "modules");
	char folder[160], key[180];
	struct rescue_options o = {.output = folder,
		.authorized_keys = key,
		.kernel = kernel[0] ? kernel : NULL,
		.modules = modules[0] ? modules : NULL,
		.no_media = true};
	int e = make_key(r, err);

	(void)snprintf(folder, sizeof(folder), "%s/rescue",
		ground_facts(r->here)->folder);
	(void)snprintf(key, sizeof(key), "%s.pub", r->key);
	if (e == 0)
		e = rescue_build(&o, out, err);
	return e;
}

static int check_room(const struct rehearsal *r, struct error *err)
{
	const char *path = ground_facts(r->there)->folder;
	uint64_t room = ground_facts(r->there)->room;

	if (room >= ROOM_BYTES)
		return 0;
	error_set(err, -ENOSPC, "rehearse in %s", path);
	error_why(err,
		"%llu MiB are free there, and what the new machine "
		"writes while it boots needs some %llu MiB",
		(unsigned long long)room >> 20, ROOM_BYTES >> 20);
	error_host(err, ground_name(r->there));
	return error_todo(err, "free some, or set TMPDIR to a larger folder");
}

static int make_logs(struct rehearsal *r, struct error *err)
{
	char folder[4000];

	(void)snprintf(folder, sizeof(folder), "%s/rehearsals",
		store_folder(r->m->store));
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return error_set(err, -errno, "make %s", folder);
	(void)snprintf(r->console, sizeof(r->console), "%s/%s-%s.console",
		folder, r->m->row.name, facts_text(r->request, "id"));
	(void)snprintf(r->screenshot, sizeof(r->screenshot), "%s/%s-%s.png",
		folder, r->m->row.name, facts_text(r->request, "id"));
	return 0;
}

static struct throwaway_files files(const struct rehearsal *r, bool rescue)
{
	return (struct throwaway_files){.ground = r->there,
		.here = ground_facts(r->here)->folder,
		.exports = r->exports,
		.no_kvm = r->no_kvm,
		.console = r->console,
		.kernel = rescue ? r->kernel : NULL,
		.initramfs = r->initramfs,
		.cmdline = r->rescue.cmdline};
}

static int prepare(struct rehearsal *r, struct error *err)
{
	const struct aside build = {
		build_rescue, r, &r->rescue, sizeof(r->rescue)};
	struct throwaway_files f;
	const char *at = ground_facts(r->here)->folder;
	int e;

	(void)snprintf(r->exports, sizeof(r->exports), "%s/exports", at);
	(void)snprintf(r->key, sizeof(r->key), "%s/key", at);
	(void)snprintf(r->kernel, sizeof(r->kernel), "%s/rescue/kernel", at);
	(void)snprintf(
		r->initramfs, sizeof(r->initramfs), "%s/rescue/initramfs", at);
	(void)snprintf(r->known, sizeof(r->known), "%s/rescue/known_hosts", at);
	e = check_room(r, err);
	if (e == 0)
		e = make_logs(r, err);
	if (e == 0)
		e = aside_run(&build, &r->m->session, err);
	f = files(r, true);
	if (e == 0)
		e = throwaway_prepare(&r->spec, &f, err);
	return e;
}

/* ---- the machine ---- */

static int switch_on(struct rehearsal *r, bool rescue, struct error *err)
{
	struct throwaway_files f = files(r, rescue);

	return throwaway_start(&r->spec, &f, &r->m->session, &r->machine, err);
}

/* It is kept as a file, and is the machine's own word. */
static int check_console(const struct rehearsal *r, struct error *err)
{
	if (rehearsal_console_size(r->console) <= CONSOLE_MAX)
		return 0;
	error_set(err, -EFBIG, "keep what the throwaway machine says");
	return error_why(
		err, "its console said more than %u MiB", CONSOLE_MAX >> 20);
}

/* Serves the session; the machine must be on all the time. */
static int wait_on(struct rehearsal *r, unsigned ms, struct error *err)
{
	char why[512];
	int e = session_idle(&r->m->session, ms, err);

	if (e == 0)
		e = check_console(r, err);
	if (e < 0 || throwaway_is_on(r->machine, why, sizeof(why)))
		return e;
	error_set(err, -ECHILD, "run the throwaway machine");
	return error_why(
		err, "%s", why[0] ? why : "its rescue system ended by itself");
}

/* The agent in it. */
static int reach(struct rehearsal *r, struct error *err)
{
	struct move *m = r->m;
	struct place at = {.user = "root", .host = "127.0.0.1"};
	char known[200];
	const char *args[] = {"-F", "none", "-i", r->key, "-o",
		"IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", known, "-o",
		"GlobalKnownHostsFile=/dev/null", "-o",
		"StrictHostKeyChecking=yes", "-o", "ConnectTimeout=60", "-o",
		"ControlPath=none", NULL};
	struct ssh_options o = {.args = args};

	(void)snprintf(known, sizeof(known), "UserKnownHostsFile=%s", r->known);
	at.port = throwaway_port(r->machine, SSH_PORT);
	return session_connect(&m->session, GUEST, &at, &o, err);
}

int rehearsal_is_up(struct rehearsal *r, struct error *err)
{
	struct session *s = &r->m->session;
	int e = wait_on(r, 1, err);

	/* Within another machine KVM may be there, and break. */
	if (e == -ECHILD && !r->no_kvm) {
		r->no_kvm = true;
		asked_stop(&r->ssh_port);
		session_close(s, GUEST);
		throwaway_end(r->machine);
		r->machine = NULL;
		e = switch_on(r, true, err);
	}
	if (e == 0 && s->host[GUEST].alive)
		return 1;
	if (e == 0)
		e = asked_ask(&r->ssh_port, r->machine, err);
	if (e <= 0) {
		if (e == 0 && clock_ms() > r->until) {
			error_set(err, -ETIMEDOUT, "run the throwaway machine");
			return error_why(err, "its rescue system does not "
					      "answer");
		}
		return e;
	}
	e = reach(r, err);
	if (e == 0)
		return 1;
	session_close(s, GUEST);
	/* It is not quite up, or slow. */
	return clock_ms() > r->until ? e : 0;
}

int rehearsal_wait(
	struct rehearsal *r, const struct backlog *now, struct error *err)
{
	unsigned long long budget = r->m->options.downtime_ms;

	if (r->ready_until == 0) {
		r->ready_until = clock_ms() + READY_MS;
		step(r, "waits until the outage would fit");
	}
	if (clock_ms() <= r->ready_until)
		return 0;
	error_set(err, -ETIMEDOUT, "hold the source still");
	if (now->known)
		error_why(err,
			"the outage would be %llu ms, more than the budget of "
			"%llu ms, for %u s on end",
			(unsigned long long)now->forecast_ms, budget,
			READY_MS / 1000);
	else
		error_why(err,
			"how long the outage would be is not known "
			"after %u s",
			READY_MS / 1000);
	return error_todo(err, "raise --downtime, or rehearse when less is "
			       "written");
}

int rehearsal_begin(struct move *m, struct rehearsal **ret, struct error *err)
{
	struct rehearsal *r = calloc(1, sizeof(*r));
	char now[CLOCK_TEXT_SIZE];
	int e;

	if (!r)
		return error_set(err, -ENOMEM, "rehearse");
	*ret = r;
	r->m = m;
	r->result = json_object();
	r->reasons = json_array();
	r->ssh_port =
		(struct asked){.probe = "tcp:22", .port = SSH_PORT, .fd = -1};
	clock_text(now);
	set(r, "when", json_string(now));
	e = rehearsal_read(m, &r->request, &r->probes, err);
	r->boot_timeout_ms = (uint64_t)json_integer_value(
		json_object_get(r->request, "boot_timeout_ms"));
	if (r->boot_timeout_ms == 0)
		r->boot_timeout_ms = m->options.boot_timeout_ms;
	if (r->request)
		step(r, "gets ready");
	rehearsal_forget(m);
	if (e == 0)
		e = check_move(r, err);
	if (e == 0)
		e = find_ground(r, err);
	if (e == 0)
		e = choose(r, err);
	if (e == 0)
		e = throwaway_check(r->there, r->spec.uefi, err);
	if (e == 0)
		e = throwaway_fits(&r->spec, err);
	if (e == 0)
		e = prepare(r, err);
	if (e == 0) {
		step(r, "starts a machine like the target");
		e = switch_on(r, true, err);
	}
	r->until = clock_ms() + RESCUE_MS;
	return e;
}

/* ---- after it ---- */

/* Which of its devices is the disk? They appear as its drivers load. */
static int find_disk(struct rehearsal *r, uint32_t disk, struct error *err)
{
	static struct volume_facts facts;
	static struct msg_path path;
	struct session *s = &r->m->session;
	uint64_t until = clock_ms() + DISKS_MS;
	char serial[THROWAWAY_SERIAL_SIZE];
	int e;

	throwaway_serial(disk, serial);
	for (;;) {
		for (unsigned n = 0; throwaway_path(r->spec.disks[disk].model,
			     n, path.path, sizeof(path.path));
			n++) {
			e = session_call(s, GUEST, MSG_PROBE, &path, &facts,
				CALL_MS, err);
			if (e < 0 && !s->host[GUEST].alive)
				return e;
			if (e < 0 || strcmp(facts.serial, serial) != 0)
				continue;
			(void)snprintf(r->fit->disks[disk].path,
				sizeof(r->fit->disks[disk].path), "%s",
				path.path);
			return 0;
		}
		if (clock_ms() > until)
			break;
		e = wait_on(r, 500, err);
		if (e < 0)
			return e;
	}
	error_set(err, -ENODEV, "find disk %u in the throwaway machine", disk);
	return error_why(err, "its rescue system has no driver for it");
}

/* What rehost did for the rehearsal alone is not what it will do. */
static void keep_fixups(struct rehearsal *r, struct fit_result *f)
{
	json_t *changes = json_object_get(f->fixups, "changes");

	for (size_t i = json_array_size(changes); i-- > 0;)
		if (r->console_added &&
			strcmp(facts_text(json_array_get(changes, i), "fixup"),
				"console") == 0)
			(void)json_array_remove(changes, i);
	set(r, "fixups", json_incref(f->fixups));
	set(r, "fit_ms", json_integer((json_int_t)f->ms));
	set(r, "boots_by",
		json_string(f->how.how == BOOT_KEXEC ? "kexec" : "firmware"));
}

/* Fitted and told to boot, as the new machine will be. */
static int boot(struct rehearsal *r, struct error *err)
{
	CLEANUP(fit_result_done) struct fit_result f = {0};
	struct session *s = &r->m->session;
	int e = rehearsal_wish_console(r->fit, &r->console_added, err);

	for (uint32_t i = 0; i < r->spec.n_disks && e == 0; i++)
		e = find_disk(r, i, err);
	if (e == 0) {
		step(r, "makes the copy ready");
		e = fit_system(r->m, GUEST, r->fit, &f, err);
	}
	if (e < 0)
		return e;
	keep_fixups(r, &f);
	step(r, "boots the copy");
	r->console_from = rehearsal_console_size(r->console);
	r->booted_at = clock_ms();
	e = session_call(s, GUEST, MSG_BOOT, &f.how, NULL, CALL_MS, err);
	/* It goes with its connection, or that is silent; whether it went is
	 * looked at then. Others may be lost as well. */
	if (e == -ETIMEDOUT || (e == -ECONNRESET && !s->host[GUEST].alive))
		e = 0;
	session_close(s, GUEST);
	return e;
}

/* ---- probes ---- */

/* The machine has ended: it wanted to boot again, or something is wrong. */
static int boot_again(struct rehearsal *r, struct error *err)
{
	char why[512];

	if (throwaway_is_on(r->machine, why, sizeof(why)))
		return 0;
	if (why[0] || ++r->reboots > REBOOTS_MAX) {
		error_set(err, -ECHILD, "boot the copy");
		return error_why(err, "%s",
			why[0] ? why
			       : "it went off, or booted again and again");
	}
	for (unsigned i = 0; i < r->n_asked; i++)
		asked_stop(&r->asked[i]);
	throwaway_end(r->machine);
	r->machine = NULL;
	return switch_on(r, false, err);
}

/* ---- what was found ---- */

static void explain(struct rehearsal *r)
{
	CLEANUP_FREE char *text =
		rehearsal_console(r->console, r->console_from);
	const char *told =
		r->full ? "there is no room for what the machine "
			  "writes to its disks, so it stands still: free "
			  "some, or set TMPDIR to a larger folder"
		: text	? rehearsal_reason(text)
			: NULL;

	if (told)
		(void)json_array_insert_new(r->reasons, 0, json_string(told));
	if (text)
		set(r, "console_tail", rehearsal_tail(text, TAIL_LINES));
}

static unsigned unanswered(const struct rehearsal *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->n_asked; i++)
		n += r->asked[i].ms == 0;
	return n;
}

static void keep_probes(struct rehearsal *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < r->n_asked; i++) {
		const struct asked *a = &r->asked[i];
		json_t *j = json_pack("{s:s}", "probe", a->probe);

		(void)json_object_set_new(j, "ms",
			a->ms ? json_integer((json_int_t)a->ms) : json_null());
		(void)json_array_append_new(list, j);
		if (!a->ms)
			reason(r, "%s was not answered within %llu s", a->probe,
				(unsigned long long)(clock_ms() -
						     r->booted_at) /
					1000);
	}
	set(r, "probes", list);
}

/* Does its console say that nothing will answer any more? Now and then. */
static bool has_given_up(struct rehearsal *r)
{
	CLEANUP_FREE char *text = NULL;

	if (clock_ms() < r->look_at)
		return false;
	r->look_at = clock_ms() + LOOK_MS;
	text = rehearsal_console(r->console, r->console_from);
	return (text && rehearsal_reason(text)) ||
	       (r->machine && throwaway_is_full(r->machine));
}

static int await_answers(struct rehearsal *r, struct error *err)
{
	uint64_t until = r->booted_at + r->boot_timeout_ms;
	int e = 0;

	step(r, "waits for answers");
	while (e == 0 && unanswered(r) > 0 && clock_ms() < until &&
		!has_given_up(r)) {
		e = session_idle(&r->m->session, 250, err);
		if (e == 0)
			e = check_console(r, err);
		if (e == 0)
			e = boot_again(r, err);
		for (unsigned i = 0; i < r->n_asked && e == 0; i++) {
			struct asked *a = &r->asked[i];
			char why[512];

			if (a->ms ||
				!throwaway_is_on(r->machine, why, sizeof(why)))
				continue;
			e = asked_ask(a, r->machine, err);
			if (e == 1)
				a->ms = MAX(
					clock_ms() - r->booted_at, (uint64_t)1);
			/* It may end in the middle of a question. */
			if (e < 0 &&
				!throwaway_is_on(r->machine, why, sizeof(why)))
				e = 0;
			e = MIN(e, 0);
		}
	}
	return e;
}

/* The rescue system answers as well: until it is gone, nothing that answers is
 * the copy. A copy that is quick may answer before anybody misses it, but not
 * before its kernel speaks. */
static int await_gone(struct rehearsal *r, struct error *err)
{
	uint64_t until = clock_ms() + GONE_MS;

	for (;;) {
		CLEANUP_FREE char *text = NULL;
		int e = asked_is_silent(
			SSH_PORT, r->machine, &r->m->session, err);

		if (e != 0)
			return MIN(e, 0);
		e = check_console(r, err);
		if (e < 0)
			return e;
		text = rehearsal_console(r->console, r->console_from);
		if (text && rehearsal_kernel_spoke(text))
			return 0;
		if (clock_ms() > until)
			break;
	}
	error_set(err, -ETIMEDOUT, "boot the copy");
	return error_why(err, "the rescue system did not go: it answers still, "
			      "and no other kernel has said anything");
}

int rehearsal_run(struct rehearsal *r, struct error *err)
{
	struct session *s = &r->m->session;
	struct throwaway_files f;
	int e;

	for (uint32_t i = 0; i < r->probes.n; i++)
		r->asked[r->n_asked++] = (struct asked){.probe = r->probes.v[i],
			.port = probe_port(r->probes.v[i]),
			.fd = -1};
	e = session_call(s, TARGET, MSG_EXPORT, NULL, NULL, CALL_MS, err);
	if (e < 0)
		return e;
	r->exported = true;
	e = streams_new(r->exports, &r->streams, err);
	if (e < 0)
		return e;
	s->streams = r->streams;
	f = files(r, true);
	e = throwaway_fill(r->machine, &r->spec, &f, err);
	if (e == 0)
		e = boot(r, err);
	if (e == 0)
		e = await_gone(r, err);
	if (e == 0)
		e = await_answers(r, err);
	r->answered = e == 0 && unanswered(r) == 0;
	if (r->booted_at)
		keep_probes(r);
	return e;
}

/* ---- the end ---- */

static void take_picture(struct rehearsal *r)
{
	struct error ignored;
	char why[16];

	if (r->machine && throwaway_is_on(r->machine, why, sizeof(why)) &&
		throwaway_screen(r->machine, r->screenshot, &ignored) == 0)
		set(r, "screenshot", json_string(r->screenshot));
	if (rehearsal_console_size(r->console) > 0)
		set(r, "console", json_string(r->console));
}

static void free_all(struct rehearsal *r)
{
	asked_stop(&r->ssh_port);
	for (unsigned i = 0; i < r->n_asked; i++)
		asked_stop(&r->asked[i]);
	for (uint32_t i = 0; i < r->probes.n; i++)
		free(r->probes.v[i]);
	if (r->there != r->here)
		ground_end(r->there);
	ground_end(r->here);
	json_decref(r->request);
	json_decref(r->result);
	json_decref(r->reasons);
	json_decref(r->source);
	json_decref(r->target);
	free(r->fit);
	free(r);
}

static void add_result(struct rehearsal *r, bool passed)
{
	json_t *list = json_object_get(r->m->report, "rehearsals");

	if (!list) {
		list = json_array();
		(void)json_object_set_new(r->m->report, "rehearsals", list);
	}
	set(r, "id", json_string(facts_text(r->request, "id")));
	set(r, "passed", json_boolean(passed));
	set(r, "reasons", json_incref(r->reasons));
	(void)json_array_append(list, r->result);
	(void)json_object_del(r->m->report, "rehearsing");
}

void rehearsal_end(
	struct rehearsal *r, const struct error *failed, uint64_t held_since)
{
	struct session *s;
	struct error ignored;
	char text[3072];
	bool passed;

	if (!r)
		return;
	s = &r->m->session;
	take_picture(r);
	r->full = r->machine && !r->answered && throwaway_is_full(r->machine);
	throwaway_end(r->machine);
	session_close(s, GUEST);
	s->streams = NULL;
	if (r->streams)
		set(r, "bytes_read",
			json_integer((json_int_t)streams_bytes(r->streams)));
	streams_free(r->streams);
	if (r->exported && s->host[TARGET].alive)
		(void)session_call(
			s, TARGET, MSG_UNEXPORT, NULL, NULL, CALL_MS, &ignored);
	set(r, "held_ms",
		json_integer(held_since ? (json_int_t)(clock_ms() - held_since)
					: 0));
	if (failed)
		reason(r, "%s", error_text(failed, text, sizeof(text)));
	passed = !failed && r->answered;
	if (!passed && r->console[0])
		explain(r);
	add_result(r, passed);
	move_note(r->m, "rehearsal", "%s%s%s", passed ? "passed" : "failed",
		passed ? "" : ": ",
		passed ? "" : json_string_value(json_array_get(r->reasons, 0)));
	(void)move_save(r->m, true, &ignored);
	free_all(r);
}
