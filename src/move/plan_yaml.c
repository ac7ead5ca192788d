/* SPDX-License-Identifier: Apache-2.0 */
#include "move/plan_yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct reader {
	const char *file, *text;
	size_t size;
	yaml_parser_t parser;
	unsigned nodes, depth;
	struct error *err;
};

static int refuse(struct error *err, const char *file, unsigned line,
	unsigned column, const char *why)
{
	(void)error_set(err, -EINVAL, "read the plan");
	return error_why(err, "%.200s:%u:%u: %s", file, line, column, why);
}

int plan_yaml_refuse(struct error *err, const char *file,
	const struct plan_yaml *at, const char *why, ...)
{
	char text[700];
	va_list ap;

	va_start(ap, why);
	(void)vsnprintf(text, sizeof(text), why, ap);
	va_end(ap);
	(void)refuse(err, file, at->line, at->column, text);
	return -EINVAL;
}

static int refuse_mark(struct reader *r, const yaml_mark_t *at, const char *why)
{
	(void)refuse(r->err, r->file, (unsigned)at->line + 1,
		(unsigned)at->column + 1, why);
	return -EINVAL;
}

/* What the library could not read. For bytes that are no UTF-8 it knows only
 * their offset. */
static int syntax_error(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	yaml_mark_t at = p->problem_mark;
	char why[300];

	if (p->error == YAML_MEMORY_ERROR)
		return error_set(r->err, -ENOMEM, "read the plan");
	if (p->error == YAML_READER_ERROR) {
		memset(&at, 0, sizeof(at));
		for (size_t i = 0; i < p->problem_offset && i < r->size; i++) {
			/* Characters, not bytes. */
			at.column += (r->text[i] & 0xc0) != 0x80;
			if (r->text[i] == '\n') {
				at.line++;
				at.column = 0;
			}
		}
	}
	(void)snprintf(why, sizeof(why), "this is no YAML: %s%s%s",
		p->problem ? p->problem : "unknown problem",
		p->context ? " " : "", p->context ? p->context : "");
	return refuse_mark(r, &at, why);
}

static int next(struct reader *r, yaml_event_t *ret)
{
	return yaml_parser_parse(&r->parser, ret) ? 0 : syntax_error(r);
}

void plan_yaml_free(struct plan_yaml *y)
{
	if (!y)
		return;
	for (uint32_t i = 0; i < y->n; i++) {
		if (y->keys)
			plan_yaml_free(y->keys[i]);
		plan_yaml_free(y->values[i]);
	}
	free(y->keys);
	free(y->values);
	free(y->text);
	free(y);
}

static void free_p(struct plan_yaml **y)
{
	plan_yaml_free(*y);
}

const struct plan_yaml *plan_yaml_get(
	const struct plan_yaml *map, const char *key)
{
	for (uint32_t i = 0; map->kind == PLAN_YAML_MAP && i < map->n; i++)
		if (strcmp(map->keys[i]->text, key) == 0)
			return map->values[i];
	return NULL;
}

bool plan_yaml_is_null(const struct plan_yaml *y)
{
	return y->kind == PLAN_YAML_SCALAR && y->plain &&
	       (!y->text[0] || strcmp(y->text, "~") == 0 ||
		       strcasecmp(y->text, "null") == 0);
}

/* Room for one more child; both arrays of a map. */
static int grow(struct plan_yaml *y)
{
	size_t n = y->n ? y->n * 2 : 4;
	struct plan_yaml **v;

	/* The room is always a power of two. */
	if (y->n >= 4 ? (y->n & (y->n - 1)) != 0 : y->n != 0)
		return 0;
	v = realloc(y->values, n * sizeof(struct plan_yaml *));
	if (!v)
		return -ENOMEM;
	y->values = v;
	if (y->kind != PLAN_YAML_MAP)
		return 0;
	v = realloc(y->keys, n * sizeof(struct plan_yaml *));
	if (!v)
		return -ENOMEM;
	y->keys = v;
	return 0;
}

/* Things of YAML that no plan needs. */
static int check_event(struct reader *r, const yaml_event_t *e)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	switch (e->type) {
	case YAML_ALIAS_EVENT:
		return refuse_mark(r, &e->start_mark,
			"aliases are not used in plans; write it out");
	case YAML_SCALAR_EVENT:
		anchor = e->data.scalar.anchor;
		tag = e->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = e->data.sequence_start.anchor;
		tag = e->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = e->data.mapping_start.anchor;
		tag = e->data.mapping_start.tag;
		break;
	default:
		break;
	}
	if (anchor)
		return refuse_mark(r, &e->start_mark,
			"anchors are not used in plans; leave it out");
	if (tag)
		return refuse_mark(r, &e->start_mark,
			"tags are not used in plans; leave it out");
	if (e->type == YAML_SCALAR_EVENT &&
		strlen((const char *)e->data.scalar.value) !=
			e->data.scalar.length)
		return refuse_mark(
			r, &e->start_mark, "no text may contain \\0");
	return 0;
}

