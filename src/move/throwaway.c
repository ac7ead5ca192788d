/* SPDX-License-Identifier: Apache-2.0 */
#include "move/throwaway.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "facts/facts.h"

#define QEMU "qemu-system-x86_64"
#define ANSWER_MS 60000
#define SERVE_MS 5
#define END_MS 1000
#define ANSWER_MAX (1024 * 1024)
#define WORDS_MAX 512 /* twice as many as with all disks */
#define SCRIPT_MAX 32768

struct throwaway {
	struct session *session;
	const struct ground *ground;
	struct ground_child qemu, tunnel;
	bool gone;
	char why[512];
	int control; /* QMP */
	char *in;    /* what it said and was not looked at yet */
	size_t n_in;
	char errors[128]; /* path of what QEMU says on standard error */
	uint32_t n_ports;
	struct {
		unsigned there, here;
	} ports[THROWAWAY_PORTS_MAX];
};

/* ---- what it needs ---- */

static int lacks(const struct ground *g, const char *what, const char *package,
	struct error *err)
{
	error_set(err, -ENOENT, "rehearse");
	error_host(err, ground_name(g));
	error_why(err, "there is no %s", what);
	return error_todo(err, "install %s there", package);
}

int throwaway_check(const struct ground *g, bool uefi, struct error *err)
{
	const struct ground_facts *f = ground_facts(g);

	if (!f->qemu)
		return lacks(g, QEMU,
			"QEMU (Debian, Ubuntu: qemu-system-x86; others: "
			"qemu-system-x86, qemu-kvm)",
			err);
	if (!f->image)
		return lacks(g, "qemu-img",
			"it (Debian, Ubuntu: qemu-utils; others: qemu-img)",
			err);
	if (uefi && !f->code[0])
		return lacks(g, "UEFI firmware for QEMU",
			"it (Debian, Ubuntu: ovmf; others: edk2-ovmf)", err);
	return 0;
}

int throwaway_prepare(const struct throwaway_spec *s,
	const struct throwaway_files *f, struct error *err)
{
	char script[128];
	int r = ground_run(f->ground, "cat >kernel", f->kernel, "", err);

	if (r == 0)
		r = ground_run(
			f->ground, "cat >initramfs", f->initramfs, "", err);
	for (uint32_t i = 0; i < s->n_disks && r == 0; i++) {
		/* Disks have whole sectors; files need not. */
		(void)snprintf(script, sizeof(script),
			"qemu-img create -q -f qcow2 disk%u.qcow2 %llu", i,
			(unsigned long long)(s->disks[i].size + 511) / 512 *
				512);
		r = ground_run(f->ground, script, "", "", err);
	}
	return r;
}

/* ---- its command line ---- */

struct words {
	char *v[WORDS_MAX];
	unsigned n;
	bool failed;
};

static void words_done(struct words *w)
{
	for (unsigned i = 0; i < w->n; i++)
		free(w->v[i]);
}

__attribute__((format(printf, 2, 3))) static void add(
	struct words *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (w->n == WORDS_MAX - 1) {
		w->failed = true;
		return;
	}
	va_start(ap, fmt);
	n = vasprintf(&w->v[w->n], fmt, ap);
	va_end(ap);
	if (n < 0)
		w->failed = true;
	else
		w->n++;
}

static void add_controllers(struct words *w, const struct throwaway_spec *s)
{
	static const char *const buses[DISK_MODELS] = {
		[DISK_VIRTIO_SCSI] = "virtio-scsi-pci,id=virtio-scsi",
		[DISK_AHCI] = "ahci,id=ahci",
		[DISK_PVSCSI] = "pvscsi,id=pvscsi",
		[DISK_MPTSAS] = "mptsas1068,id=mptsas",
		[DISK_MEGASAS] = "megasas,id=megasas",
	};

	for (int model = 0; model < DISK_MODELS; model++) {
		bool used = false;

		for (uint32_t i = 0; i < s->n_disks; i++)
			used = used || (int)s->disks[i].model == model;
		if (!used || !buses[model])
			continue;
		add(w, "-device");
		add(w, "%s", buses[model]);
	}
}

