/* SPDX-License-Identifier: Apache-2.0 */
#include "track/netfence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/io.h"
#include "base/parse.h"
#include "base/rtnetlink.h"
#include "track/bpf.h"
#include "track/netfence_code.h"

#define BPF_FOLDER "/sys/fs/bpf"
#define MOUNTINFO_MAX (16U << 20)
/* A machine full of containers has a pair of them for each. */
#define INTERFACES_MAX 16384
#define KEYS_MAX (NETFENCE_PEERS + NETFENCE_NEAR_MAX)

struct fenced {
	uint32_t index;
	int link;
	bool seen; /* in the present list of interfaces */
};

struct netfence {
	int map, filter, wall, out; /* programs; out -1: none */
	int cgroup, folder;	    /* -1: none */
	int events;
	int out_link;		   /* -1: none */
	int warm_link, warm_space; /* -1: none */
	bool up, stale;
	struct netfence_key keys[KEYS_MAX]; /* that are in the map */
	uint32_t n_keys, n_peers, n_held;   /* n_held: to a port */
	struct fenced *v;
	uint32_t n, room;
	char kept[64];	  /* the name, "" while it is not kept */
	uint32_t pins;	  /* names given */
	char weaker[256]; /* why nothing holds what leaves; "" otherwise */
};

/* ---- preparing ---- */

/* What stands behind the last " - " and in the fields before it: the root of a
 * mount is the fourth, its place the fifth (proc_pid_mountinfo(5)). */
static bool read_mount(char *line, char **ret_point)
{
	char *rest = strstr(line, " - "), *save, *root = NULL, *point = NULL;

	if (!rest || strncmp(rest + 3, "cgroup2 ", 8) != 0)
		return false;
	*rest = '\0';
	save = NULL;
	for (int i = 0; i < 5; i++) {
		root = point;
		point = strtok_r(i == 0 ? line : NULL, " ", &save);
		if (!point)
			return false;
	}
	*ret_point = point;
	return strcmp(root, "/") == 0;
}

static int open_mounted_cgroup(void)
{
	CLEANUP_FREE char *text = NULL;
	char *save = NULL, *point;
	int r = io_slurp("/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL);

	if (r < 0)
		return r;
	for (char *line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		struct statfs st;
		CLEANUP_CLOSE int fd = -1;

		if (!read_mount(line, &point))
			continue;
		/* A place with octal escapes is none of those in use. */
		fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && fstatfs(fd, &st) == 0 &&
			st.f_type == CGROUP2_SUPER_MAGIC)
			return STEAL_FD(fd);
	}
	return -ENOENT;
}

/* A mount sets the hierarchy's options (kernel/cgroup/cgroup.c,
 * apply_cgroup_root_flags), so there is none while another one stands. */
