/* SPDX-License-Identifier: Apache-2.0 */
/* The way back to a silent source: what it says of itself, and its host key. */
#include "unit.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "move/back.h"

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static char config[] = "/tmp/rehost-back-XXXXXX";

static int find(const char *address, const char *local, struct back *ret)
{
	struct msg_hello hello = {0};
	json_t *facts = json_pack("{s:{s:[{s:s s:[ss]}]}}", "network",
		"interfaces", "name", "eth0", "addresses", address, local);
	int r;

	assert_non_null(facts);
	(void)snprintf(
		hello.ssh_address, sizeof(hello.ssh_address), "10.9.0.2");
	memset(ret, 0, sizeof(*ret));
	r = back_find(facts, &hello, ret);
	json_decref(facts);
	return r;
}

/* Nothing but a link-local address is taken for one. */
static void test_find(void **state)
{
	struct back b;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(system("ip link add a0 type veth peer name a1 &&"
				"ip addr add 10.9.0.1/24 dev a0 &&"
				"ip addr add fe80::1/64 dev a0 nodad &&"
				"ip link set a0 up && ip link set a1 up"),
		0);
	assert_int_equal(find("10.9.0.2/24", "fe80:0::5/64", &b), 0);
	assert_string_equal(b.source, "fe80::5%a0");
	assert_non_null(strstr(b.controller, "%eth0"));
	assert_int_equal(find("10.9.0.2/24", "fe80:$(id)", &b), -ENETUNREACH);
	assert_int_equal(find("10.9.0.2/24", "fe80::5 -x", &b), -ENETUNREACH);
	assert_int_equal(
		find("10.9.0.2/24", "2001:db8::5/64", &b), -ENETUNREACH);
	assert_int_equal(find("10.9.0.3/24", "fe80::5/64", &b), -ENETUNREACH);
}

static void expect_alias(const char *text, const char *want)
{
	struct ssh_options o = {.args = ARGS("-F", config)};
	struct place source = {0};
	static struct back_args args;
	FILE *f = fopen(config, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	(void)snprintf(source.host, sizeof(source.host), "old");
	assert_int_equal(back_arguments(&source, &o, "fe80::5%a0", &args), 0);
	assert_string_equal(args.host, "HostName=fe80::5%%a0");
	assert_string_equal(args.alias, want);
}

/* The key is known by the name and the port that ssh had. */
static void test_alias(void **state)
{
	(void)state;
	expect_alias(
		"Host old\nHostName 192.0.2.9\n", "HostKeyAlias=192.0.2.9");
	expect_alias("Host old\nHostName 192.0.2.9\nPort 2222\n",
		"HostKeyAlias=[192.0.2.9]:2222");
	expect_alias(
		"Host old\nHostName 192.0.2.9\nPort 2222\nHostKeyAlias x\n",
		"HostKeyAlias=x");
}

static int setup(void **state)
{
	int fd = mkstemp(config);

	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	return unlink(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_alias),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
