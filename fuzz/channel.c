/* SPDX-License-Identifier: Apache-2.0 */
/* Frames as they come from a peer: u8 who it is, u8 in what pieces, bytes. */
#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "wire/channel.h"

static void take(struct channel *c)
{
	struct frame f;

	while (channel_next(c, &f) > 0) {
		const struct message_def *d = message_def(f.type);
		uint64_t sum = 0;
		void *msg;

		fuzz_check(d);
		fuzz_check(f.n <= (d->max ? d->max : codec_max(d->shape)));
		for (uint32_t i = 0; i < f.n; i++)
			sum += f.payload[i];
		fuzz_check(sum <= 255ULL * f.n);
		msg = fuzz_alloc(d->shape->size);
		(void)!frame_decode(&f, msg);
		free(msg);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t piece;
	struct channel *c;
	int fd[2];

	if (n < 2)
		return 0;
	piece = data[1] ? data[1] * (size_t)3 : n;
	fuzz_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
	fuzz_check(channel_new(fd[0], fd[0], data[0] & 15, &c) == 0);
	for (size_t at = 2; at < n; at += piece) {
		size_t k = piece < n - at ? piece : n - at;

		if (send(fd[1], data + at, k, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
		if (channel_read(c) < 0)
			break;
		take(c);
	}
	(void)close(fd[1]);
	while (channel_read(c) == 0)
		take(c);
	take(c);
	channel_free(c);
	(void)close(fd[0]);
	return 0;
}
