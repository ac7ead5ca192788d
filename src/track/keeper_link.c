/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's end of a keeper, and how one is made. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/parse.h"
#include "track/blocks.h"
#include "track/hold.h"
#include "track/keeper.h"
#include "track/netfence.h"
#include "track/tracker.h"

#define HOOK_END_MS 2000
#define END_MS 2000 /* for a killed keeper to be gone altogether */
#define RETRY_MS 20

/* The name by which agent and keeper find each other. */
static socklen_t socket_name(const uint8_t key[KEY_SIZE], struct sockaddr_un *a)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char hex[33];

	/* The name shows in /proc/net/unix: it must not give away the key. */
	(void)SHA256(key, KEY_SIZE, digest);
	parse_hex(digest, 16, hex);
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	(void)snprintf(
		a->sun_path + 1, sizeof(a->sun_path) - 1, "rehost/%s", hex);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   strlen(a->sun_path + 1));
}

void keeper_instance_name(const uint8_t key[KEY_SIZE], char buf[64])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char hex[17];

	(void)SHA256(key, KEY_SIZE, digest);
	parse_hex(digest, 8, hex);
	(void)snprintf(buf, 64, "rehost-%s", hex);
}

/* A hook outlives its keeper by a moment (base/hook.h), and must not undo what
 * comes now. */
static void end_hook(struct maps_shared *s)
{
	int group = s->hook_group;

	if (group <= 1)
		return;
	(void)kill(-group, SIGKILL);
	for (int i = 0; i < HOOK_END_MS && kill(-group, 0) == 0; i += 5)
		clock_sleep_ms(5);
	s->hook_group = 0;
}

bool keeper_undo(struct maps *m, bool unacknowledged)
{
	struct maps_shared *s = m->shared;
	uint32_t phase = s->phase;
	struct error err;

	if (phase == KEEPER_COMMITTED && !unacknowledged)
		return false;
	s->used_holds = 0;
	s->hold = HOLD_NONE;
	end_hook(s);
	if (s->n_saved > 0 && phase >= KEEPER_FENCING &&
		blocks_write(s, s->saved, s->n_saved, false, &err) < 0)
		maps_stuck(s, &err);
	/* The network's fence ended with the keeper, unless it was told to
	 * stay. Before the thaw, which waits for writers. */
	netfence_forget(s->name);
	if (s->n_held > 0 && hold_release_dead(s, &err) < 0)
		maps_stuck(s, &err);
	s->phase = KEEPER_IDLE;
	return true;
}

/* Forks the keeper, away from the agent's session and descriptors. */
static int make_keeper(const struct keeper_config *c,
	const struct sockaddr_un *name, socklen_t name_n, struct error *err)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ready[2], status;
	char byte;
	pid_t pid;

	if (fd < 0 || bind(fd, (const void *)name, name_n) < 0)
		return error_set(err, -errno, "make the keeper's socket");
	if (pipe2(ready, O_CLOEXEC) < 0)
		return error_set(err, -errno, "start the keeper");
	pid = fork();
	if (pid < 0) {
		(void)close(ready[0]);
		(void)close(ready[1]);
		return error_set(err, -errno, "start the keeper");
	}
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		/* Twice, so that it is nobody's child. */
		if (setsid() < 0 || fork() != 0)
			_exit(0);
		(void)prctl(PR_SET_NAME, "rehost-keeper");
		(void)chdir("/");
		for (int i = 0; i < 3; i++)
			(void)dup2(null, i);
		/* Not close_range(2): Linux 5.9 is newer than some sources. */
		for (int i = 3; i < 1024; i++)
			if (i != fd && i != ready[1])
				(void)close(i);
		(void)signal(SIGHUP, SIG_IGN);
		(void)signal(SIGPIPE, SIG_IGN);
		byte = (char)keeper_main(c, fd, ready[1]);
		/* Nobody reads it once the keeper was ready. */
		_exit(byte && io_write_all(ready[1], &byte, 1) < 0);
	}
	(void)waitpid(pid, &status, 0);
	(void)close(ready[1]);
	if (io_read_all(ready[0], &byte, 1) < 0)
		byte = ECHILD;
	(void)close(ready[0]);
	return byte ? error_set(err, -byte, "start the keeper") : 0;
}

