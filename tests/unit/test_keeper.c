/* SPDX-License-Identifier: Apache-2.0 */
/* A keeper on a loop device with a filesystem; the test is its agent. */
#include "device.h"
#include "own_cgroup.h"

#include <linux/fs.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <openssl/sha.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/parse.h"
#include "track/blocks.h"
#include "track/bpf.h"
#include "track/keeper.h"
#include "volume/probe.h"

#define MIB (1ULL << 20)
#define WAIT_MS 30000

static char folder[] = "/tmp/rehost-keeper-XXXXXX";
static char mount_point[256], hook_log[256];
static bool is_root, tracefs;

/* One volume and the agent's side of its keeper. */
static struct {
	struct device device;
	bool mounted;
	struct keeper_config config;
	struct keeper_link link;
	uint32_t id;
} t;

/* No filesystem here refuses a thaw, or freezes slowly: the keeper, which is a
 * fork of this test, calls this one instead of the library's. */
static bool thaw_fails;
static unsigned freeze_ms;

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	long arg;

	va_start(ap, request);
	arg = va_arg(ap, long);
	va_end(ap);
	if (request == FITHAW && thaw_fails) {
		/* Only what is frozen fails. */
		if (syscall(SYS_ioctl, fd, FIFREEZE, 0) == 0 &&
			syscall(SYS_ioctl, fd, FITHAW, 0) == 0)
			errno = EINVAL;
		else
			errno = EIO;
		return -1;
	}
	if (request == FIFREEZE)
		clock_sleep_ms(freeze_ms);
	return (int)syscall(SYS_ioctl, fd, request, arg);
}

/* ---- talking ---- */

/* The next frame; false when the keeper closed the connection. */
static bool next_frame(struct keeper_link *l, struct frame *f)
{
	for (;;) {
		struct pollfd p = {.fd = l->fd, .events = POLLIN};
		int n = channel_next(l->channel, f);

		assert_true(n >= 0);
		if (n > 0)
			return true;
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		if (channel_read(l->channel) < 0)
			return false;
	}
}

/* Sends a request and takes its answer; returns the error's code, or 0. */
static int ask(uint32_t type, const void *msg, void *answer)
{
	static struct msg_error m;
	struct frame f;
	uint32_t id = ++t.id;

	assert_int_equal(channel_send(t.link.channel, type, id, msg), 0);
	assert_int_equal(channel_flush(t.link.channel, true), 0);
	do
		assert_true(next_frame(&t.link, &f));
	while (f.id != id);
	if (f.type == MSG_ERROR) {
		assert_int_equal(frame_decode(&f, &m), 0);
		assert_true(m.code > 0 && m.what[0] && m.why[0]);
		return -(int)m.code;
	}
	assert_int_equal(f.type, message_def(type)->answer);
	if (answer)
		assert_int_equal(frame_decode(&f, answer), 0);
	return 0;
}

static void attach(bool make)
{
	struct error err = {0};
	char text[2300];
	int r = keeper_attach(&t.config, make, &t.link, &err);

	if (r < 0)
		print_error("%s\n", error_text(&err, text, sizeof(text)));
	assert_int_equal(r, 0);
	assert_int_equal(t.link.fresh, make);
}

static const struct msg_keeper_state *keeper_state(void)
{
	static struct msg_keeper_state m;

	assert_int_equal(ask(MSG_KEEPER, NULL, &m), 0);
	assert_int_equal(m.present, 1);
	return &m;
}

static void wait_phase(uint32_t phase)
{
	for (uint64_t end = clock_ms() + WAIT_MS; clock_ms() < end;) {
		if (keeper_state()->phase == phase)
			return;
		clock_sleep_ms(10);
	}
	fail_msg("the keeper is in phase %u, not %u", keeper_state()->phase,
		phase);
}

static void wait_gone(pid_t pid)
{
	for (uint64_t end = clock_ms() + WAIT_MS; clock_ms() < end;) {
		/* It is nobody's child, so it is ours: see setup. */
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return;
		clock_sleep_ms(10);
	}
	fail_msg("the keeper is still there");
}

/* ---- a cutover's steps ---- */

static int arm_with(uint32_t lease_ms, const char *quiesce,
	const char *rollback, struct msg_hooks_result *result)
{
	static struct msg_arm m;

	memset(&m, 0, sizeof(m));
	m.lease_ms = lease_ms;
	m.hook_timeout_ms = WAIT_MS;
	strcpy(m.name, "one");
	strcpy(m.device, t.device.path);
	m.n_quiesce = quiesce != NULL;
	(void)snprintf(m.quiesce[0].command, sizeof(m.quiesce[0].command), "%s",
		quiesce ? quiesce : "");
	m.n_rollback = rollback != NULL;
	(void)snprintf(m.rollback[0].command, sizeof(m.rollback[0].command),
		"%s", rollback ? rollback : "");
	return ask(MSG_ARM, &m, result);
}

static int arm_network(uint32_t port)
{
	static struct msg_hooks_result result;
	static struct msg_arm m;

	memset(&m, 0, sizeof(m));
	m.lease_ms = m.hook_timeout_ms = 60000;
	strcpy(m.name, "one");
	m.network = 1;
	m.peers.n = 1;
	strcpy(m.peers.v[0].text, "127.0.0.1");
	m.peers.v[0].port = port;
	return ask(MSG_ARM, &m, &result);
}

/* The lease ends, and the hook begins. */
static void begin_rollback(const char *hook)
{
	static struct msg_hooks_result result;

	assert_int_equal(arm_with(300, NULL, hook, &result), 0);
	wait_phase(KEEPER_RELEASING);
}

/* With a rollback hook that leaves a trace. */
static void arm(uint32_t lease_ms)
{
	static struct msg_hooks_result result;
	char command[600];

	(void)unlink(hook_log);
	(void)snprintf(command, sizeof(command),
		"echo $REHOST_NAME $REHOST_PHASE $REHOST_DEVICE >>'%s'",
		hook_log);
	assert_int_equal(arm_with(lease_ms, command, command, &result), 0);
	assert_int_equal(result.failed, 0);
	assert_int_equal(keeper_state()->phase, KEEPER_QUIESCED);
}

