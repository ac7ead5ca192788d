/* SPDX-License-Identifier: Apache-2.0 */
/* A move in memory: made, loaded, connected, kept waiting; and its phases. */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/parse.h"
#include "move/back.h"
#include "move/machine.h"
#include "move/power.h"
#include "move/rehearse.h"
#include "move/steps.h"
#include "move/who.h"

#define COPY_FROZEN_MS 60000
#define HELD_MS 200000 /* longer than agents live without a controller */

volatile int move_signal;

/* ---- waiting ---- */

static void show(struct move *m, uint64_t now)
{
	struct progress *p = &m->progress;
	uint64_t done = m->done_base + m->session.progress.bytes;
	char *text;
	json_t *j;

	p->phase = phase_names[m->phase];
	if (done > p->done)
		p->done = done;
	if (p->total < p->done)
		p->total = p->done;
	if (m->rate_at == 0) {
		/* What a process before this one did is no rate. */
		m->rate_at = now;
		m->rate_done = p->done;
	} else if (now - m->rate_at >= (p->rate ? 2000U : 500U)) {
		p->rate = (p->done - m->rate_done) * 1000 / (now - m->rate_at);
		m->rate_at = now;
		m->rate_done = p->done;
	}
	p->boot_ms = (uint64_t)move_get(m, "machine", "last_boot_ms");
	p->left_ms = p->rate ? (p->total - p->done) * 1000 / p->rate : 0;
	if (m->observer.progress)
		m->observer.progress(m->observer.arg, p);
	if (!m->stored || now < m->save_at)
		return;
	m->save_at = now + 1000;
	j = json_pack("{s:s s:I s:I s:I s:I s:I s:I s:I s:b s:i s:b s:I}",
		"phase", p->phase, "done", (json_int_t)p->done, "total",
		(json_int_t)p->total, "rate", (json_int_t)p->rate, "backlog",
		(json_int_t)p->backlog.bytes, "unproved",
		(json_int_t)p->backlog.unproved, "dirty_rate",
		(json_int_t)p->backlog.dirty_rate, "forecast_ms",
		(json_int_t)p->backlog.forecast_ms, "known", p->backlog.known,
		"round", (int)p->round, "boots", p->boots, "boot_ms",
		(json_int_t)p->boot_ms);
	text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	if (text)
		(void)store_progress(m->store, m->row.name, text, NULL);
	free(text);
}

/* A copy has no outage to keep short, but what it froze must not hang long
 * either; what it merely holds may. */
static uint64_t cut_limit(const struct move *m)
{
	if (!m->options.copy)
		return m->options.downtime_ms;
	return m->frozen ? MAX(m->options.downtime_ms, (uint64_t)COPY_FROZEN_MS)
			 : UINT64_MAX / 2;
}

bool move_keeps_source(const struct move *m)
{
	return m->options.copy || m->rehearsing;
}

bool move_waits_for_disks(
	struct move *m, bool left, uint64_t *until, int *r, struct error *err)
{
	if (*r != -EBUSY || !left)
		return false;
	if (*until == 0)
		*until = clock_ms() + HELD_MS;
	if (clock_ms() > *until)
		return false;
	*r = session_idle(&m->session, 1000, err);
	return *r >= 0;
}

int move_budget_missed(struct move *m, struct error *err)
{
	error_set(err, -EAGAIN, "cut over");
	error_why(err, "it took more than the budget of %llu ms",
		(unsigned long long)cut_limit(m));
	return error_todo(err, "raise --downtime, or wait for a quieter time");
}

static int tick(void *arg, struct error *err)
{
	struct move *m = arg;
	uint64_t now = clock_ms();

	if (now >= m->show_at) {
		m->show_at = now + 200;
		show(m, now);
	}
	if (m->stored && now >= m->poll_at) {
		char what[32];

		m->poll_at = now + 400;
		if (store_take_request(m->store, m->row.name, what, NULL) ==
			0) {
			m->want_cutover |= strcmp(what, "cutover") == 0;
			m->want_pause |= strcmp(what, "pause") == 0;
			m->want_abort |= strcmp(what, "abort") == 0;
			m->want_rehearsal |= strcmp(what, "rehearse") == 0;
		}
	}
	if (move_signal)
		m->want_pause = true;
	/* A target that hangs must not keep the source standing still. */
	if (m->quiesced && m->phase >= PHASE_FINISH &&
		m->phase <= PHASE_VERIFY && m->interruptible &&
		now - m->cut_at > m->hooks_ms + cut_limit(m))
		return move_budget_missed(m, err);
	if (m->interruptible && (m->want_pause || m->want_abort)) {
		error_set(err, -EINTR, "go on");
		return error_why(err, "it was asked to %s",
			m->want_abort ? "abort" : "pause");
	}
	return 0;
}

