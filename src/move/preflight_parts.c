/* SPDX-License-Identifier: Apache-2.0 */
/* What the source is made of and rehost cannot carry, or not as it is. */
#include "move/preflight_checks.h"

#include <string.h>

static bool among(const char *s, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(s, *list) == 0)
			return true;
	return false;
}

static bool ends(const char *s, const char *with)
{
	size_t n = strlen(s), k = strlen(with);

	return n >= k && strcmp(s + n - k, with) == 0;
}

/* ---- disks ---- */

/* What the content of a disk means. */
static const struct {
	const char *type, *what, *remedy;
	enum preflight_severity severity;
} contents[] = {
	{"zfs_member", "a part of a ZFS pool, which nothing here can freeze",
		"export the pool and move its disks unmounted, or use zfs send",
		BLOCKS},
	{"bcachefs", "bcachefs, whose used blocks nothing here can tell",
		"move its files as a tree", BLOCKS},
	{"bcache", "a part of bcache, whose data is on two disks at once",
		"detach the cache first", BLOCKS},
	{"drbd", "DRBD's, which writes below of what is copied",
		"take DRBD away, or let it make the replica", BLOCKS},
	{"ambiguous", "of several kinds at once, which no system may trust",
		"wipe the signature that is wrong (wipefs)", WARNS},
	{"crypto_LUKS",
		"encrypted (LUKS): it moves as it is, and its key is "
		"asked for at the target's console",
		"have that console at hand, or a key that needs nobody", WARNS},
};

static void check_content(
	struct preflight *p, const json_t *d, const char *name)
{
	const char *type = preflight_text(d, "content.type");

	for (size_t i = 0; i < ARRAY_LEN(contents); i++) {
		if (strcmp(type, contents[i].type) != 0)
			continue;
		preflight_find(p, contents[i].severity, SOURCE, "%s is %s",
			name, contents[i].what);
		preflight_remedy(p, "%s", contents[i].remedy);
	}
}

static void check_stack(struct preflight *p, const json_t *d, const char *name)
{
	const char *lv = preflight_text(d, "lvm.lv");

	if (preflight_is(d, "kind", "mpath")) {
		preflight_find(p, BLOCKS, SOURCE,
			"%s is reached on several ways (multipath)", name);
		preflight_remedy(p, "detach the storage and attach it to the "
				    "target, or move what is on it");
	}
	if (ends(lv, "_tdata") || ends(lv, "_tmeta")) {
		preflight_find(p, WARNS, SOURCE,
			"the volume group %s has a thin pool (%s): its volumes "
			"are followed by comparing, not by tracking",
			preflight_text(d, "lvm.vg"), lv);
		preflight_remedy(p, "allow for longer rounds, or move its "
				    "volumes one by one");
	}
}

/* Metadata that lies at the end of a disk is not found on a larger one. */
static void check_at_end(struct preflight *p, const json_t *d, const char *name)
{
	static const char *const kinds[] = {"0.90", "1.0", NULL};
	const json_t *list = facts_at(d, "parents"), *o;
	size_t i;

	if (!among(preflight_text(d, "md.metadata"), kinds))
		return;
	preflight_each(list, i, o)
	{
		const json_t *disk =
			preflight_disk_named(p, SOURCE, preflight_text(o, ""));

		for (unsigned k = 0; k < p->n_pairs; k++) {
			if (p->pairs[k].source != disk ||
				preflight_disk_size(p->pairs[k].target) <=
					preflight_disk_size(disk))
				continue;
			preflight_find(p, BLOCKS, TARGET,
				"the disk for %s is larger, and the array %s "
				"has its metadata (%s) at the disk's end",
				preflight_text(disk, "name"), name,
				preflight_text(d, "md.metadata"));
			preflight_remedy(p, "take a disk of the same size");
		}
	}
}

/* Disks are cut together, so an array moves when all of its disks do. */
static void check_array(struct preflight *p, const json_t *d, const char *name)
{
	const char *metadata = preflight_text(d, "md.metadata");
	const json_t *list = facts_at(p->source, "disks"), *o;
	size_t i;

	if (!preflight_is(d, "kind", "md"))
		return;
	if (strncmp(metadata, "external:", 9) == 0) {
		preflight_find(p, BLOCKS, SOURCE,
			"the array %s has its metadata from a firmware, or in "
			"another array (%s)",
			name, metadata);
		preflight_remedy(p, "move the array itself as a volume, to one "
				    "disk or to an array of the target");
	}
	check_at_end(p, d, name);
	preflight_each(list, i, o)
	{
		if (o == d || json_array_size(facts_at(o, "parents")) > 0 ||
			preflight_moves(p, o) ||
			!preflight_stands_on(
				p, SOURCE, preflight_text(d, "name"), o))
			continue;
		preflight_find(p, BLOCKS, SOURCE,
			"the array %s lies on %s too, which does not move",
			name, preflight_text(o, "name"));
		preflight_remedy(p, "let all of its disks move, or take that "
				    "one out of it (mdadm --fail, --remove)");
	}
}

