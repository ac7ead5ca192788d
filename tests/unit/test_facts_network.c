/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>

#include "facts/netconfig.h"
#include "base/rtnetlink.h"
#include "facts_tree.h"

#define CARD "/sys/devices/pci0000:00/0000:00:03.0/virtio0"

/* ---- trees ---- */

static void put_interface(
	const char *name, const char *mac, const char *type, const char *index)
{
	const char *const attributes[][2] = {{"address", mac}, {"type", type},
		{"ifindex", index}, {"flags", "0x1003\n"}, {"mtu", "1500\n"},
		{"speed", "-1\n"}, {"uevent", "INTERFACE=x\n"}};
	char path[512], target[256];

	(void)snprintf(target, sizeof(target),
		"../../devices/pci0000:00/0000:00:03.0/virtio0/net/%s", name);
	(void)snprintf(path, sizeof(path), "/sys/class/net/%s", name);
	tree_link(path, target);
	for (unsigned i = 0; i < ARRAY_LEN(attributes); i++) {
		(void)snprintf(path, sizeof(path), CARD "/net/%s/%s", name,
			attributes[i][0]);
		tree_put(path, attributes[i][1]);
	}
	(void)snprintf(path, sizeof(path), CARD "/net/%s/device", name);
	if (strcmp(type, "1\n") == 0)
		tree_link(path, "../../../virtio0");
}

static void put_card(const char *name)
{
	put_interface(name, "52:54:00:12:34:56\n", "1\n", "2\n");
	tree_link("/sys/devices/pci0000:00/0000:00:03.0/subsystem",
		"../../../bus/pci");
	tree_link(CARD "/subsystem", "../../../../bus/virtio");
	tree_link(CARD "/driver", "../../../../bus/virtio/drivers/virtio_net");
	tree_folder("/sys/bus/pci/x");
	tree_folder("/sys/bus/virtio/drivers/virtio_net/x");
}

static json_t *network(void)
{
	return json_object_get(
		tree_gather_with(tree, gather_network), "network");
}

static json_t *configured(const json_t *net, const char *kind)
{
	return tree_find(json_object_get(net, "configured_by"), "kind", kind);
}

static const char *mode(
	const json_t *net, const char *kind, const char *interface)
{
	return tree_text(json_object_get(configured(net, kind), "interfaces"),
		interface);
}

static bool active(const json_t *net, const char *kind)
{
	return json_is_true(json_object_get(configured(net, kind), "active"));
}

static bool file(const json_t *net, const char *kind, const char *path)
{
	return tree_has(json_object_get(configured(net, kind), "files"), path);
}

static void done(void)
{
	json_decref(tree_gather.top);
}

static void test_interfaces(void **state)
{
	json_t *net, *i, *path;

	put_card("eth0");
	put_interface("lo", "00:00:00:00:00:00\n", "772\n", "1\n");
	tree_put("/sys/class/net/bonding_masters", "\n");
	net = network();
	i = json_object_get(net, "interfaces");
	assert_int_equal(json_array_size(i), 2);
	assert_string_equal(
		tree_text(tree_find(i, "name", "lo"), "kind"), "loopback");
	assert_null(json_object_get(tree_find(i, "name", "lo"), "mac"));
	i = tree_find(i, "name", "eth0");
	assert_string_equal(tree_text(i, "mac"), "52:54:00:12:34:56");
	assert_string_equal(tree_text(i, "kind"), "ethernet");
	assert_string_equal(tree_text(i, "driver"), "virtio_net");
	assert_string_equal(tree_text(i, "address"), "0000:00:03.0");
	path = json_object_get(i, "driver_path");
	assert_int_equal(json_array_size(path), 2);
	assert_true(tree_has(path, "0000:00:03.0"));
	assert_true(tree_has(path, "virtio0"));
	assert_true(json_is_true(json_object_get(i, "up")));
	assert_int_equal(json_integer_value(json_object_get(i, "mtu")), 1500);
	assert_null(json_object_get(i, "speed_mbit"));
	assert_string_equal(tree_text(net, "names"), "kernel");
	done();
}

