/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What knows which parts of a volume were written.
 *
 * A tracker is a private tracefs instance that records block_rq_complete of
 * the disks on which the volume lies (Documentation/trace/events.rst,
 * Documentation/trace/ring-buffer-design.rst, include/trace/events/block.h of
 * the Linux source), read as raw per-CPU pages. Marking at completion is
 * enough: what changes after a block was read completes after it was read.
 *
 * A tracker is never trusted: the sectors that it saw are compared with the
 * disk's own count (Documentation/block/stat.rst), and overflow, missed
 * events, or a mismatch make it lost, for good. Loss cannot be overlooked: it
 * is what every call returns from then on.
 *
 * Not seen: writes by SCSI or NVMe passthrough commands, which have no place
 * on the disk that the kernel knows, and which its count leaves out as well.
 *
 * One thread may use a tracker at a time.
 */
#ifndef REHOST_TRACK_TRACKER_H
#define REHOST_TRACK_TRACKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

/* A piece of a volume on a request-based disk, in sectors of 512 bytes. */
struct segment {
	uint32_t major, minor;	/* the whole disk */
	uint64_t disk_start;	/* first sector on the disk */
	uint64_t sectors;	/* sectors on this disk */
	uint64_t volume_start;	/* volume sector of the whole piece */
	uint32_t stripes;	/* 1 = linear */
	uint32_t stripe;	/* which stripe this is, 0 for linear */
	uint32_t chunk_sectors; /* stripe chunk; 0 when linear */
	/* Striped: sectors of the stripe that lie before disk_start, and
	 * volume_start is where the first chunk of the first stripe would be,
	 * modulo 2^64 (it may lie before the volume). 0 when linear. */
	uint64_t skip;
};

#define SEGMENTS_MAX 256

struct segments {
	uint32_t n;
	struct segment v[SEGMENTS_MAX];
};

/* Finds on which disks a block device lies: itself, the disk of its partition,
 * or, for device-mapper linear and striped targets, the disks below, through
 * any depth. Reads sysfs and the device-mapper table (DM_TABLE_STATUS,
 * linux/dm-ioctl.h); major:minor is the volume's. Returns -EOPNOTSUPP, with
 * the reason in err, for everything that a tracker cannot follow (bio-based
 * devices: md, thin, crypt, snapshots, zram; zoned; no queue statistics).
 * Unused parts of *ret are zero: memcmp of two results tells whether the
 * volume still lies where it did. */
int segments_find(uint32_t major, uint32_t minor, struct segments *ret,
	struct error *err);

/* The same for who does not follow changes: an array of the md driver counts as
 * a disk, which is the lowest that is looked for. */
int segments_find_arrays(uint32_t major, uint32_t minor, struct segments *ret,
	struct error *err) MUST_CHECK;

/* The parts of the volume, in sectors, that [sector, sector + n) of a disk
 * covers, reported one by one. */
typedef void segment_fn(void *arg, uint64_t volume_sector, uint64_t sectors);
void segments_map(const struct segments *s, uint32_t major, uint32_t minor,
	uint64_t sector, uint64_t n, segment_fn *fn, void *arg);

/* The other way: the parts of the disks that [sector, sector + n) of the volume
 * lies on, in no particular order. */
typedef void segment_disk_fn(void *arg, uint32_t major, uint32_t minor,
	uint64_t disk_sector, uint64_t sectors);
void segments_lower(const struct segments *s, uint64_t sector, uint64_t n,
	segment_disk_fn *fn, void *arg);

enum track_kind { TRACK_WRITE, TRACK_DISCARD };

/* Called for each recorded change inside the volume, in bytes. Where the
 * kernel does not say which ranges a discard had (requests of several ranges),
 * UINT64_MAX bytes from 0 are reported as discarded. */
typedef void track_fn(
	void *arg, enum track_kind kind, uint64_t offset, uint64_t bytes);

struct tracker;

struct tracker_stats {
	uint64_t events;	/* events read */
	uint64_t write_sectors; /* of the disks, seen by events */
	uint64_t disk_sectors;	/* of the disks, by their own count */
	uint64_t volume_writes; /* write events inside the volume */
};

/* Starts recording. name becomes the name of the tracefs instance
 * ("rehost-…"); the instance is removed by tracker_stop, or by
 * tracker_sweep when the process died. The baseline against the disks' count
 * is exact. Where tracefs is not mounted it is used without a mount point.
 * buffer_kb is the ring buffer per CPU; 0 for the default, 64 MiB over the
 * online CPUs, but 1 to 8 MiB for each. What the other functions need is
 * opened here, up to two descriptors for each possible CPU, for which the soft
 * limit is raised when it is too low.
 * Errors: -EOPNOTSUPP, -EEXIST (name is in use, or left behind: see
 * tracker_sweep) and others, with the reason; nothing is left behind. */
int tracker_start(const char *name, const struct segments *segments,
	uint64_t buffer_kb, track_fn *fn, void *arg, struct tracker **ret,
	struct error *err);

/* Reads what was recorded and calls fn for each change; never blocks.
 * 0, or -ENODATA with the reason when the tracker is lost. */
int tracker_collect(struct tracker *t, struct error *err);

/* Collects until the events' sum equals the disks' count twice running: all
 * that completed before the call has then been reported. For a source that
 * is still being written, live says that it is enough that everything which
 * the count held at the beginning was seen; a loss that is smaller than what
 * was written during the call may then be found only by a later one. 0,
 * -ENODATA when lost (also when the sums do not meet within timeout_ms while
 * the count stands still), -EAGAIN when the count kept moving, without live
 * for a fifth of a second only: then others write to the disk as well, and
 * waiting would not help. timeout_ms is at least 100. Opens nothing. */
int tracker_settle(
	struct tracker *t, bool live, unsigned timeout_ms, struct error *err);

/* Figures so far; the disks count is read afresh. */
void tracker_stats(const struct tracker *t, struct tracker_stats *ret);

/* Stops recording, removes the instance and frees t. NULL is fine. */
void tracker_stop(struct tracker *t);

/* Removes an instance that a dead process left. 0 also when there is none. */
int tracker_sweep(const char *name);

/* Removes all that keepers left ("rehost-" and 16 hexadecimal digits) which
 * are at least so many seconds old and which no process uses. */
void tracker_sweep_left(unsigned seconds);

/* Tests only: drop every nth write event without counting it as seen (0 =
 * none), as a kernel that loses events silently would. */
void tracker_drop_every(struct tracker *t, unsigned nth);

#endif
