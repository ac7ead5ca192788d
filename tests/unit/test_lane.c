/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "link/lane.h"

#define BIG ((size_t)(5 << 20) + 12345)
/* For what must happen; long enough for a busy machine. */
#define SOON_MS 20000

static const uint8_t right[LANE_KEY_SIZE] = {1, 2, 3};
static const uint8_t wrong[LANE_KEY_SIZE] = {1, 2, 4};

struct caller {
	pthread_t thread;
	const char *address;
	const uint8_t *key;
	unsigned port;
	uint32_t number;
	unsigned timeout_ms;
	struct lane *lane;
	int result;
	struct error err;
};

static void *call(void *arg)
{
	struct caller *c = arg;

	c->result = lane_connect(c->address ? c->address : "127.0.0.1", c->port,
		c->key, c->number, c->timeout_ms ? c->timeout_ms : SOON_MS,
		&c->lane, &c->err);
	return NULL;
}

static void call_start(struct caller *c)
{
	assert_int_equal(pthread_create(&c->thread, NULL, call, c), 0);
}

static int call_end(struct caller *c)
{
	assert_int_equal(pthread_join(c->thread, NULL), 0);
	return c->result;
}

static struct lane_listener *listener(void)
{
	struct lane_listener *ll;
	struct error err;

	assert_int_equal(lane_listen(0, 0, right, &ll, &err), 0);
	assert_true(lane_listener_port(ll) > 0);
	return ll;
}

/* A pair of lanes over TCP. */
static void pair(const char *address, struct lane **ret_a, struct lane **ret_b)
{
	struct lane_listener *ll = listener();
	struct caller c = {.address = address,
		.key = right,
		.port = lane_listener_port(ll),
		.number = 0xfedcba98};
	uint32_t number = 0;

	call_start(&c);
	assert_int_equal(lane_accept(ll, SOON_MS, ret_b, &number, NULL), 0);
	assert_int_equal(call_end(&c), 0);
	assert_int_equal(number, 0xfedcba98);
	*ret_a = c.lane;
	lane_listener_free(ll);
}

static void plain_pair(struct lane **ret_a, struct lane **ret_b)
{
	int fd[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	assert_int_equal(lane_plain(fd[0], ret_a), 0);
	assert_int_equal(lane_plain(fd[1], ret_b), 0);
}

static void pipe_pair(struct lane **ret_a, struct lane **ret_b)
{
	int fd[2];

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	assert_int_equal(lane_plain(fd[1], ret_a), 0);
	assert_int_equal(lane_plain(fd[0], ret_b), 0);
}

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

struct job {
	struct lane *lane;
	uint8_t *buf;
	int result;
};

/* Many shapes: heads, empty parts, whole and broken records. */
static void *send_shapes(void *arg)
{
	struct job *j = arg;
	size_t sizes[] = {32, 0, 16384, 1, 16383, 1 << 20, 7, 40000, 0};
	struct iovec parts[ARRAY_LEN(sizes)];
	size_t at = 0;

	while (j->result == 0 && at < BIG) {
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			size_t n = MIN(sizes[i], BIG - at);

			parts[i] = (struct iovec){j->buf + at, n};
			at += n;
		}
		j->result = lane_send(j->lane, parts, ARRAY_LEN(sizes));
	}
	if (j->result < 0)
		lane_shutdown(j->lane); /* so that the receiver fails too */
	return NULL;
}

