/* SPDX-License-Identifier: Apache-2.0 */
/* What other commands do with a move that nobody controls. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "move/power.h"
#include "move/probe.h"
#include "move/steps.h"
#include "move/who.h"

#define OFF_MS 3000

static bool is_over(const struct move *m)
{
	return strcmp(m->row.state, "confirmed") == 0 ||
	       strcmp(m->row.state, "rolled-back") == 0 ||
	       (strcmp(m->row.live, "source") == 0 &&
		       strcmp(m->row.state, "done") == 0);
}

static void note_left(struct move *m, enum side side, const struct error *why)
{
	if (side == SOURCE)
		move_note(m, "left-behind",
			"%s%s%s; the keeper on the source ends by itself "
			"within %llu s",
			why->host, why->host[0] ? ": " : "", why->why,
			(unsigned long long)m->options.linger_ms / 1000);
	else
		move_note(m, "left-behind",
			"%s%s%s; what was made of the target is left there, "
			"and may look like the source",
			why->host, why->host[0] ? ": " : "", why->why);
}

/* Each side as far as it can be reached. */
int move_abort(struct move *m, struct error *err)
{
	struct error why = {0};
	int r;

	if (move_settle_commit(m, err) < 0)
		return EXIT_ACT_NOW;
	if (move_committed(m)) {
		error_set(err, -EINVAL, "abort %s", m->row.name);
		error_why(err, "it is committed");
		error_todo(err, "rehost rollback %s", m->row.name);
		return EXIT_REFUSED;
	}
	if (is_over(m)) {
		error_set(err, -EINVAL, "abort %s", m->row.name);
		error_why(err, "it is %s", m->row.state);
		return EXIT_REFUSED;
	}
	r = move_connect(m, SOURCE, &why);
	if (r == 0)
		r = ALL(m, recover, &why);
	/* What stood still is no more. */
	if (r == -ENXIO && move_get(m, "cutover", "begun"))
		move_note(m, "another-disk",
			"%s: %s; the rollback hooks were not run", why.what,
			why.why);
	else if (r < 0 && move_get(m, "cutover", "begun")) {
		*err = why;
		return move_may_stand_still(m, "abort", err);
	}
	if (r < 0)
		note_left(m, SOURCE, &why);
	r = move_connect(m, TARGET, &why);
	if (r == 0)
		r = ALL(m, discard, &why);
	if (r < 0)
		note_left(m, TARGET, &why);
	if (ALL(m, settle, &why) < 0)
		note_left(m, SOURCE, &why);
	move_set_state(m, "rolled-back", "source");
	if (move_save(m, true, err) < 0)
		return EXIT_REFUSED;
	return EXIT_DONE;
}

/* The user's word that the target is off is not taken against what is seen. */
static int check_off(struct move *m, struct error *err)
{
	/* What was never told to boot has not its own address yet. */
	bool told = move_get(m, "machine", "booted") ||
		    move_get(m, "machine", "stopped");
	const char *address = json_string_value(
		json_object_get(json_object_get(m->report, "machine"),
			told ? "address" : "source_address"));
	char probe[32];
	int r;

	move_ssh_probe(m, probe);
	r = address && address[0] && !move_hears_stranger(m) &&
			    move_target_may_live(m)
		    ? probe_once(probe, address, OFF_MS)
		    : -ETIMEDOUT;
	if (r != 0 && r != -ECONNREFUSED)
		return 0;
	/* At the address that both may have it may be the source, which is
	 * back; at another one it is not. */
	if ((!told || move_keeps_address(m)) && move_source_answers(m))
		return 0;
	error_set(err, -EADDRINUSE, "take the target for switched off");
	error_why(err, "somebody answers at %s", address);
	return error_todo(err, "switch it off");
}

static void say_unstopped(const struct move *m, struct error *err)
{
	error_todo(err,
		"make sure that the target is stopped and can be reached, then "
		"try again; the source %s. Or switch the target off for good: "
		"rehost rollback --discard-target-writes",
		power_source_is_back(m) ? "was to be switched on, and may live"
		: move_source_may_live(m) ? "was to be given back, and may live"
					  : "stays fenced");
}

