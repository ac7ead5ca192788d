/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a throwaway machine is run: this machine, or one that is reached by ssh
 * and needs no more than a POSIX sh and QEMU. Each has a folder there, which is
 * removed with all that is in it when it is told, and when whoever made it is
 * gone, however that ended; and so is what was started there.
 *
 * Both ways are the same scripts of sh, here or there. The session is served
 * while one is waited for; what that says (-EINTR) ends the wait.
 */
#ifndef REHOST_MOVE_GROUND_H
#define REHOST_MOVE_GROUND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "link/ssh.h"
#include "move/session.h"

struct ground;

/* What is there. */
struct ground_facts {
	char folder[64];
	bool qemu, image; /* qemu-system-x86_64, qemu-img */
	bool kvm;	  /* may be used */
	char code[256];	  /* UEFI's, "": none; its memory is a copy, vars.fd */
	uint64_t memory, room; /* bytes that are free */
	unsigned cpus;
};

/* Makes the folder, for its owner alone: in TMPDIR or /var/tmp. at: NULL for
 * this machine; what it, ssh and s point to must stay. s may be NULL. */
int ground_new(const struct place *at, const struct ssh_options *ssh,
	struct session *s, struct ground **ret, struct error *err) MUST_CHECK;

const struct ground_facts *ground_facts(const struct ground *g);
const char *ground_name(const struct ground *g); /* for messages */
bool ground_is_here(const struct ground *g);

/* Runs a script in the folder, to its end. Its input is a file, or "" for none;
 * what it prints goes to a file, or "" for nowhere. */
int ground_run(const struct ground *g, const char *script, const char *input,
	const char *output, struct error *err) MUST_CHECK;

struct ground_child {
	pid_t pid; /* 0: none */
	int tell;  /* its end is the word to end */
	struct session *session;
};

/* Starts a command in the folder, which goes on until it ends by itself or is
 * told to. What it prints is added to a file, and what it and ssh have to
 * complain about goes to another. forwards are ports and sockets that lead from
 * here to there and back, in ssh's words: "-L" or "-R", and the value; NULL
 * behind them. On this machine they mean nothing. */
int ground_start(const struct ground *g, const char *command,
	const char *const *forwards, const char *output, const char *errors,
	struct ground_child *ret, struct error *err) MUST_CHECK;

/* Whether it has ended, and with which status as of waitpid(2). */
bool ground_ended(struct ground_child *c, int *ret_status);

/* Ends it, and waits for that. */
void ground_stop(struct ground_child *c);

/* Removes the folder, and waits for that. NULL is fine. */
void ground_end(struct ground *g);

/* Adds a word to a script, so that it stands for itself. -E2BIG. */
int ground_quote(char *script, size_t size, const char *word);

#endif