static void carry(struct lane *from, struct lane *to)
{
	CLEANUP_FREE uint8_t *sent = malloc(BIG);
	CLEANUP_FREE uint8_t *got = calloc(1, BIG);
	struct job j = {.lane = from, .buf = sent};
	uint64_t before = lane_bytes(to);
	pthread_t t;
	size_t at = 0;

	assert_non_null(sent);
	assert_non_null(got);
	for (size_t i = 0; i < BIG; i++)
		sent[i] = byte_at(i);
	assert_int_equal(pthread_create(&t, NULL, send_shapes, &j), 0);
	for (size_t n = 1; at < BIG; n = n * 3 + 1) {
		size_t part = MIN(n, BIG - at);

		assert_int_equal(lane_receive(to, got + at, part), 0);
		at += part;
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(j.result, 0);
	assert_memory_equal(sent, got, BIG);
	assert_int_equal(lane_bytes(to) - before, BIG);
	assert_true(lane_bytes(from) >= BIG);
}

/* Without the announcement it is no clean end. */
static void unannounced_end(void **state)
{
	struct lane *a, *b;
	char c;

	pair("127.0.0.1", &a, &b);
	assert_int_equal(lane_send(a, &(struct iovec){(void *)"a", 1}, 1), 0);
	lane_shutdown(a);
	assert_int_equal(lane_receive(b, &c, 1), 0);
	assert_int_equal(lane_receive(b, &c, 1), -ECONNRESET);
	lane_free(a);
	lane_free(b);
}

/* A clean end, and one in the middle of what is wanted. */
static void ends(struct lane *a, struct lane *b)
{
	char c[4];

	assert_int_equal(lane_send(a, &(struct iovec){(void *)"abc", 3}, 1), 0);
	lane_free(a);
	assert_int_equal(lane_receive(b, c, 2), 0);
	assert_memory_equal(c, "ab", 2);
	assert_int_equal(lane_receive(b, c, 2), -ECONNRESET);
	assert_int_equal(lane_receive(b, c, 2), -EPIPE);
	lane_free(b);
}

static void clean_end(struct lane *a, struct lane *b)
{
	char c;

	assert_int_equal(lane_send(a, &(struct iovec){(void *)"a", 1}, 1), 0);
	lane_free(a);
	assert_int_equal(lane_receive(b, &c, 1), 0);
	assert_int_equal(lane_receive(b, &c, 1), -EPIPE);
	lane_free(b);
}

static void all_kinds(void **state)
{
	void (*plain[])(struct lane **, struct lane **) = {
		plain_pair, pipe_pair};
	struct lane *a, *b;

	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		plain[i](&a, &b);
		carry(a, b);
		ends(a, b);
		plain[i](&a, &b);
		clean_end(a, b);
	}
	pair("127.0.0.1", &a, &b);
	carry(a, b);
	ends(a, b);
	/* The side that listened may be the one that sends. */
	pair("127.0.0.1", &a, &b);
	carry(b, a);
	clean_end(b, a);
	pair("127.0.0.1", &a, &b);
	lane_set_limits(a, 0, 100000);
	carry(a, b);
	clean_end(a, b);
}

static void ipv6(void **state)
{
	struct lane *a, *b;
	struct sockaddr_in6 lo = {
		.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	CLEANUP_CLOSE int fd = socket(AF_INET6, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (void *)&lo, sizeof(lo)) < 0)
		skip();
	pair("::1", &a, &b);
	carry(a, b);
	ends(a, b);
}

static void wrong_key(void **state)
{
	struct lane_listener *ll = listener();
	struct caller c = {.key = wrong, .port = lane_listener_port(ll)};
	struct caller d = {.key = right, .port = c.port, .number = 3};
	struct lane *l;
	struct error err;
	uint32_t number;
	char text[2048];

	call_start(&c);
	do {
		assert_int_equal(
			lane_accept(ll, 100, &l, &number, &err), -ETIMEDOUT);
		error_text(&err, text, sizeof(text));
	} while (strstr(text, "no connection came"));
	assert_non_null(strstr(text, "1 connections came"));
	/* Perhaps it was still shaking hands. */
	while (pthread_tryjoin_np(c.thread, NULL) != 0)
		(void)lane_accept(ll, 100, &l, &number, NULL);
	assert_int_equal(c.result, -EKEYREJECTED);
	assert_non_null(strstr(c.err.why, "does not know"));
	/* The listener is as good as before. */
	call_start(&d);
	assert_int_equal(lane_accept(ll, SOON_MS, &l, &number, NULL), 0);
	assert_int_equal(number, 3);
	assert_int_equal(call_end(&d), 0);
	lane_free(l);
	lane_free(d.lane);
	lane_listener_free(ll);
}

