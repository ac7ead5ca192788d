/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/netconfig.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "facts/gather.h"

/* Levels of indentation that a netplan file is followed into: the section, the
 * interface, and its keys. */
#define NETPLAN_LEVELS 3

typedef void entry_fn(void *arg, const struct netconfig_entry *e);

/* ---- shared ---- */

/* After one of these, a star may stand for more. */
bool netconfig_matches(const char *pattern, const char *name)
{
	const char *star = NULL, *from = NULL;

	while (*name) {
		if (*pattern == '*') {
			star = pattern++;
			from = name;
		} else if (*pattern == '?' || *pattern == *name) {
			pattern++;
			name++;
		} else if (star) {
			pattern = star + 1;
			name = ++from;
		} else {
			return false;
		}
	}
	return pattern[strspn(pattern, "*")] == '\0';
}

static void raise(struct netconfig_entry *e, enum netconfig_mode mode)
{
	e->mode = MAX(e->mode, mode);
}

/* What is cut would name something else, so it is left out. */
static void add_name(struct netconfig_entry *e, const char *name)
{
	size_t n = strlen(e->names), k = strlen(name);

	if (k == 0 || n + k + 2 > sizeof(e->names))
		return;
	if (n > 0)
		e->names[n++] = ' ';
	memcpy(e->names + n, name, k + 1);
}

static void set_mac(struct netconfig_entry *e, const char *s)
{
	for (unsigned i = 0; i < sizeof(e->mac) - 1; i++) {
		char c = s[i];

		if (c >= 'A' && c <= 'F')
			c = (char)(c | 32);
		if (c == '-')
			c = ':';
		if (i % 3 == 2 ? c != ':'
			       : !c || !strchr("0123456789abcdef", c)) {
			e->mac[0] = '\0';
			return;
		}
		e->mac[i] = c;
	}
	e->mac[sizeof(e->mac) - 1] = '\0';
}

static char *trim(char *s)
{
	char *end;

	s += strspn(s, " \t\r");
	end = s + strlen(s);
	while (end > s && strchr(" \t\r", end[-1]))
		*--end = '\0';
	return s;
}

static char *unquote(char *s)
{
	size_t n = strlen(s);

	if (n >= 2 && (*s == '"' || *s == '\'') && s[n - 1] == *s) {
		s[n - 1] = '\0';
		s++;
	}
	return s;
}

static bool is_yes(const char *s)
{
	static const char *const yes[] = {"yes", "true", "on", "1", "y"};

	for (unsigned i = 0; i < ARRAY_LEN(yes); i++)
		if (strcasecmp(s, yes[i]) == 0)
			return true;
	return false;
}

/* The next "key=value" of a file of sections; *section changes on the way.
 * Comments and what has no "=" are passed over. */
static bool next_setting(
	char **text, char **section, char **ret_key, char **ret_value)
{
	char *line;

	while ((line = gather_next_line(text))) {
		char *end, *equals;

		line = trim(line);
		if (*line == '#' || *line == ';')
			continue;
		end = strchr(line, ']');
		if (*line == '[' && end) {
			*end = '\0';
			*section = line + 1;
			continue;
		}
		equals = strchr(line, '=');
		if (!equals)
			continue;
		*equals = '\0';
		*ret_key = trim(line);
		*ret_value = trim(equals + 1);
		return true;
	}
	return false;
}

/* ---- ifupdown ---- */

static void join_lines(char *text)
{
	for (; (text = strchr(text, '\\')); text++)
		if (text[1] == '\n')
			text[0] = text[1] = ' ';
}

static enum netconfig_mode ifupdown_mode(const char *family, const char *method)
{
	bool six = strcmp(family, "inet6") == 0;

	if (strcmp(method, "static") == 0 || strcmp(method, "tunnel") == 0 ||
		strcmp(method, "v4tunnel") == 0 || strcmp(method, "ppp") == 0)
		return NETCONFIG_STATIC;
	if (strcmp(method, "dhcp") == 0 || strcmp(method, "bootp") == 0)
		return NETCONFIG_DHCP;
	if (strcmp(method, "auto") == 0)
		return six ? NETCONFIG_AUTO : NETCONFIG_DHCP;
	return NETCONFIG_MANUAL;
}

