/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of keys are the schema; one walk over the tree follows them. What
 * a table cannot say is in plan_rules.c. */
#include "move/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/parse.h"
#include "move/plan_grow.h"
#include "move/plan_rules.h"
#include "move/plan_yaml.h"

enum kind {
	TEXT,	  /* char * */
	PRINT,	  /* char[65], 64 hex digits */
	VERSION,  /* nowhere; PLAN_VERSION */
	SIZE,	  /* uint64_t bytes */
	DURATION, /* uint64_t milliseconds */
	TIMEOUT,  /* the same, more than 0 and at most a day */
	BOOL,
	CHOICE, /* of names: bool when there are two, else an enum */
	LIST,	/* struct plan_list of texts */
	HOOKS,	/* struct hook_list */
	MAP,	/* of map, at this offset */
	DISKS,	/* struct plan itself */
	NICS,
};

enum { MUST = 1, EMPTY = 2 }; /* must be given; may be ~ */

struct map;

struct key {
	const char *name;
	enum kind kind;
	size_t offset;
	unsigned flags;
	bool (*ok)(char *text); /* of TEXT and LIST; may normalize in place */
	const char *want;	/* what would be right */
	const char *const *names;
	const struct map *map;
	uint32_t max; /* of LIST */
};

struct map {
	const char *what;
	const struct key *keys;
	unsigned n;
	int (*rule)(const struct plan_rules *r, const struct plan_yaml *y,
		const void *base);
};

static bool ok_name(char *t)
{
	return parse_is_name(t);
}

static bool ok_network(char *t)
{
	return plan_is_network(t);
}

static bool ok_address(char *t)
{
	return plan_is_address(t);
}

static bool ok_hostname(char *t)
{
	return plan_is_hostname(t);
}

static bool ok_mount(char *t)
{
	return plan_grow_is_mount(t);
}

static bool ok_probe(char *t)
{
	return plan_is_probe(t);
}

#define MAC_WANT "a MAC address like \"52:54:00:12:34:56\""
#define D(f) offsetof(struct plan_disk, f)
#define N(f) offsetof(struct plan_nic, f)
#define S(f) offsetof(struct plan_side, f)
#define P(f) offsetof(struct plan, f)
#define FIXUP(name, which)                                                     \
	{                                                                      \
		name, BOOL, P(fixups[which])                                   \
	}

static const struct key side_keys[] = {
	{"place", TEXT, S(place), MUST},
	{"hostname", TEXT, S(hostname), EMPTY},
	{"fingerprint", PRINT, S(fingerprint), MUST},
};
static const struct map side_map = {
	"a machine", side_keys, ARRAY_LEN(side_keys), NULL};

static const struct key disk_target_keys[] = {
	{"name", TEXT, D(target_name), MUST},
	{"id", TEXT, D(target_id), MUST},
	{"size", SIZE, D(target_size), MUST},
};
static const struct map disk_target_map = {
	"a target disk", disk_target_keys, ARRAY_LEN(disk_target_keys), NULL};

static const struct key disk_keys[] = {
	{"name", TEXT, D(name), MUST},
	{"id", TEXT, D(id), MUST},
	{"size", SIZE, D(size), MUST},
	{"exclude", BOOL, D(exclude)},
	{"target", MAP, 0, EMPTY, .map = &disk_target_map},
	{"overwrite", TEXT, D(overwrite), EMPTY},
	{"grow", TEXT, D(grow), EMPTY, ok_mount, "a mount point like /srv"},
};
static const struct map disk_map = {
	"a disk", disk_keys, ARRAY_LEN(disk_keys), plan_rules_disk};

static const struct key nic_keys[] = {
	{"name", TEXT, N(name), EMPTY},
	{"mac", TEXT, N(mac), MUST, plan_is_mac, MAC_WANT},
	{"exclude", BOOL, N(exclude)},
	{"target", TEXT, N(target), EMPTY, plan_is_mac, MAC_WANT},
	{"mode", CHOICE, N(mode), .names = plan_mode_names},
	{"addresses", LIST, N(addresses), 0, ok_network,
		"an address like 192.0.2.5/24", .max = PLAN_ADDRESSES_MAX},
	{"gateways", LIST, N(gateways), 0, ok_address,
		"an address like 192.0.2.1", .max = PLAN_LIST_MAX},
	{"nameservers", LIST, N(nameservers), 0, ok_address,
		"an address like 192.0.2.1", .max = PLAN_LIST_MAX},
};
static const struct map nic_map = {
	"an interface", nic_keys, ARRAY_LEN(nic_keys), plan_rules_nic};

