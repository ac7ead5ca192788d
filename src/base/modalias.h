/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which module answers to what a device calls itself: the patterns of
 * modules.alias as depmod(8) writes them (modules.dep(5)), and those of drivers
 * within the kernel, in modules.builtin.modinfo (Documentation/kbuild/kbuild,
 * "name.key=value", each with a NUL behind it).
 *
 *	alias pci:v00001AF4d00001001sv*sd*bc*sc*i* virtio_pci
 *	virtio_blk.alias=virtio:d00000002v*
 *
 * Names of modules, and aliases outside of brackets, are compared with '-' and
 * '_' taken for the same, as the kernel's tools do. Lines that make no sense
 * are left out.
 */
#ifndef REHOST_BASE_MODALIAS_H
#define REHOST_BASE_MODALIAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Bytes of a pattern, of a name, and of what a device is called, NUL within. */
#define MODALIAS_MAX 512

/* '-' becomes '_', but not between brackets, where it means a range. */
void modalias_normalize(char *s);

/* The length of a path without what stands behind ".ko" ("x.ko.xz"); 0 when no
 * module is called so. */
size_t modalias_plain_path(const char *path);

/* How many bytes a pattern begins with that stand for themselves. */
size_t modalias_literal(const char *pattern);

/* Whether a pattern (*, ?, [a-z], [!a-z], \) fits all of a text, as fnmatch(3)
 * without flags. Both are normalized. Every byte that is looked at is taken
 * away from *steps, at most the product of both lengths for a pattern without
 * brackets; with none left nothing fits. */
bool modalias_match(const char *pattern, const char *text, uint64_t *steps);

/* Walks through a text, which it changes and which has a NUL behind its n
 * bytes. */
struct modalias_reader {
	char *next, *end;
	bool modinfo; /* of modules.builtin.modinfo */
};

/* What was found; both are normalized, shorter than MODALIAS_MAX, and live as
 * long as the text. */
struct modalias {
	const char *pattern;
	const char *module;
};

void modalias_begin(
	struct modalias_reader *r, char *text, size_t n, bool modinfo);
bool modalias_next(struct modalias_reader *r, struct modalias *ret);

#endif
