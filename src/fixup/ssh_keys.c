/* SPDX-License-Identifier: Apache-2.0 */
/* SSH host keys of a copy that lives beside its source: made by the moved
 * system's own programs. */
#include "fixup/unit.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "fixup/chroot.h"

#define FOLDER "/etc/ssh"
#define STAMP "/var/lib/rehost/ssh-keys"
#define NEW ".rehost-new"
#define TIMEOUT_MS 120000
#define OUTPUT_MAX 16384
#define KEY_MAX 8192

static const char *const keygen[] = {
	"/usr/bin/ssh-keygen", "/bin/ssh-keygen", NULL};
static const char *const openssl[] = {"/usr/bin/openssl", "/bin/openssl", NULL};

/* -EIO, with a warning, when it fails: the system boots with the old keys. */
static int run(struct unit *u, const char *type, const char *const *argv)
{
	const struct chroot_job job = {.root = u->tree->path,
		.argv = argv,
		.timeout_ms = TIMEOUT_MS,
		.max = OUTPUT_MAX};

	struct error err = {0};

	if (chroot_run(&job, NULL, NULL, &err) == 0)
		return 0;
	unit_warn(u,
		"the host key of type %s is still that of the source: cannot "
		"%s: %s",
		type, err.what, err.why);
	return -EIO;
}

/* "ssh_host_TYPE_key" */
static bool key_type(const char *name, char ret[32])
{
	static const char before[] = "ssh_host_", after[] = "_key";
	size_t n = strlen(name), b = strlen(before), a = strlen(after);

	if (n <= a + b || n - a - b > 16 || strncmp(name, before, b) != 0 ||
		strcmp(name + n - a, after) != 0)
		return false;
	(void)snprintf(ret, 32, "%.*s", (int)(n - a - b), name + b);
	return true;
}

/* Writes a key to path. -ENOTSUP when nobody can make this type. */
static int generate(struct unit *u, const char *type, const char *path)
{
	const char *program = unit_program(u, keygen);
	const char *with[] = {
		program, "-q", "-t", type, "-N", "", "-f", path, NULL};
	const char *rsa[] = {NULL, "genrsa", "-out", path, "3072", NULL};
	const char *ecdsa[] = {NULL, "ecparam", "-name", "prime256v1",
		"-genkey", "-noout", "-out", path, NULL};

	/* Servers no longer take it. */
	if (strcmp(type, "dsa") == 0)
		return -ENOTSUP;
	if (program)
		return run(u, type, with);
	rsa[0] = ecdsa[0] = unit_program(u, openssl);
	if (rsa[0] && strcmp(type, "rsa") == 0)
		return run(u, type, rsa);
	if (rsa[0] && strcmp(type, "ecdsa") == 0)
		return run(u, type, ecdsa);
	return -ENOTSUP;
}

static int remove_new(struct unit *u, const char *path)
{
	int r = tree_remove(u->tree, path);

	return r < 0 && r != -ENOENT ? unit_failed(u, r, path) : 0;
}

/* *ret_kept is set when the old one had to stay. */
static int replace_key(
	struct unit *u, const char *type, const char *path, bool *ret_kept)
{
	char made[TREE_PATH_MAX], public[TREE_PATH_MAX], from[TREE_PATH_MAX];
	int r;

	(void)snprintf(made, sizeof(made), "%.4000s" NEW, path);
	(void)snprintf(from, sizeof(from), "%.4000s.pub", made);
	(void)snprintf(public, sizeof(public), "%.4000s.pub", path);
	/* Of a run that did not end: ssh-keygen would ask. */
	r = remove_new(u, made);
	if (r == 0)
		r = remove_new(u, from);
	if (r < 0)
		return r;
	r = generate(u, type, made);
	if (r == -EIO) {
		*ret_kept = true;
		return remove_new(u, made);
	}
	if (r == -ENOTSUP) {
		unit_warn(u,
			"the host key of type %s is removed: nothing in the "
			"moved system can make one",
			type);
		r = unit_remove(u, path, "is the key of the source");
		return r < 0 ? r
			     : unit_remove(
				       u, public, "is the key of the source");
	}
	r = tree_replace(u->tree, made, path);
	if (r == 0 && tree_is_file(u->tree, from))
		r = tree_replace(u->tree, from, public);
	else if (r == 0 && tree_is_there(u->tree, public))
		r = tree_remove(u->tree, public);
	if (r < 0)
		return unit_failed(u, r, path);
	unit_changed(u, path, "a new key");
	return 0;
}

