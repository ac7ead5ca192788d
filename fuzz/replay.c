/* SPDX-License-Identifier: Apache-2.0 */
/* Runs stored inputs: files, and the files in folders, that are named. */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

#include "base/io.h"

static unsigned count;

static int run_file(const char *path)
{
	char *bytes;
	uint8_t *copy;
	size_t n;

	if (io_slurp(path, 16 << 20, &bytes, &n) < 0) {
		(void)fprintf(stderr, "cannot read %s\n", path);
		return 1;
	}
	/* Without the byte that io_slurp adds. */
	copy = fuzz_alloc(n);
	memcpy(copy, bytes, n);
	free(bytes);
	(void)LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	count++;
	return 0;
}

static int run_folder(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char file[4096];
	int r = 0;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		r |= run_file(file);
	}
	if (d)
		(void)closedir(d);
	return r;
}

int main(int argc, char **argv)
{
	struct stat st;
	int r = 0;

	for (int i = 1; i < argc; i++)
		if (stat(argv[i], &st) == 0)
			r |= S_ISDIR(st.st_mode) ? run_folder(argv[i])
						 : run_file(argv[i]);
	(void)printf("%u inputs\n", count);
	return r || count == 0;
}
