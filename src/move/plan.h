/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of moving a machine: a YAML file that rehost makes from the facts of
 * both machines, that people read and change, and that a move follows.
 * rehost-plan(5) documents every key.
 *
 * A plan carries the facts that it stands on, so that rehost can refuse it and
 * say what changed. Everything in a plan may come from a hostile machine.
 */
#ifndef REHOST_MOVE_PLAN_H
#define REHOST_MOVE_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "move/options.h"

#define PLAN_VERSION 1
#define PLAN_FILE_MAX (1024U * 1024)
#define PLAN_DISKS_MAX 256
#define PLAN_NICS_MAX 256
#define PLAN_LIST_MAX 16       /* gateways, nameservers, probes */
#define PLAN_ADDRESSES_MAX 256 /* of one interface */
#define PLAN_FACTS_MAX 4096    /* lines of facts of one machine */
#define PLAN_TEXT_MAX 4095

enum plan_mode { PLAN_KEEP, PLAN_MAP, PLAN_DHCP };

/* What is changed on the target so that the moved system boots there. */
enum plan_fixup {
	PLAN_FSTAB,
	PLAN_CRYPTTAB,
	PLAN_BOOTLOADER,
	PLAN_INITRAMFS,
	PLAN_NETWORK,
	PLAN_RESOLVER,
	PLAN_HOSTNAME,
	PLAN_MACHINE_ID,
	PLAN_SSH_KEYS,
	PLAN_CLOUD,
	PLAN_CONSOLE,
	PLAN_FIXUPS
};

extern const char *const plan_mode_names[];	/* by enum plan_mode */
extern const char *const plan_fixup_names[];	/* by enum plan_fixup */
extern const char *const plan_cutover_names[];	/* auto, wait */
extern const char *const plan_identity_names[]; /* keep, new */

/* Strings that the list owns. */
struct plan_list {
	uint32_t n;
	char **v;
};

/* All strings are owned by the plan, NULL where the file has ~. A comment has
 * lines that the writer puts above the entry; the reader makes none. */
struct plan_disk {
	char *name, *id; /* of the source; id as in facts */
	uint64_t size;
	bool exclude;
	char *target_name, *target_id; /* NULL: the user has yet to choose */
	uint64_t target_size;
	char *overwrite; /* the target's id: what is on it is destroyed */
	char *grow; /* mount point of what gets the room of a larger target */
	char *comment;
};

struct plan_nic {
	char *name, *mac; /* of the source; lower case */
	bool exclude;
	char *target;	     /* MAC; NULL: the user has yet to choose */
	enum plan_mode mode; /* addresses and so on only of PLAN_MAP */
	struct plan_list addresses, gateways, nameservers;
	char *comment;
};

struct plan_side {
	char *place, *hostname;
	char fingerprint[65];	/* SHA-256 over facts, hex */
	struct plan_list facts; /* plan_facts made them */
};

struct plan {
	char *name; /* of the move; NULL: as without a plan */
	struct plan_side source, target;
	uint32_t n_disks, n_nics;
	struct plan_disk *disks;
	struct plan_nic *nics;
	bool new_identity;
	char *hostname; /* from now on; NULL: as it was */
	bool fixups[PLAN_FIXUPS];
	uint64_t downtime_ms, bwlimit; /* bwlimit 0: none */
	bool wait;		       /* cutover: wait */
	struct plan_list probes;
	struct hook_list quiesce, rollback;
	uint64_t hook_timeout_ms;
	char *comment; /* above the hooks */
};

/* Sets the defaults. */
void plan_init(struct plan *p);
void plan_done(struct plan *p);

/* Adds a copy. -E2BIG when there are max of them, -ENAMETOOLONG. */
int plan_list_add(
	struct plan_list *l, const char *text, uint32_t max) MUST_CHECK;
void plan_list_done(struct plan_list *l);

/* Adds a zeroed entry; NULL when out of memory. The caller minds the maximum.
 */
struct plan_disk *plan_add_disk(struct plan *p);
struct plan_nic *plan_add_nic(struct plan *p);

/* ---- what users write ---- */

/* Six or, for InfiniBand, twenty bytes: "52:54:00:12:34:56". Makes it lower
 * case in place. */
bool plan_is_mac(char *text);
/* "192.0.2.5/24", "2001:db8::5/64". */
bool plan_is_network(const char *text);
/* "192.0.2.1", "2001:db8::1". */
bool plan_is_address(const char *text);
/* "web2", "web2.example.org" */
bool plan_is_hostname(const char *text);
/* "tcp:22", "http://:80/path", "http://name:80/path". */
bool plan_is_probe(const char *text);

/* ---- facts: plan_facts.c ---- */

/* What must not change between the plan and the move, one line a thing, in a
 * stable order: boot mode, and of disks that cannot be taken out the identity,
 * size, partition table, partitions, and what blkid finds on them. Kernel names
 * count only for disks without serial and WWN. ret is set on success; the
 * caller releases it. -E2BIG when there is more than a plan can hold. */
int plan_facts(const json_t *facts, struct plan_list *ret) MUST_CHECK;

/* SHA-256 of the lines, without names that do not count. */
int plan_fingerprint(const struct plan_list *lines, char ret[65]) MUST_CHECK;

/* The disk of the facts that a plan names by id and name, or NULL. With a
 * serial or WWN that is the only one of its kind, the name does not matter. */
const json_t *plan_find_disk(
	const json_t *facts, const char *id, const char *name);

/* Refuses a plan that the facts no longer fit (-ESTALE; up to three changes are
 * named), in which something is left to choose or whose target disk is too
 * small
 * (-EINVAL, -ENOSPC), in use (-EBUSY), not empty without having been named for
 * overwriting (-EEXIST), or on which nothing can grow as wished (-EINVAL). */
int plan_check(const struct plan *p, const json_t *source_facts,
	const json_t *target_facts, struct error *err) MUST_CHECK;

/* ---- making: plan_make.c ---- */

/* A plan with sensible defaults and comments that explain them. Of o it takes
 * the places, name, budget, cutover, hooks, host name and the ID to overwrite.
 * clone: the
 * source stays, so the copy needs its own identity and addresses. What cannot
 * be told is left for the user to choose. The caller ends *ret with plan_done.
 */
int plan_make(const struct options *o, bool clone, const json_t *source_facts,
	const json_t *target_facts, struct plan *ret,
	struct error *err) MUST_CHECK;

/* ---- files ---- */

/* The plan as YAML with comments, in a stable order; plan_parse reads the same
 * plan from it. What is no UTF-8 in names of a machine becomes \xNN; in what a
 * user wrote it is refused with -EILSEQ. -E2BIG when it gets too long. The
 * caller frees *ret. */
int plan_write(const struct plan *p, char **ret, struct error *err) MUST_CHECK;

/* Writes it into a new file that only its owner may read: hooks may hold
 * passwords. -EEXIST when there is one of that name. */
int plan_save(
	const struct plan *p, const char *path, struct error *err) MUST_CHECK;

/* Reads a plan and checks all that can be checked without the machines. Errors
 * are -EINVAL with "file:line:column: " and what would be right; the file is at
 * most PLAN_FILE_MAX bytes (-EFBIG). The caller ends *ret with plan_done. */
int plan_read(const char *path, struct plan *ret, struct error *err) MUST_CHECK;

/* The same from memory; file is for messages. */
int plan_parse(const char *file, const char *text, size_t n, struct plan *ret,
	struct error *err) MUST_CHECK;

#endif
