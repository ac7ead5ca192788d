/* SPDX-License-Identifier: Apache-2.0 */
#include "track/tracker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/parse.h"
#include "track/ringpage.h"
#include "track/tracefs.h"

#define DISKS_MAX 64
#ifdef BREAK_ISSUE_ONLY
#define EVENT "events/block/block_rq_issue"
#else
#define EVENT "events/block/block_rq_complete"
#endif

#define BUFFER_KB_TOTAL 65536
#define BUFFER_KB_MIN 1024
#define BUFFER_KB_MAX 8192

#define BASELINE_TRIES 200
#define SETTLE_MIN_MS 100
#define BUSY_MS 200 /* a disk that moves for so long will not stop */

/* What a disk's stat says, in sectors (Documentation/block/stat.rst). */
struct count {
	uint64_t write, discard;
	uint64_t discard_merges; /* requests */
	uint64_t in_flight;	 /* requests, never relative */
};

struct disk {
	uint32_t major, minor;
	int stat;
	bool ranges;	   /* a discard may have several ranges */
	bool merged;	   /* one that has may be in flight */
	uint64_t reported; /* seen.discard when they were last reported */
	struct count base, seen;
};

struct cpu {
	int raw, stats;
};

struct tracker {
	struct segments segments;
	track_fn *fn;
	void *arg;
	char name[NAME_MAX + 1];
	int instances, dir, on, enable;
	struct disk *disks;
	uint32_t n_disks;
	struct cpu *cpus;
	uint32_t n_cpus;
	struct ringpage_format format;
	uint8_t *page;
	uint64_t pages; /* of one CPU's buffer */
	uint64_t events, volume_writes;
	unsigned drop_every;
	uint64_t drop_count;
	struct error lost; /* code 0: not lost */
};

static const char follow[] = "follow the changes of the volume";

static int lose(struct tracker *t, struct error *err, const char *why)
{
	error_set(&t->lost, -ENODATA, "%s", follow);
	error_why(&t->lost, "%s", why);
	if (err)
		*err = t->lost;
	return -ENODATA;
}

/* Takes the numbers of a stat file: at least 15, of which writes and discards
 * are wanted. */
static int parse_count(char *text, struct count *ret)
{
	uint64_t v[15];
	char *save = NULL;
	char *word = strtok_r(text, " \n", &save);

	for (unsigned i = 0; i < ARRAY_LEN(v); i++) {
		/* Before Linux 4.18 discards were counted as writes. */
		if (!word)
			return -EOPNOTSUPP;
		if (parse_u64(word, &v[i]) < 0)
			return -EBADMSG;
		word = strtok_r(NULL, " \n", &save);
	}
	ret->write = v[6];
	ret->in_flight = v[8];
	ret->discard_merges = v[12];
	ret->discard = v[13];
	return 0;
}

/* Reads all counts, relative to the baseline. */
static int read_counts(const struct tracker *t, struct count *ret)
{
	for (uint32_t i = 0; i < t->n_disks; i++) {
		const struct count *base = &t->disks[i].base;
		char text[512];
		ssize_t n = pread(t->disks[i].stat, text, sizeof(text) - 1, 0);
		int r;

		if (n < 0)
			return -errno;
		text[n] = '\0';
		r = parse_count(text, &ret[i]);
		if (r < 0)
			return r;
		ret[i].write -= base->write;
		ret[i].discard -= base->discard;
		ret[i].discard_merges -= base->discard_merges;
	}
	return 0;
}

static bool same_counts(
	const struct tracker *t, const struct count *a, const struct count *b)
{
	for (uint32_t i = 0; i < t->n_disks; i++)
		if (a[i].write != b[i].write || a[i].discard != b[i].discard)
			return false;
	return true;
}

/* Whether what was seen of each disk equals its count, or, with to, lies
 * between both counts. */
