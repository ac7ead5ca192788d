/* SPDX-License-Identifier: Apache-2.0 */
/* What a rescue system keeps of a machine's network, and its command line. */
#include "unit_json.h"

#include <errno.h>
#include <jansson.h>

#include "base/cleanup.h"
#include "move/takeover_network.h"
#include "rescue/cmdline.h"

#define CARD(name, mac, more)                                                  \
	"{'name':'" name "','kind':'ethernet','address':'0000:00:03.0',"       \
	"'mac':'" mac "'" more "}"
#define ETH0                                                                   \
	CARD("eth0", "52:54:00:00:00:01",                                      \
		",'addresses':['10.0.2.15/24',"                                \
		"'fe80::1/64','2001:db8::7/64']")
#define MAC0 ",mac=52:54:00:00:00:01"
#define ROUTES                                                                 \
	"'routes':[{'to':'default','via':'10.0.2.9','interface':'eth0',"       \
	"'family':4,'metric':100},"                                            \
	"{'to':'default','via':'10.0.2.2','interface':'eth0','family':4},"     \
	"{'to':'10.0.2.0/24','interface':'eth0','family':4,"                   \
	"'protocol':'kernel'},"                                                \
	"{'to':'default','via':'fe80::9','interface':'eth0','family':6}"

/* One card at 10.0.2.15, with other interfaces and routes. */
#define AT "10.0.2.15"
#define WORD0 " rehost.ip=10.0.2.15/24" MAC0
#define NET(more, routes)                                                      \
	"{'network':{'interfaces':[" CARD0 more "],'routes':[" routes "]}}"
#define CARD0 CARD("eth0", "52:54:00:00:00:01", ",'addresses':['10.0.2.15/24']")
#define OTHER(name, kind)                                                      \
	",{'name':'" name "','kind':'" kind "','mac':'52:54:00:00:00:02'}"
#define DEFAULT(family, more)                                                  \
	"{'to':'default','family':" family ",'interface':" more "}"
#define LOST "would not reach 192.0.2.1, from where ssh comes: "

