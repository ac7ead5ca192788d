/* SPDX-License-Identifier: Apache-2.0 */
#include "link/ssh.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/parse.h"
#include "link/bootstrap.h"
#include "link/child.h"
#include "link/payload.h"

#define MAX_NOISE 65536
#define AGENT_NAME "rehost-agent"

/* How the conversation went that starts an agent. */
enum outcome {
	GREETED,
	ENDED,	  /* the program ended or closed its output */
	ANSWERED, /* with an error of the script */
	TIMED_OUT,
	TOO_NOISY,
	CANCELED,
	BROKEN, /* poll or recv failed */
};

struct start {
	const unsigned char *give; /* the agent, packed or not */
	size_t give_n;
	struct peer *peer;
	const struct place *place;
	const volatile sig_atomic_t *cancel;
	void (*meanwhile)(void *arg);
	void *meanwhile_arg;
	char marker[BOOTSTRAP_MARKER_SIZE];
	uint64_t deadline;
	size_t noise;
	bool ready;	 /* the script takes the agent's bytes */
	size_t sent;	 /* how many it was given */
	bool errors_end; /* standard error is closed */
	bool reaped;
	int status; /* of the program, once reaped */
	int code;   /* negative errno when BROKEN */
	enum bootstrap_answer answer;
	char detail[128];     /* what the answer says besides */
	char line[256];	      /* the beginning of the present line */
	size_t line_n;	      /* its length, that which did not fit included */
	char last_noise[256]; /* the last line that was not for us */
};

static size_t read_errors(struct peer *p, bool *ret_end)
{
	size_t total = 0;

	for (;;) {
		char buf[1024];
		size_t have = strlen(p->stderr_tail), room, n;
		ssize_t r = read(p->errors, buf, sizeof(buf));

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) {
			*ret_end = r == 0 || errno != EAGAIN;
			return total;
		}
		n = (size_t)r;
		total += n;
		for (size_t i = 0; i < n; i++)
			if (!buf[i])
				buf[i] = ' ';
		room = sizeof(p->stderr_tail) - 1 - have;
		if (n > room) {
			size_t drop = n - room;

			memmove(p->stderr_tail, p->stderr_tail + drop,
				have - drop);
			have -= drop;
		}
		memcpy(p->stderr_tail + have, buf, n);
		p->stderr_tail[have + n] = '\0';
	}
}

void peer_read_errors(struct peer *p)
{
	bool end;

	if (p->pid > 0)
		(void)read_errors(p, &end);
}

const char *peer_last_words(const struct peer *p, char *buf, size_t size)
{
	const char *s = p->stderr_tail;

	buf[0] = '\0';
	while (*s) {
		size_t n = strcspn(s, "\r\n");

		/* ssh -v says much after what matters. */
		if (n > 0 && strncmp(s, "debug", 5) != 0)
			(void)snprintf(buf, size, "%.*s", (int)n, s);
		s += n;
		s += strspn(s, "\r\n");
	}
	return buf;
}

void peer_stop(struct peer *p)
{
	uint64_t deadline = clock_ms() + 2000;
	int status;

	if (p->pid <= 0)
		return;
	(void)close(p->in);
	/* It may have much to say before it ends. */
	while (!child_wait(p->pid, 20, &status)) {
		peer_read_errors(p);
		if (clock_ms() >= deadline) {
			child_kill(p->pid);
			break;
		}
	}
	peer_read_errors(p);
	(void)close(p->errors);
	p->pid = 0;
	p->in = p->out = p->errors = -1;
}

