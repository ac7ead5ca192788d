/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs of the network's fence do with single frames, asked of the
 * kernel, which verifies and runs them. */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "track/bpf.h"
#include "track/netfence_code.h"

#define PEER "192.0.2.10"
#define HELD "192.0.2.20" /* to a port */
#define HOP "192.0.2.1"
#define OTHER "192.0.2.66"
#define OWN "192.0.2.5"
#define PEER6 "2001:db8::10"
#define HELD6 "2001:db8::20"
#define HOP6 "fe80::1"
#define OTHER6 "2001:db8::66"
#define LINK6 "fe80::66"
#define OWN6 "2001:db8::5"
/* The multicast group of PEER6 and of OTHER6. */
#define GROUP6 "ff02::1:ff00:10"
#define OTHER_GROUP6 "ff02::1:ff00:66"

/* Also 8.174, where addresses look like it. */
#define PORT 2222

#define NS 135
#define NA 136
#define RA 134

static const uint8_t near_mac[6] = {2, 0, 0, 0, 0, 10};

enum body { RAW, V4, V6, ARP };

struct row {
	const char *name;
	bool pass;
	enum body body;
	const char *from, *to;
	uint8_t protocol, limit; /* limit 0: 64 */
	uint8_t type, code;	 /* of ICMP */
	uint16_t source, port;	 /* in their place, when one is not 0 */
	const char *inner;	 /* where the packet within went; ND's target */
	uint16_t tags[3];	 /* before the type */
	uint16_t ethertype;	 /* 0: that of the body */
	uint16_t fragment;	 /* flags and offset */
	uint8_t ihl;		 /* 0: 5 */
	uint8_t hlen, plen;	 /* of ARP; 0: 6 and 4 */
	uint16_t arp_type;	 /* 0: Ethernet */
	bool mac;		 /* from near_mac */
	uint8_t group;		 /* to 01:80:c2:00:00:XX; 0: unicast */
	uint16_t cut;		 /* bytes behind the last header; 0: all */
};

