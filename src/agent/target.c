/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent does on the target. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/io.h"
#include "base/parse.h"
#include "rescue/heard.h"
#include "volume/probe.h"

#define STATE_DIR "/var/lib/rehost"

/* A half-made replica shows no signature, one that was published the source's:
 * anything else got here without us. */
static bool may_be_ours(
	const struct volume_facts *f, const struct msg_target_disk *d)
{
	return f->n_signatures == 0 ||
	       (d->source_uuid[0] && strcmp(f->uuid, d->source_uuid) == 0);
}

/* A rescue system need not go back to the system whose disk is written. */
static int leave_old_system(const struct volume_facts *f, struct error *err)
{
	int fd;

	if (f->kind != VOLUME_BLOCK || access(RESCUE_HEARD, F_OK) < 0)
		return 0;
	fd = open(RESCUE_WRITTEN, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(err, -errno, "make %s", RESCUE_WRITTEN);
	(void)close(fd);
	return 0;
}

/* Is this disk one that may be written? (Promise 5.) */
static int check_writable(const struct volume_facts *f,
	const struct msg_target_disk *m, bool resume, struct error *err)
{
	char identity[256];

	error_set(err, -EBUSY, "use %s as target", f->path);
	if (f->size < m->size) {
		error_set(err, -ENOSPC, "use %s as target", f->path);
		error_why(err, "it has %llu bytes, the source %llu",
			(unsigned long long)f->size,
			(unsigned long long)m->size);
		return error_todo(err, "name a target at least as large");
	}
	if (f->readonly) {
		error_set(err, -EROFS, "use %s as target", f->path);
		return err->code;
	}
	if (f->n_mounts > 0) {
		error_why(err, "it is mounted on %s", f->mounts[0].point);
		return error_todo(err, "unmount it first, if it is the right "
				       "one");
	}
	if (f->n_partitions_mounted > 0) {
		error_why(err, "partitions of it are in use");
		return error_todo(err, "unmount them first");
	}
	if (f->swap) {
		error_why(err, "it is active swap");
		return error_todo(err, "swapoff first");
	}
	if (f->holder_count > 0) {
		error_why(err, "%s uses it", f->holder);
		return error_todo(err, "stop that first");
	}
	if (f->writers > 0 && !resume) {
		error_why(err, "%s has it open for writing", f->writer);
		return error_todo(err, "stop that first");
	}
	if (f->busy) {
		error_why(err, "something holds it open exclusively");
		return error_todo(err, "stop that first");
	}
	if (f->zoned) {
		error_set(err, -EOPNOTSUPP, "use %s as target", f->path);
		return error_why(err, "zoned devices are not supported yet");
	}
	if (f->kind == VOLUME_BLOCK && f->logical > m->source_logical &&
		m->source_logical > 1) {
		error_set(err, -EOPNOTSUPP, "use %s as target", f->path);
		error_why(err,
			"its logical blocks have %u bytes, the "
			"source's %u",
			f->logical, m->source_logical);
		return error_todo(err, "name a disk with the same block size");
	}
	(void)probe_identity(f, identity, sizeof(identity));
	if ((resume && may_be_ours(f, m)) || f->empty ||
		strcmp(m->overwrite, identity) == 0) {
		memset(err, 0, sizeof(*err));
		return 0;
	}
	error_set(err, -EEXIST, "use %s as target", f->path);
	if (m->overwrite[0])
		error_why(
			err, "it is not empty, and it is not %s", m->overwrite);
	else if (f->fstype[0])
		error_why(err, "it is not empty (%s)", f->fstype);
	else
		error_why(err, "it is not empty");
	return error_todo(
		err, "if all on it may be destroyed: --overwrite %s", identity);
}

/* Removes what libblkid knows the old content by, also beyond the source's
 * size. */
static int wipe_old(
	const struct volume *v, const struct volume_facts *f, struct error *err)
{
	struct volume whole = *v;
	struct withheld *old = calloc(1, sizeof(*old));
	struct msg_extent e[PROBE_SIGNATURES_MAX];
	uint32_t n = 0;
	int r;

	if (!old)
		return error_set(err, -ENOMEM, "wipe %s", f->path);
	whole.size = f->size;
	for (uint32_t i = 0; i < f->n_signatures; i++)
		if (f->signatures[i].bytes > 0)
			e[n++] = (struct msg_extent){f->signatures[i].offset,
				f->signatures[i].bytes};
	r = withheld_init(old, e, n, whole.size);
	if (r < 0)
		error_set(err, r, "wipe %s", f->path);
	else
		r = receiver_wipe(&whole, old, err);
	free(old);
	return r;
}

/* Only a disk keeps its size, and can be left as it was; what has parts may not
 * find a filesystem of the source in one of them. */
static int check_trial(const struct volume_facts *f, struct error *err)
{
	const char *parts = spared_parts(f);

	if (f->kind == VOLUME_BLOCK && !parts)
		return 0;
	error_set(err, -EOPNOTSUPP, "write samples to %s", f->path);
	if (f->kind == VOLUME_BLOCK) {
		error_why(err,
			"it is divided into parts (%s), and one of them could "
			"look like a filesystem of the source afterwards",
			parts);
		return error_todo(err, "name a disk that is not, or estimate "
				       "without --write");
	}
	error_why(err, "it is a file, which would be changed by that");
	return error_todo(err, "name a disk, or estimate without --write");
}

/* What must be as it was when the trial is over: whatever tells what the disk
 * is; and whatever would make it look like the source. */
static int spare(struct agent *a, const struct msg_open_target *m,
	const struct volume_facts *f, struct error *err)
{
	int r;

	spared_init(&a->spared, &a->joined.volume);
	r = spared_add_disk(&a->spared, f);
	for (uint32_t i = 0; i < m->n_withhold && r == 0; i++)
		r = spared_add(&a->spared, m->withhold[i].offset,
			m->withhold[i].bytes);
	return r < 0 ? error_set(err, r, "write samples to %s", f->path) : 0;
}

/* Looks at one disk, or makes its file; opens it unless it is only a check. */
static int open_disk(struct agent *a, const struct msg_open_target *m,
	const struct msg_target_disk *d, bool *ret_made, struct error *err)
{
	CLEANUP_FREE struct volume_facts *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return error_set(err, -ENOMEM, "open the target");
	r = probe_volume(d->path, f, err);
	if (r == -ENOENT && m->create && m->check)
		return volume_room(d->path, d->size, err);
	if (r == -ENOENT && m->create) {
		r = volume_create(d->path, d->size, err);
		*ret_made = r == 0;
		if (r == 0)
			r = probe_volume(d->path, f, err);
	}
	/* A file gets its size from us; what it had does not matter. */
	if (r == 0 && f->kind == VOLUME_FILE && f->size < d->size &&
		(f->size == 0 || m->resume))
		f->size = d->size;
	if (r == 0 && m->trial)
		r = check_trial(f, err);
	if (r == 0)
		r = check_writable(f, d, m->resume, err);
	if (r < 0 || m->check)
		return r;
	r = leave_old_system(f, err);
	if (r == 0)
		r = joined_add_target(&a->joined, f, d->size, err);
	if (r < 0 && *ret_made)
		(void)unlink(d->path);
	if (r < 0)
		return r;
	if (m->trial)
		return spare(a, m, f, err);
	return m->whole
		       ? 0
		       : wipe_old(&a->joined.v[a->joined.n - 1].volume, f, err);
}

/* None is written before all were looked at. */
static int check_all(
	struct agent *a, struct msg_open_target *m, struct error *err)
{
	uint8_t check = m->check;
	bool made = false;
	int r = 0;

	m->check = 1;
	for (uint32_t i = 0; i < m->n && r == 0; i++)
		r = open_disk(a, m, &m->v[i], &made, err);
	m->check = check;
	return r;
}

static int open_all(
	struct agent *a, const struct msg_open_target *m, struct error *err)
{
	bool made = false;
	int r = 0;

	joined_init(&a->joined);
	for (uint32_t i = 0; i < m->n && r == 0; i++)
		r = open_disk(a, m, &m->v[i], &made, err);
	if (r < 0 || m->trial)
		return r;
	r = withheld_init(&a->withheld, m->withhold, m->n_withhold,
		a->joined.volume.size);
	if (r < 0)
		return error_set(err, r, "withhold the source's signatures");
	return made || m->whole
		       ? 0
		       : receiver_wipe(&a->joined.volume, &a->withheld, err);
}

int target_open(struct agent *a, const struct frame *f, struct error *err)
{
	static struct msg_open_target m;
	struct msg_target_state state = {0};
	int r;

	if (frame_decode(f, &m) < 0 || m.n == 0 ||
		(m.trial && (m.n > 1 || m.create || m.resume)) ||
		(m.whole && (!m.resume || m.trial)))
		return error_set(err, -EPROTO, "understand a request");
	r = check_all(a, &m, err);
	if (r == 0 && !m.check)
		r = open_all(a, &m, err);
	if (r < 0) {
		joined_close(&a->joined);
		return r;
	}
	if (!m.check) {
		memcpy(a->secret, m.secret, sizeof(a->secret));
		memcpy(a->name, m.name, sizeof(a->name));
		a->volume = m.trial ? &a->spared.volume : &a->joined.volume;
		a->state = IN_TARGET;
		state.size = a->volume->size;
		state.hwm_kb = agent_hwm(getpid());
	}
	agent_answer(a, MSG_TARGET_STATE, f->id, &state);
	return 0;
}

int target_publish(struct agent *a, const struct frame *f, struct error *err)
{
	struct msg_target_state state = {.size = a->volume->size};
	CLEANUP_FREE struct msg_blocks *m = calloc(1, sizeof(*m));
	int r = 0;

	if (!m)
		return error_set(err, -ENOMEM, "write the signatures");
	if (frame_decode(f, m) < 0)
		return error_set(err, -EPROTO, "understand a request");
	for (uint32_t i = 0; i < m->n && r == 0; i++)
		r = receiver_restore(a->volume, &a->withheld, &m->v[i], err);
	if (r == 0)
		r = receiver_publish(a->volume, &a->withheld, err);
	state.hwm_kb = agent_hwm(getpid());
	if (r == 0)
		agent_answer(a, MSG_TARGET_STATE, f->id, &state);
	return r;
}

int target_wipe(struct agent *a, const struct frame *f, struct error *err)
{
	int r = receiver_wipe(a->volume, &a->withheld, err);

	if (r == 0)
		agent_answer(a, MSG_OK, f->id, NULL);
	return r;
}

int target_close(struct agent *a, const struct frame *f, struct error *err)
{
	receiver_stop(a->receiver);
	a->receiver = NULL;
	relay_end(a);
	for (uint32_t i = 0; i < a->joined.n; i++) {
		const struct volume *v = &a->joined.v[i].volume;

		if (fsync(v->fd) < 0)
			return error_set(err, -errno, "flush %s", v->path);
		/* What was cached before is not what is there now; and a new
		 * partition table wants to be seen. Files have neither. */
		(void)ioctl(v->fd, BLKFLSBUF, 0);
		(void)ioctl(v->fd, BLKRRPART, 0);
	}
	joined_close(&a->joined);
	a->state = IN_NEW;
	agent_answer(a, MSG_OK, f->id, NULL);
	return 0;
}

/* ---- a copy of the source's signatures, kept until confirm ---- */

static int file_path(const char *name, char *buf, size_t size)
{
	if (!parse_is_name(name))
		return -EINVAL;
	(void)snprintf(buf, size, STATE_DIR "/%.63s.signatures", name);
	return 0;
}

int target_keep_file(struct agent *a, const struct frame *f, struct error *err)
{
	CLEANUP_FREE struct msg_file *m = calloc(1, sizeof(*m));
	CLEANUP_CLOSE int fd = -1;
	char path[256];
	int r;

	if (!m)
		return error_set(err, -ENOMEM, "keep the signatures");
	if (frame_decode(f, m) < 0 ||
		file_path(m->name, path, sizeof(path)) < 0)
		return error_set(err, -EPROTO, "understand a request");
	/* A system in memory has nothing above it either. */
	(void)mkdir("/var", 0755);
	(void)mkdir("/var/lib", 0755);
	if (mkdir(STATE_DIR, 0700) < 0 && errno != EEXIST)
		return error_set(err, -errno, "make " STATE_DIR);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		0600);
	if (fd < 0)
		return error_set(err, -errno, "write %s", path);
	/* As on the wire: offset, count, bytes; readable with any hex dump. */
	for (uint32_t i = 0; i < m->blocks.n; i++) {
		uint8_t head[12];

		put_be64(head, m->blocks.v[i].offset);
		put_be32(head + 8, m->blocks.v[i].n);
		r = io_write_all(fd, head, sizeof(head));
		if (r == 0)
			r = io_write_all(
				fd, m->blocks.v[i].data, m->blocks.v[i].n);
		if (r < 0)
			return error_set(err, r, "write %s", path);
	}
	r = fsync(fd) < 0 ? -errno : io_sync_folder(path);
	if (r == 0)
		r = io_sync_folder(STATE_DIR);
	if (r < 0)
		return error_set(err, r, "write %s", path);
	agent_answer(a, MSG_OK, f->id, NULL);
	return 0;
}

int target_drop_file(struct agent *a, const struct frame *f, struct error *err)
{
	static struct msg_path m;
	char path[256];

	if (frame_decode(f, &m) < 0 ||
		file_path(m.path, path, sizeof(path)) < 0)
		return error_set(err, -EPROTO, "understand a request");
	if (unlink(path) < 0 && errno != ENOENT)
		return error_set(err, -errno, "remove %s", path);
	(void)rmdir(STATE_DIR);
	agent_answer(a, MSG_OK, f->id, NULL);
	return 0;
}