/* By its own word, the user's, or that of the command which switches it off. */
static int stop_target(struct move *m, struct error *err)
{
	bool booted = m->machine && move_get(m, "machine", "booted");
	struct error why = {0};
	int r;

	if (m->target_is_off)
		return check_off(m, err);
	/* A machine that was moved is at its own address: its part knows. */
	r = booted ? 0 : move_connect(m, TARGET, err);
	/* What ssh advises is not enough. */
	if (r < 0)
		say_unstopped(m, err);
	/* What never booted is wiped only when the source can live again. */
	if (r == 0 && m->machine && !booted) {
		r = power_reach_source(m, err);
		if (r < 0) {
			error_todo(err,
				"see that the source can be reached, then "
				"rehost rollback %s again; the target is as "
				"it was",
				m->row.name);
			return r;
		}
	}
	if (r == 0)
		r = ALL(m, deactivate, err);
	if (r == 0 || !m->machine || m->options.target_power_off.n == 0)
		return r;
	move_note(m, "target-power-off", "%s: %s; it is switched off",
		err->what, err->why);
	m->target_serves = false;
	/* Another try finds it off, which the command may call an error. */
	if (power_off_target(m, &why) < 0 &&
		!move_get(m, "machine", "stopped")) {
		*err = why;
		return err->code;
	}
	/* As far as the command knows; nobody may speak against it. */
	m->target_stopped = true;
	r = check_off(m, err);
	if (r < 0)
		return r;
	move_set(m, "machine", "stopped", 1);
	return move_save(m, true, err);
}

/* What each choice loses, where nothing more can be asked of anybody. */
static void say_choices(const struct move *m, struct error *err)
{
	error_todo(err,
		"choose: the new machine has all that was committed, so mend "
		"it "
		"and rehost %s %s; the source lacks what the new machine wrote "
		"since, so switch that off for good, start the source with the "
		"rescue system at the address that it had, rehost rollback "
		"--discard-target-writes %s, and reset it",
		strcmp(m->row.state, "done") == 0 ? "confirm" : "resume",
		m->row.name, m->row.name);
}

/* A machine that lives is not stopped for a source that cannot be had back. */
static int check_way_back(struct move *m, struct error *err)
{
	struct error why = {0};

	if (!m->machine || m->target_is_off || power_can_bring_back(m) ||
		!move_get(m, "machine", "booted") ||
		move_get(m, "machine", "stopped") ||
		move_connect(m, SOURCE, &why) == 0)
		return 0;
	*err = why;
	error_set(err, err->code, "roll %s back", m->row.name);
	error_why(err,
		"the source cannot be reached (%.300s)%s; nothing was "
		"changed",
		why.why,
		m->options.power_on.n > 0
			? ", and --power-on is for what --power-off fenced"
			: "");
	say_choices(m, err);
	return err->code;
}

