/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several volumes as one, behind one another: the disks of a machine, or a
 * single volume. Each begins at a multiple of JOINED_STEP; what lies between
 * the end of one and the beginning of the next reads as zeros, and what is
 * written there is dropped. Threads as for any volume.
 */
#ifndef REHOST_VOLUME_JOINED_H
#define REHOST_VOLUME_JOINED_H

#include "volume/volume.h"

#define JOINED_MAX 64
/* A multiple of every granule of the maps, so that no granule lies in two. */
#define JOINED_STEP (256 * 1024)

struct joined {
	struct volume volume; /* all of them */
	uint32_t n;
	struct {
		struct volume volume;
		uint64_t start;
	} v[JOINED_MAX];
};

void joined_init(struct joined *j);

/* Where the next one will begin. */
uint64_t joined_next(uint64_t size);

/* Opens one more, behind the others: a source for reading, or a target of which
 * size bytes are written. -E2BIG, -EOVERFLOW, and what volume_open_source and
 * volume_open_target say. */
int joined_add_source(
	struct joined *j, const struct volume_facts *f, struct error *err);
int joined_add_target(struct joined *j, const struct volume_facts *f,
	uint64_t size, struct error *err);

/* Closes all. */
void joined_close(struct joined *j);

#endif
