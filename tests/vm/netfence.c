/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts the network as the keeper does, but for the end of $SSH_CONNECTION,
 * until SIGTERM. Prints what it did, one line each: "prepared US", "fenced US
 * TEXT" (microseconds), "open". With --frozen the root filesystem is frozen
 * while it begins. With --links it prints how many BPF links there are, with
 * --check whether it could be done, with --forget it ends what an earlier one
 * kept, with --keep it keeps. */
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "track/netfence.h"

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	ended = number;
}

static int complain(const struct error *err)
{
	char text[2048];

	(void)fprintf(stderr, "%s\n", error_text(err, text, sizeof(text)));
	return 1;
}

static int print_links(void)
{
	union bpf_attr a = {0};
	int n = 0;

	while (syscall(SYS_bpf, BPF_LINK_GET_NEXT_ID, &a, sizeof(a)) == 0) {
		n++;
		a.start_id = a.next_id;
	}
	(void)printf("%d\n", n);
	return 0;
}

/* The fence comes up while nothing can be written to the root, then it thaws.
 * Returns begin's result. */
static int begin(struct netfence *f, const struct netfence_allow *allow,
	bool frozen, struct error *err)
{
	CLEANUP_CLOSE int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[512];
	uint64_t us;
	int r;

	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		return error_set(err, -1, "lock the memory");
	if (frozen && ioctl(root, FIFREEZE, 0) < 0)
		return error_set(err, -1, "freeze the root");
	us = clock_us();
	r = netfence_begin(f, allow, err);
	us = clock_us() - us;
	if (frozen)
		(void)ioctl(root, FITHAW, 0);
	if (r == 0)
		(void)printf("fenced %llu %s\n", (unsigned long long)us,
			netfence_text(f, text, sizeof(text)));
	return r;
}

static int fence(bool frozen, bool keep)
{
	const char *connection = getenv("SSH_CONNECTION");
	struct netfence_allow allow = {0};
	struct error err = {0};
	struct netfence *f;
	uint64_t us = clock_us();
	int r = netfence_prepare(&f, &err);

	if (r < 0)
		return complain(&err);
	(void)printf("prepared %llu\n", (unsigned long long)(clock_us() - us));
	if (!connection || netfence_add_connection(&allow, connection) < 0)
		return 2;
	r = netfence_find_near(&allow, &err);
	if (r == 0)
		r = begin(f, &allow, frozen, &err);
	if (r == 0 && keep)
		r = netfence_keep(f, "test", &err);
	(void)fflush(stdout);
	while (r >= 0 && !ended) {
		struct pollfd p = {.fd = netfence_fd(f), .events = POLLIN};

		(void)poll(&p, 1, 200);
		r = netfence_refresh(f, &err);
	}
	netfence_end(f);
	if (r < 0)
		return complain(&err);
	(void)puts("open");
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	struct error err = {0};

	(void)signal(SIGTERM, on_signal);
	if (strcmp(what, "--links") == 0)
		return print_links();
	if (strcmp(what, "--check") == 0)
		return netfence_check(&err) != 0 ? complain(&err) : 0;
	if (strcmp(what, "--forget") == 0) {
		netfence_forget("test");
		return 0;
	}
	if (*what && strcmp(what, "--frozen") != 0 &&
		strcmp(what, "--keep") != 0) {
		(void)fprintf(stderr, "usage: netfence [--frozen | --keep | "
				      "--links | --check | --forget]\n");
		return 2;
	}
	return fence(
		strcmp(what, "--frozen") == 0, strcmp(what, "--keep") == 0);
}
