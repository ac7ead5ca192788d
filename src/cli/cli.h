/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of rehost and what they share. */
#ifndef REHOST_CLI_CLI_H
#define REHOST_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "move/move.h"
#include "rescue/rescue.h"

struct flags;

struct command {
	const char *name;
	/* Returns an exit code. */
	int (*run)(const struct command *c, struct flags *f);
	const char *arguments; /* for the usage line */
	const char *summary;
	const char *flags; /* long names it takes, separated by spaces */
};

/* Finds a command, or NULL. */
const struct command *command_find(const char *name);
extern const struct command commands[];

/* What the user said, parsed. */
struct flags {
	struct options options;
	struct rescue_options rescue;
	bool dry_run, quiet, verbose, json, follow;
	unsigned sample_ms; /* of rates */
	const char *output; /* file or folder for what is made */
	const char *on;	    /* a host, or NULL */
	bool clone, measure, discard, write;
	uint64_t watchdog_ms;
	/* Said, and no default. */
	bool set_downtime, set_cutover, set_boot_timeout;
	char **arguments;
	int n_arguments;
};

/* Parses the flags that the command takes; prints what is wrong itself. Returns
 * 0, EXIT_USAGE, or -1 when all is done (--help). flags_done frees. */
int flags_parse(
	const struct command *c, int argc, char **argv, struct flags *ret);
void flags_done(struct flags *f);

/* The NAME of a move that was said, or NULL. */
const char *name_of(const struct flags *f);

/* Opens the store and gets that move's row, or the newest one's. */
int open_row(const struct flags *f, struct store **ret_store,
	struct store_row *ret, struct error *err);

/* One JSON object on a line of standard output; takes the reference. */
void print_json(json_t *j);

/* "rehost COMMAND: text", and where to read on; returns EXIT_USAGE. */
int usage_error(const struct command *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Prints an error on standard error, for people or as JSON. */
void print_error(const struct flags *f, const struct error *err);

/* An observer that shows progress as the flags say. progress_end puts the
 * terminal right. */
struct observer progress_observer(const struct flags *f);
void progress_end(void);

/* How a move stands: rehost-report(5)'s event "status"; a new reference. */
json_t *row_json(const struct store_row *r);

/* What stands in the way, a line each and one for what helps; how many of them
 * block. */
unsigned print_findings(FILE *to, const json_t *findings);

/* A report for people, from its JSON. */
void report_print(const json_t *report);

/* What --dry-run found, from the same. */
void plan_print(const json_t *report);

/* One rehearsal of it, behind what is on the line already. */
void report_rehearsal(const json_t *rehearsal);

/* From now on ^C and SIGTERM ask the move to pause. */
void catch_signals(void);

/* Replaces control characters in all texts of j but newlines and tabs. */
void report_clean(json_t *j);

/* Bytes and times for people: "1.2 GiB", "3 min 4 s". */
const char *human_bytes(uint64_t n, char buf[32]);
const char *human_ms(uint64_t ms, char buf[32]);

/* What comes on top of the forecast of a machine's outage; "" when nothing
 * does. ms is what its last boot took, 0 when that is not known. */
const char *human_boot(bool boots, uint64_t ms, char buf[64]);

int cmd_run(const struct command *c, struct flags *f);
int cmd_resume(const struct command *c, struct flags *f);
int cmd_request(const struct command *c, struct flags *f);
int cmd_decide(const struct command *c, struct flags *f);
int cmd_status(const struct command *c, struct flags *f);
int cmd_list(const struct command *c, struct flags *f);
int cmd_plan(const struct command *c, struct flags *f);
int cmd_inspect(const struct command *c, struct flags *f);
int cmd_estimate(const struct command *c, struct flags *f);
int cmd_report(const struct command *c, struct flags *f);
int cmd_rehearse(const struct command *c, struct flags *f);
int cmd_takeover(const struct command *c, struct flags *f);
int cmd_rescue(const struct command *c, struct flags *f);

#endif
