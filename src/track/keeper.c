/* SPDX-License-Identifier: Apache-2.0 */
#include "track/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hook.h"
#include "base/io.h"
#include "track/blocks.h"
#include "track/keeper_state.h"

#define ANSWER_MS 300 /* for an answer to get away */
#define HUSH_MS 50

/* ---- giving the source back ---- */

static void send_msg(struct keeper *k, uint32_t type, uint32_t id, void *msg)
{
	if (k->channel && channel_send(k->channel, type, id, msg) == 0)
		(void)channel_flush(k->channel, false);
}

static void send_ok(struct keeper *k, uint32_t id)
{
	send_msg(k, MSG_OK, id, NULL);
}

static void send_error(struct keeper *k, uint32_t id, const struct error *err)
{
	struct msg_error m;

	message_from_error(err, &m);
	send_msg(k, MSG_ERROR, id, &m);
}

/* Runs the given hooks from the event loop; id is answered at the end. */
static void run_hooks(struct keeper *k, const struct msg_hook *v, uint32_t n,
	const char *phase_name, bool stop, uint32_t id)
{
	struct hook_env env = {k->arm->name, phase_name, k->arm->device};

	for (uint32_t i = 0; i < n; i++)
		k->commands[i] = v[i].command;
	hook_begin(
		&k->hook, k->commands, n, &env, k->arm->hook_timeout_ms, stop);
	k->answer_to = id;
}

static void answer_hooks(struct keeper *k, struct msg_hooks_result *m)
{
	uint32_t id = k->answer_to;

	k->answer_to = 0;
	if (id)
		send_msg(k, MSG_HOOKS_RESULT, id, m);
}

/* Gives the source back: what may hang or take time comes last. Writers may
 * wait for the network, and a thaw for writers. */
static void roll_back(struct keeper *k, bool hooks, uint32_t id)
{
	struct maps_shared *s = k->maps.shared;
	struct msg_hooks_result killed = {0};
	struct error err;

	hook_kill(&k->hook, "the move was rolled back");
	/* Whoever waits for them, as ARM does, waits no longer. */
	s->hook_group = 0;
	message_from_hooks(&k->hook, &killed);
	answer_hooks(k, &killed);
	if (s->phase == KEEPER_FENCING && s->n_saved > 0 &&
		blocks_write(s, s->saved, s->n_saved, false, &err) < 0)
		maps_stuck(s, &err);
	s->n_saved = 0;
	keeper_open_network(k);
	keeper_phase(k, KEEPER_RELEASING);
	(void)keeper_let_go(k, &err);
	k->armed = false;
	run_hooks(k, k->arm->rollback, hooks ? k->arm->n_rollback : 0,
		"rollback", false, id);
}

static void roll_back_alone(struct keeper *k, const char *why)
{
	k->state.rollbacks++;
	(void)snprintf(k->state.reason, sizeof(k->state.reason), "%s", why);
	roll_back(k, true, 0);
}

static bool may_roll_back(const struct keeper *k)
{
	uint32_t p = k->maps.shared->phase;

	return k->armed && p != KEEPER_COMMITTED && p != KEEPER_RELEASING;
}

static void hooks_done(struct keeper *k)
{
	struct maps_shared *s = k->maps.shared;
	struct msg_hooks_result quiesced = {0};

	if (s->phase == KEEPER_QUIESCING) {
		message_from_hooks(&k->hook, &quiesced);
		keeper_phase(k, KEEPER_QUIESCED);
		answer_hooks(k, &quiesced);
		return;
	}
	message_from_hooks(&k->hook, &s->rollback);
	keeper_phase(k, KEEPER_IDLE);
	answer_hooks(k, &s->rollback);
	if (k->told_to_end || k->end_id) {
		if (k->end_id)
			send_ok(k, k->end_id);
		k->ending = true;
	}
}

/* ---- requests ---- */

/* The machine lives on elsewhere: this one ends as it is held, and nothing of
 * it runs again. */
static void power_off(struct keeper *k, uint32_t id)
{
	send_ok(k, id);
	(void)channel_flush(k->channel, true);
	clock_sleep_ms(ANSWER_MS);
	(void)reboot(RB_POWER_OFF);
	/* It cannot; then it stays held. */
}

static union {
	struct msg_settle settle;
	struct msg_arm arm;
	struct msg_renew renew;
	struct msg_commit commit;
	struct msg_release release;
	struct msg_unfence unfence;
	struct msg_end end;
	struct msg_peers peers;
} in;

