/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume: bytes with a size. One file per kind (block.c, file.c).
 *
 * Reads and writes may be made by several threads at once; offsets and lengths
 * are multiples of the volume's alignment except at its end, buffers are
 * page-aligned. Blocks are read from the disk itself, never from the device's
 * page cache, which is not the filesystem's.
 */
#ifndef REHOST_VOLUME_VOLUME_H
#define REHOST_VOLUME_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "wire/facts.h"

struct volume;

struct volume_ops {
	/* Reads n bytes, all inside the volume. 0 or negative errno. */
	int (*read)(struct volume *v, void *buf, uint64_t n, uint64_t off);
	/* Writes n bytes. The buffer has room up to the next alignment. */
	int (*write)(struct volume *v, void *buf, uint64_t n, uint64_t off);
	/* Makes n bytes read as zeros; never a mere discard. */
	int (*zero)(struct volume *v, uint64_t n, uint64_t off);
	/* Waits until all that was written is on stable storage. */
	int (*flush)(struct volume *v);
};

struct volume {
	const struct volume_ops *ops;
	int fd;	       /* O_DIRECT where the kind wants it */
	uint64_t size; /* of the contents that are moved */
	uint32_t alignment;
	char path[4096];
};

/* Opens a source for reading. */
int volume_open_source(
	const struct volume_facts *f, struct volume *ret, struct error *err);

/* Opens a target of which the first size bytes are to be written: a block
 * device with O_EXCL, or a regular file, which gets exactly that size. */
int volume_open_target(const struct volume_facts *f, uint64_t size,
	struct volume *ret, struct error *err);

/* Could a file of this size be made there? -ENOSPC, or why the folder cannot be
 * used. */
int volume_room(const char *path, uint64_t size, struct error *err);

/* Makes an empty file for a target; -EEXIST when there is one, -ENOSPC when the
 * filesystem has no room for size bytes. */
int volume_create(const char *path, uint64_t size, struct error *err);

/* Opens a target that keeps nothing (sink.c): writes and flushes do nothing,
 * reads give zeros. */
void volume_open_sink(uint64_t size, struct volume *ret);

/* Closes; fine for a zeroed struct with fd -1. */
void volume_close(struct volume *v);

/* Kinds. */
extern const struct volume_ops volume_block_ops;
extern const struct volume_ops volume_file_ops;

#endif
