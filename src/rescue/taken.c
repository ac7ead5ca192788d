/* SPDX-License-Identifier: Apache-2.0 */
#include "rescue/taken.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "rescue/authorized.h"
#include "rescue/content.h"
#include "rescue/cpio.h"
#include "rescue/init.h"
#include "rescue/program.h"

#define KERNEL_MAX (256U << 20)
#define FILE_MAX (1U << 20)
#define DRIVERS 64
#define NAME_SIZE 64
#define FILES 16 /* that an option of sshd may name */

/* ---- files of this machine ---- */

static void path_of(
	const struct taken_options *o, const char *path, char ret[PROGRAM_PATH])
{
	(void)snprintf(ret, PROGRAM_PATH, "%s%s", o->root, path);
}

/* A regular file whole; nothing that could wait for somebody is opened. */
static int slurp(const struct taken_options *o, const char *path, char **ret)
{
	CLEANUP_CLOSE int fd = -1;
	char full[PROGRAM_PATH];
	struct stat st;

	path_of(o, path, full);
	fd = open(full, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return io_read_whole(fd, FILE_MAX, ret, NULL);
}

/* ---- the kernel ---- */

/* Opens a kernel of a version whose modules are there. 0 or negative errno. */
static int try_kernel(
	const struct taken_options *o, const char *version, struct taken *t)
{
	static const char *const places[][2] = {
		{"/boot/vmlinuz-", ""}, {"/lib/modules/", "/vmlinuz"}};
	char path[PROGRAM_PATH], found[KERNEL_VERSION];

	(void)snprintf(path, sizeof(path), "%s/lib/modules/%s/modules.dep",
		o->root, version);
	if (version[0] == '.' || strchr(version, '/') ||
		strlen(version) >= sizeof(t->version) || access(path, R_OK) < 0)
		return -ENOENT;
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		CLEANUP_FREE char *bytes = NULL;
		CLEANUP_CLOSE int fd = -1;
		char name[256 + KERNEL_VERSION];
		size_t n;

		(void)snprintf(name, sizeof(name), "%s%s%s", places[i][0],
			version, places[i][1]);
		path_of(o, name, path);
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 || io_read_whole(fd, KERNEL_MAX, &bytes, &n) < 0 ||
			kernel_read_version(bytes, n, found) < 0 ||
			strcmp(found, version) != 0)
			continue;
		(void)snprintf(t->version, sizeof(t->version), "%s", version);
		(void)snprintf(t->kernel, sizeof(t->kernel), "%s", name);
		t->kernel_fd = STEAL_FD(fd);
		return 0;
	}
	return -ENOENT;
}

/* The one that runs drives this machine; else the newest. */
static int find_kernel(
	const struct taken_options *o, struct taken *t, struct error *err)
{
	char folder[PROGRAM_PATH], best[KERNEL_VERSION], below[KERNEL_VERSION];

	if (try_kernel(o, o->running, t) == 0)
		return 0;
	path_of(o, "/lib/modules", folder);
	below[0] = '\0';
	do {
		DIR *d = opendir(folder);
		struct dirent *e;

		best[0] = '\0';
		while (d && (e = readdir(d)))
			if (strlen(e->d_name) < sizeof(best) &&
				(!below[0] ||
					strverscmp(e->d_name, below) < 0) &&
				strverscmp(e->d_name, best) > 0)
				(void)snprintf(
					best, sizeof(best), "%s", e->d_name);
		if (d)
			(void)closedir(d);
		if (best[0] && try_kernel(o, best, t) == 0)
			return 0;
		(void)snprintf(below, sizeof(below), "%s", best);
	} while (best[0]);
	error_set(err, -ENOENT, "find a kernel for the rescue system");
	error_why(err,
		"there is no vmlinuz-VERSION in /boot whose modules are in "
		"/lib/modules; %s runs",
		o->running);
	return error_todo(err, "install the distribution's kernel there, or "
			       "boot the rescue system in another way");
}

/* ---- its modules ---- */

struct drivers {
	char names[DRIVERS][NAME_SIZE];
	const char *list[DRIVERS + 1];
	size_t n;
};

static void add_driver(struct drivers *d, const char *name)
{
	char *to = d->names[d->n];

	if (d->n == DRIVERS || !name[0] || strlen(name) >= NAME_SIZE)
		return;
	(void)snprintf(to, NAME_SIZE, "%s", name);
	for (char *p = to; *p; p++)
		*p = *p == '-' ? '_' : *p;
	d->list[d->n++] = to;
}

/* What drives this machine's network cards and disks, wherever its module is.
 */
static void find_drivers(const struct taken_options *o, struct drivers *d)
{
	static const char *const patterns[] = {
		"/sys/class/net/*/device/driver/module",
		"/sys/block/*/device/driver/module",
		"/sys/class/scsi_host/*/proc_name",
	};

	for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
		char path[PROGRAM_PATH], name[PROGRAM_PATH];
		glob_t found;

		path_of(o, patterns[i], path);
		if (glob(path, 0, NULL, &found) != 0)
			continue;
		for (size_t k = 0; k < found.gl_pathc; k++) {
			const char *at = found.gl_pathv[k], *slash;
			ssize_t n = readlink(at, name, sizeof(name) - 1);

			name[MAX(n, 0)] = '\0';
			if (n < 0 && io_read_file(AT_FDCWD, at, name,
					     sizeof(name)) <= 0)
				continue;
			slash = strrchr(name, '/');
			add_driver(d, slash ? slash + 1 : name);
		}
		globfree(&found);
	}
}