static void test_debian_ifupdown(void **state)
{
	json_t *net;

	put_card("eth0");
	tree_put("/etc/network/interfaces",
		"# This file describes\n"
		"source /etc/network/interfaces.d/*\n"
		"source /etc/network/interfaces\n" /* itself */
		"auto lo\niface lo inet loopback\n\n"
		"allow-hotplug eth0\n"
		"iface eth0 \\\n inet static\n"
		"\taddress 192.0.2.5/24\n\tgateway 192.0.2.1\n"
		"iface eth0 inet6 auto\n"
		"iface br0 inet manual\n"
		"iface\n iface x\n");
	tree_put("/etc/network/interfaces.d/more", "iface eth1 inet dhcp\n");
	tree_put(
		"/etc/network/interfaces.d/more.bak", "iface eth2 inet dhcp\n");
	tree_link("/etc/systemd/system/multi-user.target.wants/"
		  "networking.service",
		"/lib/systemd/system/networking.service");
	tree_put("/etc/resolv.conf",
		"domain old.example\nsearch a.example b.example\n"
		"nameserver 192.0.2.53\nnameserver 2001:db8::53\n"
		"options edns0 trust-ad\n");
	tree_put("/etc/hosts", "127.0.0.1 localhost\n# no\n\n::1 localhost\n");
	net = network();
	assert_string_equal(mode(net, "ifupdown", "eth0"), "static");
	assert_string_equal(mode(net, "ifupdown", "eth1"), "dhcp");
	assert_string_equal(mode(net, "ifupdown", "br0"), "manual");
	assert_string_equal(mode(net, "ifupdown", "eth2"), "");
	assert_string_equal(mode(net, "ifupdown", "lo"), "");
	assert_true(active(net, "ifupdown"));
	assert_true(file(net, "ifupdown", "/etc/network/interfaces.d/more"));
	assert_null(configured(net, "NetworkManager"));
	assert_null(configured(net, "cloud-init"));
	assert_int_equal(json_integer_value(json_object_get(net, "hosts")), 2);
	net = json_object_get(net, "resolver");
	assert_string_equal(tree_text(net, "managed_by"), "static");
	assert_true(
		tree_has(json_object_get(net, "nameservers"), "2001:db8::53"));
	assert_true(tree_has(json_object_get(net, "search"), "b.example"));
	assert_false(tree_has(json_object_get(net, "search"), "old.example"));
	done();
}

