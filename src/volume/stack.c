/* SPDX-License-Identifier: Apache-2.0 */
#include "volume/stack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/io.h"
#include "volume/mounts.h"

#define DEPTH_MAX 16
#define MOUNTS_MAX 4096
#define SWAPS_MAX (1U << 20)

static dev_t filesystem_of(const struct mount_info *m)
{
	return makedev(m->major, m->minor);
}

static dev_t device_of(const struct mount_info *m)
{
	return makedev(m->dev_major, m->dev_minor);
}

/* Of the same mount; kernels before 5.8 do not tell, there the filesystem has
 * to do. */
static bool is_of(
	const struct statx *st, const struct mount_info *m, uint64_t id)
{
	if (st->stx_mask & STATX_MNT_ID)
		return st->stx_mnt_id == id;
	return m->major == 0 ||
	       (st->stx_dev_major == m->major && st->stx_dev_minor == m->minor);
}

/* Its point is a folder of the filesystem: nothing is mounted over it. */
static bool leads_in(const struct mount_info *m, uint64_t id)
{
	struct statx st;

	return statx(AT_FDCWD, m->point,
		       AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW |
			       AT_STATX_DONT_SYNC,
		       STATX_TYPE | STATX_MNT_ID, &st) == 0 &&
	       S_ISDIR(st.stx_mode) && is_of(&st, m, id);
}

bool stack_is_of(int fd, const struct stacked *s)
{
	struct statx st;

	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
		       STATX_TYPE | STATX_MNT_ID, &st) == 0 &&
	       is_of(&st, &s->mount, s->id);
}

static struct stacked *find(struct stack *s, const struct mount_info *m)
{
	for (size_t i = 0; i < s->n; i++) {
		struct mount_info *have = &s->v[i].mount;

		/* Subvolumes of a btrfs may have numbers of their own. */
		if (filesystem_of(have) == filesystem_of(m) ||
			device_of(have) == device_of(m))
			return &s->v[i];
	}
	return NULL;
}

static int add(void *arg, uint64_t id, const struct mount_info *m)
{
	struct stack *s = arg;
	struct stacked *at, *v;

	if (m->dev_major == 0)
		return 0;
	at = find(s, m);
	if (!at) {
		if (s->n == MOUNTS_MAX)
			return -E2BIG;
		v = reallocarray(s->v, s->n + 1, sizeof(*v));
		if (!v)
			return -ENOMEM;
		s->v = v;
		v[s->n++] = (struct stacked){*m, id, leads_in(m, id), 0};
		return 0;
	}
	/* The root is known by its name; else the first that leads in. */
	if (leads_in(m, id) && (!at->open || strcmp(m->point, "/") == 0)) {
		at->mount = *m;
		at->id = id;
		at->open = true;
	}
	return 0;
}

static bool read_dev(int dir, const char *path, dev_t *ret)
{
	char text[64];

	return io_read_file(dir, path, text, sizeof(text)) > 0 &&
	       mounts_parse_dev(text, ret) == 0;
}

/* The filesystem that holds a loop device's file; NULL when it is on none that
 * is known. */
static struct stacked *below_loop(struct stack *s, int dir)
{
	char path[PATH_MAX];
	struct statx st;

	if (!s ||
		io_read_file(dir, "loop/backing_file", path, sizeof(path)) <= 0)
		return NULL;
	path[strcspn(path, "\n")] = '\0';
	if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
		    STATX_TYPE, &st) < 0)
		return NULL;
	for (size_t i = 0; i < s->n; i++)
		if (filesystem_of(&s->v[i].mount) ==
			makedev(st.stx_dev_major, st.stx_dev_minor))
			return &s->v[i];
	return NULL;
}

static bool lies_on(struct stack *s, dev_t dev, const dev_t *disks, size_t n,
	unsigned level, unsigned *depth)
{
	CLEANUP_CLOSE int dir = -1;
	char path[64];
	struct stacked *below;
	struct dirent *e;
	bool found = false;
	dev_t lower;
	DIR *d;
	int fd;

	for (size_t i = 0; i < n; i++)
		if (disks[i] == dev)
			return true;
	if (level == DEPTH_MAX)
		return false;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(dev),
		minor(dev));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return false;
	if (faccessat(dir, "partition", F_OK, 0) == 0 &&
		read_dev(dir, "../dev", &lower))
		return lies_on(s, lower, disks, n, level + 1, depth);
	below = below_loop(s, dir);
	if (below && lies_on(s, device_of(&below->mount), disks, n, level + 1,
			     depth)) {
		(*depth)++;
		return true;
	}
	fd = openat(dir, "slaves", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d && fd >= 0)
		(void)close(fd);
	while (d && !found && (e = readdir(d))) {
		char name[NAME_MAX + 8];

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "%s/dev", e->d_name);
		found = read_dev(dirfd(d), name, &lower) &&
			lies_on(s, lower, disks, n, level + 1, depth);
	}
	if (d)
		(void)closedir(d);
	return found;
}

