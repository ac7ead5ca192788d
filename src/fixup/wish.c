/* SPDX-License-Identifier: Apache-2.0 */
#include "fixup/wish.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "fixup/edit.h"

#define DEPTH_MAX 8
#define TEXT_MAX 4095
#define IFNAME_MAX 15

typedef bool check_fn(const char *s);

static int refuse(struct error *err, const char *key, const char *why)
{
	(void)error_set(err, -EINVAL, "read %s of what is to be fixed", key);
	return error_why(err, "%s", why);
}

/* ---- texts ---- */

static bool is_plain(const char *s)
{
	uint32_t c;
	size_t n;

	for (size_t k = strlen(s); k > 0; s += n, k -= n) {
		n = text_character(s, k, &c);
		if (n == 0 || text_is_hidden(c))
			return false;
	}
	return true;
}

/* What may stand unquoted in every file that is written. */
static bool is_word(const char *s)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789._:=/+@,-";

	return s[0] && s[strspn(s, allowed)] == '\0';
}

static bool is_ifname(const char *s)
{
	return is_word(s) && strlen(s) <= IFNAME_MAX && !strchr(s, '/') &&
	       strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

static bool is_module(const char *s)
{
	return is_word(s) && !strpbrk(s, "./=:@,+");
}

static bool is_release(const char *s)
{
	return is_word(s) && !strchr(s, '/') && s[0] != '.';
}

static bool is_path(const char *s)
{
	return s[0] == '/' && is_word(s);
}

static bool is_hostname(const char *s)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";

	return s[0] && strlen(s) <= 253 && s[0] != '-' && s[0] != '.' &&
	       s[strspn(s, allowed)] == '\0';
}

/* What the old one is called is only looked for, and the kernel takes
 * anything. */
static bool is_old_hostname(const char *s)
{
	return s[0] && strlen(s) <= 253 && !strpbrk(s, " \t");
}

/* Six bytes or, of InfiniBand, twenty. */
static bool is_mac(const char *s)
{
	size_t n = strlen(s);

	if (n != 17 && n != 59)
		return false;
	for (size_t i = 0; i < n; i++)
		if (i % 3 == 2 ? s[i] != ':'
			       : !strchr("0123456789abcdef", s[i]))
			return false;
	return true;
}

static bool is_address(const char *s)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET, s, bytes) == 1 ||
	       inet_pton(AF_INET6, s, bytes) == 1;
}

static bool is_network(const char *s)
{
	const char *slash = strchr(s, '/');
	char address[INET6_ADDRSTRLEN];
	uint64_t prefix;

	if (!slash || (size_t)(slash - s) >= sizeof(address) ||
		parse_u64(slash + 1, &prefix) < 0)
		return false;
	(void)snprintf(address, sizeof(address), "%.*s", (int)(slash - s), s);
	return is_address(address) &&
	       prefix <= (strchr(address, ':') ? 128 : 32);
}

static bool is_mode(const char *s)
{
	return strcmp(s, "keep") == 0 || strcmp(s, "map") == 0 ||
	       strcmp(s, "dhcp") == 0;
}

static bool is_identity(const char *s)
{
	return strcmp(s, "keep") == 0 || strcmp(s, "new") == 0;
}

static bool is_firmware(const char *s)
{
	return strcmp(s, "bios") == 0 || strcmp(s, "uefi") == 0;
}

/* ---- the whole ---- */

struct rule {
	const char *key;
	check_fn *check;
	bool list;
};

static int check_rules(
	const json_t *o, const struct rule *rules, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		const json_t *v = json_object_get(o, rules[i].key), *e;
		size_t k;

		if (!v || json_is_null(v))
			continue;
		if (!rules[i].list) {
			if (!json_is_string(v) ||
				!rules[i].check(json_string_value(v)))
				return refuse(
					err, rules[i].key, "it makes no sense");
			continue;
		}
		if (!json_is_array(v))
			return refuse(err, rules[i].key, "it is no list");
		json_array_foreach(v, k,
			e) if (!json_is_string(e) ||
			       !rules[i].check(
				       json_string_value(e))) return refuse(err,
			rules[i].key, "something in it makes no sense");
	}
	return 0;
}