static const struct key fixup_keys[] = {
	FIXUP("fstab", PLAN_FSTAB),
	FIXUP("crypttab", PLAN_CRYPTTAB),
	FIXUP("bootloader", PLAN_BOOTLOADER),
	FIXUP("initramfs", PLAN_INITRAMFS),
	FIXUP("network", PLAN_NETWORK),
	FIXUP("resolver", PLAN_RESOLVER),
	FIXUP("hostname", PLAN_HOSTNAME),
	FIXUP("machine-id", PLAN_MACHINE_ID),
	FIXUP("ssh-keys", PLAN_SSH_KEYS),
	FIXUP("cloud", PLAN_CLOUD),
	FIXUP("console", PLAN_CONSOLE),
};
static const struct map fixup_map = {
	"the fix-ups", fixup_keys, ARRAY_LEN(fixup_keys), NULL};

static const struct key budget_keys[] = {
	{"downtime", DURATION, P(downtime_ms)},
	{"bwlimit", SIZE, P(bwlimit), EMPTY},
};
static const struct map budget_map = {
	"the budget", budget_keys, ARRAY_LEN(budget_keys), NULL};

static const struct key hook_keys[] = {
	{"timeout", TIMEOUT, P(hook_timeout_ms)},
	{"quiesce", HOOKS, P(quiesce)},
	{"rollback", HOOKS, P(rollback)},
};
static const struct map hook_map = {
	"the hooks", hook_keys, ARRAY_LEN(hook_keys), NULL};

static const struct key facts_keys[] = {
	{"source", LIST, P(source.facts), MUST, .max = PLAN_FACTS_MAX},
	{"target", LIST, P(target.facts), MUST, .max = PLAN_FACTS_MAX},
};
static const struct map facts_map = {
	"the facts", facts_keys, ARRAY_LEN(facts_keys), NULL};

static const struct key plan_keys[] = {
	{"plan", VERSION, 0, MUST},
	{"name", TEXT, P(name), EMPTY, ok_name,
		"a name of a-z, 0-9, '.', '_' and '-', at most 63 long"},
	{"source", MAP, P(source), MUST, .map = &side_map},
	{"target", MAP, P(target), MUST, .map = &side_map},
	{"disks", DISKS, 0, MUST, .map = &disk_map},
	{"network", NICS, 0, MUST, .map = &nic_map},
	{"identity", CHOICE, P(new_identity), .names = plan_identity_names},
	{"hostname", TEXT, P(hostname), EMPTY, ok_hostname,
		"a host name of letters, digits, '.' and '-'"},
	{"fixups", MAP, 0, .map = &fixup_map},
	{"budget", MAP, 0, .map = &budget_map},
	{"cutover", CHOICE, P(wait), .names = plan_cutover_names},
	{"probes", LIST, P(probes), 0, ok_probe,
		"a probe like tcp:22 or http://:80/", .max = PLAN_LIST_MAX},
	{"hooks", MAP, 0, .map = &hook_map},
	{"facts", MAP, 0, MUST, .map = &facts_map},
};
static const struct map plan_map = {
	"a plan", plan_keys, ARRAY_LEN(plan_keys), plan_rules_plan};

