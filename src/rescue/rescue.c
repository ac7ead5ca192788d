/* SPDX-License-Identifier: Apache-2.0 */
#include "rescue/rescue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/io.h"
#include "rescue/content.h"
#include "rescue/cpio.h"
#include "rescue/kernel.h"
#include "rescue/media.h"
#include "rescue/program.h"

#define KERNEL_MAX (256U << 20)
#define CONFIG_MAX (4U << 20)

/* Consoles that a machine does not have do no harm; the last one is the
 * kernel's favourite. */
#define CONSOLES "console=ttyS0,115200 console=tty0 quiet"

struct source {
	char kernel[PROGRAM_PATH], modules[PROGRAM_PATH];
	char version[KERNEL_VERSION];
	char *bytes; /* of the kernel */
	size_t n;
};

/* ---- the kernel ---- */

/* Kernels for clouds lack the drivers of most machines: any other comes first.
 */
static bool is_better(const char *version, const char *best)
{
	bool cloud = strstr(version, "-cloud") != NULL;

	if (!best[0] || cloud != (strstr(best, "-cloud") != NULL))
		return !best[0] || !cloud;
	return strverscmp(version, best) > 0;
}

/* The newest /boot/vmlinuz-VERSION whose modules are there. */
static int find_kernel(struct source *s, struct error *err)
{
	DIR *d = opendir("/boot");
	char best[256] = "";
	struct dirent *e;

	while (d && (e = readdir(d))) {
		const char *version = e->d_name + strlen("vmlinuz-");
		char path[PROGRAM_PATH];

		if (strncmp(e->d_name, "vmlinuz-", 8) != 0 || !version[0])
			continue;
		(void)snprintf(path, sizeof(path),
			"/lib/modules/%s/modules.dep", version);
		if (access(path, R_OK) == 0 && is_better(version, best))
			(void)snprintf(best, sizeof(best), "%s", version);
	}
	if (d)
		(void)closedir(d);
	if (!best[0]) {
		error_set(err, -ENOENT, "build a rescue system");
		error_why(err, "this machine has no kernel in /boot with its "
			       "modules in /lib/modules");
		return error_todo(err, "apt install linux-image-amd64, or name "
				       "them: --kernel FILE --modules DIR");
	}
	(void)snprintf(s->kernel, sizeof(s->kernel), "/boot/vmlinuz-%s", best);
	return 0;
}

static int read_kernel(
	const struct rescue_options *o, struct source *s, struct error *err)
{
	int r;

	if (o->kernel)
		(void)snprintf(s->kernel, sizeof(s->kernel), "%s", o->kernel);
	else if ((r = find_kernel(s, err)) < 0)
		return r;
	r = io_slurp(s->kernel, KERNEL_MAX, &s->bytes, &s->n);
	if (r < 0)
		return error_set(err, r, "read the kernel %s", s->kernel);
	r = kernel_read_version(s->bytes, s->n, s->version);
	if (r < 0) {
		error_set(err, r, "use the kernel %s", s->kernel);
		return error_why(err, "it is no Linux kernel for x86");
	}
	if (o->modules)
		(void)snprintf(
			s->modules, sizeof(s->modules), "%s", o->modules);
	else
		(void)snprintf(s->modules, sizeof(s->modules),
			"/lib/modules/%s", s->version);
	return 0;
}

/* Modules load into their own kernel only. */
static int check_modules(const struct source *s, struct error *err)
{
	char *path = realpath(s->modules, NULL);
	char *slash = path ? strrchr(path, '/') : NULL;
	int r = 0;

	if (!path) {
		error_set(err, -errno, "use the modules in %s", s->modules);
		return error_todo(err, "name the folder: --modules DIR");
	}
	if (!slash || strcmp(slash + 1, s->version) != 0) {
		error_set(err, -EINVAL, "use the modules in %s", s->modules);
		error_why(err, "the kernel %s is %s", s->kernel, s->version);
		r = error_todo(err,
			"name a folder of that name: --modules "
			".../lib/modules/%s",
			s->version);
	}
	free(path);
	return r;
}

/* Whether the kernel is known to lack zstd: what its configuration says, which
 * lies beside it. */
static bool lacks_zstd(const struct source *s)
{
	CLEANUP_FREE char *text = NULL;
	char path[PROGRAM_PATH + KERNEL_VERSION + 16];
	const char *slash = strrchr(s->kernel, '/');

	(void)snprintf(path, sizeof(path), "%.*sconfig-%s",
		slash ? (int)(slash - s->kernel) + 1 : 0, s->kernel,
		s->version);
	return io_slurp(path, CONFIG_MAX, &text, NULL) == 0 &&
	       !strstr(text, "CONFIG_RD_ZSTD=y");
}

