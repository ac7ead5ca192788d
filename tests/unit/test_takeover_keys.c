/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys the system's ssh offers, with its own programs and an agent. */
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "move/takeover_keys.h"

static char dir[64];
static char agent_pid[32];

static void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s", command);
}

/* Three keys: one that is plain, one with a passphrase, one in an agent. */
static int setup(void **state)
{
	CLEANUP_FREE char *pid = NULL;
	char path[128];

	(void)snprintf(dir, sizeof(dir), "/tmp/rehost-keys-XXXXXX");
	if (!mkdtemp(dir) || chdir(dir) < 0)
		return -1;
	(void)unsetenv("REHOST_SSH");
	(void)unsetenv("SSH_AUTH_SOCK");
	assert_int_equal(setenv("HOME", dir, 1), 0);
	run("ssh-keygen -q -t ed25519 -N '' -C plain -f plain");
	run("ssh-keygen -q -t ed25519 -N secret -C locked -f locked");
	run("ssh-keygen -q -t ed25519 -N '' -C lent -f lent");
	run("ssh-agent -a agent | sed -n 's/.*AGENT_PID=\\([0-9]*\\);.*/\\1/p' "
	    ">pid && SSH_AUTH_SOCK=agent ssh-add -q lent && rm lent plain.pub");
	(void)snprintf(path, sizeof(path), "%s/pid", dir);
	if (io_slurp(path, 32, &pid, NULL) < 0)
		return -1;
	(void)snprintf(agent_pid, sizeof(agent_pid), "%.*s",
		(int)strcspn(pid, "\n"), pid);
	return agent_pid[0] ? 0 : -1;
}

static int teardown(void **state)
{
	char command[256];

	(void)snprintf(command, sizeof(command),
		"SSH_AGENT_PID=%s ssh-agent -k >/dev/null; cd /; rm -rf '%s'",
		agent_pid, dir);
	return system(command);
}

static void put(const char *text)
{
	FILE *f = fopen("config", "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void offered(void **state)
{
	static const struct {
		const char *config, *socket; /* NULL: none */
		bool plain, lent, sure;
	} cases[] = {
		{"IdentityFile ~/plain\n", NULL, true, false, true},
		{"IdentityFile ~/plain\nIdentityFile ~/locked\n", "agent", true,
			true, true},
		{"IdentityFile ~/locked\n", NULL, false, false, true},
		{"IdentityFile ~/nothing\n", "agent", false, true, true},
		{"IdentityFile ~/plain\nIdentityAgent none\n", "agent", true,
			false, true},
		{"IdentityFile ~/plain\nIdentityAgent agent\n", "gone", true,
			true, true},
		{"IdentityFile ~/nothing\n", "gone", false, false, true},
		/* What is not looked into. */
		{"IdentityFile ~/plain\nIdentityAgent $OTHER\n", "agent", true,
			false, false},
		{"CertificateFile ~/x\nIdentityFile plain\n", NULL, true, false,
			false},
		{"PKCS11Provider /x.so\n", NULL, false, false, false},
		{"Nonsense\n", "agent", false, true, false},
	};
	const char *args[] = {"-F", "config", NULL};
	struct ssh_options o = {.args = args};
	struct place place;
	struct error err;

	assert_int_equal(place_parse("root@new.invalid", &place, &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(takeover_keys_done) struct takeover_keys k = {0};

		put(cases[i].config);
		if (cases[i].socket)
			(void)setenv("SSH_AUTH_SOCK", cases[i].socket, 1);
		else
			(void)unsetenv("SSH_AUTH_SOCK");
		assert_int_equal(takeover_keys_find(&place, &o, &k), 0);
		assert_int_equal(k.n, strlen(k.text));
		if (!strstr(k.text, " plain\n") != !cases[i].plain ||
			!strstr(k.text, " lent\n") != !cases[i].lent ||
			strstr(k.text, "locked") || k.sure != cases[i].sure)
			fail_msg("case %zu: %s (%d)", i, k.text, k.sure);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offered),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
