/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts a stand-in agent (standin_agent.c) through a stand-in for ssh, a shell
 * script that does what FAKE_* tells and then hands the command to a shell, as
 * sshd does.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "link/bootstrap.h"
#include "link/payload.h"
#include "link/ssh.h"

#define SOON_MS 30000

static char dir[64];

static const struct place remote = {.user = "u", .host = "h", .port = 2200};
static const struct place here = {.path = "/"};

static const char fake_ssh[] =
	"#!/bin/sh\n"
	"echo \"$@\" >$FAKE_DIR/args\n"
	"for command; do :; done\n"
	"echo \"$command\" >$FAKE_DIR/command\n"
	"HOME=${FAKE_HOME:-$FAKE_DIR}; SSH_CONNECTION='10.0.0.1 5 10.0.0.2 "
	"22'\n"
	"export HOME SSH_CONNECTION\n"
	"if [ -n \"$FAKE_SAY\" ]; then echo \"$FAKE_SAY\" >&2; exit 255; fi\n"
	"if [ -n \"$FAKE_LOGIN\" ]; then eval \"$FAKE_LOGIN\"; fi\n"
	"PATH=$FAKE_PATH$PATH\n"
	"exec ${FAKE_SHELL:-sh} -c \"$command\"\n";

static const char *const variables[] = {"FAKE_SAY", "FAKE_LOGIN", "FAKE_PATH",
	"FAKE_SHELL", "FAKE_HOME", "STANDIN_MODE"};

static void write_program(const char *name, const char *text)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(close(fd), 0);
}

/* A folder with one program that stands before the others in PATH. */
static void fake_program(const char *name, const char *text)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/bin", dir);
	assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
	(void)snprintf(path, sizeof(path), "bin/%s", name);
	write_program(path, text);
	(void)snprintf(path, sizeof(path), "%s/bin:", dir);
	assert_int_equal(setenv("FAKE_PATH", path, 1), 0);
}

static void set(const char *name, const char *value)
{
	assert_int_equal(setenv(name, value, 1), 0);
}

static int begin(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/test_bootstrap.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	write_program("ssh", fake_ssh);
	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		(void)unsetenv(variables[i]);
	set("FAKE_DIR", dir);
	return 0;
}

static int finish(void **state)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static bool any_user;

static int start(const struct place *place, unsigned timeout_ms,
	struct peer *ret, struct error *err)
{
	char program[128];
	struct ssh_options o = {
		.args = (const char *const[]){"-i", "key", NULL}};

	(void)snprintf(program, sizeof(program), "%s/ssh", dir);
	o.program = program;
	o.any_user = any_user;
	return peer_start(place, &o, timeout_ms, ret, err);
}

/* Nothing of the last start is left in any folder. */
static void assert_clean(void)
{
	const char *parents[] = {"/dev/shm", "/run", "/tmp", "/var/tmp", dir};
	char path[256];
	char marker[BOOTSTRAP_MARKER_SIZE] = "";
	CLEANUP_FREE char *command = NULL;
	const char *at;

	(void)snprintf(path, sizeof(path), "%s/command", dir);
	assert_int_equal(io_slurp(path, 4096, &command, NULL), 0);
	at = strstr(command, "m=");
	assert_non_null(at);
	memcpy(marker, at + 2, sizeof(marker) - 1);
	for (size_t i = 0; i < ARRAY_LEN(parents); i++) {
		(void)snprintf(path, sizeof(path), "%s/.rehost-%s", parents[i],
			marker);
		if (access(path, F_OK) == 0)
			fail_msg("%s is left behind", path);
	}
}

static void read_line(int fd, char *buf, size_t size)
{
	size_t n = 0;

	do {
		assert_true(n < size);
		assert_int_equal(io_read_all(fd, buf + n, 1), 0);
	} while (buf[n++] != '\n');
	buf[n - 1] = '\0';
}

