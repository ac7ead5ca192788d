/* SPDX-License-Identifier: Apache-2.0 */
/* Child programs that are spoken to over standard input and output. Only ssh.c
 * uses it. */
#ifndef REHOST_LINK_CHILD_H
#define REHOST_LINK_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child {
	pid_t pid;
	int socket; /* its standard input and output; blocking */
	int errors; /* its standard error; non-blocking */
};

/* Starts a program: from fd (its only name then is argv[0]) or, when fd < 0,
 * argv[0] looked up in PATH. It stays in the terminal's foreground and starts
 * with SIGINT and SIGHUP ignored and blocked; all other signals are at their
 * defaults. 0, or negative
 * errno, that of exec included. May be called beside other threads. */
int child_start(int fd, char *const argv[], struct child *ret);

/* Waits up to ms for its end. True, and *ret_status as of waitpid(2), when it
 * has ended (status 0 when somebody else took it). */
bool child_wait(pid_t pid, unsigned ms, int *ret_status);

/* Ends it: SIGTERM, so that a program which asks for a password can put the
 * terminal right, then SIGKILL. */
void child_kill(pid_t pid);

/* A memory file with these bytes from which programs can be run, sealed;
 * or negative errno. */
int child_memory_program(const char *name, const void *bytes, size_t n);

#endif
