/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernel modules a machine may need, out of the thousands. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/modalias.h"
#include "rescue/content.h"
#include "rescue/modules.h"
#include "rescue/program.h"

/* Beginnings of paths: folders end with a slash, single modules with a dot. */
static const char *const wanted[] = {
	/* disks and their controllers */
	"kernel/drivers/ata/",
	"kernel/drivers/block/loop.",
	"kernel/drivers/block/nbd.",
	"kernel/drivers/block/virtio_blk.",
	"kernel/drivers/block/xen-blkfront.",
	"kernel/drivers/md/",
	"kernel/drivers/message/fusion/",
	"kernel/drivers/mmc/",
	"kernel/drivers/nvme/host/",
	"kernel/drivers/scsi/",
	"kernel/drivers/usb/host/",
	"kernel/drivers/usb/storage/",
	/* network cards */
	"kernel/drivers/net/ethernet/",
	"kernel/drivers/net/hyperv/",
	"kernel/drivers/net/mdio/",
	"kernel/drivers/net/phy/",
	"kernel/drivers/net/virtio_net.",
	"kernel/drivers/net/vmxnet3/",
	"kernel/drivers/net/xen-netfront.",
	/* what they hang on */
	"kernel/drivers/char/hw_random/virtio-rng.",
	"kernel/drivers/hv/",
	"kernel/drivers/pci/",
	"kernel/drivers/virtio/",
	"kernel/net/ipv6/ipv6.",
	"kernel/net/packet/af_packet.",
	/* looking into what was moved, and mending it */
	"kernel/arch/x86/crypto/crc32c",
	"kernel/crypto/blake2b_generic.",
	"kernel/crypto/crc32c_generic.",
	"kernel/crypto/sha256_generic.",
	"kernel/crypto/xxhash_generic.",
	"kernel/fs/btrfs/",
	"kernel/fs/ext4/",
	"kernel/fs/fat/",
	"kernel/fs/nls/nls_ascii.",
	"kernel/fs/nls/nls_cp437.",
	"kernel/fs/nls/nls_iso8859-1.",
	"kernel/fs/nls/nls_utf8.",
	"kernel/fs/xfs/",
};

/* Parts of the folders above that no machine to be moved to has: switches,
 * pretended devices, targets. */
static const char *const unwanted[] = {
	"kernel/drivers/net/ethernet/mellanox/mlxsw/",
	"kernel/drivers/net/ethernet/netronome/",
	"kernel/drivers/net/ethernet/xilinx/",
	"kernel/drivers/scsi/pcmcia/",
	"kernel/drivers/scsi/scsi_debug.",
	"kernel/drivers/scsi/elx/",
};

static bool begins_with_any(const char *path, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strncmp(path, list[i], strlen(list[i])) == 0)
			return true;
	return false;
}

static int read_lists(
	const char *folder, struct modules **ret, struct error *err)
{
	CLEANUP_FREE char *dep = NULL;
	CLEANUP_FREE char *alias = NULL;
	char path[PROGRAM_PATH];
	size_t dep_n, alias_n;
	int r;

	(void)snprintf(path, sizeof(path), "%s/modules.dep", folder);
	r = io_slurp(path, MODULES_TEXT, &dep, &dep_n);
	if (r == 0) {
		(void)snprintf(path, sizeof(path), "%s/modules.alias", folder);
		r = io_slurp(path, MODULES_TEXT, &alias, &alias_n);
	}
	if (r < 0) {
		error_set(err, r, "read %s", path);
		return error_todo(err,
			"name the folder of the kernel's modules: --modules "
			"DIR; depmod(8) makes this file");
	}
	r = modules_read(STEAL_PTR(dep), dep_n, STEAL_PTR(alias), alias_n, ret);
	return r < 0 ? error_set(err, r, "read the lists in %s", folder) : 0;
}

/* Marks what is wanted, and all that this needs. */
static int choose(const struct modules *m, bool *chosen, struct error *err)
{
	for (uint32_t i = 0; i < modules_count(m); i++) {
		const char *path = modules_path(m, i);
		uint32_t order[MODULES_ORDER];
		int n;

		if (!begins_with_any(path, wanted, ARRAY_LEN(wanted)) ||
			begins_with_any(path, unwanted, ARRAY_LEN(unwanted)))
			continue;
		n = modules_order(m, i, order);
		if (n < 0) {
			error_set(err, n, "take the module %s", path);
			return error_why(
				err, "modules.dep does not have all it needs");
		}
		for (int k = 0; k < n; k++)
			chosen[order[k]] = true;
	}
	return 0;
}

