/* SPDX-License-Identifier: Apache-2.0 */
#include "rescue/init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "build_id.h"
#include "rescue/net.h"

#define TICK_MS 1000
#define NETWORK_MS 5000
#define SYNC_MS 10000
#define LOADER_MS 10000 /* from one start to the next, at least */
#define CONVERT_MS 30000

static struct cmdline config;
static struct service dropbear = {.name = "dropbear", .path = INIT_DROPBEAR};
static pid_t loader;	   /* of drivers; 0: it does not run */
static uint64_t loader_at; /* clock_ms when it may start again */
static char host_keys[INIT_HOST_KEYS_MAX][40];

/* ---- the console ---- */

static void say_on(const char *name, const char *line)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "/dev/%.100s", name);
	/* A serial line without a listener must not hold us up. */
	fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, line, strlen(line));
	(void)close(fd);
}

void init_say(const char *fmt, ...)
{
	char line[512] = "rehost: ", names[256], *next = names, *name;
	size_t n = strlen(line);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line + n, sizeof(line) - n - 2, fmt, ap);
	va_end(ap);
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
	(void)strncat(line, "\r\n", 3);
	if (io_read_file(AT_FDCWD, "/sys/class/tty/console/active", names,
		    sizeof(names)) <= 0)
		(void)snprintf(names, sizeof(names), "console");
	while ((name = strsep(&next, " ")))
		if (name[0] && !strchr(name, '/'))
			say_on(name, line);
}

/* ---- beginning ---- */

static void mount_all(void)
{
	static const struct {
		const char *type, *on, *options;
		unsigned long flags;
	} mounts[] = {
		{"proc", "/proc", "", MS_NOSUID | MS_NODEV | MS_NOEXEC},
		{"sysfs", "/sys", "", MS_NOSUID | MS_NODEV | MS_NOEXEC},
		{"devtmpfs", "/dev", "mode=755", MS_NOSUID},
		{"devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666",
			MS_NOSUID | MS_NOEXEC},
		/* Agents run from here. */
		{"tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV},
		{"tmpfs", "/run", "mode=755", MS_NOSUID | MS_NODEV},
		{"tmpfs", "/tmp", "mode=1777", MS_NOSUID | MS_NODEV},
	};

	for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
		if ((mkdir(mounts[i].on, 0755) < 0 && errno != EEXIST) ||
			(mount(mounts[i].type, mounts[i].on, mounts[i].type,
				 mounts[i].flags, mounts[i].options) < 0 &&
				errno != EBUSY))
			init_say("cannot mount %s: %s", mounts[i].on,
				strerror(errno));
	}
}

static void read_config(void)
{
	char line[4096], bad[128];
	ssize_t n = io_read_file(AT_FDCWD, "/proc/cmdline", line, sizeof(line));

	if (n < 0) {
		init_say("cannot read the kernel's command line: %s",
			strerror((int)-n));
		line[0] = '\0';
	}
	cmdline_parse(line, &config, bad, sizeof(bad));
	if (bad[0])
		init_say("'%s' on the kernel's command line means nothing to "
			 "me; see rehost-rescue(7)",
			bad);
}

/* A key in OpenSSH's form, as a machine that was taken over has it, becomes one
 * in dropbear's. */
static void convert_key(const char *from, const char *to)
{
	uint64_t end = clock_ms() + CONVERT_MS;
	int status = 0;
	pid_t pid = fork(), done = 0;

	if (pid == 0) {
		int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

		if (nothing >= 0 && dup2(nothing, 0) >= 0 &&
			dup2(nothing, 1) >= 0 && dup2(nothing, 2) >= 0)
			(void)execl(INIT_CONVERT, INIT_CONVERT, "openssh",
				"dropbear", from, to, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && done == 0 && clock_ms() < end) {
		done = waitpid(pid, &status, WNOHANG);
		if (done == 0)
			clock_sleep_ms(1);
	}
	if (done != pid || pid < 0 || status != 0)
		init_say("cannot use the host key %s", from);
	(void)unlink(from);
}

static void convert_keys(void)
{
	for (int i = 0; i < INIT_HOST_KEYS_MAX; i++) {
		char from[64], to[64];

		(void)snprintf(
			from, sizeof(from), "%s%d", INIT_OPENSSH_KEYS, i);
		(void)snprintf(to, sizeof(to), "%s%d", INIT_HOST_KEYS, i);
		if (access(from, R_OK) == 0)
			convert_key(from, to);
	}
}

static void prepare_ssh(void)
{
	static char port[8];
	char **arg = dropbear.args;

	/* In the foreground, telling standard error, no passwords. */
	*arg++ = (char *)"-F";
	*arg++ = (char *)"-E";
	*arg++ = (char *)"-s";
	(void)snprintf(port, sizeof(port), "%u", config.port);
	*arg++ = (char *)"-p";
	*arg++ = port;
	for (int i = 0; i < INIT_HOST_KEYS_MAX; i++) {
		(void)snprintf(host_keys[i], sizeof(host_keys[i]), "%s%d",
			INIT_HOST_KEYS, i);
		if (access(host_keys[i], R_OK) < 0)
			continue;
		*arg++ = (char *)"-r";
		*arg++ = host_keys[i];
	}
}

/* A machine without a source of randomness makes some while somebody waits for
 * it. So somebody does, from the beginning; ssh would be the first otherwise.
 */
static void want_randomness(void)
{
	char byte;
	pid_t pid = fork();

	if (pid == 0) {
		(void)!getrandom(&byte, 1, 0);
		_exit(0);
	}
}

/* ---- processes ---- */

static void step_loader(void)
{
	sigset_t none;

	if (loader > 0 || clock_ms() < loader_at)
		return;
	loader = fork();
	loader_at = clock_ms() + LOADER_MS;
	if (loader < 0)
		init_say("cannot load drivers: %s", strerror(errno));
	if (loader != 0)
		return;
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	drivers_run();
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (service_ended(&dropbear, pid, status) ||
			network_ended(pid, status) || pid != loader)
			continue;
		init_say("what loads drivers has ended; it begins again");
		loader = 0;
	}
}

