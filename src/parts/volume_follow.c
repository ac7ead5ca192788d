/* SPDX-License-Identifier: Apache-2.0 */
/* The volume part: seed, rounds, background proof, comparison. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "copy/differ.h"
#include "move/forecast.h"
#include "parts/volume.h"

/* Losses after which no tracker is tried any more. */
#define LOSSES_MAX 5
#define CHECKS_MAX 4

/* Compares everything known with the target; what differs is dirty then. */
static int compare_all(struct part *p, struct error *err)
{
	static const struct msg_mark unprove = {.unprove = 1};
	struct msg_pass_done done;
	struct differences_found found;
	int r = volume_mark(p, &unprove, err);

	if (r == 0)
		r = volume_pass(p, PASS_COMPARE, 0, &done, err);
	if (r == 0)
		r = volume_take_differences(p, DIFFER_ALL, &found, err);
	if (r == 0)
		move_add(p->move, "tracker", "compares", 1);
	return r;
}

/* Begins a new tracker, or says that there will be none any more. */
static void retrack(struct part *p, const struct error *why)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	struct error no;

	move_add(m, "tracker", "losses", 1);
	move_note(m, "tracker-lost",
		"what changed is no longer known for sure (%s): both sides are "
		"compared",
		why->why);
	v->tracking = false;
	if (move_get(m, "tracker", "losses") > LOSSES_MAX) {
		move_note(m, "no-tracker",
			"from now on by comparison only: it was lost too "
			"often");
		return;
	}
	if (volume_source_call(p, MSG_RETRACK, NULL, NULL, &no) == 0)
		v->tracking = true;
	else
		move_note(m, "no-tracker", "from now on by comparison only: %s",
			no.why);
}

/* The tracker is lost: begin a new one, then find by comparison what the old
 * one may have missed, while the source runs on. The new one may be lost as
 * well meanwhile. */
static int recover(struct part *p, const struct error *why, struct error *err)
{
	struct volume_part *v = p->data;
	struct error last = *why;
	int r;

	do {
		retrack(p, &last);
		r = volume_map(p, &last);
		if (r == 0)
			r = compare_all(p, &last);
	} while (r == -ENODATA && v->tracking);
	if (r < 0)
		*err = last;
	return r;
}

/* Passes a result on, but recovers from a lost tracker. why is r's error, and
 * becomes err's. */
static int unless_lost(
	struct part *p, int r, const struct error *why, struct error *err)
{
	const struct volume_part *v = p->data;

	if (r == -ENODATA && v->tracking)
		return recover(p, why, err);
	if (r < 0)
		*err = *why;
	return r;
}

static int settle_or_recover(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct error why;
	int r;

	if (!v->tracking)
		return 0;
	r = volume_settle_tracker(p, true, &why);
	return unless_lost(p, r, &why, err);
}

int volume_seed(struct part *p, struct error *err)
{
	static const struct msg_mark known = {.known = 1};
	struct volume_part *v = p->data;
	struct move *m = p->move;
	struct msg_source_state state;
	struct msg_pass_done done;
	struct error why;
	int r = volume_map(p, err);

	if (r == 0 && v->fresh && move_get(m, "replica", "seeding")) {
		/* The marks are gone, but the target holds part of it. */
		move_note(m, "compare",
			"the keeper is new: what the target holds already is "
			"found by comparison");
		r = volume_mark(p, &known, err);
		if (r == 0)
			r = unless_lost(p, compare_all(p, &why), &why, err);
	}
	v->fresh = false;
	if (r == 0)
		r = volume_state(p, &state, err);
	if (r == 0) {
		move_set(m, "replica", "seeding", 1);
		r = move_save(m, true, err);
	}
	if (r == 0)
		r = volume_pass(p, PASS_SEND, 0, &done, err);
	if (r == 0) {
		move_add_round(m, done.bytes, done.ms);
		v->of_seed = true;
		move_set(m, "replica", "seeded", 1);
	}
	return r;
}

/* ---- rounds ---- */

static void measure(struct part *p, const struct msg_source_state *s)
{
	struct volume_part *v = p->data;
	uint64_t now = clock_ms(), span = now - v->written_at;

	if (span < 200)
		return;
	v->dirty_rate = (s->written - v->written) * 1000 / span;
	v->written = s->written;
	v->written_at = now;
}

static struct forecast figures(const struct part *p)
{
	const struct volume_part *v = p->data;

