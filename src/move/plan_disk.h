/* SPDX-License-Identifier: Apache-2.0 */
/* Disks as facts tell of them, for making and checking plans. Facts come from
 * another machine: every value may be missing or of another type. */
#ifndef REHOST_MOVE_PLAN_DISK_H
#define REHOST_MOVE_PLAN_DISK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "facts/facts.h"

uint64_t plan_disk_size(const json_t *disk);

/* Whether there is no more of disks and filesystems than on any real machine.
 * Everything here looks through all of them, some of it for each. */
bool plan_disk_can_count(const json_t *facts);

/* A disk that a volume can be: with a name, an id and a size, no partition,
 * nothing that lies on others, and no single path of a multipath disk. */
bool plan_disk_is_whole(const json_t *facts, const json_t *disk);

/* Its id where that is a serial or WWN which no other disk has, else its name.
 */
const char *plan_disk_key(const json_t *facts, const json_t *disk);

/* What is written to have what is on it destroyed: its id; "NAME/ID" where
 * another disk has the same one, as copies of a disk have. The caller frees it;
 * NULL when out of memory. */
char *plan_disk_overwrite(const json_t *facts, const json_t *disk);

/* By what a disk comes over the network ("NBD"), or NULL. */
const char *plan_disk_elsewhere(const json_t *facts, const json_t *disk);

/* Whether a partition table or anything that blkid knows is on it. */
bool plan_disk_is_empty(const json_t *disk);

/* The names of the disk and of all that lies on it, as keys of a new object;
 * NULL when out of memory. */
json_t *plan_disk_tree(const json_t *facts, const json_t *disk);

/* Writes why the disk cannot be a target ("is mounted on /mnt"); false when
 * nothing speaks against it, and nothing is written. */
bool plan_disk_unfit(const json_t *facts, const json_t *disk, FILE *f);

/* Writes one line for people: name, size, model, what it holds. */
void plan_disk_describe(const json_t *facts, const json_t *disk, FILE *f);

/* Writes "10 GiB". */
void plan_disk_put_size(FILE *f, uint64_t bytes);

#endif
