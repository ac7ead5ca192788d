/* SPDX-License-Identifier: Apache-2.0 */
#include "track/netfence_code.h"

#include <arpa/inet.h>
#include <assert.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define FIXES_MAX 128

/* Where jumps lead; all go forward. */
enum label {
	PASS,
	DROP,
	TAG_1,
	TAG_2,
	IPV4,
	IPV6,
	ARP,
	OTHER,
	NOT_PEER_4,
	NOT_PEER_6,
	NEAR_ONLY,
	ASK_MAC,
	LABELS
};

struct code {
	struct bpf_insn *v;
	uint32_t n;
	uint32_t at[LABELS];
	struct {
		uint32_t at;
		enum label to;
	} fixes[FIXES_MAX];
	uint32_t n_fixes;
	int map;
};

/* Registers 6 to 9 outlive calls. */
enum {
	R0,
	R1,
	R2,
	R3,
	R4,
	R5,
	FRAME,	/* ingress: the frame; egress: the context */
	END,	/* ingress: behind it; egress: the type of a message */
	KNOWN,	/* value of the sender, or of the receiver */
	PACKET, /* ingress: behind the Ethernet header and tags */
	STACK
};

/* On the stack. */
#define KEY (-(int)sizeof(struct netfence_key))
#define KEY_BYTES (KEY + (int)offsetof(struct netfence_key, bytes))
#define SCRATCH (KEY - 4)

/* ---- instructions ---- */

static void emit(
	struct code *c, int operation, int to, int from, int offset, int32_t k)
{
	assert(c->n < NETFENCE_CODE_MAX);
	c->v[c->n++] = (struct bpf_insn){.code = (uint8_t)operation,
		.dst_reg = (uint8_t)to & 15,
		.src_reg = (uint8_t)from & 15,
		.off = (int16_t)offset,
		.imm = k};
}

static void set(struct code *c, int to, int32_t k)
{
	emit(c, BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, k);
}

static void copy(struct code *c, int to, int from)
{
	emit(c, BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0);
}

static void add(struct code *c, int to, int32_t k)
{
	emit(c, BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, k);
}

static void add_register(struct code *c, int to, int from)
{
	emit(c, BPF_ALU64 | BPF_ADD | BPF_X, to, from, 0, 0);
}

static void and (struct code * c, int to, int32_t k)
{
	emit(c, BPF_ALU64 | BPF_AND | BPF_K, to, 0, 0, k);
}

static void shift_left(struct code *c, int to, int32_t bits)
{
	emit(c, BPF_ALU64 | BPF_LSH | BPF_K, to, 0, 0, bits);
}

static void shift_right(struct code *c, int to, int32_t bits)
{
	emit(c, BPF_ALU64 | BPF_RSH | BPF_K, to, 0, 0, bits);
}

/* size: BPF_B, BPF_H, BPF_W. */
static void load(struct code *c, int size, int to, int from, int offset)
{
	emit(c, BPF_LDX | BPF_MEM | size, to, from, offset, 0);
}

static void store(struct code *c, int size, int offset, int from)
{
	emit(c, BPF_STX | BPF_MEM | size, STACK, from, offset, 0);
}

static void store_number(struct code *c, int offset, int32_t k)
{
	emit(c, BPF_ST | BPF_MEM | BPF_W, STACK, 0, offset, k);
}

static void fix(struct code *c, enum label to)
{
	assert(c->n_fixes < FIXES_MAX);
	c->fixes[c->n_fixes].at = c->n;
	c->fixes[c->n_fixes++].to = to;
}

/* when: BPF_JEQ and its like. */
static void jump_if(struct code *c, int when, int a, int32_t k, enum label to)
{
	fix(c, to);
	emit(c, BPF_JMP | when | BPF_K, a, 0, 0, k);
}

static void jump_if_register(
	struct code *c, int when, int a, int b, enum label to)
{
	fix(c, to);
	emit(c, BPF_JMP | when | BPF_X, a, b, 0, 0);
}

