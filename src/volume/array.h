/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays of the md driver: what one is made of, from sysfs
 * (Documentation/admin-guide/md.rst), and putting one together again without
 * the programs that made it, by the driver itself (linux/raid/md_u.h;
 * drivers/md/md.c of the Linux source). There the metadata on the members
 * decides everything but which these are.
 */
#ifndef REHOST_VOLUME_ARRAY_H
#define REHOST_VOLUME_ARRAY_H

#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "wire/message.h"

struct array {
	char name[64];	/* "md0" */
	uint32_t minor; /* of its metadata: 0, 1 or 2 for "1.0" to "1.2" */
	uint32_t n;	/* members, spares among them */
	dev_t v[MEMBERS_MAX]; /* their devices */
};

/* Reads what the array dev is made of; sys is "/sys" but in tests. Refuses,
 * with the reason, what array_make could not make of copies of its members:
 * -EOPNOTSUPP for metadata of other kinds and for an array that lacks members.
 */
int array_read(const char *sys, dev_t dev, struct array *ret,
	struct error *err) MUST_CHECK;

/* Puts one together of these block devices, and starts it; all its members must
 * be there and in their places. number (below ARRAYS_MAX) tells several apart.
 * ret is the path of its device. On failure nothing of it is left. */
int array_make(uint32_t number, uint32_t minor, const char *const *members,
	uint32_t n, char ret[64], struct error *err) MUST_CHECK;

/* Stops those that array_make made, of this process or others, so that they are
 * clean for who finds them next. The kernel's driver is not loaded for this. */
int array_stop_all(struct error *err) MUST_CHECK;

#endif
