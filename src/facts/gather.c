/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/gather.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "base/parse.h"
#include "base/text.h"
#include "facts/watch.h"

/* Enough to see what is wrong; a broken machine could fill pages. */
#define MISSING_MAX 256
#define STRING_MAX 4096
#define WHY_MAX 512
/* Disks that sleep, and machines that are busy, need some. */
#define STALL_MS 10000
/* The controller waits for two minutes. */
#define ALL_MS 90000

struct names {
	char **v;
	size_t n, size;
};

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

static void cleanup_names(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
}

/* ---- json ---- */

static json_t *made(struct gather *g, json_t *j)
{
	if (!j)
		g->oom = true;
	return j;
}

json_t *gather_object(struct gather *g)
{
	return made(g, json_object());
}

json_t *gather_list(struct gather *g)
{
	return made(g, json_array());
}

json_t *gather_string(struct gather *g, const char *s, size_t n)
{
	static const char more[] = "…";
	char out[STRING_MAX + sizeof(more) + 16];
	size_t k = 0;

	while (n > 0) {
		uint32_t c;
		size_t used = text_character(s, n, &c);
		bool plain = used > 0 && c != '\\' && !text_is_hidden(c);

		if (used == 0)
			used = 1;
		if (k + (plain ? used : 4 * used) > STRING_MAX) {
			memcpy(out + k, more, sizeof(more) - 1);
			k += sizeof(more) - 1;
			break;
		}
		if (plain) {
			memcpy(out + k, s, used);
			k += used;
		} else {
			for (size_t i = 0; i < used; i++, k += 4) {
				memcpy(out + k, "\\x", 2);
				parse_hex(
					(const uint8_t *)s + i, 1, out + k + 2);
			}
		}
		s += used;
		n -= used;
	}
	return made(g, json_stringn_nocheck(out, k));
}

void gather_set_json(
	struct gather *g, json_t *object, const char *key, json_t *value)
{
	/* Takes the value over also when it fails. */
	if (!object)
		json_decref(value);
	else if (value && json_object_set_new_nocheck(object, key, value) < 0)
		g->oom = true;
}

void gather_set_filled(
	struct gather *g, json_t *object, const char *key, json_t *value)
{
	if (json_array_size(value) > 0 || json_object_size(value) > 0)
		gather_set_json(g, object, key, value);
	else
		json_decref(value);
}

void gather_set(
	struct gather *g, json_t *object, const char *key, const char *text)
{
	if (text[0])
		gather_set_json(
			g, object, key, gather_string(g, text, strlen(text)));
}

void gather_set_number(
	struct gather *g, json_t *object, const char *key, uint64_t value)
{
	/* JSON integers are signed. */
	if (value > INT64_MAX)
		value = INT64_MAX;
	gather_set_json(
		g, object, key, made(g, json_integer((json_int_t)value)));
}

void gather_set_bool(
	struct gather *g, json_t *object, const char *key, bool value)
{
	gather_set_json(g, object, key, json_boolean(value));
}

void gather_add(struct gather *g, json_t *list, json_t *value)
{
	size_t n = list ? json_array_size(list) : 0;

	if (!list || !value) {
		json_decref(value);
	} else if (n == GATHER_LIST_MAX) {
		json_decref(value);
		if (list != g->missing)
			gather_missing(g, "a list",
				"it has more than %d elements",
				GATHER_LIST_MAX);
	} else if (json_array_append_new(list, value) < 0) {
		g->oom = true;
	}
}

void gather_missing(struct gather *g, const char *what, const char *why, ...)
{
	json_t *m;
	char text[WHY_MAX];
	va_list ap;

	if (json_array_size(g->missing) >= MISSING_MAX)
		return;
	va_start(ap, why);
	(void)vsnprintf(text, sizeof(text), why, ap);
	va_end(ap);
	m = gather_object(g);
	gather_set(g, m, "what", what);
	gather_set(g, m, "why", text);
	/* What fails often is said once. */
	if (m && json_equal(m, json_array_get(g->missing,
				       json_array_size(g->missing) - 1)))
		json_decref(m);
	else
		gather_add(g, g->missing, m);
}

/* ---- files ---- */

static bool is_kernels(const char *path)
{
	return strncmp(path, "proc/", 5) == 0 || strncmp(path, "sys/", 4) == 0;
}

