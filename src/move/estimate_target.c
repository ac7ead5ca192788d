/* SPDX-License-Identifier: Apache-2.0 */
/* A target's disk that an estimate may write its samples to. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "move/estimate.h"
#include "move/session.h"
#include "volume/pair.h"

#define CALL_MS 60000
#define FLUSH_MS 600000

struct both {
	struct volume_facts source, target;
	struct msg_commit signatures;
	struct msg_path path;
};

static int look_at(struct session *s, enum side side, const char *path,
	struct msg_path *q, struct volume_facts *ret, struct error *err)
{
	(void)snprintf(q->path, sizeof(q->path), "%s", path);
	return session_call(s, side, MSG_PROBE, q, ret, CALL_MS, err);
}

/* Before the source's bytes are on the target they must be of two disks. */
static int check_pair(
	const struct session *s, struct both *b, struct error *err)
{
	bool one = strcmp(s->host[SOURCE].hello.boot_id,
			   s->host[TARGET].hello.boot_id) == 0;

	if (pair_is_same(&b->source, &b->target, one)) {
		error_set(err, -EINVAL, "write samples of %s to %s",
			b->source.path, b->target.path);
		error_why(err, "both are the same device");
		return error_todo(err, "name another target");
	}
	if (pair_withhold(&b->source, 0, &b->signatures))
		return 0;
	error_set(err, -EOPNOTSUPP, "write samples of %s", b->source.path);
	error_why(err, "there are more signatures of filesystems and tables "
		       "than can be withheld");
	error_todo(err, "estimate without --write");
	return error_host(err, s->host[SOURCE].peer.name);
}

static void fill(const struct estimate_wish *w, const struct both *b,
	struct msg_open_target *m)
{
	struct msg_target_disk *d = &m->v[0];

	m->n = 1;
	m->trial = 1;
	(void)snprintf(d->path, sizeof(d->path), "%s", w->target.path);
	d->size = b->source.size;
	d->source_logical = b->source.logical;
	(void)snprintf(d->overwrite, sizeof(d->overwrite), "%s",
		w->options->overwrite);
	m->n_withhold = b->signatures.n;
	memcpy(m->withhold, b->signatures.v, sizeof(m->withhold));
}

int estimate_may_write(struct session *s, const struct estimate_wish *w,
	struct msg_open_target **ret, struct error *err)
{
	CLEANUP_FREE struct msg_open_target *m = calloc(1, sizeof(*m));
	CLEANUP_FREE struct both *b = calloc(1, sizeof(*b));
	struct msg_target_state state;
	int r;

	if (!m || !b)
		return error_set(err, -ENOMEM, "look at the target");
	r = look_at(s, SOURCE, w->source.path, &b->path, &b->source, err);
	if (r == 0)
		r = look_at(
			s, TARGET, w->target.path, &b->path, &b->target, err);
	if (r == 0)
		r = check_pair(s, b, err);
	if (r < 0)
		return r;
	fill(w, b, m);
	m->check = 1;
	r = session_call(s, TARGET, MSG_OPEN_TARGET, m, &state, CALL_MS, err);
	m->check = 0;
	if (r == 0)
		*ret = STEAL_PTR(m);
	return r;
}

int estimate_hold(struct session *s, struct msg_open_target *m, uint64_t size,
	const uint8_t secret[SECRET_SIZE], struct error *err)
{
	struct msg_target_state state;

	if (size != m->v[0].size) {
		error_set(err, -ERANGE, "write samples to %s", m->v[0].path);
		error_why(err, "the size of the source changed meanwhile");
		return error_todo(err, "estimate again");
	}
	memcpy(m->secret, secret, SECRET_SIZE);
	return session_call(
		s, TARGET, MSG_OPEN_TARGET, m, &state, CALL_MS, err);
}

int estimate_let_go(struct session *s, struct error *err)
{
	return session_call(
		s, TARGET, MSG_CLOSE_TARGET, NULL, NULL, FLUSH_MS, err);
}
