/* SPDX-License-Identifier: Apache-2.0 */
#include "base/modalias.h"

#include <string.h>

void modalias_normalize(char *s)
{
	bool inside = false;

	for (; *s; s++) {
		if (*s == '[')
			inside = true;
		else if (*s == ']')
			inside = false;
		else if (*s == '-' && !inside)
			*s = '_';
	}
}

size_t modalias_plain_path(const char *path)
{
	static const char *const endings[] = {
		".ko", ".ko.xz", ".ko.zst", ".ko.gz"};
	size_t n = strlen(path);

	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		size_t e = strlen(endings[i]);

		if (n > e && strcmp(path + n - e, endings[i]) == 0)
			return n - e + strlen(".ko");
	}
	return 0;
}

/* ---- matching ---- */

size_t modalias_literal(const char *pattern)
{
	return strcspn(pattern, "*?[\\");
}

/* The bytes of "[…]" at p, or 0 when it does not end; then '[' is a byte as
 * any other. */
static size_t bracket(
	const char *p, unsigned char c, bool *ret_fits, uint64_t *steps)
{
	const char *from = p + 1, *at;
	bool not = *from == '!' || *from == '^';
	bool fits = false;

	from += not ? 1 : 0;
	/* A bracket that comes first stands for itself. */
	for (at = from; *at && (*at != ']' || at == from); at++) {
		unsigned char low, high;

		*steps -= *steps > 0 ? 1 : 0;
		if (*at == '\\' && at[1])
			at++;
		low = high = (unsigned char)*at;
		if (at[1] == '-' && at[2] && at[2] != ']') {
			at += 2;
			if (*at == '\\' && at[1])
				at++;
			high = (unsigned char)*at;
		}
		fits = fits || (c >= low && c <= high);
	}
	if (*at != ']')
		return 0;
	*ret_fits = fits != not ;
	return (size_t)(at + 1 - p);
}

/* The bytes of the pattern that stand for c, or 0. '*' does not come here. */
static size_t one(const char *p, char c, uint64_t *steps)
{
	bool fits = false;
	size_t n;

	if (*p == '?')
		return 1;
	if (*p == '[') {
		n = bracket(p, (unsigned char)c, &fits, steps);
		if (n > 0)
			return fits ? n : 0;
	}
	if (*p == '\\' && p[1])
		return p[1] == c ? 2 : 0;
	return *p == c ? 1 : 0;
}

bool modalias_match(const char *pattern, const char *text, uint64_t *steps)
{
	/* Only the last '*' has to be tried again: what an earlier one took
	 * can only leave less. */
	const char *star = NULL, *again = NULL;

	while (*text) {
		size_t n = 0;

		if (*steps == 0)
			return false;
		(*steps)--;
		if (*pattern == '*') {
			star = ++pattern;
			again = text;
			continue;
		}
		if (*pattern)
			n = one(pattern, *text, steps);
		if (n > 0) {
			pattern += n;
			text++;
			continue;
		}
		if (!star)
			return false;
		pattern = star;
		text = ++again;
	}
	return pattern[strspn(pattern, "*")] == '\0';
}

/* ---- reading ---- */

void modalias_begin(
	struct modalias_reader *r, char *text, size_t n, bool modinfo)
{
	r->next = text;
	r->end = text + n;
	r->modinfo = modinfo;
}

static bool take(struct modalias *to, char *pattern, char *module)
{
	size_t n = strlen(pattern), m = strlen(module);

	if (n == 0 || m == 0 || n >= MODALIAS_MAX || m >= MODALIAS_MAX)
		return false;
	modalias_normalize(pattern);
	modalias_normalize(module);
	to->pattern = pattern;
	to->module = module;
	return true;
}

static bool take_line(char *line, struct modalias *to)
{
	char *pattern = line + strlen("alias "), *name;

	if (strncmp(line, "alias ", strlen("alias ")) != 0)
		return false;
	name = strrchr(pattern, ' ');
	if (!name)
		return false;
	*name++ = '\0';
	return take(to, pattern, name);
}

static bool take_info(char *info, struct modalias *to)
{
	static const char key[] = ".alias=";
	char *dot = strchr(info, '.');

	/* Names of modules have no dot. */
	if (!dot || strncmp(dot, key, sizeof(key) - 1) != 0)
		return false;
	*dot = '\0';
	return take(to, dot + sizeof(key) - 1, info);
}

bool modalias_next(struct modalias_reader *r, struct modalias *ret)
{
	while (r->next < r->end) {
		char *at = r->next;
		size_t n = (size_t)(r->end - at);
		char *stop = memchr(at, r->modinfo ? '\0' : '\n', n);

		stop = stop ? stop : r->end;
		*stop = '\0';
		r->next = stop + 1;
		if (r->modinfo ? take_info(at, ret) : take_line(at, ret))
			return true;
	}
	return false;
}