int netfence_open_cgroup(void)
{
	int fd = open_mounted_cgroup();
	CLEANUP_CLOSE int fs = -1;

	if (fd >= 0)
		return fd;
	fs = fsopen("cgroup2", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static int load(int map, const char *name, enum bpf_prog_type type,
	enum bpf_attach_type attach,
	uint32_t (*make)(int map, struct bpf_insn v[NETFENCE_CODE_MAX]))
{
	struct bpf_insn v[NETFENCE_CODE_MAX];

	return bpf_load(name, type, attach, v, make(map, v));
}

static uint32_t make_wall(int map, struct bpf_insn v[NETFENCE_CODE_MAX])
{
	return netfence_code_wall(v);
}

static uint32_t make_open_ingress(int map, struct bpf_insn v[NETFENCE_CODE_MAX])
{
	uint32_t n = netfence_code_wall(v);

	v[0].imm = NETFENCE_INGRESS_PASS;
	return n;
}

static uint32_t make_open_egress(int map, struct bpf_insn v[NETFENCE_CODE_MAX])
{
	uint32_t n = netfence_code_wall(v);

	v[0].imm = NETFENCE_EGRESS_PASS;
	return n;
}

/* Says why a call of bpf(2) failed, in words. */
static int unsupported(struct error *err, int code)
{
	error_set(err, -EOPNOTSUPP, "fence the network");
	if (code == -ENOSYS)
		return error_why(err, "the kernel has no BPF");
	if (code == -EPERM || code == -EACCES)
		return error_why(err,
			"the kernel refuses BPF, even to root (a container, "
			"or a security module)");
	if (code == -EINVAL)
		return error_why(err,
			"the kernel has no BPF links for interfaces (before "
			"5.9): what else it has would outlive this process");
	return error_why(err, "BPF: %s", strerror(-code));
}

static void weaker(struct netfence *f, const char *what, int code)
{
	(void)snprintf(
		f->weaker, sizeof(f->weaker), "%s: %s", what, strerror(-code));
}

/* The program for what leaves, and where it is to go. */
static void prepare_out(struct netfence *f)
{
	f->cgroup = netfence_open_cgroup();
	if (f->cgroup < 0) {
		weaker(f, "no cgroup v2 hierarchy", f->cgroup);
		return;
	}
	f->out = load(f->map, "rehost_out", BPF_PROG_TYPE_CGROUP_SKB,
		BPF_CGROUP_INET_EGRESS, netfence_code_egress);
	if (f->out < 0)
		weaker(f, "the kernel takes no program for cgroups", f->out);
}

/* The first time that a program is attached for XDP the kernel puts it into its
 * dispatcher and waits for a grace period of RCU (kernel/bpf/dispatcher.c),
 * which takes longer than all the rest. So that is done before the cut: on the
 * loopback of a network namespace of our own, where nothing comes by, by a
 * thread that ends there. Without it the cut takes longer, that is all. */
static void *attach_elsewhere(void *arg)
{
	struct netfence *f = arg;

	if (unshare(CLONE_NEWNET) < 0)
		return NULL;
	f->warm_link = bpf_attach_xdp(f->filter, 1);
	f->warm_space = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	return NULL;
}

static void warm_up(struct netfence *f)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, attach_elsewhere, f) == 0)
		(void)pthread_join(thread, NULL);
}

static int open_events(void)
{
	struct sockaddr_nl a = {
		.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	CLEANUP_CLOSE int fd = socket(AF_NETLINK,
		SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (void *)&a, sizeof(a)) < 0)
		return -errno;
	return STEAL_FD(fd);
}

static int open_bpf_folder(void)
{
	struct statfs st;
	CLEANUP_CLOSE int fd =
		open(BPF_FOLDER, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fstatfs(fd, &st) < 0 || st.f_type != BPF_FS_MAGIC)
		return -1;
	return STEAL_FD(fd);
}

static void end_p(struct netfence **f)
{
	netfence_end(*f);
}

int netfence_prepare(struct netfence **ret, struct error *err)
{
	CLEANUP(end_p) struct netfence *f = calloc(1, sizeof(*f));

	if (!f)
		return error_set(err, -ENOMEM, "fence the network");
	f->map = f->filter = f->wall = f->out = f->cgroup = f->folder = -1;
	f->events = f->out_link = f->warm_link = f->warm_space = -1;
	f->map = bpf_new_map("rehost_allowed", sizeof(struct netfence_key),
		sizeof(uint32_t), 2 * KEYS_MAX);
	if (f->map < 0)
		return unsupported(err, f->map);
	f->filter = load(f->map, "rehost_in", BPF_PROG_TYPE_XDP, BPF_XDP,
		netfence_code_ingress);
	if (f->filter < 0)
		return unsupported(err, f->filter);
	f->wall = load(
		f->map, "rehost_wall", BPF_PROG_TYPE_XDP, BPF_XDP, make_wall);
	if (f->wall < 0)
		return unsupported(err, f->wall);
	f->events = open_events();
	if (f->events < 0)
		return error_set(err, f->events, "watch the interfaces");
	warm_up(f);
	prepare_out(f);
	f->folder = open_bpf_folder();
	*ret = STEAL_PTR(f);
	return 0;
}