/* ---- its command line ---- */

static int make_cmdline(const struct rescue_options *o,
	struct rescue_result *ret, struct error *err)
{
	/* Loaders put words of their own before it; the kernel takes 2047. */
	const size_t size = sizeof(ret->cmdline) - 128;
	char *out = ret->cmdline, bad[128];
	struct cmdline parsed;
	size_t n = (size_t)snprintf(out, size, "%s", CONSOLES);

	for (uint32_t i = 0; n < size && i < o->n_addresses; i++)
		n += (size_t)snprintf(
			out + n, size - n, " rehost.ip=%s", o->addresses[i]);
	for (uint32_t i = 0; n < size && i < o->n_dns; i++)
		n += (size_t)snprintf(
			out + n, size - n, " rehost.dns=%s", o->dns[i]);
	if (n < size && o->append && o->append[0])
		n += (size_t)snprintf(out + n, size - n, " %s", o->append);
	if (n >= size)
		return error_set(err, -E2BIG, "make the kernel's command line");
	/* It goes into scripts of iPXE and GRUB. */
	for (const char *p = out; *p; p++)
		if ((unsigned char)*p < ' ' || *p > '~' ||
			strchr("\\\"'`$;&|<>{}#", *p)) {
			error_set(
				err, -EINVAL, "make the kernel's command line");
			return error_why(err, "'%c' cannot be in it", *p);
		}
	/* Init leaves a wrong word out, which may be the watchdog. */
	cmdline_parse(out, &parsed, bad, sizeof(bad));
	if (bad[0]) {
		error_set(err, -EINVAL, "make the kernel's command line");
		return error_why(err, "%s means nothing to the system", bad);
	}
	return 0;
}

/* ---- known_hosts ---- */

/* Which names the host key is good for: the addresses that are known, or all,
 * because the file is for this system alone. */
static void write_names(const struct rescue_options *o, FILE *f)
{
	bool all = o->n_addresses == 0;

	for (uint32_t i = 0; i < o->n_addresses; i++)
		all = all || strncmp(o->addresses[i], "dhcp", 4) == 0;
	for (uint32_t i = 0; !all && i < o->n_addresses; i++)
		(void)fprintf(f, "%s%.*s", i > 0 ? "," : "",
			(int)strcspn(o->addresses[i], "/"), o->addresses[i]);
	if (all)
		(void)fprintf(f, "*");
}

static int write_known_hosts(const struct rescue_options *o, const char *work,
	char *keys, struct error *err)
{
	char *text = NULL, *next = keys, *line;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	int r;

	if (!f)
		return error_set(err, -ENOMEM, "write known_hosts");
	while ((line = strsep(&next, "\n"))) {
		if (!line[0])
			continue;
		write_names(o, f);
		(void)fprintf(f, " %s\n", line);
	}
	r = fclose(f) != 0
		    ? error_set(err, -ENOMEM, "write known_hosts")
		    : media_write(work, "known_hosts", 0644, text, n, err);
	free(text);
	return r;
}

/* ---- the archive ---- */

static int write_archive(struct cpio *c, const struct source *s,
	const char *work, struct rescue_result *ret, struct error *err)
{
	CLEANUP_FREE char *plain = NULL;
	CLEANUP_FREE char *packed = NULL;
	size_t n = 0, packed_n = 0;
	int r = cpio_write(c, &plain, &n);

	if (r == 0 && !lacks_zstd(s))
		r = content_pack(plain, n, CONTENT_LEVEL, &packed, &packed_n);
	if (r < 0)
		return error_set(err, r, "pack the archive");
	ret->initramfs_bytes = packed ? packed_n : n;
	/* It has the host's private key. */
	return media_write(work, "initramfs", 0600, packed ? packed : plain,
		(size_t)ret->initramfs_bytes, err);
}

static int fill(struct cpio *c, const struct rescue_options *o,
	const struct source *s, const char *work, struct rescue_result *ret,
	struct error *err)
{
	struct content_modules modules = {.folder = s->modules,
		.version = s->version,
		.level = CONTENT_LEVEL};
	CLEANUP_FREE char *keys = NULL;
	int r = content_add_base(c, false, err);

