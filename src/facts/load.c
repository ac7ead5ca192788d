/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "facts/gather.h"

#define DISKS_MAX 1024
#define DISKSTATS_MAX (1U << 20)

struct reading {
	struct load_disk *v;
	size_t n;
	uint64_t at_ms;
};

static bool is_digits(const char *s, size_t n)
{
	return n > 0 && strspn(s, "0123456789") >= n;
}

int load_parse_hundredths(const char *s, uint64_t *ret)
{
	size_t whole = strspn(s, "0123456789"), part;
	uint64_t v = 0;

	if (whole == 0 || whole > 7 || s[whole] != '.')
		return -EBADMSG;
	part = strlen(s + whole + 1);
	if (part > 2 || !is_digits(s + whole + 1, part))
		return -EBADMSG;
	for (size_t i = 0; i < whole; i++)
		v = v * 10 + (uint64_t)(s[i] - '0');
	if (v > 1000000)
		return -EBADMSG;
	v = v * 10 + (uint64_t)(s[whole + 1] - '0');
	v = v * 10 + (part == 2 ? (uint64_t)(s[whole + 2] - '0') : 0);
	*ret = v;
	return 0;
}

static void set_hundredths(
	struct gather *g, json_t *o, const char *key, const char *text)
{
	uint64_t v;
	json_t *j;

	if (!text || load_parse_hundredths(text, &v) < 0)
		return;
	j = json_real((double)v / 100);
	if (!j)
		g->oom = true;
	gather_set_json(g, o, key, j);
}

/* ---- load and pressure ---- */

static void set_cpu(struct gather *g, json_t *load)
{
	static const char *const keys[] = {"load1", "load5", "load15"};
	char line[128], *rest = line;
	json_t *o = gather_object(g);

	(void)gather_line(g, "/proc/loadavg", line, sizeof(line));
	for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
		set_hundredths(g, o, keys[i], gather_next_word(&rest));
	gather_set_filled(g, load, "cpu", o);
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", and the same with "full"
 * (psi, Documentation/accounting/psi.rst). */
static void add_pressure_line(struct gather *g, json_t *o, char *line)
{
	static const char *const ages[] = {"avg10=", "avg60=", "avg300="};
	const char *kind = gather_next_word(&line);
	char *word, key[32];

	if (!kind || (strcmp(kind, "some") != 0 && strcmp(kind, "full") != 0))
		return;
	while ((word = gather_next_word(&line)))
		for (unsigned i = 0; i < ARRAY_LEN(ages); i++) {
			size_t n = strlen(ages[i]);

			if (strncmp(word, ages[i], n) != 0)
				continue;
			(void)snprintf(key, sizeof(key), "%s_%.*s", kind,
				(int)n - 1, ages[i]);
			set_hundredths(g, o, key, word + n);
		}
}

/* Kernels before 4.20, and those started with psi=0, tell no pressure; with
 * psi=0 the files are there and cannot be read. */
static void set_pressure(struct gather *g, json_t *load)
{
	static const char *const kinds[] = {"io", "memory", "cpu"};
	json_t *pressure = gather_object(g);
	char path[64];

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		json_t *o = gather_object(g);
		CLEANUP_FREE char *text = NULL;
		char *rest, *line;

		(void)snprintf(
			path, sizeof(path), "/proc/pressure/%s", kinds[i]);
		if (gather_read(g, path, 4096, &text, NULL) == 0) {
			rest = text;
			while ((line = gather_next_line(&rest)))
				add_pressure_line(g, o, line);
		}
		gather_set_filled(g, pressure, kinds[i], o);
	}
	gather_set_filled(g, load, "pressure", pressure);
}

/* ---- disks ---- */

static int next_number(char **line, uint64_t *ret)
{
	const char *word = gather_next_word(line);

	return word ? parse_u64(word, ret) : -EBADMSG;
}

