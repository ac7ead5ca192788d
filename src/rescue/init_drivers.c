/* SPDX-License-Identifier: Apache-2.0 */
/* Drivers: what the devices of this machine ask for, by the lists that the
 * builder put in. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/modalias.h"
#include "rescue/init.h"
#include "rescue/modules.h"

#define FOUND 32 /* modules for one device */
#define TICK_MS 10000
#define PATIENCE_MS 20000 /* for one driver */
#define UEVENT 8192
#define UEVENT_GROUP 1 /* the kernel's own words */

static struct modules *modules;
static char folder[320];
/* Tried once, whatever came of it: the next device may ask again. */
static bool tried[MODULES_MAX];

static int read_lists(void)
{
	CLEANUP_FREE char *dep = NULL;
	CLEANUP_FREE char *alias = NULL;
	char path[400];
	size_t dep_n, alias_n;
	struct utsname u;
	int r;

	if (uname(&u) < 0)
		return -errno;
	(void)snprintf(folder, sizeof(folder), "/lib/modules/%s", u.release);
	(void)snprintf(path, sizeof(path), "%s/modules.dep", folder);
	r = io_slurp(path, MODULES_TEXT, &dep, &dep_n);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/modules.alias", folder);
	r = io_slurp(path, MODULES_TEXT, &alias, &alias_n);
	if (r < 0)
		return r;
	return modules_read(
		STEAL_PTR(dep), dep_n, STEAL_PTR(alias), alias_n, &modules);
}

/* Unpacks a module and gives it to the kernel. 0 or negative errno. */
static int insert(const char *path)
{
	CLEANUP_FREE char *packed = NULL;
	CLEANUP_FREE char *bytes = NULL;
	size_t n;
	int r = io_slurp(path, MODULES_FILE, &packed, &n);

	if (r < 0)
		return r;
	/* What is not written to takes no memory. */
	bytes = malloc(MODULES_FILE);
	if (!bytes)
		return -ENOMEM;
	n = ZSTD_decompress(bytes, MODULES_FILE, packed, n);
	if (ZSTD_isError(n))
		return -EBADMSG;
	if (syscall(SYS_init_module, bytes, n, "") < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

/* Loads one module. 0, also when it is there already, or negative errno. In a
 * process of its own, because a driver may wait for its device for ever: then
 * that one is left to it, and the others go on. */
static int load(uint32_t i)
{
	uint64_t end = clock_ms() + PATIENCE_MS;
	char path[1024];
	int status = 0;
	pid_t pid, r = 0;

	if (tried[i])
		return 0;
	tried[i] = true;
	(void)snprintf(
		path, sizeof(path), "%s/%s", folder, modules_path(modules, i));
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		_exit(-insert(path));
	while (r == 0) {
		r = waitpid(pid, &status, WNOHANG);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r <= 0 && clock_ms() >= end)
			return -ETIMEDOUT;
		if (r == 0)
			clock_sleep_ms(1);
		r = MAX(r, 0);
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EFAULT;
}

/* Loads all that answer to an alias; how many these are. */
static uint32_t load_alias(const char *alias, int *ret_error)
{
	uint32_t found[FOUND];
	uint32_t n = modules_find(modules, alias, found, FOUND);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t order[MODULES_ORDER];
		int k = modules_order(modules, found[i], order), r = k;

		for (int j = 0; j < k; j++) {
			r = load(order[j]);
			/* Some of several drivers find that the device is not
			 * for them. */
			if (r < 0 && r != -ENODEV)
				init_say("cannot load the driver %s: %s",
					modules_name(modules, order[j]),
					strerror(-r));
		}
		if (r < 0)
			*ret_error = r;
	}
	return n;
}

static void load_quietly(const char *alias)
{
	int ignored = 0;

	if (modules && alias[0])
		(void)load_alias(alias, &ignored);
}

static void walk_bus(const char *bus)
{
	char path[600], alias[MODALIAS_MAX];
	struct dirent *e;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/sys/bus/%.200s/devices", bus);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path),
			"/sys/bus/%.200s/devices/%.255s/modalias", bus,
			e->d_name);
		if (io_read_file(AT_FDCWD, path, alias, sizeof(alias)) > 0)
			load_quietly(alias);
	}
	if (d)
		(void)closedir(d);
}

static void walk(void)
{
	DIR *d = opendir("/sys/bus");
	struct dirent *e;

	if (!d)
		init_say("cannot look for devices: %s", strerror(errno));
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			walk_bus(e->d_name);
	if (d)
		(void)closedir(d);
}

static int watch(void)
{
	struct sockaddr_nl a = {
		.nl_family = AF_NETLINK, .nl_groups = UEVENT_GROUP};
	CLEANUP_CLOSE int fd =
		socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);
	int room = 1 << 20;

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	/* Without it events may be lost, which is noticed. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	return STEAL_FD(fd);
}

/* One event: strings with a NUL behind each, buf[n] is a NUL. */
static void take_event(const char *buf, size_t n)
{
	const char *alias = "", *action = "";

	for (const char *p = buf; p < buf + n; p += strlen(p) + 1) {
		if (strncmp(p, "ACTION=", 7) == 0)
			action = p + 7;
		else if (strncmp(p, "MODALIAS=", 9) == 0)
			alias = p + 9;
	}
	if (strcmp(action, "add") == 0)
		load_quietly(alias);
}

static void take_events(int fd)
{
	char buf[UEVENT + 1];

	for (;;) {
		struct sockaddr_nl from = {0};
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(
			fd, buf, UEVENT, 0, (struct sockaddr *)&from, &size);

		if (n < 0 && errno == EINTR)
			continue;
		/* Some were lost: look at everything again. */
		if (n < 0 && errno == ENOBUFS) {
			walk();
			continue;
		}
		if (n < 0)
			return;
		buf[n] = '\0';
		if (from.nl_pid == 0)
			take_event(buf, (size_t)n);
	}
}

void drivers_run(void)
{
	/* First, so that nothing comes between. */
	int fd = watch(), r = read_lists();

	if (r < 0)
		init_say("cannot read the list of drivers in %s: %s (was the "
			 "system built for another kernel?)",
			folder, strerror(-r));
	if (fd < 0)
		init_say("cannot watch for new devices: %s", strerror(-fd));
	walk();
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (poll(&p, 1, TICK_MS) > 0)
			take_events(fd);
		/* Drivers that took their time. */
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

int drivers_modprobe(int argc, char **argv)
{
	int r, error = 0;
	bool quiet = false, any = false;

	r = read_lists();
	if (r < 0) {
		(void)fprintf(stderr, "modprobe: cannot read %s: %s\n", folder,
			strerror(-r));
		return 1;
	}
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-') {
			quiet = quiet || strcmp(argv[i], "-q") == 0;
			continue;
		}
		/* What stands behind the first name are its parameters, which
		 * nobody needs here. */
		any = load_alias(argv[i], &error) > 0;
		if (!any && !quiet)
			(void)fprintf(stderr,
				"modprobe: there is no module %s\n", argv[i]);
		break;
	}
	return any && error == 0 ? 0 : 1;
}
