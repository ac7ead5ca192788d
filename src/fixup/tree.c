/* SPDX-License-Identifier: Apache-2.0 */
#include "fixup/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "base/io.h"
#include "base/parse.h"

/* As the kernel has it. */
#define LINKS_MAX 40
#define XATTRS_MAX 65536
#define PINNED (FS_IMMUTABLE_FL | FS_APPEND_FL)

static const char selinux[] = "security.selinux";

/* A name in its folder, which is no symbolic link. */
struct place {
	int folder;
	char name[NAME_MAX + 1];
};

static void cleanup_place(struct place *p)
{
	cleanup_close_p(&p->folder);
}

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

int tree_open(const char *path, struct tree *ret)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret = (struct tree){.fd = fd, .path = path};
	return 0;
}

void tree_close(struct tree *t)
{
	if (t->fd >= 0)
		(void)close(STEAL_FD(t->fd));
}

static int open_below(const struct tree *t, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd, tries = 0;

	/* Somebody renames elsewhere on the machine. */
	do
		fd = (int)syscall(SYS_openat2, t->fd, path, &how, sizeof(how));
	while (fd < 0 && errno == EAGAIN && ++tries < 1000);
	return fd < 0 ? -errno : fd;
}

static int stat_below(
	const struct tree *t, const char *path, int flags, struct stat *ret)
{
	CLEANUP_CLOSE int fd = open_below(t, path, O_PATH | flags);

	if (fd < 0)
		return fd;
	return fstat(fd, ret) < 0 ? -errno : 0;
}

bool tree_is_file(const struct tree *t, const char *path)
{
	struct stat st;

	return stat_below(t, path, 0, &st) == 0 && S_ISREG(st.st_mode);
}

bool tree_is_folder(const struct tree *t, const char *path)
{
	struct stat st;

	return stat_below(t, path, 0, &st) == 0 && S_ISDIR(st.st_mode);
}

bool tree_is_there(const struct tree *t, const char *path)
{
	struct stat st;

	return stat_below(t, path, O_NOFOLLOW, &st) == 0;
}

/* ---- reading ---- */

int tree_read(const struct tree *t, const char *path, size_t max, char **ret,
	size_t *ret_n)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	int r = stat_below(t, path, 0, &st);

	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	fd = open_below(t, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fd;
	r = io_read_whole(fd, max, ret, ret_n);
	return r == -E2BIG ? -EFBIG : r;
}

int tree_open_file(const struct tree *t, const char *path)
{
	struct stat st;
	int r = stat_below(t, path, 0, &st);

	if (r < 0)
		return r;
	return S_ISREG(st.st_mode) ? open_below(t, path, O_RDONLY) : -EINVAL;
}

int tree_readlink(
	const struct tree *t, const char *path, char ret[TREE_PATH_MAX])
{
	CLEANUP_CLOSE int fd = open_below(t, path, O_PATH | O_NOFOLLOW);
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISLNK(st.st_mode))
		return -EINVAL;
	n = readlinkat(fd, "", ret, TREE_PATH_MAX);
	if (n < 0)
		return -errno;
	if (n == TREE_PATH_MAX)
		return -ENAMETOOLONG;
	ret[n] = '\0';
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void tree_names_done(struct tree_names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct tree_names){0};
}