static const struct row ingress[] = {
	{"a peer", true, V4, PEER, OWN, IPPROTO_TCP},
	{"a stranger", false, V4, OTHER, OWN, IPPROTO_TCP},
	{"a hop is no peer", false, V4, HOP, OWN, IPPROTO_TCP},
	{"a near Ethernet address is no peer", false, V4, OTHER, OWN,
		IPPROTO_TCP, .mac = true},
	{"to a peer, not from one", false, V4, OTHER, PEER, IPPROTO_UDP},
	{"ping of a stranger", false, V4, OTHER, OWN, IPPROTO_ICMP, .type = 8},
	{"ping of a peer", true, V4, PEER, OWN, IPPROTO_ICMP, .type = 8},
	{"a first fragment", true, V4, PEER, OWN, IPPROTO_UDP,
		.fragment = 0x2000},
	{"a later fragment", true, V4, PEER, OWN, IPPROTO_UDP,
		.fragment = 0x0010},
	{"a stranger's fragment", false, V4, OTHER, OWN, IPPROTO_UDP,
		.fragment = 0x0010},
	{"with options", true, V4, PEER, OWN, IPPROTO_TCP, .ihl = 8},
	{"one byte short of a header", false, V4, PEER, OWN, IPPROTO_TCP,
		.cut = 19},
	{"a header alone", true, V4, PEER, OWN, IPPROTO_TCP, .cut = 20},

	{"too big for the way to a peer", true, V4, OTHER, OWN, IPPROTO_ICMP,
		.type = 3, .code = 4, .inner = PEER},
	{"too big for another way", false, V4, OTHER, OWN, IPPROTO_ICMP,
		.type = 3, .code = 4, .inner = OTHER},
	{"unreachable otherwise", false, V4, OTHER, OWN, IPPROTO_ICMP,
		.type = 3, .code = 1, .inner = PEER},
	{"too big, cut", false, V4, OTHER, OWN, IPPROTO_ICMP, .type = 3,
		.code = 4, .inner = PEER, .cut = 47},
	{"too big, a fragment", false, V4, OTHER, OWN, IPPROTO_ICMP, .type = 3,
		.code = 4, .inner = PEER, .fragment = 0x2000},
	{"too big, with options", false, V4, OTHER, OWN, IPPROTO_ICMP,
		.type = 3, .code = 4, .inner = PEER, .ihl = 6},
	{"like too big, but UDP", false, V4, OTHER, OWN, IPPROTO_UDP, .type = 3,
		.code = 4, .inner = PEER},

	{"its port", true, V4, HELD, OWN, IPPROTO_TCP, .port = PORT},
	{"its port, from the same one", true, V4, HELD, OWN, IPPROTO_TCP,
		.source = PORT, .port = PORT},
	{"another port", false, V4, HELD, OWN, IPPROTO_TCP, .source = 50000,
		.port = 80},
	{"another port, from its own", false, V4, HELD, OWN, IPPROTO_TCP,
		.source = PORT, .port = 80},
	{"its port's bytes turned round", false, V4, HELD, OWN, IPPROTO_TCP,
		.port = 0xae08},
	{"port 0", false, V4, HELD, OWN, IPPROTO_TCP, .source = PORT},
	{"a stranger, its port", false, V4, OTHER, OWN, IPPROTO_TCP,
		.port = PORT},
	{"a hop, its port", false, V4, HOP, OWN, IPPROTO_TCP, .port = PORT},
	{"its port, UDP", false, V4, HELD, OWN, IPPROTO_UDP, .port = PORT},
	{"its port, SCTP", false, V4, HELD, OWN, IPPROTO_SCTP, .port = PORT},
	{"ping of one with a port", false, V4, HELD, OWN, IPPROTO_ICMP,
		.type = 8},
	{"IP in IP of one with a port", false, V4, HELD, OWN, IPPROTO_IPIP,
		.port = PORT},
	{"its port, options", true, V4, HELD, OWN, IPPROTO_TCP, .port = PORT,
		.ihl = 15},
	{"another port, options", false, V4, HELD, OWN, IPPROTO_TCP, .port = 80,
		.ihl = 8},
	{"its port in a header too short", false, V4, HELD, "192.0.8.174",
		IPPROTO_TCP, .ihl = 4},
	{"its port, not fragmented", true, V4, HELD, OWN, IPPROTO_TCP,
		.port = PORT, .fragment = 0x4000},
	{"its port, a first fragment", true, V4, HELD, OWN, IPPROTO_TCP,
		.port = PORT, .fragment = 0x2000},
	{"another port, a first fragment", false, V4, HELD, OWN, IPPROTO_TCP,
		.port = 80, .fragment = 0x2000},
	{"like its port, a later fragment", false, V4, HELD, OWN, IPPROTO_TCP,
		.port = PORT, .fragment = 0x2001},
	{"like its port, a last fragment", false, V4, HELD, OWN, IPPROTO_TCP,
		.port = PORT, .fragment = 0x1000},
	{"its port, cut", false, V4, HELD, OWN, IPPROTO_TCP, .port = PORT,
		.cut = 23},
	{"its port and no more", true, V4, HELD, OWN, IPPROTO_TCP, .port = PORT,
		.cut = 24},
	{"its port, in two tags", true, V4, HELD, OWN, IPPROTO_TCP,
		.port = PORT, .tags = {0x88a8, 0x8100}},
	{"another port, in two tags", false, V4, HELD, OWN, IPPROTO_TCP,
		.port = 80, .tags = {0x88a8, 0x8100}},
	{"too big, from one with a port", true, V4, HELD, OWN, IPPROTO_ICMP,
		.type = 3, .code = 4, .inner = HELD},
	{"too big for the way to one with a port", true, V4, OTHER, OWN,
		IPPROTO_ICMP, .type = 3, .code = 4, .inner = HELD},
	{"unreachable otherwise, from one with a port", false, V4, HELD, OWN,
		IPPROTO_ICMP, .type = 3, .code = 3, .inner = HELD},
	{"ARP of one with a port", true, ARP, HELD, OWN},

	{"ARP of a peer", true, ARP, PEER, OWN},
	{"ARP of a hop", true, ARP, HOP, OWN},
	{"ARP of a stranger", false, ARP, OTHER, OWN},
	{"ARP of a neighbour's other address", true, ARP, OTHER, OWN,
		.mac = true},
	{"ARP probe", false, ARP, "0.0.0.0", OWN},
	{"ARP, 8 bytes of hardware", false, ARP, PEER, OWN, .hlen = 8},
	{"ARP, 16 bytes of protocol", false, ARP, PEER, OWN, .plen = 16},
	{"ARP of no Ethernet", false, ARP, PEER, OWN, .arp_type = 32},
	{"ARP of no Ethernet, from a neighbour", false, ARP, PEER, OWN,
		.arp_type = 32, .mac = true},
	{"ARP, 8 bytes of hardware, from a neighbour", false, ARP, PEER, OWN,
		.hlen = 8, .mac = true},
	{"ARP, cut", false, ARP, PEER, OWN, .cut = 27},

	{"a peer, 6", true, V6, PEER6, OWN6, IPPROTO_TCP},
	{"a stranger, 6", false, V6, OTHER6, OWN6, IPPROTO_TCP},
	{"a hop, 6", false, V6, HOP6, OWN6, IPPROTO_TCP},
	{"a header short, 6", false, V6, PEER6, OWN6, IPPROTO_TCP, .cut = 39},
	{"extension headers", true, V6, PEER6, OWN6, IPPROTO_DSTOPTS},
	{"a fragment, 6", true, V6, PEER6, OWN6, IPPROTO_FRAGMENT},
	{"a stranger's extension headers", false, V6, OTHER6, OWN6,
		IPPROTO_DSTOPTS},
	{"echo of a stranger", false, V6, OTHER6, OWN6, IPPROTO_ICMPV6,
		.type = 128},
	{"NS of a peer", true, V6, PEER6, OWN6, IPPROTO_ICMPV6, 255, NS},
	{"NS of a hop", true, V6, HOP6, OWN6, IPPROTO_ICMPV6, 255, NS},
	{"NA of a hop", true, V6, HOP6, OWN6, IPPROTO_ICMPV6, 255, NA},
	{"RA of a hop", true, V6, HOP6, "ff02::1", IPPROTO_ICMPV6, 255, RA},
	{"redirect of a hop", false, V6, HOP6, OWN6, IPPROTO_ICMPV6, 255, 137},
	{"echo of a hop", false, V6, HOP6, OWN6, IPPROTO_ICMPV6, 255, 128},
	{"NS of a hop, from afar", false, V6, HOP6, OWN6, IPPROTO_ICMPV6, 254,
		NS},
	{"NS of a stranger", false, V6, OTHER6, OWN6, IPPROTO_ICMPV6, 255, NS},
	{"NS behind a header", false, V6, HOP6, OWN6, IPPROTO_HOPOPTS, 255, NS},
	{"NS, cut", false, V6, HOP6, OWN6, IPPROTO_ICMPV6, 255, NS, .cut = 47},
	{"NS of a neighbour's other address", true, V6, LINK6, OWN6,
		IPPROTO_ICMPV6, 255, NS, .mac = true},
	{"RA of a stranger", false, V6, LINK6, "ff02::1", IPPROTO_ICMPV6, 255,
		RA},
	{"who has your address", false, V6, "::", GROUP6, IPPROTO_ICMPV6, 255,
		NS},
	{"too big, 6", true, V6, OTHER6, OWN6, IPPROTO_ICMPV6, .type = 2,
		.inner = PEER6},
	{"too big for another, 6", false, V6, OTHER6, OWN6, IPPROTO_ICMPV6,
		.type = 2, .inner = OTHER6},
	{"too big, cut, 6", false, V6, OTHER6, OWN6, IPPROTO_ICMPV6, .type = 2,
		.inner = PEER6, .cut = 87},

	{"its port, 6", true, V6, HELD6, OWN6, IPPROTO_TCP, .port = PORT},
	{"another port, 6", false, V6, HELD6, OWN6, IPPROTO_TCP, .source = PORT,
		.port = 80},
	{"its port, UDP, 6", false, V6, HELD6, OWN6, IPPROTO_UDP, .port = PORT},
	{"a stranger, its port, 6", false, V6, OTHER6, OWN6, IPPROTO_TCP,
		.port = PORT},
	{"its port, cut, 6", false, V6, HELD6, OWN6, IPPROTO_TCP, .port = PORT,
		.cut = 43},
	{"its port and no more, 6", true, V6, HELD6, OWN6, IPPROTO_TCP,
		.port = PORT, .cut = 44},
	{"like its port, extension header", false, V6, HELD6, OWN6,
		IPPROTO_DSTOPTS, .port = PORT},
	{"like its port, a fragment, 6", false, V6, HELD6, OWN6,
		IPPROTO_FRAGMENT, .source = IPPROTO_TCP << 8, .port = PORT},
	{"its port, a tag, 6", true, V6, HELD6, OWN6, IPPROTO_TCP, .port = PORT,
		.tags = {0x8100}},
	{"echo of one with a port", false, V6, HELD6, OWN6, IPPROTO_ICMPV6,
		.type = 128},
	{"NS of one with a port", true, V6, HELD6, OWN6, IPPROTO_ICMPV6, 255,
		NS},
	{"NA of one with a port", true, V6, HELD6, OWN6, IPPROTO_ICMPV6, 255,
		NA},
	{"too big, from one with a port, 6", true, V6, HELD6, OWN6,
		IPPROTO_ICMPV6, .type = 2, .inner = HELD6},
	{"too big for the way to one with a port, 6", true, V6, OTHER6, OWN6,
		IPPROTO_ICMPV6, .type = 2, .inner = HELD6},

	{"a tag", true, V4, PEER, OWN, IPPROTO_TCP, .tags = {0x8100}},
	{"a tag, a stranger", false, V4, OTHER, OWN, IPPROTO_TCP,
		.tags = {0x8100}},
	{"two tags", true, V6, PEER6, OWN6, IPPROTO_TCP,
		.tags = {0x88a8, 0x8100}},
	{"two tags, a stranger", false, V6, OTHER6, OWN6, IPPROTO_TCP,
		.tags = {0x88a8, 0x8100}},
	{"ARP in two tags", true, ARP, HOP, OWN, .tags = {0x8100, 0x8100}},
	{"ARP in two tags, a stranger", false, ARP, OTHER, OWN,
		.tags = {0x8100, 0x8100}},
	{"three tags", false, V4, PEER, OWN, IPPROTO_TCP,
		.tags = {0x88a8, 0x8100, 0x8100}},
	{"a tag of no use", false, V4, PEER, OWN, IPPROTO_TCP,
		.tags = {0x9100}},
	{"too big, in a tag", true, V4, OTHER, OWN, IPPROTO_ICMP, .type = 3,
		.code = 4, .inner = PEER, .tags = {0x8100}},
	{"NS of a hop, in two tags", true, V6, HOP6, OWN6, IPPROTO_ICMPV6, 255,
		NS, .tags = {0x88a8, 0x8100}},
	{"a tag and no more", false, RAW, .tags = {0x8100}, .ethertype = 0x800},

	{"LACP", true, RAW, .ethertype = 0x8809, .group = 2},
	{"spanning tree", true, RAW, .ethertype = 38, .group = 0x10},
	{"a port's log-in", true, RAW, .ethertype = 0x888e, .group = 3},
	{"beyond the group", false, RAW, .ethertype = 0x8809, .group = 0x11},
	{"IP to the group", false, V4, OTHER, OWN, IPPROTO_UDP, .group = 2},
	{"ARP to the group", false, ARP, OTHER, OWN, .group = 2},
	{"the group, in a tag", false, RAW, .ethertype = 0x8809, .group = 2,
		.tags = {0x8100}},
	{"LACP to this machine alone", false, RAW, .ethertype = 0x8809},
	{"LLDP elsewhere", false, RAW, .ethertype = 0x88cc},
	{"MPLS", false, V4, PEER, OWN, IPPROTO_TCP, .ethertype = 0x8847},
	{"PPPoE", false, V4, PEER, OWN, IPPROTO_TCP, .ethertype = 0x8864},
	{"IPv6 that says it is IPv4", false, V6, OTHER6, OWN6, IPPROTO_TCP,
		.ethertype = 0x0800},
};

