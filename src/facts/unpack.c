/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/io.h"

#define CHUNK (128U * 1024)
/* Archives one behind the other, with what is compressed between. */
#define PARTS_MAX 16
#define MEMORY_MAX (1024UL << 20)

static const struct format {
	const char *name, *magic;
	size_t n;
	const char *program; /* NULL: unpacked here */
} formats[] = {
	{"zstd", "\x28\xb5\x2f\xfd", 4, NULL},
	{"gzip", "\x1f\x8b", 2, "gzip"},
	{"xz",
		"\xfd"
		"7zXZ",
		5, "xz"},
	{"lz4", "\x02\x21\x4c\x18", 4, "lz4"},
	{"lz4", "\x04\x22\x4d\x18", 4, "lz4"},
	{"bzip2", "BZh", 3, "bzip2"},
	{"lzma", "\x5d\0\0", 3, "xz"},
	{"lzop", "\x89LZO", 4, "lzop"},
};

struct unpack {
	int fd;
	uint64_t at; /* in the file */
	uint64_t bytes;
	uint64_t deadline;
	struct cpio c;
	uint8_t *in, *out; /* CHUNK each */
	const char *why;
};

static void cleanup_unpack(struct unpack *u)
{
	free(u->in);
	free(u->out);
}

static void cleanup_stream(ZSTD_DStream **z)
{
	(void)ZSTD_freeDStream(*z);
}

static int broken(struct unpack *u, const char *why)
{
	u->why = why;
	return -EBADMSG;
}

/* Feeds what was unpacked; 1 when the archives are over. */
static int feed(struct unpack *u, const uint8_t *p, size_t n)
{
	size_t used;
	int r;

	u->bytes += n;
	if (u->bytes > UNPACK_BYTES_MAX) {
		u->why = "it unpacks to too much";
		return -E2BIG;
	}
	if (clock_ms() > u->deadline) {
		u->why = "unpacking takes too long";
		return -ETIMEDOUT;
	}
	r = cpio_feed(&u->c, p, n, &used);
	return r < 0 ? broken(u, "it is no cpio archive") : r;
}

/* ---- as it is ---- */

/* Reads archives that are not compressed. 1 when something else follows, at
 * u->at. */
static int plain(struct unpack *u)
{
	for (;;) {
		ssize_t n = io_pread_all(u->fd, u->in, CHUNK, u->at);
		uint64_t skip;
		size_t used;
		int r;

		if (n <= 0)
			return (int)n;
		r = cpio_feed(&u->c, u->in, (size_t)n, &used);
		u->at += used;
		if (r < 0)
			return broken(u, "it is no cpio archive");
		if (r > 0)
			return 1;
		skip = cpio_skippable(&u->c);
		u->at += skip;
		cpio_skipped(&u->c, skip);
		if (clock_ms() > u->deadline) {
			u->why = "reading takes too long";
			return -ETIMEDOUT;
		}
	}
}

/* ---- zstd ---- */

/* Unpacks to the end of the first frame; u->at is then behind it. 1 when the
 * archives were over before. */
static int zstd(struct unpack *u)
{
	CLEANUP(cleanup_stream) ZSTD_DStream *z = ZSTD_createDStream();
	size_t left = 1;

	if (!z)
		return -ENOMEM;
	while (left != 0) {
		ssize_t n = io_pread_all(u->fd, u->in, CHUNK, u->at);
		ZSTD_inBuffer in = {u->in, n > 0 ? (size_t)n : 0, 0};
		bool full = true;

		if (n < 0)
			return (int)n;
		if (n == 0)
			return broken(u, "it ends too early");
		while (left != 0 && (in.pos < in.size || full)) {
			ZSTD_outBuffer out = {u->out, CHUNK, 0};
			int r;

			left = ZSTD_decompressStream(z, &out, &in);
			if (ZSTD_isError(left))
				return broken(
					u, "what is compressed is broken");
			full = out.pos == out.size;
			r = feed(u, u->out, out.pos);
			if (r != 0)
				return r;
		}
		u->at += in.pos;
	}
	return 0;
}

/* ---- the machine's programs ---- */

