/* SPDX-License-Identifier: Apache-2.0 */
#include "rescue/content.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "rescue/elf.h"
#include "rescue/init.h"
#include "rescue/payload.h"
#include "rescue/program.h"

#define PROGRAM_MAX (64U << 20)
#define KEYS_MAX (1U << 20)
#define APPLETS_MAX (64U << 10)
#define LIBRARIES 64

/* ---- what must be there ---- */

int content_check(bool media, struct error *err)
{
	static const struct {
		const char *what, *package;
		bool for_media;
	} wanted[] = {
		{"busybox", "busybox-static", false},
		{"dropbear", "dropbear-bin", false},
		{"dropbearkey", "dropbear-bin", false},
		{"dropbearconvert", "dropbear-bin", false},
		{"grub-mkrescue", "grub-common", true},
		{"/usr/lib/grub/i386-pc", "grub-pc-bin", true},
		{"/usr/lib/grub/x86_64-efi", "grub-efi-amd64-bin", true},
		{"xorriso", "xorriso", true},
		{"mformat", "mtools", true},
	};
	char path[PROGRAM_PATH], missing[256] = "", packages[256] = "";
	bool only_media = true;

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		const char *what = wanted[i].what;
		size_t m = strlen(missing), p = strlen(packages);

		if (wanted[i].for_media && !media)
			continue;
		if (what[0] == '/' ? access(what, F_OK) == 0
				   : program_find(what, path) == 0)
			continue;
		only_media = only_media && wanted[i].for_media;
		(void)snprintf(missing + m, sizeof(missing) - m, "%s%s",
			m ? ", " : "", what);
		if (!strstr(packages, wanted[i].package))
			(void)snprintf(packages + p, sizeof(packages) - p,
				" %s", wanted[i].package);
	}
	if (!missing[0])
		return 0;
	error_set(err, -ENOENT, "build a rescue system");
	error_why(err, "this machine has no %s", missing);
	return error_todo(err, "apt install%s%s", packages,
		only_media ? "; or do without ISO and disk image: --no-media"
			   : "");
}

/* ---- programs and libraries ---- */

static int add_file(struct cpio *c, const char *path, uint32_t mode,
	const void *bytes, size_t n, struct error *err)
{
	int r = cpio_add_file(c, path, mode, bytes, n);

	return r < 0 ? error_set(err, r, "add %s to the archive", path) : 0;
}

static int add_text(struct cpio *c, const char *path, uint32_t mode,
	const char *text, struct error *err)
{
	return add_file(c, path, mode, text, strlen(text), err);
}

struct needed {
	char names[LIBRARIES][ELF_NAME];
	uint32_t n;
};

/* Adds the names that a file needs and that are not there yet. */
static int note_needs(struct needed *all, const char *path, const void *bytes,
	size_t n, struct elf_needs *ret, struct error *err)
{
	int r = elf_read(bytes, n, ret);

	if (r < 0)
		return error_set(err, r, "read the program %s", path);
	if (ret->machine != EM_X86_64) {
		error_set(err, -ENOTSUP, "use the program %s", path);
		return error_why(err, "it is not for x86-64");
	}
	for (uint32_t i = 0; i < ret->n; i++) {
		bool there = false;

		for (uint32_t k = 0; k < all->n; k++)
			there = there ||
				strcmp(all->names[k], ret->needed[i]) == 0;
		if (there)
			continue;
		if (all->n == LIBRARIES || strchr(ret->needed[i], '/'))
			return error_set(err, -E2BIG,
				"collect the libraries of %s", path);
		memcpy(all->names[all->n++], ret->needed[i], ELF_NAME);
	}
	return 0;
}

static int add_loader(struct cpio *c, const char *path, struct error *err)
{
	CLEANUP_FREE char *bytes = NULL;
	size_t n;
	int r;

	if (path[0] != '/' || cpio_has(c, path + 1))
		return 0;
	r = io_slurp(path, PROGRAM_MAX, &bytes, &n);
	if (r < 0)
		return error_set(err, r, "read %s", path);
	return add_file(c, path + 1, 0755, bytes, n, err);
}

