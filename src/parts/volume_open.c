/* SPDX-License-Identifier: Apache-2.0 */
/* The volume part: looking at both ends, refusing, making ready. */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "parts/volume.h"
#include "volume/joined.h"
#include "volume/pair.h"
#include "volume/probe.h"

static int at(struct part *p, enum side side, struct error *err)
{
	return error_host(err, p->move->session.host[side].peer.name);
}

int volume_probe(struct part *p, enum side side, const char *path,
	struct volume_facts *ret, struct error *err)
{
	static struct msg_path m;

	(void)snprintf(m.path, sizeof(m.path), "%s", path);
	return session_call(
		&p->move->session, side, MSG_PROBE, &m, ret, CALL_MS, err);
}

/* ---- is it still the same disk ---- */

static const char *stored(const struct part *p, const char *key)
{
	const char *t = json_string_value(json_object_get(
		json_object_get(p->move->report, "identity"), key));

	return t ? t : "";
}

/* "source", and "source_2" of the second one. */
static void key_of(
	enum side side, uint32_t disk, const char *what, char *buf, size_t size)
{
	const char *name = side == SOURCE ? "source" : "target";

	if (disk == 0)
		(void)snprintf(buf, size, "%s%s", name, what);
	else
		(void)snprintf(buf, size, "%s%s_%u", name, what, disk + 1);
}

uint64_t volume_source_bytes(const struct part *p, uint32_t disk)
{
	char key[32];

	key_of(SOURCE, disk, "_bytes", key, sizeof(key));
	return (uint64_t)move_get(p->move, "identity", key);
}

int volume_check_identity(struct part *p, enum side side, uint32_t disk,
	const struct volume_facts *f, struct error *err)
{
	struct move *m = p->move;
	char text[512], key[32], size[32], uuid[32];

	if (f->kind == VOLUME_FILE)
		(void)snprintf(text, sizeof(text), "file inode=%llu",
			(unsigned long long)f->inode);
	else
		(void)snprintf(text, sizeof(text), "block serial=%s wwn=%s",
			f->serial, f->wwn);
	key_of(side, disk, "", key, sizeof(key));
	key_of(side, disk, "_bytes", size, sizeof(size));
	key_of(side, disk, "_uuid", uuid, sizeof(uuid));
	if (!stored(p, key)[0]) {
		move_set_text(m, "identity", key, text);
		move_set(m, "identity", size, (int64_t)f->size);
		if (side == SOURCE)
			move_set_text(m, "identity", uuid, f->uuid);
		return 0;
	}
	/* The fence may have removed what carried the uuid. */
	if (strcmp(stored(p, key), text) != 0 ||
		(side == SOURCE && f->uuid[0] && stored(p, uuid)[0] &&
			strcmp(stored(p, uuid), f->uuid) != 0)) {
		error_set(err, -ENXIO, "use %s as %s", f->path,
			side == SOURCE ? "source" : "target");
		error_why(err,
			"it is not the one that the move began with (%s, not "
			"%s)",
			text, stored(p, key));
		error_todo(err, "put the disks back under the names they had");
		return at(p, side, err);
	}
	if (f->kind == VOLUME_BLOCK &&
		f->size != (uint64_t)move_get(m, "identity", size)) {
		error_set(err, -ERANGE, "use %s as %s", f->path,
			side == SOURCE ? "source" : "target");
		error_why(err,
			"its size changed since the move began: %llu bytes, "
			"not %lld",
			(unsigned long long)f->size,
			(long long)move_get(m, "identity", size));
		error_todo(err, "abort the move and begin a new one");
		return at(p, side, err);
	}
	return 0;
}

/* ---- what cannot be moved, by name ---- */

static int unsupported(struct part *p, const struct volume_facts *f,
	const char *why, struct error *err)
{
	error_set(err, -EOPNOTSUPP, "move %s", f->path);
	error_why(err, "%s", why);
	error_todo(err, "move what is on it by other means");
	return at(p, SOURCE, err);
}

/* What cannot be moved whatever its use. */
static int check_kind(
	struct part *p, const struct volume_facts *f, struct error *err)
{
	if (f->size == 0)
		return unsupported(p, f, "it has no bytes", err);
	if (f->zoned)
		return unsupported(
			p, f, "zoned devices are not supported yet", err);
	return 0;
}

