/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds a rescue system: a kernel, and an archive of files for it that makes
 * any machine a target in memory. rehost-rescue(7) says what is in it and how
 * it behaves.
 */
#ifndef REHOST_RESCUE_RESCUE_H
#define REHOST_RESCUE_RESCUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "rescue/cmdline.h"
#include "rescue/init.h"

#define RESCUE_TEXT 256

/* What the user said; NULL or 0 where nothing. All strings are the caller's. */
struct rescue_options {
	const char *output;	     /* folder; made if it is not there */
	const char *kernel;	     /* file; the newest of /boot */
	const char *modules;	     /* folder; /lib/modules/VERSION */
	const char *authorized_keys; /* file; ~/.ssh/id_*.pub */
	const char *host_keys[INIT_HOST_KEYS_MAX]; /* files; a new one */
	uint32_t n_host_keys;
	const char *addresses[CMDLINE_ADDRESSES]; /* values of rehost.ip= */
	uint32_t n_addresses;
	const char *dns[CMDLINE_DNS];
	uint32_t n_dns;
	const char *append; /* more for the kernel's command line */
	bool no_media;	    /* no ISO and no disk image */
};

struct rescue_result {
	char version[RESCUE_TEXT];     /* of the kernel */
	char fingerprint[RESCUE_TEXT]; /* of the first host key */
	char cmdline[2048];	       /* for the kernel */
	uint32_t modules;	       /* how many */
	uint64_t kernel_bytes, initramfs_bytes;
	uint64_t module_bytes, other_bytes; /* unpacked */
};

/* Makes the files in the folder anew: kernel, initramfs, rescue.ipxe,
 * known_hosts, and with media rescue.iso and rescue.img. They take the places
 * of older ones together, when all are complete, or not at all: also when this
 * process is ended, after which nothing else is left behind. What holds the
 * host's private key can be read by its owner only. Runs programs of this
 * machine. */
int rescue_build(const struct rescue_options *o, struct rescue_result *ret,
	struct error *err) MUST_CHECK;

/* What of a rescue system does not depend on the machine, for a takeover: an
 * archive packed by zstd in fresh memory, of *ret_unpacked bytes. The machine's
 * own follows it (rescue/taken.h). Runs programs of this machine. */
int rescue_make_base(char **ret, size_t *ret_n, size_t *ret_unpacked,
	struct error *err) MUST_CHECK;

#endif
