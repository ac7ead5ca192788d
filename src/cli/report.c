/* SPDX-License-Identifier: Apache-2.0 */
/* The report for people. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"

static int64_t number(const json_t *r, const char *s, const char *k)
{
	r = s ? json_object_get(r, s) : r;
	return json_integer_value(json_object_get(r, k));
}

static const char *text(const json_t *r, const char *s, const char *k)
{
	const char *t;

	r = s ? json_object_get(r, s) : r;
	t = json_string_value(json_object_get(r, k));
	return t ? t : "";
}

/* What machines said may hold anything; people read it on a terminal. */
void report_clean(json_t *j)
{
	const char *old = json_string_value(j), *key;
	json_t *v;
	size_t i;
	char *text;

	json_object_foreach(j, key, v) report_clean(v);
	json_array_foreach(j, i, v) report_clean(v);
	text = old ? strdup(old) : NULL;
	if (!text)
		return;
	text_clean(text);
	(void)json_string_set_nocheck(j, text);
	free(text);
}

static void print_downtime(const json_t *r)
{
	uint64_t to_boot = (uint64_t)number(r, "downtime_ms", "to_boot");
	char a[32], b[32], c[32], d[32], e[32], boot[64];

	if (number(r, "downtime_ms", "total") == 0)
		return;
	(void)printf("offline    %s (hooks %s, rehost %s; forecast %s%s, "
		     "budget %s)\n",
		human_ms((uint64_t)number(r, "downtime_ms", "total"), a),
		human_ms((uint64_t)number(r, "downtime_ms", "hooks"), b),
		human_ms((uint64_t)number(r, "downtime_ms", "own"), c),
		human_ms((uint64_t)number(r, "downtime_ms", "forecast"), d),
		human_boot(json_is_object(json_object_get(r, "machine")) &&
				   strcmp(text(r, NULL, "kind"), "copy") != 0,
			(uint64_t)number(r, "machine", "last_boot_ms"), boot),
		human_ms((uint64_t)number(r, "downtime_ms", "budget"), e));
	if (number(r, "downtime_ms", "clients") > 0)
		(void)printf("clients    no answer for %s%s%s\n",
			human_ms((uint64_t)number(r, "downtime_ms", "clients"),
				a),
			to_boot ? "; the new machine was told to boot after "
				: "",
			to_boot ? human_ms(to_boot, b) : "");
}

/* A disk that is larger than its source. */
static void print_grown(const json_t *v)
{
	const char *mount = text(v, NULL, "mount");
	int64_t n = number(v, NULL, "partition");
	char a[32], b[32];

	if (text(v, NULL, "why")[0]) {
		(void)printf("see to     %s: %s\n", text(v, NULL, "disk"),
			text(v, NULL, "why"));
		return;
	}
	(void)printf("grown      %s: ", text(v, NULL, "disk"));
	if (n > 0)
		(void)printf("partition %lld from %s to %s", (long long)n,
			human_bytes((uint64_t)number(v, NULL, "from"), a),
			human_bytes((uint64_t)number(v, NULL, "to"), b));
	else if (json_is_true(json_object_get(v, "copy_moved")))
		(void)printf("the copy of its partition table is at its end");
	else
		(void)printf("it is larger");
	if (mount[0])
		(void)printf("; %s follows at the first boot, and\n"
			     "           /var/lib/rehost/grown there says how "
			     "that went",
			mount);
	(void)printf("\n");
}

/* What was done to a machine so that it runs there. */
static void print_machine(const json_t *r)
{
	const json_t *v, *fixups = json_object_get(r, "fixups");
	const char *by = text(r, "machine", "boots_by");
	size_t i;

	json_array_foreach(json_object_get(fixups, "changes"), i, v)
	{
		(void)printf("changed    %s: %s (%s)\n", text(v, NULL, "path"),
			text(v, NULL, "what"), text(v, NULL, "fixup"));
	}
	json_array_foreach(json_object_get(fixups, "warnings"), i, v)
	{
		(void)printf("see to     %s (%s)\n", text(v, NULL, "what"),
			text(v, NULL, "fixup"));
	}
	json_array_foreach(json_object_get(fixups, "host_keys"), i, v)
	{
		(void)printf("host key   %s %s\n", text(v, NULL, "type"),
			text(v, NULL, "fingerprint"));
	}
	json_array_foreach(json_object_get(r, "grown"), i, v) print_grown(v);
	if (by[0])
		(void)printf("started    by %s, at %s\n", by,
			text(r, "machine", "address"));
}

