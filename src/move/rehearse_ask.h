/* SPDX-License-Identifier: Apache-2.0 */
/* Probes of a throwaway machine: asked one after the other, without waiting. */
#ifndef REHOST_MOVE_REHEARSE_ASK_H
#define REHOST_MOVE_REHEARSE_ASK_H

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "move/throwaway.h"

/* One probe. All zero but probe, port, and fd, which is -1, at first. */
struct asked {
	const char *probe; /* as for probe_once */
	unsigned port;	   /* that it is about */
	uint64_t ms;	   /* the caller's: when it was answered */
	pid_t pid;	   /* of who asks by HTTP; 0: nobody does */
	int fd;		   /* of a connection; -1: none */
	uint64_t until;
};

/* Asks, or looks what came of it. 1: answered; 0: not yet; negative: QEMU can
 * be asked no more. */
int asked_ask(struct asked *a, struct throwaway *t, struct error *err);

/* Asks no more. */
void asked_stop(struct asked *a);

/* Asks for a second. 1: nobody takes connections at a port any more, or the
 * machine is off; 0: somebody does. */
int asked_is_silent(unsigned port, struct throwaway *t, struct session *s,
	struct error *err);

#endif
