/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>

#include "base/io.h"
#include "rescue/cmdline.h"
#include "rescue/net.h"

static void good(void **state)
{
	struct cmdline_address a;
	uint8_t mac[6] = {0x52, 0x54, 0, 0xAb, 0xcd, 0xef};
	uint8_t ip[16];

	assert_int_equal(cmdline_parse_address("dhcp", &a), 0);
	assert_int_equal(a.family, AF_UNSPEC);
	assert_int_equal(cmdline_parse_address("dhcp,dev=eth1", &a), 0);
	assert_string_equal(a.dev, "eth1");
	assert_int_equal(
		cmdline_parse_address(
			"10.0.0.5/24,gw=10.0.0.1,mac=52:54:00:aB:Cd:ef", &a),
		0);
	assert_int_equal(a.family, AF_INET);
	assert_int_equal(a.prefix, 24);
	assert_true(a.has_gateway && a.has_mac);
	assert_memory_equal(a.mac, mac, 6);
	assert_int_equal(inet_pton(AF_INET, "10.0.0.5", ip), 1);
	assert_memory_equal(a.address, ip, 4);
	assert_int_equal(
		cmdline_parse_address("2001:db8::7/64,gw=fe80::1", &a), 0);
	assert_int_equal(a.family, AF_INET6);
	assert_int_equal(inet_pton(AF_INET6, "fe80::1", ip), 1);
	assert_memory_equal(a.gateway, ip, 16);
	assert_false(a.has_mac);
	assert_int_equal(a.mtu, 0);
	assert_int_equal(
		cmdline_parse_address("10.0.0.5/24,mtu=65535,dev=a", &a), 0);
	assert_int_equal(a.mtu, 65535);
	assert_int_equal(cmdline_parse_address("dhcp,dev=a,mtu=68", &a), 0);
	assert_int_equal(a.mtu, 68);
	assert_int_equal(cmdline_parse_route("10.9.0.0/16,gw=10.0.0.1", &a), 0);
	assert_int_equal(
		cmdline_parse_route("10.9.0.0/16,gw=10.0.0.1,mtu=1400", &a),
		-EINVAL);
}

