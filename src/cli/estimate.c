/* SPDX-License-Identifier: Apache-2.0 */
/* rehost estimate: how long a move would take, and what that rests on. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "move/estimate.h"

/* Rates of links for planning, in bits. */
static const struct {
	const char *name;
	uint64_t mbit;
} links[] = {
	{"20 Mbit/s", 20},
	{"100 Mbit/s", 100},
	{"1 Gbit/s", 1000},
	{"10 Gbit/s", 10000},
};

static const char *const by_names[] = {
	[WRITES_UNKNOWN] = "unknown",
	[WRITES_TRACKED] = "events",
	[WRITES_COUNTED] = "count",
};

static const char *by_name(const struct msg_measured_volume *v)
{
	return v->by < ARRAY_LEN(by_names) ? by_names[v->by] : "unknown";
}

static uint64_t a_second(uint64_t bytes, uint64_t ms)
{
	return ms ? forecast_rate(bytes, ms) : 0;
}

static uint64_t link_bytes(unsigned i)
{
	return links[i].mbit * 1000 * 1000 / 8;
}

/* Bytes on the wire for 100 bytes of volumes. */
static unsigned percent(uint64_t part, uint64_t all)
{
	double n = all ? (double)part * 100 / (double)all + 0.5 : 0;

	return n < 1000 ? (unsigned)n : 999;
}

/* What machines said may hold anything. */
static void clean_all(struct estimate *e)
{
	if (e->left_out)
		text_clean(e->left_out);
	for (uint32_t i = 0; i < e->source->n; i++) {
		struct msg_measured_volume *v = &e->source->v[i];
		char *texts[] = {
			v->path, v->fstype, v->mount, v->reason, v->why};

		for (size_t k = 0; k < ARRAY_LEN(texts); k++)
			text_clean(texts[k]);
	}
}

/* ---- for programs ---- */

static json_t *way_json(const struct estimate_way *w)
{
	return json_pack("{s:I s:I s:I s:I s:I s:I s:I}", "bytes",
		(json_int_t)w->bytes, "zero", (json_int_t)w->zero, "sent",
		(json_int_t)w->sent, "ms", (json_int_t)w->ms, "bytes_s",
		(json_int_t)a_second(w->bytes, w->ms), "low_bytes_s",
		(json_int_t)w->low, "high_bytes_s", (json_int_t)w->high);
}

