/* SPDX-License-Identifier: Apache-2.0 */
/* interfaces(5) of ifupdown. */
#include "fixup/nic.h"

#include <string.h>

struct state {
	const struct nic *nic;
	struct unit *u;
	struct edit *out;
	/* Settings of the interface that stay, and lines of which nobody knows
	 * yet to what they belong. */
	struct edit kept, pending;
	bool inside; /* a stanza of the interface */
	bool found;
	bool more;    /* the last line goes on */
	bool dropped; /* and is left out */
	size_t at;    /* where in out the first one stood */
};

static bool starts_stanza(const char *text)
{
	static const char *const words[] = {"iface", "auto", "mapping",
		"source", "source-directory", "rename", "no-auto-down",
		"no-scripts", "template", "source-dir"};
	size_t at = 0, from, n = edit_word(text, &at, &from);

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (edit_is_word(text, from, n, words[i]))
			return true;
	return strncmp(text + from, "allow-", 6) == 0;
}

/* "eth0", or "eth0:1", which is a further address of it. */
static bool is_name(const char *text, size_t from, size_t n, const char *name)
{
	size_t k = strlen(name);

	return n >= k && strncmp(text + from, name, k) == 0 &&
	       (n == k || text[from + k] == ':');
}

static bool starts_iface(const char *text, const struct nic *nic)
{
	size_t at = 0, from, n = edit_word(text, &at, &from);

	if (!edit_is_word(text, from, n, "iface"))
		return false;
	n = edit_word(text, &at, &from);
	return is_name(text, from, n, nic->name);
}

/* Whether a setting is of the old network. */
static bool is_old(struct state *s, const char *text)
{
	static const char *const settings[] = {"address", "netmask", "gateway",
		"broadcast", "network", "pointopoint", "dns-nameservers",
		"dns-nameserver", "scope", "accept_ra", "autoconf"};
	static const char *const commands[] = {
		"up", "post-up", "pre-up", "down", "post-down", "pre-down"};
	size_t at = 0, from, n = edit_word(text, &at, &from);

	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		if (edit_is_word(text, from, n, settings[i]))
			return true;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (!edit_is_word(text, from, n, commands[i]) ||
			(!strstr(text, "route") && !strstr(text, " addr")))
			continue;
		unit_warn(s->u, "%s no longer has: %.256s", s->nic->name,
			text + from);
		return true;
	}
	return false;
}

/* Takes "eth0:1" out of a line of names; false when nothing is left. */
static void pass_names(struct state *s, const struct edit_line *l)
{
	const char *name = s->nic->name;
	size_t at = 0, from, n, left = 0;
	struct edit line = {0};

	n = edit_word(l->text, &at, &from);
	edit_add(&line, l->text, from + n);
	while ((n = edit_word(l->text, &at, &from)) > 0) {
		if (is_name(l->text, from, n, name) && n > strlen(name))
			continue;
		left++;
		edit_text(&line, " ");
		edit_add(&line, l->text + from, n);
	}
	if (!strstr(l->text, ":"))
		edit_pass(s->out, l);
	else if (left > 0)
		edit_put(s->out, "%s\n", edit_string(&line));
	s->out->oom |= line.oom;
	edit_done(&line);
}

static void pass_pending(struct state *s, struct edit *to)
{
	edit_text(to, edit_string(&s->pending));
	edit_done(&s->pending);
}

/* Further stanzas of an interface often repeat a setting. */
static bool is_kept(const struct state *s, const char *text)
{
	const char *at = edit_string(&s->kept);
	struct edit_line l;

	while (edit_next(&at, &l))
		if (strcmp(l.text, text) == 0)
			return true;
	return false;
}

/* Lines that go on behind a backslash share the fate of the first. */
static bool goes_on(const char *text)
{
	size_t n = strlen(text);

	return n > 0 && text[n - 1] == '\\';
}

static void take_line(struct state *s, const struct edit_line *l)
{
	const char *first = l->text + strspn(l->text, " \t");
	bool more = s->more;

	s->more = *first != '#' && goes_on(l->text);
	if (more) {
		if (!s->inside)
			edit_pass(s->out, l);
		else if (!s->dropped)
			edit_put(&s->kept, "%s\n", l->text);
		return;
	}
	s->dropped = false;
	if (starts_stanza(l->text)) {
		pass_pending(s, s->out);
		s->inside = starts_iface(l->text, s->nic);
		s->dropped = s->inside;
		if (s->inside && !s->found) {
			s->found = true;
			s->at = s->out->n;
		}
		if (!s->inside && strncmp(first, "iface", 5) != 0 &&
			(strncmp(first, "auto", 4) == 0 ||
				strncmp(first, "allow-", 6) == 0))
			pass_names(s, l);
		else if (!s->inside)
			edit_pass(s->out, l);
	} else if (!s->inside) {
		edit_pass(s->out, l);
	} else if (*first == '\0' || *first == '#') {
		edit_pass(&s->pending, l);
	} else if (is_old(s, l->text) || is_kept(s, l->text)) {
		/* What stood above it was about it. */
		edit_done(&s->pending);
		s->dropped = true;
	} else {
		pass_pending(s, &s->kept);
		edit_put(&s->kept, "%s\n", l->text);
	}
}

static void write_stanzas(
	const struct nic *nic, const char *kept, struct edit *out)
{
	bool first = true, gateways[2] = {false, false};
	const char *s;

	if (nic->dhcp) {
		edit_put(out, "iface %s inet dhcp\n%s", nic->name, kept);
		return;
	}
	for (size_t i = 0; (s = nic_at(nic->addresses, i)); i++) {
		bool six = strchr(s, ':');
		const char *gateway = nic_gateway(nic, six);

		edit_put(out, "iface %s inet%s static\n\taddress %s\n",
			nic->name, six ? "6" : "", s);
		if (gateway[0] && !gateways[six])
			edit_put(out, "\tgateway %s\n", gateway);
		gateways[six] = true;
		if (!first)
			continue;
		first = false;
		if (nic_at(nic->nameservers, 0))
			edit_text(out, "\tdns-nameservers");
		for (size_t k = 0; (s = nic_at(nic->nameservers, k)); k++)
			edit_put(out, " %s", s);
		if (nic_at(nic->nameservers, 0))
			edit_text(out, "\n");
		edit_text(out, kept);
	}
}

int nic_rewrite_interfaces(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	struct state s = {.nic = arg, .u = u, .out = out};
	CLEANUP(edit_done) struct edit rest = {0};
	struct edit_line l;

	while (edit_next(&text, &l)) {
		if (l.huge)
			edit_pass(out, &l);
		else
			take_line(&s, &l);
	}
	pass_pending(&s, out);
	if (s.found) {
		edit_text(&rest, edit_string(out) + s.at);
		out->n = s.at;
		if (out->n > 0 && out->text[out->n - 1] != '\n')
			edit_text(out, "\n");
		write_stanzas(s.nic, edit_string(&s.kept), out);
		edit_text(out, edit_string(&rest));
	}
	out->keep_old = true;
	out->oom |= s.kept.oom || s.pending.oom || rest.oom;
	edit_done(&s.kept);
	edit_say(out, "%s has %s", s.nic->name,
		s.nic->dhcp ? "DHCP" : "the planned addresses");
	return 0;
}

void nic_write_interfaces(const struct nic *nic, struct edit *out)
{
	edit_put(out, "\n# " UNIT_MADE_BY "\nauto %s\n", nic->name);
	write_stanzas(nic, "", out);
}
