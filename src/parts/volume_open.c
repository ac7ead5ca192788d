/* SPDX-License-Identifier: Apache-2.0 */
/* The volume part: looking at both ends, refusing, making ready. */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "parts/volume.h"
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

int volume_check_identity(struct part *p, enum side side,
	const struct volume_facts *f, struct error *err)
{
	static const char *const keys[] = {"source", "target"};
	static const char *const sizes[] = {"source_bytes", "target_bytes"};
	struct move *m = p->move;
	char text[512];

	if (f->kind == VOLUME_FILE)
		(void)snprintf(text, sizeof(text), "file inode=%llu",
			(unsigned long long)f->inode);
	else
		(void)snprintf(text, sizeof(text), "block serial=%s wwn=%s",
			f->serial, f->wwn);
	if (!stored(p, keys[side])[0]) {
		move_set_text(m, "identity", keys[side], text);
		move_set(m, "identity", sizes[side], (int64_t)f->size);
		if (side == SOURCE)
			move_set_text(m, "identity", "source_uuid", f->uuid);
		return 0;
	}
	/* The fence may have removed what carried the uuid. */
	if (strcmp(stored(p, keys[side]), text) != 0 ||
		(side == SOURCE && f->uuid[0] && stored(p, "source_uuid")[0] &&
			strcmp(stored(p, "source_uuid"), f->uuid) != 0)) {
		error_set(err, -ENXIO, "use %s as %s", f->path, keys[side]);
		error_why(err,
			"it is not the one that the move began with (%s, not "
			"%s)",
			text, stored(p, keys[side]));
		error_todo(err, "put the disks back under the names they had");
		return at(p, side, err);
	}
	if (f->kind == VOLUME_BLOCK &&
		f->size != (uint64_t)move_get(m, "identity", sizes[side])) {
		error_set(err, -ERANGE, "use %s as %s", f->path, keys[side]);
		error_why(err,
			"its size changed since the move began: %llu bytes, "
			"not %lld",
			(unsigned long long)f->size,
			(long long)move_get(m, "identity", sizes[side]));
		error_todo(err, "abort the move and begin a new one");
		return at(p, side, err);
	}
	return 0;
}

/* ---- what cannot be moved, by name ---- */

static int unsupported(struct part *p, const char *why, struct error *err)
{
	struct volume_part *v = p->data;

	error_set(err, -EOPNOTSUPP, "move %s", v->source.path);
	error_why(err, "%s", why);
	error_todo(err, "move what is on it by other means");
	return at(p, SOURCE, err);
}

