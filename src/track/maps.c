/* SPDX-License-Identifier: Apache-2.0 */
#include "track/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "build_id.h"

#define MAGIC 0x7265686f73743031ULL
#define MAP_BITS_MAX (16ULL * 1024 * 1024 * 8)

uint32_t maps_granule(uint64_t size)
{
	uint32_t g = 4096;

	while (size / g > MAP_BITS_MAX && g < 256 * 1024)
		g *= 2;
	return g;
}

static uint64_t header_size(void)
{
	return (sizeof(struct maps_shared) + 4095) / 4096 * 4096;
}

static uint64_t total_size(uint64_t granules)
{
	return header_size() + 5 * bitmap_size(granules);
}

static int map(struct maps *m, uint64_t granules)
{
	uint64_t one = bitmap_size(granules);
	char *p;

	p = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	m->shared = (void *)p;
	m->granules = granules;
	p += header_size();
	bitmap_view(&m->dirty, p, granules);
	bitmap_view(&m->inflight, p + one, granules);
	bitmap_view(&m->known, p + 2 * one, granules);
	bitmap_view(&m->unproved, p + 3 * one, granules);
	bitmap_view(&m->used, p + 4 * one, granules);
	return 0;
}

static uint64_t granules_of(uint64_t size, uint32_t granule)
{
	return size / granule + (size % granule != 0);
}

int maps_create(uint64_t size, uint32_t granule, struct maps *ret)
{
	struct maps m = {.fd = -1};
	int r;

	if (granule < 512 || (granule & (granule - 1)) || size == 0)
		return -EINVAL;
	m.bytes = total_size(granules_of(size, granule));
	m.fd = memfd_create("rehost-maps", MFD_CLOEXEC);
	if (m.fd < 0)
		return -errno;
	r = ftruncate(m.fd, (off_t)m.bytes) < 0 ? -errno : 0;
	if (r == 0)
		r = map(&m, granules_of(size, granule));
	if (r < 0) {
		(void)close(m.fd);
		return r;
	}
	m.shared->magic = MAGIC;
	memcpy(m.shared->build, BUILD_ID, sizeof(BUILD_ID));
	m.shared->size = size;
	m.shared->granule = granule;
	m.shared->phase = KEEPER_IDLE;
	*ret = m;
	return 0;
}

void maps_stuck(struct maps_shared *s, const struct error *err)
{
	if (!s->rollback.stuck[0])
		(void)snprintf(s->rollback.stuck, sizeof(s->rollback.stuck),
			"%.250s: %.250s", err->what, err->why);
}

int maps_attach(int fd, struct maps *ret)
{
	CLEANUP_FREE struct maps_shared *head = malloc(sizeof(*head));
	struct maps m = {.fd = fd};
	struct stat st;
	int r;

	if (!head)
		return -ENOMEM;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (pread(fd, head, sizeof(*head), 0) != (ssize_t)sizeof(*head) ||
		head->magic != MAGIC ||
		memcmp(head->build, BUILD_ID, sizeof(BUILD_ID)) != 0 ||
		head->granule < 512 || (head->granule & (head->granule - 1)) ||
		head->size == 0 || head->n_disks > VOLUMES_MAX ||
		(uint64_t)st.st_size !=
			total_size(granules_of(head->size, head->granule)))
		return -EPROTO;
	m.bytes = (uint64_t)st.st_size;
	r = map(&m, granules_of(head->size, head->granule));
	if (r < 0)
		return r;
	*ret = m;
	return 0;
}

/* A message of one byte that carries one descriptor. */
struct carrier {
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov;
	struct msghdr msg;
};

static void carrier_init(struct carrier *c)
{
	memset(c, 0, sizeof(*c));
	c->byte = 'R';
	c->iov = (struct iovec){&c->byte, 1};
	c->msg.msg_iov = &c->iov;
	c->msg.msg_iovlen = 1;
	c->msg.msg_control = c->control.buf;
	c->msg.msg_controllen = sizeof(c->control.buf);
}

