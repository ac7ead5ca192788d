/* SPDX-License-Identifier: Apache-2.0 */
#include "fixup/nic.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"

int nic_unchanged(struct unit *u, const struct nic *nic, const char *why)
{
	if (!unit_is_new(u)) {
		unit_warn(u, "%s does not get the planned addresses: %s",
			nic->name, why);
		return 0;
	}
	(void)error_set(u->err, -EADDRINUSE,
		"give %s of the clone addresses of its own", nic->name);
	(void)error_why(
		u->err, "%s; it may come up with those of its source", why);
	return error_todo(u->err,
		"configure it on the source as usual, a line for each setting, "
		"and make the clone anew");
}

const char *nic_at(const json_t *list, size_t i)
{
	return json_string_value(json_array_get(list, i));
}

const char *nic_gateway(const struct nic *nic, bool six)
{
	const char *s;

	for (size_t i = 0; (s = nic_at(nic->gateways, i)); i++)
		if ((strchr(s, ':') != NULL) == six)
			return s;
	return "";
}

bool nic_has(const struct nic *nic, bool six)
{
	const char *s;

	for (size_t i = 0; (s = nic_at(nic->addresses, i)); i++)
		if ((strchr(s, ':') != NULL) == six)
			return true;
	return false;
}

void nic_address(const char *network, char ret[NIC_ADDRESS_MAX])
{
	(void)snprintf(ret, NIC_ADDRESS_MAX, "%.*s", (int)strcspn(network, "/"),
		network);
}

void nic_netmask(const char *network, char ret[NIC_ADDRESS_MAX])
{
	const char *slash = strchr(network, '/');
	uint64_t prefix = 32;
	uint32_t mask;

	if (slash && parse_u64(slash + 1, &prefix) < 0)
		prefix = 32;
	mask = prefix == 0 ? 0 : UINT32_MAX << (32 - MIN(prefix, (uint64_t)32));
	(void)snprintf(ret, NIC_ADDRESS_MAX, "%u.%u.%u.%u", mask >> 24,
		mask >> 16 & 255, mask >> 8 & 255, mask & 255);
}

/* ---- MAC addresses ---- */

/* Whether a MAC in any of the ways of writing it is this one. */
static bool is_mac(const char *s, size_t n, const char *mac)
{
	if (n != 17 || !mac[0])
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = s[i] == '-' ? ':' : s[i];

		if (c >= 'A' && c <= 'F')
			c = (char)(c | 32);
		if (c != mac[i])
			return false;
	}
	return true;
}

static const struct nic *find_mac(
	const struct nic_list *l, const char *s, size_t n)
{
	const struct nic *found = NULL;

	for (size_t i = 0; i < l->n; i++) {
		/* It is new already: a second run must see that. */
		if (is_mac(s, n, l->v[i].target_mac))
			return NULL;
		if (l->v[i].target_mac[0] && is_mac(s, n, l->v[i].mac))
			found = &l->v[i];
	}
	return found;
}

static bool is_match_key(enum netconfig_format format, const char *section,
	const char *text, const struct edit_pair *p)
{
	switch (format) {
	case NETCONFIG_NETWORKD:
		return strcmp(section, "Match") == 0 &&
		       (edit_is_key(text, p, "MACAddress") ||
			       edit_is_key(text, p, "PermanentMACAddress"));
	case NETCONFIG_KEYFILE:
		return edit_is_key(text, p, "mac-address");
	default:
		return edit_is_key(text, p, "HWADDR") ||
		       edit_is_key(text, p, "LLADDR");
	}
}

/* Several may stand in one line of networkd's. */
static void rewrite_value(const struct nic_list *nics,
	const struct edit_line *l, const struct edit_pair *p, struct edit *out)
{
	size_t from = 0, at = p->value, end = p->value + p->value_n;

	while (at < end) {
		size_t n = strcspn(l->text + at, " \t\"'");
		const struct nic *nic;

		n = MIN(n, end - at);
		nic = find_mac(nics, l->text + at, n);
		if (nic) {
			edit_add(out, l->raw + from, at - from);
			edit_text(out, nic->target_mac);
			from = at + n;
			edit_say(out, "%s is found by %s, not %s", nic->name,
				nic->target_mac, nic->mac);
		}
		at += n + (n < end - at);
	}
	edit_add(out, l->raw + from, l->n - from);
}

/* "macaddress:" below "match:"; elsewhere it would set one. */
static bool find_netplan(
	const struct edit_line *l, int *match, struct edit_pair *ret)
{
	int indent = (int)strspn(l->text, " ");
	const char *key = l->text + indent;

	if (key[0] == '\0' || key[0] == '#')
		return false;
	if (*match >= 0 && indent <= *match)
		*match = -1;
	if (strncmp(key, "match:", 6) == 0) {
		*match = indent;
		return false;
	}
	if (*match < 0 || strncmp(key, "macaddress:", 11) != 0)
		return false;
	ret->value = (size_t)indent + 11;
	ret->value += strspn(l->text + ret->value, " \"'");
	ret->value_n = strcspn(l->text + ret->value, " \"'#");
	return true;
}

int nic_rewrite_macs(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	const struct nic_macs *m = arg;
	char section[64] = "";
	struct edit_line l;
	struct edit_pair p;
	int match = -1;

	while (edit_next(&text, &l)) {
		bool found;

		(void)edit_section(l.text, section, sizeof(section));
		if (m->format == NETCONFIG_NETPLAN)
			found = find_netplan(&l, &match, &p);
		else
			found = edit_pair(l.text, &p) &&
				is_match_key(m->format, section, l.text, &p);
		if (found)
			rewrite_value(m->nics, &l, &p, out);
		else
			edit_pass(out, &l);
	}
	return 0;
}

int nic_rewrite_rules(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	static const char key[] = "address}==\"";
	const struct nic_list *nics = arg;
	struct edit_line l;

	while (edit_next(&text, &l)) {
		const char *at = l.text + strspn(l.text, " \t");
		const struct nic *nic = NULL;
		size_t n = 0;

		if (*at != '#' && (at = strstr(at, key))) {
			at += strlen(key);
			n = strcspn(at, "\"");
			nic = find_mac(nics, at, n);
		}
		if (!nic) {
			edit_pass(out, &l);
			continue;
		}
		edit_splice(out, &l, (size_t)(at - l.text), n, nic->target_mac);
		edit_say(out, "%s is found by %s, not %s", nic->name,
			nic->target_mac, nic->mac);
	}
	return 0;
}
