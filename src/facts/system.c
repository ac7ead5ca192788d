/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif
#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/timex.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/parse.h"
#include "facts/gather.h"
#include "facts/secrets.h"

#define LINE 4096
#define DMI "sys/class/dmi/id/"
#define SECURE_BOOT                                                            \
	"sys/firmware/efi/efivars/"                                            \
	"SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

static void set_line(
	struct gather *g, json_t *object, const char *key, const char *path)
{
	char text[LINE];

	gather_set(g, object, key, gather_line(g, path, text, sizeof(text)));
}

/* ---- distribution ---- */

/* A value of os-release(5): bare, or in quotes, with backslashes. */
static void unquote(char *s)
{
	char quote = *s == '"' || *s == '\'' ? *s : '\0';
	char *to = s;

	for (s += quote != '\0'; *s && *s != quote; s++) {
		if (*s == '\\' && quote != '\'' && s[1])
			s++;
		*to++ = *s;
	}
	*to = '\0';
}

static bool os_release(struct gather *g, const char *path, json_t *d)
{
	static const struct {
		const char *name, *key;
	} keys[] = {{"ID", "id"}, {"ID_LIKE", "like"},
		{"VERSION_ID", "version"}, {"VERSION_CODENAME", "codename"},
		{"PRETTY_NAME", "name"}};
	CLEANUP_FREE char *text = NULL;
	char *at, *line;

	if (gather_read(g, path, GATHER_TEXT_MAX, &text, NULL) < 0)
		return false;
	at = text;
	while ((line = gather_next_line(&at))) {
		char *value = strchr(line, '=');

		if (!value)
			continue;
		*value++ = '\0';
		unquote(value);
		for (size_t i = 0; i < ARRAY_LEN(keys); i++)
			if (strcmp(line, keys[i].name) == 0)
				gather_set(g, d, keys[i].key, value);
	}
	return json_object_get(d, "id") != NULL;
}

/* What was there before os-release: a line with a name and a version. */
static void old_release(struct gather *g, json_t *d)
{
	static const struct {
		const char *path, *id;
	} files[] = {{"etc/centos-release", "centos"},
		{"etc/fedora-release", "fedora"},
		{"etc/redhat-release", "rhel"}, {"etc/SuSE-release", "suse"},
		{"etc/gentoo-release", "gentoo"},
		{"etc/alpine-release", "alpine"}, {"etc/arch-release", "arch"},
		{"etc/slackware-version", "slackware"},
		{"etc/debian_version", "debian"}};
	char text[LINE];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		const char *version;

		if (!gather_exists(g, files[i].path, O_PATH))
			continue;
		(void)gather_line(g, files[i].path, text, sizeof(text));
		version = text + strcspn(text, "0123456789");
		gather_set(g, d, "id", files[i].id);
		gather_set(g, d, "name", text);
		text[(version - text) + (ptrdiff_t)strcspn(version, " ")] =
			'\0';
		gather_set(g, d, "version", version);
		return;
	}
	set_line(g, d, "name", "etc/issue");
}

static json_t *distribution(struct gather *g)
{
	json_t *d = gather_object(g);

	if (!os_release(g, "etc/os-release", d) &&
		!os_release(g, "usr/lib/os-release", d))
		old_release(g, d);
	return d;
}

/* ---- kernel and processor ---- */

static void bracketed(
	struct gather *g, json_t *object, const char *key, const char *path)
{
	char text[LINE], *from, *to;

	(void)gather_line(g, path, text, sizeof(text));
	from = strchr(text, '[');
	to = from ? strchr(from, ']') : NULL;
	if (!to)
		return;
	*to = '\0';
	gather_set(g, object, key, from + 1);
}

static json_t *kernel(struct gather *g)
{
	json_t *k = gather_object(g);
	char release[256], path[300], line[LINE];

	(void)gather_line(
		g, "proc/sys/kernel/osrelease", release, sizeof(release));
	gather_set(g, k, "release", release);
	set_line(g, k, "version", "proc/sys/kernel/version");
	(void)gather_line(g, "proc/cmdline", line, sizeof(line));
	secrets_hide(line, " \t");
	gather_set(g, k, "command_line", line);
	bracketed(g, k, "lockdown", "sys/kernel/security/lockdown");
	if (release[0] && !strchr(release, '/')) {
		(void)snprintf(path, sizeof(path), "lib/modules/%s", release);
		gather_set_bool(
			g, k, "modules_dir", gather_exists(g, path, O_PATH));
	}
	return k;
}

