/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "build_id.h"
#include "cli/cli.h"

#define SSH " ssh ssh-option"
#define RUN                                                                    \
	"name dry-run quiet verbose format bwlimit downtime lanes lane-port "  \
	"via overwrite linger verify hook-timeout" SSH

/* clang-format off */
const struct command commands[] = {
	{"move", cmd_run, "SOURCE TARGET",
		"move a live volume or machine; the target lives on",
		RUN " cutover freeze fence quiesce rollback activate "
		"deactivate plan probe boot boot-timeout power-off power-on "
		"target-power-off no-rollback"},
	{"copy", cmd_run, "SOURCE TARGET",
		"one proven copy of a volume or machine at one instant",
		RUN " plan clone as probe boot boot-timeout"},
	{"status", cmd_status, "[NAME]", "how a move stands",
		"format follow"},
	{"list", cmd_list, "", "all moves", "format"},
	{"cutover", cmd_request, "[NAME]",
		"cut a waiting move over now", "quiet format"},
	{"pause", cmd_request, "[NAME]",
		"stop the work; changes stay tracked", "quiet format"},
	{"resume", cmd_resume, "[NAME]",
		"go on with a paused or broken-off move",
		"quiet verbose format bwlimit downtime cutover freeze probe "
		"boot-timeout"},
	{"abort", cmd_decide, "[NAME]",
		"give a move up before its commit", "quiet format"},
	{"verify", cmd_decide, "[NAME]",
		"re-read both sides and compare", "quiet format"},
	{"report", cmd_report, "[NAME]", "what happened, with figures",
		"format"},
	{"rehearse", cmd_rehearse, "[NAME]",
		"boot a copy of a moving machine, and probe it",
		"probe on boot-timeout kernel modules quiet format"},
	{"rollback", cmd_decide, "[NAME]",
		"after commit: stop the target, give the source back",
		"quiet format discard-target-writes power-on target-power-off"},
	{"confirm", cmd_decide, "[NAME]",
		"the target is good: clean up, end the fence",
		"quiet format power-off"},
	{"inspect", cmd_inspect, "[HOST]", "what a machine is",
		"format sample" SSH},
	{"estimate", cmd_estimate, "SOURCE [TARGET]",
		"how long a move would take, measured",
		"format sample downtime bwlimit lanes lane-port via write "
		"overwrite" SSH},
	{"plan", cmd_plan, "SOURCE TARGET",
		"what would block moving a machine, and a plan",
		"output clone as name quiet format bwlimit downtime cutover "
		"overwrite quiesce rollback hook-timeout sample measure ssh"},
	{"takeover", cmd_takeover, "HOST",
		"make a running machine a target in memory",
		"dry-run watchdog authorized-keys quiet format" SSH},
	{"rescue", cmd_rescue, "build",
		"make a system that turns any machine into a target",
		"output kernel modules authorized-keys host-key address dns "
		"append no-media quiet format"},
	{NULL, NULL, NULL, NULL, NULL},
};
/* clang-format on */

const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static int help(FILE *to)
{
	(void)fprintf(to,
		"usage: rehost COMMAND [FLAGS] [ARGUMENTS]\n"
		"\n"
		"Moves running Linux machines and live volumes over SSH: "
		"offline for a reboot\n"
		"or for about a second, with proof that nothing was lost, and "
		"a "
		"way back.\n"
		"\n"
		"commands:\n");
	for (const struct command *c = commands; c->name; c++)
		(void)fprintf(to, "  %-9s %-14s %s\n", c->name, c->arguments,
			c->summary);
	(void)fprintf(to,
		"\n"
		"rehost COMMAND --help tells a command's flags; the manual is "
		"rehost(1).\n");
	return to == stdout ? EXIT_DONE : EXIT_USAGE;
}

/* For the tests, which try them all: "PHASE.POINT VICTIM...". */
static void print_kill_points(void)
{
	for (int i = 0; i < PHASE_COUNT * POINT_COUNT; i++) {
		enum phase p = (enum phase)(i / POINT_COUNT);
		enum point at = (enum point)(i % POINT_COUNT);

		if (!phase_has_point(p, at))
			continue;
		(void)printf("%s.%s", phase_names[p], point_names[at]);
		for (const char *const *v = phase_victims(p, at); *v; v++)
			(void)printf(" %s", *v);
		(void)printf("\n");
	}
}

/* Parses the flags, and runs the command if it has as many arguments as its
 * usage line says. Returns an exit code. */
static int run(const struct command *c, int argc, char **argv)
{
	struct flags f;
	int r = flags_parse(c, argc, argv, &f), n = f.n_arguments;

	if (r < 0)
		r = EXIT_DONE; /* it was --help */
	else if (r == 0 && strcmp(c->arguments, "") == 0 && n > 0)
		r = usage_error(c, "no argument is wanted");
	else if (r == 0 && strcmp(c->arguments, "[NAME]") == 0 && n > 1)
		r = usage_error(c, "one name is wanted");
	else if (r == 0 && strcmp(c->arguments, "[HOST]") == 0 && n > 1)
		r = usage_error(c, "one machine is wanted");
	else if (r == 0 && strcmp(c->arguments, "HOST") == 0 && n != 1)
		r = usage_error(c, "a machine is wanted");
	else if (r == 0 && strcmp(c->arguments, "SOURCE TARGET") == 0 &&
		 n != 2 && !(n == 0 && f.options.plan[0]))
		r = usage_error(c, "a source and a target are wanted");
	else if (r == 0 && strcmp(c->arguments, "SOURCE [TARGET]") == 0 &&
		 (n < 1 || n > 2))
		r = usage_error(
			c, "a source is wanted, and a target if there is one");
	else if (r == 0 && strcmp(c->arguments, "build") == 0 &&
		 (n != 1 || strcmp(f.arguments[0], "build") != 0))
		r = usage_error(c, "the word 'build' is wanted");
	else if (r == 0)
		r = c->run(c, &f);
	flags_done(&f);
	return r;
}

int main(int argc, char **argv)
{
	const struct command *c = NULL;
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	if (argc < 2)
		return help(stderr);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		(void)printf("rehost %s (%.12s)\n", VERSION, BUILD_ID);
		r = EXIT_DONE;
	} else if (strcmp(argv[1], "--help") == 0 ||
		   strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		r = help(stdout);
	} else if (strcmp(argv[1], "--kill-points") == 0) {
		print_kill_points();
		r = EXIT_DONE;
	} else {
		c = command_find(argv[1]);
		if (!c) {
			(void)fprintf(stderr,
				"rehost: there is no command '%s'; try rehost "
				"--help\n",
				argv[1]);
			return EXIT_USAGE;
		}
		r = run(c, argc - 1, argv + 1);
	}
	/* How a move went does not depend on who was still listening. */
	if (fflush(stdout) != 0 && r == EXIT_DONE &&
		(!c || (c->run != cmd_run && c->run != cmd_resume))) {
		(void)fprintf(stderr, "rehost: cannot write to standard "
				      "output\n");
		r = EXIT_REFUSED;
	}
	return r;
}