	if (r == 0)
		r = content_add_authorized_keys(c, o->authorized_keys, err);
	if (r == 0)
		r = content_add_host_keys(c, o->host_keys, o->n_host_keys, work,
			&keys, ret->fingerprint, sizeof(ret->fingerprint), err);
	if (r == 0)
		r = write_known_hosts(o, work, keys, err);
	if (r == 0)
		r = content_add_modules(c, &modules, &ret->modules, err);
	if (r < 0)
		return r;
	ret->module_bytes = cpio_size(c, "lib/modules/");
	ret->other_bytes = cpio_size(c, "") - ret->module_bytes;
	return write_archive(c, s, work, ret, err);
}

static int build(const struct rescue_options *o, const struct source *s,
	const char *work, struct rescue_result *ret, struct error *err)
{
	struct cpio *c = NULL;
	int r = cpio_new(&c);

	if (r < 0)
		return error_set(err, r, "begin the archive");
	r = fill(c, o, s, work, ret, err);
	cpio_free(c);
	if (r == 0)
		r = media_write(work, "kernel", 0644, s->bytes, s->n, err);
	if (r == 0)
		r = media_write_ipxe(work, ret->cmdline, err);
	if (r == 0 && !o->no_media)
		r = media_make(work, ret->cmdline, err);
	return r;
}

/* ---- the folder ---- */

/* All is made in WORK, a folder of its own within OUTPUT. To be published, what
 * is older goes into WORK/old, file by file, and what is new takes its place;
 * the set is complete when WORK/old is called WORK/done. */
static const char *const names[] = {"kernel", "initramfs", "rescue.ipxe",
	"known_hosts", "rescue.iso", "rescue.img"};
#define MEDIA 4 /* the first of them */

#define SETTLE_TRIES 600
#define SETTLE_MS 100

struct folder {
	const char *output;
	bool no_media;
	char work[PROGRAM_PATH];
	int lock;  /* of output */
	int alive; /* closed when this process ends */
	pid_t tidier;
};

/* Older media would have another host key. */
static bool is_left_out(const struct folder *f, size_t i)
{
	return f->no_media && i >= MEDIA;
}

struct paths {
	char fresh[PROGRAM_PATH + 32], old[PROGRAM_PATH + 32],
		place[PROGRAM_PATH + 32];
};

static struct paths paths_of(const struct folder *f, const char *name)
{
	struct paths p;

	(void)snprintf(p.fresh, sizeof(p.fresh), "%s/%s", f->work, name);
	(void)snprintf(p.old, sizeof(p.old), "%s/old/%s", f->work, name);
	(void)snprintf(p.place, sizeof(p.place), "%s/%s", f->output, name);
	return p;
}

static int rename_if_there(const char *from, const char *to)
{
	return rename(from, to) < 0 && errno != ENOENT ? -errno : 0;
}

/* Where not all of the new ones are in place the older ones come back, or
 * nothing. */
static void take_back(const struct folder *f)
{
	struct paths p = paths_of(f, "");

	if (access(p.old, F_OK) < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		p = paths_of(f, names[i]);
		if (access(p.old, F_OK) == 0)
			(void)rename(p.old, p.place);
		else if (access(p.fresh, F_OK) < 0 && !is_left_out(f, i))
			(void)unlink(p.place);
	}
}

static int remove_one(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)remove(path);
	return 0;
}

/* A process that outlives this one, however that ends, and tidies up behind
 * it. Programs that were started may still write there. */
static void tidy(const struct folder *f, int alive)
{
	char c;

	(void)setsid();
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	while (read(alive, &c, 1) < 0 && errno == EINTR)
		;
	take_back(f);
	for (int i = 0; i < SETTLE_TRIES && access(f->work, F_OK) == 0; i++) {
		if (i > 0)
			clock_sleep_ms(SETTLE_MS);
		(void)nftw(f->work, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	}
	_exit(0);
}

static int publish(const struct folder *f, struct error *err)
{
	char old[PROGRAM_PATH + 32], done[PROGRAM_PATH + 32];
	struct stat st;

	(void)snprintf(old, sizeof(old), "%s/old", f->work);
	(void)snprintf(done, sizeof(done), "%s/done", f->work);
	if (mkdir(old, 0700) < 0)
		return error_set(err, -errno, "make the folder %s", old);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct paths p = paths_of(f, names[i]);
		int r = 0;

		if (lstat(p.place, &st) == 0 && S_ISDIR(st.st_mode))
			r = -EISDIR;
		if (r == 0)
			r = rename_if_there(p.place, p.old);
		if (r == 0 && !is_left_out(f, i) &&
			rename(p.fresh, p.place) < 0)
			r = -errno;
		if (r < 0)
			return error_set(err, r, "make %s", p.place);
	}
	if (rename(old, done) < 0)
		return error_set(err, -errno, "finish %s", f->output);
	return 0;
}