int maps_send(const struct maps *m, int conn)
{
	struct carrier k;
	struct cmsghdr *c;

	carrier_init(&k);
	c = CMSG_FIRSTHDR(&k.msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &m->fd, sizeof(int));
	return sendmsg(conn, &k.msg, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

int maps_receive(int conn, struct maps *ret)
{
	struct carrier k;
	struct cmsghdr *c;
	ssize_t n;
	int fd, r;

	carrier_init(&k);
	n = recvmsg(conn, &k.msg, MSG_CMSG_CLOEXEC);
	if (n != 1)
		return n < 0 ? -errno : -ECONNRESET;
	c = CMSG_FIRSTHDR(&k.msg);
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
		c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(c), sizeof(int));
	r = maps_attach(fd, ret);
	if (r < 0)
		(void)close(fd);
	return r;
}

void maps_close(struct maps *m)
{
	if (!m->shared)
		return;
	(void)munmap(m->shared, m->bytes);
	(void)close(m->fd);
	memset(m, 0, sizeof(*m));
	m->fd = -1;
}

void maps_mark(struct maps *m, uint64_t offset, uint64_t bytes)
{
	uint64_t g = m->shared->granule, size = m->shared->size;

	if (bytes == 0 || offset >= size)
		return;
	bytes = bytes > size - offset ? size - offset : bytes;
	bitmap_set(&m->dirty, offset / g,
		(offset + bytes + g - 1) / g - offset / g);
}

void maps_discard(struct maps *m, uint64_t offset, uint64_t bytes)
{
	uint64_t g = m->shared->granule, size = m->shared->size;
	uint64_t at, end, first, n;

	if (bytes == 0 || offset >= size)
		return;
	if (offset == 0 && bytes >= size) {
		m->shared->vague++;
		return;
	}
	bytes = bytes > size - offset ? size - offset : bytes;
	end = (offset + bytes + g - 1) / g;
	/* Before the known: what leaves inflight is known already. */
	for (at = offset / g; bitmap_next_within(
		     &m->inflight, NULL, false, at, end, &first, &n);
		at = first + n)
		bitmap_set(&m->dirty, first, n);
	bitmap_clear(&m->known, offset / g, end - offset / g);
}

bool maps_next_dirty(const struct maps *m, uint64_t from, uint64_t max,
	uint64_t *ret_first, uint64_t *ret_n)
{
	bool frozen = m->shared->hold == HOLD_FROZEN && m->shared->used_holds;

	return bitmap_next_and(&m->dirty, frozen ? &m->used : NULL, false, from,
		max, ret_first, ret_n);
}

uint64_t maps_dirty(const struct maps *m)
{
	uint64_t at = 0, first, n, bytes = 0;

	for (; maps_next_dirty(m, at, UINT64_MAX, &first, &n); at = first + n)
		bytes += maps_bytes(m, first, n);
	return bytes;
}

/* Granules that are used and not known. */
static uint64_t fresh(const struct maps *m)
{
	uint64_t at = 0, first, n, sum = 0;

	for (; bitmap_next_and(
		     &m->used, &m->known, true, at, UINT64_MAX, &first, &n);
		at = first + n)
		sum += n;
	return sum;
}

void maps_sample(struct maps *m, uint64_t bytes, uint64_t piece, unsigned shift)
{
	uint64_t g = m->shared->granule, left = fresh(m);
	uint64_t each = MAX(piece / g, (uint64_t)1);
	uint64_t want = bytes / g + (bytes % g != 0);
	uint64_t pieces = want / each + (want % each != 0), step;
	/* Counted in granules that are left: where the next piece begins, and
	 * how many lie before the present run. */
	uint64_t next, before = 0, at = 0, first, n;

	bitmap_clear(&m->dirty, 0, m->granules);
	if (pieces == 0)
		return;
	if (left < want) {
		bitmap_clear(&m->known, 0, m->granules);
		left = fresh(m);
	}
	step = left / pieces > each ? left / pieces : each;
	next = (step - each) * MIN(shift, 99U) / 100;
	for (; bitmap_next_and(
		     &m->used, &m->known, true, at, UINT64_MAX, &first, &n);
		at = first + n, before += n)
		while (next < before + n) {
			uint64_t from = MAX(next, before);
			uint64_t to = MIN(next + each, before + n);

			bitmap_set(
				&m->dirty, first + (from - before), to - from);
			if (next + each > before + n)
				break; /* it goes on in the next run */
			next += step;
		}
}

uint64_t maps_bytes(const struct maps *m, uint64_t first, uint64_t n)
{
	uint64_t g = m->shared->granule, end = (first + n) * g;

	return (end > m->shared->size ? m->shared->size : end) - first * g;
}

uint64_t maps_count(const struct maps *m, const struct bitmap *b)
{
	uint64_t n = bitmap_count(b) * m->shared->granule;

	return n > m->shared->size ? m->shared->size : n;
}