/* ---- filesystems ---- */

static void check_filesystem(struct preflight *p, const json_t *f)
{
	static const char *const outside[] = {
		"journal_dev=", "journal_path=", "logdev=", "rtdev="};
	const char *type = preflight_text(f, "type");
	const char *mount = facts_text(f, "mount");
	const char *options = facts_text(f, "options");
	size_t devices = json_array_size(facts_at(f, "devices"));

	/* One of many mounts of the same filesystem tells as much. */
	if (facts_text(f, "folder")[0])
		return;
	if (strcmp(type, "btrfs") == 0 && devices > 1) {
		preflight_find(p, BLOCKS, SOURCE,
			"%.200s is btrfs over %zu disks, which cannot be cut "
			"at one instant",
			mount, devices);
		preflight_remedy(p, "bring it to one disk (btrfs device "
				    "remove), or move its files as a tree");
	}
	if (strcmp(type, "zfs") == 0 || strcmp(type, "bcachefs") == 0) {
		preflight_find(p, BLOCKS, SOURCE,
			"%.200s is %s, which rehost cannot carry", mount, type);
		preflight_remedy(p, "use the filesystem's own way (zfs send), "
				    "or move its files as a tree");
	}
	for (size_t i = 0; i < ARRAY_LEN(outside); i++) {
		if (!strstr(options, outside[i]))
			continue;
		preflight_find(p, BLOCKS, SOURCE,
			"%.200s (%s) keeps its journal or data on another disk "
			"(%s...)",
			mount, type, outside[i]);
		preflight_remedy(p, "bring the journal inside first (ext4: "
				    "tune2fs; XFS: make it anew)");
		break;
	}
}

static void check_fstab(struct preflight *p, const json_t *e)
{
	static const char *const network[] = {"nfs", "nfs4", "cifs", "smb3",
		"ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "9p",
		"lustre", "virtiofs", NULL};
	const char *type = preflight_text(e, "type");

	if (!among(type, network))
		return;
	preflight_find(p, WARNS, SOURCE,
		"/etc/fstab mounts %.200s from %.200s "
		"(%s), which does not move",
		facts_text(e, "mount"), facts_text(e, "spec"), type);
	preflight_remedy(p, "make sure that the target reaches that server, "
			    "and is let in with its address");
}

void preflight_unsupported(struct preflight *p)
{
	const json_t *list = facts_at(p->source, "disks"), *o;
	size_t i;

	preflight_each(list, i, o)
	{
		const char *name = preflight_text(o, "path");

		if (!name[0])
			name = preflight_text(o, "name");
		check_content(p, o, name);
		check_stack(p, o, name);
		check_array(p, o, name);
	}
	list = facts_at(p->source, "filesystems");
	preflight_each(list, i, o) check_filesystem(p, o);
	list = facts_at(p->source, "fstab");
	preflight_each(list, i, o) check_fstab(p, o);
	list = facts_at(p->source, "swap");
	preflight_each(list, i, o)
	{
		if (!preflight_is(o, "kind", "file"))
			continue;
		preflight_find(p, NOTES, SOURCE,
			"it swaps to the file %.200s: what is written there is "
			"sent again and again",
			facts_text(o, "path"));
		preflight_remedy(p, "swapoff before the move, if memory "
				    "allows it");
	}
}

void preflight_degraded(struct preflight *p)
{
	static const char *const writes[] = {
		"resync", "recover", "reshape", "repair", NULL};
	const json_t *list = facts_at(p->source, "disks"), *o;
	size_t i;

	preflight_each(list, i, o)
	{
		const char *action = preflight_text(o, "md.action");
		uint64_t n = 0;

		if (among(action, writes)) {
			preflight_find(p, BLOCKS, SOURCE,
				"the array %s is busy with itself (%s): it "
				"writes even while all that is on it stands "
				"still",
				preflight_text(o, "path"), action);
			preflight_remedy(p, "wait until /proc/mdstat says that "
					    "it is done");
		}
		if (!preflight_true(o, "md.degraded") &&
			(!preflight_number(o, "md.degraded", &n) || n == 0))
			continue;
		preflight_find(p, WARNS, SOURCE,
			"the array %s lacks disks: one more that fails ends "
			"it, and when the root lies on it, it cannot be made "
			"ready for the target",
			preflight_text(o, "path"));
		preflight_remedy(p, "repair it, or have a backup: a move reads "
				    "all of its disks");
	}
}
