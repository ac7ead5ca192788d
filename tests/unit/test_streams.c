/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that are passed on to an agent, which may be a hostile one. */
#include "unit.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "move/streams.h"

static char folder[] = "/tmp/test_streams.XXXXXX";
static char path[sizeof(folder) + 16];
static struct streams *s;
static struct channel *to, *agent;
static int ends[2];
static struct error err;

static int open_all(void **state)
{
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(channel_new(ends[0], ends[0], FROM_TARGET, &to), 0);
	assert_int_equal(
		channel_new(ends[1], ends[1], FROM_CONTROLLER, &agent), 0);
	(void)snprintf(path, sizeof(path), "%s/socket", folder);
	assert_int_equal(streams_new(path, &s, &err), 0);
	return 0;
}

static int close_all(void **state)
{
	streams_free(s);
	channel_free(to);
	channel_free(agent);
	(void)close(ends[0]);
	(void)close(ends[1]);
	assert_int_not_equal(access(path, F_OK), 0);
	return 0;
}

static int client(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	assert_int_equal(
		connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(streams_serve(s, to), 0);
	return fd;
}

/* The next thing that the agent is told: its type; the payload's length. */
static uint32_t told(uint32_t *ret_id, uint32_t *ret_n)
{
	struct frame f;

	int r = channel_next(agent, &f);

	if (r == 0) {
		assert_int_equal(channel_flush(to, false), 0);
		assert_int_equal(channel_read(agent), 0);
		r = channel_next(agent, &f);
	}
	assert_true(r >= 0);
	if (r == 0)
		return 0;
	assert_true(f.n >= 4);
	*ret_id = get_be32(f.payload);
	*ret_n = f.n - 4;
	return f.type;
}

static int says(uint32_t type, uint32_t id, const void *data, uint32_t n)
{
	static uint8_t buf[RELAY_PIECE + 4];
	struct frame f = {.type = type, .payload = buf, .n = n + 4};

	put_be32(buf, id);
	if (n)
		memcpy(buf + 4, data, n);
	return streams_frame(s, &f);
}

static int credit(uint32_t id, uint32_t n)
{
	uint8_t b[4];

	put_be32(b, n);
	return says(MSG_STREAM_CREDIT, id, b, 4);
}

static void test_passes_on(void **state)
{
	int a = client(), b = client();
	struct stat st;
	char buf[16];
	uint32_t id, n;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(told(&id, &n), MSG_STREAM_OPEN);
	assert_int_equal(id, 1);
	assert_int_equal(told(&id, &n), MSG_STREAM_OPEN);
	assert_int_equal(id, 2);
	assert_int_equal(write(b, "hello", 5), 5);
	assert_int_equal(streams_serve(s, to), 0);
	assert_int_equal(told(&id, &n), MSG_STREAM_DATA);
	assert_int_equal(id, 2);
	assert_int_equal(n, 5);
	assert_int_equal(says(MSG_STREAM_DATA, 1, "answer", 6), 0);
	assert_int_equal(streams_serve(s, to), 0);
	assert_int_equal(read(a, buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "answer", 6);
	assert_true(streams_bytes(s) == 6);
	/* The client goes, and then the agent ends another. */
	(void)close(a);
	assert_int_equal(streams_serve(s, to), 0);
	assert_int_equal(told(&id, &n), MSG_STREAM_END);
	assert_int_equal(id, 1);
	assert_int_equal(says(MSG_STREAM_DATA, 1, "late", 4), 0);
	assert_int_equal(says(MSG_STREAM_DATA, 2, "last", 4), 0);
	assert_int_equal(says(MSG_STREAM_END, 2, NULL, 0), 0);
	assert_int_equal(streams_serve(s, to), 0);
	assert_int_equal(read(b, buf, sizeof(buf)), 4);
	assert_int_equal(read(b, buf, sizeof(buf)), 0);
	(void)close(b);
}

/* A client that does not read holds up nobody, and no more is kept for it than
 * the agent has credit for. */
static void test_window(void **state)
{
	static uint8_t data[RELAY_PIECE];
	static char buf[STREAM_WINDOW];
	int fd = client();
	uint32_t id, n, given = 0;
	size_t got = 0;

	(void)told(&id, &n);
	for (unsigned i = 0; i < STREAM_WINDOW / RELAY_PIECE; i++)
		assert_int_equal(
			says(MSG_STREAM_DATA, 1, data, sizeof(data)), 0);
	assert_int_equal(says(MSG_STREAM_DATA, 1, data, 1), -EPROTO);
	while (got < STREAM_WINDOW) {
		ssize_t r;

		assert_int_equal(streams_serve(s, to), 0);
		r = read(fd, buf, sizeof(buf));
		assert_true(r > 0);
		got += (size_t)r;
	}
	while (told(&id, &n) == MSG_STREAM_CREDIT)
		given++;
	assert_true(given > 0);
	assert_int_equal(says(MSG_STREAM_DATA, 1, data, 1), 0);
	(void)close(fd);
}

/* The client may say no more than the agent takes. */
static void test_asks(void **state)
{
	static uint8_t data[4 * STREAM_ASKS];
	int fd = client();
	uint32_t id, n, sum = 0;

	(void)told(&id, &n);
	assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
	for (int i = 0; i < 5; i++)
		assert_int_equal(streams_serve(s, to), 0);
	while (told(&id, &n) == MSG_STREAM_DATA)
		sum += n;
	assert_int_equal(sum, STREAM_ASKS);
	assert_int_equal(credit(1, STREAM_ASKS + 1), -EPROTO);
	assert_int_equal(credit(1, 100), 0);
	assert_int_equal(streams_serve(s, to), 0);
	assert_int_equal(told(&id, &n), MSG_STREAM_DATA);
	assert_int_equal(n, 100);
	(void)close(fd);
}

static void test_hostile(void **state)
{
	uint8_t nothing[3] = {0};
	struct frame cut = {
		.type = MSG_STREAM_DATA, .payload = nothing, .n = 3};
	int fd;

	assert_int_equal(streams_frame(s, &cut), -EPROTO);
	/* Of connections that nobody made. */
	assert_int_equal(says(MSG_STREAM_DATA, 0, "x", 1), -EPROTO);
	assert_int_equal(says(MSG_STREAM_DATA, 1, "x", 1), -EPROTO);
	assert_int_equal(says(MSG_STREAM_END, UINT32_MAX, NULL, 0), -EPROTO);
	fd = client();
	assert_int_equal(says(MSG_STREAM_CREDIT, 1, "abc", 3), -EPROTO);
	assert_int_equal(credit(1, UINT32_MAX), -EPROTO);
	assert_int_equal(credit(1, 1), -EPROTO); /* nothing was asked yet */
	assert_int_equal(says(MSG_STREAM_OPEN, 1, NULL, 0), -EPROTO);
	assert_int_equal(says(MSG_STREAM_END, 1, NULL, 0), 0);
	assert_int_equal(says(MSG_STREAM_DATA, 1, "x", 1), -EPROTO);
	(void)close(fd);
}

static void test_many(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fds[STREAMS_MAX + 1];

	for (int i = 0; i < STREAMS_MAX; i++)
		fds[i] = client();
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	fds[STREAMS_MAX] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[STREAMS_MAX], (const struct sockaddr *)&at,
				 sizeof(at)),
		0);
	assert_int_equal(streams_serve(s, to), 0);
	assert_int_equal(
		says(MSG_STREAM_END, STREAMS_MAX + 1, NULL, 0), -EPROTO);
	/* It waits until there is room. */
	assert_int_equal(says(MSG_STREAM_END, 3, NULL, 0), 0);
	assert_int_equal(streams_serve(s, to), 0);
	assert_int_equal(streams_serve(s, to), 0);
	assert_int_equal(says(MSG_STREAM_END, STREAMS_MAX + 1, NULL, 0), 0);
	for (int i = 0; i <= STREAMS_MAX; i++)
		(void)close(fds[i]);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)
	const struct CMUnitTest tests[] = {
		TEST(test_passes_on),
		TEST(test_window),
		TEST(test_asks),
		TEST(test_hostile),
		TEST(test_many),
	};
	int r;

	if (!mkdtemp(folder))
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(folder);
	return r;
}
