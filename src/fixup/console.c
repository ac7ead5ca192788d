/* SPDX-License-Identifier: Apache-2.0 */
/* Messages and log-in where the new machine shows them: console= of the
 * kernel's command line, and a getty on serial lines. Only when wished for. */
#include "fixup/unit.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fixup/kernelargs.h"

#define CONSOLES_MAX 8
#define SPEED "115200"

struct consoles {
	const char *names[CONSOLES_MAX];
	size_t n;
};

static bool is_serial(const char *name)
{
	return strncmp(name, "tty", 3) == 0 &&
	       !isdigit((unsigned char)name[3]) && name[3];
}

/* The word "console=NAME…" of a command line for this device; its length. */
static size_t find_word(const char *args, const char *name, size_t *ret_from)
{
	static const char key[] = "console=";
	size_t at = 0, n, k = strlen(name);

	while ((n = edit_word(args, &at, ret_from)) > 0) {
		const char *word = args + *ret_from;
		char end;

		if (n < strlen(key) + k ||
			strncmp(word, key, strlen(key)) != 0 ||
			strncmp(word + strlen(key), name, k) != 0)
			continue;
		end = word[strlen(key) + k];
		if (end == ',' || end == '\0' || end == ' ' || end == '\t')
			return n;
	}
	return 0;
}

static void add_console(const char *args, const char *name, struct edit *out)
{
	size_t from, n = find_word(args, name, &from);

	if (out->n > 0)
		edit_text(out, " ");
	/* With the speed that it had. */
	if (n > 0)
		edit_add(out, args + from, n);
	else
		edit_put(out, "console=%s%s", name,
			is_serial(name) ? "," SPEED "n8" : "");
}

static int rewrite_args(struct unit *u, const char *args, bool whole,
	struct edit *out, struct edit *said, void *arg)
{
	CLEANUP(edit_done) struct edit had = {0}, wanted = {0};
	const struct consoles *c = arg;
	size_t at = 0, from, n;

	if (!whole) {
		edit_text(out, args);
		return 0;
	}
	for (size_t i = 0; i < c->n; i++)
		add_console(args, c->names[i], &wanted);
	while ((n = edit_word(args, &at, &from)) > 0) {
		bool console =
			n > 8 && strncmp(args + from, "console=", 8) == 0;
		struct edit *to = console ? &had : out;

		if (to->n > 0)
			edit_text(to, " ");
		edit_add(to, args + from, n);
	}
	out->oom |= had.oom || wanted.oom;
	if (strcmp(edit_string(&had), edit_string(&wanted)) == 0) {
		out->n = 0;
		edit_text(out, args);
		return 0;
	}
	if (out->n > 0)
		edit_text(out, " ");
	edit_text(out, edit_string(&wanted));
	edit_say(said, "the kernel has %s", edit_string(&wanted));
	return 0;
}

/* ---- log-in ---- */

static int enable_unit(struct unit *u, const char *systemd, const char *name)
{
	char template[TREE_PATH_MAX], path[TREE_PATH_MAX];

	(void)snprintf(template, sizeof(template), "%s/serial-getty@.service",
		systemd);
	(void)snprintf(path, sizeof(path),
		"/etc/systemd/system/getty.target.wants/"
		"serial-getty@%s.service",
		name);
	if (!tree_is_file(u->tree, template))
		return 0;
	return unit_link(u, path, template, "log-in on the serial console");
}

static int add_to_inittab(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	const char *name = arg,
		   *getty = strstr(text, "agetty") ? "agetty" : "getty";
	const char *at = text;
	struct edit_line l;
	bool there = false;

	while (edit_next(&at, &l)) {
		there |= l.text[0] != '#' && strstr(l.text, name) &&
			 strstr(l.text, "getty");
		edit_pass(out, &l);
	}
	if (there)
		return 0;
	if (out->n > 0 && out->text[out->n - 1] != '\n')
		edit_text(out, "\n");
	edit_put(out,
		"# " UNIT_MADE_BY "\nR%.3s:2345:respawn:/sbin/%s -L %s " SPEED
		" vt100\n",
		name + strlen(name) - MIN(strlen(name), (size_t)2), getty,
		name);
	edit_say(out, "log-in on %s", name);
	return 0;
}

static int add_to_securetty(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	const char *name = arg, *at = text;
	struct edit_line l;

	while (edit_next(&at, &l)) {
		if (strcmp(l.text, name) == 0) {
			out->n = 0;
			edit_text(out, text);
			return 0;
		}
		edit_pass(out, &l);
	}
	if (out->n > 0 && out->text[out->n - 1] != '\n')
		edit_text(out, "\n");
	edit_put(out, "%s\n", name);
	edit_say(out, "root may log in on %s", name);
	return 0;
}

static int enable_login(struct unit *u, const char *name)
{
	const char *systemd = unit_systemd(u);
	int r;

	if (systemd[0])
		r = enable_unit(u, systemd, name);
	else
		r = unit_rewrite_if(
			u, "/etc/inittab", add_to_inittab, (void *)name);
	if (r < 0)
		return r;
	return unit_rewrite_if(
		u, "/etc/securetty", add_to_securetty, (void *)name);
}

int unit_console(struct unit *u)
{
	const json_t *list = json_object_get(u->wish, "console"), *name;
	struct consoles c = {0};
	struct kernelargs_fn fn = {.rewrite = rewrite_args, .arg = &c};
	size_t i;
	int r;

	json_array_foreach(list, i, name) if (c.n < CONSOLES_MAX)
		c.names[c.n++] = json_string_value(name);
	if (c.n == 0)
		return 0;
	r = kernelargs_rewrite_all(u, &fn);
	for (i = 0; i < c.n && r == 0; i++)
		if (is_serial(c.names[i]))
			r = enable_login(u, c.names[i]);
	return r;
}
