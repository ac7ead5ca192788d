/* SPDX-License-Identifier: Apache-2.0 */
#include "link/lane_tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/cleanup.h"

/* Several records a send(2) and a recv(2): what a packet costs on its way
 * through the kernel hardly depends on its size. */
#define BUFFER (128 * 1024)

static const char identity[] = "rehost";

struct lane_tls {
	int fd;
	SSL *ssl;
	bool more;    /* for the record that is being sent */
	int io_error; /* what the socket said: negative errno */
	bool eof;
	bool ended; /* the end is announced, at least to out */
	uint8_t key[LANE_TLS_KEY_SIZE];
	size_t first, n; /* of out: what the socket has not taken yet */
	uint8_t out[BUFFER];
};

static struct {
	pthread_once_t once;
	BIO_METHOD *method;
	SSL_CTX *context; /* NULL: could not be made */
} tls = {.once = PTHREAD_ONCE_INIT};

/* Gives the socket what it takes. 0, LANE_TLS_WANT_WRITE when something is
 * left, or negative errno. */
static int send_out(struct lane_tls *t)
{
	int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (t->more ? MSG_MORE : 0);

	while (t->n > 0) {
		ssize_t r = send(t->fd, t->out + t->first, t->n, flags);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EAGAIN)
			return LANE_TLS_WANT_WRITE;
		if (r < 0)
			return t->io_error = -errno;
		t->first += (size_t)r;
		t->n -= (size_t)r;
	}
	t->first = 0;
	return 0;
}

/* OpenSSL's own socket BIO would raise SIGPIPE and send each record alone. */
static int bio_write(BIO *b, const char *buf, int n)
{
	struct lane_tls *t = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	if (t->n + (size_t)n > sizeof(t->out) && send_out(t) < 0)
		return -1;
	if (t->n + (size_t)n > sizeof(t->out)) {
		BIO_set_retry_write(b);
		return -1;
	}
	if (t->first + t->n + (size_t)n > sizeof(t->out)) {
		memmove(t->out, t->out + t->first, t->n);
		t->first = 0;
	}
	memcpy(t->out + t->first + t->n, buf, (size_t)n);
	t->n += (size_t)n;
	return n;
}

static int bio_read(BIO *b, char *buf, int n)
{
	struct lane_tls *t = BIO_get_data(b);
	ssize_t r;

	BIO_clear_retry_flags(b);
	do
		r = recv(t->fd, buf, (size_t)n, MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	if (r < 0 && errno == EAGAIN)
		BIO_set_retry_read(b);
	else if (r < 0)
		t->io_error = -errno;
	else if (r == 0)
		t->eof = true;
	return (int)r;
}

static long bio_ctrl(BIO *b, int command, long number, void *pointer)
{
	struct lane_tls *t = BIO_get_data(b);

	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return t->eof;
	default:
		return 0;
	}
}

static SSL_SESSION *session_of(SSL *ssl)
{
	static const unsigned char aes_128_gcm_sha256[] = {0x13, 0x01};
	struct lane_tls *t = SSL_get_app_data(ssl);
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, aes_128_gcm_sha256);
	SSL_SESSION *s = SSL_SESSION_new();

	if (s && cipher &&
		SSL_SESSION_set1_master_key(s, t->key, sizeof(t->key)) == 1 &&
		SSL_SESSION_set_cipher(s, cipher) == 1 &&
		SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION) == 1)
		return s;
	SSL_SESSION_free(s);
	return NULL;
}

static int use_session(SSL *ssl, const EVP_MD *md, const unsigned char **ret_id,
	size_t *ret_n, SSL_SESSION **ret)
{
	SSL_SESSION *s = session_of(ssl);

	if (!s)
		return 0;
	*ret_id = (const unsigned char *)identity;
	*ret_n = sizeof(identity) - 1;
	*ret = s;
	return 1;
}

static int find_session(
	SSL *ssl, const unsigned char *id, size_t n, SSL_SESSION **ret)
{
	*ret = NULL;
	if (n != sizeof(identity) - 1 || memcmp(id, identity, n) != 0)
		return 1; /* no such key: the handshake fails, see below */
	*ret = session_of(ssl);
	return *ret != NULL;
}