/* The peer answers, and says text about itself. */
static void assert_alive(struct peer *p, const char *text)
{
	char line[512];

	read_line(p->in, line, sizeof(line));
	if (!strstr(line, text))
		fail_msg("\"%s\" lacks \"%s\"", line, text);
	assert_int_equal(io_write_all(p->out, "ping\n", 5), 0);
	read_line(p->in, line, sizeof(line));
	assert_string_equal(line, "ping");
}

static void assert_starts(void)
{
	struct peer p;
	struct error err = {.code = 0};
	char text[3000];

	if (start(&remote, SOON_MS, &p, &err) < 0)
		fail_msg("%s", error_text(&err, text, sizeof(text)));
	assert_alive(&p, "cwd=/ client=10.0.0.1 5 10.0.0.2 22");
	peer_stop(&p);
	assert_string_equal(p.name, "u@h");
	assert_non_null(strstr(p.stderr_tail, "standin: hello\n"));
	assert_int_equal(p.pid, 0);
	peer_stop(&p);
	assert_clean();
}

static void assert_fails_in(
	unsigned timeout_ms, int code, const char *why, const char *todo)
{
	struct peer p;
	struct error err = {.code = 0};
	char text[3000];
	int r = start(&remote, timeout_ms, &p, &err);

	error_text(&err, text, sizeof(text));
	if (r != code)
		fail_msg("%d: %s", r, text);
	if (!strstr(err.why, why) || !strstr(err.todo, todo))
		fail_msg("%s", text);
	assert_string_equal(err.host, "u@h");
	assert_clean();
}

static void assert_fails(int code, const char *why, const char *todo)
{
	assert_fails_in(SOON_MS, code, why, todo);
}

static void command(void **state)
{
	char text[BOOTSTRAP_COMMAND_SIZE];
	static const char marker[] = "0123456789abcdef0123456789abcdef";
	const char *rest = NULL;
	size_t n;

	bootstrap_command(marker, 99999999, 99999999, false, text);
	n = strlen(text);
	assert_int_equal(strncmp(text, "exec sh -c '", 12), 0);
	assert_int_equal(text[n - 1], '\'');
	text[n - 1] = '\0';
	assert_null(strpbrk(text + 12, "'!\\\n\r\t"));

	assert_int_equal(bootstrap_answer("REHOST-READY "
					  "0123456789abcdef0123456789abcdef",
				 marker, &rest),
		BOOTSTRAP_READY);
	assert_int_equal(bootstrap_answer("REHOST-READY "
					  "0123456789abcdef0123456789abcdef "
					  "gzip",
				 marker, &rest),
		BOOTSTRAP_READY_PACKED);
	assert_int_equal(bootstrap_answer("REHOST-READY "
					  "0123456789abcdef0123456789abcdef "
					  "lzma",
				 marker, &rest),
		BOOTSTRAP_NOISE);
	assert_int_equal(bootstrap_answer("REHOST-READY "
					  "0123456789abcdef0123456789abcdef0",
				 marker, &rest),
		BOOTSTRAP_NOISE);
	assert_int_equal(bootstrap_answer("REHOST-AGENT "
					  "1123456789abcdef0123456789abcdef",
				 marker, &rest),
		BOOTSTRAP_NOISE);
	assert_int_equal(
		bootstrap_answer("echo \"REHOST-READY $m\"", marker, &rest),
		BOOTSTRAP_NOISE);
	assert_int_equal(bootstrap_answer("REHOST-ERROR "
					  "0123456789abcdef0123456789abcdef "
					  "arch Darwin arm64",
				 marker, &rest),
		BOOTSTRAP_ARCH);
	assert_string_equal(rest, "Darwin arm64");
	assert_int_equal(bootstrap_answer("REHOST-ERROR "
					  "0123456789abcdef0123456789abcdef "
					  "rooty",
				 marker, &rest),
		BOOTSTRAP_NOISE);
}

/* ^C and a hang-up of the terminal do not reach what was started. (Some shells
 * reset signals, but those stand on the other side of ssh.) */