static void on_arm(struct keeper *k, uint32_t id, struct error *err)
{
	if (k->maps.shared->phase != KEEPER_IDLE) {
		error_set(err, -EBUSY, "start the cutover");
		error_why(err, "the source is not free (keeper phase %u)",
			k->maps.shared->phase);
		send_error(k, id, err);
		return;
	}
	/* How an earlier one went back is no answer about this one. */
	memset(&k->maps.shared->rollback, 0, sizeof(struct msg_hooks_result));
	if (in.arm.network &&
		keeper_prepare_network(k, &in.arm.peers, err) < 0) {
		keeper_open_network(k);
		send_error(k, id, err);
		return;
	}
	*k->arm = in.arm;
	k->armed = true;
	k->lease = clock_ms() + k->arm->lease_ms;
	k->state.reason[0] = '\0';
	keeper_phase(k, KEEPER_QUIESCING);
	run_hooks(k, k->arm->quiesce, k->arm->n_quiesce, "quiesce", true, id);
}

static void on_state(struct keeper *k, uint32_t id)
{
	struct msg_keeper_state *m = &k->state;

	m->present = 1;
	m->phase = k->maps.shared->phase;
	m->hold = (uint8_t)k->maps.shared->hold;
	m->fence = (uint8_t)k->maps.shared->fence;
	m->network[0] = '\0';
	if (k->net)
		(void)netfence_text(k->net, m->network, sizeof(m->network));
	send_msg(k, MSG_KEEPER_STATE, id, m);
}

static void on_unfence(struct keeper *k, uint32_t id, struct error *err)
{
	uint32_t p = k->maps.shared->phase;
	struct msg_arm *arm = k->arm;
	int r;

	/* It is on its way back: say how that goes. */
	if (p == KEEPER_RELEASING) {
		k->answer_to = id;
		return;
	}
	if (p != KEEPER_COMMITTED && p != KEEPER_IDLE) {
		error_set(err, -EBUSY, "remove the fence");
		send_error(k, id, err);
		return;
	}
	r = keeper_unfence(k, &in.unfence, err);
	if (r < 0) {
		send_error(k, id, err);
		return;
	}
	memset(arm, 0, sizeof(*arm));
	(void)snprintf(arm->name, sizeof(arm->name), "%s", in.unfence.name);
	(void)snprintf(
		arm->device, sizeof(arm->device), "%s", in.unfence.device);
	arm->hook_timeout_ms = in.unfence.hook_timeout_ms;
	arm->n_rollback = in.unfence.rollback ? in.unfence.n_rollback : 0;
	memcpy(arm->rollback, in.unfence.rollback_hooks, sizeof(arm->rollback));
	/* From here on it is free, also without this process. */
	keeper_phase(k, KEEPER_RELEASING);
	run_hooks(k, arm->rollback, arm->n_rollback, "rollback", false, id);
}