static int tcp(unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (void *)&a, sizeof(a)), 0);
	return fd;
}

/* Silent, noisy and half-way connections do not hold up the right one, and
 * lanes that come at once are all taken. */
static void strangers(void **state)
{
	static const uint8_t hello[] = {0x16, 3, 1, 1, 0, 1, 0, 0, 0xfc, 3, 3};
	struct lane_listener *ll = listener();
	unsigned port = lane_listener_port(ll), seen = 0;
	struct caller c[8] = {0};
	struct lane *got[8];
	int fd[100];

	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = tcp(port);
		if (i % 3 == 1)
			assert_int_equal(
				io_write_all(fd[i], "GET / HTTP/1.1\n", 15), 0);
		if (i % 3 == 2)
			assert_int_equal(
				io_write_all(fd[i], hello, sizeof(hello)), 0);
		if (i % 10 == 9) {
			struct lane *l;
			uint32_t number;

			assert_int_equal(lane_accept(ll, 0, &l, &number, NULL),
				-ETIMEDOUT);
		}
	}
	for (uint32_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = (struct caller){.key = right, .port = port, .number = i};
		call_start(&c[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		uint32_t number;

		assert_int_equal(
			lane_accept(ll, SOON_MS, &got[i], &number, NULL), 0);
		assert_true(number < ARRAY_LEN(c));
		assert_false(seen & 1U << number);
		seen |= 1U << number;
	}
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		assert_int_equal(call_end(&c[i]), 0);
		lane_free(c[i].lane);
		lane_free(got[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		(void)close(fd[i]);
	lane_listener_free(ll);
}

static void listening(void **state)
{
	struct lane_listener *a, *b, *c;
	struct error err;
	unsigned port;
	struct lane *l;

	a = listener();
	port = lane_listener_port(a);
	assert_int_equal(lane_listen(port, port, right, &b, &err), -EADDRINUSE);
	assert_non_null(strstr(err.todo, "--lane-port"));
	if (port < 65535) {
		int r = lane_listen(port, 65535, right, &b, &err);

		assert_int_equal(r, 0);
		assert_true(lane_listener_port(b) > port);
		lane_listener_free(b);
	}
	assert_int_equal(lane_listen(2, 1, right, &c, &err), -EINVAL);
	assert_int_equal(lane_listen(0, 9, right, &c, &err), -EINVAL);
	assert_int_equal(lane_listen(1, 65536, right, &c, &err), -EINVAL);
	lane_listener_free(a);
	/* Nobody there any more. */
	assert_int_equal(
		lane_connect("127.0.0.1", port, right, 0, SOON_MS, &l, &err),
		-ECONNREFUSED);
	assert_int_equal(
		lane_connect("localhost", port, right, 0, SOON_MS, &l, &err),
		-EINVAL);
	assert_int_equal(
		lane_connect("::1", 65536, right, 0, SOON_MS, &l, &err),
		-EINVAL);
}

/* A plain server that does something else than TLS with the key. */
struct impostor {
	pthread_t thread;
	int fd;
	unsigned port;
	void (*serve)(int fd);
};

static void *impostor_main(void *arg)
{
	struct impostor *i = arg;
	CLEANUP_CLOSE int fd = accept4(i->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		i->serve(fd);
	return NULL;
}

static void impostor_start(struct impostor *i)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);

	i->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(i->fd, (void *)&a, sizeof(a)), 0);
	assert_int_equal(listen(i->fd, 5), 0);
	assert_int_equal(getsockname(i->fd, (void *)&a, &n), 0);
	i->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&i->thread, NULL, impostor_main, i), 0);
}

