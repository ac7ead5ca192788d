/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of src/facts share while they gather: bounded reading below
 * one root, and setting JSON from bytes that nobody vouches for.
 *
 * No function here fails for what the machine holds: what is too large, not
 * readable or makes no sense is left out and named in "missing".
 */
#ifndef REHOST_FACTS_GATHER_H
#define REHOST_FACTS_GATHER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "facts/facts.h"

/* Greatest file that is read whole, unless a function says otherwise. */
#define GATHER_TEXT_MAX (256U * 1024)
/* Greatest number of elements in any list of the facts. */
#define GATHER_LIST_MAX 16384

struct watch;

struct gather {
	int root_fd;
	bool live; /* root is "/": the running kernel may be asked */
	bool oom;  /* some json could not be made */
	json_t *top;
	json_t *missing;
	unsigned sample_ms;	       /* as for facts_gather */
	const char *const *modaliases; /* the same */
	struct watch *watch;	       /* who sees that we hang; NULL: nobody */
};

/* Tells whoever watches what is looked at from here on, and how long that may
 * take beyond what is usual. False when it hung before: it must be left out,
 * and is named in "missing" already. All functions below that take a path do
 * this.
 */
bool gather_step(struct gather *g, const char *what, uint64_t may_ms);

/* Adds to "missing": what could not be told, and why (formatted). */
void gather_missing(struct gather *g, const char *what, const char *why, ...)
	__attribute__((format(printf, 3, 4)));

/* Opens a file or folder below the root (openat2(2), RESOLVE_IN_ROOT, so
 * absolute symbolic links stay inside; never a FIFO, socket or device). flags
 * as for open(2). A descriptor or negative errno; -ETIMEDOUT when it hung. */
int gather_open(struct gather *g, const char *path, int flags) MUST_CHECK;

/* Whether it can be opened so. */
bool gather_exists(struct gather *g, const char *path, int flags);

/* Reads a file whole, NUL behind it, up to max bytes; the caller frees *ret.
 * ret_n may be NULL. -E2BIG when it is larger (and that is named in "missing"),
 * -ENOENT and other negative errno else: -ENOENT is not named, all others
 * are. */
int gather_read(struct gather *g, const char *path, size_t max, char **ret,
	size_t *ret_n) MUST_CHECK;

/* The same for one small attribute of /sys or /proc: the first line without its
 * newline and without spaces around, or "" when there is none. Returns buf. */
const char *gather_line(
	struct gather *g, const char *path, char *buf, size_t size);

/* As gather_line, as a number; false when it is none. */
bool gather_number(struct gather *g, const char *path, uint64_t *ret);

/* The last component of what a symbolic link points at, or "". */
const char *gather_link(
	struct gather *g, const char *path, char *buf, size_t size);

/* Calls fn for each name in a folder, sorted, without those that begin with a
 * dot; at most GATHER_LIST_MAX. A folder that is not there has none. */
void gather_each(struct gather *g, const char *path,
	void (*fn)(struct gather *g, const char *path, const char *name,
		void *arg),
	void *arg);

/* The next line of a text: terminates it, moves *text behind it; NULL at the
 * end. */
char *gather_next_line(char **text);

/* The next word of a line (blanks and tabs between), as gather_next_line. */
char *gather_next_word(char **line);

/* A new JSON string of n bytes of anything: valid UTF-8 without control
 * characters is taken as it is, other bytes and backslashes as \xNN. Cut at 4
 * KiB, with "…" behind it. */
json_t *gather_string(struct gather *g, const char *s, size_t n);

/* Sets a key of an object, unless the value is "" (text) or NULL (json, which
 * is taken over). */
void gather_set(
	struct gather *g, json_t *object, const char *key, const char *text);
void gather_set_number(
	struct gather *g, json_t *object, const char *key, uint64_t value);
void gather_set_bool(
	struct gather *g, json_t *object, const char *key, bool value);
void gather_set_json(
	struct gather *g, json_t *object, const char *key, json_t *value);

/* The same for a list or object, unless there is nothing in it. */
void gather_set_filled(
	struct gather *g, json_t *object, const char *key, json_t *value);

/* Adds to a list (taken over); what exceeds GATHER_LIST_MAX is dropped, and
 * named. */
void gather_add(struct gather *g, json_t *list, json_t *value);

/* New ones; NULL on out of memory, which all functions above take. */
json_t *gather_object(struct gather *g);
json_t *gather_list(struct gather *g);

/* One file each: sets its keys of g->top. */
void gather_system(struct gather *g);	   /* "system", "memory" */
void gather_hardware(struct gather *g);	   /* "devices" */
void gather_disks(struct gather *g);	   /* "disks" */
void gather_filesystems(struct gather *g); /* "filesystems", "swap", "fstab",
					      "crypttab" */
void gather_boot(struct gather *g);	   /* "boot" */
void gather_initramfs(struct gather *g);   /* "kernels" */
void gather_network(struct gather *g);	   /* "network" */
void gather_services(struct gather *g);	   /* "services" */
void gather_ports(struct gather *g);	   /* "ports" */
void gather_databases(struct gather *g);   /* "databases", needs "ports" */
void gather_load(struct gather *g, unsigned sample_ms); /* "load" */
/* "drivers", needs "kernels"; modaliases as for facts_gather */
void gather_drivers(struct gather *g, const char *const *modaliases);

#endif
