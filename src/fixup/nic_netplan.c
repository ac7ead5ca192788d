/* SPDX-License-Identifier: Apache-2.0 */
/* netplan(5), looked at line by line as facts/netconfig.h does. What stands on
 * one line in braces is left alone. */
#include "fixup/nic.h"

#include <stdio.h>
#include <string.h>

enum { SECTION, INTERFACE, KEY, LEVELS };

struct state {
	const struct nic *nic;
	int at[LEVELS]; /* indentations, -1: not yet seen */
	bool ours;	/* the lines are of the interface */
	bool dropping;	/* they are of a key that goes */
	bool found;	/* they were, at least once */
	bool odd;	/* it is no YAML of the usual kind */
};

static bool is_key(const char *text, const char *key)
{
	size_t n = strlen(key);

	if (text[0] == '"' || text[0] == '\'')
		return strncmp(text + 1, key, n) == 0 &&
		       text[n + 1] == text[0] && text[n + 2] == ':';
	return strncmp(text, key, n) == 0 && text[n] == ':';
}

/* Whether this is what a key says, with quotes or without. */
static bool is_value(const char *key, const char *value)
{
	const char *at = strchr(key, ':');
	size_t n = strlen(value);
	char quote;

	if (!at)
		return false;
	at += 1 + strspn(at + 1, " ");
	quote = *at == '"' || *at == '\'' ? *at++ : '\0';
	if (strncmp(at, value, n) != 0)
		return false;
	at += n;
	if (quote && *at++ != quote)
		return false;
	at += strspn(at, " \t\r");
	return *at == '\0' || *at == '#';
}

/* Whether the interface that begins at this line is ours: by its name, or by
 * what stands in its lines below. */
static bool is_ours(
	const struct nic *nic, const char *line, const char *rest, int indent)
{
	bool match = false, ours = false;
	struct edit_line l;

	while (edit_next(&rest, &l)) {
		int n = (int)strspn(l.text, " ");
		const char *key = l.text + n;

		if (!*key || *key == '#')
			continue;
		if (n <= indent)
			break;
		match |= is_key(key, "match");
		if ((is_key(key, "set-name") || is_key(key, "name")) &&
			is_value(key, nic->name))
			ours = true;
		if (is_key(key, "macaddress") &&
			((nic->mac[0] && strcasestr(key, nic->mac)) ||
				(nic->target_mac[0] &&
					strcasestr(key, nic->target_mac))))
			ours = true;
	}
	/* With "match:" the name is a mere label. */
	return ours || (!match && is_key(line, nic->name));
}

