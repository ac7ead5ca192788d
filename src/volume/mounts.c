/* SPDX-License-Identifier: Apache-2.0 */
#include "volume/mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/btrfs.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/io.h"
#include "base/parse.h"

#define SYS_BTRFS "/sys/fs/btrfs"
#define MOUNTINFO_MAX (64u << 20)
#define FSID_TEXT 37

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

/* Takes the next word; the text behind it begins at *line. */
static char *word(char **line)
{
	return strsep(line, " ");
}

bool mounts_is_needed(const char *point)
{
	static const char *const needed[] = {"/", "/boot", "/etc", "/usr"};

	for (size_t i = 0; i < ARRAY_LEN(needed); i++)
		if (strcmp(point, needed[i]) == 0)
			return true;
	return false;
}

int mounts_parse_dev(const char *text, dev_t *ret)
{
	const char *colon = strchr(text, ':');
	char first[16];
	uint64_t ma, mi;

	if (!colon || (size_t)(colon - text) >= sizeof(first))
		return -EBADMSG;
	memcpy(first, text, (size_t)(colon - text));
	first[colon - text] = '\0';
	if (parse_u64(first, &ma) < 0 || parse_u64(colon + 1, &mi) < 0 ||
		ma > UINT32_MAX || mi > UINT32_MAX)
		return -EBADMSG;
	*ret = makedev((unsigned)ma, (unsigned)mi);
	return 0;
}

/* The kernel writes space, tab, newline, backslash and '#' as \ooo. */
int mounts_unescape(const char *from, char *to, size_t size)
{
	size_t n = 0;

	while (*from) {
		unsigned c = (unsigned char)*from++;

		if (c == '\\') {
			c = 0;
			for (int i = 0; i < 3; i++, from++) {
				if (*from < '0' || *from > '7')
					return -EBADMSG;
				c = c * 8 + (unsigned)(*from - '0');
			}
			if (c == 0 || c > 0xff)
				return -EBADMSG;
		}
		if (n + 1 >= size)
			return -EBADMSG;
		to[n++] = (char)c;
	}
	to[n] = '\0';
	return 0;
}

static bool has_option(const char *options, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = options; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, n) == 0 &&
			(at[n] == ',' || at[n] == '\0'))
			return true;
	}
	return false;
}

int mounts_parse(const char *line, uint64_t *ret_id, struct mount_info *ret,
	char *source)
{
	CLEANUP_FREE char *copy = strdup(line);
	struct mount_info m = {0};
	char *at = copy, *id, *dev, *point, *options, *type, *from, *w;
	uint64_t number;
	dev_t d;

	if (!copy)
		return -ENOMEM;
	id = word(&at);
	(void)word(&at); /* its parent's */
	dev = word(&at);
	(void)word(&at); /* the root inside the filesystem */
	point = word(&at);
	options = word(&at);
	do {
		w = word(&at);
	} while (w && strcmp(w, "-") != 0);
	type = word(&at);
	from = word(&at);
	/* The last word has the options of the filesystem itself. */
	if (!at || parse_u64(id, &number) < 0 ||
		mounts_parse_dev(dev, &d) < 0 ||
		mounts_unescape(point, m.point, sizeof(m.point)) < 0 ||
		m.point[0] != '/' || mounts_unescape(from, source, 4096) < 0)
		return -EBADMSG;
	(void)snprintf(m.type, sizeof(m.type), "%s", type);
	m.super_readonly = has_option(at, "ro");
	m.readonly = has_option(options, "ro") || m.super_readonly;
	m.major = major(d);
	m.minor = minor(d);
	if (m.major != 0) {
		m.dev_major = m.major;
		m.dev_minor = m.minor;
	}
	*ret_id = number;
	*ret = m;
	return 0;
}

