/* SPDX-License-Identifier: Apache-2.0 */
#include "move/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const fence_names[] = {"auto", "freeze", "unmounted", "signature"};
const char *const via_names[] = {"auto", "direct", "reverse", "relay"};
const char *const boot_names[] = {"auto", "kexec", "firmware"};

void options_init(struct options *o)
{
	memset(o, 0, sizeof(*o));
	o->lanes = 4;
	o->downtime_ms = 2000;
	o->linger_ms = 3600000;
	o->hook_timeout_ms = 60000;
	o->lease_ms = 30000;
	o->boot_timeout_ms = 600000;
}

static void list_done(struct hook_list *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		free(l->v[i]);
	l->n = 0;
}

void options_done(struct options *o)
{
	list_done(&o->quiesce);
	list_done(&o->rollback);
	list_done(&o->activate);
	list_done(&o->deactivate);
	list_done(&o->probes);
	list_done(&o->power_off);
	list_done(&o->power_on);
	list_done(&o->target_power_off);
	for (uint32_t i = 0; i < o->n_ssh; i++)
		free(o->ssh[i]);
	o->n_ssh = 0;
	free(o->disks);
	o->disks = NULL;
	o->n_disks = 0;
	json_decref(o->wish);
	o->wish = NULL;
}

int options_add_hook(struct hook_list *l, const char *command)
{
	if (l->n == HOOKS_MAX)
		return -E2BIG;
	if (strlen(command) >= sizeof(((struct msg_hook *)0)->command))
		return -ENAMETOOLONG;
	l->v[l->n] = strdup(command);
	if (!l->v[l->n])
		return -ENOMEM;
	l->n++;
	return 0;
}

int options_take_hooks(struct hook_list *to, const struct hook_list *from)
{
	int r = 0;

	if (from->n == 0)
		return 0;
	while (to->n > 0)
		free(to->v[--to->n]);
	for (uint32_t i = 0; i < from->n && r == 0; i++)
		r = options_add_hook(to, from->v[i]);
	return r;
}

int options_add_ssh(struct options *o, const char *arg)
{
	if (o->n_ssh == SSH_ARGS_MAX)
		return -E2BIG;
	o->ssh[o->n_ssh] = strdup(arg);
	if (!o->ssh[o->n_ssh])
		return -ENOMEM;
	o->n_ssh++;
	return 0;
}

int options_add_disk(struct options *o, const char *source, const char *target,
	const char *overwrite)
{
	struct move_disk *v, *d;

	if (o->n_disks == VOLUMES_MAX)
		return -E2BIG;
	v = reallocarray(o->disks, o->n_disks + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	o->disks = v;
	d = &v[o->n_disks];
	if ((size_t)snprintf(d->source, sizeof(d->source), "%s", source) >=
			sizeof(d->source) ||
		(size_t)snprintf(d->target, sizeof(d->target), "%s", target) >=
			sizeof(d->target) ||
		(size_t)snprintf(d->overwrite, sizeof(d->overwrite), "%s",
			overwrite) >= sizeof(d->overwrite))
		return -ENAMETOOLONG;
	o->n_disks++;
	return 0;
}

static json_t *disks_to_json(const struct options *o)
{
	json_t *a = json_array();

	for (uint32_t i = 0; a && i < o->n_disks; i++)
		if (json_array_append_new(
			    a, json_pack("{s:s s:s s:s}", "source",
				       o->disks[i].source, "target",
				       o->disks[i].target, "overwrite",
				       o->disks[i].overwrite)) < 0) {
			json_decref(a);
			return NULL;
		}
	return a;
}

static int read_disks(const json_t *a, struct options *o)
{
	const char *source, *target, *overwrite;
	json_t *v;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)a, i,
		v) if (json_unpack(v, "{s:s s:s s:s}", "source", &source,
			       "target", &target, "overwrite",
			       &overwrite) < 0 ||
		       options_add_disk(o, source, target, overwrite) <
			       0) return -1;
	return 0;
}

static json_t *list_to_json(char *const *v, uint32_t n)
{
	json_t *a = json_array();

	for (uint32_t i = 0; a && i < n; i++)
		if (json_array_append_new(a, json_string(v[i])) < 0) {
			json_decref(a);
			return NULL;
		}
	return a;
}

json_t *options_to_json(const struct options *o)
{
	return json_pack("{s:s s:s s:s s:b s:b s:b s:b s:i s:i s:I s:I s:I s:I "
			 "s:I s:I s:I s:I s:s s:o s:o s:o s:o s:o s:o s:O? s:o "
			 "s:b s:i s:I s:o s:o s:o s:b}",
		"name", o->name, "source", o->source, "target", o->target,
		"copy", o->copy, "wait", o->wait, "freeze", o->freeze,
		"full_verify", o->full_verify, "fence", (int)o->fence, "via",
		(int)o->via, "lanes", (json_int_t)o->lanes, "port_low",
		(json_int_t)o->port_low, "port_high", (json_int_t)o->port_high,
		"bwlimit", (json_int_t)o->bwlimit, "downtime_ms",
		(json_int_t)o->downtime_ms, "linger_ms",
		(json_int_t)o->linger_ms, "hook_timeout_ms",
		(json_int_t)o->hook_timeout_ms, "lease_ms",
		(json_int_t)o->lease_ms, "overwrite", o->overwrite, "quiesce",
		list_to_json(o->quiesce.v, o->quiesce.n), "rollback",
		list_to_json(o->rollback.v, o->rollback.n), "activate",
		list_to_json(o->activate.v, o->activate.n), "deactivate",
		list_to_json(o->deactivate.v, o->deactivate.n), "ssh",
		list_to_json(o->ssh, o->n_ssh), "disks", disks_to_json(o),
		"wish", o->wish, "probes",
		list_to_json(o->probes.v, o->probes.n), "clone", o->clone,
		"boot", (int)o->boot, "boot_timeout_ms",
		(json_int_t)o->boot_timeout_ms, "power_off",
		list_to_json(o->power_off.v, o->power_off.n), "power_on",
		list_to_json(o->power_on.v, o->power_on.n), "target_power_off",
		list_to_json(o->target_power_off.v, o->target_power_off.n),
		"no_rollback", o->no_rollback);
}