/* A single volume: what lies on several would be torn apart. */
static int check_volume(
	struct part *p, const struct volume_facts *f, struct error *err)
{
	const struct options *o = &p->move->options;

	if (f->swap)
		return unsupported(p, f, "it is active swap", err);
	if (f->multi_device)
		return unsupported(p, f,
			"it is one of several devices of a filesystem or "
			"array, "
			"which is not supported yet",
			err);
	if (f->external_journal)
		return unsupported(p, f,
			"its filesystem keeps its journal, log or realtime "
			"data on another device, which is not supported yet",
			err);
	if (f->n_partitions_mounted > 1)
		return unsupported(p, f,
			"several of its partitions are mounted, which is not "
			"supported yet; move them one by one",
			err);
	if (f->n_mounts == 0 &&
		(f->busy || f->holder_count > 0 || f->writers > 0) &&
		o->quiesce.n == 0) {
		error_set(err, -EBUSY, "move %s", f->path);
		error_why(err, "%s uses it without a mounted filesystem",
			f->holder_count ? f->holder
			: f->writers	? f->writer
					: "something unknown");
		error_todo(
			err, o->copy ? "stop it first"
				     : "give a --quiesce hook that stops it");
		return at(p, SOURCE, err);
	}
	if (!o->copy && !o->wait && f->n_mounts > 0 && o->quiesce.n == 0 &&
		!o->freeze) {
		error_set(err, -EINVAL, "move %s", f->path);
		error_why(err,
			"it is mounted on %s, and nothing says how its "
			"writers stop",
			f->mounts[0].point);
		error_todo(err,
			"give --quiesce 'COMMAND' that stops them, or "
			"--freeze to leave the filesystem frozen (its writers "
			"then hang until rollback or confirm)");
		return at(p, SOURCE, err);
	}
	return 0;
}

static int check_fence(
	struct part *p, const struct volume_facts *f, struct error *err)
{
	const struct options *o = &p->move->options;

	if (o->fence == FENCE_FREEZE && f->n_mounts == 0) {
		error_set(err, -EINVAL, "use --fence freeze");
		error_why(err, "%s is not mounted", f->path);
		error_todo(err, "leave --fence away, or mount it");
		return at(p, SOURCE, err);
	}
	if (o->fence == FENCE_SIGNATURE && f->n_signatures == 0) {
		error_set(err, -EINVAL, "use --fence signature");
		error_why(err, "%s has no signature that is known", f->path);
		error_todo(err, "use --fence unmounted");
		return at(p, SOURCE, err);
	}
	return 0;
}

static int check_source(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	int r = 0;

	for (uint32_t i = 0; i < v->n && r == 0; i++) {
		const struct volume_facts *f = &v->disks[i].source;

		r = check_kind(p, f, err);
		if (r == 0 && !v->machine)
			r = check_volume(p, f, err);
		if (r == 0 && !v->machine)
			r = check_fence(p, f, err);
	}
	return r;
}

/* ---- nothing of ours on what will be frozen ---- */

static bool on_source(
	const struct volume_part *v, const struct mount_info *mount)
{
	for (uint32_t i = 0; i < v->n; i++) {
		const struct volume_facts *f = &v->disks[i].source;

		for (uint32_t k = 0; k < f->n_mounts; k++)
			if (f->mounts[k].major == mount->major &&
				f->mounts[k].minor == mount->minor)
				return true;
	}
	return false;
}

static bool source_is_mounted(const struct volume_part *v)
{
	for (uint32_t i = 0; i < v->n; i++)
		if (v->disks[i].source.n_mounts > 0)
			return true;
	return false;
}

static int frozen_path(
	struct part *p, const char *what, const char *path, struct error *err)
{
	struct volume_part *v = p->data;

	error_set(err, -EDEADLK, "move %s", v->disks[0].source.path);
	error_why(err, "%s (%s) is on the filesystem that would be frozen",
		what, path);
	error_todo(err, "put it elsewhere");
	return at(p, SOURCE, err);
}

