/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which kernel modules drive a device, and in which order they are loaded: a
 * reader of modules.dep and modules.alias as depmod(8) writes them
 * (modules.dep(5)). The builder uses it to choose, the rescue system to load.
 *
 *	kernel/drivers/net/virtio_net.ko: kernel/net/core/failover.ko
 *	alias virtio:d00000001v* virtio_net
 *
 * Names of modules, and aliases outside of brackets, are compared with '-' and
 * '_' taken for the same, as the kernel's tools do. Endings as in "x.ko.xz" are
 * no part of a name. Lines that make no sense are left out.
 */
#ifndef REHOST_RESCUE_MODULES_H
#define REHOST_RESCUE_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define MODULES_MAX 16384	 /* modules */
#define MODULES_ORDER 128	 /* modules that loading one may take */
#define MODULES_TEXT (16U << 20) /* bytes of each file */
#define MODULES_FILE (32U << 20) /* bytes of a module */
#define MODULES_ENDING ".zst"	 /* behind ".ko" in the rescue system */

struct modules;

/* Reads both texts, which it takes over and changes: each is fresh memory with
 * a NUL behind its n bytes, and is freed by modules_free, or at once when this
 * fails. 0, -ENOMEM, or -E2BIG. */
int modules_read(char *dep, size_t dep_n, char *alias, size_t alias_n,
	struct modules **ret) MUST_CHECK;
void modules_free(struct modules *m);

uint32_t modules_count(const struct modules *m);

/* The path of a module as modules.dep has it, and its name, with '_' only. */
const char *modules_path(const struct modules *m, uint32_t i);
const char *modules_name(const struct modules *m, uint32_t i);

/* The modules that answer to an alias ("pci:v00001AF4d…") or are called so. At
 * most max numbers go to ret, each once; returns how many. */
uint32_t modules_find(const struct modules *m, const char *alias, uint32_t *ret,
	uint32_t max);

/* What is to be loaded for module i, in this order; it comes last itself.
 * Returns how many (at most MODULES_ORDER), or -ENOENT when a dependency is not
 * there, -E2BIG when there are more. */
int modules_order(const struct modules *m, uint32_t i,
	uint32_t ret[MODULES_ORDER]) MUST_CHECK;

/* The two files anew for the modules with chosen[i], all of their paths with
 * the ending ".ko.zst". *ret is fresh memory. 0 or -ENOMEM. */
int modules_write_dep(const struct modules *m, const bool *chosen, char **ret,
	size_t *ret_n) MUST_CHECK;
int modules_write_alias(const struct modules *m, const bool *chosen, char **ret,
	size_t *ret_n) MUST_CHECK;

#endif