static void signals(void **state)
{
	const struct place *places[] = {&here, &remote};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct peer p;

		assert_int_equal(start(places[i], SOON_MS, &p, NULL), 0);
		assert_int_equal(getpgid(p.pid), getpgid(0));
		assert_int_equal(kill(p.pid, SIGINT), 0);
		assert_int_equal(kill(p.pid, SIGHUP), 0);
		assert_alive(&p, "int=1 hup=1 pipe=0");
		peer_stop(&p);
	}
}

static void local(void **state)
{
	struct peer p;
	char uid[32];

	assert_int_equal(start(&here, SOON_MS, &p, NULL), 0);
	(void)snprintf(uid, sizeof(uid), "uid=%u ", (unsigned)geteuid());
	assert_alive(&p, uid);
	assert_string_equal(p.name, "this machine");
	peer_stop(&p);
	set("STANDIN_MODE", "die");
	assert_int_equal(start(&here, SOON_MS, &p, NULL), -ENOEXEC);
}

static void shells(void **state)
{
	static const char all[][16] = {"sh", "bash", "bash --posix", "dash",
		"busybox sh", "mksh", "ksh", "zsh", "zsh -i", "csh", "tcsh",
		"bsd-csh", "fish", "sash", "rc"};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		char test[64];

		(void)snprintf(test, sizeof(test), "command -v %.*s >/dev/null",
			(int)strcspn(all[i], " "), all[i]);
		if (system(test) != 0)
			continue;
		print_message("%s\n", all[i]);
		set("FAKE_SHELL", all[i]);
		assert_starts();
	}
}

/* The script itself, not only the log-in shell, under every sh there is. */
static void script_shells(void **state)
{
	static const char all[][16] = {
		"bash", "dash", "busybox", "mksh", "zsh"};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		char text[512];

		(void)snprintf(
			text, sizeof(text), "command -v %s >/dev/null", all[i]);
		if (system(text) != 0)
			continue;
		print_message("%s\n", all[i]);
		(void)snprintf(text, sizeof(text),
			"rm -f %s/bin/sh; mkdir -p %s/bin && "
			"ln -s $(command -v %s) %s/bin/sh",
			dir, dir, all[i], dir);
		assert_int_equal(system(text), 0);
		(void)snprintf(text, sizeof(text), "%s/bin:", dir);
		set("FAKE_PATH", text);
		assert_starts();
		set("STANDIN_MODE", "die");
		assert_fails(-ENOEXEC, "status 7: standin: no wish", "");
		assert_int_equal(unsetenv("STANDIN_MODE"), 0);
	}
}

static void busybox_only(void **state)
{
	static const char *const tools[] = {"sh", "uname", "id", "mkdir",
		"chmod", "dd", "rm", "head", "wc"};

	if (system("command -v busybox >/dev/null") != 0)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
		char text[64];

		(void)snprintf(text, sizeof(text),
			"#!/bin/sh\nexec busybox %s \"$@\"\n", tools[i]);
		fake_program(tools[i], text);
	}
	assert_starts();
}

static void arguments(void **state)
{
	CLEANUP_FREE char *args = NULL;
	char path[128];

	assert_starts();
	(void)snprintf(path, sizeof(path), "%s/args", dir);
	assert_int_equal(io_slurp(path, 8192, &args, NULL), 0);
	assert_int_equal(
		strncmp(args, "-p 2200 -l u -i key -x -a -T -o ", 32), 0);
	assert_non_null(strstr(args, " -- h exec sh -c '"));
	assert_null(strstr(args, "StrictHostKeyChecking"));
	assert_null(strstr(args, "BatchMode"));
}