static void impostor_end(struct impostor *i)
{
	assert_int_equal(pthread_join(i->thread, NULL), 0);
	(void)close(i->fd);
}

static void wait_for_end(int fd)
{
	char buf[4096];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

static void serve_noise(int fd)
{
	if (io_write_all(fd, "SSH-2.0-noise\r\n", 15) == 0)
		wait_for_end(fd);
}

static void serve_end(int fd)
{
	char buf[1];

	(void)!read(fd, buf, sizeof(buf));
}

/* The certificate's handshake would succeed for a client that checks none. */
static void serve_certificate(int fd)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	X509 *x = X509_new();
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL *ssl;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_sign(x, key, EVP_sha256());
	SSL_CTX_use_certificate(ctx, x);
	SSL_CTX_use_PrivateKey(ctx, key);
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	(void)SSL_accept(ssl);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	X509_free(x);
	EVP_PKEY_free(key);
	wait_for_end(fd);
}

static void impostors(void **state)
{
	static const struct {
		void (*serve)(int fd);
		unsigned timeout_ms;
		int result;
	} cases[] = {
		{serve_noise, SOON_MS, -EKEYREJECTED},
		{serve_end, SOON_MS, -ECONNRESET},
		{serve_certificate, SOON_MS, -EKEYREJECTED},
		{wait_for_end, 200, -ETIMEDOUT},
	};

	for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
		struct impostor i = {.serve = cases[k].serve};
		struct lane *l;
		struct error err;

		impostor_start(&i);
		assert_int_equal(lane_connect("127.0.0.1", i.port, right, 0,
					 cases[k].timeout_ms, &l, &err),
			cases[k].result);
		impostor_end(&i);
	}
}

/* Sits between two lanes and hands on what the first sends, up to limit bytes;
 * then it either hangs up or spoils the next one. */
struct middle {
	unsigned to;
	size_t limit;
	bool spoil;
};

static struct middle middle;

static void serve_middle(int fd)
{
	CLEANUP_CLOSE int other = tcp(middle.to);
	size_t passed = 0;
	char buf[4096];

	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n > 0 && passed + (size_t)n > middle.limit) {
			if (!middle.spoil)
				return;
			buf[n - 1] ^= 1;
		}
		if (n == 0)
			return;
		if (n > 0) {
			if (io_write_all(other, buf, (size_t)n) < 0)
				return;
			passed += (size_t)n;
		}
		n = recv(other, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0)
			return;
		if (n > 0 && io_write_all(fd, buf, (size_t)n) < 0)
			return;
		if (n < 0)
			clock_sleep_ms(1);
	}
}

/* Somebody on the path can cut a lane or spoil it, but not pass that off as
 * an end or as data. */
static void tampering(void **state)
{
	for (int spoil = 0; spoil < 2; spoil++) {
		struct lane_listener *ll = listener();
		struct impostor i = {.serve = serve_middle};
		struct caller c = {.key = right};
		struct lane *l;
		uint32_t number;
		char buf[5000] = "";
		int r = 0;

		middle = (struct middle){
			.to = lane_listener_port(ll),
			.limit = 100000,
			.spoil = spoil,
		};
		impostor_start(&i);
		c.port = i.port;
		call_start(&c);
		assert_int_equal(
			lane_accept(ll, SOON_MS, &l, &number, NULL), 0);
		assert_int_equal(call_end(&c), 0);
		/* Whole pieces, so that the end falls between two of them. */
		for (int k = 0; k < 100 && r == 0; k++) {
			if (k < 50)
				(void)!lane_send(
					c.lane, &(struct iovec){buf, 5000}, 1);
			r = lane_receive(l, buf, sizeof(buf));
		}
		assert_int_equal(r, spoil ? -EBADMSG : -ECONNRESET);
		lane_free(l);
		lane_free(c.lane);
		impostor_end(&i);
		lane_listener_free(ll);
	}
}

