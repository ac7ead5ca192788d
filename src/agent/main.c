/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <libgen.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "agent/agent.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hook.h"
#include "base/io.h"
#include "base/parse.h"
#include "build_id.h"
#include "rescue/heard.h"
#include "track/tracker.h"
#include "volume/probe.h"

/* Pings come every few seconds, but while the user types a password for the
 * other side. */
#define SILENCE_MS 180000
#define HEARD_MS 1000
#define HOOKS_WAIT_MS 10000 /* for one that is being killed */
#define SWEEP_S 3600	    /* no agent is that long on its way */

static struct agent the_agent;
static volatile sig_atomic_t told_to_end;

/* ---- answers ---- */

void agent_answer(struct agent *a, uint32_t type, uint32_t id, const void *msg)
{
	/* The next request may be here before the job's thread has ended. */
	if (id && a->job_running && id == a->job.id)
		a->job_answered = true;
	/* When the controller is gone, the main loop finds out by itself. */
	if (channel_send(a->channel, type, id, msg) == 0)
		(void)channel_flush(a->channel, false);
}

void agent_answer_error(struct agent *a, uint32_t id, const struct error *err)
{
	struct msg_error m;

	message_from_error(err, &m);
	agent_answer(a, MSG_ERROR, id, &m);
}

uint64_t agent_hwm(int pid)
{
	char path[64], buf[4096], *at;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (io_read_file(AT_FDCWD, path, buf, sizeof(buf)) < 0)
		return 0;
	at = strstr(buf, "VmHWM:");
	return at ? strtoull(at + 6, NULL, 10) : 0;
}

/* ---- requests of no side in particular ---- */

static int on_probe(struct agent *a, const struct frame *f, struct error *err)
{
	CLEANUP_FREE struct volume_facts *facts = calloc(1, sizeof(*facts));
	struct msg_path m;
	int r;

	if (!facts)
		return error_set(err, -ENOMEM, "look at a volume");
	if (frame_decode(f, &m) < 0)
		return error_set(err, -EPROTO, "understand a request");
	if (f->type == MSG_PROBE) {
		r = probe_volume(m.path, facts, err);
	} else {
		facts->n_mounts = 1;
		r = probe_mount_of(m.path, &facts->mounts[0], err);
	}
	if (r == 0)
		agent_answer(a, MSG_VOLUME, f->id, facts);
	return r;
}

/* The hooks of a move run one at a time: an agent behind a connection that was
 * cut may live on, with a hook that undoes what this one is asked for. Nobody
 * but root can make a file there, or hold its lock (flock(2)), which goes with
 * this process. */
struct hooks_lock {
	char path[64];
	int fd;
};

static void unlock_hooks(struct hooks_lock *l)
{
	if (l->fd < 0)
		return;
	(void)unlink(l->path);
	(void)close(l->fd);
}

