/* SPDX-License-Identifier: Apache-2.0 */
/* Databases that run, by the names of their programs, and those that lie in
 * the folders where distributions put them. */
#include "facts/databases.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/clock.h"
#include "base/parse.h"
#include "facts/gather.h"
#include "facts/process.h"

#define DATABASES_MAX 64
/* Folders that patterns may lead to. */
#define EXPANDED_MAX 256
/* Of measuring, for all databases together. */
#define ENTRIES_MAX 200000
#define FOLDERS_MAX 16384
#define MEASURE_MS 2000

#define SMB_MAGIC 0x517BU
#define CIFS_MAGIC 0xFF534D42U
#define SMB2_MAGIC 0xFE534D42U

struct engine {
	const char *kind;
	const char *programs[4]; /* short names (15 characters), or units */
	const char *folders[8];	 /* "*" may be a component */
	const char *markers[4];	 /* one of these is in its data */
};

/* clang-format off */
static const struct engine engines[] = {
	{"postgresql", {"postgres", "postmaster"},
		{"/var/lib/postgresql/*/*", "/var/lib/postgresql/data",
		"/var/lib/pgsql/data", "/var/lib/pgsql/*/data",
		"/var/lib/postgres/data", "/db/postgresql/*/data"},
		{"PG_VERSION"}},
	{"mysql", {"mysqld", "mariadbd"},
		{"/var/lib/mysql", "/db/mysql", "/db/mysql/*/data"},
		{"ibdata1", "mysql", "aria_log_control"}},
	{"mongodb", {"mongod"},
		{"/var/lib/mongodb", "/var/lib/mongo", "/data/db"},
		{"WiredTiger", "storage.bson", "mongod.lock"}},
	{"redis", {"redis-server", "keydb-server"},
		{"/var/lib/redis", "/var/lib/redis/*"},
		{"dump.rdb", "appendonly.aof", "appendonlydir"}},
	{"valkey", {"valkey-server"},
		{"/var/lib/valkey"},
		{"dump.rdb", "appendonly.aof", "appendonlydir"}},
	{"elasticsearch", {"elasticsearch.service"},
		{"/var/lib/elasticsearch"}, {"nodes", "_state", "indices"}},
	{"opensearch", {"opensearch.service"},
		{"/var/lib/opensearch"}, {"nodes", "_state", "indices"}},
	{"cassandra", {"cassandra.service"},
		{"/var/lib/cassandra"}, {"data", "commitlog"}},
	{"couchdb", {"couchdb.service"},
		{"/var/lib/couchdb"}, {"_dbs.couch", "shards"}},
	{"influxdb", {"influxd"},
		{"/var/lib/influxdb"}, {"meta", "data", "engine"}},
	{"clickhouse", {"clickhouse-serv"},
		{"/var/lib/clickhouse"}, {"metadata", "store"}},
	{"neo4j", {"neo4j.service"},
		{"/var/lib/neo4j/data"}, {"databases"}},
	{"etcd", {"etcd"},
		{"/var/lib/etcd", "/var/lib/etcd/*"}, {"member"}},
	{"rabbitmq", {"rabbitmq-server.service"},
		{"/var/lib/rabbitmq"}, {"mnesia"}},
	{"openldap", {"slapd"},
		{"/var/lib/ldap"}, {"data.mdb", "DB_CONFIG"}},
	{"memcached", {"memcached"}, {NULL}, {NULL}},
};
/* clang-format on */

struct database {
	const struct engine *engine;
	char data[512]; /* "": not known */
	uint32_t pid;	/* 0: none found */
	bool container; /* its paths are not the machine's */
};

struct databases {
	struct gather *g;
	struct database v[DATABASES_MAX];
	unsigned n, expanded;
	bool denied, too_many;
	uint32_t entries; /* measured until now */
	uint64_t deadline;
	char pid_space[64]; /* of this program */
};

/* ---- finding them ---- */

static int look_for(struct databases *d, const char *folder, const char *name)
{
	char path[1024];
	CLEANUP_CLOSE int fd = -1;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = gather_open(d->g, path, O_PATH);
	if (fd == -EACCES || fd == -EPERM)
		d->denied = true;
	return fd < 0 ? fd : 0;
}

static bool has_marker(
	struct databases *d, const struct engine *e, const char *folder)
{
	for (unsigned i = 0; i < ARRAY_LEN(e->markers) && e->markers[i]; i++)
		if (look_for(d, folder, e->markers[i]) == 0)
			return true;
	return false;
}

