/* SPDX-License-Identifier: Apache-2.0 */
#include "move/takeover_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "move/ssh_says.h"
#include "rescue/program.h"

#define OUTPUT_MAX (1U << 20)
#define LIMIT "10" /* seconds, of one program */

struct finder {
	FILE *f;
	struct takeover_keys *keys;
	char agent[PROGRAM_PATH]; /* its socket; "": that of the environment */
	bool no_agent;
};

/* Takes the lines of keys. */
static void take(struct finder *f, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		if (n > 0)
			(void)fprintf(f->f, "%.*s\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
}

/* A path as ssh -G says it; false when it has more in it than this knows. */
static bool expand(const char *text, char ret[PROGRAM_PATH])
{
	const char *home = getenv("HOME");
	bool is_home = strncmp(text, "~/", 2) == 0;
	int n = snprintf(ret, PROGRAM_PATH, "%s%s", is_home && home ? home : "",
		is_home ? text + 1 : text);

	return n < PROGRAM_PATH && !strpbrk(text, "%$") &&
	       (text[0] != '~' || (is_home && home));
}

static void take_file(struct finder *f, const char *name)
{
	CLEANUP_FREE char *text = NULL;
	char path[PROGRAM_PATH];
	const char *argv[] = {"timeout", LIMIT, "ssh-keygen", "-y", "-P", "",
		"-f", path, NULL};
	struct error ignored;

	if (!expand(name, path))
		f->keys->sure = false;
	else if (program_run((char *const *)argv, OUTPUT_MAX, &text, NULL,
			 &ignored) == 0)
		take(f, text);
}

static void take_agent(struct finder *f)
{
	CLEANUP_FREE char *text = NULL;
	char variable[PROGRAM_PATH + 16];
	const char *argv[] = {
		"timeout", LIMIT, "env", variable, "ssh-add", "-L", NULL};
	const char *usual = getenv("SSH_AUTH_SOCK");
	struct error ignored;

	if (f->no_agent || (!f->agent[0] && !usual))
		return;
	(void)snprintf(variable, sizeof(variable), "SSH_AUTH_SOCK=%s",
		f->agent[0] ? f->agent : usual);
	/* Without keys its status is 1. */
	if (program_run((char *const *)argv, OUTPUT_MAX, &text, NULL,
		    &ignored) == 0)
		take(f, text);
}

/* A line of ssh -G: a word in lower case, and what it is. */
static void take_option(struct finder *f, const char *key, const char *value)
{
	if (strcmp(key, "identityfile") == 0) {
		take_file(f, value);
	} else if (strcmp(key, "identityagent") == 0) {
		f->no_agent = strcmp(value, "none") == 0;
		if (f->no_agent || strcmp(value, "SSH_AUTH_SOCK") == 0)
			return;
		if (!expand(value, f->agent)) {
			f->no_agent = true;
			f->keys->sure = false;
		}
	} else if (strcmp(key, "certificatefile") == 0 ||
		   (strcmp(key, "pkcs11provider") == 0 &&
			   strcmp(value, "none") != 0)) {
		f->keys->sure = false;
	}
}

static void take_options(struct finder *f, char *text)
{
	char *line;

	while ((line = strsep(&text, "\n"))) {
		char *key = strsep(&line, " ");

		if (line)
			take_option(f, key, line);
	}
}

int takeover_keys_find(const struct place *place, const struct ssh_options *o,
	struct takeover_keys *ret)
{
	CLEANUP_FREE char *options = NULL;
	struct takeover_keys keys = {.sure = true};
	struct finder f = {.keys = &keys};
	int r;

	f.f = open_memstream(&keys.text, &keys.n);
	if (!f.f)
		return -ENOMEM;
	r = ssh_says(place, o, &options);
	if (r == 0)
		take_options(&f, options);
	else
		keys.sure = false;
	take_agent(&f);
	if (fclose(f.f) != 0)
		r = -ENOMEM;
	if (r == -ENOMEM) {
		takeover_keys_done(&keys);
		return r;
	}
	*ret = keys;
	return 0;
}

void takeover_keys_done(struct takeover_keys *k)
{
	free(k->text);
	k->text = NULL;
}
