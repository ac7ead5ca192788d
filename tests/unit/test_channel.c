/* SPDX-License-Identifier: Apache-2.0 */
/* Frames over socket pairs: whole, in pieces, false, and from many threads. */
#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "wire/channel.h"

struct pair {
	int a_fd, b_fd;
	struct channel *a, *b; /* controller and target's agent */
};

static void open_pair(struct pair *p)
{
	int fd[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	p->a_fd = fd[0];
	p->b_fd = fd[1];
	assert_int_equal(channel_new(fd[0], fd[0], FROM_TARGET, &p->a), 0);
	assert_int_equal(channel_new(fd[1], fd[1], FROM_CONTROLLER, &p->b), 0);
}

static void close_pair(struct pair *p)
{
	channel_free(p->a);
	channel_free(p->b);
	if (p->a_fd >= 0)
		(void)close(p->a_fd);
	if (p->b_fd >= 0)
		(void)close(p->b_fd);
}

/* What channel_next says to raw bytes from the other side, and after them the
 * end of the stream. */
static int says(uint8_t from, const void *bytes, size_t n)
{
	struct channel *c;
	struct frame f;
	int fd[2], r;

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	assert_int_equal(channel_new(fd[0], fd[0], from, &c), 0);
	assert_int_equal(send(fd[1], bytes, n, 0), (ssize_t)n);
	(void)close(fd[1]);
	(void)channel_read(c);
	r = channel_next(c, &f);
	channel_free(c);
	(void)close(fd[0]);
	return r;
}

static int says_header(uint8_t from, uint32_t type, uint32_t n)
{
	uint8_t h[12];

	put_be32(h, type);
	put_be32(h + 4, 1);
	put_be32(h + 8, n);
	return says(from, h, sizeof(h));
}

static void test_there_and_back(void **state)
{
	struct msg_path path = {"/dev/vdb"}, got;
	struct pair p;
	struct frame f;

	open_pair(&p);
	assert_int_equal(channel_next(p.b, &f), 0);
	assert_int_equal(channel_read(p.b), 0);
	assert_int_equal(channel_next(p.b, &f), 0);
	assert_int_equal(channel_send(p.a, MSG_PROBE, 7, &path), 0);
	assert_int_equal(channel_queued(p.a), 12 + 4 + 8);
	assert_int_equal(channel_flush(p.a, false), 0);
	assert_int_equal(channel_queued(p.a), 0);
	assert_int_equal(channel_read(p.b), 0);
	assert_int_equal(channel_next(p.b, &f), 1);
	assert_int_equal(f.type, MSG_PROBE);
	assert_int_equal(f.id, 7);
	assert_int_equal(frame_decode(&f, &got), 0);
	assert_string_equal(got.path, path.path);
	assert_int_equal(channel_next(p.b, &f), 0);
	/* Without content. */
	assert_int_equal(channel_send(p.b, MSG_OK, 7, NULL), 0);
	assert_int_equal(channel_flush(p.b, true), 0);
	assert_int_equal(channel_read(p.a), 0);
	assert_int_equal(channel_next(p.a, &f), 1);
	assert_int_equal(f.n, 0);
	assert_int_equal(frame_decode(&f, NULL), 0);
	/* What does not encode is not sent. */
	memset(path.path, 'x', sizeof(path.path));
	assert_int_equal(channel_send(p.a, MSG_PROBE, 7, &path), -EINVAL);
	assert_int_equal(channel_send(p.a, 99, 7, &path), -EINVAL);
	assert_int_equal(channel_queued(p.a), 0);
	close_pair(&p);
}

/* However the bytes arrive, the frames are the same. */
static void test_pieces(void **state)
{
	struct msg_log log = {""};
	uint8_t bytes[8192];
	size_t n;
	struct frame f;
	struct pair p;

	open_pair(&p);
	for (uint32_t i = 0; i < 5; i++) {
		(void)snprintf(log.text, sizeof(log.text), "%.*s", (int)i * 100,
			"................................................"
			"................................................"
			"................................................");
		assert_int_equal(channel_send(p.b, MSG_LOG, i, &log), 0);
	}
	assert_int_equal(channel_flush(p.b, true), 0);
	n = (size_t)recv(p.a_fd, bytes, sizeof(bytes), 0);
	for (size_t step = 1; step < 40; step += 3) {
		uint32_t next = 0;

		for (size_t at = 0; at < n; at += step) {
			size_t k = step < n - at ? step : n - at;

			assert_int_equal(
				send(p.b_fd, bytes + at, k, 0), (ssize_t)k);
			assert_int_equal(channel_read(p.a), 0);
			while (channel_next(p.a, &f) == 1) {
				assert_int_equal(f.id, next++);
				assert_int_equal(frame_decode(&f, &log), 0);
			}
		}
		assert_int_equal(next, 5);
	}
	/* The end inside a frame gives no frame. */
	assert_int_equal(send(p.b_fd, bytes, 13, 0), 13);
	(void)close(p.b_fd);
	p.b_fd = -1;
	assert_int_equal(channel_read(p.a), 0);
	assert_int_equal(channel_next(p.a, &f), 0);
	assert_int_equal(channel_read(p.a), -EPIPE);
	assert_int_equal(channel_next(p.a, &f), 0);
	close_pair(&p);
}

static void test_false_frames(void **state)
{
	for (uint32_t type = 0; type < MSG_TYPE_MAX + 3; type++) {
		const struct message_def *d = message_def(type);
		uint64_t max;

		for (unsigned from = 1; from <= 8; from *= 2) {
			int want = d && d->from & from ? 0 : -EPROTO;

			assert_int_equal(
				says_header((uint8_t)from, type, 1 << 30),
				-EPROTO);
			/* An empty frame is whole at once. */
			if (want == 0)
				want = 1;
			assert_int_equal(
				says_header((uint8_t)from, type, 0), want);
		}
		if (!d)
			continue;
		max = d->max ? d->max : codec_max(d->shape);
		if (max > 0)
			assert_int_equal(
				says_header(d->from, type, (uint32_t)max), 0);
		assert_int_equal(
			says_header(d->from, type, (uint32_t)max + 1), -EPROTO);
		assert_int_equal(
			says_header(d->from, type, UINT32_MAX), -EPROTO);
	}
	assert_int_equal(says_header(15, UINT32_MAX, 0), -EPROTO);
	assert_int_equal(says(15, "REHOST-AGENT is here", 20), -EPROTO);
}

static void test_change_of_sender(void **state)
{
	struct pair p;
	struct frame f;

	open_pair(&p);
	channel_set_from(p.a, FROM_SOURCE);
	assert_int_equal(
		channel_send_raw(p.b, MSG_TARGET_STATE, 1, "", 0, "", 0), 0);
	assert_int_equal(channel_flush(p.b, true), 0);
	assert_int_equal(channel_read(p.a), 0);
	assert_int_equal(channel_next(p.a, &f), -EPROTO);
	/* And it stays so: nothing behind it is believed. */
	assert_int_equal(channel_next(p.a, &f), -EPROTO);
	close_pair(&p);
}

/* A payload that does not decode is an error of the frame, not of more. */
static void test_false_payload(void **state)
{
	struct msg_log log;
	struct pair p;
	struct frame f;

	open_pair(&p);
	assert_int_equal(
		channel_send_raw(p.b, MSG_LOG, 0, "\0\0\0\5abc", 7, NULL, 0),
		0);
	assert_int_equal(
		channel_send_raw(p.b, MSG_LOG, 0, "\0\0\0\3abc", 4, "abc", 3),
		0);
	assert_int_equal(channel_flush(p.b, true), 0);
	assert_int_equal(channel_read(p.a), 0);
	assert_int_equal(channel_next(p.a, &f), 1);
	assert_int_equal(frame_decode(&f, &log), -EPROTO);
	assert_int_equal(channel_next(p.a, &f), 1);
	assert_int_equal(frame_decode(&f, &log), 0);
	assert_string_equal(log.text, "abc");
	close_pair(&p);
}

/* A frame that was handed out stays where it is. */
static void test_payload_stays(void **state)
{
	static uint8_t piece[RELAY_PIECE];
	struct pair p;
	struct frame f;

	open_pair(&p);
	memset(piece, 0x11, sizeof(piece));
	assert_int_equal(
		channel_send_raw(p.b, MSG_RELAY_DATA, 0, piece, 100, NULL, 0),
		0);
	assert_int_equal(channel_flush(p.b, true), 0);
	assert_int_equal(channel_read(p.a), 0);
	assert_int_equal(channel_next(p.a, &f), 1);
	memset(piece, 0x22, sizeof(piece));
	assert_int_equal(channel_send_raw(p.b, MSG_RELAY_DATA, 0, piece,
				 sizeof(piece), NULL, 0),
		0);
	(void)channel_flush(p.b, false);
	assert_int_equal(channel_read(p.a), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(f.payload[i], 0x11);
	close_pair(&p);
}

/* The other side is gone. */
static void test_gone(void **state)
{
	struct msg_path path = {"/dev/vdb"};
	struct pair p;

	open_pair(&p);
	(void)close(p.b_fd);
	p.b_fd = -1;
	assert_int_equal(channel_send(p.a, MSG_PROBE, 7, &path), 0);
	assert_int_equal(channel_flush(p.a, true), -EPIPE);
	assert_int_equal(channel_flush(p.a, false), -EPIPE);
	assert_int_equal(channel_send(p.a, MSG_PROBE, 7, &path), -EPIPE);
	assert_int_equal(channel_read(p.a), -EPIPE);
	close_pair(&p);
}

/* ---- several senders ---- */

#define THREADS 4
#define ROUNDS 400

struct sender_thread {
	struct channel *c;
	uint32_t number;
	int result;
};

static void *send_many(void *arg)
{
	struct sender_thread *t = arg;
	uint8_t piece[3000];

	memset(piece, (int)t->number + 1, sizeof(piece));
	for (uint32_t i = 0; i < ROUNDS && t->result == 0; i++) {
		struct msg_log log;
		uint8_t head[4];

		if (i % 2) {
			(void)snprintf(log.text, sizeof(log.text), "%u %u",
				t->number, i);
			t->result =
				channel_send(t->c, MSG_LOG, t->number, &log);
		} else {
			put_be32(head, i);
			t->result = channel_send_raw(t->c, MSG_RELAY_DATA,
				t->number, head, 4, piece, i * 7 % 3000);
		}
		if (t->result == 0)
			t->result = channel_flush(t->c, i % 5 == 0);
	}
	if (t->result == 0)
		t->result = channel_flush(t->c, true);
	return NULL;
}

static void check_frame(const struct frame *f, uint32_t next[THREADS])
{
	uint32_t i, from;

	assert_true(f->id < THREADS);
	if (f->type == MSG_LOG) {
		static struct msg_log log;

		assert_int_equal(frame_decode(f, &log), 0);
		assert_int_equal(sscanf(log.text, "%u %u", &from, &i), 2);
		assert_int_equal(from, f->id);
	} else {
		assert_int_equal(f->type, MSG_RELAY_DATA);
		i = get_be32(f->payload);
		assert_int_equal(f->n, 4 + i * 7 % 3000);
		for (uint32_t k = 4; k < f->n; k++)
			if (f->payload[k] != f->id + 1)
				fail_msg("mixed frames");
	}
	assert_int_equal(i, next[f->id]++);
}

static void test_threads(void **state)
{
	struct sender_thread t[THREADS];
	pthread_t threads[THREADS];
	uint32_t next[THREADS] = {0}, n = 0;
	struct frame f;
	struct pair p;

	open_pair(&p);
	for (uint32_t i = 0; i < THREADS; i++) {
		t[i] = (struct sender_thread){p.b, i, 0};
		assert_int_equal(
			pthread_create(&threads[i], NULL, send_many, &t[i]), 0);
	}
	while (n < THREADS * ROUNDS) {
		struct pollfd poll_fd = {.fd = p.a_fd, .events = POLLIN};

		assert_int_equal(poll(&poll_fd, 1, 30000), 1);
		assert_int_equal(channel_read(p.a), 0);
		while (channel_next(p.a, &f) == 1) {
			check_frame(&f, next);
			n++;
		}
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(t[i].result, 0);
		assert_int_equal(next[i], ROUNDS);
	}
	assert_int_equal(channel_queued(p.b), 0);
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_false_frames),
		cmocka_unit_test(test_change_of_sender),
		cmocka_unit_test(test_false_payload),
		cmocka_unit_test(test_payload_stays),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_threads),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