static void add(struct databases *d, const struct database *new)
{
	for (unsigned i = 0; i < d->n; i++) {
		struct database *old = &d->v[i];

		if (old->engine != new->engine ||
			old->container != new->container)
			continue;
		if (new->data[0] && strcmp(old->data, new->data) == 0)
			return;
		/* A folder that a program of this kind, which did not tell
		 * its own, may have. */
		if (!old->container && old->pid && !old->data[0] && !new->pid) {
			(void)snprintf(
				old->data, sizeof(old->data), "%s", new->data);
			return;
		}
		/* Its other processes. */
		if (new->pid && !new->data[0])
			return;
	}
	if (d->n == DATABASES_MAX) {
		if (!d->too_many)
			gather_missing(d->g, "databases",
				"there are more than %d", DATABASES_MAX);
		d->too_many = true;
		return;
	}
	d->v[d->n++] = *new;
}

static const struct engine *engine_of(struct gather *g, uint32_t pid)
{
	char name[PROCESS_TEXT];

	(void)process_program(g, pid, name, sizeof(name));
	/* Programs of these run many things; their unit says which. */
	if (strcmp(name, "java") == 0 || strcmp(name, "beam.smp") == 0)
		(void)process_service(g, pid, name, sizeof(name));
	for (unsigned i = 0; name[0] && i < ARRAY_LEN(engines); i++)
		for (unsigned k = 0; k < ARRAY_LEN(engines[i].programs); k++)
			if (engines[i].programs[k] &&
				strcmp(engines[i].programs[k], name) == 0)
				return &engines[i];
	return NULL;
}

/* The folder that its arguments name. */
static void data_by_arguments(struct gather *g, uint32_t pid, char data[512])
{
	static const char *const options[] = {
		"-D", "--datadir", "--dbpath", "--data-dir", "--path.data"};
	char path[64], text[4096];
	CLEANUP_CLOSE int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%u/cmdline", pid);
	fd = gather_open(g, path, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return;
	text[n] = '\0';
	for (const char *at = text; at < text + n; at += strlen(at) + 1)
		for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
			size_t k = strlen(options[i]);
			const char *value = at + k;

			if (strncmp(at, options[i], k) != 0)
				continue;
			/* "-D dir" and "--datadir=dir" */
			if (*value == '=' || (!*value && value < text + n))
				value++;
			if (*value == '/' && strlen(value) < 512)
				(void)snprintf(data, 512, "%s", value);
		}
}

static void look_at_process(struct databases *d, uint32_t pid)
{
	const struct engine *e = engine_of(d->g, pid);
	struct database new = {.engine = e, .pid = pid};
	char space[64];
	size_t n;

	if (!e)
		return;
	(void)process_link(d->g, pid, "ns/pid", space, sizeof(space));
	if (space[0] && d->pid_space[0] && strcmp(space, d->pid_space) != 0) {
		new.container = true;
		add(d, &new);
		return;
	}
	/* Most of them work in their data. */
	(void)process_link(d->g, pid, "cwd", new.data, sizeof(new.data));
	if (!new.data[0] || !has_marker(d, e, new.data)) {
		new.data[0] = '\0';
		data_by_arguments(d->g, pid, new.data);
	}
	n = strlen(new.data);
	while (n > 1 && new.data[n - 1] == '/')
		new.data[--n] = '\0';
	add(d, &new);
}

struct expansion {
	struct databases *d;
	const struct engine *engine;
	const char *rest; /* behind the star */
};

static void look_at_pattern(
	struct databases *d, const struct engine *engine, const char *pattern);

static void take_name(
	struct gather *g, const char *path, const char *name, void *arg)
{
	struct expansion *x = arg;
	char pattern[512];

	if (x->d->expanded++ < EXPANDED_MAX &&
		!strpbrk(name, "*") && /* would be one more star */
		(size_t)snprintf(pattern, sizeof(pattern), "%s/%s%s", path,
			name, x->rest) < sizeof(pattern))
		look_at_pattern(x->d, x->engine, pattern);
}

/* As deep as the table above has stars in a pattern. */
static void look_at_pattern(
	struct databases *d, const struct engine *engine, const char *pattern)
{
	struct expansion x = {.d = d, .engine = engine};
	struct database new = {.engine = engine};
	const char *star = strstr(pattern, "/*");

	(void)snprintf(new.data, sizeof(new.data), "%.*s",
		(int)(star ? star - pattern : (int)sizeof(new.data) - 1),
		pattern);
	if (star) {
		x.rest = star + 2;
		gather_each(d->g, new.data, take_name, &x);
	} else if (has_marker(d, engine, new.data)) {
		add(d, &new);
	}
}

/* ---- how large ---- */

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

