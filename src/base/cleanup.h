/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Release of resources at the end of a scope, and handing them on.
 *
 *	CLEANUP_CLOSE int fd = open(...);
 *	CLEANUP_FREE char *name = strdup(...);
 *	...
 *	*ret_fd = STEAL_FD(fd);
 */
#ifndef REHOST_BASE_CLEANUP_H
#define REHOST_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_p(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close_p(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline int cleanup_steal_fd(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define CLEANUP_FREE CLEANUP(cleanup_free_p)
#define CLEANUP_CLOSE CLEANUP(cleanup_close_p)
#define STEAL_FD(fd) cleanup_steal_fd(&(fd))
#define STEAL_PTR(p)                                                           \
	({                                                                     \
		__typeof__(p) steal_ = (p);                                    \
		(p) = NULL;                                                    \
		steal_;                                                        \
	})

#define MUST_CHECK __attribute__((warn_unused_result))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define MIN(a, b)                                                              \
	({                                                                     \
		__typeof__(a) min_a = (a);                                     \
		__typeof__(b) min_b = (b);                                     \
		min_a < min_b ? min_a : min_b;                                 \
	})
#define MAX(a, b)                                                              \
	({                                                                     \
		__typeof__(a) max_a = (a);                                     \
		__typeof__(b) max_b = (b);                                     \
		max_a > max_b ? max_a : max_b;                                 \
	})

#endif
