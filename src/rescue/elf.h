/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which libraries a program needs: a reader of ELF files (64 bits, little
 * endian; see elf(5)) that believes nothing. It runs no program, as ldd(1)
 * would.
 */
#ifndef REHOST_RESCUE_ELF_H
#define REHOST_RESCUE_ELF_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define ELF_NAME 128
#define ELF_NEEDED 32

struct elf_needs {
	uint16_t machine;      /* EM_X86_64 … */
	char loader[ELF_NAME]; /* path of the dynamic loader, or "" */
	uint32_t n;	       /* libraries, by name */
	char needed[ELF_NEEDED][ELF_NAME];
};

/* Reads what the n bytes of a program or library need. 0; -ENOEXEC when it is
 * none; -EBADMSG when it contradicts itself; -E2BIG when it needs more, or
 * longer names, than fit. */
int elf_read(const void *bytes, size_t n, struct elf_needs *ret) MUST_CHECK;

#endif