/* What a tree's own programs are made for. */
static const char *of_programs(struct gather *g)
{
	static const struct {
		uint16_t machine;
		const char *name;
	} machines[] = {{EM_X86_64, "x86_64"}, {EM_386, "i686"},
		{EM_AARCH64, "aarch64"}, {EM_ARM, "arm"}, {EM_PPC64, "ppc64le"},
		{EM_S390, "s390x"}, {EM_RISCV, "riscv64"}};
	static const char *const programs[] = {
		"bin/sh", "usr/bin/env", "sbin/init", "bin/busybox"};

	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		CLEANUP_CLOSE int fd = gather_open(g, programs[i], O_RDONLY);
		uint8_t h[20];
		uint16_t machine;

		if (fd < 0 || io_pread_all(fd, h, 20, 0) != 20 ||
			memcmp(h, ELFMAG, SELFMAG) != 0)
			continue;
		machine = h[EI_DATA] == ELFDATA2LSB
				  ? (uint16_t)(h[18] | h[19] << 8)
				  : (uint16_t)(h[19] | h[18] << 8);
		for (size_t k = 0; k < ARRAY_LEN(machines); k++)
			if (machines[k].machine == machine)
				return machines[k].name;
	}
	return "";
}

/* "0-3,8" */
static uint64_t count_cpus(struct gather *g)
{
	char text[LINE], *at = text, *range;
	uint64_t n = 0;

	(void)gather_line(
		g, "sys/devices/system/cpu/online", text, sizeof(text));
	while ((range = strsep(&at, ","))) {
		char *to = strchr(range, '-');
		uint64_t a, b;

		if (to)
			*to++ = '\0';
		else
			to = range;
		if (parse_u64(range, &a) < 0 || parse_u64(to, &b) < 0 ||
			b < a || b - a > 65536)
			continue;
		n += b - a + 1;
	}
	return n;
}

/* ---- virtualization ---- */

/* The hypervisor's own name, which programs may ask for; "" when it has none.
 * ret has 13 bytes. */
static void hypervisor(char *ret)
{
	ret[0] = '\0';
#if defined(__x86_64__) || defined(__i386__)
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1U << 31))
		return;
	__cpuid(0x40000000, a, b, c, d);
	memcpy(ret, &b, 4);
	memcpy(ret + 4, &c, 4);
	memcpy(ret + 8, &d, 4);
	ret[12] = '\0';
	if (!ret[0])
		(void)snprintf(ret, 13, "unknown");
#endif
}

static const char *by_hypervisor(struct gather *g)
{
	static const struct {
		const char *name, *machine;
	} known[] = {{"KVMKVMKVM", "kvm"}, {"Linux KVM Hv", "kvm"},
		{"TCGTCGTCGTCG", "qemu"}, {"VMwareVMware", "vmware"},
		{"Microsoft Hv", "hyperv"}, {"XenVMMXenVMM", "xen"},
		{"VBoxVBoxVBox", "virtualbox"}};
	char name[13];

	if (!g->live)
		return "";
	hypervisor(name);
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(name, known[i].name) == 0)
			return known[i].machine;
	return name[0] ? "other" : "";
}

/* Firmware names the product, where the hypervisor only says what runs it. */
static const char *by_firmware(struct gather *g)
{
	static const struct {
		const char *file, *begins, *machine;
	} known[] = {{"sys_vendor", "Amazon EC2", "amazon"},
		{"product_name", "Google Compute Engine", "google"},
		{"sys_vendor", "VMware", "vmware"},
		{"product_name", "VirtualBox", "virtualbox"},
		{"sys_vendor", "Xen", "xen"},
		{"product_name", "Virtual Machine", "hyperv"}};
	char text[LINE];

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), DMI "%s", known[i].file);
		(void)gather_line(g, path, text, sizeof(text));
		if (strncmp(text, known[i].begins, strlen(known[i].begins)) ==
			0)
			return known[i].machine;
	}
	return "";
}

/* Xen's domains of the old kind have no firmware and no disks of other kinds.
 */
static bool is_xen_pv(struct gather *g)
{
	char text[64];

	if (strcmp(gather_line(g, "sys/hypervisor/type", text, sizeof(text)),
		    "xen") != 0)
		return false;
	(void)gather_line(g, "sys/hypervisor/guest_type", text, sizeof(text));
	return text[0] ? strcmp(text, "PV") == 0
		       : !gather_exists(g, DMI "sys_vendor", O_PATH);
}