static bool met(const struct tracker *t, const struct count *from,
	const struct count *to)
{
	if (!to)
		to = from;
	for (uint32_t i = 0; i < t->n_disks; i++) {
		const struct count *seen = &t->disks[i].seen;

		if (seen->write < from[i].write || seen->write > to[i].write ||
			seen->discard < from[i].discard ||
			seen->discard > to[i].discard)
			return false;
	}
	return true;
}

/* A request that merged discards of several places tells only the first place.
 * The count of merges says whether there may have been one. */
static void check_discards(struct tracker *t, const struct count *counts)
{
	for (uint32_t i = 0; i < t->n_disks; i++) {
		struct disk *d = &t->disks[i];

		if (d->seen.discard_merges != counts[i].discard_merges)
			d->merged = true;
		d->seen.discard_merges = counts[i].discard_merges;
		if (!d->ranges || !d->merged)
			continue;
		if (d->reported != d->seen.discard)
			t->fn(t->arg, TRACK_DISCARD, 0, UINT64_MAX);
		d->reported = d->seen.discard;
		/* Merged when it begins, but seen when it is complete. */
		if (counts[i].in_flight == 0)
			d->merged = false;
	}
}

struct mark {
	struct tracker *t;
	enum track_kind kind;
	bool any;
};

static void mark(void *arg, uint64_t volume_sector, uint64_t sectors)
{
	struct mark *m = arg;

	m->any = true;
	m->t->fn(m->t->arg, m->kind, volume_sector * 512, sectors * 512);
}

static void take(void *arg, const struct ringpage_event *e)
{
	struct tracker *t = arg;
	struct disk *d = NULL;
	struct mark m = {.t = t};

	t->events++;
	for (uint32_t i = 0; i < t->n_disks && !d; i++)
		if (t->disks[i].major == e->major &&
			t->disks[i].minor == e->minor)
			d = &t->disks[i];
	if (!d || e->kind == RINGPAGE_IGNORE)
		return;
	if (e->kind == RINGPAGE_WRITE) {
		if (t->drop_every && ++t->drop_count % t->drop_every == 0)
			return;
		d->seen.write += e->sectors;
		m.kind = TRACK_WRITE;
	} else {
		d->seen.discard += e->sectors;
		m.kind = TRACK_DISCARD;
	}
	segments_map(&t->segments, e->major, e->minor, e->sector, e->sectors,
		mark, &m);
	if (m.any && m.kind == TRACK_WRITE)
		t->volume_writes++;
}

static int collect_cpu(struct tracker *t, int raw, struct error *err)
{
	size_t size = t->format.page_size;

	/* No more than the buffer holds: a busy writer cannot keep us here. */
	for (uint64_t i = 0; i < t->pages + 8; i++) {
		ssize_t n = read(raw, t->page, size);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		/* ENODEV: a CPU that never was online. */
		if (n == 0 || (n < 0 && (errno == EAGAIN || errno == ENODEV)))
			return 0;
		if (n < 0)
			return lose(t, err, "the trace buffer cannot be read");
		if ((size_t)n != size)
			return lose(t, err, "a page of the trace is cut short");
		r = ringpage_parse(&t->format, t->page, size, take, t);
		if (r == -ENODATA)
			return lose(t, err, "the trace buffer overflowed");
		if (r < 0)
			return lose(t, err, "a page of the trace is malformed");
	}
	return 0;
}