static void print_fence(const json_t *r, const char *kind)
{
	const char *source = text(r, "identity", "source");

	if (strncmp(source, "file ", 5) == 0 && strcmp(kind, "unmounted") == 0)
		(void)printf("fence      none: nothing holds an image file "
			     "after the commit. The commit only\n"
			     "           checks that it was not written.\n");
	else if (strcmp(kind, "freeze") == 0)
		(void)printf("fence      freeze: the source's filesystem stays "
			     "frozen. Withstands old file\n"
			     "           descriptors, mmap and remount; not a "
			     "reboot, nor root thawing it or\n"
			     "           writing the raw device.\n");
	else if (strcmp(kind, "unmounted") == 0)
		(void)printf("fence      unmounted: the device is held "
			     "exclusively, so no old file descriptors\n"
			     "           or mappings are left. Withstands "
			     "remount; not a reboot, nor root\n"
			     "           writing the raw device.\n");
	else if (strcmp(kind, "signature") == 0)
		(void)printf("fence      signature: the source is held or "
			     "frozen, and its signature blocks are\n"
			     "           removed. Withstands old file "
			     "descriptors, mmap, remount and a reboot;\n"
			     "           not root writing the raw device.\n");
}

static void print_hooks(const json_t *r)
{
	const json_t *h;
	size_t i;

	json_array_foreach(json_object_get(r, "hooks"), i, h)
	{
		const char *out = text(h, NULL, "output");

		(void)printf("hook       %s%s%s\n", text(h, NULL, "phase"),
			json_integer_value(json_object_get(h, "failed"))
				? " failed: "
				: "",
			text(h, NULL, "why"));
		if (out[0])
			(void)printf("           %s%s", out,
				out[strlen(out) - 1] == '\n' ? "" : "\n");
	}
}

void report_rehearsal(const json_t *x)
{
	const json_t *v;
	char a[32];
	size_t i;

	(void)printf("rehearsal %s, %s; rounds held for %s\n",
		json_is_true(json_object_get(x, "passed")) ? "passed"
							   : "failed",
		text(x, NULL, "when"),
		human_ms((uint64_t)json_integer_value(
				 json_object_get(x, "held_ms")),
			a));
	json_array_foreach(json_object_get(x, "reasons"), i, v)(void)
		printf("           %s\n", json_string_value(v));
	json_array_foreach(json_object_get(x, "probes"), i, v)
	{
		if (json_is_integer(json_object_get(v, "ms")))
			(void)printf("           %s answered after %s\n",
				text(v, NULL, "probe"),
				human_ms((uint64_t)json_integer_value(
						 json_object_get(v, "ms")),
					a));
	}
	json_array_foreach(json_object_get(x, "not_rehearsed"), i, v)(void)
		printf("           not rehearsed: %s\n", json_string_value(v));
	json_array_foreach(
		json_object_get(json_object_get(x, "fixups"), "warnings"), i,
		v)(void) printf("           %s: %s\n", text(v, NULL, "fixup"),
		text(v, NULL, "what"));
	json_array_foreach(json_object_get(x, "console_tail"), i, v)(void)
		printf("           | %s\n", json_string_value(v));
	if (text(x, NULL, "console")[0])
		(void)printf(
			"           console: %s\n", text(x, NULL, "console"));
	if (text(x, NULL, "screenshot")[0])
		(void)printf(
			"           screen: %s\n", text(x, NULL, "screenshot"));
}

static void print_rehearsals(const json_t *r)
{
	const json_t *x;
	size_t i;

	json_array_foreach(json_object_get(r, "rehearsals"), i, x)
		report_rehearsal(x);
}