static void make_context(void)
{
	/* A static program reads no files of an installation that it was not
	 * made for, and may end while other threads still use TLS. */
	const uint64_t options =
		OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT;
	BIO_METHOD *m;
	SSL_CTX *c;

	if (OPENSSL_init_ssl(options, NULL) != 1)
		return;
	m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "lane");
	c = SSL_CTX_new(TLS_method());
	if (!m || !c || BIO_meth_set_write(m, bio_write) != 1 ||
		BIO_meth_set_read(m, bio_read) != 1 ||
		BIO_meth_set_ctrl(m, bio_ctrl) != 1 ||
		SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) != 1 ||
		SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION) != 1 ||
		SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256") != 1 ||
		SSL_CTX_set1_groups_list(c, "X25519") != 1 ||
		SSL_CTX_set_num_tickets(c, 0) != 1) {
		SSL_CTX_free(c);
		BIO_meth_free(m);
		return;
	}
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
				       SSL_OP_NO_TICKET);
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE |
				    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(c, 1);
	SSL_CTX_set_default_read_buffer_len(c, BUFFER);
	SSL_CTX_set_psk_use_session_callback(c, use_session);
	SSL_CTX_set_psk_find_session_callback(c, find_session);
	tls.method = m;
	tls.context = c;
}

int lane_tls_new(int fd, bool server, const uint8_t key[LANE_TLS_KEY_SIZE],
	struct lane_tls **ret)
{
	struct lane_tls *t;
	BIO *b;

	(void)pthread_once(&tls.once, make_context);
	if (!tls.context)
		return -ENOMEM;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->fd = fd;
	memcpy(t->key, key, sizeof(t->key));
	t->ssl = SSL_new(tls.context);
	b = BIO_new(tls.method);
	if (!t->ssl || !b || SSL_set_app_data(t->ssl, t) != 1) {
		BIO_free(b);
		lane_tls_free(t);
		return -ENOMEM;
	}
	BIO_set_data(b, t);
	BIO_set_init(b, 1);
	SSL_set_bio(t->ssl, b, b);
	if (server) {
		SSL_set_accept_state(t->ssl);
	} else {
		/* A server may leave the offered key aside and show a
		 * certificate; nobody is trusted to have signed it. */
		SSL_set_verify(t->ssl, SSL_VERIFY_PEER, NULL);
		SSL_set_connect_state(t->ssl);
	}
	*ret = t;
	return 0;
}

/* What a call that returned r means; refused stands for errors of TLS. */
static int outcome(struct lane_tls *t, int r, int refused)
{
	switch (SSL_get_error(t->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		return LANE_TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return LANE_TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return -EPIPE;
	default:
		if (t->io_error)
			return t->io_error;
		return t->eof ? -ECONNRESET : refused;
	}
}

int lane_tls_handshake(struct lane_tls *t)
{
	int r, sent;

	ERR_clear_error();
	r = SSL_do_handshake(t->ssl);
	r = r == 1 ? 0 : outcome(t, r, -EKEYREJECTED);
	/* What it says of the key, or what is said back, comes before what the
	 * socket says. */
	sent = send_out(t);
	if (r >= 0 && sent != 0)
		r = sent;
	if (r != 0)
		return r == -EPIPE ? -ECONNRESET : r;
	OPENSSL_cleanse(t->key, sizeof(t->key));
	/* OpenSSL's word for "by the key and not by a certificate". */
	return SSL_session_reused(t->ssl) ? 0 : -EKEYREJECTED;
}

int lane_tls_write(
	struct lane_tls *t, const void *buf, size_t n, bool more, size_t *ret_n)
{
	int r;

	ERR_clear_error();
	t->more = more;
	r = SSL_write_ex(t->ssl, buf, MIN(n, (size_t)LANE_TLS_RECORD), ret_n);
	return r == 1 ? 0 : outcome(t, r, -EPROTO);
}

int lane_tls_flush(struct lane_tls *t)
{
	return send_out(t);
}

int lane_tls_read(struct lane_tls *t, void *buf, size_t n, size_t *ret_n)
{
	int r;

	ERR_clear_error();
	r = SSL_read_ex(t->ssl, buf, n, ret_n);
	return r == 1 ? 0 : outcome(t, r, -EBADMSG);
}

int lane_tls_rekey(struct lane_tls *t)
{
	ERR_clear_error();
	if (SSL_key_update(t->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1)
		return -EPROTO;
	return 0;
}

int lane_tls_end(struct lane_tls *t)
{
	int r;

	ERR_clear_error();
	t->more = false;
	if (!t->ended) {
		r = SSL_shutdown(t->ssl);
		if (r < 0)
			return outcome(t, r, -EPROTO);
		t->ended = true;
	}
	return send_out(t);
}

void lane_tls_free(struct lane_tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	OPENSSL_cleanse(t->key, sizeof(t->key));
	free(t);
}
