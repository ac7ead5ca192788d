/* SPDX-License-Identifier: Apache-2.0 */
#include "rescue/cmdline.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

#define WORD 256
#define WATCHDOG_MAX (365 * 86400)

static int parse_mac(const char *text, uint8_t ret[6])
{
	char digits[13];

	if (strlen(text) != 17)
		return -EINVAL;
	for (int i = 0; i < 6; i++) {
		memcpy(digits + i * 2, text + i * 3, 2);
		if (i < 5 && text[i * 3 + 2] != ':')
			return -EINVAL;
	}
	digits[12] = '\0';
	for (char *p = digits; *p; p++)
		if (*p >= 'A' && *p <= 'F')
			*p += 'a' - 'A';
	return parse_unhex(digits, ret, 6);
}

static int parse_ip(const char *text, int family, uint8_t ret[16])
{
	return inet_pton(family, text, ret) == 1 ? 0 : -EINVAL;
}

bool cmdline_is_ip(const char *text)
{
	uint8_t bytes[16];

	return strlen(text) < CMDLINE_TEXT &&
	       (parse_ip(text, AF_INET, bytes) == 0 ||
		       parse_ip(text, AF_INET6, bytes) == 0);
}

/* "ADDRESS/PREFIX" */
static int parse_prefix(char *text, struct cmdline_address *a)
{
	char *slash = strchr(text, '/');
	uint64_t prefix;

	if (!slash || parse_u64(slash + 1, &prefix) < 0)
		return -EINVAL;
	*slash = '\0';
	a->family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (prefix > (a->family == AF_INET6 ? 128 : 32))
		return -EINVAL;
	a->prefix = (uint32_t)prefix;
	return parse_ip(text, a->family, a->address);
}

/* "KEY=VALUE" behind the first comma. */
static int parse_option(const char *text, struct cmdline_address *a)
{
	uint64_t mtu;

	if (strncmp(text, "mtu=", 4) == 0 && a->mtu == 0) {
		if (parse_u64(text + 4, &mtu) < 0 || mtu < CMDLINE_MTU_MIN ||
			mtu > CMDLINE_MTU_MAX)
			return -EINVAL;
		a->mtu = (uint32_t)mtu;
		return 0;
	}
	if (strncmp(text, "gw=", 3) == 0 && a->family != AF_UNSPEC &&
		!a->has_gateway) {
		a->has_gateway = true;
		return parse_ip(text + 3, a->family, a->gateway);
	}
	if (a->has_mac || a->dev[0])
		return -EINVAL;
	if (strncmp(text, "mac=", 4) == 0) {
		a->has_mac = true;
		return parse_mac(text + 4, a->mac);
	}
	if (strncmp(text, "dev=", 4) == 0) {
		text += 4;
		if (!text[0] || strlen(text) >= sizeof(a->dev))
			return -EINVAL;
		/* It is looked for, and shown. */
		for (const char *p = text; *p; p++)
			if (*p <= ' ' || *p > '~' || *p == '/')
				return -EINVAL;
		(void)snprintf(a->dev, sizeof(a->dev), "%s", text);
		return 0;
	}
	return -EINVAL;
}

int cmdline_parse_address(const char *text, struct cmdline_address *ret)
{
	struct cmdline_address a = {.family = AF_UNSPEC};
	char copy[WORD], *next = copy, *part;
	int r = 0;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	(void)snprintf(copy, sizeof(copy), "%s", text);
	part = strsep(&next, ",");
	if (strcmp(part, "dhcp") != 0)
		r = parse_prefix(part, &a);
	while (r == 0 && (part = strsep(&next, ",")))
		r = parse_option(part, &a);
	if (r == 0)
		*ret = a;
	return r;
}

int cmdline_parse_route(const char *text, struct cmdline_address *ret)
{
	struct cmdline_address a;
	int r = cmdline_parse_address(text, &a);

	if (r < 0 || !a.has_gateway || a.mtu > 0)
		return -EINVAL;
	*ret = a;
	return 0;
}

static int take_word(const char *word, struct cmdline *c)
{
	uint64_t seconds, port;

	if (strncmp(word, "rehost.ip=", 10) == 0) {
		if (c->n_addresses == CMDLINE_ADDRESSES ||
			cmdline_parse_address(
				word + 10, &c->addresses[c->n_addresses]) < 0)
			return -EINVAL;
		c->n_addresses++;
		return 0;
	}
	if (strncmp(word, "rehost.route=", 13) == 0) {
		if (c->n_routes == CMDLINE_ROUTES ||
			cmdline_parse_route(
				word + 13, &c->routes[c->n_routes]) < 0)
			return -EINVAL;
		c->n_routes++;
		return 0;
	}
	if (strncmp(word, "rehost.dns=", 11) == 0) {
		if (c->n_dns == CMDLINE_DNS || !cmdline_is_ip(word + 11))
			return -EINVAL;
		/* What is an address fits. */
		memcpy(c->dns[c->n_dns], word + 11,
			MIN(strlen(word + 11), CMDLINE_TEXT - (size_t)1));
		c->n_dns++;
		return 0;
	}
	if (strncmp(word, "rehost.watchdog=", 16) == 0) {
		if (parse_u64(word + 16, &seconds) < 0 ||
			seconds > WATCHDOG_MAX)
			return -EINVAL;
		c->watchdog = (uint32_t)seconds;
		return 0;
	}
	if (strncmp(word, "rehost.port=", 12) == 0) {
		if (parse_u64(word + 12, &port) < 0 || port == 0 ||
			port > 65535)
			return -EINVAL;
		c->port = (uint32_t)port;
		return 0;
	}
	if (strncmp(word, "rehost.id=", 10) == 0)
		return 0;
	return strncmp(word, "rehost.", 7) == 0 ? -EINVAL : 0;
}

void cmdline_parse(
	const char *text, struct cmdline *ret, char *bad, size_t size)
{
	memset(ret, 0, sizeof(*ret));
	ret->port = CMDLINE_PORT;
	bad[0] = '\0';
	for (;;) {
		char word[WORD];
		size_t n;

		text += strspn(text, " \t\n");
		n = strcspn(text, " \t\n");
		if (n == 0)
			break;
		(void)snprintf(word, sizeof(word), "%.*s",
			(int)MIN(n, sizeof(word) - 1), text);
		text += n;
		/* Words that are not ours may be of any length. */
		if ((n >= sizeof(word) && strncmp(word, "rehost.", 7) == 0) ||
			take_word(word, ret) < 0) {
			if (!bad[0])
				(void)snprintf(bad, size, "%s", word);
		}
	}
	/* With nothing else there is DHCP everywhere: family 0, anywhere. */
	if (ret->n_addresses == 0)
		ret->n_addresses = 1;
}
