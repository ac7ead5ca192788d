/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile machine for tests/functional/hostile.sh: started as $REHOST_SSH, it
 * takes the agent that it is sent, greets in its place with the right build,
 * and answers as an agent might, until it is asked what $HOSTILE_WHEN names
 * (MSG_PROBE, …, or HELLO); then it does what $HOSTILE_DOES says.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "build_id.h"
#include "wire/channel.h"

#define VOLUME (8ULL << 20)

static struct channel *channel;
static const char *when, *does;
static bool is_target; /* else a source, by the first request to open */

static void send_message(uint32_t type, uint32_t id, const void *msg)
{
	if (channel_send(channel, type, id, msg) < 0 ||
		channel_flush(channel, true) < 0)
		exit(0);
}

static void send_raw(uint32_t type, uint32_t id, const void *p, uint32_t n)
{
	if (channel_send_raw(channel, type, id, p, n, NULL, 0) < 0 ||
		channel_flush(channel, true) < 0)
		exit(0);
}

/* Bytes that are no frame of channel's. */
static void send_bytes(const void *p, size_t n)
{
	struct pollfd out = {.fd = 1, .events = POLLOUT};

	while (n > 0) {
		ssize_t w = write(1, p, n);

		if (w < 0 && errno == EAGAIN) {
			(void)poll(&out, 1, 1000);
			continue;
		}
		if (w < 0)
			exit(0);
		p = (const char *)p + w;
		n -= (size_t)w;
	}
}

static void send_header(uint32_t type, uint32_t id, uint32_t n)
{
	uint8_t h[12];

	put_be32(h, type);
	put_be32(h + 4, id);
	put_be32(h + 8, n);
	send_bytes(h, sizeof(h));
}

static _Noreturn void wait_for_end(void)
{
	char buf[65536];
	struct pollfd in = {.fd = 0, .events = POLLIN};

	for (;;) {
		ssize_t n = read(0, buf, sizeof(buf));

		if (n == 0 || (n < 0 && errno != EAGAIN))
			exit(0);
		if (n < 0)
			(void)poll(&in, 1, 1000);
	}
}

/* ---- being hostile ---- */

static void flood(uint32_t type, const void *msg)
{
	for (;;)
		send_message(type, 0, msg);
}

static void do_lanes(void)
{
	static uint8_t piece[4 + RELAY_PIECE];
	uint8_t credit[8];

	if (strcmp(does, "credit") == 0) {
		put_be32(credit, 0);
		put_be32(credit + 4, UINT32_MAX);
		for (int i = 0; i < 100000; i++)
			send_raw(MSG_RELAY_CREDIT, 0, credit, 8);
	}
	if (strcmp(does, "records") == 0) {
		/* What is no record. */
		put_be32(piece, 0);
		memset(piece + 4, 0xa5, RELAY_PIECE);
		send_raw(MSG_RELAY_DATA, 0, piece, sizeof(piece));
	}
	if (strcmp(does, "outside") == 0) {
		/* A record of zeros behind the end of the volume. */
		put_be32(piece, 1);
		piece[4] = 2;
		put_be16(piece + 6, 1);
		put_be64(piece + 16, VOLUME + 4096);
		put_be64(piece + 24, 4096);
		send_raw(MSG_RELAY_DATA, 0, piece, 4 + 28);
	}
	if (strcmp(does, "no-credit") == 0)
		for (;;) {
			put_be32(piece, 0);
			send_raw(MSG_RELAY_DATA, 0, piece, sizeof(piece));
		}
	if (strcmp(does, "no-lane") == 0) {
		put_be32(piece, 0x7fffffff);
		send_raw(MSG_RELAY_DATA, 0, piece, sizeof(piece));
		send_raw(MSG_RELAY_DATA, 0, piece, 3);
		send_raw(MSG_RELAY_END, 0, piece, 1);
	}
}

static void do_events(void)
{
	static struct msg_mismatch mismatch;
	struct msg_durable durable = {.generation = 1, .epoch = 7};

	if (strcmp(does, "durable") == 0)
		send_message(MSG_DURABLE, 0, &durable);
	if (strcmp(does, "mismatch") == 0) {
		mismatch.generation = 1;
		mismatch.n = 1;
		mismatch.v[0] = (struct msg_extent){VOLUME, 4096};
		send_message(MSG_MISMATCH, 0, &mismatch);
	}
	if (strcmp(does, "mismatches") == 0) {
		mismatch.generation = 1;
		mismatch.n = EXTENTS_MAX;
		for (int i = 0; i < EXTENTS_MAX; i++)
			mismatch.v[i] = (struct msg_extent){0, 4096};
		flood(MSG_MISMATCH, &mismatch);
	}
	if (strcmp(does, "log") == 0) {
		static struct msg_log log = {"\033[2J\033]0;all is well\007"};

		flood(MSG_LOG, &log);
	}
}

/* Does it in place of an answer to f. */
static _Noreturn void be_hostile(const struct frame *f)
{
	const struct message_def *d = message_def(f->type);
	uint32_t answer = d && d->answer ? d->answer : (uint32_t)MSG_HELLO;
	static uint8_t noise[65536];

	if (strcmp(does, "length") == 0)
		send_header(answer, f->id, UINT32_MAX);
	else if (strcmp(does, "longer") == 0)
		send_header(answer, f->id,
			(uint32_t)codec_max(message_def(answer)->shape) + 1);
	else if (strcmp(does, "type") == 0)
		send_header(99, f->id, 0);
	else if (strcmp(does, "side") == 0)
		send_raw(is_target ? MSG_PASS_DONE : MSG_TARGET_STATE, f->id,
			noise, 0);
	else if (strcmp(does, "request") == 0)
		send_raw(MSG_PROBE, f->id, noise, 4);
	else if (strcmp(does, "payload") == 0)
		send_raw(answer, f->id, noise, 3);
	else if (strcmp(does, "other") == 0)
		send_raw(answer == MSG_OK ? MSG_LISTENING : MSG_OK, f->id,
			noise, answer == MSG_OK ? 4 : 0);
	else if (strcmp(does, "id") == 0)
		for (uint32_t id = f->id + 1000;; id++)
			send_raw(MSG_OK, id, noise, 0);
	else if (strcmp(does, "noise") == 0)
		for (;;) {
			io_random(noise, sizeof(noise));
			send_bytes(noise, sizeof(noise));
		}
	else if (strcmp(does, "close") == 0)
		exit(3);
	do_lanes();
	do_events();
	wait_for_end();
}