static void test_debian_networkd(void **state)
{
	json_t *net;

	put_card("enp0s3");
	tree_put("/etc/systemd/network/10-first.network",
		"[Match]\nName=enp* wlp*\n[Network]\nDHCP=yes\n");
	tree_put("/etc/systemd/network/20-late.network",
		"[Match]\nName=en*\n[Network]\nAddress=192.0.2.9/24\n");
	tree_put("/etc/systemd/network/30-mac.network",
		"[Match]\nMACAddress=52-54-00-AA-BB-CC\n"
		"[Network]\nIPv6AcceptRA=yes\n"
		"[Address]\nAddress=192.0.2.10/24\n");
	tree_put("/etc/systemd/network/40.netdev", "[Match]\nName=no\n");
	tree_link("/etc/systemd/system/multi-user.target.wants/"
		  "systemd-networkd.service",
		"/usr/lib/systemd/system/systemd-networkd.service");
	tree_link(
		"/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
	tree_put("/run/systemd/resolve/stub-resolv.conf",
		"nameserver 127.0.0.53\n");
	tree_put("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.1\n");
	net = network();
	assert_string_equal(mode(net, "systemd-networkd", "enp0s3"), "dhcp");
	assert_string_equal(
		mode(net, "systemd-networkd", "52:54:00:aa:bb:cc"), "static");
	assert_true(active(net, "systemd-networkd"));
	assert_string_equal(tree_text(net, "names"), "predictable");
	net = json_object_get(net, "resolver");
	assert_string_equal(tree_text(net, "managed_by"), "systemd-resolved");
	assert_true(tree_has(json_object_get(net, "upstream"), "192.0.2.1"));
	done();
}

static void test_ubuntu_netplan(void **state)
{
	json_t *net;

	put_card("ens3");
	tree_put("/etc/netplan/50-cloud-init.yaml",
		"# made by cloud-init\n"
		"network:\n"
		"    version: 2\n"
		"    ethernets:\n"
		"        primary:\n"
		"            match:\n"
		"                macaddress: '52:54:00:12:34:56'\n"
		"            dhcp4: true   # yes\n"
		"            nameservers:\n"
		"                addresses: [192.0.2.1]\n"
		"        ens9: {dhcp4: no, addresses: [192.0.2.7/24]}\n"
		"        ens10:\n"
		"            nameservers:\n"
		"                addresses: [192.0.2.1]\n"
		"    bridges:\n"
		"        br0:\n"
		"            interfaces: [ens9]\n"
		"            addresses:\n"
		"            - 192.0.2.8/24\n");
	tree_put("/usr/sbin/netplan", "");
	tree_put("/etc/cloud/cloud.cfg", "users:\n - default\n");
	tree_put(
		"/etc/cloud/cloud.cfg.d/90_dpkg.cfg", "datasource_list: [x]\n");
	tree_folder("/var/lib/cloud/instance");
	net = network();
	assert_string_equal(mode(net, "netplan", "ens3"), "dhcp");
	assert_string_equal(mode(net, "netplan", "ens9"), "static");
	assert_string_equal(mode(net, "netplan", "ens10"), "auto");
	assert_string_equal(mode(net, "netplan", "br0"), "static");
	assert_string_equal(mode(net, "netplan", "primary"), "");
	assert_true(active(net, "netplan"));
	assert_true(active(net, "cloud-init"));
	assert_true(file(net, "cloud-init", "/etc/netplan/50-cloud-init.yaml"));
	done();
	tree_put("/etc/cloud/cloud.cfg.d/99-off.cfg",
		"network: {config: disabled}\n");
	net = network();
	assert_false(active(net, "cloud-init"));
	assert_true(
		file(net, "cloud-init", "/etc/cloud/cloud.cfg.d/99-off.cfg"));
	done();
}

static void test_rhel9_keyfile(void **state)
{
	json_t *net;

	put_card("ens3");
	tree_put("/etc/NetworkManager/NetworkManager.conf", "[main]\n");
	tree_put("/etc/NetworkManager/system-connections/ens3.nmconnection",
		"[connection]\nid=ens3\ntype=ethernet\n"
		"interface-name=ens3\n\n[ethernet]\n\n"
		"[ipv4]\naddress1=192.0.2.4/24,192.0.2.1\nmethod=manual\n\n"
		"[ipv6]\nmethod=auto\n");
	tree_put("/etc/NetworkManager/system-connections/vpn.nmconnection",
		"[connection]\ntype=vpn\n[ipv4]\nmethod=auto\n");
	tree_link("/etc/systemd/system/multi-user.target.wants/"
		  "NetworkManager.service",
		"/usr/lib/systemd/system/NetworkManager.service");
	tree_put("/etc/resolv.conf",
		"# Generated by NetworkManager\nnameserver 192.0.2.1\n");
	net = network();
	assert_false(file(net, "NetworkManager",
		"/etc/NetworkManager/NetworkManager.conf"));
	assert_string_equal(mode(net, "NetworkManager", "ens3"), "static");
	assert_int_equal(
		json_object_size(json_object_get(
			configured(net, "NetworkManager"), "interfaces")),
		1);
	assert_true(active(net, "NetworkManager"));
	assert_string_equal(
		tree_text(json_object_get(net, "resolver"), "managed_by"),
		"NetworkManager");
	done();
}

/* Without a profile it asks for addresses on every card; that it runs is known
 * by its group. */
static void test_network_manager_alone(void **state)
{
	json_t *net;

	tree_put("/etc/NetworkManager/NetworkManager.conf", "[main]\n");
	net = network();
	assert_false(active(net, "NetworkManager"));
	assert_true(file(net, "NetworkManager",
		"/etc/NetworkManager/NetworkManager.conf"));
	done();
	tree_put("/sys/fs/cgroup/system.slice/NetworkManager.service/"
		 "cgroup.procs",
		"1\n");
	net = network();
	assert_true(active(net, "NetworkManager"));
	done();
	tree_link("/etc/systemd/system/NetworkManager.service", "/dev/null");
	net = network();
	assert_false(active(net, "NetworkManager"));
	done();
}

static void test_rhel7_ifcfg(void **state)
{
	json_t *net;

	put_card("eth0");
	tree_put("/etc/sysconfig/network-scripts/ifcfg-lo",
		"DEVICE=lo\nIPADDR=127.0.0.1\n");
	tree_put("/etc/sysconfig/network-scripts/ifcfg-eth0",
		"TYPE=Ethernet\nBOOTPROTO=none\nDEVICE=\"eth0\"\n"
		"IPADDR=192.0.2.3\nPREFIX=24\nONBOOT=yes\n");
	tree_put("/etc/sysconfig/network-scripts/ifcfg-eth1",
		"BOOTPROTO='dhcp'\nDEVICE=eth1\n");
	tree_put("/etc/sysconfig/network-scripts/ifup-eth", "exit 1\n");
	tree_link("/etc/rc3.d/S10network", "../init.d/network");
	net = network();
	assert_string_equal(mode(net, "ifcfg", "eth0"), "static");
	assert_string_equal(mode(net, "ifcfg", "eth1"), "dhcp");
	assert_string_equal(mode(net, "ifcfg", "lo"), "");
	assert_true(active(net, "ifcfg"));
	assert_false(
		file(net, "ifcfg", "/etc/sysconfig/network-scripts/ifup-eth"));
	assert_null(configured(net, "wicked"));
	done();
}

static void test_suse_wicked(void **state)
{
	json_t *net;

	tree_put("/etc/sysconfig/network/ifcfg-eth0",
		"BOOTPROTO='static'\nIPADDR='192.0.2.3/24'\nDEVICE='eth0'\n");
	tree_link("/etc/systemd/system/multi-user.target.wants/wicked.service",
		"/usr/lib/systemd/system/wicked.service");
	net = network();
	assert_string_equal(mode(net, "wicked", "eth0"), "static");
	assert_true(active(net, "wicked"));
	done();
}

/* Nothing of this may hang, fail or come out as it is. */
static void test_hostile_files(void **state)
{
	CLEANUP_FREE char *line = malloc(1 << 20);
	json_t *net;
	char *text;

	assert_non_null(line);
	memset(line, 'x', 1 << 20);
	tree_put("/etc/network/interfaces",
		"source /etc/network/interfaces\n"
		"source /etc/network/*\nsource-directory /etc/network\n"
		"iface e\x1b[2J\xff inet dhcp\n");
	tree_put_bytes("/etc/systemd/network/long.network", line, 1 << 20);
	tree_put("/etc/systemd/network/short.network", "[Match\n=\n[]\nName\n");
	tree_put("/etc/netplan/x.yaml", "ethernets:\n a:\nb:\n:\n - :\n  :x\n");
	tree_link("/etc/NetworkManager/system-connections/a.nmconnection",
		"a.nmconnection");
	assert_int_equal(mkfifo(tree_path("/etc/resolv.conf"), 0600), 0);
	tree_link("/etc/hosts", "/dev/zero");
	net = network();
	assert_string_equal(mode(net, "ifupdown", "e\\x1b[2J\\xff"), "dhcp");
	assert_null(json_object_get(net, "resolver"));
	assert_non_null(tree_find(json_object_get(tree_gather.top, "missing"),
		"what", "/etc/systemd/network/long.network"));
	text = json_dumps(net, 0);
	assert_non_null(text);
	free(text);
	done();
}

static void test_patterns(void **state)
{
	assert_true(netconfig_matches("*", ""));
	assert_true(netconfig_matches("en*", "enp0s3"));
	assert_true(netconfig_matches("e*p*3", "enp0s3"));
	assert_true(netconfig_matches("eth?", "eth0"));
	assert_true(netconfig_matches("eth0", "eth0"));
	assert_false(netconfig_matches("eth?", "eth"));
	assert_false(netconfig_matches("eth0", "eth00"));
	assert_false(netconfig_matches("e*x", "enp0s3"));
	assert_false(netconfig_matches("", "a"));
}

/* ---- rtnetlink ---- */

struct builder {
	uint8_t bytes[512];
	size_t n;
};

static void attribute(
	struct builder *b, uint16_t type, const void *value, size_t n)
{
	struct rtattr a = {.rta_type = type, .rta_len = (uint16_t)(4 + n)};

	memcpy(b->bytes + b->n, &a, sizeof(a));
	memcpy(b->bytes + b->n + 4, value, n);
	b->n += (4 + n + 3) & ~(size_t)3;
}

static void head(struct builder *b, const void *h, size_t n)
{
	memset(b, 0, sizeof(*b));
	memcpy(b->bytes, h, n);
	b->n = n;
}

static void test_address(void **state)
{
	static const uint8_t own[] = {192, 0, 2, 5}, other[] = {192, 0, 2, 6};
	uint32_t flags = IFA_F_PERMANENT;
	struct ifaddrmsg m = {
		.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = 7};
	struct rtnetlink_address a;
	struct builder b;

	head(&b, &m, sizeof(m));
	assert_int_equal(rtnetlink_address(b.bytes, b.n, &a), -EBADMSG);
	attribute(&b, IFA_LOCAL, own, 4);
	attribute(&b, IFA_ADDRESS, other, 4);
	assert_int_equal(rtnetlink_address(b.bytes, b.n, &a), 0);
	assert_memory_equal(a.bytes, own, 4);
	assert_int_equal(a.index, 7);
	assert_false(a.permanent);
	attribute(&b, IFA_FLAGS, &flags, 4);
	assert_int_equal(rtnetlink_address(b.bytes, b.n, &a), 0);
	assert_true(a.permanent);
	/* Cut anywhere it is refused or read in part, never beyond. */
	for (size_t n = 0; n < b.n; n++) {
		CLEANUP_FREE uint8_t *copy = malloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, b.bytes, n);
		(void)!rtnetlink_address(copy, n, &a);
	}
	attribute(&b, IFA_LOCAL, own, 3);
	assert_int_equal(rtnetlink_address(b.bytes, b.n, &a), -EBADMSG);
	m.ifa_prefixlen = 33;
	head(&b, &m, sizeof(m));
	attribute(&b, IFA_LOCAL, own, 4);
	assert_int_equal(rtnetlink_address(b.bytes, b.n, &a), -EBADMSG);
	m.ifa_family = AF_PACKET;
	head(&b, &m, sizeof(m));
	assert_int_equal(rtnetlink_address(b.bytes, b.n, &a), -ENOENT);
}

