/* SPDX-License-Identifier: Apache-2.0 */
/* rehost inspect: what a machine is, for people. What the machine said may be
 * of any type; a value of a wrong one counts as absent. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "facts/facts.h"
#include "move/inspect.h"

#define NESTING_MAX 8
#define LISTED_MAX 12 /* words of a list on one line */
#define DISK_LINES_MAX 512

/* ---- reading ---- */

static uint64_t number(const json_t *j, const char *path)
{
	json_int_t n = json_integer_value(facts_at(j, path));

	return n > 0 ? (uint64_t)n : 0;
}

static double real(const json_t *j, const char *path)
{
	return json_number_value(facts_at(j, path));
}

static bool has(const json_t *list, const char *word)
{
	const json_t *v;
	size_t i;

	json_array_foreach(list, i,
		v) if (json_is_string(v) &&
		       strcmp(json_string_value(v), word) == 0) return true;
	return false;
}

/* ---- writing ---- */

/* A line is a heading and words; a section's further lines have none. */
static const char *heading;

__attribute__((format(printf, 1, 2))) static void line(const char *fmt, ...)
{
	va_list ap;

	(void)printf("%-11s", heading);
	heading = "";
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)printf("\n");
}

/* Appends ", word" or "word". */
__attribute__((format(printf, 3, 4))) static void add(
	char *buf, size_t size, const char *fmt, ...)
{
	size_t n = strlen(buf);
	va_list ap;

	if (n + 2 >= size)
		return;
	if (n > 0) {
		memcpy(buf + n, ", ", 3);
		n += 2;
	}
	va_start(ap, fmt);
	(void)vsnprintf(buf + n, size - n, fmt, ap);
	va_end(ap);
	if (strlen(buf) == n && n > 0)
		buf[n - 2] = '\0';
}

static void add_text(char *buf, size_t size, const char *word)
{
	if (word[0])
		add(buf, size, "%s", word);
}

/* The strings of a list, as far as they are worth a line. */
static void add_list(char *buf, size_t size, const json_t *list)
{
	const json_t *v;
	size_t i;

	json_array_foreach(list, i, v)
	{
		if (i == LISTED_MAX) {
			add(buf, size, "and %zu more",
				json_array_size(list) - i);
			break;
		}
		add_text(buf, size,
			json_is_string(v) ? json_string_value(v) : "");
	}
}

/* ---- the machine ---- */

static void print_system(const json_t *f)
{
	const json_t *s = facts_at(f, "system");
	char buf[512] = "", a[32], b[32];
	const char *name = facts_text(s, "distribution.name");

	heading = "machine";
	add_text(buf, sizeof(buf), facts_text(s, "hostname"));
	add_text(buf, sizeof(buf),
		name[0] ? name : facts_text(s, "distribution.id"));
	add_text(buf, sizeof(buf), facts_text(s, "architecture"));
	line("%s", buf);
	buf[0] = '\0';
	if (facts_text(s, "virtualization.container")[0])
		add(buf, sizeof(buf), "a container (%s)",
			facts_text(s, "virtualization.container"));
	if (strcmp(facts_text(s, "virtualization.machine"), "none") == 0)
		add(buf, sizeof(buf), "no virtual machine");
	else
		add_text(buf, sizeof(buf),
			facts_text(s, "virtualization.machine"));
	add_text(buf, sizeof(buf), facts_text(s, "firmware.mode"));
	if (json_is_true(facts_at(s, "firmware.secure_boot")))
		add(buf, sizeof(buf), "secure boot");
	add_text(buf, sizeof(buf), facts_text(s, "firmware.vendor"));
	add_text(buf, sizeof(buf), facts_text(s, "firmware.product"));
	if (buf[0])
		line("%s", buf);
	buf[0] = '\0';
	if (number(s, "cpus"))
		add(buf, sizeof(buf), "%llu processor%s",
			(unsigned long long)number(s, "cpus"),
			number(s, "cpus") == 1 ? "" : "s");
	if (number(f, "memory.total"))
		add(buf, sizeof(buf), "%s of memory (%s available)",
			human_bytes(number(f, "memory.total"), a),
			human_bytes(number(f, "memory.available"), b));
	if (number(f, "memory.swap_total"))
		add(buf, sizeof(buf), "%s of swap",
			human_bytes(number(f, "memory.swap_total"), a));
	if (buf[0])
		line("%s", buf);
}