/* What this process writes to while the source stands still. */
static int check_own(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	const char *folder = store_folder(p->move->store);
	static struct mount_info mount;
	char log[4096];

	if (probe_mount_of(folder, &mount, NULL) == 0 && on_source(v, &mount))
		return frozen_path(p, "the store", folder, err);
	for (int fd = 1; fd <= 2; fd++) {
		char link[32];
		ssize_t n;

		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, log, sizeof(log) - 1);
		if (n <= 0 || log[0] != '/')
			continue;
		log[n] = '\0';
		if (probe_mount_of(log, &mount, NULL) == 0 &&
			on_source(v, &mount))
			return frozen_path(p, "the log", log, err);
	}
	return 0;
}

static int check_target_file(
	struct part *p, const struct volume_disk *d, struct error *err)
{
	struct volume_part *v = p->data;
	static struct volume_facts facts;
	CLEANUP_FREE struct msg_path *path = calloc(1, sizeof(*path));
	CLEANUP_FREE char *copy = strdup(d->target_path);
	int r;

	if (d->target_exists && d->target.kind == VOLUME_BLOCK)
		return 0;
	if (!path || !copy)
		return error_set(err, -ENOMEM, "inspect");
	(void)snprintf(path->path, sizeof(path->path), "%s",
		d->target_exists ? d->target_path : dirname(copy));
	r = session_call(&p->move->session, TARGET, MSG_PLACE_OF, path, &facts,
		CALL_MS, err);
	if (r == 0 && facts.n_mounts > 0 && on_source(v, &facts.mounts[0]))
		return frozen_path(p, "the target", d->target_path, err);
	return r;
}

static int check_frozen(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	const char *boot = m->session.host[SOURCE].hello.boot_id;
	char own[IO_BOOT_ID_SIZE];
	int r = 0;

	io_boot_id(own);
	/* Whatever its disks are made of. */
	if (v->machine && strcmp(own, boot) == 0) {
		error_set(err, -EDEADLK, "move the whole machine");
		error_why(err, "this is it: rehost would stand still with it");
		error_todo(err, "run rehost on another machine");
		return at(p, SOURCE, err);
	}
	if (!source_is_mounted(v))
		return 0;
	if (strcmp(own, boot) == 0)
		r = check_own(p, err);
	if (r < 0 || strcmp(m->session.host[TARGET].hello.boot_id, boot) != 0)
		return r;
	for (uint32_t i = 0; i < v->n && r == 0; i++)
		r = check_target_file(p, &v->disks[i], err);
	return r;
}

/* ---- inspect ---- */

static void fill_open(struct part *p, struct msg_open_target *m)
{
	struct volume_part *v = p->data;

	memset(m, 0, sizeof(*m));
	m->n = v->n;
	for (uint32_t i = 0; i < v->n; i++) {
		const struct volume_disk *d = &v->disks[i];
		struct msg_target_disk *to = &m->v[i];

		(void)snprintf(
			to->path, sizeof(to->path), "%s", d->target_path);
		to->size = d->source.size;
		to->source_logical = d->source.logical;
		(void)snprintf(to->overwrite, sizeof(to->overwrite), "%s",
			d->overwrite);
		(void)snprintf(to->source_uuid, sizeof(to->source_uuid), "%s",
			d->source.uuid);
	}
	(void)snprintf(m->name, sizeof(m->name), "%s", p->move->row.name);
	m->create = !v->machine;
	m->resume = move_get(p->move, "replica", "prepared") != 0;
	memcpy(m->secret, p->move->row.secret, sizeof(m->secret));
	m->n_withhold = v->signatures.n;
	memcpy(m->withhold, v->signatures.v, sizeof(m->withhold));
}

/* Where each volume begins, as both agents will have it, and what of them is
 * withheld. */
static int lay_out(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	uint64_t at = 0;

	v->signatures.n = 0;
	for (uint32_t i = 0; i < v->n; i++) {
		struct volume_disk *d = &v->disks[i];

		d->start = joined_next(at);
		at = d->start + d->source.size;
		if (!pair_withhold(&d->source, d->start, &v->signatures))
			return unsupported(p, &d->source,
				"there are more signatures of filesystems and "
				"tables than can be withheld",
				err);
	}
	move_set(p->move, "bytes", "total", (int64_t)at);
	return 0;
}