int tracker_collect(struct tracker *t, struct error *err)
{
	if (t->lost.code) {
		if (err)
			*err = t->lost;
		return -ENODATA;
	}
	for (uint32_t i = 0; i < t->n_cpus; i++) {
		int r = collect_cpu(t, t->cpus[i].raw, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Whether a line of a CPU's stats counts events that were lost. */
static bool line_is_bad(const char *line)
{
	static const char *const keys[] = {
		"overrun: ", "commit overrun: ", "dropped events: "};

	for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
		size_t n = strlen(keys[i]);

		if (strncmp(line, keys[i], n) == 0)
			return strcmp(line + n, "0") != 0;
	}
	return false;
}

static int check_overflow(struct tracker *t, struct error *err)
{
	for (uint32_t i = 0; i < t->n_cpus; i++) {
		char text[1024], *save = NULL, *line;
		ssize_t n = pread(t->cpus[i].stats, text, sizeof(text) - 1, 0);

		/* ENODEV: a CPU that never was online. */
		if (n < 0 && errno == ENODEV)
			continue;
		if (n < 0)
			return lose(t, err, "the trace's figures are missing");
		text[n] = '\0';
		for (line = strtok_r(text, "\n", &save); line;
			line = strtok_r(NULL, "\n", &save))
			if (line_is_bad(line))
				return lose(
					t, err, "the trace buffer overflowed");
	}
	return 0;
}

static int lose_by_count(struct tracker *t, struct error *err)
{
	struct tracker_stats s;
	char why[256];

	tracker_stats(t, &s);
	(void)snprintf(why, sizeof(why),
		"the events do not add up to the disk's own count (%llu "
		"sectors written were seen, %llu counted)",
		(unsigned long long)s.write_sectors,
		(unsigned long long)s.disk_sectors);
	return lose(t, err, why);
}

int tracker_settle(
	struct tracker *t, bool live, unsigned timeout_ms, struct error *err)
{
	struct count now[DISKS_MAX], last[DISKS_MAX], after[DISKS_MAX];
	uint64_t start = clock_ms(), moved = 0;
	uint64_t end = start + MAX(timeout_ms, (unsigned)SETTLE_MIN_MS);
	bool met_before = false;

	for (unsigned i = 0;; i++) {
		bool met_now;
		int r = read_counts(t, now);

		if (r == 0)
			r = tracker_collect(t, err);
		else
			r = lose(t, err, "the disk's count cannot be read");
		if (r < 0)
			return r;
		/* An event is recorded before it is counted. */
		if (live && read_counts(t, after) < 0)
			return lose(t, err, "the disk's count cannot be read");
		met_now = met(t, now, live ? after : NULL);
		if (met_now && (live || met_before)) {
			check_discards(t, now);
			return check_overflow(t, err);
		}
		met_before = met_now;
		if (i > 0 && !same_counts(t, now, last))
			moved = clock_ms();
		memcpy(last, now, sizeof(last));
		/* Others write to the disk: waiting would not help. */
		if (clock_ms() >= end || (!live && moved > start + BUSY_MS))
			break;
		clock_sleep_ms(i < 10 ? 1 : 5);
	}
	if (check_overflow(t, err) < 0)
		return -ENODATA;
	if (!live && moved + SETTLE_MIN_MS / 2 > clock_ms()) {
		error_set(err, -EAGAIN, "%s", follow);
		return error_why(err, "the disk is still being written");
	}
	return lose_by_count(t, err);
}

void tracker_stats(const struct tracker *t, struct tracker_stats *ret)
{
	struct count now[DISKS_MAX];
	bool known = read_counts(t, now) == 0;

	memset(ret, 0, sizeof(*ret));
	ret->events = t->events;
	ret->volume_writes = t->volume_writes;
	for (uint32_t i = 0; i < t->n_disks; i++) {
		ret->write_sectors += t->disks[i].seen.write;
		if (known)
			ret->disk_sectors += now[i].write;
	}
}

void tracker_drop_every(struct tracker *t, unsigned nth)
{
	t->drop_every = nth;
}

static int put(struct tracker *t, const char *path, const char *text,
	struct error *err)
{
	int r = io_write_file(t->dir, path, text);

	return r < 0 ? error_set(
			       err, r, "write '%s' to tracefs' %s", text, path)
		     : 0;
}

static int add_disk(
	struct tracker *t, uint32_t major, uint32_t minor, struct error *err)
{
	struct disk *d = &t->disks[t->n_disks];
	char path[96], text[32];
	uint64_t n;

	for (uint32_t i = 0; i < t->n_disks; i++)
		if (t->disks[i].major == major && t->disks[i].minor == minor)
			return 0;
	if (t->n_disks == DISKS_MAX) {
		error_set(err, -EOPNOTSUPP, "%s", follow);
		return error_why(
			err, "it lies on more than %d disks", DISKS_MAX);
	}
	(void)snprintf(
		path, sizeof(path), "/sys/dev/block/%u:%u/stat", major, minor);
	d->major = major;
	d->minor = minor;
	d->stat = open(path, O_RDONLY | O_CLOEXEC);
	if (d->stat < 0)
		return error_set(err, -errno, "open %s", path);
	t->n_disks++;
	(void)snprintf(path, sizeof(path),
		"/sys/dev/block/%u:%u/queue/max_discard_segments", major,
		minor);
	d->ranges = io_read_file(AT_FDCWD, path, text, sizeof(text)) > 0 &&
		    parse_u64(text, &n) == 0 && n > 1;
	return 0;
}

static int add_disks(struct tracker *t, struct error *err)
{
	struct count counts[DISKS_MAX];
	int r;

	for (uint32_t i = 0; i < t->segments.n; i++) {
		const struct segment *v = &t->segments.v[i];

		r = add_disk(t, v->major, v->minor, err);
		if (r < 0)
			return r;
	}
	r = read_counts(t, counts);
	if (r == -EOPNOTSUPP) {
		error_set(err, r, "%s", follow);
		return error_why(err, "the kernel does not count discards");
	}
	return r < 0 ? error_set(err, r, "read the counts of the disks") : 0;
}

static int make_instance(struct tracker *t, const char *name, struct error *err)
{
	int r;

	if (!tracefs_is_name(name))
		return error_set(err, -EINVAL, "name a trace '%s'", name);
	t->instances = tracefs_instances();
	if (t->instances < 0) {
		r = t->instances;
		error_set(err, r, "open tracefs");
		if (r == -ENODEV || r == -ENOENT)
			return error_why(err, "the kernel has no tracefs");
		return r;
	}
	if (mkdirat(t->instances, name, 0700) < 0)
		return error_set(
			err, -errno, "make the tracefs instance %s", name);
	/* From here on it is removed by tracker_stop. */
	memcpy(t->name, name, strlen(name) + 1);
	t->dir = openat(t->instances, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->dir < 0)
		return error_set(
			err, -errno, "open the tracefs instance %s", name);
	return 0;
}

static int read_formats(struct tracker *t, struct error *err)
{
	CLEANUP_FREE char *text = malloc(65536);
	int r;

	if (!text)
		return error_set(err, -ENOMEM, "read the format of a trace");
	r = (int)io_read_file(t->dir, EVENT "/format", text, 65536);
	if (r == -ENOENT) {
		error_set(err, -EOPNOTSUPP, "%s", follow);
		return error_why(err, "the kernel has no block events");
	}
	if (r >= 0)
		r = ringpage_format(text, &t->format);
	if (r < 0)
		return error_set(
			err, r, "understand tracefs' %s/format", EVENT);
	r = (int)io_read_file(t->dir, "events/header_page", text, 65536);
	if (r >= 0)
		r = ringpage_header(text, &t->format);
	if (r < 0)
		return error_set(
			err, r, "understand tracefs' events/header_page");
	t->page = malloc(t->format.page_size);
	return t->page ? 0 : error_set(err, -ENOMEM, "start a trace");
}

static int set_buffer(struct tracker *t, uint64_t kb, struct error *err)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	char text[32];

	if (kb == 0) {
		kb = BUFFER_KB_TOTAL / (uint64_t)MAX(online, 1);
		kb = MAX(kb, (uint64_t)BUFFER_KB_MIN);
		kb = MIN(kb, (uint64_t)BUFFER_KB_MAX);
	}
	t->pages = kb * 1024 / t->format.data.size + 1;
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)kb);
	return put(t, "buffer_size_kb", text, err);
}

