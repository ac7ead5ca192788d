/* SPDX-License-Identifier: Apache-2.0 */
/* Programs, libraries and kernels that go into a rescue system. */
#include "fuzz.h"

#include "rescue/elf.h"
#include "rescue/kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct elf_needs needs;
	char version[KERNEL_VERSION];

	if (elf_read(data, n, &needs) == 0) {
		fuzz_check(needs.n <= ELF_NEEDED);
		fuzz_check(strnlen(needs.loader, ELF_NAME) < ELF_NAME);
		for (uint32_t i = 0; i < needs.n; i++)
			fuzz_check(
				strnlen(needs.needed[i], ELF_NAME) < ELF_NAME);
	}
	if (kernel_read_version(data, n, version) == 0) {
		fuzz_check(strnlen(version, KERNEL_VERSION) < KERNEL_VERSION);
		fuzz_check(version[0] && !strchr(version, '/'));
	}
	return 0;
}
