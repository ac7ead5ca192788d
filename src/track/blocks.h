/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single blocks of volumes, read and written past every cache (O_DIRECT and
 * O_SYNC): what the signature fence removes and puts back. No threads.
 */
#ifndef REHOST_TRACK_BLOCKS_H
#define REHOST_TRACK_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "track/maps.h"

/* Reads the blocks that what names, each inside one of the volumes of s and at
 * most SIGNATURE_BLOCK long, into ret, which has room for as many. */
int blocks_read(const struct maps_shared *s, const struct msg_commit *what,
	struct msg_block *ret, struct error *err);

/* Writes blocks, each inside a volume; zero writes zeros over them instead of
 * their content. */
int blocks_write(const struct maps_shared *s, const struct msg_block *v,
	uint32_t n, bool zero, struct error *err);

/* Writes a block back if it was removed, as a whole or in part; one in which
 * anything else is, is newer. */
int blocks_put_back(const struct maps_shared *s, const struct msg_block *b,
	struct error *err);

#endif