static void noise(void **state)
{
	set("FAKE_LOGIN", "printf 'Welcome to h. Have a nice day'");
	assert_starts();
	set("FAKE_LOGIN", "head -c 60000 /dev/zero; echo motd >&2");
	assert_starts();
	/* The command itself comes back, as from a verbose shell. */
	set("FAKE_LOGIN", "printf '%s\\n' \"$command\"; set -v");
	assert_starts();
	set("FAKE_LOGIN", "head -c 204800 /dev/zero | tr '\\0' x");
	assert_fails(-EPROTO, "64 KiB", "interactive");
	set("FAKE_LOGIN", "head -c 1000000 /dev/zero >&2");
	assert_starts();
}

static void eaten_input(void **state)
{
	set("FAKE_LOGIN", "timeout 0.2 cat >/dev/null");
	assert_starts();
	set("FAKE_LOGIN", "cat >/dev/null");
	assert_fails_in(500, -ETIMEDOUT, "did not come in time", "log-in file");
}

static void canceled(void **state)
{
	char program[128];
	const volatile sig_atomic_t yes = 1;
	struct ssh_options o = {.program = program, .cancel = &yes};
	struct peer p;

	(void)snprintf(program, sizeof(program), "%s/ssh", dir);
	set("FAKE_LOGIN", "cat >/dev/null");
	assert_int_equal(
		peer_start(&remote, &o, SOON_MS, &p, NULL), -ECANCELED);
}

static void no_head(void **state)
{
	fake_program("head", "#!/bin/sh\n"
			     "echo head: invalid option >&2; exit 1\n");
	assert_starts();
}

static void no_gzip(void **state)
{
	fake_program("gzip", "#!/bin/sh\nexit 127\n");
	assert_starts();
	/* It packs, and does not unpack. */
	fake_program("gzip", "#!/bin/sh\n[ \"$1\" = -c ] && cat\n");
	assert_starts();
}

static void architecture(void **state)
{
	fake_program("uname", "#!/bin/sh\necho Linux aarch64\n");
	assert_fails(-EAFNOSUPPORT, "\"Linux aarch64\"", "");
	fake_program("uname", "#!/bin/sh\necho Darwin x86_64\n");
	assert_fails(-EAFNOSUPPORT, "\"Darwin x86_64\"", "");
}

static void sudo(void **state)
{
	fake_program("id", "#!/bin/sh\necho 1000\n");
	fake_program("sudo", "#!/bin/sh\n"
			     "echo sudo: a password is required >&2; exit 1\n");
	assert_fails(-EPERM, "sudo: a password is required", "NOPASSWD");
	fake_program("sudo", "#!/bin/sh\n"
			     "[ \"$1\" = -n ] || exit 1\nshift\n"
			     "unset SSH_CONNECTION\nexec \"$@\"\n");
	assert_starts();
	/* Some commands and not the agent; nothing may stay behind. */
	fake_program("sudo", "#!/bin/sh\n"
			     "[ \"$2\" = true ] && exit 0\n"
			     "echo sudo: not allowed to execute >&2; exit 1\n");
	assert_fails(-ENOEXEC, "status 1: sudo: not allowed", "");
	/* Who need not be root goes on without, and not twice. */
	any_user = true;
	assert_starts();
	set("STANDIN_MODE", "die");
	assert_fails(-ENOEXEC, "status 7: standin: no wish", "");
	fake_program("sudo", "#!/bin/sh\n"
			     "shift; exec \"$@\"\n");
	assert_fails(-ENOEXEC, "status 7: standin: no wish", "");
	assert_int_equal(unsetenv("STANDIN_MODE"), 0);
	assert_starts();
	any_user = false;
}

static void nowhere(void **state)
{
	static const char world[] =
		"exec unshare -m sh -c '"
		"mount --make-rprivate / 2>/dev/null;"
		"mount -t tmpfs -o noexec none \"$HOME\" || exit 99;"
		"for i in /dev/shm /run /var/tmp; do "
		"mount -t tmpfs -o noexec none $i || exit 99; done;"
		"%s exec sh -c \"$0\"' \"$command\"";
	char text[1024];

	if (system("unshare -m true 2>/dev/null") != 0)
		skip();
	set("FAKE_HOME", "/tmp");
	(void)snprintf(text, sizeof(text), world, "");
	set("FAKE_LOGIN", text);
	assert_fails(-ENOEXEC, "no folder there", "noexec");
	/* One folder is enough, also when another has no room. */
	(void)snprintf(text, sizeof(text), world,
		"mount -t tmpfs -o size=16k none /dev/shm;"
		"mount -t tmpfs none /var/tmp;");
	set("FAKE_LOGIN", text);
	assert_starts();
}