/* clang-format off */
static const struct {
	const char *facts, *reached;
	const char *words;	    /* "": refused */
	const char *refused, *left; /* parts */
	const char *dynamic;
	const char *from; /* NULL: from its own network */
	uint32_t port;
} cases[] = {
	{"{'network':{'interfaces':[" ETH0 "]," ROUTES "]}}", "10.0.2.15",
		" rehost.ip=10.0.2.15/24,gw=10.0.2.2" MAC0
		" rehost.ip=2001:db8::7/64,gw=fe80::9" MAC0,
		"", "", ""},
	/* The address of ssh comes first. */
	{"{'network':{'interfaces':[" ETH0 "]," ROUTES "]}}", "2001:DB8::7",
		" rehost.ip=2001:db8::7/64,gw=fe80::9" MAC0
		" rehost.ip=10.0.2.15/24,gw=10.0.2.2" MAC0,
		"", "", ""},
	/* The default route goes through the other card. */
	{"{'network':{'interfaces':["
	 "" CARD("a", "52:54:00:00:00:0a",
		 ",'addresses':['192.0.2.3/28']") ","
						  "" CARD("b",
							  "02:00:00:00:00:0b",
							  ",'permanent_mac':'"
							  "52:54:00:00:00:0b',"
							  "'addresses':['10.1."
							  "0.2/16','10.1.0.3/"
							  "16']") "],"
								  "'routes':[{'"
								  "to':'"
								  "default','"
								  "via':'10.1."
								  "0.1','"
								  "interface':'"
								  "b',"
								  "'family':4},"
								  "{'to':'10.9."
								  "0.0/"
								  "16','via':'"
								  "192.0.2.1',"
								  "'interface':"
								  "'a','family'"
								  ":4,'"
								  "protocol':'"
								  "static'},"
								  "{'to':'10.8."
								  "0.0/"
								  "16','"
								  "refuses':"
								  "true,'via':'"
								  "192.0.2.1',"
								  "'interface':"
								  "'a','family'"
								  ":4}],"
								  "'resolver':{"
								  "'nameservers"
								  "':['127.0.0."
								  "53','192.0."
								  "2.8'],"
								  "'upstream':["
								  "'2001:db8::"
								  "53','x']}}}",
		"192.0.2.3",
		" rehost.ip=192.0.2.3/28,mac=52:54:00:00:00:0a"
		" rehost.ip=10.1.0.2/16,gw=10.1.0.1,mac=52:54:00:00:00:0b"
		" rehost.ip=10.1.0.3/16,mac=52:54:00:00:00:0b"
		" rehost.route=10.9.0.0/16,gw=192.0.2.1,mac=52:54:00:00:00:0a"
		" rehost.dns=192.0.2.8 rehost.dns=2001:db8::53",
		"", "", ""},
	/* What is not kept, and what came by DHCP. */
	{"{'network':{'interfaces':["
	 "" CARD("eth0", "52:54:00:00:00:01",
		 ",'addresses':['10.0.2.15/24'],"
		 "'dynamic_addresses':['10.0.2.15/24']") ","
							 "{'name':'vlan7','"
							 "kind':'vlan','mac':'"
							 "52:54:00:00:00:01',"
							 "'addresses':['10.7.0."
							 "1/"
							 "24']},{'name':'lo','"
							 "kind':'loopback',"
							 "'addresses':['127.0."
							 "0.1/"
							 "8']}],'routes':[{'to'"
							 ":'10.6.0.0/16',"
							 "'via':'10.7.0.9','"
							 "interface':'vlan7','"
							 "family':4}]}}",
		"10.0.2.15", " rehost.ip=10.0.2.15/24" MAC0, "",
		"10.7.0.1/24 (vlan7, vlan), the route to 10.6.0.0/16",
		"10.0.2.15/24"},
	{"{'network':{'interfaces':[{'name':'br0','kind':'bridge',"
	 "'mac':'52:54:00:00:00:01','addresses':['10.0.2.15/24']}]}}",
		"10.0.2.15", "", "10.0.2.15 on br0", "", ""},
	/* A card that is part of a bond. */
	{"{'network':{'interfaces':[" CARD("eth0", "52:54:00:00:00:01",
		 ",'master':'bond0','addresses':['10.0.2.15/24']") "]}}",
		"10.0.2.15", "", "no plain network card", "", ""},
	/* Software made it. */
	{"{'network':{'interfaces':[{'name':'veth0','kind':'ethernet',"
	 "'mac':'52:54:00:00:00:01','addresses':['10.0.2.15/24']}]}}",
		"10.0.2.15", "", "no plain network card", "", ""},
	{"{'network':{'interfaces':[" ETH0 "]}}", "", "", "not reached", "",
		""},
	{"{'network':{'interfaces':[" ETH0 "]}}", "10.0.2.16", "",
		"none of its network cards has", "", ""},
	{"{'network':{'interfaces':[" ETH0 "]}}", "fe80::1", "", "own link", "",
		""},
	{"{}", "x", "", "own link", "", ""},
	/* A MAC and a gateway that are none. */
	{"{'network':{'interfaces':[" CARD(
		 "eth0", "x y", ",'addresses':['10.0.2.15/24']") "]}}",
		"10.0.2.15", "", "", "10.0.2.15/24 (eth0", ""},
	{"{'network':{'interfaces':[" CARD("eth0", "52:54:00:00:00:01",
		 ",'addresses':['10.0.2.15/24']") "],'routes':[{"
						  "'to':'default','via':'a "
						  "b','interface':'eth0','"
						  "family':4}]}}",
		AT, WORD0, "", "the IPv4 default route through eth0", ""},
	/* A default route without a gateway. */
	{NET("", DEFAULT("4", "'eth0'")), AT, WORD0, "",
		"the IPv4 default route through eth0", ""},
	{NET("", DEFAULT("4", "'eth0'")), AT, "",
		LOST "the IPv4 default route through eth0 cannot be kept", "",
		"", "192.0.2.1"},
	/* One over a bridge, while ssh came over the card. */
	{NET(OTHER("br0", "bridge"), DEFAULT("4", "'br0','via':'10.1.0.1'")),
		AT, WORD0, "", "the IPv4 default route through br0", ""},
	{NET(OTHER("br0", "bridge"), DEFAULT("4", "'br0','via':'10.1.0.1'")),
		AT, "", LOST "the IPv4 default route through br0", "", "",
		"192.0.2.1"},
	/* One through a card that has no address. */
	{NET("," CARD("b", "52:54:00:00:00:0b", ""),
		 DEFAULT("4", "'b','via':'10.1.0.1'")),
		AT, "", LOST "the IPv4 default route through b", "", "",
		"192.0.2.1"},
	/* IPv4 by a gateway that has IPv6. */
	{NET("", DEFAULT("4", "'eth0','via':'fe80::1'")), AT, "",
		LOST "the IPv4 default route through eth0", "", "",
		"192.0.2.1"},
	/* The second best can be kept. */
	{NET(OTHER("wg0", "wireguard"),
		 DEFAULT("4", "'wg0'") "," DEFAULT(
			 "4", "'eth0','via':'10.0.2.2','metric':9")),
		AT, " rehost.ip=10.0.2.15/24,gw=10.0.2.2" MAC0, "", "", "",
		"192.0.2.1"},
	/* That of the other family. */
	{NET(OTHER("br0", "bridge"),
		 DEFAULT("4", "'eth0','via':'10.0.2.2'") "," DEFAULT(
			 "6", "'br0','via':'fe80::1'")),
		AT, " rehost.ip=10.0.2.15/24,gw=10.0.2.2" MAC0, "",
		"the IPv6 default route through br0", "", "192.0.2.1"},
	/* Rules may lead to another table; and a route does as well. */
	{NET("", ""), AT, "", LOST "it has no default route", "", "",
		"192.0.2.1"},
	{NET("", "{'to':'192.0.2.0/25','via':'10.0.2.3','interface':'eth0',"
		 "'family':4}"),
		AT,
		WORD0 " rehost.route=192.0.2.0/25,gw=10.0.2.3" MAC0, "", "", "",
		"192.0.2.1"},
	{NET("", "{'to':'192.0.2.0/25','via':'10.0.2.3','interface':'eth0',"
		 "'family':4}"),
		AT, "", "would not reach 192.0.2.129", "", "", "192.0.2.129"},
	/* Of routes without a gateway that to the gateway is not missed. */
	{NET("", DEFAULT("4", "'eth0','via':'172.31.1.1'") ","
		 "{'to':'172.31.1.1/32','interface':'eth0','family':4},"
		 "{'to':'10.5.0.0/16','interface':'eth0','family':4}"),
		AT, " rehost.ip=10.0.2.15/24,gw=172.31.1.1" MAC0, "",
		"the route to 10.5.0.0/16", "", "192.0.2.1"},
	/* An MTU, and another port of ssh. */
	{"{'network':{'interfaces':[" CARD("eth0", "52:54:00:00:00:01",
		 ",'mtu':9000,'addresses':['10.0.2.15/24']") "," CARD("b",
		 "52:54:00:00:00:0b",
		 ",'mtu':1500,'addresses':['10.1.0.2/16','10.3.0.2/16']") ","
		 CARD("c", "52:54:00:00:00:0c",
		 ",'mtu':65536,'addresses':['10.2.0.2/16']") "],'routes':["
		 DEFAULT("4", "'eth0','via':'10.0.2.2'") "]}}",
		AT,
		" rehost.ip=10.0.2.15/24,gw=10.0.2.2,mtu=9000" MAC0
		" rehost.port=2222"
		" rehost.ip=10.1.0.2/16,mac=52:54:00:00:00:0b"
		" rehost.ip=10.3.0.2/16,mac=52:54:00:00:00:0b"
		" rehost.ip=10.2.0.2/16,mac=52:54:00:00:00:0c",
		"", "", "", "192.0.2.1", 2222},
	{NET("", ""), AT, WORD0, "", "", "", NULL, 22},
};
/* clang-format on */

