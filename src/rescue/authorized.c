/* SPDX-License-Identifier: Apache-2.0 */
#include "rescue/authorized.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

#define LINE 4096 /* dropbear takes few more */

/* The length of a word of the list that s begins with, or 0. */
static size_t word_of(const char *s, const char *const *list, const char *ends)
{
	size_t n = strcspn(s, ends);

	for (; *list; list++)
		if (strlen(*list) == n && strncasecmp(s, *list, n) == 0)
			return n;
	return 0;
}

/* "TYPE BASE64" */
static bool is_key(const char *s)
{
	static const char *const types[] = {"ssh-ed25519", "ssh-rsa",
		"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
		"ecdsa-sha2-nistp521", "sk-ssh-ed25519@openssh.com",
		"sk-ecdsa-sha2-nistp256@openssh.com", NULL};
	size_t n = word_of(s, types, " \t");

	if (n == 0)
		return false;
	s += n;
	s += strspn(s, " \t");
	return strncmp(s, "AAAA", 4) == 0;
}

bool authorized_is_usable(const char *line)
{
	static const char *const harmless[] = {"restrict", "no-pty",
		"no-port-forwarding", "no-agent-forwarding",
		"no-x11-forwarding", NULL};
	size_t n;

	line += strspn(line, " \t");
	if (strlen(line) >= LINE)
		return false;
	if (is_key(line))
		return true;
	while ((n = word_of(line, harmless, ", \t")) > 0) {
		line += n;
		if (*line != ',')
			return is_key(line + strspn(line, " \t"));
		line++;
	}
	return false;
}

unsigned authorized_filter(const char *text, FILE *f, unsigned *ret_left)
{
	unsigned n = 0;

	while (*text) {
		size_t length = strcspn(text, "\r\n"), blank;
		char line[LINE];

		blank = strspn(text, " \t");
		if (blank >= length || text[blank] == '#') {
			;
		} else if (length < sizeof(line)) {
			memcpy(line, text, length);
			line[length] = '\0';
			if (authorized_is_usable(line)) {
				(void)fprintf(f, "%s\n", line);
				n++;
			} else {
				(*ret_left)++;
			}
		} else {
			(*ret_left)++;
		}
		text += length;
		text += strspn(text, "\r\n");
	}
	return n;
}

/* The key itself of a line, behind its options and its type, and its length;
 * NULL when there is none. */
static const char *key_of(const char *line, size_t *ret_n)
{
	size_t end = strcspn(line, "\r\n"), n;

	for (size_t at = 0; at < end; at += n) {
		at += strspn(line + at, " \t");
		n = strcspn(line + at, " \t\r\n");
		if (strncmp(line + at, "AAAA", 4) == 0) {
			*ret_n = n;
			return line + at;
		}
	}
	return NULL;
}

static const char *next_line(const char *text)
{
	text += strcspn(text, "\r\n");
	return text + strspn(text, "\r\n");
}

unsigned authorized_count(const char *kept, const char *offered)
{
	const char *mine, *theirs;
	unsigned count = 0;
	size_t n, k;

	for (; *offered; offered = next_line(offered)) {
		bool found = false;

		mine = key_of(offered, &n);
		for (const char *s = kept; mine && *s && !found;
			s = next_line(s)) {
			theirs = key_of(s, &k);
			found = theirs && k == n &&
				strncmp(mine, theirs, n) == 0;
		}
		count += found;
	}
	return count;
}

bool authorized_adds_up(const char *key)
{
	return strcmp(key, "hostkey") == 0;
}

/* Takes a word, which may be in quotes. NULL behind the last of a line. */
static const char *take_word(const char *s, char *ret, size_t size)
{
	const char *ends = " \t\r\n";
	size_t n;

	s += strspn(s, " \t");
	if (*s == '#' || *s == '\n' || *s == '\r' || !*s)
		return NULL;
	if (*s == '"') {
		s++;
		ends = "\"\r\n";
	}
	n = strcspn(s, ends);
	(void)snprintf(ret, size, "%.*s", (int)MIN(n, size - 1), s);
	if (n >= size)
		ret[0] = '\0';
	return s[n] == '"' ? s + n + 1 : s + n;
}

bool authorized_option(
	const char *text, const char *key, size_t *at, char *ret, size_t size)
{
	size_t seen = 0, n;
	char first[64];

	for (; *text; text += n + (text[n] == '\n')) {
		const char *next = text;

		n = strcspn(text, "\n");
		next += strspn(next, " \t");
		(void)snprintf(first, sizeof(first), "%.*s",
			(int)MIN(strcspn(next, " \t=\r\n"), sizeof(first) - 1),
			next);
		if (strcasecmp(first, "match") == 0)
			return false;
		if (strcasecmp(first, key) != 0)
			continue;
		next += strlen(first);
		next += strspn(next, " \t");
		if (*next == '=')
			next++;
		while ((next = take_word(next, ret, size)))
			if (seen++ == *at) {
				(*at)++;
				return true;
			}
		if (!authorized_adds_up(key))
			return false;
	}
	return false;
}