static json_t *volumes_json(const struct estimate *e)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && i < e->source->n; i++) {
		const struct msg_measured_volume *v = &e->source->v[i];
		json_t *o = json_pack(
			"{s:s s:s s:s s:I s:I s:b s:s s:{s:s s:s s:I s:I}}",
			"path", v->path, "filesystem", v->fstype, "mount",
			v->mount, "size", (json_int_t)v->size, "used",
			(json_int_t)v->used, "mapped", v->mapped, "reason",
			v->reason, "writes", "by", by_name(v), "why", v->why,
			"bytes", (json_int_t)v->written, "distinct",
			(json_int_t)v->distinct);

		if (!o || json_array_append_new(list, o) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *table_json(const struct estimate *e)
{
	json_t *list = json_array();

	for (unsigned i = 0; list && i < ARRAY_LEN(links); i++)
		if (json_array_append_new(
			    list, json_pack("{s:I s:I}", "bytes_s",
					  (json_int_t)link_bytes(i), "seed_ms",
					  (json_int_t)estimate_seed_at(
						  e, link_bytes(i)))) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static void print_as_json(const struct flags *f, const struct estimate *e)
{
	const struct forecast_course *c = &e->course;
	json_t *j = json_pack("{s:s s:i s:s s:s? s:I s:I s:o s:s s:{s:I s:I "
			      "s:I} s:{s:s s:b s:b s:b s:o s:o s:I}}",
		"event", "estimate", "schema", 1, "source", f->arguments[0],
		"target", f->n_arguments > 1 ? f->arguments[1] : NULL, "size",
		(json_int_t)e->size, "used", (json_int_t)e->used, "volumes",
		volumes_json(e), "left_out", e->left_out ? e->left_out : "",
		"writes", "sample_ms", (json_int_t)e->writes.sample_ms,
		"bytes_s",
		(json_int_t)a_second(e->written, e->writes.sample_ms),
		"distinct_s",
		(json_int_t)a_second(e->writes.distinct, e->writes.sample_ms),
		"link", "path", e->lanes, "measured", f->n_arguments > 1,
		"written", e->on_disk, "compress", e->packs, "plain",
		way_json(&e->plain), "compressed", way_json(&e->packed),
		"bytes_s", (json_int_t)e->rate);

	if (j &&
		json_object_update_new(j,
			json_pack("{s:{s:I s:I s:I s:I s:I} s:{s:b s:i s:I s:I "
				  "s:I} s:o}",
				"seed", "ms", (json_int_t)e->seed_ms, "low_ms",
				(json_int_t)e->seed_low_ms, "high_ms",
				(json_int_t)e->seed_high_ms, "fixed_ms",
				(json_int_t)e->fixed_ms, "sent",
				(json_int_t)e->seed_sent, "follow", "fits",
				c->fits, "rounds", (int)c->rounds, "ms",
				(json_int_t)c->ms, "sent", (json_int_t)c->sent,
				"downtime_ms", (json_int_t)c->outage_ms,
				"table", table_json(e))) < 0) {
		json_decref(j);
		j = NULL;
	}
	print_json(j);
}

/* ---- for people ---- */

static const char *heading;

__attribute__((format(printf, 1, 2))) static void line(const char *fmt, ...)
{
	va_list ap;

	(void)printf("%-10s ", heading);
	heading = "";
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)printf("\n");
}

static void print_volumes(const struct estimate *e)
{
	char a[32], b[32];

	heading = "used";
	for (uint32_t i = 0; i < e->source->n; i++) {
		const struct msg_measured_volume *v = &e->source->v[i];

		line("%s of %s: %s%s%s%s%s", human_bytes(v->used, a),
			human_bytes(v->size, b), v->path,
			v->fstype[0] ? ", " : "", v->fstype,
			v->mount[0] ? " on " : "", v->mount);
		if (!v->mapped)
			line("  all of it counts as used: %s", v->reason);
	}
	if (e->source->n > 1)
		line("%s in all", human_bytes(e->used, a));
	if (e->left_out && e->left_out[0])
		line("not counted: %s", e->left_out);
}

static void print_writes(const struct estimate *e)
{
	uint64_t ms = e->writes.sample_ms;
	char a[32], b[32], c[32];
	bool counted = false;

	heading = "written";
	if (ms == 0) {
		line("not looked at: --sample 0");
		return;
	}
	line("%s/s, of different blocks %s/s, in %s",
		human_bytes(a_second(e->written, ms), a),
		human_bytes(a_second(e->writes.distinct, ms), b),
		human_ms(ms, c));
	for (uint32_t i = 0; i < e->source->n; i++) {
		const struct msg_measured_volume *v = &e->source->v[i];

		if (v->by == WRITES_TRACKED)
			continue;
		line("  %s: %s (%s)", v->path,
			v->by == WRITES_COUNTED
				? "by the disk's own count; less, where blocks "
				  "are written again and again"
				: "not known",
			v->why);
		counted = true;
	}
	if (!counted)
		line("  by block events, as a move tracks them");
}

static void print_lanes(const struct flags *f, const struct estimate *e)
{
	const struct estimate_way *w = e->packs ? &e->packed : &e->plain;
	const struct estimate_way *other = e->packs ? &e->plain : &e->packed;
	uint64_t data = e->packed.bytes - e->packed.zero;
	char a[32], b[32], c[32];

	heading = "sample";
	line("%s, spread over what is used: %u%% zeros; zstd packs the "
	     "rest to %u%%",
		human_bytes(e->plain.bytes + e->packed.bytes, a),
		percent(e->plain.zero + e->packed.zero,
			e->plain.bytes + e->packed.bytes),
		percent(e->packed.sent, data));
	heading = f->n_arguments > 1 ? "link" : "itself";
	line("%s/s (%s to %s), %s, over %u %s lanes to %s",
		human_bytes(e->rate, a), human_bytes(e->low, b),
		human_bytes(e->high, c),
		e->packs ? "compressed" : "not compressed", f->options.lanes,
		strcmp(e->lanes, "relay") == 0 ? "relayed" : e->lanes,
		f->n_arguments > 1 ? f->arguments[1] : "the source itself");
	line("  %s it would be %s/s; on the wire %s/s",
		e->packs ? "not compressed" : "compressed",
		human_bytes(a_second(other->bytes, other->ms), a),
		human_bytes(a_second(w->sent, w->ms), b));
}

static void print_course(const struct flags *f, const struct estimate *e)
{
	const struct forecast_course *c = &e->course;
	char a[32], b[32], d[32];

	heading = "rounds";
	if (e->writes.sample_ms == 0) {
		line("not known, as nobody looked at what is written");
		return;
	}
	if (c->fits) {
		line("%u with %s, %s until the outage fits %s", c->rounds,
			human_bytes(c->sent, a), human_ms(c->ms, b),
			human_ms(f->options.downtime_ms, d));
		heading = "downtime";
		line("%s, and what hooks take; at worst the budget of %s, or "
		     "it is called off",
			human_ms(c->outage_ms, a),
			human_ms(f->options.downtime_ms, b));
		return;
	}
	line("they do not converge: the source writes %s/s (%s/s of different "
	     "blocks), the link takes %s/s",
		human_bytes(e->forecast.dirty_rate, a),
		human_bytes(
			a_second(e->writes.distinct, e->writes.sample_ms), b),
		human_bytes(e->rate, d));
	heading = "downtime";
	line("%s after %u rounds, more than the budget of %s",
		human_ms(c->outage_ms, a), c->rounds,
		human_ms(f->options.downtime_ms, b));
	line("  move when less is written, find a faster link, raise "
	     "--downtime to");
	line("  that, or stop the writers for that long");
}

static void print_table(const struct estimate *e)
{
	char a[32];

	heading = "table";
	for (unsigned i = 0; i < ARRAY_LEN(links); i++)
		line("%-10s %s", links[i].name,
			human_ms(estimate_seed_at(e, link_bytes(i)), a));
}

static void print_target(const struct flags *f, const struct estimate *e)
{
	char a[32];

	if (e->on_disk) {
		heading = "target";
		line("the samples were written to %s, and flushed: its pace is "
		     "in all of this",
			f->arguments[1]);
		line("  (but for its beginning, its end and all signatures: "
		     "what else was on it is spoilt)");
		return;
	}
	heading = "unmeasured";
	line("how fast the target writes: nothing was written there. Below "
	     "%s/s it",
		human_bytes(e->rate, a));
	line("  sets the pace, and all of this takes longer in proportion");
}

static void print_for_people(const struct flags *f, struct estimate *e)
{
	char a[32], b[32], c[32], d[32];

	print_volumes(e);
	print_writes(e);
	if (e->used == 0) {
		heading = "seed";
		line("nothing is used: there is nothing to send");
		return;
	}
	print_lanes(f, e);
	heading = "seed";
	if (f->n_arguments > 1)
		line("%s (%s to %s), %s on the wire", human_ms(e->seed_ms, a),
			human_ms(e->seed_low_ms, b),
			human_ms(e->seed_high_ms, c),
			human_bytes(e->seed_sent, d));
	else
		line("%s at the source's own pace, were the link and the "
		     "target faster",
			human_ms(e->seed_ms, a));
	print_course(f, e);
	print_table(e);
	print_target(f, e);
}

int cmd_estimate(const struct command *c, struct flags *f)
{
	struct estimate_wish w = {
		.sample_ms = f->sample_ms,
		.options = &f->options,
		.has_target = f->n_arguments > 1,
		.write = f->write,
	};
	struct error err = {0};
	struct estimate e = {0};
	int r;

	if (f->options.overwrite[0] && !f->write)
		return usage_error(c, "--overwrite goes with --write: without "
				      "it nothing is written");
	r = place_parse(f->arguments[0], &w.source, &err);
	if (r == 0 && w.has_target)
		r = place_parse(f->arguments[1], &w.target, &err);
	if (r == 0 && w.write && !(w.source.path[0] && w.target.path[0]))
		return usage_error(c, "--write wants two volumes, like "
				      "root@old:/dev/vdb root@new:/dev/vdb");
	if (r == 0)
		r = estimate(&w, &e, &err);
	if (r == 0)
		clean_all(&e);
	if (r < 0)
		print_error(f, &err);
	else if (f->json)
		print_as_json(f, &e);
	else
		print_for_people(f, &e);
	estimate_done(&e);
	return r < 0 ? EXIT_REFUSED : EXIT_DONE;
}
