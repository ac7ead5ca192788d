/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: the one process that outlives connections on the source. It
 * holds the tracker, the maps, the freeze and the fence of one move.
 *
 * The source's agent forks it, in a session of its own, locked in memory. An
 * agent attaches by an abstract Unix socket (unix(7)) whose name is derived
 * from the move's key, as root and with that key, and gets the maps as a
 * descriptor; from then on both speak the messages of wire/message.h.
 *
 * Before commit the keeper gives the source back by itself: it thaws, puts back
 * what the fence had removed and runs the rollback hooks, when the lease is not
 * renewed or when the agent is gone. After commit it does nothing by itself.
 * With nobody attached for linger_ms, not committed, it cleans up and ends.
 */
#ifndef REHOST_TRACK_KEEPER_H
#define REHOST_TRACK_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "track/maps.h"
#include "wire/channel.h"

struct keeper_config {
	uint8_t key[KEY_SIZE];
	char name[64]; /* of the move */
	uint32_t n;    /* volumes, behind one another */
	struct maps_disk disks[VOLUMES_MAX];
	bool machine; /* all that lies on them moves */
	uint64_t linger_ms;
	uint32_t granule;
	bool track;	     /* start a tracker if the volume allows one */
	bool filesystem;     /* discards are free space, not content */
	unsigned drop_every; /* tests: see tracker_drop_every */
	unsigned trace_kb;   /* ring buffer per CPU, 0 = default */
};

/* The agent's end. */
struct keeper_link {
	int fd;
	pid_t pid;
	uint8_t key[KEY_SIZE];
	struct channel *channel;
	struct maps maps;
	bool fresh;	   /* made by this call: nothing is known */
	char instance[64]; /* of its tracker: see keeper_instance_name */
};

/* Attaches to the move's keeper; makes one first when there is none and make
 * says so. An agent that stands in for a killed one ends first. Errors: -ENOENT
 * (none, and make is false), -EPROTO (it is of another build: the advice says
 * what to do), others. */
int keeper_attach(const struct keeper_config *c, bool make,
	struct keeper_link *ret, struct error *err);

/* Closes the agent's end; NULL-safe for a zeroed struct with fd -1. */
void keeper_detach(struct keeper_link *l);

/* For the agent, when the keeper died and something is to be undone: takes the
 * keeper's name, so that whoever attaches next finds this agent, and ends it,
 * before there is another keeper. Returns a descriptor; -EADDRINUSE when there
 * is another keeper already, other errors when it could not be. */
int keeper_stand_in(const struct keeper_link *l);

/* Whether another agent attaches to the move meanwhile: then this one's time is
 * over. Does not wait. */
bool keeper_replaced(int stand_in);

/* For the agent, when the keeper died: ends its hook and gives the source back
 * as the keeper would have (removed blocks, network, thaw), unless it had
 * committed; what could not be is in the maps (maps_stuck). A commit whose
 * acknowledgement never left the agent is none: unacknowledged says so. Returns
 * true when the source is not committed. The rollback hooks are the caller's.
 */
bool keeper_undo(struct maps *m, bool unacknowledged);

/* The keeper's whole life, in a process of its own: serves what listen_fd,
 * which it listens on, brings, after one byte to ready. Returns a positive
 * errno when it could not begin. */
int keeper_main(const struct keeper_config *c, int listen_fd, int ready);

/* The tracefs instance of the keeper with this key. */
void keeper_instance_name(const uint8_t key[KEY_SIZE], char buf[64]);

#endif