static void request(struct keeper *k, const struct frame *f)
{
	struct msg_held held = {0};
	struct error err = {0};
	int r = 0;

	if (message_def(f->type)->shape->size && frame_decode(f, &in) < 0) {
		error_set(&err, -EPROTO, "understand a request");
		send_error(k, f->id, &err);
		return;
	}
	switch (f->type) {
	case MSG_SETTLE:
		r = keeper_settle(
			k, in.settle.live, in.settle.timeout_ms, &err);
		break;
	case MSG_RETRACK:
		r = keeper_retrack(k, &err);
		break;
	case MSG_HUSH:
		r = keeper_prepare_hush(k, &in.peers, &err);
		if (r < 0)
			break;
		/* Who asks may be among those who hear nothing more. */
		send_ok(k, f->id);
		(void)channel_flush(k->channel, true);
		clock_sleep_ms(HUSH_MS);
		if (keeper_hush(k, &err) < 0)
			(void)snprintf(k->state.reason, sizeof(k->state.reason),
				"%s", err.what);
		return;
	case MSG_ARM:
		on_arm(k, f->id, &err);
		return;
	case MSG_RENEW:
		if (k->armed)
			k->lease = clock_ms() + in.renew.lease_ms;
		break;
	case MSG_HOLD:
		r = keeper_take_hold(k, &held, &err);
		if (r == 0) {
			send_msg(k, MSG_HELD, f->id, &held);
			return;
		}
		break;
	case MSG_COMMIT:
		r = keeper_commit(k, &in.commit, &err);
		break;
	case MSG_RELEASE:
		if (may_roll_back(k)) {
			roll_back(k, in.release.rollback, f->id);
			return;
		}
		if (k->maps.shared->phase == KEEPER_COMMITTED) {
			r = error_set(&err, -EBUSY, "give the source back");
			error_why(&err, "the move is committed");
			break;
		}
		/* It went back by itself: say how that went. */
		if (k->maps.shared->phase == KEEPER_RELEASING) {
			k->answer_to = f->id;
			return;
		}
		send_msg(k, MSG_HOOKS_RESULT, f->id, &k->maps.shared->rollback);
		return;
	case MSG_KEEPER:
		on_state(k, f->id);
		return;
	case MSG_UNFENCE:
		on_unfence(k, f->id, &err);
		return;
	case MSG_END:
		/* Rollback hooks are not left half-way. */
		if (!k->hook.done) {
			k->end_id = f->id;
			return;
		}
		/* A fence ends knowingly or not at all. */
		if (k->maps.shared->phase == KEEPER_COMMITTED &&
			!in.end.confirm) {
			r = error_set(&err, -EBUSY, "end the keeper");
			error_why(&err, "the move is committed");
			break;
		}
		if (in.end.poweroff && in.end.confirm &&
			k->maps.shared->phase == KEEPER_COMMITTED) {
			power_off(k, f->id);
			return;
		}
		keeper_open_network(k);
		r = keeper_let_go(k, &err);
		k->ending = r == 0;
		break;
	default:
		r = error_set(&err, -EPROTO, "serve a request");
	}
	if (r < 0)
		send_error(k, f->id, &err);
	else
		send_ok(k, f->id);
}

/* ---- connections ---- */

static bool gives_back(const struct keeper *k)
{
#ifdef BREAK_THAW_AFTER_COMMIT
	return true;
#endif
	return may_roll_back(k);
}

static void drop_conn(struct keeper *k, const char *why)
{
	channel_free(k->channel);
	k->channel = NULL;
	if (k->conn >= 0)
		(void)close(STEAL_FD(k->conn));
	k->alone_since = clock_ms();
	/* Nobody else waits for these answers, or wants the end. */
	k->answer_to = 0;
	k->end_id = 0;
	/* What it had read and not confirmed has to be sent again. */
	bitmap_move(&k->maps.dirty, &k->maps.inflight);
	if (gives_back(k))
		roll_back_alone(k, why);
}

/* Until the peer is gone, or for a second: until then it may go on taking
 * granules into flight. */
static void await_end(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t until = clock_ms() + 1000;
	char buf[4096];

	while (clock_ms() < until) {
		ssize_t n;

		if (poll(&p, 1, 50) <= 0)
			continue;
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return;
	}
}

/* Lets an agent in that is root and knows the key. A newer one replaces an
 * older one, whose controller may be long gone behind a cut connection. */
static void accept_agent(struct keeper *k)
{
	CLEANUP_CLOSE int fd = accept4(k->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct timeval tv = {.tv_sec = 2};
	uint8_t key[KEY_SIZE];
	struct ucred cred;
	socklen_t n = sizeof(cred);

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0 ||
		cred.uid != geteuid())
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (io_read_all(fd, key, sizeof(key)) < 0 ||
		CRYPTO_memcmp(key, k->config.key, sizeof(key)) != 0)
		return;
	if (k->conn >= 0) {
		struct msg_log m = {"another agent took over"};

		/* It must not take this for the keeper's death. */
		send_msg(k, MSG_LOG, 0, &m);
		await_end(k->conn);
		drop_conn(k, m.text);
	}
	if (maps_send(&k->maps, fd) < 0 ||
		channel_new(fd, fd, FROM_CONTROLLER, &k->channel) < 0)
		return;
	k->conn = STEAL_FD(fd);
}

static void serve_conn(struct keeper *k)
{
	struct frame f;
	int r = channel_read(k->channel), n;

	while ((n = channel_next(k->channel, &f)) > 0)
		request(k, &f);
	if (r == 0 && n == 0)
		r = channel_flush(k->channel, false);
	if (r < 0 || n < 0)
		drop_conn(k, "the connection to the controller was lost");
}

