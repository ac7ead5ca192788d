/* SPDX-License-Identifier: Apache-2.0 */
/* A move on its way: rounds, the cutover, the commit, and how a run ends. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "move/forecast.h"
#include "move/machine.h"
#include "move/power.h"
#include "move/rehearse.h"
#include "move/steps.h"

#define CUT_TRIES 3

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

#define URGED_ROUNDS 10 /* after the user's word, for a shorter outage */
#define REST_MS 500ULL
#define REST_MAX_MS 3000ULL
#define FAR_MS 60000ULL /* a cut that long is not worth waiting for */

static bool is_asked(const struct move *m)
{
	return m->want_cutover || m->want_rehearsal || m->rehearsal;
}

/* The pause between two rounds. With little to do there is no hurry; and while
 * little but the user's word is awaited, the source gets as much time for
 * itself as the last round took from it. */
static int rest(struct move *m, const struct backlog *now, bool better,
	bool ready, uint64_t took, struct error *err)
{
	bool waits = m->options.wait && !is_asked(m) && !better &&
		     now->forecast_ms <= FAR_MS;
	uint64_t ms = !better && (ready || now->bytes == 0) ? REST_MS : 1;
	uint64_t end;
	int r = 0;

	if (waits)
		ms = MAX(ms, MIN(took, REST_MAX_MS));
	end = clock_ms() + ms;
	do {
		uint64_t left = end - MIN(clock_ms(), end);

		r = session_idle(
			&m->session, (unsigned)MIN(left, REST_MS) + 1, err);
	} while (r == 0 && clock_ms() < end && !(waits && is_asked(m)));
	return r;
}

static int rehearse(struct move *m, const struct backlog *now, bool ready,
	struct error *err);

/* The source writes too much: for ever, or for what is asked. Each once. */
static void say_slow(struct move *m, const struct backlog *now, unsigned slow,
	bool waits, bool *told)
{
	const struct options *o = &m->options;

	if (slow == FORECAST_STUCK)
		move_note(m, "not-converging",
			"the source writes %llu bytes a second, the "
			"target takes %llu: at this rate the outage "
			"would be %llu ms, more than the budget of "
			"%llu ms; raise --downtime or --bwlimit, or "
			"write less",
			(unsigned long long)now->dirty_rate,
			(unsigned long long)now->rate,
			(unsigned long long)now->forecast_ms,
			(unsigned long long)o->downtime_ms);
	if (!waits || *told)
		return;
	*told = true;
	move_note(m, "cutover-waits",
		"the outage would be %llu ms, more than the "
		"budget of %llu ms: the %s waits until it "
		"fits; or pause, and resume with a larger "
		"--downtime",
		(unsigned long long)now->forecast_ms,
		(unsigned long long)o->downtime_ms,
		m->want_cutover ? "cutover" : "rehearsal");
}