static void print_kernel(const json_t *f)
{
	const json_t *b = facts_at(f, "boot"), *k;
	size_t i;
	char buf[1024] = "";

	heading = "kernel";
	add_text(buf, sizeof(buf), facts_text(f, "system.kernel.release"));
	if (facts_text(f, "system.kernel.lockdown")[0] &&
		strcmp(facts_text(f, "system.kernel.lockdown"), "none") != 0)
		add(buf, sizeof(buf), "lockdown %s",
			facts_text(f, "system.kernel.lockdown"));
	add_text(buf, sizeof(buf), facts_text(f, "system.init"));
	line("%s", buf);
	json_array_foreach(facts_at(f, "kernels"), i, k)
	{
		if (!json_is_true(facts_at(k, "default")) ||
			!facts_text(k, "initramfs")[0])
			continue;
		line("boots next %s; %zu drivers in %s",
			facts_text(k, "release"),
			json_array_size(facts_at(k, "initramfs_modules")),
			facts_text(k, "initramfs"));
	}
	heading = "boot";
	buf[0] = '\0';
	add_text(buf, sizeof(buf), facts_text(b, "loader"));
	add_text(buf, sizeof(buf), facts_text(b, "config"));
	if (facts_text(b, "default.root")[0])
		add(buf, sizeof(buf), "root %s", facts_text(b, "default.root"));
	line("%s", buf);
}

/* ---- disks ---- */

/* A filesystem as a whole comes before a folder of it that is mounted. */
static const json_t *filesystem_of(const json_t *f, const char *disk)
{
	const json_t *v, *best = NULL;
	size_t i;

	json_array_foreach(facts_at(f, "filesystems"), i, v)
	{
		if (strcmp(facts_text(v, "disk"), disk) != 0 &&
			!has(facts_at(v, "devices"), disk))
			continue;
		if (!best ||
			(facts_at(best, "folder") && !facts_at(v, "folder")))
			best = v;
	}
	return best;
}

static bool is_swap(const json_t *f, const char *disk)
{
	const json_t *v;
	size_t i;

	json_array_foreach(facts_at(f, "swap"), i,
		v) if (strcmp(facts_text(v, "disk"), disk) == 0 &&
		       strcmp(facts_text(v, "kind"), "partition") ==
			       0) return true;
	return false;
}

static void print_disk(
	const json_t *f, const json_t *d, unsigned depth, unsigned *lines)
{
	const char *name = facts_text(d, "name"),
		   *type = facts_text(d, "content.type");
	const json_t *fs = filesystem_of(f, name), *child;
	char buf[768] = "", a[32], b[32], left[64];
	size_t i;

	(*lines)--;
	(void)snprintf(
		left, sizeof(left), "%*s%.40s", (int)depth * 2, "", name);
	if (fs)
		add(buf, sizeof(buf), "%s on %s",
			type[0] ? type : facts_text(fs, "type"),
			facts_text(fs, "mount"));
	else
		add_text(buf, sizeof(buf), type);
	if (facts_text(d, "lvm.vg")[0])
		add(buf, sizeof(buf), "volume %s of %s",
			facts_text(d, "lvm.lv"), facts_text(d, "lvm.vg"));
	if (facts_text(d, "md.level")[0])
		add(buf, sizeof(buf), "%s, %s", facts_text(d, "md.level"),
			facts_text(d, "md.state"));
	add_text(buf, sizeof(buf), facts_text(d, "table.kind"));
	if (fs && number(fs, "size"))
		add(buf, sizeof(buf), "%s of %s used",
			human_bytes(number(fs, "used"), a),
			human_bytes(number(fs, "size"), b));
	if (is_swap(f, name))
		add(buf, sizeof(buf), "in use as swap");
	if (depth == 0)
		add_text(buf, sizeof(buf), facts_text(d, "model"));
	if (depth == 0)
		add_text(buf, sizeof(buf), facts_text(d, "id"));
	if (json_is_true(facts_at(d, "readonly")))
		add(buf, sizeof(buf), "read-only");
	if (json_is_true(facts_at(d, "removable")))
		add(buf, sizeof(buf), "removable");
	add_text(buf, sizeof(buf), facts_text(d, "table.error"));
	line("%-14s %10s  %s", left, human_bytes(number(d, "size"), a), buf);
	/* Disks may claim each other as parents. */
	if (depth == NESTING_MAX)
		return;
	json_array_foreach(facts_at(f, "disks"), i, child)
	{
		if (*lines == 0)
			return;
		if (name[0] && has(facts_at(child, "parents"), name))
			print_disk(f, child, depth + 1, lines);
	}
}

static void print_disks(const json_t *f)
{
	unsigned lines = DISK_LINES_MAX;
	const json_t *d;
	size_t i;
	char a[32], b[32];

	heading = "disks";
	json_array_foreach(facts_at(f, "disks"), i, d)
	{
		if (lines == 0)
			break;
		if (json_array_size(facts_at(d, "parents")) == 0)
			print_disk(f, d, 0, &lines);
	}
	if (lines == 0)
		line("and more: --format json has them all");
	json_array_foreach(facts_at(f, "filesystems"), i,
		d) if (json_is_true(facts_at(d, "network")))
		line("%s on %s (%s)", facts_text(d, "source"),
			facts_text(d, "mount"), facts_text(d, "type"));
	json_array_foreach(facts_at(f, "load.disks"), i,
		d) if (number(d, "write_bytes_s") > 0 && i < LISTED_MAX)
		line("%s is written at %s/s, read at %s/s",
			facts_text(d, "name"),
			human_bytes(number(d, "write_bytes_s"), a),
			human_bytes(number(d, "read_bytes_s"), b));
}