static const char *machine(struct gather *g)
{
	const char *asked = by_hypervisor(g), *named;
	char text[LINE];
	size_t n;

	if (is_xen_pv(g))
		return "xen-pv";
	named = by_firmware(g);
	if (strcmp(named, "amazon") == 0) {
		n = strlen(
			gather_line(g, DMI "product_name", text, sizeof(text)));
		if (n > 6 && strcmp(text + n - 6, ".metal") == 0)
			return "none";
	}
	if (named[0])
		return named;
	if (asked[0])
		return asked;
	(void)gather_line(g, DMI "sys_vendor", text, sizeof(text));
	if (strcmp(text, "QEMU") == 0)
		return "qemu";
	/* A tree without the kernel's state tells nothing. */
	return g->live || text[0] ? "none" : "";
}

static const char *known_container(const char *name)
{
	static const char *const known[] = {
		"docker", "lxc", "systemd-nspawn", "podman", "openvz", "wsl"};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strncmp(name, known[i], strlen(known[i])) == 0)
			return known[i];
	return name[0] ? "other" : "";
}

/* The value of container= among the first process's variables. */
static void first_environment(struct gather *g, char *ret, size_t size)
{
	CLEANUP_CLOSE int fd = gather_open(g, "proc/1/environ", O_RDONLY);
	char text[LINE];
	ssize_t n = fd < 0 ? -1 : io_pread_all(fd, text, sizeof(text) - 1, 0);

	ret[0] = '\0';
	for (ssize_t at = 0; at < n;) {
		text[n] = '\0';
		if (strncmp(text + at, "container=", 10) == 0)
			(void)snprintf(ret, size, "%.*s", (int)size - 1,
				text + at + 10);
		at += (ssize_t)strlen(text + at) + 1;
	}
}

static const char *container(struct gather *g)
{
	static const struct {
		const char *path, *kind;
	} files[] = {{".dockerenv", "docker"}, {"run/.containerenv", "podman"}};
	char text[256];

	(void)gather_line(g, "run/systemd/container", text, sizeof(text));
	if (!text[0])
		first_environment(g, text, sizeof(text));
	if (text[0])
		return known_container(text);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (gather_exists(g, files[i].path, O_PATH))
			return files[i].kind;
	if (gather_exists(g, "proc/vz", O_PATH) &&
		!gather_exists(g, "proc/bc", O_PATH))
		return "openvz";
	(void)gather_line(g, "proc/sys/kernel/osrelease", text, sizeof(text));
	return strcasestr(text, "microsoft") ? "wsl" : "";
}

/* ---- the rest ---- */

static json_t *firmware(struct gather *g)
{
	json_t *f = gather_object(g);
	CLEANUP_CLOSE int fd = gather_open(g, SECURE_BOOT, O_RDONLY);
	uint8_t variable[8];

	if (gather_exists(g, "sys/firmware/efi", O_PATH))
		gather_set(g, f, "mode", "uefi");
	else if (gather_exists(g, "sys/firmware/devicetree", O_PATH))
		gather_set(g, f, "mode", "devicetree");
	else if (gather_exists(g, "sys/firmware", O_PATH))
		gather_set(g, f, "mode", "bios");
	/* Four bytes of attributes, then the value. */
	if (fd >= 0 && read(fd, variable, sizeof(variable)) == 5)
		gather_set_bool(g, f, "secure_boot", variable[4] == 1);
	set_line(g, f, "vendor", DMI "sys_vendor");
	set_line(g, f, "product", DMI "product_name");
	return f;
}

static const char *init_name(struct gather *g)
{
	static const struct {
		const char *path, *name;
	} files[] = {{"run/systemd/system", "systemd"},
		{"run/openrc", "openrc"},
		{"usr/lib/systemd/systemd", "systemd"},
		{"lib/systemd/systemd", "systemd"}, {"sbin/openrc", "openrc"},
		{"usr/bin/runit", "runit"}, {"sbin/upstart", "upstart"},
		{"etc/init/rc-sysinit.conf", "upstart"},
		{"sbin/procd", "procd"}, {"etc/inittab", "sysvinit"}};
	char text[256];

	if (strcmp(gather_line(g, "proc/1/comm", text, sizeof(text)),
		    "systemd") == 0 ||
		strcmp(gather_link(g, "sbin/init", text, sizeof(text)),
			"systemd") == 0)
		return "systemd";
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (gather_exists(g, files[i].path, O_PATH))
			return files[i].name;
	return "";
}