/* Who listens on a connected socket; 0 when nobody does whom to trust. */
static pid_t trusted_peer(int fd)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0 ||
		cred.uid != geteuid())
		return 0;
	return cred.pid;
}

/* -ECONNRESET: whoever had the name was about to end. */
static int attach_once(const struct keeper_config *c, bool make,
	struct keeper_link *ret, struct error *err)
{
	struct keeper_link l = {.fd = -1, .maps.fd = -1};
	CLEANUP_CLOSE int fd = -1;
	struct timeval tv = {.tv_sec = 20};
	struct sockaddr_un name;
	socklen_t name_n = socket_name(c->key, &name);
	int r;

	memcpy(l.key, c->key, sizeof(l.key));
	keeper_instance_name(c->key, l.instance);
	for (int i = 0; i < 2; i++) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return error_set(err, -errno, "reach the keeper");
		if (connect(fd, (const void *)&name, name_n) == 0)
			break;
		(void)close(STEAL_FD(fd));
		if (i > 0 || !make) {
			/* What a killed one may have left. */
			(void)tracker_sweep(l.instance);
			error_set(err, -ENOENT, "reach the keeper");
			return error_why(err, "there is none for this move");
		}
		r = make_keeper(c, &name, name_n, err);
		if (r < 0)
			return r;
		l.fresh = true;
	}
	l.pid = trusted_peer(fd);
	if (l.pid == 0) {
		error_set(err, -EPERM, "trust the keeper");
		return error_why(err, "its socket belongs to another user");
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	r = io_write_all(fd, c->key, KEY_SIZE);
	if (r == 0)
		r = maps_receive(fd, &l.maps);
	if (r == 0)
		r = channel_new(fd, fd, FROM_KEEPER, &l.channel);
	if (r < 0) {
		maps_close(&l.maps);
		if (r == -EPIPE)
			r = -ECONNRESET;
		error_set(err, r, "attach to the keeper");
		if (r == -EPROTO) {
			error_why(
				err, "it was made by another build of rehost");
			error_todo(err, "resume with that build, or abort");
		}
		return r;
	}
	l.fd = STEAL_FD(fd);
	*ret = l;
	return 0;
}

int keeper_attach(const struct keeper_config *c, bool make,
	struct keeper_link *ret, struct error *err)
{
	uint64_t until = clock_ms() + END_MS;
	int r;

	while ((r = attach_once(c, make, ret, err)) == -ECONNRESET &&
		clock_ms() < until)
		clock_sleep_ms(RETRY_MS);
	return r;
}

/* Whether somebody else than the process pid listens there. */
static bool is_others(
	const struct sockaddr_un *name, socklen_t name_n, pid_t pid)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t peer = 0;

	if (fd >= 0 && connect(fd, (const void *)name, name_n) == 0)
		peer = trusted_peer(fd);
	return peer > 0 && peer != pid;
}

int keeper_stand_in(const struct keeper_link *l)
{
	CLEANUP_CLOSE int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	uint64_t until = clock_ms() + END_MS;
	struct sockaddr_un name;
	socklen_t name_n = socket_name(l->key, &name);

	if (fd < 0)
		return -errno;
	/* A process that ends may close its other sockets first. */
	while (bind(fd, (const void *)&name, name_n) < 0) {
		if (errno != EADDRINUSE)
			return -errno;
		if (is_others(&name, name_n, l->pid))
			return -EADDRINUSE;
		if (clock_ms() >= until)
			return -EBUSY;
		clock_sleep_ms(1);
	}
	if (listen(fd, 1) < 0)
		return -errno;
	return STEAL_FD(fd);
}

bool keeper_replaced(int stand_in)
{
	CLEANUP_CLOSE int fd = accept4(stand_in, NULL, NULL, SOCK_CLOEXEC);

	return fd >= 0 && trusted_peer(fd) > 0;
}

void keeper_detach(struct keeper_link *l)
{
	channel_free(l->channel);
	l->channel = NULL;
	maps_close(&l->maps);
	if (l->fd >= 0)
		(void)close(STEAL_FD(l->fd));
}
