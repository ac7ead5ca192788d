/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The script that brings the agent to life on a machine that has a POSIX sh
 * and little else, and the lines that it answers with. Only ssh.c and its test
 * use it.
 *
 * The command is one line without quotes inside the quotes, backslashes,
 * exclamation marks and newlines, because the log-in shell that reads it first
 * may be anything (csh, fish, zsh). Its answers are whole lines and carry the
 * marker, because log-in files may print anything before, the command itself
 * included:
 *
 *	REHOST-READY <marker>              send exactly the agent's bytes now
 *	REHOST-READY <marker> gzip         the same, packed by gzip(1)
 *	REHOST-ERROR <marker> arch <s> <m> uname says another system or machine
 *	REHOST-ERROR <marker> root         neither root nor sudo -n
 *	REHOST-ERROR <marker> noexec       nowhere to put and run it
 *	REHOST-ERROR <marker> short <n>    only n bytes arrived
 *	REHOST-AGENT <marker>              the agent's own greeting
 *
 * The sender waits for REHOST-READY, which costs one round trip and keeps the
 * bytes from log-in files that read standard input.
 */
#ifndef REHOST_LINK_BOOTSTRAP_H
#define REHOST_LINK_BOOTSTRAP_H

#include <stdbool.h>
#include <stddef.h>

#define BOOTSTRAP_MARKER_SIZE 33 /* 32 hex digits and a NUL */
#define BOOTSTRAP_COMMAND_SIZE 2048

/* The command for ssh that receives size bytes, or packed ones where there is a
 * gzip(1), and runs them as
 * "<file> serve <marker> <value of SSH_CONNECTION>", from / and with a PATH
 * that has the system's folders. any_user: as whoever logs in, when that is
 * neither root nor may become it. */
void bootstrap_command(const char marker[BOOTSTRAP_MARKER_SIZE], size_t size,
	size_t packed, bool any_user, char ret[BOOTSTRAP_COMMAND_SIZE]);

enum bootstrap_answer {
	BOOTSTRAP_NOISE,
	BOOTSTRAP_READY,
	BOOTSTRAP_READY_PACKED,
	BOOTSTRAP_AGENT,
	BOOTSTRAP_ARCH,
	BOOTSTRAP_ROOT,
	BOOTSTRAP_NOEXEC,
	BOOTSTRAP_SHORT,
};

/* What a line (without its newline) is. *ret_rest becomes what stands behind
 * the word of an error, "" when nothing does. */
enum bootstrap_answer bootstrap_answer(const char *line,
	const char marker[BOOTSTRAP_MARKER_SIZE], const char **ret_rest);

#endif
