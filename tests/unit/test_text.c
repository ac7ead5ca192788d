/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/cleanup.h"
#include "base/text.h"

static void characters(void **state)
{
	static const struct {
		const char *bytes;
		size_t n, used;
		uint32_t code;
	} known[] = {{"a", 1, 1, 'a'}, {"", 1, 1, 0}, {"ab", 2, 1, 'a'},
		{"\xc3\xa4", 2, 2, 0xe4}, {"\xe2\x82\xac", 3, 3, 0x20ac},
		{"\xf0\x9f\x98\x80", 4, 4, 0x1f600},
		{"\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff},
		/* cut, a byte that is missing, a lone one behind */
		{"a", 0, 0, 0}, {"\xe2\x82\xac", 2, 0, 0}, {"\xc3", 2, 0, 0},
		{"\xc3z", 2, 0, 0}, {"\x80", 1, 0, 0}, {"\xff", 1, 0, 0},
		/* too long forms, a surrogate, out of range */
		{"\xc0\x80", 2, 0, 0}, {"\xc1\xbf", 2, 0, 0},
		{"\xe0\x9f\xbf", 3, 0, 0}, {"\xf0\x8f\xbf\xbf", 4, 0, 0},
		{"\xed\xa0\x80", 3, 0, 0}, {"\xf4\x90\x80\x80", 4, 0, 0},
		{"\xf5\x80\x80\x80", 4, 0, 0}};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		uint32_t c = 0;

		assert_int_equal(text_character(known[i].bytes, known[i].n, &c),
			known[i].used);
		assert_int_equal(c, known[i].code);
	}
}

static void hidden(void **state)
{
	static const uint32_t bad[] = {0, 0x1b, '\n', 0x7f, 0x80, 0x9f, 0xad,
		0x61c, 0x200b, 0x200f, 0x2028, 0x202e, 0x2060, 0x2066, 0x206f,
		0xfeff, 0xfff9, 0xfffb, 0xe0001, 0xe0fff};
	static const uint32_t good[] = {' ', 'a', '~', 0xa0, 0xe4, 0x2026,
		0x200a, 0x2010, 0x20ac, 0x2070, 0xfffd, 0x1f600, 0xe1000};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(text_is_hidden(bad[i]));
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_false(text_is_hidden(good[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(characters),
		cmocka_unit_test(hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