int move_rollback(struct move *m, struct error *err)
{
	struct error why = {0};
	int r;

	if (move_settle_commit(m, err) < 0)
		return EXIT_ACT_NOW;
	if (!move_committed(m)) {
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
	if (check_way_back(m, err) < 0)
		return strcmp(m->row.live, "none") == 0 ? EXIT_ACT_NOW
							: EXIT_REFUSED;
	r = stop_target(m, err);
	if (r < 0) {
		if (!err->todo[0])
			say_unstopped(m, err);
		if (m->target_serves && strcmp(m->row.live, "target") == 0)
			return EXIT_REFUSED;
		move_set_state(m, "failed", "none");
		(void)move_save(m, true, &why);
		return EXIT_ACT_NOW;
	}
	(void)snprintf(m->row.live, sizeof(m->row.live), "none");
	(void)move_save(m, true, &why);
	r = power_reach_source(m, err);
	if (r == 0)
		r = ALL(m, unfence, err);
	if (r < 0) {
		error_todo(err, "the target is %s: rehost rollback %s again%s",
			move_get(m, "machine", "stopped") ? "off" : "stopped",
			m->row.name,
			m->machine
				? "; if the source cannot be reached any more, "
				  "start it with the rescue system at the "
				  "address that it had first, and reset it "
				  "afterwards: it boots as it was at the "
				  "cutover"
				: "");
		move_set_state(m, "failed", "none");
		move_set_error(m, err);
		(void)move_save(m, true, &why);
		return EXIT_ACT_NOW;
	}
	move_set_state(m, "rolled-back", "source");
	move_note_rescue(m);
	r = move_save(m, true, err);
	if (ALL(m, settle, &why) < 0)
		move_note(m, "left-behind", "%s: %s", why.what, why.why);
	return r < 0 ? EXIT_REFUSED : EXIT_DONE;
}

/* The machine that was moved from, and no other that has its address or boots
 * from a copy of its disks. */
static int connect_old(struct move *m, struct error *err)
{
	int r = move_connect(m, SOURCE, err);

	if (r == 0)
		r = who_answers(m, SOURCE, err);
	if (r < 0 || r == WHO_SOURCE)
		return r < 0 ? r : 0;
	session_close(&m->session, SOURCE);
	error_set(err, -EHOSTUNREACH, "reach the source");
	return error_why(err, "what answers there is not as it was at the "
			      "commit");
}

static int end_both(struct move *m, struct error *err)
{
	struct error why = {0};
	int r;

	if (!m->machine) {
		r = move_connect_both(m, err);
		return r < 0 ? r : ALL(m, settle, err);
	}
	if (power_source_is_off(m)) {
		move_note(m, "source-off",
			"the source is off, and its disks hold a system that "
			"boots: wipe them before it is switched on again");
		return 0;
	}
	if (connect_old(m, &why) == 0)
		return ALL(m, settle, err);
	if (m->options.power_off.n > 0)
		return power_off_source(m, err);
	move_note(m, "left-behind",
		"the source was not switched off (%s): see that it does not "
		"come to life",
		why.why);
	return 0;
}

int move_confirm(struct move *m, struct error *err)
{
	if (strcmp(m->row.state, "done") != 0 ||
		strcmp(m->row.live, "none") == 0) {
		error_set(err, -EINVAL, "confirm %s", m->row.name);
		error_why(err, "it is %s, and %s is live", m->row.state,
			m->row.live);
		return strcmp(m->row.live, "none") == 0 ? EXIT_ACT_NOW
							: EXIT_REFUSED;
	}
	if (move_committed(m) && end_both(m, err) < 0)
		return EXIT_REFUSED;
	move_set_state(m, "confirmed", NULL);
	return move_save(m, true, err) < 0 ? EXIT_REFUSED : EXIT_DONE;
}

int move_check(struct move *m, struct error *err)
{
	uint64_t differ = 0, d;
	int r;

	if (move_settle_commit(m, err) < 0)
		return EXIT_ACT_NOW;
	if (move_committed(m) || is_over(m)) {
		/* The sides go their own ways; what was proved is kept. */
		bool ok = json_is_true(json_object_get(
			json_object_get(m->report, "proof"), "ok"));

		move_note(m, "proof",
			ok ? "the replica was proved at the cut"
			   : "the replica was not proved");
		return ok ? EXIT_DONE : EXIT_DIFFERENT;
	}
	/* Whoever gives the source back would be disturbed. */
	if (move_get(m, "cutover", "begun")) {
		error_set(err, -EBUSY, "verify %s", m->row.name);
		error_why(err, "it died in the cutover");
		error_todo(err, "rehost resume or abort %s first", m->row.name);
		return EXIT_REFUSED;
	}
	r = move_connect_both(m, err);
	/* Without the keeper nothing tells damage from change. */
	if (r == 0)
		r = ALL(m, attach, err);
	if (r == 0)
		r = ALL(m, inspect, err);
	if (r == 0)
		r = ALL(m, prepare, err);
	for (unsigned i = 0; i < m->n_parts && r == 0; i++) {
		if (!m->parts[i].ops->check)
			continue;
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
