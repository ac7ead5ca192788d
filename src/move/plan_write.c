/* SPDX-License-Identifier: Apache-2.0 */
#include "move/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/io.h"
#include "move/plan_text.h"

static const char *const fixup_help[] = {
	"filesystems and swap by UUID",
	"encrypted volumes by UUID",
	"its root by UUID or LV; found by the new firmware",
	"built anew when it lacks a driver of the target",
	"interfaces pinned by MAC, addresses as above",
	"nameservers that the target can reach",
	"kept, whatever the new provider says",
	"kept, or new with identity: new",
	"kept, or new with identity: new",
	"the old provider's agents and cloud-init off",
	"in rehearsals: messages and log-in on what is recorded",
};

static const char head[] =
	"What rehost will do with this machine. Read it, and change it.\n"
	"Every key is explained in rehost-plan(5). Where a value is ~ behind\n"
	"target, the choice is yours; rehost refuses to begin before.";

struct writer {
	FILE *f;
	bool too_long, not_utf8;
};

static void comment(struct writer *w, unsigned indent, const char *text)
{
	if (text)
		plan_text_comment(w->f, indent, text);
}

/* What a machine said. */
static void scalar(struct writer *w, const char *text)
{
	if (!text || !text[0]) {
		(void)fputc('~', w->f);
		return;
	}
	if (strlen(text) > PLAN_TEXT_MAX)
		w->too_long = true;
	plan_text_scalar(w->f, text);
}

/* What a user said: other bytes would mean something else. */
static void user_scalar(struct writer *w, const char *text)
{
	if (text && !plan_text_is_utf8(text))
		w->not_utf8 = true;
	scalar(w, text);
}

static void pair(
	struct writer *w, unsigned indent, const char *key, const char *text)
{
	(void)fprintf(w->f, "%*s%s: ", (int)indent, "", key);
	scalar(w, text);
	(void)fputc('\n', w->f);
}

static void user_pair(
	struct writer *w, unsigned indent, const char *key, const char *text)
{
	if (text && !plan_text_is_utf8(text))
		w->not_utf8 = true;
	pair(w, indent, key, text);
}

static void list(struct writer *w, unsigned indent, const char *key,
	char *const *v, uint32_t n)
{
	(void)fprintf(w->f, "%*s%s:%s\n", (int)indent, "", key, n ? "" : " []");
	for (uint32_t i = 0; i < n; i++) {
		(void)fprintf(w->f, "%*s- ", (int)indent + 2, "");
		user_scalar(w, v[i]);
		(void)fputc('\n', w->f);
	}
}

static void duration(
	struct writer *w, unsigned indent, const char *key, uint64_t ms)
{
	(void)fprintf(w->f, "%*s%s: %" PRIu64 "%s\n", (int)indent, "", key,
		ms % 1000 ? ms : ms / 1000, ms % 1000 ? "ms" : "s");
}

static void side(struct writer *w, const char *key, const struct plan_side *s)
{
	(void)fprintf(w->f, "\n%s:\n", key);
	user_pair(w, 2, "place", s->place);
	pair(w, 2, "hostname", s->hostname);
	(void)fprintf(w->f, "  fingerprint: \"%s\"\n", s->fingerprint);
}

static void disk(struct writer *w, const struct plan_disk *d)
{
	(void)fputc('\n', w->f);
	comment(w, 2, d->comment);
	(void)fputs("  - name: ", w->f);
	scalar(w, d->name);
	(void)fputc('\n', w->f);
	pair(w, 4, "id", d->id);
	(void)fprintf(w->f, "    size: %" PRIu64 "\n", d->size);
	if (d->exclude) {
		(void)fputs("    exclude: true\n", w->f);
		return;
	}
	if (!d->target_id) {
		(void)fputs("    target: ~\n", w->f);
		return;
	}
	(void)fputs("    target:\n", w->f);
	pair(w, 6, "name", d->target_name);
	pair(w, 6, "id", d->target_id);
	(void)fprintf(w->f, "      size: %" PRIu64 "\n", d->target_size);
	pair(w, 4, "overwrite", d->overwrite);
	pair(w, 4, "grow", d->grow);
}