static int read_hooks(const json_t *a, struct hook_list *l)
{
	const json_t *v;
	size_t i;

	json_array_foreach(
		a, i, v) if (!json_is_string(v) ||
			     options_add_hook(l, json_string_value(v)) <
				     0) return -EINVAL;
	return 0;
}

int options_from_json(const json_t *j, struct options *ret, struct error *err)
{
	const char *name, *source, *target, *overwrite;
	json_t *quiesce, *rollback, *activate, *deactivate, *ssh, *v;
	json_t *disks = NULL, *wish = NULL, *probes = NULL;
	json_int_t lanes, low, high, bw, down, linger, hook, lease, answer;
	json_t *off = NULL, *on = NULL, *target_off = NULL;
	int copy, wait, freeze, full, fence, via, clone, boot, no_rollback;
	struct options o;
	size_t i;

	/* "!": as many keys as values, or it is refused. */
	if (json_unpack((json_t *)(uintptr_t)j,
		    "{s:s s:s s:s s:b s:b s:b s:b s:i s:i s:I s:I s:I s:I s:I "
		    "s:I s:I s:I s:s s:o s:o s:o s:o s:o s:o s:o s:o s:b s:i "
		    "s:I s:o s:o s:o s:b !}",
		    "name", &name, "source", &source, "target", &target, "copy",
		    &copy, "wait", &wait, "freeze", &freeze, "full_verify",
		    &full, "fence", &fence, "via", &via, "lanes", &lanes,
		    "port_low", &low, "port_high", &high, "bwlimit", &bw,
		    "downtime_ms", &down, "linger_ms", &linger,
		    "hook_timeout_ms", &hook, "lease_ms", &lease, "overwrite",
		    &overwrite, "quiesce", &quiesce, "rollback", &rollback,
		    "activate", &activate, "deactivate", &deactivate, "ssh",
		    &ssh, "disks", &disks, "wish", &wish, "probes", &probes,
		    "clone", &clone, "boot", &boot, "boot_timeout_ms", &answer,
		    "power_off", &off, "power_on", &on, "target_power_off",
		    &target_off, "no_rollback", &no_rollback) < 0)
		return error_set(err, -EINVAL, "read the stored options");
	options_init(&o);
	(void)snprintf(o.name, sizeof(o.name), "%s", name);
	(void)snprintf(o.source, sizeof(o.source), "%s", source);
	(void)snprintf(o.target, sizeof(o.target), "%s", target);
	(void)snprintf(o.overwrite, sizeof(o.overwrite), "%s", overwrite);
	o.copy = copy;
	o.wait = wait;
	o.freeze = freeze;
	o.full_verify = full;
	o.clone = clone;
	o.no_rollback = no_rollback;
	o.boot = (enum boot)(boot >= 0 && boot <= BOOT_BY_FIRMWARE ? boot : 0);
	o.wish = json_is_object(wish) ? json_incref(wish) : NULL;
	o.fence = (enum fence_kind)(
		fence >= 0 && fence <= FENCE_SIGNATURE ? fence : 0);
	o.via = (enum via)(via >= 0 && via <= VIA_RELAY ? via : 0);
	o.lanes = (uint32_t)lanes;
	o.port_low = (uint32_t)low;
	o.port_high = (uint32_t)high;
	o.bwlimit = (uint64_t)bw;
	o.downtime_ms = (uint64_t)down;
	o.linger_ms = (uint64_t)linger;
	o.hook_timeout_ms = (uint64_t)hook;
	o.lease_ms = (uint64_t)lease;
	o.boot_timeout_ms = (uint64_t)answer;
	if (read_hooks(quiesce, &o.quiesce) < 0 ||
		read_hooks(rollback, &o.rollback) < 0 ||
		read_hooks(activate, &o.activate) < 0 ||
		read_hooks(deactivate, &o.deactivate) < 0 ||
		read_hooks(probes, &o.probes) < 0 ||
		read_hooks(off, &o.power_off) < 0 ||
		read_hooks(on, &o.power_on) < 0 ||
		read_hooks(target_off, &o.target_power_off) < 0 ||
		read_disks(disks, &o) < 0) {
		options_done(&o);
		return error_set(err, -EINVAL, "read the stored hooks");
	}
	json_array_foreach(
		ssh, i, v) if (!json_is_string(v) ||
			       options_add_ssh(&o, json_string_value(v)) < 0)
	{
		options_done(&o);
		return error_set(err, -EINVAL, "read the stored options");
	}
	*ret = o;
	return 0;
}