static void notice(void *arg, enum side side, const char *text)
{
	struct move *m = arg;

	move_note(m, "notice", "%s: %s", m->session.host[side].peer.name, text);
}

/* ---- making and loading ---- */

int move_make_parts(struct move *m, struct error *err)
{
	int r = part_volume_new(m, &m->parts[0]);

	m->n_parts = r == 0;
	if (r == 0 && m->machine) {
		r = part_machine_new(m, &m->parts[1]);
		m->n_parts += r == 0;
	}
	return r < 0 ? error_set(err, r, "begin a move") : 0;
}

static int init(
	struct move *m, const struct observer *observer, struct error *err)
{
	int r;

	session_init(&m->session);
	m->session.tick = tick;
	m->session.notice = notice;
	m->session.arg = m;
	if (observer)
		m->observer = *observer;
	r = place_parse(m->options.source, &m->source, err);
	if (r == 0)
		r = place_parse(m->options.target, &m->target, err);
	if (r < 0)
		return r;
	m->machine = m->source.path[0] == '\0';
	m->progress.boots = m->machine && !m->options.copy;
	return m->machine && m->options.n_disks == 0 ? 0
						     : move_make_parts(m, err);
}

/* A name from what the user wrote: host and last part of the path. */
static void make_name(struct move *m)
{
	const char *base = strrchr(m->source.path, '/');
	char text[512];
	size_t n = 0;

	(void)snprintf(text, sizeof(text), "%.200s%s%.200s",
		m->source.host[0] ? m->source.host : "local",
		m->machine ? "" : "-", base ? base + 1 : m->source.path);
	for (const char *p = text; *p && n < 60; p++) {
		char c = (char)tolower((unsigned char)*p);

		m->options.name[n++] =
			strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", c)
				? c
				: '-';
	}
	m->options.name[n] = '\0';
	if (!parse_is_name(m->options.name))
		m->options.name[0] = 'm';
}

int move_new(struct options *options, const struct observer *observer,
	struct move *ret, struct error *err)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->options = *options;
	memset(options, 0, sizeof(*options));
	r = init(ret, observer, err);
	if (r == 0)
		r = power_check(&ret->options, ret->machine, err);
	if (r < 0)
		return r;
	if (!ret->options.name[0])
		make_name(ret);
	ret->report = move_new_report(&ret->options);
	if (!ret->report)
		return error_set(err, -ENOMEM, "begin a move");
	(void)snprintf(
		ret->row.name, sizeof(ret->row.name), "%s", ret->options.name);
	move_set_state(ret, "running", "source");
	(void)snprintf(ret->row.phase, sizeof(ret->row.phase), "inspect");
	io_random(ret->row.key, sizeof(ret->row.key));
	io_random(ret->row.secret, sizeof(ret->row.secret));
	return 0;
}

int move_load(struct store *store, const char *name,
	const struct observer *observer, struct move *ret, struct error *err)
{
	json_error_t je;
	json_t *j;
	char what[32];
	int r, p;

	memset(ret, 0, sizeof(*ret));
	ret->store = store;
	r = store_get(store, name, &ret->row, err);
	if (r == 0)
		r = store_lock(store, ret->row.name, err);
	if (r < 0)
		return r;
	/* It may have gone on until we had the lock. */
	store_row_done(&ret->row);
	{
		struct store_row row;

		r = store_get(store, name, &row, err);
		if (r < 0)
			return r;
		ret->row = row;
	}
	j = json_loads(ret->row.options ? ret->row.options : "",
		JSON_REJECT_DUPLICATES, &je);
	ret->report = json_loads(ret->row.report ? ret->row.report : "",
		JSON_REJECT_DUPLICATES, &je);
	if (!j || !ret->report) {
		json_decref(j);
		return error_set(err, -EINVAL, "read the stored move");
	}
	r = options_from_json(j, &ret->options, err);
	json_decref(j);
	if (r < 0)
		return r;
	p = phase_find(ret->row.phase);
	(void)json_object_del(ret->report, "rehearsing");
	ret->phase = p < 0 ? PHASE_INSPECT : (enum phase)p;
	ret->stored = ret->resumed = true;
	/* What an earlier process was asked, or was about, is over. */
	do
		r = store_take_request(store, ret->row.name, what, err);
	while (r == 0 && what[0]);
	if (r == 0)
		r = store_put_blob(
			store, ret->row.name, REHEARSAL_REQUEST, "", 0, err);
	if (r < 0)
		return r;
	r = store_progress(store, ret->row.name, "{}", err);
	if (r < 0)
		return r;
	ret->progress.round = (uint32_t)json_array_size(
		json_object_get(ret->report, "rounds"));
	return init(ret, observer, err);
}

