/* SPDX-License-Identifier: Apache-2.0 */
/* What a move remembers of itself: its report, and its row in the store. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "move/steps.h"

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

json_t *move_new_report(const struct options *o)
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

void move_set_state(struct move *m, const char *state, const char *live)
{
	if (state != m->row.state)
		(void)snprintf(m->row.state, sizeof(m->row.state), "%s", state);
	if (live)
		(void)snprintf(m->row.live, sizeof(m->row.live), "%s", live);
}

void move_set_error(struct move *m, const struct error *err)
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