static int add_program(struct cpio *c, const char *name, const char *to,
	struct needed *all, struct error *err)
{
	CLEANUP_FREE char *bytes = NULL;
	char path[PROGRAM_PATH];
	struct elf_needs needs;
	size_t n;
	int r = program_find(name, path);

	if (r == 0)
		r = io_slurp(path, PROGRAM_MAX, &bytes, &n);
	if (r < 0)
		return error_set(err, r, "read the program %s", name);
	r = note_needs(all, path, bytes, n, &needs, err);
	if (r == 0)
		r = add_loader(c, needs.loader, err);
	return r < 0 ? r : add_file(c, to, 0755, bytes, n, err);
}

/* Into the folder in which it was found: there the loader looks as well. */
static int add_library(
	struct cpio *c, const char *name, struct needed *all, struct error *err)
{
	static const char *const folders[] = {"/lib/x86_64-linux-gnu",
		"/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib",
		"/usr/lib"};

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		CLEANUP_FREE char *bytes = NULL;
		char path[PROGRAM_PATH];
		struct elf_needs needs;
		size_t n;
		int r;

		(void)snprintf(path, sizeof(path), "%s/%s", folders[i], name);
		r = io_slurp(path, PROGRAM_MAX, &bytes, &n);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			return error_set(err, r, "read %s", path);
		r = note_needs(all, path, bytes, n, &needs, err);
		/* The loader may be named as a library, too. */
		if (r == 0 && !cpio_has(c, path + 1))
			r = add_file(c, path + 1, 0755, bytes, n, err);
		return r;
	}
	error_set(err, -ENOENT, "find the library %s", name);
	return error_why(err, "it is in none of the usual folders");
}

/* A link for each of busybox's programs, where the system's own ones are. */
static int add_links(struct cpio *c, struct error *err)
{
	char *const list[] = {(char *)"busybox", (char *)"--list-full", NULL};
	CLEANUP_FREE char *text = NULL;
	char *next, *line;
	int r = program_run(list, APPLETS_MAX, &text, NULL, err);

	for (next = text; r == 0 && (line = strsep(&next, "\n"));) {
		/* init and modprobe are ours. */
		if (!line[0] || strstr(line, "..") || cpio_has(c, line) ||
			strcmp(line, "linuxrc") == 0)
			continue;
		r = cpio_add_link(c, line, INIT_BUSYBOX);
		if (r < 0)
			error_set(err, r, "add %s to the archive", line);
	}
	return r;
}

