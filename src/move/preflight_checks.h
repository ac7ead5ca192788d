/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the checks of move/preflight.h are made of. A check is a function that
 * looks at the facts and calls preflight_find, and a row in the table in
 * preflight.c, which gives its findings their name.
 */
#ifndef REHOST_MOVE_PREFLIGHT_CHECKS_H
#define REHOST_MOVE_PREFLIGHT_CHECKS_H

#include "facts/facts.h"
#include "move/preflight.h"

/* Elements of a list that are looked at: what a hostile machine may cost. */
#define PREFLIGHT_LIST_MAX 4096
#define PREFLIGHT_MODULES_MAX 65536 /* of modules in a kernel */
#define PREFLIGHT_PATH_MAX 32	    /* of the way to a disk */
/* Disks that are moved. */
#define PREFLIGHT_PAIRS_MAX 64
/* Controllers of the target that the moved system needs. */
#define PREFLIGHT_DEVICES_MAX 256

enum preflight_severity { BLOCKS, WARNS, NOTES, SEVERITIES };
enum preflight_host { SOURCE, TARGET };

/* A disk of the source and where it goes. */
struct preflight_pair {
	const json_t *source;
	const json_t *target; /* NULL: none is chosen, or found */
	const char *named;    /* as the target is called; NULL: none chosen */
	unsigned called;      /* disks of the target that are called so */
};

/* Where the source has the driver of a device: at boot, or later. */
enum preflight_driven { DRIVER_UNKNOWN, NO_DRIVER, IN_MODULES, AT_BOOT };

/* A controller of the target, or what it hangs on, and what the source has for
 * it. */
struct preflight_device {
	const json_t *device;
	bool storage; /* of use for a disk; else for the network */
	enum preflight_driven driven;
	const char *module; /* or "" */
};

struct preflight {
	const json_t *source;
	const json_t *target; /* NULL: none */
	const struct preflight_wish *wish;
	const char *name; /* of the check that runs */
	unsigned n_found; /* by it */
	json_t *found[SEVERITIES];
	json_t *last;
	bool oom;
	struct preflight_pair pairs[PREFLIGHT_PAIRS_MAX];
	unsigned n_pairs;
	unsigned n_unpaired; /* more disks than may move */
	struct preflight_device devices[PREFLIGHT_DEVICES_MAX];
	unsigned n_devices;
	unsigned n_unseen; /* more of them than have room */
	json_t *disks[2];  /* of each host, by their names */
};

/* Adds a finding; what it rests on is formatted. A check that finds very much
 * is cut short. */
void preflight_find(struct preflight *p, enum preflight_severity severity,
	enum preflight_host host, const char *fact, ...)
	__attribute__((format(printf, 4, 5)));

/* What helps against the last one; each finding must have it. */
void preflight_remedy(struct preflight *p, const char *remedy, ...)
	__attribute__((format(printf, 2, 3)));

/* The facts of a host. */
const json_t *preflight_facts(
	const struct preflight *p, enum preflight_host host);
const char *preflight_host_name(enum preflight_host host);

/* As facts_text, and "" when it is longer than any name is. */
const char *preflight_text(const json_t *j, const char *path);

/* Whether it is this text. */
bool preflight_is(const json_t *j, const char *path, const char *text);

/* A number of at least 0; false when there is none. */
bool preflight_number(const json_t *j, const char *path, uint64_t *ret);

/* Whether it is true, or false; absent is neither. */
bool preflight_true(const json_t *j, const char *path);
bool preflight_false(const json_t *j, const char *path);

/* Whether a list of texts has this one among its first max. */
bool preflight_has(const json_t *list, const char *text, size_t max);

/* The element of a list whose key is this text, or NULL. */
const json_t *preflight_with(
	const json_t *list, const char *key, const char *text);

/* Runs through a list; what is none is empty. */
#define preflight_each(list, i, o)                                             \
	for ((i) = 0; (i) < PREFLIGHT_LIST_MAX &&                              \
		      ((o) = json_array_get((list), (i)));                     \
		(i)++)

/* Whether the first bits of two are the same. */
bool preflight_same_bits(const uint8_t *a, const uint8_t *b, unsigned bits);

/* What a person calls a disk: its path or name, with its ID. Returns buf. */
const char *preflight_disk_text(const json_t *disk, char *buf, size_t size);

/* Bytes as a person reads them ("12.5 GiB"). Returns buf. */
const char *preflight_size_text(uint64_t bytes, char buf[24]);

/* Which disk goes where, as it is wished: fills p->pairs and p->disks. */
void preflight_map(struct preflight *p);

/* Whether a disk of the source is to move. */
bool preflight_moves(const struct preflight *p, const json_t *disk);

/* What drives the target: fills p->devices; needs p->pairs. */
void preflight_drive(struct preflight *p);

/* The size of a disk; 0 when it is not known, or NULL. */
uint64_t preflight_disk_size(const json_t *disk);

/* Whether a name, path or ID means this disk. */
bool preflight_is_called(const json_t *disk, const char *key);

/* Whether a disk may be written without being named: fixed, and not read-only.
 */
bool preflight_is_candidate(const json_t *disk);

/* The disk or partition of a name, or NULL. */
const json_t *preflight_disk_named(
	const struct preflight *p, enum preflight_host host, const char *name);

/* Whether the disk or partition of a name is, or stands on, this disk. */
bool preflight_stands_on(const struct preflight *p, enum preflight_host host,
	const char *name, const json_t *disk);

/* The checks; those of a line are in one file. */
typedef void preflight_check(struct preflight *p);
preflight_check preflight_no_root, preflight_not_known, preflight_same_machine,
	preflight_architecture, preflight_container, preflight_memory,
	preflight_kexec, preflight_takeover_disk, preflight_takeover_login,
	preflight_clock, preflight_databases, preflight_old_kernel,
	preflight_network_disk;
preflight_check preflight_boot_mode, preflight_boot_loader, preflight_room,
	preflight_efi_fallback, preflight_secure_boot, preflight_root_name,
	preflight_unstable_names;
preflight_check preflight_storage_driver, preflight_network_driver,
	preflight_drivers_unknown, preflight_cloud_kernel,
	preflight_modules_gone;
preflight_check preflight_source_disk, preflight_many_disks,
	preflight_disk_missing, preflight_disk_small, preflight_disk_unfit,
	preflight_disk_ambiguous, preflight_disk_in_use,
	preflight_disk_not_empty, preflight_sector_size;
preflight_check preflight_unsupported, preflight_degraded;
preflight_check preflight_address, preflight_dynamic_address,
	preflight_fewer_interfaces, preflight_interface_name,
	preflight_cloud_init, preflight_takeover_network, preflight_link;

#endif
