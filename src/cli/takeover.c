/* SPDX-License-Identifier: Apache-2.0 */
/* rehost takeover. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "facts/facts.h"
#include "move/takeover.h"

#define LINE_MS 10000

struct view {
	const struct flags *f;
	char what[64];
	uint64_t next; /* clock_ms of the next line of the same */
	bool drawn;
};

/* On a terminal one line that changes; elsewhere a line for each step, and now
 * and then; for programs an object. */
static void show(void *arg, const char *what, uint64_t ms)
{
	struct view *v = arg;
	bool terminal = isatty(STDERR_FILENO) == 1, fresh;
	char time[32];

	fresh = strcmp(v->what, what) != 0;
	if (v->f->quiet || (!terminal && !fresh && clock_ms() < v->next))
		return;
	v->next = clock_ms() + LINE_MS;
	(void)snprintf(v->what, sizeof(v->what), "%s", what);
	if (v->f->json) {
		print_json(json_pack("{s:s s:s s:I}", "event", "progress",
			"step", what, "ms", (json_int_t)ms));
		return;
	}
	(void)fprintf(stderr, "%s%s%s%s%s%s", terminal ? "\r\033[K" : "", what,
		ms ? ", " : "", ms ? human_ms(ms, time) : "", " ...",
		terminal ? "" : "\n");
	v->drawn = terminal;
}

static void show_end(struct view *v)
{
	if (v->drawn)
		(void)fprintf(stderr, "\r\033[K");
	v->drawn = false;
}

/* Whole disks, as inspect shows them. */
static json_t *disks_of(const json_t *facts)
{
	json_t *list = json_array();
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(facts, "disks"), i, d)
	{
		static const char *const keys[] = {
			"name", "path", "size", "id", "model", "content"};
		json_t *o;

		if (strcmp(facts_text(d, "kind"), "disk") != 0)
			continue;
		o = json_object();
		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			if (json_object_get(d, keys[k]))
				(void)json_object_set(o, keys[k],
					json_object_get(d, keys[k]));
		(void)json_array_append_new(list, o);
	}
	report_clean(list);
	return list;
}

static void print_disks(const json_t *list)
{
	const json_t *d;
	size_t i;
	char a[32];

	json_array_foreach(list, i, d)
	{
		json_int_t size =
			json_integer_value(json_object_get(d, "size"));

		(void)printf("  %-14s %10s  %s%s%s\n", facts_text(d, "path"),
			human_bytes(size > 0 ? (uint64_t)size : 0, a),
			facts_text(d, "id"),
			facts_text(d, "model")[0] ? ", " : "",
			facts_text(d, "model"));
	}
}

/* What is to be told of what was loaded. */
static void print_loaded(const struct takeover_result *r, const char *host)
{
	char a[32];

	(void)printf("%s: kernel %s with %u drivers (%s), %u host key%s of its "
		     "own\n",
		host, r->loaded.version, r->loaded.modules,
		human_bytes(r->loaded.bytes, a), r->loaded.host_keys,
		r->loaded.host_keys == 1 ? "" : "s");
	(void)printf("address %s; %u key%s may log in, as root%s\n", r->address,
		r->loaded.logins, r->loaded.logins == 1 ? "" : "s",
		strcmp(r->loaded.user, "root") == 0 ? "" : " alone");
	if (r->loaded.logins_left > 0)
		(void)printf("%u line%s of authorized_keys with options or "
			     "types that it does not have may not\n",
			r->loaded.logins_left,
			r->loaded.logins_left == 1 ? "" : "s");
}

static void print_result(const struct flags *f, const struct place *p,
	const struct takeover_result *r)
{
	json_t *disks = disks_of(r->facts);
	char a[32], b[32];

	print_loaded(r, p->host);
	if (f->dry_run) {
		(void)printf(
			"nothing stands in the way; nothing was changed\n");
		json_decref(disks);
		return;
	}
	(void)printf("the rescue system answered after %s; its disks are "
		     "free:\n",
		human_ms(r->down_ms, a));
	print_disks(disks);
	(void)printf("it is root@%s from now on", p->host);
	if (f->watchdog_ms > 0)
		(void)printf("; it boots its old system again when rehost is "
			     "not heard\nfrom for %s, until one of its disks "
			     "is written",
			human_ms(f->watchdog_ms, b));
	(void)printf("\n");
	json_decref(disks);
}

static void print_result_json(const struct flags *f, const struct place *p,
	const struct takeover_result *r)
{
	print_json(json_pack(
		"{s:s s:s s:b s:s s:s s:i s:i s:i s:I s:I s:I s:O? s:o}",
		"event", "takeover", "host", p->host, "dry_run", f->dry_run,
		"kernel", r->loaded.version, "address", r->address, "modules",
		(int)r->loaded.modules, "logins", (int)r->loaded.logins,
		"logins_left", (int)r->loaded.logins_left, "bytes",
		(json_int_t)r->loaded.bytes, "watchdog_ms",
		(json_int_t)f->watchdog_ms, "down_ms", (json_int_t)r->down_ms,
		"findings", r->findings, "disks", disks_of(r->facts)));
}

int cmd_takeover(const struct command *c, struct flags *f)
{
	struct ssh_options ssh = {.args = (const char *const *)f->options.ssh};
	struct view view = {.f = f};
	struct takeover_options o = {
		.authorized_keys = f->rescue.authorized_keys,
		.watchdog_ms = f->watchdog_ms,
		.dry_run = f->dry_run,
		.say = show,
		.arg = &view,
	};
	struct takeover_result result = {0};
	struct place place;
	struct error err = {0};
	int r;

	if (place_parse(f->arguments[0], &place, &err) < 0) {
		print_error(f, &err);
		return EXIT_REFUSED;
	}
	if (place.path[0] || place_is_local(&place))
		return usage_error(
			c, "a machine is wanted, not %s", f->arguments[0]);
	r = takeover(&place, &ssh, &o, &result, &err);
	show_end(&view);
	for (char *p = result.loaded.version; *p; p++)
		*p = *p < ' ' || *p > '~' ? '?' : *p;
	for (char *p = result.loaded.user; *p; p++)
		*p = *p < ' ' || *p > '~' ? '?' : *p;
	if (!f->json && !f->quiet && result.findings)
		(void)print_findings(stderr, result.findings);
	if (f->json && r != EXIT_DONE && result.findings)
		print_json(json_pack("{s:s s:s s:O}", "event", "findings",
			"host", place.host, "findings", result.findings));
	if (r != EXIT_DONE)
		print_error(f, &err);
	else if (f->json)
		print_result_json(f, &place, &result);
	else if (!f->quiet)
		print_result(f, &place, &result);
	takeover_result_done(&result);
	return r;
}