/* Selects the events of the disks; recording is still off. */
static int set_event(struct tracker *t, struct error *err)
{
	char filter[DISKS_MAX * 24 + 1];
	size_t n = 0;
	int r;

	for (uint32_t i = 0; i < t->n_disks; i++) {
		uint32_t dev = t->disks[i].major << 20 | t->disks[i].minor;

		n += (size_t)snprintf(filter + n, sizeof(filter) - n,
			"%sdev == %u", i ? " || " : "", dev);
	}
	r = put(t, EVENT "/filter", filter, err);
	if (r < 0)
		return r;
	t->on = openat(t->dir, "tracing_on", O_WRONLY | O_CLOEXEC);
	t->enable = openat(t->dir, EVENT "/enable", O_WRONLY | O_CLOEXEC);
	if (t->on < 0 || t->enable < 0)
		return error_set(err, -errno, "open tracefs' switches");
	if (pwrite(t->enable, "1", 1, 0) != 1)
		return error_set(err, -errno, "enable the block events");
	return 0;
}

static int count_cpus(DIR *dir)
{
	const struct dirent *e;
	int n = 0;

	while ((e = readdir(dir)))
		n += strncmp(e->d_name, "cpu", 3) == 0;
	rewinddir(dir);
	return n;
}

static int make_room_for_fds(uint32_t more)
{
	struct rlimit lim;
	rlim_t want = (rlim_t)more + 256;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return -errno;
	if (lim.rlim_cur >= want || lim.rlim_cur == lim.rlim_max)
		return 0;
	lim.rlim_cur = MIN(lim.rlim_max, want);
	return setrlimit(RLIMIT_NOFILE, &lim) < 0 ? -errno : 0;
}

