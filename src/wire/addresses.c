/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/addresses.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>

/* Of names of interfaces: nothing that means something to a shell. */
#define SCOPE                                                                  \
	"abcdefghijklmnopqrstuvwxyz"                                           \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ"                                           \
	"0123456789._-"

static bool is_address(const char *text)
{
	size_t n = strcspn(text, "%"),
	       scope = text[n] ? strlen(text + n + 1) : 0;
	char plain[INET6_ADDRSTRLEN];
	struct in6_addr ignored;

	if (n >= sizeof(plain) || scope >= IF_NAMESIZE ||
		(text[n] &&
			(scope == 0 || strspn(text + n + 1, SCOPE) != scope)))
		return false;
	memcpy(plain, text, n);
	plain[n] = '\0';
	return inet_pton(AF_INET6, plain, &ignored) == 1 ||
	       (!text[n] && inet_pton(AF_INET, plain, &ignored) == 1);
}

void addresses_keep(struct msg_hello *m)
{
	uint32_t n = 0;

	if (!is_address(m->ssh_address))
		m->ssh_address[0] = '\0';
	if (!is_address(m->ssh_client))
		m->ssh_client[0] = '\0';
	for (uint32_t i = 0; i < m->n_addresses; i++)
		if (is_address(m->addresses[i].text))
			m->addresses[n++] = m->addresses[i];
	m->n_addresses = n;
}
