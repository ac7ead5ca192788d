/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the kernel's command line stands in the files of boot loaders, and in
 * those that they are made from: grub.cfg and grubenv of GRUB 2, menu.lst of
 * GRUB before it, entries of the Boot Loader Specification, extlinux.conf and
 * syslinux.cfg, /etc/default/grub, /etc/kernel/cmdline.
 *
 * As facts/grubcfg.h it follows no variables.
 */
#ifndef REHOST_FIXUP_KERNELARGS_H
#define REHOST_FIXUP_KERNELARGS_H

#include "fixup/unit.h"

enum kernelargs_kind {
	KERNELARGS_GRUB,
	KERNELARGS_GRUBENV,
	KERNELARGS_LEGACY,
	KERNELARGS_BLS,
	KERNELARGS_EXTLINUX,
	KERNELARGS_DEFAULT, /* /etc/default/grub */
	KERNELARGS_PLAIN,   /* the file is a command line */
	KERNELARGS_KINDS
};

struct kernelargs_fn {
	/* Writes what the command line shall be to out, and says in "said" what
	 * differs. whole: it is one that a kernel gets, not a part of one, so
	 * that what is missing may be added. 0 or, with u->err set, negative.
	 */
	int (*rewrite)(struct unit *u, const char *args, bool whole,
		struct edit *out, struct edit *said, void *arg);
	void *arg;
	unsigned found; /* how many files a kernel is booted with */
};

/* Rewrites all command lines of a text. */
int kernelargs_rewrite(struct unit *u, enum kernelargs_kind kind,
	const char *text, struct edit *out,
	struct kernelargs_fn *fn) MUST_CHECK;

/* Rewrites all command lines of the moved system. */
int kernelargs_rewrite_all(struct unit *u, struct kernelargs_fn *fn) MUST_CHECK;

#endif