static void hold(uint8_t kind)
{
	static struct msg_held m;

	assert_int_equal(ask(MSG_HOLD, NULL, &m), 0);
	assert_int_equal(m.kind, kind);
	assert_int_equal(m.n_mounts, kind == HOLD_FROZEN);
	if (kind == HOLD_FROZEN)
		assert_string_equal(m.mounts[0].point, mount_point);
	assert_int_equal(keeper_state()->phase, KEEPER_HELD);
	assert_int_equal(keeper_state()->hold, kind);
}

static int commit(uint8_t fence, uint32_t n)
{
	static struct msg_commit m;

	memset(&m, 0, sizeof(m));
	m.fence = fence;
	m.n = n;
	for (uint32_t i = 0; i < n; i++)
		m.v[i] = (struct msg_extent){i * 8192, 4096};
	return ask(MSG_COMMIT, &m, NULL);
}

static int release(bool rollback, struct msg_hooks_result *result)
{
	struct msg_release m = {.rollback = rollback};

	return ask(MSG_RELEASE, &m, result);
}

static int unfence(const struct msg_block *v, uint32_t n)
{
	static struct msg_unfence m;
	static struct msg_hooks_result result;
	int r;

	memset(&m, 0, sizeof(m));
	m.hook_timeout_ms = WAIT_MS;
	m.n = n;
	if (n > 0)
		memcpy(m.v, v, n * sizeof(*v));
	r = ask(MSG_UNFENCE, &m, &result);
	if (r == 0)
		wait_phase(KEEPER_IDLE);
	return r;
}

