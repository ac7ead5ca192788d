/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "cli/cli.h"
#include "move/plan.h"
#include "move/takeover.h"

enum {
	FLAG_NAME = 256,
	FLAG_FORMAT,
	FLAG_BWLIMIT,
	FLAG_DOWNTIME,
	FLAG_CUTOVER,
	FLAG_LANES,
	FLAG_LANE_PORT,
	FLAG_VIA,
	FLAG_OVERWRITE,
	FLAG_FREEZE,
	FLAG_FENCE,
	FLAG_QUIESCE,
	FLAG_ROLLBACK,
	FLAG_ACTIVATE,
	FLAG_DEACTIVATE,
	FLAG_HOOK_TIMEOUT,
	FLAG_LINGER,
	FLAG_VERIFY,
	FLAG_SAMPLE,
	FLAG_CLONE,
	FLAG_AS,
	FLAG_MEASURE,
	FLAG_KERNEL,
	FLAG_MODULES,
	FLAG_AUTHORIZED_KEYS,
	FLAG_HOST_KEY,
	FLAG_ADDRESS,
	FLAG_DNS,
	FLAG_APPEND,
	FLAG_NO_MEDIA,
	FLAG_WATCHDOG,
	FLAG_PLAN,
	FLAG_PROBE,
	FLAG_BOOT,
	FLAG_BOOT_TIMEOUT,
	FLAG_DISCARD,
	FLAG_POWER_OFF,
	FLAG_POWER_ON,
	FLAG_TARGET_POWER_OFF,
	FLAG_NO_ROLLBACK,
	FLAG_WRITE,
	FLAG_ON,
};

