/* SPDX-License-Identifier: Apache-2.0 */
/* Running programs, as /proc shows them. A process may end at any moment, and
 * its names are its own: what cannot be told is "". */
#ifndef REHOST_FACTS_PROCESS_H
#define REHOST_FACTS_PROCESS_H

#include <stddef.h>
#include <stdint.h>

#define PROCESS_TEXT 256

struct gather;

/* The numbers of up to 32768 processes in order, but 1 last: it holds sockets
 * for services that are more worth naming. The caller frees the list, which is
 * NULL when there is none. */
uint32_t *process_list(struct gather *g, size_t *ret_n);

/* Its short name (comm). Returns buf. */
const char *process_program(
	struct gather *g, uint32_t pid, char *buf, size_t size);

/* What its link exe or cwd points at, without " (deleted)". Returns buf. */
const char *process_link(struct gather *g, uint32_t pid, const char *link,
	char *buf, size_t size);

/* The unit of systemd (or scope) that it runs in. Returns buf. */
const char *process_service(
	struct gather *g, uint32_t pid, char *buf, size_t size);

/* Seconds from the kernel's start to its own; negative errno. */
int64_t process_started(struct gather *g, uint32_t pid);

/* The unit in the text of /proc/PID/cgroup (see cgroups(7)), which it changes.
 * Returns buf. */
const char *process_parse_cgroup(char *text, char *buf, size_t size);

#endif
