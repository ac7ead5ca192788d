/* SPDX-License-Identifier: Apache-2.0 */
/* machine-id(5) of a copy that lives beside its source. */
#include "fixup/unit.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

#define ID_BYTES 16

/* Made from what tells this move from all others, so that a second run makes
 * the same. Nobody relies on its being secret (machine-id(5)). */
static int make_id(const struct unit *u, char ret[2 * ID_BYTES + 2])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	char text[4200];

	(void)snprintf(text, sizeof(text), "rehost machine-id %s",
		unit_text(u->wish, "id"));
	if (EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) !=
		1)
		return -ENOMEM;
	/* As a random UUID has it, which systemd asks for. */
	digest[6] = (digest[6] & 0x0f) | 0x40;
	digest[8] = (digest[8] & 0x3f) | 0x80;
	parse_hex(digest, ID_BYTES, ret);
	(void)strncat(ret, "\n", 2);
	return 0;
}

/* What would be the same on two machines, and is made anew when absent. */
static int drop_others(struct unit *u)
{
	static const char *const paths[] = {"/var/lib/systemd/random-seed",
		"/var/lib/urandom/random-seed", "/var/lib/random-seed"};
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(paths) && r == 0; i++)
		r = unit_remove(u, paths[i], "two machines must not share it");
	return r;
}

/* By what a DHCP client remembers it would ask for the address that the source
 * has, and be known to the server as the source. */
static int drop_leases(struct unit *u)
{
	static const char *const folders[] = {"/var/lib/dhcp",
		"/var/lib/dhclient", "/var/lib/dhcpcd", "/var/lib/dhcpcd5",
		"/var/lib/NetworkManager"};
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		CLEANUP(tree_names_done) struct tree_names l = {0};
		char path[TREE_PATH_MAX];

		if (tree_list(u->tree, folders[i], &l) < 0)
			continue;
		for (size_t k = 0; k < l.n && r == 0; k++) {
			const char *end = strrchr(l.v[k], '.');

			if (strcmp(l.v[k], "duid") != 0 &&
				(!end || (strcmp(end, ".lease") != 0 &&
						 strcmp(end, ".lease6") != 0 &&
						 strcmp(end, ".leases") != 0)))
				continue;
			(void)snprintf(path, sizeof(path), "%s/%s", folders[i],
				l.v[k]);
			r = unit_remove(u, path, "it is the source's lease");
		}
	}
	if (r == 0)
		r = unit_remove(u, "/etc/dhcpcd.duid",
			"two machines must not share it");
	return r;
}

/* Names that programs of their own make and keep. */
static void warn_of_names(struct unit *u)
{
	static const char *const paths[] = {"/etc/iscsi/initiatorname.iscsi",
		"/etc/nvme/hostnqn", "/etc/nvme/hostid",
		"/etc/dropbear/dropbear_rsa_host_key",
		"/etc/dropbear/dropbear_ecdsa_host_key",
		"/etc/dropbear/dropbear_ed25519_host_key"};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (tree_is_file(u->tree, paths[i]))
			unit_warn(u,
				"%s is that of the source: two machines of one "
				"name disturb each other, or pass for each "
				"other; make the clone's anew",
				paths[i]);
}

int unit_machine_id(struct unit *u)
{
	static const char path[] = "/etc/machine-id";
	static const char dbus[] = "/var/lib/dbus/machine-id";
	char id[2 * ID_BYTES + 2], target[TREE_PATH_MAX];
	int r;

	if (!unit_is_new(u))
		return 0;
	r = make_id(u, id);
	if (r < 0)
		return unit_failed(u, r, path);
	if (tree_is_there(u->tree, path) || unit_systemd(u)[0])
		r = unit_put(u, path, id, 0444, "a new machine ID");
	/* On newer systems it is a link to the first. */
	if (r == 0 && tree_is_file(u->tree, dbus) &&
		tree_readlink(u->tree, dbus, target) < 0)
		r = unit_put(u, dbus, id, 0444, "a new machine ID");
	if (r == 0)
		warn_of_names(u);
	if (r == 0)
		r = drop_others(u);
	return r < 0 ? r : drop_leases(u);
}
