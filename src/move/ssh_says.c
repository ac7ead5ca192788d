/* SPDX-License-Identifier: Apache-2.0 */
#include "move/ssh_says.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rescue/program.h"

#define OUTPUT_MAX (1U << 20)
#define LIMIT "10" /* seconds */

/* "timeout 10 ssh [-G] ... HOST [COMMAND]" */
static int run(const struct place *place, const struct ssh_options *o,
	const char *extra, const char *command, char **ret)
{
	CLEANUP_FREE const char **ssh = NULL;
	CLEANUP_FREE const char **argv = NULL;
	char port[SSH_PORT_SIZE];
	struct error ignored;
	size_t n = 0;

	ssh = ssh_arguments(place, o, extra, port, &n);
	argv = calloc(n + 4, sizeof(*argv));
	if (!ssh || !argv)
		return -ENOMEM;
	argv[0] = "timeout";
	argv[1] = LIMIT;
	memcpy(argv + 2, ssh, n * sizeof(*ssh));
	argv[2 + n] = command;
	return program_run(
		(char *const *)argv, OUTPUT_MAX, ret, NULL, &ignored);
}

int ssh_says(const struct place *place, const struct ssh_options *o, char **ret)
{
	return run(place, o, "-G", NULL, ret);
}

int ssh_runs(const struct place *place, const struct ssh_options *o,
	const char *command, char **ret)
{
	return run(place, o, NULL, command, ret);
}

void ssh_value(const char *text, const char *key, char *buf, size_t size)
{
	size_t n = strlen(key);

	buf[0] = '\0';
	while (text && *text) {
		if (strncmp(text, key, n) == 0 && text[n] == ' ')
			(void)snprintf(buf, size, "%.*s",
				(int)strcspn(text + n + 1, "\n"), text + n + 1);
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
}