static void test_route(void **state)
{
	static const uint8_t gateway[] = {192, 0, 2, 1};
	struct rtmsg m = {.rtm_family = AF_INET,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_type = RTN_UNICAST,
		.rtm_protocol = RTPROT_DHCP,
		.rtm_flags = RTNH_F_ONLINK};
	struct {
		struct rtnexthop h;
		struct rtattr a;
		uint8_t via[4];
	} hop = {{sizeof(hop), 0, 0, 3}, {8, RTA_GATEWAY}, {192, 0, 2, 2}};
	uint32_t index = 2, metric = 100, table = 1000;
	uint8_t hops[2 * sizeof(hop)];
	struct rtnetlink_route r;
	struct builder b;

	head(&b, &m, sizeof(m));
	attribute(&b, RTA_GATEWAY, gateway, 4);
	attribute(&b, RTA_OIF, &index, 4);
	attribute(&b, RTA_PRIORITY, &metric, 4);
	assert_int_equal(rtnetlink_route(b.bytes, b.n, &r), 0);
	assert_int_equal(r.n_hops, 1);
	assert_int_equal(r.hops[0].index, 2);
	assert_int_equal(r.hops[0].family, AF_INET);
	assert_memory_equal(r.hops[0].via, gateway, 4);
	assert_true(r.hops[0].onlink);
	assert_int_equal(r.metric, 100);
	attribute(&b, RTA_TABLE, &table, 4);
	assert_int_equal(rtnetlink_route(b.bytes, b.n, &r), -ENOENT);

	memcpy(hops, &hop, sizeof(hop));
	memcpy(hops + sizeof(hop), &hop, sizeof(hop));
	head(&b, &m, sizeof(m));
	attribute(&b, RTA_MULTIPATH, hops, sizeof(hops));
	assert_int_equal(rtnetlink_route(b.bytes, b.n, &r), 0);
	assert_int_equal(r.n_hops, 2);
	assert_int_equal(r.hops[1].index, 3);
	assert_int_equal(r.hops[1].via[3], 2);
	hop.h.rtnh_len = 0;
	memcpy(hops + sizeof(hop), &hop, sizeof(hop));
	head(&b, &m, sizeof(m));
	attribute(&b, RTA_MULTIPATH, hops, sizeof(hops));
	assert_int_equal(rtnetlink_route(b.bytes, b.n, &r), -EBADMSG);

	m.rtm_flags = RTM_F_CLONED;
	head(&b, &m, sizeof(m));
	assert_int_equal(rtnetlink_route(b.bytes, b.n, &r), -ENOENT);
}