/* Rounds until it is time to cut. */
static int follow(struct move *m, struct error *err)
{
	const struct options *o = &m->options;
	struct backlog last = {0};
	bool told = false;
	unsigned slow = 0, was_slow, urged = 0;
	int r = move_enter(m, PHASE_FOLLOW, err);

	for (;;) {
		struct backlog sum = {.known = true};
		uint64_t began = clock_ms();
		bool ready, better;

		/* The last rounds at full speed are what a forecast of the
		 * cut can be made from. */
		m->hurry = m->want_cutover || m->want_rehearsal ||
			   m->rehearsal ||
			   (!o->wait && last.known &&
				   last.forecast_ms / 4 <= o->downtime_ms);
		for (unsigned i = 0; i < m->n_parts && r == 0; i++) {
			struct backlog b = {0};

			if (!m->parts[i].ops->follow)
				continue;
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
		better = forecast_improving(&last, &sum);
		ready = sum.known && sum.forecast_ms <= o->downtime_ms;
		was_slow = slow;
		slow = forecast_slow(&last, &sum, o->downtime_ms, slow);
		say_slow(
			m, &sum, slow, is_asked(m) && !ready && !better, &told);
		if (m->want_rehearsal || m->rehearsal) {
			r = rehearse(m, &sum, ready, err);
			if (r < 0)
				return r;
			told = told && m->rehearsal;
			/* No cutover until it is over. */
			last = sum;
			r = rest(m, &sum, better, false, 0, err);
			if (r < 0)
				return r;
			continue;
		}
		urged += ready && m->want_cutover;
		if (ready && (!better ? !o->wait || m->want_cutover
				      : urged > URGED_ROUNDS))
			break;
		/* A copy has no budget that it could miss. */
		if (o->copy && was_slow >= FORECAST_STUCK)
			break;
		last = sum;
		r = rest(m, &sum, better, ready, clock_ms() - began, err);
		if (r < 0)
			return r;
	}
	m->hurry = false;
	m->forecast_ms = m->progress.backlog.forecast_ms;
	return move_leave(m, err);
}

/* ---- the cutover ---- */

static int undo_cut(struct move *m, struct error *err)
{
	bool was;
	int r;

	m->session.lease_ms = 0;
	if (!m->quiesced)
		return 0;
	m->quiesced = false;
	was = m->interruptible;
	m->interruptible = false;
	r = ALL(m, rollback, err);
	/* The keeper does it by itself; if it died as well, we have to. */
	if (r < 0) {
		r = move_connect(m, SOURCE, err);
		if (r == 0)
			r = ALL(m, recover, err);
	}
	m->interruptible = was;
	if (r < 0)
		move_note(m, "rollback",
			"%s: could not be asked to give the source back (%s); "
			"its keeper does so by itself, and rehost resume or "
			"abort if that died as well",
			m->session.host[SOURCE].peer.name, err->why);
	return r;
}

static void note_downtime(struct move *m)
{
	uint64_t total = clock_ms() - m->cut_at;

	/* By the wall clock when the process that cut is gone. */
	if (m->cut_at == 0) {
		uint64_t begun = (uint64_t)move_get(m, "cutover", "begun");

		total = clock_wall_ms();
		if (begun == 0 || begun > total)
			return;
		total -= begun;
	}
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
	r = ALL(m, approach, err);
	if (r == 0)
		r = RUN(m, PHASE_QUIESCE, quiesce, err);
	if (r == 0)
		r = RUN(m, PHASE_FINISH, finish, err);
	if (r == 0)
		r = RUN(m, PHASE_VERIFY, verify, err);
	if (r == 0 && !move_keeps_source(m))
		r = ALL(m, fence, err);
	own = clock_ms() - m->cut_at;
	own -= MIN(own, m->hooks_ms);
	/* A copy has no cutover, and so no budget to keep to. */
	if (r == 0 && !move_keeps_source(m) && own > m->options.downtime_ms)
		r = move_budget_missed(m, err);
	return r;
}

/* Makes the replica what the source is at one instant, and gives the source
 * back; what is withheld stays so. */
static int checkpoint(struct move *m, struct error *err)
{
	struct error why = {0};
	unsigned tries = 0;
	int r, e;

	m->rehearsing = true;
	for (;;) {
		r = cut(m, err);
		e = undo_cut(m, &why);
		if (r == 0 && e < 0) {
			*err = why;
			r = e;
		}
		if ((r != -EAGAIN && r != -EBADMSG) || ++tries == CUT_TRIES)
			break;
		move_note(m, "cut-again", "%s; the source runs on", err->why);
		r = session_idle(&m->session, 1000U << tries, err);
		if (r < 0)
			break;
	}
	m->rehearsing = false;
	return r;
}

/* Its machine is up. */
static int try_rehearsal(struct move *m, struct error *err)
{
	struct error ignored;
	int r = checkpoint(m, err);
	int e = move_enter(m, PHASE_FOLLOW, r < 0 ? &ignored : err);

	if (r == 0 && e == 0)
		r = rehearsal_run(m->rehearsal, err);
	return r < 0 ? r : e;
}

/* A step of it, between two rounds; ready: the source could be held now. That
 * it fails is a result, and no error of the move. */
static int rehearse(struct move *m, const struct backlog *now, bool ready,
	struct error *err)
{
	uint64_t held_since = 0; /* from then on no round could begin */
	int r;

	if (!m->rehearsal) {
		m->want_rehearsal = false;
		/* Who asked a second time was refused. */
		if (!m->rehearse_only && !rehearsal_is_asked(m))
			return 0;
		r = rehearsal_begin(m, &m->rehearsal, err);
	} else {
		r = rehearsal_is_up(m->rehearsal, err);
	}
	if (r > 0 && !ready)
		r = rehearsal_wait(m->rehearsal, now, err);
	if (r == 0)
		return 0;
	if (r > 0) {
		held_since = clock_ms();
		r = try_rehearsal(m, err);
	}
	rehearsal_end(m->rehearsal, r < 0 ? err : NULL, held_since);
	m->rehearsal = NULL;
	if (r == -EINTR || !m->session.host[SOURCE].alive ||
		!m->session.host[TARGET].alive)
		return r;
	if (!m->rehearse_only)
		return 0;
	m->rehearsed = true;
	error_set(err, -EINTR, "go on");
	return error_why(err, "it was resumed for a rehearsal alone");
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
			r = move_connect(m, SOURCE, err);
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

static bool booted(const struct move *m)
{
	return m->machine && move_get(m, "machine", "booted");
}

/* Target on; on failure back to the source, if the target is surely off. */
static int activate(struct move *m, struct error *err)
{
	/* It may have run, and have taken writes, before this process. */
	bool again = m->phase >= PHASE_ACTIVATE;
	struct error why = {0};
	bool reached, back, stopped;
	int r;

	m->session.lease_ms = 0;
	/* A machine that was told to boot is no target any more. */
	r = booted(m) ? 0 : move_connect(m, TARGET, err);
	reached = r == 0;
	if (reached)
		r = RUN(m, PHASE_ACTIVATE, activate, err);
	if (r == 0) {
		note_downtime(m);
		move_set_state(m, "done", "target");
		move_set_error(m, NULL);
		return 0;
	}
	/* A machine that was told to boot may have taken writes, whatever
	 * answers there now. */
	if (again || booted(m) || r == -ECONNRESET || r == -EINTR ||
		r == -EADDRINUSE || !m->session.host[TARGET].alive ||
		/* An agent of before holds it still. */
		(r == -EBUSY && !move_is_published(m))) {
		/* Nobody knows whether it runs. */
		if (!reached || !err->todo[0])
			error_todo(err,
				"rehost resume %s to try again, or rehost "
				"rollback %s",
				m->row.name, m->row.name);
		move_set_state(m, "failed", "none");
		move_set_error(m, err);
		(void)move_save(m, true, &why);
		return EXIT_ACT_NOW;
	}
	move_note(m, "activate-failed", "%s", err->why);
	/* The copy is wiped only when the source can live again. */
	r = power_reach_source(m, &why);
	back = r == 0;
	if (r == 0)
		r = ALL(m, deactivate, &why);
	stopped = r == 0;
	if (r == 0)
		r = ALL(m, unfence, &why);
	if (r < 0) {
		bool resumes = !move_source_may_live(m) &&
			       !move_get(m, "replica", "wiped");

		move_set_state(m, "failed", "none");
		move_set_error(m, err);
		move_note(m, "fenced",
			"the target %s (cannot %s: %s); the source %s",
			stopped ? "is stopped, and the source could not be "
				  "given back"
			: back || !m->machine
				? "could not be confirmed stopped"
				: "is as it was, because the source cannot be "
				  "given back",
			why.what, why.why,
			power_source_is_back(m)	  ? "was to be switched on"
			: move_source_may_live(m) ? "may live"
						  : "stays fenced");
		error_todo(err, "%srehost rollback %s%s%s",
			stopped || (!back && m->machine)
				? ""
				: "stop the target by hand, then ",
			m->row.name,
			resumes ? "; or mend it, then rehost resume " : "",
			resumes ? m->row.name : "");
		(void)move_save(m, true, &why);
		return EXIT_ACT_NOW;
	}
	move_set_state(m, "rolled-back", "source");
	move_set_error(m, err);
	(void)ALL(m, settle, &why);
	(void)move_save(m, true, &why);
	return EXIT_REFUSED;
}

/* The user wants no way back once the new machine answers. */
static void confirm(struct move *m)
{
	struct error why = {0};
	const char *address = json_string_value(json_object_get(
		json_object_get(m->report, "machine"), "address"));

	if (!m->options.no_rollback)
		return;
	if (m->options.probes.n == 0 || !address || !address[0] ||
		move_hears_stranger(m))
		move_note(m, "not-confirmed",
			"nothing says that the new machine lives: rehost "
			"confirm %s when it does",
			m->row.name);
	else if (move_confirm(m, &why) != EXIT_DONE)
		move_note(m, "not-confirmed",
			"%s: %s; rehost confirm %s to try again", why.what,
			why.why, m->row.name);
}

static int settle(struct move *m, struct error *err)
{
	int r;

	r = move_enter(m, PHASE_SETTLE, err);
	/* A move's fence stays until confirm or rollback. */
	if (r == 0 && m->options.copy)
		r = ALL(m, settle, err);
	if (r == 0)
		r = move_leave(m, err);
	if (r < 0)
		move_note(m, "settle", "%s", err->why);
	confirm(m);
	return EXIT_DONE;
}

/* ---- how a run ends ---- */

/* However it is mended, this is how it goes on. */
static void advise(const struct move *m, const char *command, const char *more,
	struct error *err)
{
	char first[sizeof(err->todo)];

	memcpy(first, err->todo, sizeof(first));
	error_todo(err, "%.300s%srehost %s %s%s", first,
		first[0] ? "; then " : "", command, m->row.name, more);
}

int move_may_stand_still(
	const struct move *m, const char *command, struct error *err)
{
	if (!err->todo[0])
		error_todo(err, "make sure that the source can be reached");
	advise(m, command,
		": the move died in the cutover, and the source may have to "
		"be given back",
		err);
	return EXIT_ACT_NOW;
}

static int stop(struct move *m, struct error *err)
{
	struct error ignored, why = {0};
	bool act = false; /* the source may stand still */

	if (m->want_abort) {
		m->interruptible = false;
		if (move_abort(m, &why) != EXIT_ACT_NOW)
			return EXIT_REFUSED;
		*err = why;
		act = true;
	}
	move_set_state(m, "paused", "source");
	/* All that was asked for was done. */
	move_set_error(m, m->rehearsed ? NULL : err);
	if (!act && !strstr(err->todo, "rehost resume"))
		advise(m, "resume", "", err);
	(void)move_save(m, true, &ignored);
	return act ? EXIT_ACT_NOW : EXIT_RESUMABLE;
}

static int fail_after_prepare(struct move *m, struct error *err)
{
	struct error ignored;

	move_set_state(m, "failed", "source");
	move_set_error(m, err);
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

/* The source has all back; what is left is the clone's first boot, which may be
 * tried again. */
static int start_clone(struct move *m, struct error *err)
{
	int r;

	m->interruptible = true;
	r = RUN(m, PHASE_ACTIVATE, activate, err);
	m->interruptible = false;
	if (r < 0) {
		move_note(m, "clone-not-started",
			"the source runs, and nothing of rehost is left there; "
			"the target's disks hold a proved copy of it: resume "
			"tries to start that again, abort gives it up");
		return stop(m, err);
	}
	move_set_state(m, "done", "source");
	move_set_error(m, NULL);
	return settle(m, err);
}

/* The source first: its keeper may be there still. */
static int resume_clone(struct move *m, struct error *err)
{
	struct error why = {0};
	int r = 0;

	move_set_state(m, "running", "source");
	if (move_connect(m, SOURCE, &why) < 0)
		move_note(m, "left-behind",
			"the source cannot be reached (%s); if its keeper is "
			"there still, it ends by itself",
			why.why);
	if (!move_get(m, "machine", "booted"))
		r = move_connect(m, TARGET, err);
	return r < 0 ? stop(m, err) : start_clone(m, err);
}

static int end_copy(struct move *m, struct error *err)
{
	int r = undo_cut(m, err);

	note_downtime(m);
	if (r == 0 && m->options.clone)
		return start_clone(m, err);
	if (r == 0)
		r = RUN(m, PHASE_ACTIVATE, activate, err);
	if (r < 0)
		return resumable(r) ? stop(m, err) : fail_after_prepare(m, err);
	move_set_state(m, "done", "source");
	move_set_error(m, NULL);
	return settle(m, err);
}

/* The fence may have been in the making. */
static const char *if_reset(const struct move *m)
{
	return m->machine && move_fenced_by_signature(m)
		       ? "; if it was reset, and does not boot, start it with "
			 "the rescue system at the address that it had first"
		       : "";
}

static int go_commit(struct move *m, struct error *err)
{
	struct error why = {0};
	int r;

	/* Until the keeper's word is known, nobody can say which one lives. */
	(void)snprintf(m->row.live, sizeof(m->row.live), "none");
	r = move_enter(m, PHASE_COMMIT, err);
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
		move_set_state(m, "failed", "none");
		move_set_error(m, err);
		error_todo(err,
			"nobody knows whether the source committed; nothing "
			"was activated: rehost resume %s as soon as it can be "
			"reached%s",
			m->row.name, if_reset(m));
		(void)move_save(m, true, &why);
		return EXIT_ACT_NOW;
	}
	move_kill_point(m, POINT_ACKED);
	m->quiesced = false;
	move_set_state(m, "running", "none");
	r = move_leave(m, err);
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
		rehearsal_end(m->rehearsal, err, 0);
		m->rehearsal = NULL;
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

/* Which disks a machine has is known only now. */
static int plan_machine(struct move *m, struct error *err)
{
	int r = 0;

	if (m->machine && m->n_parts == 0)
		r = machine_plan(m, err);
	else if (m->machine && m->options.wish && !move_is_plain_copy(m))
		r = machine_plan_again(m, err);
	/* The plan may have made another thing of it. */
	if (r == 0)
		r = power_check(&m->options, m->machine, err);
	if (r == 0 && m->n_parts == 0)
		r = move_make_parts(m, err);
	return r;
}

static int begin(struct move *m, struct error *err)
{
	int r;

	m->interruptible = true;
	r = m->stored ? 0 : store_lock(m->store, m->row.name, err);
	/* The source first: it may wait for being given back. */
	if (r == 0)
		r = move_connect(m, SOURCE, err);
	if (r == 0 && m->resumed)
		r = ALL(m, recover, err);
	if (r == 0)
		r = move_connect(m, TARGET, err);
	if (r == 0)
		r = plan_machine(m, err);
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

	if (move_source_may_live(m)) {
		error_set(err, -EINVAL, "resume %s", m->row.name);
		error_why(err, "its source was %s, and may have written since",
			power_source_is_back(m) ? "to be switched on again"
						: "to be given back");
		error_todo(err, "rehost rollback %s", m->row.name);
		return EXIT_ACT_NOW;
	}
	if (move_get(m, "replica", "wiped")) {
		error_set(err, -EINVAL, "resume %s", m->row.name);
		error_why(err, "its copy was wiped when the source was to be "
			       "given back");
		error_todo(err, "rehost rollback %s", m->row.name);
		return EXIT_ACT_NOW;
	}
	m->session.lease_ms = 0;
	move_set_state(m, "running", "none");
	r = activate(m, err);
	return r == 0 ? settle(m, err) : r;
}

bool move_source_may_live(const struct move *m)
{
	return power_source_is_back(m) ||
	       json_is_true(json_object_get(
		       json_object_get(m->report, "fence"), "leaving"));
}

bool move_committed(const struct move *m)
{
	return strcmp(m->row.live, "source") != 0;
}

/* After an interrupted commit: did the source commit? Only the keeper knows.
 * 0: it is known and stored now; negative: nobody can say. */
int move_settle_commit(struct move *m, struct error *err)
{
	int r;

	if (m->phase != PHASE_COMMIT || m->row.phase_done)
		return 0;
	r = commit(m, err);
	if (r == 0) {
		move_set_state(m, m->row.state, "none");
		return move_leave(m, err);
	}
	if (r != -ENOLINK) {
		error_todo(err,
			"nobody knows whether the source committed: try again "
			"as soon as it can be reached%s",
			if_reset(m));
		return r;
	}
	move_note(m, "not-committed",
		"the source did not commit; it is given back, and the move can "
		"go on");
	r = ALL(m, recover, err);
	if (r < 0)
		return r;
	move_note_rescue(m);
	move_set_state(m, m->row.state, "source");
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
		r = move_settle_commit(m, err);
		if (r < 0) {
			move_set_state(m, "failed", "none");
			(void)move_save(m, true, NULL);
			return EXIT_ACT_NOW;
		}
		if (move_committed(m))
			return resume_committed(m, err);
		if (m->options.clone && m->phase == PHASE_ACTIVATE)
			return resume_clone(m, err);
		if (move_source_is_rescue(m)) {
			error_set(err, -EAGAIN, "resume %s", m->row.name);
			error_why(err, "the source runs a rescue system");
			error_todo(err, "reset it, then rehost resume %s",
				m->row.name);
			return stop(m, err);
		}
		move_set_state(m, "running", "source");
	}
	r = begin(m, err);
	if (r == 0)
		return carry(m, err);
	if (!m->stored)
		return EXIT_REFUSED;
	if (move_get(m, "cutover", "begun")) {
		struct error ignored;

		move_set_state(m, "paused", "source");
		move_set_error(m, err);
		(void)move_save(m, true, &ignored);
		return move_may_stand_still(m, "resume", err);
	}
	/* An agent behind a cut connection may hold the target for a while. */
	return resumable(r) || (m->resumed && r == -EBUSY)
		       ? stop(m, err)
		       : fail_after_prepare(m, err);
}

int move_dry_run(struct move *m, struct error *err)
{
	int r = move_connect_both(m, err);

	if (r == 0)
		r = plan_machine(m, err);
	if (r == 0)
		r = ALL(m, inspect, err);
	return r < 0 ? EXIT_REFUSED : EXIT_DONE;
}