/* How many letters must be changed, added or taken away. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[33], n = (unsigned)strlen(b), last, was;

	if (strlen(a) > 32 || n > 32)
		return 99;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		last = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			was = row[j];
			row[j] = MIN(row[j], row[j - 1]) + 1;
			row[j] = MIN(row[j], last + (a[i - 1] != b[j - 1]));
			last = was;
		}
	}
	return row[n];
}

static int unknown_key(const struct plan_rules *r, const struct map *m,
	const struct plan_yaml *key)
{
	const char *near = NULL;
	unsigned best = 3, d;

	for (unsigned i = 0; i < m->n; i++) {
		d = distance(key->text, m->keys[i].name);
		if (d < best && d < strlen(m->keys[i].name)) {
			best = d;
			near = m->keys[i].name;
		}
	}
	return plan_yaml_refuse(r->err, r->file, key,
		"'%.64s' is no key of %s%s%s%s", key->text, m->what,
		near ? " (did you mean " : "", near ? near : "",
		near ? "?)" : "");
}

static int bad(const struct plan_rules *r, const struct plan_yaml *y,
	const struct key *k, const char *want)
{
	static const char *const kinds[] = {"this", "a list", "a map"};

	if (y->kind != PLAN_YAML_SCALAR)
		return plan_yaml_refuse(r->err, r->file, y,
			"%s is %s; write %s", k->name, kinds[y->kind], want);
	return plan_yaml_refuse(r->err, r->file, y,
		"'%.64s' is no good value of %s; write %s", y->text, k->name,
		want);
}

static int no_memory(const struct plan_rules *r)
{
	return error_set(r->err, -ENOMEM, "read the plan");
}

static int read_text(const struct plan_rules *r, const struct plan_yaml *y,
	const struct key *k, char **ret)
{
	const char *want = k->want ? k->want : "a text";

	if (y->kind != PLAN_YAML_SCALAR || !y->text[0] ||
		plan_yaml_is_null(y) || strlen(y->text) > PLAN_TEXT_MAX ||
		(k->ok && !k->ok(y->text)))
		return bad(r, y, k, want);
	*ret = strdup(y->text);
	return *ret ? 0 : no_memory(r);
}

static int read_choice(const struct plan_rules *r, const struct plan_yaml *y,
	const struct key *k, void *at)
{
	char want[64] = "";
	unsigned n = 0, chosen = 99;

	for (; k->names[n]; n++) {
		size_t used = strlen(want);

		(void)snprintf(want + used, sizeof(want) - used, "%s%s",
			n ? " or " : "", k->names[n]);
		if (y->kind == PLAN_YAML_SCALAR &&
			strcmp(y->text, k->names[n]) == 0)
			chosen = n;
	}
	if (chosen == 99)
		return bad(r, y, k, want);
	if (n == 2)
		*(bool *)at = chosen == 1;
	else
		*(enum plan_mode *)at = (enum plan_mode)chosen;
	return 0;
}

static int read_list(const struct plan_rules *r, const struct plan_yaml *y,
	const struct key *k, struct plan_list *ret)
{
	if (y->kind != PLAN_YAML_LIST)
		return bad(r, y, k, "a list, or [] for none");
	if (y->n > k->max)
		return plan_yaml_refuse(r->err, r->file, y->values[k->max],
			"%s has more than %u entries", k->name, k->max);
	for (uint32_t i = 0; i < y->n; i++) {
		CLEANUP_FREE char *text = NULL;
		int got = read_text(r, y->values[i], k, &text);

		if (got < 0)
			return got;
		if (plan_list_add(ret, text, k->max) < 0)
			return no_memory(r);
	}
	return 0;
}

static int read_hooks(const struct plan_rules *r, const struct plan_yaml *y,
	const struct key *k, struct hook_list *ret)
{
	if (y->kind != PLAN_YAML_LIST)
		return bad(r, y, k, "a list of commands, or [] for none");
	if (y->n > HOOKS_MAX)
		return plan_yaml_refuse(r->err, r->file, y->values[HOOKS_MAX],
			"%s has more than %d commands; let one call a script",
			k->name, HOOKS_MAX);
	for (uint32_t i = 0; i < y->n; i++) {
		CLEANUP_FREE char *text = NULL;
		int got = read_text(r, y->values[i], k, &text);

		if (got == 0 && options_add_hook(ret, text) < 0)
			got = no_memory(r);
		if (got < 0)
			return got;
	}
	return 0;
}

static int read_map(const struct plan_rules *r, const struct plan_yaml *y,
	const struct map *m, void *base);

static int read_each(const struct plan_rules *r, const struct plan_yaml *y,
	const struct key *k, struct plan *p)
{
	bool disks = k->kind == DISKS;
	uint32_t max = disks ? PLAN_DISKS_MAX : PLAN_NICS_MAX;
	int got = 0;

	if (y->kind != PLAN_YAML_LIST)
		return bad(r, y, k, "a list, or [] for none");
	if (y->n > max)
		return plan_yaml_refuse(r->err, r->file, y->values[max],
			"%s has more than %u entries", k->name, max);
	for (uint32_t i = 0; got == 0 && i < y->n; i++) {
		void *one = disks ? (void *)plan_add_disk(p)
				  : (void *)plan_add_nic(p);

		got = one ? read_map(r, y->values[i], k->map, one)
			  : no_memory(r);
	}
	return got;
}

static int read_number(const struct plan_rules *r, const struct plan_yaml *y,
	const struct key *k, uint64_t *ret)
{
	uint64_t n;
	bool scalar = y->kind == PLAN_YAML_SCALAR;

	if (k->kind == SIZE) {
		if (!scalar || parse_size(y->text, &n) < 0 || n == 0)
			return bad(r, y, k, "a size like 10737418240 or 50M");
	} else if (!scalar || parse_duration(y->text, &n) < 0) {
		return bad(r, y, k, "a time like 500ms, 2s or 5m");
	} else if (k->kind == TIMEOUT && (n == 0 || n > 86400000)) {
		return bad(r, y, k, "a time from 1ms to 24h");
	}
	*ret = n;
	return 0;
}

static int read_value(const struct plan_rules *r, const struct plan_yaml *y,
	const struct key *k, void *at)
{
	char version[16];
	uint8_t bytes[32];

	if (k->flags & EMPTY && plan_yaml_is_null(y))
		return 0;
	switch (k->kind) {
	case TEXT:
		return read_text(r, y, k, at);
	case PRINT:
		if (y->kind != PLAN_YAML_SCALAR ||
			parse_unhex(y->text, bytes, sizeof(bytes)) < 0)
			return bad(r, y, k, "the 64 hex digits that were here");
		parse_hex(bytes, sizeof(bytes), at);
		return 0;
	case VERSION:
		(void)snprintf(version, sizeof(version), "%d", PLAN_VERSION);
		if (y->kind != PLAN_YAML_SCALAR || strcmp(y->text, version))
			return bad(r, y, k, version);
		return 0;
	case BOOL:
		if (y->kind != PLAN_YAML_SCALAR || !y->plain ||
			(strcmp(y->text, "true") && strcmp(y->text, "false")))
			return bad(r, y, k, "true or false");
		*(bool *)at = y->text[0] == 't';
		return 0;
	case CHOICE:
		return read_choice(r, y, k, at);
	case LIST:
		return read_list(r, y, k, at);
	case HOOKS:
		return read_hooks(r, y, k, at);
	case MAP:
		return read_map(r, y, k->map, at);
	case DISKS:
	case NICS:
		return read_each(r, y, k, at);
	default:
		return read_number(r, y, k, at);
	}
}

static int read_map(const struct plan_rules *r, const struct plan_yaml *y,
	const struct map *m, void *base)
{
	int got = 0;

	if (y->kind != PLAN_YAML_MAP)
		return plan_yaml_refuse(r->err, r->file, y,
			"%s is written as keys with values, like %s: …",
			m->what, m->keys[0].name);
	for (uint32_t i = 0; got == 0 && i < y->n; i++) {
		const struct key *k = NULL;

		for (unsigned j = 0; j < m->n && !k; j++)
			if (strcmp(m->keys[j].name, y->keys[i]->text) == 0)
				k = &m->keys[j];
		got = k ? read_value(
				  r, y->values[i], k, (char *)base + k->offset)
			: unknown_key(r, m, y->keys[i]);
	}
	for (unsigned j = 0; got == 0 && j < m->n; j++)
		if (m->keys[j].flags & MUST &&
			!plan_yaml_get(y, m->keys[j].name))
			got = plan_yaml_refuse(r->err, r->file, y,
				"%s needs %s", m->what, m->keys[j].name);
	return got == 0 && m->rule ? m->rule(r, y, base) : got;
}

int plan_parse(const char *file, const char *text, size_t n, struct plan *ret,
	struct error *err)
{
	struct plan_rules r = {.file = file, .err = err};
	struct plan_yaml *tree;
	struct plan p;
	int got;

	if (n > PLAN_FILE_MAX) {
		(void)error_set(err, -EFBIG, "read the plan");
		(void)error_why(err, "%.200s has more than %u bytes", file,
			PLAN_FILE_MAX);
		return -EFBIG;
	}
	got = plan_yaml_parse(file, text, n, &tree, err);
	if (got < 0)
		return got;
	plan_init(&p);
	got = read_map(&r, tree, &plan_map, &p);
	plan_yaml_free(tree);
	if (got < 0)
		plan_done(&p);
	else
		*ret = p;
	return got;
}

int plan_read(const char *path, struct plan *ret, struct error *err)
{
	/* A FIFO without a writer would hold rehost up. */
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	CLEANUP_FREE char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, -errno, "read the plan %s", path);
	if (!S_ISREG(st.st_mode)) {
		(void)error_set(err, -EINVAL, "read the plan %s", path);
		return error_why(err, "it is no regular file");
	}
	text = malloc(PLAN_FILE_MAX + 1);
	if (!text)
		return error_set(err, -ENOMEM, "read the plan %s", path);
	/* One more than it may have, so that it is seen. */
	n = io_pread_all(fd, text, PLAN_FILE_MAX + 1, 0);
	if (n < 0)
		return error_set(err, (int)n, "read the plan %s", path);
	return plan_parse(path, text, (size_t)n, ret, err);
}
