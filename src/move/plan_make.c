/* SPDX-License-Identifier: Apache-2.0 */
#include "move/plan_make.h"

#include <errno.h>
#include <string.h>

#include "move/plan_disk.h"
#include "move/plan_text.h"

int plan_note_begin(struct plan_note *n)
{
	n->text = NULL;
	n->f = open_memstream(&n->text, &n->n);
	return n->f ? 0 : -ENOMEM;
}

int plan_note_end(struct plan_note *n, char **ret)
{
	bool bad = ferror(n->f);

	bad |= fclose(n->f) != 0;
	if (bad) {
		free(n->text);
		return -ENOMEM;
	}
	*ret = n->text;
	return 0;
}

static int copy(char **ret, const char *text)
{
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static int make_side(struct plan_side *s, const char *place,
	const json_t *facts, struct error *err)
{
	const char *hostname =
		facts_text(json_object_get(facts, "system"), "hostname");
	int r;

	if (!json_is_true(json_object_get(facts, "root"))) {
		(void)error_set(err, -EPERM, "make a plan");
		(void)error_why(err, "without root not all of its disks can be "
				     "seen");
		(void)error_todo(err, "log in as root, or as a user who may "
				      "sudo -n");
		return error_host(err, place);
	}
	if (copy(&s->place, place) < 0 ||
		(hostname[0] && copy(&s->hostname, hostname) < 0))
		return error_set(err, -ENOMEM, "make a plan");
	r = plan_facts(facts, &s->facts);
	if (r == 0)
		r = plan_fingerprint(&s->facts, s->fingerprint);
	if (r == 0)
		return 0;
	(void)error_set(err, r, "make a plan");
	if (r == -E2BIG)
		(void)error_why(err, "it has more disks and partitions than a "
				     "plan can hold");
	return error_host(err, place);
}

/* Does anybody outside reach a listener on this TCP port? */
static bool listens(const json_t *facts, json_int_t port)
{
	const json_t *v;
	size_t i;

	json_array_foreach(json_object_get(facts, "ports"), i, v)
	{
		const char *address = facts_text(v, "address");

		if (json_integer_value(json_object_get(v, "port")) == port &&
			strcmp(facts_text(v, "protocol"), "tcp") == 0 &&
			strncmp(address, "127.", 4) != 0 &&
			strcmp(address, "::1") != 0)
			return true;
	}
	return false;
}

static int make_probes(struct plan *p, const json_t *facts)
{
	int r = 0;

	if (listens(facts, 22))
		r = plan_list_add(&p->probes, "tcp:22", PLAN_LIST_MAX);
	if (r == 0 && listens(facts, 80))
		r = plan_list_add(&p->probes, "http://:80/", PLAN_LIST_MAX);
	return r;
}

static int copy_hooks(struct hook_list *to, const struct hook_list *from)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < from->n; i++)
		r = options_add_hook(to, from->v[i]);
	return r;
}

/* Which databases run there: their data is right after any cut, but a stop
 * spares them the recovery. */
static int note_hooks(struct plan *p, const json_t *facts)
{
	struct plan_note n;
	const json_t *v;
	size_t i, shown = 0;

	if (plan_note_begin(&n) < 0)
		return -ENOMEM;
	json_array_foreach(json_object_get(facts, "databases"), i, v)
	{
		const char *service = facts_text(v, "service");

		if (!json_is_true(json_object_get(v, "running")) || shown == 8)
			continue;
		(void)fputs(shown++ ? "\n" : "", n.f);
		plan_text_visible(n.f, facts_text(v, "kind"), 40);
		(void)fputs(" runs here", n.f);
		if (!service[0])
			continue;
		(void)fputs("; a quiesce hook could be: systemctl stop ", n.f);
		plan_text_visible(n.f, service, 60);
	}
	return plan_note_end(&n, &p->comment);
}

int plan_make(const struct options *o, bool clone, const json_t *source_facts,
	const json_t *target_facts, struct plan *ret, struct error *err)
{
	struct plan p;
	int r;

	plan_init(&p);
	r = make_side(&p.source, o->source, source_facts, err);
	if (r == 0)
		r = make_side(&p.target, o->target, target_facts, err);
	if (r < 0) {
		plan_done(&p);
		return r;
	}
	p.new_identity = clone;
	p.downtime_ms = o->downtime_ms;
	p.bwlimit = o->bwlimit;
	p.wait = o->wait;
	p.hook_timeout_ms = o->hook_timeout_ms;
	if (o->name[0])
		r = copy(&p.name, o->name);
	if (r == 0 && o->hostname[0])
		r = copy(&p.hostname, o->hostname);
	if (r == 0)
		r = plan_make_disks(
			&p, source_facts, target_facts, o->overwrite);
	if (r == 0)
		r = plan_make_network(
			&p, source_facts, target_facts, clone, err);
	if (r == 0)
		r = make_probes(&p, source_facts);
	if (r == 0)
		r = copy_hooks(&p.quiesce, &o->quiesce);
	if (r == 0)
		r = copy_hooks(&p.rollback, &o->rollback);
	if (r == 0)
		r = note_hooks(&p, source_facts);
	if (r < 0) {
		plan_done(&p);
		if (r == -EOVERFLOW)
			return r;
		(void)error_set(err, r, "make a plan");
		if (r == -E2BIG)
			(void)error_why(err,
				"a machine has more than %d disks or %d "
				"network interfaces",
				PLAN_DISKS_MAX, PLAN_NICS_MAX);
		return r;
	}
	*ret = p;
	return 0;
}
