/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for the agent in test_bootstrap: goes away from where it was put,
 * greets, says what it sees, and then sends back what it is sent. What
 * STANDIN_MODE asks for it does instead of greeting.
 */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_ignored(int number)
{
	struct sigaction a;

	return sigaction(number, NULL, &a) == 0 && a.sa_handler == SIG_IGN;
}

int main(int argc, char **argv)
{
	char path[PATH_MAX] = "", cwd[PATH_MAX] = "", buf[4096], *slash;
	const char *mode = getenv("STANDIN_MODE");
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (argc != 4 || strcmp(argv[1], "serve") != 0 || n < 0)
		return 2;
	if (strncmp(path, "/memfd:", 7) != 0) {
		slash = strrchr(path, '/');
		if (unlink(path) < 0)
			return 3;
		*slash = '\0';
		if (rmdir(path) < 0)
			return 4;
	}
	if (mode && strcmp(mode, "die") == 0) {
		(void)fprintf(stderr, "standin: no wish to live\n");
		return 7;
	}
	if (mode && strcmp(mode, "hang") == 0)
		return (int)sleep(600);
	(void)fprintf(stderr, "standin: hello\n");
	(void)printf("\nREHOST-AGENT %s\nuid=%u cwd=%s client=%s int=%d hup=%d "
		     "pipe=%d\n",
		argv[2], (unsigned)geteuid(), getcwd(cwd, sizeof(cwd)), argv[3],
		is_ignored(SIGINT), is_ignored(SIGHUP), is_ignored(SIGPIPE));
	(void)fflush(stdout);
	while ((n = read(0, buf, sizeof(buf))) > 0)
		if (write(1, buf, (size_t)n) != n)
			return 5;
	return 0;
}