/* Judges one whole line. True when the conversation is over. */
static bool take_line(struct start *s, enum outcome *ret)
{
	const char *rest = "";
	enum bootstrap_answer a;

	s->line[MIN(s->line_n, sizeof(s->line) - 1)] = '\0';
	a = s->line_n < sizeof(s->line)
		    ? bootstrap_answer(s->line, s->marker, &rest)
		    : BOOTSTRAP_NOISE;
	s->line_n = 0;
	switch (a) {
	case BOOTSTRAP_NOISE:
		if (s->line[0])
			memcpy(s->last_noise, s->line, sizeof(s->last_noise));
		return false;
	case BOOTSTRAP_READY:
		s->ready = true;
		s->give = payload_agent;
		s->give_n = payload_agent_size();
		return false;
	case BOOTSTRAP_READY_PACKED:
		s->ready = true;
		s->give = payload_packed;
		s->give_n = payload_packed_size();
		return false;
	case BOOTSTRAP_AGENT:
		*ret = GREETED;
		return true;
	default:
		s->answer = a;
		(void)snprintf(s->detail, sizeof(s->detail), "%s", rest);
		*ret = ANSWERED;
		return true;
	}
}

/* Reads what waits on standard output, but nothing behind the greeting. True
 * when the conversation is over. */
static bool take_output(struct start *s, enum outcome *ret)
{
	char buf[4096];
	size_t used = 0;
	bool over = false;
	ssize_t n =
		recv(s->peer->in, buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		if (s->line_n > 0)
			(void)take_line(s, ret);
		*ret = ENDED;
		return true;
	}
	while (!over && used < (size_t)n) {
		char c = buf[used++];

		if (c == '\n')
			over = take_line(s, ret);
		else if (s->line_n++ < sizeof(s->line))
			s->line[s->line_n - 1] = c ? c : ' ';
	}
	s->noise += used;
	if (recv(s->peer->in, buf, used, MSG_DONTWAIT) != (ssize_t)used) {
		s->code = -EIO;
		*ret = BROKEN;
		return true;
	}
	if (!over && s->noise > MAX_NOISE) {
		*ret = TOO_NOISY;
		return true;
	}
	return over;
}

static void give_payload(struct start *s)
{
	ssize_t n = send(s->peer->out, s->give + s->sent, s->give_n - s->sent,
		MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0)
		s->sent += (size_t)n;
	else if (errno != EAGAIN && errno != EINTR)
		s->ready = false; /* its last words are still to be read */
}

/* Speaks with the script until the agent's greeting or a reason why there will
 * be none. */
static enum outcome converse(struct start *s)
{
	enum outcome o;

	for (;;) {
		bool giving = s->ready && s->sent < s->give_n;
		struct pollfd p[2] = {
			{.fd = s->peer->in,
				.events = giving ? POLLIN | POLLOUT : POLLIN},
			{.fd = s->errors_end ? -1 : s->peer->errors,
				.events = POLLIN},
		};
		uint64_t now = clock_ms();
		int r;

		if (s->cancel && *s->cancel)
			return CANCELED;
		if (now >= s->deadline)
			return TIMED_OUT;
		if (s->meanwhile)
			s->meanwhile(s->meanwhile_arg);
		r = poll(p, 2,
			s->meanwhile
				? 0
				: (int)MIN(s->deadline - now, (uint64_t)200));
		if (r < 0 && errno != EINTR) {
			s->code = -errno;
			return BROKEN;
		}
		if (p[1].revents)
			(void)read_errors(s->peer, &s->errors_end);
		if (p[0].revents & POLLOUT)
			give_payload(s);
		if (p[0].revents & ~POLLOUT && take_output(s, &o))
			return o;
		/* Somebody else may hold its end of the socket open. */
		if (r == 0 && s->reaped)
			return ENDED;
		if (r == 0 && !s->reaped)
			s->reaped = child_wait(s->peer->pid, 0, &s->status);
	}
}

