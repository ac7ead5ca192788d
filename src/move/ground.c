/* SPDX-License-Identifier: Apache-2.0 */
#include "move/ground.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/parse.h"
#include "move/aside.h"

#define START_MS 120000 /* somebody may have to type a password */
#define STOP_MS 10000
#define ARGS_MAX 128

struct ground {
	const struct place *at; /* NULL: here */
	const struct ssh_options *ssh;
	struct session *session;
	struct ground_facts facts;
	struct ground_child life; /* removes the folder when it ends */
	char name[384];
};

/* What is there, a word and a value in each line, then "ready". Log-in files
 * may print as well: our lines begin with the mark. Commas and quotes separate
 * what QEMU is told. */
static const char begin_script[] =
	"umask 077\n"
	"PATH=$PATH:/usr/sbin:/sbin\n"
	"t=${TMPDIR:-/var/tmp}\n"
	"case $t in *[!a-zA-Z0-9/._-]*|??????????????????????*) t=/var/tmp;; "
	"esac\n"
	/* Also when nobody reads what it prints it goes on to its end. */
	"trap '' INT HUP TERM PIPE\n"
	"d=$(mktemp -d \"$t/rehost-rehearsal.XXXXXX\") || exit\n"
	"trap 'rm -rf \"$d\"' EXIT\n"
	"echo \"=rehost folder $d\"\n"
	"command -v qemu-system-x86_64 >/dev/null && echo '=rehost qemu 1'\n"
	"command -v qemu-img >/dev/null && echo '=rehost image 1'\n"
	"[ -r /dev/kvm ] && [ -w /dev/kvm ] && echo '=rehost kvm 1'\n"
	"sed -n 's/^MemAvailable: *\\([0-9]*\\).*/=rehost memory \\1/p' "
	"/proc/meminfo\n"
	"set -- $(df -Pk \"$d\" | tail -n 1)\n"
	"echo \"=rehost room $4\"\n"
	"echo \"=rehost cpus $(getconf _NPROCESSORS_ONLN)\"\n"
	"for f in /usr/share/OVMF/OVMF_CODE_4M.fd "
	"/usr/share/OVMF/OVMF_CODE.fd /usr/share/edk2/ovmf/OVMF_CODE.fd "
	"/usr/share/edk2/x64/OVMF_CODE.4m.fd "
	"/usr/share/qemu/ovmf-x86_64-code.bin; do\n"
	"v=$(echo \"$f\" | sed 's/_CODE/_VARS/; s/-code/-vars/')\n"
	"[ -r \"$f\" ] && [ -r \"$v\" ] || continue\n"
	"cat \"$v\" >\"$d/vars.fd\" && echo \"=rehost code $f\" && break\n"
	"done\n"
	"echo '=rehost ready 1'\n"
	"cat >/dev/null\n";

/* Runs the command without input, and ends it when the input ends. */
static const char child_begin[] = "exec 3<&0\n";
static const char child_end[] =
	" </dev/null 3<&- &\n"
	"q=$!\n"
	"{ read -r x <&3; kill -9 $q; } >/dev/null 2>&1 &\n"
	"exec 3<&-\n"
	"wait $q\n"
	"s=$?\n"
	"kill $! 2>/dev/null\n"
	"exit $s\n";

int ground_quote(char *script, size_t size, const char *word)
{
	size_t n = strlen(script);

	if (n + 4 >= size)
		return -E2BIG;
	script[n++] = ' ';
	script[n++] = '\'';
	for (; *word; word++) {
		if (n + 8 >= size)
			return -E2BIG;
		if (*word == '\'') {
			memcpy(script + n, "'\\''", 4);
			n += 4;
		} else {
			script[n++] = *word;
		}
	}
	script[n++] = '\'';
	script[n] = '\0';
	return 0;
}

/* ---- running ---- */

/* What is run: sh here, or ssh to there. The caller frees the list alone. */
static const char **arguments(const struct ground *g, const char *script,
	const char *const *forwards, char port[SSH_PORT_SIZE])
{
	const char *args[ARGS_MAX];
	struct ssh_options o;
	const char **argv;
	size_t n = 0;

	if (!g->at) {
		argv = calloc(4, sizeof(*argv));
		if (argv) {
			argv[0] = "sh";
			argv[1] = "-c";
			argv[2] = script;
		}
		return argv;
	}
	o = *g->ssh;
	/* What another connection forwards would outlive this one. */
	args[n++] = "-T";
	args[n++] = "-o";
	args[n++] = "ControlPath=none";
	args[n++] = "-o";
	args[n++] = "ExitOnForwardFailure=yes";
	/* Ours are as good as those of its configuration, or there are none. */
	if (forwards) {
		args[n++] = "-o";
		args[n++] = "ClearAllForwardings=no";
	}
	for (; forwards && *forwards && n < ARRAY_LEN(args) - 1; forwards++)
		args[n++] = *forwards;
	for (size_t i = 0; o.args && o.args[i] && n < ARRAY_LEN(args) - 1; i++)
		args[n++] = o.args[i];
	args[n] = NULL;
	o.args = args;
	argv = ssh_arguments(g->at, &o, NULL, port, &n);
	if (argv)
		argv[n] = script;
	return argv;
}