static int add_etc(struct cpio *c, struct error *err)
{
	static const struct {
		const char *path, *text;
	} files[] = {
		/* No password fits a '*'. */
		{"etc/passwd", "root:*:0:0:root:/root:/bin/sh\n"},
		{"etc/group", "root:x:0:\ntty:x:5:\n"},
		{"etc/shells", "/bin/sh\n"},
		{"etc/hosts", "127.0.0.1 localhost rescue\n::1 localhost\n"},
		{"etc/nsswitch.conf", "passwd: files\ngroup: files\n"
				      "hosts: files dns\n"},
		{"etc/profile", "export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(files); i++)
		r = add_text(c, files[i].path, 0644, files[i].text, err);
	return r;
}

static int add_folders(struct cpio *c)
{
	static const struct {
		const char *path;
		uint32_t mode;
	} folders[] = {
		{"dev", 0755},
		{"proc", 0755},
		{"sys", 0755},
		{"run", 0755},
		{"mnt", 0755},
		{"etc/rehost", 0700},
		{"root", 0700},
		{"tmp", 01777},
		{"var/tmp", 01777},
		{"var/log", 0755},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(folders); i++)
		r = cpio_add_folder(c, folders[i].path, folders[i].mode);
	/* The kernel opens it before init can mount anything. */
	if (r == 0)
		r = cpio_add_device(c, "dev/console", 0600, 5, 1);
	if (r == 0)
		r = cpio_add_link(c, "sbin/init", "/init");
	if (r == 0)
		r = cpio_add_link(c, "sbin/modprobe", "/init");
	if (r == 0)
		r = cpio_add_link(c, &INIT_DHCP[1], "/init");
	if (r == 0)
		r = cpio_add_link(c, "var/run", "/run");
	return r;
}

int content_add_base(struct cpio *c, bool takeover, struct error *err)
{
	struct needed all = {.n = 0};
	int r = add_folders(c);

	if (r < 0)
		return error_set(err, r, "begin the archive");
	r = add_file(c, "init", 0755, payload_init, payload_init_size(), err);
	if (r == 0)
		r = add_etc(c, err);
	if (r == 0)
		r = add_program(c, "busybox", &INIT_BUSYBOX[1], &all, err);
	if (r == 0)
		r = add_program(c, "dropbear", &INIT_DROPBEAR[1], &all, err);
	if (r == 0 && takeover)
		r = add_program(
			c, "dropbearconvert", &INIT_CONVERT[1], &all, err);
	/* The list grows by what libraries need. */
	for (uint32_t i = 0; r == 0 && i < all.n; i++)
		r = add_library(c, all.names[i], &all, err);
	return r < 0 ? r : add_links(c, err);
}

/* ---- keys ---- */

/* Whether a line begins with the type of a public key; options may stand before
 * it. */
static bool has_key(const char *line)
{
	static const char *const types[] = {"ssh-ed25519 ", "ssh-rsa ",
		"ecdsa-sha2-nistp", "sk-ssh-ed25519@", "sk-ecdsa-sha2-"};

	line += strspn(line, " \t");
	if (line[0] == '#')
		return false;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strstr(line, types[i]))
			return true;
	return false;
}

static uint32_t count_keys(const char *text)
{
	CLEANUP_FREE char *copy = strdup(text);
	char *next = copy, *line;
	uint32_t n = 0;

	while (copy && (line = strsep(&next, "\n")))
		n += has_key(line);
	return n;
}

/* All ~/.ssh/id_*.pub, one behind the other, in fresh memory. */
static int slurp_own_keys(char **ret, struct error *err)
{
	const char *home = getenv("HOME");
	char pattern[PROGRAM_PATH];
	glob_t found;
	size_t n = 0;
	FILE *f;
	int r = 0;

	(void)snprintf(pattern, sizeof(pattern), "%s/.ssh/id_*.pub",
		home ? home : "/root");
	f = open_memstream(ret, &n);
	if (!f)
		return error_set(err, -ENOMEM, "read %s", pattern);
	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = 0; r == 0 && i < found.gl_pathc; i++) {
			CLEANUP_FREE char *key = NULL;

			r = io_slurp(found.gl_pathv[i], KEYS_MAX, &key, NULL);
			if (r < 0)
				error_set(err, r, "read %s", found.gl_pathv[i]);
			else
				(void)fprintf(f, "%s\n", key);
		}
		globfree(&found);
	}
	if (fclose(f) != 0 && r == 0)
		r = error_set(err, -ENOMEM, "read %s", pattern);
	return r;
}

int content_add_authorized_keys(
	struct cpio *c, const char *file, struct error *err)
{
	CLEANUP_FREE char *keys = NULL;
	int r;

	if (file) {
		r = io_slurp(file, KEYS_MAX, &keys, NULL);
		if (r < 0)
			return error_set(err, r, "read %s", file);
	} else {
		r = slurp_own_keys(&keys, err);
		if (r < 0)
			return r;
	}
	if (count_keys(keys) == 0) {
		error_set(err, -ENOKEY, "build a rescue system");
		error_why(err, "there is no public key in %s",
			file ? file : "~/.ssh/id_*.pub");
		return error_todo(err, "name a file of those who may log in: "
				       "--authorized-keys FILE");
	}
	r = cpio_add_folder(c, "root/.ssh", 0700);
	if (r < 0)
		return error_set(err, r, "add root/.ssh to the archive");
	return add_text(c, "root/.ssh/authorized_keys", 0600, keys, err);
}