/* ---- the end ---- */

/* Waits until there are no more processes, or ms are over. */
static void wait_for_all(unsigned ms)
{
	uint64_t end = clock_ms() + ms;

	while (clock_ms() < end) {
		if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
			return;
		clock_sleep_ms(20);
	}
}

static void end(int how, const char *why)
{
	pid_t pid;

	init_say("%s", why);
	(void)kill(-1, SIGTERM);
	wait_for_all(2000);
	(void)kill(-1, SIGKILL);
	wait_for_all(1000);
	/* A dead disk may hold sync up for ever. */
	pid = fork();
	if (pid == 0) {
		sync();
		_exit(0);
	}
	if (pid > 0)
		wait_for_all(SYNC_MS);
	(void)reboot(how);
	init_say("cannot reboot: %s", strerror(errno));
	if (io_write_file(AT_FDCWD, "/proc/sysrq-trigger", "b") < 0)
		init_say("nor by sysrq");
}

/* ---- what goes on ---- */

static void take_signals(int fd)
{
	struct signalfd_siginfo s;

	while (read(fd, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		switch (s.ssi_signo) {
		case SIGTERM: /* busybox's reboot */
		case SIGINT:  /* Ctrl-Alt-Del */
			end(RB_AUTOBOOT, "rebooting");
			break;
		case SIGUSR1: /* busybox's halt and poweroff */
		case SIGUSR2:
			watchdog_stop();
			end(RB_POWER_OFF, "powering off");
			break;
		default:
			break;
		}
	}
}

static int watch_signals(void)
{
	static const int wanted[] = {
		SIGCHLD, SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP, SIGPIPE};
	sigset_t set;
	int fd;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		(void)sigaddset(&set, wanted[i]);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		init_say("cannot take signals: %s", strerror(errno));
	return fd;
}

static void drain(int fd)
{
	char buf[4096];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static void run(int signals, int links)
{
	/* poll leaves out what is negative. */
	struct pollfd p[] = {
		{.fd = signals, .events = POLLIN},
		{.fd = links, .events = POLLIN},
	};
	uint64_t network = 0;

	for (;;) {
		bool news;

		step_loader();
		service_step(&dropbear);
		if (watchdog_step())
			end(RB_AUTOBOOT, "rehost was not heard from for too "
					 "long: rebooting");
		if (poll(p, ARRAY_LEN(p), TICK_MS) < 0) {
			clock_sleep_ms(100);
			continue;
		}
		if (p[0].revents)
			take_signals(signals);
		reap();
		news = p[1].revents != 0;
		if (news)
			drain(links);
		if (news || clock_ms() >= network) {
			network_step();
			network = clock_ms() + NETWORK_MS;
		}
	}
}

static int be_init(void)
{
	char key[128] = "unknown";
	int signals, links;

	(void)umask(022);
	(void)chdir("/");
	(void)setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	(void)setenv("HOME", "/root", 1);
	want_randomness();
	mount_all();
	signals = watch_signals();
	(void)reboot(RB_DISABLE_CAD);
	(void)sethostname("rescue", strlen("rescue"));
	if (io_read_file(AT_FDCWD, INIT_FINGERPRINT, key, sizeof(key)) < 0)
		(void)snprintf(key, sizeof(key), "unknown");
	init_say("rescue system %s, host key %s", VERSION, key);
	read_config();
	watchdog_begin(config.watchdog);
	links = net_watch();
	if (links < 0)
		init_say("cannot watch the network: %s", strerror(-links));
	network_begin(&config);
	/* Drivers take longest. */
	step_loader();
	convert_keys();
	prepare_ssh();
	run(signals, links);
	return 1;
}

int main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "";

	if (strcmp(name, "modprobe") == 0)
		return drivers_modprobe(argc, argv);
	if (strcmp(name, "rehost-dhcp") == 0)
		return network_dhcp_event(argc, argv);
	if (getpid() != 1) {
		(void)fprintf(stderr, "init: this is for process 1 alone; try "
				      "reboot or poweroff\n");
		return 2;
	}
	return be_init();
}
