/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine is, as one JSON object; rehost-facts(5) documents every key.
 * The agent gathers it, the controller reads it. It is read from /proc, /sys,
 * netlink, ioctls and the files themselves: no program of the machine is
 * needed, but for decompressing an initramfs that is not zstd.
 */
#ifndef REHOST_FACTS_FACTS_H
#define REHOST_FACTS_FACTS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"

#define FACTS_SCHEMA 1

/* Greatest text of facts that is made or taken. */
#define FACTS_MAX (4U * 1024 * 1024)

/* Gathers all facts. root is "/" for the machine that this runs on, or a folder
 * that holds the tree of another one: then only what files tell is there, and
 * the kernel's own state (/proc, /sys, netlink) is read from the tree's copies,
 * if it has them. Rates are taken over sample_ms (0: none). modaliases are the
 * controllers of another machine, with a NULL behind them: "drivers" then tells
 * what of this machine's kernel drives each; NULL for none. The caller owns
 * *ret. What cannot be read is named in "missing", also what does not answer
 * (facts/watch.h); this fails only with -ENOMEM, or when root cannot be opened.
 * Not for several threads at once. */
int facts_gather(const char *root, unsigned sample_ms,
	const char *const *modaliases, json_t **ret,
	struct error *err) MUST_CHECK;

/* ---- looking into facts ---- */

/* Facts come from machines that nobody vouches for: what is absent, none, or of
 * another type than the manual says, counts as not known. */

/* What stands at a path of keys ("system.kernel.release"; "" is j itself), or
 * NULL. Keys of a machine's own choice may have dots in them: not for those. */
const json_t *facts_at(const json_t *j, const char *path);

/* A text, or "". */
const char *facts_text(const json_t *j, const char *path);

/* The object of a list ("disks", "network.interfaces") that has that name, or
 * NULL; "" is the name of none. */
const json_t *facts_named(const json_t *list, const char *name);

/* The one of "kernels" that boots next: the boot loader's default, else the one
 * that runs, else the last, which is the newest as far as names tell; NULL when
 * there is none. */
json_t *facts_kernel(const json_t *facts);

#endif
