/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding a volume still: its filesystem frozen (FIFREEZE, linux/fs.h), or,
 * when it is not mounted anywhere, the device open with O_EXCL, which open(2)
 * refuses while any mount namespace has it mounted. A file that is not in use
 * is only watched, by its ctime. One thread.
 */
#ifndef REHOST_TRACK_HOLD_H
#define REHOST_TRACK_HOLD_H

#include <time.h>

#include "base/error.h"
#include "track/maps.h"
#include "wire/facts.h"

struct hold {
	int freeze_fd, excl_fd; /* -1 without */
	struct timespec ctime;	/* of an image file */
	uint64_t written;	/* by the device's own count */
};

/* Flushes and holds the volume as it is in use now. What has to be undone if
 * this process dies is in s before it is done (phase and mount). */
int hold_take(struct hold *h, const char *path, struct maps_shared *s,
	struct msg_held *ret, struct error *err);

/* Is it held as it was taken, and, where no tracker tells more, unwritten? */
int hold_check(struct hold *h, const struct volume_facts *f,
	const struct maps_shared *s, struct error *err);

/* Lets it go; fine when nothing is held. */
void hold_release(struct hold *h, struct maps_shared *s);

/* Thaws what a keeper froze that is no more. */
void hold_thaw(const char *mount);

#endif
