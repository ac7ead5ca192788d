/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of fstab(5) and crypttab(5). */
#ifndef REHOST_FACTS_FSTAB_H
#define REHOST_FACTS_FSTAB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

/* A longer line is nobody's. */
#define FSTAB_LINE_MAX 8192

struct fstab_reader {
	char *at;
	unsigned line;	     /* the number of the last one, from 1 */
	unsigned unreadable; /* lines with too few words, or too long */
	unsigned first_unreadable;
};

struct fstab_entry {
	const char *spec, *mount, *type, *options;
	unsigned pass;
};

struct fstab_crypt {
	const char *name, *device, *key, *options; /* the last two may be "" */
};

/* Begins to read a text, which is changed, and which must outlive what is read
 * from it. */
void fstab_begin(struct fstab_reader *r, char *text);

/* The next line that says something; words are unescaped. False at the end. */
bool fstab_next(struct fstab_reader *r, struct fstab_entry *ret);
bool fstab_next_crypt(struct fstab_reader *r, struct fstab_crypt *ret);

/* Whether an option stands in a list of them, also with a value. */
bool fstab_has_option(const char *options, const char *name);

/* How a word of fstab (or root=) names what it means, as in rehost-facts(5):
 * "uuid", "label", "partuuid", "partlabel", "lvm", "mapper", "path",
 * "unstable" or "other". */
const char *fstab_names(const char *spec);

#endif
