/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/io.h"
#include "volume/mounts.h"

#define WHAT_MAX 512
/* Things that may hang before a group is given up. */
#define DEAD_MAX 16
#define POLL_MS 100
/* Descriptors that whoever gathers may have. */
#define FDS_MAX 1024
/* Of all groups: lists are bounded, so this is never met. */
#define LINE_MAX_BYTES (256U << 20)

/* Shared with the child. */
struct watch {
	_Atomic uint64_t steps; /* how many the child has made */
	_Atomic uint64_t may_ms;
	char what[WHAT_MAX];
	/* Written before the child is made. A folder, and all that is in it,
	 * where it ends with a slash. */
	char dead[DEAD_MAX][WHAT_MAX];
	unsigned n_dead;
};

/* A child at work. */
struct child {
	pid_t pid;
	int fd; /* where its lines come from */
	char *text;
	size_t n, size;
	/* What was last seen of it, and when that changed. */
	uint64_t steps, cpu, at_ms;
};

struct run {
	struct gather *g;
	const struct watch_group *groups;
	size_t n, done;
	uint64_t stall_ms, deadline;
};

/* ---- in the child ---- */

static bool is_dead(const struct watch *w, const char *what)
{
	for (unsigned i = 0; i < w->n_dead; i++) {
		size_t n = strlen(w->dead[i]);

		if (strncmp(what, w->dead[i], WHAT_MAX - 1) == 0)
			return true;
		if (n > 0 && w->dead[i][n - 1] == '/' &&
			strncmp(what, w->dead[i], n - 1) == 0 &&
			(what[n - 1] == '/' || what[n - 1] == '\0'))
			return true;
	}
	return false;
}

bool watch_step(struct watch *w, const char *what, uint64_t may_ms)
{
	if (!w)
		return true;
	what += strspn(what, "/");
	if (is_dead(w, what))
		return false;
	(void)snprintf(w->what, sizeof(w->what), "%s", what);
	w->may_ms = may_ms;
	w->steps++;
	return true;
}

/* What was set since there were these keys and that many things missing. */
static json_t *news(struct gather *g, json_t *before, size_t missing)
{
	json_t *set = gather_object(g), *list = gather_list(g), *value;
	json_t *j = gather_object(g);
	const char *key;

	json_object_foreach(g->top, key, value)
	{
		if (!json_object_get(before, key))
			gather_set_json(g, set, key, json_incref(value));
	}
	for (; missing < json_array_size(g->missing); missing++)
		gather_add(g, list,
			json_incref(json_array_get(g->missing, missing)));
	gather_set_json(g, j, "set", set);
	gather_set_json(g, j, "missing", list);
	return j;
}

/* A line for each group. */
static void gather_one(
	struct gather *g, const struct watch_group *group, int fd)
{
	json_t *before = json_copy(g->top), *j;
	size_t missing = json_array_size(g->missing);
	char *text;

	if (gather_step(g, group->name, 0))
		group->fn(g);
	j = news(g, before, missing);
	text = json_dumps(j, JSON_COMPACT);
	if (!before || !text || g->oom)
		_exit(ENOMEM);
	if (io_write_all(fd, text, strlen(text)) < 0 ||
		io_write_all(fd, "\n", 1) < 0)
		_exit(EPIPE);
	free(text);
	json_decref(j);
	json_decref(before);
}

/* A child that nobody can end must not hold a connection open. */
static void let_go(const struct gather *g, int fd)
{
	for (int i = 0; i < FDS_MAX; i++)
		if (i != fd && i != g->root_fd)
			(void)close(i);
	/* The lowest that are free: 0, 1 and 2. */
	for (int i = 0; i < 3; i++)
		(void)!open("/dev/null", O_RDWR);
}

/* ---- what hangs ---- */

struct mount_search {
	const char *path;
	char found[WHAT_MAX]; /* without its first slash */
};

static int take_mount(void *arg, uint64_t id, const struct mount_info *m)
{
	struct mount_search *s = arg;
	const char *point = m->point + strspn(m->point, "/");
	size_t n = strlen(point);

	if (n > strlen(s->found) && n < sizeof(s->found) - 1 &&
		strncmp(s->path, point, n) == 0 &&
		(s->path[n] == '/' || s->path[n] == '\0'))
		(void)snprintf(s->found, sizeof(s->found), "%s", point);
	return 0;
}

/* Remembers what hangs: the whole filesystem, unless it is the root or the
 * kernel's. */
static void remember(struct gather *g, struct watch *w, const char *what)
{
	struct mount_search s = {.path = what};

	if (!g->live || mounts_each(take_mount, &s) < 0 ||
		strcmp(s.found, "proc") == 0 || strncmp(s.found, "sys", 3) == 0)
		s.found[0] = '\0';
	(void)snprintf(w->dead[w->n_dead++], WHAT_MAX, "%s%s",
		s.found[0] ? s.found : what, s.found[0] ? "/" : "");
}

static const struct watch_group *group_of(const struct run *r)
{
	return &r->groups[r->done];
}

/* Names what hangs, and has the next child leave it out: the thing itself, or
 * the group, when there is too much of that. */