static void add_disks(struct words *w, const struct throwaway_spec *s,
	const struct throwaway_files *f)
{
	char device[256], backing[32];

	add_controllers(w, s);
	for (uint32_t i = 0; i < s->n_disks; i++) {
		add(w, "-blockdev");
		add(w, "driver=file,node-name=f%u,filename=disk%u.qcow2", i, i);
		if (!f->kernel) {
			add(w, "-blockdev");
			add(w,
				"driver=nbd,node-name=b%u,server.type=unix,"
				"server.path=%s/exports,export=%u,read-only=on",
				i, ground_facts(f->ground)->folder, i);
		}
		add(w, "-blockdev");
		(void)snprintf(backing, sizeof(backing), ",backing=b%u", i);
		add(w, "driver=qcow2,node-name=d%u,file=f%u,discard=unmap%s", i,
			i, f->kernel ? "" : backing);
		throwaway_disk_device(s, i, device, sizeof(device));
		add(w, "-device");
		add(w, "%s", device);
	}
}

static void add_network(struct words *w, const struct throwaway_spec *s)
{
	char forwards[THROWAWAY_PORTS_MAX * 64] = "";
	size_t n = 0;

	for (uint32_t i = 0; i < s->n_ports; i++)
		n += (size_t)snprintf(forwards + n, sizeof(forwards) - n,
			",hostfwd=tcp:127.0.0.1:0-%s:%u", s->address,
			s->ports[i]);
	for (uint32_t i = 0; i < s->n_nics; i++) {
		add(w, "-netdev");
		if (i == 0)
			add(w,
				"user,id=n0,restrict=on,ipv6=off,net=%s,"
				"host=%s,dns=%s,dhcpstart=%s%s",
				s->network, s->host, s->dns, s->address,
				forwards);
		else
			add(w, "hubport,id=n%u,hubid=%u", i, i);
		add(w, "-device");
		add(w, "%s,netdev=n%u,mac=%s,romfile=", s->nics[i].model, i,
			s->nics[i].mac);
	}
}

static void add_boot(struct words *w, const struct throwaway_spec *s,
	const struct throwaway_files *f)
{
	if (s->uefi) {
		add(w, "-drive");
		add(w, "if=pflash,unit=0,format=raw,readonly=on,file=%s",
			ground_facts(f->ground)->code);
		add(w, "-drive");
		add(w, "if=pflash,unit=1,format=raw,file=vars.fd");
	}
	if (!f->kernel)
		return;
	add(w, "-kernel");
	add(w, "kernel");
	add(w, "-initrd");
	add(w, "initramfs");
	add(w, "-append");
	add(w, "%s", f->cmdline);
}

static void add_all(struct words *w, const struct throwaway_spec *s,
	const struct throwaway_files *f, bool kvm)
{
	static const char *const fixed[] = {QEMU, "-nodefaults",
		"-no-user-config", "-no-reboot", "-display", "none", "-vga",
		"std", "-cpu", "max", "-sandbox",
		"on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
		"resourcecontrol=deny",
		"-device", "virtio-rng-pci"};

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		add(w, "%s", fixed[i]);
	add(w, "-accel");
	add(w, "%s", kvm ? "kvm" : "tcg");
	add(w, "-machine");
	add(w, "%s", s->q35 ? "q35" : "pc");
	add(w, "-smp");
	add(w, "%u", s->cpus);
	add(w, "-m");
	add(w, "%llu", (unsigned long long)s->memory_mib);
	add(w, "-chardev");
	add(w, "stdio,id=console,signal=off");
	add(w, "-serial");
	add(w, "chardev:console");
	add(w, "-qmp");
	add(w, "unix:control,server=on,wait=off");
	add_disks(w, s, f);
	add_network(w, s);
	add_boot(w, s, f);
}

/* ---- QMP ---- */

static void note_end(struct throwaway *t)
{
	CLEANUP_FREE char *said = NULL;
	const char *last = "";
	int status = 0;
	size_t n = 0;

	if (t->gone || !ground_ended(&t->qemu, &status))
		return;
	t->gone = true;
	if (status == 0)
		return;
	if (io_slurp(t->errors, 65536, &said, &n) == 0) {
		while (n > 0 && said[n - 1] == '\n')
			said[--n] = '\0';
		last = strrchr(said, '\n') ? strrchr(said, '\n') + 1 : said;
	}
	(void)snprintf(t->why, sizeof(t->why),
		"QEMU ended with status %d%s%.400s",
		WIFEXITED(status) ? WEXITSTATUS(status) : -1,
		last[0] ? ": " : "", last);
}

bool throwaway_is_on(struct throwaway *t, char *why, size_t size)
{
	note_end(t);
	if (t->gone)
		(void)snprintf(why, size, "%s", t->why);
	return !t->gone;
}

