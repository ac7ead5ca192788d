/* SPDX-License-Identifier: Apache-2.0 */
#include "volume/signatures.h"

#include <blkid/blkid.h>
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/io.h"
#include "base/parse.h"

#define KIB 1024ULL
#define MIB (1024 * KIB)
#define GRAIN 4096ULL /* of the copy */
#define STEP MIB

struct image {
	int fd; /* the volume */
	int copy;
	uint64_t size;
	void *buf; /* STEP bytes, page-aligned */
};

/* A window of the copy. */
struct window {
	uint8_t bytes[4096];
};

static void cleanup_image(struct image *im)
{
	cleanup_close_p(&im->copy);
	free(im->buf);
}

static void cleanup_probe(blkid_probe *pr)
{
	blkid_free_probe(*pr);
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static uint64_t le64_at(const struct window *w, size_t at)
{
	uint64_t v;

	memcpy(&v, w->bytes + at, sizeof(v));
	return le64toh(v);
}

static uint32_t le32_at(const struct window *w, size_t at)
{
	uint32_t v;

	memcpy(&v, w->bytes + at, sizeof(v));
	return le32toh(v);
}

static uint16_t le16_at(const struct window *w, size_t at)
{
	return (uint16_t)(w->bytes[at] | w->bytes[at + 1] << 8);
}

static uint64_t be64_at(const struct window *w, size_t at)
{
	uint64_t v;

	memcpy(&v, w->bytes + at, sizeof(v));
	return be64toh(v);
}

/* Copies a range, cut to the volume; zeros stay holes. */
static int copy_range(const struct image *im, uint64_t off, uint64_t n)
{
	uint64_t end;

	if (off >= im->size)
		return 0;
	end = n < im->size - off ? off + n : im->size;
	off -= off % GRAIN;
	if (end % GRAIN != 0)
		end = MIN(im->size, end + GRAIN - end % GRAIN);
	while (off < end) {
		uint64_t want = MIN(STEP, end - off);
		ssize_t got = io_pread_all(im->fd, im->buf, want, off);

		if (got < 0)
			return (int)got;
		if ((uint64_t)got < want)
			return -EIO; /* it has become smaller */
		for (uint64_t at = 0; at < want; at += GRAIN) {
			const uint8_t *p = (const uint8_t *)im->buf + at;
			size_t len = MIN(GRAIN, want - at);
			int r;

			if (is_zero(p, len))
				continue;
			r = io_pwrite_all(im->copy, p, len, off + at);
			if (r < 0)
				return r;
		}
		off += want;
	}
	return 0;
}

/* Reads from the copy; what is not in it, or behind the end, is zero. */
static int look(const struct image *im, uint64_t off, struct window *w)
{
	ssize_t r;

	memset(w, 0, sizeof(*w));
	if (off >= im->size)
		return 0;
	r = io_pread_all(im->copy, w->bytes, sizeof(w->bytes), off);
	return r < 0 ? (int)r : 0;
}

/* Places that superblocks point to and that libblkid follows before it believes
 * them: NTFS's MFT, BitLocker's metadata, GPT's entries. */
static int copy_far(const struct image *im)
{
	const uint32_t sectors[] = {512, 4096};
	struct window w;
	uint64_t at;
	int r = look(im, 0, &w);

	if (r < 0)
		return r;
	if (memcmp(w.bytes + 3, "NTFS    ", 8) == 0) {
		uint32_t cluster = w.bytes[13];

		/* More than 128 stands for a power of two. */
		if (cluster > 128)
			cluster = 1u << MIN(256 - cluster, 31u);
		if (!__builtin_mul_overflow(le64_at(&w, 48),
			    (uint64_t)cluster * le16_at(&w, 11), &at))
			r = copy_range(im, at, 64 * KIB);
		if (r == 0 && !__builtin_mul_overflow(
				      le64_at(&w, 40), le16_at(&w, 11), &at))
			r = copy_range(im, at, GRAIN);
	} else if (memcmp(w.bytes + 3, "-FVE-FS-", 8) == 0) {
		r = copy_range(im, le64_at(&w, 176), 64 * KIB);
	}
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(sectors); i++) {
		r = look(im, sectors[i], &w);
		if (r == 0 && memcmp(w.bytes, "EFI PART", 8) == 0 &&
			!__builtin_mul_overflow(
				le64_at(&w, 72), (uint64_t)sectors[i], &at))
			r = copy_range(im, at,
				MIN((uint64_t)le32_at(&w, 80) * le32_at(&w, 84),
					4 * MIB));
	}
	return r;
}

