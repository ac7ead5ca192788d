/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "store/store.h"

static char folder[] = "/tmp/rehost-store-XXXXXX";
static struct store *s;
static struct error err;

static void command(const char *format, const char *arg)
{
	char text[600];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)snprintf(text, sizeof(text), format, arg);
#pragma GCC diagnostic pop
	assert_int_equal(system(text), 0);
}

static int open_fresh(void **state)
{
	command("rm -rf '%s/rehost'", folder);
	return store_open(&s, &err);
}

static int close_it(void **state)
{
	store_close(s);
	s = NULL;
	return 0;
}

static struct store_row row(const char *name)
{
	static char options[] = "{\"a\":1}", report[] = "{}";
	struct store_row r = {.options = options, .report = report};

	(void)snprintf(r.name, sizeof(r.name), "%s", name);
	strcpy(r.state, "running");
	strcpy(r.live, "source");
	strcpy(r.phase, "plan");
	memset(r.key, 0x11, sizeof(r.key));
	memset(r.secret, 0x22, sizeof(r.secret));
	return r;
}

static void test_rows(void **state)
{
	struct store_row r = row("one"), got;
	struct stat st;

	assert_int_equal(store_get(s, "one", &got, &err), -ENOENT);
	assert_int_equal(store_get(s, NULL, &got, &err), -ENOENT);
	assert_true(err.todo[0]);
	assert_int_equal(store_create(s, &r, &err), 0);
	assert_int_equal(store_get(s, "one", &got, &err), 0);
	assert_string_equal(got.name, "one");
	assert_string_equal(got.state, "running");
	assert_string_equal(got.live, "source");
	assert_string_equal(got.phase, "plan");
	assert_false(got.phase_done);
	assert_string_equal(got.options, "{\"a\":1}");
	assert_string_equal(got.report, "{}");
	assert_null(got.progress);
	assert_memory_equal(got.key, r.key, sizeof(r.key));
	assert_memory_equal(got.secret, r.secret, sizeof(r.secret));
	assert_true(got.created[0] && got.updated[0]);
	assert_false(got.controlled);
	store_row_done(&got);

	strcpy(r.phase, "seed");
	strcpy(r.live, "none");
	r.phase_done = true;
	r.report = "{\"b\":\"it's \xe2\x82\xac\"}";
	assert_int_equal(store_save(s, &r, true, &err), 0);
	assert_int_equal(store_progress(s, "one", "{\"p\":1}", &err), 0);
	close_it(NULL);
	assert_int_equal(store_open(&s, &err), 0);
	assert_int_equal(store_get(s, NULL, &got, &err), 0);
	assert_string_equal(got.phase, "seed");
	assert_string_equal(got.live, "none");
	assert_true(got.phase_done);
	assert_string_equal(got.report, r.report);
	assert_string_equal(got.progress, "{\"p\":1}");
	store_row_done(&got);
	/* What it may not say. */
	strcpy(r.state, "flying");
	assert_true(store_save(s, &r, true, &err) < 0);
	strcpy(r.state, "running");
	strcpy(r.live, "both");
	assert_true(store_save(s, &r, false, &err) < 0);
	assert_int_equal(store_get(s, "one", &got, &err), 0);
	assert_string_equal(got.live, "none");
	store_row_done(&got);
	/* It holds keys: for nobody else. */
	assert_int_equal(stat(store_folder(s), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(store_remove(s, "one", &err), 0);
	assert_int_equal(store_get(s, "one", &got, &err), -ENOENT);
}

/* Names that mean something elsewhere are just names here. */
static void test_names(void **state)
{
	const char *names[] = {
		"a'; DROP TABLE moves;--", "../../etc", "a\"b", "%s%n"};
	struct store_row r, got;

	for (size_t i = 0; i < 4; i++) {
		r = row(names[i]);
		assert_int_equal(store_create(s, &r, &err), 0);
		assert_int_equal(store_get(s, names[i], &got, &err), 0);
		assert_string_equal(got.name, names[i]);
		assert_false(got.controlled);
		store_row_done(&got);
		assert_int_equal(store_lock(s, names[i], &err), -EINVAL);
	}
	assert_int_equal(store_get(s, NULL, &got, &err), -E2BIG);
	assert_non_null(strstr(err.why, "4"));
}

static void test_taken(void **state)
{
	static const struct {
		const char *state, *live;
		int result;
	} cases[] = {
		{"running", "source", -EEXIST},
		{"paused", "source", -EEXIST},
		{"running", "none", -EEXIST},
		{"running", "target", -EEXIST},
		{"failed", "none", -EEXIST},
		{"failed", "target", -EEXIST},
		{"done", "target", -EEXIST},
		{"failed", "source", 0},
		{"rolled-back", "source", 0},
		{"done", "source", 0},
		{"confirmed", "target", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_row r = row("one");
		void *blob;
		uint32_t n;

		assert_int_equal(store_remove(s, "one", &err), 0);
		strcpy(r.state, cases[i].state);
		strcpy(r.live, cases[i].live);
		assert_int_equal(store_create(s, &r, &err), 0);
		assert_int_equal(
			store_put_blob(s, "one", "old", "abc", 3, &err), 0);
		r = row("one");
		assert_int_equal(store_create(s, &r, &err), cases[i].result);
		if (cases[i].result) {
			assert_true(err.todo[0]);
			continue;
		}
		/* Nothing of the old one is left. */
		assert_int_equal(
			store_get_blob(s, "one", "old", &blob, &n, &err),
			-ENOENT);
	}
}

static void test_blobs(void **state)
{
	struct store_row r = row("one");
	uint8_t *big = malloc(1 << 20);
	void *got;
	uint32_t n;

	assert_non_null(big);
	memset(big, 0x5a, 1 << 20);
	assert_true(store_put_blob(s, "one", "k", "abc", 3, &err) < 0);
	assert_int_equal(store_create(s, &r, &err), 0);
	assert_int_equal(store_put_blob(s, "one", "k", "a\0c", 3, &err), 0);
	assert_int_equal(store_get_blob(s, "one", "k", &got, &n, &err), 0);
	assert_int_equal(n, 3);
	assert_memory_equal(got, "a\0c", 3);
	free(got);
	assert_int_equal(store_put_blob(s, "one", "k", big, 1 << 20, &err), 0);
	assert_int_equal(store_get_blob(s, "one", "k", &got, &n, &err), 0);
	assert_int_equal(n, 1 << 20);
	assert_memory_equal(got, big, 1 << 20);
	free(got);
	assert_int_equal(store_put_blob(s, "one", "none", "", 0, &err), 0);
	assert_int_equal(store_get_blob(s, "one", "none", &got, &n, &err), 0);
	assert_int_equal(n, 0);
	free(got);
	assert_int_equal(
		store_get_blob(s, "one", "other", &got, &n, &err), -ENOENT);
	assert_int_equal(
		store_get_blob(s, "two", "k", &got, &n, &err), -ENOENT);
	free(big);
}

static void test_requests(void **state)
{
	struct store_row r = row("one");
	char what[32];

	assert_true(store_request(s, "one", "cutover", &err) < 0);
	assert_int_equal(store_create(s, &r, &err), 0);
	assert_int_equal(store_take_request(s, "one", what, &err), 0);
	assert_string_equal(what, "");
	assert_int_equal(store_request(s, "one", "pause", &err), 0);
	assert_int_equal(store_request(s, "one", "cutover", &err), 0);
	assert_true(store_request(s, "one", "explode", &err) < 0);
	assert_int_equal(store_take_request(s, "two", what, &err), 0);
	assert_string_equal(what, "");
	assert_int_equal(store_take_request(s, "one", what, &err), 0);
	assert_string_equal(what, "pause");
	assert_int_equal(store_take_request(s, "one", what, &err), 0);
	assert_string_equal(what, "cutover");
	assert_int_equal(store_take_request(s, "one", what, &err), 0);
	assert_string_equal(what, "");
}

/* One process controls a move; what it leaves is free when it is gone. */
static void test_locks(void **state)
{
	struct store_row r = row("one"), got;
	struct store *other;
	int p[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(store_create(s, &r, &err), 0);
	assert_int_equal(pipe(p), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (store_open(&other, NULL) < 0 ||
			store_lock(other, "one", NULL) < 0 ||
			write(p[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	(void)close(p[1]);
	assert_int_equal(read(p[0], &byte, 1), 1);
	assert_int_equal(store_lock(s, "one", &err), -EBUSY);
	assert_true(err.todo[0]);
	assert_int_equal(store_get(s, "one", &got, &err), 0);
	assert_true(got.controlled);
	store_row_done(&got);
	assert_int_equal(store_lock(s, "two", &err), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(p[0]);
	assert_int_equal(store_get(s, "one", &got, &err), 0);
	assert_false(got.controlled);
	store_row_done(&got);
	assert_int_equal(store_lock(s, "one", &err), 0);
	/* Also seen from elsewhere, and let go. */
	assert_int_equal(store_open(&other, &err), 0);
	assert_int_equal(store_lock(other, "one", &err), -EBUSY);
	store_unlock(s);
	assert_int_equal(store_lock(other, "one", &err), 0);
	store_close(other);
	assert_int_equal(store_lock(s, "one", &err), 0);
	assert_int_equal(store_lock(s, "", &err), -EINVAL);
	assert_int_equal(store_lock(s, "../x", &err), -EINVAL);
}

static void *writer(void *arg)
{
	struct store *mine;
	char what[32];

	if (store_open(&mine, NULL) < 0)
		return arg;
	for (int i = 0; i < 60; i++)
		if (store_progress(mine, "one", "{}", NULL) < 0 ||
			store_request(mine, "one", "pause", NULL) < 0 ||
			store_take_request(mine, "one", what, NULL) < 0) {
			store_close(mine);
			return arg;
		}
	store_close(mine);
	return NULL;
}

/* Several processes write at once; none is turned away. */
static void test_writers(void **state)
{
	struct store_row r = row("one");
	int status;

	assert_int_equal(store_create(s, &r, &err), 0);
	close_it(NULL);
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			_exit(writer("") != NULL);
	}
	for (int i = 0; i < 3; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(store_open(&s, &err), 0);
}

static int count_row(void *arg, const struct store_row *r)
{
	int *n = arg;

	return ++*n == 2 ? -ECANCELED : 0;
}

static void test_each(void **state)
{
	int n = 0;

	for (int i = 0; i < 4; i++) {
		char name[8];
		struct store_row r;

		(void)snprintf(name, sizeof(name), "m%d", i);
		r = row(name);
		assert_int_equal(store_create(s, &r, &err), 0);
	}
	assert_int_equal(store_each(s, count_row, &n, &err), -ECANCELED);
	assert_int_equal(n, 2);
	n = 2;
	assert_int_equal(store_each(s, count_row, &n, &err), 0);
	assert_int_equal(n, 6);
}

/* ---- a database that somebody else made ---- */

static void run_sql(const char *sql)
{
	char path[300];
	sqlite3 *db;

	(void)snprintf(path, sizeof(path), "%s/rehost/rehost.db", folder);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void renew_folder(void)
{
	store_close(s);
	s = NULL;
	command("rm -rf '%s/rehost'", folder);
	command("mkdir '%s/rehost'", folder);
}

static int each_ok(void *arg, const struct store_row *r)
{
	/* Texts may be missing; fixed fields are terminated. */
	return strnlen(r->name, sizeof(r->name)) < sizeof(r->name) &&
			       strnlen(r->state, sizeof(r->state)) <
				       sizeof(r->state)
		       ? 0
		       : -EINVAL;
}

/* Uses the store in every way; nothing may crash, results may be errors. */
static void use_all(void)
{
	struct store_row got, r = row("one");
	char what[32];
	void *blob;
	uint32_t n;

	if (store_get(s, "one", &got, &err) == 0) {
		/* What the rest of the program takes for granted. */
		assert_non_null(got.options);
		assert_non_null(got.report);
		store_row_done(&got);
	}
	if (store_get(s, NULL, &got, &err) == 0)
		store_row_done(&got);
	(void)store_each(s, each_ok, NULL, &err);
	(void)store_take_request(s, "one", what, &err);
	assert_true(strnlen(what, sizeof(what)) < sizeof(what));
	if (store_get_blob(s, "one", "k", &blob, &n, &err) == 0)
		free(blob);
	(void)store_create(s, &r, &err);
	(void)store_save(s, &r, true, &err);
	(void)store_put_blob(s, "one", "k", "abc", 3, &err);
	(void)store_request(s, "one", "pause", &err);
	(void)store_remove(s, "one", &err);
}

static void test_no_database(void **state)
{
	char path[300];

	renew_folder();
	command("head -c 20000 /dev/urandom >'%s/rehost/rehost.db'", folder);
	assert_true(store_open(&s, &err) < 0);
	assert_non_null(strstr(err.why, "not a database"));
	renew_folder();
	command("mkdir '%s/rehost/rehost.db'", folder);
	assert_true(store_open(&s, &err) < 0);
	/* A folder that cannot be. */
	renew_folder();
	command("rm -rf '%s/rehost'; ", folder);
	(void)snprintf(path, sizeof(path), "%s/rehost", folder);
	command("echo >'%s'", path);
	assert_true(store_open(&s, &err) < 0);
	(void)unlink(path);
	/* Locks do not follow links out of it. */
	assert_int_equal(store_open(&s, &err), 0);
	command("ln -s ../victim '%s/rehost/one.lock'", folder);
	assert_true(store_lock(s, "one", &err) < 0);
	(void)snprintf(path, sizeof(path), "%s/victim", folder);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_hostile_database(void **state)
{
	static const char *const hostile[] = {
		"CREATE TABLE moves(name,state,live,phase,phase_done,options,"
		" report,progress,key,secret,created,updated);"
		"INSERT INTO moves VALUES('one','running',NULL,NULL,'x',NULL,"
		" NULL,NULL,NULL,NULL,NULL,NULL);",
		/* Loose tables with values of any kind and size. */
		"CREATE TABLE moves(name,state,live,phase,phase_done,options,"
		" report,progress,key,secret,created,updated);"
		"INSERT INTO moves VALUES('one','running',NULL,NULL,'x',NULL,"
		" NULL,NULL,NULL,NULL,NULL,NULL);"
		"INSERT INTO moves VALUES('one','running',zeroblob(100000),1,2,"
		" 3.5,x'ff00ff',4,'short',zeroblob(100000),5,6);"
		"INSERT INTO moves VALUES(printf('%.*c',100000,'n'),"
		" printf('%.*c',100000,'s'),'','','','','','','','','','');",
		"CREATE TABLE moves(name,state,live,phase,phase_done,options,"
		" report,progress,key,secret,created,updated);"
		"CREATE TABLE requests(id,move,what);"
		"CREATE TABLE blobs(move,key,data);"
		"INSERT INTO requests VALUES('x','one',printf('%.*c',9999,"
		" 'w'));INSERT INTO blobs VALUES('one','k',NULL);",
		/* Columns that are missing, other kinds of objects. */
		"CREATE TABLE moves(name);",
		"CREATE VIEW moves AS SELECT 1 AS name, 2 AS state;",
		"CREATE TABLE moves(name,state,live,phase,phase_done,options,"
		" report,progress,key,secret,created,updated);"
		"CREATE TRIGGER t AFTER INSERT ON moves BEGIN"
		" DELETE FROM moves; END;",
		"CREATE TABLE requests(id);CREATE TABLE blobs(x);",
	};

	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		renew_folder();
		run_sql(hostile[i]);
		if (store_open(&s, &err) == 0)
			use_all();
		else
			assert_true(err.why[0]);
	}
}

static void test_version(void **state)
{
	close_it(NULL);
	run_sql("PRAGMA user_version=3");
	assert_int_equal(store_open(&s, &err), -EPROTO);
	assert_non_null(strstr(err.why, "later"));
	/* One of version 1, which knew fewer requests. */
	run_sql("DROP TABLE requests; CREATE TABLE requests(id INTEGER PRIMARY "
		"KEY, move TEXT, what TEXT NOT NULL CHECK(what IN('pause')));"
		"PRAGMA user_version=1");
	assert_int_equal(store_open(&s, &err), 0);
	{
		struct store_row r = row("one");
		char what[32];

		assert_int_equal(store_create(s, &r, &err), 0);
		assert_int_equal(store_request(s, "one", "rehearse", &err), 0);
		/* Opened again, it is not made anew. */
		close_it(NULL);
		assert_int_equal(store_open(&s, &err), 0);
		assert_int_equal(store_take_request(s, "one", what, &err), 0);
		assert_string_equal(what, "rehearse");
	}
	close_it(NULL);
	renew_folder();
	run_sql("PRAGMA application_id=77; CREATE TABLE x(y)");
	assert_int_equal(store_open(&s, &err), -EPROTO);
	assert_non_null(strstr(err.why, "another program"));
}

/* Damage anywhere in the file is an error at worst. */
static void test_damaged(void **state)
{
	char path[300];
	struct store_row r = row("one");
	struct stat st;

	for (int i = 0; i < 40; i++) {
		uint8_t junk[64];
		int fd;

		if (s == NULL || i > 0) {
			renew_folder();
			assert_int_equal(store_open(&s, &err), 0);
		}
		assert_int_equal(store_create(s, &r, &err), 0);
		assert_int_equal(
			store_put_blob(s, "one", "k", path, 300, &err), 0);
		store_close(s);
		s = NULL;
		(void)snprintf(
			path, sizeof(path), "%s/rehost/rehost.db", folder);
		assert_int_equal(stat(path, &st), 0);
		fd = open(path, O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0);
		io_random(junk, sizeof(junk));
		for (int k = 0; k < 8; k++) {
			uint32_t at = (uint32_t)(junk[8 * k] << 16 |
						 junk[8 * k + 1] << 8 |
						 junk[8 * k + 2]);

			assert_int_equal(io_pwrite_all(fd, junk + 8 * k + 3, 5,
						 at % st.st_size),
				0);
		}
		if (i % 4 == 0)
			assert_int_equal(
				ftruncate(fd, st.st_size / 2 + junk[0]), 0);
		(void)close(fd);
		if (store_open(&s, &err) == 0)
			use_all();
	}
}

static int setup(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	return setenv("XDG_STATE_HOME", folder, 1);
}

static int teardown(void **state)
{
	command("rm -rf '%s'", folder);
	return 0;
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, open_fresh, close_it)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FRESH(test_rows),
		FRESH(test_names),
		FRESH(test_taken),
		FRESH(test_blobs),
		FRESH(test_requests),
		FRESH(test_locks),
		FRESH(test_writers),
		FRESH(test_each),
		FRESH(test_no_database),
		FRESH(test_hostile_database),
		FRESH(test_version),
		FRESH(test_damaged),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
