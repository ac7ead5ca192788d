/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"

struct store {
	sqlite3 *db;
	char folder[3900];
	int lock_fd;
};

#define APPLICATION_ID 0x72687374 /* "rhst" */
#define VERSION 2
#define BUSY_MS 10000
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS moves("
	" name TEXT PRIMARY KEY,"
	" state TEXT NOT NULL CHECK(state IN('running','paused','failed',"
	"  'rolled-back','done','confirmed')),"
	" live TEXT NOT NULL CHECK(live IN('source','target','none')),"
	" phase TEXT NOT NULL,"
	" phase_done INTEGER NOT NULL CHECK(phase_done IN(0,1)),"
	" options TEXT NOT NULL,"
	" report TEXT NOT NULL,"
	" progress TEXT,"
	" key BLOB NOT NULL CHECK(length(key)=32),"
	" secret BLOB NOT NULL CHECK(length(secret)=192),"
	" created TEXT NOT NULL,"
	" updated TEXT NOT NULL"
	") STRICT;"
	"CREATE TABLE IF NOT EXISTS blobs("
	" move TEXT NOT NULL REFERENCES moves(name) ON DELETE CASCADE,"
	" key TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY(move,key)"
	") STRICT;"
	"CREATE TABLE IF NOT EXISTS requests("
	" id INTEGER PRIMARY KEY,"
	" move TEXT NOT NULL REFERENCES moves(name) ON DELETE CASCADE,"
	" what TEXT NOT NULL CHECK(what IN('cutover','pause','abort',"
	" 'rehearse'))"
	") STRICT;"
	"PRAGMA application_id=" TEXT(
		APPLICATION_ID) ";"
				"PRAGMA user_version=" TEXT(VERSION) ";";

static int sql_error(struct store *s, const char *what, struct error *err)
{
	error_set(err, -EIO, "%s", what);
	return error_why(err, "%s", sqlite3_errmsg(s->db));
}

static int run(struct store *s, const char *sql, struct error *err)
{
	if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return sql_error(s, "use the store", err);
	return 0;
}

static int make_folder(char *path, struct error *err)
{
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST) {
			*p = '/';
			return error_set(err, -errno, "make %s", path);
		}
		*p = '/';
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_set(err, -errno, "make %s", path);
	return 0;
}

static int find_folder(char *buf, size_t size, struct error *err)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	struct passwd *pw;
	int n;

	if (state && state[0] == '/') {
		n = snprintf(buf, size, "%s/rehost", state);
	} else {
		if (!home || home[0] != '/') {
			pw = getpwuid(getuid());
			home = pw ? pw->pw_dir : "/root";
		}
		n = snprintf(buf, size, "%s/.local/state/rehost", home);
	}
	if (n < 0 || (size_t)n >= size)
		return error_set(err, -ENAMETOOLONG, "find the store");
	return 0;
}

