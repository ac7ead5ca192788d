/* SPDX-License-Identifier: Apache-2.0 */
#include "move/back.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/rtnetlink.h"
#include "facts/facts.h"
#include "move/ssh_says.h"

/* "192.0.2.5" of "192.0.2.5/24"? */
static bool is_address(const char *with_prefix, const char *address)
{
	size_t n = strlen(address);

	return n > 0 && strncmp(with_prefix, address, n) == 0 &&
	       (with_prefix[n] == '/' || with_prefix[n] == '\0');
}

/* Of what a source says only an address goes on to ssh, which may have a shell
 * see it: as we write it. */
static bool is_link_local(const char *with_prefix, char ret[INET6_ADDRSTRLEN])
{
	char plain[INET6_ADDRSTRLEN];
	struct in6_addr a;
	int n = snprintf(plain, sizeof(plain), "%.*s",
		(int)strcspn(with_prefix, "/"), with_prefix);

	return n < (int)sizeof(plain) && inet_pton(AF_INET6, plain, &a) == 1 &&
	       IN6_IS_ADDR_LINKLOCAL(&a) &&
	       inet_ntop(AF_INET6, &a, ret, INET6_ADDRSTRLEN);
}

/* The interface of the source that has the address by which it is reached, and
 * its link-local one. NULL: none. */
static const char *of_source(const json_t *facts, const char *address,
	char ret_local[INET6_ADDRSTRLEN])
{
	const json_t *i, *a;
	size_t k, n;

	json_array_foreach(facts_at(facts, "network.interfaces"), k, i)
	{
		bool ours = false, local = false;

		json_array_foreach(json_object_get(i, "addresses"), n, a)
		{
			const char *text = json_string_value(a);

			if (!text)
				continue;
			ours = ours || is_address(text, address);
			local = local || is_link_local(text, ret_local);
		}
		if (ours && local && strlen(facts_text(i, "name")) < IFNAMSIZ)
			return facts_text(i, "name");
	}
	return NULL;
}

/* The interface by which packets go to an address without a router. */
static bool own_interface(const char *address, char ret[IF_NAMESIZE])
{
	struct rtnetlink_route way;
	uint8_t bytes[16];
	int family = strchr(address, ':') ? AF_INET6 : AF_INET;

	return inet_pton(family, address, bytes) == 1 &&
	       rtnetlink_way(family, bytes, NULL, 0, false, &way) == 0 &&
	       way.type == RTN_UNICAST && way.n_hops == 1 &&
	       way.hops[0].family == 0 &&
	       if_indextoname(way.hops[0].index, ret) != NULL;
}

static bool own_link_local(const char *name, char ret[INET6_ADDRSTRLEN])
{
	struct ifaddrs *list = NULL;
	bool found = false;

	if (getifaddrs(&list) < 0)
		return false;
	for (struct ifaddrs *i = list; i && !found; i = i->ifa_next) {
		const struct sockaddr_in6 *six = (const void *)i->ifa_addr;

		found = six && six->sin6_family == AF_INET6 &&
			strcmp(i->ifa_name, name) == 0 &&
			IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr) &&
			inet_ntop(AF_INET6, &six->sin6_addr, ret,
				INET6_ADDRSTRLEN);
	}
	freeifaddrs(list);
	return found;
}

int back_find(
	const json_t *source, const struct msg_hello *hello, struct back *ret)
{
	char own[IF_NAMESIZE], local[INET6_ADDRSTRLEN];
	char theirs[INET6_ADDRSTRLEN];
	const char *name = of_source(source, hello->ssh_address, theirs);

	if (!name || !own_interface(hello->ssh_address, own) ||
		!own_link_local(own, local))
		return -ENETUNREACH;
	(void)snprintf(ret->controller, sizeof(ret->controller), "%s%%%.15s",
		local, name);
	(void)snprintf(
		ret->source, sizeof(ret->source), "%s%%%.15s", theirs, own);
	return 0;
}

int back_arguments(const struct place *source, const struct ssh_options *o,
	const char *address, struct back_args *ret)
{
	CLEANUP_FREE char *text = NULL;
	char alias[256], name[256], port[16];
	size_t n = 0, scope;
	bool given;
	int r = ssh_says(source, o, &text);

	if (r < 0)
		return r;
	ssh_value(text, "hostkeyalias", alias, sizeof(alias));
	ssh_value(text, "hostname", name, sizeof(name));
	ssh_value(text, "port", port, sizeof(port));
	given = alias[0] && strcmp(alias, "none") != 0;
	/* ssh expands what begins with a percent sign. */
	scope = strcspn(address, "%");
	(void)snprintf(ret->host, sizeof(ret->host), "HostName=%.*s%s%s",
		(int)scope, address, address[scope] ? "%" : "",
		address + scope);
	/* As ssh itself writes it into known_hosts; an alias has no port. */
	if (given || !port[0] || strcmp(port, "22") == 0)
		(void)snprintf(ret->alias, sizeof(ret->alias),
			"HostKeyAlias=%s", given ? alias : name);
	else
		(void)snprintf(ret->alias, sizeof(ret->alias),
			"HostKeyAlias=[%s]:%s", name, port);
	ret->v[n++] = "-o";
	ret->v[n++] = ret->host;
	ret->v[n++] = "-o";
	ret->v[n++] = ret->alias;
	ret->v[n++] = "-o";
	ret->v[n++] = "ControlPath=none";
	for (const char *const *a = o->args; a && *a && n + 1 < BACK_ARGS; a++)
		ret->v[n++] = *a;
	ret->v[n] = NULL;
	return 0;
}

bool back_answers(const struct place *place, const struct ssh_options *o,
	const char *address, unsigned port, const char *boot_id)
{
	static struct back_args way;
	struct ssh_options direct = *o;
	CLEANUP_FREE char *text = NULL;
	char at[24];
	const char *v[BACK_ARGS + 6] = {
		"-o", "ProxyJump=none", "-o", "ProxyCommand=none", "-o", at};

	(void)snprintf(at, sizeof(at), "Port=%u", port);
	if (!boot_id[0] || back_arguments(place, o, address, &way) < 0)
		return false;
	for (size_t i = 0; way.v[i]; i++)
		v[6 + i] = way.v[i];
	direct.args = v;
	/* Log-in files may say something as well. */
	return ssh_runs(place, &direct, "cat /proc/sys/kernel/random/boot_id",
		       &text) == 0 &&
	       strstr(text, boot_id) != NULL;
}
