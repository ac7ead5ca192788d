/* SPDX-License-Identifier: Apache-2.0 */
#include "rescue/media.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "rescue/program.h"

#define TEXT 8192
#define MIB (1ULL << 20)

int media_write(const char *folder, const char *name, unsigned mode,
	const void *bytes, size_t n, struct error *err)
{
	char path[PROGRAM_PATH];
	CLEANUP_CLOSE int fd = -1;
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : io_write_all(fd, bytes, n);
	if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		r = -errno;
	return r < 0 ? error_set(err, r, "write %s", path) : 0;
}

/* initrd= tells the kernel's own UEFI loader which file it is. */
int media_write_ipxe(const char *folder, const char *cmdline, struct error *err)
{
	char text[TEXT];
	int n = snprintf(text, sizeof(text),
		"#!ipxe\n"
		"# Boots the rescue system that lies beside this script.\n"
		"isset ${ip} || isset ${ip6} || ifconf\n"
		"kernel kernel initrd=initramfs %s\n"
		"initrd initramfs\n"
		"boot\n",
		cmdline);

	return media_write(folder, "rescue.ipxe", 0644, text, (size_t)n, err);
}

static int write_grub(
	const char *folder, const char *cmdline, struct error *err)
{
	char text[TEXT];
	int n = snprintf(text, sizeof(text),
		"set timeout=1\n"
		"menuentry 'rehost rescue system' {\n"
		"\tlinux /boot/kernel %s\n"
		"\tinitrd /boot/initramfs\n"
		"}\n",
		cmdline);

	return media_write(folder, "grub.cfg", 0644, text, (size_t)n, err);
}

/* GRUB's program lays the same bytes out so that they boot as a disc and as a
 * disk, by BIOS and by UEFI. It wants the files in a tree. */
static int make_iso(const char *folder, struct error *err)
{
	char iso[PROGRAM_PATH], kernel[PROGRAM_PATH], archive[PROGRAM_PATH];
	char config[PROGRAM_PATH];
	char *const argv[] = {(char *)"grub-mkrescue", (char *)"-o", iso,
		kernel, archive, config, (char *)"--", (char *)"-volid",
		(char *)"REHOST_RESCUE", NULL};

	(void)snprintf(iso, sizeof(iso), "%s/rescue.iso", folder);
	(void)snprintf(kernel, sizeof(kernel), "boot/kernel=%s/kernel", folder);
	(void)snprintf(archive, sizeof(archive), "boot/initramfs=%s/initramfs",
		folder);
	(void)snprintf(config, sizeof(config), "boot/grub/grub.cfg=%s/grub.cfg",
		folder);
	return program_run(argv, 0, NULL, NULL, err);
}

/* The same bytes in whole MiB, as clouds want disk images. */
static int make_image(const char *folder, struct error *err)
{
	char from[PROGRAM_PATH], to[PROGRAM_PATH];
	CLEANUP_CLOSE int in = -1;
	CLEANUP_CLOSE int out = -1;
	struct stat st;
	uint64_t left;

	(void)snprintf(from, sizeof(from), "%s/rescue.iso", folder);
	(void)snprintf(to, sizeof(to), "%s/rescue.img", folder);
	in = open(from, O_RDONLY | O_CLOEXEC);
	if (in < 0 || fstat(in, &st) < 0 || fchmod(in, 0600) < 0)
		return error_set(err, -errno, "open %s", from);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0)
		return error_set(err, -errno, "make %s", to);
	left = (uint64_t)st.st_size;
	while (left > 0) {
		ssize_t n = copy_file_range(in, NULL, out, NULL, left, 0);

		if (n <= 0)
			return error_set(
				err, n < 0 ? -errno : -EIO, "write %s", to);
		left -= (uint64_t)n;
	}
	if (ftruncate(out, (off_t)(((uint64_t)st.st_size + MIB - 1) / MIB *
				   MIB)) < 0 ||
		fsync(out) < 0 || fsync(in) < 0)
		return error_set(err, -errno, "write %s", to);
	return 0;
}

int media_make(const char *folder, const char *cmdline, struct error *err)
{
	int r = write_grub(folder, cmdline, err);

	if (r == 0)
		r = make_iso(folder, err);
	return r < 0 ? r : make_image(folder, err);
}