static void test_link(void **state)
{
	struct ifinfomsg m = {.ifi_index = 7, .ifi_type = 1, .ifi_flags = 1};
	static const uint8_t info[] = {
		9, 0, IFLA_INFO_KIND, 0, 'v', 'l', 'a', 'n', 0, 0, 0, 0};
	static const char long_kind[] = "\x1e\0\1\0abcdefghijklmnopqrstuvwxyz";
	uint32_t lower = 2;
	struct rtnetlink_link l;
	struct builder b;

	head(&b, &m, sizeof(m));
	assert_int_equal(rtnetlink_link(b.bytes, b.n, &l), -EBADMSG);
	attribute(&b, IFLA_IFNAME, "v7", 3);
	assert_int_equal(rtnetlink_link(b.bytes, b.n, &l), 0);
	assert_string_equal(l.name, "v7");
	assert_string_equal(l.kind, "");
	assert_int_equal(l.index, 7);
	assert_int_equal(l.type, 1);
	attribute(&b, IFLA_LINK, &lower, 4);
	attribute(&b, IFLA_LINKINFO, info, sizeof(info));
	assert_int_equal(rtnetlink_link(b.bytes, b.n, &l), 0);
	assert_string_equal(l.kind, "vlan");
	assert_int_equal(l.lower, 2);
	assert_false(l.elsewhere);
	for (size_t n = 0; n < b.n; n++) {
		CLEANUP_FREE uint8_t *copy = malloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, b.bytes, n);
		(void)!rtnetlink_link(copy, n, &l);
	}
	attribute(&b, IFLA_LINKINFO, long_kind, 30);
	attribute(&b, IFLA_LINK_NETNSID, &lower, 4);
	assert_int_equal(rtnetlink_link(b.bytes, b.n, &l), 0);
	assert_string_equal(l.kind, "abcdefghijklmno");
	assert_true(l.elsewhere);
	attribute(&b, IFLA_LINK, &lower, 3);
	assert_int_equal(rtnetlink_link(b.bytes, b.n, &l), -EBADMSG);
}

