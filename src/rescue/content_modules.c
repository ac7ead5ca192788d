/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernel modules a machine may need, out of the thousands. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zstd.h>

#include "base/io.h"
#include "base/modalias.h"
#include "rescue/content.h"
#include "rescue/modules.h"
#include "rescue/program.h"

#define FIRMWARE_NAME 256
#define FIRMWARE_MAX (32U << 20) /* bytes, of all */

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
	/* what reboots a machine that stands still */
	"kernel/drivers/i2c/busses/i2c-i801.",
	"kernel/drivers/mfd/lpc_ich.",
	"kernel/drivers/watchdog/",
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

int content_pack(
	const char *bytes, size_t n, int level, char **ret, size_t *ret_n)
{
	size_t room = ZSTD_compressBound(n), r;
	char *out = malloc(room);

	if (!out)
		return -ENOMEM;
	r = ZSTD_compress(out, room, bytes, n, level);
	if (ZSTD_isError(r)) {
		free(out);
		return -ENOMEM;
	}
	*ret = out;
	*ret_n = r;
	return 0;
}

static bool begins_with_any(const char *path, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strncmp(path, list[i], strlen(list[i])) == 0)
			return true;
	return false;
}

/* A regular file in a folder, reached without leaving it: neither a link nor a
 * list may lead elsewhere. Kernels before 5.6 cannot promise it; there no part
 * of the path may be a link. A descriptor or a negative errno. */
static int open_below(int folder, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	CLEANUP_CLOSE int fd =
		(int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
	char part[PROGRAM_PATH];
	struct stat st;

	if (fd < 0 && errno == ENOSYS) {
		fd = fcntl(folder, F_DUPFD_CLOEXEC, 0);
		while (fd >= 0 && *path) {
			size_t n = strcspn(path, "/");
			int next;

			if (n >= sizeof(part))
				return -ENAMETOOLONG;
			memcpy(part, path, n);
			part[n] = '\0';
			if (n == 0 || strcmp(part, "..") == 0)
				return -EXDEV;
			next = openat(fd, part,
				O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
			(void)close(fd);
			fd = next;
			path += n + (path[n] == '/');
		}
	}
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? STEAL_FD(fd) : -EINVAL;
}

static int slurp_below(
	int folder, const char *path, size_t max, char **ret, size_t *ret_n)
{
	CLEANUP_CLOSE int fd = open_below(folder, path);

	return fd < 0 ? fd : io_read_whole(fd, max, ret, ret_n);
}

static int read_lists(const struct content_modules *o, int folder,
	struct modules **ret, struct error *err)
{
	CLEANUP_FREE char *dep = NULL;
	CLEANUP_FREE char *alias = NULL;
	const char *name = "modules.dep";
	size_t dep_n, alias_n;
	int r = slurp_below(folder, name, MODULES_TEXT, &dep, &dep_n);

	if (r == 0) {
		name = "modules.alias";
		r = slurp_below(folder, name, MODULES_TEXT, &alias, &alias_n);
	}
	if (r < 0) {
		error_set(err, r, "read %s/%s", o->folder, name);
		return error_todo(err,
			"name the folder of the kernel's modules: --modules "
			"DIR; depmod(8) makes this file");
	}
	r = modules_read(STEAL_PTR(dep), dep_n, STEAL_PTR(alias), alias_n, ret);
	return r < 0 ? error_set(err, r, "read the lists in %s", o->folder) : 0;
}

static bool is_named(const struct content_modules *o, const char *name)
{
	for (size_t k = 0; o->names && o->names[k]; k++)
		if (strcmp(name, o->names[k]) == 0)
			return true;
	return false;
}

static int choose_one(
	const struct modules *m, uint32_t i, bool *chosen, struct error *err)
{
	uint32_t order[MODULES_ORDER];
	int n = modules_order(m, i, order);

	if (n < 0) {
		error_set(err, n, "take the module %s", modules_path(m, i));
		return error_why(err, "modules.dep does not have all it needs");
	}
	for (int k = 0; k < n; k++)
		chosen[order[k]] = true;
	return 0;
}

/* Marks what is wanted, and all that this needs. */
static int choose(const struct content_modules *o, const struct modules *m,
	bool *chosen, struct error *err)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < modules_count(m); i++) {
		const char *path = modules_path(m, i);

		if (begins_with_any(path, wanted, ARRAY_LEN(wanted)) &&
			!begins_with_any(path, unwanted, ARRAY_LEN(unwanted)))
			r = choose_one(m, i, chosen, err);
		else if (is_named(o, modules_name(m, i)))
			r = choose_one(m, i, chosen, err);
	}
	return r;
}

/* The module in the form that init takes: each packed for itself, so that those
 * which no device asks for stay small in memory. */
static int slurp_module(int folder, const char *path, int level, char **ret,
	size_t *ret_n, struct error *err)
{
	const char *end = path + modalias_plain_path(path);
	CLEANUP_CLOSE int fd = open_below(folder, path);
	CLEANUP_FREE char *bytes = NULL;
	size_t n;
	int r = 0;

	if (fd < 0)
		return error_set(err, fd, "read the module %s", path);
	if (strcmp(end, ".xz") == 0 || strcmp(end, ".gz") == 0) {
		char *const argv[] = {(char *)(end[1] == 'x' ? "xz" : "gzip"),
			(char *)"-dc", NULL};

		r = program_filter(fd, argv, MODULES_FILE, &bytes, &n, err);
		if (r < 0)
			return r;
	} else {
		r = io_read_whole(fd, MODULES_FILE, &bytes, &n);
	}
	if (r == 0 && strcmp(end, MODULES_ENDING) == 0) {
		*ret = STEAL_PTR(bytes);
		*ret_n = n;
		return 0;
	}
	if (r == 0)
		r = content_pack(bytes, n, level, ret, ret_n);
	return r < 0 ? error_set(err, r, "read the module %s", path) : 0;
}

