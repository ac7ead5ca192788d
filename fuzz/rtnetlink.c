/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel, or who says that he is it, sends of links, addresses,
 * neighbours and routes. */
#include "fuzz.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "base/rtnetlink.h"

static void address(const uint8_t *body, size_t n)
{
	struct rtnetlink_address a;

	if (rtnetlink_address(body, n, &a) < 0)
		return;
	fuzz_check(a.family == AF_INET || a.family == AF_INET6);
	fuzz_check(a.prefix <= (a.family == AF_INET ? 32 : 128));
}

static void route(const uint8_t *body, size_t n)
{
	struct rtnetlink_route r;

	if (rtnetlink_route(body, n, &r) < 0)
		return;
	fuzz_check(r.family == AF_INET || r.family == AF_INET6);
	fuzz_check(r.prefix <= (r.family == AF_INET ? 32 : 128));
	fuzz_check(r.n_hops >= 1 && r.n_hops <= RTNETLINK_HOPS);
	for (uint32_t i = 0; i < r.n_hops; i++)
		fuzz_check(r.hops[i].family == 0 ||
			   r.hops[i].family == AF_INET ||
			   r.hops[i].family == AF_INET6);
}

static void link_and_neighbour(const uint8_t *body, size_t n)
{
	struct rtnetlink_neighbour e;
	struct rtnetlink_link l;

	if (rtnetlink_link(body, n, &l) == 0)
		fuzz_check(l.index > 0 && l.name[0] &&
			   memchr(l.name, 0, sizeof(l.name)) &&
			   memchr(l.kind, 0, sizeof(l.kind)));
	if (rtnetlink_neighbour(body, n, &e) == 0)
		fuzz_check(e.family == AF_INET || e.family == AF_INET6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const uint8_t *at = data, *body;
	size_t left = n, before, k;
	uint16_t type;
	uint32_t seq;

	for (before = left; rtnetlink_next(&at, &left, &type, &seq, &body, &k);
		before = left) {
		fuzz_check(left < before && body >= data && k <= n &&
			   body + k <= data + n);
		address(body, k);
		route(body, k);
		link_and_neighbour(body, k);
	}
	address(data, n);
	route(data, n);
	link_and_neighbour(data, n);
	return 0;
}
