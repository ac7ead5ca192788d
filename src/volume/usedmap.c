/* SPDX-License-Identifier: Apache-2.0 */
#include "volume/usedmap.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/fsmap.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "volume/mounts.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

#define FSMAP_RECORDS 4096
#define SEARCH_BYTES (1u << 20)
#define SEARCH_TRIES 3

/* Features of btrfs that leave the chunk and extent trees as they are read
 * here. Extent tree v2, the RAID stripe tree and zoned mode do not, and nothing
 * is known of what comes later. */
#define BTRFS_KNOWN                                                            \
	(BTRFS_FEATURE_INCOMPAT_MIXED_BACKREF |                                \
		BTRFS_FEATURE_INCOMPAT_DEFAULT_SUBVOL |                        \
		BTRFS_FEATURE_INCOMPAT_MIXED_GROUPS |                          \
		BTRFS_FEATURE_INCOMPAT_COMPRESS_LZO |                          \
		BTRFS_FEATURE_INCOMPAT_COMPRESS_ZSTD |                         \
		BTRFS_FEATURE_INCOMPAT_BIG_METADATA |                          \
		BTRFS_FEATURE_INCOMPAT_EXTENDED_IREF |                         \
		BTRFS_FEATURE_INCOMPAT_RAID56 |                                \
		BTRFS_FEATURE_INCOMPAT_SKINNY_METADATA |                       \
		BTRFS_FEATURE_INCOMPAT_NO_HOLES |                              \
		BTRFS_FEATURE_INCOMPAT_METADATA_UUID |                         \
		BTRFS_FEATURE_INCOMPAT_RAID1C34 | (1ULL << 16))

struct used {
	const char *mountpoint;
	int fd;
	uint32_t major, minor;
	uint64_t size;
	usedmap_fn *fn;
	void *arg;
	struct error *err;
};

struct chunk {
	uint64_t logical, bytes;
	uint64_t physical[2];
	uint32_t copies;
};

/* What is known of a btrfs while its trees are read. */
struct chunks {
	struct chunk *list; /* by logical address */
	size_t n, room;
	uint64_t devid;
	uint8_t dev_uuid[BTRFS_UUID_SIZE];
	uint64_t dev_bytes; /* that btrfs takes of the device */
	uint32_t nodesize;
	bool missed; /* an extent lies in no chunk of list */
};

static int fail(const struct used *u, int code, const char *why)
{
	(void)error_set(u->err, code, "read the used map of %s", u->mountpoint);
	if (why)
		(void)error_why(u->err, "%s", why);
	return code;
}

static int no_map(const struct used *u, const char *why)
{
	return fail(u, -EOPNOTSUPP, why);
}

static void report(const struct used *u, uint64_t offset, uint64_t bytes)
{
	if (offset < u->size && bytes > 0)
		u->fn(u->arg, offset, MIN(bytes, u->size - offset));
}

/* ext4 and xfs. */

/* The kernel's encoding of a device number in fmr_device (new_encode_dev in
 * linux/kdev_t.h). */
static uint32_t encode_dev(uint32_t ma, uint32_t mi)
{
	return (mi & 0xff) | (ma << 8) | ((mi & ~0xffu) << 12);
}

/* What is not reported free is used: *at is where the next such range begins.
 */
static int fsmap_record(
	const struct used *u, const struct fsmap *rec, uint64_t *at)
{
	uint64_t end;

	if (rec->fmr_device != encode_dev(u->major, u->minor))
		return no_map(u,
			"the filesystem has a log or data on another device");
	if (!(rec->fmr_flags & FMR_OF_SPECIAL_OWNER) ||
		rec->fmr_owner != FMR_OWN_FREE)
		return 0;
	if (__builtin_add_overflow(rec->fmr_physical, rec->fmr_length, &end))
		return fail(u, -EIO, "the kernel's map has impossible numbers");
	if (rec->fmr_physical > *at)
		report(u, *at, rec->fmr_physical - *at);
	*at = MAX(*at, end);
	return 0;
}

static int fsmap_next(const struct used *u, struct fsmap_head *head)
{
	if (ioctl(u->fd, FS_IOC_GETFSMAP, head) < 0) {
		if (errno == ENOTTY || errno == EOPNOTSUPP)
			return no_map(
				u, "this kernel has no map of this filesystem");
		return fail(u, -errno, NULL);
	}
	if (head->fmh_entries > head->fmh_count)
		return fail(u, -EIO, "the kernel's map has impossible numbers");
	if (head->fmh_entries > 0 && !(head->fmh_oflags & FMH_OF_DEV_T))
		return no_map(u, "its map does not name devices");
	return 0;
}