static bool is_frozen(void)
{
	int fd = open(mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	assert_true(fd >= 0);
	r = ioctl(fd, FIFREEZE, 0);
	if (r < 0)
		assert_int_equal(errno, EBUSY);
	else
		assert_int_equal(ioctl(fd, FITHAW, 0), 0);
	(void)close(fd);
	return r < 0;
}

static void thaw(void)
{
	assert_int_equal(run("fsfreeze -u '%s'", mount_point), 0);
}

/* What the hooks wrote: "quiesce" and "rollback", as often as each ran. */
static void assert_hooks(const char *phases)
{
	char buf[4096] = "", want[4096] = "", word[32];
	int n;

	if (io_read_file(AT_FDCWD, hook_log, buf, sizeof(buf)) < 0)
		buf[0] = '\0';
	for (; sscanf(phases, "%31s%n", word, &n) == 1; phases += n)
		(void)snprintf(want + strlen(want), sizeof(want) - strlen(want),
			"%sone %s %s", want[0] ? "\n" : "", word,
			t.device.path);
	assert_string_equal(buf, want);
}

/* ---- around each test ---- */

/* One volume: the device. */
static void take_device(void)
{
	static struct volume_facts f;
	struct maps_disk *d = &t.config.disks[0];
	struct error err = {0};

	assert_int_equal(probe_volume(t.device.path, &f, &err), 0);
	memcpy(d->path, f.path, sizeof(d->path));
	d->kind = f.kind;
	d->major = f.major;
	d->minor = f.minor;
	d->size = f.size;
	t.config.n = 1;
}

static int begin(bool filesystem, bool mounted)
{
	int fd;

	if (!is_root)
		return 0;
	memset(&t, 0, sizeof(t));
	t.link.fd = -1;
	device_make(&t.device, folder, "disk", 32 * MIB, 0);
	/* Whoever has it open for writing keeps it from being held. */
	fd = open(t.device.path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	(void)close(t.device.fd);
	t.device.fd = fd;
	if (filesystem)
		assert_int_equal(
			run("mkfs.ext4 -q -F -E nodiscard %s", t.device.path),
			0);
	if (mounted)
		assert_int_equal(
			mount(t.device.path, mount_point, "ext4", 0, NULL), 0);
	t.mounted = mounted;
	io_random(t.config.key, sizeof(t.config.key));
	strcpy(t.config.name, "one");
	t.config.linger_ms = 60000;
	t.config.granule = 4096;
	t.config.filesystem = filesystem;
	take_device();
	return 0;
}

static int setup_mounted(void **state)
{
	return begin(true, true);
}

static int setup_unmounted(void **state)
{
	return begin(true, false);
}

static int end(void **state)
{
	pid_t pid = t.link.pid;

	if (!is_root)
		return 0;
	if (t.link.channel) {
		(void)ask(MSG_END, &(struct msg_end){.confirm = 1}, NULL);
		keeper_detach(&t.link);
		wait_gone(pid);
	}
	if (t.mounted)
		assert_int_equal(umount2(mount_point, 0), 0);
	device_remove(&t.device);
	return 0;
}

#define NEEDS_ROOT                                                             \
	do {                                                                   \
		if (!is_root)                                                  \
			skip();                                                \
	} while (0)

/* ---- tests ---- */

static void test_hold_and_release(void **state)
{
	static struct msg_hooks_result result;
	struct error err;

	NEEDS_ROOT;
	assert_int_equal(
		keeper_attach(&t.config, false, &t.link, &err), -ENOENT);
	attach(true);
	assert_int_equal(t.link.maps.shared->size, t.device.size);
	assert_int_equal(keeper_state()->phase, KEEPER_IDLE);
	assert_int_equal(t.link.maps.shared->tracking, 0);
	assert_true(t.link.maps.shared->reason[0]);
	for (int i = 0; i < 3; i++) {
		arm(60000);
		assert_hooks("quiesce");
		assert_false(is_frozen());
		hold(HOLD_FROZEN);
		assert_true(is_frozen());
		assert_int_equal(t.link.maps.shared->n_held, 1);
		assert_string_equal(
			t.link.maps.shared->held[0].point, mount_point);
		assert_int_equal(release(i != 1, &result), 0);
		assert_int_equal(result.failed, 0);
		assert_false(is_frozen());
		assert_hooks(i != 1 ? "quiesce rollback" : "quiesce");
		assert_int_equal(keeper_state()->phase, KEEPER_IDLE);
		assert_int_equal(keeper_state()->hold, HOLD_NONE);
		assert_int_equal(keeper_state()->rollbacks, 0);
	}
	/* Before the freeze as well. */
	arm(60000);
	assert_int_equal(release(true, &result), 0);
	assert_hooks("quiesce rollback");
	/* And with nothing to release it says so again. */
	assert_int_equal(release(true, &result), 0);
	assert_hooks("quiesce rollback");
}

/* What is not asked for in its turn is refused, and harms nothing. */
static void test_turns(void **state)
{
	static struct msg_path path = {"/dev/null"};
	struct msg_settle settle = {0, 100};
	struct frame f;

	NEEDS_ROOT;
	attach(true);
	assert_int_equal(ask(MSG_HOLD, NULL, NULL), -EBUSY);
	assert_int_equal(commit(FENCE_FREEZE, 0), -EBUSY);
	assert_int_equal(ask(MSG_SETTLE, &settle, NULL), -ENODATA);
	arm(60000);
	assert_int_equal(arm_with(60000, NULL, NULL, NULL), -EBUSY);
	assert_int_equal(commit(FENCE_FREEZE, 0), -EBUSY);
	assert_int_equal(unfence(NULL, 0), -EBUSY);
	/* Of another's, cut short, too long. */
	assert_int_equal(ask(MSG_PROBE, &path, NULL), -EPROTO);
	assert_int_equal(channel_send_raw(t.link.channel, MSG_RENEW, 77,
				 "\0\0\0", 3, NULL, 0),
		0);
	assert_int_equal(channel_flush(t.link.channel, true), 0);
	assert_true(next_frame(&t.link, &f));
	assert_int_equal(f.id, 77);
	assert_int_equal(f.type, MSG_ERROR);
	assert_int_equal(keeper_state()->phase, KEEPER_QUIESCED);
	/* What is no message ends the connection, and the cutover with it. */
	assert_int_equal(
		channel_send_raw(t.link.channel, 99, 78, "", 1, "", 0), 0);
	assert_int_equal(channel_flush(t.link.channel, true), 0);
	assert_false(next_frame(&t.link, &f));
	keeper_detach(&t.link);
	attach(false);
	wait_phase(KEEPER_IDLE);
	assert_int_equal(keeper_state()->rollbacks, 1);
	assert_hooks("quiesce rollback");
}

/* Promise 2: whoever died, the source comes back by itself. */
static void test_lease(void **state)
{
	static struct msg_hooks_result result;
	struct msg_renew renew = {60000};

	NEEDS_ROOT;
	attach(true);
	arm(1500);
	hold(HOLD_FROZEN);
	assert_int_equal(ask(MSG_RENEW, &renew, NULL), 0);
	clock_sleep_ms(2000);
	assert_true(is_frozen());
	assert_int_equal(keeper_state()->phase, KEEPER_HELD);
	renew.lease_ms = 100;
	assert_int_equal(ask(MSG_RENEW, &renew, NULL), 0);
	wait_phase(KEEPER_IDLE);
	assert_false(is_frozen());
	assert_hooks("quiesce rollback");
	assert_int_equal(keeper_state()->rollbacks, 1);
	assert_non_null(strstr(keeper_state()->reason, "lease"));
	/* Too late for all that follows. */
	assert_int_equal(commit(FENCE_FREEZE, 0), -EBUSY);
	assert_int_equal(ask(MSG_HOLD, NULL, NULL), -EBUSY);
	renew.lease_ms = 60000;
	assert_int_equal(ask(MSG_RENEW, &renew, NULL), 0);
	assert_int_equal(commit(FENCE_FREEZE, 0), -EBUSY);
	assert_int_equal(release(true, &result), 0);
	assert_hooks("quiesce rollback");
}

/* A hook that hangs does not outlive the lease. */
static void test_hanging_hook(void **state)
{
	static struct msg_hooks_result result;
	char hang[600], trace[600];

	NEEDS_ROOT;
	attach(true);
	(void)unlink(hook_log);
	(void)snprintf(hang, sizeof(hang), "sleep 1000; echo >>'%s'", hook_log);
	(void)snprintf(trace, sizeof(trace),
		"echo one $REHOST_PHASE $REHOST_DEVICE >>'%s'", hook_log);
	/* And who waits for it is told. */
	assert_int_equal(arm_with(300, hang, trace, &result), 0);
	assert_int_equal(result.failed, 1);
	assert_non_null(strstr(result.why, "rolled back"));
	wait_phase(KEEPER_IDLE);
	assert_int_equal(keeper_state()->rollbacks, 1);
	assert_hooks("rollback");
}

/* One that never stops talking does not keep the keeper from its work. */
static void test_loud_hook(void **state)
{
	static struct msg_hooks_result result;

	NEEDS_ROOT;
	attach(true);
	assert_int_equal(
		arm_with(300, "yes & yes & yes & yes", NULL, &result), 0);
	assert_int_equal(result.failed, 1);
	wait_phase(KEEPER_IDLE);
	assert_int_equal(keeper_state()->rollbacks, 1);
	/* A failing one is told, and what it said. */
	assert_int_equal(arm_with(60000, "echo no; exit 3", NULL, &result), 0);
	assert_int_equal(result.failed, 1);
	assert_non_null(strstr(result.why, "3"));
	assert_string_equal(result.output, "no\n");
	assert_int_equal(release(true, &result), 0);
}

/* Who is told how the source went back is told what stayed frozen, and nothing
 * of an earlier time. */
static void test_stuck(void **state)
{
	static struct msg_hooks_result result;

	NEEDS_ROOT;
	thaw_fails = true;
	attach(true);
	thaw_fails = false;
	arm(60000);
	hold(HOLD_FROZEN);
	assert_int_equal(release(true, &result), 0);
	assert_int_equal(result.failed, 0);
	assert_non_null(strstr(result.stuck, mount_point));
	assert_non_null(strstr(result.stuck, strerror(EIO)));
	assert_true(is_frozen());
	assert_hooks("quiesce rollback");
	/* Whoever asks later, too. */
	memset(&result, 0, sizeof(result));
	assert_int_equal(release(true, &result), 0);
	assert_non_null(strstr(result.stuck, mount_point));
	thaw();
	arm(60000);
	assert_int_equal(release(true, &result), 0);
	assert_string_equal(result.stuck, "");
	/* A cutover that could not begin: the failure was another's. */
	assert_int_equal(arm_with(60000, NULL, "exit 3", &result), 0);
	assert_int_equal(release(true, &result), 0);
	assert_int_equal(result.failed, 1);
	assert_int_equal(arm_network(65536), -EINVAL);
	assert_int_equal(release(true, &result), 0);
	assert_int_equal(result.failed, 0);
}

/* It was held too late, and let go by the thread that watches. */
static void test_late_and_stuck(void **state)
{
	static struct msg_hooks_result result;

	NEEDS_ROOT;
	thaw_fails = true;
	freeze_ms = 1500;
	attach(true);
	thaw_fails = false;
	freeze_ms = 0;
	arm(500);
	assert_int_equal(ask(MSG_HOLD, NULL, NULL), -ETIMEDOUT);
	assert_true(is_frozen());
	assert_int_equal(release(true, &result), 0);
	assert_non_null(strstr(result.stuck, mount_point));
	thaw();
}

/* The end of a fence is none while something stays frozen. */
static void test_end_and_stuck(void **state)
{
	struct msg_end end_it = {.confirm = 1};

	NEEDS_ROOT;
	thaw_fails = true;
	attach(true);
	thaw_fails = false;
	arm(60000);
	hold(HOLD_FROZEN);
	assert_int_equal(commit(FENCE_FREEZE, 0), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(ask(MSG_END, &end_it, NULL), -EIO);
	assert_true(is_frozen());
	assert_int_equal(keeper_state()->phase, KEEPER_COMMITTED);
	thaw();
}

/* A keeper knows nothing of what another one, which is no more, left frozen. */
static void test_left_frozen(void **state)
{
	NEEDS_ROOT;
	attach(true);
	assert_int_equal(run("fsfreeze -f '%s'", mount_point), 0);
	assert_true(is_frozen());
	assert_int_equal(unfence(NULL, 0), 0);
	assert_false(is_frozen());
}

static void test_lost_agent(void **state)
{
	NEEDS_ROOT;
	attach(true);
	arm(60000);
	hold(HOLD_FROZEN);
	bitmap_set(&t.link.maps.inflight, 5, 3);
	keeper_detach(&t.link);
	/* It needs nobody for it. */
	for (uint64_t end_at = clock_ms() + WAIT_MS;
		is_frozen() && clock_ms() < end_at;)
		clock_sleep_ms(10);
	attach(false);
	wait_phase(KEEPER_IDLE);
	assert_false(is_frozen());
	assert_hooks("quiesce rollback");
	assert_int_equal(keeper_state()->rollbacks, 1);
	assert_non_null(strstr(keeper_state()->reason, "connection"));
	/* What nobody confirmed is to be sent again. */
	assert_int_equal(bitmap_count(&t.link.maps.inflight), 0);
	assert_int_equal(bitmap_count(&t.link.maps.dirty), 3);
	assert_true(bitmap_get(&t.link.maps.dirty, 6));
}

/* A newer agent takes the place of an older one. */
static void test_take_over(void **state)
{
	struct keeper_link old;
	struct frame f;

	NEEDS_ROOT;
	attach(true);
	maps_mark(&t.link.maps, 8192, 100);
	old = t.link;
	attach(false);
	assert_int_equal(t.link.pid, old.pid);
	/* It is told why, and then nothing more. */
	assert_true(next_frame(&old, &f));
	assert_int_equal(f.type, MSG_LOG);
	assert_false(next_frame(&old, &f));
	keeper_detach(&old);
	assert_int_equal(bitmap_count(&t.link.maps.dirty), 1);
	assert_int_equal(keeper_state()->rollbacks, 0);
	arm(60000);
	hold(HOLD_FROZEN);
	old = t.link;
	attach(false);
	/* It is told why, and then nothing more. */
	assert_true(next_frame(&old, &f));
	assert_int_equal(f.type, MSG_LOG);
	assert_false(next_frame(&old, &f));
	keeper_detach(&old);
	wait_phase(KEEPER_IDLE);
	assert_false(is_frozen());
	assert_int_equal(keeper_state()->rollbacks, 1);
	assert_non_null(strstr(keeper_state()->reason, "took over"));
}

/* Ends the hook that waits for it. */
static void open_gate(void)
{
	FILE *gate = fopen(hook_log, "we");

	assert_non_null(gate);
	assert_int_equal(fclose(gate), 0);
}

/* The first that comes is the answer, when the hook is done. */
static void expect_slow(uint32_t id, struct msg_hooks_result *ret)
{
	struct frame f;

	assert_true(next_frame(&t.link, &f));
	assert_int_equal(f.id, id);
	assert_int_equal(f.type, MSG_HOOKS_RESULT);
	assert_int_equal(frame_decode(&f, ret), 0);
	assert_string_equal(ret->output, "slow\n");
}

/* What the older one asked for, and wanted, is not the newer one's. */
static void test_take_over_in_rollback(void **state)
{
	static struct msg_hooks_result result;
	struct msg_release release_it = {.rollback = true};
	struct msg_end end_it = {0};
	struct keeper_link old;
	char slow[600];

	NEEDS_ROOT;
	attach(true);
	(void)unlink(hook_log);
	(void)snprintf(slow, sizeof(slow),
		"until [ -e '%s' ]; do sleep 0.02; done; echo slow", hook_log);
	assert_int_equal(arm_with(60000, NULL, slow, &result), 0);
	assert_int_equal(
		channel_send(t.link.channel, MSG_RELEASE, ++t.id, &release_it),
		0);
	assert_int_equal(
		channel_send(t.link.channel, MSG_END, ++t.id, &end_it), 0);
	assert_int_equal(channel_flush(t.link.channel, true), 0);
	old = t.link;
	attach(false);
	keeper_detach(&old);
	assert_int_equal(keeper_state()->phase, KEEPER_RELEASING);
	assert_int_equal(
		channel_send(t.link.channel, MSG_RELEASE, ++t.id, &release_it),
		0);
	assert_int_equal(channel_flush(t.link.channel, true), 0);
	open_gate();
	expect_slow(t.id, &result);
	assert_int_equal(keeper_state()->phase, KEEPER_IDLE);
}

/* A keeper that gives the source back says at the end how that went, also to
 * who took it for a fence; and then it ends, if a signal said so, although who
 * wanted the same is gone. */
static void test_unfence_and_end_in_rollback(void **state)
{
	static struct msg_hooks_result result;
	static struct msg_unfence unfence_it;
	struct msg_end end_it = {0};
	struct keeper_link old;
	uint32_t asked;
	pid_t pid;
	char slow[600];

	NEEDS_ROOT;
	attach(true);
	(void)unlink(hook_log);
	(void)snprintf(slow, sizeof(slow),
		"until [ -e '%s' ]; do sleep 0.02; done; echo slow; exit 3",
		hook_log);
	begin_rollback(slow);
	assert_int_equal(
		channel_send(t.link.channel, MSG_UNFENCE, ++t.id, &unfence_it),
		0);
	assert_int_equal(channel_flush(t.link.channel, true), 0);
	asked = t.id;
	assert_int_equal(keeper_state()->phase, KEEPER_RELEASING);
	open_gate();
	expect_slow(asked, &result);
	assert_int_equal(result.failed, 1);

	(void)unlink(hook_log);
	begin_rollback(slow);
	assert_int_equal(
		channel_send(t.link.channel, MSG_END, ++t.id, &end_it), 0);
	assert_int_equal(channel_flush(t.link.channel, true), 0);
	assert_int_equal(keeper_state()->phase, KEEPER_RELEASING);
	pid = t.link.pid;
	assert_int_equal(kill(pid, SIGTERM), 0);
	old = t.link;
	attach(false);
	keeper_detach(&old);
	assert_int_equal(keeper_state()->phase, KEEPER_RELEASING);
	open_gate();
	wait_gone(pid);
	keeper_detach(&t.link);
}

/* Connects without knowing more than the name; returns what comes back. */
static ssize_t knock(const void *key, size_t n)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct timeval tv = {.tv_sec = WAIT_MS / 1000};
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char hex[33], buf[16];
	ssize_t r;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)SHA256(t.config.key, KEY_SIZE, digest);
	parse_hex(digest, 16, hex);
	(void)snprintf(
		a.sun_path + 1, sizeof(a.sun_path) - 1, "rehost/%s", hex);
	assert_int_equal(
		connect(fd, (void *)&a,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				    strlen(a.sun_path + 1))),
		0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	assert_int_equal(send(fd, key, n, MSG_NOSIGNAL), (ssize_t)n);
	if (n < KEY_SIZE)
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
	r = recv(fd, buf, sizeof(buf), 0);
	(void)close(fd);
	return r;
}

static void test_wrong_key(void **state)
{
	uint8_t key[KEY_SIZE];

	NEEDS_ROOT;
	attach(true);
	arm(60000);
	hold(HOLD_FROZEN);
	memcpy(key, t.config.key, sizeof(key));
	key[KEY_SIZE - 1] ^= 1;
	assert_int_equal(knock(key, sizeof(key)), 0);
	assert_int_equal(knock(t.config.key, KEY_SIZE - 1), 0);
	assert_int_equal(knock(key, 0), 0);
	/* The one that knows it was not disturbed. */
	assert_int_equal(keeper_state()->phase, KEEPER_HELD);
	assert_int_equal(keeper_state()->rollbacks, 0);
	assert_true(is_frozen());
}

/* After commit nothing thaws by itself. */
static void test_commit(void **state)
{
	struct msg_renew renew = {1};

	NEEDS_ROOT;
	t.config.linger_ms = 100;
	attach(true);
	arm(60000);
	hold(HOLD_FROZEN);
	assert_int_equal(commit(FENCE_UNMOUNTED, 0), -EINVAL);
	assert_int_equal(commit(FENCE_FREEZE, 0), 0);
	assert_int_equal(keeper_state()->phase, KEEPER_COMMITTED);
	assert_int_equal(keeper_state()->fence, FENCE_FREEZE);
	assert_int_equal(commit(FENCE_FREEZE, 0), 0);
	assert_int_equal(release(true, NULL), -EBUSY);
	assert_int_equal(arm_with(60000, NULL, NULL, NULL), -EBUSY);
	assert_int_equal(ask(MSG_RENEW, &renew, NULL), 0);
	keeper_detach(&t.link);
	clock_sleep_ms(700); /* longer than it lingers */
	assert_true(is_frozen());
	attach(false);
	assert_int_equal(keeper_state()->phase, KEEPER_COMMITTED);
	assert_int_equal(keeper_state()->rollbacks, 0);
	assert_hooks("quiesce");
	assert_true(is_frozen());
	assert_int_equal(unfence(NULL, 0), 0);
	assert_false(is_frozen());
	/* And the same again. */
	arm(60000);
	hold(HOLD_FROZEN);
	assert_int_equal(commit(FENCE_FREEZE, 0), 0);
	assert_true(is_frozen());
}

/* The source is not what was sent: commit is refused. */
static void test_commit_refused(void **state)
{
	int fd;

	NEEDS_ROOT;
	attach(true);
	arm(60000);
	hold(HOLD_FROZEN);
	maps_mark(&t.link.maps, 4096, 1);
	assert_int_equal(commit(FENCE_FREEZE, 0), -EBUSY);
	assert_int_equal(commit(FENCE_AUTO, 0), -EBUSY);
	bitmap_move(&t.link.maps.inflight, &t.link.maps.dirty);
	assert_int_equal(commit(FENCE_FREEZE, 0), -EBUSY);
	bitmap_clear(&t.link.maps.inflight, 0, UINT64_MAX);
	/* A copy only asks. */
	assert_int_equal(commit(FENCE_AUTO, 0), 0);
	assert_int_equal(keeper_state()->phase, KEEPER_HELD);
	/* Thawed by a third hand. */
	fd = open(mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, FITHAW, 0), 0);
	(void)close(fd);
	assert_int_equal(commit(FENCE_FREEZE, 0), -EBUSY);
	assert_int_equal(release(true, NULL), 0);
	assert_false(is_frozen());
	assert_hooks("quiesce rollback");
}

