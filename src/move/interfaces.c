/* SPDX-License-Identifier: Apache-2.0 */
#include "move/interfaces.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "facts/facts.h"

#define DEPTH 4 /* of what is a part of something else */

bool interfaces_address(const char *text, struct interfaces_address *ret)
{
	char plain[64];

	(void)snprintf(
		plain, sizeof(plain), "%.*s", (int)strcspn(text, "/"), text);
	memset(ret, 0, sizeof(*ret));
	ret->family = strchr(plain, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(ret->family, plain, ret->bytes) != 1)
		return false;
	if (ret->family == AF_INET6)
		return strcmp(plain, "::1") != 0 &&
		       !(ret->bytes[0] == 0xfe &&
			       (ret->bytes[1] & 0xc0) == 0x80);
	return ret->bytes[0] != 127 &&
	       !(ret->bytes[0] == 169 && ret->bytes[1] == 254);
}

bool interfaces_is_same(const char *a, const char *b)
{
	struct interfaces_address x, y;

	return interfaces_address(a, &x) && interfaces_address(b, &y) &&
	       memcmp(&x, &y, sizeof(x)) == 0;
}

const json_t *interfaces_holder(const json_t *list, const json_t *card)
{
	const json_t *j = card, *up;

	for (int d = 0; d < DEPTH; d++) {
		if (json_array_size(json_object_get(j, "addresses")) > 0)
			return j;
		up = facts_named(list, facts_text(j, "master"));
		if (!up)
			break;
		j = up;
	}
	return j;
}

static bool has_mac(const json_t *i, const char *mac)
{
	const char *own = facts_text(i, "permanent_mac");

	/* A VLAN has the address of what it lies on. */
	return strcmp(facts_text(i, "kind"), "vlan") != 0 &&
	       strcasecmp(own[0] ? own : facts_text(i, "mac"), mac) == 0;
}

const json_t *interfaces_card(const json_t *list, const char *mac)
{
	const json_t *i, *found = NULL;
	size_t k;

	/* A bridge has the address of a part of it. */
	json_array_foreach(list, k, i)
	{
		if (has_mac(i, mac) && (!found || facts_text(i, "master")[0]))
			found = i;
	}
	return found;
}

bool interfaces_carries(
	const json_t *list, const char *mac, const json_t *which)
{
	const json_t *i;
	size_t k;

	json_array_foreach(list, k, i)
	{
		const json_t *up = i;

		if (!has_mac(i, mac))
			continue;
		for (int d = 0; up && d < DEPTH; d++) {
			if (up == which)
				return true;
			up = facts_named(list, facts_text(up, "master"));
		}
	}
	return false;
}
