/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding volumes still: all filesystems on them frozen (FIFREEZE, linux/fs.h),
 * or, when nothing of them is mounted anywhere, the devices open with O_EXCL,
 * which open(2) refuses while any mount namespace has them mounted. A file that
 * is not in use is only watched, by its ctime.
 *
 * A filesystem that cannot freeze, such as an EFI system partition, is made
 * read-only; where something has it open for writing it is only synced, and the
 * commit is what finds out whether it was written since.
 *
 * One thread.
 */
#ifndef REHOST_TRACK_HOLD_H
#define REHOST_TRACK_HOLD_H

#include <time.h>

#include "base/error.h"
#include "track/maps.h"

struct hold {
	int frozen[HELD_MAX]; /* by the index in maps_shared.held; -1 without */
	struct {
		int excl_fd;	       /* -1 without */
		struct timespec ctime; /* of an image file */
		uint64_t written;      /* by the device's own count */
	} disks[VOLUMES_MAX];
};

void hold_init(struct hold *h);

/* Flushes all filesystems on the disks of a machine, and holds nothing. */
int hold_sync(const struct maps_shared *s, struct error *err);

/* Flushes and holds the volumes of s as they are in use now; machine: whatever
 * lies between them and the filesystems. What has to be undone if this process
 * dies is in s before it is done (phase and held). */
int hold_take(struct hold *h, bool machine, struct maps_shared *s,
	struct msg_held *ret, struct error *err);

/* Are they held as they were taken, and, where no tracker tells more,
 * unwritten? */
int hold_check(struct hold *h, const struct maps_shared *s, struct error *err);

/* Lets them go, the last first; fine when nothing is held. All are tried; the
 * error is that of the first that could not be let go. */
int hold_release(
	struct hold *h, struct maps_shared *s, struct error *err) MUST_CHECK;

/* The same without the descriptors, for what a keeper held that is no more. */
int hold_release_dead(struct maps_shared *s, struct error *err) MUST_CHECK;

/* The same of one filesystem; fine when it is not held. */
int hold_release_one(const struct msg_held_mount *held, struct error *err);

/* Thaws whatever is frozen of what hold_take would hold: for a keeper of which
 * nobody knows how far it came. */
int hold_thaw_all(const struct maps_shared *s, bool machine,
	struct error *err) MUST_CHECK;

#endif
