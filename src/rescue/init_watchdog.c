/* SPDX-License-Identifier: Apache-2.0 */
/* The way back: a machine that nobody drives any more is rebooted. */
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "rescue/heard.h"
#include "rescue/init.h"

#define DEVICE "/dev/watchdog"
#define DEVICE_S 60

static uint64_t patience; /* ms; 0: for ever */
static uint64_t heard;	  /* clock_ms */
static struct timespec touched;
static int device = -1;
static bool written;

/* A kernel that fell over is no way back to the old system either. That of a
 * small machine may lack some of these. */
static void arm_kernel(void)
{
	static const char *const settings[][2] = {
		{"panic", "10"},
		{"panic_on_oops", "1"},
		/* A processor counts as stuck after twice as many seconds:
		 * machines that share theirs stand still for a while. */
		{"watchdog_thresh", "30"},
		{"softlockup_panic", "1"},
		{"hardlockup_panic", "1"},
	};

	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		char path[64];
		int r;

		(void)snprintf(path, sizeof(path), "/proc/sys/kernel/%s",
			settings[i][0]);
		r = io_write_file(AT_FDCWD, path, settings[i][1]);
		if (r < 0 && r != -ENOENT)
			init_say("cannot set kernel.%s: %s", settings[i][0],
				strerror(-r));
	}
}

void watchdog_begin(uint32_t seconds)
{
	CLEANUP_CLOSE int fd = -1;

	patience = seconds * 1000ULL;
	heard = clock_ms();
	/* Also without a watchdog: it tells agents where they are. */
	fd = open(RESCUE_HEARD, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		init_say("cannot make %s: %s", RESCUE_HEARD, strerror(errno));
	if (seconds == 0)
		return;
	arm_kernel();
	init_say("reboots when rehost is not heard from for %u s", seconds);
}

/* The hardware's own comes with its driver, perhaps late. It is for the case
 * that nothing here runs any more. */
static void step_device(void)
{
	int seconds = DEVICE_S;

	if (device < 0) {
		device = open(DEVICE, O_WRONLY | O_CLOEXEC);
		if (device < 0)
			return;
		/* Some have but one. */
		(void)ioctl(device, WDIOC_SETTIMEOUT, &seconds);
		init_say("the hardware watches over it, too");
	}
	(void)ioctl(device, WDIOC_KEEPALIVE, 0);
}

bool watchdog_step(void)
{
	struct stat st;

	if (patience == 0)
		return false;
	step_device();
	if (written)
		return false;
	if (access(RESCUE_WRITTEN, F_OK) == 0) {
		written = true;
		init_say("a disk is written: it waits for rehost for ever");
		return false;
	}
	/* The clock may be set meanwhile: that it moved is what counts. */
	if (stat(RESCUE_HEARD, &st) == 0 &&
		(st.st_mtim.tv_sec != touched.tv_sec ||
			st.st_mtim.tv_nsec != touched.tv_nsec)) {
		touched = st.st_mtim;
		heard = clock_ms();
	}
	return clock_ms() - heard >= patience;
}

void watchdog_stop(void)
{
	if (device < 0)
		return;
	/* The letter that tells the driver that it is meant. */
	(void)!write(device, "V", 1);
	(void)close(device);
	device = -1;
}
