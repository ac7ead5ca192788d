/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "rescue/authorized.h"

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIx me@here"

static void lines(void **state)
{
	static const char *const good[] = {KEY, "  " KEY, "restrict " KEY,
		"no-pty,no-X11-forwarding\t" KEY, "ssh-rsa  AAAAB3Nz",
		"ecdsa-sha2-nistp256 AAAAE2Vj",
		"sk-ssh-ed25519@openssh.com AAAAGnNr", NULL};
	/* Others do less, or more, than they say there. */
	static const char *const wrong[] = {"", "ssh-ed25519",
		"ssh-ed25519 me@here", "ssh-dss AAAAB3Nz",
		"command=\"echo no\" " KEY, "from=\"10.0.0.1\" " KEY,
		"no-pty,command=\"x\" " KEY, "cert-authority " KEY,
		"restrict,pty " KEY, "expiry-time=\"2020\" " KEY, "restrict",
		"restrict,", "ssh-ed25519x AAAA", NULL};
	char longest[9000];

	for (const char *const *t = good; *t; t++)
		if (!authorized_is_usable(*t))
			fail_msg("refused: %s", *t);
	for (const char *const *t = wrong; *t; t++)
		if (authorized_is_usable(*t))
			fail_msg("taken: %s", *t);
	(void)snprintf(longest, sizeof(longest), "ssh-rsa AAAA%08000d", 0);
	assert_false(authorized_is_usable(longest));
}

static void texts(void **state)
{
	char *out = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&out, &n);
	unsigned left = 0;

	assert_non_null(f);
	assert_int_equal(authorized_filter("# a\n\n" KEY "\r\n"
					   "command=\"x\" " KEY "\n  \n"
					   "restrict " KEY,
				 f, &left),
		2);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(left, 1);
	assert_string_equal(out, KEY "\nrestrict " KEY "\n");
	free(out);
}

static void options(void **state)
{
	static const char text[] = "# HostKey /a\nHostKey /b # c\n"
				   "  hostkey\t\"/d e\"\nHOSTKEY=/f\r\n"
				   "HostKeyAgent x\n"
				   "AuthorizedKeysFile a %h/b\n"
				   "AuthorizedKeysFile never\n"
				   "Match User x\nHostKey /g\n";
	char word[16];
	size_t at = 0;

	assert_true(authorized_option(text, "hostkey", &at, word, 16));
	assert_string_equal(word, "/b");
	assert_true(authorized_option(text, "hostkey", &at, word, 16));
	assert_string_equal(word, "/d e");
	assert_true(authorized_option(text, "hostkey", &at, word, 16));
	assert_string_equal(word, "/f");
	assert_false(authorized_option(text, "hostkey", &at, word, 16));
	at = 1;
	assert_true(
		authorized_option(text, "authorizedkeysfile", &at, word, 16));
	assert_string_equal(word, "%h/b");
	assert_false(
		authorized_option(text, "authorizedkeysfile", &at, word, 16));
	at = 0;
	assert_true(authorized_option(
		"hostkey /aaaaaaaaaaaaaaaaaaaaaaa", "hostkey", &at, word, 16));
	assert_string_equal(word, "");
}

static void count(void **state)
{
	static const char kept[] = "restrict ssh-rsa AAAAone me\n"
				   "ssh-ed25519 AAAAtwo\n";

	assert_int_equal(authorized_count(kept, "ssh-rsa AAAAone you"), 1);
	assert_int_equal(
		authorized_count(kept, "x AAAAtwo\r\n\nx AAAAone\nx AAAAsix\n"),
		2);
	assert_int_equal(authorized_count(kept, ""), 0);
	assert_int_equal(authorized_count("", "x AAAAone"), 0);
	/* Parts of a key, and a line without one. */
	assert_int_equal(authorized_count(kept, "x AAAAon\nAAAAones\n "), 0);
	assert_int_equal(authorized_count("x\n \nAAAA", "y\n AAAA \n"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(texts),
		cmocka_unit_test(options),
		cmocka_unit_test(count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
