/* SPDX-License-Identifier: Apache-2.0 */
/* Files of "key=value": systemd.network(5), keyfiles of NetworkManager, ifcfg
 * files of RHEL. */
#include "fixup/nic.h"

#include <stdio.h>
#include <string.h>

typedef void write_fn(const struct nic *nic, struct edit *out);

static void say(const struct nic *nic, struct edit *out)
{
	out->keep_old = true;
	edit_say(out, "%s has %s", nic->name,
		nic->dhcp ? "DHCP" : "the planned addresses");
}

static bool begins(const char *text, const struct edit_pair *p, const char *key)
{
	return p->key_n >= strlen(key) &&
	       strncmp(text + p->key, key, strlen(key)) == 0;
}

/* ---- systemd-networkd ---- */

static void write_network(const struct nic *nic, struct edit *out)
{
	const char *s;

	if (nic->dhcp) {
		edit_text(out, "DHCP=yes\n");
		return;
	}
	for (size_t i = 0; (s = nic_at(nic->addresses, i)); i++)
		edit_put(out, "Address=%s\n", s);
	for (size_t i = 0; (s = nic_at(nic->gateways, i)); i++)
		edit_put(out, "Gateway=%s\n", s);
	for (size_t i = 0; (s = nic_at(nic->nameservers, i)); i++)
		edit_put(out, "DNS=%s\n", s);
}

static bool is_network_key(const char *text)
{
	struct edit_pair p;

	return edit_pair(text, &p) &&
	       (edit_is_key(text, &p, "Address") ||
		       edit_is_key(text, &p, "Gateway") ||
		       edit_is_key(text, &p, "DNS") ||
		       edit_is_key(text, &p, "DHCP"));
}

int nic_rewrite_networkd(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	const struct nic *nic = arg;
	char section[64] = "", next[64];
	struct edit_line l;
	bool done = false;

	while (edit_next(&text, &l)) {
		bool begin = edit_section(l.text, next, sizeof(next));

		if (begin)
			memcpy(section, next, sizeof(section));
		if (strcmp(section, "Address") == 0 ||
			strcmp(section, "Route") == 0)
			continue;
		if (strcmp(section, "Network") == 0 && !begin &&
			is_network_key(l.text))
			continue;
		edit_pass(out, &l);
		if (!begin || done || strcmp(section, "Network") != 0)
			continue;
		if (l.raw[l.n - 1] != '\n')
			edit_text(out, "\n");
		write_network(nic, out);
		done = true;
	}
	if (!done) {
		edit_text(out, "\n[Network]\n");
		write_network(nic, out);
	}
	say(nic, out);
	return 0;
}

void nic_write_networkd(const struct nic *nic, struct edit *out)
{
	edit_put(out, "# " UNIT_MADE_BY "\n[Match]\nName=%s\n\n[Network]\n",
		nic->name);
	write_network(nic, out);
}

/* ---- NetworkManager ---- */

static void write_family(const struct nic *nic, bool six, struct edit *out)
{
	const char *s, *gateway = nic_gateway(nic, six);
	unsigned n = 0;
	bool first = true;

	if (nic->dhcp || !nic_has(nic, six)) {
		edit_put(out, "method=%s\n",
			nic->dhcp || six ? "auto" : "disabled");
		return;
	}
	edit_text(out, "method=manual\n");
	for (size_t i = 0; (s = nic_at(nic->addresses, i)); i++) {
		if ((strchr(s, ':') != NULL) != six)
			continue;
		edit_put(out, "address%u=%s", ++n, s);
		if (n == 1 && gateway[0])
			edit_put(out, ",%s", gateway);
		edit_text(out, "\n");
	}
	for (size_t i = 0; (s = nic_at(nic->nameservers, i)); i++) {
		if ((strchr(s, ':') != NULL) != six)
			continue;
		edit_put(out, "%s%s;", first ? "dns=" : "", s);
		first = false;
	}
	if (!first)
		edit_text(out, "\n");
}

static bool is_keyfile_key(const char *text)
{
	struct edit_pair p;

	return edit_pair(text, &p) &&
	       (edit_is_key(text, &p, "method") ||
		       begins(text, &p, "address") ||
		       edit_is_key(text, &p, "gateway") ||
		       edit_is_key(text, &p, "dns") ||
		       begins(text, &p, "route"));
}