static int copy_areas(struct image *im, const struct volume_facts *f)
{
	static const uint64_t btrfs[] = {64 * MIB, 256 * KIB * MIB};
	int r;

	im->size = f->size;
	im->copy = memfd_create("volume", MFD_CLOEXEC);
	im->buf = aligned_alloc(GRAIN, STEP);
	if (im->copy < 0)
		return -errno;
	if (!im->buf)
		return -ENOMEM;
	if (ftruncate(im->copy, (off_t)im->size) < 0)
		return -errno;
	r = copy_range(im, 0, SIGNATURES_HEAD);
	if (r == 0 && im->size > SIGNATURES_HEAD)
		r = copy_range(im,
			MAX(SIGNATURES_HEAD,
				im->size - MIN(SIGNATURES_TAIL, im->size)),
			SIGNATURES_TAIL);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(btrfs); i++)
		r = copy_range(im, btrfs[i], GRAIN);
	return r < 0 ? r : copy_far(im);
}

/* Notes a signature and removes it from the copy. -EEXIST when it was noted
 * before. */
static int note(const struct image *im, struct volume_facts *f,
	const char *name, uint64_t off, uint64_t n)
{
	struct signature *s;
	int r = 0;

	if (off >= im->size)
		return 0;
	n = MIN(n, im->size - off);
	for (uint32_t i = 0; i < f->n_signatures; i++)
		if (f->signatures[i].offset == off &&
			f->signatures[i].bytes == n)
			return -EEXIST;
	if (f->n_signatures == PROBE_SIGNATURES_MAX)
		return -EOVERFLOW;
	s = &f->signatures[f->n_signatures++];
	s->offset = off;
	s->bytes = n;
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	memset(im->buf, 0, STEP);
	for (uint64_t at = 0; r == 0 && at < n; at += STEP)
		r = io_pwrite_all(
			im->copy, im->buf, MIN(STEP, n - at), off + at);
	return r;
}

static int note_magic(const struct image *im, struct volume_facts *f,
	const char *name, uint64_t off, const char *magic)
{
	struct window w;
	size_t n = strlen(magic);
	int r = look(im, off, &w);

	if (r < 0 || memcmp(w.bytes, magic, n) != 0)
		return r;
	return note(im, f, name, off, n);
}

/* Copies of superblocks that the kernel or repair tools take by themselves, and
 * that libblkid does not report. */
static int note_copies(const struct image *im, struct volume_facts *f)
{
	const char *type = f->fstype;
	struct window w;
	uint64_t at;
	int r = 0;

	if (strcmp(type, "btrfs") == 0) {
		r = note_magic(im, f, type, 64 * MIB + 64, "_BHRfS_M");
		if (r == 0)
			r = note_magic(
				im, f, type, 256 * KIB * MIB + 64, "_BHRfS_M");
	} else if (strcmp(type, "f2fs") == 0) {
		r = note_magic(im, f, type, 5 * KIB, "\x10\x20\xf5\xf2");
	} else if (strcmp(type, "ntfs") == 0) {
		r = look(im, 0, &w);
		if (r == 0 &&
			!__builtin_mul_overflow(
				le64_at(&w, 40), le16_at(&w, 11), &at) &&
			at > 0 && at < im->size)
			r = note_magic(im, f, type, at + 3, "NTFS    ");
	} else if (strcmp(type, "zfs_member") == 0) {
		uint64_t end = im->size - im->size % (256 * KIB);

		/* Four labels with up to 128 uberblocks each. */
		for (uint64_t i = 0; r == 0 && end >= MIB && i < 4; i++)
			r = note(im, f, type,
				i < 2 ? i * 256 * KIB
				      : end - (4 - i) * 256 * KIB,
				256 * KIB);
	}
	return r == -EEXIST ? 0 : r;
}