/* ---- firmware ---- */

static int add_firmware_file(
	struct cpio *c, int folder, const char *name, struct error *err)
{
	/* As the kernel looks for it. */
	static const char *const endings[] = {"", ".zst", ".xz"};

	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		CLEANUP_FREE char *bytes = NULL;
		char path[FIRMWARE_NAME + 8], to[FIRMWARE_NAME + 32];
		size_t n;
		int r;

		(void)snprintf(path, sizeof(path), "%s%s", name, endings[i]);
		(void)snprintf(to, sizeof(to), "lib/firmware/%s", path);
		if (cpio_has(c, to))
			return 0;
		if (slurp_below(folder, path, FIRMWARE_MAX, &bytes, &n) < 0)
			continue;
		if (cpio_size(c, "lib/firmware/") + n > FIRMWARE_MAX) {
			error_set(err, -E2BIG, "take the firmware %s", path);
			return error_why(err, "it would be more than %u MiB",
				FIRMWARE_MAX >> 20);
		}
		r = cpio_add_file(c, to, 0644, bytes, n);
		return r < 0 ? error_set(err, r, "add %s to the archive", to)
			     : 0;
	}
	/* Drivers name what some of their cards need. */
	return 0;
}

/* What a module, packed by zstd, asks for: strings "firmware=NAME" of its
 * .modinfo. */
static int add_firmware(struct cpio *c, const struct content_modules *o,
	const char *packed, size_t n, struct error *err)
{
	static const char key[] = "firmware=";
	CLEANUP_CLOSE int folder =
		open(o->firmware, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_FREE char *plain = malloc(MODULES_FILE);
	const char *at, *end;
	int r = 0;

	if (folder < 0)
		return 0;
	if (!plain)
		return error_set(err, -ENOMEM, "look for firmware");
	n = ZSTD_decompress(plain, MODULES_FILE, packed, n);
	if (ZSTD_isError(n))
		return error_set(err, -EBADMSG, "look for firmware");
	end = plain + n;
	for (at = plain; r == 0 && (at = memmem(at, (size_t)(end - at), key,
					    sizeof(key) - 1));) {
		bool begins = at == plain || at[-1] == '\0';
		size_t length;
		char name[FIRMWARE_NAME];

		at += sizeof(key) - 1;
		length = strnlen(at, (size_t)(end - at));
		if (!begins || length == 0 || length >= sizeof(name) ||
			at + length == end)
			continue;
		memcpy(name, at, length + 1);
		r = add_firmware_file(c, folder, name, err);
	}
	return r;
}

/* ---- all of them ---- */

static int add_module(struct cpio *c, const struct content_modules *o,
	int folder, const char *module, bool firmware, struct error *err)
{
	CLEANUP_FREE char *bytes = NULL;
	char to[PROGRAM_PATH];
	size_t n = 0;
	int r = slurp_module(folder, module, o->level, &bytes, &n, err);

	if (r < 0)
		return r;
	(void)snprintf(to, sizeof(to), "lib/modules/%s/%.*s%s", o->version,
		(int)modalias_plain_path(module), module, MODULES_ENDING);
	r = cpio_add_file(c, to, 0644, bytes, n);
	if (r < 0)
		return error_set(err, r, "add %s to the archive", to);
	return firmware ? add_firmware(c, o, bytes, n, err) : 0;
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

static int add_chosen(struct cpio *c, const struct content_modules *o,
	const struct modules *m, const bool *chosen, int folder,
	struct error *err)
{
	CLEANUP_FREE char *dep = NULL;
	CLEANUP_FREE char *alias = NULL;
	size_t n = 0;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < modules_count(m); i++)
		if (chosen[i])
			r = add_module(c, o, folder, modules_path(m, i),
				o->firmware && is_named(o, modules_name(m, i)),
				err);
	if (r < 0)
		return r;
	r = modules_write_dep(m, chosen, &dep, &n);
	r = add_list(c, o->version, "modules.dep", r, dep, n, err);
	if (r < 0)
		return r;
	r = modules_write_alias(m, chosen, &alias, &n);
	return add_list(c, o->version, "modules.alias", r, alias, n, err);
}

int content_add_modules(struct cpio *c, const struct content_modules *o,
	uint32_t *ret_n, struct error *err)
{
	CLEANUP_CLOSE int folder =
		open(o->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_FREE bool *chosen = NULL;
	struct modules *m = NULL;
	uint32_t n = 0;
	int r;

	if (folder < 0)
		return error_set(err, -errno, "open %s", o->folder);
	r = read_lists(o, folder, &m, err);
	if (r < 0)
		return r;
	chosen = calloc(modules_count(m) + 1, sizeof(*chosen));
	if (!chosen)
		r = error_set(err, -ENOMEM, "choose modules");
	else
		r = choose(o, m, chosen, err);
	if (r == 0)
		r = add_chosen(c, o, m, chosen, folder, err);
	for (uint32_t i = 0; r == 0 && i < modules_count(m); i++)
		n += chosen[i];
	modules_free(m);
	if (r == 0)
		*ret_n = n;
	return r;
}
