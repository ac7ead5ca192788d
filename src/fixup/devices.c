/* SPDX-License-Identifier: Apache-2.0 */
#include "fixup/devices.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "facts/fstab.h"

/* By what a device may be named, and how. */
static const struct {
	const char *key;
	const char *begins[2];
} stable[] = {
	{"uuid", {"UUID=", "/dev/disk/by-uuid/"}},
	{"label", {"LABEL=", "/dev/disk/by-label/"}},
	{"partuuid", {"PARTUUID=", "/dev/disk/by-partuuid/"}},
	{"partlabel", {"PARTLABEL=", "/dev/disk/by-partlabel/"}},
};

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static const json_t *list(const json_t *wish)
{
	return json_object_get(wish, "filesystems");
}

/* "/dev/vg/lv" as "/dev/mapper/vg-lv"; hyphens of either name are doubled. */
static void mapper_name(const char *spec, char *buf, size_t size)
{
	const char *at = spec + strlen("/dev/"), *slash = strchr(at, '/');
	size_t n;

	(void)snprintf(buf, size, "%s", spec);
	if (strncmp(spec, "/dev/", 5) != 0 || !slash ||
		strncmp(at, "mapper/", 7) == 0 || strchr(slash + 1, '/') ||
		size < 16)
		return;
	n = (size_t)snprintf(buf, size, "/dev/mapper/");
	for (; *at && n + 3 < size; at++) {
		if (*at == '-')
			buf[n++] = '-';
		buf[n++] = *at == '/' ? '-' : *at;
	}
	buf[n] = '\0';
}

static bool is_called(const json_t *entry, const char *spec)
{
	const json_t *aliases = json_object_get(entry, "aliases"), *a;
	char mapper[DEVICES_NAME_MAX], own[DEVICES_NAME_MAX];
	size_t i;

	if (strcmp(text(entry, "device"), spec) == 0)
		return true;
	json_array_foreach(aliases, i,
		a) if (json_is_string(a) &&
		       strcmp(json_string_value(a), spec) == 0) return true;
	if (!text(entry, "logical")[0])
		return false;
	mapper_name(spec, mapper, sizeof(mapper));
	mapper_name(text(entry, "logical"), own, sizeof(own));
	return strcmp(mapper, own) == 0;
}

/* Of names like UUID=: what is behind; *ret_key is the key of entries. */
static const char *stable_value(const char *spec, const char **ret_key)
{
	for (size_t i = 0; i < ARRAY_LEN(stable); i++) {
		for (size_t k = 0; k < ARRAY_LEN(stable[i].begins); k++) {
			const char *b = stable[i].begins[k];

			if (strncasecmp(spec, b, strlen(b)) != 0)
				continue;
			*ret_key = stable[i].key;
			return spec + strlen(b);
		}
	}
	return NULL;
}

/* Quotes are allowed around it in fstab. */
static bool is_same_value(const char *value, const char *own)
{
	size_t n = strlen(value);

	if (n >= 2 && (value[0] == '"' || value[0] == '\'') &&
		value[n - 1] == value[0]) {
		value++;
		n -= 2;
	}
	return strlen(own) == n && strncasecmp(value, own, n) == 0;
}

static enum devices_kind find_value(const json_t *wish, const char *key,
	const char *value, const json_t **ret)
{
	bool known = false;
	const json_t *e;
	size_t i;

	json_array_foreach(list(wish), i, e)
	{
		const char *own = text(e, key);

		known |= own[0] != '\0';
		if (own[0] && is_same_value(value, own)) {
			*ret = e;
			return DEVICES_STABLE;
		}
	}
	/* Without any of that kind nobody said which there are. */
	return known ? DEVICES_UNKNOWN : DEVICES_STABLE;
}

enum devices_kind devices_find(
	const json_t *wish, const char *spec, const json_t **ret)
{
	const char *names = fstab_names(spec), *key, *value;
	const json_t *e;
	size_t i;

	*ret = NULL;
	value = stable_value(spec, &key);
	if (value)
		return find_value(wish, key, value, ret);
	if (strncmp(spec, "/dev/", 5) != 0 && strcmp(names, "path") != 0)
		return DEVICES_NONE;
	json_array_foreach(list(wish), i, e)
	{
		bool fixed = strcmp(names, "lvm") == 0 ||
			     strcmp(names, "mapper") == 0 ||
			     strncmp(spec, "/dev/md", 7) == 0;

		if (!is_called(e, spec))
			continue;
		*ret = e;
		return fixed ? DEVICES_STABLE : DEVICES_RENAMED;
	}
	/* Names of software that the moved system makes by itself. */
	return strcmp(names, "other") == 0 ? DEVICES_NONE : DEVICES_UNKNOWN;
}

bool devices_name(const json_t *entry, char ret[DEVICES_NAME_MAX])
{
	static const struct {
		const char *key, *begins;
	} names[] = {
		{"logical", ""}, {"uuid", "UUID="}, {"partuuid", "PARTUUID="}};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = text(entry, names[i].key);

		if (!value[0] || strlen(value) > DEVICES_NAME_MAX - 16)
			continue;
		(void)snprintf(
			ret, DEVICES_NAME_MAX, "%s%s", names[i].begins, value);
		return true;
	}
	return false;
}

const json_t *devices_mounted(const json_t *wish, const char *mount)
{
	const json_t *e;
	size_t i;

	json_array_foreach(list(wish), i,
		e) if (strcmp(text(e, "mount"), mount) == 0) return e;
	return NULL;
}