static int add_modules(const struct taken_options *o, struct cpio *c,
	struct taken *t, struct error *err)
{
	CLEANUP_FREE struct drivers *d = calloc(1, sizeof(*d));
	struct content_modules m = {
		.version = t->version, .level = CONTENT_QUICK};
	char folder[PROGRAM_PATH], firmware[PROGRAM_PATH];

	if (!d)
		return error_set(err, -ENOMEM, "choose modules");
	find_drivers(o, d);
	(void)snprintf(folder, sizeof(folder), "%s/lib/modules/%s", o->root,
		t->version);
	path_of(o, "/lib/firmware", firmware);
	m.folder = folder;
	m.firmware = firmware;
	m.names = d->list;
	return content_add_modules(c, &m, &t->modules, err);
}

/* ---- sshd's configuration ---- */

struct words {
	char v[FILES][512];
	unsigned n;
};

/* As in one file, so in several. */
static bool wanted(const char *key, const struct words *have)
{
	return have->n == 0 || authorized_adds_up(key);
}

static void take_option(const char *text, const char *key, struct words *ret)
{
	size_t at = 0;

	while (ret->n < FILES && authorized_option(text, key, &at,
					 ret->v[ret->n], sizeof(ret->v[0])))
		ret->n++;
}

/* What sshd_config says for a key, and the files that Debian's includes, which
 * come first. */
static void read_option(
	const struct taken_options *o, const char *key, struct words *ret)
{
	CLEANUP_FREE char *text = NULL;
	char pattern[PROGRAM_PATH];
	glob_t found;

	ret->n = 0;
	path_of(o, "/etc/ssh/sshd_config.d/*.conf", pattern);
	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc && wanted(key, ret);
			i++) {
			CLEANUP_FREE char *one = NULL;

			if (slurp(o, found.gl_pathv[i] + strlen(o->root),
				    &one) == 0)
				take_option(one, key, ret);
		}
		globfree(&found);
	}
	if (wanted(key, ret) && slurp(o, "/etc/ssh/sshd_config", &text) == 0)
		take_option(text, key, ret);
}

/* ---- host keys ---- */

/* By its public half: types that dropbear has not are left out. */
static bool is_good_host_key(const struct taken_options *o, const char *path)
{
	CLEANUP_FREE char *text = NULL;
	char public[1024];

	(void)snprintf(public, sizeof(public), "%s.pub", path);
	if (slurp(o, public, &text) < 0)
		return true;
	text[strcspn(text, "\r\n")] = '\0';
	return authorized_is_usable(text);
}

static int add_host_key(const struct taken_options *o, struct cpio *c,
	const char *path, struct taken *t)
{
	CLEANUP_FREE char *bytes = NULL;
	char to[64];
	int r;

	if (t->host_keys == INIT_HOST_KEYS_MAX || !is_good_host_key(o, path))
		return 0;
	r = slurp(o, path, &bytes);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (strncmp(bytes, "-----BEGIN ", 11) == 0) {
		(void)snprintf(to, sizeof(to), "%s%u", &INIT_OPENSSH_KEYS[1],
			t->host_keys);
		r = cpio_add_file(c, to, 0600, bytes, strlen(bytes));
		t->host_keys += r == 0;
	}
	explicit_bzero(bytes, strlen(bytes));
	return r;
}

static int add_host_keys(const struct taken_options *o, struct cpio *c,
	struct taken *t, struct error *err)
{
	static const char *const usual[] = {"/etc/ssh/ssh_host_ed25519_key",
		"/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_rsa_key"};
	CLEANUP_FREE struct words *named = calloc(1, sizeof(*named));
	int r = cpio_add_folder(c, "etc/rehost", 0700);

	if (!named)
		return error_set(err, -ENOMEM, "take the host keys");
	read_option(o, "hostkey", named);
	for (size_t i = 0; r == 0 && named->n == 0 && i < ARRAY_LEN(usual); i++)
		r = add_host_key(o, c, usual[i], t);
	for (unsigned i = 0; r == 0 && i < named->n; i++)
		r = add_host_key(o, c, named->v[i], t);
	if (r == 0)
		r = cpio_add_file(c, &INIT_FINGERPRINT[1], 0644, "as before",
			strlen("as before"));
	if (r < 0)
		return error_set(err, r, "take the host keys");
	if (t->host_keys > 0)
		return 0;
	error_set(err, -ENOKEY, "take the host keys");
	error_why(err, "there is no /etc/ssh/ssh_host_*_key of type ed25519, "
		       "ecdsa or rsa, nor does sshd_config name one");
	return error_todo(err, "make one there (ssh-keygen -A) and accept it, "
			       "or boot the rescue system in another way");
}