static int start_tidier(struct folder *f, struct error *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set(err, -errno, "make a pipe");
	f->tidier = fork();
	if (f->tidier == 0) {
		(void)close(ends[1]);
		tidy(f, ends[0]);
	}
	(void)close(ends[0]);
	f->alive = ends[1];
	return f->tidier < 0 ? error_set(err, -errno, "start a process") : 0;
}

static void end_tidier(struct folder *f)
{
	(void)close(f->alive);
	while (f->tidier > 0 && waitpid(f->tidier, NULL, 0) < 0 &&
		errno == EINTR)
		;
	(void)close(f->lock);
}

/* One at a time, or two sets would be mixed. */
static int lock_folder(struct folder *f, struct error *err)
{
	if (mkdir(f->output, 0777) < 0 && errno != EEXIST)
		return error_set(err, -errno, "make the folder %s", f->output);
	f->lock = open(f->output, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->lock < 0)
		return error_set(err, -errno, "open the folder %s", f->output);
	if (flock(f->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	(void)error_set(err, -errno, "use the folder %s", f->output);
	(void)close(f->lock);
	return error_why(err, "another rehost makes a rescue system there");
}

static int make_work(struct folder *f, struct error *err)
{
	int n = snprintf(
		f->work, sizeof(f->work), "%s/.part-XXXXXX", f->output);

	/* Names of files are added to it. */
	if (n >= (int)sizeof(f->work) - 64)
		return error_set(err, -ENAMETOOLONG, "use %s", f->output);
	if (!mkdtemp(f->work))
		return error_set(err, -errno, "make a folder in %s", f->output);
	if (start_tidier(f, err) == 0)
		return 0;
	(void)rmdir(f->work);
	return err ? err->code : -EIO;
}

static int build_in(const struct rescue_options *o, const struct source *s,
	struct rescue_result *ret, struct error *err)
{
	struct folder f = {
		.output = o->output, .no_media = o->no_media, .alive = -1};
	sigset_t block, was;
	int r = lock_folder(&f, err);

	if (r < 0)
		return r;
	(void)sigemptyset(&block);
	(void)sigaddset(&block, SIGINT);
	(void)sigaddset(&block, SIGTERM);
	(void)sigaddset(&block, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &block, &was);
	r = make_work(&f, err);
	(void)sigprocmask(SIG_SETMASK, &was, NULL);
	if (r < 0) {
		(void)close(f.lock);
		return r;
	}
	r = build(o, s, f.work, ret, err);
	if (r == 0)
		r = publish(&f, err);
	end_tidier(&f);
	return r;
}

int rescue_build(const struct rescue_options *o, struct rescue_result *ret,
	struct error *err)
{
	struct source s = {.n = 0};
	int r;

	memset(ret, 0, sizeof(*ret));
	r = make_cmdline(o, ret, err);
	if (r == 0)
		r = content_check(!o->no_media, err);
	if (r == 0)
		r = read_kernel(o, &s, err);
	if (r == 0)
		r = check_modules(&s, err);
	if (r == 0)
		r = build_in(o, &s, ret, err);
	if (r == 0) {
		(void)snprintf(
			ret->version, sizeof(ret->version), "%s", s.version);
		ret->kernel_bytes = s.n;
	}
	free(s.bytes);
	return r;
}

int rescue_make_base(
	char **ret, size_t *ret_n, size_t *ret_unpacked, struct error *err)
{
	CLEANUP_FREE char *plain = NULL;
	struct cpio *c = NULL;
	int r = content_check(false, err);

	if (r < 0)
		return r;
	r = cpio_new(&c);
	if (r < 0)
		return error_set(err, r, "begin the archive");
	r = content_add_base(c, true, err);
	if (r == 0) {
		r = cpio_write(c, &plain, ret_unpacked);
		if (r == 0)
			r = content_pack(plain, *ret_unpacked, CONTENT_QUICK,
				ret, ret_n);
		if (r < 0)
			error_set(err, r, "pack the archive");
	}
	cpio_free(c);
	return r;
}
