/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "base/parse.h"

static void sizes(void **state)
{
	uint64_t v = 7;

	assert_int_equal(parse_size("0", &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(parse_size("50M", &v), 0);
	assert_int_equal(v, 50ULL << 20);
	assert_int_equal(parse_size("16383P", &v), 0);
	assert_int_equal(v, 16383ULL << 50);
	assert_int_equal(parse_size("16384P", &v), -ERANGE);
	assert_int_equal(parse_size("18446744073709551616", &v), -ERANGE);
	for (const char **s = (const char *[]){"", "M", "-1", "+1", " 1", "1 ",
		     "1.5G", "1KB", "1k", "0x10", NULL};
		*s; s++)
		assert_int_equal(parse_size(*s, &v), -EINVAL);
	assert_int_equal(v, 16383ULL << 50);
}

static void durations(void **state)
{
	uint64_t ms;

	assert_int_equal(parse_duration("2", &ms), 0);
	assert_int_equal(ms, 2000);
	assert_int_equal(parse_duration("500ms", &ms), 0);
	assert_int_equal(ms, 500);
	assert_int_equal(parse_duration("1h", &ms), 0);
	assert_int_equal(ms, 3600000);
	assert_int_equal(parse_duration("18446744073709551615h", &ms), -ERANGE);
	assert_int_equal(parse_duration("s", &ms), -EINVAL);
	assert_int_equal(parse_duration("1d", &ms), -EINVAL);
}

static void names(void **state)
{
	char longest[65];

	assert_true(parse_is_name("a"));
	assert_true(parse_is_name("0web-1.vdb_x"));
	assert_false(parse_is_name(""));
	assert_false(parse_is_name("-a"));
	assert_false(parse_is_name(".a"));
	assert_false(parse_is_name("a/b"));
	assert_false(parse_is_name("A"));
	memset(longest, 'a', 64);
	longest[64] = '\0';
	assert_false(parse_is_name(longest));
	longest[63] = '\0';
	assert_true(parse_is_name(longest));
}

static void hex(void **state)
{
	uint8_t b[3] = {0, 0xab, 0xff};
	char s[7];

	parse_hex(b, 3, s);
	assert_string_equal(s, "00abff");
	memset(b, 0, sizeof(b));
	assert_int_equal(parse_unhex("00abff", b, 3), 0);
	assert_int_equal(b[1], 0xab);
	assert_int_equal(parse_unhex("00abf", b, 3), -EINVAL);
	assert_int_equal(parse_unhex("00abfg", b, 3), -EINVAL);
	assert_int_equal(parse_unhex("00ABFF", b, 3), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(durations),
		cmocka_unit_test(names),
		cmocka_unit_test(hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