/* Collects the status and the last words of a program that is ending. */
static void settle(struct start *s)
{
	uint64_t deadline = clock_ms() + 1000;

	(void)shutdown(s->peer->out, SHUT_WR);
	while (!s->reaped && clock_ms() < deadline) {
		char buf[4096];

		/* So that it does not block. */
		(void)!recv(s->peer->in, buf, sizeof(buf), MSG_DONTWAIT);
		if (!s->errors_end)
			(void)read_errors(s->peer, &s->errors_end);
		s->reaped = child_wait(s->peer->pid, 10, &s->status);
	}
	if (!s->errors_end)
		(void)read_errors(s->peer, &s->errors_end);
}

static int fail(struct start *s, struct error *err, int code)
{
	error_set(err, code, "start the agent");
	if (!place_is_local(s->place))
		error_host(err, s->peer->name);
	return code;
}

/* What ssh says, and what to do about it. "%s" is the machine. */
static const struct advice {
	const char *words;
	int code;
	const char *todo;
} advices[] = {
	{"REMOTE HOST IDENTIFICATION HAS CHANGED", -EKEYREJECTED,
		"its host key is another than before: find out why, and only "
		"then remove the old one with ssh-keygen -R"},
	{"Host key verification failed", -EKEYREJECTED,
		"run \"ssh %s\" once and compare the fingerprint, or add its "
		"key to known_hosts (ssh-keyscan) and compare that"},
	{"Could not resolve hostname", -EHOSTUNREACH,
		"check the name, or add a Host entry to ~/.ssh/config"},
	{"Permission denied", -EHOSTUNREACH,
		"make \"ssh %s\" work first: user, key (-i), ssh-agent, "
		"ssh-copy-id"},
	{"Too many authentication failures", -EHOSTUNREACH,
		"name the right key: -i FILE -o IdentitiesOnly=yes"},
	{"Connection refused", -EHOSTUNREACH,
		"check that sshd runs there, and its port (-p)"},
	{"timed out", -EHOSTUNREACH,
		"check that the machine is up and no firewall is in between"},
	{"No route to host", -EHOSTUNREACH,
		"check that the machine is up and no firewall is in between"},
	{"Network is unreachable", -EHOSTUNREACH,
		"check this machine's network"},
	{"", -EHOSTUNREACH, "see what \"ssh %s true\" says"},
};

static void add_todo(struct start *s, struct error *err, const char *todo)
{
	const char *at = strstr(todo, "%s");

	if (at)
		(void)error_todo(err, "%.*s%s%s", (int)(at - todo), todo,
			s->peer->name, at + 2);
	else
		(void)error_todo(err, "%s", todo);
}

static int explain_ssh(struct start *s, struct error *err)
{
	const struct advice *a = advices;
	char words[512];
	int r;

	while (!strstr(s->peer->stderr_tail, a->words))
		a++;
	r = fail(s, err, a->code);
	(void)error_why(err, "%s",
		*peer_last_words(s->peer, words, sizeof(words))
			? words
			: "ssh failed and did not say why");
	add_todo(s, err, a->todo);
	return r;
}

/* The program ended without a greeting and without an error of the script. */
static int explain_end(struct start *s, struct error *err)
{
	char words[512], how[64];
	bool given = s->sent > 0 || place_is_local(s->place);
	int r;

	(void)peer_last_words(s->peer, words, sizeof(words));
	if (!s->reaped)
		(void)snprintf(how, sizeof(how), "it closed its output");
	else if (WIFSIGNALED(s->status))
		(void)snprintf(how, sizeof(how), "signal %d ended it",
			WTERMSIG(s->status));
	else
		(void)snprintf(how, sizeof(how), "it ended with status %d",
			WEXITSTATUS(s->status));
	if (!place_is_local(s->place) && s->reaped && WIFEXITED(s->status) &&
		WEXITSTATUS(s->status) == 255)
		return explain_ssh(s, err);
	if (given) {
		r = fail(s, err, -ENOEXEC);
		(void)error_why(err, "the agent did not run, %s%s%s", how,
			*words ? ": " : "", words);
		return r;
	}
	/* For instance nologin(8), which speaks on standard output. */
	if (!*words)
		(void)snprintf(words, sizeof(words), "%s", s->last_noise);
	r = fail(s, err, -EHOSTUNREACH);
	(void)error_why(err, "the log-in shell ran no command, %s%s%s", how,
		*words ? ": " : "", words);
	add_todo(s, err, "see what \"ssh %s true\" says");
	return r;
}