/* One row a flag: for getopt, for --help, and for who may use it. */
static const struct {
	const char *name;
	int value; /* short letter or FLAG_… */
	const char *argument, *help;
} table[] = {
	{"name", FLAG_NAME, "NAME", "name of the move (made from the source)"},
	{"dry-run", 'n', NULL, "check both ends, say what stands in the way"},
	{"quiet", 'q', NULL, "only errors"},
	{"verbose", 'v', NULL, "more about what happens"},
	{"format", FLAG_FORMAT, "text|json", "for people or for programs"},
	{"follow", 'f', NULL, "go on showing it until it ends"},
	{"bwlimit", FLAG_BWLIMIT, "SIZE", "at most so many bytes a second"},
	{"downtime", FLAG_DOWNTIME, "TIME", "budget for the outage (2s)"},
	{"cutover", FLAG_CUTOVER, "auto|wait",
		"by itself, or when rehost cutover says so (auto)"},
	{"lanes", FLAG_LANES, "N", "connections that carry data (4)"},
	{"lane-port", FLAG_LANE_PORT, "LOW-HIGH", "ports they may use"},
	{"via", FLAG_VIA, "auto|direct|reverse|relay",
		"who connects to whom (auto)"},
	{"overwrite", FLAG_OVERWRITE, "ID", "destroy what is on this disk"},
	{"freeze", FLAG_FREEZE, NULL,
		"leave the mounted filesystem frozen as it is"},
	{"fence", FLAG_FENCE, "freeze|unmounted|signature",
		"what keeps the source from being used afterwards"},
	{"quiesce", FLAG_QUIESCE, "CMD", "on the source: stop the writers"},
	{"rollback", FLAG_ROLLBACK, "CMD", "on the source: start them again"},
	{"activate", FLAG_ACTIVATE, "CMD", "on the target: start it"},
	{"deactivate", FLAG_DEACTIVATE, "CMD", "on the target: stop it"},
	{"hook-timeout", FLAG_HOOK_TIMEOUT, "TIME", "for each hook (60s)"},
	{"linger", FLAG_LINGER, "TIME",
		"how long the source tracks on, left alone (1h)"},
	{"verify", FLAG_VERIFY, "quick|full",
		"at the cut prove the rest, or everything (quick)"},
	{"sample", FLAG_SAMPLE, "TIME",
		"how long rates are measured (1s; estimate 10s)"},
	{"write", FLAG_WRITE, NULL,
		"write the samples to the target's disk, spoiling it"},
	{"output", 'o', "PATH", "where what is made goes"},
	{"measure", FLAG_MEASURE, NULL, "measure the link between both"},
	{"clone", FLAG_CLONE, NULL, "a second machine; the source stays"},
	{"as", FLAG_AS, "NAME", "host name of the second machine"},
	{"plan", FLAG_PLAN, "FILE", "how a machine moves (rehost plan)"},
	{"boot", FLAG_BOOT, "auto|kexec|firmware",
		"how the new machine is started (auto)"},
	{"boot-timeout", FLAG_BOOT_TIMEOUT, "TIME",
		"until all probes must be answered (10m)"},
	{"discard-target-writes", FLAG_DISCARD, NULL,
		"the target is off, what it wrote lost"},
	{"power-off", FLAG_POWER_OFF, "CMD", "here: switch the source off"},
	{"power-on", FLAG_POWER_ON, "CMD", "here: switch it on again"},
	{"target-power-off", FLAG_TARGET_POWER_OFF, "CMD",
		"here: switch the target off, for a rollback"},
	{"no-rollback", FLAG_NO_ROLLBACK, NULL,
		"confirm as soon as the new machine answers"},
	{"probe", FLAG_PROBE, "PROBE",
		"must answer on the new machine: tcp:22, http://:80/"},
	{"on", FLAG_ON, "HOST", "where QEMU runs (this machine)"},
	{"kernel", FLAG_KERNEL, "FILE", "kernel (the newest in /boot)"},
	{"modules", FLAG_MODULES, "DIR", "its modules (/lib/modules/VERSION)"},
	{"authorized-keys", FLAG_AUTHORIZED_KEYS, "FILE",
		"who may log in (rescue: ~/.ssh/id_*.pub)"},
	{"host-key", FLAG_HOST_KEY, "FILE",
		"private host key (a new one is made)"},
	{"address", FLAG_ADDRESS, "ADDRESS",
		"dhcp or IP/PREFIX[,gw=IP][,mac=MAC|,dev=NAME] (dhcp)"},
	{"dns", FLAG_DNS, "IP", "name server"},
	{"append", FLAG_APPEND, "TEXT", "more for the kernel's command line"},
	{"no-media", FLAG_NO_MEDIA, NULL, "no ISO and no disk image"},
	{"watchdog", FLAG_WATCHDOG, "TIME",
		"so long without rehost boots its old system (10m)"},
	{"ssh", 'F', "FILE", "ssh's configuration file"},
	{"ssh", 'i', "FILE", "ssh's identity"},
	{"ssh", 'J', "HOST", "ssh's jump host"},
	{"ssh-option", 'o', "OPTION", "ssh's option"},
	{"ssh", 'p', "PORT", "ssh's port"},
};

/* These have a letter alone. */
static bool is_ssh(const char *name)
{
	return strncmp(name, "ssh", 3) == 0;
}

static bool takes(const struct command *c, const char *name)
{
	const char *p = c->flags;
	size_t n = strlen(name);

	while ((p = strstr(p, name))) {
		if ((p == c->flags || p[-1] == ' ') &&
			(p[n] == ' ' || p[n] == '\0'))
			return true;
		p += n;
	}
	return false;
}

int usage_error(const struct command *c, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "rehost %s: ", c->name);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "; try rehost %s --help\n", c->name);
	return EXIT_USAGE;
}