static void jump(struct code *c, enum label to)
{
	jump_if(c, BPF_JA, 0, 0, to);
}

static void place(struct code *c, enum label l)
{
	c->at[l] = c->n;
}

static void call(struct code *c, int32_t function)
{
	emit(c, BPF_JMP | BPF_CALL, 0, 0, 0, function);
}

static void leave(struct code *c, int32_t k)
{
	set(c, R0, k);
	emit(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static uint32_t finish(struct code *c)
{
	for (uint32_t i = 0; i < c->n_fixes; i++) {
		uint32_t at = c->fixes[i].at, to = c->at[c->fixes[i].to];

		assert(to > at);
		c->v[at].off = (int16_t)(to - at - 1);
	}
	return c->n;
}

/* Four bytes of a frame as a register holds them after a load. */
static int32_t word(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	const uint8_t bytes[4] = {a, b, c, d};
	int32_t k;

	memcpy(&k, bytes, sizeof(k));
	return k;
}

/* ---- what both programs do ---- */

static void begin_key(struct code *c, uint32_t family)
{
	store_number(c, KEY, (int32_t)family);
	for (int i = 0; i < 16; i += 4)
		store_number(c, KEY_BYTES + i, 0);
}

/* KNOWN = the map's value for the key on the stack, 0 without. */
static void look_up(struct code *c)
{
	emit(c, BPF_LD | BPF_DW | BPF_IMM, R1, BPF_PSEUDO_MAP_FD, 0, c->map);
	emit(c, 0, 0, 0, 0, 0);
	copy(c, R2, STACK);
	add(c, R2, KEY);
	call(c, BPF_FUNC_map_lookup_elem);
	set(c, KNOWN, 0);
	emit(c, BPF_JMP | BPF_JEQ | BPF_K, R0, 0, 1, 0);
	load(c, BPF_W, KNOWN, R0, 0);
}

/* In the order that a packet has it, so that a load of two bytes compares. */
uint32_t netfence_code_port(uint16_t port)
{
	return (uint32_t)htons(port) << NETFENCE_PORT_SHIFT;
}

/* Passes a peer without a port; goes on with one that has one, and elsewhere
 * with who is no peer. */
static void by_peer(struct code *c, enum label not_peer)
{
	copy(c, R1, KNOWN);
	and(c, R1, NETFENCE_PEER);
	jump_if(c, BPF_JEQ, R1, 0, not_peer);
	copy(c, R1, KNOWN);
	shift_right(c, R1, NETFENCE_PORT_SHIFT);
	jump_if(c, BPF_JEQ, R1, 0, PASS);
}

/* R1 = where TCP begins, by the first byte of an IPv4 header in it. */
static void length_of_ipv4(struct code *c)
{
	and(c, R1, 15);
	shift_left(c, R1, 2);
	jump_if(c, BPF_JLT, R1, 20, DROP);
}

/* Decides by the port in R1; KNOWN is gone. */
static void by_port(struct code *c)
{
	shift_right(c, KNOWN, NETFENCE_PORT_SHIFT);
	jump_if_register(c, BPF_JEQ, R1, KNOWN, PASS);
	jump(c, DROP);
}

/* ---- ingress ---- */

/* Drops a frame that has less than n bytes behind its headers. */
static void want(struct code *c, int n)
{
	copy(c, R2, PACKET);
	add(c, R2, n);
	jump_if_register(c, BPF_JGT, R2, END, DROP);
}

/* KNOWN = what the map says of size bytes at offset behind from. */
static void look_up_frame(
	struct code *c, uint32_t family, int from, int offset, int size)
{
	int i;

	begin_key(c, family);
	for (i = 0; i + 4 <= size; i += 4) {
		load(c, BPF_W, R1, from, offset + i);
		store(c, BPF_W, KEY_BYTES + i, R1);
	}
	if (i < size) {
		load(c, BPF_H, R1, from, offset + i);
		store(c, BPF_H, KEY_BYTES + i, R1);
	}
	look_up(c);
}

/* Goes where the type in R3 leads, to the next tag, or elsewhere. */
static void by_type(struct code *c, enum label tag, enum label other)
{
	jump_if(c, BPF_JEQ, R3, htons(ETH_P_IP), IPV4);
	jump_if(c, BPF_JEQ, R3, htons(ETH_P_IPV6), IPV6);
	jump_if(c, BPF_JEQ, R3, htons(ETH_P_ARP), ARP);
	if (tag != DROP) {
		jump_if(c, BPF_JEQ, R3, htons(ETH_P_8021Q), tag);
		jump_if(c, BPF_JEQ, R3, htons(ETH_P_8021AD), tag);
	}
	jump(c, other);
}

static void skip_tag(struct code *c)
{
	want(c, 4);
	load(c, BPF_H, R3, PACKET, 2);
	add(c, PACKET, 4);
}

static void ethernet(struct code *c)
{
	load(c, BPF_W, FRAME, R1, offsetof(struct xdp_md, data));
	load(c, BPF_W, END, R1, offsetof(struct xdp_md, data_end));
	copy(c, PACKET, FRAME);
	add(c, PACKET, ETH_HLEN);
	jump_if_register(c, BPF_JGT, PACKET, END, DROP);
	load(c, BPF_H, R3, FRAME, 12);
	by_type(c, TAG_1, OTHER);
	place(c, TAG_1);
	skip_tag(c);
	by_type(c, TAG_2, DROP);
	place(c, TAG_2);
	skip_tag(c);
	by_type(c, DROP, DROP);

	place(c, OTHER);
	load(c, BPF_W, R1, FRAME, 0);
	jump_if(c, BPF_JNE, R1, word(0x01, 0x80, 0xc2, 0), DROP);
	load(c, BPF_B, R1, FRAME, 4);
	jump_if(c, BPF_JNE, R1, 0, DROP);
	load(c, BPF_B, R1, FRAME, 5);
	jump_if(c, BPF_JGT, R1, 0x0f, DROP);
	jump(c, PASS);
}

static void ingress_ipv4(struct code *c)
{
	place(c, IPV4);
	want(c, 20);
	look_up_frame(c, NETFENCE_KEY_IPV4, PACKET, 12, 4);
	by_peer(c, NOT_PEER_4);
	load(c, BPF_B, R1, PACKET, 9);
	jump_if(c, BPF_JNE, R1, IPPROTO_TCP, NOT_PEER_4);
	load(c, BPF_H, R1, PACKET, 6);
	jump_if(c, BPF_JSET, R1, htons(IP_OFFMASK), DROP);
	load(c, BPF_B, R1, PACKET, 0);
	length_of_ipv4(c);
	add_register(c, PACKET, R1);
	want(c, 4);
	load(c, BPF_H, R1, PACKET, 2);
	by_port(c);

	/* "Fragmentation needed" of a packet to a peer. */
	place(c, NOT_PEER_4);
	load(c, BPF_B, R1, PACKET, 9);
	jump_if(c, BPF_JNE, R1, IPPROTO_ICMP, DROP);
	load(c, BPF_B, R1, PACKET, 0);
	jump_if(c, BPF_JNE, R1, 0x45, DROP);
	load(c, BPF_H, R1, PACKET, 6);
	jump_if(c, BPF_JSET, R1, htons(0x3fff), DROP);
	want(c, 20 + 8 + 20);
	load(c, BPF_H, R1, PACKET, 20);
	jump_if(c, BPF_JNE, R1,
		htons(ICMP_DEST_UNREACH << 8 | ICMP_FRAG_NEEDED), DROP);
	look_up_frame(c, NETFENCE_KEY_IPV4, PACKET, 20 + 8 + 16, 4);
	jump_if(c, BPF_JSET, KNOWN, NETFENCE_PEER, PASS);
	jump(c, DROP);
}

static void ingress_ipv6(struct code *c)
{
	place(c, IPV6);
	want(c, 40);
	look_up_frame(c, NETFENCE_KEY_IPV6, PACKET, 8, 16);
	by_peer(c, NOT_PEER_6);
	load(c, BPF_B, R1, PACKET, 6);
	jump_if(c, BPF_JNE, R1, IPPROTO_TCP, NOT_PEER_6);
	want(c, 40 + 4);
	load(c, BPF_H, R1, PACKET, 40 + 2);
	by_port(c);

	place(c, NOT_PEER_6);
	load(c, BPF_B, R1, PACKET, 6);
	jump_if(c, BPF_JNE, R1, IPPROTO_ICMPV6, DROP);
	want(c, 40 + 8);
	load(c, BPF_B, R3, PACKET, 40);
	jump_if(c, BPF_JEQ, R3, ND_ROUTER_ADVERT, NEAR_ONLY);
	jump_if(c, BPF_JEQ, R3, ND_NEIGHBOR_SOLICIT, NEAR_ONLY);
	jump_if(c, BPF_JEQ, R3, ND_NEIGHBOR_ADVERT, NEAR_ONLY);
	jump_if(c, BPF_JNE, R3, ICMP6_PACKET_TOO_BIG, DROP);
	want(c, 40 + 8 + 40);
	look_up_frame(c, NETFENCE_KEY_IPV6, PACKET, 40 + 8 + 24, 16);
	jump_if(c, BPF_JSET, KNOWN, NETFENCE_PEER, PASS);
	jump(c, DROP);

	/* From this link alone (RFC 4861, 7.1). */
	place(c, NEAR_ONLY);
	load(c, BPF_B, R1, PACKET, 7);
	jump_if(c, BPF_JNE, R1, 255, DROP);
	jump_if(c, BPF_JSET, KNOWN, NETFENCE_NEAR, PASS);
	jump(c, ASK_MAC);
}

static void ingress_arp(struct code *c)
{
	place(c, ARP);
	want(c, 28);
	load(c, BPF_W, R1, PACKET, 0);
	jump_if(c, BPF_JNE, R1, word(0, 1, 0x08, 0), DROP);
	load(c, BPF_H, R1, PACKET, 4);
	jump_if(c, BPF_JNE, R1, htons(0x0604), DROP);
	look_up_frame(c, NETFENCE_KEY_IPV4, PACKET, 14, 4);
	jump_if(c, BPF_JSET, KNOWN, NETFENCE_NEAR, PASS);
	place(c, ASK_MAC);
	look_up_frame(c, NETFENCE_KEY_MAC, FRAME, 6, 6);
	jump_if(c, BPF_JSET, KNOWN, NETFENCE_NEAR, PASS);
	jump(c, DROP);
}

static void end_both(struct code *c, int32_t pass, int32_t drop)
{
	place(c, PASS);
	leave(c, pass);
	place(c, DROP);
	leave(c, drop);
}

uint32_t netfence_code_ingress(int map, struct bpf_insn v[NETFENCE_CODE_MAX])
{
	struct code c = {.v = v, .map = map};

	ethernet(&c);
	ingress_ipv4(&c);
	ingress_ipv6(&c);
	ingress_arp(&c);
	end_both(&c, NETFENCE_INGRESS_PASS, NETFENCE_INGRESS_DROP);
	return finish(&c);
}

uint32_t netfence_code_wall(struct bpf_insn v[NETFENCE_CODE_MAX])
{
	struct code c = {.v = v};

	leave(&c, NETFENCE_INGRESS_DROP);
	return finish(&c);
}

/* ---- egress ---- */

/* Copies size bytes of the packet at the offset in R2 to the stack at to, or
 * drops. The packet may lie in pieces. */
static void fetch_there(struct code *c, int to, int size)
{
	copy(c, R1, FRAME);
	copy(c, R3, STACK);
	add(c, R3, to);
	set(c, R4, size);
	call(c, BPF_FUNC_skb_load_bytes);
	jump_if(c, BPF_JNE, R0, 0, DROP);
}

static void fetch(struct code *c, int offset, int to, int size)
{
	set(c, R2, offset);
	fetch_there(c, to, size);
}

/* R1 = the byte at offset. */
static void fetch_byte(struct code *c, int offset)
{
	fetch(c, offset, SCRATCH, 1);
	load(c, BPF_B, R1, STACK, SCRATCH);
}

static void egress_ipv4(struct code *c)
{
	begin_key(c, NETFENCE_KEY_IPV4);
	fetch(c, 16, KEY_BYTES, 4);
	look_up(c);
	by_peer(c, DROP);
	fetch_byte(c, 9);
	jump_if(c, BPF_JNE, R1, IPPROTO_TCP, DROP);
	/* Fragments are made later; this one was sent raw. */
	fetch(c, 6, SCRATCH, 2);
	load(c, BPF_H, R1, STACK, SCRATCH);
	jump_if(c, BPF_JSET, R1, htons(IP_OFFMASK), DROP);
	fetch_byte(c, 0);
	length_of_ipv4(c);
	copy(c, R2, R1);
	fetch_there(c, SCRATCH, 2);
	load(c, BPF_H, R1, STACK, SCRATCH);
	by_port(c);
}

static void egress_ipv6(struct code *c)
{
	begin_key(c, NETFENCE_KEY_IPV6);
	fetch(c, 24, KEY_BYTES, 16);
	look_up(c);
	by_peer(c, NOT_PEER_6);
	fetch_byte(c, 6);
	jump_if(c, BPF_JNE, R1, IPPROTO_TCP, NOT_PEER_6);
	fetch(c, 40, SCRATCH, 2);
	load(c, BPF_H, R1, STACK, SCRATCH);
	by_port(c);

	place(c, NOT_PEER_6);
	/* Next header and hop limit; the type of the message. */
	fetch(c, 6, SCRATCH, 2);
	load(c, BPF_H, R1, STACK, SCRATCH);
	jump_if(c, BPF_JNE, R1, htons(IPPROTO_ICMPV6 << 8 | 255), DROP);
	fetch(c, 40, SCRATCH, 1);
	load(c, BPF_B, END, STACK, SCRATCH);
	jump_if(c, BPF_JEQ, END, ND_NEIGHBOR_SOLICIT, NEAR_ONLY);
	jump_if(c, BPF_JNE, END, ND_NEIGHBOR_ADVERT, DROP);
	place(c, NEAR_ONLY);
	jump_if(c, BPF_JSET, KNOWN, NETFENCE_NEAR, PASS);
	/* To fe80::/10: an answer to who was let in to ask. */
	load(c, BPF_H, R1, STACK, KEY_BYTES);
	and(c, R1, htons(0xffc0));
	jump_if(c, BPF_JEQ, R1, htons(0xfe80), PASS);
	jump_if(c, BPF_JNE, END, ND_NEIGHBOR_SOLICIT, DROP);
	fetch(c, 48, KEY_BYTES, 16);
	look_up(c);
	jump_if(c, BPF_JSET, KNOWN, NETFENCE_NEAR, PASS);
	jump(c, DROP);
}

uint32_t netfence_code_egress(int map, struct bpf_insn v[NETFENCE_CODE_MAX])
{
	struct code c = {.v = v, .map = map};

	copy(&c, FRAME, R1);
	load(&c, BPF_W, R1, FRAME, offsetof(struct __sk_buff, ifindex));
	jump_if(&c, BPF_JEQ, R1, 1, PASS);
	load(&c, BPF_W, R1, FRAME, offsetof(struct __sk_buff, protocol));
	jump_if(&c, BPF_JEQ, R1, htons(ETH_P_IPV6), IPV6);
	jump_if(&c, BPF_JNE, R1, htons(ETH_P_IP), DROP);
	egress_ipv4(&c);
	place(&c, IPV6);
	egress_ipv6(&c);
	end_both(&c, NETFENCE_EGRESS_PASS, NETFENCE_EGRESS_DROP);
	return finish(&c);
}