static const struct row egress[] = {
	{"to a peer", true, V4, OWN, PEER, IPPROTO_TCP},
	{"to a stranger", false, V4, OWN, OTHER, IPPROTO_TCP},
	{"to a hop", false, V4, OWN, HOP, IPPROTO_UDP},
	{"from a peer's address", false, V4, PEER, OTHER, IPPROTO_UDP},
	{"to all", false, V4, OWN, "255.255.255.255", IPPROTO_UDP},
	{"to a group", false, V4, OWN, "224.0.0.18", 112},
	{"to a peer, 6", true, V6, OWN6, PEER6, IPPROTO_TCP},
	{"to a peer, extension header", true, V6, OWN6, PEER6, IPPROTO_HOPOPTS},
	{"to a stranger, 6", false, V6, OWN6, OTHER6, IPPROTO_UDP},
	{"to a hop, 6", false, V6, OWN6, HOP6, IPPROTO_UDP},
	{"NS for a peer", true, V6, OWN6, GROUP6, IPPROTO_ICMPV6, 255, NS,
		.inner = PEER6},
	{"NS for a hop", true, V6, OWN6, "ff02::1:ff00:1", IPPROTO_ICMPV6, 255,
		NS, .inner = HOP6},
	{"NS for a stranger", false, V6, OWN6, OTHER_GROUP6, IPPROTO_ICMPV6,
		255, NS, .inner = OTHER6},
	{"NS to a hop", true, V6, OWN6, HOP6, IPPROTO_ICMPV6, 255, NS,
		.inner = HOP6},
	{"NA to a hop", true, V6, OWN6, HOP6, IPPROTO_ICMPV6, 255, NA,
		.inner = OWN6},
	{"NA to a link-local one", true, V6, OWN6, LINK6, IPPROTO_ICMPV6, 255,
		NA, .inner = OWN6},
	{"NA to a stranger", false, V6, OWN6, OTHER6, IPPROTO_ICMPV6, 255, NA,
		.inner = OWN6},
	{"NA to all", false, V6, OWN6, "ff02::1", IPPROTO_ICMPV6, 255, NA,
		.inner = OWN6},
	{"NA for a peer, to all", false, V6, OWN6, "ff02::1", IPPROTO_ICMPV6,
		255, NA, .inner = PEER6},
	{"NS with another limit", false, V6, OWN6, GROUP6, IPPROTO_ICMPV6, 64,
		NS, .inner = PEER6},
	{"RS", false, V6, OWN6, "ff02::2", IPPROTO_ICMPV6, 255, 133},
	{"NS, cut", false, V6, OWN6, GROUP6, IPPROTO_ICMPV6, 255, NS,
		.inner = PEER6, .cut = 63},
	{"echo to a link-local one", false, V6, OWN6, LINK6, IPPROTO_ICMPV6,
		255, 128},
	{"from its port", true, V4, OWN, HELD, IPPROTO_TCP, .source = PORT},
	{"from its port to another", true, V4, OWN, HELD, IPPROTO_TCP,
		.source = PORT, .port = 50000},
	{"from another port", false, V4, OWN, HELD, IPPROTO_TCP, .source = 80,
		.port = PORT},
	{"from port 0", false, V4, OWN, HELD, IPPROTO_TCP, .port = PORT},
	{"from its port, to a stranger", false, V4, OWN, OTHER, IPPROTO_TCP,
		.source = PORT},
	{"from its port, UDP", false, V4, OWN, HELD, IPPROTO_UDP,
		.source = PORT},
	{"a ping to one with a port", false, V4, OWN, HELD, IPPROTO_ICMP,
		.type = 8},
	{"from its port, options", true, V4, OWN, HELD, IPPROTO_TCP,
		.source = PORT, .ihl = 15},
	{"from another port, options", false, V4, OWN, HELD, IPPROTO_TCP,
		.source = 80, .ihl = 8},
	{"from its port in a header too short", false, V4, "8.174.0.2", HELD,
		IPPROTO_TCP, .ihl = 3},
	{"from its port, a first fragment", true, V4, OWN, HELD, IPPROTO_TCP,
		.source = PORT, .fragment = 0x2000},
	{"like from its port, a fragment", false, V4, OWN, HELD, IPPROTO_TCP,
		.source = PORT, .fragment = 0x1000},
	{"from its port, cut", false, V4, OWN, HELD, IPPROTO_TCP,
		.source = PORT, .cut = 21},
	{"from its port, 6", true, V6, OWN6, HELD6, IPPROTO_TCP,
		.source = PORT},
	{"from another port, 6", false, V6, OWN6, HELD6, IPPROTO_TCP,
		.source = 80, .port = PORT},
	{"from its port, UDP, 6", false, V6, OWN6, HELD6, IPPROTO_UDP,
		.source = PORT},
	{"like from its port, extension header", false, V6, OWN6, HELD6,
		IPPROTO_HOPOPTS, .source = PORT},
	{"from its port, cut, 6", false, V6, OWN6, HELD6, IPPROTO_TCP,
		.source = PORT, .cut = 41},
	{"an echo to one with a port", false, V6, OWN6, HELD6, IPPROTO_ICMPV6,
		.type = 128},
	{"NS to one with a port", true, V6, OWN6, HELD6, IPPROTO_ICMPV6, 255,
		NS, .inner = HELD6},
	{"NS for one with a port", true, V6, OWN6, "ff02::1:ff00:20",
		IPPROTO_ICMPV6, 255, NS, .inner = HELD6},
	{"NA to one with a port", true, V6, OWN6, HELD6, IPPROTO_ICMPV6, 255,
		NA, .inner = OWN6},
	{"no IP", false, V4, OWN, PEER, IPPROTO_TCP, .ethertype = 0x88cc},
};