static void help(const struct command *c)
{
	(void)printf("usage: rehost %s [FLAGS]%s%s\n\n%s\n", c->name,
		c->arguments[0] ? " " : "", c->arguments, c->summary);
	if (c->flags[0])
		(void)printf("\nflags:\n");
	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		char left[64], letter[8] = "";

		if (!takes(c, table[i].name))
			continue;
		if (table[i].value < 256)
			(void)snprintf(
				letter, sizeof(letter), "-%c", table[i].value);
		(void)snprintf(left, sizeof(left), "%s%s%s%s%s%s", letter,
			letter[0] && !is_ssh(table[i].name) ? ", " : "",
			is_ssh(table[i].name) ? "" : "--",
			is_ssh(table[i].name) ? "" : table[i].name,
			table[i].argument ? " " : "",
			table[i].argument ? table[i].argument : "");
		(void)printf(
			strlen(left) > 24 ? "  %s\n%27s%s\n" : "  %-24s %s%s\n",
			left, strlen(left) > 24 ? "" : table[i].help,
			strlen(left) > 24 ? table[i].help : "");
	}
	(void)printf("  -h, --help               this text\n");
}

/* The index of text in names, or -1. */
static int choose(const char *text, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	return -1;
}

static int port_range(const char *text, struct options *o)
{
	char low[16];
	const char *dash = strchr(text, '-');
	uint64_t a, b;
	size_t n = dash ? (size_t)(dash - text) : strlen(text);

	if (n >= sizeof(low))
		return -EINVAL;
	memcpy(low, text, n);
	low[n] = '\0';
	if (parse_u64(low, &a) < 0 ||
		parse_u64(dash ? dash + 1 : low, &b) < 0 || a == 0 || a > b ||
		b > 65535)
		return -EINVAL;
	o->port_low = (uint32_t)a;
	o->port_high = (uint32_t)b;
	return 0;
}

static int add_ssh(struct options *o, int letter, const char *value)
{
	char flag[3] = {'-', (char)letter, '\0'};
	CLEANUP_FREE char *file = NULL;
	int r = options_add_ssh(o, flag);

	/* Later commands may be given elsewhere. "none" and "~" are ssh's. */
	if (letter == 'i' || (letter == 'F' && strcmp(value, "none") != 0))
		file = realpath(value, NULL);
	return r < 0 ? r : options_add_ssh(o, file ? file : value);
}

/* The same for the flags of the rescue system alone; 1: it is none of them. */
static int take_rescue(int flag, const char *v, struct rescue_options *o)
{
	struct cmdline_address a;
	int r;

	switch (flag) {
	case FLAG_KERNEL:
		o->kernel = v;
		return 0;
	case FLAG_MODULES:
		o->modules = v;
		return 0;
	case FLAG_AUTHORIZED_KEYS:
		o->authorized_keys = v;
		return 0;
	case FLAG_HOST_KEY:
		if (o->n_host_keys == ARRAY_LEN(o->host_keys))
			return -E2BIG;
		o->host_keys[o->n_host_keys++] = v;
		return 0;
	case FLAG_ADDRESS:
		r = cmdline_parse_address(v, &a);
		if (r < 0 || o->n_addresses == ARRAY_LEN(o->addresses))
			return -EINVAL;
		o->addresses[o->n_addresses++] = v;
		return 0;
	case FLAG_DNS:
		if (!cmdline_is_ip(v) || o->n_dns == ARRAY_LEN(o->dns))
			return -EINVAL;
		o->dns[o->n_dns++] = v;
		return 0;
	case FLAG_APPEND:
		o->append = v;
		return 0;
	case FLAG_NO_MEDIA:
		o->no_media = true;
		return 0;
	default:
		return 1;
	}
}

static bool is_host(const char *text)
{
	struct place p;

	return place_parse(text, &p, NULL) == 0 && !place_is_local(&p) &&
	       !p.path[0];
}