static int ended(struct throwaway *t, struct error *err)
{
	uint64_t until = clock_ms() + END_MS;

	/* Its socket ends before it does. */
	for (note_end(t); !t->gone && clock_ms() < until; note_end(t))
		clock_sleep_ms(5);
	error_set(err, -ECHILD, "go on with QEMU");
	return error_why(err, "%s", t->why[0] ? t->why : "it ended");
}

/* A line, in fresh memory. */
static int read_line(
	struct throwaway *t, uint64_t until, char **ret, struct error *err)
{
	for (;;) {
		char *end = t->n_in ? memchr(t->in, '\n', t->n_in) : NULL;
		char buf[16384], *more;
		ssize_t n;
		int r;

		if (end) {
			size_t used = (size_t)(end - t->in) + 1;

			*end = '\0';
			*ret = strdup(t->in);
			memmove(t->in, t->in + used, t->n_in - used);
			t->n_in -= used;
			return *ret ? 0 : error_set(err, -ENOMEM, "ask QEMU");
		}
		n = recv(t->control, buf, sizeof(buf), MSG_DONTWAIT);
		if (n > 0 && t->n_in + (size_t)n <= ANSWER_MAX) {
			more = realloc(t->in, t->n_in + (size_t)n);
			if (!more)
				return error_set(err, -ENOMEM, "ask QEMU");
			memcpy(more + t->n_in, buf, (size_t)n);
			t->in = more;
			t->n_in += (size_t)n;
			continue;
		}
		note_end(t);
		if (n >= 0 || t->gone)
			return ended(t, err);
		if (clock_ms() > until)
			return error_set(err, -ETIMEDOUT, "ask QEMU");
		r = session_idle(t->session, SERVE_MS, err);
		if (r < 0)
			return r;
	}
}

/* The answer to a command, passing over events; *ret may be NULL. */
static int read_answer(struct throwaway *t, json_t **ret, struct error *err)
{
	uint64_t until = clock_ms() + ANSWER_MS;

	for (;;) {
		CLEANUP_FREE char *line = NULL;
		json_t *j, *answer;
		int r = read_line(t, until, &line, err);

		if (r < 0)
			return r;
		j = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		answer = json_object_get(j, "return");
		if (answer && ret)
			*ret = json_incref(answer);
		if (json_object_get(j, "error")) {
			r = error_set(err, -EIO, "ask QEMU");
			error_why(err, "%s", facts_text(j, "error.desc"));
		}
		json_decref(j);
		if (answer || r < 0)
			return r;
	}
}

/* Takes the reference of arguments. */
static int control(struct throwaway *t, const char *command, json_t *arguments,
	json_t **ret, struct error *err)
{
	CLEANUP_FREE char *text = NULL;
	json_t *j = json_pack("{s:s}", "execute", command);

	if (arguments)
		(void)json_object_set_new(j, "arguments", arguments);
	text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	if (!text)
		return error_set(err, -ENOMEM, "ask QEMU");
	/* So little always fits. */
	if (send(t->control, text, strlen(text), MSG_NOSIGNAL) !=
		(ssize_t)strlen(text))
		return ended(t, err);
	return read_answer(t, ret, err);
}