/* Reads the devices below /sys/fs/btrfs/<fsid>/devices. */
static int btrfs_devices(const char *fsid, dev_t *ret, int max)
{
	char path[sizeof(SYS_BTRFS "//devices") + NAME_MAX];
	CLEANUP(cleanup_dir) DIR *dir = NULL;
	struct dirent *e;
	int n = 0;

	(void)snprintf(path, sizeof(path), SYS_BTRFS "/%s/devices", fsid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		char file[NAME_MAX + sizeof("/dev")], dev[32];
		ssize_t r;
		dev_t d;

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "%s/dev", e->d_name);
		r = io_read_file(dirfd(dir), file, dev, sizeof(dev));
		if (r < 0)
			return (int)r;
		if (mounts_parse_dev(dev, &d) < 0)
			return -EBADMSG;
		if (n < max)
			ret[n] = d;
		if (n < INT_MAX)
			n++;
	}
	return n;
}

int mounts_btrfs_devices(const uint8_t fsid[16], dev_t *ret, int max)
{
	char hex[33], text[FSID_TEXT];

	parse_hex(fsid, 16, hex);
	(void)snprintf(text, sizeof(text), "%.8s-%.4s-%.4s-%.4s-%.12s", hex,
		hex + 8, hex + 12, hex + 16, hex + 20);
	return btrfs_devices(text, ret, max);
}

static bool among(const dev_t *list, int n, dev_t dev)
{
	for (int i = 0; i < n; i++)
		if (list[i] == dev)
			return true;
	return false;
}

int mounts_btrfs_same(dev_t a, dev_t b)
{
	CLEANUP(cleanup_dir) DIR *dir = opendir(SYS_BTRFS);
	struct dirent *e;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(dir))) {
		dev_t devs[1024];
		int n;

		if (strlen(e->d_name) != FSID_TEXT - 1)
			continue;
		n = btrfs_devices(e->d_name, devs, ARRAY_LEN(devs));
		if (n == -ENOENT) /* unmounted meanwhile, or still coming */
			continue;
		if (n < 0)
			return n;
		n = MIN(n, (int)ARRAY_LEN(devs));
		if (among(devs, n, a) && among(devs, n, b))
			return 1;
	}
	return 0;
}

/* Asks the filesystem itself, for sources like /dev/root. */
static bool btrfs_by_point(const char *point, dev_t *ret)
{
	CLEANUP_CLOSE int fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct btrfs_ioctl_fs_info_args info = {0};
	struct statfs fs;

	return fd >= 0 && fstatfs(fd, &fs) == 0 &&
	       (uint32_t)fs.f_type == BTRFS_SUPER_MAGIC &&
	       ioctl(fd, BTRFS_IOC_FS_INFO, &info) == 0 &&
	       mounts_btrfs_devices(info.fsid, ret, 1) > 0;
}

static void find_device(struct mount_info *m, const char *source)
{
	struct stat st;
	dev_t dev = 0;

	/* Anyone may name a source for other kinds without a device. */
	if (m->dev_major != 0 || strcmp(m->type, "btrfs") != 0)
		return;
	if (source[0] == '/' && stat(source, &st) == 0 && S_ISBLK(st.st_mode))
		dev = st.st_rdev;
	if (dev == 0 || mounts_btrfs_same(dev, dev) != 1)
		if (!btrfs_by_point(m->point, &dev))
			return;
	m->dev_major = major(dev);
	m->dev_minor = minor(dev);
}

int mounts_each(mounts_fn *fn, void *arg)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE struct mount_info *m = malloc(sizeof(*m));
	CLEANUP_FREE char *source = malloc(4096);
	char *at, *line;
	uint64_t id;
	int r;

	if (!m || !source)
		return -ENOMEM;
	r = io_slurp("/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL);
	if (r < 0)
		return r;
	at = text;
	while ((line = strsep(&at, "\n"))) {
		if (*line == '\0')
			continue;
		r = mounts_parse(line, &id, m, source);
		if (r < 0)
			return r;
		find_device(m, source);
		r = fn(arg, id, m);
		if (r != 0)
			return r;
	}
	return 0;
}
