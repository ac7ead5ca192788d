/* SPDX-License-Identifier: Apache-2.0 */
/* Finding among the "disks" of the facts, once they are gathered. */
#ifndef REHOST_FACTS_DISKS_H
#define REHOST_FACTS_DISKS_H

#include "facts/gather.h"

/* Which disk or partition is named by what stands in fstab, in crypttab or in
 * root=: "UUID=…", "/dev/mapper/a-b", "/dev/disk/by-label/x", … Its name, which
 * lives as long as the facts, or "". */
const char *disks_find(struct gather *g, const char *spec);

/* The disk of a device number ("8:1"), or NULL. */
json_t *disks_by_number(struct gather *g, const char *number);

/* The disk of a name ("sda1"), or NULL. */
json_t *disks_by_name(struct gather *g, const char *name);

#endif
