/* SPDX-License-Identifier: Apache-2.0 */
/* Whole reads and writes, small kernel files, random bytes. */
#ifndef REHOST_BASE_IO_H
#define REHOST_BASE_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

/* Writes all n bytes to a blocking descriptor. 0 or negative errno. */
int io_write_all(int fd, const void *buf, size_t n) MUST_CHECK;

/* Reads exactly n bytes. 0, negative errno, or -EPIPE at an early end. */
int io_read_all(int fd, void *buf, size_t n) MUST_CHECK;

/* pread of up to n bytes, short only at the end of the file; returns the count
 * or negative errno. */
ssize_t io_pread_all(int fd, void *buf, size_t n, uint64_t off) MUST_CHECK;

/* pwrite of all n bytes. 0 or negative errno. */
int io_pwrite_all(int fd, const void *buf, size_t n, uint64_t off) MUST_CHECK;

/* Reads a small file (of /proc or /sys) whole, cuts one trailing newline and
 * terminates it. Returns its length, -E2BIG when it does not fit, or negative
 * errno. dirfd as for openat(2). */
ssize_t io_read_file(
	int dirfd, const char *path, char *buf, size_t size) MUST_CHECK;

/* Writes text to an existing small file in one write. 0 or negative errno. */
int io_write_file(int dirfd, const char *path, const char *text) MUST_CHECK;

/* Reads what is left of fd into fresh memory (NUL behind it), at most max
 * bytes. The caller frees *ret; ret_n may be NULL. 0, -E2BIG or negative errno.
 */
int io_read_whole(int fd, size_t max, char **ret, size_t *ret_n) MUST_CHECK;

/* Reads all of a file into fresh memory (NUL behind it), at most max bytes.
 * The caller frees *ret. 0, -E2BIG or negative errno. */
int io_slurp(
	const char *path, size_t max, char **ret, size_t *ret_n) MUST_CHECK;

/* Fills buf from the kernel's random source; aborts when there is none. */
void io_random(void *buf, size_t n);

/* As fork(2); the child is killed when the calling thread ends, also when that
 * happens before the child first runs. */
pid_t io_fork(void);

/* Sets or clears O_NONBLOCK. 0 or negative errno. */
int io_set_nonblock(int fd, int on) MUST_CHECK;

/* Makes the name of a new file durable: fsync(2) of the folder that it is in.
 * 0 or negative errno. */
int io_sync_folder(const char *path) MUST_CHECK;

/* The machine's boot id (36 characters); "" when it cannot be read. */
#define IO_BOOT_ID_SIZE 40
void io_boot_id(char buf[IO_BOOT_ID_SIZE]);

#endif