int nic_rewrite_keyfile(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	static const char *const families[] = {"ipv4", "ipv6"};
	const struct nic *nic = arg;
	bool done[2] = {false, false};
	char section[64] = "";
	struct edit_line l;

	while (edit_next(&text, &l)) {
		bool begin = edit_section(l.text, section, sizeof(section));
		bool six = strcmp(section, "ipv6") == 0;
		bool ours = six || strcmp(section, "ipv4") == 0;

		if (ours && !begin && is_keyfile_key(l.text))
			continue;
		edit_pass(out, &l);
		if (!ours || !begin || done[six])
			continue;
		if (l.raw[l.n - 1] != '\n')
			edit_text(out, "\n");
		write_family(nic, six, out);
		done[six] = true;
	}
	for (int i = 0; i < 2; i++) {
		if (done[i])
			continue;
		edit_put(out, "\n[%s]\n", families[i]);
		write_family(nic, i == 1, out);
	}
	say(nic, out);
	return 0;
}

/* It goes before a profile for any interface, which was used the last time. */
void nic_write_keyfile(const struct nic *nic, struct edit *out)
{
	edit_put(out,
		"# " UNIT_MADE_BY "\n[connection]\nid=rehost-%s\n"
		"type=ethernet\ninterface-name=%s\n"
		"autoconnect-priority=999\n\n[ipv4]\n",
		nic->name, nic->name);
	write_family(nic, false, out);
	edit_text(out, "\n[ipv6]\n");
	write_family(nic, true, out);
}

/* ---- ifcfg ---- */

static void write_four(const struct nic *nic, struct edit *out)
{
	char address[NIC_ADDRESS_MAX], mask[NIC_ADDRESS_MAX], number[16] = "";
	const char *s, *gateway = nic_gateway(nic, false);
	unsigned n = 0;

	for (size_t i = 0; (s = nic_at(nic->addresses, i)); i++) {
		if (strchr(s, ':'))
			continue;
		nic_address(s, address);
		nic_netmask(s, mask);
		edit_put(out, "IPADDR%s=%s\nNETMASK%s=%s\n", number, address,
			number, mask);
		(void)snprintf(number, sizeof(number), "%u", ++n);
	}
	if (gateway[0])
		edit_put(out, "GATEWAY=%s\n", gateway);
}

static void write_six(const struct nic *nic, struct edit *out)
{
	const char *s, *gateway = nic_gateway(nic, true);
	unsigned n = 0;

	if (!nic_has(nic, true))
		return;
	edit_text(out, "IPV6INIT=yes\nIPV6_AUTOCONF=no\n");
	for (size_t i = 0; (s = nic_at(nic->addresses, i)); i++) {
		if (!strchr(s, ':'))
			continue;
		edit_put(out, "%s%s",
			n == 0	 ? "IPV6ADDR="
			: n == 1 ? "\nIPV6ADDR_SECONDARIES=\""
				 : " ",
			s);
		n++;
	}
	edit_text(out, n > 1 ? "\"\n" : "\n");
	if (gateway[0])
		edit_put(out, "IPV6_DEFAULTGW=%s\n", gateway);
}

static void write_ifcfg(const struct nic *nic, struct edit *out)
{
	const char *s;

	edit_put(out, "BOOTPROTO=%s\n", nic->dhcp ? "dhcp" : "none");
	if (nic->dhcp)
		return;
	write_four(nic, out);
	for (size_t i = 0; (s = nic_at(nic->nameservers, i)); i++)
		edit_put(out, "DNS%zu=%s\n", i + 1, s);
	write_six(nic, out);
}

static bool is_ifcfg_key(const char *text)
{
	static const char *const keys[] = {"BOOTPROTO", "NETWORK", "BROADCAST",
		"IPV6ADDR", "IPV6ADDR_SECONDARIES", "IPV6_DEFAULTGW",
		"IPV6_AUTOCONF", "IPV6INIT", "DHCPV6C"};
	static const char *const prefixes[] = {
		"IPADDR", "NETMASK", "PREFIX", "GATEWAY", "DNS"};
	struct edit_pair p;

	if (!edit_pair(text, &p))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (edit_is_key(text, &p, keys[i]))
			return true;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (begins(text, &p, prefixes[i]) &&
			strspn(text + p.key + strlen(prefixes[i]),
				"0123456789") +
					strlen(prefixes[i]) ==
				p.key_n)
			return true;
	return false;
}

int nic_rewrite_ifcfg(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	const struct nic *nic = arg;
	struct edit_line l;
	bool done = false;

	while (edit_next(&text, &l)) {
		if (!is_ifcfg_key(l.text)) {
			edit_pass(out, &l);
			continue;
		}
		if (!done)
			write_ifcfg(nic, out);
		done = true;
	}
	if (!done) {
		if (out->n > 0 && out->text[out->n - 1] != '\n')
			edit_text(out, "\n");
		write_ifcfg(nic, out);
	}
	say(nic, out);
	return 0;
}
