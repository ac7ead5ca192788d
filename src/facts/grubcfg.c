/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/grubcfg.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"

/* Commands with more words are none of those that matter, but for the command
 * line of a kernel: what is behind is kept with the last one. */
#define WORDS_MAX 512
#define DEPTH_MAX 64

enum token { TOKEN_WORD, TOKEN_END, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_EOF };

/* One command at a time. */
struct script {
	char *at;
	char *words[WORDS_MAX];
	int n;
	struct grubcfg *c;
	int open[DEPTH_MAX]; /* the item that each block is of, or -1 */
	int depth;
};

static struct grubcfg_item *add(struct grubcfg *c, int parent)
{
	struct grubcfg_item *i;
	int index = 0;

	if (c->n == GRUBCFG_ITEMS_MAX) {
		c->cut = true;
		return NULL;
	}
	for (int k = 0; k < c->n; k++)
		index += c->items[k].parent == parent;
	i = &c->items[c->n++];
	*i = (struct grubcfg_item){.title = "",
		.id = "",
		.kernel = "",
		.initrd = "",
		.args = "",
		.parent = parent,
		.index = index};
	return i;
}

/* ---- words of grub.cfg ---- */

/* Takes a word from *at, without its quotes and backslashes, in its own place.
 * Terminates it, which may overwrite what ended it: that is returned. */
static char take_word(char **at, char **ret, bool *ret_quoted)
{
	char *from = *at, *to = *at, quote = '\0', end;

	*ret = to;
	*ret_quoted = false;
	for (; *from; from++) {
		if (*from == '\\' && quote != '\'' && from[1]) {
			from++;
			/* A line that goes on. */
			if (*from != '\n')
				*to++ = *from;
		} else if (quote && *from == quote) {
			quote = '\0';
		} else if (!quote && (*from == '\'' || *from == '"')) {
			quote = *from;
			*ret_quoted = true;
		} else if (!quote && strchr(" \t\r\n;", *from)) {
			break;
		} else {
			*to++ = *from;
		}
	}
	end = *from;
	*at = end ? from + 1 : from;
	*to = '\0';
	return end;
}

static bool is_end(char c)
{
	return c == '\n' || c == ';' || c == '\0';
}

/* Reads one command; how it ended. */
static enum token next_command(struct script *s)
{
	s->n = 0;
	for (;;) {
		bool quoted;
		char *word, end;

		s->at += strspn(s->at, s->n > 0 ? " \t\r" : " \t\r\n;");
		if (*s->at == '\0')
			return s->n > 0 ? TOKEN_END : TOKEN_EOF;
		if (*s->at == '#') {
			s->at += strcspn(s->at, "\n");
			continue;
		}
		if (*s->at == '\n' || *s->at == ';') {
			s->at++;
			return TOKEN_END;
		}
		end = take_word(&s->at, &word, &quoted);
		if (!quoted && strcmp(word, "{") == 0)
			return TOKEN_OPEN;
		if (!quoted && s->n == 0 && strcmp(word, "}") == 0)
			return TOKEN_CLOSE;
		/* The end of a line that goes on leaves an empty one. */
		if (s->n < WORDS_MAX && (quoted || *word))
			s->words[s->n++] = word;
		if (is_end(end))
			return TOKEN_END;
	}
}

/* ---- commands ---- */

static const char *id_of(const struct script *s)
{
	for (int i = 1; i + 1 < s->n; i++)
		if (strcmp(s->words[i], "--id") == 0 ||
			strcmp(s->words[i], "$menuentry_id_option") == 0 ||
			strcmp(s->words[i], "${menuentry_id_option}") == 0)
			return s->words[i + 1];
	return "";
}

static int current(const struct script *s)
{
	for (int d = MIN(s->depth, DEPTH_MAX) - 1; d >= 0; d--)
		if (s->open[d] >= 0)
			return s->open[d];
	return -1;
}

static void open_block(struct script *s)
{
	bool menu = s->n > 1 && strcmp(s->words[0], "submenu") == 0;
	bool entry = s->n > 1 && strcmp(s->words[0], "menuentry") == 0;
	struct grubcfg_item *i = NULL;

	if (menu || entry)
		i = add(s->c, current(s));
	if (i) {
		i->title = s->words[1];
		i->id = id_of(s);
		i->menu = menu;
	}
	if (s->depth < DEPTH_MAX)
		s->open[s->depth] = i ? s->c->n - 1 : -1;
	s->depth++;
}