static bool find_program(const char *name, char *path, size_t size)
{
	static const char *const folders[] = {
		"/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"};

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		(void)snprintf(path, size, "%s/%s", folders[i], name);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static void limit(int what, rlim_t n)
{
	struct rlimit r = {n, n};

	(void)setrlimit(what, &r);
}

/* The child; only what may be called after a fork of threads. */
static void become(const char *path, int in, int out)
{
	static char *const environment[] = {
		"PATH=/usr/bin:/bin", "LC_ALL=C", NULL};
	char *const argv[] = {(char *)path, "-dc", NULL};
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	sigset_t none;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	limit(RLIMIT_CPU, UNPACK_MS_MAX / 1000);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_AS, MEMORY_MAX);
	if (null >= 0 && dup2(in, STDIN_FILENO) >= 0 &&
		dup2(out, STDOUT_FILENO) >= 0 && dup2(null, STDERR_FILENO) >= 0)
		(void)execve(path, argv, environment);
	_exit(127);
}

static int read_pipe(struct unpack *u, int from)
{
	for (;;) {
		struct pollfd p = {.fd = from, .events = POLLIN};
		uint64_t now = clock_ms();
		ssize_t n;
		int r;

		if (now >= u->deadline) {
			u->why = "unpacking takes too long";
			return -ETIMEDOUT;
		}
		r = poll(&p, 1, (int)(u->deadline - now));
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r <= 0)
			continue;
		n = read(from, u->out, CHUNK);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
		if (n < 0)
			continue;
		r = feed(u, u->out, (size_t)n);
		if (r != 0)
			return r;
	}
}

/* Whether it fails is told by the archive, which then has no end: gzip is not
 * content with zeros behind, but they are usual. */
static int by_program(struct unpack *u, const char *name)
{
	CLEANUP_CLOSE int from = -1;
	char path[64];
	int ends[2], r, status;
	pid_t pid;

	if (!find_program(name, path, sizeof(path))) {
		u->why = "there is no program that unpacks it";
		return -ENOENT;
	}
	if (lseek(u->fd, (off_t)u->at, SEEK_SET) < 0 ||
		pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		become(path, u->fd, ends[1]);
	r = -errno;
	(void)close(ends[1]);
	from = ends[0];
	if (pid < 0)
		return r;
	r = read_pipe(u, from);
	if (r == 0 && u->bytes == 0)
		r = broken(u, "its program unpacks nothing");
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return r;
}

/* ---- all of it ---- */

static const struct format *format_at(struct unpack *u)
{
	uint8_t magic[8];
	ssize_t n = io_pread_all(u->fd, magic, sizeof(magic), u->at);

	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		if (n >= (ssize_t)formats[i].n &&
			memcmp(magic, formats[i].magic, formats[i].n) == 0)
			return &formats[i];
	return NULL;
}

static int all_parts(struct unpack *u, const char **ret_compression)
{
	for (int i = 0; i < PARTS_MAX; i++) {
		int r = plain(u);
		const struct format *f;

		if (r <= 0)
			return r;
		f = format_at(u);
		/* The kernel, too, takes no notice of what is behind. */
		if (!f)
			return u->c.entries > 0
				       ? 0
				       : broken(u, "it is of no known format");
		*ret_compression = f->name;
		if (f->program) {
			r = by_program(u, f->program);
			return MIN(r, 0);
		}
		r = zstd(u);
		if (r != 0)
			return MIN(r, 0);
	}
	return 0;
}

int unpack_names(int fd, cpio_fn *fn, void *arg, const char **ret_compression,
	const char **ret_why)
{
	CLEANUP(cleanup_unpack)
	struct unpack u = {.fd = fd, .deadline = clock_ms() + UNPACK_MS_MAX};
	int r;

	*ret_compression = "none";
	*ret_why = NULL;
	u.in = malloc(CHUNK);
	u.out = malloc(CHUNK);
	if (!u.in || !u.out)
		return -ENOMEM;
	cpio_begin(&u.c, fn, arg);
	r = all_parts(&u, ret_compression);
	if (r == 0 && u.c.state != CPIO_BETWEEN)
		r = broken(&u, "it ends too early");
	*ret_why = u.why;
	return r;
}
