/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/secrets.h"

#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

/* Puts the mark for n bytes; where what follows is then. */
static char *cover(char *at, size_t n)
{
	if (n == 0)
		return at;
	*at++ = SECRETS_MARK[0];
	memmove(at, at + n - 1, strlen(at + n - 1) + 1);
	return at;
}

/* How long a word is, up to a separator that is not in quotes. */
static size_t word_length(const char *s, const char *separators)
{
	bool quoted = false;
	size_t n = 0;

	for (; s[n] && (quoted || !strchr(separators, s[n])); n++)
		quoted = quoted != (s[n] == '"');
	return n;
}

static bool ends(const char *s, size_t n, const char *with)
{
	size_t k = strlen(with);

	return n >= k && strncasecmp(s + n - k, with, k) == 0;
}

/* Whether a key is called like a secret, also with a number behind. */
static bool is_secret(const char *key, size_t n)
{
	static const char *const names[] = {"password", "passwd", "passphrase",
		"passcode", "pass", "rootpw", "secret", "token", "psk", "pin",
		"credential", "credential_binary", "apikey", "api_key",
		"access_key", "accesskey", "secretkey", "auth_key", "authkey",
		"wep-key"};

	while (n > 0 && key[n - 1] >= '0' && key[n - 1] <= '9')
		n--;
	if (ends(key, n, "bypass"))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (ends(key, n, names[i]))
			return true;
	return false;
}

/* Of "user:secret@host", where no slash is in between; returns the end of the
 * word, which moves. */
static char *hide_user(char *word, char *end)
{
	char *iscsi = memmem(word, (size_t)(end - word), "iscsi:", 6);

	for (char *from = word; from < end;) {
		char *slash = memchr(from, '/', (size_t)(end - from));
		char *to = slash && !iscsi ? slash : end;
		char *at = memrchr(from, '@', (size_t)(to - from));
		char *colon =
			at ? memchr(from, ':', (size_t)(at - from)) : NULL;

		if (colon && iscsi && iscsi < at)
			colon = iscsi + 5;
		if (colon) {
			char *behind =
				cover(colon + 1, (size_t)(at - colon - 1));

			end -= at - behind;
			to -= at - behind;
		}
		from = to + 1;
	}
	return end;
}

/* Covers what is behind "pin-value=" wherever it stands. */
static char *hide_pin(char *word, char *end)
{
	static const char key[] = "pin-value=";
	char *at = word;

	while ((at = memmem(at, (size_t)(end - at), key, sizeof(key) - 1))) {
		char *value = at + sizeof(key) - 1;
		size_t n = strcspn(value, ";&?");

		n = MIN(n, (size_t)(end - value));
		at = cover(value, n);
		end -= value + n - at;
	}
	return end;
}

/* Returns the end of the word, which moves. */
static char *hide_word(char *word, size_t n)
{
	char *end = word + n, *equal = memchr(word, '=', n), *percent;
	size_t key = equal ? (size_t)(equal - word) : 0;

	if (equal && is_secret(word + (*word == '"'), key - (*word == '"')))
		return cover(equal + 1, (size_t)(end - equal - 1));
	if (equal && (ends(word, key, "user") || ends(word, key, "username"))) {
		percent = memchr(equal, '%', (size_t)(end - equal));
		if (percent)
			return cover(percent + 1, (size_t)(end - percent - 1));
	}
	return hide_user(word, hide_pin(word, end));
}

void secrets_hide(char *text, const char *separators)
{
	while (*text) {
		text = hide_word(text, word_length(text, separators));
		text += *text != '\0';
	}
}

bool secrets_is_key(const char *word)
{
	return word[0] && word[0] != '/' && strcmp(word, "-") != 0 &&
	       strcmp(word, "none") != 0 && strncmp(word, "UUID=", 5) != 0 &&
	       strncmp(word, "LABEL=", 6) != 0 &&
	       strncmp(word, "PARTUUID=", 9) != 0;
}
