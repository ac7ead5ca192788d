/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts about a volume, as they travel from agent to controller. Filled by
 * volume/probe.h; strings and counts from a peer are bounded by the codec.
 */
#ifndef REHOST_WIRE_FACTS_H
#define REHOST_WIRE_FACTS_H

#include <stdint.h>

#define PROBE_MOUNTS_MAX 64
#define PROBE_SIGNATURES_MAX 64

enum volume_kind { VOLUME_BLOCK = 1, VOLUME_FILE = 2 };

struct mount_info {
	uint32_t major, minor; /* of the filesystem, mountinfo field 3 */
	uint32_t dev_major,
		dev_minor; /* of the block device (differs on btrfs) */
	char point[4096];  /* unescaped */
	char type[32];
	uint8_t readonly;
	uint8_t super_readonly; /* through whatever mount */
};

struct signature {
	uint64_t offset; /* bytes from the volume's start */
	uint64_t bytes;
	char name[32]; /* "ext4", "LVM2_member", "gpt", … */
};

struct volume_facts {
	uint32_t kind;	  /* enum volume_kind */
	char path[4096];  /* resolved */
	uint64_t size;	  /* bytes */
	uint32_t logical; /* logical block size; 1 for files */
	uint32_t physical;
	uint32_t major, minor; /* the device; for a file its filesystem's */
	uint64_t inode;	       /* of a file, else 0 */
	uint32_t disk_major, disk_minor; /* the whole disk of a partition */
	uint64_t disk_start;	/* bytes from the disk's start, partitions */
	uint64_t backing_inode; /* loop devices: the file below */
	uint32_t backing_major, backing_minor;
	char serial[128], wwn[128]; /* "" when unknown */
	char uuid[64];		    /* of the filesystem or partition table */
	char fstype[32];	    /* by libblkid; "" = none known */
	uint8_t readonly;
	uint8_t request_based; /* has a request queue (/sys/block/X/mq) */
	uint8_t removable;
	uint8_t zoned;
	uint8_t swap;	      /* in /proc/swaps */
	uint8_t multi_device; /* btrfs over several devices, md member … */
	uint8_t external_journal; /* ext4 journal, xfs log or rt elsewhere */
	uint8_t clean;		  /* unmounted cleanly, as far as can be seen */
	uint8_t empty;		  /* no signature, first and last MiB zero */
	uint8_t busy;		  /* O_EXCL open fails with EBUSY (block) */
	uint64_t written; /* bytes ever written to the device, by its stat */
	uint32_t writers; /* other processes that have it open for writing */
	char writer[64];  /* the first one */
	uint64_t holder_count; /* /sys/…/holders */
	char holder[128];      /* the first one's name */
	uint32_t n_mounts;     /* of this volume or of partitions on it */
	struct mount_info mounts[PROBE_MOUNTS_MAX];
	uint32_t n_partitions_mounted; /* partitions of this disk in use */
	uint32_t n_signatures;
	struct signature signatures[PROBE_SIGNATURES_MAX];
};

#endif