static void *receive_one(void *arg)
{
	struct job *j = arg;
	uint8_t c;

	j->result = lane_receive(j->lane, &c, 1);
	return NULL;
}

static void *send_for_ever(void *arg)
{
	struct job *j = arg;

	do
		j->result =
			lane_send(j->lane, &(struct iovec){j->buf, 1 << 20}, 1);
	while (j->result == 0);
	return NULL;
}

static void *accept_one(void *arg)
{
	struct lane *l;
	uint32_t number;

	return (void *)(intptr_t)lane_accept(arg, SOON_MS, &l, &number, NULL);
}

/* A shutdown from another thread ends what is blocked, on every kind. */
static void shutdowns(void **state)
{
	CLEANUP_FREE uint8_t *buf = calloc(1, 1 << 20);
	struct lane_listener *ll = listener();
	pthread_t t;
	void *r;

	for (int kind = 0; kind < 3; kind++) {
		struct lane *a, *b;
		struct job in, out = {.buf = buf};
		pthread_t u;

		if (kind == 0)
			pair("127.0.0.1", &a, &b);
		else if (kind == 1)
			plain_pair(&a, &b);
		else
			pipe_pair(&a, &b);
		in = (struct job){.lane = b};
		assert_int_equal(pthread_create(&t, NULL, receive_one, &in), 0);
		clock_sleep_ms(50);
		lane_shutdown(b);
		assert_int_equal(pthread_join(t, NULL), 0);
		assert_int_equal(in.result, -ECANCELED);
		assert_int_equal(lane_receive(b, buf, 1), -ECANCELED);
		lane_free(a);
		lane_free(b);

		if (kind == 0)
			pair("127.0.0.1", &a, &b);
		else if (kind == 1)
			plain_pair(&a, &b);
		else
			pipe_pair(&a, &b);
		out.lane = a;
		assert_int_equal(
			pthread_create(&u, NULL, send_for_ever, &out), 0);
		clock_sleep_ms(50);
		lane_shutdown(a);
		assert_int_equal(pthread_join(u, NULL), 0);
		assert_int_equal(out.result, -ECANCELED);
		lane_free(a);
		lane_free(b);
	}
	assert_int_equal(pthread_create(&t, NULL, accept_one, ll), 0);
	clock_sleep_ms(50);
	lane_listener_shutdown(ll);
	assert_int_equal(pthread_join(t, &r), 0);
	assert_int_equal((intptr_t)r, -ECANCELED);
	lane_listener_free(ll);
}

/* A peer that is there and takes nothing is given up, a peer that has gone is
 * an error and no signal. */
static void stuck_and_gone(void **state)
{
	CLEANUP_FREE uint8_t *buf = calloc(1, 1 << 20);

	for (int kind = 0; kind < 2; kind++) {
		struct lane *a, *b;
		struct job out = {.buf = buf};

		if (kind == 0)
			pair("127.0.0.1", &a, &b);
		else
			plain_pair(&a, &b);
		lane_set_limits(a, 200, 0);
		out.lane = a;
		(void)send_for_ever(&out);
		assert_int_equal(out.result, -ETIMEDOUT);
		assert_int_equal(lane_send(a, NULL, 0), -EPIPE);
		lane_free(a);
		lane_free(b);

		if (kind == 0)
			pair("127.0.0.1", &a, &b);
		else
			plain_pair(&a, &b);
		lane_free(b);
		out.lane = a;
		(void)send_for_ever(&out);
		assert_true(out.result == -EPIPE || out.result == -ECONNRESET);
		lane_free(a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_kinds),
		cmocka_unit_test(unannounced_end),
		cmocka_unit_test(ipv6),
		cmocka_unit_test(wrong_key),
		cmocka_unit_test(strangers),
		cmocka_unit_test(listening),
		cmocka_unit_test(impostors),
		cmocka_unit_test(tampering),
		cmocka_unit_test(shutdowns),
		cmocka_unit_test(stuck_and_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