static int check_source(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	const struct volume_facts *f = &v->source;
	const struct options *o = &p->move->options;

	if (f->swap)
		return unsupported(p, "it is active swap", err);
	if (f->zoned)
		return unsupported(
			p, "zoned devices are not supported yet", err);
	if (f->multi_device)
		return unsupported(p,
			"it is one of several devices of a filesystem or "
			"array, "
			"which is not supported yet",
			err);
	if (f->external_journal)
		return unsupported(p,
			"its filesystem keeps its journal, log or realtime "
			"data on another device, which is not supported yet",
			err);
	if (f->n_partitions_mounted > 1)
		return unsupported(p,
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

/* ---- one device under two names ---- */

static bool same_text(const char *a, const char *b)
{
	return a[0] && strcmp(a, b) == 0;
}

static bool overlap(const struct volume_facts *a, const struct volume_facts *b)
{
	return a->disk_start < b->disk_start + b->size &&
	       b->disk_start < a->disk_start + a->size;
}

static bool same_device(
	const struct volume_facts *a, const struct volume_facts *b, bool host)
{
	if (a->kind == VOLUME_BLOCK && b->kind == VOLUME_BLOCK) {
		bool disk = host && a->disk_major == b->disk_major &&
			    a->disk_minor == b->disk_minor;

		if (host && a->major == b->major && a->minor == b->minor)
			return true;
		if (host && a->backing_inode &&
			a->backing_inode == b->backing_inode &&
			a->backing_major == b->backing_major &&
			a->backing_minor == b->backing_minor)
			return true;
		/* Shared storage seen from two hosts. */
		disk = disk || same_text(a->wwn, b->wwn) ||
		       (same_text(a->serial, b->serial) && a->size == b->size);
		return disk && overlap(a, b);
	}
	if (!host)
		return false;
	if (a->kind == VOLUME_FILE && b->kind == VOLUME_FILE)
		return a->inode == b->inode && a->major == b->major &&
		       a->minor == b->minor;
	if (a->kind == VOLUME_FILE)
		return same_device(b, a, host);
	return a->backing_inode && a->backing_inode == b->inode &&
	       a->backing_major == b->major && a->backing_minor == b->minor;
}

/* ---- nothing of ours on what will be frozen ---- */

static bool on_source(
	const struct volume_facts *f, uint32_t major, uint32_t minor)
{
	for (uint32_t i = 0; i < f->n_mounts; i++)
		if (f->mounts[i].major == major && f->mounts[i].minor == minor)
			return true;
	return false;
}

static int frozen_path(
	struct part *p, const char *what, const char *path, struct error *err)
{
	struct volume_part *v = p->data;

	error_set(err, -EDEADLK, "move %s", v->source.path);
	error_why(err, "%s (%s) is on the filesystem that would be frozen",
		what, path);
	error_todo(err, "put it elsewhere");
	return at(p, SOURCE, err);
}

static int check_frozen(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	const char *boot = m->session.host[SOURCE].hello.boot_id;
	static struct volume_facts facts;
	static struct mount_info mount;
	char own[IO_BOOT_ID_SIZE], log[4096], *copy;
	struct msg_path *path;
	ssize_t n;
	int r;

	io_boot_id(own);
	if (v->source.n_mounts == 0)
		return 0;
	if (strcmp(own, boot) == 0) {
		const char *folder = store_folder(m->store);

		if (probe_mount_of(folder, &mount, NULL) == 0 &&
			on_source(&v->source, mount.major, mount.minor))
			return frozen_path(p, "the store", folder, err);
		for (int fd = 1; fd <= 2; fd++) {
			char link[32];

			(void)snprintf(
				link, sizeof(link), "/proc/self/fd/%d", fd);
			n = readlink(link, log, sizeof(log) - 1);
			if (n <= 0 || log[0] != '/')
				continue;
			log[n] = '\0';
			if (probe_mount_of(log, &mount, NULL) == 0 &&
				on_source(&v->source, mount.major, mount.minor))
				return frozen_path(p, "the log", log, err);
		}
	}
	if (strcmp(m->session.host[TARGET].hello.boot_id, boot) != 0 ||
		(v->target_exists && v->target.kind == VOLUME_BLOCK))
		return 0;
	path = calloc(1, sizeof(*path));
	copy = strdup(m->target.path);
	if (!path || !copy) {
		free(path);
		free(copy);
		return error_set(err, -ENOMEM, "inspect");
	}
	(void)snprintf(path->path, sizeof(path->path), "%s",
		v->target_exists ? m->target.path : dirname(copy));
	r = session_call(
		&m->session, TARGET, MSG_PLACE_OF, path, &facts, CALL_MS, err);
	free(path);
	free(copy);
	if (r < 0)
		return r;
	if (facts.n_mounts > 0 && on_source(&v->source, facts.mounts[0].major,
					  facts.mounts[0].minor))
		return frozen_path(p, "the target", m->target.path, err);
	return 0;
}

/* ---- inspect ---- */

static void fill_open(struct part *p, struct msg_open_target *m)
{
	struct volume_part *v = p->data;

	memset(m, 0, sizeof(*m));
	(void)snprintf(m->path, sizeof(m->path), "%s", p->move->target.path);
	(void)snprintf(m->name, sizeof(m->name), "%s", p->move->row.name);
	m->size = v->source.size;
	m->source_logical = v->source.logical;
	m->create = 1;
	m->resume = move_get(p->move, "replica", "prepared") != 0;
	(void)snprintf(m->overwrite, sizeof(m->overwrite), "%s",
		p->move->options.overwrite);
	(void)snprintf(
		m->source_uuid, sizeof(m->source_uuid), "%s", v->source.uuid);
	memcpy(m->secret, p->move->row.secret, sizeof(m->secret));
	m->n_withhold = v->signatures.n;
	memcpy(m->withhold, v->signatures.v, sizeof(m->withhold));
}

/* The blocks that carry the source's signatures. */
static void find_signatures(struct volume_part *v)
{
	const struct volume_facts *f = &v->source;
	struct msg_commit *s = &v->signatures;

	s->n = 0;
	for (uint32_t i = 0; i < f->n_signatures; i++) {
		const struct signature *g = &f->signatures[i];
		uint64_t from = g->offset / SIGNATURE_BLOCK, to;

		/* The source says so: it may be anything. */
		if (g->offset >= f->size || g->bytes == 0)
			continue;
		to = (g->offset + MIN(g->bytes, f->size - g->offset) - 1) /
			     SIGNATURE_BLOCK +
		     1;
		for (uint64_t b = from; b < to && s->n < ARRAY_LEN(s->v); b++) {
			uint64_t off = b * SIGNATURE_BLOCK;
			bool have = false;

			for (uint32_t k = 0; k < s->n; k++)
				have = have || s->v[k].offset == off;
			if (!have)
				s->v[s->n++] = (struct msg_extent){
					off, MIN((uint64_t)SIGNATURE_BLOCK,
						     f->size - off)};
		}
	}
}

/* What would happen, for --dry-run. */
static void plan(struct part *p)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	const struct volume_facts *s = &v->source;
	const struct options *o = &m->options;
	char text[512];

	(void)snprintf(text, sizeof(text), "%.200s, %llu bytes, %s%s%.200s",
		s->path, (unsigned long long)s->size,
		s->fstype[0] ? s->fstype : "no known filesystem",
		s->n_mounts ? ", mounted on " : "",
		s->n_mounts ? s->mounts[0].point : "");
	move_set_text(m, "plan", "source", text);
	if (v->target_exists)
		(void)snprintf(text, sizeof(text), "%.200s, %llu bytes%s",
			v->target.path, (unsigned long long)v->target.size,
			v->target.empty ? ", empty" : ", will be overwritten");
	else
		(void)snprintf(text, sizeof(text), "%.200s, a new file",
			m->target.path);
	move_set_text(m, "plan", "target", text);
	move_set_text(m, "plan", "changes",
		s->kind == VOLUME_BLOCK && s->request_based
			? "tracked by block events"
			: "tracked below it if that can be done, else "
			  "compared");
	move_set_text(m, "plan", "fence",
		o->copy ? "none: a copy leaves the source as it is"
		: o->fence != FENCE_AUTO ? fence_names[o->fence]
		: s->n_mounts && !o->quiesce.n
			? fence_names[FENCE_FREEZE]
			: "unmounted if the quiesce hook unmounts it, else "
			  "freeze");
}

int volume_inspect(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	struct msg_target_state state;
	struct msg_open_target *open;
	int r;

	r = volume_probe(p, SOURCE, m->source.path, &v->source, err);
	if (r < 0)
		return r;
	r = volume_check_identity(p, SOURCE, &v->source, err);
	if (r < 0)
		return r;
	if (v->source.size == 0)
		return unsupported(p, "it has no bytes", err);
	r = check_source(p, err);
	if (r < 0)
		return r;
	r = volume_probe(p, TARGET, m->target.path, &v->target, err);
	v->target_exists = r == 0;
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == -ENOENT && strncmp(m->target.path, "/dev/", 5) == 0)
		return r;
	if (v->target_exists) {
		r = volume_check_identity(p, TARGET, &v->target, err);
		if (r < 0)
			return r;
	}
	if (v->target_exists &&
		same_device(&v->source, &v->target,
			strcmp(m->session.host[SOURCE].hello.boot_id,
				m->session.host[TARGET].hello.boot_id) == 0)) {
		error_set(err, -EINVAL, "move %s to %s", v->source.path,
			v->target.path);
		error_why(err, "both are the same device");
		return error_todo(err, "name another target");
	}
	r = check_frozen(p, err);
	if (r < 0)
		return r;
	find_signatures(v);
	move_set(m, "bytes", "total", (int64_t)v->source.size);
	open = calloc(1, sizeof(*open));
	if (!open)
		return error_set(err, -ENOMEM, "inspect");
	fill_open(p, open);
	open->check = 1;
	r = volume_target_call(p, MSG_OPEN_TARGET, open, &state, err);
	free(open);
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

	if (v->target_agent == (int)h->peer.pid && v->target_agent)
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

	r = volume_open_source_agent(p, false, err);
	/* From here on the target may be ours: which one it is, and that, must
	 * be known after any death. */
	move_set(m, "replica", "prepared", 1);
	if (r == 0)
		r = move_save(m, true, err);
	if (r == 0)
		r = open_target(p, had, err);
	if (r == 0 && !v->target_exists) {
		r = volume_probe(p, TARGET, m->target.path, &v->target, err);
		if (r == 0)
			r = volume_check_identity(p, TARGET, &v->target, err);
	}
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

/* Opening a target for a resume wipes what a process that died may have
 * published. */
int volume_discard(struct part *p, struct error *err)
{
	struct volume_part *v = p->data;
	struct move *m = p->move;
	struct msg_open_target *open;
	struct msg_target_state state;
	int r;

	if (!move_get(m, "replica", "prepared"))
		return 0;
	move_set_bool(m, "proof", "ok", false);
	if (v->target_agent == (int)m->session.host[TARGET].peer.pid &&
		v->target_agent) {
		/* It is this process that made it. */
		r = volume_target_call(p, MSG_WIPE, NULL, NULL, err);
		v->published = false;
		return r;
	}
	r = volume_probe(p, TARGET, m->target.path, &v->target, err);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = volume_check_identity(p, TARGET, &v->target, err);
	if (r < 0)
		return r;
	open = calloc(1, sizeof(*open));
	if (!open)
		return error_set(err, -ENOMEM, "wipe the target");
	fill_open(p, open);
	open->create = 0;
	open->resume = 1;
	/* The source may be out of reach. */
	open->size = (uint64_t)move_get(m, "identity", "source_bytes");
	(void)snprintf(open->source_uuid, sizeof(open->source_uuid), "%s",
		stored(p, "source_uuid"));
	r = volume_target_call(p, MSG_OPEN_TARGET, open, &state, err);
	free(open);
	if (r == 0)
		r = volume_target_call(p, MSG_CLOSE_TARGET, NULL, NULL, err);
	return r;
}