static void give_up(struct run *r, struct watch *w)
{
	char what[WHAT_MAX];

	memcpy(what, w->what, sizeof(what));
	what[sizeof(what) - 1] = '\0';
	if (!what[0] || strcmp(what, group_of(r)->name) == 0 ||
		is_dead(w, what) || w->n_dead == DEAD_MAX) {
		gather_missing(r->g, group_of(r)->name, "gathering it hangs");
		r->done++;
		return;
	}
	gather_missing(r->g, what, "it does not answer");
	remember(r->g, w, what);
}

/* ---- the parent ---- */

static uint64_t cpu_of(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 ||
		clock_gettime(clock, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static bool hangs(const struct run *r, struct child *c, struct watch *w)
{
	uint64_t steps = w->steps, cpu = cpu_of(c->pid), now = clock_ms();

	if (steps != c->steps || cpu != c->cpu) {
		c->steps = steps;
		c->cpu = cpu;
		c->at_ms = now;
	}
	return now - c->at_ms > r->stall_ms + w->may_ms;
}

/* Takes a group's line over. */
static void take_line(struct run *r, const char *line, size_t n)
{
	json_t *j = json_loadb(line, n, 0, NULL);

	if (!j ||
		json_object_update(r->g->top, json_object_get(j, "set")) < 0 ||
		json_array_extend(
			r->g->missing, json_object_get(j, "missing")) < 0)
		r->g->oom = true;
	json_decref(j);
	r->done++;
}

static void take_lines(struct run *r, struct child *c)
{
	char *end;

	while (r->done < r->n && (end = memchr(c->text, '\n', c->n))) {
		size_t n = (size_t)(end - c->text);

		take_line(r, c->text, n);
		c->n -= n + 1;
		memmove(c->text, end + 1, c->n);
	}
}

/* False at the end of what it writes. */
static bool read_some(struct run *r, struct child *c)
{
	ssize_t n;

	if (c->size - c->n < 65536) {
		size_t size = c->size * 2 + 65536;
		char *text =
			size > LINE_MAX_BYTES ? NULL : realloc(c->text, size);

		if (!text) {
			r->g->oom = true;
			return false;
		}
		c->text = text;
		c->size = size;
	}
	n = read(c->fd, c->text + c->n, c->size - c->n);
	if (n < 0)
		return errno == EINTR;
	c->n += (size_t)n;
	take_lines(r, c);
	return n > 0;
}

/* Until it ends by itself (true), or hangs, or the time is over. */
static bool follow(struct run *r, struct child *c, struct watch *w)
{
	for (;;) {
		struct pollfd p = {.fd = c->fd, .events = POLLIN};

		if (poll(&p, 1, POLL_MS) > 0 && !read_some(r, c))
			return true;
		if (hangs(r, c, w)) {
			give_up(r, w);
			return false;
		}
		if (clock_ms() > r->deadline + w->may_ms)
			return false;
	}
}

/* Who hangs in the kernel ends when that comes back, and nobody waits for it.
 */
static int end(struct child *c)
{
	int status = 0;

	(void)kill(c->pid, SIGKILL);
	for (int i = 0; i < 50; i++) {
		if (waitpid(c->pid, &status, WNOHANG) == c->pid)
			return status;
		clock_sleep_ms(10);
	}
	return -1;
}

static int start(struct run *r, struct watch *w, struct child *ret)
{
	int ends[2], e;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	*ret = (struct child){.fd = ends[0], .at_ms = clock_ms()};
	w->what[0] = '\0';
	ret->steps = w->steps;
	ret->pid = io_fork();
	e = errno;
	if (ret->pid == 0) {
		r->g->watch = w;
		let_go(r->g, ends[1]);
		for (size_t i = r->done; i < r->n; i++)
			gather_one(r->g, &r->groups[i], ends[1]);
		_exit(0);
	}
	(void)close(ends[1]);
	if (ret->pid < 0)
		(void)close(ends[0]);
	return ret->pid < 0 ? -e : 0;
}

/* 0, or a negative errno when no child could be made. */
static int run_child(struct run *r, struct watch *w)
{
	struct child c = {.pid = -1};
	int e = start(r, w, &c), status;
	bool ended;

	if (e < 0)
		return e;
	ended = follow(r, &c, w);
	if (!ended || r->g->oom)
		status = end(&c);
	else
		(void)waitpid(c.pid, &status, 0);
	(void)close(c.fd);
	free(c.text);
	if (!ended || r->done == r->n || r->g->oom)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == ENOMEM) {
		r->g->oom = true;
		return 0;
	}
	gather_missing(r->g, group_of(r)->name, "gathering it ended early (%d)",
		WIFSIGNALED(status) ? WTERMSIG(status) : -1);
	r->done++;
	return 0;
}

void watch_run(struct gather *g, const struct watch_group *groups, size_t n,
	uint64_t stall_ms, uint64_t all_ms)
{
	struct run r = {.g = g, .groups = groups, .n = n, .stall_ms = stall_ms};
	struct watch *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool here = w == MAP_FAILED;

	r.deadline = clock_ms() + all_ms;
	while (!here && r.done < n && !g->oom && clock_ms() <= r.deadline)
		here = run_child(&r, w) < 0;
	for (; r.done < n && !g->oom; r.done++) {
		if (here)
			groups[r.done].fn(g);
		else
			gather_missing(g, groups[r.done].name,
				"there was no time left for it");
	}
	if (w != MAP_FAILED)
		(void)munmap(w, sizeof(*w));
}
