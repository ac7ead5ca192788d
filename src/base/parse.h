/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers as users and the kernel write them. Every function wants the whole
 * string, returns 0 or -EINVAL (-ERANGE when it does not fit), and sets *ret
 * only on success.
 */
#ifndef REHOST_BASE_PARSE_H
#define REHOST_BASE_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Decimal digits only: no sign, no space. */
int parse_u64(const char *s, uint64_t *ret) MUST_CHECK;

/* A size in bytes with an optional binary suffix K, M, G, T, P ("50M", "1.5G"
 * is refused). */
int parse_size(const char *s, uint64_t *ret) MUST_CHECK;

/* A duration: "500ms", "2s", "2", "5m", "1h"; a bare number is seconds.
 * *ret_ms in milliseconds. */
int parse_duration(const char *s, uint64_t *ret_ms) MUST_CHECK;

/* Whether s is a name of a move: [a-z0-9][a-z0-9._-]{0,62}. */
bool parse_is_name(const char *s);

/* Writes n bytes as 2n lower-case hex digits and a NUL to out. */
void parse_hex(const uint8_t *bytes, uint32_t n, char *out);

/* Reads exactly n bytes from 2n hex digits. */
int parse_unhex(const char *s, uint8_t *bytes, uint32_t n) MUST_CHECK;

#endif
