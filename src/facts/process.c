/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "facts/gather.h"

#define PROCESSES_MAX 32768

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	/* 0 comes before 1, so the first process gets to the end. */
	x -= 2;
	y -= 2;
	return (x > y) - (x < y);
}

uint32_t *process_list(struct gather *g, size_t *ret_n)
{
	int fd = gather_open(g, "/proc", O_RDONLY | O_DIRECTORY);
	CLEANUP(cleanup_dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	uint32_t *list = NULL;
	struct dirent *e;
	uint64_t v;
	size_t n = 0;

	*ret_n = 0;
	if (fd >= 0 && !dir)
		(void)close(fd);
	if (dir)
		list = calloc(PROCESSES_MAX, sizeof(*list));
	if (dir && !list)
		g->oom = true;
	while (list && (e = readdir(dir))) {
		if (parse_u64(e->d_name, &v) < 0 || v == 0 || v > INT32_MAX)
			continue;
		if (n == PROCESSES_MAX) {
			gather_missing(g, "processes", "more than %d of them",
				PROCESSES_MAX);
			break;
		}
		list[n++] = (uint32_t)v;
	}
	if (n > 1)
		qsort(list, n, sizeof(*list), by_number);
	*ret_n = n;
	return list;
}

/* Without gather_line, which names what it may not read: one line a process
 * would be too many. */
static ssize_t read_some(struct gather *g, uint32_t pid, const char *file,
	char *buf, size_t size)
{
	char path[64];
	CLEANUP_CLOSE int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%u/%s", pid, file);
	fd = gather_open(g, path, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, buf, size - 1);
	buf[MAX(n, 0)] = '\0';
	return n;
}

const char *process_program(
	struct gather *g, uint32_t pid, char *buf, size_t size)
{
	ssize_t n = read_some(g, pid, "comm", buf, size);

	if (n > 0 && buf[n - 1] == '\n')
		buf[n - 1] = '\0';
	return buf;
}

const char *process_link(struct gather *g, uint32_t pid, const char *link,
	char *buf, size_t size)
{
	static const char gone[] = " (deleted)";
	char path[64];
	CLEANUP_CLOSE int dir = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%u", pid);
	dir = gather_open(g, path, O_RDONLY | O_DIRECTORY);
	n = dir < 0 ? -1 : readlinkat(dir, link, buf, size - 1);
	buf[MAX(n, 0)] = '\0';
	if ((size_t)n == size - 1) /* cut */
		buf[0] = '\0';
	if (n >= (ssize_t)sizeof(gone) &&
		strcmp(buf + n - (sizeof(gone) - 1), gone) == 0)
		buf[n - (ssize_t)(sizeof(gone) - 1)] = '\0';
	return buf;
}

int64_t process_started(struct gather *g, uint32_t pid)
{
	char text[1024], *at, *field = NULL;
	long hz = sysconf(_SC_CLK_TCK);
	uint64_t v;

	(void)!read_some(g, pid, "stat", text, sizeof(text));
	/* Its name may have any character. */
	at = strrchr(text, ')');
	/* Field 22, of which the name is the second: proc(5). */
	for (int i = 2; at && i <= 22; i++)
		field = strsep(&at, " ");
	if (!at || hz <= 0 || parse_u64(field, &v) < 0)
		return -ENODATA;
	return (int64_t)(v / (uint64_t)hz);
}

static int has_end(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n > k && strcmp(s + n - k, end) == 0;
}

const char *process_parse_cgroup(char *text, char *buf, size_t size)
{
	char *line, *part;

	buf[0] = '\0';
	while (!buf[0] && (line = gather_next_line(&text))) {
		/* number:controllers:path */
		(void)strsep(&line, ":");
		part = strsep(&line, ":");
		if (!line || !part ||
			(part[0] && strcmp(part, "name=systemd") != 0))
			continue;
		/* The innermost; a service's own subgroups are not units. */
		while ((part = strsep(&line, "/")))
			if ((has_end(part, ".service") ||
				    has_end(part, ".scope")) &&
				strlen(part) < size)
				memcpy(buf, part, strlen(part) + 1);
	}
	return buf;
}

const char *process_service(
	struct gather *g, uint32_t pid, char *buf, size_t size)
{
	char text[4096];

	(void)!read_some(g, pid, "cgroup", text, sizeof(text));
	return process_parse_cgroup(text, buf, size);
}