static int fsmap_read(const struct used *u)
{
	CLEANUP_FREE struct fsmap_head *head =
		calloc(1, fsmap_sizeof(FSMAP_RECORDS));
	uint64_t at = 0;
	bool last = false;

	if (!head)
		return fail(u, -ENOMEM, NULL);
	head->fmh_count = FSMAP_RECORDS;
	memset(&head->fmh_keys[1], 0xff, sizeof(head->fmh_keys[1]));
	head->fmh_keys[1].fmr_length = 0;
	memset(head->fmh_keys[1].fmr_reserved, 0,
		sizeof(head->fmh_keys[1].fmr_reserved));
	while (!last) {
		struct fsmap before = head->fmh_keys[0];
		int r = fsmap_next(u, head);

		if (r < 0)
			return r;
		if (head->fmh_entries == 0)
			break;
		for (uint32_t i = 0; i < head->fmh_entries; i++) {
			r = fsmap_record(u, &head->fmh_recs[i], &at);
			if (r < 0)
				return r;
			last = head->fmh_recs[i].fmr_flags & FMR_OF_LAST;
		}
		fsmap_advance(head);
		if (memcmp(&before, &head->fmh_keys[0], sizeof(before)) == 0)
			return fail(u, -EIO, "the kernel's map does not end");
	}
	/* Behind the filesystem's end is what nothing is known of. */
	if (at < u->size)
		report(u, at, u->size - at);
	return 0;
}

/* btrfs. */

typedef int item_fn(const struct used *u, struct chunks *chunks,
	const struct btrfs_ioctl_search_header *h, const uint8_t *item);

/* The key behind h; false when there is none. */
static bool key_after(const struct btrfs_ioctl_search_header *h,
	struct btrfs_ioctl_search_key *key)
{
	key->min_objectid = h->objectid;
	key->min_type = h->type;
	key->min_offset = h->offset + 1;
	if (key->min_offset != 0)
		return true;
	key->min_type = h->type + 1;
	if (key->min_type <= 0xff)
		return true;
	key->min_type = 0;
	key->min_objectid = h->objectid + 1;
	return key->min_objectid != 0;
}

/* Calls fn with the items of one answer; *last is the last one's header. */
static int each_item(const struct used *u, struct chunks *chunks, item_fn *fn,
	const struct btrfs_ioctl_search_args_v2 *args,
	struct btrfs_ioctl_search_header *last)
{
	const uint8_t *at = (const uint8_t *)args->buf;
	const uint8_t *end = at + SEARCH_BYTES;

	for (uint32_t i = 0; i < args->key.nr_items; i++) {
		int r;

		if ((size_t)(end - at) < sizeof(*last))
			return fail(u, -EIO, "the kernel's answer is cut");
		memcpy(last, at, sizeof(*last));
		at += sizeof(*last);
		if ((size_t)(end - at) < last->len)
			return fail(u, -EIO, "the kernel's answer is cut");
		r = fn(u, chunks, last, at);
		if (r < 0)
			return r;
		at += last->len;
	}
	return 0;
}

/* Calls fn with every item of a tree, from objectid on. */
static int search(const struct used *u, uint64_t tree, uint64_t objectid,
	struct chunks *chunks, item_fn *fn)
{
	CLEANUP_FREE struct btrfs_ioctl_search_args_v2 *args =
		calloc(1, sizeof(*args) + SEARCH_BYTES);
	struct btrfs_ioctl_search_header last = {0};

	if (!args)
		return fail(u, -ENOMEM, NULL);
	args->key.tree_id = tree;
	args->key.min_objectid = objectid;
	args->key.max_objectid = UINT64_MAX;
	args->key.max_type = 0xff;
	args->key.max_offset = UINT64_MAX;
	args->key.max_transid = UINT64_MAX;
	do {
		int r;

		args->key.nr_items = UINT32_MAX;
		args->buf_size = SEARCH_BYTES;
		if (ioctl(u->fd, BTRFS_IOC_TREE_SEARCH_V2, args) < 0) {
			if (errno == ENOTTY)
				return no_map(u, "this kernel is too old");
			return fail(u, -errno, NULL);
		}
		if (args->key.nr_items == 0)
			break;
		r = each_item(u, chunks, fn, args, &last);
		if (r < 0)
			return r;
	} while (key_after(&last, &args->key));
	return 0;
}

