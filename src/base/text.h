/* SPDX-License-Identifier: Apache-2.0 */
/* Text of which nobody knows what is in it, before a person reads it. */
#ifndef REHOST_BASE_TEXT_H
#define REHOST_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes of the UTF-8 character at s, of which n may be read, and its code;
 * 0 when it is none: cut, too long a form, a surrogate, or out of range. */
size_t text_character(const char *s, size_t n, uint32_t *ret);

/* Whether a character must not reach a terminal: control characters, what turns
 * the direction of writing around, and what has no width, so that a text could
 * look like another. */
bool text_is_hidden(uint32_t c);

/* Puts a question mark in the place of what must not reach a terminal, but for
 * newlines and tabs, and of bytes that are no UTF-8. It may become shorter. */
void text_clean(char *s);

#endif