static void print_all(const json_t *r)
{
	const json_t *e = json_object_get(r, "error");
	const json_t *rounds = json_object_get(r, "rounds");
	char a[32], b[32], c[32], d[32];

	(void)printf("live       %s\n", text(r, NULL, "live"));
	(void)printf("%-10s %s: %s, phase %s\n", text(r, NULL, "kind"),
		text(r, NULL, "name"), text(r, NULL, "state"),
		text(r, NULL, "phase"));
	(void)printf("from       %s\nto         %s\n", text(r, NULL, "source"),
		text(r, NULL, "target"));
	(void)printf("bytes      %s in all, %s used, %s read, %s sent\n",
		human_bytes((uint64_t)number(r, "bytes", "total"), a),
		human_bytes((uint64_t)number(r, "bytes", "used"), b),
		human_bytes((uint64_t)number(r, "bytes", "read"), c),
		human_bytes((uint64_t)number(r, "bytes", "sent"), d));
	(void)printf("rounds     %zu over %lld %s lanes\n",
		json_array_size(rounds), (long long)number(r, "lanes", "count"),
		text(r, "lanes", "path"));
	(void)printf("tracker    %s, lost %lld times, %lld full comparisons\n",
		text(r, "tracker", "kind"),
		(long long)number(r, "tracker", "losses"),
		(long long)number(r, "tracker", "compares"));
	(void)printf("proof      %s (%lld digests, %s)\n",
		json_is_true(json_object_get(json_object_get(r, "proof"), "ok"))
			? "equal"
			: "not complete",
		(long long)number(r, "proof", "chunks"),
		human_bytes((uint64_t)number(r, "proof", "proved"), a));
	print_downtime(r);
	print_machine(r);
	print_rehearsals(r);
	/* One that was taken back withstands nothing any more. */
	if (strcmp(text(r, NULL, "live"), "source") != 0)
		print_fence(r, text(r, "fence", "kind"));
	if (strcmp(text(r, NULL, "live"), "source") != 0 &&
		text(r, "fence", "network")[0])
		(void)printf("           %s\n", text(r, "fence", "network"));
	print_hooks(r);
	if (json_is_object(e))
		(void)printf("error      %s%scannot %s: %s%s%s\n",
			text(e, NULL, "host"),
			text(e, NULL, "host")[0] ? ": " : "",
			text(e, NULL, "what"), text(e, NULL, "why"),
			text(e, NULL, "do")[0] ? "; " : "",
			text(e, NULL, "do"));
}

static void print_plan(const json_t *r)
{
	const char *fence = text(r, "plan", "fence");

	(void)printf("%-10s %s\nfrom       %s\nto         %s\n",
		text(r, NULL, "kind"), text(r, NULL, "name"),
		text(r, "plan", "source"), text(r, "plan", "target"));
	for (int i = 2; i < 100; i++) {
		char from[32], to[32];

		(void)snprintf(from, sizeof(from), "source_%d", i);
		(void)snprintf(to, sizeof(to), "target_%d", i);
		if (!text(r, "plan", from)[0])
			break;
		(void)printf("from       %s\nto         %s\n",
			text(r, "plan", from), text(r, "plan", to));
	}
	(void)printf("changes    %s\n", text(r, "plan", "changes"));
	if (strncmp(fence, "unmounted if", 12) == 0) {
		(void)printf("fence      %s\n", fence);
		print_fence(r, "unmounted");
		print_fence(r, "freeze");
	} else if (strncmp(fence, "none", 4) == 0) {
		(void)printf("fence      %s\n", fence);
	} else {
		print_fence(r, fence);
	}
	(void)printf("nothing stands in its way; nothing was written\n");
}

static void print_clean(const json_t *report, void (*print)(const json_t *))
{
	json_t *copy = json_deep_copy(report);

	report_clean(copy);
	print(copy);
	json_decref(copy);
}

void plan_print(const json_t *report)
{
	print_clean(report, print_plan);
}

void report_print(const json_t *report)
{
	print_clean(report, print_all);
}