static void describe_disk(
	const struct volume_disk *d, char *source, char *target, size_t size)
{
	const struct volume_facts *s = &d->source;

	(void)snprintf(source, size, "%.200s, %llu bytes, %s%s%.200s", s->path,
		(unsigned long long)s->size,
		s->fstype[0] ? s->fstype : "no known filesystem",
		s->n_mounts ? ", mounted on " : "",
		s->n_mounts ? s->mounts[0].point : "");
	if (d->target_exists)
		(void)snprintf(target, size, "%.200s, %llu bytes%s",
			d->target.path, (unsigned long long)d->target.size,
			d->target.empty ? ", empty" : ", will be overwritten");
	else
		(void)snprintf(
			target, size, "%.200s, a new file", d->target_path);
}

/* What would happen, for --dry-run. */
static void plan(struct part *p)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	const struct volume_facts *s = &v->disks[0].source;
	const struct options *o = &m->options;

	for (uint32_t i = 0; i < v->n; i++) {
		char key[32], source[512], target[512];

		describe_disk(&v->disks[i], source, target, sizeof(source));
		key_of(SOURCE, i, "", key, sizeof(key));
		move_set_text(m, "plan", key, source);
		key_of(TARGET, i, "", key, sizeof(key));
		move_set_text(m, "plan", key, target);
	}
	move_set_text(m, "plan", "changes",
		s->kind == VOLUME_BLOCK && s->request_based
			? "tracked by block events"
			: "tracked below it if that can be done, else "
			  "compared");
	move_set_text(m, "plan", "fence",
		o->copy ? "none: a copy leaves the source as it is"
		: o->fence != FENCE_AUTO ? fence_names[o->fence]
		: v->machine		 ? fence_names[FENCE_SIGNATURE]
		: s->n_mounts && !o->quiesce.n
			? fence_names[FENCE_FREEZE]
			: "unmounted if the quiesce hook unmounts it, else "
			  "freeze");
}

int volume_know_source(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	int r = 0;

	if (v->known)
		return 0;
	for (uint32_t i = 0; i < v->n && r == 0; i++) {
		struct volume_disk *d = &v->disks[i];

		r = volume_probe(p, SOURCE, d->source_path, &d->source, err);
		if (r == 0)
			r = volume_check_identity(
				p, SOURCE, i, &d->source, err);
	}
	v->known = r == 0;
	return r;
}

static int know_target(struct part *p, uint32_t i, struct error *err)
{
	struct volume_part *v = p->data;
	struct volume_disk *d = &v->disks[i];
	struct host *host = p->move->session.host;
	int r = volume_probe(p, TARGET, d->target_path, &d->target, err);

	d->target_exists = r == 0;
	if (r == -ENOENT && strncmp(d->target_path, "/dev/", 5) != 0)
		return 0;
	if (r == 0)
		r = volume_check_identity(p, TARGET, i, &d->target, err);
	for (uint32_t k = 0; k < v->n && r == 0; k++) {
		const struct volume_facts *s = &v->disks[k].source;

		if (!pair_is_same(s, &d->target,
			    strcmp(host[SOURCE].hello.boot_id,
				    host[TARGET].hello.boot_id) == 0))
			continue;
		r = error_set(
			err, -EINVAL, "move %s to %s", s->path, d->target.path);
		error_why(err, "both are the same device");
		return error_todo(err, "name another target");
	}
	return r;
}

int volume_inspect(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	CLEANUP_FREE struct msg_open_target *open = calloc(1, sizeof(*open));
	struct msg_target_state state;
	int r;

	if (!open)
		return error_set(err, -ENOMEM, "inspect");
	v->known = false;
	r = volume_know_source(p, err);
	if (r == 0)
		r = check_source(p, err);
	for (uint32_t i = 0; i < v->n && r == 0; i++)
		r = know_target(p, i, err);
	if (r == 0)
		r = check_frozen(p, err);
	if (r == 0)
		r = lay_out(p, err);
	if (r < 0)
		return r;
	fill_open(p, open);
	open->check = 1;
	r = volume_target_call(p, MSG_OPEN_TARGET, open, &state, err);
	if (r == 0)
		plan(p);
	return r;
}

/* ---- prepare ---- */

