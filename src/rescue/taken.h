/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rescue system takes from the machine that it takes over: the kernel
 * and its modules, the host keys, who may log in. The agent makes an archive of
 * it there, which follows that of the controller (several archives in a row
 * make one, Documentation/driver-api/early-userspace/buffer-format), so the
 * private keys never leave the machine. Nothing is changed. One thread.
 */
#ifndef REHOST_RESCUE_TAKEN_H
#define REHOST_RESCUE_TAKEN_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "rescue/kernel.h"

struct taken_options {
	const char *root;    /* "" in life; a folder in tests */
	const char *running; /* version of the kernel that runs */
	const char *user;    /* who logged in; "root" */
	const char *keys;    /* further lines of authorized_keys */
	const char *offered; /* public keys that are looked for among them */
};

struct taken {
	char version[KERNEL_VERSION];
	char kernel[512]; /* its path */
	int kernel_fd;	  /* read only; the caller's */
	char *archive;	  /* the caller's, fresh memory */
	size_t archive_n;
	uint32_t modules, host_keys;
	unsigned logins, logins_left; /* lines of authorized_keys */
	unsigned known;		      /* of the offered keys */
};

/* Errors, all before anything was kept: no kernel whose modules are there, no
 * host key that the rescue system can use, nobody who could log in. */
int taken_make(const struct taken_options *o, struct taken *ret,
	struct error *err) MUST_CHECK;

#endif