int load_parse_disk(char *line, struct load_disk *ret)
{
	struct load_disk d = {0};
	uint64_t skipped;
	const char *name;

	/* Fields of Documentation/admin-guide/iostats.rst: numbers of the
	 * device, name, reads, merged, sectors, ms, writes, merged, sectors */
	if (next_number(&line, &skipped) < 0 ||
		next_number(&line, &skipped) < 0)
		return -EBADMSG;
	name = gather_next_word(&line);
	if (!name || strlen(name) >= sizeof(d.name))
		return -EBADMSG;
	memcpy(d.name, name, strlen(name));
	if (next_number(&line, &d.reads) < 0 ||
		next_number(&line, &skipped) < 0 ||
		next_number(&line, &d.read_sectors) < 0 ||
		next_number(&line, &skipped) < 0 ||
		next_number(&line, &d.writes) < 0 ||
		next_number(&line, &skipped) < 0 ||
		next_number(&line, &d.write_sectors) < 0)
		return -EBADMSG;
	*ret = d;
	return 0;
}

/* Devices that nothing ever read or wrote are left out: loop0 to loop7, ram0
 * to ram15. */
static int read_disks(struct gather *g, struct reading *ret)
{
	CLEANUP_FREE char *text = NULL;
	struct reading r = {.at_ms = clock_ms()};
	char *rest, *line;

	if (gather_read(g, "/proc/diskstats", DISKSTATS_MAX, &text, NULL) < 0)
		return -ENOENT;
	r.v = calloc(DISKS_MAX, sizeof(*r.v));
	if (!r.v) {
		g->oom = true;
		return -ENOMEM;
	}
	rest = text;
	while ((line = gather_next_line(&rest))) {
		if (r.n == DISKS_MAX) {
			gather_missing(g, "load.disks",
				"there are more than %d", DISKS_MAX);
			break;
		}
		if (load_parse_disk(line, &r.v[r.n]) == 0 &&
			(r.v[r.n].reads > 0 || r.v[r.n].writes > 0))
			r.n++;
	}
	*ret = r;
	return 0;
}

/* Of counters that the kernel may have as 32 bits, and that begin anew when a
 * disk is replaced. */
static uint64_t rate(uint64_t before, uint64_t after, uint64_t ms, uint64_t of)
{
	uint64_t n = after - before;

	if (after < before || n > UINT64_MAX / 1000 / of)
		return 0;
	return n * of * 1000 / ms;
}

static const struct load_disk *find(const struct reading *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->v[i].name, name) == 0)
			return &r->v[i];
	return NULL;
}

static void set_rates(struct gather *g, json_t *load,
	const struct reading *from, const struct reading *to)
{
	uint64_t ms = to->at_ms - from->at_ms;
	json_t *list = gather_list(g);

	for (size_t i = 0; i < to->n; i++) {
		const struct load_disk *b = &to->v[i], *a = find(from, b->name);
		json_t *o;

		if (!a || ms == 0)
			continue;
		o = gather_object(g);
		gather_set(g, o, "name", b->name);
		gather_set_number(g, o, "write_bytes_s",
			rate(a->write_sectors, b->write_sectors, ms, 512));
		gather_set_number(
			g, o, "writes_s", rate(a->writes, b->writes, ms, 1));
		gather_set_number(g, o, "read_bytes_s",
			rate(a->read_sectors, b->read_sectors, ms, 512));
		gather_set_number(
			g, o, "reads_s", rate(a->reads, b->reads, ms, 1));
		gather_set_number(g, o, "over_ms", ms);
		gather_add(g, list, o);
	}
	gather_set_json(g, load, "disks", list);
}

void gather_load(struct gather *g, unsigned sample_ms)
{
	json_t *load = gather_object(g);
	struct reading from = {0}, to = {0};

	set_cpu(g, load);
	set_pressure(g, load);
	if (g->live && sample_ms > 0 && read_disks(g, &from) == 0) {
		(void)gather_step(g, "the load", sample_ms);
		clock_sleep_ms(sample_ms);
		if (read_disks(g, &to) == 0)
			set_rates(g, load, &from, &to);
	}
	free(from.v);
	free(to.v);
	gather_set_filled(g, g->top, "load", load);
}