void move_done(struct move *m)
{
	for (unsigned i = 0; i < m->n_parts; i++)
		if (m->parts[i].ops->free)
			m->parts[i].ops->free(&m->parts[i]);
	session_done(&m->session);
	json_decref(m->report);
	store_row_done(&m->row);
	options_done(&m->options);
}

static const char *report_text(
	const struct move *m, const char *section, const char *key)
{
	const char *t = json_string_value(
		json_object_get(json_object_get(m->report, section), key));

	return t ? t : "";
}

/* The way to a source whose address the new machine has now: see move/back.h.
 */
static int connect_back(struct move *m, struct error *err)
{
	static struct back_args args;
	struct ssh_options o = {.args = (const char *const *)m->options.ssh};
	const char *address = report_text(m, "machine", "back_source");
	int r;

	if (!address[0]) {
		error_set(err, -EHOSTUNREACH, "reach the source");
		error_host(err, m->source.host);
		return error_why(err, "it is silent, because the new machine "
				      "has an address of it, and there is no "
				      "other way to it");
	}
	r = back_arguments(&m->source, &o, address, &args);
	if (r < 0)
		return error_set(err, r, "ask ssh for its configuration");
	o.args = args.v;
	return session_connect(&m->session, SOURCE, &m->source, &o, err);
}

/* Once a new machine can boot, it may be that one which answers at the source's
 * address. */
static int check_source(struct move *m, struct error *err)
{
	int who;

	if (!move_target_may_live(m))
		return 0;
	who = who_answers(m, SOURCE, err);
	if (who == WHO_SOURCE || who == WHO_SOURCE_SINCE)
		return 0;
	/* With nothing that tells them apart: the target is off, as far as can
	 * be seen. What was stored may be true no more. */
	if (who == -ENODATA && (m->target_is_off || m->target_stopped))
		return 0;
	session_close(&m->session, SOURCE);
	if (who < 0)
		return who;
	error_set(err, -EHOSTUNREACH, "reach the source");
	return error_why(err, "it is the target that answers there");
}

static int connect_source(
	struct move *m, const struct ssh_options *o, struct error *err)
{
	bool hushed = move_get(m, "machine", "hushed") != 0;
	bool another =
		move_get(m, "machine", "booted") && !power_fences(&m->options);
	struct error back = {0};
	int r = hushed || another ? connect_back(m, &back) : -EHOSTUNREACH;

	/* It may run from memory by now, at the address that it had. */
	if (r < 0)
		r = session_connect(&m->session, SOURCE, &m->source, o, err);
	if (r == 0)
		return check_source(m, err);
	/* What kept it from the way that is meant says more; but it may also
	 * have been started with a rescue system, which has other keys. */
	if (hushed && move_keeps_address(m)) {
		struct error direct = *err;

		*err = back;
		error_why(err, "%.300s; and at its own address: %.300s",
			back.why, direct.why);
		r = back.code;
	}
	return r;
}

bool move_source_is_rescue(const struct move *m)
{
	const struct host *h = &m->session.host[SOURCE];

	return m->machine && h->alive && h->hello.rescue;
}

void move_note_rescue(struct move *m)
{
	if (move_source_is_rescue(m))
		move_note(m, "reset-source",
			"the source's disks are as they were at the cutover; "
			"it runs a rescue system: reset it");
}

bool move_fenced_by_signature(const struct move *m)
{
	const char *kind = json_string_value(
		json_object_get(json_object_get(m->report, "fence"), "kind"));

	return kind && strcmp(kind, fence_names[FENCE_SIGNATURE]) == 0;
}

bool move_is_published(const struct move *m)
{
	return move_get(m, "replica", "published") == PUBLISH_ANSWERED ||
	       move_get(m, "machine", "booted");
}

bool move_target_may_live(const struct move *m)
{
	return json_object_get(m->report, "machine") &&
	       !move_is_plain_copy(m) &&
	       (move_get(m, "machine", "booted") ||
		       move_get(m, "machine", "stopped") ||
		       move_get(m, "replica", "published"));
}

