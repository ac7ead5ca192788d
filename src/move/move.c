/* SPDX-License-Identifier: Apache-2.0 */
#include "move/move.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/parse.h"

#define CUT_TRIES 3
#define COPY_FROZEN_MS 60000

volatile int move_signal;

/* ---- the report ---- */

static json_t *section(struct move *m, const char *name)
{
	json_t *s = json_object_get(m->report, name);

	if (!s) {
		s = json_object();
		if (json_object_set_new(m->report, name, s) < 0)
			return NULL;
	}
	return s;
}

void move_set(struct move *m, const char *name, const char *key, int64_t value)
{
	json_t *s = section(m, name);

	if (s)
		(void)json_object_set_new(s, key, json_integer(value));
}

int64_t move_get(const struct move *m, const char *name, const char *key)
{
	return json_integer_value(
		json_object_get(json_object_get(m->report, name), key));
}

void move_add(struct move *m, const char *name, const char *key, int64_t value)
{
	move_set(m, name, key, move_get(m, name, key) + value);
}

/* Text from elsewhere may be in any encoding; JSON is UTF-8. */
static json_t *any_text(const char *text)
{
	json_t *j = json_string(text);
	char *copy;

	if (j)
		return j;
	copy = strdup(text);
	for (char *p = copy; p && *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	j = json_string(copy ? copy : "");
	free(copy);
	return j;
}

void move_set_text(
	struct move *m, const char *name, const char *key, const char *value)
{
	json_t *s = section(m, name);

	if (s)
		(void)json_object_set_new(s, key, any_text(value));
}

void move_set_bool(
	struct move *m, const char *name, const char *key, bool value)
{
	json_t *s = section(m, name);

	if (s)
		(void)json_object_set_new(s, key, json_boolean(value));
}

static void append(struct move *m, const char *name, json_t *value)
{
	json_t *a = json_object_get(m->report, name);

	if (!a) {
		a = json_array();
		if (json_object_set_new(m->report, name, a) < 0)
			return;
	}
	(void)json_array_append_new(a, value);
}

void move_add_round(struct move *m, uint64_t bytes, uint64_t ms)
{
	size_t n = json_array_size(json_object_get(m->report, "rounds"));

	append(m, "rounds",
		json_pack("{s:i s:I s:I}", "n", (int)n, "bytes",
			(json_int_t)bytes, "ms", (json_int_t)ms));
	m->progress.round = (uint32_t)n + 1;
}

void move_add_hooks(struct move *m, const char *phase, uint32_t failed,
	const char *why, const char *output)
{
	if (!failed && !output[0])
		return;
	append(m, "hooks",
		json_pack("{s:s s:i s:o s:o}", "phase", phase, "failed",
			(int)failed, "why", any_text(why), "output",
			any_text(output)));
}

static json_t *new_report(const struct options *o)
{
	json_t *r = json_pack(
		"{s:i s:s s:s s:s s:s s:s s:s s:s s:[] s:{s:i s:i s:i s:i s:i} "
		"s:{s:i s:i s:i s:i s:i} s:{s:s s:i s:i} s:{s:i s:i s:b} "
		"s:{s:i s:s} s:{s:s s:b} s:n}",
		"schema", 1, "name", o->name, "kind", o->copy ? "copy" : "move",
		"state", "running", "live", "source", "phase", "inspect",
		"source", o->source, "target", o->target, "rounds", "bytes",
		"total", 0, "used", 0, "read", 0, "sent", 0, "zero", 0,
		"downtime_ms", "total", 0, "hooks", 0, "own", 0, "forecast", 0,
		"budget", (int)o->downtime_ms, "tracker", "kind", "none",
		"losses", 0, "compares", 0, "proof", "chunks", 0, "proved", 0,
		"ok", 0, "lanes", "count", 0, "path", "", "fence", "kind", "",
		"survives_reboot", 0, "error");

	return r;
}

int move_save(struct move *m, bool durable, struct error *err)
{
	int r;

	if (!m->stored)
		return 0;
	free(m->row.report);
	free(m->row.options);
	(void)json_object_set_new(
		m->report, "state", json_string(m->row.state));
	(void)json_object_set_new(m->report, "live", json_string(m->row.live));
	(void)json_object_set_new(
		m->report, "phase", json_string(m->row.phase));
	m->row.report = json_dumps(m->report, JSON_COMPACT);
	{
		json_t *o = options_to_json(&m->options);

		m->row.options = json_dumps(o, JSON_COMPACT);
		json_decref(o);
	}
	if (!m->row.report || !m->row.options)
		return error_set(err, -ENOMEM, "store the move");
	r = store_save(m->store, &m->row, durable, err);
	return r;
}

/* live: NULL for no change. */
static void set_state(struct move *m, const char *state, const char *live)
{
	if (state != m->row.state)
		(void)snprintf(m->row.state, sizeof(m->row.state), "%s", state);
	if (live)
		(void)snprintf(m->row.live, sizeof(m->row.live), "%s", live);
}

static void set_error(struct move *m, const struct error *err)
{
	(void)json_object_set_new(m->report, "error",
		err ? json_pack("{s:o s:o s:o s:o}", "host",
			      any_text(err->host), "what", any_text(err->what),
			      "why", any_text(err->why), "do",
			      any_text(err->todo))
		    : json_null());
}

void move_note(struct move *m, const char *event, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = ' ';
	if (m->observer.note)
		m->observer.note(m->observer.arg, event, text);
}

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
	p->left_ms = p->rate ? (p->total - p->done) * 1000 / p->rate : 0;
	if (m->observer.progress)
		m->observer.progress(m->observer.arg, p);
	if (!m->stored || now < m->save_at)
		return;
	m->save_at = now + 1000;
	j = json_pack("{s:s s:I s:I s:I s:I s:I s:I s:I s:b s:i}", "phase",
		p->phase, "done", (json_int_t)p->done, "total",
		(json_int_t)p->total, "rate", (json_int_t)p->rate, "backlog",
		(json_int_t)p->backlog.bytes, "unproved",
		(json_int_t)p->backlog.unproved, "dirty_rate",
		(json_int_t)p->backlog.dirty_rate, "forecast_ms",
		(json_int_t)p->backlog.forecast_ms, "known", p->backlog.known,
		"round", (int)p->round);
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

static int budget_missed(struct move *m, struct error *err)
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
		}
	}
	if (move_signal)
		m->want_pause = true;
	/* A target that hangs must not keep the source standing still. */
	if (m->quiesced && m->phase >= PHASE_FINISH &&
		m->phase <= PHASE_VERIFY && m->interruptible &&
		now - m->cut_at > m->hooks_ms + cut_limit(m))
		return budget_missed(m, err);
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
	r = part_volume_new(m, &m->parts[0]);
	if (r < 0)
		return error_set(err, r, "begin a move");
	m->n_parts = 1;
	return 0;
}

