/* SPDX-License-Identifier: Apache-2.0 */
#include "rescue/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#define MAX_SEGMENTS 64
#define MAX_TAGS 4096

struct file {
	const uint8_t *bytes;
	size_t n;
	Elf64_Phdr segments[MAX_SEGMENTS];
	uint32_t n_segments;
};

/* Copies size bytes from off, which may stand at any alignment. */
static int take(const struct file *f, uint64_t off, void *to, size_t size)
{
	if (off > f->n || size > f->n - off)
		return -EBADMSG;
	memcpy(to, f->bytes + off, size);
	return 0;
}

/* Copies a string that ends within limit bytes from off. */
static int take_name(
	const struct file *f, uint64_t off, uint64_t limit, char ret[ELF_NAME])
{
	const uint8_t *p, *end;

	if (off >= f->n)
		return -EBADMSG;
	limit = MIN(limit, (uint64_t)f->n - off);
	p = f->bytes + off;
	end = memchr(p, '\0', limit);
	if (!end)
		return -EBADMSG;
	if (end - p >= ELF_NAME)
		return -E2BIG;
	memcpy(ret, p, (size_t)(end - p) + 1);
	return 0;
}

/* Where in the file an address of the running program is. */
static int to_offset(const struct file *f, uint64_t address, uint64_t *ret)
{
	for (uint32_t i = 0; i < f->n_segments; i++) {
		const Elf64_Phdr *s = &f->segments[i];

		if (s->p_type != PT_LOAD || address < s->p_vaddr ||
			address - s->p_vaddr >= s->p_filesz)
			continue;
		return __builtin_add_overflow(
			       s->p_offset, address - s->p_vaddr, ret)
			       ? -EBADMSG
			       : 0;
	}
	return -EBADMSG;
}

static int read_dynamic(
	const struct file *f, const Elf64_Phdr *s, struct elf_needs *ret)
{
	uint64_t names[ELF_NEEDED], strings = 0, size = 0, off, at;
	uint64_t tags =
		MIN(s->p_filesz / sizeof(Elf64_Dyn), (uint64_t)MAX_TAGS);
	uint32_t n = 0;
	Elf64_Dyn d;
	int r;

	for (uint64_t i = 0; i < tags; i++) {
		if (__builtin_add_overflow(
			    s->p_offset, i * sizeof(Elf64_Dyn), &at))
			return -EBADMSG;
		r = take(f, at, &d, sizeof(d));
		if (r < 0)
			return r;
		if (d.d_tag == DT_NULL)
			break;
		if (d.d_tag == DT_STRTAB)
			strings = d.d_un.d_ptr;
		if (d.d_tag == DT_STRSZ)
			size = d.d_un.d_val;
		if (d.d_tag != DT_NEEDED)
			continue;
		if (n == ELF_NEEDED)
			return -E2BIG;
		names[n++] = d.d_un.d_val;
	}
	if (n == 0)
		return 0;
	r = to_offset(f, strings, &off);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		if (names[i] >= size ||
			__builtin_add_overflow(off, names[i], &at))
			return -EBADMSG;
		r = take_name(f, at, size - names[i], ret->needed[i]);
	}
	ret->n = n;
	return r;
}

int elf_read(const void *bytes, size_t n, struct elf_needs *ret)
{
	struct file f = {.bytes = bytes, .n = n};
	struct elf_needs needs;
	Elf64_Ehdr h;
	uint64_t at;
	int r;

	memset(&needs, 0, sizeof(needs));
	if (take(&f, 0, &h, sizeof(h)) < 0 ||
		memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
		h.e_ident[EI_CLASS] != ELFCLASS64 ||
		h.e_ident[EI_DATA] != ELFDATA2LSB ||
		(h.e_type != ET_EXEC && h.e_type != ET_DYN))
		return -ENOEXEC;
	if (h.e_phentsize != sizeof(Elf64_Phdr))
		return -EBADMSG;
	if (h.e_phnum > MAX_SEGMENTS)
		return -E2BIG;
	for (; f.n_segments < h.e_phnum; f.n_segments++) {
		if (__builtin_add_overflow(
			    h.e_phoff, f.n_segments * sizeof(Elf64_Phdr), &at))
			return -EBADMSG;
		r = take(&f, at, &f.segments[f.n_segments], sizeof(Elf64_Phdr));
		if (r < 0)
			return r;
	}
	needs.machine = h.e_machine;
	for (uint32_t i = 0; i < f.n_segments; i++) {
		const Elf64_Phdr *s = &f.segments[i];

		r = 0;
		if (s->p_type == PT_INTERP)
			r = take_name(
				&f, s->p_offset, s->p_filesz, needs.loader);
		else if (s->p_type == PT_DYNAMIC)
			r = read_dynamic(&f, s, &needs);
		if (r < 0)
			return r;
	}
	*ret = needs;
	return 0;
}