/* As at a shutdown: back first, then the end; a fence stays. */
static void test_sigterm(void **state)
{
	pid_t pid;

	NEEDS_ROOT;
	attach(true);
	arm(60000);
	hold(HOLD_FROZEN);
	pid = t.link.pid;
	assert_int_equal(kill(pid, SIGTERM), 0);
	wait_gone(pid);
	assert_false(is_frozen());
	assert_hooks("quiesce rollback");
	keeper_detach(&t.link);
	attach(true);
	arm(60000);
	hold(HOLD_FROZEN);
	assert_int_equal(commit(FENCE_FREEZE, 0), 0);
	assert_int_equal(kill(t.link.pid, SIGTERM), 0);
	clock_sleep_ms(500);
	assert_int_equal(keeper_state()->phase, KEEPER_COMMITTED);
	assert_true(is_frozen());
}

/* How the source went back outlives the keeper, for the agent to tell. */
static void test_sigterm_is_told(void **state)
{
	static struct msg_hooks_result result;
	const struct maps_shared *s;

	NEEDS_ROOT;
	attach(true);
	s = t.link.maps.shared;
	assert_int_equal(arm_with(60000, NULL, "echo no; exit 3", &result), 0);
	assert_int_equal(kill(t.link.pid, SIGTERM), 0);
	wait_gone(t.link.pid);
	assert_int_equal(s->phase, KEEPER_IDLE);
	assert_int_equal(s->rollback.failed, 1);
	assert_string_equal(s->rollback.output, "no\n");
	keeper_detach(&t.link);
}