/* Takes one flag's value. 0 or negative: it is no good. */
static int take(int flag, const char *v, struct flags *f)
{
	static const char *const formats[] = {"text", "json"};
	static const char *const cutovers[] = {"auto", "wait"};
	static const char *const verifies[] = {"quick", "full"};
	struct options *o = &f->options;
	uint64_t n;
	int i;

	switch (flag) {
	case 'n':
		f->dry_run = true;
		return 0;
	case 'q':
		f->quiet = true;
		return 0;
	case 'v':
		f->verbose = true;
		return 0;
	case 'f':
		f->follow = true;
		return 0;
	case FLAG_NAME:
		if (!parse_is_name(v))
			return -EINVAL;
		(void)snprintf(o->name, sizeof(o->name), "%s", v);
		return 0;
	case FLAG_FORMAT:
		i = choose(v, formats, 2);
		f->json = i == 1;
		return i;
	case FLAG_BWLIMIT:
		o->set_bwlimit = true;
		return parse_size(v, &o->bwlimit);
	case FLAG_DOWNTIME:
		f->set_downtime = o->set_downtime = true;
		return parse_duration(v, &o->downtime_ms);
	case FLAG_CUTOVER:
		i = choose(v, cutovers, 2);
		o->wait = i == 1;
		f->set_cutover = o->set_cutover = true;
		return i;
	case FLAG_LANES:
		if (parse_u64(v, &n) < 0 || n < 1 || n > LANES_MAX)
			return -EINVAL;
		o->lanes = (uint32_t)n;
		return 0;
	case FLAG_LANE_PORT:
		return port_range(v, o);
	case FLAG_VIA:
		i = choose(v, via_names, 4);
		o->via = (enum via)MAX(i, 0);
		return i;
	case FLAG_OVERWRITE:
		if (strlen(v) >= sizeof(o->overwrite))
			return -EINVAL;
		(void)snprintf(o->overwrite, sizeof(o->overwrite), "%s", v);
		return 0;
	case FLAG_FREEZE:
		o->freeze = true;
		return 0;
	case FLAG_FENCE:
		i = choose(v, fence_names, 4);
		o->fence = (enum fence_kind)MAX(i, 0);
		return i;
	case FLAG_QUIESCE:
		return options_add_hook(&o->quiesce, v);
	case FLAG_ROLLBACK:
		return options_add_hook(&o->rollback, v);
	case FLAG_ACTIVATE:
		return options_add_hook(&o->activate, v);
	case FLAG_DEACTIVATE:
		return options_add_hook(&o->deactivate, v);
	case FLAG_POWER_OFF:
		return options_add_hook(&o->power_off, v);
	case FLAG_POWER_ON:
		return options_add_hook(&o->power_on, v);
	case FLAG_TARGET_POWER_OFF:
		return options_add_hook(&o->target_power_off, v);
	case FLAG_NO_ROLLBACK:
		o->no_rollback = true;
		return 0;
	case FLAG_HOOK_TIMEOUT:
		o->set_hook_timeout = true;
		i = parse_duration(v, &o->hook_timeout_ms);
		return i < 0 || o->hook_timeout_ms == 0 ||
				       o->hook_timeout_ms > 86400000
			       ? -EINVAL
			       : 0;
	case FLAG_LINGER:
		return parse_duration(v, &o->linger_ms);
	case FLAG_VERIFY:
		i = choose(v, verifies, 2);
		o->full_verify = i == 1;
		return i;
	case FLAG_SAMPLE:
		if (parse_duration(v, &n) < 0 || n > 60000)
			return -EINVAL;
		f->sample_ms = (unsigned)n;
		return 0;
	case FLAG_WATCHDOG:
		i = parse_duration(v, &f->watchdog_ms);
		/* A start takes longer than any less. */
		return i < 0 || (f->watchdog_ms > 0 &&
					(f->watchdog_ms < 30000 ||
						f->watchdog_ms > 86400000))
			       ? -EINVAL
			       : 0;
	case FLAG_CLONE:
		f->clone = o->clone = true;
		return 0;
	case FLAG_AS:
		(void)snprintf(o->hostname, sizeof(o->hostname), "%s", v);
		return plan_is_hostname(v) ? 0 : -EINVAL;
	case FLAG_PLAN:
		i = snprintf(o->plan, sizeof(o->plan), "%s", v);
		return i < 0 || (size_t)i >= sizeof(o->plan) ? -EINVAL : 0;
	case FLAG_WRITE:
		f->write = true;
		return 0;
	case FLAG_ON:
		f->on = v;
		return is_host(v) ? 0 : -EINVAL;
	case FLAG_DISCARD:
		f->discard = true;
		return 0;
	case FLAG_BOOT:
		i = choose(v, boot_names, 3);
		o->boot = (enum boot)MAX(i, 0);
		return i;
	case FLAG_BOOT_TIMEOUT:
		f->set_boot_timeout = true;
		i = parse_duration(v, &o->boot_timeout_ms);
		return i < 0 || o->boot_timeout_ms == 0 ||
				       o->boot_timeout_ms > 86400000
			       ? -EINVAL
			       : 0;
	case FLAG_PROBE:
		return plan_is_probe(v) ? options_add_hook(&o->probes, v)
					: -EINVAL;
	case FLAG_MEASURE:
		f->measure = true;
		return 0;
	default:
		return add_ssh(o, flag, v);
	}
}

