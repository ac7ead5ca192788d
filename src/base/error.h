/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One error: what failed, on which machine, why, and what to do next.
 *
 * It lives on the caller's stack, needs no memory, and is printed or stored
 * once, at a boundary (main, the report). Functions that the user must
 * understand take it as their last parameter and return its code:
 *
 *	if (fd < 0)
 *		return error_set(err, -errno, "open %s", path);
 *	...
 *	error_set(err, -EBUSY, "use %s as target", path);
 *	error_why(err, "it is mounted on %s", mount);
 *	return error_todo(err, "unmount it, or name another disk");
 *
 * All functions accept err == NULL. Not for sharing between threads.
 */
#ifndef REHOST_BASE_ERROR_H
#define REHOST_BASE_ERROR_H

struct error {
	int code;	/* negative errno; 0 means none */
	char host[128]; /* machine; "" means this one */
	char what[512]; /* what failed */
	char why[1024]; /* why */
	char todo[512]; /* what to do next; may be empty */
};

/* Starts an error. code is a negative errno and gives the default why.
 * Returns code. errno is preserved. */
int error_set(struct error *err, int code, const char *what, ...)
	__attribute__((format(printf, 3, 4)));

/* Replaces the reason. Returns err's code (-EINVAL when err is NULL). */
int error_why(struct error *err, const char *why, ...)
	__attribute__((format(printf, 2, 3)));

/* Adds the advice. Returns err's code (-EINVAL when err is NULL). */
int error_todo(struct error *err, const char *todo, ...)
	__attribute__((format(printf, 2, 3)));

/* Says on which machine. Returns err's code (-EINVAL when err is NULL). */
int error_host(struct error *err, const char *host);

/* Writes "host: cannot WHAT: WHY (do: TODO)" as one line into buf, control
 * characters made visible; returns buf. */
const char *error_text(const struct error *err, char *buf, unsigned long size);

#endif