static int add_name(struct tree_names *l, const char *name)
{
	if (l->n == TREE_NAMES_MAX)
		return -E2BIG;
	if (l->n % 64 == 0) {
		char **v = realloc(l->v, (l->n + 64) * sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
	}
	l->v[l->n] = strdup(name);
	if (!l->v[l->n])
		return -ENOMEM;
	l->n++;
	return 0;
}

int tree_list(const struct tree *t, const char *path, struct tree_names *ret)
{
	CLEANUP(tree_names_done) struct tree_names l = {0};
	CLEANUP(cleanup_dir) DIR *dir = NULL;
	struct dirent *e;
	int r, fd = open_below(t, path, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		(void)close(fd);
		return -ENOMEM;
	}
	while ((errno = 0, e = readdir(dir))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		r = add_name(&l, e->d_name);
		if (r < 0)
			return r;
	}
	if (errno)
		return -errno;
	if (l.n > 0)
		qsort(l.v, l.n, sizeof(*l.v), compare_names);
	*ret = l;
	l = (struct tree_names){0};
	return 0;
}

int tree_find(const struct tree *t, const char *folder, const char *name,
	char ret[TREE_PATH_MAX])
{
	CLEANUP(tree_names_done) struct tree_names l = {0};
	int n, r = tree_list(t, folder, &l);

	if (r < 0)
		return r;
	for (size_t i = 0; i < l.n; i++) {
		if (strcasecmp(l.v[i], name) != 0)
			continue;
		n = snprintf(ret, TREE_PATH_MAX, "%s/%s", folder, l.v[i]);
		return n >= TREE_PATH_MAX ? -ENAMETOOLONG : 0;
	}
	return -ENOENT;
}

/* ---- places ---- */

/* Cuts the last name off; what is above stays in path, "" for the root. */
static int cut_name(char *path, char ret[NAME_MAX + 1])
{
	char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t n = strlen(name);

	if (!slash || n == 0 || strcmp(name, ".") == 0 ||
		strcmp(name, "..") == 0)
		return -EINVAL;
	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(ret, name, n + 1);
	*slash = '\0';
	return 0;
}

/* Where a path leads. follow: also when its last name is a link. */
static int find_place(
	const struct tree *t, const char *path, bool follow, struct place *ret)
{
	char at[2 * TREE_PATH_MAX], target[TREE_PATH_MAX];
	size_t k = strlen(path);

	if (k >= TREE_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(at, path, k + 1);
	for (int links = 0; links < LINKS_MAX; links++) {
		CLEANUP(cleanup_place) struct place p = {.folder = -1};
		ssize_t n;
		int r = cut_name(at, p.name);

		if (r < 0)
			return r;
		p.folder =
			open_below(t, *at ? at : "/", O_RDONLY | O_DIRECTORY);
		if (p.folder < 0)
			return p.folder;
		n = follow ? readlinkat(
				     p.folder, p.name, target, sizeof(target))
			   : -1;
		if (n < 0 && follow && errno != EINVAL && errno != ENOENT)
			return -errno;
		if (n < 0) {
			*ret = p;
			p.folder = -1;
			return 0;
		}
		/* What the link says counts from where it really stands. */
		k = target[0] == '/' ? 0 : strlen(at) + 1;
		if (n == 0 || k + (size_t)n >= TREE_PATH_MAX)
			return -ENAMETOOLONG;
		if (k > 0)
			at[k - 1] = '/';
		memcpy(at + k, target, (size_t)n);
		at[k + (size_t)n] = '\0';
	}
	return -ELOOP;
}

static int make_above(const struct tree *t, const char *path)
{
	const char *slash = strrchr(path, '/');
	char above[TREE_PATH_MAX];

	if (!slash || slash == path)
		return 0;
	if ((size_t)(slash - path) >= sizeof(above))
		return -ENAMETOOLONG;
	(void)snprintf(above, sizeof(above), "%.*s", (int)(slash - path), path);
	return tree_make_folder(t, above, 0755);
}

/* ---- what belongs to a file ---- */

/* A filesystem without owners or attributes (FAT) says no; so does none that
 * has them, as we are root. */
static bool has_no_owners(int fd)
{
	struct statfs s;

	return fstatfs(fd, &s) == 0 && s.f_type == MSDOS_SUPER_MAGIC;
}

static int copy_xattr(int from, int to, const char *name)
{
	CLEANUP_FREE char *value = malloc(XATTRS_MAX);
	ssize_t n;

	if (!value)
		return -ENOMEM;
	n = fgetxattr(from, name, value, XATTRS_MAX);
	if (n < 0)
		return errno == ENODATA || errno == ENOTSUP ? 0 : -errno;
	if (fsetxattr(to, name, value, (size_t)n, 0) < 0)
		return errno == ENOTSUP ? 0 : -errno;
	return 0;
}

static int copy_xattrs(int from, int to)
{
	CLEANUP_FREE char *names = malloc(XATTRS_MAX);
	ssize_t n;
	int r = 0;

	if (!names)
		return -ENOMEM;
	n = flistxattr(from, names, XATTRS_MAX);
	if (n < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (ssize_t i = 0; i < n && r == 0;
		i += (ssize_t)strlen(names + i) + 1)
		r = copy_xattr(from, to, names + i);
	return r;
}

/* from: the file that is replaced, or -1; then the folder gives the label. */
static int copy_belongings(int from, int folder, int to, mode_t mode)
{
	bool plain = has_no_owners(to);
	struct stat st = {.st_mode = mode};
	int r;

	if (from >= 0 && fstat(from, &st) < 0)
		return -errno;
	if (fchown(to, st.st_uid, st.st_gid) < 0 && !plain)
		return -errno;
	if (fchmod(to, st.st_mode & 07777) < 0 && !plain)
		return -errno;
	if (plain)
		return 0;
	r = from >= 0 ? copy_xattrs(from, to) : copy_xattr(folder, to, selinux);
	return r;
}

/* Takes away what forbids replacing; what it was is returned. */
static int unpin(int fd)
{
	int flags = 0, none;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & PINNED))
		return 0;
	none = flags & ~PINNED;
	return ioctl(fd, FS_IOC_SETFLAGS, &none) < 0 ? 0 : flags;
}

/* The file that has this place; *ret is -1 when there is none. */
static int open_old(const struct place *p, int *ret)
{
	struct stat st;
	int fd;

	*ret = -1;
	if (fstatat(p->folder, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	fd = openat(p->folder, p->name,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

/* Gives the place to a file of the same folder, and makes that durable. */
static int take_place(
	const struct place *p, const char *name, int fd, mode_t mode)
{
	CLEANUP_CLOSE int old = -1;
	int flags, r = open_old(p, &old);

	if (r == 0)
		r = copy_belongings(old, p->folder, fd, mode);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r < 0)
		return r;
	flags = old >= 0 ? unpin(old) : 0;
	if (renameat(p->folder, name, p->folder, p->name) < 0)
		r = -errno;
	if (flags)
		(void)ioctl(r < 0 ? old : fd, FS_IOC_SETFLAGS, &flags);
	if (r == 0 && fsync(p->folder) < 0)
		r = -errno;
	return r;
}

static void temporary_name(char ret[32])
{
	uint8_t bytes[8];
	char hex[2 * sizeof(bytes) + 1];

	io_random(bytes, sizeof(bytes));
	parse_hex(bytes, sizeof(bytes), hex);
	(void)snprintf(ret, 32, ".rehost-%s", hex);
}

/* ---- changing ---- */

int tree_write(const struct tree *t, const char *path, const void *bytes,
	size_t n, mode_t mode)
{
	CLEANUP(cleanup_place) struct place p = {.folder = -1};
	CLEANUP_CLOSE int fd = -1;
	char name[32];
	int r = make_above(t, path);

	if (r == 0)
		r = find_place(t, path, true, &p);
	if (r < 0)
		return r;
	temporary_name(name);
	fd = openat(p.folder, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = io_write_all(fd, bytes, n);
	if (r == 0)
		r = take_place(&p, name, fd, mode);
	if (r < 0)
		(void)unlinkat(p.folder, name, 0);
	return r;
}

int tree_replace(const struct tree *t, const char *from, const char *to)
{
	CLEANUP(cleanup_place) struct place p = {.folder = -1};
	CLEANUP(cleanup_place) struct place q = {.folder = -1};
	CLEANUP_CLOSE int fd = -1;
	char name[32];
	struct stat st;
	int r = find_place(t, from, false, &p);

	if (r == 0)
		r = find_place(t, to, true, &q);
	if (r == 0)
		r = open_old(&p, &fd);
	if (r < 0)
		return r;
	if (fd < 0)
		return -ENOENT;
	if (fstat(fd, &st) < 0)
		return -errno;
	temporary_name(name);
	if (renameat(p.folder, p.name, q.folder, name) < 0)
		return -errno;
	r = take_place(&q, name, fd, st.st_mode);
	if (r < 0)
		(void)renameat(q.folder, name, p.folder, p.name);
	return r;
}

int tree_copy(
	const struct tree *t, const char *from, const char *to, mode_t mode)
{
	CLEANUP_FREE char *bytes = NULL;
	size_t n;
	int r = tree_read(t, from, TREE_COPY_MAX, &bytes, &n);

	return r < 0 ? r : tree_write(t, to, bytes, n, mode);
}

static int make_one(const struct tree *t, const char *path, mode_t mode)
{
	CLEANUP(cleanup_place) struct place p = {.folder = -1};
	CLEANUP_CLOSE int fd = -1;
	int r = find_place(t, path, false, &p);

	if (r < 0)
		return r;
	if (mkdirat(p.folder, p.name, mode) < 0)
		return errno == EEXIST ? -ENOTDIR : -errno;
	fd = openat(p.folder, p.name,
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Whatever the umask says. */
	r = copy_belongings(-1, p.folder, fd, mode);
	if (r == 0 && (fsync(fd) < 0 || fsync(p.folder) < 0))
		r = -errno;
	return r;
}

int tree_make_folder(const struct tree *t, const char *path, mode_t mode)
{
	char at[TREE_PATH_MAX];
	size_t n = strlen(path);
	int r = 0;

	if (n >= sizeof(at))
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= n && r == 0; i++) {
		if ((path[i] != '/' && path[i] != '\0') || path[i - 1] == '/')
			continue;
		memcpy(at, path, i);
		at[i] = '\0';
		if (!tree_is_folder(t, at))
			r = make_one(t, at, mode);
	}
	return r;
}

int tree_symlink(const struct tree *t, const char *path, const char *target)
{
	CLEANUP(cleanup_place) struct place p = {.folder = -1};
	char name[32];
	int r = make_above(t, path);

	if (r == 0)
		r = find_place(t, path, false, &p);
	if (r < 0)
		return r;
	temporary_name(name);
	if (symlinkat(target, p.folder, name) < 0)
		return -errno;
	if (renameat(p.folder, name, p.folder, p.name) < 0) {
		r = -errno;
		(void)unlinkat(p.folder, name, 0);
		return r;
	}
	return fsync(p.folder) < 0 ? -errno : 0;
}

int tree_remove(const struct tree *t, const char *path)
{
	CLEANUP(cleanup_place) struct place p = {.folder = -1};
	CLEANUP_CLOSE int old = -1;
	int r = find_place(t, path, false, &p);

	if (r < 0)
		return r;
	if (open_old(&p, &old) == 0 && old >= 0)
		(void)unpin(old);
	if (unlinkat(p.folder, p.name, 0) < 0)
		return -errno;
	return fsync(p.folder) < 0 ? -errno : 0;
}