int netfence_check(struct error *err)
{
	CLEANUP_CLOSE int cgroup = netfence_open_cgroup();
	CLEANUP_CLOSE int in = load(-1, "rehost_check", BPF_PROG_TYPE_XDP,
		BPF_XDP, make_open_ingress);
	CLEANUP_CLOSE int out =
		load(-1, "rehost_check", BPF_PROG_TYPE_CGROUP_SKB,
			BPF_CGROUP_INET_EGRESS, make_open_egress);
	CLEANUP_CLOSE int in_link = -1, out_link = -1;

	if (in < 0)
		return unsupported(err, in);
	/* The loopback interface is the first everywhere. */
	in_link = bpf_attach_xdp(in, 1);
	/* Whoever has a program there shows that it can be. */
	if (in_link < 0 && in_link != -EBUSY && in_link != -EEXIST)
		return unsupported(err, in_link);
	if (out >= 0 && cgroup >= 0)
		out_link = bpf_attach_egress(out, cgroup);
	return out_link < 0;
}

/* ---- whom it lets pass ---- */

static bool make_key(const struct netfence_address *a, struct netfence_key *ret)
{
	memset(ret, 0, sizeof(*ret));
	switch (a->family) {
	case AF_INET:
		ret->family = NETFENCE_KEY_IPV4;
		memcpy(ret->bytes, a->bytes, 4);
		return true;
	case AF_INET6:
		ret->family = NETFENCE_KEY_IPV6;
		memcpy(ret->bytes, a->bytes, 16);
		return true;
	case AF_PACKET:
		ret->family = NETFENCE_KEY_MAC;
		memcpy(ret->bytes, a->bytes, 6);
		return true;
	default:
		return false;
	}
}

static bool has_key(const struct netfence_key *v, uint32_t n,
	const struct netfence_key *key)
{
	for (uint32_t i = 0; i < n; i++)
		if (memcmp(&v[i], key, sizeof(*key)) == 0)
			return true;
	return false;
}

/* Sets the keys of a list that are not among the n of v, and adds them. */
static int set_keys(struct netfence *f, const struct netfence_address *list,
	uint32_t n_list, uint32_t value, struct netfence_key *v, uint32_t *n)
{
	for (uint32_t i = 0; i < n_list; i++) {
		struct netfence_key key;
		uint32_t all;
		int r;

		if (!make_key(&list[i], &key))
			return -EAFNOSUPPORT;
		if (has_key(v, *n, &key))
			continue;
		all = value;
		if (value & NETFENCE_PEER)
			all |= netfence_code_port(list[i].port);
		r = bpf_set(f->map, &key, &all);
		if (r < 0)
			return r;
		v[(*n)++] = key;
	}
	return 0;
}

int netfence_change(struct netfence *f, const struct netfence_allow *allow,
	struct error *err)
{
	struct netfence_key keys[KEYS_MAX];
	uint32_t n = 0;
	int r;

	if (allow->n_peers > NETFENCE_PEERS ||
		allow->n_near > NETFENCE_NEAR_MAX)
		return error_set(err, -E2BIG, "let so many hosts pass");
	/* Who stays is never left out for a moment. */
	r = set_keys(f, allow->peers, allow->n_peers,
		NETFENCE_PEER | NETFENCE_NEAR, keys, &n);
	if (r == 0)
		r = set_keys(
			f, allow->near, allow->n_near, NETFENCE_NEAR, keys, &n);
	for (uint32_t i = 0; r == 0 && i < f->n_keys; i++)
		if (!has_key(keys, n, &f->keys[i]))
			r = bpf_unset(f->map, &f->keys[i]);
	if (r < 0)
		return error_set(err, r, "say whom the fence lets pass");
	memcpy(f->keys, keys, n * sizeof(*keys));
	f->n_keys = n;
	f->n_peers = allow->n_peers;
	f->n_held = 0;
	for (uint32_t i = 0; i < allow->n_peers; i++)
		f->n_held += allow->peers[i].port != 0;
	return 0;
}

/* ---- interfaces ---- */

/* Kinds whose frames all come by interfaces below, where XDP sees them first
 * (net/core/dev.c: __netif_receive_skb_core). On both it cannot be: the kernel
 * refuses a program below one. */