/* Puts the words behind the kernel's name together again, where they stand: no
 * word became longer, and each has its end behind it. */
static const char *join(char **words, int n)
{
	char *to = n > 0 ? words[0] : NULL;

	if (!to)
		return "";
	for (int i = 0; i < n; i++) {
		size_t k = strlen(words[i]);

		if (i > 0)
			*to++ = ' ';
		memmove(to, words[i], k);
		to += k;
	}
	*to = '\0';
	return words[0];
}

static bool is_one_of(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(word, *list) == 0)
			return true;
	return false;
}

static void set_default(struct grubcfg *c, const char *value)
{
	if (strstr(value, "saved_entry") || strcmp(value, "saved") == 0)
		c->saved = true;
	/* That is for one time only. */
	else if (value[0] && !strchr(value, '$'))
		(void)snprintf(c->preset, sizeof(c->preset), "%s", value);
}

static void command(struct script *s)
{
	static const char *const kernels[] = {
		"linux", "linux16", "linuxefi", "module", "module2", NULL};
	static const char *const initrd[] = {
		"initrd", "initrd16", "initrdefi", NULL};
	int at = current(s);
	struct grubcfg_item *i = at < 0 ? NULL : &s->c->items[at];

	if (s->n == 0)
		return;
	if (strcmp(s->words[0], "blscfg") == 0)
		s->c->bls = true;
	if (s->n < 2)
		return;
	if (strcmp(s->words[0], "set") == 0 &&
		strncmp(s->words[1], "default=", 8) == 0) {
		set_default(s->c, s->words[1] + 8);
	} else if (i && !i->menu && is_one_of(s->words[0], kernels)) {
		/* Xen: the first module is the kernel, the next its initrd. */
		if (s->words[0][0] == 'm' && i->kernel[0] && !i->initrd[0]) {
			i->initrd = s->words[s->n - 1];
		} else if (!i->kernel[0]) {
			i->kernel = s->words[1];
			i->args = join(s->words + 2, s->n - 2);
		}
	} else if (i && !i->menu && is_one_of(s->words[0], initrd)) {
		/* Microcode comes first. */
		for (int k = s->n - 1; k > 0 && !i->initrd[0]; k--)
			if (s->words[k][0] != '$')
				i->initrd = s->words[k];
	}
}

void grubcfg_read(char *text, struct grubcfg *ret)
{
	struct script s = {.at = text, .c = ret};

	memset(ret, 0, sizeof(*ret));
	for (;;) {
		enum token t = next_command(&s);

		switch (t) {
		case TOKEN_EOF:
			return;
		case TOKEN_OPEN:
			open_block(&s);
			break;
		case TOKEN_CLOSE:
			if (s.depth > 0)
				s.depth--;
			break;
		default:
			command(&s);
		}
	}
}

/* ---- lines of the others ---- */

/* The next line's first word, and the rest; NULL at the end. */
static char *next_pair(char **text, char **ret_rest)
{
	while (*text && **text) {
		char *line = strsep(text, "\n"), *rest;
		size_t n;

		line += strspn(line, " \t\r");
		for (n = strlen(line); n > 0 && strchr(" \t\r", line[n - 1]);
			n--)
			line[n - 1] = '\0';
		if (*line == '\0' || *line == '#')
			continue;
		rest = line + strcspn(line, " \t=");
		if (*rest)
			*rest++ = '\0';
		*ret_rest = rest + strspn(rest, " \t=");
		return line;
	}
	return NULL;
}

static char *cut_word(char **text)
{
	char *word = *text;
	size_t n = strcspn(word, " \t");

	*text = word + n;
	if (**text)
		*(*text)++ = '\0';
	*text += strspn(*text, " \t");
	return word;
}

void grubcfg_read_legacy(char *text, struct grubcfg *ret)
{
	struct grubcfg_item *i = NULL;
	char *key, *rest;

	memset(ret, 0, sizeof(*ret));
	while ((key = next_pair(&text, &rest))) {
		if (strcmp(key, "title") == 0) {
			i = add(ret, -1);
			if (i)
				i->title = rest;
		} else if (strcmp(key, "default") == 0 && ret->n == 0) {
			set_default(ret, rest);
		} else if (i && strcmp(key, "kernel") == 0) {
			while (strncmp(rest, "--", 2) == 0)
				(void)cut_word(&rest);
			i->kernel = cut_word(&rest);
			i->args = rest;
		} else if (i && strcmp(key, "module") == 0) {
			/* Under Xen kernel is the hypervisor. */
			if (strstr(i->kernel, "xen")) {
				i->kernel = cut_word(&rest);
				i->args = rest;
			} else {
				i->initrd = cut_word(&rest);
			}
		} else if (i && strcmp(key, "initrd") == 0) {
			i->initrd = cut_word(&rest);
		}
	}
}

