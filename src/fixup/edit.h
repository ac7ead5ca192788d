/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a text anew, line by line: what is read, what is written, and what is
 * said of the difference. Texts have no NUL within.
 *
 * Memory that runs out is remembered, and seen at the end (oom).
 */
#ifndef REHOST_FIXUP_EDIT_H
#define REHOST_FIXUP_EDIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* A longer line is nobody's, and is passed on as it is. */
#define EDIT_LINE_MAX 8192

struct edit {
	char *text; /* NUL behind it; NULL while empty */
	size_t n, size;
	json_t *said; /* list of texts; NULL while empty */
	/* So much is made anew that the old file is kept aside. */
	bool keep_old;
	bool oom;
};

/* Releases everything; e may be all zero. */
void edit_done(struct edit *e);

void edit_add(struct edit *e, const char *s, size_t n);
void edit_text(struct edit *e, const char *s);
void edit_put(struct edit *e, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* What has been written so far, never NULL. */
const char *edit_string(const struct edit *e);

/* Says what was changed, for people; made printable. */
void edit_say(struct edit *e, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

struct edit_line {
	const char *raw; /* as it stands in the text, n bytes */
	size_t n;	 /* its newline included, if it has one */
	bool huge;	 /* longer than EDIT_LINE_MAX; text is "" */
	/* Without newline and carriage return. */
	char text[EDIT_LINE_MAX + 1];
};

/* The next line; *at moves behind it. False at the end. */
bool edit_next(const char **at, struct edit_line *ret);

/* Writes the line as it is. */
void edit_pass(struct edit *e, const struct edit_line *l);

/* Writes the line with one part of its text, n bytes from at, replaced. */
void edit_splice(struct edit *e, const struct edit_line *l, size_t at, size_t n,
	const char *with);

/* The word that begins at or behind *at, blanks, tabs and carriage returns
 * between (as facts/fstab.h has it): where it begins, and *at moves behind it.
 * Returns its length, 0 at the end. */
size_t edit_word(const char *text, size_t *at, size_t *ret_from);

/* Whether the word at from is this one. */
bool edit_is_word(const char *text, size_t from, size_t n, const char *word);

/* Splits "key=value" (blanks around both allowed, quotes of the value left
 * out): false when it is a comment or has no "=". Lengths within the text. */
struct edit_pair {
	size_t key, key_n, value, value_n;
};
bool edit_pair(const char *text, struct edit_pair *ret);
bool edit_is_key(const char *text, const struct edit_pair *p, const char *key);

/* The name of the section "[name]" that a line begins, cut to the buffer; false
 * when it begins none. */
bool edit_section(const char *text, char *buf, size_t size);

#endif