/* ---- network and what runs ---- */

static void print_network(const json_t *f)
{
	const json_t *n = facts_at(f, "network"), *v;
	char buf[1024];
	size_t i;

	heading = "network";
	json_array_foreach(facts_at(n, "interfaces"), i, v)
	{
		if (strcmp(facts_text(v, "kind"), "loopback") == 0)
			continue;
		buf[0] = '\0';
		add_text(buf, sizeof(buf), facts_text(v, "mac"));
		add_list(buf, sizeof(buf), facts_at(v, "addresses"));
		if (json_is_true(facts_at(v, "dynamic")))
			add(buf, sizeof(buf), "dynamic");
		add_text(buf, sizeof(buf), facts_text(v, "driver"));
		add(buf, sizeof(buf), "%s",
			json_is_true(facts_at(v, "up")) ? "up" : "down");
		line("%-14s %s", facts_text(v, "name"), buf);
	}
	json_array_foreach(facts_at(n, "routes"), i,
		v) if (strcmp(facts_text(v, "to"), "default") == 0)
		line("default by %s through %s", facts_text(v, "via"),
			facts_text(v, "interface"));
	json_array_foreach(facts_at(n, "configured_by"), i, v) line(
		"configured by %s%s", facts_text(v, "kind"),
		json_is_true(facts_at(v, "active")) ? ""
						    : ", which is not active");
	buf[0] = '\0';
	add_list(buf, sizeof(buf), facts_at(n, "resolver.nameservers"));
	if (buf[0])
		line("names from %s (%s)", buf,
			facts_text(n, "resolver.managed_by"));
}

static void print_running(const json_t *f)
{
	const json_t *v;
	size_t i, enabled = 0;
	char buf[1024] = "", a[32];

	heading = "services";
	json_array_foreach(facts_at(f, "services"), i, v)
	{
		enabled += json_is_true(facts_at(v, "enabled"));
		if (json_is_true(facts_at(v, "running")))
			add_text(buf, sizeof(buf), facts_text(v, "name"));
	}
	line("%zu enabled%s%s", enabled, buf[0] ? "; running: " : "", buf);
	heading = "listening";
	json_array_foreach(facts_at(f, "ports"), i, v)
	{
		const char *address = facts_text(v, "address");

		line("%s %s%s%s port %llu: %s", facts_text(v, "protocol"),
			strchr(address, ':') ? "[" : "", address,
			strchr(address, ':') ? "]" : "",
			(unsigned long long)number(v, "port"),
			facts_text(v, "program")[0] ? facts_text(v, "program")
						    : "?");
	}
	heading = "databases";
	json_array_foreach(facts_at(f, "databases"), i, v)
	{
		(void)snprintf(buf, sizeof(buf), "%s%s%s",
			facts_text(v, "kind"),
			facts_text(v, "version")[0] ? " " : "",
			facts_text(v, "version"));
		add_text(buf, sizeof(buf), facts_text(v, "data"));
		if (number(v, "size"))
			add(buf, sizeof(buf), "%s",
				human_bytes(number(v, "size"), a));
		if (!json_is_true(facts_at(v, "running")))
			add(buf, sizeof(buf), "not running");
		line("%s", buf);
	}
	heading = "load";
	line("%.2f; waiting for disks %.1f%% of the time",
		real(f, "load.cpu.load1"),
		real(f, "load.pressure.io.some_avg10"));
}

static void print_missing(const json_t *f)
{
	const json_t *v;
	size_t i;

	heading = "not known";
	json_array_foreach(facts_at(f, "missing"), i, v)
		line("%s: %s", facts_text(v, "what"), facts_text(v, "why"));
}

int cmd_inspect(const struct command *c, struct flags *f)
{
	struct ssh_options o = {.args = (const char *const *)f->options.ssh};
	struct place place = {0};
	struct error err = {0};
	json_t *facts = NULL;
	int r = 0;

	if (f->n_arguments > 0)
		r = place_parse(f->arguments[0], &place, &err);
	if (r == 0 && place.path[0])
		return usage_error(
			c, "a machine is wanted, not %s", f->arguments[0]);
	if (r == 0)
		r = inspect(&place, &o, f->sample_ms, NULL, &facts, NULL, &err);
	if (r < 0) {
		print_error(f, &err);
		return EXIT_REFUSED;
	}
	if (f->json) {
		print_json(facts);
		return EXIT_DONE;
	}
	report_clean(facts);
	print_system(facts);
	print_kernel(facts);
	print_disks(facts);
	print_network(facts);
	print_running(facts);
	print_missing(facts);
	json_decref(facts);
	return EXIT_DONE;
}