struct walk {
	struct databases *d;
	char *folders[FOLDERS_MAX]; /* still to be walked through */
	unsigned n;
	bool below; /* the outermost may be a symbolic link */
	uint64_t bytes;
	const char *stopped; /* why */
};

static void push(struct walk *w, const char *folder, const char *name)
{
	if (w->n == FOLDERS_MAX)
		w->stopped = "it has too many folders";
	else if (asprintf(&w->folders[w->n], "%s%s%s", folder, name ? "/" : "",
			 name ? name : "") < 0)
		w->d->g->oom = true;
	else
		w->n++;
}

/* A server that is away would hold everything up. */
static bool is_remote(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return true;
	switch ((uint32_t)fs.f_type) {
	case NFS_SUPER_MAGIC:
	case SMB_MAGIC:
	case CIFS_MAGIC:
	case SMB2_MAGIC:
	case FUSE_SUPER_MAGIC:
	case CEPH_SUPER_MAGIC:
	case AFS_SUPER_MAGIC:
	case V9FS_MAGIC:
		return true;
	default:
		return false;
	}
}

static void walk_folder(struct walk *w, const char *folder)
{
	struct databases *d = w->d;
	int fd = gather_open(d->g, folder,
		O_RDONLY | O_DIRECTORY | (w->below ? O_NOFOLLOW : 0));
	CLEANUP(cleanup_dir) DIR *dir = NULL;
	struct dirent *e;
	struct statx st;

	w->below = true;
	if (fd == -EACCES || fd == -EPERM)
		w->stopped = "only root may look into it";
	if (fd >= 0 && is_remote(fd)) {
		w->stopped = "it is on another machine";
		(void)close(fd);
		return;
	}
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (fd >= 0 && !dir)
		(void)close(fd);
	while (dir && !w->stopped && (e = readdir(dir))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (d->entries++ >= ENTRIES_MAX)
			w->stopped = "it has too many files";
		if (d->entries % 64 == 0 && clock_ms() >= d->deadline)
			w->stopped = "that takes too long";
		if (statx(dirfd(dir), e->d_name,
			    AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT |
				    AT_STATX_DONT_SYNC,
			    STATX_TYPE | STATX_BLOCKS, &st) < 0)
			continue;
		if (__builtin_add_overflow(
			    w->bytes, st.stx_blocks * 512, &w->bytes))
			w->bytes = UINT64_MAX;
		if (S_ISDIR(st.stx_mode))
			push(w, folder, e->d_name);
	}
}

static void set_size(struct databases *d, json_t *o, const char *data)
{
	CLEANUP_FREE struct walk *w = calloc(1, sizeof(*w));

	if (!w) {
		d->g->oom = true;
		return;
	}
	w->d = d;
	push(w, data, NULL);
	while (w->n > 0 && !w->stopped) {
		CLEANUP_FREE char *folder = w->folders[--w->n];

		walk_folder(w, folder);
	}
	while (w->n > 0)
		free(w->folders[--w->n]);
	if (w->stopped) {
		gather_missing(
			d->g, "databases.size", "%s: %s", data, w->stopped);
		if (w->bytes > 0)
			gather_set_number(d->g, o, "size_at_least", w->bytes);
	} else {
		gather_set_number(d->g, o, "size", w->bytes);
	}
}

/* ---- what the files tell ---- */

int databases_rdb_version(
	const uint8_t *bytes, size_t n, char *buf, size_t size)
{
	static const char key[] = "\xfa\tredis-ver";
	size_t k = sizeof(key) - 1, length;

	if (n < 9 + k + 1 || memcmp(bytes, "REDIS", 5) != 0 ||
		memcmp(bytes + 9, key, k) != 0)
		return -EBADMSG;
	length = bytes[9 + k];
	/* Lengths from 64 on have another form, and no version is that long. */
	if (length >= 64 || length >= size || length > n - 9 - k - 1)
		return -EBADMSG;
	memcpy(buf, bytes + 9 + k + 1, length);
	buf[length] = '\0';
	return 0;
}

static const char *line_of(struct databases *d, const char *folder,
	const char *name, char *buf, size_t size)
{
	char path[1024];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return gather_line(d->g, path, buf, size);
}

static bool looks_like_version(const char *s)
{
	static const char allowed[] = "0123456789.+~-_"
				      "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t n = strlen(s);

	return s[0] >= '0' && s[0] <= '9' && n <= 40 && strspn(s, allowed) == n;
}

static void set_version(
	struct databases *d, json_t *o, const struct database *b)
{
	const char *kind = b->engine->kind;
	char version[128] = "", path[1024];
	uint8_t head[128];
	ssize_t n;

