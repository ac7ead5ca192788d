/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent does for an estimate: on the source it watches for a while
 * what is written, and reads the used maps; then passes send samples of what is
 * used over the lanes. On the target whatever comes is thrown away. Nothing is
 * written on either, and no process or trace stays.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/parse.h"
#include "track/tracker.h"
#include "volume/joined.h"
#include "volume/probe.h"
#include "volume/usedmap.h"

#define COLLECT_MS 5
#define SETTLE_MS 5000
#define SAMPLE_MAX_MS 60000U
#define SWEEP_S 3600

/* One volume; its bytes begin at start of all volumes together. */
struct one {
	struct maps *maps;
	uint64_t start;
	struct volume_facts facts;
	struct tracker *tracker;
	uint64_t written; /* by the disk's count, when the sample began */
};

struct measuring {
	struct joined joined;
	struct maps maps;
	struct one *v[MEASURE_MAX];
};

/* One job at a time, one agent a process. */
static struct measuring m;
static struct msg_measured answer;

/* ---- opening ---- */

static int open_one(const char *path, struct error *err)
{
	struct one *o = calloc(1, sizeof(*o));
	uint32_t i = m.joined.n;
	int r;

	if (!o)
		return error_set(err, -ENOMEM, "measure %s", path);
	r = probe_volume(path, &o->facts, err);
	if (r == 0 && o->facts.size == 0) {
		r = error_set(err, -EINVAL, "measure %s", path);
		error_why(err, "it has no bytes");
	}
	if (r == 0)
		r = joined_add_source(&m.joined, &o->facts, err);
	if (r < 0) {
		free(o);
		return r;
	}
	o->start = m.joined.v[i].start;
	o->maps = &m.maps;
	m.v[i] = o;
	return 0;
}

static int open_all(const struct msg_measure *q, struct error *err)
{
	uint32_t granule;
	int r = 0;

	joined_init(&m.joined);
	m.maps.fd = -1;
	for (uint32_t i = 0; i < q->n && r == 0; i++)
		r = open_one(q->v[i].path, err);
	if (r < 0)
		return r;
	granule = maps_granule(m.joined.volume.size);
	r = maps_create(m.joined.volume.size, granule, &m.maps);
	return r < 0 ? error_set(err, r, "make the maps") : 0;
}

static void close_all(void)
{
	joined_close(&m.joined);
	maps_close(&m.maps);
	for (uint32_t i = 0; i < MEASURE_MAX; i++) {
		free(m.v[i]);
		m.v[i] = NULL;
	}
}

/* ---- what is written ---- */

static void mark(void *arg, enum track_kind kind, uint64_t off, uint64_t bytes)
{
	struct one *o = arg;

	/* What was discarded has to be sent no more. */
	if (kind == TRACK_WRITE && off < o->facts.size)
		maps_mark(o->maps, o->start + off,
			MIN(bytes, o->facts.size - off));
}

/* Of the volume's granules that were written so far. */
static uint64_t distinct(const struct one *o)
{
	uint64_t g = m.maps.shared->granule, at = o->start / g, first, n;
	uint64_t end = (o->start + o->facts.size + g - 1) / g, bytes = 0;

	for (; bitmap_next_within(
		     &m.maps.dirty, NULL, false, at, end, &first, &n);
		at = first + n)
		bytes += maps_bytes(&m.maps, first, n);
	return MIN(bytes, o->facts.size);
}

static void start_tracker(struct one *o, struct msg_measured_volume *to)
{
	CLEANUP_FREE struct segments *where = calloc(1, sizeof(*where));
	uint8_t random[8];
	char name[64], hex[17];
	struct error err = {0};
	int r = where ? 0 : error_set(&err, -ENOMEM, "track");

	to->by =
		o->facts.kind == VOLUME_BLOCK ? WRITES_COUNTED : WRITES_UNKNOWN;
	if (o->facts.kind != VOLUME_BLOCK) {
		(void)snprintf(
			to->why, sizeof(to->why), "it is a file, not a device");
		return;
	}
	/* Like a keeper's, so that it is swept should this process be killed.
	 */
	io_random(random, sizeof(random));
	parse_hex(random, sizeof(random), hex);
	(void)snprintf(name, sizeof(name), "rehost-%s", hex);
	if (r == 0)
		r = segments_find(o->facts.major, o->facts.minor, where, &err);
	if (r == 0)
		r = tracker_start(name, where, 0, mark, o, &o->tracker, &err);
	if (r == 0)
		to->by = WRITES_TRACKED;
	else
		(void)snprintf(to->why, sizeof(to->why), "%.255s",
			err.why[0] ? err.why : err.what);
}

static void lose(
	struct one *o, struct msg_measured_volume *to, const struct error *err)
{
	tracker_stop(o->tracker);
	o->tracker = NULL;
	to->by = WRITES_COUNTED;
	(void)snprintf(to->why, sizeof(to->why), "%.255s", err->why);
}

static uint64_t count_of(const struct one *o)
{
	return probe_written(o->facts.kind, o->facts.major, o->facts.minor);
}

static void collect(void)
{
	struct error err;

	for (uint32_t i = 0; i < m.joined.n; i++)
		if (m.v[i]->tracker &&
			tracker_collect(m.v[i]->tracker, &err) < 0)
			lose(m.v[i], &answer.v[i], &err);
}

