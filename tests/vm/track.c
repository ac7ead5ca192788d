/* SPDX-License-Identifier: Apache-2.0 */
/* Tracks a volume as the keeper does, until SIGTERM, and prints what it saw in
 * one line: events, sectors by the events, sectors by the disks' own count, and
 * whether it was lost. "tracking" on a line of its own comes first. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "track/tracker.h"

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	ended = number;
}

static void take(void *arg, enum track_kind kind, uint64_t offset, uint64_t n)
{
	uint64_t *bytes = arg;

	*bytes += kind == TRACK_WRITE ? n : 0;
}

static int complain(const struct error *err)
{
	char text[2048];

	(void)fprintf(stderr, "%s\n", error_text(err, text, sizeof(text)));
	return 1;
}

int main(int argc, char **argv)
{
	static struct segments segments;
	struct tracker_stats s;
	struct tracker *t;
	struct error err = {0};
	struct stat st;
	uint64_t bytes = 0;
	char name[64];
	int r;

	if (argc != 2 || stat(argv[1], &st) < 0 || !S_ISBLK(st.st_mode)) {
		(void)fprintf(stderr, "usage: track DEVICE\n");
		return 2;
	}
	(void)snprintf(name, sizeof(name), "rehost-track-%d", (int)getpid());
	(void)signal(SIGTERM, on_signal);
	r = segments_find(
		major(st.st_rdev), minor(st.st_rdev), &segments, &err);
	if (r == 0)
		r = tracker_start(name, &segments, 0, take, &bytes, &t, &err);
	if (r < 0)
		return complain(&err);
	(void)puts("tracking");
	(void)fflush(stdout);
	while (!ended && r == 0) {
		r = tracker_collect(t, &err);
		clock_sleep_ms(5);
	}
	/* What else is on the disks may still be busy. */
	if (r == 0)
		r = tracker_settle(t, false, 5000, &err);
	if (r == -EAGAIN)
		r = tracker_settle(t, true, 5000, &err);
	if (r < 0)
		(void)complain(&err);
	tracker_stats(t, &s);
	(void)printf("%llu %llu %llu %s %llu\n", (unsigned long long)s.events,
		(unsigned long long)s.write_sectors,
		(unsigned long long)s.disk_sectors, r < 0 ? "lost" : "whole",
		(unsigned long long)bytes);
	tracker_stop(t);
	return r < 0;
}