/* ---- frames ---- */

struct frame {
	uint8_t bytes[256];
	uint32_t n;
};

static void put(struct frame *f, const void *bytes, uint32_t n)
{
	assert_true(f->n + n <= sizeof(f->bytes));
	memcpy(f->bytes + f->n, bytes, n);
	f->n += n;
}

static void put_number(struct frame *f, uint32_t value, uint32_t bytes)
{
	uint32_t k = htonl(value << 8 * (4 - bytes));

	put(f, &k, bytes);
}

static void put_address(struct frame *f, int family, const char *text)
{
	uint8_t bytes[16];

	assert_int_equal(inet_pton(family, text, bytes), 1);
	put(f, bytes, family == AF_INET ? 4 : 16);
}

/* What follows the header. */
static void put_start(struct frame *f, const struct row *r)
{
	put_number(
		f, r->source ? r->source : (uint32_t)r->type << 8 | r->code, 2);
	put_number(f, r->port, 2);
	put_number(f, 0, 4);
}

static void put_ipv4(struct frame *f, const struct row *r)
{
	uint8_t ihl = r->ihl ? r->ihl : 5;

	put_number(f, 0x4000U | (uint32_t)ihl << 8, 2);
	put_number(f, 200, 2);
	put_number(f, 7, 2);
	put_number(f, r->fragment, 2);
	put_number(f, 64, 1);
	put_number(f, r->protocol, 1);
	put_number(f, 0, 2);
	put_address(f, AF_INET, r->from);
	put_address(f, AF_INET, r->to);
	for (int i = 5; i < ihl; i++)
		put_number(f, 0, 4);
	put_start(f, r);
	if (r->inner) {
		struct row within = {
			.from = OWN, .to = r->inner, .protocol = 6};

		put_ipv4(f, &within);
	}
}

