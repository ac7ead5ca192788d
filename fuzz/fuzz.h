/* SPDX-License-Identifier: Apache-2.0 */
/* What every fuzzer includes first. A fuzzer is one function over bytes; it is
 * linked with libFuzzer (meson option fuzz, script/fuzz), and with replay.c to
 * run stored inputs as an ordinary test. */
#ifndef REHOST_FUZZ_H
#define REHOST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define fuzz_check(c)                                                          \
	do {                                                                   \
		if (!(c)) {                                                    \
			(void)fprintf(stderr, "%s:%d: %s\n", __FILE__,         \
				__LINE__, #c);                                 \
			abort();                                               \
		}                                                              \
	} while (0)

static inline void *fuzz_alloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	fuzz_check(p);
	return p;
}

/* The input as a string of its own. */
static inline char *fuzz_text(const uint8_t *data, size_t n)
{
	char *s = fuzz_alloc(n + 1);

	memcpy(s, data, n);
	s[n] = '\0';
	return s;
}

#endif
