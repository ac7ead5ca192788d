/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

#include <errno.h>
#include <string.h>

/* Reads digits from *s and moves it past them. */
static int digits(const char **s, uint64_t *ret)
{
	uint64_t v = 0;
	const char *p = *s;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10, &v) ||
			__builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -ERANGE;
	*s = p;
	*ret = v;
	return 0;
}

int parse_u64(const char *s, uint64_t *ret)
{
	uint64_t v;
	int r = digits(&s, &v);

	if (r < 0)
		return r;
	if (*s)
		return -EINVAL;
	*ret = v;
	return 0;
}

int parse_size(const char *s, uint64_t *ret)
{
	static const char suffixes[] = "KMGTP";
	const char *at;
	uint64_t v;
	int r = digits(&s, &v);

	if (r < 0)
		return r;
	if (*s) {
		at = strchr(suffixes, *s);
		if (!at || s[1])
			return -EINVAL;
		if (__builtin_mul_overflow(
			    v, 1ULL << (10 * (at - suffixes + 1)), &v))
			return -ERANGE;
	}
	*ret = v;
	return 0;
}

int parse_duration(const char *s, uint64_t *ret_ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000},
		{"min", 60000}, {"h", 3600000}};
	uint64_t v;
	int r = digits(&s, &v);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(s, units[i].unit) != 0)
			continue;
		if (__builtin_mul_overflow(v, units[i].ms, &v))
			return -ERANGE;
		*ret_ms = v;
		return 0;
	}
	return -EINVAL;
}

bool parse_is_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-");

	return n >= 1 && n <= 63 && !s[n] && *s != '.' && *s != '_' &&
	       *s != '-';
}

void parse_hex(const uint8_t *bytes, uint32_t n, char *out)
{
	static const char hex[] = "0123456789abcdef";

	for (uint32_t i = 0; i < n; i++) {
		out[2 * i] = hex[bytes[i] >> 4];
		out[2 * i + 1] = hex[bytes[i] & 15];
	}
	out[2 * n] = '\0';
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int parse_unhex(const char *s, uint8_t *bytes, uint32_t n)
{
	if (strlen(s) != 2 * (size_t)n)
		return -EINVAL;
	for (uint32_t i = 0; i < n; i++) {
		int hi = nibble(s[2 * i]), lo = nibble(s[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		bytes[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}
