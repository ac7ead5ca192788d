/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plan stands on. A line is "firmware mode=uefi", "disk WHICH size=… …"
 * or "part WHICH/NUMBER start=… …". WHICH is the serial or WWN where these say
 * which disk is meant, so that a kernel which names disks in another order
 * after a boot changes nothing; otherwise the name is all there is.
 */
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/parse.h"
#include "move/plan.h"
#include "move/plan_disk.h"
#include "move/plan_text.h"

/* ---- making ---- */

/* A value ends at a space, so that none may be in it; backslashes are doubled,
 * or two texts could become the same. */
static void put_value(FILE *f, const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f || *s == '\\')
			(void)fprintf(f, "\\x%02x", (unsigned char)*s);
		else
			(void)fputc(*s, f);
}

static void put(FILE *f, const char *key, const json_t *from, const char *what)
{
	const json_t *v = json_object_get(from, what);

	if (json_is_integer(v)) {
		(void)fprintf(f, " %s=%" JSON_INTEGER_FORMAT, key,
			json_integer_value(v));
	} else if (json_is_string(v)) {
		(void)fprintf(f, " %s=", key);
		put_value(f, json_string_value(v));
	}
}

static void put_pair(FILE *f, const char *key, const json_t *from,
	const char *first, const char *second)
{
	const char *a = json_string_value(json_object_get(from, first));
	const char *b = json_string_value(json_object_get(from, second));

	if (!a)
		return;
	(void)fprintf(f, " %s=", key);
	put_value(f, a);
	if (b) {
		(void)fputc(':', f);
		put_value(f, b);
	}
}

/* Where a disk is plugged in: of two that are alike, its name may be the
 * other's after a boot. */
static void put_path(FILE *f, const json_t *path)
{
	const json_t *v;
	size_t i;

	json_array_foreach(path, i, v)
	{
		(void)fputs(i == 0 ? " path=" : "/", f);
		put_value(f, json_string_value(v) ? json_string_value(v) : "");
	}
}

struct line {
	FILE *f;
	char *text;
	size_t n;
};

static int line_begin(struct line *l)
{
	l->text = NULL;
	l->f = open_memstream(&l->text, &l->n);
	return l->f ? 0 : -ENOMEM;
}

static int line_end(struct line *l, struct plan_list *to)
{
	bool bad = ferror(l->f);
	int r;

	bad |= fclose(l->f) != 0;
	r = bad ? -ENOMEM : plan_list_add(to, l->text, PLAN_FACTS_MAX);
	free(l->text);
	return r == -ENAMETOOLONG ? -E2BIG : r;
}

/* What blkid finds on partition number of disk. */
static const json_t *content_of(
	const json_t *facts, const json_t *disk, json_int_t number)
{
	const char *name = facts_text(disk, "name");
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(facts, "disks"), i, d)
	{
		const json_t *part = json_object_get(d, "part");
		const char *parent = json_string_value(
			json_array_get(json_object_get(d, "parents"), 0));

		if (part && parent && strcmp(parent, name) == 0 &&
			json_integer_value(json_object_get(part, "number")) ==
				number)
			return json_object_get(d, "content");
	}
	return NULL;
}

static int add_part(const json_t *facts, const json_t *disk, const char *key,
	const json_t *part, struct plan_list *to)
{
	json_int_t number = json_integer_value(json_object_get(part, "number"));
	struct line l;

	if (line_begin(&l) < 0)
		return -ENOMEM;
	(void)fputs("part ", l.f);
	put_value(l.f, key);
	(void)fprintf(l.f, "/%" JSON_INTEGER_FORMAT, number);
	put(l.f, "start", part, "start");
	put(l.f, "size", part, "size");
	put(l.f, "type", part, "type");
	put(l.f, "uuid", part, "uuid");
	put_pair(l.f, "content", content_of(facts, disk, number), "type",
		"uuid");
	return line_end(&l, to);
}

static int add_disk(
	const json_t *facts, const json_t *disk, struct plan_list *to)
{
	const char *key = plan_disk_key(facts, disk);
	const json_t *table = json_object_get(disk, "table"), *part;
	struct line l;
	size_t i;
	int r;

	if (line_begin(&l) < 0)
		return -ENOMEM;
	(void)fputs("disk ", l.f);
	put_value(l.f, key);
	put(l.f, "name", disk, "name");
	put(l.f, "size", disk, "size");
	put(l.f, "serial", disk, "serial");
	put(l.f, "wwn", disk, "wwn");
	if (strcmp(key, facts_text(disk, "name")) == 0)
		put_path(l.f, json_object_get(disk, "driver_path"));
	put_pair(l.f, "table", table, "kind", "id");
	put_pair(l.f, "content", json_object_get(disk, "content"), "type",
		"uuid");
	r = line_end(&l, to);
	json_array_foreach(json_object_get(table, "partitions"), i, part)
	{
		if (r == 0)
			r = add_part(facts, disk, key, part, to);
	}
	return r;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int plan_facts(const json_t *facts, struct plan_list *ret)
{
	struct plan_list l = {0};
	struct line first;
	const json_t *d;
	size_t i;
	int r;

	if (!plan_disk_can_count(facts))
		return -E2BIG;
	if (line_begin(&first) < 0)
		return -ENOMEM;
	(void)fputs("firmware", first.f);
	put(first.f, "mode",
		json_object_get(json_object_get(facts, "system"), "firmware"),
		"mode");
	r = line_end(&first, &l);
	json_array_foreach(json_object_get(facts, "disks"), i, d)
	{
		if (r == 0 && plan_disk_is_whole(facts, d) &&
			!json_is_true(json_object_get(d, "removable")))
			r = add_disk(facts, d, &l);
	}
	if (r < 0) {
		plan_list_done(&l);
		return r;
	}
	qsort(l.v, l.n, sizeof(*l.v), by_text);
	*ret = l;
	return 0;
}

/* The line without the name, where it is not the name that says which. */
static void without_name(char *line)
{
	char *name = strstr(line, " name="), *end;

	if (!name || strncmp(line, "disk ", 5) != 0)
		return;
	end = name + 1 + strcspn(name + 1, " ");
	memmove(name, end, strlen(end) + 1);
}

int plan_fingerprint(const struct plan_list *lines, char ret[65])
{
	EVP_MD_CTX *sha = EVP_MD_CTX_new();
	struct plan_list l = {0};
	uint8_t digest[32];
	bool ok = sha && EVP_DigestInit_ex(sha, EVP_sha256(), NULL) == 1;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < lines->n; i++) {
		r = plan_list_add(&l, lines->v[i], PLAN_FACTS_MAX);
		if (r == 0)
			without_name(l.v[i]);
	}
	/* Names decided the order of equal disks. */
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), by_text);
	for (uint32_t i = 0; i < l.n; i++)
		ok = ok && EVP_DigestUpdate(sha, l.v[i], strlen(l.v[i])) == 1 &&
		     EVP_DigestUpdate(sha, "\n", 1) == 1;
	ok = ok && EVP_DigestFinal_ex(sha, digest, NULL) == 1;
	EVP_MD_CTX_free(sha);
	plan_list_done(&l);
	if (r == 0 && ok)
		parse_hex(digest, sizeof(digest), ret);
	return r < 0 ? r : ok ? 0 : -ENOMEM;
}
