/* SPDX-License-Identifier: Apache-2.0 */
/* Partition tables of the target's disks, once they hold the copy: see
 * layout/grow.h. What cannot be done is told, and is no failure: the copy boots
 * with the table that it has. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/agent.h"
#include "layout/grow.h"

/* Nobody else may have it, nor a partition of it. */
static int open_disk(const struct msg_grow_disk *d, struct layout_disk *ret,
	struct error *err)
{
	int fd = open(d->path, O_RDWR | O_EXCL | O_CLOEXEC);
	int sector = 0;

	if (fd < 0)
		return error_set(err, -errno, "open %s", d->path);
	if (ioctl(fd, BLKGETSIZE64, &ret->size) < 0 ||
		ioctl(fd, BLKSSZGET, &sector) < 0 || sector <= 0) {
		error_set(err, -ENOTBLK, "tell the size of %s", d->path);
		(void)close(fd);
		return err->code;
	}
	ret->fd = fd;
	ret->sector = (uint32_t)sector;
	ret->source = d->source;
	return fd;
}

static int grow(const struct msg_grow_disk *d, struct msg_grown_disk *ret,
	struct error *err)
{
	struct layout_grown done;
	struct error why = {0};
	struct layout_disk disk;
	CLEANUP_CLOSE int fd = open_disk(d, &disk, err);
	int r;

	if (fd < 0)
		return fd;
	r = layout_grow(&disk, d->start, &done, &why);
	if (r < 0)
		(void)snprintf(ret->why, sizeof(ret->why),
			"cannot %.200s: %.500s", why.what, why.why);
	ret->moved = r == 0 && done.moved;
	ret->number = done.number;
	ret->from = done.from;
	ret->now = r == 0 ? done.now : done.from;
	if (done.written && ioctl(fd, BLKRRPART, 0) < 0)
		(void)snprintf(ret->why, sizeof(ret->why),
			"the kernel does not read the new table: %s",
			strerror(errno));
	return 0;
}

int grow_tables(struct agent *a, const struct frame *f, struct error *err)
{
	static struct msg_grow m;
	static struct msg_grown ret;
	int r = 0;

	if (frame_decode(f, &m) < 0 || m.n == 0)
		return error_set(err, -EPROTO, "understand a request");
	memset(&ret, 0, sizeof(ret));
	for (uint32_t i = 0; i < m.n && r == 0; i++)
		r = grow(&m.v[i], &ret.v[i], err);
	if (r < 0)
		return r;
	ret.n = m.n;
	agent_answer(a, MSG_GROWN, f->id, &ret);
	return 0;
}