static int explain_answer(struct start *s, struct error *err)
{
	char words[512];
	int r;

	(void)peer_last_words(s->peer, words, sizeof(words));
	switch (s->answer) {
	case BOOTSTRAP_ARCH:
		r = fail(s, err, -EAFNOSUPPORT);
		(void)error_why(err,
			"it is \"%s\", and the agent is for Linux x86_64",
			s->detail);
		return r;
	case BOOTSTRAP_ROOT:
		r = fail(s, err, -EPERM);
		(void)error_why(err,
			"the user is not root and sudo -n does not work%s%s",
			*words ? ": " : "", words);
		(void)error_todo(err,
			"log in as root, or let sudo work without a password "
			"and a terminal (NOPASSWD, !requiretty)");
		return r;
	case BOOTSTRAP_SHORT:
		r = fail(s, err, -EIO);
		(void)error_why(err, "of %zu bytes of the agent %s arrived%s%s",
			payload_agent_size(), s->detail, *words ? ": " : "",
			words);
		return r;
	default:
		r = fail(s, err, -ENOEXEC);
		(void)error_why(err,
			"no folder there takes %zu KiB and lets programs run "
			"(tried /dev/shm, /run, /tmp, /var/tmp, the home)",
			payload_agent_size() / 1024);
		(void)error_todo(err, "mount one of them without noexec");
		return r;
	}
}

static int explain(struct start *s, enum outcome o, struct error *err)
{
	char words[512];
	int r;

	switch (o) {
	case ENDED:
		return explain_end(s, err);
	case ANSWERED:
		return explain_answer(s, err);
	case TIMED_OUT:
		r = fail(s, err, -ETIMEDOUT);
		(void)peer_last_words(s->peer, words, sizeof(words));
		(void)error_why(err, "%s did not come in time%s%s",
			s->ready ? "its greeting" : "an answer",
			*words ? ": " : "", words);
		if (!place_is_local(s->place) && !s->ready)
			add_todo(s, err,
				"see what \"ssh %s true\" does: a log-in file "
				"may wait for input");
		return r;
	case TOO_NOISY:
		r = fail(s, err, -EPROTO);
		(void)error_why(err,
			"log-in files print more than %d KiB, lastly: %s",
			MAX_NOISE / 1024, s->last_noise);
		(void)error_todo(err,
			"let them print only when the shell is interactive");
		return r;
	case CANCELED:
		return fail(s, err, -ECANCELED);
	default:
		return fail(s, err, s->code);
	}
}

/* Waits for the greeting of a program that was started; ends it when none
 * comes. */
static int await_agent(struct start *s, struct error *err)
{
	enum outcome o = converse(s);
	int r;

	if (o == GREETED)
		return 0;
	if (o == ENDED || o == ANSWERED)
		settle(s);
	r = explain(s, o, err);
	if (!s->reaped)
		child_kill(s->peer->pid);
	(void)close(s->peer->in);
	(void)close(s->peer->errors);
	return r;
}

static int start_here(struct start *s, struct child *ret, struct error *err)
{
	char *argv[] = {(char[]){AGENT_NAME}, (char[]){"serve"}, s->marker,
		(char[]){""}, NULL};
	CLEANUP_CLOSE int fd = child_memory_program(
		AGENT_NAME, payload_agent, payload_agent_size());
	int r = fd < 0 ? fd : child_start(fd, argv, ret);

	if (r == 0)
		return 0;
	r = fail(s, err, r == -EACCES || r == -EPERM ? -ENOEXEC : r);
	if (r == -ENOEXEC)
		(void)error_why(err, "this machine does not let programs run "
				     "from memory");
	return r;
}

