/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REHOST_FACTS_DATABASES_H
#define REHOST_FACTS_DATABASES_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/* The version of the program that wrote a dump, from the first bytes of Redis'
 * dump.rdb ("REDIS0011", then pairs of texts of which "redis-ver" is the
 * first). -EBADMSG when there is none. */
int databases_rdb_version(
	const uint8_t *bytes, size_t n, char *buf, size_t size) MUST_CHECK;

#endif
