/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs of a fence of the network, as instructions of BPF
 * (Documentation/bpf/standardization/instruction-set.rst). Both decide by one
 * map of addresses, whose keys and values are below; they write nothing, and
 * know nothing of connections.
 *
 * Ingress, for XDP on an interface with Ethernet headers, lets in, with up to
 * two VLAN tags (802.1Q, 802.1ad) before it:
 * - IPv4 and IPv6 from a peer, whatever follows, fragments included; from one
 *   with a port only TCP to it, which for IPv6 follows the header at once (no
 *   extension header is walked), and of IPv4 no fragment but the first
 * - ICMP that tells a smaller MTU of the way to a peer (RFC 1191, RFC 8201),
 *   from whomever: routers between send it
 * - ARP (RFC 826) and neighbour discovery (RFC 4861: NS, NA, RA) from who is
 *   near: by the address that sends, or by the frame's Ethernet address, as a
 *   neighbour may ask from any of its addresses
 * - without a tag, what a switch and a port say to each other and what is
 *   never forwarded (to 01:80:c2:00:00:00 to 0f: LACP, spanning tree, 802.1X),
 *   unless it is IP or ARP: without it a bond or a port would go down
 *
 * Egress, for the sockets of a cgroup, lets out: all that goes through the
 * loopback interface, which is number 1 in every network namespace; IPv4 and
 * IPv6 to a peer, to one with a port only TCP from it, as above; NS and NA to
 * who is near or has a link-local address, NS for who is near. The rest is
 * dropped as a full queue drops it: no error reaches a program, and TCP tries
 * again twice a second.
 *
 * Wall, for XDP on what has no Ethernet headers (tunnels), lets nothing in.
 */
#ifndef REHOST_TRACK_NETFENCE_CODE_H
#define REHOST_TRACK_NETFENCE_CODE_H

#include <linux/bpf.h>
#include <stdint.h>

/* The families of keys. Unused bytes are zero. */
#define NETFENCE_KEY_MAC 1U /* 6 bytes of an Ethernet address */
#define NETFENCE_KEY_IPV4 4U
#define NETFENCE_KEY_IPV6 6U

struct netfence_key {
	uint32_t family;
	uint8_t bytes[16];
};

/* Values: bits of a uint32_t; above them the port that a peer is held to, as
 * netfence_code_port() puts it there. */
#define NETFENCE_PEER 1U /* IP: all without a port */
#define NETFENCE_NEAR 2U /* ARP and neighbour discovery */
#define NETFENCE_PORT_SHIFT 16

/* What each returns for a frame. */
#define NETFENCE_INGRESS_PASS XDP_PASS
#define NETFENCE_INGRESS_DROP XDP_DROP
#define NETFENCE_EGRESS_PASS 1U
#define NETFENCE_EGRESS_DROP 2U /* with congestion notification */

#define NETFENCE_CODE_MAX 320

/* What a port (0: all of them) adds to a value. */
uint32_t netfence_code_port(uint16_t port);

/* Each writes the program to v and returns how many instructions it has. */
uint32_t netfence_code_ingress(int map, struct bpf_insn v[NETFENCE_CODE_MAX]);
uint32_t netfence_code_egress(int map, struct bpf_insn v[NETFENCE_CODE_MAX]);
uint32_t netfence_code_wall(struct bpf_insn v[NETFENCE_CODE_MAX]);

#endif