static void boot_time(struct gather *g, json_t *s)
{
	CLEANUP_FREE char *text = NULL;
	char *at, *line;
	uint64_t v;

	/* A machine of hundreds of processors has long lines in it. */
	if (gather_read(g, "proc/stat", 8U << 20, &text, NULL) < 0)
		return;
	at = text;
	while ((line = gather_next_line(&at)))
		if (strncmp(line, "btime ", 6) == 0 &&
			parse_u64(line + 6, &v) == 0)
			gather_set_number(g, s, "boot_time", v);
}

static json_t *the_clock(struct gather *g)
{
	json_t *c = gather_object(g);
	struct timex t = {0};
	int r = adjtimex(&t);

	gather_set_number(g, c, "now_ms", clock_wall_ms());
	if (r >= 0)
		gather_set_bool(g, c, "synchronized", !(t.status & STA_UNSYNC));
	return c;
}

static json_t *kexec(struct gather *g)
{
	json_t *k = gather_object(g);
	uint64_t v;

	gather_set_bool(g, k, "supported",
		gather_exists(g, "sys/kernel/kexec_loaded", O_PATH));
	if (gather_number(g, "proc/sys/kernel/kexec_load_disabled", &v))
		gather_set_bool(g, k, "disabled", v != 0);
	if (gather_number(g, "sys/kernel/kexec_loaded", &v))
		gather_set_bool(g, k, "loaded", v != 0);
	return k;
}

static void memory(struct gather *g)
{
	static const struct {
		const char *name, *key;
	} keys[] = {{"MemTotal:", "total"}, {"MemAvailable:", "available"},
		{"SwapTotal:", "swap_total"}, {"SwapFree:", "swap_free"}};
	CLEANUP_FREE char *text = NULL;
	json_t *m;
	char *at, *line;

	if (gather_read(g, "proc/meminfo", GATHER_TEXT_MAX, &text, NULL) < 0)
		return;
	m = gather_object(g);
	at = text;
	while ((line = gather_next_line(&at))) {
		const char *name = gather_next_word(&line);
		const char *number = gather_next_word(&line);
		uint64_t kib;

		for (size_t i = 0; number && i < ARRAY_LEN(keys); i++)
			if (strcmp(name, keys[i].name) == 0 &&
				parse_u64(number, &kib) == 0 &&
				kib <= INT64_MAX / 1024)
				gather_set_number(
					g, m, keys[i].key, kib * 1024);
	}
	gather_set_json(g, g->top, "memory", m);
}

static void identity(struct gather *g, json_t *s)
{
	char text[256];

	(void)gather_line(g, "proc/sys/kernel/hostname", text, sizeof(text));
	if (!text[0])
		(void)gather_line(g, "etc/hostname", text, sizeof(text));
	gather_set(g, s, "hostname", text);
	(void)gather_line(g, "etc/machine-id", text, sizeof(text));
	if (!text[0])
		(void)gather_line(
			g, "var/lib/dbus/machine-id", text, sizeof(text));
	gather_set(g, s, "machine_id", text);
	set_line(g, s, "boot_id", "proc/sys/kernel/random/boot_id");
}

void gather_system(struct gather *g)
{
	json_t *s = gather_object(g), *v = gather_object(g);
	struct utsname u;
	uint64_t cpus = count_cpus(g);

	identity(g, s);
	gather_set_json(g, s, "distribution", distribution(g));
	gather_set_json(g, s, "kernel", kernel(g));
	if (!g->live)
		gather_set(g, s, "architecture", of_programs(g));
	else if (uname(&u) == 0)
		gather_set(g, s, "architecture", u.machine);
	if (cpus > 0)
		gather_set_number(g, s, "cpus", cpus);
	gather_set(g, v, "machine", machine(g));
	gather_set(g, v, "container", container(g));
	gather_set_json(g, s, "virtualization", v);
	gather_set_json(g, s, "firmware", firmware(g));
	gather_set(g, s, "init", init_name(g));
	boot_time(g, s);
	if (g->live)
		gather_set_json(g, s, "clock", the_clock(g));
	if (gather_exists(g, "sys/kernel", O_PATH))
		gather_set_json(g, s, "kexec", kexec(g));
	gather_set_json(g, g->top, "system", s);
	memory(g);
}