int flags_parse(
	const struct command *c, int argc, char **argv, struct flags *ret)
{
	struct option longs[ARRAY_LEN(table) + 2];
	char shorts[64] = ":h";
	unsigned n = 0;
	int flag;

	memset(ret, 0, sizeof(*ret));
	options_init(&ret->options);
	ret->sample_ms = c->run == cmd_estimate ? 10000 : 1000;
	ret->watchdog_ms = TAKEOVER_WATCHDOG_MS;
	memset(longs, 0, sizeof(longs));
	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		size_t at = strlen(shorts);

		if (!takes(c, table[i].name))
			continue;
		if (table[i].value < 256)
			(void)snprintf(shorts + at, sizeof(shorts) - at, "%c%s",
				table[i].value, table[i].argument ? ":" : "");
		if (is_ssh(table[i].name))
			continue;
		longs[n].name = table[i].name;
		longs[n].has_arg =
			table[i].argument ? required_argument : no_argument;
		longs[n++].val = table[i].value;
	}
	longs[n].name = "help";
	longs[n].val = 'h';
	optind = 1;
	while ((flag = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		int r;

		if (flag == 'h') {
			help(c);
			return -1;
		}
		if (flag == '?' || flag == ':')
			return usage_error(c, "%s %s",
				flag == ':' ? "a value is missing after"
					    : "there is no flag",
				argv[optind - 1]);
		r = take_rescue(flag, optarg, &ret->rescue);
		/* -o is ssh's elsewhere. */
		if (flag == 'o' && takes(c, "output")) {
			ret->output = optarg;
			r = 0;
		}
		if (r == 1)
			r = take(flag, optarg, ret);
		if (r < 0)
			return usage_error(c, "'%s' is no good value for %s",
				optarg,
				argv[optind - 1] == optarg ? argv[optind - 2]
							   : argv[optind - 1]);
	}
	ret->arguments = argv + optind;
	ret->n_arguments = argc - optind;
	return 0;
}

void flags_done(struct flags *f)
{
	options_done(&f->options);
}

void print_json(json_t *j)
{
	char *line = json_dumps(j, JSON_COMPACT);

	if (line)
		(void)printf("%s\n", line);
	free(line);
	json_decref(j);
	(void)fflush(stdout);
}

void print_error(const struct flags *f, const struct error *err)
{
	char text[3072];

	if (f->json) {
		print_json(json_pack("{s:s s:{s:s s:s s:s s:s}}", "event",
			"error", "error", "host", err->host, "what", err->what,
			"why", err->why, "do", err->todo));
		return;
	}
	(void)fprintf(
		stderr, "rehost: %s\n", error_text(err, text, sizeof(text)));
}
