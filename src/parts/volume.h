/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the volume part share. */
#ifndef REHOST_PARTS_VOLUME_H
#define REHOST_PARTS_VOLUME_H

#include "move/move.h"
#include "move/phase.h"

#define CALL_MS 60000
#define LONG_MS 600000

/* One of the volumes that move together; there is always one. */
struct volume_disk {
	const char *source_path, *target_path, *overwrite;
	struct volume_facts source, target;
	bool target_exists;
	uint64_t start; /* in all of them: see volume/joined.h */
};

struct volume_part {
	uint32_t n;
	struct volume_disk *disks;
	bool machine;
	bool known; /* the facts of the source are of this process */
	int source_agent, target_agent; /* pids of the peers that opened it */
	bool fresh; /* the keeper was made for this process, and is unused */
	uint64_t keeper; /* which one it is */
	bool tracking;
	char reason[512]; /* why not */
	bool mapped, map_said;
	uint64_t size;
	uint32_t generation, pass;
	struct msg_commit signatures; /* of the source, whole blocks */

	/* Figures for the forecast. */
	uint64_t send_rate, compare_rate, dirty_rate; /* bytes a second */
	bool of_seed;	      /* the first of them: it read in order */
	uint64_t overhead_ms; /* of a pass with nothing in it */
	uint64_t written, written_at;
	uint64_t sync_ms;

	uint8_t hold; /* enum hold_kind */
	bool proved;
};

/* volume.c: shared by all. */
int volume_source_call(struct part *p, uint32_t type, const void *request,
	void *answer, struct error *err);
int volume_target_call(struct part *p, uint32_t type, const void *request,
	void *answer, struct error *err);
/* Whether the target's agent has the volumes open since this process asked. */
bool volume_has_target(const struct part *p);
/* Runs a pass; makes new lanes and repeats it when they broke, unless the
 * source is held. */
int volume_pass(struct part *p, enum pass_kind kind, uint64_t budget,
	struct msg_pass_done *ret, struct error *err);
/* Settles the tracker, then decides on what the last comparison found: see
 * sender_differ. */
enum differences {
	DIFFER_LIVE, /* the source is live; suspects first */
	DIFFER_ALL,  /* the source is live, marks were lost */
	DIFFER_HELD, /* the source stands still */
};
struct differences_found {
	uint64_t unexplained, suspect;
};
int volume_take_differences(struct part *p, enum differences how,
	struct differences_found *ret, struct error *err);
int volume_settle_tracker(struct part *p, bool live, struct error *err);
int volume_map(struct part *p, struct error *err);
/* Changes the maps as set says. */
int volume_mark(struct part *p, const struct msg_mark *set, struct error *err);
int volume_state(
	struct part *p, struct msg_source_state *ret, struct error *err);
/* Opens the source, as it must be to go on with it; or only its keeper,
 * whatever became of the volume (-ENOENT: there is none); or to give it back,
 * also with a new keeper. With the last two nothing can be sent. */
enum volume_open { VOLUME_USE, VOLUME_KEEPER, VOLUME_GIVE_BACK };
int volume_open_source_agent(
	struct part *p, enum volume_open how, struct error *err);

/* volume_open.c */
/* Is it the disk that the move began with? Paths may have changed hands. With
 * nothing stored yet, stores it. -ENXIO: another disk; -ERANGE: the same one,
 * of another size. */
int volume_check_identity(struct part *p, enum side side, uint32_t disk,
	const struct volume_facts *f, struct error *err);
int volume_probe(struct part *p, enum side side, const char *path,
	struct volume_facts *ret, struct error *err);
/* How large the source was when the move began, of which it may be out of
 * reach; bytes. */
uint64_t volume_source_bytes(const struct part *p, uint32_t disk);
/* Looks at all of the source, unless this process has; all must be those that
 * the move began with. -ERANGE as above. */
int volume_know_source(struct part *p, struct error *err);
int volume_inspect(struct part *p, struct error *err);
int volume_discard(struct part *p, struct error *err);
/* Opens what another process prepared on the target, wherever the source is:
 * whole is what is withheld of a replica that is proved; without it the replica
 * is as a half-made one afterwards. -ENOENT when it is not there. */
int volume_open_again(
	struct part *p, const struct msg_blocks *whole, struct error *err);
int volume_prepare(struct part *p, struct error *err);

/* volume_follow.c */
int volume_seed(struct part *p, struct error *err);
int volume_follow(struct part *p, struct backlog *ret, struct error *err);
int volume_check(struct part *p, uint64_t *ret_differ, struct error *err);
int volume_attach(struct part *p, struct error *err);

/* volume_hooks.c */
void volume_copy_hooks(
	const struct hook_list *l, struct msg_hook *v, uint32_t *n);
/* For tests: the first hook, which is command, is killed before it does
 * anything, or when it has done all and not ended. Without one, nothing. */
void volume_kill_hook(struct msg_hook *v, const char *command, enum phase p);
/* Says which hook failed, and the last line that it printed. -ECANCELED. */
int volume_hook_error(struct part *p, enum side side, const char *phase,
	const struct msg_hooks_result *h, struct error *err);

/* volume_cut.c */
int volume_quiesce(struct part *p, struct error *err);
int volume_finish(struct part *p, struct error *err);
int volume_verify(struct part *p, struct error *err);
int volume_fence(struct part *p, struct error *err);
int volume_commit(struct part *p, struct error *err);
/* What volume_verify stored: the blocks that are withheld from the target, and
 * that a fence by signature takes from the source. */
int volume_take_signatures(
	struct move *m, struct msg_blocks *ret, struct error *err);

/* volume_target.c */
/* Whether the target's disks are those that were written: another process, or
 * another boot, opened them, and paths may have changed hands since. */
int volume_check_target(struct part *p, struct error *err);
int volume_activate(struct part *p, struct error *err);
int volume_deactivate(struct part *p, struct error *err);

/* volume_back.c */
int volume_recover(struct part *p, struct error *err);
int volume_rollback(struct part *p, struct error *err);
int volume_unfence(struct part *p, struct error *err);
int volume_settle(struct part *p, struct error *err);

#endif