static int open_below(struct gather *g, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)flags, .resolve = RESOLVE_IN_ROOT};
	int fd = (int)syscall(SYS_openat2, g->root_fd, path, &how, sizeof(how));

	/* Kernels before 5.6 do not have it, and old seccomp filters do not
	 * let it pass; the machine's own root needs no bars. */
	if (fd < 0 && g->live && (errno == ENOSYS || errno == EPERM))
		fd = openat(g->root_fd, path, flags);
	return fd < 0 ? -errno : fd;
}

bool gather_step(struct gather *g, const char *what, uint64_t may_ms)
{
	return watch_step(g->watch, what, may_ms);
}

int gather_open(struct gather *g, const char *path, int flags)
{
	CLEANUP_CLOSE int fd = -1;
	char self[64];
	struct stat st;
	int r;

	if (!gather_step(g, path, 0))
		return -ETIMEDOUT;
	path += strspn(path, "/");
	if (*path == '\0')
		path = ".";
	flags |= O_CLOEXEC | O_NOCTTY;
	/* The kernel's own files are neither devices nor FIFOs. */
	if (g->live && is_kernels(path)) {
		r = openat(g->root_fd, path, flags);
		return r < 0 ? -errno : r;
	}
	/* Opening alone may block (FIFO) or do things (watchdog, tape): first
	 * see what it is, then open that very thing. */
	fd = open_below(g, path,
		O_PATH | O_CLOEXEC | (flags & (O_DIRECTORY | O_NOFOLLOW)));
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (flags & O_PATH)
		return STEAL_FD(fd);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return S_ISLNK(st.st_mode) ? -ELOOP : -ENODEV;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	r = open(self, (flags & ~O_NOFOLLOW) | O_NONBLOCK);
	return r < 0 ? -errno : r;
}

static bool is_absent(int r)
{
	/* Processes and devices may go while they are looked at, and what hung
	 * is named. */
	return r == -ENOENT || r == -ENOTDIR || r == -ESRCH || r == -ENXIO ||
	       r == -ETIMEDOUT;
}

bool gather_exists(struct gather *g, const char *path, int flags)
{
	CLEANUP_CLOSE int fd = gather_open(g, path, flags);

	return fd >= 0;
}

int gather_read(struct gather *g, const char *path, size_t max, char **ret,
	size_t *ret_n)
{
	CLEANUP_CLOSE int fd = gather_open(g, path, O_RDONLY);
	size_t n = 0;
	int r = fd < 0 ? fd : io_read_whole(fd, max, ret, &n);

	if (is_absent(r))
		return -ENOENT;
	if (r == -ENOMEM)
		g->oom = true;
	else if (r == -E2BIG)
		gather_missing(g, path, "larger than %zu bytes", max);
	else if (r < 0)
		gather_missing(g, path, "%s", strerror(-r));
	if (r == 0 && ret_n)
		*ret_n = n;
	return r;
}

const char *gather_line(
	struct gather *g, const char *path, char *buf, size_t size)
{
	CLEANUP_CLOSE int fd = gather_open(g, path, O_RDONLY);
	size_t n = 0, from, to;

	buf[0] = '\0';
	if (fd == -EACCES || fd == -EPERM)
		gather_missing(g, path, "%s", strerror(-fd));
	if (fd < 0)
		return buf;
	while (n + 1 < size && !memchr(buf, '\n', n)) {
		ssize_t r = read(fd, buf + n, size - 1 - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	buf[n] = '\0';
	to = strcspn(buf, "\n");
	from = strspn(buf, " \t");
	if (from >= to) {
		buf[0] = '\0';
		return buf;
	}
	while (to > from && strchr(" \t\r", buf[to - 1]))
		to--;
	memmove(buf, buf + from, to - from);
	buf[to - from] = '\0';
	return buf;
}

bool gather_number(struct gather *g, const char *path, uint64_t *ret)
{
	char text[32];

	return parse_u64(gather_line(g, path, text, sizeof(text)), ret) == 0;
}

const char *gather_link(
	struct gather *g, const char *path, char *buf, size_t size)
{
	CLEANUP_CLOSE int fd =
		gather_step(g, path, 0)
			? open_below(g, path + strspn(path, "/"),
				  O_PATH | O_NOFOLLOW | O_CLOEXEC)
			: -ETIMEDOUT;
	char target[PATH_MAX], *last;
	ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target));