static void parse_interfaces(char *text, entry_fn *fn, void *arg)
{
	char *line, *word;

	join_lines(text);
	while ((line = gather_next_line(&text))) {
		struct netconfig_entry e = {0};

		word = gather_next_word(&line);
		if (!word)
			continue;
		if (strcmp(word, "source") == 0) {
			word = gather_next_word(&line);
			if (!word || strlen(word) >= sizeof(e.source))
				continue;
			(void)snprintf(e.source, sizeof(e.source), "%s", word);
			fn(arg, &e);
		} else if (strcmp(word, "source-directory") == 0) {
			word = gather_next_word(&line);
			if (!word || strlen(word) + 1 >= sizeof(e.source))
				continue;
			(void)snprintf(e.source, sizeof(e.source), "%s/", word);
			fn(arg, &e);
		} else if (strcmp(word, "iface") == 0) {
			char *name = gather_next_word(&line);
			const char *family = gather_next_word(&line);
			const char *method = gather_next_word(&line);

			/* "eth0:1" is a further address of eth0. */
			if (!name || !family || !method)
				continue;
			add_name(&e, strsep(&name, ":"));
			if (!e.names[0])
				continue;
			e.mode = ifupdown_mode(family, method);
			fn(arg, &e);
		}
	}
}

/* ---- systemd-networkd ---- */

static void parse_networkd(char *text, entry_fn *fn, void *arg)
{
	struct netconfig_entry e = {0};
	char *section = "", *key, *value, *word;

	while (next_setting(&text, &section, &key, &value)) {
		if (strcmp(section, "Match") == 0) {
			word = gather_next_word(&value);
			if (strcmp(key, "Name") == 0)
				for (; word; word = gather_next_word(&value))
					add_name(&e, word);
			else if (word && (strcmp(key, "MACAddress") == 0 ||
						 strcmp(key, "PermanentMAC"
							     "Address") == 0))
				set_mac(&e, word);
		} else if (strcmp(section, "Network") == 0) {
			raise(&e, NETCONFIG_AUTO);
			if (strcmp(key, "Address") == 0 && *value)
				raise(&e, NETCONFIG_STATIC);
			if (strcmp(key, "DHCP") == 0 &&
				(is_yes(value) ||
					strcasecmp(value, "both") == 0 ||
					strcasecmp(value, "ipv4") == 0 ||
					strcasecmp(value, "v4") == 0 ||
					strcasecmp(value, "ipv6") == 0 ||
					strcasecmp(value, "v6") == 0))
				raise(&e, NETCONFIG_DHCP);
		} else if (strcmp(section, "Address") == 0) {
			if (strcmp(key, "Address") == 0 && *value)
				raise(&e, NETCONFIG_STATIC);
		} else if (strcmp(section, "Link") == 0) {
			if (strcmp(key, "Unmanaged") == 0 && is_yes(value))
				raise(&e, NETCONFIG_MANUAL);
		}
	}
	/* Without any match it does for all, which happens to be what no name
	 * and no address mean. */
	if (e.mode != NETCONFIG_NONE)
		fn(arg, &e);
}

/* ---- NetworkManager ---- */

static enum netconfig_mode keyfile_mode(const char *method, bool six)
{
	if (strcmp(method, "manual") == 0)
		return NETCONFIG_STATIC;
	if (strcmp(method, "dhcp") == 0 ||
		(strcmp(method, "auto") == 0 && !six))
		return NETCONFIG_DHCP;
	if (strcmp(method, "auto") == 0)
		return NETCONFIG_AUTO;
	return NETCONFIG_MANUAL;
}

static void parse_keyfile(char *text, entry_fn *fn, void *arg)
{
	struct netconfig_entry e = {0};
	char *section = "", *key, *value;
	bool card = false;

	while (next_setting(&text, &section, &key, &value)) {
		if (strcmp(section, "connection") == 0) {
			if (strcmp(key, "interface-name") == 0)
				add_name(&e, value);
			if (strcmp(key, "type") == 0)
				card = strcmp(value, "ethernet") == 0 ||
				       strcmp(value, "802-3-ethernet") == 0;
		} else if (strcmp(section, "ethernet") == 0 ||
			   strcmp(section, "802-3-ethernet") == 0) {
			if (strcmp(key, "mac-address") == 0)
				set_mac(&e, value);
		} else if (strcmp(section, "ipv4") == 0 ||
			   strcmp(section, "ipv6") == 0) {
			if (strcmp(key, "method") == 0)
				raise(&e,
					keyfile_mode(value, section[3] == '6'));
		}
	}
	/* What is no card and has no name (a VPN, a wireless net) says nothing
	 * of the machine's interfaces. */
	if (card || e.names[0])
		fn(arg, &e);
}

