/* SPDX-License-Identifier: Apache-2.0 */
#include "rescue/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"

#define ERRORS_MAX (64U << 10)

int program_find(const char *name, char ret[PROGRAM_PATH])
{
	const char *path = getenv("PATH");
	CLEANUP_FREE char *list = NULL;
	char *next, *folder;

	if (asprintf(&list, "%s:/usr/sbin:/sbin", path ? path : "/usr/bin") <
		0) {
		list = NULL;
		return -ENOMEM;
	}
	next = list;
	while ((folder = strsep(&next, ":"))) {
		struct stat st;
		int n = snprintf(ret, PROGRAM_PATH, "%s/%s", folder, name);

		if (folder[0] == '/' && n < PROGRAM_PATH &&
			access(ret, X_OK) == 0 && stat(ret, &st) == 0 &&
			S_ISREG(st.st_mode))
			return 0;
	}
	return -ENOENT;
}

/* In the child, between fork and exec. */
static void become(const char *path, char *const argv[], int in, int out,
	int errors, size_t max)
{
	struct rlimit limit = {.rlim_cur = max + 1, .rlim_max = max + 1};
	sigset_t none;

	if (in < 0)
		in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	if (max > 0)
		(void)setrlimit(RLIMIT_FSIZE, &limit);
	if (in >= 0 && dup2(in, 0) >= 0 && dup2(out, 1) >= 0 &&
		dup2(errors, 2) >= 0)
		(void)execv(path, argv);
	_exit(127);
}

/* All of a memory file, at most max bytes. */
static int take(int fd, size_t max, char **ret, size_t *ret_n)
{
	CLEANUP_FREE char *buf = NULL;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return -EFBIG;
	buf = malloc((size_t)st.st_size + 1);
	if (!buf)
		return -ENOMEM;
	n = io_pread_all(fd, buf, (size_t)st.st_size, 0);
	if (n < 0)
		return (int)n;
	buf[n] = '\0';
	*ret = STEAL_PTR(buf);
	if (ret_n)
		*ret_n = (size_t)n;
	return 0;
}

/* The last line that says something. */
static const char *last_line(char *text)
{
	size_t n = strlen(text);
	char *line;

	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = '\0';
	line = strrchr(text, '\n');
	return line ? line + 1 : text;
}

static int complain(const char *name, int status, int errors, struct error *err)
{
	CLEANUP_FREE char *text = NULL;
	const char *line = "";

	error_set(err, -EIO, "run %s", name);
	if (take(errors, ERRORS_MAX, &text, NULL) == 0)
		line = last_line(text);
	if (WIFSIGNALED(status))
		return error_why(
			err, "it was ended by signal %d", WTERMSIG(status));
	return error_why(err, "it ended with status %d%s%s",
		WEXITSTATUS(status), line[0] ? ": " : "", line);
}

int program_filter(int in, char *const argv[], size_t max, char **ret,
	size_t *ret_n, struct error *err)
{
	CLEANUP_CLOSE int out = memfd_create("output", MFD_CLOEXEC);
	CLEANUP_CLOSE int errors = memfd_create("errors", MFD_CLOEXEC);
	char path[PROGRAM_PATH];
	int status = 0, r;
	pid_t pid;

	if (out < 0 || errors < 0)
		return error_set(err, -errno, "make a memory file");
	r = program_find(argv[0], path);
	if (r < 0)
		return error_set(err, r, "run %s", argv[0]);
	pid = fork();
	if (pid < 0)
		return error_set(err, -errno, "start %s", argv[0]);
	if (pid == 0)
		become(path, argv, in, out, errors, ret ? max : 0);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return error_set(err, -errno, "wait for %s", argv[0]);
	}
	if (status != 0)
		return complain(argv[0], status, errors, err);
	if (!ret)
		return 0;
	r = take(out, max, ret, ret_n);
	return r < 0 ? error_set(err, r, "take what %s wrote", argv[0]) : 0;
}

int program_run(char *const argv[], size_t max, char **ret, size_t *ret_n,
	struct error *err)
{
	return program_filter(-1, argv, max, ret, ret_n, err);
}