static bool is_above_others(const struct rtnetlink_link *l)
{
	static const char *const masters[] = {"bridge", "bond", "team", "vrf"};
	static const char *const parts[] = {
		"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec"};

	for (size_t i = 0; i < ARRAY_LEN(masters); i++)
		if (strcmp(l->kind, masters[i]) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (strcmp(l->kind, parts[i]) == 0)
			return l->lower != 0 && !l->elsewhere;
	return false;
}

/* Gives a link the next name. */
static int pin_link(struct netfence *f, int link)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/rehost-%s/%u",
		f->folder, f->kept, f->pins);
	f->pins++;
	return bpf_pin(link, path);
}

static int fence_interface(struct netfence *f, const struct rtnetlink_link *l)
{
	CLEANUP_CLOSE int link = -1;
	int r;

	if (f->n == f->room) {
		uint32_t room = f->room ? 2 * f->room : 64;
		struct fenced *v;

		if (room > INTERFACES_MAX)
			return -E2BIG;
		v = realloc(f->v, room * sizeof(*v));
		if (!v)
			return -ENOMEM;
		f->v = v;
		f->room = room;
	}
	link = bpf_attach_xdp(
		l->type == ARPHRD_ETHER ? f->filter : f->wall, l->index);
	if (link == -ENODEV)
		return 0; /* it went meanwhile */
	if (link < 0)
		return link;
	if (f->kept[0]) {
		r = pin_link(f, link);
		if (r < 0)
			return r;
	}
	f->v[f->n++] = (struct fenced){l->index, STEAL_FD(link), true};
	return 1;
}

struct listing {
	struct netfence *f;
	int added, code;
	char name[16]; /* that code is about */
};

static int take_link(void *arg, const uint8_t *body, size_t n)
{
	struct listing *g = arg;
	struct rtnetlink_link l;
	int r;

	if (rtnetlink_link(body, n, &l) < 0 || (l.flags & IFF_LOOPBACK) ||
		is_above_others(&l))
		return 0;
	for (uint32_t i = 0; i < g->f->n; i++)
		if (g->f->v[i].index == l.index) {
			g->f->v[i].seen = true;
			return 0;
		}
	r = fence_interface(g->f, &l);
	if (r > 0)
		g->added += r;
	if (r < 0 && g->code == 0) {
		g->code = r;
		memcpy(g->name, l.name, sizeof(g->name));
	}
	return 0;
}

/* Forgets links whose interface is gone, or is another one by now. */
static void drop_gone(struct netfence *f, bool listed)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < f->n; i++) {
		if ((listed && !f->v[i].seen) || !bpf_is_attached(f->v[i].link))
			(void)close(f->v[i].link);
		else
			f->v[n++] = f->v[i];
	}
	f->n = n;
}

/* Fences what is not fenced yet. Returns how many. */
static int fence_all(struct netfence *f, struct error *err)
{
	struct listing g = {.f = f};
	int r;

	drop_gone(f, false);
	for (uint32_t i = 0; i < f->n; i++)
		f->v[i].seen = false;
	r = rtnetlink_dump(RTM_GETLINK, AF_UNSPEC, take_link, &g);
	if (r < 0)
		return error_set(err, r, "list the interfaces");
	drop_gone(f, true);
	if (g.code == 0)
		return g.added;
	error_set(err, g.code, "fence the interface %s", g.name);
	if (g.code == -EBUSY || g.code == -EEXIST) {
		error_why(err, "it has an XDP program of its own");
		return error_todo(err, "remove that, or use another fence");
	}
	return g.code;
}

/* Reads what the kernel told of interfaces. True when it told anything. */
static bool drain_events(struct netfence *f)
{
	char buf[8192];
	bool any = false;
	ssize_t n;

	for (;;) {
		n = recv(f->events, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);
		/* ENOBUFS: more was told than there was room for. */
		if (n < 0 && errno != EINTR && errno != ENOBUFS)
			return any;
		any = true;
	}
}

int netfence_refresh(struct netfence *f, struct error *err)
{
	int r;

	if (drain_events(f))
		f->stale = true;
	if (!f->up || !f->stale)
		return 0;
	r = fence_all(f, err);
	f->stale = r < 0;
	return r;
}

int netfence_fd(const struct netfence *f)
{
	return f->events;
}