static void put_ipv6(struct frame *f, const struct row *r)
{
	put_number(f, 0x60000000, 4);
	put_number(f, 100, 2);
	put_number(f, r->protocol, 1);
	put_number(f, r->limit ? r->limit : 64, 1);
	put_address(f, AF_INET6, r->from);
	put_address(f, AF_INET6, r->to);
	put_start(f, r);
	if (r->inner && r->type == 2) {
		struct row within = {
			.from = OWN6, .to = r->inner, .protocol = 6};

		put_ipv6(f, &within);
	} else if (r->inner) {
		put_address(f, AF_INET6, r->inner);
	} else if (r->type >= RA) {
		put_address(f, AF_INET6, OWN6);
	}
}

static void put_arp(struct frame *f, const struct row *r)
{
	put_number(f, r->arp_type ? r->arp_type : 1, 2);
	put_number(f, 0x0800, 2);
	put_number(f, r->hlen ? r->hlen : 6, 1);
	put_number(f, r->plen ? r->plen : 4, 1);
	put_number(f, 1, 2);
	put(f, near_mac, 6);
	put_address(f, AF_INET, r->from);
	put(f, "\0\0\0\0\0\0", 6);
	put_address(f, AF_INET, r->to);
}

static void make(struct frame *f, const struct row *r)
{
	static const uint8_t own[6] = {2, 0, 0, 0, 0, 5};
	static const uint8_t other[6] = {2, 0, 0, 0, 0, 66};
	static const uint16_t types[] = {0, 0x0800, 0x86dd, 0x0806};
	uint8_t group[6] = {1, 0x80, 0xc2, 0, 0, r->group};
	uint32_t head;

	/* 0 means unicast in a row, so the first of the group is 0x10. */
	if (r->group == 0x10)
		group[5] = 0;
	else if (r->group == 0x11)
		group[5] = 0x10;
	memset(f, 0, sizeof(*f));
	put(f, r->group ? group : own, 6);
	put(f, r->mac ? near_mac : other, 6);
	for (size_t i = 0; i < ARRAY_LEN(r->tags) && r->tags[i]; i++) {
		put_number(f, r->tags[i], 2);
		put_number(f, 5, 2);
	}
	put_number(f, r->ethertype ? r->ethertype : types[r->body], 2);
	head = f->n;
	if (r->body == V4)
		put_ipv4(f, r);
	else if (r->body == V6)
		put_ipv6(f, r);
	else if (r->body == ARP)
		put_arp(f, r);
	if (r->cut) {
		assert_true(head + r->cut < f->n);
		f->n = head + r->cut;
	}
}