static void test_neighbour(void **state)
{
	static const uint8_t of[] = {192, 0, 2, 1}, mac[] = {2, 0, 0, 0, 0, 9};
	struct ndmsg m = {.ndm_family = AF_INET,
		.ndm_ifindex = 7,
		.ndm_state = NUD_STALE};
	struct rtnetlink_neighbour e;
	struct builder b;

	head(&b, &m, sizeof(m));
	assert_int_equal(rtnetlink_neighbour(b.bytes, b.n, &e), -EBADMSG);
	attribute(&b, NDA_DST, of, 4);
	assert_int_equal(rtnetlink_neighbour(b.bytes, b.n, &e), -ENOENT);
	attribute(&b, NDA_LLADDR, mac, 6);
	assert_int_equal(rtnetlink_neighbour(b.bytes, b.n, &e), 0);
	assert_memory_equal(e.mac, mac, 6);
	assert_memory_equal(e.bytes, of, 4);
	assert_int_equal(e.index, 7);
	m.ndm_state = NUD_FAILED;
	memcpy(b.bytes, &m, sizeof(m));
	assert_int_equal(rtnetlink_neighbour(b.bytes, b.n, &e), -ENOENT);
	m.ndm_state = NUD_STALE;
	m.ndm_family = AF_INET6;
	memcpy(b.bytes, &m, sizeof(m));
	assert_int_equal(rtnetlink_neighbour(b.bytes, b.n, &e), -EBADMSG);
}