static void become(const char **argv, int in, int out, int errors)
{
	sigset_t none;

	/* ^C is for rehost. Of ssh it may ask for a password, here not. */
	if (strcmp(argv[0], "sh") == 0)
		(void)setsid();
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	if (dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(errors, 2) >= 0)
		(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static pid_t run(const struct ground *g, const char *script,
	const char *const *forwards, int in, int out, int errors)
{
	CLEANUP_FREE const char **argv = NULL;
	char port[SSH_PORT_SIZE];
	pid_t pid;

	argv = arguments(g, script, forwards, port);
	if (!argv)
		return -1;
	pid = fork();
	if (pid == 0)
		become(argv, in, out, errors);
	return pid;
}

/* The last line that it wrote there. */
static int complain(
	const struct ground *g, int errors, int status, struct error *err)
{
	char text[2048], *line = text;
	ssize_t n = io_pread_all(errors, text, sizeof(text) - 1, 0);

	text[MAX(n, (ssize_t)0)] = '\0';
	for (char *c = text; *c; c++)
		if (*c == '\n' && c[1])
			line = c + 1;
	line[strcspn(line, "\r\n")] = '\0';
	error_set(err, g->at ? -EHOSTUNREACH : -EIO, "rehearse there");
	error_host(err, g->name);
	return error_why(err, "status %d%s%.400s",
		WIFEXITED(status) ? WEXITSTATUS(status) : -1,
		line[0] ? ": " : "", line);
}

static int in_folder(const struct ground *g, const char *before,
	const char *command, const char *after, char **ret)
{
	return asprintf(ret,
		       "cd '%s' || exit\nPATH=$PATH:/usr/sbin:/sbin\n"
		       "%s%s%s",
		       g->facts.folder, before, command, after) < 0
		       ? -ENOMEM
		       : 0;
}

int ground_run(const struct ground *g, const char *script, const char *input,
	const char *output, struct error *err)
{
	CLEANUP_CLOSE int in =
		open(input[0] ? input : "/dev/null", O_RDONLY | O_CLOEXEC);
	CLEANUP_CLOSE int out = open(output[0] ? output : "/dev/null",
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CLEANUP_CLOSE int errors = memfd_create("errors", MFD_CLOEXEC);
	CLEANUP_FREE char *text = NULL;
	int status = 0;
	pid_t pid;

	if (in < 0 || out < 0 || errors < 0)
		return error_set(
			err, -errno, "open %s", in < 0 ? input : output);
	if (in_folder(g, "", script, "\n", &text) < 0) {
		text = NULL;
		return error_set(err, -ENOMEM, "run a script");
	}
	pid = run(g, text, NULL, in, out, errors);
	if (pid < 0)
		return error_set(err, -errno, "start a process");
	if (aside_wait(pid, g->session, &status, err) < 0)
		return err->code;
	return status ? complain(g, errors, status, err) : 0;
}

static int start(const struct ground *g, const char *script,
	const char *const *forwards, int out, int errors,
	struct ground_child *ret, struct error *err)
{
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return error_set(err, -errno, "make a pipe");
	pid = run(g, script, forwards, p[0], out, errors);
	(void)close(p[0]);
	if (pid < 0) {
		error_set(err, -errno, "start a process");
		(void)close(p[1]);
		return err->code;
	}
	ret->pid = pid;
	ret->tell = p[1];
	ret->session = g->session;
	return 0;
}

int ground_start(const struct ground *g, const char *command,
	const char *const *forwards, const char *output, const char *errors,
	struct ground_child *ret, struct error *err)
{
	CLEANUP_CLOSE int out =
		open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	CLEANUP_CLOSE int to =
		open(errors, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CLEANUP_FREE char *text = NULL;

	if (out < 0 || to < 0)
		return error_set(
			err, -errno, "write %s", out < 0 ? output : errors);
	if (in_folder(g, child_begin, command, child_end, &text) < 0) {
		text = NULL;
		return error_set(err, -ENOMEM, "run a script");
	}
	return start(g, text, forwards, out, to, ret, err);
}

bool ground_ended(struct ground_child *c, int *ret_status)
{
	if (c->pid > 0 && waitpid(c->pid, ret_status, WNOHANG) == 0)
		return false;
	if (c->pid > 0)
		(void)close(c->tell);
	c->pid = 0;
	return true;
}

void ground_stop(struct ground_child *c)
{
	uint64_t until = clock_ms() + STOP_MS;
	struct error ignored;
	int status;

	if (c->pid <= 0)
		return;
	(void)close(c->tell);
	/* A connection that is dead ends nothing there; the folder's own
	 * process finds out, and so does that of the command. */
	while (waitpid(c->pid, &status, WNOHANG) == 0) {
		if (clock_ms() > until) {
			(void)kill(c->pid, SIGKILL);
			(void)waitpid(c->pid, &status, 0);
			break;
		}
		(void)aside_pause(c->session, 5, &ignored);
	}
	c->pid = 0;
}

/* ---- the folder ---- */

static void take_fact(
	struct ground_facts *f, const char *key, const char *value)
{
	uint64_t n = 0;
	bool number = parse_u64(value, &n) == 0 && n < UINT64_MAX >> 11;

	if (strcmp(key, "folder") == 0 && value[0] == '/' &&
		strlen(value) < sizeof(f->folder) && !strpbrk(value, ",' "))
		(void)snprintf(f->folder, sizeof(f->folder), "%s", value);
	else if (strcmp(key, "qemu") == 0)
		f->qemu = true;
	else if (strcmp(key, "kvm") == 0)
		f->kvm = true;
	else if (strcmp(key, "image") == 0)
		f->image = true;
	else if (strcmp(key, "code") == 0 && strlen(value) < sizeof(f->code) &&
		 !strpbrk(value, ",' "))
		(void)snprintf(f->code, sizeof(f->code), "%s", value);
	else if (strcmp(key, "memory") == 0 && number)
		f->memory = n << 10;
	else if (strcmp(key, "room") == 0 && number)
		f->room = n << 10;
	else if (strcmp(key, "cpus") == 0 && number)
		f->cpus = (unsigned)MIN(n, (uint64_t)1024);
}

/* Whole lines of text; true when the last of them was there. */
static bool take_facts(struct ground_facts *f, char *text)
{
	char *line, *value;

	while ((line = strsep(&text, "\n")) && text) {
		if (strncmp(line, "=rehost ", 8) != 0)
			continue;
		line += 8;
		value = strchr(line, ' ');
		if (!value)
			continue;
		*value++ = '\0';
		if (strcmp(line, "ready") == 0)
			return true;
		take_fact(f, line, value);
	}
	return false;
}

/* Reads until all was said. */
static int await_facts(
	struct ground *g, int from, int errors, struct error *err)
{
	uint64_t until = clock_ms() + START_MS;
	char text[16384], copy[sizeof(text)];
	size_t n = 0;
	int status = 0;

	for (;;) {
		struct pollfd p = {.fd = from, .events = POLLIN};
		ssize_t got;

		if (clock_ms() > until || n == sizeof(text) - 1) {
			error_set(err, -ETIMEDOUT, "rehearse there");
			return error_host(err, g->name);
		}
		if (poll(&p, 1, 0) <= 0) {
			int r = aside_pause(g->session, 20, err);

			if (r < 0)
				return r;
			continue;
		}
		got = read(from, text + n, sizeof(text) - 1 - n);
		if (got <= 0) {
			while (!ground_ended(&g->life, &status))
				clock_sleep_ms(5);
			return complain(g, errors, status, err);
		}
		n += (size_t)got;
		text[n] = '\0';
		memcpy(copy, text, n + 1);
		if (take_facts(&g->facts, copy))
			return 0;
	}
}

int ground_new(const struct place *at, const struct ssh_options *ssh,
	struct session *s, struct ground **ret, struct error *err)
{
	CLEANUP_CLOSE int errors = memfd_create("errors", MFD_CLOEXEC);
	struct ground *g = calloc(1, sizeof(*g));
	int p[2], r;

	if (!g || errors < 0 || pipe2(p, O_CLOEXEC) < 0) {
		free(g);
		return error_set(err, -errno, "make a folder");
	}
	g->at = at;
	g->ssh = ssh;
	g->session = s;
	(void)snprintf(
		g->name, sizeof(g->name), "%s", at ? at->host : "this machine");
	r = start(g, begin_script, NULL, p[1], errors, &g->life, err);
	(void)close(p[1]);
	if (r == 0)
		r = await_facts(g, p[0], errors, err);
	(void)close(p[0]);
	if (r == 0 && !g->facts.folder[0]) {
		r = error_set(err, -ENAMETOOLONG, "make a folder");
		error_host(err, g->name);
	}
	if (r < 0) {
		ground_end(g);
		return r;
	}
	*ret = g;
	return 0;
}

const struct ground_facts *ground_facts(const struct ground *g)
{
	return &g->facts;
}

const char *ground_name(const struct ground *g)
{
	return g->name;
}

bool ground_is_here(const struct ground *g)
{
	return !g->at;
}

void ground_end(struct ground *g)
{
	if (!g)
		return;
	ground_stop(&g->life);
	free(g);
}
