/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>

#include "base/io.h"
#include "rescue/elf.h"
#include "rescue/kernel.h"

/* A program with a loader and two libraries, laid out by hand. */
struct image {
	Elf64_Ehdr h;
	Elf64_Phdr p[3];
	Elf64_Dyn d[5];
	char loader[16];
	char strings[32];
};

static struct image sample(void)
{
	struct image i;

	memset(&i, 0, sizeof(i));
	memcpy(i.h.e_ident, ELFMAG, SELFMAG);
	i.h.e_ident[EI_CLASS] = ELFCLASS64;
	i.h.e_ident[EI_DATA] = ELFDATA2LSB;
	i.h.e_type = ET_DYN;
	i.h.e_machine = EM_X86_64;
	i.h.e_phoff = offsetof(struct image, p);
	i.h.e_phentsize = sizeof(i.p[0]);
	i.h.e_phnum = 3;
	i.p[0].p_type = PT_LOAD;
	i.p[0].p_vaddr = 0x10000;
	i.p[0].p_filesz = sizeof(i);
	i.p[1].p_type = PT_INTERP;
	i.p[1].p_offset = offsetof(struct image, loader);
	i.p[1].p_filesz = sizeof(i.loader);
	i.p[2].p_type = PT_DYNAMIC;
	i.p[2].p_offset = offsetof(struct image, d);
	i.p[2].p_filesz = sizeof(i.d);
	i.d[0].d_tag = DT_NEEDED;
	i.d[0].d_un.d_val = 1;
	i.d[1].d_tag = DT_STRTAB;
	i.d[1].d_un.d_ptr = 0x10000 + offsetof(struct image, strings);
	i.d[2].d_tag = DT_STRSZ;
	i.d[2].d_un.d_val = sizeof(i.strings);
	i.d[3].d_tag = DT_NEEDED;
	i.d[3].d_un.d_val = 8;
	memcpy(i.loader, "/lib/ld.so", 11);
	memcpy(i.strings, "\0a.so.1\0libb.so.2", 18);
	return i;
}

static void reads(void **state)
{
	struct image i = sample();
	struct elf_needs n;

	assert_int_equal(elf_read(&i, sizeof(i), &n), 0);
	assert_int_equal(n.machine, EM_X86_64);
	assert_string_equal(n.loader, "/lib/ld.so");
	assert_int_equal(n.n, 2);
	assert_string_equal(n.needed[0], "a.so.1");
	assert_string_equal(n.needed[1], "libb.so.2");
}

static void own_program(void **state)
{
	struct elf_needs n;
	char *bytes;
	size_t size;
	bool found = false;

	assert_int_equal(
		io_slurp("/proc/self/exe", 256 << 20, &bytes, &size), 0);
	assert_int_equal(elf_read(bytes, size, &n), 0);
	for (uint32_t i = 0; i < n.n; i++)
		found = found || strncmp(n.needed[i], "libc.so", 7) == 0;
	assert_true(found);
	assert_int_equal(n.loader[0], '/');
	/* Cut anywhere it is refused, or reads what is there. */
	for (size_t k = 0; k < MIN(size, (size_t)5000); k += 7)
		(void)!elf_read(bytes, k, &n);
	free(bytes);
}

static void refuses(void **state)
{
	struct image i = sample();
	struct elf_needs n;

	assert_int_equal(elf_read(&i, 0, &n), -ENOEXEC);
	assert_int_equal(elf_read(&i, sizeof(i.h) - 1, &n), -ENOEXEC);
	i.h.e_ident[EI_CLASS] = ELFCLASS32;
	assert_int_equal(elf_read(&i, sizeof(i), &n), -ENOEXEC);
	i = sample();
	i.h.e_phoff = UINT64_MAX - 8;
	assert_int_equal(elf_read(&i, sizeof(i), &n), -EBADMSG);
	i = sample();
	i.h.e_phnum = 65535;
	assert_int_equal(elf_read(&i, sizeof(i), &n), -E2BIG);
	i = sample();
	i.d[1].d_un.d_ptr = 5;
	assert_int_equal(elf_read(&i, sizeof(i), &n), -EBADMSG);
	i = sample();
	i.d[0].d_un.d_val = sizeof(i.strings);
	assert_int_equal(elf_read(&i, sizeof(i), &n), -EBADMSG);
	i = sample();
	memset(i.strings, 'x', sizeof(i.strings));
	assert_int_equal(elf_read(&i, sizeof(i), &n), -EBADMSG);
	i = sample();
	memset(i.loader, 'x', sizeof(i.loader));
	assert_int_equal(elf_read(&i, sizeof(i), &n), -EBADMSG);
}

static void kernels(void **state)
{
	uint8_t b[0x400];
	char version[KERNEL_VERSION];

	memset(b, 0, sizeof(b));
	assert_int_equal(kernel_read_version(b, sizeof(b), version), -ENOEXEC);
	memcpy(b + 0x202, "HdrS", 4);
	assert_int_equal(kernel_read_version(b, sizeof(b), version), -ENOEXEC);
	b[0x20e] = 0x10;
	b[0x20f] = 0x01;
	memcpy(b + 0x310, "6.1.0-1-amd64 (debian)", 22);
	assert_int_equal(kernel_read_version(b, sizeof(b), version), 0);
	assert_string_equal(version, "6.1.0-1-amd64");
	assert_int_equal(kernel_read_version(b, 0x312, version), -ENOEXEC);
	assert_int_equal(kernel_read_version(b, 0x20f, version), -ENOEXEC);
	for (const char **s =
			(const char *[]){"../x ", " x", "a/b ", "a\x80 ", NULL};
		*s; s++) {
		memcpy(b + 0x310, *s, strlen(*s));
		assert_int_equal(
			kernel_read_version(b, sizeof(b), version), -ENOEXEC);
	}
	memset(b + 0x310, 'a', 200);
	assert_int_equal(kernel_read_version(b, sizeof(b), version), -ENOEXEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),
		cmocka_unit_test(own_program),
		cmocka_unit_test(refuses),
		cmocka_unit_test(kernels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
