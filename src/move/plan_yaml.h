/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML as far as a plan needs it: one document of maps, lists and scalars, as a
 * tree in which everything knows its line and column. Anchors, aliases and tags
 * are refused: nothing in a plan needs them, and a few lines of aliases can
 * stand for gigabytes. The size, the depth and the number of nodes have bounds.
 */
#ifndef REHOST_MOVE_PLAN_YAML_H
#define REHOST_MOVE_PLAN_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define PLAN_YAML_DEPTH 8
#define PLAN_YAML_NODES 65536
#define PLAN_YAML_KEYS 64 /* of one map */

enum plan_yaml_kind { PLAN_YAML_SCALAR, PLAN_YAML_LIST, PLAN_YAML_MAP };

struct plan_yaml {
	enum plan_yaml_kind kind;
	unsigned line, column; /* from 1 */
	char *text;	       /* of a scalar: UTF-8 without NUL */
	bool plain;	       /* without quotes */
	uint32_t n;
	struct plan_yaml **keys; /* of a map: scalars, each different */
	struct plan_yaml **values;
};

/* Errors are -EINVAL or -ENOMEM, as from plan_yaml_refuse. */
int plan_yaml_parse(const char *file, const char *text, size_t n,
	struct plan_yaml **ret, struct error *err) MUST_CHECK;
void plan_yaml_free(struct plan_yaml *y);

/* The value of a key in a map, or NULL. */
const struct plan_yaml *plan_yaml_get(
	const struct plan_yaml *map, const char *key);

/* ~, null, or nothing at all. */
bool plan_yaml_is_null(const struct plan_yaml *y);

/* Refuses with "file:line:column: " and the reason; returns -EINVAL. */
int plan_yaml_refuse(struct error *err, const char *file,
	const struct plan_yaml *at, const char *why, ...)
	__attribute__((format(printf, 4, 5)));

#endif