static void words(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *facts = load(cases[i].facts);
		struct takeover_reach reach = {.at = cases[i].reached,
			.from = cases[i].from ? cases[i].from
					      : cases[i].reached,
			.port = cases[i].port};
		struct takeover_network n;

		takeover_network(facts, &reach, &n);
		if (strcmp(n.words, cases[i].words) != 0)
			fail_msg("case %zu: %s", i, n.words);
		if (!n.refused[0] == !cases[i].words[0])
			fail_msg("case %zu: %s", i, n.refused);
		if (n.refused[0])
			assert_non_null(n.remedy);
		if (!strstr(n.refused, cases[i].refused))
			fail_msg("case %zu: %s", i, n.refused);
		if (cases[i].words[0]) {
			assert_string_equal(n.refused, "");
			assert_string_equal(n.left, cases[i].left);
			assert_string_equal(n.address, cases[i].reached);
		} else if (!strstr(n.left, cases[i].left)) {
			fail_msg("case %zu: %s", i, n.left);
		}
		assert_string_equal(n.dynamic, cases[i].dynamic);
		json_decref(facts);
	}
}

/* However many there are, the first one is there, and the rest is named. */
static void too_many(void **state)
{
	json_t *facts = load("{'network':{'interfaces':[" CARD(
		"eth0", "52:54:00:00:00:01", ",'addresses':[]") "]}}");
	json_t *list = json_object_get(
		json_array_get(
			json_object_get(json_object_get(facts, "network"),
				"interfaces"),
			0),
		"addresses");
	struct takeover_reach reach = {.at = "2001:db8:1111:2222::3b",
		.from = "2001:db8:1111:2222::1"};
	struct takeover_network n;
	struct cmdline c;
	char line[2048], text[64], bad[64];

	for (int i = 1; i < 60; i++) {
		(void)snprintf(
			text, sizeof(text), "2001:db8:1111:2222::%x/64", i);
		json_array_append_new(list, json_string(text));
	}
	takeover_network(facts, &reach, &n);
	assert_string_equal(n.refused, "");
	assert_non_null(strstr(n.left, "2001:db8:1111:2222::20/64 (eth0"));
	assert_string_equal(n.left + strlen(n.left) - 4, " ...");
	assert_int_equal(
		takeover_cmdline(facts, &n, 600, "0f0f", line, sizeof(line)),
		0);
	cmdline_parse(line, &c, bad, sizeof(bad));
	assert_string_equal(bad, "");
	assert_int_equal(c.n_addresses, n.n_addresses);
	assert_in_range(c.n_addresses, 10, CMDLINE_ADDRESSES);
	assert_int_equal(c.addresses[0].address[15], 0x3b);
	assert_int_equal(c.watchdog, 600);
	json_decref(facts);
}