/* Is what is locked still what has that name? */
static bool is_named(const struct hooks_lock *l)
{
	struct stat held, named;

	return fstat(l->fd, &held) == 0 && lstat(l->path, &named) == 0 &&
	       held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

static int lock_hooks(const uint8_t secret[SECRET_SIZE], struct hooks_lock *ret,
	struct error *err)
{
	uint64_t end = clock_ms() + HOOKS_WAIT_MS;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char hex[33];

	(void)SHA256(secret, SECRET_SIZE, digest);
	parse_hex(digest, 16, hex);
	(void)snprintf(
		ret->path, sizeof(ret->path), "/run/.rehost-hooks-%s", hex);
	for (;;) {
		ret->fd = open(ret->path,
			O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (ret->fd < 0)
			return error_set(err, -errno, "make %s", ret->path);
		if (flock(ret->fd, LOCK_EX | LOCK_NB) == 0 && is_named(ret))
			return 0;
		(void)close(STEAL_FD(ret->fd));
		if (clock_ms() >= end) {
			error_set(err, -EBUSY, "run hooks");
			return error_why(err,
				"those of an earlier connection still run");
		}
		clock_sleep_ms(20);
	}
}

static int on_hooks(struct agent *a, const struct frame *f, struct error *err)
{
	CLEANUP_FREE struct hook_run *run = calloc(1, sizeof(*run));
	CLEANUP(unlock_hooks) struct hooks_lock lock = {.fd = -1};
	static struct msg_hooks m;
	static struct msg_hooks_result out;
	const char *commands[HOOKS_MAX];
	struct hook_env env = {m.name, m.phase, m.device};

	if (!run)
		return error_set(err, -ENOMEM, "run a hook");
	if (frame_decode(f, &m) < 0)
		return error_set(err, -EPROTO, "understand a request");
	if (lock_hooks(m.secret, &lock, err) < 0)
		return err->code;
	for (uint32_t i = 0; i < m.n; i++)
		commands[i] = m.v[i].command;
	hook_begin(run, commands, m.n, &env, m.timeout_ms, true);
	hook_finish(run);
	message_from_hooks(run, &out);
	agent_answer(a, MSG_HOOKS_RESULT, f->id, &out);
	return 0;
}

/* Only tests ask for it: dying at a chosen moment. */
static int on_crash(struct agent *a, const struct frame *f, struct error *err)
{
	struct msg_crash m;

	if (frame_decode(f, &m) < 0)
		return error_set(err, -EPROTO, "understand a request");
	if (m.who == 0)
		(void)raise(SIGKILL);
	if (m.who == 1 && a->state == IN_SOURCE && !a->keeper_gone)
		(void)kill(a->keeper.pid, SIGKILL);
	agent_answer(a, MSG_OK, f->id, NULL);
	return 0;
}

/* ---- dispatch ---- */

static const struct {
	agent_handler *handler;
	bool job; /* may take time */
} handlers[MSG_TYPE_MAX] = {
	[MSG_PROBE] = {on_probe, true},
	[MSG_PLACE_OF] = {on_probe, true},
	[MSG_LISTEN] = {lanes_listen, false},
	[MSG_CONNECT] = {lanes_connect, true},
	[MSG_ACCEPT] = {lanes_accept, true},
	[MSG_RELAY] = {lanes_relay, false},
	[MSG_CRASH] = {on_crash, false},
	[MSG_INSPECT] = {inspect_machine, true},
	[MSG_ARCHIVE] = {takeover_archive, false},
	[MSG_LOAD] = {takeover_load, true},
	[MSG_UNLOAD] = {takeover_unload, true},
	[MSG_KEXEC] = {takeover_kexec, false},
	[MSG_OPEN_SOURCE] = {source_open, false},
	[MSG_MAP] = {source_map, true},
	[MSG_PASS] = {source_pass, true},
	[MSG_MARK] = {source_mark, false},
	[MSG_BACKLOG] = {source_backlog, false},
	[MSG_READ_BLOCKS] = {source_read_blocks, true},
	[MSG_MEASURE] = {measure_open, true},
	[MSG_SAMPLE] = {measure_sample, false},
	[MSG_LIE] = {source_lie, false},
	[MSG_SETTLE] = {source_forward, false},
	[MSG_ARM] = {source_forward, false},
	[MSG_RENEW] = {source_forward, false},
	[MSG_HOLD] = {source_forward, false},
	[MSG_COMMIT] = {source_forward, false},
	[MSG_RELEASE] = {source_forward, false},
	[MSG_KEEPER] = {source_forward, false},
	[MSG_UNFENCE] = {source_forward, false},
	[MSG_END] = {source_forward, false},
	[MSG_RETRACK] = {source_forward, false},
	[MSG_HUSH] = {source_forward, false},
	[MSG_OPEN_TARGET] = {target_open, false},
	[MSG_PUBLISH] = {target_publish, true},
	[MSG_WIPE] = {target_wipe, true},
	[MSG_CLOSE_TARGET] = {target_close, false},
	[MSG_HOOKS] = {on_hooks, true},
	[MSG_KEEP_FILE] = {target_keep_file, false},
	[MSG_DROP_FILE] = {target_drop_file, false},
	[MSG_OPEN_SINK] = {measure_sink, false},
	[MSG_FIT] = {fit_machine, true},
	[MSG_BOOT] = {fit_boot, false},
	[MSG_GROW] = {grow_tables, true},
	[MSG_EXPORT] = {export_begin, false},
	[MSG_UNEXPORT] = {export_end, false},
};

static void run_handler(struct agent *a, const struct frame *f)
{
	struct error err = {0};

	if (handlers[f->type].handler(a, f, &err) < 0)
		agent_answer_error(a, f->id, &err);
}

static void *job_main(void *arg)
{
	struct agent *a = arg;

	run_handler(a, &a->job);
	a->job_running = false;
	return NULL;
}

static void end_job(struct agent *a)
{
	if (a->job_joinable)
		(void)pthread_join(a->job_thread, NULL);
	a->job_joinable = false;
}

static void start_job(struct agent *a, const struct frame *f)
{
	struct error err;
	int r;

	end_job(a);
	free(a->job_payload);
	a->job = *f;
	a->job_payload = malloc(f->n + 1);
	a->job.payload = a->job_payload;
	r = a->job_payload ? 0 : -ENOMEM;
	if (r == 0) {
		memcpy(a->job_payload, f->payload, f->n);
		a->job_answered = false;
		a->job_running = true;
		r = -pthread_create(&a->job_thread, NULL, job_main, a);
	}
	if (r == 0) {
		a->job_joinable = true;
		return;
	}
	a->job_running = false;
	error_set(&err, r, "start a job");
	agent_answer_error(a, f->id, &err);
}

static int serve_frame(struct agent *a, const struct frame *f)
{
	const struct message_def *d = message_def(f->type);
	uint8_t state = a->job_running && !a->job_answered ? IN_PASS : a->state;
	struct error err = {0};

	if (f->type == MSG_PING)
		return 0;
	/* To one that has just begun it is of an earlier agent's lanes. */
	if (f->type == MSG_DURABLE || f->type == MSG_MISMATCH)
		return agent_sends(a)	    ? source_event(a, f)
		       : a->state == IN_NEW ? 0
					    : -EPROTO;
	if (f->type >= MSG_STREAM_OPEN)
		return export_frame(a, f);
	if (f->type >= MSG_RELAY_DATA)
		return relay_frame(a, f);
	if (!handlers[f->type].handler || f->id == 0)
		return -EPROTO;
	if (!(d->in & state)) {
		error_set(&err, -EPROTO, "serve %s", d->name);
		error_why(&err, "it is out of turn");
		agent_answer_error(a, f->id, &err);
		return 0;
	}
	if (a->job_running && a->job_answered)
		end_job(a);
	if (handlers[f->type].job)
		start_job(a, f);
	else
		run_handler(a, f);
	return 0;
}

/* ---- beginning ---- */

static void add_address(struct msg_hello *m, const struct sockaddr *sa)
{
	struct msg_text64 *t;
	const void *at;

	if (m->n_addresses == ARRAY_LEN(m->addresses))
		return;
	t = &m->addresses[m->n_addresses];
	if (sa->sa_family == AF_INET) {
		at = &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
	} else if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *six = (const void *)sa;

		if (IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr))
			return;
		at = &six->sin6_addr;
	} else {
		return;
	}
	if (inet_ntop(sa->sa_family, at, t->text, sizeof(t->text)))
		m->n_addresses++;
}

