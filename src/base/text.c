/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <string.h>

#include "base/cleanup.h"

size_t text_character(const char *s, size_t n, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t *b = (const uint8_t *)s;
	size_t k;
	uint32_t c;

	if (n == 0)
		return 0;
	k = b[0] < 0x80	  ? 1
	    : b[0] < 0xc2 ? 0
	    : b[0] < 0xe0 ? 2
	    : b[0] < 0xf0 ? 3
	    : b[0] < 0xf5 ? 4
			  : 0;
	if (k == 0 || k > n)
		return 0;
	c = k == 1 ? b[0] : b[0] & (0x7fU >> k);
	for (size_t i = 1; i < k; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (b[i] & 0x3f);
	}
	if (c < least[k] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*ret = c;
	return k;
}

bool text_is_hidden(uint32_t c)
{
	static const uint32_t ranges[][2] = {{0, 0x1f}, {0x7f, 0x9f},
		{0xad, 0xad}, {0x61c, 0x61c}, {0x200b, 0x200f},
		{0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff},
		{0xfff9, 0xfffb}, {0xe0000, 0xe0fff}};

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
		if (c >= ranges[i][0] && c <= ranges[i][1])
			return true;
	return false;
}

void text_clean(char *s)
{
	char *to = s;
	uint32_t c;

	while (*s) {
		size_t n = text_character(s, strnlen(s, 4), &c);
		bool shown = n > 0 &&
			     (*s == '\n' || *s == '\t' || !text_is_hidden(c));

		if (shown)
			memmove(to, s, n);
		else
			*to = '?';
		to += shown ? n : 1;
		s += n > 0 ? n : 1;
	}
	*to = '\0';
}
