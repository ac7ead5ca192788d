/* SPDX-License-Identifier: Apache-2.0 */
/* A whole initramfs: archives one behind the other, plain and packed; the
 * machine's programs unpack what is not zstd. */
#include "fuzz.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "facts/unpack.h"

static void see(void *arg, const char *name, size_t n)
{
	uint64_t *names = arg;

	fuzz_check(n > 0 && n < CPIO_NAME_MAX && name[n] == '\0');
	fuzz_check(name[0] != '/');
	(*names)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	int fd = memfd_create("initramfs", MFD_CLOEXEC);
	const char *compression = NULL, *why = NULL;
	uint64_t names = 0;
	int r;

	fuzz_check(fd >= 0 && io_write_all(fd, data, n) == 0);
	r = unpack_names(fd, see, &names, &compression, &why);
	fuzz_check(r <= 0 && compression != NULL);
	/* Who fails says why, unless the kernel did. */
	fuzz_check(r != -EBADMSG || why != NULL);
	(void)close(fd);
	return 0;
}
