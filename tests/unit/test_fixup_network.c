/* SPDX-License-Identifier: Apache-2.0 */
/* Names and addresses of interfaces, in the files of ifupdown, networkd,
 * NetworkManager, netplan and RHEL. */
#include "unit.h"

#include "fixup_image.h"

#define RULES "/etc/udev/rules.d/70-rehost-net.rules"
#define OLD_MAC "52:54:00:aa:bb:01"
#define NEW_MAC "06:00:00:11:22:33"
#define NIC(rest)                                                              \
	"'nics': [{'name': 'ens3', 'mac': '" OLD_MAC "', "                     \
	"'target_mac': '" NEW_MAC "', " rest "}]"
#define KEEP NIC("'mode': 'keep'")
#define DHCP NIC("'mode': 'dhcp'")
#define IN_BRIDGE NIC("'holder': 'br0', 'mode': 'dhcp'")
#define MAP                                                                    \
	NIC("'mode': 'map', "                                                  \
	    "'addresses': ['192.0.2.5/24', '192.0.2.6/25', "                   \
	    "'2001:db8::5/64'], "                                              \
	    "'gateways': ['192.0.2.1', '2001:db8::1'], "                       \
	    "'nameservers': ['192.0.2.53', '2001:db8::53']")
#define TEST(f) cmocka_unit_test_setup_teardown(f, image_setup, image_teardown)

/* ---- names ---- */

static void names_are_pinned(void **state)
{
	image_run("network", KEEP);
	image_is(RULES, "# Made by rehost when it moved this machine.\n"
			"# Interfaces keep the names that they had.\n"
			"SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", "
			"ATTR{address}==\"" NEW_MAC "\", ATTR{type}==\"1\", "
			"NAME=\"ens3\"\n");
	assert_int_equal(image_count("changes", "network"), 1);
	image_run("network", "'nics': [{'name': 'eth0', 'mode': 'keep'}]");
	assert_true(image_says("warnings", "eth0 may get another name"));
}

static void old_pins_follow(void **state)
{
	image_put("/etc/udev/rules.d/70-persistent-net.rules",
		"# PCI device\n"
		"SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", "
		"ATTR{address}==\"" OLD_MAC "\", ATTR{type}==\"1\", "
		"KERNEL==\"eth*\", NAME=\"ens3\"\n"
		"SUBSYSTEM==\"net\", ATTR{address}==\"00:00:00:00:00:01\", "
		"NAME=\"eth7\"\n");
	image_put("/etc/systemd/network/10-a.link",
		"[Match]\nMACAddress=52-54-00-AA-BB-01 00:00:00:00:00:01\n"
		"[Link]\nName=ens3\nMACAddress=" OLD_MAC "\n");
	image_put("/etc/sysconfig/network-scripts/ifcfg-ens3",
		"DEVICE=ens3\nHWADDR=\"52:54:00:AA:BB:01\"\n"
		"MACADDR=" OLD_MAC "\nBOOTPROTO=dhcp\n");
	image_put("/etc/NetworkManager/system-connections/a",
		"[ethernet]\nmac-address=" OLD_MAC "\n"
		"cloned-mac-address=" OLD_MAC "\n");
	image_put("/etc/netplan/50-cloud-init.yaml",
		"network:\n  version: 2\n  ethernets:\n    ens3:\n"
		"      match:\n        macaddress: '" OLD_MAC "'\n"
		"      macaddress: " OLD_MAC "\n"
		"      set-name: ens3\n");
	image_run("network", KEEP);
	assert_non_null(strstr(
		image_read("/etc/udev/rules.d/70-persistent-net.rules"),
		"ATTR{address}==\"" NEW_MAC "\", ATTR{type}==\"1\", "
		"KERNEL==\"eth*\", NAME=\"ens3\"\n"
		"SUBSYSTEM==\"net\", ATTR{address}==\"00:00:00:00:00:01\""));
	/* That one does it already. */
	assert_false(image_has(RULES));
	image_is("/etc/systemd/network/10-a.link",
		"[Match]\nMACAddress=" NEW_MAC " 00:00:00:00:00:01\n"
		"[Link]\nName=ens3\nMACAddress=" OLD_MAC "\n");
	image_is("/etc/sysconfig/network-scripts/ifcfg-ens3",
		"DEVICE=ens3\nHWADDR=\"" NEW_MAC "\"\n"
		"MACADDR=" OLD_MAC "\nBOOTPROTO=dhcp\n");
	image_is("/etc/NetworkManager/system-connections/a",
		"[ethernet]\nmac-address=" NEW_MAC "\n"
		"cloned-mac-address=" OLD_MAC "\n");
	image_is("/etc/netplan/50-cloud-init.yaml",
		"network:\n  version: 2\n  ethernets:\n    ens3:\n"
		"      match:\n        macaddress: '" NEW_MAC "'\n"
		"      macaddress: " OLD_MAC "\n"
		"      set-name: ens3\n");
}

