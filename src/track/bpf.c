/* SPDX-License-Identifier: Apache-2.0 */
#include "track/bpf.h"

#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int call(enum bpf_cmd command, union bpf_attr *a)
{
	long r = syscall(SYS_bpf, command, a, sizeof(*a));

	return r < 0 ? -errno : (int)r;
}

/* Up to 5.10 maps and programs count as locked memory, of which root has no
 * more than others; what is taken under a higher limit stays. */
static int call_unlimited(enum bpf_cmd command, union bpf_attr *a)
{
	const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	struct rlimit before;
	int r = call(command, a);

	if (r != -EPERM || getrlimit(RLIMIT_MEMLOCK, &before) < 0 ||
		setrlimit(RLIMIT_MEMLOCK, &all) < 0)
		return r;
	r = call(command, a);
	(void)setrlimit(RLIMIT_MEMLOCK, &before);
	return r;
}

static uint64_t pointer(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

int bpf_new_map(
	const char *name, uint32_t key_size, uint32_t value_size, uint32_t n)
{
	union bpf_attr a = {0};

	a.map_type = BPF_MAP_TYPE_HASH;
	a.key_size = key_size;
	a.value_size = value_size;
	a.max_entries = n;
	(void)snprintf(a.map_name, sizeof(a.map_name), "%s", name);
	return call_unlimited(BPF_MAP_CREATE, &a);
}

int bpf_set(int map, const void *key, const void *value)
{
	union bpf_attr a = {0};

	a.map_fd = (uint32_t)map;
	a.key = pointer(key);
	a.value = pointer(value);
	return call(BPF_MAP_UPDATE_ELEM, &a);
}

int bpf_unset(int map, const void *key)
{
	union bpf_attr a = {0};

	a.map_fd = (uint32_t)map;
	a.key = pointer(key);
	return call(BPF_MAP_DELETE_ELEM, &a);
}

int bpf_load(const char *name, enum bpf_prog_type type,
	enum bpf_attach_type attach, const struct bpf_insn *v, uint32_t n)
{
	union bpf_attr a = {0};

	a.prog_type = type;
	a.expected_attach_type = attach;
	a.insns = pointer(v);
	a.insn_cnt = n;
	a.license = pointer("Apache-2.0");
	(void)snprintf(a.prog_name, sizeof(a.prog_name), "%s", name);
	return call_unlimited(BPF_PROG_LOAD, &a);
}

static int attach_to(
	int program, uint32_t target, enum bpf_attach_type type, uint32_t flags)
{
	union bpf_attr a = {0};

	a.link_create.prog_fd = (uint32_t)program;
	a.link_create.target_fd = target; /* of XDP: the interface */
	a.link_create.attach_type = type;
	a.link_create.flags = flags;
	return call(BPF_LINK_CREATE, &a);
}

int bpf_attach_xdp(int program, uint32_t index)
{
	return attach_to(program, index, BPF_XDP, XDP_FLAGS_SKB_MODE);
}

int bpf_attach_egress(int program, int cgroup)
{
	return attach_to(program, (uint32_t)cgroup, BPF_CGROUP_INET_EGRESS, 0);
}

bool bpf_is_attached(int link)
{
	struct bpf_link_info info = {0};
	union bpf_attr a = {0};

	a.info.bpf_fd = (uint32_t)link;
	a.info.info_len = sizeof(info);
	a.info.info = pointer(&info);
	return call(BPF_OBJ_GET_INFO_BY_FD, &a) == 0 && info.xdp.ifindex != 0;
}

int bpf_pin(int fd, const char *path)
{
	union bpf_attr a = {0};

	a.pathname = pointer(path);
	a.bpf_fd = (uint32_t)fd;
	return call(BPF_OBJ_PIN, &a);
}

int bpf_try(int program, uint32_t index, const void *frame, uint32_t n,
	uint32_t *ret)
{
	struct __sk_buff seen = {.ifindex = index};
	union bpf_attr a = {0};
	int r;

	a.test.prog_fd = (uint32_t)program;
	a.test.data_in = pointer(frame);
	a.test.data_size_in = n;
	a.test.repeat = 1;
	if (index > 0) {
		a.test.ctx_in = pointer(&seen);
		a.test.ctx_size_in = sizeof(seen);
	}
	r = call(BPF_PROG_TEST_RUN, &a);
	if (r < 0)
		return r;
	*ret = a.test.retval;
	return 0;
}
