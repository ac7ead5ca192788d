/* SPDX-License-Identifier: Apache-2.0 */
#include "move/takeover.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/parse.h"
#include "facts/facts.h"
#include "move/inspect.h"
#include "move/preflight.h"
#include "move/takeover_keys.h"
#include "move/takeover_network.h"
#include "rescue/rescue.h"

#define ARCHIVE_MS 120000
#define LOAD_MS 600000 /* modules are packed there */
#define ORDER_MS 30000
/* For the way down and the start; then the watchdog's time begins. */
#define WAIT_MS 300000
/* Until the old system ends the connection, which it does first of all; then
 * its sshd is about to go. Between two tries. */
#define GONE_MS 60000
#define FIRST_MS 1000
#define PAUSE_MS 500
/* A try gets so long for its connection, then more and more: what was sent to a
 * machine between two systems is lost. */
#define CONNECT_LEAST_S 3
#define CONNECT_MOST_S 15
#define SSH_ARGS 128
#define ID_SIZE 17

struct job {
	const struct place *place;
	const struct ssh_options *ssh;
	const struct takeover_options *o;
	struct takeover_result *r;
	struct session s;
	char name[384]; /* of the machine */
	char id[ID_SIZE];
	char boot_id[40]; /* of the old system */
	char cmdline[KERNEL_LINE];
	json_t *facts; /* of the old system */
	struct takeover_reach reach;
	uint64_t down_at; /* clock_ms */
};

static void say(const struct job *j, const char *what)
{
	if (j->o->say)
		j->o->say(j->o->arg, what,
			j->down_at ? clock_ms() - j->down_at : 0);
}

/* ---- ssh, to the new system ---- */

struct later {
	struct ssh_options ssh;
	struct place place;
	const char *args[SSH_ARGS];
	char timeout[32];
};

/* Before what the user said, which counts less then: nobody is asked at every
 * try, and a connection that is kept ready leads to the old system. */
static void prepare_later(
	const struct job *j, unsigned connect_s, struct later *ret)
{
	const char *own[] = {"-o", ret->timeout, "-o", "ControlPath=none", "-o",
		"BatchMode=yes"};
	size_t n = 0;

	(void)snprintf(ret->timeout, sizeof(ret->timeout), "ConnectTimeout=%u",
		connect_s);
	for (; n < ARRAY_LEN(own); n++)
		ret->args[n] = own[n];
	for (const char *const *a = j->ssh->args; a && *a && n + 1 < SSH_ARGS;
		a++)
		ret->args[n++] = *a;
	ret->args[n] = NULL;
	ret->ssh = *j->ssh;
	ret->ssh.args = ret->args;
	ret->place = *j->place;
	(void)snprintf(ret->place.user, sizeof(ret->place.user), "root");
}

/* ---- before ---- */

/* Looks for what stands in the way; the first finding that blocks is why. */
static int check(
	struct job *j, const struct preflight_login *login, struct error *err)
{
	const json_t *f;

	json_decref(j->r->findings);
	j->r->findings = NULL;
	if (preflight_takeover(j->facts, &j->reach, login, &j->r->findings) < 0)
		return error_set(err, -ENOMEM, "look at the machine");
	f = json_array_get(j->r->findings, 0);
	if (strcmp(facts_text(f, "severity"), "blocks") != 0)
		return 0;
	error_set(err, -EPERM, "take the machine over");
	error_host(err, j->name);
	error_why(err, "%s (%s)", facts_text(f, "fact"), facts_text(f, "name"));
	return error_todo(err, "%s", facts_text(f, "remedy"));
}

/* Where the controller runs nobody would be left to drive it. */
static int refuse_own(struct job *j, struct error *err)
{
	char own[IO_BOOT_ID_SIZE];

	io_boot_id(own);
	if (!own[0] || strcmp(own, j->boot_id) != 0)
		return 0;
	error_set(err, -EINVAL, "take the machine over");
	error_host(err, j->name);
	error_why(err, "it is the machine that this runs on");
	return error_todo(err, "run rehost on another one");
}

static int look(struct job *j, struct error *err)
{
	const struct msg_hello *h = &j->s.host[TARGET].hello;
	struct takeover_network n;
	int r = inspect_with(&j->s, TARGET, 0, NULL, &j->facts, err);

	j->reach = (struct takeover_reach){.at = h->ssh_address,
		.from = h->ssh_client,
		.port = h->ssh_port};
	if (r == 0)
		r = check(j, NULL, err);
	if (r == 0)
		r = refuse_own(j, err);
	if (r < 0)
		return r;
	takeover_network(j->facts, &j->reach, &n);
	(void)snprintf(j->r->address, sizeof(j->r->address), "%s", n.address);
	r = takeover_cmdline(j->facts, &n, (unsigned)(j->o->watchdog_ms / 1000),
		j->id, j->cmdline, sizeof(j->cmdline));
	if (r < 0) {
		error_set(err, r, "make the kernel's command line");
		error_host(err, j->name);
	}
	return r;
}

