/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's tracker, and the thread that reads it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "track/keeper_state.h"

#define COLLECT_MS 5
#define SWEEP_S 60

void keeper_lost(struct keeper *k, const char *why)
{
	struct maps_shared *s = k->maps.shared;

	if (!s->tracking && s->reason[0])
		return;
	(void)snprintf(s->reason, sizeof(s->reason), "%s", why);
	s->tracking = 0;
}

static void mark(
	void *arg, enum track_kind kind, uint64_t offset, uint64_t bytes)
{
	struct keeper *k = arg;

	if (kind == TRACK_WRITE || !k->config.filesystem) {
		maps_mark(&k->maps, offset, bytes);
		k->maps.shared->written += MIN(bytes, k->maps.shared->size);
		return;
	}
	maps_discard(&k->maps, offset, bytes);
}

/* The one thing that this build may have broken on purpose. */
static bool undrained(const struct keeper *k)
{
#ifdef BREAK_NO_FINAL_DRAIN
	return k->armed;
#endif
	return false;
}

void *keeper_collect(void *arg)
{
	struct keeper *k = arg;

	while (!k->ending) {
		keeper_watch_hold(k);
		struct error err;

		(void)pthread_mutex_lock(&k->tracker_lock);
		if (k->tracker && !undrained(k) &&
			tracker_collect(k->tracker, &err) < 0)
			keeper_lost(k, err.why);
		(void)pthread_mutex_unlock(&k->tracker_lock);
		clock_sleep_ms(COLLECT_MS);
	}
	return NULL;
}

/* Where all volumes together lie on the disks of the machine. */
static int find_segments(
	const struct keeper_config *c, struct segments *ret, struct error *err)
{
	CLEANUP_FREE struct segments *one = calloc(1, sizeof(*one));
	int r = 0;

	if (!one)
		return error_set(err, -ENOMEM, "find the disks of a volume");
	for (uint32_t i = 0; i < c->n && r == 0; i++) {
		const struct maps_disk *d = &c->disks[i];

		r = segments_find(d->major, d->minor, one, err);
		if (r == 0 && one->n > SEGMENTS_MAX - ret->n) {
			r = error_set(err, -EOPNOTSUPP, "follow changes");
			error_why(err, "the volumes lie in too many pieces");
		}
		for (uint32_t k = 0; r == 0 && k < one->n; k++) {
			one->v[k].volume_start += d->start / 512;
			ret->v[ret->n++] = one->v[k];
		}
	}
	return r;
}

/* Do the volumes still lie where the tracker looks? Asked after the events
 * were read: what was written elsewhere before is then not overlooked. */
static int check_place(struct keeper *k, struct error *err)
{
	CLEANUP_FREE struct segments *now = calloc(1, sizeof(*now));

	if (!now)
		return error_set(err, -ENOMEM, "say what changed");
	if (find_segments(&k->config, now, err) == 0 &&
		memcmp(now, &k->segments, sizeof(*now)) == 0)
		return 0;
	error_set(err, -ENODATA, "say what changed");
	return error_why(err, "the volume was moved or resized on its disks");
}

static bool has_file(const struct keeper_config *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->disks[i].kind != VOLUME_BLOCK)
			return true;
	return false;
}

void keeper_track(struct keeper *k)
{
	char name[64];
	struct error err;
	int r;

	if (!k->config.track) {
		keeper_lost(k, "comparison was asked for");
		return;
	}
	if (has_file(&k->config)) {
		keeper_lost(
			k, "it is an image file, which no tracker can follow");
		return;
	}
	keeper_instance_name(k->config.key, name);
	(void)tracker_sweep(name);
	tracker_sweep_left(SWEEP_S);
	memset(&k->segments, 0, sizeof(k->segments));
	r = find_segments(&k->config, &k->segments, &err);
	if (r == 0)
		r = tracker_start(name, &k->segments, k->config.trace_kb, mark,
			k, &k->tracker, &err);
	/* It may have moved before the first event was recorded. */
	if (r == 0)
		r = check_place(k, &err);
	if (r < 0) {
		tracker_stop(k->tracker);
		k->tracker = NULL;
		keeper_lost(k, err.why);
		return;
	}
	tracker_drop_every(k->tracker, k->config.drop_every);
	k->maps.shared->tracking = 1;
}

int keeper_retrack(struct keeper *k, struct error *err)
{
	struct maps_shared *s = k->maps.shared;

	(void)pthread_mutex_lock(&k->tracker_lock);
	tracker_stop(k->tracker);
	k->tracker = NULL;
	s->tracking = 0;
	s->reason[0] = '\0';
	keeper_track(k);
	(void)pthread_mutex_unlock(&k->tracker_lock);
	if (s->tracking)
		return 0;
	error_set(err, -EOPNOTSUPP, "follow what changes");
	return error_why(err, "%s", s->reason);
}

int keeper_settle(
	struct keeper *k, bool live, unsigned timeout_ms, struct error *err)
{
	int r;

	if (!k->maps.shared->tracking) {
		error_set(err, -ENODATA, "say what changed");
		return error_why(err, "%s", k->maps.shared->reason);
	}
	if (undrained(k))
		return 0;
	(void)pthread_mutex_lock(&k->tracker_lock);
	r = tracker_settle(k->tracker, live, timeout_ms, err);
	if (r == 0 || r == -EAGAIN) {
		int e = check_place(k, err);

		r = e < 0 ? e : r;
	}
	(void)pthread_mutex_unlock(&k->tracker_lock);
	if (r == -ENODATA)
		keeper_lost(k, err->why);
	return r;
}