/* Two machines of one network may have exchanged theirs. */
static void exchanged_addresses_do_not_swing(void **state)
{
	image_put("/etc/sysconfig/network-scripts/ifcfg-a",
		"DEVICE=a\nHWADDR=" OLD_MAC "\n");
	image_run("network",
		"'nics': [{'name': 'a', 'mac': '" OLD_MAC
		"', 'target_mac': '" NEW_MAC
		"', 'mode': 'keep'}, {'name': 'b', 'mac': '" NEW_MAC
		"', 'target_mac': '" OLD_MAC "', 'mode': 'keep'}]");
}

/* ---- ifupdown ---- */

#define INTERFACES                                                             \
	"source /etc/network/interfaces.d/*\n\n"                               \
	"auto lo\niface lo inet loopback\n\n"                                  \
	"# the first\n"                                                        \
	"auto ens3 ens3:0\n"                                                   \
	"iface ens3 inet static\n"                                             \
	"    address 10.0.0.5\n"                                               \
	"    netmask 255.255.255.0\n"                                          \
	"    gateway 10.0.0.1\n"                                               \
	"    # jumbo frames\n"                                                 \
	"    mtu 9000\n"                                                       \
	"    dns-search a.example\n"                                           \
	"    up ip route add 10.1.0.0/16 via 10.0.0.9\n"                       \
	"    post-up /usr/local/bin/hello\n\n"                                 \
	"iface ens3:0 inet static\n"                                           \
	"    address 10.0.0.6/24\n\n"                                          \
	"# the second\n"                                                       \
	"auto ens4\n"                                                          \
	"iface ens4 inet static\n"                                             \
	"    address 10.9.0.5/24\n"

static void ifupdown_mapped(void **state)
{
	image_put("/etc/network/interfaces", INTERFACES);
	image_run("network", MAP);
	image_is("/etc/network/interfaces",
		"source /etc/network/interfaces.d/*\n\n"
		"auto lo\niface lo inet loopback\n\n"
		"# the first\n"
		"auto ens3\n"
		"iface ens3 inet static\n"
		"\taddress 192.0.2.5/24\n"
		"\tgateway 192.0.2.1\n"
		"\tdns-nameservers 192.0.2.53 2001:db8::53\n"
		"    # jumbo frames\n"
		"    mtu 9000\n"
		"    dns-search a.example\n"
		"    post-up /usr/local/bin/hello\n"
		"iface ens3 inet static\n"
		"\taddress 192.0.2.6/25\n"
		"iface ens3 inet6 static\n"
		"\taddress 2001:db8::5/64\n"
		"\tgateway 2001:db8::1\n"
		"\n\n"
		"# the second\n"
		"auto ens4\n"
		"iface ens4 inet static\n"
		"    address 10.9.0.5/24\n");
	image_is("/var/lib/rehost/old/etc/network/interfaces", INTERFACES);
	assert_true(image_says("warnings", "up ip route add 10.1.0.0/16"));
}