static void command_line(void **state)
{
	json_t *facts = load("{'system':{'kernel':{'command_line':"
			     "'BOOT_IMAGE=/boot/x root=/dev/vda1 ro "
			     "console=ttyS1,57600 quiet splash pci=nomsi "
			     "init=/bin/sh rehost.watchdog=9 video=\\u0001 "
			     "noapic'}}}");
	struct takeover_network n = {.words = " rehost.ip=10.0.0.1/8"};
	char line[256], small[40];

	assert_int_equal(
		takeover_cmdline(facts, &n, 0, "ab", line, sizeof(line)), 0);
	assert_string_equal(line,
		"quiet panic=10 rehost.id=ab rehost.watchdog=0 "
		"rehost.ip=10.0.0.1/8 console=ttyS1,57600 pci=nomsi noapic");
	assert_int_equal(
		takeover_cmdline(facts, &n, 0, "ab", small, sizeof(small)),
		-E2BIG);
	json_decref(facts);
}

static void hostile(void **state)
{
	static const char *const texts[] = {"{}", "{'network':1}",
		"{'network':{'interfaces':{},'routes':3}}",
		"{'network':{'interfaces':[1,null,{'addresses':[1,{}]}],"
		"'routes':[1,{'to':'default','family':4,'via':1}]}}",
		"{'network':{'interfaces':[{'name':1,'kind':'ethernet',"
		"'address':1,'mac':'\\u001b','addresses':['1.1.1.1/8',"
		"'1.1.1.1/8 init=/x','dhcp']}]}}"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct takeover_reach reach = {.at = "1.1.1.1", .from = "x"};
		json_t *facts = load(texts[i]);
		struct takeover_network n;

		takeover_network(facts, &reach, &n);
		assert_null(strstr(n.words, "init"));
		assert_string_equal(n.words, "");
		assert_true(n.refused[0] != '\0');
		json_decref(facts);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(too_many),
		cmocka_unit_test(command_line),
		cmocka_unit_test(hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