static int ext_facts(const struct image *im, struct volume_facts *f)
{
	struct window w;
	bool valid, error, journal, recover;
	int r = look(im, 1024, &w);

	if (r < 0)
		return r;
	valid = le16_at(&w, 0x3a) & 1;	 /* s_state */
	error = le16_at(&w, 0x3a) & 2;	 /* errors were seen */
	journal = le32_at(&w, 0x5c) & 4; /* compat: has_journal */
	recover = le32_at(&w, 0x60) & 4; /* incompat: needs_recovery */
	f->clean = valid && !error && !recover;
	/* s_journal_inum: without it the journal is elsewhere. */
	f->external_journal = journal && le32_at(&w, 0xe0) == 0;
	return 0;
}

static int xfs_facts(const struct image *im, struct volume_facts *f)
{
	struct window w;
	int r = look(im, 0, &w);

	/* sb_logstart, sb_rblocks. Whether the log is clean can only be known
	 * by searching it for its head. */
	f->external_journal =
		r == 0 && (be64_at(&w, 48) == 0 || be64_at(&w, 16) != 0);
	return r;
}

static int btrfs_facts(const struct image *im, struct volume_facts *f)
{
	struct window w;
	int r = look(im, 64 * KIB, &w);

	f->clean = r == 0 && le64_at(&w, 0x60) == 0;	    /* log_root */
	f->multi_device = r == 0 && le64_at(&w, 0x88) != 1; /* num_devices */
	return r;
}

/* What the superblock of the first type that was found says. */
static int type_facts(
	const struct image *im, struct volume_facts *f, const char *usage)
{
	const char *type = f->fstype;

	if (strcmp(type, "ext2") == 0 || strcmp(type, "ext3") == 0 ||
		strcmp(type, "ext4") == 0 || strcmp(type, "ext4dev") == 0)
		return ext_facts(im, f);
	if (strcmp(type, "xfs") == 0)
		return xfs_facts(im, f);
	if (strcmp(type, "btrfs") == 0)
		return btrfs_facts(im, f);
	/* Half of a pair is not of use alone. A physical volume may be all of
	 * its volume group. */
	f->external_journal = strcmp(type, "jbd") == 0 ||
			      strcmp(type, "xfs_external_log") == 0;
	f->multi_device =
		strcmp(type, "zfs_member") == 0 ||
		strcmp(type, "bcache") == 0 ||
		(strcmp(usage, "raid") == 0 && strncmp(type, "LVM", 3) != 0);
	return 0;
}

static const char *value(blkid_probe pr, const char *name)
{
	const char *v;

	return blkid_probe_lookup_value(pr, name, &v, NULL) == 0 ? v : "";
}

/* The first filesystem is the volume's, or else the first table. */
static int note_type(const struct image *im, blkid_probe pr, const char *type,
	struct volume_facts *f)
{
	const char *uuid = value(pr, "UUID");
	int r;

	if (type[0] == '\0') {
		if (f->uuid[0] == '\0')
			(void)snprintf(f->uuid, sizeof(f->uuid), "%s",
				value(pr, "PTUUID"));
		return 0;
	}
	if (f->fstype[0] != '\0')
		return 0;
	(void)snprintf(f->fstype, sizeof(f->fstype), "%s", type);
	(void)snprintf(f->uuid, sizeof(f->uuid), "%s", uuid);
	r = type_facts(im, f, value(pr, "USAGE"));
	return r < 0 ? r : note_copies(im, f);
}