static void cut_short(void **state)
{
	fake_program("head", "#!/bin/sh\n"
			     "[ \"$2\" = 1 ] || exec dd bs=1 count=100\n");
	assert_fails(-EIO, "arrived", "");
	fake_program("gzip", "#!/bin/sh\nexit 1\n");
	assert_fails(-EIO, "100 arrived", "");
}

static void agent_fails(void **state)
{
	set("STANDIN_MODE", "die");
	assert_fails(-ENOEXEC, "status 7: standin: no wish to live", "");
	set("STANDIN_MODE", "hang");
	assert_fails_in(1500, -ETIMEDOUT, "greeting", "");
}

static void ssh_fails(void **state)
{
	static const struct {
		const char *said;
		int code;
		const char *why, *todo;
	} cases[] = {
		{"No ED25519 host key is known for h and you have requested "
		 "strict checking.\nHost key verification failed.",
			-EKEYREJECTED, "Host key verification failed.",
			"\"ssh u@h\" once"},
		{"@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n"
		 "Host key verification failed.",
			-EKEYREJECTED, "Host key verification failed.",
			"another than before"},
		{"banner\r\nu@h: Permission denied (publickey,password).\r",
			-EHOSTUNREACH, "u@h: Permission denied (publickey",
			"ssh-copy-id"},
		{"ssh: Could not resolve hostname h: Name or service not "
		 "known",
			-EHOSTUNREACH, "Could not resolve", "check the name"},
		{"ssh: connect to host h port 22: Connection refused",
			-EHOSTUNREACH, "Connection refused", "(-p)"},
		{"ssh: connect to host h port 22: Connection timed out",
			-EHOSTUNREACH, "timed out", "firewall"},
		{"strange\ndebug1: Exit status -1", -EHOSTUNREACH, "strange",
			"\"ssh u@h true\""},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		set("FAKE_SAY", cases[i].said);
		assert_fails(cases[i].code, cases[i].why, cases[i].todo);
	}
	assert_int_equal(unsetenv("FAKE_SAY"), 0);
	set("FAKE_LOGIN", "echo 'This account is not available.'; exit 1");
	assert_fails(-EHOSTUNREACH, "status 1: This account is not", "ssh u@h");
	/* A master in the background keeps standard error open. */
	set("FAKE_LOGIN", "sleep 5 <&- >&- & echo lost >&2; exit 255");
	assert_fails(-EHOSTUNREACH, "lost", "");
}

static void no_ssh(void **state)
{
	struct ssh_options o = {.program = "/nonexistent/ssh"};
	struct peer p = {.pid = 0};
	struct error err;

	assert_int_equal(peer_start(&remote, &o, 1000, &p, &err), -ENOENT);
	assert_non_null(strstr(err.todo, "OpenSSH"));
	peer_stop(&p);
	peer_read_errors(&p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
	const struct CMUnitTest tests[] = {
		TEST(command),
		TEST(signals),
		TEST(local),
		TEST(shells),
		TEST(script_shells),
		TEST(busybox_only),
		TEST(arguments),
		TEST(noise),
		TEST(eaten_input),
		TEST(canceled),
		TEST(no_head),
		TEST(no_gzip),
		TEST(architecture),
		TEST(sudo),
		TEST(nowhere),
		TEST(cut_short),
		TEST(agent_fails),
		TEST(ssh_fails),
		TEST(no_ssh),
	};

	(void)unsetenv("REHOST_SSH");
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