static void test_messages(void **state)
{
	struct nlmsghdr h = {.nlmsg_len = 18, .nlmsg_type = 20, .nlmsg_seq = 9};
	uint8_t bytes[64] = {0};
	const uint8_t *at = bytes, *body;
	size_t left = 36, n;
	uint16_t type;
	uint32_t seq;

	memcpy(bytes, &h, sizeof(h));
	h.nlmsg_len = 17; /* one more than is there */
	memcpy(bytes + 20, &h, sizeof(h));
	assert_true(rtnetlink_next(&at, &left, &type, &seq, &body, &n));
	assert_int_equal(type, 20);
	assert_int_equal(seq, 9);
	assert_int_equal(n, 2);
	assert_int_equal(left, 16);
	assert_false(rtnetlink_next(&at, &left, &type, &seq, &body, &n));
}

/* ---- this machine ---- */

static void test_live(void **state)
{
	json_t *top = tree_gather_with("/", gather_network), *net, *lo;

	net = json_object_get(top, "network");
	lo = tree_find(json_object_get(net, "interfaces"), "name", "lo");
	assert_non_null(lo);
	assert_string_equal(tree_text(lo, "kind"), "loopback");
	if (json_is_true(json_object_get(lo, "up")))
		assert_true(tree_has(
			json_object_get(lo, "addresses"), "127.0.0.1/8"));
	if (getenv("TEST_SHOW"))
		(void)json_dumpf(top, stdout, JSON_INDENT(1));
	done();
}

int main(void)
{
#define IN_TREE(name)                                                          \
	cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)
	const struct CMUnitTest tests[] = {
		IN_TREE(test_interfaces),
		IN_TREE(test_debian_ifupdown),
		IN_TREE(test_debian_networkd),
		IN_TREE(test_ubuntu_netplan),
		IN_TREE(test_rhel9_keyfile),
		IN_TREE(test_network_manager_alone),
		IN_TREE(test_rhel7_ifcfg),
		IN_TREE(test_suse_wicked),
		IN_TREE(test_hostile_files),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_route),
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_neighbour),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