/* A name from what the user wrote: host and last part of the path. */
static void make_name(struct move *m)
{
	const char *base = strrchr(m->source.path, '/');
	char text[512];
	size_t n = 0;

	(void)snprintf(text, sizeof(text), "%.200s-%.200s",
		m->source.host[0] ? m->source.host : "local",
		base ? base + 1 : m->source.path);
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
	if (r < 0)
		return r;
	if (!ret->options.name[0])
		make_name(ret);
	ret->report = new_report(&ret->options);
	if (!ret->report)
		return error_set(err, -ENOMEM, "begin a move");
	(void)snprintf(
		ret->row.name, sizeof(ret->row.name), "%s", ret->options.name);
	set_state(ret, "running", "source");
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
	ret->phase = p < 0 ? PHASE_INSPECT : (enum phase)p;
	ret->stored = ret->resumed = true;
	/* What an earlier process was asked, or was about, is over. */
	do
		r = store_take_request(store, ret->row.name, what, err);
	while (r == 0 && what[0]);
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

static int connect_side(struct move *m, enum side side, struct error *err)
{
	struct ssh_options o = {.args = (const char *const *)m->options.ssh};

	if (m->session.host[side].alive)
		return 0;
	session_close(&m->session, side);
	return session_connect(&m->session, side,
		side == SOURCE ? &m->source : &m->target, &o, err);
}

static int connect_both(struct move *m, struct error *err)
{
	int r = connect_side(m, SOURCE, err);

	return r < 0 ? r : connect_side(m, TARGET, err);
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

static void kill_point(struct move *m, enum point at)
{
	const char *who = phase_kill_wish(m->phase, at);

	if (who)
		crash(m, who);
}

/* Inside the cutover a power cut of the controller rolls back anyway. */
static bool needs_sync(enum phase p, bool after)
{
	return p < PHASE_QUIESCE || p >= PHASE_ACTIVATE || p == PHASE_COMMIT;
}

static int enter(struct move *m, enum phase p, struct error *err)
{
	int r;

	m->phase = p;
	m->row.phase_done = false;
	(void)snprintf(
		m->row.phase, sizeof(m->row.phase), "%s", phase_names[p]);
	r = move_save(m, needs_sync(p, false), err);
	if (r == 0)
		kill_point(m, POINT_BEFORE);
	return r;
}

static int leave(struct move *m, struct error *err)
{
	int r;

	m->row.phase_done = true;
	r = move_save(m, needs_sync(m->phase, true), err);
	if (r == 0)
		kill_point(m, POINT_AFTER);
	return r;
}

typedef int (*part_fn)(struct part *p, struct error *err);

static int run_phase(
	struct move *m, enum phase p, size_t offset, struct error *err)
{
	int r = enter(m, p, err);

	for (unsigned i = 0; i < m->n_parts && r == 0; i++) {
		part_fn fn =
			*(part_fn *)(uintptr_t)((const char *)m->parts[i].ops +
						offset);

		r = fn ? fn(&m->parts[i], err) : 0;
	}
	return r < 0 ? r : leave(m, err);
}

#define RUN(m, phase, op, err)                                                 \
	run_phase(m, phase, offsetof(struct part_ops, op), err)

static int run_all(struct move *m, size_t offset, struct error *err)
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

#define ALL(m, op, err) run_all(m, offsetof(struct part_ops, op), err)

/* ---- following ---- */

static void add_backlog(struct backlog *sum, const struct backlog *b)
{
	sum->bytes += b->bytes;
	sum->unproved += b->unproved;
	sum->rate += b->rate;
	sum->dirty_rate += b->dirty_rate;
	sum->forecast_ms += b->forecast_ms;
	sum->known = sum->known && b->known;
}

/* Is waiting for the next round worth its time? What is proved now need not be
 * proved while the source stands still. */
static bool improving(const struct backlog *before, const struct backlog *now)
{
	return !before->known || now->unproved < before->unproved / 10 * 9;
}

/* Rounds until it is time to cut. */
static int follow(struct move *m, struct error *err)
{
	const struct options *o = &m->options;
	struct backlog last = {0};
	unsigned slow = 0;
	int r = enter(m, PHASE_FOLLOW, err);

	for (;;) {
		struct backlog sum = {.known = true};
		bool ready, better;

		for (unsigned i = 0; i < m->n_parts && r == 0; i++) {
			struct backlog b = {0};

			r = m->parts[i].ops->follow(&m->parts[i], &b, err);
			add_backlog(&sum, &b);
		}
		if (r < 0)
			return r;
		m->progress.backlog = sum;
		m->progress.total = MAX(m->progress.total,
			m->done_base + sum.bytes + sum.unproved);
		r = move_save(m, false, err);
		if (r < 0)
			return r;
		better = improving(&last, &sum);
		ready = sum.known && sum.forecast_ms <= o->downtime_ms;
		if (ready && (m->want_cutover || (!o->wait && !better)))
			break;
		/* A copy has no budget that it could miss. */
		if (o->copy && slow >= 3)
			break;
		slow = !better && last.known && sum.bytes >= last.bytes &&
				       !ready
			       ? slow + 1
			       : 0;
		last = sum;
		if (slow == 3)
			move_note(m, "not-converging",
				"the source writes %llu bytes a second, the "
				"target takes %llu: at this rate the outage "
				"would be %llu ms, more than the budget of "
				"%llu ms; raise --downtime or --bwlimit, or "
				"write less",
				(unsigned long long)sum.dirty_rate,
				(unsigned long long)sum.rate,
				(unsigned long long)sum.forecast_ms,
				(unsigned long long)o->downtime_ms);
		/* With little to do, there is no hurry. */
		r = session_idle(&m->session, ready && !better ? 500 : 1, err);
		if (r < 0)
			return r;
	}
	m->forecast_ms = m->progress.backlog.forecast_ms;
	return leave(m, err);
}

/* ---- the cutover ---- */

static int undo_cut(struct move *m, struct error *err)
{
	struct error why = {0};
	int r;

	m->session.lease_ms = 0;
	if (!m->quiesced)
		return 0;
	m->quiesced = false;
	m->interruptible = false;
	r = ALL(m, rollback, &why);
	m->interruptible = true;
	if (r < 0)
		move_note(m, "rollback",
			"%s: could not be asked to give the source back (%s); "
			"the keeper does so by itself",
			m->session.host[SOURCE].peer.name, why.why);
	(void)err;
	return r;
}

static void note_downtime(struct move *m)
{
	uint64_t total = clock_ms() - m->cut_at;

	/* The process that cut is gone, and with it when that was. */
	if (m->cut_at == 0)
		return;
	move_set(m, "downtime_ms", "total", (int64_t)total);
	move_set(m, "downtime_ms", "hooks", (int64_t)m->hooks_ms);
	move_set(m, "downtime_ms", "own",
		(int64_t)(total > m->hooks_ms ? total - m->hooks_ms : 0));
	move_set(m, "downtime_ms", "forecast", (int64_t)m->forecast_ms);
}

/* Quiesce to verify. Everything that fails here gives the source back. */
static int cut(struct move *m, struct error *err)
{
	uint64_t own;
	int r;

	m->cut_at = clock_ms();
	m->hooks_ms = 0;
	m->quiesced = true;
	m->session.lease_ms = (uint32_t)m->options.lease_ms;
	m->session.renew_at = clock_ms() + m->options.lease_ms / 6;
	r = RUN(m, PHASE_QUIESCE, quiesce, err);
	if (r == 0)
		r = RUN(m, PHASE_FINISH, finish, err);
	if (r == 0)
		r = RUN(m, PHASE_VERIFY, verify, err);
	if (r == 0 && !m->options.copy)
		r = ALL(m, fence, err);
	own = clock_ms() - m->cut_at;
	own -= MIN(own, m->hooks_ms);
	/* A copy has no cutover, and so no budget to keep to. */
	if (r == 0 && !m->options.copy && own > m->options.downtime_ms)
		r = budget_missed(m, err);
	return r;
}

/* Asks the keepers for the commit until somebody knows. 0: committed; -ENOLINK:
 * certainly not; -EINPROGRESS: unknown, nothing may be activated. */
static int commit(struct move *m, struct error *err)
{
	int r = 0;

	for (int try = 0; try < 5; try++) {
		r = 0;
		if (!m->session.host[SOURCE].alive) {
			clock_sleep_ms(try ? 1000 : 0);
			r = connect_side(m, SOURCE, err);
		}
		if (r == 0)
			r = ALL(m, commit, err);
		if (r == 0 || r == -ENOLINK)
			return r;
		if (m->session.host[SOURCE].alive)
			break;
	}
	return -EINPROGRESS;
}

/* Target on; on failure back to the source, if the target is surely off. */
static int activate(struct move *m, struct error *err)
{
	/* It may have run, and have taken writes, before this process. */
	bool again = m->phase >= PHASE_ACTIVATE;
	struct error why = {0};
	int r;

	m->session.lease_ms = 0;
	r = connect_side(m, TARGET, err);
	if (r == 0)
		r = RUN(m, PHASE_ACTIVATE, activate, err);
	if (r == 0) {
		note_downtime(m);
		set_state(m, "done", "target");
		set_error(m, NULL);
		return 0;
	}
	if (again || r == -ECONNRESET || r == -EINTR ||
		!m->session.host[TARGET].alive) {
		/* Nobody knows whether it runs. */
		set_state(m, "failed", "none");
		set_error(m, err);
		(void)move_save(m, true, &why);
		error_todo(err,
			"rehost resume %s to try again, or rehost "
			"rollback %s",
			m->row.name, m->row.name);
		return EXIT_ACT_NOW;
	}
	move_note(m, "activate-failed", "%s", err->why);
	r = ALL(m, deactivate, &why);
	if (r == 0)
		r = connect_side(m, SOURCE, &why);
	if (r == 0)
		r = ALL(m, unfence, &why);
	if (r < 0) {
		set_state(m, "failed", "none");
		set_error(m, err);
		move_note(m, "fenced",
			"the target could not be confirmed stopped (%s); the "
			"source stays fenced",
			why.why);
		error_todo(err,
			"stop the target by hand, then rehost rollback %s; or "
			"mend it, then rehost resume %s",
			m->row.name, m->row.name);
		(void)move_save(m, true, &why);
		return EXIT_ACT_NOW;
	}
	set_state(m, "rolled-back", "source");
	set_error(m, err);
	(void)ALL(m, settle, &why);
	(void)move_save(m, true, &why);
	return EXIT_REFUSED;
}

static int settle(struct move *m, struct error *err)
{
	struct error why = {0};
	int r;

	r = enter(m, PHASE_SETTLE, err);
	/* A move's fence stays until confirm or rollback. */
	if (r == 0 && m->options.copy)
		r = ALL(m, settle, err);
	if (r == 0)
		r = leave(m, err);
	if (r < 0)
		move_note(m, "settle", "%s", err->why);
	(void)why;
	return EXIT_DONE;
}

/* ---- how a run ends ---- */

static int stop(struct move *m, struct error *err)
{
	struct error ignored;

	if (m->want_abort) {
		m->interruptible = false;
		(void)move_abort(m, &ignored);
		return EXIT_REFUSED;
	}
	set_state(m, "paused", "source");
	set_error(m, err);
	if (!err->todo[0])
		error_todo(err, "rehost resume %s", m->row.name);
	(void)move_save(m, true, &ignored);
	return EXIT_RESUMABLE;
}

static int fail_after_prepare(struct move *m, struct error *err)
{
	struct error ignored;

	set_state(m, "failed", "source");
	set_error(m, err);
	(void)move_save(m, true, &ignored);
	return EXIT_REFUSED;
}

/* Can another try, perhaps after something was mended, go on from here? */
static bool resumable(int r)
{
	return r == -ECONNRESET || r == -EINTR || r == -ETIMEDOUT ||
	       r == -ENOSPC || r == -EHOSTUNREACH || r == -EIO ||
	       r == -ECHILD || r == -EAGAIN || r == -EPIPE;
}

static int end_copy(struct move *m, struct error *err)
{
	int r = ALL(m, rollback, err);

	m->quiesced = false;
	m->session.lease_ms = 0;
	note_downtime(m);
	if (r == 0)
		r = ALL(m, activate, err);
	if (r < 0)
		return resumable(r) ? stop(m, err) : fail_after_prepare(m, err);
	set_state(m, "done", "source");
	set_error(m, NULL);
	return settle(m, err);
}

static int go_commit(struct move *m, struct error *err)
{
	struct error why = {0};
	int r;

	/* Until the keeper's word is known, nobody can say which one lives. */
	(void)snprintf(m->row.live, sizeof(m->row.live), "none");
	r = enter(m, PHASE_COMMIT, err);
	if (r < 0) {
		(void)undo_cut(m, &why);
		return resumable(r) ? stop(m, err) : fail_after_prepare(m, err);
	}
	/* From here on only the keeper's word counts. */
	r = commit(m, err);
	if (r == -ENOLINK) {
		(void)undo_cut(m, &why);
		return stop(m, err);
	}
	if (r < 0) {
		set_state(m, "failed", "none");
		set_error(m, err);
		error_todo(err,
			"nobody knows whether the source committed; nothing "
			"was activated: rehost resume %s as soon as it can be "
			"reached",
			m->row.name);
		(void)move_save(m, true, &why);
		return EXIT_ACT_NOW;
	}
	kill_point(m, POINT_ACKED);
	m->quiesced = false;
	set_state(m, "running", "none");
	r = leave(m, err);
	if (r < 0)
		move_note(m, "store", "%s: %s", err->what, err->why);
	r = activate(m, err);
	return r == 0 ? settle(m, err) : r;
}

/* From the seed on. */
static int carry(struct move *m, struct error *err)
{
	struct error why = {0};
	unsigned tries = 0;
	int r;

	m->interruptible = true;
	r = RUN(m, PHASE_SEED, seed, err);
	while (r == 0) {
		r = follow(m, err);
		if (r < 0)
			break;
		r = cut(m, err);
		if (r == 0) {
			m->interruptible = false;
			return m->options.copy ? end_copy(m, err)
					       : go_commit(m, err);
		}
		(void)undo_cut(m, &why);
		if ((r != -EAGAIN && r != -EBADMSG) || ++tries == CUT_TRIES)
			break;
		move_note(m, "cut-again", "%s; the source runs on", err->why);
		r = session_idle(&m->session, 1000U << tries, err);
	}
	m->interruptible = false;
	if (r == -EBADMSG || !resumable(r))
		return fail_after_prepare(m, err);
	return stop(m, err);
}

static int begin(struct move *m, struct error *err)
{
	int r;

	m->interruptible = true;
	r = m->stored ? 0 : store_lock(m->store, m->row.name, err);
	if (r == 0)
		r = connect_both(m, err);
	if (r == 0 && m->resumed)
		r = ALL(m, recover, err);
	if (r == 0)
		r = RUN(m, PHASE_INSPECT, inspect, err);
	if (r == 0 && !m->stored) {
		json_t *o = options_to_json(&m->options);

		/* Nothing was written so far, and nothing remembered. */
		m->row.options = json_dumps(o, JSON_COMPACT);
		json_decref(o);
		m->row.report = json_dumps(m->report, JSON_COMPACT);
		r = store_create(m->store, &m->row, err);
		m->stored = r == 0;
	}
	if (r == 0)
		r = RUN(m, PHASE_PREPARE, prepare, err);
	return r;
}

static int resume_committed(struct move *m, struct error *err)
{
	int r;

	m->session.lease_ms = 0;
	set_state(m, "running", "none");
	r = activate(m, err);
	return r == 0 ? settle(m, err) : r;
}

static bool committed(const struct move *m)
{
	return strcmp(m->row.live, "source") != 0;
}

/* After an interrupted commit: did the source commit? Only the keeper knows.
 * 0: it is known and stored now; negative: nobody can say. */
static int settle_commit(struct move *m, struct error *err)
{
	int r;

	if (m->phase != PHASE_COMMIT || m->row.phase_done)
		return 0;
	r = commit(m, err);
	if (r == 0) {
		set_state(m, m->row.state, "none");
		return leave(m, err);
	}
	if (r != -ENOLINK) {
		error_todo(err,
			"nobody knows whether the source committed: try again "
			"as soon as it can be reached");
		return r;
	}
	move_note(m, "not-committed",
		"the source did not commit; it lives, and the move can go on");
	r = ALL(m, recover, err);
	if (r < 0)
		return r;
	set_state(m, m->row.state, "source");
	m->phase = PHASE_FOLLOW;
	(void)snprintf(m->row.phase, sizeof(m->row.phase), "%s",
		phase_names[PHASE_FOLLOW]);
	return move_save(m, true, err);
}

int move_run(struct move *m, struct error *err)
{
	int r;

	if (m->resumed) {
		if (strcmp(m->row.state, "confirmed") == 0 ||
			strcmp(m->row.state, "rolled-back") == 0 ||
			strcmp(m->row.state, "done") == 0) {
			error_set(err, -EINVAL, "resume %s", m->row.name);
			error_why(err, "it is %s", m->row.state);
			return EXIT_REFUSED;
		}
		r = settle_commit(m, err);
		if (r < 0) {
			set_state(m, "failed", "none");
			(void)move_save(m, true, NULL);
			return EXIT_ACT_NOW;
		}
		if (committed(m))
			return resume_committed(m, err);
		set_state(m, "running", "source");
	}
	r = begin(m, err);
	if (r == 0)
		return carry(m, err);
	if (!m->stored)
		return EXIT_REFUSED;
	/* An agent behind a cut connection may hold the target for a while. */
	return resumable(r) || (m->resumed && r == -EBUSY)
		       ? stop(m, err)
		       : fail_after_prepare(m, err);
}

int move_dry_run(struct move *m, struct error *err)
{
	int r = connect_both(m, err);

	if (r == 0)
		r = ALL(m, inspect, err);
	return r < 0 ? EXIT_REFUSED : EXIT_DONE;
}

/* ---- other commands ---- */

static bool is_over(const struct move *m)
{
	return strcmp(m->row.state, "confirmed") == 0 ||
	       (strcmp(m->row.live, "source") == 0 &&
		       strcmp(m->row.state, "running") != 0 &&
		       strcmp(m->row.state, "paused") != 0);
}

int move_abort(struct move *m, struct error *err)
{
	struct error why = {0};

	if (settle_commit(m, err) < 0)
		return EXIT_ACT_NOW;
	if (committed(m)) {
		error_set(err, -EINVAL, "abort %s", m->row.name);
		error_why(err, "it is committed");
		error_todo(err, "rehost rollback %s", m->row.name);
		return EXIT_REFUSED;
	}
	if (connect_both(m, &why) < 0 || ALL(m, recover, &why) < 0 ||
		ALL(m, settle, &why) < 0)
		move_note(m, "left-behind",
			"%s%s%s; what is left there cleans up by itself within "
			"%llu s",
			why.host, why.host[0] ? ": " : "", why.why,
			(unsigned long long)m->options.linger_ms / 1000);
	set_state(m, "rolled-back", "source");
	if (move_save(m, true, err) < 0)
		return EXIT_REFUSED;
	return EXIT_DONE;
}

int move_rollback(struct move *m, struct error *err)
{
	struct error why = {0};
	int r;

	if (settle_commit(m, err) < 0)
		return EXIT_ACT_NOW;
	if (!committed(m)) {
		if (!is_over(m))
			return move_abort(m, err);
		error_set(err, -EINVAL, "roll %s back", m->row.name);
		error_why(err, "the source lives already");
		return EXIT_REFUSED;
	}
	if (strcmp(m->row.state, "confirmed") == 0) {
		error_set(err, -EINVAL, "roll %s back", m->row.name);
		error_why(err, "it is confirmed");
		return EXIT_REFUSED;
	}
	r = connect_side(m, TARGET, err);
	if (r == 0)
		r = ALL(m, deactivate, err);
	if (r < 0) {
		error_todo(err, "make sure that the target is stopped and can "
				"be reached, then try again; the source stays "
				"fenced");
		set_state(m, "failed", "none");
		(void)move_save(m, true, &why);
		return EXIT_ACT_NOW;
	}
	(void)snprintf(m->row.live, sizeof(m->row.live), "none");
	(void)move_save(m, true, &why);
	r = connect_side(m, SOURCE, err);
	if (r == 0)
		r = ALL(m, unfence, err);
	if (r < 0)
		return EXIT_ACT_NOW;
	set_state(m, "rolled-back", "source");
	r = move_save(m, true, err);
	if (ALL(m, settle, &why) < 0)
		move_note(m, "left-behind", "%s: %s", why.what, why.why);
	return r < 0 ? EXIT_REFUSED : EXIT_DONE;
}

int move_confirm(struct move *m, struct error *err)
{
	if (strcmp(m->row.state, "done") != 0 ||
		strcmp(m->row.live, "none") == 0) {
		error_set(err, -EINVAL, "confirm %s", m->row.name);
		error_why(err, "it is %s, and %s is live", m->row.state,
			m->row.live);
		return EXIT_REFUSED;
	}
	if (committed(m) &&
		(connect_both(m, err) < 0 || ALL(m, settle, err) < 0))
		return EXIT_REFUSED;
	set_state(m, "confirmed", NULL);
	return move_save(m, true, err) < 0 ? EXIT_REFUSED : EXIT_DONE;
}

int move_check(struct move *m, struct error *err)
{
	uint64_t differ = 0, d;
	int r;

	if (settle_commit(m, err) < 0)
		return EXIT_ACT_NOW;
	if (committed(m) || is_over(m)) {
		/* The sides go their own ways; what was proved is kept. */
		bool ok = json_is_true(json_object_get(
			json_object_get(m->report, "proof"), "ok"));

		move_note(m, "proof",
			ok ? "the replica was proved at the cut"
			   : "the replica was not proved");
		return ok ? EXIT_DONE : EXIT_DIFFERENT;
	}
	r = connect_both(m, err);
	/* Without the keeper nothing tells damage from change. */
	if (r == 0)
		r = ALL(m, attach, err);
	if (r == 0)
		r = ALL(m, inspect, err);
	if (r == 0)
		r = ALL(m, prepare, err);
	for (unsigned i = 0; i < m->n_parts && r == 0; i++) {
		r = m->parts[i].ops->check(&m->parts[i], &d, err);
		differ += r == 0 ? d : 0;
	}
	if (r < 0)
		return EXIT_REFUSED;
	move_note(m, "verified",
		differ ? "%llu bytes differ on the target that nothing "
			 "explains; the next round mends them"
		       : "both sides hold the same (%llu bytes differ)",
		(unsigned long long)differ);
	return differ ? EXIT_DIFFERENT : EXIT_DONE;
}