/* ---- programs ---- */

static int map = -1, in = -1, out = -1;
static uint32_t device;

static void allow(uint32_t family, const char *text, uint32_t value)
{
	struct netfence_key key = {.family = family};

	if (family == NETFENCE_KEY_MAC)
		memcpy(key.bytes, near_mac, 6);
	else
		assert_int_equal(
			inet_pton(family == NETFENCE_KEY_IPV4 ? AF_INET
							      : AF_INET6,
				text, key.bytes),
			1);
	assert_int_equal(bpf_set(map, &key, &value), 0);
}

static int setup(void **state)
{
	struct bpf_insn v[NETFENCE_CODE_MAX];

	if (geteuid() != 0) {
		print_message("wants root\n");
		return -1;
	}
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(system("ip link add t0 type veth peer name t1"), 0);
	device = if_nametoindex("t0");
	map = bpf_new_map("test", sizeof(struct netfence_key), 4, 16);
	assert_true(map >= 0);
	in = bpf_load("test_in", BPF_PROG_TYPE_XDP, BPF_XDP, v,
		netfence_code_ingress(map, v));
	assert_true(in >= 0);
	out = bpf_load("test_out", BPF_PROG_TYPE_CGROUP_SKB,
		BPF_CGROUP_INET_EGRESS, v, netfence_code_egress(map, v));
	assert_true(out >= 0);
	allow(NETFENCE_KEY_IPV4, PEER, NETFENCE_PEER | NETFENCE_NEAR);
	allow(NETFENCE_KEY_IPV6, PEER6, NETFENCE_PEER | NETFENCE_NEAR);
	allow(NETFENCE_KEY_IPV4, HELD,
		NETFENCE_PEER | NETFENCE_NEAR | netfence_code_port(PORT));
	allow(NETFENCE_KEY_IPV6, HELD6,
		NETFENCE_PEER | NETFENCE_NEAR | netfence_code_port(PORT));
	allow(NETFENCE_KEY_IPV4, HOP, NETFENCE_NEAR);
	allow(NETFENCE_KEY_IPV6, HOP6, NETFENCE_NEAR);
	allow(NETFENCE_KEY_MAC, NULL, NETFENCE_NEAR);
	return 0;
}

