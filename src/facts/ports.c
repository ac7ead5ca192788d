/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/ports.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "facts/gather.h"
#include "facts/process.h"

/* Bytes of one table: some 7000 sockets. */
#define TABLE_MAX (1U << 20)
#define SOCKETS_MAX 4096
/* Descriptors of all processes that are looked at. */
#define DESCRIPTORS_MAX 60000

struct listener {
	struct ports_socket s;
	bool tcp;
	uint32_t pid; /* 0: not known */
};

struct ports {
	struct gather *g;
	struct listener *v; /* by inode, later by port */
	size_t n, owned;
	uint32_t descriptors;
	bool denied;
};

/* ---- the tables ---- */

/* Exactly n hexadecimal digits. */
static int hex(const char *s, size_t n, uint32_t *ret)
{
	uint32_t v = 0;

	for (size_t i = 0; i < n; i++) {
		char c = s[i] >= 'A' && s[i] <= 'F' ? (char)(s[i] | 32) : s[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint32_t)(c - 'a' + 10);
		else
			return -EBADMSG;
	}
	*ret = v;
	return 0;
}

/* "0100007F:0016": words of the address as the machine has them in memory, and
 * the port. */
static int get_end(
	const char *s, int family, uint8_t address[16], uint16_t *ret_port)
{
	size_t words = family == AF_INET6 ? 4 : 1;
	uint32_t v;

	if (!s || strlen(s) != 8 * words + 5 || s[8 * words] != ':')
		return -EBADMSG;
	for (size_t i = 0; i < words; i++) {
		if (hex(s + 8 * i, 8, &v) < 0)
			return -EBADMSG;
		memcpy(address + 4 * i, &v, 4);
	}
	if (hex(s + 8 * words + 1, 4, &v) < 0)
		return -EBADMSG;
	*ret_port = (uint16_t)v;
	return 0;
}

int ports_parse(char *line, int family, struct ports_socket *ret)
{
	struct ports_socket s = {.family = family};
	uint8_t other[16];
	char *word;

	(void)gather_next_word(&line); /* "0:" */
	if (get_end(gather_next_word(&line), family, s.address, &s.port) < 0 ||
		get_end(gather_next_word(&line), family, other, &s.remote) < 0)
		return -EBADMSG;
	word = gather_next_word(&line);
	if (!word || strlen(word) != 2 || hex(word, 2, &s.state) < 0)
		return -EBADMSG;
	/* Queues, timer, retransmissions, user, timeout. */
	for (int i = 0; i < 5; i++)
		(void)gather_next_word(&line);
	word = gather_next_word(&line);
	if (!word || parse_u64(word, &s.inode) < 0)
		return -EBADMSG;
	*ret = s;
	return 0;
}

/* As much of a table as is wanted: what listens comes first in it, and a busy
 * machine has many connections. */
static char *read_table(struct gather *g, const char *path, bool *ret_cut)
{
	CLEANUP_CLOSE int fd = gather_open(g, path, O_RDONLY);
	CLEANUP_FREE char *buf = fd < 0 ? NULL : malloc(TABLE_MAX + 1);
	size_t n = 0;

	*ret_cut = false;
	if (fd == -EACCES || fd == -EPERM)
		gather_missing(g, path, "%s", strerror(-fd));
	if (fd >= 0 && !buf)
		g->oom = true;
	while (buf && n < TABLE_MAX) {
		ssize_t r = read(fd, buf + n, TABLE_MAX - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	if (!buf)
		return NULL;
	buf[n] = '\0';
	if (n == TABLE_MAX) {
		char *end = strrchr(buf, '\n');

		*ret_cut = true;
		if (end)
			*end = '\0';
	}
	return STEAL_PTR(buf);
}

static bool is_known(const struct ports *p, const struct listener *l)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].tcp == l->tcp && p->v[i].s.port == l->s.port &&
			p->v[i].s.family == l->s.family &&
			memcmp(p->v[i].s.address, l->s.address, 16) == 0)
			return true;
	return false;
}

static void read_sockets(
	struct ports *p, const char *path, bool tcp, int family)
{
	bool cut, others = false;
	CLEANUP_FREE char *text = read_table(p->g, path, &cut);
	char *rest = text, *line;

	while (text && (line = gather_next_line(&rest))) {
		struct listener l = {.tcp = tcp};

		if (ports_parse(line, family, &l.s) < 0)
			continue;
		others = l.s.state != TCP_LISTEN;
		if (tcp ? others : l.s.state != TCP_CLOSE || l.s.remote != 0)
			continue;
		/* Several sockets may share one port (SO_REUSEPORT). */
		if (is_known(p, &l))
			continue;
		if (p->n == SOCKETS_MAX) {
			gather_missing(p->g, "ports",
				"more than %d sockets listen", SOCKETS_MAX);
			return;
		}
		p->v[p->n++] = l;
	}
	if (cut && !(tcp && others))
		gather_missing(p->g, "ports", "%s is longer than %u bytes",
			path, TABLE_MAX);
}

