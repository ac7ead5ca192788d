/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "link/place.h"

static const struct {
	const char *text, *user, *host;
	unsigned port;
	const char *path;
	const char *written; /* when it differs from text */
} good[] = {
	{"web1", "", "web1", 0, "", NULL},
	{"root@web1", "root", "web1", 0, "", NULL},
	{"web1:/dev/vdb", "", "web1", 0, "/dev/vdb", NULL},
	{"a.b_c-d+e@web-1.example_x:/", "a.b_c-d+e", "web-1.example_x", 0, "/",
		NULL},
	{"web1:/a:b@c/[d", "", "web1", 0, "/a:b@c/[d", NULL},
	{"web1:/a b/\xc3\xa4", "", "web1", 0, "/a b/\xc3\xa4", NULL},
	{"192.0.2.1:/x", "", "192.0.2.1", 0, "/x", NULL},
	{"ssh://web1", "", "web1", 0, "", "web1"},
	{"ssh://web1/", "", "web1", 0, "/", "web1:/"},
	{"ssh://web1/srv/x:1", "", "web1", 0, "/srv/x:1", "web1:/srv/x:1"},
	{"ssh://me@web1:1/srv/", "me", "web1", 1, "/srv/", NULL},
	{"ssh://web1:65535", "", "web1", 65535, "", NULL},
	{"[2001:db8::1]:/x", "", "2001:db8::1", 0, "/x", NULL},
	{"me@[fe80::1%eth0.5]:/x", "me", "fe80::1%eth0.5", 0, "/x", NULL},
	{"[::1]", "", "::1", 0, "", NULL},
	{"ssh://me@[::ffff:192.0.2.1]:2222/x", "me", "::ffff:192.0.2.1", 2222,
		"/x", NULL},
	{"ssh://[::1]/x", "", "::1", 0, "/x", "[::1]:/x"},
	{"/", "", "", 0, "/", NULL},
	{"/dev/vdb", "", "", 0, "/dev/vdb", NULL},
	{"/a:b", "", "", 0, "/a:b", NULL},
	{"./web1:/x", "", "", 0, "./web1:/x", NULL},
	{"./x", "", "", 0, "./x", NULL},
	{"me@web1/x", "", "", 0, "me@web1/x", NULL},
	{"a/[b:c]:/d", "", "", 0, "a/[b:c]:/d", NULL},
};

static const char *const wrong[] = {
	"",
	":/x",
	"@web1:/x",
	"me@:/x",
	"me@",
	"web1:",
	"web1:x",
	"web1:22",
	"web1:~/x",
	"-web1",
	"-web1:/x",
	"me@-oProxyCommand=x:/x",
	"-me@web1:/x",
	"we b1:/x",
	"web1;id:/x",
	"$(id)",
	"m$e@web1",
	"a@b@web1:/x",
	"w\xc3\xa4g",
	"2001:db8::1:/x",
	"::1",
	"[::1:/x",
	"[::1]x:/y",
	"[web1]:/x",
	"[]:/x",
	"[::1%]:/x",
	"[::1%a b]:/x",
	"[::1]:22",
	"[-]:/x",
	"ssh://",
	"ssh:///x",
	"ssh://@web1/x",
	"ssh://web1:/x",
	"ssh://web1:0/x",
	"ssh://web1:65536/x",
	"ssh://web1:+22/x",
	"ssh://web1:00000000000000000022/x",
	"ssh://web1:22:23/x",
	"ssh://-web1/x",
	"ssh://[::1]22/x",
	"http://web1/x",
	"file:///x",
	"web1://x",
	"web1:/x\n",
	"we\001b1",
	"/x\x7f",
};

static void accepted(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct place p, again;
		char text[4500];

		assert_int_equal(place_parse(good[i].text, &p, NULL), 0);
		assert_string_equal(p.user, good[i].user);
		assert_string_equal(p.host, good[i].host);
		assert_int_equal(p.port, good[i].port);
		assert_string_equal(p.path, good[i].path);
		assert_int_equal(place_is_local(&p), good[i].host[0] == '\0');
		assert_string_equal(place_text(&p, text, sizeof(text)),
			good[i].written ? good[i].written : good[i].text);
		assert_int_equal(place_parse(text, &again, NULL), 0);
		assert_memory_equal(&again, &p, sizeof(p));
	}
}

static void refused(void **state)
{
	struct place p, before;

	memset(&before, 7, sizeof(before));
	p = before;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct error err;

		assert_int_equal(place_parse(wrong[i], &p, &err), -EINVAL);
		assert_int_equal(err.code, -EINVAL);
		/* Not only "Invalid argument". */
		assert_string_not_equal(err.why, strerror(EINVAL));
		assert_memory_equal(&p, &before, sizeof(p));
		assert_int_equal(place_parse(wrong[i], &p, NULL), -EINVAL);
	}
}

/* The longest part that fits, and one more. */
static void lengths(void **state)
{
	static const struct {
		const char *before, *after;
		char fill;
		unsigned fits;
	} cases[] = {
		{"", "@web1:/x", 'u', 63},
		{"me@", ":/x", 'h', 255},
		{"ssh://", ":22/x", 'h', 255},
		{"web1:/", "", 'p', 4094},
		{"/", "", 'p', 4094},
		{"ssh://web1/", "", 'p', 4094},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (unsigned more = 0; more < 2; more++) {
			struct place p;
			char fill[4200], text[4300];

			memset(fill, cases[i].fill, sizeof(fill));
			fill[cases[i].fits + more] = '\0';
			(void)snprintf(text, sizeof(text), "%s%s%s",
				cases[i].before, fill, cases[i].after);
			assert_int_equal(place_parse(text, &p, NULL),
				more ? -EINVAL : 0);
		}
	}
}

/* A bare word that is also a file here is not guessed about. */
static void word_and_file(void **state)
{
	char folder[] = "/tmp/test_place.XXXXXX";
	struct place p;
	struct error err;
	int fd;

	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(place_parse("disk.img", &p, &err), 0);
	fd = open("disk.img", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(place_parse("disk.img", &p, &err), -EINVAL);
	assert_non_null(strstr(err.todo, "./disk.img "));
	assert_non_null(strstr(err.todo, "ssh://disk.img "));
	assert_int_equal(place_parse("./disk.img", &p, &err), 0);
	assert_string_equal(p.host, "");
	assert_int_equal(place_parse("ssh://disk.img", &p, &err), 0);
	assert_string_equal(p.host, "disk.img");
	assert_int_equal(place_parse("disk.img:/x", &p, &err), 0);
	assert_int_equal(place_parse(".", &p, &err), -EINVAL);
	assert_int_equal(unlink("disk.img"), 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted),
		cmocka_unit_test(refused),
		cmocka_unit_test(lengths),
		cmocka_unit_test(word_and_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
