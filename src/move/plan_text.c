/* SPDX-License-Identifier: Apache-2.0 */
#include "move/plan_text.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

/* The bytes of the character at s (its code in *ret), or 0: no UTF-8. */
static size_t character(const char *s, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t *b = (const uint8_t *)s;
	size_t n = b[0] < 0x80	 ? 1
		   : b[0] < 0xc0 ? 0
		   : b[0] < 0xe0 ? 2
		   : b[0] < 0xf0 ? 3
		   : b[0] < 0xf8 ? 4
				 : 0;
	uint32_t c = n > 1 ? b[0] & (0x7fU >> n) : b[0];

	for (size_t i = 1; i < n; i++) {
		if ((b[i] & 0xc0) != 0x80) /* also the end of the string */
			return 0;
		c = c << 6 | (b[i] & 0x3f);
	}
	if (n == 0 || c < least[n] || c > 0x10ffff ||
		(c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return n;
}

/* YAML's own line ends and what it forbids, and what would let a text look like
 * another: no break, no mark of direction, nothing without width. */
static bool prints(uint32_t c)
{
	return c >= 0x20 && c != 0x7f && !(c >= 0x80 && c <= 0xa0) &&
	       c != 0xad && c != 0x61c && !(c >= 0x200b && c <= 0x200f) &&
	       !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2060 && c <= 0x206f) &&
	       c != 0xfeff && !(c >= 0xfff0 && c <= 0xfffb) &&
	       (c & 0xfffe) != 0xfffe && !(c >= 0xe0000 && c <= 0xe0fff);
}

bool plan_text_is_utf8(const char *s)
{
	uint32_t c;
	size_t n;

	for (; *s; s += n) {
		n = character(s, &c);
		if (n == 0)
			return false;
	}
	return true;
}

static bool is_plain(const char *s)
{
	static const char *const words[] = {
		"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t n = strlen(s);

	/* Nothing that begins with a letter or slash is a number, not even
	 * 52:54:00, which YAML 1.1 counts in sixties. */
	if (n == 0 || (!strchr(letters, s[0]) && s[0] != '/') ||
		s[n - 1] == ':')
		return false;
	for (const char *at = s; *at; at++)
		if (!strchr(letters, *at) && !strchr("0123456789/._@:-", *at))
			return false;
	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		if (strcasecmp(s, words[i]) == 0)
			return false;
	return true;
}

void plan_text_scalar(FILE *f, const char *s)
{
	uint32_t c;
	size_t n;

	if (is_plain(s)) {
		(void)fputs(s, f);
		return;
	}
	(void)fputc('"', f);
	for (; *s; s += n) {
		n = character(s, &c);
		if (n == 0) {
			(void)fprintf(f, "\\\\x%02x", (uint8_t)*s);
			n = 1;
		} else if (c == '"' || c == '\\') {
			(void)fprintf(f, "\\%c", (char)c);
		} else if (c == '\n') {
			(void)fputs("\\n", f);
		} else if (c == '\t') {
			(void)fputs("\\t", f);
		} else if (prints(c)) {
			(void)fwrite(s, 1, n, f);
		} else {
			(void)fprintf(f, c > 0xffff ? "\\U%08X" : "\\u%04X", c);
		}
	}
	(void)fputc('"', f);
}

void plan_text_visible(FILE *f, const char *s, size_t max)
{
	const char *end = s + strnlen(s, max);
	uint32_t c;
	size_t n;

	for (; s < end; s += n) {
		n = character(s, &c);
		if (n == 0) {
			(void)fprintf(f, "\\x%02x", (uint8_t)*s);
			n = 1;
		} else if (n > (size_t)(end - s)) {
			break;
		} else if (prints(c)) {
			(void)fwrite(s, 1, n, f);
		} else if (c < 0x80) {
			(void)fprintf(f, "\\x%02x", c);
		} else {
			(void)fprintf(f, "\\u%04x", c);
		}
	}
	if (*s)
		(void)fputs("…", f);
}

void plan_text_comment(FILE *f, unsigned indent, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		CLEANUP_FREE char *line = strndup(text, n);

		if (!line)
			return; /* only a comment */
		(void)fprintf(f, "%*s#%s", (int)indent, "", n ? " " : "");
		plan_text_visible(f, line, n);
		(void)fputc('\n', f);
		text += n + (text[n] == '\n');
	}
}
