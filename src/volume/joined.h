/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several volumes as one, behind one another, for reading. Each begins at a
 * multiple of a step; what lies between the end of one and the beginning of the
 * next reads as zeros.
 */
#ifndef REHOST_VOLUME_JOINED_H
#define REHOST_VOLUME_JOINED_H

#include "volume/volume.h"

#define JOINED_MAX 64

struct joined {
	struct volume volume; /* all of them */
	uint32_t n;
	struct {
		struct volume volume;
		uint64_t start;
	} v[JOINED_MAX];
};

void joined_init(struct joined *j);

/* Opens one more source, which then begins at the next multiple of step, a
 * multiple of the page size. -E2BIG, -EOVERFLOW, and what volume_open_source
 * says. */
int joined_add(struct joined *j, const struct volume_facts *f, uint64_t step,
	struct error *err);

/* Closes all. */
void joined_close(struct joined *j);

#endif