/* ---- being an agent ---- */

static void fill_facts(const struct frame *f, struct volume_facts *v)
{
	static struct msg_path path;

	memset(v, 0, sizeof(*v));
	if (frame_decode(f, &path) < 0)
		exit(1);
	v->kind = VOLUME_FILE;
	memcpy(v->path, path.path, sizeof(v->path));
	v->size = VOLUME;
	v->logical = v->physical = 512;
	v->inode = 1;
	v->empty = 1;
	v->clean = 1;
	if (strcmp(does, "huge") == 0)
		v->size = UINT64_MAX;
	if (strcmp(does, "signatures") == 0) {
		v->n_signatures = PROBE_SIGNATURES_MAX;
		for (int i = 0; i < PROBE_SIGNATURES_MAX; i++)
			v->signatures[i] = (struct signature){
				(uint64_t)i, UINT64_MAX - 1, "ext4"};
	}
	if (strcmp(does, "names") == 0) {
		memset(v->path, '%', sizeof(v->path) - 1);
		memset(v->serial, '\n', sizeof(v->serial) - 1);
		v->n_mounts = PROBE_MOUNTS_MAX;
		for (int i = 0; i < PROBE_MOUNTS_MAX; i++)
			memset(v->mounts[i].point, '\033',
				sizeof(v->mounts[i].point) - 1);
	}
}

static void answer(const struct frame *f)
{
	static union {
		struct volume_facts facts;
		struct msg_source_state source;
		struct msg_map_result map;
		struct msg_pass_done done;
		struct msg_target_state target;
		struct msg_keeper_state keeper;
		struct msg_blocks blocks;
		struct msg_hooks_result hooks;
	} m;
	const struct message_def *d = message_def(f->type);

	if (f->type == MSG_OPEN_TARGET)
		is_target = true;
	if (strcmp(d->name, when) == 0 && strcmp(does, "huge") != 0 &&
		strcmp(does, "signatures") != 0 && strcmp(does, "names") != 0)
		be_hostile(f);
	if (!d->answer)
		return;
	memset(&m, 0, sizeof(m));
	switch (f->type) {
	case MSG_PROBE:
		fill_facts(f, &m.facts);
		break;
	case MSG_OPEN_SOURCE:
	case MSG_MARK:
	case MSG_BACKLOG:
		m.source.fresh = f->type == MSG_OPEN_SOURCE;
		m.source.size = VOLUME;
		m.source.granule = 4096;
		strcpy(m.source.reason, "so it is");
		if (strcmp(does, "numbers") == 0)
			memset(&m.source.dirty, 0xff, 5 * sizeof(uint64_t));
		break;
	case MSG_MAP:
		m.map.used = m.map.added = VOLUME;
		break;
	case MSG_PASS:
		/* It did it all, of course. */
		m.done.pass = 1;
		m.done.bytes = VOLUME;
		m.done.ms = 1;
		if (strcmp(does, "numbers") == 0)
			memset(&m.done.bytes, 0xff, 6 * sizeof(uint64_t));
		break;
	case MSG_OPEN_TARGET:
		m.target.size = VOLUME;
		break;
	default:
		break;
	}
	send_message(d->answer, f->id, &m);
}

static void greet(const char *command)
{
	const char *m = strstr(command, "m="), *n = strstr(command, " n=");
	char marker[64] = "", buf[65536];
	uint64_t left;

	if (!m || !n || sscanf(m, "m=%63[0-9a-f]", marker) != 1)
		exit(1);
	left = strtoull(n + 3, NULL, 10);
	(void)printf("\nREHOST-READY %s\n", marker);
	(void)fflush(stdout);
	while (left > 0) {
		size_t piece = MIN(left, (uint64_t)sizeof(buf));

		if (io_read_all(0, buf, piece) < 0)
			exit(1);
		left -= piece;
	}
	(void)printf("\nREHOST-AGENT %s\n", marker);
	(void)fflush(stdout);
}

int main(int argc, char **argv)
{
	static struct msg_hello hello;
	struct frame f = {.type = MSG_HELLO};

	when = getenv("HOSTILE_WHEN");
	does = getenv("HOSTILE_DOES");
	if (argc < 2 || !when || !does)
		return 2;
	(void)signal(SIGPIPE, SIG_IGN);
	greet(argv[argc - 1]);
	if (channel_new(0, 1, FROM_CONTROLLER, &channel) < 0)
		return 1;
	if (strcmp(when, "HELLO") == 0)
		be_hostile(&f);
	strcpy(hello.build, BUILD_ID);
	strcpy(hello.hostname, "evil");
	strcpy(hello.boot_id, "6f6e65-of-its-own");
	send_message(MSG_HELLO, 0, &hello);
	for (;;) {
		struct pollfd p = {.fd = 0, .events = POLLIN};
		int n;

		(void)poll(&p, 1, -1);
		if (channel_read(channel) < 0)
			return 0;
		while ((n = channel_next(channel, &f)) > 0)
			answer(&f);
		if (n < 0)
			return 1;
	}
}