/* Whether it spoke: ssh takes a connection before there is anybody. */
static bool is_there(struct throwaway *t, const struct sockaddr_un *to)
{
	uint64_t until = clock_ms() + ANSWER_MS;
	struct error ignored;
	ssize_t n = -1;
	char c;

	if (connect(t->control, (const struct sockaddr *)to, sizeof(*to)) < 0)
		return false;
	while (n < 0 && clock_ms() < until &&
		session_idle(t->session, SERVE_MS, &ignored) == 0) {
		note_end(t);
		n = t->gone ? 0
			    : recv(t->control, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	}
	return n > 0;
}

static int reach(struct throwaway *t, const char *folder, struct error *err)
{
	uint64_t until = clock_ms() + ANSWER_MS;
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int r, n = snprintf(
		       to.sun_path, sizeof(to.sun_path), "%s/control", folder);

	if (n < 0 || (size_t)n >= sizeof(to.sun_path))
		return error_set(err, -ENAMETOOLONG, "reach QEMU");
	for (;;) {
		t->control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (t->control < 0)
			return error_set(err, -errno, "make a socket");
		if (is_there(t, &to))
			return control(t, "qmp_capabilities", NULL, NULL, err);
		(void)close(STEAL_FD(t->control));
		note_end(t);
		if (t->gone)
			return ended(t, err);
		if (clock_ms() > until)
			return error_set(err, -ETIMEDOUT, "reach QEMU");
		r = session_idle(t->session, SERVE_MS, err);
		if (r < 0)
			return r;
	}
}

/* ---- its ports ---- */

/* What QEMU's network says, in fresh memory: one connection a line, the state
 * in brackets, then descriptor, address and port here, address and port there.
 */
static int usernet(struct throwaway *t, char **ret, struct error *err)
{
	json_t *answer = NULL;
	int r = control(t, "human-monitor-command",
		json_pack("{s:s}", "command-line", "info usernet"), &answer,
		err);

	if (r < 0)
		return r;
	*ret = strdup(json_is_string(answer) ? json_string_value(answer) : "");
	json_decref(answer);
	return *ret ? 0 : error_set(err, -ENOMEM, "ask QEMU");
}

static bool parse_connection(const char *line, char state[32],
	unsigned *ret_here, unsigned *ret_there)
{
	char from[64], to[64];
	int fd;

	return sscanf(line, " TCP[%31[^]]] %d %63s %u %63s %u", state, &fd,
		       from, ret_here, to, ret_there) == 6;
}

static int find_ports(
	struct throwaway *t, const struct throwaway_spec *s, struct error *err)
{
	CLEANUP_FREE char *text = NULL;
	char *next, *line, state[32];
	unsigned here, there;
	int r = usernet(t, &text, err);

	if (r < 0)
		return r;
	for (next = text; (line = strsep(&next, "\r\n"));)
		if (parse_connection(line, state, &here, &there) &&
			strcmp(state, "HOST_FORWARD") == 0 &&
			t->n_ports < THROWAWAY_PORTS_MAX) {
			t->ports[t->n_ports].there = there;
			t->ports[t->n_ports++].here = here;
		}
	if (t->n_ports == s->n_ports)
		return 0;
	error_set(err, -EPROTO, "reach the rehearsal's machine");
	return error_why(err, "QEMU does not say by which ports");
}

/* A port of this machine that is free. */
static unsigned free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);
	CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, n) < 0 ||
		getsockname(fd, (struct sockaddr *)&at, &n) < 0)
		return 0;
	return ntohs(at.sin_port);
}

static bool is_open(unsigned port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 &&
	       connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;
}

/* From ports of this machine to those of the other. */
static int make_tunnel(
	struct throwaway *t, const struct throwaway_files *f, struct error *err)
{
	char values[THROWAWAY_PORTS_MAX][64];
	const char *forwards[2 * THROWAWAY_PORTS_MAX + 1];
	uint64_t until = clock_ms() + ANSWER_MS;
	unsigned n = 0;
	int status, r;

	for (uint32_t i = 0; i < t->n_ports; i++) {
		unsigned port = free_port();

		(void)snprintf(values[i], sizeof(values[i]),
			"127.0.0.1:%u:127.0.0.1:%u", port, t->ports[i].here);
		t->ports[i].here = port;
		forwards[n++] = "-L";
		forwards[n++] = values[i];
	}
	forwards[n] = NULL;
	r = ground_start(f->ground, "sleep 1000000", forwards, "/dev/null",
		t->errors, &t->tunnel, err);
	while (r == 0 && !is_open(t->ports[0].here)) {
		if (ground_ended(&t->tunnel, &status) || clock_ms() > until) {
			error_set(err, -EHOSTUNREACH, "reach QEMU's ports");
			return error_host(err, ground_name(f->ground));
		}
		r = session_idle(t->session, 20, err);
	}
	return r;
}

unsigned throwaway_port(const struct throwaway *t, unsigned port)
{
	for (uint32_t i = 0; i < t->n_ports; i++)
		if (t->ports[i].there == port)
			return t->ports[i].here;
	return 0;
}

int throwaway_took(struct throwaway *t, unsigned port, struct error *err)
{
	CLEANUP_FREE char *text = NULL;
	char *next, *line, state[32];
	unsigned here, there;
	int r = usernet(t, &text, err);

	if (r < 0)
		return r;
	for (next = text; (line = strsep(&next, "\r\n"));)
		if (parse_connection(line, state, &here, &there) &&
			there == port && strcmp(state, "ESTABLISHED") == 0)
			return 1;
	return 0;
}

int throwaway_screen(struct throwaway *t, const char *path, struct error *err)
{
	int r = control(t, "screendump",
		json_pack(
			"{s:s s:s}", "filename", "screen.png", "format", "png"),
		NULL, err);

	return r < 0 ? r
		     : ground_run(t->ground, "cat screen.png", "", path, err);
}