bool stack_lies_on(dev_t dev, const dev_t *disks, size_t n)
{
	unsigned depth = 0;

	return lies_on(NULL, dev, disks, n, 0, &depth);
}

/* What lies on others first; mounts inside others before these, so that the
 * root is the last. */
static int compare(const void *a, const void *b)
{
	const struct stacked *x = a, *y = b;
	size_t nx = strlen(x->mount.point), ny = strlen(y->mount.point);

	if (x->depth != y->depth)
		return x->depth > y->depth ? -1 : 1;
	return nx != ny ? (nx > ny ? -1 : 1)
			: strcmp(x->mount.point, y->mount.point);
}

/* Partitions, and what is stacked. */
static bool is_leaf(const char *name)
{
	char path[PATH_MAX];
	struct dirent *e;
	bool leaf = true;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/sys/class/block/%s", name);
	d = opendir(path);
	while (d && leaf && (e = readdir(d))) {
		(void)snprintf(path, sizeof(path), "%s/partition", e->d_name);
		leaf = e->d_name[0] == '.' ||
		       faccessat(dirfd(d), path, F_OK, 0) < 0;
	}
	if (d)
		(void)closedir(d);
	(void)snprintf(path, sizeof(path), "/sys/class/block/%s/holders", name);
	d = leaf ? opendir(path) : NULL;
	while (d && leaf && (e = readdir(d)))
		leaf = e->d_name[0] == '.';
	if (d)
		(void)closedir(d);
	return leaf;
}

int stack_each(const dev_t *disks, size_t n, stack_device_fn *fn, void *arg)
{
	DIR *d = opendir("/sys/class/block");
	struct dirent *e;
	int r = 0;

	if (!d)
		return -errno;
	while (r == 0 && (e = readdir(d))) {
		char path[NAME_MAX + 8];
		dev_t dev;

		(void)snprintf(path, sizeof(path), "%s/dev", e->d_name);
		if (e->d_name[0] == '.' || !read_dev(dirfd(d), path, &dev) ||
			!stack_lies_on(dev, disks, n))
			continue;
		r = fn(arg, e->d_name, dev, is_leaf(e->d_name));
	}
	(void)closedir(d);
	return r;
}

int stack_find(
	const dev_t *disks, size_t n, struct stack *ret, struct error *err)
{
	struct stack s = {0};
	size_t kept = 0;
	int r = mounts_each(add, &s);

	if (r < 0) {
		stack_done(&s);
		return error_set(err, r, "see what is mounted");
	}
	/* Loop devices look for what is below them among all. */
	for (size_t i = 0; i < s.n; i++) {
		struct stacked *v = &s.v[i];

		if (!lies_on(&s, device_of(&v->mount), disks, n, 0, &v->depth))
			v->depth = UINT_MAX;
	}
	for (size_t i = 0; i < s.n; i++)
		if (s.v[i].depth != UINT_MAX)
			s.v[kept++] = s.v[i];
	s.n = kept;
	if (kept > 0)
		qsort(s.v, kept, sizeof(*s.v), compare);
	*ret = s;
	return 0;
}

void stack_done(struct stack *s)
{
	free(s->v);
	s->v = NULL;
	s->n = 0;
}

int stack_swaps(stack_swap_fn *fn, void *arg)
{
	CLEANUP_FREE char *text = NULL;
	char *at, *line, path[PATH_MAX];
	struct stat st;
	int r = io_slurp("/proc/swaps", SWAPS_MAX, &text, NULL);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	at = text;
	(void)strsep(&at, "\n"); /* the head line */
	while ((line = strsep(&at, "\n"))) {
		line[strcspn(line, " \t")] = '\0';
		if (line[0] != '/' ||
			mounts_unescape(line, path, sizeof(path)) < 0)
			continue;
		if (stat(path, &st) < 0)
			r = fn(arg, path, false, 0);
		else if (S_ISBLK(st.st_mode))
			r = fn(arg, path, false, st.st_rdev);
		else
			r = fn(arg, path, true, st.st_dev);
		if (r != 0)
			return r;
	}
	return 0;
}