/* The module in the form that init takes: each packed for itself, so that those
 * which no device asks for stay small in memory. */
static int slurp_module(
	const char *path, char **ret, size_t *ret_n, struct error *err)
{
	const char *end = path + modalias_plain_path(path);
	CLEANUP_FREE char *bytes = NULL;
	size_t n;
	int r = 0;

	if (strcmp(end, ".xz") == 0 || strcmp(end, ".gz") == 0) {
		char *const argv[] = {(char *)(end[1] == 'x' ? "xz" : "gzip"),
			(char *)"-dc", (char *)path, NULL};

		r = program_run(argv, MODULES_FILE, &bytes, &n, err);
		if (r < 0)
			return r;
	} else {
		r = io_slurp(path, MODULES_FILE, &bytes, &n);
	}
	if (r == 0 && strcmp(end, MODULES_ENDING) == 0) {
		*ret = STEAL_PTR(bytes);
		*ret_n = n;
		return 0;
	}
	if (r == 0)
		r = content_pack(bytes, n, ret, ret_n);
	return r < 0 ? error_set(err, r, "read the module %s", path) : 0;
}

static int add_module(struct cpio *c, const char *folder, const char *version,
	const char *module, struct error *err)
{
	CLEANUP_FREE char *bytes = NULL;
	char from[PROGRAM_PATH], to[PROGRAM_PATH];
	size_t n = 0;
	int r;

	(void)snprintf(from, sizeof(from), "%s/%s", folder, module);
	(void)snprintf(to, sizeof(to), "lib/modules/%s/%.*s%s", version,
		(int)modalias_plain_path(module), module, MODULES_ENDING);
	r = slurp_module(from, &bytes, &n, err);
	if (r < 0)
		return r;
	r = cpio_add_file(c, to, 0644, bytes, n);
	return r < 0 ? error_set(err, r, "add %s to the archive", to) : 0;
}

static int add_list(struct cpio *c, const char *version, const char *name,
	int written, const char *text, size_t n, struct error *err)
{
	char to[PROGRAM_PATH];

	(void)snprintf(to, sizeof(to), "lib/modules/%s/%s", version, name);
	if (written == 0)
		written = cpio_add_file(c, to, 0644, text, n);
	return written < 0
		       ? error_set(err, written, "add %s to the archive", to)
		       : 0;
}

static int add_chosen(struct cpio *c, const struct modules *m,
	const bool *chosen, const char *folder, const char *version,
	struct error *err)
{
	CLEANUP_FREE char *dep = NULL;
	CLEANUP_FREE char *alias = NULL;
	size_t n = 0;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < modules_count(m); i++)
		if (chosen[i])
			r = add_module(
				c, folder, version, modules_path(m, i), err);
	if (r < 0)
		return r;
	r = modules_write_dep(m, chosen, &dep, &n);
	r = add_list(c, version, "modules.dep", r, dep, n, err);
	if (r < 0)
		return r;
	r = modules_write_alias(m, chosen, &alias, &n);
	return add_list(c, version, "modules.alias", r, alias, n, err);
}

int content_add_modules(struct cpio *c, const char *folder, const char *version,
	uint32_t *ret_n, struct error *err)
{
	struct modules *m = NULL;
	bool *chosen;
	uint32_t n = 0;
	int r = read_lists(folder, &m, err);

	if (r < 0)
		return r;
	chosen = calloc(modules_count(m) + 1, sizeof(*chosen));
	if (!chosen)
		r = error_set(err, -ENOMEM, "choose modules");
	else
		r = choose(m, chosen, err);
	if (r == 0)
		r = add_chosen(c, m, chosen, folder, version, err);
	for (uint32_t i = 0; r == 0 && i < modules_count(m); i++)
		n += chosen[i];
	free(chosen);
	modules_free(m);
	if (r == 0)
		*ret_n = n;
	return r;
}
