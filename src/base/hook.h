/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running the user's hooks: shell commands, one after the other, each in its
 * own process group, with a time limit and what they print kept.
 *
 * A run never blocks: it is stepped from an event loop. A hook that leaves a
 * daemon behind does not hold it up, as only the shell itself is awaited.
 *
 * Whoever runs hooks also ends them: when the process that began one is gone,
 * however it went, all of the hook's group is killed within a moment. What runs
 * afterwards to tidy up is not undone by what an earlier one had still to do.
 */
#ifndef REHOST_BASE_HOOK_H
#define REHOST_BASE_HOOK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HOOK_OUTPUT 16384

struct hook_env {
	const char *name, *phase, *device; /* REHOST_NAME, _PHASE, _DEVICE */
};

/* One run; all of it may be read, nothing written, by the caller. */
struct hook_run {
	const char *const *commands;
	uint32_t n, at;
	struct hook_env env;
	uint64_t timeout_ms;
	bool stop_on_failure;

	pid_t pid;   /* and process group; 0: none is running */
	int out;     /* its output, -1: none */
	pid_t guard; /* ends the group when the leash is let go */
	int leash;
	uint64_t deadline; /* clock_ms */
	uint64_t started;
	bool done;

	uint32_t failed; /* 0, or the number (from 1) of the first failure */
	char why[256];
	char output[HOOK_OUTPUT]; /* the last part, printable */
	uint32_t output_n;
	uint64_t ms;
};

/* Begins a run of n commands, which stay the caller's and must live until it
 * is done. With stop_on_failure the first failing one ends it, otherwise all
 * are run. n may be 0. */
void hook_begin(struct hook_run *h, const char *const *commands, uint32_t n,
	const struct hook_env *env, uint64_t timeout_ms, bool stop_on_failure);

/* Does what can be done now. Returns true when the run is over. Call it when
 * h->out is readable, and every few milliseconds. */
bool hook_step(struct hook_run *h);

/* Steps to the end, sleeping between. */
void hook_finish(struct hook_run *h);

/* Kills what is running, with its whole group, and ends the run as failed. */
void hook_kill(struct hook_run *h, const char *why);

#endif
