/* SPDX-License-Identifier: Apache-2.0 */
/* Text from anywhere as YAML 1.1 that means the same to every reader, and as
 * comments that cannot end early. */
#ifndef REHOST_MOVE_PLAN_TEXT_H
#define REHOST_MOVE_PLAN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

bool plan_text_is_utf8(const char *s);

/* A scalar: plain where nobody could take it for something else, otherwise in
 * double quotes. A byte that is no UTF-8 becomes the four characters \xNN. */
void plan_text_scalar(FILE *f, const char *s);

/* On one line and for eyes only: at most max bytes of s, what does not print or
 * would change the direction of writing as \xNN or \uNNNN. */
void plan_text_visible(FILE *f, const char *s, size_t max);

/* Each line of text as a comment, indented. */
void plan_text_comment(FILE *f, unsigned indent, const char *text);

#endif
