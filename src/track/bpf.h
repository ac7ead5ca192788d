/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of bpf(2) that a fence of the network needs, by the numbers and
 * structures of linux/bpf.h, without a library. All of them want root, return a
 * descriptor (close-on-exec, as the kernel makes them) or 0, or negative errno,
 * and keep no state.
 *
 * A link (Documentation/bpf/, BPF_LINK_CREATE) holds a program where it is
 * attached for exactly as long as somebody holds the link: a descriptor, or a
 * name in a filesystem of type "bpf".
 */
#ifndef REHOST_TRACK_BPF_H
#define REHOST_TRACK_BPF_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Makes a hash map (BPF_MAP_TYPE_HASH) with room for n. */
int bpf_new_map(const char *name, uint32_t key_size, uint32_t value_size,
	uint32_t n) MUST_CHECK;

int bpf_set(int map, const void *key, const void *value) MUST_CHECK;

/* -ENOENT when there is none. */
int bpf_unset(int map, const void *key) MUST_CHECK;

/* Loads n instructions as a program of a type (BPF_PROG_TYPE_…), for one kind
 * of attachment (BPF_CGROUP_INET_EGRESS; BPF_XDP). */
int bpf_load(const char *name, enum bpf_prog_type type,
	enum bpf_attach_type attach, const struct bpf_insn *v,
	uint32_t n) MUST_CHECK;

/* Attaches a program of type XDP to an interface of the caller's network
 * namespace, in generic mode (XDP_FLAGS_SKB_MODE), which every driver has.
 * -EINVAL before 5.9, -EBUSY or -EEXIST when something else is there. */
int bpf_attach_xdp(int program, uint32_t index) MUST_CHECK;

/* Attaches a program to what leaves the sockets of a cgroup and of all below
 * it. -EINVAL before 5.7, or without CONFIG_CGROUP_BPF. */
int bpf_attach_egress(int program, int cgroup) MUST_CHECK;

/* Whether what an XDP link is attached to is still there (since 5.9 the kernel
 * forgets the interface of a link when it goes). */
bool bpf_is_attached(int link);

/* Gives a descriptor a name in a filesystem of type "bpf". */
int bpf_pin(int fd, const char *path) MUST_CHECK;

/* Runs an XDP or cgroup program on one frame (BPF_PROG_TEST_RUN) that goes
 * nowhere; *ret is what it returns. index is the interface that a cgroup
 * program sees it on; 0 for XDP. */
int bpf_try(int program, uint32_t index, const void *frame, uint32_t n,
	uint32_t *ret) MUST_CHECK;

#endif