static void ifupdown_dhcp(void **state)
{
	image_put("/etc/network/interfaces",
		"auto ens3\niface ens3 inet static\n\taddress 10.0.0.5/24\n"
		"\tmtu 9000");
	image_run("network", DHCP);
	image_is("/etc/network/interfaces",
		"auto ens3\niface ens3 inet dhcp\n\tmtu 9000\n");
	image_put("/etc/network/interfaces",
		"auto ens3\niface ens3 inet dhcp # as it was\n");
	image_run("network", DHCP);
	image_is("/etc/network/interfaces",
		"auto ens3\niface ens3 inet dhcp # as it was\n");
}

static void ifupdown_bridge(void **state)
{
	image_put("/etc/network/interfaces",
		"iface ens3 inet manual\n\nauto br0\niface br0 inet static\n"
		"\taddress 10.0.0.5/24\n\tbridge_ports ens3\n");
	image_run("network", IN_BRIDGE);
	image_is("/etc/network/interfaces",
		"iface ens3 inet manual\n\nauto br0\niface br0 inet dhcp\n"
		"\tbridge_ports ens3\n");
}

static void ifupdown_lines_that_go_on(void **state)
{
	image_put("/etc/network/interfaces",
		"auto \\\n ens3\niface ens3 inet \\\n static\n"
		"\taddress 10.0.0.5/24\n\tdns-nameservers 10.0.0.2 \\\n"
		"\t10.0.0.3\n\tdns-search a.example \\\n\tb.example\n"
		"\tmtu 9000\n");
	image_run("network", DHCP);
	image_is("/etc/network/interfaces",
		"auto \\\n ens3\niface ens3 inet dhcp\n"
		"\tdns-search a.example \\\n\tb.example\n\tmtu 9000\n");
}

static void ifupdown_without_the_interface(void **state)
{
	image_put("/etc/network/interfaces", "auto lo\niface lo inet loopback");
	image_run("network", DHCP);
	image_is("/etc/network/interfaces",
		"auto lo\niface lo inet loopback\n"
		"# Made by rehost when it moved this machine.\n"
		"auto ens3\niface ens3 inet dhcp\n");
}

/* ---- networkd ---- */

static void networkd_mapped(void **state)
{
	image_put("/etc/systemd/network/20-a.network",
		"[Match]\nName=ens3\n\n[Network]\nDomains=a.example\n"
		"Address=10.0.0.5/24\nGateway=10.0.0.1\nDNS=10.0.0.2\n\n"
		"[Route]\nDestination=10.1.0.0/16\nGateway=10.0.0.9\n\n"
		"[Link]\nMTUBytes=9000\n");
	image_put("/etc/systemd/network/30-b.network",
		"[Match]\nName=en*\n[Network]\nDHCP=yes\n");
	image_run("network", MAP);
	image_is("/etc/systemd/network/20-a.network",
		"[Match]\nName=ens3\n\n[Network]\n"
		"Address=192.0.2.5/24\nAddress=192.0.2.6/25\n"
		"Address=2001:db8::5/64\nGateway=192.0.2.1\n"
		"Gateway=2001:db8::1\nDNS=192.0.2.53\nDNS=2001:db8::53\n"
		"Domains=a.example\n\n[Link]\nMTUBytes=9000\n");
	image_is("/etc/systemd/network/30-b.network",
		"[Match]\nName=en*\n[Network]\nDHCP=yes\n");
}

static void networkd_dhcp(void **state)
{
	/* A pattern that does it already is enough. */
	image_put("/etc/systemd/network/30-b.network",
		"[Match]\nName=en*\n[Network]\nDHCP=yes\n");
	image_run("network", DHCP);
	assert_int_equal(image_count("changes", "network"), 1);
	image_put("/etc/systemd/network/30-b.network",
		"[Match]\nName=en*\n[Network]\nAddress=10.0.0.1/24\n");
	image_run("network", DHCP);
	image_is("/etc/systemd/network/05-rehost-ens3.network",
		"# Made by rehost when it moved this machine.\n"
		"[Match]\nName=ens3\n\n[Network]\nDHCP=yes\n");
}

/* ---- NetworkManager ---- */