static int pragma(struct store *s, const char *sql, int64_t *ret)
{
	sqlite3_stmt *q = NULL;
	int r = sqlite3_prepare_v2(s->db, sql, -1, &q, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_step(q);
	if (r == SQLITE_ROW)
		*ret = sqlite3_column_int64(q, 0);
	(void)sqlite3_finalize(q);
	return r == SQLITE_ROW ? 0 : -EIO;
}

/* Is it new or ours, and not of a later rehost? */
static int check_version(struct store *s, const char *path, struct error *err)
{
	int64_t id, version;

	if (pragma(s, "PRAGMA application_id", &id) < 0 ||
		pragma(s, "PRAGMA user_version", &version) < 0)
		return sql_error(s, "use the store", err);
	if (id == (id ? APPLICATION_ID : 0) && version <= VERSION)
		return 0;
	error_set(err, -EPROTO, "use %s", path);
	return error_why(err,
		version > VERSION ? "it is of a later version of rehost"
				  : "it is the database of another program");
}

/* SQLite does not wait by itself when two processes switch a new store. */
static int use_wal(struct store *s, struct error *err)
{
	uint64_t end = clock_ms() + BUSY_MS;
	int r;

	for (;;) {
		r = run(s, "PRAGMA journal_mode=WAL", err);
		if (r == 0 || (sqlite3_errcode(s->db) & 0xff) != SQLITE_BUSY ||
			clock_ms() > end)
			return r;
		clock_sleep_ms(20);
	}
}

/* Until version 2 there were fewer kinds of requests. They are of the moment:
 * their table is made anew. */
static int make_tables(struct store *s, struct error *err)
{
	struct error ignored;
	int64_t version;
	int r = run(s, "BEGIN IMMEDIATE", err);

	if (r < 0)
		return r;
	if (pragma(s, "PRAGMA user_version", &version) < 0)
		r = sql_error(s, "use the store", err);
	if (r == 0 && version < 2)
		r = run(s, "DROP TABLE IF EXISTS requests", err);
	if (r == 0)
		r = run(s, schema, err);
	if (r == 0)
		r = run(s, "COMMIT", err);
	if (r < 0)
		(void)run(s, "ROLLBACK", &ignored);
	return r;
}

int store_open(struct store **ret, struct error *err)
{
	struct store *s = calloc(1, sizeof(*s));
	char path[4096];
	int r;

	if (!s)
		return error_set(err, -ENOMEM, "open the store");
	s->lock_fd = -1;
	r = find_folder(s->folder, sizeof(s->folder), err);
	if (r == 0)
		r = make_folder(s->folder, err);
	if (r < 0) {
		free(s);
		return r;
	}
	(void)snprintf(path, sizeof(path), "%s/rehost.db", s->folder);
	if (sqlite3_open_v2(path, &s->db,
		    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
			    SQLITE_OPEN_EXRESCODE,
		    NULL) != SQLITE_OK) {
		error_set(err, -EIO, "open %s", path);
		error_why(err, "%s",
			s->db ? sqlite3_errmsg(s->db) : "out of memory");
		store_close(s);
		return err ? err->code : -EIO;
	}
	(void)chmod(path, 0600);
	(void)sqlite3_busy_timeout(s->db, BUSY_MS);
	(void)sqlite3_db_config(
		s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
	(void)sqlite3_db_config(
		s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
	r = check_version(s, path, err);
	if (r < 0) {
		store_close(s);
		return r;
	}
	r = use_wal(s, err);
	if (r == 0)
		r = run(s, "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
			err);
	if (r == 0)
		r = make_tables(s, err);
	if (r < 0) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	store_unlock(s);
	(void)sqlite3_close(s->db);
	free(s);
}

const char *store_folder(const struct store *s)
{
	return s->folder;
}

/* ---- locks ---- */

static int open_lock(const struct store *s, const char *name)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%s.lock", s->folder, name);
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

int store_lock(struct store *s, const char *name, struct error *err)
{
	CLEANUP_CLOSE int fd = -1;

	if (!parse_is_name(name))
		return error_set(err, -EINVAL, "use the name %s", name);
	fd = open_lock(s, name);
	if (fd < 0)
		return error_set(err, -errno, "lock %s", name);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		error_set(err, -EBUSY, "control %s", name);
		error_why(err, "another rehost process controls it now");
		return error_todo(err, "see: rehost status %s", name);
	}
	store_unlock(s);
	s->lock_fd = STEAL_FD(fd);
	return 0;
}

void store_unlock(struct store *s)
{
	if (s->lock_fd >= 0)
		(void)close(STEAL_FD(s->lock_fd));
}

static bool is_locked(const struct store *s, const char *name)
{
	CLEANUP_CLOSE int fd = open_lock(s, name);

	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;
}

/* ---- rows ---- */

void store_row_done(struct store_row *r)
{
	free(r->options);
	free(r->report);
	free(r->progress);
	memset(r, 0, sizeof(*r));
}

static sqlite3_stmt *prepare(
	struct store *s, const char *sql, struct error *err)
{
	sqlite3_stmt *q = NULL;

	if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK)
		(void)sql_error(s, "use the store", err);
	return q;
}

/* Runs a statement to its end and frees it. */
static int finish(struct store *s, sqlite3_stmt *q, struct error *err)
{
	int r = sqlite3_step(q);

	if (r != SQLITE_DONE && r != SQLITE_ROW)
		(void)sql_error(s, "write to the store", err);
	(void)sqlite3_finalize(q);
	return r == SQLITE_DONE || r == SQLITE_ROW ? 0 : -EIO;
}

/* The same; with the journal in WAL mode a write that is not durable is safe
 * from everything but a power cut. */
static int finish_as(
	struct store *s, sqlite3_stmt *q, bool durable, struct error *err)
{
	int r;

	if (!durable)
		(void)run(s, "PRAGMA synchronous=NORMAL", NULL);
	r = finish(s, q, err);
	if (!durable)
		(void)run(s, "PRAGMA synchronous=FULL", NULL);
	return r;
}

static void bind_text(sqlite3_stmt *q, int i, const char *text)
{
	(void)sqlite3_bind_text(q, i, text, -1, SQLITE_TRANSIENT);
}

static void column(sqlite3_stmt *q, int i, char *buf, size_t size)
{
	const char *t = (const char *)sqlite3_column_text(q, i);

	(void)snprintf(buf, size, "%s", t ? t : "");
}

static char *column_dup(sqlite3_stmt *q, int i, const char *missing)
{
	const char *t = (const char *)sqlite3_column_text(q, i);

	t = t ? t : missing;
	return t ? strdup(t) : NULL;
}

#define COLUMNS                                                                \
	"name,state,live,phase,phase_done,options,report,progress,key,"        \
	"secret,created,updated"

static void read_row(struct store *s, sqlite3_stmt *q, struct store_row *r)
{
	memset(r, 0, sizeof(*r));
	column(q, 0, r->name, sizeof(r->name));
	column(q, 1, r->state, sizeof(r->state));
	column(q, 2, r->live, sizeof(r->live));
	column(q, 3, r->phase, sizeof(r->phase));
	r->phase_done = sqlite3_column_int(q, 4) != 0;
	r->options = column_dup(q, 5, "");
	r->report = column_dup(q, 6, "");
	r->progress = column_dup(q, 7, NULL);
	if (sqlite3_column_bytes(q, 8) == sizeof(r->key))
		memcpy(r->key, sqlite3_column_blob(q, 8), sizeof(r->key));
	if (sqlite3_column_bytes(q, 9) == sizeof(r->secret))
		memcpy(r->secret, sqlite3_column_blob(q, 9), sizeof(r->secret));
	column(q, 10, r->created, sizeof(r->created));
	column(q, 11, r->updated, sizeof(r->updated));
	r->controlled = parse_is_name(r->name) && is_locked(s, r->name);
}

int store_create(
	struct store *s, const struct store_row *row, struct error *err)
{
	char now[CLOCK_TEXT_SIZE];
	sqlite3_stmt *q;
	int changes;

	clock_text(now);
	/* A move that is over makes room for a new one of the same name. */
	q = prepare(s,
		"DELETE FROM moves WHERE name=?1 AND"
		" (state='confirmed' OR (live='source' AND"
		"  state IN('failed','rolled-back','done')))",
		err);
	if (!q)
		return -EIO;
	bind_text(q, 1, row->name);
	if (finish(s, q, err) < 0)
		return -EIO;
	q = prepare(s,
		"INSERT OR IGNORE INTO moves(" COLUMNS ")"
		" VALUES(?1,?2,?3,?4,?5,?6,?7,NULL,?8,?9,?10,?10)",
		err);
	if (!q)
		return -EIO;
	bind_text(q, 1, row->name);
	bind_text(q, 2, row->state);
	bind_text(q, 3, row->live);
	bind_text(q, 4, row->phase);
	(void)sqlite3_bind_int(q, 5, row->phase_done);
	bind_text(q, 6, row->options);
	bind_text(q, 7, row->report);
	(void)sqlite3_bind_blob(
		q, 8, row->key, sizeof(row->key), SQLITE_TRANSIENT);
	(void)sqlite3_bind_blob(
		q, 9, row->secret, sizeof(row->secret), SQLITE_TRANSIENT);
	bind_text(q, 10, now);
	if (finish(s, q, err) < 0)
		return -EIO;
	changes = sqlite3_changes(s->db);
	if (changes == 0) {
		error_set(err, -EEXIST, "begin %s", row->name);
		error_why(err, "there is a move of this name that is not over");
		return error_todo(err,
			"rehost resume %s, abort it, confirm it, or choose "
			"another --name",
			row->name);
	}
	return 0;
}

int store_get(struct store *s, const char *name, struct store_row *ret,
	struct error *err)
{
	struct store_row row;
	sqlite3_stmt *q;
	int n = 0, r;

	q = prepare(s,
		name ? "SELECT " COLUMNS " FROM moves WHERE name=?1"
		     : "SELECT " COLUMNS " FROM moves WHERE"
		       " state IN('running','paused','failed','done')"
		       " AND NOT (state IN('failed','done') AND live='source')"
		       " ORDER BY created",
		err);
	if (!q)
		return -EIO;
	if (name)
		bind_text(q, 1, name);
	memset(&row, 0, sizeof(row));
	while ((r = sqlite3_step(q)) == SQLITE_ROW)
		if (n++ == 0)
			read_row(s, q, &row);
	if (r != SQLITE_DONE) {
		(void)sql_error(s, "read the store", err);
		n = -1;
	}
	(void)sqlite3_finalize(q);
	if (n == 1) {
		*ret = row;
		return 0;
	}
	store_row_done(&row);
	if (n < 0)
		return -EIO;
	if (n == 0) {
		if (name) {
			error_set(err, -ENOENT, "find the move %s", name);
			error_why(err, "there is none of that name");
		} else {
			error_set(err, -ENOENT, "find a move");
			error_why(err, "none is open");
		}
		return error_todo(err, "see: rehost list");
	}
	error_set(err, -E2BIG, "choose a move");
	error_why(err, "%d are open", n);
	return error_todo(err, "name one of those that rehost list shows");
}

int store_each(struct store *s,
	int (*fn)(void *arg, const struct store_row *row), void *arg,
	struct error *err)
{
	sqlite3_stmt *q = prepare(
		s, "SELECT " COLUMNS " FROM moves ORDER BY created DESC", err);
	int r, e = 0;

	if (!q)
		return -EIO;
	while (e >= 0 && (r = sqlite3_step(q)) == SQLITE_ROW) {
		struct store_row row;

		read_row(s, q, &row);
		e = fn(arg, &row);
		store_row_done(&row);
	}
	if (e >= 0 && r != SQLITE_DONE)
		e = sql_error(s, "read the store", err);
	(void)sqlite3_finalize(q);
	return e < 0 ? e : 0;
}

int store_save(struct store *s, const struct store_row *row, bool durable,
	struct error *err)
{
	char now[CLOCK_TEXT_SIZE];
	sqlite3_stmt *q = prepare(s,
		"UPDATE moves SET state=?2,live=?3,phase=?4,phase_done=?5,"
		"report=?6,options=?7,updated=?8 WHERE name=?1",
		err);

	if (!q)
		return -EIO;
	clock_text(now);
	bind_text(q, 1, row->name);
	bind_text(q, 2, row->state);
	bind_text(q, 3, row->live);
	bind_text(q, 4, row->phase);
	(void)sqlite3_bind_int(q, 5, row->phase_done);
	bind_text(q, 6, row->report);
	bind_text(q, 7, row->options);
	bind_text(q, 8, now);
	return finish_as(s, q, durable, err);
}

int store_progress(
	struct store *s, const char *name, const char *json, struct error *err)
{
	sqlite3_stmt *q;

	q = prepare(s, "UPDATE moves SET progress=?2 WHERE name=?1", err);
	if (!q)
		return -EIO;
	bind_text(q, 1, name);
	bind_text(q, 2, json);
	return finish_as(s, q, false, err);
}

int store_put_blob(struct store *s, const char *name, const char *key,
	const void *data, uint32_t n, struct error *err)
{
	sqlite3_stmt *q = prepare(s,
		"INSERT OR REPLACE INTO blobs(move,key,data) VALUES(?1,?2,?3)",
		err);

	if (!q)
		return -EIO;
	bind_text(q, 1, name);
	bind_text(q, 2, key);
	(void)sqlite3_bind_blob(q, 3, data, (int)n, SQLITE_TRANSIENT);
	return finish(s, q, err);
}

int store_get_blob(struct store *s, const char *name, const char *key,
	void **ret, uint32_t *ret_n, struct error *err)
{
	sqlite3_stmt *q = prepare(
		s, "SELECT data FROM blobs WHERE move=?1 AND key=?2", err);
	void *copy = NULL;
	int n = 0, r;

	if (!q)
		return -EIO;
	bind_text(q, 1, name);
	bind_text(q, 2, key);
	r = sqlite3_step(q);
	if (r == SQLITE_ROW) {
		n = sqlite3_column_bytes(q, 0);
		copy = malloc((size_t)n + 1);
		if (copy && n > 0)
			memcpy(copy, sqlite3_column_blob(q, 0), (size_t)n);
	}
	(void)sqlite3_finalize(q);
	if (r == SQLITE_DONE)
		return error_set(err, -ENOENT, "find %s of %s", key, name);
	if (r != SQLITE_ROW)
		return sql_error(s, "read the store", err);
	if (!copy)
		return error_set(err, -ENOMEM, "read the store");
	*ret = copy;
	*ret_n = (uint32_t)n;
	return 0;
}

int store_request(
	struct store *s, const char *name, const char *what, struct error *err)
{
	sqlite3_stmt *q = prepare(
		s, "INSERT INTO requests(move,what) VALUES(?1,?2)", err);

	if (!q)
		return -EIO;
	bind_text(q, 1, name);
	bind_text(q, 2, what);
	return finish(s, q, err);
}

int store_take_request(
	struct store *s, const char *name, char what[32], struct error *err)
{
	sqlite3_stmt *q = prepare(s,
		"SELECT id,what FROM requests WHERE move=?1 ORDER BY id"
		" LIMIT 1",
		err);
	int64_t id = -1;

	if (!q)
		return -EIO;
	what[0] = '\0';
	bind_text(q, 1, name);
	if (sqlite3_step(q) == SQLITE_ROW) {
		id = sqlite3_column_int64(q, 0);
		column(q, 1, what, 32);
	}
	(void)sqlite3_finalize(q);
	if (id < 0)
		return 0;
	q = prepare(s, "DELETE FROM requests WHERE id=?1", err);
	if (!q)
		return -EIO;
	(void)sqlite3_bind_int64(q, 1, id);
	return finish(s, q, err);
}

int store_remove(struct store *s, const char *name, struct error *err)
{
	sqlite3_stmt *q = prepare(s, "DELETE FROM moves WHERE name=?1", err);

	if (!q)
		return -EIO;
	bind_text(q, 1, name);
	return finish(s, q, err);
}
