/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses of a source its new machine has as well. */
#include "unit_json.h"

#include "move/machine.h"

#define A "52:54:00:00:00:0a"
#define B "52:54:00:00:00:0b"
#define C "52:54:00:00:00:0c"
#define D "52:54:00:00:00:0d"
#define E "52:54:00:00:00:0e"

static const char source_text[] =
	"{\"network\":{\"interfaces\":["
	"{\"name\":\"lo\",\"addresses\":[\"127.0.0.1/8\"]},"
	"{\"name\":\"eth0\",\"mac\":\"" A "\",\"addresses\":[\"192.0.2.5/24\","
	"\"2001:db8::5/64\",\"fe80::5054:ff:fe00:a/64\"]},"
	"{\"name\":\"eth0.7\",\"kind\":\"vlan\",\"mac\":\"" A
	"\",\"addresses\":[\"203.0.113.5/24\"]},"
	/* The bridge has a MAC of its own, the card that of its bond. */
	"{\"name\":\"eth1\",\"mac\":\"" C "\",\"permanent_mac\":\"" B
	"\",\"master\":\"bond0\",\"addresses\":[]},"
	"{\"name\":\"bond0\",\"mac\":\"" C "\",\"master\":\"br0\","
	"\"addresses\":[]},"
	"{\"name\":\"br0\",\"mac\":\"" D "\",\"addresses\":"
	"[\"198.51.100.5/24\", 7]},"
	"{\"name\":\"docker0\",\"mac\":\"" E
	"\",\"addresses\":[\"172.17.0.1/16\"]}]}}";

static struct plan_nic *add_nic(
	struct plan *p, const char *mac, enum plan_mode mode)
{
	struct plan_nic *n = plan_add_nic(p);

	assert_non_null(n);
	n->mac = strdup(mac);
	n->mode = mode;
	return n;
}

static void expect(const struct plan *p, const char *want)
{
	json_error_t e;
	json_t *source = json_loads(source_text, 0, &e);
	json_t *list = machine_shared(p, source);
	char *text = json_dumps(list, JSON_COMPACT);

	assert_string_equal(text, want);
	free(text);
	json_decref(list);
	json_decref(source);
}

static struct plan both(enum plan_mode a, enum plan_mode b)
{
	struct plan p;

	plan_init(&p);
	add_nic(&p, A, a);
	add_nic(&p, B, b);
	return p;
}

static void test_kept(void **state)
{
	struct plan p = both(PLAN_KEEP, PLAN_DHCP);

	expect(&p, "[\"192.0.2.5\",\"2001:db8::5\",\"203.0.113.5\"]");
	p.nics[1].mode = PLAN_KEEP;
	expect(&p, "[\"192.0.2.5\",\"2001:db8::5\",\"203.0.113.5\",\"198.51."
		   "100.5\"]");
	p.nics[0].exclude = true;
	expect(&p, "[\"198.51.100.5\"]");
	plan_done(&p);
}

static void test_mapped(void **state)
{
	struct plan p = both(PLAN_MAP, PLAN_DHCP);
	struct plan_list *l = &p.nics[0].addresses;

	assert_int_equal(plan_list_add(l, "192.0.2.50/24", 9), 0);
	expect(&p, "[]");
	/* Also one that another card had. */
	assert_int_equal(plan_list_add(l, "198.51.100.5/25", 9), 0);
	assert_int_equal(plan_list_add(l, "2001:DB8:0::5/48", 9), 0);
	expect(&p, "[\"198.51.100.5\",\"2001:db8::5\"]");
	plan_done(&p);
}

/* Whatever the plan says of the cards then. */
static void test_not_adapted(void **state)
{
	struct plan p = both(PLAN_DHCP, PLAN_DHCP);

	expect(&p, "[]");
	p.fixups[PLAN_NETWORK] = false;
	expect(&p, "[\"192.0.2.5\",\"2001:db8::5\",\"203.0.113.5\",\"198.51."
		   "100.5\"]");
	plan_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_not_adapted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