static void disks(struct writer *w, const struct plan *p)
{
	(void)fputc('\n', w->f);
	comment(w, 0,
		"Each disk of the source: to which disk of the target it goes, "
		"or\nexclude: true. A target is given by name, id and size:\n"
		"  target: {name: vdb, id: \"serial:X\", size: 10737418240}\n"
		"overwrite is the id of the target once more, and allows "
		"rehost "
		"to\ndestroy what is on it. grow is where the filesystem is "
		"mounted that gets\nthe room when the target is larger.");
	(void)fprintf(w->f, "disks:%s\n", p->n_disks ? "" : " []");
	for (uint32_t i = 0; i < p->n_disks; i++)
		disk(w, &p->disks[i]);
}

static void nic(struct writer *w, const struct plan_nic *n)
{
	(void)fputc('\n', w->f);
	comment(w, 2, n->comment);
	(void)fputs("  - name: ", w->f);
	scalar(w, n->name);
	(void)fputc('\n', w->f);
	pair(w, 4, "mac", n->mac);
	if (n->exclude) {
		(void)fputs("    exclude: true\n", w->f);
		return;
	}
	pair(w, 4, "target", n->target);
	pair(w, 4, "mode", plan_mode_names[n->mode]);
	if (n->mode != PLAN_MAP)
		return;
	list(w, 4, "addresses", n->addresses.v, n->addresses.n);
	list(w, 4, "gateways", n->gateways.v, n->gateways.n);
	list(w, 4, "nameservers", n->nameservers.v, n->nameservers.n);
}

static void network(struct writer *w, const struct plan *p)
{
	(void)fputc('\n', w->f);
	comment(w, 0,
		"Each interface of the source by its MAC address: the MAC of "
		"the\ntarget's that takes its place, and mode:\n"
		"  keep  the addresses as they are configured\n"
		"  dhcp  by DHCP\n"
		"  map   those given here: addresses with prefix, gateways, "
		"nameservers\nOr exclude: true.");
	(void)fprintf(w->f, "network:%s\n", p->n_nics ? "" : " []");
	for (uint32_t i = 0; i < p->n_nics; i++)
		nic(w, &p->nics[i]);
}

static void fixups(struct writer *w, const struct plan *p)
{
	(void)fputc('\n', w->f);
	comment(w, 0,
		"keep: the machine moves, and stays who it is. new: a clone "
		"beside the\nsource, with a machine-id and SSH host keys of "
		"its "
		"own.");
	pair(w, 0, "identity", plan_identity_names[p->new_identity]);
	(void)fputc('\n', w->f);
	comment(w, 0,
		"What it is called from now on; ~: what it is called now.");
	user_pair(w, 0, "hostname", p->hostname);
	(void)fputc('\n', w->f);
	comment(w, 0,
		"What is put right on the target before it boots; the source "
		"is "
		"never\nchanged. false leaves it as it is on the source.");
	(void)fputs("fixups:\n", w->f);
	for (int i = 0; i < PLAN_FIXUPS; i++) {
		(void)fprintf(w->f, "  %s: %s", plan_fixup_names[i],
			p->fixups[i] ? "true" : "false");
		(void)fprintf(w->f, "%*s# %s\n",
			(int)(19 - strlen(plan_fixup_names[i]) -
				(p->fixups[i] ? 4 : 5)),
			"", fixup_help[i]);
	}
}