static int send_archive(
	struct job *j, const char *bytes, size_t n, struct error *err)
{
	CLEANUP_FREE struct msg_archive *m = calloc(1, sizeof(*m));
	int r = 0;

	if (!m)
		return error_set(err, -ENOMEM, "send the archive");
	m->total = n;
	while (r == 0 && m->offset < n) {
		m->n = (uint32_t)MIN(n - m->offset, sizeof(m->data));
		memcpy(m->data, bytes + m->offset, m->n);
		r = session_call(
			&j->s, TARGET, MSG_ARCHIVE, m, NULL, ARCHIVE_MS, err);
		m->offset += m->n;
	}
	return r;
}

static int load(struct job *j, const char *base, size_t n, size_t unpacked,
	struct error *err)
{
	CLEANUP_FREE struct msg_load *m = calloc(1, sizeof(*m));
	CLEANUP_FREE char *keys = NULL;
	CLEANUP(takeover_keys_done) struct takeover_keys own = {0};
	struct preflight_login login = {0};
	struct error ignored;
	struct later later;
	size_t keys_n = 0;
	int r = 0;

	prepare_later(j, CONNECT_LEAST_S, &later);
	if (!m || takeover_keys_find(&later.place, &later.ssh, &own) < 0)
		return error_set(err, -ENOMEM, "load the rescue system");
	if (j->o->authorized_keys) {
		r = io_slurp(j->o->authorized_keys, LOAD_KEYS, &keys, &keys_n);
		if (r < 0)
			return error_set(
				err, r, "read %s", j->o->authorized_keys);
		memcpy(m->keys, keys, MIN(keys_n, sizeof(m->keys)));
		m->n_keys = (uint32_t)MIN(keys_n, sizeof(m->keys));
	}
	m->n_offered = (uint32_t)MIN(own.n, sizeof(m->offered));
	memcpy(m->offered, own.text, m->n_offered);
	m->unpacked = unpacked;
	(void)snprintf(m->cmdline, sizeof(m->cmdline), "%s", j->cmdline);
	r = send_archive(j, base, n, err);
	if (r == 0)
		r = session_call(&j->s, TARGET, MSG_LOAD, m, &j->r->loaded,
			LOAD_MS, err);
	if (r < 0)
		return r;
	/* Whoever names a file knows why. */
	login.sure = own.sure && own.n <= sizeof(m->offered) &&
		     !j->o->authorized_keys;
	login.offers = own.n > 0;
	login.kept = j->r->loaded.known;
	r = check(j, &login, err);
	if (r < 0)
		(void)session_call(&j->s, TARGET, MSG_UNLOAD, NULL, NULL,
			ORDER_MS, &ignored);
	return r;
}

/* Everything up to the point where the machine only has to be told. */
static int prepare(struct job *j, struct error *err)
{
	CLEANUP_FREE char *base = NULL;
	size_t n, unpacked;
	int r;

	say(j, "making the rescue system");
	r = rescue_make_base(&base, &n, &unpacked, err);
	if (r < 0)
		return r;
	say(j, "looking at the machine");
	r = session_connect(&j->s, TARGET, j->place, j->ssh, err);
	if (r < 0)
		return r;
	(void)snprintf(
		j->name, sizeof(j->name), "%s", j->s.host[TARGET].peer.name);
	(void)snprintf(j->boot_id, sizeof(j->boot_id), "%s",
		j->s.host[TARGET].hello.boot_id);
	r = look(j, err);
	if (r < 0)
		return r;
	say(j, "loading kernel, drivers and keys");
	return load(j, base, n, unpacked, err);
}

/* ---- afterwards ---- */

static void wait_says(struct job *j, uint64_t limit, struct error *err)
{
	struct error last = *err;
	uint64_t s = j->o->watchdog_ms / 1000;

	error_set(err, -ETIMEDOUT, "reach the rescue system");
	error_host(err, j->name);
	error_why(err, "it does not answer since %llu s (%.600s)",
		(unsigned long long)limit / 1000,
		last.why[0] ? last.why : "the old system still does");
	if (s > 0)
		(void)error_todo(err,
			"look at its console; %llu s after it last heard from "
			"rehost it boots its old system by itself",
			(unsigned long long)s);
	else
		(void)error_todo(err,
			"look at its console; a reset boots its old system");
}