static uint32_t ask(int program, uint32_t index, const struct frame *f)
{
	uint32_t ret = ~0U;

	assert_int_equal(bpf_try(program, index, f->bytes, f->n, &ret), 0);
	return ret;
}

static void test_ingress(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(ingress); i++) {
		const struct row *r = &ingress[i];
		uint32_t want = r->pass ? XDP_PASS : XDP_DROP, got;
		struct frame f;

		make(&f, r);
		got = ask(in, 0, &f);
		if (got != want)
			fail_msg("%s: %u, not %u", r->name, got, want);
	}
}

static void test_egress(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(egress); i++) {
		const struct row *r = &egress[i];
		uint32_t want =
			r->pass ? NETFENCE_EGRESS_PASS : NETFENCE_EGRESS_DROP;
		struct frame f;
		uint32_t got;

		make(&f, r);
		got = ask(out, device, &f);
		if (got != want)
			fail_msg("%s: %u, not %u", r->name, got, want);
		/* Through the loopback all goes. */
		assert_int_equal(ask(out, 1, &f), NETFENCE_EGRESS_PASS);
	}
}

/* Cut anywhere, a frame that passes with its headers alone is dropped before.
 */
static void test_lengths(void **state)
{
	static const struct {
		struct row row;
		uint32_t least; /* bytes behind the Ethernet header */
	} rows[] = {
		{{"", true, V4, PEER, OWN, IPPROTO_TCP}, 20},
		{{"", true, V6, PEER6, OWN6, IPPROTO_TCP}, 40},
		{{"", true, ARP, PEER, OWN}, 28},
		{{"", true, V4, OTHER, OWN, IPPROTO_ICMP, .type = 3, .code = 4,
			 .inner = PEER},
			48},
		{{"", true, V6, OTHER6, OWN6, IPPROTO_ICMPV6, .type = 2,
			 .inner = PEER6},
			88},
		{{"", true, V6, HOP6, OWN6, IPPROTO_ICMPV6, 255, NS}, 48},
		{{"", true, V4, PEER, OWN, IPPROTO_TCP,
			 .tags = {0x88a8, 0x8100}},
			28},
		{{"", true, V4, HELD, OWN, IPPROTO_TCP, .port = PORT}, 24},
		{{"", true, V4, HELD, OWN, IPPROTO_TCP, .port = PORT, .ihl = 7},
			32},
		{{"", true, V6, HELD6, OWN6, IPPROTO_TCP, .port = PORT}, 44},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct frame f;
		uint32_t whole;

		make(&f, &rows[i].row);
		whole = f.n;
		assert_true(whole >= 14 + rows[i].least);
		for (f.n = 14; f.n <= whole; f.n++)
			assert_int_equal(ask(in, 0, &f),
				f.n >= 14 + rows[i].least ? XDP_PASS
							  : XDP_DROP);
	}
}

