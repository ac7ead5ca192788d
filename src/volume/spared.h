/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target of which some ranges are never written: what is written or made zero
 * there is dropped. An estimate writes its samples to such a one, so that the
 * disk afterwards is as empty, or as recognisable, as it was before. Threads as
 * for any volume; ranges are added before it is used.
 */
#ifndef REHOST_VOLUME_SPARED_H
#define REHOST_VOLUME_SPARED_H

#include "base/cleanup.h"
#include "volume/volume.h"
#include "wire/message.h"

/* Both ends, the signatures of both disks. */
#define SPARED_MAX (2 + 2 * PROBE_SIGNATURES_MAX)

struct spared {
	struct volume volume; /* what is to be written to */
	struct volume *on;
	uint32_t n;
	struct {
		uint64_t from, to;
	} v[SPARED_MAX];
};

/* on stays the caller's and must outlive it. Nothing is spared yet. */
void spared_init(struct spared *s, struct volume *on);

/* Spares a range, rounded to whole blocks of SIGNATURE_BLOCK; what lies behind
 * the volume's end does not matter. -E2BIG, -EOVERFLOW. */
int spared_add(struct spared *s, uint64_t from, uint64_t bytes) MUST_CHECK;

/* Spares what tells libblkid and us what a disk of this size is, wherever on
 * its ends that may be, and the signatures that it has. */
int spared_add_disk(struct spared *s, const struct volume_facts *f) MUST_CHECK;

/* The signature by which a disk has parts of its own: a partition table, or
 * that of a member of a volume group or an array; NULL: none. Where such parts
 * begin is not spared. */
const char *spared_parts(const struct volume_facts *f);

#endif