/* 1: it is the rescue system; 0: try again; negative: no use. */
static int try_once(struct job *j, unsigned connect_s, struct error *err)
{
	struct later later;
	json_t *facts = NULL;
	int r;

	prepare_later(j, connect_s, &later);
	session_init(&j->s);
	r = session_connect(&j->s, TARGET, &later.place, &later.ssh, err);
	/* Another key than before is no matter of time. */
	if (r < 0)
		return r == -EKEYREJECTED ? r : 0;
	if (strcmp(j->s.host[TARGET].hello.boot_id, j->boot_id) == 0) {
		err->why[0] = '\0';
		return 0;
	}
	j->r->down_ms = clock_ms() - j->down_at;
	r = inspect_with(&j->s, TARGET, 0, NULL, &facts, err);
	if (r < 0)
		return 0;
	if (strstr(facts_text(facts, "system.kernel.command_line"), j->id)) {
		j->r->facts = facts;
		return 1;
	}
	json_decref(facts);
	error_set(err, -ECANCELED, "take the machine over");
	error_host(err, j->name);
	error_why(err, "its own system is there again: kexec did not work, or "
		       "the rescue system could not be reached");
	error_todo(err, "look at its console, or boot the rescue system there "
			"in another way");
	return -ECANCELED;
}

/* Mounts, swap and the like: nothing may hold a disk. */
static int check_free(struct job *j, struct error *err)
{
	static const char *const lists[] = {"filesystems", "swap", "disks"};
	const json_t *v;
	size_t i;

	for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
		json_array_foreach(json_object_get(j->r->facts, lists[k]), i, v)
		{
			const json_t *holders = json_object_get(v, "holders");
			const char *disk = facts_text(v, "disk");

			if (k == 2 ? json_array_size(holders) == 0 : !disk[0])
				continue;
			error_set(err, -EBUSY, "have all disks free");
			error_host(err, j->name);
			error_why(err, "%s is in use in the rescue system",
				k == 2 ? facts_text(v, "name") : disk);
			return error_todo(err, "see rehost inspect");
		}
	}
	return 0;
}

static int wait_for(struct job *j, struct error *err)
{
	/* Also in vain: then the old system is to be seen coming back. */
	uint64_t limit = WAIT_MS + j->o->watchdog_ms;
	unsigned connect_s = CONNECT_LEAST_S;
	int r = 0;

	clock_sleep_ms(FIRST_MS);
	while (r == 0 && clock_ms() - j->down_at < limit) {
		say(j, "waiting for the rescue system");
		r = try_once(j, connect_s, err);
		if (r != 1)
			session_done(&j->s);
		if (connect_s < CONNECT_MOST_S)
			connect_s++;
		if (r == 0)
			clock_sleep_ms(PAUSE_MS);
	}
	if (r == 0)
		wait_says(j, clock_ms() - j->down_at, err);
	if (r == 1)
		r = check_free(j, err);
	session_done(&j->s);
	if (r == 0 && j->r->facts)
		return EXIT_DONE;
	return r == -ECANCELED ? EXIT_REFUSED : EXIT_ACT_NOW;
}

/* A new connection too early would only keep the old system from its end. */
static void await_end(struct job *j)
{
	struct error ignored;

	while (session_idle(&j->s, PAUSE_MS, &ignored) == 0 &&
		clock_ms() - j->down_at < GONE_MS)
		say(j, "waiting for the old system to end");
}

int takeover(const struct place *place, const struct ssh_options *options,
	const struct takeover_options *o, struct takeover_result *ret,
	struct error *err)
{
	CLEANUP_FREE struct job *j = calloc(1, sizeof(*j));
	uint8_t random[(ID_SIZE - 1) / 2];
	int r;

	memset(ret, 0, sizeof(*ret));
	memset(err, 0, sizeof(*err));
	if (!j) {
		error_set(err, -ENOMEM, "take the machine over");
		return EXIT_REFUSED;
	}
	j->place = place;
	j->ssh = options;
	j->o = o;
	j->r = ret;
	io_random(random, sizeof(random));
	parse_hex(random, sizeof(random), j->id);
	session_init(&j->s);
	r = prepare(j, err);
	if (r == 0 && o->dry_run) {
		r = session_call(
			&j->s, TARGET, MSG_UNLOAD, NULL, NULL, ORDER_MS, err);
	} else if (r == 0) {
		j->down_at = clock_ms();
		say(j, "telling it to go down");
		r = session_call(
			&j->s, TARGET, MSG_KEXEC, NULL, NULL, ORDER_MS, err);
		/* The answer may be lost, the order not. */
		if (r == -ECONNRESET || r == -ETIMEDOUT)
			r = 0;
		if (r == 0)
			await_end(j);
	}
	session_done(&j->s);
	json_decref(j->facts);
	if (r < 0)
		return EXIT_REFUSED;
	return o->dry_run ? EXIT_DONE : wait_for(j, err);
}

void takeover_result_done(struct takeover_result *r)
{
	json_decref(r->findings);
	json_decref(r->facts);
	r->findings = r->facts = NULL;
}
