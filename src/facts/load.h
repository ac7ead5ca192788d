/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's counters of load, as text. */
#ifndef REHOST_FACTS_LOAD_H
#define REHOST_FACTS_LOAD_H

#include <stdint.h>

#include "base/cleanup.h"

struct load_disk {
	char name[32];
	uint64_t reads, read_sectors, writes, write_sectors; /* of 512 bytes */
};

/* Reads one line of /proc/diskstats, which it changes. -EBADMSG when it is
 * none. */
int load_parse_disk(char *line, struct load_disk *ret) MUST_CHECK;

/* Reads "12.34" (one or two digits behind the point) in hundredths. -EBADMSG
 * when it is something else, or greater than a million. */
int load_parse_hundredths(const char *s, uint64_t *ret) MUST_CHECK;

#endif