bool move_source_answers(struct move *m)
{
	struct ssh_options o = {.args = (const char *const *)m->options.ssh};
	struct error ignored;

	session_close(&m->session, SOURCE);
	return session_connect(&m->session, SOURCE, &m->source, &o, &ignored) ==
		       0 &&
	       check_source(m, &ignored) == 0;
}

bool move_is_plain_copy(const struct move *m)
{
	return m->options.copy && !m->options.clone;
}

bool move_keeps_address(const struct move *m)
{
	const char *old = report_text(m, "machine", "source_address");

	return old[0] && strcmp(report_text(m, "machine", "address"), old) == 0;
}

bool move_hears_stranger(const struct move *m)
{
	return move_keeps_address(m) && move_get(m, "machine", "stranger");
}

bool move_shares_addresses(const struct move *m)
{
	return json_array_size(json_object_get(
		       json_object_get(m->report, "machine"), "shared")) > 0;
}

void move_ssh_probe(const struct move *m, char ret[32])
{
	int64_t port = move_get(m, "machine", "ssh_port");

	(void)snprintf(ret, 32, "tcp:%d", port > 0 ? (int)port : 22);
}

int move_connect(struct move *m, enum side side, struct error *err)
{
	struct ssh_options o = {.args = (const char *const *)m->options.ssh};

	if (m->session.host[side].alive)
		return 0;
	session_close(&m->session, side);
	return side == SOURCE ? connect_source(m, &o, err)
			      : session_connect(&m->session, TARGET, &m->target,
					&o, err);
}

int move_connect_both(struct move *m, struct error *err)
{
	int r = move_connect(m, SOURCE, err);

	return r < 0 ? r : move_connect(m, TARGET, err);
}

/* ---- phases ---- */

static void crash(struct move *m, const char *who)
{
	struct msg_crash to = {0};
	struct error err;

	if (strcmp(who, "controller") == 0)
		(void)raise(SIGKILL);
	else if (strcmp(who, "ssh") == 0)
		(void)kill(m->session.host[SOURCE].peer.pid, SIGKILL);
	else if (strcmp(who, "target") == 0)
		(void)session_call(
			&m->session, TARGET, MSG_CRASH, &to, NULL, 5000, &err);
	else {
		to.who = strcmp(who, "keeper") == 0;
		(void)session_call(
			&m->session, SOURCE, MSG_CRASH, &to, NULL, 5000, &err);
	}
}

void move_kill_point(struct move *m, enum point at)
{
	const char *const *who = phase_victims(m->phase, at);

	/* Hooks see to themselves: kill_hook. */
	for (; *who; who++)
		if (strcmp(*who, "hook") != 0 &&
			phase_kills(m->phase, at, *who))
			crash(m, *who);
}

/* Inside the cutover a power cut of the controller rolls back anyway. */
static bool needs_sync(enum phase p, bool after)
{
	return p < PHASE_QUIESCE || p >= PHASE_ACTIVATE || p == PHASE_COMMIT;
}

int move_enter(struct move *m, enum phase p, struct error *err)
{
	int r;

	m->phase = p;
	m->row.phase_done = false;
	(void)snprintf(
		m->row.phase, sizeof(m->row.phase), "%s", phase_names[p]);
	r = move_save(m, needs_sync(p, false), err);
	if (r == 0)
		move_kill_point(m, POINT_BEFORE);
	return r;
}

int move_leave(struct move *m, struct error *err)
{
	int r;

	m->row.phase_done = true;
	r = move_save(m, needs_sync(m->phase, true), err);
	if (r == 0)
		move_kill_point(m, POINT_AFTER);
	return r;
}

typedef int (*part_fn)(struct part *p, struct error *err);

int move_run_phase(
	struct move *m, enum phase p, size_t offset, struct error *err)
{
	int r = move_enter(m, p, err);

	for (unsigned i = 0; i < m->n_parts && r == 0; i++) {
		part_fn fn =
			*(part_fn *)(uintptr_t)((const char *)m->parts[i].ops +
						offset);

		r = fn ? fn(&m->parts[i], err) : 0;
	}
	return r < 0 ? r : move_leave(m, err);
}

int move_run_all(struct move *m, size_t offset, struct error *err)
{
	int r = 0;

	for (unsigned i = m->n_parts; i-- > 0 && r == 0;) {
		part_fn fn =
			*(part_fn *)(uintptr_t)((const char *)m->parts[i].ops +
						offset);

		r = fn ? fn(&m->parts[i], err) : 0;
	}
	return r;
}