/* ---- ifcfg ---- */

static void parse_ifcfg(char *text, entry_fn *fn, void *arg)
{
	struct netconfig_entry e = {0};
	char *section = "", *key, *value;

	while (next_setting(&text, &section, &key, &value)) {
		value = unquote(value);
		if (strcmp(key, "DEVICE") == 0 && !e.names[0]) {
			add_name(&e, value);
		} else if (strcmp(key, "HWADDR") == 0 ||
			   strcmp(key, "LLADDR") == 0) {
			set_mac(&e, value);
		} else if (strcmp(key, "BOOTPROTO") == 0) {
			/* "static" without an address gives none. */
			raise(&e,
				strncasecmp(value, "dhcp", 4) == 0 ||
						strcasecmp(value, "bootp") == 0
					? NETCONFIG_DHCP
					: NETCONFIG_MANUAL);
		} else if (strncmp(key, "IPADDR", 6) == 0 ||
			   strcmp(key, "IPV6ADDR") == 0) {
			if (*value)
				raise(&e, NETCONFIG_STATIC);
		} else if (strcmp(key, "DHCPV6C") == 0) {
			if (is_yes(value))
				raise(&e, NETCONFIG_DHCP);
		} else if (strcmp(key, "IPV6_AUTOCONF") == 0) {
			if (is_yes(value))
				raise(&e, NETCONFIG_AUTO);
		}
	}
	raise(&e, NETCONFIG_MANUAL);
	fn(arg, &e);
}

/* ---- connman ---- */

static void parse_connman(char *text, entry_fn *fn, void *arg)
{
	struct netconfig_entry e = {0};
	char *section = "", *key, *value;

	while (next_setting(&text, &section, &key, &value)) {
		if (strcmp(key, "IPv4") == 0)
			raise(&e, strcmp(value, "dhcp") == 0 ? NETCONFIG_DHCP
				  : strcmp(value, "off") == 0
					  ? NETCONFIG_MANUAL
					  : NETCONFIG_STATIC);
		else if (strcmp(key, "MAC") == 0)
			set_mac(&e, value);
		else if (strcmp(key, "DeviceName") == 0)
			add_name(&e, value);
	}
	if (e.mode != NETCONFIG_NONE)
		fn(arg, &e);
}

/* ---- netplan ---- */

struct netplan {
	entry_fn *fn;
	void *arg;
	struct netconfig_entry e;
	bool open; /* e holds an interface */
	/* Indentations of the section, its interfaces and their keys; -1: not
	 * yet seen. */
	int at[NETPLAN_LEVELS];
};

static void netplan_end(struct netplan *p)
{
	if (p->open)
		p->fn(p->arg, &p->e);
	p->open = false;
}

static bool is_netplan_section(const char *key)
{
	static const char *const sections[] = {"ethernets", "wifis", "bonds",
		"bridges", "vlans", "modems", "tunnels", "vrfs",
		"dummy-devices"};

	for (unsigned i = 0; i < ARRAY_LEN(sections); i++)
		if (strcmp(key, sections[i]) == 0)
			return true;
	return false;
}

/* Everything of an interface stands on one line: {dhcp4: true, …}. */
static void netplan_flow(struct netplan *p, const char *value)
{
	static const char *const keys[] = {"dhcp4:", "dhcp6:"};

	for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
		const char *at = strstr(value, keys[i]);
		char word[8] = "";

		if (!at)
			continue;
		at += strlen(keys[i]);
		at += strspn(at, " ");
		(void)snprintf(word, sizeof(word), "%.*s",
			(int)MIN(strcspn(at, " ,}"), sizeof(word) - 1), at);
		if (is_yes(word))
			raise(&p->e, NETCONFIG_DHCP);
	}
	if (strstr(value, "addresses:") && !strstr(value, "nameservers:"))
		raise(&p->e, NETCONFIG_STATIC);
}