void grubcfg_read_extlinux(char *text, struct grubcfg *ret)
{
	struct grubcfg_item *i = NULL;
	char *key, *rest, *initrd;

	memset(ret, 0, sizeof(*ret));
	while ((key = next_pair(&text, &rest))) {
		if (strcasecmp(key, "default") == 0) {
			set_default(ret, rest);
		} else if (strcasecmp(key, "label") == 0) {
			i = add(ret, -1);
			if (i)
				i->title = i->id = rest;
		} else if (i && (strcasecmp(key, "kernel") == 0 ||
					strcasecmp(key, "linux") == 0)) {
			i->kernel = cut_word(&rest);
		} else if (i && strcasecmp(key, "initrd") == 0) {
			initrd = strrchr(rest, ',');
			i->initrd = initrd ? initrd + 1 : rest;
		} else if (i && strcasecmp(key, "append") == 0) {
			i->args = rest;
			initrd = strstr(rest, "initrd=");
			if (!initrd || i->initrd[0])
				continue;
			/* It stays part of the command line, which ends with
			 * it as often as not. */
			initrd += strlen("initrd=");
			if (!strpbrk(initrd, " \t"))
				i->initrd = initrd;
		}
	}
}

void grubcfg_read_bls(char *text, struct grubcfg_item *ret)
{
	char *key, *rest;

	*ret = (struct grubcfg_item){.title = "",
		.id = "",
		.kernel = "",
		.initrd = "",
		.args = "",
		.parent = -1};
	while ((key = next_pair(&text, &rest))) {
		if (strcmp(key, "title") == 0)
			ret->title = rest;
		else if (strcmp(key, "linux") == 0)
			ret->kernel = cut_word(&rest);
		else if (strcmp(key, "options") == 0)
			ret->args = rest;
		/* The last of several lines; microcode comes first. */
		else if (strcmp(key, "initrd") == 0 && rest[0] != '$')
			ret->initrd = cut_word(&rest);
	}
}

/* ---- the default ---- */

static int find(const struct grubcfg *c, int parent, const char *name, size_t n)
{
	char text[256];
	uint64_t index = UINT64_MAX;

	if (n == 0 || n >= sizeof(text))
		return -1;
	memcpy(text, name, n);
	text[n] = '\0';
	if (parse_u64(text, &index) < 0)
		index = UINT64_MAX;
	for (int k = 0; k < c->n; k++) {
		const struct grubcfg_item *i = &c->items[k];

		if (i->parent == parent && ((uint64_t)i->index == index ||
						   strcmp(i->id, text) == 0 ||
						   strcmp(i->title, text) == 0))
			return k;
	}
	return -1;
}

const struct grubcfg_item *grubcfg_default(
	const struct grubcfg *c, const char *preset)
{
	int at = -1;

	while (*preset) {
		size_t n = strcspn(preset, ">");
		int found = find(c, at, preset, n);

		if (found < 0)
			break;
		at = found;
		preset += n + (preset[n] == '>');
		if (!c->items[at].menu)
			return &c->items[at];
	}
	/* A menu's first entry; parents stand before what is in them. */
	for (int k = at + 1; k < c->n; k++) {
		if (c->items[k].parent != at)
			continue;
		at = k;
		if (!c->items[k].menu)
			return &c->items[k];
	}
	return NULL;
}

const char *grubcfg_env(
	const char *text, const char *name, char *buf, size_t size)
{
	size_t n = strlen(name);

	buf[0] = '\0';
	while (*text) {
		size_t length = strcspn(text, "\n");

		if (length > n && strncmp(text, name, n) == 0 &&
			text[n] == '=') {
			(void)snprintf(buf, size, "%.*s",
				(int)MIN(length - n - 1, size - 1),
				text + n + 1);
			return buf;
		}
		text += length + (text[length] == '\n');
	}
	return buf;
}