static void bad(void **state)
{
	static const char *const texts[] = {"", "dhcp4", "10.0.0.5",
		"10.0.0.5/", "10.0.0.5/33", "10.0.0/24", "::1/129", "::1/-1",
		"10.0.0.5/24,", "10.0.0.5/24,gw=", "10.0.0.5/24,gw=::1",
		"10.0.0.5/24,gw=1.1.1.1,gw=1.1.1.1", "dhcp,gw=10.0.0.1",
		"dhcp,mac=52:54:00:12:34", "dhcp,mac=52:54:00:12:34:5g",
		"dhcp,mac=52-54-00-12-34-56", "dhcp,dev=", "dhcp,dev=a/b",
		"dhcp,dev=a b", "dhcp,dev=sixteen-letters-",
		"dhcp,dev=a,mac=52:54:00:12:34:56", "dhcp,x=1",
		"dhcp,mtu=", "dhcp,mtu=67", "dhcp,mtu=65536", "dhcp,mtu=1e3",
		"dhcp,mtu=1400,mtu=1400", NULL};
	struct cmdline_address a;
	char longest[600];

	for (const char *const *t = texts; *t; t++)
		assert_int_equal(cmdline_parse_address(*t, &a), -EINVAL);
	memset(longest, '1', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(cmdline_parse_address(longest, &a), -EINVAL);
	assert_false(cmdline_is_ip(longest));
	assert_true(cmdline_is_ip("::"));
	assert_false(cmdline_is_ip("1.2.3"));
}

static void lines(void **state)
{
	struct cmdline c;
	char wrong[64], text[4096];

	cmdline_parse("BOOT_IMAGE=/x quiet", &c, wrong, sizeof(wrong));
	assert_string_equal(wrong, "");
	assert_int_equal(c.n_addresses, 1);
	assert_int_equal(c.addresses[0].family, AF_UNSPEC);
	assert_int_equal(c.watchdog, 0);
	assert_int_equal(c.port, 22);
	cmdline_parse(
		"rehost.port=2222 rehost.port=0", &c, wrong, sizeof(wrong));
	assert_int_equal(c.port, 2222);
	assert_string_equal(wrong, "rehost.port=0");
	cmdline_parse("rehost.port=65536", &c, wrong, sizeof(wrong));
	assert_int_equal(c.port, 22);
	assert_string_equal(wrong, "rehost.port=65536");
	cmdline_parse("rehost.ip=10.0.0.5/24  rehost.watchdog=90\t"
		      "rehost.dns=10.0.0.1 rehost.ip=x rehost.ip=::7/64 "
		      "rehost.foo xrehost.ip=1",
		&c, wrong, sizeof(wrong));
	assert_string_equal(wrong, "rehost.ip=x");
	assert_int_equal(c.n_addresses, 2);
	assert_int_equal(c.watchdog, 90);
	assert_int_equal(c.n_dns, 1);
	assert_string_equal(c.dns[0], "10.0.0.1");
	cmdline_parse("rehost.route=10.9.0.0/16,gw=10.0.0.9,dev=eth1 "
		      "rehost.id=0f rehost.route=10.9.0.0/16",
		&c, wrong, sizeof(wrong));
	assert_int_equal(c.n_routes, 1);
	assert_int_equal(c.routes[0].prefix, 16);
	assert_string_equal(c.routes[0].dev, "eth1");
	assert_string_equal(wrong, "rehost.route=10.9.0.0/16");
	cmdline_parse("rehost.watchdog=99999999999", &c, wrong, sizeof(wrong));
	assert_string_equal(wrong, "rehost.watchdog=99999999999");
	cmdline_parse("rehost.dns=::1 rehost.dns=::2 rehost.dns=::3 "
		      "rehost.dns=::4",
		&c, wrong, 12);
	assert_int_equal(c.n_dns, 3);
	assert_string_equal(wrong, "rehost.dns=");
	/* Too many, and longer than a word may be. */
	text[0] = '\0';
	for (int i = 0; i < CMDLINE_ADDRESSES + 1; i++)
		(void)strncat(text, "rehost.ip=dhcp ", 16);
	cmdline_parse(text, &c, wrong, sizeof(wrong));
	assert_int_equal(c.n_addresses, CMDLINE_ADDRESSES);
	assert_string_equal(wrong, "rehost.ip=dhcp");
	memset(text, 'x', 1000);
	memcpy(text + 1000, " rehost.watchdog=1", 19);
	cmdline_parse(text, &c, wrong, sizeof(wrong));
	assert_string_equal(wrong, "");
	assert_int_equal(c.watchdog, 1);
}

/* In a network of its own, with nothing but lo. */
static void network(void **state)
{
	const uint8_t v4[4] = {10, 9, 8, 7}, gw[4] = {192, 168, 1, 1};
	const uint8_t to[4] = {10, 9, 0, 0};
	struct net_address a[16];
	struct net_link l[8];
	uint8_t v6[16];
	int n, found = 0;

	char *text;

	if (unshare(CLONE_NEWNET) < 0)
		skip();
	n = net_links(l, 8);
	assert_true(n >= 1);
	assert_string_equal(l[0].name, "lo");
	assert_false(l[0].up);
	assert_false(l[0].ethernet);
	assert_int_equal(net_set_up(l[0].index), 0);
	assert_int_equal(net_set_up(9999), -ENODEV);
	assert_int_equal(net_set_mtu(l[0].index, 1400), 0);
	assert_int_equal(net_set_mtu(9999, 1400), -ENODEV);
	assert_true(net_links(l, 8) >= 1);
	assert_int_equal(l[0].mtu, 1400);
	assert_int_equal(inet_pton(AF_INET6, "2001:db8::7", v6), 1);
	assert_int_equal(net_add_address(l[0].index, AF_INET, v4, 24), 0);
	/* Once more is no harm. */
	assert_int_equal(net_add_address(l[0].index, AF_INET, v4, 24), 0);
	assert_int_equal(net_add_address(l[0].index, AF_INET6, v6, 64), 0);
	/* A gateway that no prefix has. */
	assert_int_equal(net_add_route(l[0].index, AF_INET, NULL, 0, gw), 0);
	assert_int_equal(net_add_route(l[0].index, AF_INET, NULL, 0, gw), 0);
	assert_int_equal(net_add_route(l[0].index, AF_INET, to, 16, gw), 0);
	assert_true(net_add_route(l[0].index, AF_INET, v4, 16, gw) < 0);
	assert_int_equal(io_slurp("/proc/net/route", 1 << 16, &text, NULL), 0);
	assert_non_null(strstr(text, "0000090A")); /* 10.9.0.0 */
	free(text);
	n = net_addresses(a, 16);
	for (int i = 0; i < n; i++) {
		if (a[i].family == AF_INET && memcmp(a[i].address, v4, 4) == 0)
			found |= a[i].prefix == 24 && a[i].global ? 1 : 0;
		if (a[i].family == AF_INET6 &&
			memcmp(a[i].address, v6, 16) == 0)
			found |= a[i].prefix == 64 && a[i].global ? 2 : 0;
	}
	assert_int_equal(found, 3);
	assert_int_equal(net_remove_address(l[0].index, AF_INET, v4, 24), 0);
	assert_int_equal(net_addresses(a, 16), n - 1);
	assert_int_equal(net_addresses(a, 1), 1);
	assert_true(net_remove_address(l[0].index, AF_INET, v4, 24) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(bad),
		cmocka_unit_test(lines),
		cmocka_unit_test(network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
