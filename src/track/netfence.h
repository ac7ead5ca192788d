/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fence of a machine's network: cut but for a few peers, whose connections
 * go on, with nothing installed and no kernel module. A peer may be held to TCP
 * with one port of this machine: with the one of ssh, no other daemon that
 * still answers from memory answers it. That port is the one in the packets, so
 * not what a rule of this machine translates it to.
 *
 * Two BPF programs (track/netfence_code.h says what they let pass) are held by
 * BPF links (bpf(2), BPF_LINK_CREATE; net/core/dev.c and kernel/bpf/cgroup.c
 * since 5.9 and 5.7). A link ends with its last descriptor, so the fence is
 * gone when the process that holds it is, however that died. Only
 * netfence_keep() makes it outlive the process. Nothing withstands a reboot.
 *
 * - In: XDP in generic mode on every interface of the caller's network
 *   namespace that receives by itself, up or down: not on bridges, bonds,
 *   VLANs and their like, whose frames come by an interface below, and not on
 *   the loopback. So frames for containers and virtual machines are dropped
 *   too, and what these send. Other frames than Ethernet's (tunnels) are all
 *   dropped.
 * - Out: a program of the type cgroup_skb on the root of the cgroup v2
 *   hierarchy, for all IP sockets of the machine, in any network namespace, the
 *   kernel's own among them. Where it cannot be attached the fence is weaker,
 *   and says so (netfence_text).
 *
 * Connections are not reset: they hang, and go on when the fence ends in time;
 * those on which the machine itself wants to send give up after some 8 s,
 * because TCP does not wait longer and longer when its packets are refused.
 * A program that sends gets no error. What is sent raw past the IP layer
 * (AF_PACKET: DHCP clients, ARP announcements of failover daemons), ARP
 * requests for peers, and what virtual machines send by devices of their own
 * (macvtap, SR-IOV) is not stopped. Interfaces that were moved to other
 * network namespaces are not covered on the way in.
 *
 * Whom a router or bond asks from another address than the next hop's, and a
 * bond's ARP targets, the caller adds to those who are near. A machine whose
 * disks are reached by the network loses them unless their hosts are peers. An
 * address that DHCP gave ends with its lease. For XDP the kernel switches LRO
 * and hardware GRO off where an interface has them on, and leaves them so.
 *
 * One thread. Nothing here opens a file after netfence_prepare() and
 * netfence_find_near(), so the rest works while filesystems are frozen.
 */
#ifndef REHOST_TRACK_NETFENCE_H
#define REHOST_TRACK_NETFENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define NETFENCE_PEERS 32
#define NETFENCE_NEAR_MAX 96

struct netfence_address {
	int family;	   /* AF_INET, AF_INET6; AF_PACKET: Ethernet */
	uint8_t bytes[16]; /* 4, 16 or 6 of them */
	uint32_t index;	   /* of the interface of a link-local one; or 0 */
	uint16_t port;	   /* of this machine, all that a peer has; 0: all */
};

/* Who may still talk to the machine. Zeroed it is nobody. */
struct netfence_allow {
	uint32_t n_peers, n_near;
	struct netfence_address peers[NETFENCE_PEERS];	 /* all IP */
	struct netfence_address near[NETFENCE_NEAR_MAX]; /* ARP, ND */
};

struct netfence;

/* Reads an address as getnameinfo(3) writes it, "%interface" included. IPv4
 * within IPv6 (::ffff:192.0.2.1) becomes IPv4. -EINVAL when it is none. */
int netfence_address(const char *text, struct netfence_address *ret) MUST_CHECK;

/* Adds a peer. One that is there has from then on what both have: without a
 * port it has all. -EEXIST, when it has another port; -E2BIG when it does not
 * fit. */
int netfence_add_peer(struct netfence_allow *allow,
	const struct netfence_address *peer) MUST_CHECK;

/* Adds the other end of an SSH_CONNECTION (ssh(1)) as a peer, without a port.
 * -EINVAL when the text is none. */
int netfence_add_connection(
	struct netfence_allow *allow, const char *connection) MUST_CHECK;

/* Adds to near what leads to the peers now: the next hops by the kernel's
 * routes, and the Ethernet addresses of hops and peers that it knows as
 * neighbours. -EOPNOTSUPP when a peer is reached by a tunnel, whose outer
 * packets would have to be let in. */
int netfence_find_near(struct netfence_allow *allow, struct error *err);

/* Whether this machine can have such a fence: loads programs that let all
 * pass, attaches them to the loopback interface and to the root cgroup, and
 * removes them. Returns 1 where only the weaker one can be had. -EOPNOTSUPP
 * with the reason: a kernel before 5.9 or without BPF, or one that refuses. */
int netfence_check(struct error *err);

/* Does all that may take long or needs files: loads the programs, attaches one
 * in an empty network namespace that lasts as long as *ret, opens the cgroup
 * hierarchy. Nothing is fenced. -EOPNOTSUPP as above, others. The caller frees
 * *ret with netfence_end. */
int netfence_prepare(struct netfence **ret, struct error *err);

/* Cuts the network. All or nothing: after an error everything is open. -EBUSY
 * when an interface has an XDP program of somebody else's, -EALREADY when it is
 * cut. */
int netfence_begin(struct netfence *f, const struct netfence_allow *allow,
	struct error *err);

/* Lets others pass than before, at once; before or after netfence_begin. */
int netfence_change(struct netfence *f, const struct netfence_allow *allow,
	struct error *err);

/* Fences the interfaces that appeared since. Returns how many; costs one
 * receive from a socket while nothing happened. What fails stays open, and is
 * tried again by the next call. */
int netfence_refresh(struct netfence *f, struct error *err);

/* A descriptor that is readable when netfence_refresh() has something to do. */
int netfence_fd(const struct netfence *f);

/* Makes a fence that is up outlive the process, by names in /sys/fs/bpf; name
 * is a move's. Only netfence_forget() and a reboot end it then. -EOPNOTSUPP
 * when no such filesystem is mounted there; the fence is then as it was. */
int netfence_keep(struct netfence *f, const char *name, struct error *err);

/* Removes the names that netfence_keep() gave, also those of a process that is
 * gone: with no descriptor left the fence ends, a few milliseconds later, as
 * the kernel frees names so. Fine when there are none. */
void netfence_forget(const char *name);

/* Opens the network; f can begin again. What was kept stays, so it is to be
 * forgotten first. */
void netfence_lift(struct netfence *f);

/* Opens the network and frees f; NULL is fine. What was kept stays. */
void netfence_end(struct netfence *f);

/* Says for the report what the fence is, whether it is up, and what it does not
 * withstand; returns buf. */
const char *netfence_text(
	const struct netfence *f, char *buf, unsigned long size);

/* For tests: a descriptor of the root of the cgroup v2 hierarchy as this
 * process sees it, by the mount that there is, else by one of its own without a
 * place. */
int netfence_open_cgroup(void) MUST_CHECK;

#endif