/* Makes to, in dropbear's form, from a file in any. */
static int convert_key(const char *file, const char *to, struct error *err)
{
	char *const convert[] = {(char *)"dropbearconvert", (char *)"openssh",
		(char *)"dropbear", (char *)file, (char *)to, NULL};
	CLEANUP_FREE char *bytes = NULL;
	size_t n;
	int r = io_slurp(file, KEYS_MAX, &bytes, &n);
	CLEANUP_CLOSE int fd = -1;

	if (r < 0)
		return error_set(err, r, "read the host key %s", file);
	if (n >= 5 && memcmp(bytes, "-----", 5) == 0) {
		r = program_run(convert, 0, NULL, NULL, err);
		explicit_bzero(bytes, n);
		if (r < 0)
			(void)error_todo(err,
				"a host key has no password, and is of type "
				"ed25519, ecdsa or rsa: %s",
				file);
		return r;
	}
	fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : io_write_all(fd, bytes, n);
	explicit_bzero(bytes, n);
	return r < 0 ? error_set(err, r, "write %s", to) : 0;
}

/* Adds "TYPE KEY" of the private key in the file to text, without what stands
 * behind it. */
static int take_public(const char *file, FILE *text, char *fingerprint,
	size_t size, struct error *err)
{
	char *const show[] = {(char *)"dropbearkey", (char *)"-y", (char *)"-f",
		(char *)file, NULL};
	CLEANUP_FREE char *out = NULL;
	char *next, *line;
	bool found = false;
	int r = program_run(show, KEYS_MAX, &out, NULL, err);

	for (next = out; r == 0 && (line = strsep(&next, "\n"));) {
		char *space = strchr(line, ' ');

		if (strncmp(line, "Fingerprint: ", 13) == 0 && !fingerprint[0])
			(void)snprintf(fingerprint, size, "%s", line + 13);
		if (found || !has_key(line) || !space)
			continue;
		space += 1 + strcspn(space + 1, " ");
		(void)fprintf(text, "%.*s\n", (int)(space - line), line);
		found = true;
	}
	if (r == 0 && !found) {
		error_set(err, -EINVAL, "use the host key %s", file);
		r = error_why(err, "it is none that dropbear knows");
	}
	return r;
}

static int add_host_key(struct cpio *c, const char *file, uint32_t number,
	const char *work, FILE *lines, char *fingerprint, size_t size,
	struct error *err)
{
	char to[PROGRAM_PATH], path[64];
	char *const make[] = {(char *)"dropbearkey", (char *)"-t",
		(char *)"ed25519", (char *)"-f", to, NULL};
	CLEANUP_FREE char *bytes = NULL;
	size_t n;
	int r;

	(void)snprintf(to, sizeof(to), "%s/host_key%u", work, number);
	r = file ? convert_key(file, to, err)
		 : program_run(make, 0, NULL, NULL, err);
	if (r == 0)
		r = take_public(to, lines, fingerprint, size, err);
	if (r < 0)
		return r;
	r = io_slurp(to, KEYS_MAX, &bytes, &n);
	if (r < 0 || unlink(to) < 0)
		return error_set(err, r < 0 ? r : -errno, "read %s", to);
	(void)snprintf(path, sizeof(path), "%s%u", &INIT_HOST_KEYS[1], number);
	r = add_file(c, path, 0600, bytes, n, err);
	explicit_bzero(bytes, n);
	return r;
}

int content_add_host_keys(struct cpio *c, const char *const *files, uint32_t n,
	const char *work, char **ret_lines, char *fingerprint, size_t size,
	struct error *err)
{
	char *text = NULL;
	size_t text_n = 0;
	FILE *lines = open_memstream(&text, &text_n);
	int r = 0;

	if (!lines)
		return error_set(err, -ENOMEM, "make a host key");
	fingerprint[0] = '\0';
	for (uint32_t i = 0; r == 0 && i < MAX(n, 1U); i++)
		r = add_host_key(c, n > 0 ? files[i] : NULL, i, work, lines,
			fingerprint, size, err);
	if (fclose(lines) != 0 && r == 0)
		r = error_set(err, -ENOMEM, "make a host key");
	if (r == 0)
		r = add_text(c, &INIT_FINGERPRINT[1], 0644, fingerprint, err);
	if (r < 0) {
		free(text);
		return r;
	}
	*ret_lines = text;
	return 0;
}