/* Takes what libblkid found. Returns 1 when the same prober may find more. */
static int found(const struct image *im, blkid_probe pr, struct volume_facts *f)
{
	const char *type = value(pr, "TYPE");
	const char *name = type[0] ? type : value(pr, "PTTYPE");
	const char *prefix = type[0] ? "SBMAGIC" : "PTMAGIC";
	char offset_name[32];
	uint64_t off;
	size_t n = 0;
	int r = note_type(im, pr, type, f);

	if (r < 0)
		return r;
	(void)snprintf(offset_name, sizeof(offset_name), "%s_OFFSET", prefix);
	if (blkid_probe_lookup_value(pr, prefix, NULL, &n) < 0 || n == 0 ||
		parse_u64(value(pr, offset_name), &off) < 0)
		return 0;
	r = note(im, f, name, off, n);
	if (r == -EEXIST)
		return 0;
	return r < 0 ? r : 1;
}

static int probe_copy(
	const struct image *im, uint32_t sector, struct volume_facts *f)
{
	CLEANUP(cleanup_probe) blkid_probe pr = blkid_new_probe();

	if (!pr)
		return -ENOMEM;
	/* A GPT counts without its protective MBR, which may be noted (and so
	 * removed) by now. */
	if (blkid_probe_set_device(pr, im->copy, 0, (blkid_loff_t)im->size) <
			0 ||
		blkid_probe_set_sectorsize(pr, sector) < 0 ||
		blkid_probe_enable_superblocks(pr, 1) < 0 ||
		blkid_probe_set_superblocks_flags(
			pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_UUID |
				    BLKID_SUBLKS_USAGE | BLKID_SUBLKS_MAGIC |
				    BLKID_SUBLKS_BADCSUM) < 0 ||
		blkid_probe_enable_partitions(pr, 1) < 0 ||
		blkid_probe_set_partitions_flags(
			pr, BLKID_PARTS_MAGIC | BLKID_PARTS_FORCE_GPT) < 0)
		return -ENOMEM;
	for (;;) {
		int r = blkid_do_probe(pr);

		if (r != 0)
			return r == 1 ? 0 : -EIO;
		r = found(im, pr, f);
		if (r < 0)
			return r;
		if (r > 0 && blkid_probe_step_back(pr) < 0)
			return -EIO;
	}
}

/* Whether the first and the last MiB of the copy are zero. */
static int ends_zero(const struct image *im, bool *ret)
{
	uint64_t n = MIN(MIB, im->size);

	*ret = true;
	for (int i = 0; i < 2; i++) {
		ssize_t r = io_pread_all(
			im->copy, im->buf, n, i ? im->size - n : 0);

		if (r < 0)
			return (int)r;
		*ret = *ret && is_zero(im->buf, n);
	}
	return 0;
}

int signatures_read(int fd, struct volume_facts *f)
{
	CLEANUP(cleanup_image) struct image im = {.fd = fd, .copy = -1};
	const uint32_t sectors[] = {MAX(f->logical, 512u), 512, 4096};
	bool zero = false;
	int r = copy_areas(&im, f);

	if (r == 0)
		r = ends_zero(&im, &zero);
	/* A table is found only with the sector size that it was made for, and
	 * an image does not say which that is. */
	for (size_t i = 0; r == 0 && f->size > 0 && i < ARRAY_LEN(sectors); i++)
		r = probe_copy(&im, sectors[i], f);
	if (r < 0)
		return r;
	f->empty = zero && f->n_signatures == 0 && f->fstype[0] == '\0';
	return 0;
}

/* A disk writes a sector as a whole, or not at all. */
#define SECTOR 512

bool signature_is_removed(const void *found, const void *saved, uint32_t n)
{
	static const uint8_t zeros[SECTOR];

	for (uint32_t at = 0; at < n; at += SECTOR) {
		const uint8_t *f = (const uint8_t *)found + at;
		size_t part = MIN((size_t)SECTOR, n - at);

		if (memcmp(f, zeros, part) != 0 &&
			memcmp(f, (const uint8_t *)saved + at, part) != 0)
			return false;
	}
	return true;
}
