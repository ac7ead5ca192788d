/* SPDX-License-Identifier: Apache-2.0 */
/* Names of devices in the files of a moved system, and what they are called
 * on every machine: the filesystems of a wish (fixup.h). */
#ifndef REHOST_FIXUP_DEVICES_H
#define REHOST_FIXUP_DEVICES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define DEVICES_NAME_MAX 512

enum devices_kind {
	DEVICES_NONE,	 /* names no device: a network filesystem, tmpfs */
	DEVICES_STABLE,	 /* names one that moves, by what another machine has */
	DEVICES_RENAMED, /* names one that moves, but as only the source has it
			  */
	DEVICES_UNKNOWN, /* names one that does not move, or nobody knows */
};

/* What a word of fstab (or root=) means. Of one that moves *ret is its entry
 * (NULL when it is stable, and nobody can tell). */
enum devices_kind devices_find(
	const json_t *wish, const char *spec, const json_t **ret);

/* What an entry is called everywhere: its logical volume, "UUID=…" or
 * "PARTUUID=…". False when it has none of these. */
bool devices_name(const json_t *entry, char ret[DEVICES_NAME_MAX]);

/* The entry that was mounted there, or NULL. */
const json_t *devices_mounted(const json_t *wish, const char *mount);

#endif
