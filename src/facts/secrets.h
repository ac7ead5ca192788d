/* SPDX-License-Identifier: Apache-2.0 */
/* Facts are sent, shown and kept in files: passwords must not be among them. */
#ifndef REHOST_FACTS_SECRETS_H
#define REHOST_FACTS_SECRETS_H

#include <stdbool.h>

/* What stands for a secret: its length tells something, too. */
#define SECRETS_MARK "*"

/* Puts the mark for each secret among words that these characters separate
 * (double quotes keep a word together): the value of a key that is called like
 * one ("password=", "rd.iscsi.in.password=", "psk=", …), what is behind '%' in
 * a user's name (cifs), behind "pin-value=" (PKCS #11), and between ':' and '@'
 * in "user:secret@host" and "iscsi:user:secret@host". In place. */
void secrets_hide(char *text, const char *separators);

/* The third word of crypttab(5) is a file or device, "-" or "none". Anything
 * else is told to a program, and may be a key: true. */
bool secrets_is_key(const char *word);

#endif
