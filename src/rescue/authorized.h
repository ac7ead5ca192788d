/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a machine's sshd holds in its rescue system, which has dropbear: keys
 * of authorized_keys(5) (sshd(8), AUTHORIZED_KEYS FILE FORMAT) and options of
 * sshd_config(5). No memory, no threads.
 */
#ifndef REHOST_RESCUE_AUTHORIZED_H
#define REHOST_RESCUE_AUTHORIZED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Whether a line of authorized_keys lets somebody in who may do everything:
 * it has a key of a type that dropbear takes, and no options but those that
 * take nothing from a command ("restrict", "no-pty" and the like). A line with
 * another option would mean less or more there than it does now. */
bool authorized_is_usable(const char *line);

/* Writes the usable lines of a text to f. *ret_left grows by the number of
 * other lines that are neither empty nor comments. Returns how many it wrote.
 */
unsigned authorized_filter(const char *text, FILE *f, unsigned *ret_left);

/* How many of the keys of one text of such lines are in another one. */
unsigned authorized_count(const char *kept, const char *offered);

/* Whether all lines of an option hold (in lower case); of others the first
 * does. */
bool authorized_adds_up(const char *key);

/* The next word that an option has in the text of an sshd_config: of the lines
 * of this key (in lower case) that hold, above any Match. *at is the state, 0
 * at first. false when there is none left, or it does not fit. */
bool authorized_option(
	const char *text, const char *key, size_t *at, char *ret, size_t size);

#endif