	buf[0] = '\0';
	if (n <= 0 || (size_t)n >= sizeof(target))
		return buf;
	target[n] = '\0';
	for (; n > 1 && target[n - 1] == '/'; n--)
		target[n - 1] = '\0';
	last = strrchr(target, '/');
	last = last ? last + 1 : target;
	if (strlen(last) < size)
		memcpy(buf, last, strlen(last) + 1);
	return buf;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(struct names *l, const char *name)
{
	if (l->n == l->size) {
		size_t size = l->size ? l->size * 2 : 64;
		char **v = reallocarray(l->v, size, sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->size = size;
	}
	l->v[l->n] = strdup(name);
	if (!l->v[l->n])
		return -ENOMEM;
	l->n++;
	return 0;
}

void gather_each(struct gather *g, const char *path,
	void (*fn)(struct gather *g, const char *path, const char *name,
		void *arg),
	void *arg)
{
	CLEANUP(cleanup_names) struct names l = {0};
	int fd = gather_open(g, path, O_RDONLY | O_DIRECTORY);
	CLEANUP(cleanup_dir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (fd >= 0 && !d) {
		(void)close(fd);
		g->oom = true;
	}
	if (fd < 0 && !is_absent(fd))
		gather_missing(g, path, "%s", strerror(-fd));
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		if (l.n == GATHER_LIST_MAX) {
			gather_missing(g, path, "more than %d names in it",
				GATHER_LIST_MAX);
			break;
		}
		if (add_name(&l, e->d_name) < 0) {
			g->oom = true;
			return;
		}
	}
	if (l.n > 1)
		qsort(l.v, l.n, sizeof(*l.v), by_name);
	for (size_t i = 0; i < l.n; i++)
		fn(g, path, l.v[i], arg);
}

/* ---- text ---- */

char *gather_next_line(char **text)
{
	return *text && **text ? strsep(text, "\n") : NULL;
}

char *gather_next_word(char **line)
{
	char *at, *word;

	if (!*line)
		return NULL;
	word = *line + strspn(*line, " \t");
	if (*word == '\0')
		return NULL;
	at = word + strcspn(word, " \t");
	*line = *at ? at + 1 : at;
	*at = '\0';
	return word;
}

/* ---- all of it ---- */

static bool is_live(int root_fd)
{
	struct stat a, b;

	return fstat(root_fd, &a) == 0 && stat("/", &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void gather_load_sampled(struct gather *g)
{
	gather_load(g, g->sample_ms);
}

static void gather_drivers_asked(struct gather *g)
{
	gather_drivers(g, g->modaliases);
}

/* Groups only set keys of their own: what "disks" has for "boot" is taken out
 * here. */
static void drop_boot_codes(struct gather *g)
{
	json_t *j;
	size_t i;

	json_array_foreach(json_object_get(g->top, "disks"), i, j)
	{
		(void)json_object_del(j, "boot_code");
	}
}

static void gather_all(struct gather *g)
{
	static const struct watch_group groups[] = {{"system", gather_system},
		{"devices", gather_hardware}, {"disks", gather_disks},
		{"filesystems", gather_filesystems}, {"boot", gather_boot},
		{"kernels", gather_initramfs},
		{"drivers", gather_drivers_asked}, {"network", gather_network},
		{"services", gather_services}, {"ports", gather_ports},
		{"databases", gather_databases}, {"load", gather_load_sampled}};

	gather_set_number(g, g->top, "schema", FACTS_SCHEMA);
	gather_set_bool(g, g->top, "root", geteuid() == 0);
	gather_set_json(g, g->top, "missing", json_incref(g->missing));
	if (geteuid() != 0)
		gather_missing(g, "what only root may read",
			"this was done by another user");
	watch_run(g, groups, ARRAY_LEN(groups), STALL_MS, ALL_MS);
	drop_boot_codes(g);
}

int facts_gather(const char *root, unsigned sample_ms,
	const char *const *modaliases, json_t **ret, struct error *err)
{
	CLEANUP_CLOSE int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct gather g = {.root_fd = fd,
		.sample_ms = sample_ms,
		.modaliases = modaliases};

	if (fd < 0)
		return error_set(err, -errno, "open %s", root);
	g.live = is_live(fd);
	g.top = gather_object(&g);
	g.missing = gather_list(&g);
	if (!g.oom)
		gather_all(&g);
	json_decref(g.missing);
	if (g.oom) {
		json_decref(g.top);
		return error_set(err, -ENOMEM, "gather facts");
	}
	*ret = g.top;
	return 0;
}