/* "client port server port", of which the last two are this machine's. */
static void take_connection(struct msg_hello *m, const char *text)
{
	char copy[256], *next = copy, *words[4];
	uint64_t port;

	(void)snprintf(copy, sizeof(copy), "%s", text);
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		words[i] = strsep(&next, " ");
		if (!words[i] || strlen(words[i]) >= sizeof(m->ssh_address))
			return;
	}
	(void)snprintf(m->ssh_client, sizeof(m->ssh_client), "%s", words[0]);
	(void)snprintf(m->ssh_address, sizeof(m->ssh_address), "%s", words[2]);
	if (parse_u64(words[3], &port) == 0 && port <= 65535)
		m->ssh_port = (uint32_t)port;
}

static void hello(struct agent *a, const char *ssh_connection)
{
	static struct msg_hello m;
	struct ifaddrs *list = NULL;
	struct utsname u;

	(void)snprintf(m.build, sizeof(m.build), "%s", BUILD_ID);
	if (uname(&u) == 0) {
		(void)snprintf(
			m.hostname, sizeof(m.hostname), "%s", u.nodename);
		(void)snprintf(m.kernel, sizeof(m.kernel), "%.60s %.60s",
			u.sysname, u.release);
	}
	io_boot_id(m.boot_id);
	m.uid = (uint32_t)geteuid();
	m.rescue = access(RESCUE_HEARD, F_OK) == 0;
	if (getifaddrs(&list) == 0)
		for (struct ifaddrs *i = list; i; i = i->ifa_next)
			if (i->ifa_addr && (i->ifa_flags & IFF_UP) &&
				!(i->ifa_flags & IFF_LOOPBACK))
				add_address(&m, i->ifa_addr);
	if (list)
		freeifaddrs(list);
	take_connection(&m, ssh_connection);
	agent_answer(a, MSG_HELLO, 0, &m);
}

/* Folders of agents that died on the way here (see link/bootstrap.c). Others
 * may write to where they are: only our own are touched. */
static void sweep_left(const char *where)
{
	int at = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = at < 0 ? NULL : fdopendir(at);
	struct dirent *e;
	struct stat st;

	while (d && (e = readdir(d))) {
		CLEANUP_CLOSE int fd = -1;

		if (strncmp(e->d_name, ".rehost-", 8) != 0)
			continue;
		fd = openat(at, e->d_name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() ||
			time(NULL) - st.st_mtime < SWEEP_S)
			continue;
		(void)unlinkat(fd, "rehost-agent", 0);
		(void)unlinkat(at, e->d_name, AT_REMOVEDIR);
	}
	if (d)
		(void)closedir(d);
	else if (at >= 0)
		(void)close(at);
}

