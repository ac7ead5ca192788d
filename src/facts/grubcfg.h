/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What boot loaders are told to boot: grub.cfg of GRUB 2 (GRUB manual, "Writing
 * your own configuration file"), menu.lst of GRUB before it, extlinux.conf
 * (SYSLINUX), and entries of the Boot Loader Specification.
 *
 * It is a reader of entries, no shell: variables are not followed, and what
 * stands in both branches of an if is taken from the first.
 */
#ifndef REHOST_FACTS_GRUBCFG_H
#define REHOST_FACTS_GRUBCFG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

#define GRUBCFG_ITEMS_MAX 256

/* Texts are "" when there is none. */
struct grubcfg_item {
	const char *title, *id;
	const char *kernel, *initrd, *args;
	int parent; /* the submenu that it is in, or -1 */
	int index;  /* among those of the same submenu */
	bool menu;
};

struct grubcfg {
	int n;
	struct grubcfg_item items[GRUBCFG_ITEMS_MAX];
	char preset[256]; /* what is booted by default, "" when not said */
	bool saved;	  /* the environment block says it */
	bool bls;	  /* entries are in loader/entries */
	bool cut;	  /* it has more than was taken */
};

/* Reads grub.cfg. Texts of items point into text, which is changed. */
void grubcfg_read(char *text, struct grubcfg *ret);

/* The same for menu.lst and extlinux.conf. */
void grubcfg_read_legacy(char *text, struct grubcfg *ret);
void grubcfg_read_extlinux(char *text, struct grubcfg *ret);

/* Reads one entry of the Boot Loader Specification. */
void grubcfg_read_bls(char *text, struct grubcfg_item *ret);

/* Finds what a name of a default ("0", "1>2", "a title", an id) leads to: an
 * item that is no menu, or NULL. What leads nowhere is the first, as GRUB has
 * it. */
const struct grubcfg_item *grubcfg_default(
	const struct grubcfg *c, const char *preset);

/* Finds a variable in grubenv; its value is copied to buf, else "". */
const char *grubcfg_env(
	const char *text, const char *name, char *buf, size_t size);

#endif