static int read_node(
	struct reader *r, const yaml_event_t *e, struct plan_yaml **ret);

/* Reads the children of y up to the end of it. */
static int read_children(struct reader *r, struct plan_yaml *y)
{
	bool map = y->kind == PLAN_YAML_MAP;
	struct plan_yaml *key = NULL, *child;
	yaml_event_t e;
	int ret = 0;

	for (;;) {
		ret = next(r, &e);
		if (ret < 0)
			break;
		if (e.type == YAML_MAPPING_END_EVENT ||
			e.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&e);
			break;
		}
		ret = read_node(r, &e, &child);
		yaml_event_delete(&e);
		if (ret < 0)
			break;
		if (map && !key) {
			const struct plan_yaml *same = NULL;

			key = child;
			for (uint32_t i = 0; i < y->n; i++)
				if (child->kind == PLAN_YAML_SCALAR &&
					strcmp(y->keys[i]->text, child->text) ==
						0)
					same = y->keys[i];
			if (child->kind != PLAN_YAML_SCALAR)
				ret = plan_yaml_refuse(r->err, r->file, child,
					"a key must be a word");
			else if (same)
				ret = plan_yaml_refuse(r->err, r->file, child,
					"'%.64s' is given twice, first in "
					"line %u",
					child->text, same->line);
			else if (y->n == PLAN_YAML_KEYS)
				ret = plan_yaml_refuse(r->err, r->file, child,
					"more than %d keys", PLAN_YAML_KEYS);
			if (ret < 0)
				break;
			continue;
		}
		if (grow(y) < 0) {
			plan_yaml_free(child);
			ret = error_set(r->err, -ENOMEM, "read the plan");
			break;
		}
		if (map)
			y->keys[y->n] = STEAL_PTR(key);
		y->values[y->n++] = child;
	}
	plan_yaml_free(key);
	return ret;
}

static int read_node(
	struct reader *r, const yaml_event_t *e, struct plan_yaml **ret)
{
	CLEANUP(free_p) struct plan_yaml *y = NULL;
	int got = check_event(r, e);

	if (got < 0)
		return got;
	if (r->nodes++ == PLAN_YAML_NODES)
		return refuse_mark(
			r, &e->start_mark, "a plan has no so many entries");
	y = calloc(1, sizeof(*y));
	if (!y)
		return error_set(r->err, -ENOMEM, "read the plan");
	y->line = (unsigned)e->start_mark.line + 1;
	y->column = (unsigned)e->start_mark.column + 1;
	if (e->type == YAML_SCALAR_EVENT) {
		y->kind = PLAN_YAML_SCALAR;
		y->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
		y->text = strdup((const char *)e->data.scalar.value);
		if (!y->text)
			return error_set(r->err, -ENOMEM, "read the plan");
	} else {
		y->kind = e->type == YAML_MAPPING_START_EVENT ? PLAN_YAML_MAP
							      : PLAN_YAML_LIST;
		if (r->depth == PLAN_YAML_DEPTH)
			return refuse_mark(r, &e->start_mark,
				"a plan has nothing so deep within");
		r->depth++;
		got = read_children(r, y);
		r->depth--;
	}
	if (got == 0)
		*ret = STEAL_PTR(y);
	return got;
}

static int read_stream(struct reader *r, struct plan_yaml **ret)
{
	CLEANUP(free_p) struct plan_yaml *root = NULL;
	yaml_event_t e;
	int got;

	for (;;) {
		got = next(r, &e);
		if (got < 0)
			return got;
		if (e.type == YAML_STREAM_END_EVENT) {
			got = root ? 0
				   : refuse_mark(r, &e.start_mark,
					     "there is nothing in it");
			yaml_event_delete(&e);
			break;
		}
		if (e.type == YAML_DOCUMENT_START_EVENT && root)
			got = refuse_mark(r, &e.start_mark,
				"a plan is one document, and ends here");
		else if (e.type != YAML_STREAM_START_EVENT &&
			 e.type != YAML_DOCUMENT_START_EVENT &&
			 e.type != YAML_DOCUMENT_END_EVENT)
			got = read_node(r, &e, &root);
		yaml_event_delete(&e);
		if (got < 0)
			return got;
	}
	if (got == 0)
		*ret = STEAL_PTR(root);
	return got;
}

int plan_yaml_parse(const char *file, const char *text, size_t n,
	struct plan_yaml **ret, struct error *err)
{
	struct reader r = {.file = file, .text = text, .size = n, .err = err};
	int got;

	if (!yaml_parser_initialize(&r.parser))
		return error_set(err, -ENOMEM, "read the plan");
	/* Not by what the first bytes look like. */
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
	got = read_stream(&r, ret);
	yaml_parser_delete(&r.parser);
	return got;
}
