/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent: serves one controller on standard input and output, as source or
 * as target of one move, and ends when the controller is gone.
 *
 * The main thread polls: requests, the keeper, relayed lanes. What may take
 * time runs in one job thread, one job at a time; while it runs, only requests
 * that the message table allows in a pass are served.
 */
#ifndef REHOST_AGENT_AGENT_H
#define REHOST_AGENT_AGENT_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "copy/receiver.h"
#include "copy/sender.h"
#include "link/lane.h"
#include "track/keeper.h"
#include "volume/joined.h"
#include "volume/spared.h"
#include "volume/usedmap.h"
#include "wire/channel.h"

/* One lane that is relayed through the controller. */
struct relay {
	int fd;		 /* our end of the pair whose other end is the lane */
	uint64_t credit; /* source: bytes that may still be sent */
	uint8_t *buf;	 /* target: received and not yet taken */
	uint32_t start, end, owed; /* owed: credit not yet given back */
	bool ended;
};

struct agent {
	struct channel *channel;
	_Atomic uint8_t state; /* IN_NEW, IN_SOURCE, IN_TARGET, IN_MEASURE */

	/* The job: its request stays here while it runs. */
	pthread_t job_thread;
	bool job_joinable;
	_Atomic bool job_running, job_answered;
	struct frame job;
	uint8_t *job_payload;

	/* Lanes. */
	struct lane_listener *listener;
	uint32_t generation; /* of the lanes in use */
	unsigned n_relays;
	struct relay relays[LANES_MAX];

	/* What moves, all volumes behind one another; or what keeps nothing, or
	 * only what may be spoilt. */
	struct joined joined;
	struct volume sink;
	struct spared spared;
	struct volume *volume;
	uint8_t secret[SECRET_SIZE];

	/* Source. What a pass sends: of a move, or of a measurement. */
	struct maps *sends;
	struct volume *reads;
	struct keeper_link keeper;
	bool keeper_gone;
	bool machine;
	bool filesystem; /* something known is on the first volume */
	/* What the keeper was asked and has not answered. */
	struct {
		uint32_t type, id;
	} asked[8];
	unsigned n_asked;
	/* Of a keeper that is gone: enum keeper_phase; and its rollback hooks,
	 * which are run in its stead: what is asked meanwhile is answered when
	 * they are done. */
	uint32_t died_in;
	bool undoing;
	int stand_in; /* see keeper_stand_in; -1: none */
	struct hook_run undo;
	const char *undo_commands[HOOKS_MAX];
	/* Held to replace the sender, and to tell it something while a job
	 * may be replacing it. */
	pthread_mutex_t sender_lock;
	struct sender *sender;
	_Atomic bool in_pass;
	uint64_t progress_at;

	/* Trackers without a keeper are at work; and the agent is to end. */
	_Atomic bool sampling, leaving;

	/* What was gathered of the machine's facts. */
	char *inspected;
	size_t inspected_n;

	/* Takeover. */
	uint8_t *archive; /* packed, as far as it came */
	uint64_t archive_n, archive_total;
	bool loaded; /* a kernel of ours is */

	/* Target. */
	struct withheld withheld;
	struct receiver *receiver;
	char name[64];
	struct export *export; /* NULL: none */
};

/* Answers a request; usable from any thread. */
void agent_answer(struct agent *a, uint32_t type, uint32_t id, const void *msg);
void agent_answer_error(struct agent *a, uint32_t id, const struct error *err);

/* Is it one whose passes send? */
static inline bool agent_sends(const struct agent *a)
{
	return a->state == IN_SOURCE || a->state == IN_MEASURE;
}

/* A handler decodes the frame, does the work and answers; on failure it returns
 * a negative errno with err filled, and the caller answers. */
typedef int agent_handler(
	struct agent *a, const struct frame *f, struct error *err);

/* source.c */
agent_handler source_open, source_map, source_pass, source_mark, source_backlog,
	source_read_blocks;
void source_progress(struct agent *a);
/* Passes a request on to the keeper; answers itself when it is gone. */
agent_handler source_forward;
/* Handles what came from the keeper. */
void source_keeper_input(struct agent *a);
/* Goes on with the rollback hooks of a keeper that is gone; now and then. */
void source_undo(struct agent *a);
/* DURABLE and MISMATCH, passed on by the controller. */
int source_event(struct agent *a, const struct frame *f);

/* used.c: marks in the maps what is used of the volumes; ret->mapped is 0 when
 * nobody can tell, and then all is. */
int used_find(struct maps *m, bool machine, bool filesystem,
	struct msg_map_result *ret, struct error *err);
agent_handler source_lie;

/* fit.c */
agent_handler fit_machine, fit_boot;
agent_handler grow_tables;

/* Calls fn for what is used of a volume that is as now says. false when nobody
 * can tell, and then all counts as used, whatever fn was told; reason says why.
 * filesystem: one was found on it. */
bool source_used(const struct volume_facts *now, bool filesystem,
	usedmap_fn *fn, void *arg, char *reason, size_t size);

/* target.c. To open a target for a trial is to check and hold it as for a move,
 * but to wipe nothing, and to write nothing that tells what it is. */
agent_handler target_open, target_publish, target_wipe, target_close,
	target_keep_file, target_drop_file;

/* export.c: the replica as NBD exports, for reading; see MSG_EXPORT. */
agent_handler export_begin, export_end;
/* A frame of a connection, from the controller. */
int export_frame(struct agent *a, const struct frame *f);
/* Answers a piece of what was asked; true when there is more to do at once. */
int export_serve(struct agent *a, bool *ret_more);

/* measure.c */
agent_handler measure_open, measure_sample, measure_sink;
/* Before the agent ends: waits until no trace is left. */
void measure_leave(struct agent *a);

/* inspect.c */
agent_handler inspect_machine;

/* takeover.c */
agent_handler takeover_archive, takeover_load, takeover_unload, takeover_kexec;
/* Unloads what was loaded and not started. */
void takeover_end(struct agent *a);

/* lanes.c */
agent_handler lanes_listen, lanes_accept, lanes_connect, lanes_relay;
/* Relay traffic: a frame from the controller; polling the pairs. */
int relay_frame(struct agent *a, const struct frame *f);
void relay_poll(struct agent *a, struct pollfd *p); /* fills n_relays */
/* Ends all relayed lanes. */
void relay_end(struct agent *a);
int relay_serve(struct agent *a, const struct pollfd *p);

/* Peak memory of a process in KiB, 0 when unknown. */
uint64_t agent_hwm(int pid);

#endif