	return (struct forecast){
		.send_rate = v->send_rate,
		.compare_rate = v->compare_rate,
		.dirty_rate = v->dirty_rate,
		.sync_ms = v->sync_ms,
		.overhead_ms = v->overhead_ms,
		.tracking = v->tracking,
		.full_verify = p->move->options.full_verify,
	};
}

/* Proves what has been quiet, as far as it fits between two rounds. */
static int prove_some(struct part *p, struct error *err)
{
	struct msg_pass_done done;
	struct differences_found found;
	struct forecast f = figures(p);
	struct error why;
	int r = volume_pass(p, PASS_COMPARE, forecast_proof(&f), &done, err);

	if (r < 0 || done.differ == 0)
		return r;
	r = volume_take_differences(p, DIFFER_LIVE, &found, &why);
	if (r < 0)
		return unless_lost(p, r, &why, err);
	if (found.unexplained > 0) {
		/* Neither written nor discarded, and yet different: either the
		 * tracker missed it, or the target changed by itself. */
		error_set(&why, -EBADMSG, "trust the tracker");
		error_why(&why, "%llu bytes differ that no event explains",
			(unsigned long long)found.unexplained);
		return recover(p, &why, err);
	}
	return 0;
}

int volume_follow(struct part *p, struct backlog *ret, struct error *err)
{
	struct volume_part *v = p->data;
	struct msg_source_state state;
	struct msg_pass_done done;
	struct forecast f;
	int r = settle_or_recover(p, err);

	/* Sending comes last, so that little is left when it is cut now. */
	if (r == 0 && v->tracking)
		r = prove_some(p, err);
	if (r == 0 && v->mapped)
		r = volume_map(p, err);
	if (r == 0 && !v->tracking)
		r = compare_all(p, err);
	if (r == 0)
		r = volume_pass(p, PASS_SEND, 0, &done, err);
	if (r < 0)
		return r;
	if (done.bytes > 0)
		move_add_round(p->move, done.bytes, done.ms);
	r = settle_or_recover(p, err);
	if (r == 0)
		r = volume_state(p, &state, err);
	if (r < 0)
		return r;
	measure(p, &state);
	ret->bytes = state.dirty;
	ret->unproved = state.unproved;
	ret->rate = v->send_rate;
	ret->dirty_rate = v->dirty_rate;
	f = figures(p);
	ret->forecast_ms =
		forecast_outage(&f, state.dirty, state.unproved, state.known);
	ret->known = true;
	return 0;
}

int volume_attach(struct part *p, struct error *err)
{
	int r;

	if (!move_get(p->move, "replica", "seeded")) {
		error_set(err, -ENODATA, "verify");
		error_why(err, "the seed is not complete");
		return error_todo(err, "resume the move first");
	}
	r = volume_open_source_agent(p, VOLUME_KEEPER, err);
	if (r == -ENOENT) {
		error_set(err, r, "verify");
		error_why(err, "what the source wrote since is not known: its "
			       "keeper is gone");
		return error_todo(err, "resume: it compares everything and "
				       "sends what differs");
	}
	return r;
}

int volume_check(struct part *p, uint64_t *ret_differ, struct error *err)
{
	static const struct msg_mark all = {.unprove = 1};
	struct volume_part *v = p->data;
	struct differences_found found = {0};
	struct msg_pass_done done;
	int r = 0;

	*ret_differ = 0;
	if (!v->tracking) {
		error_set(err, -EOPNOTSUPP, "verify");
		error_why(err,
			"without a tracker what the source wrote since "
			"cannot be told from damage (%s)",
			v->reason);
		return error_todo(err, "resume: it compares everything and "
				       "sends what differs");
	}
	r = volume_settle_tracker(p, true, err);
	if (r == 0)
		r = volume_mark(p, &all, err);
	/* What differs may have been in flight: it is looked at again when that
	 * cannot be any more. */
	for (int i = 0; i < CHECKS_MAX && r == 0; i++) {
		r = volume_pass(p, PASS_COMPARE, 0, &done, err);
		if (r == 0)
			r = volume_take_differences(
				p, DIFFER_LIVE, &found, err);
		*ret_differ += found.unexplained;
		if (r < 0 || found.suspect == 0)
			break;
		r = session_idle(
			&p->move->session, DIFFER_SUSPECT_MS + 500, err);
	}
	return r;
}