static void check_time(struct keeper *k)
{
	uint64_t now = clock_ms();

	if (may_roll_back(k) && now >= k->lease)
		roll_back_alone(k, "the lease was not renewed in time");
	if (k->conn < 0 && k->maps.shared->phase == KEEPER_IDLE &&
		now - k->alone_since >= k->config.linger_ms)
		k->ending = true;
}

static volatile sig_atomic_t terminated;

static void on_sigterm(int number)
{
	terminated = number;
}

/* SIGTERM, as at a shutdown: the source is given back first, and what is
 * committed stays fenced for as long as it lasts. */
static void end_by_signal(struct keeper *k)
{
	terminated = 0;
	if (k->maps.shared->phase == KEEPER_COMMITTED)
		return;
	if (may_roll_back(k))
		roll_back_alone(k, "the keeper was told to end");
	k->told_to_end = !k->hook.done;
	k->ending = k->hook.done;
}

static bool step_hook(struct keeper *k)
{
	bool done = hook_step(&k->hook);

	k->maps.shared->hook_group = k->hook.pid;
	return done;
}

static void loop(struct keeper *k)
{
	while (!k->ending) {
		struct error ignored;
		struct pollfd p[4] = {
			{.fd = k->listen_fd, .events = POLLIN},
			{.fd = k->conn, .events = POLLIN},
			{.fd = k->hook.done ? -1 : k->hook.out,
				.events = POLLIN},
			{.fd = k->net ? netfence_fd(k->net) : -1,
				.events = POLLIN},
		};
		bool running = !k->hook.done;

		if (k->channel && channel_queued(k->channel) > 0)
			p[1].events |= POLLOUT;
		(void)poll(p, 4, running ? 5 : 200);
		/* An interface that appears is fenced as the others are. */
		if (k->net && p[3].revents)
			(void)netfence_refresh(k->net, &ignored);
		if (terminated)
			end_by_signal(k);
		if (running && step_hook(k))
			hooks_done(k);
		if (p[0].revents)
			accept_agent(k);
		if (k->conn >= 0 && p[1].revents && p[1].fd == k->conn)
			serve_conn(k);
		/* An empty list of hooks is over as soon as it begins. */
		if (k->hook.done &&
			(k->maps.shared->phase == KEEPER_QUIESCING ||
				k->maps.shared->phase == KEEPER_RELEASING))
			hooks_done(k);
		check_time(k);
	}
	if (k->channel)
		(void)channel_flush(k->channel, true);
}

int keeper_main(const struct keeper_config *c, int listen_fd, int ready)
{
	static struct keeper k;
	struct error err;
	pthread_t thread;
	int r;

	k.config = *c;
	k.listen_fd = listen_fd;
	k.conn = -1;
	hold_init(&k.hold);
	k.hook.done = true;
	k.hook.out = -1;
	k.alone_since = clock_ms();
	(void)pthread_mutex_init(&k.tracker_lock, NULL);
	(void)pthread_mutex_init(&k.hold_lock, NULL);
	r = maps_create(c->disks[c->n - 1].start + c->disks[c->n - 1].size,
		c->granule, &k.maps);
	if (r < 0)
		return -r;
	io_random(&k.maps.shared->id, sizeof(k.maps.shared->id));
	k.maps.shared->id >>= 1;
	k.arm = &k.maps.shared->arm;
	memcpy(k.maps.shared->name, c->name, sizeof(c->name));
	k.maps.shared->n_disks = c->n;
	memcpy(k.maps.shared->disks, c->disks, sizeof(c->disks));
	keeper_track(&k);
	(void)signal(SIGTERM, on_sigterm);
	/* Here and not before the fork: SO_PEERCRED tells who listened. */
	if (listen(listen_fd, 4) < 0)
		return errno;
	/* It must work while everything around it stands still. */
	(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	if (io_write_file(AT_FDCWD, "/proc/self/oom_score_adj", "-1000") < 0)
		errno = 0; /* an advantage, no need */
	r = pthread_create(&thread, NULL, keeper_collect, &k);
	if (r > 0)
		return r;
	if (io_write_all(ready, "", 1) < 0)
		return EPIPE;
	(void)close(ready);
	loop(&k);
	(void)pthread_join(thread, NULL);
	keeper_open_network(&k);
	(void)keeper_let_go(&k, &err);
	tracker_stop(k.tracker);
	maps_close(&k.maps);
	return 0;
}