/* Fills ret for the one device of the filesystem, which must be the volume. */
static int btrfs_device(const struct used *u, struct chunks *ret)
{
	struct btrfs_ioctl_dev_info_args device = {0};
	struct btrfs_ioctl_feature_flags features = {0};
	struct btrfs_ioctl_fs_info_args info = {0};
	dev_t dev;
	int n;

	if (ioctl(u->fd, BTRFS_IOC_GET_FEATURES, &features) < 0)
		return fail(u, -errno, NULL);
	if (features.incompat_flags & ~BTRFS_KNOWN)
		return no_map(u, "its format has features without a map");
	if (ioctl(u->fd, BTRFS_IOC_FS_INFO, &info) < 0)
		return fail(u, -errno, NULL);
	if (info.num_devices != 1)
		return no_map(u, "it lies on several devices");
	device.devid = info.max_id;
	if (ioctl(u->fd, BTRFS_IOC_DEV_INFO, &device) < 0)
		return fail(u, -errno, NULL);
	n = mounts_btrfs_devices(info.fsid, &dev, 1);
	if (n < 0)
		return fail(u, n, NULL);
	if (n != 1)
		return no_map(u, "it lies on several devices");
	if (dev != makedev(u->major, u->minor))
		return fail(u, -ENODEV, "another device is mounted there");
	ret->devid = device.devid;
	memcpy(ret->dev_uuid, device.uuid, sizeof(ret->dev_uuid));
	ret->dev_bytes = device.total_bytes;
	ret->nodesize = info.nodesize;
	return 0;
}

static int add_chunk(
	const struct used *u, struct chunks *chunks, const struct chunk *chunk)
{
	const struct chunk *before =
		chunks->n ? &chunks->list[chunks->n - 1] : NULL;
	uint64_t end;

	if (__builtin_add_overflow(chunk->logical, chunk->bytes, &end) ||
		(before && before->logical + before->bytes > chunk->logical))
		return fail(u, -EIO, "its chunk tree makes no sense");
	for (uint32_t i = 0; i < chunk->copies; i++)
		if (__builtin_add_overflow(
			    chunk->physical[i], chunk->bytes, &end))
			return fail(u, -EIO, "its chunk tree makes no sense");
	if (chunks->n == chunks->room) {
		size_t room = chunks->room ? chunks->room * 2 : 64;
		struct chunk *list =
			reallocarray(chunks->list, room, sizeof(*chunks->list));

		if (!list)
			return fail(u, -ENOMEM, NULL);
		chunks->list = list;
		chunks->room = room;
	}
	chunks->list[chunks->n++] = *chunk;
	return 0;
}

static int chunk_item(const struct used *u, struct chunks *chunks,
	const struct btrfs_ioctl_search_header *h, const uint8_t *item)
{
	struct chunk chunk = {.logical = h->offset};
	struct btrfs_chunk head;
	uint64_t profile;

	if (h->type != BTRFS_CHUNK_ITEM_KEY)
		return 0;
	if (h->len < sizeof(head))
		return fail(u, -EIO, "its chunk tree makes no sense");
	memcpy(&head, item, sizeof(head));
	chunk.bytes = le64toh(head.length);
	profile = le64toh(head.type) & BTRFS_BLOCK_GROUP_PROFILE_MASK;
	chunk.copies = profile == BTRFS_BLOCK_GROUP_DUP ? 2 : 1;
	if ((profile && profile != BTRFS_BLOCK_GROUP_DUP) ||
		le16toh(head.num_stripes) != chunk.copies)
		return no_map(u, "it has a RAID profile");
	if (h->len <
		sizeof(head) + (chunk.copies - 1) * sizeof(struct btrfs_stripe))
		return fail(u, -EIO, "its chunk tree makes no sense");
	for (uint32_t i = 0; i < chunk.copies; i++) {
		struct btrfs_stripe stripe;

		memcpy(&stripe,
			item + offsetof(struct btrfs_chunk, stripe) +
				i * sizeof(stripe),
			sizeof(stripe));
		if (le64toh(stripe.devid) != chunks->devid ||
			memcmp(stripe.dev_uuid, chunks->dev_uuid,
				sizeof(stripe.dev_uuid)) != 0)
			return no_map(u, "it lies on several devices");
		chunk.physical[i] = le64toh(stripe.offset);
	}
	return add_chunk(u, chunks, &chunk);
}