/* Options of rehost: -x -a -T ask for no forwarding and no terminal. ssh takes
 * the first value of each option, so the user's come before. */
static const char *const own_args[] = {"-x", "-a", "-T", "-o",
	"ServerAliveInterval=5", "-o", "ServerAliveCountMax=3", "-o",
	"EscapeChar=none", "-o", "ClearAllForwardings=yes", "-o",
	"RemoteCommand=none", "--", NULL};

static size_t count(const char *const *args)
{
	size_t n = 0;

	while (args && args[n])
		n++;
	return n;
}

const char **ssh_arguments(const struct place *place,
	const struct ssh_options *o, const char *extra,
	char port[SSH_PORT_SIZE], size_t *ret_n)
{
	const char *program = getenv("REHOST_SSH");
	const char *const *args = o ? o->args : NULL;
	const char **argv;
	size_t n = 0;

	if (!program || !*program)
		program = o && o->program ? o->program : "ssh";
	argv = calloc(count(args) + count(own_args) + 9, sizeof(*argv));
	if (!argv)
		return NULL;
	argv[n++] = program;
	if (extra)
		argv[n++] = extra;
	if (place->port) {
		(void)snprintf(port, SSH_PORT_SIZE, "%u", place->port);
		argv[n++] = "-p";
		argv[n++] = port;
	}
	if (place->user[0]) {
		argv[n++] = "-l";
		argv[n++] = place->user;
	}
	for (size_t i = 0; i < count(args); i++)
		argv[n++] = args[i];
	for (size_t i = 0; i < count(own_args); i++)
		argv[n++] = own_args[i];
	argv[n++] = place->host;
	*ret_n = n;
	return argv;
}

static int start_ssh(struct start *s, const struct ssh_options *o,
	struct child *ret, struct error *err)
{
	CLEANUP_FREE const char **argv = NULL;
	char command[BOOTSTRAP_COMMAND_SIZE], port[SSH_PORT_SIZE];
	size_t n = 0;
	int r;

	argv = ssh_arguments(s->place, o, NULL, port, &n);
	if (!argv)
		return fail(s, err, -ENOMEM);
	bootstrap_command(s->marker, payload_agent_size(),
		payload_packed_size(), o && o->any_user, command);
	argv[n] = command;
	r = child_start(-1, (char *const *)argv, ret);
	if (r == 0)
		return 0;
	(void)fail(s, err, r);
	(void)error_why(err, "%s does not run: %s", argv[0], strerror(-r));
	(void)error_todo(err, "install the OpenSSH client");
	return r;
}

int peer_start(const struct place *place, const struct ssh_options *options,
	unsigned timeout_ms, struct peer *ret, struct error *err)
{
	bool local = place_is_local(place);
	struct peer p = {.in = -1};
	struct child c;
	uint8_t random[(BOOTSTRAP_MARKER_SIZE - 1) / 2];
	struct start s = {.peer = &p,
		.place = place,
		.cancel = options ? options->cancel : NULL};
	int r;

	if (options) {
		s.meanwhile = options->meanwhile;
		s.meanwhile_arg = options->meanwhile_arg;
	}
	s.deadline = clock_ms() + timeout_ms;
	io_random(random, sizeof(random));
	parse_hex(random, sizeof(random), s.marker);
	if (local)
		(void)snprintf(p.name, sizeof(p.name), "this machine");
	else
		(void)snprintf(p.name, sizeof(p.name), "%s%s%s", place->user,
			place->user[0] ? "@" : "", place->host);
	r = local ? start_here(&s, &c, err) : start_ssh(&s, options, &c, err);
	if (r < 0)
		return r;
	p.pid = c.pid;
	p.in = p.out = c.socket;
	p.errors = c.errors;
	r = await_agent(&s, err);
	if (r < 0)
		return r;
	*ret = p;
	return 0;
}