static bool is_dropped(const char *key)
{
	static const char *const keys[] = {"dhcp4", "dhcp6", "addresses",
		"gateway4", "gateway6", "nameservers", "routes", "accept-ra"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (is_key(key, keys[i]))
			return true;
	return false;
}

static void write_list(
	const json_t *list, int indent, const char *before, struct edit *out)
{
	const char *s;

	for (size_t i = 0; (s = nic_at(list, i)); i++)
		edit_put(out, "%*s- %s\"%s\"\n", indent, "", before, s);
}

static void write_keys(const struct nic *nic, int indent, struct edit *out)
{
	const char *gateway;

	if (nic->dhcp) {
		edit_put(out, "%*sdhcp4: true\n%*sdhcp6: true\n", indent, "",
			indent, "");
		return;
	}
	edit_put(out, "%*sdhcp4: false\n%*sdhcp6: false\n", indent, "", indent,
		"");
	if (nic_at(nic->addresses, 0))
		edit_put(out, "%*saddresses:\n", indent, "");
	write_list(nic->addresses, indent + 2, "", out);
	if (nic_at(nic->gateways, 0))
		edit_put(out, "%*sroutes:\n", indent, "");
	/* "default" is not known to old ones. */
	for (int six = 0; six < 2; six++) {
		gateway = nic_gateway(nic, six);
		if (gateway[0])
			edit_put(out, "%*s- to: \"%s\"\n%*svia: \"%s\"\n",
				indent + 2, "", six ? "::/0" : "0.0.0.0/0",
				indent + 4, "", gateway);
	}
	if (!nic_at(nic->nameservers, 0))
		return;
	edit_put(out, "%*snameservers:\n%*saddresses:\n", indent, "",
		indent + 2, "");
	write_list(nic->nameservers, indent + 4, "", out);
}

/* Whether nothing follows a key on its line. */
static bool is_alone(const char *key)
{
	const char *colon = strchr(key, ':');

	if (!colon)
		return false;
	colon += 1 + strspn(colon + 1, " \t\r");
	return *colon == '\0' || *colon == '#';
}

/* A line at or above the level of interfaces. */
static void outer(struct state *s, int indent)
{
	s->ours = s->dropping = false;
	s->at[KEY] = -1;
	if (s->at[SECTION] < 0 || indent <= s->at[SECTION]) {
		s->at[SECTION] = indent;
		s->at[INTERFACE] = -1;
	}
}

/* Whether this line goes; *ret_begins: an interface of ours begins. */
static bool take_line(struct state *s, const struct edit_line *l,
	const char *rest, bool *ret_begins)
{
	int indent = (int)strspn(l->text, " ");
	const char *key = l->text + indent;

	*ret_begins = false;
	if (!*key || *key == '#')
		return s->dropping && indent > s->at[KEY];
	if (s->ours && indent > s->at[INTERFACE]) {
		if (s->at[KEY] < 0) {
			s->at[KEY] = indent;
			s->odd |= *key == '-';
		}
		s->odd |= indent < s->at[KEY] || *key == '\t';
		if (indent == s->at[KEY] && *key != '-')
			s->dropping = is_dropped(key);
		return s->dropping;
	}
	/* "network:" or, below it, "ethernets:". */
	if (indent == 0 || s->at[SECTION] < 0 || indent <= s->at[SECTION]) {
		outer(s, indent);
		if (indent == 0)
			s->at[SECTION] = -1;
		return false;
	}
	if (s->at[INTERFACE] < 0)
		s->at[INTERFACE] = indent;
	if (indent != s->at[INTERFACE]) {
		s->odd |= indent < s->at[INTERFACE];
		return false;
	}
	s->ours = is_ours(s->nic, key, rest, indent);
	/* Twice, or with something on the same line. */
	s->odd |= s->ours && (s->found || !is_alone(key));
	s->found |= s->ours;
	s->dropping = false;
	s->at[KEY] = -1;
	*ret_begins = s->ours;
	return false;
}

/* How far its keys are indented: as they are. */
static int key_indent(const char *rest, int indent)
{
	struct edit_line l;

	while (edit_next(&rest, &l)) {
		int n = (int)strspn(l.text, " ");

		if (l.text[n] && l.text[n] != '#')
			return n > indent ? n : indent + 2;
	}
	return indent + 2;
}

int nic_rewrite_netplan(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	struct state s = {.nic = arg, .at = {-1, -1, -1}};
	struct edit_line l;
	const char *all = text;
	bool begins;

	while (edit_next(&text, &l)) {
		if (take_line(&s, &l, text, &begins))
			continue;
		edit_pass(out, &l);
		if (!begins)
			continue;
		if (l.raw[l.n - 1] != '\n')
			edit_text(out, "\n");
		write_keys(
			s.nic, key_indent(text, (int)strspn(l.text, " ")), out);
	}
	if (!s.found || s.odd) {
		out->n = 0;
		edit_text(out, all);
		return nic_unchanged(u, s.nic,
			"netplan has them in a way that is not understood");
	}
	out->keep_old = true;
	edit_say(out, "%s has %s", s.nic->name,
		s.nic->dhcp ? "DHCP" : "the planned addresses");
	return 0;
}

/* Of several that fit an interface networkd takes the first by name; what finds
 * it by a pattern is called like anything. */
void nic_write_netplan(const struct nic *nic, struct edit *out)
{
	edit_put(out,
		"# " UNIT_MADE_BY "\nnetwork:\n  version: 2\n  ethernets:\n"
		"    00-rehost-%s:\n",
		nic->name);
	write_keys(nic, 6, out);
	edit_put(out, "      match:\n        name: \"%s\"\n", nic->name);
}