static void cut(struct writer *w, const struct plan *p)
{
	(void)fputc('\n', w->f);
	comment(w, 0,
		"downtime: how long the outage may take. bwlimit: bytes a "
		"second while\nthe source lives, like 50M; ~ is no limit.");
	(void)fputs("budget:\n", w->f);
	duration(w, 2, "downtime", p->downtime_ms);
	if (p->bwlimit)
		(void)fprintf(w->f, "  bwlimit: %" PRIu64 "\n", p->bwlimit);
	else
		(void)fputs("  bwlimit: ~\n", w->f);
	(void)fputc('\n', w->f);
	comment(w, 0,
		"auto: when the forecast fits the budget. wait: when you say "
		"rehost cutover.");
	pair(w, 0, "cutover", plan_cutover_names[p->wait]);
	(void)fputc('\n', w->f);
	comment(w, 0,
		"What must answer on the new machine: tcp:PORT, "
		"http://:PORT/PATH "
		"or\nhttp://NAME:PORT/PATH, where NAME is what is asked for.");
	list(w, 0, "probes", p->probes.v, p->probes.n);
}

static void hooks(struct writer *w, const struct plan *p)
{
	(void)fputc('\n', w->f);
	comment(w, 0,
		"Commands as root through sh -c. quiesce stops writers on the "
		"source,\nrollback starts them again.");
	comment(w, 0, p->comment);
	(void)fputs("hooks:\n", w->f);
	duration(w, 2, "timeout", p->hook_timeout_ms);
	list(w, 2, "quiesce", p->quiesce.v, p->quiesce.n);
	list(w, 2, "rollback", p->rollback.v, p->rollback.n);
}

static void facts(struct writer *w, const struct plan *p)
{
	(void)fputc('\n', w->f);
	comment(w, 0,
		"What this plan stands on, as the fingerprints above have it. "
		"Not to be\nchanged: when a machine no longer looks like this, "
		"make a new plan.");
	(void)fputs("facts:\n", w->f);
	list(w, 2, "source", p->source.facts.v, p->source.facts.n);
	list(w, 2, "target", p->target.facts.v, p->target.facts.n);
}

int plan_write(const struct plan *p, char **ret, struct error *err)
{
	CLEANUP_FREE char *text = NULL;
	struct writer w = {0};
	size_t n;
	bool bad;

	w.f = open_memstream(&text, &n);
	if (!w.f)
		return error_set(err, -ENOMEM, "write the plan");
	comment(&w, 0, head);
	(void)fprintf(w.f, "\nplan: %d\n", PLAN_VERSION);
	user_pair(&w, 0, "name", p->name);
	side(&w, "source", &p->source);
	side(&w, "target", &p->target);
	disks(&w, p);
	network(&w, p);
	fixups(&w, p);
	cut(&w, p);
	hooks(&w, p);
	facts(&w, p);
	bad = ferror(w.f);
	bad |= fclose(w.f) != 0;
	if (bad)
		return error_set(err, -ENOMEM, "write the plan");
	if (w.not_utf8) {
		(void)error_set(err, -EILSEQ, "write the plan");
		(void)error_why(err, "a place, a probe or a hook is no UTF-8");
		return error_todo(
			err, "put such bytes into a script, and name that");
	}
	if (w.too_long || n > PLAN_FILE_MAX) {
		(void)error_set(err, -E2BIG, "write the plan");
		return error_why(err,
			"a plan has at most %u bytes, and a text in it %d",
			PLAN_FILE_MAX, PLAN_TEXT_MAX);
	}
	*ret = STEAL_PTR(text);
	return 0;
}

int plan_save(const struct plan *p, const char *path, struct error *err)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_CLOSE int fd = -1;
	int r = plan_write(p, &text, err);

	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		r = error_set(err, -errno, "write the plan to %s", path);
		if (r == -EEXIST)
			(void)error_todo(err,
				"remove it, or name another "
				"file; rehost overwrites no plan");
		return r;
	}
	r = io_write_all(fd, text, strlen(text));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(path);
		return error_set(err, r, "write the plan to %s", path);
	}
	return 0;
}