/* Options that look like what follows a header without any. */
static void test_options(void **state)
{
	struct row r = {"", false, V4, OTHER, OWN, IPPROTO_ICMP, .type = 3,
		.code = 4, .inner = PEER, .ihl = 12};
	struct frame f;

	make(&f, &r);
	f.bytes[14 + 20] = 3;
	f.bytes[14 + 21] = 4;
	assert_int_equal(inet_pton(AF_INET, PEER, f.bytes + 14 + 44), 1);
	assert_int_equal(ask(in, 0, &f), XDP_DROP);
	/* Without the options it would be the real thing. */
	f.bytes[14] = 0x45;
	assert_int_equal(ask(in, 0, &f), XDP_PASS);
}

static void test_wall(void **state)
{
	struct bpf_insn v[NETFENCE_CODE_MAX];
	CLEANUP_CLOSE int wall = bpf_load("test_wall", BPF_PROG_TYPE_XDP,
		BPF_XDP, v, netfence_code_wall(v));
	struct frame f;

	assert_true(wall >= 0);
	make(&f, &ingress[0]);
	assert_int_equal(ask(wall, 0, &f), XDP_DROP);
}

/* Who is taken off the list is out at once. */
static void test_change(void **state)
{
	struct netfence_key key = {.family = NETFENCE_KEY_IPV4};
	struct frame f;

	make(&f, &ingress[0]);
	assert_int_equal(inet_pton(AF_INET, PEER, key.bytes), 1);
	assert_int_equal(bpf_unset(map, &key), 0);
	assert_int_equal(bpf_unset(map, &key), -ENOENT);
	assert_int_equal(ask(in, 0, &f), XDP_DROP);
	allow(NETFENCE_KEY_IPV4, PEER, NETFENCE_PEER | NETFENCE_NEAR);
	assert_int_equal(ask(in, 0, &f), XDP_PASS);
	/* Held to a port, and not any more. */
	allow(NETFENCE_KEY_IPV4, PEER,
		NETFENCE_PEER | NETFENCE_NEAR | netfence_code_port(PORT));
	assert_int_equal(ask(in, 0, &f), XDP_DROP);
	allow(NETFENCE_KEY_IPV4, PEER, NETFENCE_PEER | NETFENCE_NEAR);
	assert_int_equal(ask(in, 0, &f), XDP_PASS);
}

/* Every port is held to itself alone. */
static void test_ports(void **state)
{
	static const uint16_t ports[] = {1, 22, 255, 256, 2222, 32768, 65535};

	for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
		allow(NETFENCE_KEY_IPV4, HELD,
			NETFENCE_PEER | netfence_code_port(ports[i]));
		for (size_t k = 0; k < ARRAY_LEN(ports); k++) {
			struct row r = {"", true, V4, HELD, OWN, IPPROTO_TCP,
				.port = ports[k]};
			struct row back = {"", true, V4, OWN, HELD, IPPROTO_TCP,
				.source = ports[k]};
			struct frame f;

			make(&f, &r);
			assert_int_equal(
				ask(in, 0, &f), i == k ? XDP_PASS : XDP_DROP);
			make(&f, &back);
			assert_int_equal(ask(out, device, &f),
				i == k ? NETFENCE_EGRESS_PASS
				       : NETFENCE_EGRESS_DROP);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ingress),
		cmocka_unit_test(test_egress),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_wall),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_ports),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