/* Keys cannot be told from old ones, so what was done is written down. */
static bool is_done(struct unit *u)
{
	CLEANUP_FREE char *text = NULL;
	const char *id = unit_text(u->wish, "id");

	return tree_read(u->tree, STAMP, 8192, &text, NULL) == 0 &&
	       strncmp(text, id, strlen(id)) == 0 &&
	       strcmp(text + strlen(id), "\n") == 0;
}

static int write_stamp(struct unit *u)
{
	char text[4200];
	int r;

	(void)snprintf(text, sizeof(text), "%s\n", unit_text(u->wish, "id"));
	r = tree_write(u->tree, STAMP, text, strlen(text), 0644);
	return r < 0 ? unit_failed(u, r, STAMP) : 0;
}

/* What "TYPE BASE64 …" is known by, as ssh-keygen -l has it. */
static bool fingerprint(const char *line, char ret[64])
{
	uint8_t digest[EVP_MAX_MD_SIZE], blob[KEY_MAX];
	const char *key = strchr(line, ' ');
	char text[KEY_MAX];
	size_t n;
	int bytes;

	if (!key)
		return false;
	key++;
	n = strcspn(key, " \r\n");
	if (n == 0 || n % 4 != 0 || n >= sizeof(text))
		return false;
	(void)snprintf(text, sizeof(text), "%.*s", (int)n, key);
	bytes = EVP_DecodeBlock(blob, (const uint8_t *)text, (int)n);
	if (bytes < 3)
		return false;
	for (size_t i = n; i > n - 2 && text[i - 1] == '='; i--)
		bytes--;
	if (EVP_Digest(blob, (size_t)bytes, digest, NULL, EVP_sha256(), NULL) !=
		1)
		return false;
	n = (size_t)snprintf(ret, 64, "SHA256:");
	(void)EVP_EncodeBlock((uint8_t *)ret + n, digest, 32);
	ret[strcspn(ret, "=")] = '\0';
	return true;
}

/* By these the user can check who answers there. */
static void tell_keys(struct unit *u)
{
	CLEANUP(tree_names_done) struct tree_names l = {0};
	char path[TREE_PATH_MAX], type[32], print[64];

	if (tree_list(u->tree, FOLDER, &l) < 0)
		return;
	for (size_t i = 0; i < l.n; i++) {
		CLEANUP_FREE char *text = NULL;

		(void)snprintf(path, sizeof(path), FOLDER "/%s.pub", l.v[i]);
		if (!key_type(l.v[i], type) ||
			tree_read(u->tree, path, KEY_MAX, &text, NULL) < 0 ||
			!fingerprint(text, print))
			continue;
		if (json_array_append_new(
			    u->host_keys, json_pack("{s:s, s:s}", "type", type,
						  "fingerprint", print)) < 0)
			u->oom = true;
	}
}

static int make_keys(struct unit *u)
{
	CLEANUP(tree_names_done) struct tree_names l = {0};
	char path[TREE_PATH_MAX], type[32];
	bool any = false, kept = false;
	int r = 0;

	if (is_done(u) || tree_list(u->tree, FOLDER, &l) < 0)
		return 0;
	for (size_t i = 0; i < l.n && r == 0; i++) {
		if (!key_type(l.v[i], type))
			continue;
		any = true;
		(void)snprintf(path, sizeof(path), FOLDER "/%s", l.v[i]);
		r = replace_key(u, type, path, &kept);
	}
	return r == 0 && any && !kept ? write_stamp(u) : r;
}

int unit_ssh_keys(struct unit *u)
{
	int r = unit_is_new(u) ? make_keys(u) : 0;

	if (r == 0 && unit_is_new(u))
		tell_keys(u);
	return r;
}