	if (strcmp(kind, "postgresql") == 0) {
		(void)line_of(
			d, b->data, "PG_VERSION", version, sizeof(version));
	} else if (strcmp(kind, "mysql") == 0) {
		if (!*line_of(d, b->data, "mariadb_upgrade_info", version,
			    sizeof(version)))
			(void)line_of(d, b->data, "mysql_upgrade_info", version,
				sizeof(version));
		if (strstr(version, "MariaDB") ||
			look_for(d, b->data, "aria_log_control") == 0)
			kind = "mariadb";
	} else if (strcmp(kind, "redis") == 0 || strcmp(kind, "valkey") == 0) {
		CLEANUP_CLOSE int fd = -1;

		(void)snprintf(path, sizeof(path), "%s/dump.rdb", b->data);
		fd = gather_open(d->g, path, O_RDONLY);
		n = fd < 0 ? -1 : read(fd, head, sizeof(head));
		if (n > 0)
			(void)!databases_rdb_version(
				head, (size_t)n, version, sizeof(version));
	}
	gather_set(d->g, o, "kind", kind);
	/* The folder may be any user's, and the file a link to what only root
	 * may read. */
	if (looks_like_version(version))
		gather_set(d->g, o, "version", version);
}

/* The least port that its process listens on. */
static bool port_of(struct gather *g, uint32_t pid, uint64_t *ret)
{
	json_t *p;
	size_t i;
	uint64_t least = UINT64_MAX;

	json_array_foreach(json_object_get(g->top, "ports"), i, p)
	{
		json_int_t port =
			json_integer_value(json_object_get(p, "port"));

		if (json_integer_value(json_object_get(p, "pid")) ==
				(json_int_t)pid &&
			port > 0)
			least = MIN(least, (uint64_t)port);
	}
	*ret = least;
	return least != UINT64_MAX;
}

/* postmaster.pid: process, folder, start time, port, … */
static bool port_of_postgres(
	struct databases *d, const struct database *b, uint64_t *ret)
{
	char path[1024], *rest, *line = NULL;
	CLEANUP_FREE char *text = NULL;

	if (strcmp(b->engine->kind, "postgresql") != 0 || !b->data[0])
		return false;
	(void)snprintf(path, sizeof(path), "%s/postmaster.pid", b->data);
	if (gather_read(d->g, path, 4096, &text, NULL) < 0)
		return false;
	rest = text;
	for (int i = 0; i < 4; i++)
		line = gather_next_line(&rest);
	return line && parse_u64(line, ret) == 0 && *ret > 0 && *ret < 65536;
}

static void add_database(
	struct databases *d, json_t *list, const struct database *b)
{
	struct gather *g = d->g;
	json_t *o = gather_object(g);
	char service[PROCESS_TEXT];
	uint64_t port;

	if (b->data[0])
		set_version(d, o, b);
	else
		gather_set(g, o, "kind", b->engine->kind);
	gather_set(g, o, "data", b->data);
	if (b->data[0])
		set_size(d, o, b->data);
	if (b->container)
		gather_set_bool(g, o, "container", true);
	if (b->pid || g->live)
		gather_set_bool(g, o, "running", b->pid != 0);
	if (b->pid) {
		gather_set_number(g, o, "pid", b->pid);
		gather_set(g, o, "service",
			process_service(g, b->pid, service, sizeof(service)));
		if (port_of(g, b->pid, &port) || port_of_postgres(d, b, &port))
			gather_set_number(g, o, "port", port);
	}
	gather_add(g, list, o);
}

void gather_databases(struct gather *g)
{
	CLEANUP_FREE struct databases *d = calloc(1, sizeof(*d));
	json_t *list = gather_list(g);
	CLEANUP_FREE uint32_t *pids = NULL;
	size_t n;

	if (!d) {
		g->oom = true;
		json_decref(list);
		return;
	}
	d->g = g;
	if (g->live)
		(void)process_link(g, (uint32_t)getpid(), "ns/pid",
			d->pid_space, sizeof(d->pid_space));
	pids = process_list(g, &n);
	for (size_t i = 0; i < n; i++)
		look_at_process(d, pids[i]);
	for (unsigned i = 0; i < ARRAY_LEN(engines); i++)
		for (unsigned k = 0; k < ARRAY_LEN(engines[i].folders) &&
				     engines[i].folders[k];
			k++)
			look_at_pattern(d, &engines[i], engines[i].folders[k]);
	if (d->denied)
		gather_missing(g, "databases",
			"only root may look into all data folders");
	d->deadline = clock_ms() + MEASURE_MS;
	for (unsigned i = 0; i < d->n; i++)
		add_database(d, list, &d->v[i]);
	gather_set_json(g, g->top, "databases", list);
}
