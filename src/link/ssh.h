/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting the agent on a machine: over the system's ssh with the user's own
 * configuration, or as a child on this machine.
 *
 * The agent travels inside rehost (link/payload.h). On the other side nothing
 * is needed but a POSIX sh and head(1) or dd(1): the script of
 * link/bootstrap.h finds a folder from which programs may run (memory-backed
 * first), takes exactly the agent's bytes there from standard input, and starts
 * it as root or through "sudo -n"; the agent unlinks itself. Whatever log-in
 * files print on standard output before the agent's greeting is skipped.
 *
 * On this machine the agent runs from memory, as the user that rehost runs as.
 * It is started as "rehost-agent serve <marker> <client>", where client is what
 * SSH_CONNECTION was, or "".
 *
 * ssh stays in the terminal's foreground, so that it can ask for passwords, and
 * starts with SIGINT and SIGHUP ignored and blocked, so that ^C and a hang-up
 * reach rehost alone. The local agent starts in the same way. Main ignores
 * SIGPIPE; children get it back.
 */
#ifndef REHOST_LINK_SSH_H
#define REHOST_LINK_SSH_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "link/place.h"

struct ssh_options {
	const char *program; /* "ssh" when NULL; $REHOST_SSH overrides both */
	const char *const *args; /* -F, -i, -J, -o, -p and their values; NULL-
				    terminated; may be NULL */
	const volatile sig_atomic_t *cancel; /* peer_start gives up once this
						is not 0; may be NULL */
	/* Called again and again while peer_start waits, and may wait a little
	 * itself; may be NULL. */
	void (*meanwhile)(void *arg);
	void *meanwhile_arg;
	bool any_user; /* neither root nor sudo -n is fine as well */
};

/* What ssh is called with, up to the host; NULL is behind it, with room for one
 * argument more. extra comes before all others, unless it is NULL. All of it
 * points into what was given, and the caller frees the list alone. NULL: no
 * memory. */
#define SSH_PORT_SIZE 12
const char **ssh_arguments(const struct place *place,
	const struct ssh_options *o, const char *extra,
	char port[SSH_PORT_SIZE], size_t *ret_n) MUST_CHECK;

/* A running agent, connected. */
struct peer {
	char name[384]; /* "user@host" or "this machine", for messages */
	pid_t pid;	/* of ssh, or of the local agent; 0: none */
	int in;		/* read from the agent */
	int out;	/* write to the agent; the same socket as in */
	int errors; /* standard error of ssh and agent; non-blocking. It must
		       be read, or the agent may block on it. Its end means
		       nothing: a ControlMaster may keep it open. */
	char stderr_tail[2048]; /* what it said last, for messages */
};

/* Starts the agent at a place and returns once its greeting line
 * "REHOST-AGENT <marker>" was seen, within timeout_ms, which includes the time
 * that the user takes to type a password. Not a byte behind the greeting is
 * read. Descriptors are close-on-exec; in and out are blocking.
 *
 * Host keys are checked as ssh is configured to: StrictHostKeyChecking is left
 * alone, and with "ask" and no terminal ssh refuses. Options that the user's
 * args set win over those of rehost (ServerAliveInterval=5 and the like).
 *
 * Errors, each with what to do: -EHOSTUNREACH (ssh failed, or the log-in shell
 * did: its own words), -EKEYREJECTED (host key), -EPERM (neither root nor
 * sudo -n), -ENOEXEC (nowhere to run it, or it would not run), -EAFNOSUPPORT
 * (other architecture, named), -EIO (cut short), -ETIMEDOUT, -EPROTO (more than
 * 64 KiB of noise), -ENOENT (no ssh program), -ECANCELED. err->host is the
 * machine. */
int peer_start(const struct place *place, const struct ssh_options *options,
	unsigned timeout_ms, struct peer *ret, struct error *err);

/* Reads what is waiting on errors into stderr_tail (its last bytes). */
void peer_read_errors(struct peer *p);

/* The last line of stderr_tail, "" when there is none; returns buf. */
const char *peer_last_words(const struct peer *p, char *buf, size_t size);

/* Closes the descriptors, waits up to 2 s for the process to end, then ends
 * it. A stopped or never started (all zero) peer is fine. */
void peer_stop(struct peer *p);

#endif
