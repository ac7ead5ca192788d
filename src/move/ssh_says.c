/* SPDX-License-Identifier: Apache-2.0 */
#include "move/ssh_says.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rescue/program.h"

#define OUTPUT_MAX (1U << 20)
#define LIMIT "10" /* seconds */

/* "timeout 10 ssh -G ... HOST" */
int ssh_says(const struct place *place, const struct ssh_options *o, char **ret)
{
	CLEANUP_FREE const char **ssh = NULL;
	CLEANUP_FREE const char **argv = NULL;
	char port[SSH_PORT_SIZE];
	struct error ignored;
	size_t n = 0;

	ssh = ssh_arguments(place, o, "-G", port, &n);
	argv = calloc(n + 3, sizeof(*argv));
	if (!ssh || !argv)
		return -ENOMEM;
	argv[0] = "timeout";
	argv[1] = LIMIT;
	memcpy(argv + 2, ssh, n * sizeof(*ssh));
	return program_run(
		(char *const *)argv, OUTPUT_MAX, ret, NULL, &ignored);
}
