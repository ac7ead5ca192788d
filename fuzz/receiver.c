/* SPDX-License-Identifier: Apache-2.0 */
/* A target over a volume in memory, which ends the program when it is used
 * outside its bounds: u16 length of what the first lane brings, that, and what
 * the second one brings. */
#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "copy/receiver.h"
#include "memory_volume.h"

#define SIZE (256 * 1024 + 777)

struct target {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool failed;
	uint32_t epoch;
};

static void on_durable(void *arg, struct msg_durable *m)
{
	struct target *t = arg;

	(void)pthread_mutex_lock(&t->lock);
	fuzz_check(!t->failed);
	if (m->error.code)
		t->failed = true;
	else
		fuzz_check(m->epoch == ++t->epoch);
	(void)pthread_cond_signal(&t->changed);
	(void)pthread_mutex_unlock(&t->lock);
}

static void on_mismatch(void *arg, struct msg_mismatch *m)
{
	fuzz_check(m->n > 0 && m->n <= EXTENTS_MAX);
	for (uint32_t i = 0; i < m->n; i++)
		fuzz_check(m->v[i].offset < SIZE &&
			   m->v[i].bytes <= SIZE - m->v[i].offset);
}

static struct lane *make_lane(const uint8_t *data, size_t n)
{
	struct lane *l;
	int pair[2], size = 1 << 20;

	fuzz_check(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	while (n > 0) {
		ssize_t w = send(pair[0], data, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (w <= 0)
			break; /* longer than the buffer: cut off */
		data += w;
		n -= (size_t)w;
	}
	(void)close(pair[0]);
	fuzz_check(lane_plain(pair[1], &l) == 0);
	return l;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct msg_extent signatures[] = {{1024, 8}, {65536, 8}};
	static const uint8_t secret[SECRET_SIZE];
	static struct withheld withheld;
	struct target t = {.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER};
	struct receiver_events events = {on_durable, on_mismatch, &t};
	struct memory_volume v;
	struct receiver *r;
	struct lane *lanes[2];
	size_t first;

	if (n < 2)
		return 0;
	first = get_be16(data);
	first = first < n - 2 ? first : n - 2;
	memory_volume_init(&v, SIZE, 0xee);
	fuzz_check(withheld_init(&withheld, signatures, 2, SIZE) == 0);
	lanes[0] = make_lane(data + 2, first);
	lanes[1] = make_lane(data + 2 + first, n - 2 - first);
	fuzz_check(receiver_start(&v.volume, secret, &withheld, lanes, 2,
			   &events, &r) == 0);
	/* Both lanes end: that, at the latest, is an error. */
	(void)pthread_mutex_lock(&t.lock);
	while (!t.failed)
		(void)pthread_cond_wait(&t.changed, &t.lock);
	(void)pthread_mutex_unlock(&t.lock);
	receiver_stop(r);
	for (uint32_t i = 0; i < withheld.n; i++)
		for (uint32_t k = 0; k < withheld.v[i].n; k++)
			fuzz_check(v.bytes[withheld.v[i].offset + k] == 0xee);
	memory_volume_done(&v);
	return 0;
}
