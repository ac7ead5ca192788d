/* SPDX-License-Identifier: Apache-2.0 */
#include "rescue/cpio.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_SIZE 1024
#define HEADER 110 /* magic and thirteen numbers of eight hex digits */

struct entry {
	char *path;
	char *bytes;
	size_t n;
	uint32_t mode, major, minor;
};

struct cpio {
	struct entry *entries;
	size_t n, room;
};

int cpio_new(struct cpio **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void cpio_free(struct cpio *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++) {
		free(c->entries[i].path);
		free(c->entries[i].bytes);
	}
	free(c->entries);
	free(c);
}

/* Entries are few (about a thousand), and made once. */
static const struct entry *find(const struct cpio *c, const char *path)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->entries[i].path, path) == 0)
			return &c->entries[i];
	return NULL;
}

bool cpio_has(const struct cpio *c, const char *path)
{
	return find(c, path) != NULL;
}

uint64_t cpio_size(const struct cpio *c, const char *prefix)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < c->n; i++)
		if (strncmp(c->entries[i].path, prefix, strlen(prefix)) == 0)
			sum += c->entries[i].n;
	return sum;
}

static bool is_path(const char *path)
{
	const char *p = path;

	if (strlen(path) >= PATH_SIZE)
		return false;
	for (;;) {
		size_t n = strcspn(p, "/");

		if (n == 0 || (n == 1 && p[0] == '.') ||
			(n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		if (p[n] == '\0')
			return true;
		p += n + 1;
	}
}

static int append(struct cpio *c, const char *path, uint32_t mode,
	const void *bytes, size_t n)
{
	struct entry e = {.n = n, .mode = mode};

	if (c->n == c->room) {
		size_t room = c->room ? c->room * 2 : 256;
		struct entry *grown =
			realloc(c->entries, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		c->entries = grown;
		c->room = room;
	}
	e.path = strdup(path);
	e.bytes = malloc(n ? n : 1);
	if (!e.path || !e.bytes) {
		free(e.path);
		free(e.bytes);
		return -ENOMEM;
	}
	if (n > 0)
		memcpy(e.bytes, bytes, n);
	c->entries[c->n++] = e;
	return 0;
}

static int add(struct cpio *c, const char *path, uint32_t mode,
	const void *bytes, size_t n)
{
	const struct entry *there = find(c, path);
	char parent[PATH_SIZE];
	char *slash;

	if (!is_path(path))
		return -EINVAL;
	if (there)
		return S_ISDIR(mode) && S_ISDIR(there->mode) ? 0 : -EEXIST;
	(void)snprintf(parent, sizeof(parent), "%s", path);
	for (slash = strchr(parent, '/'); slash; slash = strchr(slash, '/')) {
		int r = 0;

		*slash = '\0';
		there = find(c, parent);
		if (!there)
			r = append(c, parent, S_IFDIR | 0755, NULL, 0);
		else if (!S_ISDIR(there->mode))
			r = -EEXIST;
		if (r < 0)
			return r;
		*slash++ = '/';
	}
	return append(c, path, mode, bytes, n);
}

int cpio_add_folder(struct cpio *c, const char *path, uint32_t mode)
{
	return add(c, path, S_IFDIR | mode, NULL, 0);
}

int cpio_add_file(struct cpio *c, const char *path, uint32_t mode,
	const void *bytes, size_t n)
{
	return add(c, path, S_IFREG | mode, bytes, n);
}

int cpio_add_link(struct cpio *c, const char *path, const char *target)
{
	return add(c, path, S_IFLNK | 0777, target, strlen(target));
}

int cpio_add_device(struct cpio *c, const char *path, uint32_t mode,
	uint32_t major, uint32_t minor)
{
	int r = add(c, path, S_IFCHR | mode, NULL, 0);

	if (r == 0) {
		c->entries[c->n - 1].major = major;
		c->entries[c->n - 1].minor = minor;
	}
	return r;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->path,
		((const struct entry *)b)->path);
}

static size_t padded(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

static size_t entry_size(const struct entry *e)
{
	return padded(HEADER + strlen(e->path) + 1) + padded(e->n);
}

/* out is zeroed and has entry_size bytes. */
static void put(const struct entry *e, uint32_t inode, char *out)
{
	size_t name = strlen(e->path) + 1;
	char header[HEADER + 1];

	/* inode, mode, uid, gid, links, time, size, device (2), node (2),
	 * length of the name, checksum */
	(void)snprintf(header, sizeof(header),
		"070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		inode, e->mode, 0, 0, S_ISDIR(e->mode) ? 2 : 1, 0,
		(uint32_t)e->n, 0, 0, e->major, e->minor, (uint32_t)name, 0);
	memcpy(out, header, HEADER);
	memcpy(out + HEADER, e->path, name);
	memcpy(out + padded(HEADER + name), e->bytes, e->n);
}

int cpio_write(struct cpio *c, char **ret, size_t *ret_n)
{
	char nothing[] = "", trailer[] = "TRAILER!!!";
	struct entry last = {.path = trailer, .bytes = nothing};
	size_t total = entry_size(&last), at = 0;
	char *out;

	/* A folder sorts before what is in it, because its path is shorter. */
	if (c->n > 0)
		qsort(c->entries, c->n, sizeof(*c->entries), compare);
	for (size_t i = 0; i < c->n; i++) {
		if (c->entries[i].n > UINT32_MAX ||
			__builtin_add_overflow(
				total, entry_size(&c->entries[i]), &total))
			return -EFBIG;
	}
	out = calloc(1, total);
	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++) {
		put(&c->entries[i], (uint32_t)i + 1, out + at);
		at += entry_size(&c->entries[i]);
	}
	put(&last, 0, out + at);
	*ret = out;
	*ret_n = total;
	return 0;
}