static int open_target(struct part *p, bool resume, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	struct host *h = &m->session.host[TARGET];
	struct msg_open_target *open;
	struct msg_target_state state;
	int r;

	if (volume_has_target(p))
		return 0;
	open = calloc(1, sizeof(*open));
	if (!open)
		return error_set(err, -ENOMEM, "open the target");
	fill_open(p, open);
	open->resume = resume;
	r = volume_target_call(p, MSG_OPEN_TARGET, open, &state, err);
	free(open);
	if (r < 0)
		return r;
	if (v->n > 1 && state.size != (uint64_t)move_get(m, "bytes", "total")) {
		error_set(err, -EINVAL, "open the target");
		return error_why(err, "its volumes are laid out in another "
				      "way");
	}
	v->target_agent = (int)h->peer.pid;
	v->generation = 0;
	move_set(m, "memory_kb", "target", (int64_t)state.hwm_kb);
	return 0;
}

/* The target's agent is new: its memory of withheld blocks is empty, and what
 * it holds was out of our hands. */
static int distrust(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct msg_mark *mark = calloc(1, sizeof(*mark));
	int r;

	if (!mark)
		return error_set(err, -ENOMEM, "go on");
	mark->unprove = 1;
	mark->n = v->signatures.n;
	memcpy(mark->v, v->signatures.v, v->signatures.n * sizeof(mark->v[0]));
	r = volume_mark(p, mark, err);
	free(mark);
	return r;
}

int volume_prepare(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	bool had = move_get(m, "replica", "prepared") != 0;
	int r;

	r = volume_open_source_agent(p, VOLUME_USE, err);
	/* From here on the target may be ours: which one it is, and that, must
	 * be known after any death. */
	move_set(m, "replica", "prepared", 1);
	move_set(m, "replica", "published", 0);
	if (r == 0)
		r = move_save(m, true, err);
	if (r == 0)
		r = open_target(p, had, err);
	for (uint32_t i = 0; i < v->n && r == 0; i++)
		if (!v->disks[i].target_exists)
			r = know_target(p, i, err);
	if (r == 0)
		r = distrust(p, err);
	if (r < 0)
		return r;
	move_set_text(m, "tracker", "kind", v->tracking ? "tracefs" : "none");
	if (!v->tracking) {
		move_set_text(m, "tracker", "reason", v->reason);
		move_note(m, "no-tracker",
			"changes are found by comparing all used blocks: %s",
			v->reason);
	}
	return 0;
}

int volume_open_again(
	struct part *p, const struct msg_blocks *whole, struct error *err)
{
	struct volume_part *v = p->data;
	CLEANUP_FREE struct msg_open_target *open = calloc(1, sizeof(*open));
	struct msg_target_state state;
	int r = open ? 0 : error_set(err, -ENOMEM, "open the target again");

	for (uint32_t i = 0; i < v->n && r == 0; i++) {
		struct volume_disk *d = &v->disks[i];

		r = volume_probe(p, TARGET, d->target_path, &d->target, err);
		if (r == 0)
			r = volume_check_identity(
				p, TARGET, i, &d->target, err);
	}
	if (r < 0)
		return r;
	fill_open(p, open);
	open->create = 0;
	open->resume = 1;
	/* The source may be out of reach. */
	for (uint32_t i = 0; i < v->n; i++) {
		char key[32];

		open->v[i].size = volume_source_bytes(p, i);
		key_of(SOURCE, i, "_uuid", key, sizeof(key));
		(void)snprintf(open->v[i].source_uuid,
			sizeof(open->v[i].source_uuid), "%s", stored(p, key));
	}
	if (whole) {
		open->whole = 1;
		open->n_withhold = whole->n;
		for (uint32_t i = 0; i < whole->n; i++)
			open->withhold[i] = (struct msg_extent){
				whole->v[i].offset, whole->v[i].n};
	}
	return volume_target_call(p, MSG_OPEN_TARGET, open, &state, err);
}

int volume_discard(struct part *p, struct error *err)
{
	struct move *m = p->move;
	int r;

	if (!move_get(m, "replica", "prepared"))
		return 0;
	move_set_bool(m, "proof", "ok", false);
	/* It is this process that made it. */
	if (volume_has_target(p))
		return volume_target_call(p, MSG_WIPE, NULL, NULL, err);
	/* Opening it for a resume wipes what a process that died may have
	 * published. */
	r = volume_open_again(p, NULL, err);
	if (r == -ENOENT)
		return 0;
	move_set(m, "replica", "published", 0);
	return r < 0 ? r
		     : volume_target_call(p, MSG_CLOSE_TARGET, NULL, NULL, err);
}
