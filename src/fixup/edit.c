/* SPDX-License-Identifier: Apache-2.0 */
#include "fixup/edit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define SAID_MAX 512
/* Enough for people; a hostile file could make more. */
#define SAID_LINES_MAX 256

void edit_done(struct edit *e)
{
	free(e->text);
	json_decref(e->said);
	*e = (struct edit){0};
}

void edit_add(struct edit *e, const char *s, size_t n)
{
	if (e->oom)
		return;
	if (e->n + n + 1 > e->size) {
		size_t size = 2 * (e->n + n) + 64;
		char *grown = realloc(e->text, size);

		if (!grown) {
			e->oom = true;
			return;
		}
		e->text = grown;
		e->size = size;
	}
	memcpy(e->text + e->n, s, n);
	e->n += n;
	e->text[e->n] = '\0';
}

void edit_text(struct edit *e, const char *s)
{
	edit_add(e, s, strlen(s));
}

void edit_put(struct edit *e, const char *format, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0) {
		e->oom = true;
		text = NULL;
	}
	va_end(ap);
	if (text)
		edit_text(e, text);
	free(text);
}

const char *edit_string(const struct edit *e)
{
	return e->text ? e->text : "";
}

void edit_say(struct edit *e, const char *format, ...)
{
	char text[SAID_MAX];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	text_clean(text);
	if (!e->said)
		e->said = json_array();
	if (json_array_size(e->said) >= SAID_LINES_MAX)
		return;
	if (json_array_append_new(e->said, json_string(text)) < 0)
		e->oom = true;
}

bool edit_next(const char **at, struct edit_line *ret)
{
	const char *end = strchrnul(*at, '\n');
	size_t n = (size_t)(end - *at);

	if (**at == '\0')
		return false;
	ret->raw = *at;
	ret->n = n + (*end == '\n');
	*at += ret->n;
	if (n > 0 && ret->raw[n - 1] == '\r')
		n--;
	ret->huge = n > EDIT_LINE_MAX;
	if (ret->huge)
		n = 0;
	memcpy(ret->text, ret->raw, n);
	ret->text[n] = '\0';
	return true;
}

void edit_pass(struct edit *e, const struct edit_line *l)
{
	edit_add(e, l->raw, l->n);
}

void edit_splice(struct edit *e, const struct edit_line *l, size_t at, size_t n,
	const char *with)
{
	edit_add(e, l->raw, at);
	edit_text(e, with);
	edit_add(e, l->raw + at + n, l->n - at - n);
}

size_t edit_word(const char *text, size_t *at, size_t *ret_from)
{
	size_t n;

	*at += strspn(text + *at, " \t\r");
	*ret_from = *at;
	n = strcspn(text + *at, " \t\r");
	*at += n;
	return n;
}

bool edit_is_word(const char *text, size_t from, size_t n, const char *word)
{
	return strlen(word) == n && strncmp(text + from, word, n) == 0;
}

bool edit_pair(const char *text, struct edit_pair *ret)
{
	size_t from = strspn(text, " \t"), end, equals;
	char quote;

	if (text[from] == '#' || text[from] == ';')
		return false;
	equals = from + strcspn(text + from, "=");
	if (text[equals] != '=' || equals == from)
		return false;
	for (end = equals; end > from && strchr(" \t", text[end - 1]);)
		end--;
	ret->key = from;
	ret->key_n = end - from;
	from = equals + 1;
	from += strspn(text + from, " \t");
	end = strlen(text);
	while (end > from && strchr(" \t", text[end - 1]))
		end--;
	quote = text[from];
	if (end - from >= 2 && (quote == '"' || quote == '\'') &&
		text[end - 1] == quote) {
		from++;
		end--;
	}
	ret->value = from;
	ret->value_n = end - from;
	return true;
}

bool edit_is_key(const char *text, const struct edit_pair *p, const char *key)
{
	return edit_is_word(text, p->key, p->key_n, key);
}

bool edit_section(const char *text, char *buf, size_t size)
{
	size_t from = strspn(text, " \t"), n;

	if (text[from] != '[')
		return false;
	n = strcspn(text + from + 1, "]");
	if (text[from + 1 + n] != ']')
		return false;
	(void)snprintf(buf, size, "%.*s", (int)n, text + from + 1);
	return true;
}
