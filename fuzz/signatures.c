/* SPDX-License-Identifier: Apache-2.0 */
/* A volume's content, which anybody may have written: u8 size in 64 KiB, then
 * pieces: u24 offset, u16 length, bytes. */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "volume/signatures.h"
#include "wire/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct volume_facts f;
	int fd = memfd_create("volume", MFD_CLOEXEC);

	fuzz_check(fd >= 0);
	memset(&f, 0, sizeof(f));
	f.kind = VOLUME_FILE;
	f.size = (n > 0 ? data[0] + 1ULL : 1) << 16;
	f.logical = 512;
	fuzz_check(ftruncate(fd, (off_t)f.size) == 0);
	for (size_t at = 1; at + 5 <= n;) {
		uint64_t off = (uint64_t)data[at] << 16 | data[at + 1] << 8 |
			       data[at + 2];
		size_t k = get_be16(data + at + 3);

		at += 5;
		k = k < n - at ? k : n - at;
		if (off < f.size)
			fuzz_check(io_pwrite_all(fd, data + at,
					   k < f.size - off ? k : f.size - off,
					   off) == 0);
		at += k;
	}
	if (signatures_read(fd, &f) == 0) {
		fuzz_check(f.n_signatures <= PROBE_SIGNATURES_MAX);
		for (uint32_t i = 0; i < f.n_signatures; i++)
			fuzz_check(f.signatures[i].offset < f.size &&
				   f.signatures[i].bytes <=
					   f.size - f.signatures[i].offset);
		fuzz_check(
			strnlen(f.fstype, sizeof(f.fstype)) < sizeof(f.fstype));
		fuzz_check(strnlen(f.uuid, sizeof(f.uuid)) < sizeof(f.uuid));
	}
	(void)close(fd);
	return 0;
}