/* ---- up and down ---- */

void netfence_lift(struct netfence *f)
{
	for (uint32_t i = 0; i < f->n; i++)
		if (f->v[i].link >= 0)
			(void)close(STEAL_FD(f->v[i].link));
	f->n = 0;
	if (f->out_link >= 0)
		(void)close(STEAL_FD(f->out_link));
	f->kept[0] = '\0';
	f->up = false;
}

int netfence_begin(struct netfence *f, const struct netfence_allow *allow,
	struct error *err)
{
	int r;

	if (f->up)
		return error_set(err, -EALREADY, "fence the network again");
	r = netfence_change(f, allow, err);
	if (r < 0)
		return r;
	(void)drain_events(f);
	f->stale = false;
	r = fence_all(f, err);
	if (r < 0) {
		netfence_lift(f);
		return r;
	}
	f->up = true;
	if (f->out >= 0) {
		f->out_link = bpf_attach_egress(f->out, f->cgroup);
		if (f->out_link < 0)
			weaker(f, "the root cgroup takes no program",
				f->out_link);
		else
			f->weaker[0] = '\0';
	}
	return 0;
}

void netfence_end(struct netfence *f)
{
	if (!f)
		return;
	netfence_lift(f);
	cleanup_close_p(&f->map);
	cleanup_close_p(&f->filter);
	cleanup_close_p(&f->wall);
	cleanup_close_p(&f->out);
	cleanup_close_p(&f->cgroup);
	cleanup_close_p(&f->folder);
	cleanup_close_p(&f->events);
	cleanup_close_p(&f->warm_link);
	cleanup_close_p(&f->warm_space);
	free(f->v);
	free(f);
}

/* ---- outliving the process ---- */

int netfence_keep(struct netfence *f, const char *name, struct error *err)
{
	char folder[96];
	int r = 0;

	if (!f->up || f->kept[0] || !parse_is_name(name))
		return error_set(err, -EINVAL, "keep the fence of the network");
	if (f->folder < 0) {
		error_set(err, -EOPNOTSUPP, "keep the fence of the network");
		return error_why(
			err, "no bpf filesystem is mounted at %s", BPF_FOLDER);
	}
	(void)snprintf(folder, sizeof(folder), "rehost-%s", name);
	if (mkdirat(f->folder, folder, 0700) < 0)
		return error_set(err, -errno, "keep the fence of the network");
	(void)snprintf(f->kept, sizeof(f->kept), "%s", name);
	f->pins = 0;
	for (uint32_t i = 0; r == 0 && i < f->n; i++)
		r = pin_link(f, f->v[i].link);
	if (r == 0 && f->out_link >= 0)
		r = pin_link(f, f->out_link);
	if (r < 0) {
		f->kept[0] = '\0';
		netfence_forget(name);
		return error_set(err, r, "keep the fence of the network");
	}
	return 0;
}

void netfence_forget(const char *name)
{
	char path[96];
	struct dirent *e;
	DIR *d;

	if (!parse_is_name(name))
		return;
	(void)snprintf(path, sizeof(path), BPF_FOLDER "/rehost-%s", name);
	d = opendir(path);
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		(void)closedir(d);
	(void)rmdir(path);
}

/* ---- words ---- */

const char *netfence_text(
	const struct netfence *f, char *buf, unsigned long size)
{
	char held[64] = "";

	if (!f->up) {
		(void)snprintf(buf, size, "the network is open");
		return buf;
	}
	if (f->n_held > 0)
		(void)snprintf(held, sizeof(held),
			" (%u of them with one port alone)", f->n_held);
	(void)snprintf(buf, size,
		"the network is cut but for %u address%s%s, on %u interface%s; "
		"%s a reboot%s%s%s",
		f->n_peers, f->n_peers == 1 ? "" : "es", held, f->n,
		f->n == 1 ? "" : "s",
		f->kept[0] ? "it withstands the end of rehost, but not"
			   : "it withstands neither the end of rehost nor",
		f->weaker[0] ? "; what the machine sends is not held back ("
			     : "",
		f->weaker, f->weaker[0] ? ")" : "");
	return buf;
}