/* ---- who may log in ---- */

/* The home of a user, "" when there is no such one. */
static void find_home(
	const struct taken_options *o, const char *user, char *ret, size_t size)
{
	CLEANUP_FREE char *text = NULL;
	char *next, *line;

	(void)snprintf(
		ret, size, "%s", strcmp(user, "root") == 0 ? "/root" : "");
	if (slurp(o, "/etc/passwd", &text) < 0)
		return;
	for (next = text; (line = strsep(&next, "\n"));) {
		char *name = strsep(&line, ":"), *home = line;

		for (int i = 0; i < 4 && home; i++) {
			home = strchr(home, ':');
			home = home ? home + 1 : NULL;
		}
		if (!home || strcmp(name, user) != 0)
			continue;
		home[strcspn(home, ":")] = '\0';
		(void)snprintf(ret, size, "%s", home);
		return;
	}
}

/* As sshd does: %h, %u, %%; a path that is not absolute is in the home. */
static void expand(const char *name, const char *user, const char *home,
	char *ret, size_t size)
{
	size_t n = 0;

	ret[0] = '\0';
	if (name[0] != '/' && strncmp(name, "%h", 2) != 0)
		n = (size_t)snprintf(ret, size, "%s/", home);
	for (; *name && n < size; name++) {
		if (name[0] != '%' || !name[1]) {
			n += (size_t)snprintf(ret + n, size - n, "%c", *name);
			continue;
		}
		name++;
		n += (size_t)snprintf(ret + n, size - n, "%s",
			*name == 'h'   ? home
			: *name == 'u' ? user
				       : "%");
	}
}

static void add_logins_of(const struct taken_options *o, const char *user,
	FILE *f, struct taken *t)
{
	CLEANUP_FREE struct words *names = calloc(1, sizeof(*names));
	char home[512], path[1024];

	if (!names)
		return;
	read_option(o, "authorizedkeysfile", names);
	if (names->n == 0) {
		names->n = 2;
		(void)snprintf(names->v[0], sizeof(names->v[0]),
			".ssh/authorized_keys");
		(void)snprintf(names->v[1], sizeof(names->v[1]),
			".ssh/authorized_keys2");
	}
	find_home(o, user, home, sizeof(home));
	for (unsigned i = 0; i < names->n; i++) {
		CLEANUP_FREE char *text = NULL;

		if (strcasecmp(names->v[i], "none") == 0)
			continue;
		expand(names->v[i], user, home, path, sizeof(path));
		if (slurp(o, path, &text) == 0)
			t->logins +=
				authorized_filter(text, f, &t->logins_left);
	}
}

static int add_logins(const struct taken_options *o, struct cpio *c,
	struct taken *t, struct error *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	int r = 0;

	if (!f)
		return error_set(err, -ENOMEM, "take the authorized keys");
	t->logins += authorized_filter(o->keys, f, &t->logins_left);
	add_logins_of(o, o->user, f, t);
	if (strcmp(o->user, "root") != 0)
		add_logins_of(o, "root", f, t);
	if (fclose(f) != 0)
		r = -ENOMEM;
	if (r == 0)
		t->known = authorized_count(text, o->offered);
	if (r == 0 && t->logins == 0) {
		error_set(err, -ENOKEY, "let anybody log in afterwards");
		error_why(err,
			"root%s%s has no key in authorized_keys that is good "
			"for everything (lines with from= or command= are "
			"not)",
			strcmp(o->user, "root") == 0 ? "" : " or ",
			strcmp(o->user, "root") == 0 ? "" : o->user);
		return error_todo(err, "name a file of public keys: "
				       "--authorized-keys FILE");
	}
	if (r == 0)
		r = cpio_add_folder(c, "root", 0700);
	if (r == 0)
		r = cpio_add_folder(c, "root/.ssh", 0700);
	if (r == 0)
		r = cpio_add_file(
			c, "root/.ssh/authorized_keys", 0600, text, n);
	return r < 0 ? error_set(err, r, "take the authorized keys") : 0;
}

/* ---- all of it ---- */

int taken_make(
	const struct taken_options *o, struct taken *ret, struct error *err)
{
	struct taken t = {.kernel_fd = -1};
	struct cpio *c = NULL;
	int r = cpio_new(&c);

	if (r < 0)
		return error_set(err, r, "begin the archive");
	/* What may be refused comes before what takes time. */
	r = find_kernel(o, &t, err);
	if (r == 0)
		r = add_host_keys(o, c, &t, err);
	if (r == 0)
		r = add_logins(o, c, &t, err);
	if (r == 0)
		r = add_modules(o, c, &t, err);
	if (r == 0) {
		r = cpio_write(c, &t.archive, &t.archive_n);
		if (r < 0)
			error_set(err, r, "write the archive");
	}
	cpio_free(c);
	if (r < 0) {
		if (t.kernel_fd >= 0)
			(void)close(t.kernel_fd);
		return r;
	}
	*ret = t;
	return 0;
}
