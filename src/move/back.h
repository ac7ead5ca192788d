/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back to a source whose address the new machine has taken over: on one
 * link both machines also have link-local IPv6 addresses (RFC 4291, 2.5.6),
 * which never move with a system. Through these, and these alone, a fenced
 * source goes on listening to its controller.
 */
#ifndef REHOST_MOVE_BACK_H
#define REHOST_MOVE_BACK_H

#include <jansson.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "link/ssh.h"
#include "wire/message.h"

struct back {
	char controller[64]; /* as the source sees it: "fe80::1%ens3" */
	char source[64];     /* as the controller does: "fe80::2%eth0" */
};

/* Finds both, when the source is reached without a router. source has the
 * source's facts, hello what its agent said. -ENETUNREACH when there is no such
 * way. */
int back_find(const json_t *source, const struct msg_hello *hello,
	struct back *ret) MUST_CHECK;

/* Arguments for ssh that lead to the source by that way, before those that the
 * user said: its host key is looked up as before. */
#define BACK_ARGS 128
struct back_args {
	const char *v[BACK_ARGS];
	char host[96], alias[320];
};
int back_arguments(const struct place *source, const struct ssh_options *o,
	const char *address, struct back_args *ret) MUST_CHECK;

/* Whether it is a machine itself, with that boot id (random(4)), that answers
 * with its host key by ssh at an address and port, straight from here. Takes as
 * long as ssh does, ten seconds at most. */
bool back_answers(const struct place *place, const struct ssh_options *o,
	const char *address, unsigned port, const char *boot_id);

#endif