/* In a rescue system there is a file that says when somebody was heard from. */
static void tell_heard(void)
{
	static uint64_t next;

	if (clock_ms() < next)
		return;
	next = clock_ms() + HEARD_MS;
	/* Elsewhere it is not there, and not made. */
	(void)utimensat(AT_FDCWD, RESCUE_HEARD, NULL, AT_SYMLINK_NOFOLLOW);
}

/* Removes the program's file and folder: nothing is left behind. */
static void unlink_self(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[MAX(n, 0)] = '\0';
	/* Started by hand from a build folder it stays. */
	if (strncmp(path, "/memfd:", 7) == 0 || !strstr(path, "/.rehost"))
		return;
	if (unlink(path) == 0) {
		(void)rmdir(dirname(path));
		sweep_left(dirname(path));
	}
}

static void serve(struct agent *a)
{
	uint64_t heard = clock_ms();
	bool more = false;

	for (;;) {
		/* Either the keeper's channel, or what the hooks say that are
		 * run in its stead. */
		struct pollfd p[3 + LANES_MAX] = {
			{.fd = channel_in(a->channel), .events = POLLIN},
			{.fd = a->state != IN_SOURCE ? -1
				: a->keeper_gone
					? (a->undoing ? a->undo.out : -1)
					: channel_in(a->keeper.channel),
				.events = POLLIN},
		};
		unsigned n_relays = a->n_relays;
		struct pollfd out = {.fd = -1};
		struct frame f;
		int r = 0, n;

		relay_poll(a, p + 2);
		if (channel_queued(a->channel) > 0) {
			/* When in and out are one socket, one entry polls
			 * both. */
			if (channel_out(a->channel) == p[0].fd)
				p[0].events |= POLLOUT;
			else
				out = (struct pollfd){
					.fd = channel_out(a->channel),
					.events = POLLOUT};
		}
		p[2 + n_relays] = out;
		(void)poll(p, 3 + n_relays, more ? 0 : a->undoing ? 5 : 100);
		if (p[0].revents & ~POLLOUT)
			r = channel_read(a->channel);
		while ((n = channel_next(a->channel, &f)) > 0) {
			heard = clock_ms();
			tell_heard();
			if (serve_frame(a, &f) < 0)
				return;
		}
		/* A controller behind a cut connection may never end it. */
		if (clock_ms() - heard > SILENCE_MS || told_to_end)
			return;
		if (r < 0 || n < 0)
			return;
		if (p[1].fd >= 0 && p[1].revents && !a->keeper_gone)
			source_keeper_input(a);
		source_undo(a);
		if (n_relays == a->n_relays && relay_serve(a, p + 2) < 0)
			return;
		if (export_serve(a, &more) < 0)
			return;
		source_progress(a);
		if (channel_flush(a->channel, false) < 0)
			return;
	}
}

static void tell_to_end(int number)
{
	told_to_end = 1;
}

int main(int argc, char **argv)
{
	struct agent *a = &the_agent;
	struct sigaction end = {.sa_handler = tell_to_end};
	char greeting[128];

	if (argc < 3 || strcmp(argv[1], "serve") != 0 || strlen(argv[2]) > 64) {
		static const char text[] =
			"rehost-agent is started by rehost itself\n";

		return io_write_all(2, text, sizeof(text) - 1) < 0 ? 1 : 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)sigaction(SIGTERM, &end, NULL);
	unlink_self();
	a->state = IN_NEW;
	a->keeper.fd = a->stand_in = -1;
	(void)pthread_mutex_init(&a->sender_lock, NULL);
	(void)snprintf(
		greeting, sizeof(greeting), "\nREHOST-AGENT %s\n", argv[2]);
	if (io_write_all(1, greeting, strlen(greeting)) < 0 ||
		channel_new(0, 1, FROM_CONTROLLER, &a->channel) < 0)
		return 1;
	/* As the source stands still, so must nothing here wait for a disk. */
	(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	hello(a, argc > 3 ? argv[3] : "");
	serve(a);
	measure_leave(a);
	if (a->job_running && a->job.type == MSG_LOAD)
		end_job(a);
	takeover_end(a);
	/* The controller is gone. The keeper sees it by the closed socket;
	 * what was not confirmed as durable counts as not sent. */
	_exit(0);
}
