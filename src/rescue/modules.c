/* SPDX-License-Identifier: Apache-2.0 */
#include "rescue/modules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/modalias.h"

/* Hostile lists cost no more than a second. */
#define STEPS_MAX (1ULL << 28)

struct module {
	const char *path;
	char *name;
	const char *needs; /* paths, separated by spaces */
};

struct alias {
	const char *pattern;
	uint32_t literal; /* bytes before its first special character */
	uint32_t module;
};

struct modules {
	char *dep, *alias;	/* the texts; all else points into them */
	struct module *modules; /* sorted by name */
	struct alias *aliases;
	uint32_t n, n_aliases;
};

/* The file's name without folders and ".ko…", in fresh memory. */
static char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t n = modalias_plain_path(path) - strlen(".ko");
	const char *from = slash ? slash + 1 : path;
	char *name = path + n > from ? strndup(from, (size_t)(path + n - from))
				     : strdup("");

	if (name)
		modalias_normalize(name);
	return name;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct module *)a)->name,
		((const struct module *)b)->name);
}

static int by_name(const void *name, const void *m)
{
	return strcmp(name, ((const struct module *)m)->name);
}

/* The number of the module called name (of n bytes), or -1. */
static int64_t find_name(const struct modules *m, const char *name, size_t n)
{
	char key[MODALIAS_MAX];
	const struct module *found;

	if (n == 0 || n >= sizeof(key))
		return -1;
	memcpy(key, name, n);
	key[n] = '\0';
	modalias_normalize(key);
	found = bsearch(key, m->modules, m->n, sizeof(*m->modules), by_name);
	return found ? found - m->modules : -1;
}

/* The same for a path of n bytes. */
static int64_t find_path(const struct modules *m, const char *path, size_t n)
{
	char copy[MODALIAS_MAX];
	const char *slash;
	size_t plain;

	if (n >= sizeof(copy))
		return -1;
	memcpy(copy, path, n);
	copy[n] = '\0';
	plain = modalias_plain_path(copy);
	if (plain == 0)
		return -1;
	copy[plain - strlen(".ko")] = '\0';
	slash = strrchr(copy, '/');
	slash = slash ? slash + 1 : copy;
	return find_name(m, slash, strlen(slash));
}

static size_t count_lines(const char *text)
{
	size_t n = 1;

	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

static int read_dep(struct modules *m)
{
	size_t lines = count_lines(m->dep);
	char *next = m->dep, *line;

	if (lines > MODULES_MAX)
		return -E2BIG;
	m->modules = calloc(lines, sizeof(*m->modules));
	if (!m->modules)
		return -ENOMEM;
	while ((line = strsep(&next, "\n"))) {
		struct module *to = &m->modules[m->n];
		char *colon = strchr(line, ':');

		if (!colon)
			continue;
		*colon = '\0';
		if (line[0] == '/' || strstr(line, "..") ||
			strlen(line) >= MODALIAS_MAX ||
			modalias_plain_path(line) == 0)
			continue;
		to->path = line;
		to->needs = colon + 1;
		to->name = name_of(line);
		if (!to->name)
			return -ENOMEM;
		m->n++;
	}
	qsort(m->modules, m->n, sizeof(*m->modules), compare);
	return 0;
}

static int read_alias(struct modules *m, size_t n)
{
	struct modalias_reader r;
	struct modalias a;

	m->aliases = calloc(count_lines(m->alias), sizeof(*m->aliases));
	if (!m->aliases)
		return -ENOMEM;
	modalias_begin(&r, m->alias, n, false);
	while (modalias_next(&r, &a)) {
		int64_t module = find_name(m, a.module, strlen(a.module));

		if (module < 0)
			continue;
		m->aliases[m->n_aliases++] = (struct alias){
			.pattern = a.pattern,
			.literal = (uint32_t)modalias_literal(a.pattern),
			.module = (uint32_t)module};
	}
	return 0;
}

int modules_read(char *dep, size_t dep_n, char *alias, size_t alias_n,
	struct modules **ret)
{
	struct modules *m = calloc(1, sizeof(*m));
	int r;

	if (!m) {
		free(dep);
		free(alias);
		return -ENOMEM;
	}
	m->dep = dep;
	m->alias = alias;
	r = dep_n > MODULES_TEXT || alias_n > MODULES_TEXT ? -E2BIG
							   : read_dep(m);
	if (r == 0)
		r = read_alias(m, alias_n);
	if (r < 0) {
		modules_free(m);
		return r;
	}
	*ret = m;
	return 0;
}

void modules_free(struct modules *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; i < m->n; i++)
		free(m->modules[i].name);
	free(m->modules);
	free(m->aliases);
	free(m->dep);
	free(m->alias);
	free(m);
}