/* ---- who listens ---- */

static int by_inode(const void *a, const void *b)
{
	const struct listener *x = a, *y = b;

	return (x->s.inode > y->s.inode) - (x->s.inode < y->s.inode);
}

static int by_port(const void *a, const void *b)
{
	const struct listener *x = a, *y = b;

	if (x->tcp != y->tcp)
		return x->tcp ? -1 : 1;
	if (x->s.port != y->s.port)
		return x->s.port < y->s.port ? -1 : 1;
	if (x->s.family != y->s.family)
		return x->s.family < y->s.family ? -1 : 1;
	return memcmp(x->s.address, y->s.address, 16);
}

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

static void look_at_descriptor(
	struct ports *p, int dir, const char *name, uint32_t pid)
{
	char target[64];
	struct listener key = {0}, *l;
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	/* socket:[12345] */
	if (n < 10 || memcmp(target, "socket:[", 8) != 0 ||
		target[n - 1] != ']')
		return;
	target[n - 1] = '\0';
	if (parse_u64(target + 8, &key.s.inode) < 0)
		return;
	l = bsearch(&key, p->v, p->n, sizeof(key), by_inode);
	if (l && l->pid == 0) {
		l->pid = pid;
		p->owned++;
	}
}

/* False when no more may be looked at. */
static bool look_at_process(struct ports *p, uint32_t pid)
{
	char path[64];
	int fd;
	CLEANUP(cleanup_dir) DIR *dir = NULL;
	struct dirent *e;

	(void)snprintf(path, sizeof(path), "/proc/%u/fd", pid);
	fd = gather_open(p->g, path, O_RDONLY | O_DIRECTORY);
	if (fd == -EACCES || fd == -EPERM)
		p->denied = true;
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (fd >= 0 && !dir)
		(void)close(fd);
	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		if (p->descriptors++ == DESCRIPTORS_MAX) {
			gather_missing(p->g, "ports.program",
				"processes have more than %d files open",
				DESCRIPTORS_MAX);
			return false;
		}
		look_at_descriptor(p, dirfd(dir), e->d_name, pid);
	}
	return true;
}

static void find_owners(struct ports *p)
{
	size_t n;
	CLEANUP_FREE uint32_t *pids = process_list(p->g, &n);

	qsort(p->v, p->n, sizeof(*p->v), by_inode);
	for (size_t i = 0; i < n && p->owned < p->n; i++)
		if (!look_at_process(p, pids[i]))
			return;
	/* With hidepid the processes of others are not even there. */
	if ((p->denied || geteuid() != 0) && p->owned < p->n)
		gather_missing(p->g, "ports.program",
			"only root may see what all processes have open");
}

/* ---- all of it ---- */

static void add_port(struct ports *p, json_t *list, const struct listener *l)
{
	struct gather *g = p->g;
	json_t *o = gather_object(g);
	char text[PROCESS_TEXT] = "";
	int64_t started;

	gather_set(g, o, "protocol", l->tcp ? "tcp" : "udp");
	(void)inet_ntop(l->s.family, l->s.address, text, sizeof(text));
	gather_set(g, o, "address", text);
	gather_set_number(g, o, "port", l->s.port);
	if (l->pid > 0) {
		gather_set(g, o, "program",
			process_program(g, l->pid, text, sizeof(text)));
		gather_set(g, o, "executable",
			process_link(g, l->pid, "exe", text, sizeof(text)));
		gather_set_number(g, o, "pid", l->pid);
		gather_set(g, o, "service",
			process_service(g, l->pid, text, sizeof(text)));
		started = process_started(g, l->pid);
		if (started >= 0)
			gather_set_number(g, o, "started", (uint64_t)started);
	}
	gather_add(g, list, o);
}

void gather_ports(struct gather *g)
{
	struct ports p = {.g = g};
	CLEANUP_FREE struct listener *v = calloc(SOCKETS_MAX, sizeof(*v));
	json_t *list = gather_list(g);

	p.v = v;
	if (!v) {
		g->oom = true;
		json_decref(list);
		return;
	}
	read_sockets(&p, "/proc/net/tcp", true, AF_INET);
	read_sockets(&p, "/proc/net/tcp6", true, AF_INET6);
	read_sockets(&p, "/proc/net/udp", false, AF_INET);
	read_sockets(&p, "/proc/net/udp6", false, AF_INET6);
	find_owners(&p);
	qsort(p.v, p.n, sizeof(*p.v), by_port);
	for (size_t i = 0; i < p.n; i++)
		add_port(&p, list, &p.v[i]);
	gather_set_json(g, g->top, "ports", list);
}
