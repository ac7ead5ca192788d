/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/fstab.h"

#include <ctype.h>
#include <string.h>

#include "base/parse.h"

#define WORDS 6

void fstab_begin(struct fstab_reader *r, char *text)
{
	*r = (struct fstab_reader){.at = text};
}

/* \ooo is a character that would end a word. What is no such thing stays. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		bool octal = s[0] == '\\' && s[1] >= '0' && s[1] <= '3' &&
			     s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
			     s[3] <= '7';
		int c = octal ? (s[1] - '0') << 6 | (s[2] - '0') << 3 |
					(s[3] - '0')
			      : 0;

		if (c == 0) {
			*to++ = *s++;
			continue;
		}
		*to++ = (char)c;
		s += 4;
	}
	*to = '\0';
}

static void skip(struct fstab_reader *r)
{
	if (r->unreadable++ == 0)
		r->first_unreadable = r->line;
}

/* Splits the next line that is no comment; how many words it has, 0 at the
 * end. */
static int next_words(struct fstab_reader *r, char *words[WORDS], int least)
{
	while (r->at && *r->at) {
		char *line = strsep(&r->at, "\n");
		int n = 0;

		r->line++;
		line += strspn(line, " \t\r");
		if (*line == '\0' || *line == '#')
			continue;
		if (strnlen(line, FSTAB_LINE_MAX + 1) > FSTAB_LINE_MAX) {
			skip(r);
			continue;
		}
		while (*line && n < WORDS) {
			words[n++] = line;
			line += strcspn(line, " \t\r");
			if (*line)
				*line++ = '\0';
			line += strspn(line, " \t\r");
		}
		for (int i = 0; i < n; i++)
			unescape(words[i]);
		if (n >= least)
			return n;
		skip(r);
	}
	return 0;
}

bool fstab_next(struct fstab_reader *r, struct fstab_entry *ret)
{
	char *w[WORDS];
	int n = next_words(r, w, 3);
	uint64_t pass = 0;

	if (n == 0)
		return false;
	if (n > 5 && parse_u64(w[5], &pass) < 0)
		pass = 0;
	ret->spec = w[0];
	ret->mount = w[1];
	ret->type = w[2];
	ret->options = n > 3 ? w[3] : "";
	ret->pass = pass > 99 ? 99 : (unsigned)pass;
	return true;
}

bool fstab_next_crypt(struct fstab_reader *r, struct fstab_crypt *ret)
{
	char *w[WORDS];
	int n = next_words(r, w, 2);

	if (n == 0)
		return false;
	ret->name = w[0];
	ret->device = w[1];
	ret->key = n > 2 ? w[2] : "";
	ret->options = n > 3 ? w[3] : "";
	return true;
}

static bool begins(const char *s, const char *with)
{
	return strncasecmp(s, with, strlen(with)) == 0;
}

/* Names that the kernel gives in the order in which it finds disks, or by the
 * kind of controller: another machine gives others. */
static bool is_kernels(const char *name)
{
	static const char *const prefixes[] = {"sd", "hd", "vd", "xvd", "nvme",
		"mmcblk", "dasd", "dm-", "sr", "nbd", "loop"};

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		size_t n = strlen(prefixes[i]);

		if (strncmp(name, prefixes[i], n) == 0 &&
			isalnum((unsigned char)name[n]) && !strchr(name, '/'))
			return true;
	}
	return false;
}

const char *fstab_names(const char *spec)
{
	static const struct {
		const char *begins, *names;
	} known[] = {{"UUID=", "uuid"}, {"LABEL=", "label"},
		{"PARTUUID=", "partuuid"}, {"PARTLABEL=", "partlabel"},
		{"/dev/disk/by-uuid/", "uuid"},
		{"/dev/disk/by-label/", "label"},
		{"/dev/disk/by-partuuid/", "partuuid"},
		{"/dev/disk/by-partlabel/", "partlabel"},
		/* By serial number or by where it is plugged in. */
		{"/dev/disk/", "path"}, {"ID=", "path"}};
	const char *name, *dash;

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (begins(spec, known[i].begins))
			return known[i].names;
	if (strncmp(spec, "/dev/", 5) != 0)
		return "other";
	name = spec + 5;
	if (strncmp(name, "mapper/", 7) == 0) {
		/* A single dash is between the names of group and volume. */
		dash = strchr(name, '-');
		while (dash && dash[1] == '-')
			dash = strchr(dash + 2, '-');
		return dash ? "lvm" : "mapper";
	}
	if (is_kernels(name))
		return "unstable";
	if (strncmp(name, "md", 2) == 0 || strncmp(name, "block/", 6) == 0)
		return "other";
	return strchr(name, '/') ? "lvm" : "other";
}

bool fstab_has_option(const char *options, const char *name)
{
	size_t n = strlen(name);

	while (*options) {
		size_t k = strcspn(options, ",");

		if (k >= n && strncmp(options, name, n) == 0 &&
			(k == n || options[n] == '='))
			return true;
		options += k + (options[k] == ',');
	}
	return false;
}