static void netplan_begin(struct netplan *p, char *key, const char *value)
{
	netplan_end(p);
	memset(&p->e, 0, sizeof(p->e));
	p->e.mode = NETCONFIG_AUTO;
	add_name(&p->e, unquote(key));
	p->open = p->e.names[0];
	p->at[2] = -1;
	netplan_flow(p, value);
}

static void netplan_key(
	struct netplan *p, int indent, const char *key, char *value)
{
	if (p->at[2] < 0)
		p->at[2] = indent;
	if (strcmp(key, "macaddress") == 0 && indent > p->at[2]) {
		/* "match:" makes the interface's key a mere label. */
		set_mac(&p->e, unquote(value));
		if (p->e.mac[0])
			p->e.names[0] = '\0';
	} else if (strcmp(key, "name") == 0 && indent > p->at[2]) {
		p->e.names[0] = '\0';
		add_name(&p->e, unquote(value));
	}
	if (indent != p->at[2])
		return;
	if (strcmp(key, "match") == 0 && *value) {
		char *mac = strstr(value, "macaddress:");

		if (!mac)
			return;
		mac += strlen("macaddress:");
		set_mac(&p->e, mac + strspn(mac, " \"'"));
		if (p->e.mac[0])
			p->e.names[0] = '\0';
	} else if (strcmp(key, "set-name") == 0) {
		p->e.names[0] = '\0';
		add_name(&p->e, unquote(value));
	} else if (strcmp(key, "dhcp4") == 0 || strcmp(key, "dhcp6") == 0) {
		if (is_yes(value))
			raise(&p->e, NETCONFIG_DHCP);
	} else if (strcmp(key, "addresses") == 0) {
		raise(&p->e, NETCONFIG_STATIC);
	}
}

static void netplan_line(struct netplan *p, int indent, char *key, char *value)
{
	if (p->at[0] >= 0 && indent <= p->at[0]) {
		netplan_end(p);
		p->at[0] = -1;
	}
	if (p->at[0] < 0) {
		if (is_netplan_section(key)) {
			p->at[0] = indent;
			p->at[1] = p->at[2] = -1;
		}
		return;
	}
	if (p->at[1] < 0)
		p->at[1] = indent;
	if (indent <= p->at[1])
		netplan_begin(p, key, value);
	else if (p->open)
		netplan_key(p, indent, key, value);
}

static void parse_netplan(char *text, entry_fn *fn, void *arg)
{
	struct netplan p = {.fn = fn, .arg = arg, .at = {-1, -1, -1}};
	char *line, *colon;

	while ((line = gather_next_line(&text))) {
		int indent = (int)MIN(strspn(line, " "), (size_t)4096);

		line = trim(line);
		if (*line == '#' || *line == '-' || !*line)
			continue;
		/* A key may be quoted, but has no colon followed by a blank. */
		for (colon = line; (colon = strchr(colon, ':')); colon++)
			if (!colon[1] || colon[1] == ' ')
				break;
		if (!colon)
			continue;
		*colon = '\0';
		line = trim(line);
		colon = trim(colon + 1);
		if (strstr(colon, " #"))
			*strstr(colon, " #") = '\0';
		netplan_line(&p, indent, line, trim(colon));
	}
	netplan_end(&p);
}

void netconfig_parse(enum netconfig_format format, char *text,
	void (*fn)(void *arg, const struct netconfig_entry *e), void *arg)
{
	switch (format) {
	case NETCONFIG_INTERFACES:
		parse_interfaces(text, fn, arg);
		break;
	case NETCONFIG_NETWORKD:
		parse_networkd(text, fn, arg);
		break;
	case NETCONFIG_KEYFILE:
		parse_keyfile(text, fn, arg);
		break;
	case NETCONFIG_NETPLAN:
		parse_netplan(text, fn, arg);
		break;
	case NETCONFIG_IFCFG:
		parse_ifcfg(text, fn, arg);
		break;
	case NETCONFIG_CONNMAN:
		parse_connman(text, fn, arg);
		break;
	}
}