static int open_cpu(struct tracker *t, int dir, const char *name)
{
	struct cpu *c = &t->cpus[t->n_cpus];
	char path[NAME_MAX + 32];

	(void)snprintf(path, sizeof(path), "%s/trace_pipe_raw", name);
	c->raw = openat(dir, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (c->raw < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "%s/stats", name);
	c->stats = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (c->stats < 0) {
		int r = -errno;

		(void)close(c->raw);
		return r;
	}
	t->n_cpus++;
	/* The kernel allocates a page at the first read; better now. */
	(void)!read(c->raw, t->page, t->format.page_size);
	return 0;
}

/* Opens the buffers of all CPUs that are possible: tracefs has a folder for
 * each, also for those that are offline. */
static int open_cpus(struct tracker *t, struct error *err)
{
	int fd = openat(t->dir, "per_cpu", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	uint32_t n;
	int r = 0;

	if (!dir) {
		r = -errno;
		if (fd >= 0)
			(void)close(fd);
		return error_set(err, r, "open tracefs' per_cpu");
	}
	n = (uint32_t)count_cpus(dir);
	t->cpus = calloc(n ? n : 1, sizeof(*t->cpus));
	if (!t->cpus)
		r = -ENOMEM;
	if (r == 0)
		r = make_room_for_fds(2 * n);
	while (r == 0 && (e = readdir(dir)))
		if (strncmp(e->d_name, "cpu", 3) == 0 && t->n_cpus < n)
			r = open_cpu(t, fd, e->d_name);
	(void)closedir(dir);
	if (r == 0 && t->n_cpus == 0)
		r = -ENOENT;
	return r < 0 ? error_set(err, r, "open tracefs' buffers") : 0;
}

/* Empties the buffers and waits for events that are being written. */
static int clear(struct tracker *t)
{
	int fd = openat(t->dir, "trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	(void)close(fd);
	return 0;
}

/* Finds a moment at which recording was switched on and nothing completed
 * around it: the count of that moment is the baseline. */
static int take_baseline(struct tracker *t, struct error *err)
{
	struct count before[DISKS_MAX], after[DISKS_MAX];

	for (int i = 0; i < BASELINE_TRIES; i++) {
		int r;

		if (pwrite(t->on, "0", 1, 0) != 1)
			return error_set(err, -errno, "stop a trace");
		r = clear(t);
		if (r < 0)
			return error_set(err, r, "empty tracefs' buffers");
		r = read_counts(t, before);
		if (r == 0 && pwrite(t->on, "1", 1, 0) != 1)
			return error_set(err, -errno, "start a trace");
		if (r == 0)
			r = read_counts(t, after);
		if (r < 0)
			return error_set(
				err, r, "read the counts of the disks");
		if (!same_counts(t, before, after))
			continue;
		for (uint32_t k = 0; k < t->n_disks; k++) {
			t->disks[k].base = before[k];
			t->disks[k].merged = before[k].in_flight != 0;
		}
		return 0;
	}
	error_set(err, -EAGAIN, "%s", follow);
	return error_why(err, "no quiet moment was found in which to begin");
}

static struct tracker *new_tracker(const struct segments *segments)
{
	struct tracker *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->instances = t->dir = t->on = t->enable = -1;
	t->segments = *segments;
	t->disks = calloc(DISKS_MAX, sizeof(*t->disks));
	if (!t->disks) {
		free(t);
		return NULL;
	}
	return t;
}

int tracker_start(const char *name, const struct segments *segments,
	uint64_t buffer_kb, track_fn *fn, void *arg, struct tracker **ret,
	struct error *err)
{
	struct tracker *t = new_tracker(segments);
	int r;

	if (!t)
		return error_set(err, -ENOMEM, "start a trace");
	t->fn = fn;
	t->arg = arg;
	r = add_disks(t, err);
	if (r == 0)
		r = make_instance(t, name, err);
	if (r == 0)
		r = put(t, "tracing_on", "0", err);
	if (r == 0)
		r = put(t, "options/overwrite", "1", err);
	if (r == 0)
		r = read_formats(t, err);
	if (r == 0)
		r = set_buffer(t, buffer_kb, err);
	if (r == 0)
		r = open_cpus(t, err);
	if (r == 0)
		r = set_event(t, err);
	if (r == 0)
		r = take_baseline(t, err);
	if (r < 0) {
		tracker_stop(t);
		return r;
	}
	*ret = t;
	return 0;
}

void tracker_stop(struct tracker *t)
{
	if (!t)
		return;
	if (t->on >= 0)
		(void)!pwrite(t->on, "0", 1, 0);
	if (t->enable >= 0)
		(void)!pwrite(t->enable, "0", 1, 0);
	for (uint32_t i = 0; i < t->n_cpus; i++) {
		(void)close(t->cpus[i].raw);
		(void)close(t->cpus[i].stats);
	}
	for (uint32_t i = 0; i < t->n_disks; i++)
		(void)close(t->disks[i].stat);
	cleanup_close_p(&t->on);
	cleanup_close_p(&t->enable);
	cleanup_close_p(&t->dir);
	if (t->name[0])
		(void)tracefs_remove(t->instances, t->name);
	cleanup_close_p(&t->instances);
	free(t->cpus);
	free(t->disks);
	free(t->page);
	free(t);
}

int tracker_sweep(const char *name)
{
	CLEANUP_CLOSE int instances = -1;

	if (!tracefs_is_name(name))
		return -EINVAL;
	instances = tracefs_instances();
	/* Where there is no tracefs there is no instance. */
	if (instances == -ENODEV || instances == -ENOENT)
		return 0;
	return instances < 0 ? instances : tracefs_remove(instances, name);
}

static bool is_keepers(const char *name)
{
	static const char prefix[] = "rehost-";
	size_t n = strlen(prefix);

	return strncmp(name, prefix, n) == 0 && strlen(name) == n + 16 &&
	       strspn(name + n, "0123456789abcdef") == 16;
}

void tracker_sweep_left(unsigned seconds)
{
	int fd = tracefs_instances();
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	time_t now = time(NULL);
	struct dirent *e;
	struct stat st;

	while (d && (e = readdir(d)))
		/* A keeper that lives keeps it busy; a new one is about to. */
		if (is_keepers(e->d_name) &&
			fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			now - st.st_mtime >= (time_t)seconds)
			(void)unlinkat(fd, e->d_name, AT_REMOVEDIR);
	if (d)
		(void)closedir(d);
	else if (fd >= 0)
		(void)close(fd);
}
