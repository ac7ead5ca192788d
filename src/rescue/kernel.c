/* SPDX-License-Identifier: Apache-2.0 */
#include "rescue/kernel.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#define MAGIC 0x202
#define POINTER 0x20e
#define BASE 0x200 /* what the pointer counts from */

int kernel_read_version(const void *bytes, size_t n, char ret[KERNEL_VERSION])
{
	const uint8_t *b = bytes;
	size_t at, length = 0;

	if (n < POINTER + 2 || memcmp(b + MAGIC, "HdrS", 4) != 0)
		return -ENOEXEC;
	at = (size_t)b[POINTER] + ((size_t)b[POINTER + 1] << 8);
	if (at == 0)
		return -ENOEXEC;
	/* Up to a space: who built it comes behind. */
	for (at += BASE; at + length < n && b[at + length] > ' '; length++)
		if (length == KERNEL_VERSION - 1 || b[at + length] > '~' ||
			b[at + length] == '/')
			return -ENOEXEC;
	if (length == 0 || at + length >= n || b[at] == '.')
		return -ENOEXEC;
	memcpy(ret, b + at, length);
	ret[length] = '\0';
	return 0;
}