/* Ends early when the controller is gone. */
static void sample_writes(struct agent *a, const struct msg_measure *q)
{
	uint64_t begin, now, span = MIN(q->sample_ms, SAMPLE_MAX_MS);
	bool half = false;
	struct error err;

	a->sampling = true;
	tracker_sweep_left(SWEEP_S);
	for (uint32_t i = 0; i < m.joined.n; i++) {
		/* leaving waits for sampling: none begins after it. */
		if (a->leaving)
			break;
		if (q->track && span > 0)
			start_tracker(m.v[i], &answer.v[i]);
		else
			answer.v[i].by = m.v[i]->facts.kind == VOLUME_BLOCK
						 ? WRITES_COUNTED
						 : WRITES_UNKNOWN;
		m.v[i]->written = count_of(m.v[i]);
	}
	begin = now = clock_ms();
	while (now - begin < span && !a->leaving) {
		collect();
		clock_sleep_ms(COLLECT_MS);
		now = clock_ms();
		if (half || now - begin < span / 2)
			continue;
		half = true;
		for (uint32_t i = 0; i < m.joined.n; i++)
			answer.v[i].half = distinct(m.v[i]);
	}
	answer.sample_ms = now - begin;
	for (uint32_t i = 0; i < m.joined.n; i++) {
		struct one *o = m.v[i];
		int r = 0;

		answer.v[i].written = count_of(o) - o->written;
		/* Did it see all? */
		if (o->tracker && !a->leaving)
			r = tracker_settle(o->tracker, true, SETTLE_MS, &err);
		if (o->tracker && r < 0)
			lose(o, &answer.v[i], &err);
		tracker_stop(o->tracker);
		o->tracker = NULL;
	}
	a->sampling = false;
	for (uint32_t i = 0; i < m.joined.n; i++) {
		struct msg_measured_volume *to = &answer.v[i];

		if (to->by == WRITES_TRACKED) {
			to->distinct = distinct(m.v[i]);
		} else {
			/* Nobody knows which blocks: all may be different. */
			to->half = to->written / 2;
			to->distinct = to->written;
		}
	}
}

/* ---- what is used ---- */

static void use(void *arg, uint64_t offset, uint64_t bytes)
{
	struct one *o = arg;
	uint64_t g = m.maps.shared->granule, first, end;

	if (bytes == 0 || offset >= o->facts.size)
		return;
	end = o->start + offset + MIN(bytes, o->facts.size - offset);
	first = (o->start + offset) / g;
	bitmap_set(&m.maps.used, first, (end + g - 1) / g - first);
}

static void read_used(struct one *o, struct msg_measured_volume *to)
{
	uint64_t g = m.maps.shared->granule, at = o->start / g, first, n;
	uint64_t end = (o->start + o->facts.size + g - 1) / g;

	to->mapped = source_used(&o->facts, o->facts.fstype[0] != '\0', use, o,
		to->reason, sizeof(to->reason));
	if (!to->mapped)
		use(o, 0, o->facts.size);
	for (; bitmap_next_within(
		     &m.maps.used, NULL, false, at, end, &first, &n);
		at = first + n)
		to->used += maps_bytes(&m.maps, first, n);
	to->used = MIN(to->used, o->facts.size);
	to->size = o->facts.size;
	(void)snprintf(to->path, sizeof(to->path), "%s", o->facts.path);
	(void)snprintf(to->fstype, sizeof(to->fstype), "%s", o->facts.fstype);
	if (o->facts.n_mounts > 0)
		(void)snprintf(to->mount, sizeof(to->mount), "%.255s",
			o->facts.mounts[0].point);
}

/* ---- requests ---- */

int measure_open(struct agent *a, const struct frame *f, struct error *err)
{
	static struct msg_measure q;
	uint64_t begin;
	int r;

	if (frame_decode(f, &q) < 0 || q.n == 0)
		return error_set(err, -EPROTO, "understand a request");
	memset(&answer, 0, sizeof(answer));
	r = open_all(&q, err);
	if (r == 0) {
		answer.n = m.joined.n;
		answer.size = m.joined.volume.size;
		answer.granule = m.maps.shared->granule;
		sample_writes(a, &q);
		begin = clock_ms();
		for (uint32_t i = 0; i < m.joined.n; i++)
			read_used(m.v[i], &answer.v[i]);
		answer.map_ms = clock_ms() - begin;
	}
	if (r < 0) {
		close_all();
		return r;
	}
	bitmap_clear(&m.maps.dirty, 0, m.maps.granules);
	memcpy(a->secret, q.secret, sizeof(a->secret));
	a->sends = &m.maps;
	a->reads = &m.joined.volume;
	a->state = IN_MEASURE;
	agent_answer(a, MSG_MEASURED, f->id, &answer);
	return 0;
}

int measure_sample(struct agent *a, const struct frame *f, struct error *err)
{
	struct msg_sample q;

	if (frame_decode(f, &q) < 0)
		return error_set(err, -EPROTO, "understand a request");
	maps_sample(&m.maps, q.bytes, q.piece, q.shift);
	agent_answer(a, MSG_OK, f->id, NULL);
	return 0;
}

int measure_sink(struct agent *a, const struct frame *f, struct error *err)
{
	struct msg_target_state state = {0};
	struct msg_open_sink q;

	if (frame_decode(f, &q) < 0)
		return error_set(err, -EPROTO, "understand a request");
	volume_open_sink(q.size, &a->sink);
	a->volume = &a->sink;
	memcpy(a->secret, q.secret, sizeof(a->secret));
	a->state = IN_TARGET;
	state.size = q.size;
	state.hwm_kb = agent_hwm(getpid());
	agent_answer(a, MSG_TARGET_STATE, f->id, &state);
	return 0;
}

void measure_leave(struct agent *a)
{
	a->leaving = true;
	while (a->sampling)
		clock_sleep_ms(COLLECT_MS);
}
