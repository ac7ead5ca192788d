/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fnmatch.h>

#include "base/modalias.h"

#define ENOUGH (1ULL << 40)

static bool match(const char *pattern, const char *text)
{
	uint64_t steps = ENOUGH;

	return modalias_match(pattern, text, &steps);
}

static void matching(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool fits;
	} cases[] = {{"virtio:d00000002v*", "virtio:d00000002v00001AF4", true},
		{"virtio:d00000002v*", "virtio:d00000001v00001AF4", false},
		{"pci:v*d*sv*sd*bc01sc06i01*",
			"pci:v00008086d00002922sv00001AF4sd00001100"
			"bc01sc06i01",
			true},
		{"pci:v*d*sv*sd*bc01sc06i01*",
			"pci:v00008086d00007010sv00001AF4sd00001100"
			"bc01sc01i80",
			false},
		{"usb:v*ic08isc06ip[5-8]*", "usb:v1ic08isc06ip6in00", true},
		{"usb:v*ic08isc06ip[5-8]*", "usb:v1ic08isc06ip9in00", false},
		{"a[!b-d]e", "aae", true}, {"a[!b-d]e", "ace", false},
		{"a[]x]e", "a]e", true}, {"a[b", "a[b", true},
		{"a\\*", "a*", true}, {"a\\*", "ab", false}, {"?", "", false},
		{"*", "", true}, {"", "", true}, {"", "a", false},
		{"a*b*c", "axbxbxc", true}, {"a*b*c", "axbxbxd", false}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (match(cases[i].pattern, cases[i].text) != cases[i].fits)
			fail_msg("%s on %s", cases[i].pattern, cases[i].text);
		assert_int_equal(
			fnmatch(cases[i].pattern, cases[i].text, 0) == 0,
			cases[i].fits);
	}
}

/* As fnmatch, for all short patterns without brackets. */
static void as_fnmatch(void **state)
{
	static const char pattern_bytes[] = "ab*?", text_bytes[] = "ab";

	for (unsigned p = 0; p < 4096; p++) {
		char pattern[7] = "";

		for (unsigned i = 0; i < 6; i++)
			pattern[i] = pattern_bytes[p >> 2 * i & 3];
		pattern[1 + p % 6] = '\0';
		for (unsigned t = 0; t < 64; t++) {
			char text[7] = "";

			for (unsigned i = 0; i < 6; i++)
				text[i] = text_bytes[t >> i & 1];
			text[t % 7] = '\0';
			if (match(pattern, text) !=
				(fnmatch(pattern, text, 0) == 0))
				fail_msg("%s on %s", pattern, text);
		}
	}
}

/* What would take other readers for ever. */
static void work(void **state)
{
	char pattern[MODALIAS_MAX], text[MODALIAS_MAX];
	uint64_t steps = ENOUGH;

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i + 2 < sizeof(pattern); i += 2)
		memcpy(pattern + i, "*a", 2);
	memcpy(pattern + sizeof(pattern) - 2, "b", 2);
	assert_false(modalias_match(pattern, text, &steps));
	assert_true(ENOUGH - steps <= (uint64_t)MODALIAS_MAX * MODALIAS_MAX);
	steps = 3;
	assert_false(modalias_match("aaaa*", text, &steps));
	assert_int_equal(steps, 0);
}

static void alias_lines(void **state)
{
	char text[] = "# Aliases extracted from modules themselves.\n"
		      "alias virtio:d00000002v* virtio-blk\n"
		      "alias\nalias x\nalias  y\n"
		      "alias a-b[c-d] mod-x\n"
		      "alias last one";
	struct modalias_reader r;
	struct modalias a;

	modalias_begin(&r, text, strlen(text), false);
	assert_true(modalias_next(&r, &a));
	assert_string_equal(a.pattern, "virtio:d00000002v*");
	assert_string_equal(a.module, "virtio_blk");
	assert_true(modalias_next(&r, &a));
	assert_string_equal(a.pattern, "a_b[c-d]");
	assert_string_equal(a.module, "mod_x");
	assert_true(modalias_next(&r, &a));
	assert_string_equal(a.pattern, "last");
	assert_false(modalias_next(&r, &a));
}

static void builtin_infos(void **state)
{
	char text[] = "ext4.license=GPL\0ext4.alias=fs-ext4\0\0.alias=x\0"
		      "a.b.alias=x\0virtio_pci.alias=pci:v00001AF4d*\0"
		      "x.alias=";
	struct modalias_reader r;
	struct modalias a;

	modalias_begin(&r, text, sizeof(text) - 1, true);
	assert_true(modalias_next(&r, &a));
	assert_string_equal(a.pattern, "fs_ext4");
	assert_string_equal(a.module, "ext4");
	assert_true(modalias_next(&r, &a));
	assert_string_equal(a.pattern, "pci:v00001AF4d*");
	assert_string_equal(a.module, "virtio_pci");
	assert_false(modalias_next(&r, &a));
}

static void long_lines(void **state)
{
	size_t n = 1 << 20;
	char *text = malloc(n + 1);
	struct modalias_reader r;
	struct modalias a;

	assert_non_null(text);
	memset(text, 'a', n);
	memcpy(text, "alias ", 6);
	text[n / 2] = ' ';
	memcpy(text + n - 12, "\nalias a* ab", 12);
	text[n] = '\0';
	modalias_begin(&r, text, n, false);
	assert_true(modalias_next(&r, &a));
	assert_string_equal(a.module, "ab");
	assert_false(modalias_next(&r, &a));
	free(text);
}

static void paths(void **state)
{
	assert_int_equal(modalias_plain_path("a/b.ko"), 6);
	assert_int_equal(modalias_plain_path("a/b.ko.xz"), 6);
	assert_int_equal(modalias_plain_path(".ko"), 0);
	assert_int_equal(modalias_plain_path("a.o"), 0);
	assert_int_equal(modalias_literal("pci:v*"), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matching),
		cmocka_unit_test(as_fnmatch),
		cmocka_unit_test(work),
		cmocka_unit_test(alias_lines),
		cmocka_unit_test(builtin_infos),
		cmocka_unit_test(long_lines),
		cmocka_unit_test(paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