/* The chunk that has a logical address, or NULL. */
static const struct chunk *find_chunk(const struct chunks *chunks, uint64_t at)
{
	size_t low = 0, high = chunks->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct chunk *chunk = &chunks->list[mid];

		if (at < chunk->logical)
			high = mid;
		else if (at - chunk->logical >= chunk->bytes)
			low = mid + 1;
		else
			return chunk;
	}
	return NULL;
}

static int extent_item(const struct used *u, struct chunks *chunks,
	const struct btrfs_ioctl_search_header *h, const uint8_t *item)
{
	uint64_t at = h->objectid, left;

	if (h->type == BTRFS_EXTENT_ITEM_KEY)
		left = h->offset;
	else if (h->type == BTRFS_METADATA_ITEM_KEY)
		left = chunks->nodesize;
	else
		return 0;
	while (left > 0) {
		const struct chunk *chunk = find_chunk(chunks, at);
		uint64_t into, n;

		if (!chunk) {
			chunks->missed = true;
			return 0;
		}
		into = at - chunk->logical;
		n = MIN(left, chunk->bytes - into);
		for (uint32_t i = 0; i < chunk->copies; i++)
			report(u, chunk->physical[i] + into, n);
		at += n;
		left -= n;
	}
	return 0;
}

static int btrfs_trees(const struct used *u, struct chunks *chunks)
{
	int r = btrfs_device(u, chunks);

	/* A chunk may be made between the two walks. What is in it was written
	 * since, but to look again is cheap. */
	for (unsigned i = 0; r == 0 && i < SEARCH_TRIES; i++) {
		chunks->n = 0;
		chunks->missed = false;
		r = search(u, BTRFS_CHUNK_TREE_OBJECTID,
			BTRFS_FIRST_CHUNK_TREE_OBJECTID, chunks, chunk_item);
		if (r == 0)
			r = search(u, BTRFS_EXTENT_TREE_OBJECTID, 0, chunks,
				extent_item);
		if (r == 0 && !chunks->missed)
			return 0;
	}
	return r < 0 ? r : no_map(u, "its chunks change too fast");
}

static int btrfs_read(const struct used *u)
{
	static const uint64_t copies[] = {
		64ULL << 10, 64ULL << 20, 256ULL << 30};
	struct chunks chunks = {0};
	int r = btrfs_trees(u, &chunks);

	free(chunks.list);
	if (r < 0)
		return r;
	/* No chunk lies in the first MiB; boot loaders do. */
	report(u, 0, 1u << 20);
	for (size_t i = 0; i < ARRAY_LEN(copies); i++)
		report(u, copies[i], 4096);
	/* Behind the filesystem's end is what nothing is known of. */
	if (chunks.dev_bytes < u->size)
		report(u, chunks.dev_bytes, u->size - chunks.dev_bytes);
	return 0;
}

int usedmap_read(const char *mountpoint, uint32_t major, uint32_t minor,
	uint64_t size, usedmap_fn *fn, void *arg, struct error *err)
{
	CLEANUP_CLOSE int fd =
		open(mountpoint, O_RDONLY | O_DIRECTORY | O_NOCTTY | O_CLOEXEC);
	struct used u = {mountpoint, fd, major, minor, size, fn, arg, err};
	struct statfs fs;
	struct stat st;

	if (fd < 0 || syncfs(fd) < 0 || fstatfs(fd, &fs) < 0 ||
		fstat(fd, &st) < 0)
		return fail(&u, -errno, NULL);
	if ((uint32_t)fs.f_type == BTRFS_SUPER_MAGIC)
		return btrfs_read(&u);
	if ((uint32_t)fs.f_type != EXT4_SUPER_MAGIC &&
		(uint32_t)fs.f_type != XFS_SUPER_MAGIC)
		return no_map(&u, "only ext4, xfs and btrfs have a used map");
	if (st.st_dev != makedev(major, minor))
		return fail(&u, -ENODEV, "another device is mounted there");
	return fsmap_read(&u);
}