uint32_t modules_count(const struct modules *m)
{
	return m->n;
}

const char *modules_path(const struct modules *m, uint32_t i)
{
	return m->modules[i].path;
}

const char *modules_name(const struct modules *m, uint32_t i)
{
	return m->modules[i].name;
}

static uint32_t add_once(
	uint32_t *list, uint32_t n, uint32_t max, uint32_t module)
{
	for (uint32_t i = 0; i < n; i++)
		if (list[i] == module)
			return n;
	if (n == max)
		return n;
	list[n] = module;
	return n + 1;
}

uint32_t modules_find(
	const struct modules *m, const char *alias, uint32_t *ret, uint32_t max)
{
	char key[MODALIAS_MAX];
	int64_t module;
	uint64_t steps = STEPS_MAX;
	uint32_t n = 0;

	if (strlen(alias) >= sizeof(key))
		return 0;
	(void)snprintf(key, sizeof(key), "%s", alias);
	modalias_normalize(key);
	module = find_name(m, key, strlen(key));
	if (module >= 0)
		n = add_once(ret, n, max, (uint32_t)module);
	for (uint32_t i = 0; i < m->n_aliases; i++) {
		const struct alias *a = &m->aliases[i];

		/* Most differ at once. */
		if (strncmp(a->pattern, key, a->literal) == 0 &&
			modalias_match(a->pattern, key, &steps))
			n = add_once(ret, n, max, a->module);
	}
	return n;
}

int modules_order(
	const struct modules *m, uint32_t i, uint32_t ret[MODULES_ORDER])
{
	const char *p = m->modules[i].needs;
	uint32_t n = 0;

	for (;;) {
		size_t length;
		int64_t module;

		p += strspn(p, " ");
		length = strcspn(p, " ");
		if (length == 0)
			break;
		module = find_path(m, p, length);
		if (module < 0)
			return -ENOENT;
		if (n == MODULES_ORDER - 1)
			return -E2BIG;
		ret[n++] = (uint32_t)module;
		p += length;
	}
	/* depmod writes what is needed first last. */
	for (uint32_t k = 0; k < n / 2; k++) {
		uint32_t t = ret[k];

		ret[k] = ret[n - 1 - k];
		ret[n - 1 - k] = t;
	}
	ret[n++] = i;
	return (int)n;
}

static void put_path(FILE *f, const char *path)
{
	(void)fprintf(f, "%.*s%s", (int)modalias_plain_path(path), path,
		MODULES_ENDING);
}

static int finish(FILE *f, char **text)
{
	bool bad = ferror(f) != 0;

	if (fclose(f) != 0 || bad) {
		free(*text);
		*text = NULL;
		return -ENOMEM;
	}
	return 0;
}

int modules_write_dep(
	const struct modules *m, const bool *chosen, char **ret, size_t *ret_n)
{
	FILE *f = open_memstream(ret, ret_n);

	if (!f)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->n; i++) {
		uint32_t order[MODULES_ORDER];
		int n = chosen[i] ? modules_order(m, i, order) : -1;

		if (n < 0)
			continue;
		put_path(f, m->modules[i].path);
		(void)fputc(':', f);
		for (int k = n - 2; k >= 0; k--) {
			(void)fputc(' ', f);
			put_path(f, m->modules[order[k]].path);
		}
		(void)fputc('\n', f);
	}
	return finish(f, ret);
}

int modules_write_alias(
	const struct modules *m, const bool *chosen, char **ret, size_t *ret_n)
{
	FILE *f = open_memstream(ret, ret_n);

	if (!f)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->n_aliases; i++)
		if (chosen[m->aliases[i].module])
			(void)fprintf(f, "alias %s %s\n", m->aliases[i].pattern,
				m->modules[m->aliases[i].module].name);
	return finish(f, ret);
}