static int check_objects(const json_t *list, const char *key,
	const struct rule *rules, size_t n, struct error *err)
{
	const json_t *o;
	size_t i;
	int r;

	if (!list || json_is_null(list))
		return 0;
	if (!json_is_array(list))
		return refuse(err, key, "it is no list");
	json_array_foreach(list, i, o)
	{
		if (!json_is_object(o))
			return refuse(err, key, "it has no objects");
		r = check_rules(o, rules, n, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Whatever else is in it must not bring control characters. */
static bool is_all_plain(const json_t *j, int depth)
{
	const json_t *v;
	const char *key;
	size_t i;

	if (depth > DEPTH_MAX)
		return false;
	if (json_is_string(j))
		return json_string_length(j) <= TEXT_MAX &&
		       strlen(json_string_value(j)) == json_string_length(j) &&
		       is_plain(json_string_value(j));
	json_array_foreach(
		j, i, v) if (!is_all_plain(v, depth + 1)) return false;
	json_object_foreach((json_t *)j, key,
		v) if (!is_all_plain(v, depth + 1)) return false;
	return true;
}

int wish_check(const json_t *wish, struct error *err)
{
	static const struct rule top[] = {{"name", parse_is_name},
		{"id", is_word}, {"identity", is_identity},
		{"hostname", is_hostname}, {"old_hostname", is_old_hostname},
		{"firmware", is_firmware}, {"root", is_word},
		{"boot_disk", is_path}, {"drivers", is_module, true},
		{"console", is_ifname, true}};
	static const struct rule kernel[] = {{"release", is_release},
		{"initramfs", is_path}, {"modules_missing", is_module, true}};
	static const struct rule filesystem[] = {{"device", is_path},
		{"uuid", is_word}, {"partuuid", is_word}, {"logical", is_path},
		{"type", is_word}};
	static const struct rule nic[] = {{"name", is_ifname},
		{"holder", is_ifname}, {"mac", is_mac}, {"target_mac", is_mac},
		{"mode", is_mode}, {"addresses", is_network, true},
		{"gateways", is_address, true},
		{"nameservers", is_address, true}};
	static const struct rule grow[] = {{"type", is_word},
		{"mount", is_path}, {"uuid", is_word}, {"physical", is_word},
		{"group", is_word}, {"logical", is_path}};
	const char *identity;
	int r;

	if (!json_is_object(wish))
		return refuse(err, "the list", "it is no object");
	if (!is_all_plain(wish, 0))
		return refuse(err, "the list",
			"it has control characters, or texts too long");
	identity = json_string_value(json_object_get(wish, "identity"));
	r = check_rules(wish, top, ARRAY_LEN(top), err);
	if (r == 0)
		r = check_rules(json_object_get(wish, "kernel"), kernel,
			ARRAY_LEN(kernel), err);
	if (r == 0)
		r = check_objects(json_object_get(wish, "filesystems"),
			"filesystems", filesystem, ARRAY_LEN(filesystem), err);
	if (r == 0)
		r = check_objects(json_object_get(wish, "nics"), "nics", nic,
			ARRAY_LEN(nic), err);
	if (r == 0)
		r = check_objects(json_object_get(wish, "grow"), "grow", grow,
			ARRAY_LEN(grow), err);
	if (r == 0 && !json_is_string(json_object_get(wish, "name")))
		r = refuse(err, "name", "it is not there");
	if (r == 0 && identity && strcmp(identity, "new") == 0 &&
		!json_is_string(json_object_get(wish, "id")))
		r = refuse(err, "id", "a new identity needs one");
	return r;
}
