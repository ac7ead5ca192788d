/* SPDX-License-Identifier: Apache-2.0 */
#include "move/plan_text.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/text.h"

/* The bytes of the character at s (its code in *ret), or 0: no UTF-8. */
static size_t character(const char *s, uint32_t *ret)
{
	return text_character(s, strnlen(s, 4), ret);
}

/* Not what must not be seen, nor YAML's own line ends and what it forbids. */
static bool prints(uint32_t c)
{
	return !text_is_hidden(c) && c != 0xa0 &&
	       !(c >= 0xfff0 && c <= 0xfffb) && (c & 0xfffe) != 0xfffe;
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
