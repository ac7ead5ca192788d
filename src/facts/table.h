/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partition tables as they lie on a disk, for kernels that have no parser and
 * for what the kernel does not tell: GPT (UEFI Specification 2.10, chapter 5)
 * and MBR with its chains of extended partitions.
 *
 * Every byte of the disk may be hostile: reads and numbers of partitions are
 * bounded, and a chain that comes back to itself is noticed.
 */
#ifndef REHOST_FACTS_TABLE_H
#define REHOST_FACTS_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

#define TABLE_PARTS_MAX 256

enum table_kind { TABLE_NONE, TABLE_GPT, TABLE_DOS };
enum table_code { TABLE_CODE_NONE, TABLE_CODE_GRUB, TABLE_CODE_OTHER };

struct table_part {
	uint32_t number;      /* as the kernel numbers it */
	uint64_t start, size; /* bytes */
	char type[40];	      /* a UUID, or "0x83" */
	char uuid[40];
	char name[36 * 3 + 1]; /* GPT: UTF-8, a broken character is U+FFFD */
	uint64_t flags;	       /* GPT: the attributes; MBR: 0x80 or 0 */
};

struct table {
	enum table_kind kind;
	enum table_code code; /* what the BIOS would run */
	char id[40];
	const char *error; /* NULL, or what is wrong with it */
	uint32_t n;
	struct table_part parts[TABLE_PARTS_MAX];
};

/* Reads n bytes at off, which lie within the size. 0 or negative errno. */
typedef int table_read_fn(void *arg, void *buf, size_t n, uint64_t off);

/* Reads the table of a disk of size bytes with logical blocks of sector bytes.
 * A broken table is told in error, with the partitions that could be read. 0,
 * -EINVAL when sector is none, or what fn returned. Large: allocate ret. */
int table_read(table_read_fn *fn, void *arg, uint64_t size, uint32_t sector,
	struct table *ret) MUST_CHECK;

/* A table_read_fn for a descriptor: arg is an int *. */
int table_read_fd(void *arg, void *buf, size_t n, uint64_t off);

/* The CRC of IEEE 802.3, as zlib has it and a GPT needs it. */
uint32_t table_crc32(const uint8_t *p, size_t n);

#endif