bool throwaway_is_full(struct throwaway *t)
{
	json_t *answer = NULL;
	struct error ignored;
	bool full;

	if (t->gone || control(t, "query-status", NULL, &answer, &ignored) < 0)
		return false;
	full = strcmp(facts_text(answer, "status"), "io-error") == 0;
	json_decref(answer);
	return full;
}

/* ---- its disks ---- */

static json_t *text_of(const char *what, uint32_t n)
{
	return json_sprintf("%s%u", what, n);
}

int throwaway_fill(struct throwaway *t, const struct throwaway_spec *s,
	const struct throwaway_files *f, struct error *err)
{
	char path[128];
	int r = 0;

	(void)snprintf(path, sizeof(path), "%s/exports",
		ground_facts(f->ground)->folder);
	for (uint32_t i = 0; i < s->n_disks && r == 0; i++) {
		r = control(t, "blockdev-add",
			json_pack("{s:s s:o s:{s:s s:s} s:o s:b}", "driver",
				"nbd", "node-name", text_of("b", i), "server",
				"type", "unix", "path", path, "export",
				text_of("", i), "read-only", 1),
			NULL, err);
		if (r == 0)
			r = control(t, "blockdev-reopen",
				json_pack("{s:[{s:s s:o s:o s:s s:o}]}",
					"options", "driver", "qcow2",
					"node-name", text_of("d", i), "file",
					text_of("f", i), "discard", "unmap",
					"backing", text_of("b", i)),
				NULL, err);
	}
	return r;
}

/* ---- on and off ---- */

static int make_script(
	const struct words *w, char *script, size_t size, struct error *err)
{
	int r = w->failed ? -ENOMEM : 0;

	script[0] = '\0';
	for (unsigned i = 0; i < w->n && r == 0; i++)
		r = ground_quote(script, size, w->v[i]);
	return r < 0 ? error_set(err, r, "start QEMU") : 0;
}

static int run(struct throwaway *t, const struct throwaway_spec *spec,
	const struct throwaway_files *f, bool kvm, struct error *err)
{
	CLEANUP(words_done) struct words w = {0};
	static char script[SCRIPT_MAX];
	char exports[256], path[256];
	const char *folder = ground_facts(f->ground)->folder;
	const char *forwards[] = {"-R", exports, "-L", path, NULL};
	int r;

	(void)snprintf(path, sizeof(path), "%s/control", f->here);
	(void)unlink(path);
	(void)snprintf(
		exports, sizeof(exports), "%s/exports:%s", folder, f->exports);
	(void)snprintf(
		path, sizeof(path), "%s/control:%s/control", f->here, folder);
	if (!ground_is_here(f->ground) &&
		ground_run(f->ground, "rm -f exports control", "", "", err) < 0)
		return err->code;
	add_all(&w, spec, f, kvm);
	r = make_script(&w, script, sizeof(script), err);
	return r < 0 ? r
		     : ground_start(f->ground, script, forwards, f->console,
			       t->errors, &t->qemu, err);
}

static int start(const struct throwaway_spec *spec,
	const struct throwaway_files *f, struct session *s, bool kvm,
	struct throwaway **ret, struct error *err)
{
	struct throwaway *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return error_set(err, -ENOMEM, "start QEMU");
	t->control = -1;
	t->session = s;
	t->ground = f->ground;
	(void)snprintf(t->errors, sizeof(t->errors), "%s/qemu.log", f->here);
	r = run(t, spec, f, kvm, err);
	if (r == 0)
		r = reach(t, f->here, err);
	if (r == 0)
		r = find_ports(t, spec, err);
	if (r == 0 && !ground_is_here(f->ground))
		r = make_tunnel(t, f, err);
	if (r < 0) {
		throwaway_end(t);
		return r;
	}
	*ret = t;
	return 0;
}

int throwaway_start(const struct throwaway_spec *spec,
	const struct throwaway_files *f, struct session *s,
	struct throwaway **ret, struct error *err)
{
	int r = -ECHILD;

	/* It may be there and not work, within another machine. */
	if (ground_facts(f->ground)->kvm && !f->no_kvm)
		r = start(spec, f, s, true, ret, err);
	return r == -ECHILD ? start(spec, f, s, false, ret, err) : r;
}

void throwaway_end(struct throwaway *t)
{
	if (!t)
		return;
	ground_stop(&t->tunnel);
	ground_stop(&t->qemu);
	if (t->control >= 0)
		(void)close(t->control);
	free(t->in);
	free(t);
}