static void keyfile_mapped(void **state)
{
	struct stat st;

	image_put("/etc/NetworkManager/system-connections/a.nmconnection",
		"[connection]\nid=a\ntype=ethernet\ninterface-name=ens3\n\n"
		"[ipv4]\nmethod=manual\naddress1=10.0.0.5/24,10.0.0.1\n"
		"dns=10.0.0.2;\ndns-search=a.example;\n"
		"route1=10.1.0.0/16,10.0.0.9\n\n[ipv6]\nmethod=ignore\n");
	assert_int_equal(
		chmod(image_path("/etc/NetworkManager/system-connections/"
				 "a.nmconnection"),
			0600),
		0);
	image_run("network", MAP);
	image_is("/etc/NetworkManager/system-connections/a.nmconnection",
		"[connection]\nid=a\ntype=ethernet\ninterface-name=ens3\n\n"
		"[ipv4]\nmethod=manual\naddress1=192.0.2.5/24,192.0.2.1\n"
		"address2=192.0.2.6/25\ndns=192.0.2.53;\n"
		"dns-search=a.example;\n\n"
		"[ipv6]\nmethod=manual\n"
		"address1=2001:db8::5/64,2001:db8::1\ndns=2001:db8::53;\n");
	assert_int_equal(
		stat(image_path("/etc/NetworkManager/system-connections/"
				"a.nmconnection"),
			&st),
		0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void keyfile_made(void **state)
{
	struct stat st;

	image_put("/etc/NetworkManager/system-connections/x",
		"[connection]\ntype=vpn\n");
	image_run("network", DHCP);
	image_is("/etc/NetworkManager/system-connections/"
		 "rehost-ens3.nmconnection",
		"# Made by rehost when it moved this machine.\n"
		"[connection]\nid=rehost-ens3\ntype=ethernet\n"
		"interface-name=ens3\nautoconnect-priority=999\n\n[ipv4]"
		"\nmethod=auto\n\n"
		"[ipv6]\nmethod=auto\n");
	assert_int_equal(
		stat(image_path("/etc/NetworkManager/system-connections/"
				"rehost-ens3.nmconnection"),
			&st),
		0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* ---- netplan ---- */

static void netplan_mapped(void **state)
{
	image_put("/etc/netplan/01.yaml", "# by hand\n"
					  "network:\n"
					  "  version: 2\n"
					  "  ethernets:\n"
					  "    first:\n"
					  "      match:\n"
					  "        macaddress: " OLD_MAC "\n"
					  "      set-name: ens3\n"
					  "      addresses:\n"
					  "      - 10.0.0.5/24\n"
					  "      # the gateway\n"
					  "      gateway4: 10.0.0.1\n"
					  "      nameservers:\n"
					  "        search: [a.example]\n"
					  "        addresses: [10.0.0.2]\n"
					  "      mtu: 9000\n"
					  "    ens4:\n"
					  "      addresses: [10.9.0.5/24]\n");
	image_run("network", MAP);
	image_is("/etc/netplan/01.yaml", "# by hand\n"
					 "network:\n"
					 "  version: 2\n"
					 "  ethernets:\n"
					 "    first:\n"
					 "      dhcp4: false\n"
					 "      dhcp6: false\n"
					 "      addresses:\n"
					 "        - \"192.0.2.5/24\"\n"
					 "        - \"192.0.2.6/25\"\n"
					 "        - \"2001:db8::5/64\"\n"
					 "      routes:\n"
					 "        - to: \"0.0.0.0/0\"\n"
					 "          via: \"192.0.2.1\"\n"
					 "        - to: \"::/0\"\n"
					 "          via: \"2001:db8::1\"\n"
					 "      nameservers:\n"
					 "        addresses:\n"
					 "          - \"192.0.2.53\"\n"
					 "          - \"2001:db8::53\"\n"
					 "      match:\n"
					 "        macaddress: " NEW_MAC "\n"
					 "      set-name: ens3\n"
					 "      # the gateway\n"
					 "      mtu: 9000\n"
					 "    ens4:\n"
					 "      addresses: [10.9.0.5/24]\n");
}

static void netplan_dhcp(void **state)
{
	image_put("/etc/netplan/01.yaml",
		"network:\n  ethernets:\n    ens3:\n"
		"      addresses: [10.0.0.5/24]\n      mtu: 9000\n");
	image_run("network", DHCP);
	image_is("/etc/netplan/01.yaml",
		"network:\n  ethernets:\n    ens3:\n      dhcp4: true\n"
		"      dhcp6: true\n      mtu: 9000\n");
	image_put("/etc/netplan/01.yaml", "network:\n  ethernets:\n    ens3: "
					  "{addresses: [10.0.0.5/24]}\n");
	image_run("network", DHCP);
	assert_true(image_says("warnings", "not understood"));
}

static void netplan_bridge(void **state)
{
	image_put("/etc/netplan/01.yaml",
		"network:\n  ethernets:\n    ens3: {}\n  bridges:\n"
		"    br0:\n      interfaces: [ens3]\n"
		"      addresses: [10.0.0.5/24]\n");
	image_run("network", IN_BRIDGE);
	image_is("/etc/netplan/01.yaml",
		"network:\n  ethernets:\n    ens3: {}\n  bridges:\n"
		"    br0:\n      dhcp4: true\n      dhcp6: true\n"
		"      interfaces: [ens3]\n");
}

/* The second card of a bond has no addresses of its own. */
static void netplan_bond(void **state)
{
	image_put("/etc/netplan/01.yaml",
		"network:\n  ethernets:\n    ens3: {}\n    ens4: {}\n"
		"  bonds:\n    bond0:\n      interfaces: [ens3, ens4]\n"
		"      addresses: [10.0.0.5/24]\n");
	image_run("network",
		"'nics': [{'name': 'ens4', 'holder': 'bond0', 'mode': 'dhcp'},"
		"{'name': 'ens3', 'holder': 'bond0', 'mode': 'map',"
		"'addresses': ['192.0.2.5/24']},{'name': 'ens5',"
		"'holder': 'bond0', 'mode': 'map',"
		"'addresses': ['192.0.2.6/24']}]");
	image_is("/etc/netplan/01.yaml",
		"network:\n  ethernets:\n    ens3: {}\n    ens4: {}\n"
		"  bonds:\n    bond0:\n      dhcp4: false\n"
		"      dhcp6: false\n      addresses:\n"
		"        - \"192.0.2.5/24\"\n"
		"      interfaces: [ens3, ens4]\n");
}

/* Of files that fit, networkd takes the first by name: 10-netplan-all-en would
 * go before 10-netplan-ens3. */
static void netplan_by_a_pattern(void **state)
{
	static const char ours[] = "/etc/netplan/90-rehost-ens3.yaml";
	char first[1024];

	image_put("/etc/netplan/90-default.yaml",
		"network:\n  ethernets:\n    all-en:\n      match:\n"
		"        name: en*\n      dhcp4: true\n");
	image_run("network", MAP);
	assert_non_null(strstr(image_read(ours), "\n    00-rehost-ens3:\n"));
	assert_non_null(strstr(
		image_read(ours), "\n      match:\n        name: \"ens3\"\n"));
	(void)snprintf(first, sizeof(first), "%s", image_read(ours));
	/* Done once more it finds its own. */
	image_run("network", MAP);
	assert_int_equal(image_count("changes", "network"), 0);
	image_is(ours, first);
}

static void image_fails(const char *only, const char *wish, const char *why)
{
	assert_int_equal(image_try(only, wish), -EADDRINUSE);
	assert_non_null(strstr(image_error, why));
}

/* A clone must not come up with its source's addresses. */
static void clone_is_refused(void **state)
{
	static const char new_one[] = ", 'identity': 'new', 'id': 'ab'";
	char wish[1024];

	image_put("/etc/netplan/01.yaml", "network:\n  ethernets:\n    ens3: "
					  "{addresses: [10.0.0.5/24]}\n");
	(void)snprintf(wish, sizeof(wish), "%s%s", DHCP, new_one);
	image_fails("network", wish, "may come up with those of its source");
	(void)unlink(image_path("/etc/netplan/01.yaml"));
	image_put("/etc/sysconfig/network/ifcfg-ens3", "IPADDR=10.0.0.5/24\n");
	image_folder("/etc/systemd/network");
	image_fails("network", wish, "ifcfg-");
	image_put("/etc/sysconfig/network/ifcfg-ens3", "BOOTPROTO=dhcp\n");
	image_run("network", wish);
	assert_int_equal(image_count("warnings", "network"), 0);
	(void)snprintf(wish, sizeof(wish), "%s%s", IN_BRIDGE, new_one);
	(void)unlink(image_path("/etc/sysconfig/network/ifcfg-ens3"));
	image_fails("network", wish, "configures it");
	image_run("network", IN_BRIDGE);
	assert_true(image_says("warnings", "br0 does not get"));
}

/* ---- RHEL ---- */

#define SCRIPTS "/etc/sysconfig/network-scripts/"

static void ifcfg_mapped(void **state)
{
	image_put(SCRIPTS "ifcfg-ens3",
		"TYPE=Ethernet\nNAME=ens3\nDEVICE=ens3\nONBOOT=yes\n"
		"BOOTPROTO=static\nIPADDR=10.0.0.5\nPREFIX=24\n"
		"GATEWAY=10.0.0.1\nDNS1=10.0.0.2\nZONE=public\n");
	image_put(SCRIPTS "route-ens3", "10.1.0.0/16 via 10.0.0.9\n");
	image_put(SCRIPTS "ifcfg-ens3:0", "DEVICE=ens3:0\nIPADDR=10.0.0.6\n");
	image_put(
		"/etc/sysconfig/network", "NETWORKING=yes\nGATEWAY=10.0.0.1\n");
	image_run("network", MAP);
	image_is(SCRIPTS "ifcfg-ens3",
		"TYPE=Ethernet\nNAME=ens3\nDEVICE=ens3\nONBOOT=yes\n"
		"BOOTPROTO=none\nIPADDR=192.0.2.5\nNETMASK=255.255.255.0\n"
		"IPADDR1=192.0.2.6\nNETMASK1=255.255.255.128\n"
		"GATEWAY=192.0.2.1\nDNS1=192.0.2.53\nDNS2=2001:db8::53\n"
		"IPV6INIT=yes\nIPV6_AUTOCONF=no\nIPV6ADDR=2001:db8::5/64\n"
		"IPV6_DEFAULTGW=2001:db8::1\nZONE=public\n");
	assert_false(image_has(SCRIPTS "route-ens3"));
	assert_false(image_has(SCRIPTS "ifcfg-ens3:0"));
	image_is("/var/lib/rehost/old" SCRIPTS "route-ens3",
		"10.1.0.0/16 via 10.0.0.9\n");
	image_is("/etc/sysconfig/network",
		"NETWORKING=yes\nGATEWAY=192.0.2.1\n");
}

static void ifcfg_dhcp(void **state)
{
	image_put(SCRIPTS "ifcfg-ens3",
		"ONBOOT=yes\nBOOTPROTO=none\nIPADDR=10.0.0.5\n"
		"NETMASK=255.255.255.0\n");
	image_put(
		"/etc/sysconfig/network", "GATEWAY=10.0.0.1\nNETWORKING=yes\n");
	image_run("network", DHCP);
	image_is(SCRIPTS "ifcfg-ens3", "ONBOOT=yes\nBOOTPROTO=dhcp\n");
	image_is("/etc/sysconfig/network", "NETWORKING=yes\n");
}

static void ifcfg_bridge(void **state)
{
	image_put(SCRIPTS "ifcfg-ens3", "DEVICE=ens3\nBRIDGE=br0\n");
	image_put(SCRIPTS "ifcfg-br0",
		"DEVICE=br0\nTYPE=Bridge\nBOOTPROTO=none\nIPADDR=10.0.0.5\n");
	image_run("network", IN_BRIDGE);
	image_is(SCRIPTS "ifcfg-ens3", "DEVICE=ens3\nBRIDGE=br0\n");
	image_is(SCRIPTS "ifcfg-br0",
		"DEVICE=br0\nTYPE=Bridge\nBOOTPROTO=dhcp\n");
}

/* The gateway of an interface that keeps what it has stays. */
static void ifcfg_others_keep(void **state)
{
	image_put(SCRIPTS "ifcfg-ens3", "DEVICE=ens3\nBOOTPROTO=dhcp\n");
	image_put(SCRIPTS "route-ens3", "10.1.0.0/16 via 10.0.0.9\n");
	image_put("/etc/sysconfig/network", "GATEWAY=10.0.0.1\n");
	image_run("network", "'nics': [{'name': 'ens3', 'mac': '" OLD_MAC
			     "', 'target_mac': '" NEW_MAC "', 'mode': 'dhcp'},"
			     "{'name': 'ens4', 'mode': 'keep'}]");
	image_is("/etc/sysconfig/network", "GATEWAY=10.0.0.1\n");
	/* Nothing had to change. */
	assert_true(image_has(SCRIPTS "route-ens3"));
}

/* ---- all ---- */

static void addresses_are_kept(void **state)
{
	image_put("/etc/network/interfaces", INTERFACES);
	image_put("/etc/sysconfig/network-scripts/ifcfg-ens3",
		"BOOTPROTO=none\nIPADDR=10.0.0.5\n");
	image_run("network", KEEP);
	image_is("/etc/network/interfaces", INTERFACES);
	assert_int_equal(image_count("changes", "network"), 1);
}

static void nothing_configures_it(void **state)
{
	image_run("network", DHCP);
	assert_true(image_says("warnings", "ens3 does not get the planned"));
	image_folder("/etc/cloud/cloud.cfg.d");
	image_folder("/etc/cloud/cloud.cfg.d/x");
	image_run("network", DHCP);
	assert_non_null(strstr(
		image_read("/etc/cloud/cloud.cfg.d/99-rehost-network.cfg"),
		"network: {config: disabled}"));
}

static void hostile_files(void **state)
{
	static char text[(1 << 20) + 256];
	int n = sprintf(text, "auto ens3\niface ens3 inet static\n\taddress "
			      "10.0.0.5/24\n\tmtu ");

	memset(text + n, '9', 1 << 20);
	(void)sprintf(text + n + (1 << 20), "\n\tgateway 10.0.0.1\n");
	image_put("/etc/network/interfaces", text);
	image_fifo("/etc/network/interfaces.d/fifo");
	image_link("/etc/network/interfaces.d/loop", "loop");
	image_link("/etc/systemd/network/a.network", "/etc/passwd");
	image_put_bytes("/etc/netplan/a.yaml", "a\0b", 3, 0644);
	image_fifo("/etc/udev/rules.d/70-persistent-net.rules");
	image_put("/etc/NetworkManager/system-connections/x", "[[[]\n=\n\n]");
	image_put(SCRIPTS "ifcfg-", "=\n\"\nHWADDR=\"\n");
	image_run("network", DHCP);
	assert_non_null(strstr(image_read("/etc/network/interfaces"),
		"iface ens3 inet dhcp\n"));
	assert_null(strstr(
		image_read("/etc/network/interfaces"), "gateway 10.0.0.1"));
	assert_true(image_says("warnings", "a.yaml is left as it is"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_are_pinned),
		TEST(old_pins_follow),
		TEST(exchanged_addresses_do_not_swing),
		TEST(ifupdown_mapped),
		TEST(ifupdown_dhcp),
		TEST(ifupdown_bridge),
		TEST(ifupdown_lines_that_go_on),
		TEST(ifupdown_without_the_interface),
		TEST(networkd_mapped),
		TEST(networkd_dhcp),
		TEST(keyfile_mapped),
		TEST(keyfile_made),
		TEST(netplan_mapped),
		TEST(netplan_dhcp),
		TEST(netplan_bridge),
		TEST(netplan_bond),
		TEST(netplan_by_a_pattern),
		TEST(clone_is_refused),
		TEST(ifcfg_mapped),
		TEST(ifcfg_dhcp),
		TEST(ifcfg_bridge),
		TEST(ifcfg_others_keep),
		TEST(addresses_are_kept),
		TEST(nothing_configures_it),
		TEST(hostile_files),
	};

	return cmocka_run_group_tests_name("fixup_network", tests, NULL, NULL);
}
