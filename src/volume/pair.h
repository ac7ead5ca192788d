/* SPDX-License-Identifier: Apache-2.0 */
/* Two volumes, source and target: what each says about the other. */
#ifndef REHOST_VOLUME_PAIR_H
#define REHOST_VOLUME_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/facts.h"
#include "wire/message.h"

/* Do both share bytes: one device under two names, parts of it, or storage that
 * two hosts see? same_host: they were found on one. */
bool pair_is_same(const struct volume_facts *a, const struct volume_facts *b,
	bool same_host);

/* Adds to ret the blocks of a source that carry its signatures, and that a
 * target withholds; start is where the volume begins among all that move. false
 * when there are more than can be kept. */
bool pair_withhold(
	const struct volume_facts *f, uint64_t start, struct msg_commit *ret);

#endif
