/* SPDX-License-Identifier: Apache-2.0 */
/* Checking a wish (fixup.h) before anything is done: what is in it comes from
 * the facts of a machine that nobody vouches for, and ends up in its files. */
#ifndef REHOST_FIXUP_WISH_H
#define REHOST_FIXUP_WISH_H

#include <jansson.h>

#include "base/cleanup.h"
#include "base/error.h"

/* -EINVAL when a key has another type, a text has control characters, blanks
 * or quotes where its place does not allow them, or an address is none. What is
 * not known is passed over. */
int wish_check(const json_t *wish, struct error *err) MUST_CHECK;

#endif