/* Who ends the keeper while it gives the source back waits for that. */
static void test_end_in_rollback(void **state)
{
	struct msg_end end = {0};
	char slow[600];
	pid_t pid;

	NEEDS_ROOT;
	attach(true);
	(void)unlink(hook_log);
	(void)snprintf(slow, sizeof(slow),
		"sleep 1; echo one $REHOST_PHASE $REHOST_DEVICE >>'%s'",
		hook_log);
	begin_rollback(slow);
	pid = t.link.pid;
	assert_int_equal(ask(MSG_END, &end, NULL), 0);
	assert_hooks("rollback");
	wait_gone(pid);
	keeper_detach(&t.link);
	attach(true);
}

/* A write that the tracker sees after the last round. */
static void test_commit_tracked(void **state)
{
	struct msg_settle settle = {0, 5000};
	uint8_t *buf = NULL;
	int fd;

	NEEDS_ROOT;
	if (!tracefs)
		skip();
	assert_int_equal(posix_memalign((void **)&buf, 4096, 4096), 0);
	t.config.track = true;
	attach(true);
	if (!t.link.maps.shared->tracking)
		fail_msg("no tracking: %s", t.link.maps.shared->reason);
	assert_int_equal(run("echo something >%s/file && sync -f %s",
				 mount_point, mount_point),
		0);
	arm(60000);
	hold(HOLD_FROZEN);
	assert_int_equal(ask(MSG_SETTLE, &settle, NULL), 0);
	assert_true(bitmap_count(&t.link.maps.dirty) > 0);
	assert_int_equal(commit(FENCE_FREEZE, 0), -EBUSY);
	bitmap_clear(&t.link.maps.dirty, 0, UINT64_MAX); /* "sent" */
	fd = open(t.device.path, O_RDWR | O_DIRECT | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(io_pread_all(fd, buf, 4096, 20 * MIB), 4096);
	assert_int_equal(io_pwrite_all(fd, buf, 4096, 20 * MIB), 0);
	assert_int_equal(commit(FENCE_FREEZE, 0), -EBUSY);
	assert_true(bitmap_get(&t.link.maps.dirty, 20 * MIB / 4096));
	bitmap_clear(&t.link.maps.dirty, 0, UINT64_MAX);
	/* Reads are no writes. */
	assert_int_equal(io_pread_all(fd, buf, 4096, 20 * MIB), 4096);
	assert_int_equal(commit(FENCE_FREEZE, 0), 0);
	(void)close(fd);
	free(buf);
}

/* ---- not mounted ---- */

static void read_blocks(uint8_t *buf)
{
	int fd = open(t.device.path, O_RDONLY | O_DIRECT | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(io_pread_all(fd, buf, 65536, 0), 65536);
	(void)close(fd);
}

static void test_unmounted(void **state)
{
	int fd;

	NEEDS_ROOT;
	attach(true);
	fd = open(t.device.path, O_RDWR | O_EXCL | O_CLOEXEC);
	assert_true(fd >= 0);
	arm(60000);
	assert_int_equal(ask(MSG_HOLD, NULL, NULL), -EBUSY);
	(void)close(fd);
	hold(HOLD_UNMOUNTED);
	/* Nobody else gets it. */
	assert_true(open(t.device.path, O_RDWR | O_EXCL | O_CLOEXEC) < 0);
	assert_int_equal(errno, EBUSY);
	assert_true(mount(t.device.path, mount_point, "ext4", 0, NULL) < 0);
	assert_int_equal(commit(FENCE_FREEZE, 0), -EINVAL);
	assert_int_equal(commit(FENCE_UNMOUNTED, 0), 0);
	keeper_detach(&t.link);
	assert_true(mount(t.device.path, mount_point, "ext4", 0, NULL) < 0);
	attach(false);
	assert_int_equal(unfence(NULL, 0), 0);
	assert_int_equal(mount(t.device.path, mount_point, "ext4", 0, NULL), 0);
	t.mounted = true;
}

/* Blocks are removed at commit, kept, and put back. */
static void test_signature_fence(void **state)
{
	static struct msg_block v[2];
	uint8_t *before = NULL, *after = NULL, zeros[4096] = {0};

	NEEDS_ROOT;
	assert_int_equal(posix_memalign((void **)&before, 4096, 65536), 0);
	assert_int_equal(posix_memalign((void **)&after, 4096, 65536), 0);
	attach(true);
	read_blocks(before);
	arm(60000);
	hold(HOLD_UNMOUNTED);
	{
		static struct msg_commit m = {.fence = FENCE_SIGNATURE, .n = 1};

		/* Nothing outside the volume, nothing too long. */
		m.v[0] = (struct msg_extent){t.device.size, 4096};
		assert_int_equal(ask(MSG_COMMIT, &m, NULL), -ERANGE);
		m.v[0] = (struct msg_extent){0, 8192};
		assert_int_equal(ask(MSG_COMMIT, &m, NULL), -ERANGE);
		m.v[0] = (struct msg_extent){0, UINT64_MAX};
		assert_int_equal(ask(MSG_COMMIT, &m, NULL), -ERANGE);
		m.v[0] = (struct msg_extent){UINT64_MAX - 4095, 4096};
		assert_int_equal(ask(MSG_COMMIT, &m, NULL), -ERANGE);
	}
	read_blocks(after);
	assert_memory_equal(before, after, 65536);
	assert_int_equal(commit(FENCE_SIGNATURE, 2), 0);
	read_blocks(after);
	assert_memory_equal(after, zeros, 4096);
	assert_memory_equal(after + 4096, before + 4096, 4096);
	assert_memory_equal(after + 8192, zeros, 4096);
	assert_memory_equal(after + 12288, before + 12288, 65536 - 12288);
	/* They are kept where the next agent finds them. */
	keeper_detach(&t.link);
	attach(false);
	assert_int_equal(t.link.maps.shared->n_saved, 2);
	memcpy(v, t.link.maps.shared->saved, sizeof(v));
	assert_memory_equal(v[0].data, before, 4096);
	assert_int_equal(v[1].offset, 8192);
	assert_int_equal(unfence(v, 2), 0);
	read_blocks(after);
	assert_memory_equal(before, after, 65536);
	v[0].offset = t.device.size;
	assert_true(unfence(v, 1) < 0);
	free(before);
	free(after);
}

/* Half-way through the fence: undone. */
static void test_fence_undone(void **state)
{
	uint8_t *before = NULL, *after = NULL;
	static struct msg_block torn;
	struct msg_block *saved;
	struct error err;

	NEEDS_ROOT;
	assert_int_equal(posix_memalign((void **)&before, 4096, 65536), 0);
	assert_int_equal(posix_memalign((void **)&after, 4096, 65536), 0);
	attach(true);
	read_blocks(before);
	arm(60000);
	hold(HOLD_UNMOUNTED);
	/* As it is when the keeper is between saving and committing. */
	saved = &t.link.maps.shared->saved[0];
	saved->offset = 0;
	saved->n = 4096;
	memcpy(saved->data, before, 4096);
	t.link.maps.shared->n_saved = 1;
	t.link.maps.shared->phase = KEEPER_FENCING;
	assert_int_equal(
		blocks_write(t.link.maps.shared, saved, 1, true, &err), 0);
	/* Of which the power left half. */
	torn = *saved;
	memset(torn.data + 2048, 0, 2048);
	assert_int_equal(
		blocks_write(t.link.maps.shared, &torn, 1, false, &err), 0);
	assert_int_equal(release(true, NULL), 0);
	read_blocks(after);
	assert_memory_equal(before, after, 65536);
	/* What others wrote there is newer. */
	torn.data[2100] = 'n';
	assert_int_equal(
		blocks_write(t.link.maps.shared, &torn, 1, false, &err), 0);
	saved->n = 4096;
	memcpy(saved->data, before, 4096);
	assert_int_equal(blocks_put_back(t.link.maps.shared, saved, &err), 0);
	read_blocks(after);
	assert_memory_equal(after, torn.data, 4096);
	free(before);
	free(after);
}

/* ---- the end of either ---- */

static void test_linger(void **state)
{
	pid_t pid;

	NEEDS_ROOT;
	t.config.linger_ms = 300;
	attach(true);
	pid = t.link.pid;
	/* Attached it stays. */
	clock_sleep_ms(900);
	assert_int_equal(keeper_state()->phase, KEEPER_IDLE);
	arm(60000);
	hold(HOLD_FROZEN);
	keeper_detach(&t.link);
	wait_gone(pid);
	assert_false(is_frozen());
	assert_hooks("quiesce rollback");
	/* Its place is free, and what it knew is gone. */
	attach(true);
	assert_int_not_equal(t.link.pid, pid);
	assert_int_equal(bitmap_count(&t.link.maps.known), 0);
}

static void kill_keeper(void)
{
	struct frame f;

	assert_int_equal(kill(t.link.pid, SIGKILL), 0);
	assert_false(next_frame(&t.link, &f));
	wait_gone(t.link.pid);
}

/* The keeper dies: the agent gives the source back, unless it is fenced. */
static void test_lost_keeper(void **state)
{
	NEEDS_ROOT;
	attach(true);
	arm(60000);
	hold(HOLD_FROZEN);
	kill_keeper();
	assert_true(is_frozen());
	assert_true(keeper_undo(&t.link.maps, false));
	assert_false(is_frozen());
	assert_true(keeper_undo(&t.link.maps, false));
	keeper_detach(&t.link);
	attach(true);
	arm(60000);
	hold(HOLD_FROZEN);
	assert_int_equal(commit(FENCE_FREEZE, 0), 0);
	kill_keeper();
	assert_false(keeper_undo(&t.link.maps, false));
	assert_true(is_frozen());
	/* Unless the agent knows that nobody was told of the commit. */
	assert_true(keeper_undo(&t.link.maps, true));
	assert_false(is_frozen());
	keeper_detach(&t.link);
}

/* Attaches in a process of its own; its status says how that went. */
static pid_t attach_elsewhere(int stand_in)
{
	pid_t pid = fork();
	struct error err;
	int r;

	assert_true(pid >= 0);
	if (pid != 0)
		return pid;
	(void)close(stand_in);
	r = keeper_attach(&t.config, true, &t.link, &err);
	_exit(r < 0 ? -r : t.link.fresh ? 0 : 255);
}

/* The agent stands in for the keeper until another agent comes. */
static void test_stand_in(void **state)
{
	struct keeper_link old;
	int fd = -1, status;
	pid_t pid;

	NEEDS_ROOT;
	attach(true);
	kill_keeper();
	old = t.link;
	fd = keeper_stand_in(&old);
	assert_true(fd >= 0);
	assert_false(keeper_replaced(fd));
	pid = attach_elsewhere(fd);
	for (uint64_t end = clock_ms() + WAIT_MS; !keeper_replaced(fd);) {
		assert_true(clock_ms() < end);
		clock_sleep_ms(5);
	}
	/* There is no other keeper before it ends. */
	clock_sleep_ms(100);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	(void)close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* It made a keeper, and that one lives. */
	assert_int_equal(keeper_stand_in(&old), -EADDRINUSE);
	keeper_detach(&old);
	attach(false);
}

/* ---- a machine's network ---- */

static int home_net = -1, home_space = -1; /* namespaces; -1: not left */

static int open_space(const char *kind)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/thread-self/ns/%s", kind);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* Nothing of this host is fenced. */
static int setup_network(void **state)
{
	int r = begin(true, true);

	if (!is_root)
		return r;
	make_cgroup();
	home_net = open_space("net");
	home_space = open_space("cgroup");
	join(cgroup);
	assert_int_equal(unshare(CLONE_NEWCGROUP | CLONE_NEWNET), 0);
	must_be_ours();
	return run(
		"ip link set lo up && ip link add a0 type veth peer name a1");
}

static int end_network(void **state)
{
	int r = end(state);

	if (home_space < 0)
		return r;
	assert_int_equal(setns(home_net, CLONE_NEWNET), 0);
	assert_int_equal(setns(home_space, CLONE_NEWCGROUP), 0);
	(void)close(STEAL_FD(home_net));
	(void)close(STEAL_FD(home_space));
	join(home_cgroup);
	return remove_cgroup() ? r : -1;
}

static bool is_fenced(const char *device)
{
	return run("ip -d link show %s | grep -q xdp", device) == 0;
}

/* An interface with somebody else's program, from another namespace; returns
 * what holds that. */
static int bring_interface(void)
{
	const struct bpf_insn v[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT}};
	CLEANUP_CLOSE int program =
		bpf_load("test", BPF_PROG_TYPE_XDP, BPF_XDP, v, 2);
	CLEANUP_CLOSE int here = open_space("net");
	int link;

	assert_true(program >= 0);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(run("ip link add b0 type veth peer name b1"), 0);
	link = bpf_attach_xdp(program, if_nametoindex("b0"));
	assert_true(link >= 0);
	/* Its other end too: that would go with the namespace, and take it
	 * along. */
	for (int i = 0; i < 2; i++)
		assert_int_equal(run("ip link set b%d netns /proc/%d/fd/%d", i,
					 getpid(), here),
			0);
	assert_int_equal(setns(here, CLONE_NEWNET), 0);
	return link;
}

/* A peer's port comes as far as the fence. There is no commit while an
 * interface is open, and none is left open by it. */
static void test_network(void **state)
{
	static struct msg_held held;
	static struct msg_peers left;
	int link;

	NEEDS_ROOT;
	attach(true);
	assert_int_equal(arm_network(65536), -EINVAL);
	assert_int_equal(keeper_state()->phase, KEEPER_IDLE);
	assert_int_equal(arm_network(65535), 0);
	assert_false(is_fenced("a0"));
	assert_int_equal(ask(MSG_HOLD, NULL, &held), 0);
	assert_int_equal(ask(MSG_HUSH, &left, NULL), -EINVAL);
	assert_non_null(strstr(held.network, "1 address (1 of them with one"));
	assert_true(is_fenced("a0"));
	link = bring_interface();
	assert_int_equal(commit(FENCE_FREEZE, 0), -EBUSY);
	assert_int_equal(keeper_state()->phase, KEEPER_HELD);
	assert_int_equal(commit(FENCE_FREEZE, 0), -EBUSY);
	(void)close(link);
	assert_int_equal(commit(FENCE_FREEZE, 0), 0);
	assert_int_equal(keeper_state()->phase, KEEPER_COMMITTED);
	assert_true(is_fenced("b0"));
	/* What it cannot do it says. */
	left.n = 1;
	strcpy(left.v[0].text, "nobody");
	assert_int_equal(ask(MSG_HUSH, &left, NULL), -EINVAL);
	left.n = 0;
	assert_int_equal(ask(MSG_HUSH, &left, NULL), 0);
	assert_null(strstr(keeper_state()->reason, "fence the network"));
	assert_int_equal(unfence(NULL, 0), 0);
	assert_false(is_frozen());
	assert_false(is_fenced("a0"));
}

static int setup(void **state)
{
	is_root = device_setup(folder);
	if (!is_root && !mkdtemp(folder))
		return -1;
	(void)snprintf(mount_point, sizeof(mount_point), "%s/mnt", folder);
	(void)snprintf(hook_log, sizeof(hook_log), "%s/hooks", folder);
	tracefs = access("/sys/kernel/tracing", F_OK) == 0 ||
		  access("/sys/kernel/debug/tracing", F_OK) == 0;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return -1;
	/* As agents do. */
	(void)signal(SIGPIPE, SIG_IGN);
	return mkdir(mount_point, 0700);
}

static int teardown(void **state)
{
	return run("rm -rf '%s'", folder);
}

#define MOUNTED(f) cmocka_unit_test_setup_teardown(f, setup_mounted, end)
#define UNMOUNTED(f) cmocka_unit_test_setup_teardown(f, setup_unmounted, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOUNTED(test_hold_and_release),
		MOUNTED(test_turns),
		MOUNTED(test_lease),
		MOUNTED(test_hanging_hook),
		MOUNTED(test_loud_hook),
		MOUNTED(test_stuck),
		MOUNTED(test_late_and_stuck),
		MOUNTED(test_end_and_stuck),
		MOUNTED(test_left_frozen),
		MOUNTED(test_lost_agent),
		MOUNTED(test_take_over),
		MOUNTED(test_take_over_in_rollback),
		MOUNTED(test_unfence_and_end_in_rollback),
		MOUNTED(test_wrong_key),
		MOUNTED(test_commit),
		MOUNTED(test_commit_refused),
		MOUNTED(test_sigterm),
		MOUNTED(test_sigterm_is_told),
		MOUNTED(test_end_in_rollback),
		MOUNTED(test_commit_tracked),
		UNMOUNTED(test_unmounted),
		UNMOUNTED(test_signature_fence),
		UNMOUNTED(test_fence_undone),
		MOUNTED(test_linger),
		MOUNTED(test_lost_keeper),
		MOUNTED(test_stand_in),
		cmocka_unit_test_setup_teardown(
			test_network, setup_network, end_network),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
